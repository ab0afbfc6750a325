# Hostile applications and hostile clients: what comes back is bounded, what goes in is one request, and who
# goes away ends the work that was done for him.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use Test::More;
use WH::Backend;
use WH::Httpd;
use WH::Wait qw(now_s wait_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(global => "Timeout 20\nLogFormat \"%{Host}i %>s %U\" st\nCustomLog \${NOTES} st");
$h->{global} =~ s/\$\{NOTES\}/$h->dir . '\/log\/st.log'/e;
my $backend = WH::Backend->new(name => 'a', log => $h->dir . '/log/backend');
my $other = WH::Backend->new(name => 'b');
sub up { return { address => '127.0.0.1', port => $_[0]->port + 0, weight => 1 } }
sub proxy { my ($label, $ups, %o) = @_; $h->routes({ host => $label, kind => 'proxy', slug => $label, upstreams => $ups, %o }); return }
sub peer { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) // die $! }
sub say_path { return '/say/' . unpack 'H*', $_[0] }

proxy(web => [ up($backend) ]);
proxy(slow => [ up($backend) ], timeout_s => 1);
proxy(preview => [ up($backend) ], flags => ['preview']);
$h->start;
$h->allow_log(qr/WH016[256]/, qr/AH\d+:/);

# ---- the head of an answer ----
my $ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
my @bad = (
    [ 'not HTTP at all' => "SSH-2.0-OpenSSH_9.2\r\n\r\nhello" ],
    [ 'HTTP/0.9' => "<html>hello</html>\n" ],
    [ 'HTTP/2' => "HTTP/2 200 OK\r\n\r\nhi" ],
    [ 'half a head' => "HTTP/1.1 200 OK\r\nX-Half: yes" ],
    [ 'a header of 9 KB' => '/head/1/9000' ],
    [ '300 headers' => '/head/300/1' ],
    [ '80 KB of headers' => '/head/20/4000' ],
    [ 'a line without a colon' => "${ok}nonsense\r\n\r\nhi" ],
    [ 'a name with a blank' => "${ok}X Y: 1\r\n\r\nhi" ],
    [ 'an empty name' => "${ok}: 1\r\n\r\nhi" ],
    [ 'a bare CR' => "${ok}X-A: a\rSet-Cookie: evil=1\r\n\r\nhi" ],
    [ 'a NUL' => "${ok}X-A: a\0b\r\n\r\nhi" ],
    [ 'a control character' => "${ok}X-A: a\x01b\r\n\r\nhi" ],
    [ 'an upgrade that nobody asked for' => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi" ],
);
for my $case (@bad) {
    my ($what, $bytes) = @$case;
    my $answer = $h->get('web', $bytes =~ m{^/} ? $bytes : say_path($bytes));
    is($answer->{status}, 502, "an answer with $what: 502");
    ok(!(grep { /evil|^x-[abh0-9]/ } %{ $answer->{headers} }) && $answer->{headers}{'x-request-id'}, '… and nothing of it');
}
# … also on a connection that the client keeps: it is answered, not hung up on.
my $sock = peer();
my @answers;
for my $path ('/echo', '/close', '/echo', say_path('garbage'), '/echo') {
    syswrite $sock, "GET $path HTTP/1.1\r\nHost: web.$base\r\n\r\n";
    my $text = '';
    while ($text !~ /\r\n\r\n.*\}/s) { sysread $sock, $text, 65536, length $text or last }
    push @answers, $text =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'closed';
}
is("@answers", '200 502 200 502 200', 'a kept connection of the client outlives failures behind it');
close $sock;

my $good = $h->get('web', say_path("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: mine\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
    . "Keep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nTrailer: X-T\r\n\r\nhi"), headers => { 'X-Request-Id' => 'from-the-client' });
is("$good->{status} $good->{body}", '200 hi', 'a good answer');
is($good->{headers}{'x-request-id'}, 'from-the-client', 'X-Request-Id: once, and ours');
is_deeply([ grep { /hop|keep-alive|proxy-auth|trailer/ } keys %{ $good->{headers} } ], [], 'hop-by-hop headers stay behind');
is($h->get('web', say_path("HTTP/1.1 204 None\r\n\r\n"))->{headers}{'x-request-id'} =~ /^[0-9a-z]{26}$/, 1, 'without a body, too');
is($h->get('preview', '/echo')->{headers}{'x-robots-tag'}, 'noindex', 'a preview is nothing for search engines');
is($h->get('web', say_path("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))->{body}, 'hi',
    'length and chunks at once: the length is not believed');

# ---- requests that are two ----
my $front = "POST /echo HTTP/1.1\r\nHost: web.$base\r\nConnection: close\r\n";
my $inner = "GET /smuggled HTTP/1.1\r\nHost: web.$base\r\n\r\n";
for my $case (
    [ 'two lengths' => "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello$inner", 400 ],
    [ 'a list of lengths' => "Content-Length: 5, 6\r\n\r\nhello$inner", 400 ],
    [ 'a signed length' => "Content-Length: +5\r\n\r\nhello$inner", 400 ],
    [ 'chunked, not last' => "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n$inner", 400 ],
    [ 'xchunked' => "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n$inner", 400 ],
    [ 'a bad chunk size' => "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n$inner", 400 ],
    [ 'an enormous chunk' => "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n$inner", 413 ],
    [ 'a header continued' => "X-A: b\r\n Content-Length: 5\r\n\r\n", [ 200, 400 ] ],
    [ 'a blank before the colon' => "Content-Length : 5\r\n\r\nhello", 400 ],
    [ 'a bare CR' => "X-A: b\rContent-Length: 5\r\n\r\n", 400 ],
    )
{
    my ($what, $rest, $want) = @$case;
    my ($status, $all) = $h->raw($front . $rest);
    my %want = map { $_ => 1 } ref $want ? @$want : $want;
    ok($want{$status}, "$what: $status");
    unlike($all, qr/smuggled/, '… and no second request');
}
my ($status, $all) = $h->raw($front . "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n$inner");
ok($status == 400 || $all =~ /"length":3/, "chunks and a length: $status, the chunks count");
unlike($all, qr/smuggled/, '… and the connection ends there');

# ---- slow applications ----
my $t0 = now_s();
my $got = $h->get('slow', '/hang');
is("$got->{status} $got->{json}{code}", '504 upstream_timeout', 'no answer within timeout_s: 504');
cmp_ok(now_s() - $t0, '>=', 0.9, 'not before');
cmp_ok(now_s() - $t0, '<', 2.5, 'and soon after');
is($h->get('slow', '/echo')->{status}, 200, 'the next is served');
proxy(both => [ up($backend), up($other) ], timeout_s => 1);
is($h->get('both', '/hang')->{status}, 504, 'who took too long is not asked again elsewhere');

# ---- clients that leave ----
unlink $h->dir . '/log/backend';
sub gone { return scalar(() = WH::Httpd::slurp($h->dir . '/log/backend') =~ /gone/g) }
my @leaving = map { my $s = peer(); syswrite $s, "GET /hang HTTP/1.1\r\nHost: web.$base\r\n\r\n"; $s } 1 .. 3;
wait_for { (() = `ss -Htn state established dport = :@{[$backend->port]}` =~ /\n/g) >= 3 } 5, 'the application to have the requests';
close $_ for @leaving;
wait_for { gone() >= 3 } 3, 'the application to be rid of them';
pass('a client that leaves ends its request at the application, though that says nothing');
wait_for { (() = $h->log_text('st.log') =~ m{ 499 /hang}g) >= 3 } 3, 'them to be logged';
is((() = $h->log_text =~ m{error reading status line.*hang}g), 0, 'it is no error in the log, and 499 in the access log');

# ---- both ways at once ----
$sock = peer();
syswrite $sock, "POST /echo HTTP/1.1\r\nHost: web.$base\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
for my $part (1 .. 3) { syswrite $sock, sprintf "%x\r\n%s\r\n", 1000, 'p' x 1000; select undef, undef, undef, 0.02 }
syswrite $sock, "0\r\n\r\n";
my $text = '';
1 while sysread $sock, $text, 65536, length $text;
like($text, qr/"length":3000/, 'chunks are handed on as they come');
like($text, qr/"transfer-encoding":"chunked"/i, 'as chunks');

# ---- a WebSocket across a switch ----
$sock = peer();
syswrite $sock, "GET /ws HTTP/1.1\r\nHost: web.$base\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
sysread $sock, $text = '', 65536;
like($text, qr/^HTTP\/1\.1 101/, 'a WebSocket');
proxy(web => [ up($other) ]);
is($h->get('web', '/echo')->{json}{name}, 'b', 'new requests go to the new container');
for my $word (qw(one two)) {
    syswrite $sock, $word;
    sysread $sock, $text = '', 65536 if IO::Select->new($sock)->can_read(5);
    is($text, $word, 'the open WebSocket goes on with the old one');
}
$backend->stop;
$text = 'x';
is(IO::Select->new($sock)->can_read(5) ? sysread($sock, $text, 10) : -1, 0, 'until that is stopped, then it ends');
close $sock;

is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
done_testing();
