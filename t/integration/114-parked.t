#!/usr/bin/perl
# Connections that one thread waits for (WiseHostParked): the same answers as from the MPM, and whatever one of them asks
# for, the others are answered meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use IPC::Open2 qw(open2);
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use WH::Backend;
use WH::Httpd;
use WH::Wait qw(wait_for try_for now_s);

my $base = $WH::Httpd::base;
my $lua = File::Temp->new;
# A module that nobody foresaw: it keeps its thread for 0.4 s.
print {$lua} <<'LUA';
require 'apache2'
function busy(r)
    if r.headers_in['X-Busy'] then
        local till = r:clock() + 400000
        while r:clock() < till do end
    end
    return apache2.DECLINED
end
LUA
close $lua;
chmod 0644, $lua->filename;

my $cert = File::Temp->newdir;
system(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch -subj), "/CN=$base",
    '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', "$cert/key",
    '-out', "$cert/crt") == 0 or die 'openssl';
my $tls = WH::Httpd::free_port();

sub make {
    my ($parked) = @_;
    my $h = WH::Httpd->new(
        modules => [qw(proxy proxy_http status lua ssl)],
        global => "WiseHostParked $parked\nServerLimit 2\nStartServers 1\nThreadsPerChild 64\nMinSpareThreads 1\nMaxSpareThreads 64\nMaxRequestWorkers 64\nExtendedStatus On\nKeepAliveTimeout 60\n"
            . "Listen 127.0.0.1:$tls\n",
        vhost => "LuaHookFixups @{[ $lua->filename ]} busy\n",
        vhosts => "<VirtualHost *>\nServerName status.example.test\n<Location /server-status>\nSetHandler server-status\n</Location>\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:$tls>\nServerName $base\nServerAlias *.$base\nWiseHostEngine On\nWiseHostBaseDomain $base\n"
            . "SSLEngine On\nSSLCertificateFile $cert/crt\nSSLCertificateKeyFile $cert/key\n</VirtualHost>\n",
    );
    $h->{vhosts} =~ s/\*>/127.0.0.1:@{[ $h->port ]}>/;
    $h->allow_log(qr{AH01873});    # no session cache
    $h->static(test => { 'index.html' => "home\n", 'a.txt' => "a\n" x 100, 'big.bin' => 'b' x 8_000_000, 'mid.bin' => 'm' x 60_000 });
    $h->allow_log(qr/AH01873/);    # no session cache
    return $h;
}

my $h = make(16);
my $app = WH::Backend->new;
$h->routes({ host => 'app', kind => 'proxy', slug => 'app', upstreams => [ { host => '127.0.0.1', port => $app->port } ] });
$h->start;

sub auto {
    my ($server) = @_;
    my $text = $server->request(host => 'status.example.test', path => '/server-status?auto')->{body};
    return { $text =~ /^WiseHost(\w+): (\d+)$/mg, workers => $text =~ /^Scoreboard: (.*)$/m };
}

sub connection {
    my ($server) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->port, Timeout => 10) // die "connect: $!";
}

sub ask { my ($c, $path, %o) = @_; return send_text($c, text($path, %o)) }

sub text {
    my ($path, %o) = @_;
    return ($o{method} // 'GET') . " $path HTTP/1.1\r\nHost: " . ($o{host} // 'test') . ".$base\r\n" . ($o{more} // '') . "\r\n" . ($o{body} // '');
}
sub send_text { my ($c, $text) = @_; local $SIG{PIPE} = 'IGNORE'; print {$c} $text; $c->flush; return $c }

# (status, body) of the next answer; what is read beyond stays with the connection.
my %rest;

sub answer {
    my ($c, %o) = @_;
    my $end = now_s() + ($o{within} // 20);
    while (1) {
        if (($rest{$c} // '') =~ /^(.*?)\r\n\r\n/s) {
            my $head = $1;
            my $from = length($head) + 4;
            my $n = $o{head} ? 0 : $head =~ /^Content-Length: (\d+)/mi ? $1 : $head !~ /^Transfer-Encoding:/mi ? 0
                : $rest{$c} =~ /\r\n0\r\n\r\n/ ? $+[0] - $from : undef;
            if (defined $n && length $rest{$c} >= $from + $n) {
                my $body = substr $rest{$c}, $from, $n;
                substr $rest{$c}, 0, $from + $n, '';
                return (($head =~ /^HTTP\S+ (\d+)/)[0], $body);
            }
        }
        vec(my $in = '', fileno $c, 1) = 1;
        my $left = $end - now_s();
        return (0, '') if $left <= 0 || !select $in, undef, undef, $left;
        sysread $c, $rest{$c}, 65536, length($rest{$c} // '') or return (0, '');
    }
}

# A connection that is waited for: told by the counter, for on a slow machine its requests may lie too far apart.
sub hot {
    my ($server) = @_;
    my $c = connection($server);
    my $before = auto($server)->{KeptRequests};
    for (1 .. 20) {
        for (1 .. 10) { ask($c, '/a.txt'); answer($c) }
        return $c if auto($server)->{KeptRequests} > $before;
    }
    die "no connection is kept\n";
}

# A few requests of another such connection are answered as they should be.
sub answered {
    my ($c) = @_;
    my $right = 0;
    for (1 .. 10) {
        ask($c, '/a.txt');
        my ($status, $body) = answer($c);
        $right++ if $status == 200 && $body eq "a\n" x 100;
    }
    return $right == 10;
}

# Its end comes within 5 s.
sub closed {
    my ($c) = @_;
    vec(my $in = '', fileno $c, 1) = 1;
    return select($in, undef, undef, 5) && sysread($c, my $buf, 1) == 0;
}

# ---- the same answers ----
my $c = hot($h);
pass('a connection that asks for small files quickly is waited for');
for my $case ([ '/', 200, "home\n" ], [ '/a.txt', 200, "a\n" x 100 ], [ '/none', 404 ], [ '/mid.bin', 200, 'm' x 60_000 ], [ '/a.txt', 200, "a\n" x 100 ]) {
    my ($path, $status, $body) = @$case;
    ask($c, $path);
    my ($got, $content) = answer($c);
    ok($got == $status && (!defined $body || $content eq $body), "$path on it: $status");
}
$c = hot($h);
ask($c, '/a.txt', method => 'HEAD');
is((answer($c, head => 1))[0], 200, 'HEAD');
send_text($c, join '', map { text($_) } qw(/ /a.txt / /none /a.txt));
is_deeply([ map { (answer($c))[0] } 1 .. 5 ], [ 200, 200, 200, 404, 200 ], 'five requests at once are answered in order');
$c = hot($h);
ask($c, '/a.txt', more => "Connection: close\r\n");
is((answer($c))[0], 200, 'Connection: close is answered');
is(sysread($c, my $buf, 1), 0, 'and closed');
$c = hot($h);
setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0;
close $c;    # reset
$c = hot($h);
ok(answered($c), 'a client that is gone hurts nobody');

# ---- TLS: what came with a request may lie in its filter, where no socket tells of it ----
{
    my $pid = open2(my $from, my $to, qw(openssl s_client -quiet -verify_quiet -noservername -connect), '127.0.0.1:' . $tls);
    my $before = auto($h)->{KeptRequests};
    for (1 .. 100) {
        for (1 .. 10) { send_text($to, text('/a.txt')); answer($from) }
        last if auto($h)->{KeptRequests} > $before;
    }
    cmp_ok(auto($h)->{KeptRequests}, '>', $before, 'a connection with TLS is waited for');
    for my $turn (1 .. 3) {
        send_text($to, join '', map { text($_) } qw(/ /a.txt / /none /a.txt));
        is_deeply([ map { (answer($from))[0] } 1 .. 5 ], [ 200, 200, 200, 404, 200 ], 'five requests at once by TLS');
    }
    close $to;
    kill TERM => $pid;
    waitpid $pid, 0;
}

# ---- nobody waits for somebody else ----
my $b = hot($h);
my ($one, $two) = (hot($h), hot($h));
send_text($one, "GET /a.txt HTTP/1.1\r\nHo");
ok(answered($_), 'half a header holds nobody up') for $b, $two;
send_text($one, "st: test.$base\r\n\r\n");
is((answer($one))[0], 200, 'and is answered when the rest comes');

# What takes its time, and what ends it when it does not end by itself.
for my $case (
    [ 'a request of an application', sub { ask($_[0], '/slow', host => 'app') } ],
    [ 'a module that keeps its thread busy', sub { ask($_[0], '/a.txt', more => "X-Busy: 1\r\n") } ],
    [ 'a body that does not come', sub { ask($_[0], '/a.txt', more => "Content-Length: 5\r\n") }, sub { send_text($_[0], 'hello') } ],
    [ 'a large file that is not read', sub { ask($_[0], '/big.bin') } ],
    )
{
    my ($what, $start, $finish) = @$case;
    my $handed = 0;
    for (1 .. 20) {    # on a slow machine the connection may be the MPM's again when it asks
        ($one, $two) = (hot($h), hot($h));
        my $before = auto($h)->{KeptHandovers};
        $start->($one);
        ok(0, "$what: another connection is answered") unless answered($two);
        $handed = try_for { answered($two) && auto($h)->{KeptHandovers} > $before } 0.5;
        last if $handed;
        $finish->($one) if $finish;
        answer($one);
    }
    ok($handed, "$what: another thread goes on waiting, another connection is answered");
    $finish->($one) if $finish;
    is((answer($one))[0], 200, "$what: answered at last");
    ok(answered($one), "$what: the connection goes on");
}

# ---- whose own thread is away ----
# The leader is the thread of one of these. Stuck at another's request, it must not keep its own connection from anything: a
# pause and then a request, one that is slow itself, half a header, a body, the end.
my ($rounds, $left_alone) = (0, 0);
for my $do (
    ([ '/a.txt', 200 ]) x 4, [ '/mid.bin', 200 ], [ '/none', 404 ], [ '/a.txt', 200, more => "Content-Length: 2\r\n", later => 'hi' ],
    [ '/a.txt', 200, more => "Connection: close\r\n" ], [ '/a.txt', 200, half => "GET /a.txt HTTP/1.1\r\nHo", later => "st: test.$base\r\n\r\n" ])
{
    my ($path, $status, %o) = @$do;
    my @c = map { connection($h) } 1 .. 6;
    for (1 .. 30) { ask($_, '/a.txt') for @c; answer($_) for @c }
    my $stuck = shift @c;
    ask($stuck, '/big.bin');
    for (@c) { ask($_, '/a.txt'); answer($_) }
    select undef, undef, undef, 0.06;    # longer than any of them is waited for
    for my $c (@c) {
        $o{half} ? send_text($c, $o{half}) : ask($c, $path, %o);
        if ($o{later}) { select undef, undef, undef, 0.02; send_text($c, $o{later}) }
        my $ok = (answer($c, within => 5))[0] == $status;
        $ok &&= ($o{more} // '') =~ /close/ ? closed($c) : answered($c);
        $left_alone++ unless $ok;
    }
    answer($stuck);
    $rounds++;
}
is($left_alone, 0, "a slow reader in $rounds rounds: the connection whose thread answers it is answered, too");

# ---- a body, and behind it in the same packet the next request ----
my $handed = 0;
for (1 .. 20) {
    $c = hot($h);
    my $before = auto($h)->{KeptHandovers};
    answered($c);    # busy again: the look at the counter took its time
    ask($c, '/a.txt', more => "Content-Length: 5\r\n");
    $handed++ if try_for { auto($h)->{KeptHandovers} > $before } 0.5;
    send_text($c, 'hello' . text('/'));
    is_deeply([ map { (answer($c))[1] } 1, 2 ], [ "a\n" x 100, "home\n" ], 'the request behind a late body is answered, too');
    last if $handed >= 3;
}
cmp_ok($handed, '>=', 3, 'by who had led');

# ---- many at once, and a graceful restart under them ----
my $load = sub {
    my ($n, $till) = @_;
    my ($asked, $wrong) = (0, 0);
    my @c = map { connection($h) } 1 .. $n;
    while (!$till->($asked)) {
        ask($_, '/a.txt') for @c;
        for (@c) {
            my ($status, $body) = answer($_);
            $asked++;
            if (!$status) { delete $rest{$_}; $_ = connection($h); next }    # closed between two requests: as any server may
            $wrong++ if $status != 200 || $body ne "a\n" x 100;
        }
    }
    return $wrong;
};
is($load->(40, sub { $_[0] >= 4000 }), 0, '40 connections, more than may be kept: all answered rightly');
my $said;
is($load->(12, sub { if ($_[0] >= 1200 && !$said++) { $h->signal('USR1') } return $_[0] >= 6000 }), 0, 'graceful under load: all answered rightly');
wait_for { auto($h)->{KeptRequests} > 0 } 10, 'the new child';
wait_for { auto($h)->{workers} =~ /^[_WKR.]+$/ } 20, 'the threads of the child before to end';
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');

# ---- off ----
$h = make(0);
$h->start;
$c = connection($h);
for (1 .. 50) { ask($c, '/a.txt'); answer($c) }
is(auto($h)->{KeptRequests}, 0, 'WiseHostParked 0: every connection is the MPM\'s');
$h->stop;
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
done_testing();
