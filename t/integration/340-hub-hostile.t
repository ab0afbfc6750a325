#!/usr/bin/perl
# db: sqlite pgsql
# The worker channel against peers that mean no good, on both ways in: through Apache, and by the
# scheduler's own TLS listener. During all of it another worker is answered in time; afterwards nothing is
# left open, nothing has grown, and the database says what it said (protocol.md, threats XE and XD8).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use WH::Sched;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

use constant MIB2 => 2 * 1024 * 1024;
my $T = JSON::PP::true();
my $stack = WH::Stack->new;
my $dir = $stack->dir;
my $tls_port = WH::Stack::free_port();

# A certificate and its key, as the scheduler's user owns them: cert(name, days).
sub cert {
    my ($name, $days) = @_;
    my @subject = ('-subj', "/CN=$name", '-addext', 'subjectAltName=IP:127.0.0.1');
    my ($rc, $said) = $stack->run_cmd(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes),
        '-keyout', "$dir/conf/$name.key", '-out', "$dir/conf/$name.pem", '-days', $days, @subject);
    die "openssl: $said" if $rc;
    chmod 0600, "$dir/conf/$name.key";
    chown((getpwnam 'wisehost')[2, 3], "$dir/conf/$name.key");
    return;
}
sub copy { my ($from, $to) = @_; return system('cp', '-p', "$dir/conf/$from", "$dir/conf/$to") == 0 }
cert($_, 30) for qw(one two);
copy("one.$_", "hub.$_") for qw(key pem);
$stack->{scheduler_conf} = { listen => "127.0.0.1:$tls_port", listen_cert => "$dir/conf/hub.pem",
    listen_key => "$dir/conf/hub.key", log_level => 'debug' };
$stack->start(agent => 0);
my $scheduler = $stack->proc('scheduler');
my $db = $stack->db;

{
    package Hub;    # what a test worker has to know of a scheduler
    sub state { return "$dir/state" }
}
my $hub = bless { tool => WH::Sched::builddir() . '/t/tools/wh-test-worker' }, 'Hub';
sub soon { my ($condition, $seconds) = @_; return try_for(\&$condition, $seconds) }
my %way = (httpd => { port => $stack->port }, tls => { port => $tls_port, tls => $T });
chomp(my $control = WH::Stack::slurp("$dir/state/keys/control.secret"));

my $made = 0;
# A registered worker: its end of the channel, which comes in by `way`.
sub worker {
    my ($way) = @_;
    my ($name, $key) = ('w' . ++$made, sha256_hex("key $made $$ " . rand));
    my $got = $stack->request(method => 'POST', path => '/v1/workers/register', token => $control,
        body => { name => $name, api_key => $key, cpu_millis => 2000, memory_bytes => 1 << 30, address => '127.0.0.1',
            labels => {}, zone => '', version => '0.1.0' });
    die "register: $got->{status} $got->{body}" unless $got->{status} == 201;
    my $w = WH::Sched::Worker->new($hub, $db->value("SELECT id FROM workers WHERE name = '$name'"), $key);
    @$w{qw(way jwt name)} = ($way, $got->{json}{token}, $name);
    return $w;
}
sub try_in { my ($w, %with) = @_; return $w->connect(%{ $way{ $w->{way} } }, bearer => $w->{jwt}, %with) }
sub up { my ($w) = @_; try_in($w)->{event} eq 'connected' or die "$w->{name} is refused"; return $w->hello }
# Seconds until a frame of w is answered.
sub answered {
    my ($w) = @_;
    my $from = time;
    $w->send('nonsense', {});
    return $w->wait('error', 5) ? time - $from : 99;
}
sub proc_status { my ($key) = @_; my ($n) = WH::Stack::slurp('/proc/' . $scheduler->pid . '/status') =~ /^$key:\s+(\d+)/m; return $n }
sub fds { return scalar(() = glob '/proc/' . $scheduler->pid . '/fd/*') }
# All that a worker could want to change.
sub content {
    return join '|', map { my $t = $_; map { "$t:" . join ',', map { $_ // '' } @$_ } $db->rows("SELECT $t ORDER BY 1") }
        'id, slug, observed, desired, updated_at FROM apps', 'id, status, phase, conclusion, release_id FROM deployments',
        'id, status, worker_id, epoch, cancel_at, finished_at FROM jobs', '* FROM instances', '* FROM names', '* FROM releases';
}

my %beat = (cpu_used_millis => 1, memory_used_bytes => 1, disk_free_bytes => 12345, running => []);

# ---- the door ----
for my $way (qw(httpd tls)) {
    my $w = worker($way);
    my $is = sub { my ($status, $what, %with) = @_; is(try_in($w, %with)->{status} // 101, $status, "$way: $what: $status") };
    $is->(401, 'F46 no credential', bearer => undef);
    $is->(401, 'a wrong one', bearer => 'f' x 64);
    $is->(401, 'XD1 a forged token', bearer => $w->{jwt} =~ s/.{4}$/AAAA/r);
    $is->(403, 'a browser', origin => 'https://evil.example');
    $is->(400, 'no nonce', nonce => undef);
    for my $wanted (undef, 'wisehost.v9') {
        my $got = try_in($w, protocol => $wanted);
        is($got->{status}, 426, "$way: subprotocol " . ($wanted // 'none') . ': 426');
        like($got->{head}, qr/^sec-websocket-protocol: wisehost\.v1\r$/mi, "$way: which names what is spoken");
    }
    isnt(try_in($w, protocol => 'chat')->{event}, 'connected', "$way: another subprotocol gets nowhere");
    $is->(426, 'XE1 no upgrade', upgrade => undef);
    my $in = try_in($w, extensions => 'permessage-deflate; client_max_window_bits');
    is($in->{event}, 'connected', "$way: F74 a token is let in");
    unlike($in->{head}, qr/^sec-websocket-extensions/mi, "$way: XE5 no extension is agreed on");
    is(try_in($w, bearer => $w->{key})->{event}, 'connected', "$way: F77 the raw key too");
    ok($w->hello, "$way: hello is answered by welcome");
    $w->do('drop');
}
my $plain = worker('tls');
is(try_in($plain, path => '/poke')->{status}, 404, 'tls: nothing else is there');
is(try_in($plain, tls => undef)->{status}, 0, 'tls: nobody is heard in clear text');
is(try_in($plain, tls_max => '1.2')->{error}, 'Protocol error', 'tls: TLS 1.2 is refused');

# ---- a bystander on the other way, with a job of its own ----
my %bystander = map { ($_ => worker($_)) } qw(httpd tls);
ok(up($bystander{$_}), "a bystander by $_") for qw(httpd tls);
my $repo = $stack->app('quiet', { 'index.html' => 'x' });
$stack->api(POST => '/v1/apps/quiet/deployments', {});
my ($holder, $job);
wait_for { for my $w (values %bystander) { ($holder, $job) = ($w, $_) for grep { $_ } $w->wait('job', 0.3) } $job } 10, 'a job';
my ($rss, $fds, $before) = (proc_status('VmRSS'), fds(), content());

my $text = sub { my ($body) = @_; return sub { my $now = int(time * 1000); $_[0]->do('signed', body => $body =~ s/NOW/$now/r) } };
my $head = '{"t":"heartbeat","i":"0123456789abcdef0123456789abcdef"';
my $p = '"p":' . JSON::PP::encode_json(\%beat);
my $hex = sub { my ($bytes) = @_; return sub { $_[0]->do('bytes', hex => $bytes) } };
my $other_seq = sub { my ($first, $then) = @_; return sub { $_[0]->send('heartbeat', \%beat, seq => $first); $_[0]->send('heartbeat', \%beat, seq => $then) } };
# What is done, and the code that the connection ends with; 0 = any: the library cuts it.
my @hostile = (
    [ 'XE10 a wrong MAC', 4001, sub { $_[0]->send('heartbeat', \%beat, mac => 'bad') } ],
    [ 'XE10 no MAC', 4001, sub { $_[0]->do('text', text => '{"t":"heartbeat"}') } ],
    [ 'XE10 signed for the other direction', 4001, sub { $_[0]->send('heartbeat', \%beat, dir => 'wrong') } ],
    [ 'XE10 the hub\'s own frame sent back', 4001, sub { $_[0]->do('reflect') } ],
    [ 'XE12 no time in it', 4002, $text->("$head,\"s\":2,$p") ],
    [ 'XE12 a time with a fraction', 4002, $text->("$head,\"s\":2,\"ts\":NOW.5,$p") ],
    [ 'F86 XE11 number 0', 4002, $text->("$head,\"s\":0,\"ts\":NOW,$p") ],
    [ 'F86 XE11 a number below 0', 4002, $text->("$head,\"s\":-1,\"ts\":NOW,$p") ],
    [ 'F86 XE11 the same number', 4002, sub { $_[0]->send('heartbeat', \%beat)->do('again') } ],
    [ 'F86 XE11 257 behind', 4002, $other_seq->(500, 243) ],
    [ 'F86 XE11 1025 ahead', 4002, $other_seq->(500, 1525) ],
    [ 'F86 XE11 2^53', 4002, $text->("$head,\"s\":9007199254740992,\"ts\":NOW,$p") ],
    [ 'XE6 a binary message', 1003, sub { $_[0]->do('binary') } ],
    [ 'XE6 text that is no UTF-8', 1007, $hex->('818200000000fffe') ],
    [ 'a message of 2 MiB and a byte', 1009, sub { $_[0]->do('big', bytes => MIB2 + 1) } ],
    [ 'XE3 no mask', 0, $hex->('810161') ],
    [ 'XE3 a reserved bit', 0, $hex->('c18000000000') ],
    (map { [ "XE3 opcode $_", 0, $hex->("8${_}8000000000") ] } qw(3 7 b f)),
    [ 'XE3 a ping of 126 bytes', 0, $hex->('89fe007e00000000' . '78' x 126) ],
    [ 'XE3 a ping in pieces', 0, $hex->('098000000000') ],
    [ 'XE3 a length of 2^63', 0, $hex->('81ff800000000000000000000000') ],
);
my @harmless = (
    [ 'F86 256 behind', sub { $_[0]->send('heartbeat', \%beat, seq => 500); $_[0]->send('nonsense', {}, seq => 244) }, 'unknown_type' ],
    [ 'F86 1024 ahead', sub { $_[0]->send('heartbeat', \%beat, seq => 500); $_[0]->send('nonsense', {}, seq => 1524) }, 'unknown_type' ],
    [ 'XE12 299 s behind', sub { $_[0]->send('nonsense', {}, skew => -299) }, 'unknown_type' ],
    [ 'XE12 299 s ahead', sub { $_[0]->send('nonsense', {}, skew => 299) }, 'unknown_type' ],
    [ 'XE12 301 s behind', sub { $_[0]->send('nonsense', {}, skew => -301) }, 'clock_skew' ],
    [ 'XE12 301 s ahead', sub { $_[0]->send('nonsense', {}, skew => 301) }, 'clock_skew' ],
    [ 'XE13 a payload of other types', sub { $_[0]->send('heartbeat', { running => 'all' }) }, 'bad_payload' ],
    [ 'XE13 a job of another', sub { $_[0]->send('job_ack', { job => $job->{p}{job}, epoch => $job->{p}{epoch}, accepted => $T }) }, 'not_yours|stale_epoch' ],
    [ 'a message of exactly 2 MiB', sub { $_[0]->send('nonsense', {}, size => MIB2) }, 'unknown_type' ],
    [ 'a message in 400 pieces', sub { $_[0]->send('nonsense', { pad => 'x' x 4000 }, pieces => 400) }, 'unknown_type' ],
);
for my $way (qw(httpd tls)) {
    my $w = worker($way);
    my ($slowest, $watch) = (0, $bystander{ $way eq 'tls' ? 'httpd' : 'tls' });
    my $cases = 0;
    my $next = sub { $w = worker($way) if ++$cases % 8 == 0; return up($w) }; # nobody may come too often
    for my $case (@hostile) {
        my ($what, $code, $do) = @$case;
        $next->();
        $do->($w);
        my $end = $w->wait('closed');
        my $ok = $end && ($code == 0 || $end->{code} == $code);
        ok($ok, "$way: $what ends the connection" . ($code ? " with $code" : '')) or diag($end ? "with $end->{code}" : 'it is open');
        my $took = answered($watch);
        $slowest = $took if $took > $slowest;
    }
    for my $case (@harmless) {
        my ($what, $do, $code) = @$case;
        $next->();
        $do->($w);
        my $got = $w->wait('error');
        like($got ? $got->{p}{code} : 'closed', qr/^(?:$code)$/, "$way: $what: $code");
        cmp_ok(answered($w), '<', 5, "$way: $what: and it goes on") if $code ne 'unknown_type' || $what =~ /pieces|MiB/;
    }
    $w = worker($way);
    up($w);
    $w->send('heartbeat', \%beat);
    try_in($w);
    $w->do('again');
    is($w->wait('closed')->{code}, 4001, "$way: XE11 a frame captured on another connection: 4001");
    my $twin = WH::Sched::Worker->new($hub, $w->{id}, $w->{key});
    @$twin{qw(way jwt name)} = @$w{qw(way jwt name)};
    up($w);
    up($twin);
    is($w->wait('closed')->{code}, 4009, "$way: F80 XE22 the newest connection wins, the older ends with 4009");
    is($db->value("SELECT status FROM workers WHERE id = $w->{id}"), 'online', "$way: F82 and its end calls nobody offline");
    $twin->do('drop');
    cmp_ok($slowest, '<', 1, sprintf "$way: F61 the bystander was answered within a second all the while (%.3f s)", $slowest);
}

# ---- floods ----
for my $way (qw(httpd tls)) {
    for my $flood ([ 'pings', 9 ], [ 'pongs', 10 ]) {
        my ($name, $opcode) = @$flood;
        my $w = worker($way);
        my $watch = $bystander{ $way eq 'tls' ? 'httpd' : 'tls' };
        my $slowest = 0;
        up($w);
        $w->do('frame', opcode => $opcode, bytes => 4, times => 30_000_000);
        for (1 .. 100) {
            my $took = answered($watch);
            $slowest = $took if $took > $slowest;
            last if $stack->log_text('scheduler') =~ /connection \d+: closing, code 1008/ && $stack->log_text('scheduler') =~ /worker $w->{id}: a flood/;
            sleep 0.1;
        }
        like($stack->log_text('scheduler'), qr/worker $w->{id}: a flood of control frames/, "$way: XE7 a flood of $name ends with 1008");
        cmp_ok($slowest, '<', 1, sprintf "$way: XE7 and keeps nobody waiting (%.3f s)", $slowest);
        kill KILL => $w->{pid};
    }
    my $w = worker($way);
    my $watch = $bystander{ $way eq 'tls' ? 'httpd' : 'tls' };
    my ($slowest, $from) = (0, time);
    up($w);
    for my $n (1 .. 40) {
        $w->send('heartbeat', \%beat) for 1 .. 100;
        my $took = answered($watch);
        $slowest = $took if $took > $slowest;
    }
    $w->send('nonsense', {});
    ok($w->wait('error', 30), "$way: XE16 4000 frames at once are all taken");
    cmp_ok(time - $from, '>', 3, sprintf "$way: XE16 but not at once (%.1f s): who says too much is not read for a while", time - $from);
    cmp_ok($slowest, '<', 1, sprintf "$way: XE16 and keeps nobody waiting (%.3f s)", $slowest);
    next if $way eq 'tls'; # the kernel's own buffers take in more than is worth waiting for
    my $slow = worker($way);
    try_in($slow, rcvbuf => 4096);
    $slow->hello;
    $slow->do('deaf');
    $slow->send('nonsense', {}) for 1 .. 5000;
    ok(soon(sub { $stack->log_text('scheduler') =~ /worker $slow->{id} connection \d+: closing, code 4008/ }, 20),
        "$way: R14 F87 XE9 who does not read is closed with 4008");
}

# ---- half-done handshakes ----
{
    my ($from, %gone) = time;
    my @sock = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls_port) } 1 .. 60;
    print { $sock[1] } "\x16\x03\x01";
    my $ssl_pid = open my $dribble, '|-', "exec openssl s_client -quiet -connect 127.0.0.1:$tls_port >/dev/null 2>&1" or die;
    $dribble->autoflush(1);
    print {$dribble} "GET /v1/workers/ws HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    local $SIG{PIPE} = 'IGNORE';
    my $unix = IO::Socket::UNIX->new(Peer => "$dir/state/run/hub.sock") or die;
    push @sock, $unix;
    my $ssl_gone;
    while (keys %gone < @sock && time - $from < 9) {
        print {$dribble} 'a' if !$ssl_gone;
        for my $sock (IO::Select->new(grep { !$gone{$_} } @sock)->can_read(0.25)) {
            $gone{$sock} = time - $from if !sysread $sock, my $byte, 1;
        }
        $ssl_gone //= time - $from if waitpid($ssl_pid, 1) == $ssl_pid;
    }
    is(scalar(keys %gone), scalar @sock, 'G20 who connects and says nothing is hung up on');
    my ($last) = sort { $b <=> $a } values %gone, 0;
    cmp_ok($last, '<=', 5.3, sprintf 'G20 within 5 s (%.2f s)', $last);
    $ssl_gone //= time - $from if soon(sub { waitpid($ssl_pid, 1) == $ssl_pid }, 3);
    cmp_ok($ssl_gone // 99, '<=', 5.3, sprintf 'G20 who dribbles a header too (%.2f s)', $ssl_gone // 99);
    close $dribble;
    my @crowd = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls_port) } 1 .. 150;
    my $answer = qx{printf 'GET /v1/workers/ws HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | timeout 3 openssl s_client -quiet -bind 127.0.0.2:0 -connect 127.0.0.1:$tls_port 2>/dev/null};
    like($answer, qr{^HTTP/1.1 426 }, 'G20 a crowd of one address at the door keeps none of another out');
    @crowd = ();
    my @more = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls_port) } 1 .. 200;
    ok(up(worker('httpd')), 'two hundred of them keep nobody from coming in through Apache');
    cmp_ok(fds() - $fds, '<', 130, 'and hold a bounded number of descriptors');
}

# ---- removed, revoked, another key ----
for my $way (qw(httpd tls)) {
    for my $case ([ 'XD8 a removed worker', "admin_state = 'removed'" ], [ 'XD8 a revoked key', 'revoked_at = 1' ],
        [ 'XD8 F75 a rotated key', "key_hash = '" . sha256_hex("new $way") . "'" ]) {
        my ($what, $set) = @$case;
        my $w = worker($way);
        up($w);
        my $from = time;
        $db->rows("UPDATE workers SET $set, updated_at = updated_at + 1 WHERE id = $w->{id}");
        my $sock = IO::Socket::UNIX->new(Peer => "$dir/state/run/hub.sock");
        print {$sock} "POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        my $end = $w->wait('closed');
        is($end ? $end->{code} : 'open', 4010, "$way: $what: 4010");
        cmp_ok(time - $from, '<', 2, sprintf "$way: $what: at once after a poke (%.2f s)", time - $from);
        is(try_in($w)->{status}, 401, "$way: $what: its token opens nothing");
        is(try_in($w, bearer => $w->{key})->{status}, 401, "$way: $what: nor does its key");
    }
}
{
    my $w = worker('tls');
    up($w);
    my $from = time;
    $db->rows("UPDATE workers SET revoked_at = 1 WHERE id = $w->{id}");
    is($w->wait('closed')->{code}, 4010, 'XD8 without a poke too');
    cmp_ok(time - $from, '<', 6.5, sprintf 'XD8 within five seconds and a tick (%.2f s)', time - $from);
}

# ---- what is left of all that ----
ok(soon(sub { fds() <= $fds }, 15), 'no descriptor is left open') or diag(fds() . " of $fds");
my $grown = proc_status('VmRSS') - $rss;
note("$rss KiB before");
SKIP: {
    skip 'a sanitizer keeps what was freed', 1 if WH::Stack::slurp('/proc/' . $scheduler->pid . '/maps') =~ /libasan/;
    cmp_ok($grown, '<', 16 * 1024, "no memory to speak of ($grown KiB more)");
}
is(content(), $before, 'the database says what it said');
$holder->send('job_ack', { job => $job->{p}{job}, epoch => $job->{p}{epoch}, accepted => $T });
ok($holder->wait('job_go'), 'F90 the bystander\'s job goes on');

# ---- the certificate ----
sub shown {
    my ($rc, $said) = $stack->run_cmd('sh', '-c', "openssl s_client -connect 127.0.0.1:$tls_port </dev/null 2>/dev/null");
    return $said =~ m{subject=CN = (\w+)} ? $1 : $said;
}
is(shown(), 'one', 'the listener shows its certificate');
copy('two.pem', 'hub.pem');
my ($rc, $said) = $stack->as_wisehost('--check');
like($said, qr/hub\.key is not the key of the certificate/, '--check sees a key that is not the certificate\'s');
$scheduler->signal('HUP');
ok(soon(sub { $stack->log_text('scheduler') =~ /WH0500 the former certificate stays in use: .*hub\.key is not the key/ }, 5),
    'SIGHUP with a wrong pair changes nothing');
is(shown(), 'one', 'the former one stays');
copy('two.key', 'hub.key');
$scheduler->signal('HUP');
ok(soon(sub { shown() eq 'two' }, 5), 'SIGHUP reads it anew');
cmp_ok(answered($bystander{tls}), '<', 1, 'and cuts nobody');
chmod 0644, "$dir/conf/hub.key";
($rc, $said) = $stack->as_wisehost('--check');
like($said, qr/hub\.key can be read by anybody.*chmod/, 'XO1 --check sees a key that anybody can read');
chmod 0600, "$dir/conf/hub.key";

# ---- guessing: last, for it shuts this address out for a while ----
my $guess = worker('tls');
is(try_in($guess, bearer => sha256_hex('guess'))->{status}, 401, 'a wrong key: 401');
my $late;
for my $n (1 .. 200) {    # on a slow machine some are given back meanwhile
    $late = try_in($guess, bearer => sha256_hex("guess $n"));
    last if $late->{status} == 429;
}
is($late->{status}, 429, 'who guesses on is told to come later: 429');
like($late->{head}, qr/^retry-after: [1-9]/mi, 'and when');
ok(up($guess), 'a right credential is not shut out');

$stack->allow_log(qr/ warn WH0(?:401|470|471|483|501|502) /, qr/ error WH0500 /, qr/AH02454|AH01102|AH01079|AH00957|AH10221|AH10222|AH10292|AH10508|AH03307/);
is(join("\n", $stack->bad_log_lines), '', 'the logs have nothing but what was announced');
$_->do('drop') for values %bystander;
is_deeply([ $stack->stop ], [], 'everything stops in time');
done_testing();
