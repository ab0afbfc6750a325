#!/usr/bin/perl
# A static site over TLS and HTTP/2, as httpd is set up: the same content, codings, conditions and ranges as
# over HTTP/1.1, from the cache and from files, many streams at once; and what stands before it holds. A container
# application the same way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Temp ();
use Test::More;
use WH::Backend;
use WH::Http qw(json_decode);
use WH::Httpd;

my $base = $WH::Httpd::base;
my $cert = File::Temp::tempdir(CLEANUP => 1);
system(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch -subj), "/CN=*.$base", '-addext', "subjectAltName=DNS:*.$base,DNS:$base",
    '-keyout', "$cert/key", '-out', "$cert/crt") == 0 or die 'openssl';
my $h = WH::Httpd->new(modules => [qw(proxy proxy_http ssl http2 headers)], vhost => <<"CONF");
SSLEngine On
SSLCertificateFile $cert/crt
SSLCertificateKeyFile $cert/key
Protocols h2 http/1.1
Header set X-Admin yes
<Location "/closed">
    Require all denied
</Location>
CONF
my $big = join '', map {"line $_ of a file that is longer than a window of HTTP/2\n"} 1 .. 20_000;
my %site = ('index.html' => "<h1>home</h1>\n", 'big.txt' => $big, 'closed/x.txt' => "closed\n", 'docs/index.html' => "docs\n",
    'page.html' => { content => "page\n" x 500, gzip => 'gzip bytes', br => 'br bytes' }, map { ("f$_.txt" => "file $_\n" x 600) } 1 .. 60);
$h->static(test => \%site);
my $backend = WH::Backend->new(name => 'shop');
$h->routes({ host => 'shop', kind => 'proxy', slug => 'shop', upstreams => [ { address => '127.0.0.1', port => $backend->port + 0 } ] });
WH::Httpd::spew("$cert/body.bin", 'x' x 300_000);
$h->start;
$h->allow_log(qr/AH01906|AH01873|AH01630/);    # its own certificate, no session cache, denials

# (headers of the last answer, lower case names; body), by curl: HTTP/2 with ALPN, or what the options say.
sub curl {
    my ($path, @options) = @_;
    my $name = $path =~ s{^(\w+):}{} ? "$1.$base" : "test.$base";
    my @cmd = ('curl', '-sS', '--max-time', 10, '--cacert', "$cert/crt", '--resolve', "$name:" . $h->port . ':127.0.0.1', '-D', "$cert/head",
        '-o', "$cert/body", '-w', '%{http_version} %{http_code}', @options, "https://$name:" . $h->port . $path);
    open my $out, '-|', @cmd or die "curl: $!";
    my $line = <$out> // '';
    close $out;
    my %head = map { /^([\w-]+): (.*?)\r?$/ ? (lc $1 => $2) : () } split /\n/, WH::Httpd::slurp("$cert/head");
    return ($line, \%head, WH::Httpd::slurp("$cert/body"));
}

# With prefork mod_http2 is not active.
my $has_h2 = $h->{mpm} ne 'prefork';
for my $version ($has_h2 ? '2' : (), '1.1') {
    my @v = $version eq '2' ? '--http2' : '--http1.1';
    for my $turn (qw(first cached)) {
        my ($line, $head, $body) = curl('/', @v);
        is("$line $body", "$version 200 $site{'index.html'}", "HTTP/$version: the page, $turn");
        is($head->{etag}, '"' . sha256_hex($site{'index.html'}) . '"', 'its ETag');
        is("$head->{'content-length'} $head->{'x-admin'} $head->{'x-content-type-options'}", length($site{'index.html'}) . ' yes nosniff',
            'length, mod_headers, nosniff');
    }
    my ($line, $head, $body) = curl('/page.html', @v, '-H', 'Accept-Encoding: gzip, br');
    is("$line $body $head->{'content-encoding'} $head->{vary}", "$version 200 br bytes br Accept-Encoding", 'the coding that it takes');
    ($line, $head, $body) = curl('/big.txt', @v);
    ok($line eq "$version 200" && $body eq $big, 'a file of more than 1 MB');
    ($line, undef, $body) = curl('/big.txt', @v, '-r', '1000000-1000009');
    is("$line $body", "$version 206 " . substr($big, 1_000_000, 10), 'a range');
    ($line) = curl('/big.txt', @v, '-H', 'If-None-Match: "' . sha256_hex($big) . '"');
    is($line, "$version 304", 'a condition');
    ($line, $head) = curl('/docs', @v);
    is("$line $head->{location}", "$version 301 /docs/", 'a redirect is a path');
    ($line, $head, $body) = curl('/page.html', @v, '-I');
    is("$line $head->{'content-length'}", "$version 200 2500", 'HEAD');
    ($line, undef, $body) = curl('/closed/x.txt', @v);
    is($line, "$version 403", 'what is closed in a <Location> is closed');
    unlike($body, qr/closed\n/, 'and its content does not come');
    ($line) = curl('/none', @v);
    is($line, "$version 404", 'nothing there: 404');

    ($line, $head, $body) = curl('shop:/echo/a%20b?q=%2F', @v, '-H', 'X-Forwarded-Proto: http', '-H', 'X-Forwarded-For: 192.0.2.1');
    my $in = json_decode($body);
    is("$line $in->{path} $in->{headers}{host}", "$version 200 /echo/a%20b?q=%2F shop.$base:" . $h->port, 'a container: path and host as they were asked for');
    is(join(' ', @{ $in->{headers} }{map {"x-forwarded-$_"} qw(proto port for)}), 'https ' . $h->port . ' 127.0.0.1', 'it came by TLS, from here');
    is($head->{'x-request-id'}, $in->{headers}{'x-request-id'}, 'its request id');
    (undef, undef, $body) = curl('shop:/echo', @v, '--data-binary', "\@$cert/body.bin");
    is(json_decode($body)->{length}, 300_000, 'a body arrives whole');
    (undef, undef, $body) = curl('shop:/slow', @v);
    like($body, qr/data: 1.*data: 3/s, 'a stream ends');
    ($line) = curl('shop:/echo', @v, '-I');
    is($line, "$version 200", 'HEAD');
    ($line) = curl('shop:/closed/x', @v);
    is($line, "$version 403", 'a closed <Location>');
}

# Many streams on one connection, twice: contents are shared between threads while some go out.
for my $round ($has_h2 ? (1, 2) : ()) {
    my $name = "test.$base";
    my @cmd = ('curl', '-sS', '-Z', '--parallel-max', 30, '--max-time', 20, '--stderr', "$cert/err", '--http2', '--cacert', "$cert/crt", '--resolve', "$name:" . $h->port . ':127.0.0.1');
    push @cmd, "https://$name:" . $h->port . "/f$_.txt", '-o', "$cert/f$_" for 1 .. 60;
    push @cmd, "https://$name:" . $h->port . '/big.txt', '-o', "$cert/big";
    is(system(@cmd), 0, 'many streams at once');
    is((grep { WH::Httpd::slurp("$cert/f$_") ne $site{"f$_.txt"} } 1 .. 60), 0, 'each with its own content');
    ok(WH::Httpd::slurp("$cert/big") eq $big, 'the large one too');
}

is($h->stop, 0, 'httpd stops');
is_deeply([$h->bad_log_lines], [], 'the error log is clean');
done_testing();
