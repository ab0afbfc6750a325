#!/usr/bin/perl
# db: sqlite pgsql
# What the API says when its surroundings fail: a database that is gone is 503 for everybody, never an
# answer about a caller; without TLS it answers on loopback alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET ();
use Socket qw(SOL_SOCKET SO_RCVBUF inet_aton pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(sleep time);
use WH::Api;

my $api = WH::Api->new(own_server => 1);
my $token = $api->token;
$api->app($token, 'blog');
my $worker = $api->worker('w1');
my $hook = $api->req(POST => '/v1/hooks', token => $token, json => { app => 'blog', provider => 'github' })->{json};
my $push = WH::Api::_slurp("$FindBin::Bin/../data/github/push.json");

sub calls {
    return (
        [ 'a good token' => sub { $api->req(GET => '/v1/apps', token => $token) } ],
        [ 'a wrong token' => sub { $api->req(GET => '/v1/apps', token => 'wh_' . '0' x 64) } ],
        [ 'a write' => sub { $api->req(POST => '/v1/apps', token => $token, json => $api->app_body('shop')) } ],
        [ 'a worker token' => sub { $api->req(POST => '/v1/agent/releases', token => $worker->{token}, json => { job => '0' x 26, epoch => 1, manifest => [] }) } ],
        [ 'a raw key' => sub { $api->req(POST => '/v1/workers/refresh-token', token => $worker->{key}, body => '') } ],
        [ 'a wrong key' => sub { $api->req(POST => '/v1/workers/refresh-token', token => '0' x 64, body => '') } ],
        [ 'a login' => sub { $api->req(POST => '/v1/login', json => { token => 'x' }) } ],
        [ 'a signed delivery' => sub { $api->deliver($hook, 'push', $push) } ],
    );
}

# SQLite: the file moved away; an open handle would still reach it, so the pool is asked until it is empty.
$api->db->take_away;
$api->restart if $api->db->kind eq 'sqlite';
for my $case (calls()) {
    my ($name, $call) = @$case;
    my $got = $call->();
    $api->is_problem($got, 503, undef, "D11 $name, the database gone: 503");
    like($got->{headers}{'retry-after'}, qr/^\d+$/, "D11 $name: with Retry-After");
}
is($api->req(GET => '/health')->{status}, 200, 'F43 health goes on');
is($api->req(GET => '/v1/apps')->{status}, 401, 'who shows nothing is told so without a database');
is($api->deliver($hook, 'push', $push, signature => 'sha256=' . '0' x 64)->{status}, 503, 'D11 which secret a hook has now only the database knows');

$api->db->bring_back;
my $until = time + 15;
my $res;
do { $res = $api->req(GET => '/v1/apps', token => $token); sleep 0.1 if $res->{status} != 200 } while $res->{status} != 200 && time < $until;
is($res->{status}, 200, 'the database is back: so is the API, without a restart');
is($api->req(GET => '/v1/apps', token => 'wh_' . '0' x 64)->{status}, 401, 'and says who is who again');
is($api->deliver($hook, 'push', $push)->{status}, 202, 'a delivery that was answered 503 may come again');

if ($api->db->kind eq 'pgsql') { # on SQLite there is no server to restart
    $api->req(GET => '/v1/apps', token => $token);
    $api->db->take_away;
    $api->db->bring_back;
}
my @status = map { $api->req(GET => '/v1/apps', token => $token)->{status} } 1 .. 10;
is_deeply(\@status, [ (200) x 10 ], 'a server that was restarted between two calls is not noticed');

# ---- slow clients and the pool of connections --------------------------------------------------------
# More of them than DBDMax: whoever makes us wait must not keep a connection meanwhile.
{
    my $deploy = $api->token('deploy');
    my $head = "Host: 127.0.0.1\r\nAuthorization: Bearer";
    my @slow = map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $api->{port}) or die "connect: $!";
        syswrite $s, "POST /v1/apps/blog/deployments HTTP/1.1\r\n$head $deploy\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{";
        $s
    } 1 .. 10;
    sleep 0.5;
    my $t0 = time;
    is($api->req(GET => '/v1/apps', token => $token)->{status}, 200, 'with ten bodies that dribble in, others are answered');
    cmp_ok(time - $t0, '<', 2, 'at once');
    @slow = ();
    $api->app($token, "big$_", build => { build_command => 'x' x 2000 }) for 1 .. 60;
    @slow = map {
        my $s = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";
        setsockopt $s, SOL_SOCKET, SO_RCVBUF, 2048;
        connect $s, pack_sockaddr_in($api->{port}, inet_aton('127.0.0.1')) or die "connect: $!";
        syswrite $s, "GET /v1/apps?limit=100 HTTP/1.1\r\n$head $token\r\n\r\n" x 100;
        $s
    } 1 .. 10;
    sleep 1;
    $t0 = time;
    is($api->req(GET => '/v1/apps?limit=1', token => $token)->{status}, 200, 'with ten clients that read no answer, too');
    cmp_ok(time - $t0, '<', 2, 'at once');
}

# ---- access log ------------------------------------------------------------------------------------
$api->req(GET => '/health');
$api->req(GET => '/v1/apps', token => $token);
$api->raw("GET /v1/workers/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
$api->stop;
my $access = WH::Api::_slurp("$api->{root}/logs/access.log");
unlike($access, qr{/health|/v1/workers/ws}, 'F50 health and upgrades can be kept out of the access log');
like($access, qr{GET /v1/apps}, 'F50 the rest is in it');

# ---- plain HTTP beyond loopback --------------------------------------------------------------------
my $udp = IO::Socket::INET->new(PeerAddr => '192.0.2.1', PeerPort => 9, Proto => 'udp');
my $outer = $udp ? $udp->sockhost : undef;
if (!defined $outer || $outer =~ /^127\./) {
    note 'this machine has loopback alone: nothing to show here';
}
else {
    my $open = WH::Api->new(listen => $outer);
    my %host = (headers => { Host => '127.0.0.1' });
    my $t = $open->token;
    $open->is_problem($open->req(GET => '/v1/apps', token => $t), 403, 'tls_required', 'plain HTTP beyond loopback is refused');
    $open->is_problem($open->req(POST => '/v1/login', json => { token => $open->onetime('admin') }), 403, 'tls_required', 'login too');
    is($open->req(GET => '/health')->{status}, 200, 'health is not');
    undef $open;
    $open = WH::Api->new(listen => $outer, conf => 'WiseHostInsecureHTTP On');
    is($open->req(GET => '/v1/apps', token => $open->token)->{status}, 200, 'unless the administrator says so');
    is($open->unexpected, '', 'the error log is clean');
}
undef $api; # its PostgreSQL goes before the last clean-up
done_testing();
