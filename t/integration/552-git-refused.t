#!/usr/bin/perl
# db: sqlite pgsql
# Pushes that are refused leave nothing behind: wrong callers, wrong refs, too much, deployments that fail; and what is no push.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Compress::Zlib qw(compress);
use Digest::SHA qw(sha1 sha256_hex);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Test::More;
use WH::Push;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new(httpd_extra => "WiseHostGitMaxSize 2\n");
$stack->start;
my $state = $stack->dir . '/state/git';

# Tokens by their rights: scopes, apps.
my $n = 0;
sub token {
    my ($scopes, $apps) = @_;
    my $token = sprintf 'wh_%064x', ++$n;
    my $id = sprintf '0t%024d', $n;
    $stack->db->rows("INSERT INTO tokens (id, hash, name, scopes, apps, created_at) VALUES ('$id', '" . sha256_hex($token)
        . "', 't$n', '$scopes', '" . ($apps // '*') . "', 1)");
    return $token;
}
# Objects and quarantines below a repository.
sub objects {
    my ($repo) = @_;
    my @found = grep { -f } glob("$repo/objects/??/* $repo/objects/pack/*");
    my @left = glob("$repo/objects/*incoming* $repo/objects/tmp_* $repo/objects/pack/tmp_* $repo/wisehost-lent/*");
    return (scalar @found, "@left");
}
sub repos { return grep { !m{/empty\.git$} } glob("$state/*") }

my $site = WH::Push->new(stack => $stack, slug => 'blog');
$site->commit({ 'index.html' => "<p>alder\n" }, 'first');

# A first push that comes to nothing makes neither app nor repository.
for my $case (
    [ 'an option that there is not', [ '-obogus', 'main' ], qr/There is no push option "bogus"/ ],
    [ 'options that do not go together', [ '-ostrict', '-ono-wait', 'main' ], qr/does not go with no-wait/ ],
    [ 'a tag', ['main:refs/tags/v1'], qr{Only branches are taken here, and refs/tags/v1 is none} ],
    [ 'a tag beside a branch', [ 'main', 'main:refs/tags/v1' ], qr/Only branches.*Refused: nothing/s ],
    [ 'a kind that there is not', [ '-okind=compose', 'main' ], qr/There is no push option/ ],
    ) {
    my ($what, $args, $says) = @$case;
    my $got = $site->push(@$args);
    isnt($got->{rc}, 0, "$what: refused");
    like($got->{said}, $says, 'with the reason') or diag($got->{said});
    is($stack->api(GET => '/v1/apps/blog')->{status}, 404, 'no app was made');
    is_deeply([ repos() ], [], 'and no repository');
}
my %who = (
    nobody => [ '', qr/could not read Username|Authentication failed/ ],
    'a wrong token' => [ 'wh_' . 'f' x 64, qr/Authentication failed/ ],
    'something that is no token' => [ 'secret', qr/Authentication failed/ ],
    'a token that may not deploy' => [ token('read write'), qr/403|not allow/ ],
    'a token that may not make apps' => [ token('read deploy'), qr/not found|404/ ],
    'a token for named apps' => [ token('admin', '0' x 26), qr/not found|404/ ],
    "the agents' control secret" => [ WH::Stack::slurp($stack->dir . '/state/keys/control.secret') =~ s/\s//gr, qr/Authentication failed/ ],
);
for my $who (sort keys %who) {
    my ($token, $says) = @{ $who{$who} };
    my $other = bless { %$site, token => $token }, 'WH::Push';
    my $got = $other->push('main');
    isnt($got->{rc}, 0, "$who: refused");
    like($got->{said}, $says, 'in words') or diag($got->{said});
}
is_deeply([ repos() ], [], 'none of them made a repository');
for my $slug ('Blog', 'a', 'x-env-y', 'admin', 'a..b', '-x', '%2e%2e') {
    my $odd = bless { %$site, slug => $slug }, 'WH::Push';
    isnt($odd->push('main')->{rc}, 0, "an app cannot be called $slug");
}

# Two at once: the app is made once.
my @pids = map {
    my $as = bless { %$site }, 'WH::Push';
    my $pid = fork // die;
    if (!$pid) { POSIX::_exit($as->push("main:b$_")->{rc} == 0 ? 0 : 1) }
    $pid;
} 1 .. 3;
my $good = grep { waitpid($_, 0); $? == 0 } @pids;
cmp_ok($good, '>=', 1, 'of first pushes at once, one makes the app');
is(scalar repos(), 1, 'with one repository');
my ($repo) = repos();
is($site->push('main')->{rc}, 0, 'the next one is a push as any other');
$stack->api(PATCH => '/v1/apps/blog', { repository => { branch => 'main' } }, headers => { 'If-Match' => '*' });
is($stack->deploy('blog')->{conclusion}, 'succeeded', 'and main is live');
my ($before, $left) = objects($repo);
is($left, '', 'nothing lies about');

# Strict: deployed before it is taken; refused, nothing of it is kept.
my $count = sub { $stack->db->value("SELECT COUNT(*) FROM deployments WHERE conclusion = '$_[0]'") };
my $tip = $site->tips->{main};
my $keep = $site->head;
$site->commit({ 'index.html' => undef, 'big/file.txt' => 'x' x 1000 }, 'it has no page');
$site->commit({ 'big/file.txt' => undef }, 'nothing is left');
my $got = $site->push('-ostrict', 'main');
isnt($got->{rc}, 0, 'strict: a push whose deployment fails is refused');
like($got->{said}, qr/failed: .*output_missing.*Refused: nothing of this push was kept.*pre-receive hook declined/s, 'and says why');
is($site->tips->{main}, $tip, 'the branch is where it was');
is_deeply([ objects($repo) ], [ $before, '' ], 'no object of it was kept, and nothing lies about');
is($count->('failed'), 1, 'its deployment is told as failed');
like($stack->get('blog')->{body}, qr/alder/, 'what was live is live');
$site->in('reset', '-q', '--hard', $keep);
$site->commit({ 'index.html' => "<p>birch\n" }, 'birch');
$got = $site->push('-ostrict', 'main');
is($got->{rc}, 0, 'strict: a push that can be deployed is taken') or diag($got->{said});
like($got->{said}, qr/is live/, 'after it was live');
is($site->tips->{main}, $site->head, 'the branch has moved');
like($stack->get('blog')->{body}, qr/birch/, 'and it serves');
is((objects($repo))[1], '', 'nothing lies about');

# Somebody was faster.
my $late = bless { %$site, work => $stack->dir . '/people/late' }, 'WH::Push';
$site->git('clone', '-q', $site->remote, $late->work);
$late->commit({ 'index.html' => "<p>late\n" }, 'late');
$site->commit({ 'index.html' => "<p>cedar\n" }, 'cedar');
is($site->push('main')->{rc}, 0, 'somebody pushes');
$got = $late->push('-ostrict', 'main');
isnt($got->{rc}, 0, 'who comes after has to fetch');
like($got->{said}, qr/fetch first|has moved meanwhile/, 'and is told so') or diag($got->{said});
like($stack->get('blog')->{body}, qr/cedar/, 'and did not get live');

# Many at once to one app, and to one branch: every one that git took is told true.
my $base = $site->head;
@pids = ();
my @as = map { bless { %$site, work => $stack->dir . "/people/many$_" }, 'WH::Push' } 1 .. 4;
$site->git('clone', '-q', $site->remote, $_->work) for @as;
$as[$_ - 1]->commit({ 'index.html' => "<p>number $_\n" }, "number $_") for 1 .. 4;
for my $i (1 .. 4) {
    my $as = $as[$i - 1];
    my $pid = fork // die;
    if (!$pid) {
        my $done = $as->push($i % 2 ? 'main' : "main:own$i");
        POSIX::_exit($done->{rc} == 0 ? 0 : 1);
    }
    push @pids, $pid;
}
my @rc = map { waitpid($_, 0); $? >> 8 } @pids;
is($rc[0] + $rc[2], 1, 'of two pushes to one branch one is taken');
is($rc[1] + $rc[3], 0, 'those to other branches are');
my $tips = $site->tips;
isnt($tips->{main}, $base, 'the branch has moved');
wait_for { $stack->api(GET => '/v1/apps/blog/deployments')->{json}{items}[0]{status} eq 'completed' } 30, 'the last deployment';
my ($word) = $stack->get('blog')->{body} =~ /(number \d)/;
$site->in('fetch', '-q', $site->remote, 'main');
is($site->in('log', '-1', '--format=%s', 'FETCH_HEAD') =~ s/\s+\z//r, $word, 'and what is live is what it names');

# Too large, and what git's own checks find.
$site->in('fetch', '-q', $site->remote, 'main');
$site->in('reset', '-q', '--hard', 'FETCH_HEAD');
open my $urandom, '<:raw', '/dev/urandom' or die;
read $urandom, my $noise, 5 << 20;
$before = (objects($repo))[0];
$site->commit({ 'noise.bin' => $noise }, 'five MiB of noise');
$got = $site->push('main');
isnt($got->{rc}, 0, 'XI7 more than WiseHostGitMaxSize: refused');
like($got->{said}, qr/exceeds maximum allowed size|413/, 'and says so') or diag($got->{said});
is_deeply([ objects($repo) ], [ $before, '' ], 'nothing of it was kept');
$site->in('reset', '-q', '--hard', 'HEAD~1');
my $tree = do {
    my $blob = $site->in('hash-object', '-w', 'index.html') =~ s/\s//gr;
    open my $fh, '>', $stack->dir . '/people/tree' or die;
    print {$fh} "100644 .git\0" . pack('H*', $blob);
    close $fh;
    $site->in('hash-object', '-w', '-t', 'tree', '--literally', $stack->dir . '/people/tree') =~ s/\s//gr;
};
my $bad = $site->in('commit-tree', '-m', 'a tree with .git', $tree) =~ s/\s//gr;
$got = $site->push("$bad:refs/heads/evil");
isnt($got->{rc}, 0, 'XI6 a tree with ".git" in it: refused by fsck');
like($got->{said}, qr/hasDotgit|fsck/, 'which says so') or diag($got->{said});
is_deeply([ objects($repo) ], [ $before, '' ], 'nothing of it was kept');

# Branches that are valid and look like commands; hooks and configuration that somebody left in the repository.
for my $branch ('$(id)', '`id`', 'x;id', "it's", '--upload-pack') {
    $got = $site->push('-ono-deploy', "main:refs/heads/$branch");
    if ($branch =~ /^-/) { isnt($got->{rc}, 0, "XI2 $branch is refused") }
    else { is($got->{rc}, 0, "XI2 $branch is a branch") or diag($got->{said}) }
}
mkdir "$repo/hooks";
for my $hook (qw(pre-receive post-receive update post-update reference-transaction)) {
    open my $fh, '>', "$repo/hooks/$hook" or die;
    print {$fh} "#!/bin/sh\ntouch $state/ran-$hook\n";
    close $fh;
    chmod 0755, "$repo/hooks/$hook";
}
system('git', '--git-dir', $repo, 'config', 'core.hooksPath', "$repo/hooks");
system('git', '--git-dir', $repo, 'config', 'uploadpack.packObjectsHook', "touch $state/ran-pack");
system('chown', '-R', 'www-data:', $repo);
is($site->push('-ono-deploy', 'main:refs/heads/hooks')->{rc}, 0, 'a push to a repository with hooks of its own');
is($site->git('clone', '-q', $site->remote, $stack->dir . '/people/again'), '', 'and a clone of it');
is_deeply([ glob("$state/ran-*") ], [], 'XI6 ran none of them');

# Other tokens, other apps; reading.
my $app = $stack->api(GET => '/v1/apps/blog')->{json};
my $mine = bless { %$site, token => token('deploy', $app->{id}) }, 'WH::Push';
is($mine->push('-ono-deploy', 'main:refs/heads/mine')->{rc}, 0, 'a token for this app pushes to it');
isnt($mine->git('ls-remote', $mine->remote) =~ /refs\/heads/, 1, 'without read it cannot clone');
my $reader = bless { %$site, token => token('read', $app->{id}) }, 'WH::Push';
like(scalar $reader->git('ls-remote', $reader->remote), qr{refs/heads/main}, 'with read it clones');
isnt($reader->push('main:refs/heads/no')->{rc}, 0, 'and cannot push');
my $foreign = bless { %$site, token => token('admin', '0' x 26) }, 'WH::Push';
like(scalar $foreign->git('ls-remote', $foreign->remote), qr/not found/, "another app's token finds nothing");

# What is no push.
my $basic = sub { ('Authorization' => 'Basic ' . (encode_base64("x:$_[0]", ''))) };
my %auth = $basic->($stack->token);
for my $case (
    [ GET => '/git/blog.git/HEAD', 404 ], [ GET => '/git/blog.git/config', 404 ], [ GET => '/git/blog.git/objects/info/packs', 404 ],
    [ GET => '/git/blog.git/info/refs', 403 ], [ GET => '/git/blog.git/info/refs?service=git-upload-archive', 403 ],
    [ GET => '/git/blog.git/info/refs?service=git-receive-pack&x=1', 403 ], [ GET => '/git/blog.git/git-receive-pack', 405 ],
    [ POST => '/git/blog.git/git-upload-archive', 404 ], [ GET => '/git/', 404 ], [ GET => '/git', 404 ],
    [ GET => '/git/blog/info/refs?service=git-upload-pack', 404 ], [ GET => '/git/.git/info/refs?service=git-upload-pack', 404 ],
    [ GET => '/git//blog.git/info/refs?service=git-upload-pack', 404 ], [ GET => '/git/blog.git/%69nfo/refs?service=git-upload-pack', 404 ],
    [ GET => '/git/empty.git/info/refs?service=git-upload-pack', 404 ], [ GET => "/git/$app->{id}.git/info/refs?service=git-upload-pack", 404 ],
    [ PUT => '/git/blog.git/git-receive-pack', 405 ], [ DELETE => '/git/blog.git/info/refs', 405 ],
    ) {
    my ($method, $path, $status) = @$case;
    my $answer = $stack->request(method => $method, path => $path, headers => {%auth}, $method eq 'GET' ? () : (body => ''));
    is($answer->{status}, $status, "$method $path: $status") or diag($answer->{body});
}
my $refs = '/git/blog.git/info/refs?service=git-receive-pack';
is($stack->request(path => $refs)->{status}, 401, 'without a credential: 401');
like($stack->request(path => $refs)->{headers}{'www-authenticate'}, qr/^Basic realm="wisehost"/, 'and a challenge');
is($stack->request(path => $refs, token => $stack->token)->{status}, 401, 'a bearer is not what git shows');
is($stack->request(path => $refs, headers => {%auth})->{status}, 200, 'with one: 200');
is($stack->request(method => 'POST', path => '/git/blog.git/git-receive-pack', body => 'x' x 100,
        headers => { %auth, 'Content-Type' => "text/plain\tx" })->{status}, 400, 'a type that git would not send: 400');
my $half = $stack->request(method => 'POST', path => '/git/blog.git/git-receive-pack', body => '00ffgarbage',
    headers => { %auth, 'Content-Type' => 'application/x-git-receive-pack-request' });
cmp_ok($half->{status}, '>=', 200, 'garbage is answered');
is_deeply([ objects($repo) ], [ (objects($repo))[0], '' ], 'and leaves nothing');

# A pack of a few bytes whose commit says that it has three gigabytes: git would make room for them.
sub packed_commit {
    my ($size) = @_;
    my @bytes = (1 << 4 | $size & 15);
    for ($size >>= 4; $size > 0; $size >>= 7) { $bytes[-1] |= 0x80; push @bytes, $size & 0x7f }
    my $pack = 'PACK' . pack('NNC*', 2, 1, @bytes) . compress("\0" x 1000);
    return $pack . sha1($pack);
}
my $order = '0' x 40 . ' ' . '1' x 40 . " refs/heads/bomb\0report-status side-band-64k";
my $send = sprintf('%04x%s0000', 4 + length $order, $order) . packed_commit(3 << 30);
my %type = ('Content-Type' => 'application/x-git-receive-pack-request');
my $bomb = $stack->request(method => 'POST', path => '/git/blog.git/git-receive-pack', body => $send, headers => { %auth, %type });
like($bomb->{body}, qr/attempting to allocate 3221225473 over limit|Out of memory/, 'XI7 an object of three gigabytes gets no room');
is_deeply([ objects($repo) ], [ (objects($repo))[0], '' ], 'and leaves nothing');

# git checks a name after its hook has heard of it, line by line: one with a line feed in it would be two, and the second a
# branch that git was never asked to move. Plain, and as clients that compress send it.
{
    my $main = $site->tips->{main};
    my $was = $stack->get('blog')->{body};
    my $new = $site->commit({ 'index.html' => "<p>smuggled\n" }, 'smuggled');
    my $list = $stack->dir . '/people/list';
    open my $fh, '>', $list or die;
    print {$fh} "$new\n^$main\n";
    close $fh;
    my $pack = do {
        open my $out, '-|', "git -C '" . $site->work . "' pack-objects --revs --stdout -q < '$list'" or die;
        local $/;
        <$out>;
    };
    my $pkt = sub { sprintf '%04x%s', 4 + length $_[0], $_[0] };
    my $all = $stack->db->value('SELECT COUNT(*) FROM deployments');
    my ($kept) = objects($repo);
    my $zero = '0' x 40;
    for my $case (
        [ 'a name with a line feed' => "$zero $new refs/heads/topic\n$main $new refs/heads/main" ],
        [ 'one with a line feed at its end' => "$zero $new refs/heads/topic\n" ], [ 'one with a tab' => "$zero $new refs/heads/a\tb" ],
        [ 'one with an escape' => "$zero $new refs/heads/a\eb" ], [ 'a commit that is none' => "$zero HEAD refs/heads/main" ], [ 'no name' => "$zero $new " ],
        )
    {
        my ($what, $line) = @$case;
        my $body = $pkt->("$line\0report-status side-band-64k push-options") . '0000' . $pkt->('strict') . '0000' . $pack;
        for my $coding ('', 'gzip') {
            my $got = $stack->request(method => 'POST', path => '/git/blog.git/git-receive-pack', body => $coding ? Compress::Zlib::memGzip($body) : $body,
                headers => { %auth, %type, $coding ? ('Content-Encoding' => $coding) : () });
            is($got->{status}, 400, "XI2 $what is refused" . ($coding && ", $coding") . ': 400') or diag($got->{body});
            is($stack->db->value('SELECT COUNT(*) FROM deployments'), $all, 'nothing was deployed for it');
            is_deeply([ objects($repo) ], [ $kept, '' ], 'nothing of it was kept');
        }
    }
    is($stack->get('blog')->{body}, $was, 'what was live is live');
    is($site->tips->{main}, $main, 'and the branch where it was');
    my $body = $pkt->("$main $new refs/heads/main\0report-status side-band-64k push-options") . '0000' . $pkt->('strict') . '0000' . $pack;
    my $got = $stack->request(method => 'POST', path => '/git/blog.git/git-receive-pack', body => Compress::Zlib::memGzip($body),
        headers => { %auth, %type, 'Content-Encoding' => 'gzip' });
    like($got->{body}, qr/is live.*unpack ok/s, 'a compressed push is taken') or diag($got->{body});
    is($site->tips->{main}, $new, 'and moves its branch');
    is($stack->request(method => 'POST', path => '/git/blog.git/git-receive-pack', body => $body, headers => { %auth, %type, 'Content-Encoding' => 'br' })->{status}, 415,
        'one that git cannot unfold: 415');
}
my $slow = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $stack->port, Proto => 'tcp') or die "connect: $!";
print {$slow} join "\r\n", 'POST /git/blog.git/git-receive-pack HTTP/1.1', 'Host: 127.0.0.1:' . $stack->port, 'Content-Length: 1000',
    (map {"$_: $type{$_}"} keys %type), (map {"$_: $auth{$_}"} keys %auth), '', '0';
my $proc = sub { open my $fh, '<', "/proc/$_[0]/$_[1]" or return ''; local $/; return <$fh> // '' };
my $data = '';
wait_for {
    my ($pid) = grep { $proc->($_, 'environ') =~ m{GIT_PROJECT_ROOT=\Q$state\E\0} } split /\s+/, `pgrep -u www-data git`;
    ($data) = $proc->($pid, 'limits') =~ /Max data size\s+(\d+)/ if defined $pid;
    defined $data && $data ne '';
} 10, 'git waits for the rest of a body, and all that it takes is bounded (XI7)';
is($data, 1 << 30, 'by a gigabyte');
close $slow;
wait_for { !grep { $proc->($_, 'environ') =~ m{\Q$state\E/} } split /\s+/, `pgrep -u www-data git` } 20, 'git ends when its client goes in the middle';

# Agents: their own jobs, to read.
my $job = $stack->db->value('SELECT id FROM jobs LIMIT 1');
for my $case ([ 401, undef ], [ 401, 'garbage' ], [ 403, $stack->token ]) {
    my ($status, $token) = @$case;
    is($stack->request(path => "/v1/agent/git/$job/1/info/refs?service=git-upload-pack", token => $token)->{status}, $status,
        "an agent's way is closed to " . ($token ? 'other credentials' : 'everybody'));
}

$stack->allow_log(qr/AH10244|WH0242|AH0252[0-9]|WH0247/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
# By its parent: of one that has ended and was not waited for nothing else is left to be read.
wait_for { !grep { m{^ *(\d+) .*git} && $proc->($1, 'environ') . $proc->($1, 'cmdline') =~ m{\Q@{[ $stack->dir ]}\E/} }
    split /\n/, `ps -u www-data -o ppid=,args=` } 10, 'the last git to be buried';
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
