#!/usr/bin/perl
# The worker channel itself: who may connect, what a wrong frame costs, what a slow or doubled connection
# costs (protocol.md, threats XE).
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use WH::Sched;

my $s = WH::Sched->new;
$s->init;
$s->start;
my $w = $s->worker;
my $socket = $s->state . '/run/hub.sock';

# Sends bytes to the hub socket and returns the first line of the answer.
sub first_line {
    my ($bytes) = @_;
    my $sock = IO::Socket::UNIX->new(Peer => $socket) or return 'no connection';
    print {$sock} $bytes;
    my $line = <$sock> // 'closed';
    $line =~ s/\r?\n//;
    return $line;
}

# ---- the upgrade ----
is($w->connect(assertion => undef)->{status}, 401, 'F78 no assertion: 401');
is($w->connect(assertion => 'abc.def')->{status}, 401, 'a forged assertion: 401');
is($w->connect(exp => -20)->{status}, 401, 'one that has expired: 401');
is($w->connect(action => 'logs.read')->{status}, 403, 'one for something else: 403');
is($w->connect(origin => 'https://evil.example')->{status}, 403, 'a request with Origin: 403');
is($w->connect(nonce => undef)->{status}, 400, 'no nonce: 400');
is($w->connect(nonce => 'xyz')->{status}, 400, 'a bad nonce: 400');
is($w->connect(protocol => undef)->{status}, 426, 'no subprotocol: 426');
like(first_line("GET /v1/workers/ws HTTP/1.1\r\nHost: hub\r\n\r\n"), qr/^HTTP\/1\.1 426/, 'XE1 no upgrade: 426');
like(first_line("GET /other HTTP/1.1\r\nHost: hub\r\n\r\n"), qr/^HTTP\/1\.1 404/, 'nothing else is there: 404');
like(first_line("POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n"), qr/^HTTP\/1\.1 204/, 'a poke: 204');
like(first_line("GET /poke HTTP/1.1\r\nHost: hub\r\n\r\n"), qr/^HTTP\/1\.1 404/, 'a poke by GET: 404');
my $in = $w->connect;
ok($in->{hub_nonce}, 'the answer carries X-Wisehost-Nonce');
ok($w->hello, 'and hello is answered by welcome');

# Only httpd, root and the scheduler may speak to the socket.
{
    my $pid = fork // die;
    if ($pid == 0) {
        my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
        my $www = getgrnam 'www-data';
        $) = "$www $www";
        $> = $uid;
        my $line = first_line("POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n");
        require POSIX;
        POSIX::_exit($line =~ /^HTTP/ ? 1 : 0);
    }
    waitpid $pid, 0;
    is($? >> 8, 0, 'another user of the same group is turned away (SO_PEERCRED)');
    $pid = fork // die;
    if ($pid == 0) {
        my ($uid, $gid) = (getpwnam 'www-data')[2, 3];
        $) = "$gid $gid";
        $> = $uid;
        require POSIX;
        POSIX::_exit(first_line("POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n") =~ /^HTTP/ ? 0 : 1);
    }
    waitpid $pid, 0;
    is($? >> 8, 0, 'httpd\'s user is let in');
}

# ---- frames ----
my %beat = (cpu_used_millis => 1, memory_used_bytes => 1, disk_free_bytes => 12345, running => []);
$w->send('heartbeat', \%beat, pieces => 5);
$w->send('nonsense', {});
is($w->wait('error')->{p}{code}, 'unknown_type', 'F95 an unknown type is answered unknown_type');
$w->send('welcome', {});
is($w->wait('error')->{p}{code}, 'unknown_type', 'so is one of the other direction');
$w->send('heartbeat', { running => 'all' });
my $answer = $w->wait('error');
is($answer->{p}{code}, 'bad_payload', 'XE13 a payload of the wrong type is answered bad_payload');
like($answer->{p}{in_reply_to}, qr/^[0-9a-f]{32}$/, 'F89 in reply to the frame');
$w->send('heartbeat', \%beat, skew => 400);
is($w->wait('error')->{p}{code}, 'clock_skew', 'XE12 a wrong clock is answered clock_skew, the connection stays');
$w->send('heartbeat', \%beat, skew => -250);
$w->send('nonsense', {});
ok($w->wait('error'), 'and goes on');

my @costs = (
    [ 'XE10 a wrong MAC', 4001, sub { $w->send('heartbeat', \%beat, mac => 'bad') } ],
    [ 'XE10 a frame signed for the other direction', 4001, sub { $w->send('heartbeat', \%beat, dir => 'wrong') } ],
    [ 'XE10 no MAC at all', 4001, sub { $w->do('text', text => '{"t":"heartbeat"}') } ],
    [ 'XE11 a frame sent twice', 4002, sub { $w->send('heartbeat', \%beat)->do('again') } ],
    [ 'XE11 a jump in the sequence', 4002, sub { $w->send('heartbeat', \%beat, seq => 5000) } ],
    [ 'XE6 a binary message', 1003, sub { $w->do('binary') } ],
    [ 'a message over 2 MiB', 1009, sub { $w->do('big', bytes => 2 * 1024 * 1024 + 1) } ],
);
for my $cost (@costs) {
    my ($what, $code, $do) = @$cost;
    $w->up;
    $do->();
    my $end = $w->wait('closed');
    is($end ? $end->{code} : 'open', $code, "$what closes the connection with $code");
}
$w = $s->worker; # the other one has come as often as one may
for my $bytes ([ 'XE3 an unmasked frame', '8101' . '61' ], [ 'XE3 a reserved opcode', '8380' . '00000000' ],
    [ 'XE3 a reserved bit', 'c180' . '00000000' ], [ 'XE3 a length of 2^63', '81ff80000000000000000000000000' ]) {
    $w->up;
    $w->do('bytes', hex => $bytes->[1])->send('heartbeat', \%beat, mac => 'bad');
    ok($w->wait('closed'), "$bytes->[0] ends the connection");
}

# ---- the newest connection wins; an old one's frames mean nothing on the next ----
$w->up;
my $second = WH::Sched::Worker->new($s, $w->{id}, $w->{key});
ok($second->up, 'XE22 the same worker connects again');
is($w->wait('closed')->{code}, 4009, 'F80 the older connection is replaced: 4009');
is($s->value("SELECT status FROM workers WHERE id = $w->{id}"), 'online', 'F82 its end does not call the worker offline');
$second->do('drop');
$w->up;
$w->send('heartbeat', \%beat);
$w->connect;
$w->do('again');
is($w->wait('closed')->{code}, 4001, 'XE11 what was captured on another connection has the wrong nonce: 4001');

# ---- an unknown worker, a removed one ----
my $ghost = WH::Sched::Worker->new($s, 4711, 'f' x 64);
$ghost->connect;
is($ghost->wait('closed')->{code}, 4010, 'a worker that does not exist is closed with 4010');
my $gone = $s->worker;
$s->sql("UPDATE workers SET admin_state = 'removed' WHERE id = $gone->{id}");
$gone->connect;
is($gone->wait('closed')->{code}, 4010, 'XN5 a removed one too');
my $revoked = $s->worker;
$s->sql("UPDATE workers SET revoked_at = 1 WHERE id = $revoked->{id}");
$revoked->connect;
is($revoked->wait('closed')->{code}, 4010, 'XD8 one whose key was revoked as well');
my $wrong = $s->worker;
my $thief = WH::Sched::Worker->new($s, $wrong->{id}, 'e' x 64);
$thief->connect;
$thief->send('hello', {});
is($thief->wait('closed')->{code}, 4001, 'F75 a worker that does not have the key: 4001');

# ---- nothing before hello ----
$w->connect;
$w->send('heartbeat', \%beat);
is($w->wait('error')->{p}{code}, 'bad_payload', 'the first frame must be a hello');
ok($w->hello, 'which then is');

# ---- a slow reader: the answers it asks for fill its queue ----
$w->do('drop');
my $app = $s->app('slow');
my $slow = $s->worker;
$slow->up;
my $d = $s->deployment($app);
$s->poke;
ok($slow->wait('job'), 'a job is placed on it');
$slow->do('deaf');
$slow->send('nonsense', {}) for 1 .. 3000;
ok($s->soon(sub { $s->log =~ /worker $slow->{id} connection \d+: closing, code 4008/ }),
    'XE9 a reader that does not read is closed with 4008 once its queue is full');
ok($s->soon(sub { $s->value("SELECT status FROM workers WHERE id = $slow->{id}") eq 'offline' }), 'and is offline');
is($s->job_status($d), 'pending', 'R10 its job, which has not begun, waits again');
$w->up;
is($w->wait('job')->{p}{epoch}, 2, 'R10 and is placed on another, with a new epoch');
open my $status, '<', '/proc/' . $s->pid . '/status' or die;
my ($rss) = map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$status>;
cmp_ok($rss, '<', 100_000, "XE9 and no memory to speak of ($rss KiB resident)");

is($s->unexpected(qw(WH0401 WH0402 WH0403 WH0470 WH0471 WH0483)), '', 'no warning that was not announced');
is($s->stop, 0, 'SIGTERM ends it with 0');
done_testing();
