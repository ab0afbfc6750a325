# Container applications by host name: mod_proxy_http over the module's own workers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use Test::More;
use WH::Backend;
use WH::Http qw(json_decode);
use WH::Httpd;
use WH::Wait qw(now_s try_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(global => 'WiseHostProxyTargets 8');
my $backend = WH::Backend->new(name => 'a', address => '0.0.0.0');
my $other = WH::Backend->new(name => 'b');

sub up { return { address => '127.0.0.1', port => $_[0]->port + 0, weight => $_[1] // 1 } }
sub proxy { my ($label, @ups) = @_; $h->routes({ host => $label, kind => 'proxy', slug => $label, upstreams => \@ups }); return }

proxy(web => up($backend));
$h->start;
$h->allow_log(qr/AH0\d+:.*(?:failed to make connection|attempt to connect|Error reading from remote|error reading status line)/,
    qr/WH0162/, qr/AH\d+: .*(?:read|reading) from remote/);

# ---- what the application sees ----
my $got = $h->get('web', '/echo/a%20b/%5Bx%5D?q=a%2Fb&c=%00', headers => {
    'X-Forwarded-For' => '6.6.6.6', 'X-Forwarded-Host' => 'evil.example', 'X-Forwarded-Proto' => 'https',
    'Forwarded' => 'for=6.6.6.6', 'X-Wisehost-Assertion' => 'forged', 'X_Wisehost_Actor' => 'forged', 'X-Real-IP' => '6.6.6.6',
    'X-Request-Id' => 'my-request-0001' });
my $in = $got->{json}{headers};
is($got->{status}, 200, 'a container application answers');
is($got->{json}{path}, '/echo/a%20b/%5Bx%5D?q=a%2Fb&c=%00', 'path and query as the client wrote them');
is($in->{host}, "web.$base", 'the Host is preserved');
is($in->{'x-forwarded-for'}, '127.0.0.1', 'X-Forwarded-For: the client, not what it claims');
is($in->{'x-real-ip'}, '127.0.0.1', 'X-Real-IP likewise');
is($in->{'x-forwarded-host'}, "web.$base", 'X-Forwarded-Host');
is($in->{'x-forwarded-proto'}, 'http', 'X-Forwarded-Proto');
is($in->{'x-forwarded-port'}, $h->port, 'X-Forwarded-Port');
is($in->{'x-request-id'}, 'my-request-0001', 'a sane X-Request-Id is handed on');
ok(!exists $in->{forwarded}, 'Forwarded is removed');
ok(!(grep { /wisehost/i } keys %$in), 'X-Wisehost-* of a client never arrives');
$in = $h->get('web', '/echo', headers => { 'X-Request-Id' => "a\tb\"c" })->{json}{headers};
like($in->{'x-request-id'}, qr/^[0-9a-z]{26}$/, 'a harmful one is replaced');
$in = $h->get('web', '/echo', headers => {
    'Connection' => 'close, X-Real-IP, x-forwarded-proto,X-Forwarded-Port, X-Forwarded-For, X-Request-Id, X-Mine', 'X-Mine' => 1,
    'X_Real_IP' => '6.6.6.6', 'X_Forwarded_For' => '6.6.6.6', 'x_request-id' => 'forged-id', 'X-Forwarded-User' => 'root',
    'X-Forwarded-Ssl' => 'on', 'X-Remote-User' => 'root', 'Proxy' => 'http://evil.example' })->{json}{headers};
is($in->{'x-real-ip'}, '127.0.0.1', 'D15 a client that calls X-Real-IP hop-by-hop does not get rid of it');
is($in->{'x-forwarded-proto'}, 'http', 'D15 nor of X-Forwarded-Proto');
is($in->{'x-forwarded-port'}, $h->port, 'D15 nor of X-Forwarded-Port');
like($in->{'x-request-id'}, qr/^[0-9a-z]{26}$/, 'D15 nor of X-Request-Id');
ok(!exists $in->{'x-mine'}, 'its own headers are its own business');
is_deeply([ grep { /_|user|ssl|^proxy$/ } keys %$in ], [], 'D15, XM8 twins with underscores, X-Forwarded-User, X-Remote-User and Proxy never arrive');
is($h->get('web', '/health')->{json}{name}, 'a', "an application's own /health reaches it");
is($h->get('web', '/v1/apps')->{json}{name}, 'a', 'and so does its /v1');
is($h->get('web', '/.env')->{status}, 200, 'paths are its own business');

# ---- bodies, methods, statuses ----
for my $size (0, 1, 16384, 16385, 1 << 20) {
    my $body = 'x' x $size;
    $got = $h->get('web', '/echo', method => 'POST', body => $body);
    is($got->{json}{length}, $size, "POST of $size bytes arrives whole");
}
is($h->get('web', '/echo', method => $_)->{json}{method}, $_, "$_ passes") for qw(DELETE PATCH OPTIONS);
my ($status, $all) = $h->raw("POST /echo HTTP/1.1\r\nHost: web.$base\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    . "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
like($all, qr/"length":11/, 'a chunked body');
($status) = $h->raw("POST /echo HTTP/1.1\r\nHost: web.$base\r\nTransfer-Encoding: identity, chunked\r\nConnection: close\r\n\r\n0\r\n\r\n");
is($status, 400, 'another transfer coding is the fault of the client, not of the server');
for my $line ("CONNECT web.$base:80", 'TRACE /echo') {
    ($status) = $h->raw("$line HTTP/1.1\r\nHost: web.$base\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n");
    is($status, 405, "$line is refused");
}
for my $code (204, 301, 404, 500, 502, 503) {
    my $answer = $h->get('web', "/status/$code");
    is($answer->{status}, $code, "the application's own $code passes");
    is($answer->{json}{name}, 'a', "with its own body") unless $code == 204;
}

# ---- pooled connections ----
my %seen;
$seen{ $h->get('web', '/echo')->{json}{connection} }++ for 1 .. 40;
cmp_ok(scalar keys %seen, '<', 20, 'connections to the application are reused: ' . keys(%seen) . ' for 40 requests');

# ---- streaming ----
my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) or die $!;
syswrite $sock, "GET /slow HTTP/1.1\r\nHost: web.$base\r\nConnection: close\r\n\r\n";
my ($first_at, $last_at, $text) = (undef, undef, '');
while (IO::Select->new($sock)->can_read(5)) {
    sysread $sock, $text, 65536, length $text or last;
    $first_at //= now_s() if $text =~ /data: 1/;
    $last_at = now_s();
}
like($text, qr/data: 3/, 'a stream ends');
cmp_ok($last_at - $first_at, '>', 0.4, 'events are handed on as they come');

# ---- WebSocket ----
$sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) or die $!;
syswrite $sock, "GET /ws HTTP/1.1\r\nHost: web.$base\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
$text = '';
sysread $sock, $text, 65536;
like($text, qr/^HTTP\/1\.1 101/, 'a WebSocket is upgraded');
syswrite $sock, "\x81\x05hello";
$text = '';
sysread $sock, $text, 65536 if IO::Select->new($sock)->can_read(5);
is($text, "\x81\x05hello", 'and echoes');
close $sock;

# ---- start-first switch ----
proxy(web => up($other));
is($h->get('web', '/echo')->{json}{name}, 'b', 'after the switch the new container answers, no reload');
proxy(web => up($backend));
is($h->get('web', '/echo')->{json}{name}, 'a', 'and back');

# ---- several upstreams ----
proxy(two => up($backend, 3), up($other, 1));
my %count;
$count{ $h->get('two', '/echo')->{json}{name} }++ for 1 .. 40;
cmp_ok($count{a}, '>=', 25, "weights hold: a $count{a}, b $count{b} of 40");
cmp_ok($count{b}, '>=', 5, 'both are used');
$other->stop;
my %by;
for (1 .. 20) {
    my $answer = $h->get('two', '/echo', method => 'POST', body => 'y' x 5000);
    $by{"$answer->{status} " . ($answer->{json}{length} // '')}++;
}
is_deeply(\%by, { '200 5000' => 20 }, 'one of two is dead: 20 of 20 POSTs arrive by the other');

# ---- dead, and alive again ----
proxy(dead => up($other));
my $t0 = now_s();
$got = $h->get('dead', '/');
cmp_ok(now_s() - $t0, '<', 2, 'a dead application is told at once');
is("$got->{status} $got->{json}{code}", '503 upstream_unreachable', 'R9 a dead upstream: 503 problem');
ok($got->{headers}{'retry-after'}, 'R9 with Retry-After');
is($got->{headers}{'content-type'}, 'application/problem+json', 'as problem+json');
ok($got->{json}{request_id}, 'with the request id');
$got = $h->get('dead', '/', headers => { Accept => 'text/html,*/*' });
like($got->{headers}{'content-type'}, qr{^text/html}, 'a browser gets a page');
is($got->{status}, 503, 'of the same status');
$other->start;
is($h->get('dead', '/echo')->{json}{name}, 'b', 'alive again: the very next request works');
is($h->get('web', '/close')->{status}, 502, 'a connection that ends unanswered: 502');
is($h->get('web', '/echo')->{status}, 200, 'and the next is served');
is($h->get('dead', '/echo', method => 'HEAD')->{status}, 200, 'HEAD');

# ---- many targets: bounded ----
my @many = map { { address => "127.0.1.$_", port => $backend->port + 0, weight => 1 } } 1 .. 60;
$h->routes(map { { host => "m$_", kind => 'proxy', slug => "m$_", upstreams => [ $many[ $_ - 1 ] ] } } 1 .. 60);
my $ok = 0;
for my $round (1 .. 3) {
    for my $i (1 .. 60) { $ok++ if $h->get("m$i", '/echo')->{status} == 200 }
}
is($ok, 180, '60 targets in turn under a cap of 8: all served');
my @children = split ' ', WH::Httpd::slurp('/proc/' . $h->pid . '/task/' . $h->pid . '/children');
my @fds = map { my $n = () = glob "/proc/$_/fd/*"; $n } @children;
cmp_ok($_, '<', 80, "a child holds $_ descriptors") for @fds;

# ---- graceful ----
my $fail = 0;
for my $round (1 .. 5) {
    $h->signal('USR1');
    for (1 .. 40) {
        my $answer = $h->get('web', '/echo');
        $fail++ if $answer->{status} != 200;
    }
}
is($fail, 0, 'five gracefuls in the middle of 200 requests: none fails');

is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');

# ---- prefork ----
$h = WH::Httpd->new(mpm => 'prefork', workers => 8, global => 'LogLevel wisehost:debug');
proxy(web => up($backend));
$h->static(site => { 'index.html' => "prefork\n" });
$h->start;
is($h->get('site', '/')->{body}, "prefork\n", 'prefork: static');
$ok = 0;
for (1 .. 50) { $ok++ if $h->get('web', '/echo')->{status} == 200 }
is($ok, 50, 'prefork: 50 proxied requests');
is($h->get('web', '/echo', method => 'POST', body => 'z' x 100000)->{json}{length}, 100000, 'prefork: a body');
# Each of these holds a process: four of eight, whatever WiseHostHoldMax says, and the others serve.
$h->routes({ host => 'hold', kind => 'proxy', slug => 'hold', upstreams => [], flags => ['hold'], hold_s => 20 });
my @held = map {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) or die $!;
    syswrite $s, "GET /echo HTTP/1.1\r\nHost: hold.$base\r\nConnection: close\r\n\r\n";
    $s;
} 1 .. 4;
try_for { (() = $h->log_text =~ /waits for a switch/g) >= 4 } 10;
$got = $h->get('hold', '/echo');
is("$got->{status} " . ($got->{json}{code} // ''), '503 switching', 'prefork: half of the processes wait, no more');
is($h->get('web', '/echo')->{status}, 200, 'prefork: the others serve');
$h->routes({ host => 'hold', kind => 'proxy', slug => 'hold', upstreams => [ up($backend) ] });
is((grep { my $s = $_; my $text = join '', <$s>; $text =~ m{^HTTP/1\.1 200 } } @held), 4, 'prefork: who waited is served');
is($h->stop, 0, 'prefork: stops');
is_deeply([ $h->bad_log_lines ], [], 'prefork: the error log is clean');
done_testing();
