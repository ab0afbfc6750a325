# Static releases by host name: what is served, what is not, and how (no scheduler, no database).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Test::More;
use WH::Httpd;
use WH::Wait qw(wait_for try_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(vhosts => <<"CONF");
<VirtualHost *:*>
    ServerName plain.example.test
</VirtualHost>
CONF
WH::Httpd::spew($h->dir . '/docs/index.html', "main site\n");
WH::Httpd::spew($h->dir . '/docs/plain.txt', "existing file\n");

my $big = join '', map { "line $_ of a file that is longer than a buffer\n" } 1 .. 5000;
my %site = (
    'index.html' => "<h1>home</h1>\n", 'style.css' => "body{}\n", 'app.js' => "let a\n", 'empty.txt' => '',
    'docs/index.html' => "<h1>docs</h1>\n", 'docs/deep/a b.txt' => "space\n", 'docs/404.html' => "docs 404\n",
    '404.html' => "top 404\n", 'big.txt' => $big, 'index.php' => "<?php echo 1;\n", 'x.cgi' => "#!/bin/sh\n",
    'page.shtml' => "<!--#exec cmd=\"id\" -->\n", 'x.php.jpg' => "<?php\n", '.env' => "SECRET=1\n",
    '.git/config' => "[core]\n", '.htaccess' => "SetHandler x\n", 'a/.hidden/b.txt' => "no\n",
    '.well-known/security.txt' => "Contact: x\n", 'name%2e.txt' => "percent\n", "\xc3\xa9.txt" => "e acute\n",
);
my $first = $h->static(test => \%site);
$h->start;
$h->allow_log(qr/AH10244|AH00026/);    # httpd's own word on hostile paths

# ---- content and headers ----
my $got = $h->get('test', '/');
is($got->{status}, 200, 'F300 the site of a route is served');
is($got->{body}, $site{'index.html'}, 'F300 index.html for /');
is($got->{headers}{'content-type'}, 'text/html;charset=utf-8', 'the type comes from the manifest');
is($got->{headers}{'x-content-type-options'}, 'nosniff', 'D5 nosniff');
is($got->{headers}{etag}, '"' . sha256_hex($site{'index.html'}) . '"', 'ETag is the content hash');
is($got->{headers}{'content-length'}, length $site{'index.html'}, 'Content-Length');
like($got->{headers}{'cache-control'}, qr/must-revalidate/, 'a name moves: always revalidated');
is($h->get('test', '/big.txt')->{body}, $big, 'a long file is served whole');
is($h->get('test', '/empty.txt')->{status}, 200, 'an empty file');
is($h->get('test', '/empty.txt')->{headers}{'content-length'}, 0, 'of length 0');
is($h->get('test', '/docs/deep/a%20b.txt')->{body}, "space\n", 'a name with a space');
is($h->get('test', '/%c3%a9.txt')->{body}, "e acute\n", 'a name in UTF-8');
is($h->get('test', '/name%252e.txt')->{body}, "percent\n", 'a percent sign is decoded once');
is($h->get('test', '/.well-known/security.txt')->{body}, "Contact: x\n", '.well-known is served');
is($h->get('test', '/?x=1')->{body}, $site{'index.html'}, 'a query changes nothing');

# ---- conditions, ranges, methods ----
my $etag = '"' . sha256_hex($big) . '"';
is($h->get('test', '/big.txt', headers => { 'If-None-Match' => $etag })->{status}, 304, '304 for the same hash');
is($h->get('test', '/big.txt', headers => { 'If-None-Match' => '"other"' })->{status}, 200, '200 for another');
$got = $h->get('test', '/big.txt', headers => { Range => 'bytes=5-9' });
is($got->{status}, 206, 'a range');
is($got->{body}, substr($big, 5, 5), 'of the right bytes');
$got = $h->get('test', '/big.txt', method => 'HEAD');
is("$got->{status} $got->{headers}{'content-length'} [$got->{body}]", '200 ' . length($big) . ' []', 'HEAD');
$got = $h->get('test', '/', method => 'OPTIONS');
is("$got->{status} $got->{headers}{allow}", '200 GET,HEAD,OPTIONS', 'OPTIONS');
for my $method (qw(POST PUT DELETE PATCH TRACE)) {
    is($h->get('test', '/', method => $method, body => $method eq 'TRACE' ? undef : 'x')->{status}, 405,
        "$method is refused with 405");
}

# ---- directories, 404, SPA ----
$got = $h->get('test', '/docs?q=1');
is("$got->{status} $got->{headers}{location}", '301 /docs/?q=1', 'XG1 the missing slash: a path-only Location');
is($h->get('test', '/docs/')->{body}, $site{'docs/index.html'}, 'index.html of a directory');
for my $case (['/nothing', "top 404\n"], ['/docs/none', "docs 404\n"], ['/docs/deep/none', "docs 404\n"],
    ['/index.html/', "top 404\n"])
{
    $got = $h->get('test', $case->[0]);
    is("$got->{status} $got->{body}", "404 $case->[1]", "404 with the nearest 404.html: $case->[0]");
}
ok(!exists $got->{headers}{etag}, 'a 404 has no ETag');
$h->static(spa => { 'index.html' => "spa\n", 'app.js' => "js\n" }, spa => JSON::PP::true);
for my $path (qw(/users/7 /a/b/c/ /settings)) {
    is($h->get('spa', $path)->{body}, "spa\n", "F301 SPA: $path falls back to index.html");
}
for my $path (qw(/missing.js /img/x.png /api/users /api)) {
    is($h->get('spa', $path)->{status}, 404, "XG12 SPA: $path is 404");
}
is($h->get('spa', '/users/7', headers => { Accept => 'image/png' })->{status}, 404,
    'XG12 SPA: a request for an image is no page');

# ---- hostile paths: nothing of them ever names a file ----
for my $path (qw(/.git/config /.env /.htaccess /.htpasswd /a/.hidden/b.txt /..%2f /%2e%2e/x /%252e%252e/x
    /%5c..%5c /%c0%ae%c0%ae/ /%00 /x%0d%0aSet-Cookie:a=b /;/ /~root/ /%2e%2e%2f%2e%2e%2fetc/passwd
    /../../../../etc/passwd /..;/..;/etc/passwd //evil.example),
    '/' . 'a' x 6000, '/' . 'a/' x 3000, '/nul%00.html', '/etc/passwd', '/objects', '/manifest')
{
    my $n = length $path > 60 ? substr($path, 0, 20) . '...' . length $path : $path;
    $got = $h->get('test', $path);
    like($got->{status}, qr/^(?:400|404|301)$/, "XG10 $n: $got->{status}");
    unlike($got->{body}, qr/root:|SECRET|\[core\]/, "XG10 $n: nothing leaks");
    unlike($got->{headers}{location} // '/', qr{^(?!/(?!/))}, "XG10 $n: no foreign redirect");
}
for my $path (qw(/index.php /x.cgi /page.shtml /x.php.jpg)) {
    is($h->get('test', $path)->{body}, $site{ substr $path, 1 }, "XG14 $path is bytes, never run");
}

# ---- hosts ----
for my $case (['', 400], ['-test', 400], ['x' x 64, 400], ['x' x 8000, 400], ['a..test', 400], ['test%2e', 400],
    ['%2e%2e', 400], ['nobody', 404], ['a.test', 404], ['te_st', 400])
{
    my ($label, $want) = @$case;
    my $n = length $label > 70 ? length($label) . ' bytes' : $label;
    is($h->request(host => "$label.$base", path => '/')->{status}, $want, "XG3 XG8 host $n.$base: $want");
}
$got = $h->request(host => "nobody.$base", path => '/v1/apps');
is($got->{status}, 404, 'R27 F302 an unknown name: 404, not the API');
like($got->{body}, qr/No such deployment/, 'R27 F208 with its page');
ok(!exists $got->{headers}{location}, 'R27 in place, no redirect');
like($got->{headers}{'content-type'}, qr{^text/html}, 'F208 as HTML');
is($h->request(host => $base)->{status}, 404, 'XG8 the base domain itself');
for my $name ("TEST.$base", "test.$base.", "Test.$base:80", "test.$base:99") {
    is($h->request(host => $name)->{body}, $site{'index.html'}, "XG1 XG6 $name is the same site");
}
for my $name ("test.$base:abc", "test.$base:99999", "test.$base:0") {
    is($h->request(host => $name)->{status}, 400, "XG6 $name: 400");
}
for my $name ("evil$base", "test.$base.evil", '[::1]', '127.0.0.1', 'localhost', 'other.example') {
    is($h->request(host => $name, path => '/plain.txt')->{body}, "existing file\n",
        "R19 XG4 XG8 $name: DECLINED to the existing site");
}
isnt($h->request(host => '0x7f.1')->{body}, $site{'index.html'}, 'XG4 0x7f.1 is never a tenant');
my ($status, $all) = $h->raw("GET http://test.$base/ HTTP/1.1\r\nHost: test.$base\r\nConnection: close\r\n\r\n");
like($all, qr/home/, 'absolute-form is legal');

# ---- one transaction moves a name ----
my $second = $h->static(test => { 'index.html' => "second\n" });
isnt($second, $first, 'another release');
is($h->get('test', '/')->{body}, "second\n", 'F300 the next request has the new content, no reload');
is($h->get('test', '/style.css')->{status}, 404, 'nothing of the former release is left');
$h->routes({ host => 'test', release => $first, slug => 'test' });
is($h->get('test', '/')->{body}, $site{'index.html'}, 'and back');
$h->routes({ host => 'test', delete => JSON::PP::true });
is($h->get('test', '/')->{status}, 404, 'XG15 a deleted app: 404');
$h->routes({ host => 'm', kind => 'maintenance' });
$got = $h->get('m', '/');
is($got->{status}, 503, 'maintenance: 503');
ok($got->{headers}{'retry-after'}, 'with Retry-After');

# ---- damage: 503 for that name alone ----
$h->allow_log(qr/WH015[01]|WH0123/);
$h->routes({ host => 'gone', release => 'a' x 40 });
$got = $h->get('gone', '/');
is("$got->{status} $got->{json}{code}", '503 release_missing', 'a missing release: 503 problem');
my $bad = $h->static(bad => { 'index.html' => "0123456789\n" });
my $sha = sha256_hex("0123456789\n");
my $object = $h->state . '/objects/' . substr($sha, 0, 2) . "/$sha";
unlink $object;
symlink '/etc/passwd', $object;
is($h->get('bad', '/')->{json}{code}, 'object_missing', 'D5 an object that is a link is not followed');
for my $kind ([ 'a FIFO', sub { POSIX::mkfifo($object, 0644) } ], [ 'a device', sub { !system 'mknod', '-m', '644', $object, 'c', 1, 5 } ],
    [ 'a socket', sub { IO::Socket::UNIX->new(Local => $object, Listen => 1) } ], [ 'a directory', sub { mkdir $object } ])
{
    my ($what, $make) = @$kind;
    unlink $object;
    ok($make->(), "$what in the place of an object");
    like($h->get('bad', '/')->{json}{code}, qr/^object_(?:missing|corrupt)$/, "XH4 $what is not read, and nobody waits for it");
}
rmdir $object;
WH::Httpd::spew($object, 'short');
is($h->get('bad', '/')->{json}{code}, 'object_corrupt', 'an object of another size: 503');
is($h->get('spa', '/')->{status}, 200, 'other names go on');

# ---- repair by a new table behind the link ----
my $old = readlink $h->state . '/routes';
rename $h->state . '/routes', $h->state . '/routes.old';
$h->static(fresh => { 'index.html' => "fresh\n" });
my $followed = try_for { $h->get('fresh', '/')->{status} == 200 } 5;
ok($followed, 'a swapped link is followed within seconds');
isnt(readlink($h->state . '/routes'), $old, 'to another directory');

is($h->stop, 0, 'httpd stops');
is_deeply([$h->bad_log_lines], [], 'the error log is clean');
done_testing();
