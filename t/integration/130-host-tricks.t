#!/usr/bin/perl
# Host and path tricks, each with its one right answer: what a client can say of where it wants to go, over
# HTTP/1.0, 1.1 and 2, towards a static site, an application, an unknown name, an existing site and the API.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Backend;
use WH::H2 qw(h2_request);
use WH::Httpd;

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(modules => [qw(proxy proxy_http dbd http2)], vhosts => '', vhost => '<Location "/locked">
        Require all denied
    </Location>');
my $db = $h->state . '/wisehost.db';
$h->keys;
system(WH::Httpd::tool('wh-db-seed'), 'migrate', 'sqlite3', $db) == 0 or die 'no database';
chown +(getpwnam 'www-data')[ 2, 3 ], $db;
chmod 0660, $db;
$h->{vhosts} = <<"CONF";
<VirtualHost 127.0.0.1:@{[ $h->port ]}>
    ServerName api.example.test
    ServerAlias localhost
    WiseHostAPI On
    WiseHostBaseDomain $base
</VirtualHost>
CONF
$h->{global} = <<"CONF";
Protocols h2c http/1.1
DBDriver sqlite3
DBDParams "file:$db?mode=rw"
DBDMin 0
DBDKeep 1
CONF
WH::Httpd::spew($h->dir . '/docs/index.html', "existing site\n");
my $backend = WH::Backend->new;
$h->static(test => { 'index.html' => "static site\n", 'a.txt' => "static file\n" });
$h->routes({ host => 'web', kind => 'proxy', slug => 'web', upstreams => [ { address => '127.0.0.1', port => $backend->port + 0, weight => 1 } ] });
$h->start;
$h->allow_log(qr/AH10244|AH00026|AH01630|AH02429|AH00559|AH0\d+: .*(?:hostname|Host)/i);

# ---- asking --------------------------------------------------------------------------------------------
# What an answer is: its status, and whose it is.
sub whose {
    my ($status, $body) = @_;
    my $who = $body =~ /static/ ? 'static' : $body =~ /"path":"([^"]*)"/ ? "app $1" : $body =~ /existing site/ ? 'site'
        : $body =~ /No such deployment/ ? 'unknown' : $body =~ /urn:wisehost:problem:(\w+)|"status":"(ok)"/ ? 'api ' . ($1 // $2) : '';
    return $status =~ /^(?:400|0)$/ ? $status : "$status $who" =~ s/ \z//r;
}
sub ask { my ($bytes) = @_; my ($status, $all) = $h->raw($bytes); return whose($status, $all) }
# A Host line as it stands, in each version.
my %over = (
    '1.0' => sub { my ($host, $path) = @_; return ask("GET $path HTTP/1.0\r\nHost: $host\r\n\r\n") },
    '1.1' => sub { my ($host, $path) = @_; return ask("GET $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n") },
    '2' => sub { my ($host, $path) = @_; return whose(h2_request($h->port, [ ':method' => 'GET', ':scheme' => 'http', ':authority' => $host, ':path' => $path ])) },
);
sub show { my ($text) = @_; $text = substr($text, 0, 30) . '… ' . length($text) . ' bytes' if length $text > 70; return $text =~ s/([^\x20-\x7e…])/sprintf '\\x%02x', ord $1/ger }
sub table {
    my ($title, $ask, @rows) = @_;
    my @wrong;
    for my $row (@rows) {
        my ($what, $want) = @$row;
        my $got = $ask->($what);
        push @wrong, show($what) . ": wanted $want, got $got" if ref $want ? $got !~ $want : $got ne $want;
    }
    return is(join("\n", @wrong), '', "$title: " . @rows . ' cases');
}

# ---- hosts ---------------------------------------------------------------------------------------------
# Spellings of a name N (UC: in upper case) that are this name, and those that are none.
my @same = qw(N UC N. N:80 N:8080 N:65535 UC.:80 N.:80);
my @bad = ('N:', 'N:0', 'N:65536', 'N:99999', 'N:abc', 'N:-1', 'N:+80', 'N:80:80', 'N:8 0', 'N..', '.N', 'N%2e', 'N%252e', 'N%00', 'N%20', '%4e', 'N%', "N\\", 'N/', 'N/x', 'N?x',
    'N#x', 'user@N', 'user:pw@N', '@N', 'http://N', '//N', '[N]', 'N x', 'N,N', 'N, evil.test', "N\tx", 'N`', 'N"', "N'", 'N;x', 'N=x', '*N', '(N)', "N\x0bx", "N\x7f", "\xc3\xa9N", "N\xff", "N\0", "\0N");
sub spell { my ($how, $name) = @_; my $uc = uc $name; return $how =~ s/UC/$uc/r =~ s/N/$name/gr }
my %is = ("test.$base" => '200 static', "web.$base" => '200 app /', "nobody.$base" => '404 unknown', 'api.example.test' => '200 api ok');
my @names = sort keys %is;
sub path_of { return $_[0] =~ /^api/ ? '/health' : '/' }
for my $v (qw(1.0 1.1 2)) {
    for my $name (@names) {
        my $ask = sub { $over{$v}->($_[0], path_of($name)) };
        table("XG1 XG6 HTTP/$v, $name as it is said otherwise", $ask, map { [ spell($_, $name), $is{$name} ] } @same, $v == 2 ? () : ("N \t", "\t N:80 "));
        table("XG3 XG6 XG8 HTTP/$v, what is not $name", $ask, map { [ spell($_, $name), $v == 2 ? qr/^(?:400|0)$/ : 400 ] } @bad);
    }
    # Labels, lengths and letters that no name of ours has, but somebody could; addresses.
    table("XG3 XG4 XG8 HTTP/$v, names under the base domain and besides it", sub { $over{$v}->($_[0], '/index.html') },
        [ $base, '404 unknown' ], [ "a.test.$base", '404 unknown' ], [ "xn--tst-bma.$base", '404 unknown' ], [ "te-st.$base", '404 unknown' ], [ "tes.$base", '404 unknown' ],
        [ "te_st.$base", 400 ], [ "_.$base", 400 ], [ "-test.$base", 400 ], [ "test-.$base", 400 ], [ 'x' x 64 . ".$base", 400 ], [ 'x' x 63 . ".$base", '404 unknown' ],
        [ 'x.' x 118 . $base, '404 unknown' ], [ 'x.' x 119 . $base, 400 ], [ 'x' x 8000 . ".$base", 400 ],
        [ "test$base", '200 site' ], [ "test.$base.evil.test", '200 site' ], [ "test.evil.$base.test", '200 site' ], [ "un_der.score.test", '200 site' ], [ 'x' x 300 . '.test', 400 ],
        [ '127.0.0.1', '200 site' ], [ '0x7f.1', 400 ], [ '2130706433', 400 ], [ '[::1]', '200 site' ], [ '[::1]:80', '200 site' ], [ '[::ffff:127.0.0.1]', '200 site' ],
        [ '[::1', 400 ], [ '::1', 400 ], [ '[]', 400 ], [ '[::1]x', 400 ], [ "[::1].$base", 400 ], [ '[fe80::1%eth0]', 400 ], [ 'localhost.', '200 site' ]);
}

# ---- lines of the head ---------------------------------------------------------------------------------
# What follows the request line: one right name, or nothing.
my $test = "test.$base";
table('XG2 Host lines over HTTP/1.1', sub { ask("GET / HTTP/1.1\r\n$_[0]Connection: close\r\n\r\n") },
    [ "Host: $test\r\n", '200 static' ], [ "hOST:$test\r\n", '200 static' ], [ '', 400 ], [ "Host: $test\r\nHost: $test\r\n", 400 ], [ "Host: $test\r\nHost: web.$base\r\n", 400 ],
    [ "Host: web.$base\r\nhost: $test\r\n", 400 ], [ "Host: $test\r\nHost:\r\n", 400 ], [ "Host : $test\r\n", 400 ], [ " Host: $test\r\n", 400 ], [ "Host:\r\n $test\r\n", '200 static' ],
    [ "Host: test\r\n .$base\r\n", 400 ], [ "Host: $test\n", 400 ], [ "Host: $test\rX: y\r\n", 400 ], [ "Host\0: $test\r\n", 400 ], [ "Host: $test\0\r\n", 400 ],
    [ "Host: $test\r\nX-Forwarded-Host: web.$base\r\nX-Host: web.$base\r\nForwarded: host=web.$base\r\n", '200 static' ], [ "Host: $test\r\nX-Original-URL: /a.txt\r\nX-Rewrite-URL: /a.txt\r\n", '200 static' ]);
table('XG2 Host lines over HTTP/1.0', sub { ask("GET /index.html HTTP/1.0\r\n$_[0]\r\n") },
    [ "Host: $test\r\n", '200 static' ], [ '', '200 site' ], [ "Host: $test\r\nHost: web.$base\r\n", 400 ], [ "Host : $test\r\n", 400 ]);

# ---- targets -------------------------------------------------------------------------------------------
# A target with a host of its own goes there, whatever Host says (RFC 9112, 3.2.2).
for my $v (qw(1.0 1.1)) {
    table("XG2 targets over HTTP/$v, Host web", sub { ask("GET $_[0] HTTP/$v\r\nHost: web.$base\r\nConnection: close\r\n\r\n") },
        [ '/', '200 app /' ], [ "http://$test/", '200 static' ], [ 'http://' . uc($test) . './', '200 static' ], [ "HTTP://$test/", '200 static' ], [ "http://$test:8080/", '200 static' ],
        [ "http://$test", '200 static' ], [ "http://nobody.$base/", '404 unknown' ], [ "http://other.test/index.html", '200 site' ], [ 'http://api.example.test/health', '200 api ok' ],
        [ 'http://api.example.test/v1/apps', '401 api unauthorized' ],
        [ "http://user\@$test/", 400 ], [ "http://user:pw\@$test/", 400 ], [ "http://$test:0/", 400 ], [ "http://$test:99999/", 400 ], [ "http://$test%2e/", 400 ], [ "http://$test\\/", 400 ],
        [ "http://te_st.$base/", 400 ], [ 'http:///', 404 ], [ 'http://', 404 ], [ '*', 400 ], [ $test, 400 ], [ "$test:80", 400 ], [ '', 400 ], [ "/ $test/", 400 ], [ "/\t/", 400 ], [ "\t/", 400 ], [ '\\', 400 ]);
}

# ---- HTTP/2 --------------------------------------------------------------------------------------------
my @get = (':method' => 'GET', ':scheme' => 'http');
my $none = qr/^(?:400|0)$/;
table('XG2 pseudo headers of HTTP/2', sub { whose(h2_request($h->port, [ split /\|/, $_[0], -1 ])) }, map { [ join('|', @get, @{ $_->[0] }), $_->[1] ] }
    [ [ ':authority' => $test, ':path' => '/' ], '200 static' ], [ [ ':path' => '/', host => $test ], '200 static' ], [ [ ':path' => '/' ], $none ],
    [ [ ':authority' => $test, ':path' => '/', host => $test ], '200 static' ], [ [ ':authority' => $test, ':path' => '/', host => "web.$base" ], qr/^(?:200 static|400|0)$/ ],
    [ [ ':authority' => $test, ':authority' => "web.$base", ':path' => '/' ], $none ], [ [ ':authority' => $test, ':path' => '/', ':path' => '/a.txt' ], $none ],
    [ [ ':authority' => $test ], $none ], [ [ ':authority' => $test, ':path' => '' ], $none ], [ [ ':authority' => $test, ':path' => 'a.txt' ], $none ], [ [ ':authority' => $test, ':path' => "http://web.$base/" ], $none ],
    [ [ ':authority' => $test, ':path' => '*' ], $none ], [ [ ':authority' => $test, ':path' => "/ HTTP/1.1\r\nHost: web.$base\r\n\r\n" ], $none ], [ [ ':authority' => "$test\r\nX: y", ':path' => '/' ], $none ],
    [ [ ':authority' => $test, ':path' => "/\0" ], $none ], [ [ ':path' => '/', ':authority' => $test, Host => $test ], $none ], [ [ ':path' => '/', host => $test, ':authority' => $test ], $none ]);

# ---- paths ---------------------------------------------------------------------------------------------
for my $v (qw(1.1 2)) {
    my $path = sub { my ($name) = @_; return sub { $over{$v}->($name, $_[0]) } };
    table("XG10 HTTP/$v, paths of a site", $path->($test),
        [ '/a.txt', '200 static' ], [ '/%61.txt', '200 static' ], [ '/./a.txt', '200 static' ], [ '/x/../a.txt', '200 static' ], [ '/a.txt?/../x', '200 static' ],
        [ '/%2e/a.txt', '200 static' ], [ '/x/%2e%2e/a.txt', '200 static' ], [ '//a.txt', '200 static' ],
        (map { [ $_, 404 ] } '/a%2etxt/', '/a.txt/', '/a.txt%00', '/a.txt%00.html', '/%00', '/a.txt%20', '/a.txt;x', '/A.TXT', '/%2561.txt', '/%252e%252e/a.txt', '/..%2fa.txt',
            '/%2e%2e%2fa.txt', '/..%5ca.txt', '/..\\a.txt', '/%c0%ae%c0%ae/a.txt', '/' . 'a' x 6000),
        (map { [ $_, $none ] } '/%u002e/a.txt', '/%', '/%zz', '/%2', '/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..', '/../a.txt'));
    table("HTTP/$v, what the API does not take for its own", $path->('api.example.test'),
        [ '/v1/apps', '401 api unauthorized' ], [ '/v1/nothing', '404 api not_found' ],
        (map { [ $_, '404 api not_found' ] } '/v1//apps', '//v1/apps', '/v1/./apps', '/v1/x/../apps', '/x/../v1/apps', '/%76%31/apps', '/v1/%61pps', '/v1/apps%20', '/v1/apps;x',
            '/v1/apps/', '/%2e/v1/apps', '/v1/apps%3fx', '/v1/apps%23x', '/v1/%2561pps'),
        (map { [ $_, 404 ] } '/v1%2fapps', '/v1/apps%00', '/V1/apps', '/v1\\apps', '/v1/apps%2f', '/v1%2f%2e%2e%2fv1/apps'));
    for my $name ($test, "web.$base") {
        table("HTTP/$v, an access rule holds however its path is said: $name", $path->($name), map { [ $_, '403' ] } '/locked', '/locked/x', '/%6cocked', '//locked', '/./locked', '/x/../locked/y', '/%2e/locked',
            '/x/%2e%2e/locked', '/locked/../locked', '/locked/%2e', '/locked?x', '/locked//x');
    }
    table("HTTP/$v, and what only looks like it is another path", $path->("web.$base"), [ '/locked/../open', '200 app /open' ], [ '/locked/%2e%2e/open?x', '200 app /open?x' ], [ '/lockedx', '200 app /lockedx' ]);
    # An application gets what was sent; but where dots were, the path that access rules were asked about.
    table("XG10 HTTP/$v, paths of an application", $path->("web.$base"),
        (map { [ $_, "200 app $_" ] } '/echo/a%20b', '/echo/%5Bx%5D', '/echo//x', '/echo/x;y', '/echo/%2541', '/echo/%C3%A9', '/echo/x?a=%00', '/echo/x?/../y', '/echo/%5c', '/echo/...', '/echo/.x/..y', '/v1/apps', '/health', '/.env'),
        (map { [ $_->[0], "200 app $_->[1]" ] } [ '/echo/./x', '/echo/x' ], [ '/echo/x/../y', '/echo/y' ], [ '/echo/%2e%2e/y', '/y' ], [ '/echo/x/.%2E/y%20z?q=/../', '/echo/y%20z?q=/../' ], [ '/echo/x/..', '/echo/' ],
            [ '/echo/x/%2e', '/echo/x/' ]),
        (map { [ $_, 404 ] } '/echo/%00', '/echo/%2f'),
        (map { [ $_, $none ] } '/echo/%zz', '/..', '/../x', '/echo/../../x', '/%2e%2e/x'));
}
table('fragments', sub { $over{'1.1'}->(split / /, $_[0]) }, map { [ $_, qr/^(?:400|404)/ ] } "$test /a.txt#x", "$test /#x", "web.$base /echo#x", 'api.example.test /v1/apps#x', 'api.example.test /health#');

$h->stop;
$backend->stop;
is(join("\n", $h->bad_log_lines), '', 'the error log is clean');
done_testing();
