#!/usr/bin/perl
# db: sqlite pgsql
# A static release on its way from an agent: announced, its missing objects stored, committed; and all
# that a worker may not do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use POSIX ();
use Test::More;
use WH::Api;
use WH::Wait ();

my $api = WH::Api->new;
my $token = $api->token;
$api->app($token, 'blog');
$api->app($token, 'shop');
my $w1 = $api->worker('w1');
my $w2 = $api->worker('w2');
my ($deployment, $job) = $api->processing($token, 'blog', $w1, 3);
my ($deployment2, $job2) = $api->processing($token, 'shop', $w2, 1);

my %site = ('index.html' => "<h1>hello</h1>\n", 'css/a.css' => "a{}\n", 'copy.html' => "<h1>hello</h1>\n", 'empty' => '', 'big.bin' => 'x' x 300_000);
sub manifest { my (%files) = @_; return [ map { { path => $_, size => length $files{$_}, sha256 => sha256_hex($files{$_}), mode => 0644 } } sort keys %files ] }
sub announce { my ($w, $j, $epoch, $m) = @_; return $api->req(POST => '/v1/agent/releases', token => $w->{token}, json => { job => $j, epoch => $epoch, manifest => $m }) }
sub put { my ($w, $j, $epoch, $sha, $data) = @_; return $api->req(PUT => "/v1/agent/objects/$sha?job=$j&epoch=$epoch", token => $w->{token}, body => $data, type => 'application/octet-stream') }
sub commit { my ($w, $j, $epoch, $id) = @_; return $api->req(POST => "/v1/agent/releases/$id/commit", token => $w->{token}, json => { job => $j, epoch => $epoch }) }
sub stored { my ($sha) = @_; return "$api->{state}/objects/" . substr($sha, 0, 2) . "/$sha" }
# run/ is httpd's own: what it writes there goes by the clock.
sub tree { my ($dir) = @_; my $out = `cd '$dir' && find . -path ./run -prune -o -name '.tmp*' -o -type f -print | sort`; return $out }

# ---- the way it goes -------------------------------------------------------------------------------
my $res = announce($w1, $job, 3, manifest(%site));
is($res->{status}, 200, 'a release is announced') or diag $res->{body};
my $id = $res->{json}{release};
like($id, qr/^[0-9a-f]{40}$/, 'F300 its id comes from its content');
my %want = map { sha256_hex($_) => $_ } values %site;
is_deeply([ sort @{ $res->{json}{missing} } ], [ sort keys %want ], 'each missing object once');
$api->is_problem(commit($w1, $job, 3, $id), 409, 'objects_missing', 'it cannot be committed before they are there');
ok(!-e "$api->{state}/releases/$id", 'and does not exist');
is($api->value('SELECT count(*) FROM releases'), 0, 'nor in the database');
for my $sha (sort keys %want) {
    my $got = put($w1, $job, 3, $sha, $want{$sha});
    is($got->{status}, 201, 'an object is stored') or diag $got->{body};
    is(WH::Api::_slurp(stored($sha)), $want{$sha}, 'as it is');
}
is((stat stored((keys %want)[0]))[2] & 07777, 0644, 'readable, not executable');
is(put($w1, $job, 3, (keys %want)[0], $want{ (keys %want)[0] })->{status}, 204, 'again: nothing to do');
is_deeply(announce($w1, $job, 3, manifest(%site))->{json}, { release => $id, missing => [] }, 'announced again: nothing is missing');
$res = commit($w1, $job, 3, $id);
is($res->{status}, 200, 'committed') or diag $res->{body};
is_deeply($res->{json}, { release => $id, files => 5, bytes => 300_034 }, 'with its figures');
my $text = WH::Api::_slurp("$api->{state}/releases/$id/manifest");
like($text, qr/^wisehost-manifest 1\n/, 'F300 the release is its manifest');
is(substr(sha256_hex($text), 0, 40), $id, 'whose hash is its name');
is_deeply([ map { (split / /)[3] } grep {/ /} (split /\n/, $text)[ 1 .. 5 ] ], [ sort keys %site ], 'sorted by path');
is_deeply([ $api->sql("SELECT id, files, bytes FROM releases") ], [ [ $id, 5, 300_034 ] ], 'and its row is there');
ok(!-e "$api->{state}/uploads/$job.3", 'what was staged is gone');
is_deeply(commit($w1, $job, 3, $id)->{json}, $res->{json}, 'a commit whose answer was lost is answered once more');

# What was announced for a job that was lost goes a day later, with an announcement; they look for it once a minute.
my $tidied = "$api->{state}/uploads/.tidied";
my @left = map {"$api->{state}/uploads/01hz00000000000000000old0$_.1"} 1, 2;
for my $dir (@left) {
    mkdir $dir or die "$dir: $!";
    open my $file, '>', "$dir/$_" or die $! for qw(wanted manifest.json);
    chown((getpwnam 'www-data')[2, 3], $dir);
}
utime time - 90_000, time - 90_000, $left[0];
is(tree("$api->{state}/objects") =~ /\.tmp/, '', 'no temporary file is left');
utime time, time, $tidied;
announce($w1, $job, 3, manifest(%site));
ok(-e $left[0], 'an announcement within a minute of the last look does not look again');
utime time - 61, time - 61, $tidied;
announce($w1, $job, 3, manifest(%site));
cmp_ok(time - (stat $tidied)[9], '<', 30, 'a later one does');
ok(!-e $left[0] && -e "$left[1]/wanted", 'an upload of yesterday is cleared away, one of today is not');
is(commit($w1, $job, 3, $id)->{status}, 200, 'committed again (a lost answer): the same');
my %changed = (%site, 'index.html' => "<h1>new</h1>\n");
is_deeply(announce($w1, $job, 3, manifest(%changed))->{json}{missing}, [ sha256_hex("<h1>new</h1>\n") ], 'the next release sends only what changed');

# ---- how much ---
{
    my @big = map { { path => "big$_", size => (1 << 30) - 1, sha256 => sha256_hex("big$_") } } 1 .. 5;
    my @res = map { announce($w2, $job2, 1, [ $_ ]) } @big;
    is_deeply([ map { $_->{status} } @res[ 0 .. 2 ] ], [ 200, 200, 200 ], 'a job announces again');
    $api->is_problem($res[4], 422, 'too_much', 'but not more than 4 GiB in all: objects are never taken back');
    my @sums = glob "$api->{state}/uploads/.sum-$job2.*";
    is(scalar @sums, 1, 'the sum outlives the upload');
    utime time - 90_000, time - 90_000, @sums;
    utime time + 3600, time + 3600, $tidied;    # the clock was set back
    announce($w1, $job, 3, manifest(%changed));
    ok(!-e $sums[0], 'and is cleared away a day later');
    system 'rm', '-rf', "$api->{state}/uploads/$job2.1";
}

# ---- who may not -----------------------------------------------------------------------------------
my $files = tree($api->{state});
my $new = sha256_hex("<h1>new</h1>\n");
$api->unchanged('of others, of other times', sub {
    my $m = manifest(a => 'a');
    $api->is_problem(announce($w2, $job, 3, $m), 404, 'not_found', 'another worker\'s job');
    $api->is_problem(announce($w1, $job2, 1, $m), 404, 'not_found', 'a job of another worker');
    $api->is_problem(announce($w1, $job, 2, $m), 404, 'not_found', 'D12 a former epoch');
    $api->is_problem(announce($w1, $job, 4, $m), 404, 'not_found', 'D12 a later epoch');
    $api->is_problem(put($w2, $job, 3, $new, "<h1>new</h1>\n"), 404, 'not_found', 'an object for another\'s job');
    $api->is_problem(put($w2, $job2, 1, $new, "<h1>new</h1>\n"), 422, 'not_announced', 'an object that another job announced');
    $api->is_problem(commit($w2, $job2, 1, $id), 422, 'not_announced', 'a release that another job announced');
    $api->is_problem(commit($w1, $job, 3, 'a' x 40), 422, 'not_announced', 'a release that was not announced');
    $api->is_problem($api->req(POST => '/v1/agent/releases', token => $_->[1], json => { job => $job, epoch => 3, manifest => $m }), $_->[2], undef, $_->[0])
        for [ 'nobody', undef, 401 ], [ 'a person', $token, 403 ], [ 'the raw key', $w1->{key}, 403 ], [ 'the control secret', $api->{control}, 403 ];
    $api->sql("UPDATE jobs SET status = 'assigned' WHERE id = '$job'");
    $api->is_problem(announce($w1, $job, 3, $m), 404, 'not_found', 'a job that is not processing');
    $api->sql("UPDATE jobs SET status = 'failed' WHERE id = '$job'");
    $api->is_problem(put($w1, $job, 3, $new, "<h1>new</h1>\n"), 404, 'not_found', 'a job that is over');
    $api->is_problem(commit($w1, $job, 3, $id), 404, 'not_found', 'nor committed');
    $api->sql("UPDATE jobs SET status = 'processing' WHERE id = '$job'");
});
is(tree($api->{state}), $files, 'and no file came of it');

# ---- objects that are none -------------------------------------------------------------------------
$api->unchanged('bad objects', sub {
    $api->is_problem(put($w1, $job, 3, $new, "<h1>nex</h1>\n"), 422, 'hash_mismatch', 'another content');
    $api->is_problem(put($w1, $job, 3, $new, '<h1>new</h1>'), 422, 'length_mismatch', 'shorter');
    $api->is_problem(put($w1, $job, 3, $new, "<h1>new</h1>\n\n"), undef // 422, undef, 'longer');
    $api->is_problem(put($w1, $job, 3, $_, 'x'), 404, undef, 'a name that is none') for 'x', 'A' x 64, 'a' x 63, 'a' x 65;
    $api->is_problem(put($w1, $job, 3, 'a' x 64, 'x'), 422, 'not_announced', 'not announced');
    my $head = "PUT /v1/agent/objects/$new?job=$job&epoch=3 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer $w1->{token}\r\nConnection: close\r\n";
    $api->is_problem($api->raw("${head}Transfer-Encoding: chunked\r\n\r\nd\r\n<h1>new</h1>\n\r\n0\r\n\r\n"), 411, 'length_required', 'without a length');
    my $cut = $api->raw("${head}Content-Length: 13\r\n\r\n<h1>", shut => 1);
    is($cut->{status}, 400, 'cut short');
    $api->is_problem($api->req(PUT => "/v1/agent/objects/$new$_", token => $w1->{token}, body => 'x'), 400, undef, "query $_")
        for '', "?job=$job", "?job=$job&epoch=x", "?job=$job&epoch=3&path=/etc", '?epoch=3';
});
is(tree($api->{state}), $files, 'nothing of it is kept, nothing half is left');

# ---- manifests that are none -----------------------------------------------------------------------
my $sha = sha256_hex('a');
$api->unchanged('bad manifests', sub {
    for my $path ('/etc/passwd', '../x', 'a/../b', './a', 'a//b', 'a/', '', "a\nb", "a\x{0}b", 'a\\b', 'x' x 1025, join('/', ('d') x 40), "a\x{7f}") {
        $api->is_problem(announce($w1, $job, 3, [ { path => $path, size => 1, sha256 => $sha } ]), 400, undef,
            'path ' . ($path =~ /^[ -~]{1,40}$/ ? $path : 'of ' . length($path) . ' odd bytes'));
    }
    my %ok = (path => 'a', size => 1, sha256 => $sha);
    $api->is_problem(announce($w1, $job, 3, [ { %ok, @$_ } ]), 400, undef, "$_->[0] = $_->[1]")
        for [ size => -1 ], [ size => '1' ], [ sha256 => 'x' x 64 ], [ sha256 => uc $sha ], [ mode => 010000 ], [ link => '/etc/passwd' ];
    $api->is_problem(announce($w1, $job, 3, [ \%ok, \%ok ]), 400, undef, 'a path twice');
    $api->is_problem(announce($w1, $job, 3, []), 422, 'output_missing', 'no file at all');
    $api->is_problem(announce($w1, $job, 3, [ { %ok, size => 2 * 1024**3 } ]), 400, undef, 'a file beyond the limit');
    my $many = announce($w1, $job, 3, [ map { { path => "f$_", size => 0, sha256 => $sha } } 1 .. 20_001 ]);
    ok($many->{status} == 413 || $many->{status} == 400, 'more than 20,000 files') or diag $many->{status}, substr $many->{body}, 0, 300;
});

# ---- a big one -------------------------------------------------------------------------------------
my %big = map { ("dir$_/file-$_.txt" => "content $_\n") } 1 .. 1000;
$res = announce($w1, $job, 3, manifest(%big));
is(scalar @{ $res->{json}{missing} }, 1000, '1,000 objects are missing');
my $bad = grep { put($w1, $job, 3, sha256_hex($_), $_)->{status} != 201 } values %big;
is($bad, 0, 'all are stored');
is(commit($w1, $job, 3, $res->{json}{release})->{status}, 200, 'and committed');

# ---- many in one body ------------------------------------------------------------------------------
sub batch { my ($w, $j, $epoch, $body) = @_; return $api->req(POST => "/v1/agent/objects?job=$j&epoch=$epoch", token => $w->{token}, body => $body, type => 'application/octet-stream') }
sub packed { return join '', map { sha256_hex($_) . ' ' . length($_) . "\n$_" } @_ }
{
    my %many = map { ("page-$_.html" => "<p>page $_</p>\n" x (1 + $_ % 7)) } 1 .. 60;
    my @all = ('', map { $many{$_} } sort keys %many);
    my $m = manifest(%many, void => '');
    my $got = announce($w1, $job, 3, $m);
    is(scalar @{ $got->{json}{missing} }, 60, '60 small objects are missing, an empty one is not');
    is(put($w1, $job, 3, sha256_hex($all[5]), $all[5])->{status}, 201, 'one is sent alone');
    my $before = tree($api->{state});
    my ($one, $two) = @all[ 1, 2 ];
    my $hash = sha256_hex($one);
    $api->unchanged('bad batches', sub {
        my $bad = sub { my ($body, $status, $code, $what) = @_; $api->is_problem(batch($w1, $job, 3, $body), $status, $code, $what) };
        $bad->(packed(@all) . packed('foreign'), 422, 'not_announced', 'XH6 an object that was not announced, behind good ones');
        $bad->(packed($one) . sha256_hex($two) . ' ' . length($two) . "\n" . 'y' x length $two, 422, 'hash_mismatch', 'XH6 another content');
        $bad->(packed($one) . sha256_hex($two) . " 3\nabc", 422, 'length_mismatch', 'XH6 another length than was announced');
        $bad->(packed($one, $two) . 'x', 400, 'bad_batch', 'a tail');
        $bad->(substr(packed($one, $two), 0, -1), 400, 'bad_batch', 'cut within an object');
        $bad->('', 400, 'bad_batch', 'nothing in it');
        $bad->("$_ 1\nx", 400, 'bad_batch', 'XH6 a name that is none')
            for '../../../../../../../../../../../../../../../../../../../etc/passwd', uc $hash, '/' . 'a' x 63, "a\0" . 'a' x 62;
        $bad->("$hash $_\nx", 400, 'bad_batch', "XH6 size '$_'") for '-1', '+1', '01', '1e3', '0x10', '', '99999999999999999999';
        $bad->("$hash 300000\n" . 'x' x 300_000, 413, 'too_large', 'XH6 one too large for a batch');
        $bad->(packed('x' x 200_000) x 11, 413, 'too_large', 'XH6 a body too large');
        $bad->(packed(('') x 1001), 413, 'too_many_objects', 'XH6 too many');
        $bad->("index.html\0" . "\0" x 246 . 'ustar' . "\0" x 1000, 400, 'bad_batch', 'an archive');
        $api->is_problem(batch($w2, $job2, 1, packed($one)), 422, 'not_announced', 'another job did not announce it');
        $api->is_problem(batch($w2, $job, 3, packed($one)), 404, 'not_found', 'nor is it another worker\'s job');
        $api->is_problem(batch($w1, $job, 2, packed($one)), 404, 'not_found', 'D12 a former epoch');
        my $head = "POST /v1/agent/objects?job=$job&epoch=3 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer $w1->{token}\r\nConnection: close\r\n";
        $api->is_problem($api->raw("${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 411, 'length_required', 'without a length');
        $api->is_problem($api->raw("${head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"), 415, undef, 'XA11 a packed body is not unpacked');
        is($api->raw("${head}Content-Length: 500\r\n\r\n" . packed($one), shut => 1)->{status}, 400, 'cut short');
    });
    is(tree($api->{state}), $before, 'refused is refused: nothing of it is kept, nothing half is left');
    my $sent = batch($w1, $job, 3, packed(@all, $one));
    is_deeply([ $sent->{status}, $sent->{json} ], [ 200, { stored => 60 } ], 'all in one body; what is there, and what comes twice, does no harm') or diag $sent->{body};
    is(join('', map { WH::Api::_slurp(stored(sha256_hex($_))) } @all), join('', @all), 'they are what they should be');
    is((stat stored($hash))[2] & 07777, 0644, 'readable, not executable');
    is_deeply(batch($w1, $job, 3, packed(@all))->{json}, { stored => 0 }, 'again (a lost answer): nothing to do');
    is_deeply(announce($w1, $job, 3, $m)->{json}{missing}, [], 'nothing is missing any more');
    is(commit($w1, $job, 3, $got->{json}{release})->{status}, 200, 'and the release is committed');
    is(tree($api->{state}) =~ /\.tmp/, '', 'no temporary file is left');
}

# ---- compressed variants: objects like any other ---------------------------------------------------
{
    my $page = "<p>word</p>\n" x 100;
    my %variant = (br => 'a word, in few bytes', gzip => 'a word, in a few more bytes');
    my %said = map { $_ => { sha256 => sha256_hex($variant{$_}), size => length $variant{$_} } } keys %variant;
    my ($entry) = @{ manifest('page.html' => $page) };
    my $of = sub { return [ { %$entry, variants => {@_} } ] };
    my $got = announce($w1, $job, 3, $of->(%said));
    is_deeply([ sort @{ $got->{json}{missing} // [] } ], [ sort $entry->{sha256}, map { $_->{sha256} } values %said ],
        'a variant that is not there is missing as a file is') or diag $got->{body};
    is(put($w1, $job, 3, $entry->{sha256}, $page)->{status}, 201, 'the file is stored');
    is(put($w1, $job, 3, $said{br}{sha256}, $variant{br})->{status}, 201, 'one variant');
    $api->is_problem(put($w1, $job, 3, $said{gzip}{sha256}, 'x' x $said{gzip}{size}), 422, 'hash_mismatch', 'another content as the other');
    $api->is_problem(commit($w1, $job, 3, $got->{json}{release}), 409, 'objects_missing', 'without a variant that was announced there is no release');
    is(put($w1, $job, 3, $said{gzip}{sha256}, $variant{gzip})->{status}, 201, 'the other one');
    is(commit($w1, $job, 3, $got->{json}{release})->{status}, 200, 'now there is');
    is(WH::Api::_slurp("$api->{state}/releases/$got->{json}{release}/manifest"),
        "wisehost-manifest 2\n$entry->{sha256} 1200 text/html;charset=utf-8 page.html\n"
            . " br $said{br}{sha256} 20\n gzip $said{gzip}{sha256} 27\n", 'and its manifest names them');
    isnt(announce($w1, $job, 3, [$entry])->{json}{release}, $got->{json}{release}, 'without them it is another release');
    $api->is_problem(announce($w1, $job, 3, $of->(%said, @$_)), 400, undef, 'a variant that is none')
        for [ zstd => { %{ $said{br} }, size => 1200 } ], [ zstd => { %{ $said{br} }, size => 0 } ], [ lzma => $said{br} ], [ br => { size => 5 } ];
}

# ---- a collection that is slow to end --------------------------------------------------------------
{
    my $lock = "$api->{state}/objects/.lock";
    announce($w1, $job, 3, manifest(%big));
    is((stat $lock)[2] & 07777, 0664, 'the lock of the store can be taken by the scheduler');
    open my $held, '+<', $lock or die "$lock: $!";
    flock $held, 6 or die "flock: $!";    # LOCK_EX | LOCK_NB
    my $pid = fork // die "fork: $!";
    if (!$pid) { close $held; my $got = commit($w1, $job, 3, $res->{json}{release}); POSIX::_exit($got->{status} == 200 ? 0 : 1) }
    ok(!defined(WH::Wait::try_for(sub { waitpid($pid, POSIX::WNOHANG()) == $pid }, 0.3)), 'a commit waits while something is removed');
    close $held;
    waitpid $pid, 0;
    is($?, 0, 'and is done then');
    my $old = time - 100_000;
    my $sha = (map { $_->{sha256} } @{ manifest(%big) })[0];
    utime $old, $old, stored($sha);
    is(announce($w1, $job, 3, manifest(%big))->{status}, 200, 'it is announced again');
    cmp_ok(time - (stat stored($sha))[9], '<', 60, 'an old object that is announced again is young again: no collection takes it');
}

# ---- a cancellation --------------------------------------------------------------------------------
$api->req(POST => "/v1/deployments/$deployment/cancel", token => $token, body => '');
$api->is_problem(announce($w1, $job, 3, manifest(a => 'a')), 409, 'canceled', 'a job that is to be canceled sends nothing more');

is($api->unexpected, '', 'the error log is clean');
done_testing();
