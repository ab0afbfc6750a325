#!/usr/bin/perl
# What a static site answers beyond the plain file: codings, conditions and ranges of what is sent, cache
# headers, clean URLs, fallbacks, _redirects and _headers, assets of the release before, types.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;
use WH::Httpd;

my $base = $WH::Httpd::base;
my $types = File::Temp->new;
print {$types} "text/html html\ntext/css css\nvideo/mp2t ts\nimage/vnd.microsoft.icon ico\n";
close $types;
my $h = WH::Httpd->new(
    modules => [qw(proxy proxy_http deflate filter include mime headers dir env setenvif)],
    global => "WiseHostCacheSize 1\nTypesConfig " . $types->filename,
    vhost => <<'CONF',
SetOutputFilter DEFLATE
AddType text/x-special .special
AddType application/x-httpd-php .php
AddHandler server-status .stat
AddOutputFilter INCLUDES .shtml
AddEncoding x-gzip .gz
<Location "/force">
    ForceType text/x-forced
</Location>
CONF
);
chmod 0644, $types->filename;
my $text = join '', map {"line $_ of a page that is worth compressing\n"} 1 .. 400;
my %page = (content => $text, br => "br:$text" =~ s/line \d+//gr, zstd => 'zstd bytes', gzip => 'gzip bytes' x 3);
my %site = (
    'index.html' => "<h1>home</h1>\n", 'about.html' => {%page}, 'docs/index.html' => "docs\n", 'docs/404.html' => "docs 404\n",
    'docs/a.html' => "a\n", '404.html' => "top 404\n", 'assets/index-DiwrgTda.js' => { content => "js\n" x 500, gzip => 'gz' },
    'assets/plain.js' => "plain\n" x 500, 'big.bin' => join('', map { pack 'N', $_ } 1 .. 100_000), 'a.special' => 'x', 'b.ts' => 'x',
    'c.tar.gz' => 'x', 'force/x.html' => 'x', 'x.php' => '<?php', 'x.stat' => 'x', 'x.shtml' => '<!--#echo var="DATE_GMT" -->',
    'space name.html' => "space\n",
);
$h->static(test => \%site);
$h->static(clean => \%site, flags => ['clean']);
$h->start;

sub etag { return '"' . sha256_hex($_[0]) . '"' }
sub takes { return (headers => { 'Accept-Encoding' => $_[0], @_[1 .. $#_] }) }

# ---- codings: chosen, announced, never compressed again ----
for my $case (['br, gzip, zstd', 'br', $page{br}], ['zstd, gzip', 'zstd', $page{zstd}], ['gzip', 'gzip', $page{gzip}],
    ['br;q=0.1, gzip', 'gzip', $page{gzip}], ['br;q=0, zstd;q=0', undef, $text], ['identity', undef, $text])
{
    my ($header, $coding, $body) = @$case;
    for my $turn (qw(first cached)) {
        my $got = $h->get('test', '/about.html', takes($header));
        is("$got->{status} " . ($got->{headers}{'content-encoding'} // 'none'), '200 ' . ($coding // 'none'), "$header: $turn");
        is($got->{body}, $body, "$header: its bytes, and not DEFLATE's");
        is($got->{headers}{etag}, etag($body), "$header: an ETag of its own");
        is($got->{headers}{'content-length'}, length $body, "$header: its length");
        like($got->{headers}{vary}, qr/^Accept-Encoding$/i, "$header: Vary, once");
    }
}
my $got = $h->get('test', '/about.html');
is("$got->{body} $got->{headers}{vary}", "$text Accept-Encoding", 'without the header: the file, and Vary');
$got = $h->get('test', '/about.html', method => 'HEAD', takes('gzip'));
is("$got->{headers}{'content-length'} $got->{headers}{'content-encoding'} [$got->{body}]", length($page{gzip}) . ' gzip []', 'HEAD of a coding');
$got = $h->get('test', '/assets/plain.js', takes('gzip'));
is($got->{headers}{'content-encoding'}, 'gzip', 'a file without variants is left to the administrator\'s DEFLATE');

# ---- conditions and ranges are of what is sent ----
for my $case (
    ['If-None-Match', etag($page{gzip}), 304], ['If-None-Match', etag($text), 200], ['If-None-Match', 'W/' . etag($page{gzip}), 304],
    ['If-None-Match', '"x", ' . etag($page{gzip}), 304], ['If-None-Match', '*', 304], ['If-Match', etag($page{gzip}), 200],
    ['If-Match', '"x"', 412], ['If-Match', '*', 200], ['If-Modified-Since', 'Sun, 06 Nov 1994 08:49:37 GMT', 200])
{
    $got = $h->get('test', '/about.html', takes('gzip', $case->[0] => $case->[1]));
    is($got->{status}, $case->[2], "$case->[0]: $case->[1]: $case->[2]");
}
$got = $h->get('test', '/about.html', takes('gzip', 'If-None-Match' => etag($page{gzip})));
is(join(' ', map { $got->{headers}{$_} // '' } qw(etag vary cache-control)),
    etag($page{gzip}) . ' Accept-Encoding public, max-age=0, must-revalidate', '304 says ETag, Vary and Cache-Control');
$got = $h->get('test', '/about.html', takes('gzip', Range => 'bytes=2-5'));
is("$got->{status} $got->{body} $got->{headers}{'content-encoding'}", '206 ' . substr($page{gzip}, 2, 4) . ' gzip', 'a range of a coding');
$got = $h->get('test', '/about.html', takes('gzip', Range => 'bytes=2-5', 'If-Range' => etag($text)));
is("$got->{status} $got->{body}", "200 $page{gzip}", 'If-Range with the ETag of another coding: all of it');
$got = $h->get('test', '/about.html', takes('gzip', Range => 'bytes=-3', 'If-Range' => etag($page{gzip})));
is("$got->{status} $got->{body}", '206 ' . substr($page{gzip}, -3), 'If-Range with its own: the range');
$got = $h->get('test', '/about.html', headers => { Range => 'bytes=0-3,10-13' });
like($got->{headers}{'content-type'}, qr{^multipart/byteranges}, 'two ranges');
like($got->{body}, qr/line\r\n.*\Q@{[ substr $text, 10, 4 ]}\E/s, 'of the right bytes');
is($h->get('test', '/about.html', headers => { Range => 'bytes=999999-' })->{status}, 416, 'a range behind the end: 416');
$got = $h->get('test', '/big.bin', headers => { Range => 'bytes=399990-' });
is("$got->{status} " . length $got->{body}, '206 10', 'a range of a file that is too large for the cache');
ok($h->get('test', '/big.bin')->{body} eq $site{'big.bin'}, 'and all of it');

# ---- cache headers ----
is($h->get('test', '/assets/index-DiwrgTda.js')->{headers}{'cache-control'}, 'public, max-age=31536000, immutable', 'a hashed name is immutable');
is($h->get('test', $_)->{headers}{'cache-control'}, 'public, max-age=0, must-revalidate', "$_ is asked for again")
    for qw(/ /assets/plain.js /none);

# ---- types: mod_mime's tables, and nothing else of it ----
for my $case (['/', 'text/html;charset=utf-8'], ['/a.special', 'text/x-special;charset=utf-8'], ['/b.ts', 'video/mp2t'],
    ['/force/x.html', 'text/x-forced'], ['/c.tar.gz', 'application/octet-stream'])
{
    is($h->get('test', $case->[0])->{headers}{'content-type'}, $case->[1], "$case->[0] is $case->[1]");
}
is($h->get('test', "/$_")->{body}, $site{$_}, "XG14 $_: no handler, no filter by its name") for qw(x.php x.stat x.shtml);

# ---- clean URLs ----
for my $case (['/about', 200, $text], ['/about.html', 301, '/about'], ['/about/', 301, '/about'], ['/about.html?q=a%20b', 301, '/about?q=a%20b'],
    ['/', 200, "<h1>home</h1>\n"], ['/index.html', 301, '/'], ['/docs', 301, '/docs/'], ['/docs/index.html', 301, '/docs/'],
    ['/docs/a', 200, "a\n"], ['/docs/nope', 404, "docs 404\n"], ['/space%20name.html', 301, '/space%20name'],
    ['/none', 404, "top 404\n"], ['//evil.example/about.html', 404, undef], ['/%5cevil.example/', 404, undef])
{
    my ($path, $status, $want) = @$case;
    $got = $h->get('clean', $path);
    is($got->{status}, $status, "clean $path: $status");
    is($status == 301 ? $got->{headers}{location} : $got->{body}, $want, "clean $path: where or what") if defined $want;
    unlike($got->{headers}{location} // '/', qr{^(?!/(?![/\\]))}, "clean $path: no foreign redirect");
}
is($h->get('clean', '/about', headers => { 'Accept-Encoding' => 'br' })->{body}, $page{br}, 'a clean URL has codings, too');

# ---- fallbacks ----
$h->static(own => { 'index.html' => "home\n", '200.html' => "app\n" });
is($h->get('own', '/users/7')->{body}, "app\n", '200.html answers page routes');
is($h->get('own', '/x.js')->{status}, 404, 'and no script');
$h->static(plain => { 'index.html' => "home\n" });
is($h->get('plain', '/users/7')->{status}, 404, 'F301 no fallback unless asked');

# ---- _redirects and _headers ----
my %rules = (
    'index.html' => "home\n", 'docs/a.html' => "a\n", 'gone.html' => "gone\n", 'kept.html' => "kept\n", 'style.css' => "css\n",
    '_redirects' => <<'RULES', '_headers' => <<'RULES');
/old           /new
/blog/:y/:s    /posts/:s?y=:y   302
/kept.html     /never
/style.css     /other.css  307!
/r/*           /docs/:splat  200
/gone/*        /gone.html  410
/out/*         https://other.example/:splat  308
/up/*          /:splat
/x             /y  302 Country=de
/bad           //evil.example/
/*             /index.html  200
RULES
/*
  X-Frame-Options: DENY
  Set-Cookie: a=b
  Connection: close
/docs/*
  ! X-Frame-Options
  Cache-Control: public, max-age=60
  X-Two: one
  X-Two: two
/kept.html
  Content-Type: text/plain
RULES
$h->static(rules => \%rules);
for my $case (['/old', 301, '/new'], ['/old?a=1', 301, '/new?a=1'], ['/blog/24/x%26y?z=1', 302, '/posts/x%26y?y=24'], ['/style.css', 307, '/other.css'],
    ['/out/a/b', 308, 'https://other.example/a/b'], ['/up//evil.example/', 301, '/evil.example/'], ['/up/%5c%5cevil.example', 301, '/%5C%5Cevil.example'],
    ['/up/%0d%0aSet-Cookie:a=b', 301, '/Set-Cookie:a%3Db'])
{
    $got = $h->get('rules', $case->[0]);
    is("$got->{status} " . ($got->{headers}{location} // ''), "$case->[1] $case->[2]", "_redirects $case->[0]");
    ok(!exists $got->{headers}{'set-cookie'}, 'and no header out of a path');
}
for my $case (['/kept.html', 200, "kept\n"], ['/r/a.html', 200, "a\n"], ['/gone/x', 410, "gone\n"], ['/x', 200, "home\n"], ['/bad', 200, "home\n"],
    ['/any/thing', 200, "home\n"], ['/_redirects', 404, undef], ['/_headers', 404, undef])
{
    $got = $h->get('rules', $case->[0]);
    is($got->{status}, $case->[1], "_redirects $case->[0]: $case->[1]");
    is($got->{body}, $case->[2], "_redirects $case->[0]: what") if defined $case->[2];
}
$got = $h->get('rules', '/');
is(join('|', map { $got->{headers}{$_} // '-' } qw(x-frame-options set-cookie)), 'DENY|-', '_headers: what may be set, and what not');
$got = $h->get('rules', '/docs/a.html');
is(join('|', map { $got->{headers}{$_} // '-' } qw(x-frame-options cache-control x-two x-content-type-options)), '-|public, max-age=60|one, two|nosniff',
    '_headers: taken off, put over ours, joined');
is($h->get('rules', '/kept.html')->{headers}{'content-type'}, 'text/plain', '_headers: a type');
like($h->log_text, qr/_redirects line 9: conditions are not supported: Country=de/, 'what was not taken stands in the log');

# ---- assets of the release before ----
my $before = $h->release({ 'index.html' => "before\n", 'old.js' => "old\n", 'old.html' => "old\n" });
my $now = $h->release({ 'index.html' => "now\n", '_redirects' => "/* /index.html 200\n" });
my %both = (host => 'tabs', kind => 'static', slug => 'tabs', release => $now, previous_release => $before);
$h->routes({ %both, previous_until => (time + 3600) * 1_000_000 });
$got = $h->get('tabs', '/old.js');
is("$got->{body} $got->{headers}{'cache-control'}", "old\n public, max-age=60", 'an asset of the release before is found, for short');
is($h->get('tabs', $_)->{body}, "now\n", "but $_ is of the new one") for qw(/ /old.html);
$h->routes({ %both, previous_until => (time - 1) * 1_000_000 });
is($h->get('tabs', '/old.js')->{body}, "now\n", 'until its time is over');
$h->routes({ %both, previous_release => 'b' x 40, previous_until => (time + 3600) * 1_000_000 });
is($h->get('tabs', '/old.js')->{status}, 200, 'a release before that was collected is no error');
$h->routes({ host => 'pre', kind => 'static', slug => 'pre', release => $now, flags => ['preview'] });
is($h->get('pre', '/')->{headers}{'x-robots-tag'}, 'noindex', 'a preview is not for search engines');

# ---- the cache holds no more than it may, and content stays right ----
my %many = map { ("f$_.txt" => "$_ " x 8000) } 1 .. 150;
$h->static(many => \%many);
my $wrong = grep { $h->get('many', "/f$_.txt")->{body} ne $many{"f$_.txt"} } (1 .. 150, 1 .. 150);
is($wrong, 0, '2.4 MB of files through a cache of 1 MiB: every answer is right');

is($h->stop, 0, 'httpd stops');
is_deeply([$h->bad_log_lines], [], 'the error log is clean');
done_testing();
