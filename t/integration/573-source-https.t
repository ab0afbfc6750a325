#!/usr/bin/perl
# Private repositories over https, from httpd with git's http-backend behind Basic authentication: user and token for
# one host alone; submodules, each at its commit; files that Git LFS keeps, by the batch API. Two servers: what is
# given for the one is never seen by the other.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha1_base64 sha256_hex);
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use WH::AgentJob;
use WH::Proc;
use WH::Wait qw(wait_for);

my $agent = WH::AgentJob->new;
$agent->start_server;
my $dir = $agent->dir;
my ($own, $other) = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1) } 1, 2;
($own, $other) = map { $_->sockport } $own, $other;
my ($user, $token) = ('me@x', 'tok/en: with+all of%it');
chomp(my $modules = qx(apxs -q LIBEXECDIR));
system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    . " -keyout $dir/server.key -out $dir/server.pem -batch 2>/dev/null") == 0 or die 'openssl';
sub file { my ($name, $text, $mode) = @_; open my $f, '>:raw', "$dir/$name" or die "$name: $!"; print {$f} $text; close $f; chmod $mode, "$dir/$name" if $mode; return }
mkdir "$dir/$_" for qw(lfs lfs/objects);

# ---- a forge ---------------------------------------------------------------------------------------------------------
# The batch API, as far as a download goes; what each object is answered with stands in lfs/how.
file('lfs/batch', <<'END' =~ s/DIR/$dir/gr =~ s/OWN/$own/gr =~ s/OTHER/$other/gr, 0755);
#!/usr/bin/perl
use JSON::PP;
read STDIN, my $body, $ENV{CONTENT_LENGTH};
my $ask = decode_json($body);
open my $log, '>>', 'DIR/lfs/asked'; print {$log} join(' ', $ENV{REQUEST_URI}, $ask->{operation}, map { $_->{oid} } @{ $ask->{objects} }), "\n"; close $log;
open my $in, '<', 'DIR/lfs/how'; my $how = <$in> // ''; close $in;
chomp $how;
my @objects = map { my %o = %$_;
    my $href = "https://localhost:OTHER/objects/$o{oid}";
    $href = "https://localhost:OWN/moved/$o{oid}" if $how eq 'redirect';
    $href = "http://localhost:OTHER/objects/$o{oid}" if $how eq 'plain';
    $href = "file:///etc/passwd" if $how eq 'file';
    $how eq 'missing' || !-e "DIR/lfs/objects/$o{oid}" ? { %o, error => { code => 404, message => 'no' } }
        : { %o, actions => { download => { href => $href, header => { 'X-Ticket' => "ticket-$o{oid}" } } } } } reverse @{ $ask->{objects} };
print "Content-Type: application/vnd.git-lfs+json\r\n\r\n", encode_json({ transfer => 'basic', objects => \@objects });
END
file('users', "$user:{SHA}" . sha1_base64($token) . "=\n");
my $loaded = join '', map { -e "$modules/mod_$_.so" ? "LoadModule ${_}_module $modules/mod_$_.so\n" : '' }
    qw(mpm_event authz_core authn_core authz_user authn_file auth_basic alias env cgid ssl socache_shmcb log_config headers);
file('httpd.conf', <<"END");
ServerRoot $dir
$loaded
DefaultRuntimeDir $dir
PidFile $dir/httpd.pid
ScriptSock $dir/cgi.sock
ErrorLog $dir/log/httpd.log
LogFormat "%{local}p %s %U auth=%{Authorization}i ticket=%{X-Ticket}i" seen
CustomLog $dir/log/seen seen
ServerName localhost
Listen 127.0.0.1:$own
Listen 127.0.0.1:$other
User www-data
Group www-data
SSLEngine on
SSLCertificateFile $dir/server.pem
SSLCertificateKeyFile $dir/server.key
SetEnv GIT_PROJECT_ROOT $dir/repos
SetEnv GIT_HTTP_EXPORT_ALL 1
SetEnv GIT_CONFIG_COUNT 1
SetEnv GIT_CONFIG_KEY_0 safe.directory
SetEnv GIT_CONFIG_VALUE_0 *
PassEnv PATH
Redirect 302 /moved https://localhost:$other/objects
Redirect 302 /away https://localhost:$other/private
Alias /objects $dir/lfs/objects
ScriptAliasMatch ^/private/.+/info/lfs/objects/batch\$ $dir/lfs/batch
ScriptAlias /private/ /usr/lib/git-core/git-http-backend/
ScriptAlias /old/ /usr/lib/git-core/git-http-backend/
ScriptAlias /public/ /usr/lib/git-core/git-http-backend/
<Directory />
    Require all granted
</Directory>
<Location /old>
    RequestHeader unset Git-Protocol
</Location>
<Location /private>
    AuthType Basic
    AuthName git
    AuthUserFile $dir/users
    Require valid-user
</Location>
END

my %repo = map { $_ => $agent->repo($_) } qw(main lib deep plain);
# A commit with submodules: path => [repository, commit].
sub with_links {
    my ($name, $modules, %link) = @_;
    my $r = $repo{$name};
    $r->write_file('.gitmodules', $modules);
    my @at = ('-C', $r->work);
    $r->git(@at, 'add', '.gitmodules');
    $r->git(@at, 'update-index', '--add', '--cacheinfo', "160000,$link{$_},$_") for sort keys %link;
    $r->git(@at, 'commit', '-q', '--allow-empty', '-m', 'links');
    $r->git(@at, 'push', '-q', '-f', 'origin', 'main');
    return $r->git(@at, 'rev-parse', 'HEAD');
}
sub module { my ($path, $url, $name) = @_; return sprintf qq([submodule "%s"]\n\tpath = %s\n\turl = %s\n), $name // $path, $path, $url }
my $deep = $repo{deep}->commit({ 'deep.txt' => "deep\n" });
$repo{lib}->commit({ 'lib.txt' => "lib\n" });
my $lib = with_links('lib', module('in/deep', '../deep.git', 'a.b.c'), 'in/deep' => $deep);
$repo{deep}->commit({ 'deep.txt' => "newer\n", 'new.txt' => "x\n" });
$repo{main}->commit({ 'index.html' => "main\n" });
my $main = with_links('main', module('libs/lib', '../lib.git'), 'libs/lib' => $lib);
my $older = $repo{plain}->commit({ 'index.html' => "older\n" });
$repo{plain}->commit({ 'index.html' => "plain\n" });
system('chown', '-R', 'www-data:www-data', "$dir/repos", "$dir/lfs");
my $httpd = WH::Proc->start(name => 'httpd', log => "$dir/log/httpd.out", cmd => [ 'apache2', '-d', $dir, '-f', "$dir/httpd.conf", '-DFOREGROUND' ]);
wait_for { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $other) || !$httpd->runs } 15, 'httpd';
ok($httpd->runs, 'two servers of repositories') or diag qx(cat $dir/log/httpd.*);

my %conf = (git_private_addresses => 'on', ca_file => "$dir/server.pem");
my ($n, $last) = (0, '');
sub new_app { return $last = sprintf '01hz%022d', 6000 + ++$n }
my %creds = (keys => [], known_hosts => '', site => "localhost:$own", user => $user, token => $token, own_only => JSON::PP::false);
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
sub run {
    my ($url, %o) = @_;
    $url = "https://localhost:$own/$url" if $url !~ m{^(?:https:|/)};
    system('chown', '-R', 'www-data:www-data', "$dir/repos", "$dir/lfs");
    return $agent->run(app => $o{app} // new_app(), url => $url, clone_s => 30, conf => { %conf, %{ delete $o{conf} // {} } }, source => { %creds, %{ delete $o{source} // {} } }, %o);
}
sub fails {
    my ($what, $code, $like, $got) = @_;
    is("$got->{outcome} $got->{code}", "failed $code", "$what: $code") or diag explain $got;
    like($got->{detail}, $like, "$what: says why");
    return;
}
# What the servers saw since the last call: port => lines.
my $read = 0;
sub seen {
    my %seen = ($own => [], $other => []);
    open my $in, '<', "$dir/log/seen" or return \%seen;
    seek $in, $read, 0;
    while (<$in>) { chomp; push @{ $seen{$1} }, $2 if /^(\d+) (.*)/ }
    $read = tell $in;
    return \%seen;
}
sub auth_seen { return scalar grep { !/auth=- / } @{ seen()->{ $_[0] } } }

# ---- user and token ---------------------------------------------------------------------------------------------------
my $got = run('private/plain.git');
is($got->{outcome}, 'succeeded', 'R17 a repository behind Basic authentication') or diag explain($got), qx(cat $dir/log/httpd.log $dir/log/tool.log);
cmp_ok(auth_seen($own), '>', 0, 'which was asked with user and token');
unlike("@{ $got->{log} }", qr/tok/, 'the log has neither');
fails('with another token', 'repository_auth', qr/does not take the app's credentials/, run('private/plain.git', source => { token => 'wrong' }));
fails('without one', 'repository_auth', qr/asks for credentials/, run('private/plain.git', source => { token => '' }));
seen();
fails('R17 at another host than that they are for', 'repository_auth', qr/asks for credentials/, run("https://localhost:$other/private/plain.git"));
is(auth_seen($other), 0, 'which gets neither user nor token');
fails('XK3 by a redirect to another host', 'clone_failed', qr/\S/, run('away/plain.git'));
is(auth_seen($other), 0, 'which gets them no more');
is(run('public/plain.git')->{outcome}, 'succeeded', 'a public one at their host');
is(run('public/plain.git', sha => $older)->{result}{commit}{sha}, $older, 'XI12 an older commit by its name');
is(run('old/plain.git', sha => $older)->{result}{commit}{sha}, $older, 'XI12 also of a server that gives branches alone');
fails('one that is in none', 'ref_not_found', qr/aaaa/, run('old/plain.git', sha => 'a' x 40));
is_deeply([ glob "$dir/state/cache/*/auth" ], [], 'D6 no file of them is left');

# ---- submodules ---------------------------------------------------------------------------------------------------------
my %subs = (build => { submodules => $yes });
$got = run('private/main.git');
is($agent->paths, '.gitmodules index.html', 'without the setting submodules are left out') if $got->{outcome} eq 'succeeded';
$got = run('private/main.git', %subs);
is($got->{outcome}, 'succeeded', 'F216 a repository with submodules') or diag explain($got), qx(cat $dir/log/tool.log);
is($agent->paths =~ s{\S*\.gitmodules }{}gr, 'index.html libs/lib/in/deep/deep.txt libs/lib/lib.txt', 'all files of all, at the commits that are named')
    or diag $agent->paths;
is($got->{result}{commit}{sha}, $main, 'the commit is the repository\'s own');
like("@{ $got->{log} }", qr/2 submodules/, 'and the log says how many');
my $app = $last;
is(scalar(() = qx(git -c 'safe.directory=*' --git-dir=$dir/state/cache/$app/git rev-list --all)), 3, 'of each one commit, without history');
seen();
is(run('private/main.git', %subs, app => $app)->{outcome}, 'succeeded', 'once more');
is(scalar(grep { m{/(?:lib|deep)\.git} } @{ seen()->{$own} }), 0, 'what has not changed is not fetched again');
is(run('private/main.git', %subs, root => 'libs/lib/in/deep')->{outcome}, 'succeeded', 'a root directory within a submodule');
is($agent->paths, 'deep.txt', 'has its files alone');
fails('R17 of somebody else\'s request, which may not use the app\'s access', 'repository_auth', qr/submodule libs\/lib: .*asks for credentials/,
    run('private/main.git', %subs, app => $app, source => { own_only => $yes }));

with_links('main', module('libs/lib', "https://localhost:$other/private/lib.git"), 'libs/lib' => $lib);
seen();
fails('a submodule at another host', 'repository_auth', qr/submodule libs\/lib/, run('private/main.git', %subs));
is(auth_seen($other), 0, 'which gets no token');
with_links('main', module('libs/lib', "https://localhost:$other/public/lib.git"), 'libs/lib' => $lib);
is(run('private/main.git', %subs)->{outcome}, 'succeeded', 'a public one at another host, with a relative one of its own');
for my $bad ('ext::sh -c id', "file://$dir/repos/lib.git", "$dir/repos/lib.git", 'git@localhost:-x') {
    with_links('main', module('libs/lib', $bad), 'libs/lib' => $lib);
    fails("XI1 the submodule $bad", 'repository_refused', qr/submodule libs\/lib: /, run('private/main.git', %subs));
}
with_links('main', module('libs/lib', '--upload-pack=x'), 'libs/lib' => $lib);
fails('XI1 an option for a submodule', 'clone_failed', qr/disallowed submodule url/, run('private/main.git', %subs));
with_links('main', module('libs/lib', '../lib.git'), 'libs/lib' => 'a' x 40);
fails('a commit that is not there', 'ref_not_found', qr/submodule libs\/lib: .*aaaa/, run('private/main.git', %subs));
with_links('main', module('elsewhere', '../lib.git'), 'libs/lib' => $lib);
fails('one without an address', 'clone_failed', qr/libs\/lib: .gitmodules has no address/, run('private/main.git', %subs));
with_links('main', join('', map { module("s/$_", '../deep.git') } 1 .. 65), map { ("s/$_" => $deep) } 1 .. 65);
fails('65 of them', 'too_large', qr/more than 64 submodules/, run('private/main.git', %subs));

# ---- Git LFS --------------------------------------------------------------------------------------------------------------
my %lfs = (build => { lfs => $yes });
sub how { file('lfs/how', "$_[0]\n"); return }
sub keep { my ($data) = @_; my $oid = sha256_hex($data); file("lfs/objects/$oid", $data); return "version https://git-lfs.github.com/spec/v1\noid sha256:$oid\nsize " . length($data) . "\n" }
how('');
my $data = join '', map { chr rand 256 } 1 .. 5000;
my $pointer = keep($data);
$repo{plain}->commit({ '.gitattributes' => "*.bin filter=lfs diff=lfs merge=lfs -text\n*.evil filter=evil\n", 'a.bin' => $pointer, 'b/copy.bin' => $pointer,
    'other.txt' => $pointer, 'real.bin' => "no pointer\n", 'x.evil' => "evil\n" });
sub served { my %got = map { $_->{path} => $_->{sha256} } @{ $agent->manifest }; return \%got }
$got = run('private/plain.git');
is(served()->{'a.bin'}, sha256_hex($pointer), 'without the setting a pointer stays a pointer');
unlink "$dir/lfs/asked";
seen();
$got = run('private/plain.git', %lfs);
is($got->{outcome}, 'succeeded', 'F216 files that Git LFS keeps') or diag explain($got), qx(cat $dir/log/tool.log $dir/log/httpd.log);
my $is = served();
is_deeply([ @$is{qw(a.bin b/copy.bin other.txt real.bin)} ], [ sha256_hex($data), sha256_hex($data), sha256_hex($pointer), sha256_hex("no pointer\n") ],
    'those that .gitattributes names, and no others');
like("@{ $got->{log} }", qr/2 files of Git LFS/, 'and the log says so');
my $seen = seen();
is_deeply([ grep { m{/objects/} && !/auth=- ticket=ticket-[0-9a-f]{64}$/ } @{ $seen->{$other} } ], [], 'R17 where they lie gets what the server gave for it, and no token');
is(scalar(grep { m{/objects/} } @{ $seen->{$other} }), 1, 'each once');
is(scalar(grep { m{info/lfs/objects/batch auth=Basic} } @{ $seen->{$own} }), 1, 'the server was asked with user and token');
$app = $last;
is(run('private/plain.git', %lfs, app => $app)->{outcome}, 'succeeded', 'once more');
is(scalar(grep {/objects/} map {@$_} values %{ seen() }), 0, 'nobody is asked for what is there');
$repo{main}->git('-C', $repo{main}->work, 'rm', '-q', '--cached', '-r', '.');
my $head = $repo{plain}->git('-C', $repo{plain}->work, 'rev-parse', 'HEAD');
with_links('main', module('p', '../plain.git'), p => $head);
$got = run('private/main.git', build => { lfs => $yes, submodules => $yes });
is(served()->{'p/a.bin'}, sha256_hex($data), 'in a submodule, too') or diag explain $got;

for ([ missing => 'clone_failed', qr/does not have a\.bin|does not have b/ ], [ redirect => 'clone_failed', qr/answered 302/ ],
    [ plain => 'repository_refused', qr/address/ ], [ file => 'repository_refused', qr/address/ ]) {
    my ($how, $code, $like) = @$_;
    how($how);
    fails("LFS: $how", $code, $like, run('private/plain.git', %lfs));
}
how('');
fails('LFS with another token', 'repository_auth', qr/\S/, run('private/plain.git', %lfs, source => { token => 'wrong' }));
my ($oid) = $pointer =~ /sha256:(\w+)/;
file("lfs/objects/$oid", 'x' . substr $data, 1);
fails('LFS: another content', 'clone_failed', qr/not what was committed/, run('private/plain.git', %lfs));
file("lfs/objects/$oid", $data . 'x');
fails('LFS: more than it says', 'clone_failed', qr/more than it should/, run('private/plain.git', %lfs));
$repo{plain}->commit({ 'a.bin' => $pointer =~ s/size \d+/size 3000000000/r });
fails('LFS: more than may be', 'too_large', qr/keeps of it has more/, run('private/plain.git', %lfs));
is_deeply([ glob("$dir/state/cache/*/auth $dir/state/cache/*/index* $dir/state/cache/*/lfs") ], [], 'nothing is left beside the caches');
my $basic = encode_base64("$user:$token", '');
is(join('', qx(grep -rlFe 'tok/en' -e 'tok%2Fen' -e '$basic' $dir/state $dir/log/tool.log)), '', 'R17 the token lies in no file of the agent');
$httpd->stop(10);
$agent->stop;
done_testing();
