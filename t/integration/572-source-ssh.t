#!/usr/bin/perl
# db: sqlite
# A private repository over ssh, from a real sshd: deploy keys made, rotated and given, the host's key pinned, polled
# with the same key; and nothing of the key anywhere but where it is used.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Find ();
use Test::More;
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for);

my $sshd = '/usr/sbin/sshd';
plan skip_all => 'no sshd' if !-x $sshd;
my $stack = WH::Stack->new(agent_conf => { git_private_addresses => 'on' }, scheduler_conf => { git_private_addresses => 'on' })->start;
my $dir = $stack->dir;

# ---- a forge: one user, who may do nothing but fetch -----------------------------------------------------------
my $port = WH::Stack::free_port();
mkdir "$dir/ssh";
mkdir '/run/sshd' if !-d '/run/sshd';
system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$dir/ssh/$_") == 0 or die 'ssh-keygen' for qw(host other mine);
my $forge = 'root';    # sshd lets in who has a shell and no locked password; its command is forced
plan skip_all => 'root is locked' if WH::Stack::slurp('/etc/shadow') =~ /^root:!/m;
sub file { my ($name, $text) = @_; open my $f, '>', "$dir/ssh/$name" or die $!; print {$f} $text; close $f; return }
file('serve', "#!/bin/sh\nset -- \$SSH_ORIGINAL_COMMAND\neval \"repo=\$2\"\nprintf '%s|%s|%s\\n' \"\$SSH_AUTH_SOCK\" \"\$1\" \"\$repo\" >>$dir/ssh/seen\n"
    . "[ \"\$1\" != git-lfs-authenticate ] || { echo '{\"href\":\"http://localhost/x\",\"header\":{}}'; exit 0; }\n[ \"\$1\" = git-upload-pack ] || exit 1\nexec git -c 'safe.directory=*' upload-pack \"$dir/repos/\$repo\"\n");
chmod 0755, "$dir/ssh/serve";
open my $touch, '>', "$dir/ssh/seen"; close $touch; chmod 0666, "$dir/ssh/seen";
sub authorized { file('keys', join '', map {"restrict,command=\"$dir/ssh/serve\" $_\n"} @_); chmod 0644, "$dir/ssh/keys"; return }
authorized();
file('sshd_config', <<"END");
ListenAddress 127.0.0.1
Port $port
HostKey $dir/ssh/host
AuthorizedKeysFile $dir/ssh/keys
PermitRootLogin forced-commands-only
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
AllowAgentForwarding yes
AcceptEnv GIT_PROTOCOL
PidFile none
LogLevel VERBOSE
END
chmod 0755, "$dir/ssh";
my $proc = WH::Proc->start(name => 'sshd', log => "$dir/log/sshd.log", cmd => [ $sshd, '-D', '-e', '-f', "$dir/ssh/sshd_config" ]);
wait_for { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) || !$proc->runs } 15, 'sshd';
chomp(my $host_key = join ' ', (split / /, WH::Stack::slurp("$dir/ssh/host.pub"))[ 0, 1 ]);

my $repo = $stack->repo('private', { 'index.html' => "first\n" });
my $first = $repo->git('-C', $repo->work, 'rev-parse', 'HEAD');
my $url = "ssh://$forge\@localhost:$port/private.git";
sub fails {
    my ($what, $code, $like) = @_;
    my $d = $stack->deploy('blog', {}, 60);
    is($d->{cause}{code}, $code, "$what: $code") or diag(explain($d->{cause}), $stack->log_text('sshd'));
    like($d->{cause}{detail}, $like, "$what: says what to do");
    return;
}

# ---- made, shown, not usable before the forge has it --------------------------------------------------------------
my $got = $stack->wh('apps', 'create', 'blog', '--kind', 'static', '--repo', $url);
is($got->{rc}, 0, 'F216 an app whose repository is reached over ssh') or diag $got->{err};
fails('without a key', 'repository_auth', qr/wh apps deploy-key/);
like($stack->wh('deploy', '--wait', 'blog')->{err}, qr/^wh: next: wh apps deploy-key blog$/m, 'and wh deploy names the command');
$got = $stack->wh('apps', 'deploy-key', 'blog');
like($got->{out}, qr/^ssh-ed25519 AAAA\S+ wisehost-blog\n\z/, 'wh apps deploy-key makes one and shows its public half');
chomp(my $key = $got->{out});
is($stack->wh('apps', 'deploy-key', 'blog')->{out}, "$key\n", 'and shows the same one from then on');
file('made.pub', "$key\n");
my ($print) = qx(ssh-keygen -lf $dir/ssh/made.pub) =~ /(SHA256:\S+)/;
is($stack->api(GET => '/v1/apps/blog/source')->{json}{deploy_key}{fingerprint}, $print, 'with the fingerprint that ssh-keygen tells');
authorized($key);
fails('a host that nobody knows', 'repository_auth', qr/none is known: see wh apps known-hosts/);

# ---- the host's key -------------------------------------------------------------------------------------------------
(my $wrong = WH::Stack::slurp("$dir/ssh/other.pub")) =~ s/ \S+\n\z/\n/;
file('known', "[localhost]:$port $wrong");
is($stack->wh('apps', 'known-hosts', 'blog', '--file', "$dir/ssh/known")->{rc}, 0, 'known hosts are given');
fails('another key than the host\'s', 'repository_auth', qr/known-hosts/);
file('known', "# made by hand\n[localhost]:$port $host_key me\n");
$got = $stack->wh_env({ STDIN => "$dir/ssh/known" }, qw(apps known-hosts blog --file -));
is($got->{out}, "[localhost]:$port $host_key\n", 'clean lines are kept');
my $d = $stack->deploy('blog', {}, 60);
is($d->{conclusion}, 'succeeded', 'F216 with key and host it is deployed') or diag(explain($d), $stack->log_text('sshd'));
is($d->{commit}{sha}, $first, 'its commit');
like($stack->get('blog')->{body}, qr/first/, 'and live');

# ---- one commit by its name, shallow --------------------------------------------------------------------------------
$repo->commit({ 'index.html' => "second\n" });
$d = $stack->deploy('blog', { commit => $first }, 60);
is($d->{commit}{sha}, $first, 'XI12 an older commit by its name') or diag explain $d;
my ($cache) = glob "$dir/agent/cache/*/git";
is(scalar(() = qx(git -c 'safe.directory=*' --git-dir=$cache rev-list refs/wisehost/head)), 1, 'and no history with it');

# ---- another key: the former one is offered too -----------------------------------------------------------------------
$got = $stack->wh('apps', 'deploy-key', 'blog', '--rotate');
isnt($got->{out}, "$key\n", 'a new key');
like($got->{err}, qr/former one, \Q$print\E, is offered too until/, 'the former one for a while');
$d = $stack->deploy('blog', {}, 60);
is($d->{conclusion}, 'succeeded', 'so it goes on before the forge has the new one') or diag explain $d->{cause};
like($stack->get('blog')->{body}, qr/second/, 'with the newest commit');
chomp(my $second = $got->{out});
authorized($second);
is($stack->deploy('blog', {}, 60)->{conclusion}, 'succeeded', 'and with the new one');
$got = $stack->wh('apps', 'deploy-key', 'blog', '--file', "$dir/ssh/mine", '--overlap', '0');
is(join(' ', (split / /, $got->{out})[ 0, 1 ]), join(' ', (split / /, WH::Stack::slurp("$dir/ssh/mine.pub"))[ 0, 1 ]), 'a key that was given');
fails('which the forge does not have', 'repository_auth', qr/deploy key/);
authorized(WH::Stack::slurp("$dir/ssh/mine.pub") =~ s/\n//r);
is($stack->wh(qw(apps deploy-key blog --file), "$dir/ssh/mine.pub")->{rc} ? 1 : 0, 1, 'a public key is none');

# ---- polled with the same key --------------------------------------------------------------------------------------------
my $third = $repo->commit({ 'index.html' => "third\n" });
$stack->api(POST => '/v1/apps/blog/sync');
wait_for { ($stack->api(GET => '/v1/apps/blog/sync')->{json}{commit} // '') eq $third } 60, 'the poller';
wait_for { $stack->get('blog')->{body} =~ /third/ } 60, 'the third commit live';
pass('F251 a private repository is looked up with the same key');
$stack->api(DELETE => '/v1/apps/blog/source/deploy-key');
my $s;
$stack->api(POST => '/v1/apps/blog/sync');
wait_for { $s = $stack->api(GET => '/v1/apps/blog/sync')->{json}; $s->{status} eq 'failed' } 60, 'the sync to fail';
is($s->{cause}{code}, 'repository_auth', 'and without a key it says so') or diag explain $s;

# ---- submodules and Git LFS with the same key ----------------------------------------------------------------------------------
my $lib = $stack->repo('lib', { 'lib.txt' => "lib\n" });
my $at = $lib->git('-C', $lib->work, 'rev-parse', 'HEAD');
$repo->write_file('.gitmodules', qq([submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n));
$repo->git('-C', $repo->work, 'add', '.gitmodules');
$repo->git('-C', $repo->work, 'update-index', '--add', '--cacheinfo', "160000,$at,lib");
$repo->git('-C', $repo->work, qw(commit -q -m links));
$repo->git('-C', $repo->work, qw(push -q origin main));
$repo->own;
is($stack->wh('apps', 'deploy-key', 'blog', '--file', "$dir/ssh/mine")->{rc}, 0, 'the key again');
$got = $stack->wh(qw(apps set blog --submodules --lfs));
is($got->{rc}, 0, 'submodules and LFS are switched on') or diag $got->{err};
$d = $stack->deploy('blog', {}, 60);
is($d->{conclusion}, 'succeeded', 'F216 a submodule of the same host') or diag explain $d->{cause};
is($stack->get('blog', '/lib/lib.txt')->{body}, "lib\n", 'its file is there');
$repo->commit({ '.gitattributes' => "*.bin filter=lfs\n", 'a.bin' => "version https://git-lfs.github.com/spec/v1\noid sha256:" . 'a' x 64 . "\nsize 12\n" });
fails('the LFS server that ssh names', 'repository_refused', qr/an address that is not taken/);

# ---- addresses that mean something to ssh or to its shell -------------------------------------------------------------------
for my $bad ("ssh://-oProxyCommand=id\@localhost/x", 'git@-oProxyCommand=id:x', 'git@localhost:-x', "ssh://localhost:$port/x", 'ssh://git:pw@localhost/x',
    'git@localhost:$(id)', 'ext::ssh git@localhost %S x') {
    is($stack->api(POST => '/v1/apps', { slug => 'bad', kind => 'static', repository => { url => $bad } })->{json}{code}, 'repository_refused', "XI1 $bad");
}

# ---- what was seen, what is left ---------------------------------------------------------------------------------------------
my @seen = split /\n/, WH::Stack::slurp("$dir/ssh/seen");
cmp_ok(scalar(@seen), '>=', 6, 'the forge was asked ' . @seen . ' times');
is_deeply([ grep { !/^\|git-(?:upload-pack|lfs-authenticate)\|\/(?:private|lib)\.git$/ } @seen ], [], 'for these repositories alone, and without an agent') or diag explain \@seen;
my $line = (split /\n/, WH::Stack::slurp("$dir/ssh/mine"))[3];
my %in;
File::Find::find({ no_chdir => 1, wanted => sub { $in{$_} = 1 if -f && !-l && WH::Stack::slurp($_) =~ /\Q$line\E|OPENSSH PRIVATE/ } },
    map {"$dir/$_"} qw(agent state log httpd));
is_deeply(\%in, {}, 'R17 no private key lies anywhere');
is_deeply([ glob("$dir/agent/cache/*/auth $dir/state/source/*") ], [], 'nor a directory of one');
my $answers = join "\n", map { $stack->api(GET => $_)->{body} } '/v1/apps/blog', '/v1/apps/blog/source', "/v1/deployments/$d->{id}", "/v1/deployments/$d->{id}/logs";
unlike($answers, qr/PRIVATE/, 'F226 and no answer has one');
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
$proc->stop(10);
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
