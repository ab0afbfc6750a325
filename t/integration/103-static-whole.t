#!/usr/bin/perl
# An answer that the module writes whole, beside the same one by httpd's own filters: the same bytes on the wire,
# the same in the log. A filter of mod_headers, which changes nothing, makes the second.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Http qw(http_raw);
use WH::Httpd;
use WH::Wait qw(wait_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(
    modules => [qw(proxy proxy_http headers setenvif mime)],
    global => <<'CONF',
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
ThreadsPerChild 25
MinSpareThreads 1
MaxSpareThreads 25
TypesConfig /dev/null
MaxKeepAliveRequests 7
LogFormat "%U %>s %b %B %X %k %I %O %{wh-app}n %{wh-cache}n %{ETag}o %{Content-Type}o %{Content-Length}o %{Cache-Control}o %{Vary}o %{X-Own}o %{Connection}o" whole
BrowserMatch Old10 downgrade-1.0 force-response-1.0
BrowserMatch NoKeep nokeepalive
BrowserMatch NoVary force-no-vary
BrowserMatch Else some-variable
CONF
    vhost => <<'CONF',
CustomLog logs/whole.log whole
<If "%{QUERY_STRING} == 'httpd'">
    Header unset X-Nothing
</If>
<Location "/charset">
    AddDefaultCharset utf-8
</Location>
<Location "/cached">
    WiseHostCacheControl "private, max-age=5"
</Location>
CONF
);
mkdir $h->dir . '/httpd/logs';
my $text = join '', map {"line $_ of a page\n"} 1 .. 300;
my %site = (
    'index.html' => "<h1>home</h1>\n", 'about.html' => { content => $text, br => 'br', gzip => 'gzip' x 9 }, 'empty.txt' => '',
    'small.txt' => 'x', 'big.bin' => join('', map { pack 'N', $_ } 1 .. 60_000), '404.html' => "nothing\n",
    'charset/a.html' => '<p>', 'cached/a.txt' => 'c', 'assets/app-DiwrgTda.js' => 'js',
);
$h->static(test => \%site);
$h->static(own => { %site, '_headers' => "/*\n  X-Own: one\n  X-Own: two\n  Expires: 0\n  Cache-Control: no-store\n" });
$h->static(date => { %site, '_headers' => "/*\n  Date: never\n  Server: mine\n" });
$h->static(odd => { %site, '_headers' => "/*\n" . join '', map {"  X-Many-$_: $_\n"} 1 .. 60 });
$h->start;

# The bytes of the answers to requests on one connection, less what is the clock's.
sub answers {
    my ($way, @requests) = @_;
    my $bytes = join '', map { join "\r\n", $_->[0] =~ s/ HTTP/?$way HTTP/r, @$_[ 1 .. $#$_ ], '', '' } @requests;
    return http_raw(port => $h->port, bytes => $bytes, timeout => 20) =~ s/^Date: \w{3}, .*?GMT\r$/Date: now\r/gmr;
}

my $host = sub { "Host: $_[0].$base" };
my $last = 'Connection: close';
my @cases = (
    ['a page', ['GET / HTTP/1.1', $host->('test'), $last]],
    ['kept, then closed', ['GET /small.txt HTTP/1.1', $host->('test')], ['GET /about HTTP/1.1', $host->('test')], ['GET / HTTP/1.1', $host->('test'), $last]],
    ['until MaxKeepAliveRequests', map { ['GET /small.txt HTTP/1.1', $host->('test'), 'Connection: keep-alive'] } 1 .. 9],
    ['codings', (map { ['GET /about.html HTTP/1.1', $host->('test'), "Accept-Encoding: $_"] } qw(br gzip identity)), ['GET / HTTP/1.1', $host->('test'), $last]],
    ['1.0', ['GET /small.txt HTTP/1.0', $host->('test')]],
    ['1.0, kept', ['GET /small.txt HTTP/1.0', $host->('test'), 'Connection: Keep-Alive'], ['GET / HTTP/1.0', $host->('test')]],
    ['HEAD', ['HEAD /about.html HTTP/1.1', $host->('test')], ['GET / HTTP/1.1', $host->('test'), $last]],
    ['an empty file', ['GET /empty.txt HTTP/1.1', $host->('test')], ['GET /small.txt HTTP/1.1', $host->('test'), $last]],
    ['a large one', ['GET /big.bin HTTP/1.1', $host->('test')], ['GET /small.txt HTTP/1.1', $host->('test'), $last]],
    ['a range', ['GET /big.bin HTTP/1.1', $host->('test'), 'Range: bytes=5-9'], ['GET /big.bin HTTP/1.1', $host->('test'), 'range: bytes=1-3'],
        ['GET /big.bin HTTP/1.1', $host->('test'), 'Request-Range: bytes=5-9', $last]],
    ['a condition', ['GET /small.txt HTTP/1.1', $host->('test'), 'If-None-Match: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"', $last]],
    ['not found', ['GET /nothing HTTP/1.1', $host->('test')], ['GET /assets/app-DiwrgTda.js HTTP/1.1', $host->('test'), $last]],
    ['a charset', ['GET /charset/a.html HTTP/1.1', $host->('test'), $last]],
    ['a directive', ['GET /cached/a.txt HTTP/1.1', $host->('test'), $last]],
    (map { my $app = $_; ["_headers of $app", ['GET /small.txt HTTP/1.1', $host->($app)], ['GET /about HTTP/1.1', $host->($app), $last]] } qw(own date odd)),
    (map { my $who = $_; ["client $who", ['GET /about HTTP/1.1', $host->('test'), "User-Agent: $who"], ['GET / HTTP/1.1', $host->('test'), $last]] }
        qw(Old10 NoKeep NoVary Else)),
    ['a body', ['GET /small.txt HTTP/1.1', $host->('test'), 'Content-Length: 0'], ['GET /small.txt HTTP/1.1', $host->('test'), 'Expect: 100-continue', $last]],
);
sub logged { my @lines = split /\n/, WH::Httpd::slurp($h->dir . '/httpd/logs/whole.log'); return @lines }
answers('httpd', ["GET /$_ HTTP/1.1", $host->('test'), $last]) for '', sort keys %site;    # all in the cache
answers('httpd', ['GET /about.html HTTP/1.1', $host->('test'), "Accept-Encoding: $_", $last]) for qw(br gzip);
wait_for { logged() == 3 + keys %site } 10, 'the log';
for my $case (@cases) {
    my ($name, @requests) = @$case;
    my (%got, %log);
    for my $way (qw(httpd whole)) {
        my $before = logged();
        $got{$way} = answers($way, @requests);
        my $n = () = $got{$way} =~ /^HTTP\/1\.[01] [2-5]/mg;
        wait_for { logged() >= $before + $n } 10, "$n lines of the log";
        $log{$way} = [ (logged())[ $before .. $before + $n - 1 ] ];
    }
    is($got{whole}, $got{httpd}, "$name: the same bytes");
    like($got{whole}, qr{^HTTP/1\.[01] [2-4]\d\d }, "$name: an answer");
    is_deeply($log{whole}, $log{httpd}, "$name: the same in the log");
}
$h->stop;
is_deeply([ $h->bad_log_lines ], [], "no complaint in the error log");
done_testing;
