# Access rules on applications: Require ip, Basic, another's module, in <Location> and with WiseHostApp of a
# .htaccess; on every path, over HTTP/2 with TLS, on what is in the cache; all previews by one rule. Other modules' fixups
# and output filters. Notes in the access log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Path qw(make_path);
use MIME::Base64 qw(encode_base64);
use Test::More;
use WH::Backend;
use WH::Httpd;
use WH::Wait qw(try_for wait_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(modules => [qw(proxy proxy_http alias dir mime ssl http2 headers env setenvif filter substitute deflate ext_filter
    authz_user authn_file auth_basic auth_pubtkt)], workers => 25);
my ($dir, $port) = ($h->dir, $h->port);
chomp(my $hash = `openssl passwd -apr1 -salt abcdefgh secret`);
WH::Httpd::spew("$dir/users", "anna:$hash\n");
system("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $dir/ticket.key 2>/dev/null && openssl pkey -in $dir/ticket.key -pubout -out $dir/ticket.pub") == 0
    or die 'openssl';
my $basic = "AuthType Basic\nAuthName x\nAuthUserFile $dir/users\n";
$h->{global} = <<"CONF";
Protocols h2 http/1.1
TypesConfig /dev/null
WiseHostBaseDomain $base
TKTAuthPublicKey $dir/ticket.pub
TKTAuthDigest SHA256
ExtFilterDefine upper mode=output cmd="/usr/bin/tr a-z A-Z"
LogFormat "%U app=%{wh-app}n dep=%{wh-deployment}n env=%{wh-environment}n preview=%{wh-preview}n cache=%{wh-cache}n up=%{wh-upstream}n tries=%{wh-retries}n id=%{wh-request-id}n" notes
CustomLog $dir/log/notes.log notes
<Directory "$dir/docs">
    AllowOverride FileInfo AuthConfig
    Require all granted
</Directory>
CONF
$h->{vhost} = <<"CONF";
<Location "/">
    $basic
    <RequireAny>
        Require wisehost-kind production unknown
        Require valid-user
    </RequireAny>
</Location>
<Location "/ip">
    Require ip 192.0.2.1
</Location>
<Location "/basic">
    AuthMerging And
    Require valid-user
</Location>
<Location "/ticket">
    AuthType mod_auth_pubtkt
    TKTAuthLoginURL https://login.example.test/
    Require valid-user
</Location>
<Location "/only">
    Require wisehost-app shop
</Location>
<Location "/staging">
    Require wisehost-environment staging
</Location>
SetEnv WHO fixups
Header set X-From "%{WHO}e"
<Location "/filters">
    AddOutputFilterByType SUBSTITUTE text/html
    Substitute "s|old|new|"
</Location>
<Location "/upper">
    SetOutputFilter upper
</Location>
<Location "/deflate">
    SetOutputFilter DEFLATE
</Location>
CONF
my $vhost = $h->{vhost};
my $shared_vhost = "ServerName shared.example.test\nWiseHostAllowApps site shop\n";
system(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch -subj), "/CN=$base", '-keyout', "$dir/tls.key", '-out', "$dir/tls.crt") == 0
    or die 'openssl';
# The same sites once more, over TLS.
my $tls = WH::Httpd::free_port();
my $tls_vhosts = sub {
    my ($rules) = @_;
    my $ssl = "SSLEngine On\nSSLCertificateFile $dir/tls.crt\nSSLCertificateKeyFile $dir/tls.key\n";
    my $engine = "ServerName $base\nServerAlias *.$base\nWiseHostEngine On\nWiseHostBaseDomain $base\n";
    return "<VirtualHost 127.0.0.1:$port>\n$shared_vhost</VirtualHost>\nListen 127.0.0.1:$tls\n"
        . join '', map {"<VirtualHost 127.0.0.1:$tls>\n$_$ssl</VirtualHost>\n"} "$engine$rules", $shared_vhost;
};
$h->{vhosts} = $tls_vhosts->($vhost);
make_path(map {"$dir/docs/$_"} qw(mounted kind shopdir));
WH::Httpd::spew("$dir/docs/mounted/.htaccess", "WiseHostApp site\n${basic}Require valid-user\n");
WH::Httpd::spew("$dir/docs/kind/.htaccess", "WiseHostApp site\n${basic}Require wisehost-app shop\n");
WH::Httpd::spew("$dir/docs/shopdir/.htaccess", "WiseHostApp shop\n${basic}Require wisehost-app shop\n");
my %files = map { ("$_/index.html" => "<p>old $_</p>\n", "$_/a.txt" => "text of $_\n") } qw(ip basic ticket only staging filters upper deflate later sub);
$files{'index.html'} = "home\n";
$files{'deflate/big.txt'} = "again and again\n" x 500;
$h->static(site => \%files);
my $release = $h->static(staged => \%files, environment => 'staging', spa => JSON::PP::true());
$h->routes({ host => 'branch--site', kind => 'static', slug => 'site', release => $release, flags => ['preview'], environment => 'branch' });
my $backend = WH::Backend->new(name => 'shop');
my @up = (upstreams => [ { address => '127.0.0.1', port => $backend->port + 0 } ]);
$h->routes({ host => 'shop', kind => 'proxy', slug => 'shop', @up }, { host => 'stopped', kind => 'maintenance', slug => 'stopped' });
$h->start;
$h->allow_log(qr/AH01630|AH01617|TKT|pubtkt/, qr/AH01906|AH01909|AH01873/);

my %anna = (headers => { Authorization => 'Basic ' . encode_base64('anna:secret', '') });
my $as = sub { my ($host) = @_; return sub { my ($path, %o) = @_; $h->request(host => $host, path => $path, %o) } };
my ($site, $staged, $branch, $shop, $shared) = map { $as->($_) } map({"$_.$base"} qw(site staged branch--site shop)), 'shared.example.test';

# ---- every path and method ----
my @tricks = ('/X/a.txt', '/X/', '/X', '/X/index.html', '/X/none', '//X/a.txt', '/./X/a.txt', '/sub/../X/a.txt', '/sub/%2e%2e/X/a.txt',
    '/X/./a.txt', '/X//a.txt', '/X/%61.txt', '/X/.hidden', '/X/a.txt?x=/sub');
my %closed = (ip => [ 403, $site ], basic => [ 401, $site ], ticket => [ 307, $site ]);
for my $app ([ static => $site ], [ spa => $staged ], [ container => $shop ], [ maintenance => $as->("stopped.$base") ]) {
    my ($kind, $ask) = @$app;
    for my $rule (sort keys %closed) {
        my @open = grep { my $got = $ask->(s/X/$rule/r); $got->{status} != $closed{$rule}[0] || $got->{body} =~ /text of|old|"path"/ } @tricks;
        is_deeply(\@open, [], "$kind, $rule: closed on every path");
        @open = grep { $ask->("/$rule/a.txt", method => $_)->{status} != $closed{$rule}[0] } qw(HEAD POST OPTIONS PUT DELETE);
        is_deeply(\@open, [], "$kind, $rule: with every method");
    }
}

# ---- over HTTP/2, one connection a list ----
# (status of each path) of a host; -u … as a client with the password. With prefork mod_http2 is not active.
my $version = $h->{mpm} eq 'prefork' ? '1.1' : '2';
my $h2 = sub {
    my ($host, $options, @paths) = @_;
    my $urls = join ' ', map {"-o /dev/null 'https://$host$_'"} @paths;
    my $got = `curl -sS --path-as-is --http2 --insecure --connect-to ::127.0.0.1:$tls -w '%{url} %{http_version} %{http_code}\n' $options $urls`;
    my %status = map { m{^https://[^/]*(.*) \Q$version\E (\d+)$} ? ($1 => $2) : () } split /\n/, $got;
    return map { $status{$_} // 'none' } @paths;
};
for my $app ([ static => "site.$base" ], [ spa => "staged.$base" ], [ container => "shop.$base" ], [ maintenance => "stopped.$base" ]) {
    my ($kind, $host) = @$app;
    for my $rule (sort keys %closed) {
        my @paths = map {s/X/$rule/r} @tricks;
        is_deeply([ $h2->($host, '', @paths) ], [ ($closed{$rule}[0]) x @paths ], "HTTP/2: $kind, $rule: closed on every path");
    }
}
is_deeply([ map { $h2->("$_.$base", '-u anna:secret', '/basic/a.txt', '/ip/a.txt') } qw(site shop) ], [ 200, 403, 200, 403 ], 'HTTP/2: with the password');
is_deeply([ $h2->("branch--site.$base", '', '/', '/none', '/a.txt'), $h2->("branch--site.$base", '-u anna:secret', '/') ], [ 401, 401, 401, 200 ],
    'HTTP/2: Require wisehost-kind');
is($site->('/basic/a.txt', %anna)->{body}, "text of basic\n", 'Basic: with the password');
is($shop->('/basic/a.txt', %anna)->{json}{path}, '/basic/a.txt', 'a container too');

# ---- a module of somebody else's: mod_auth_pubtkt ----
my $ticket = 'uid=anna;validuntil=' . (time + 600);
WH::Httpd::spew("$dir/ticket.txt", $ticket);
my $sig = encode_base64(scalar `openssl dgst -sha256 -sign $dir/ticket.key $dir/ticket.txt`, '');
(my $cookie = "$ticket;sig=$sig") =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
my %with = (headers => { Cookie => "auth_pubtkt=$cookie" });
is($site->('/ticket/a.txt', %with)->{body}, "text of ticket\n", 'Require valid-user of mod_auth_pubtkt: with a ticket');
is($shop->('/ticket/a.txt', %with)->{json}{path}, '/ticket/a.txt', 'a container too');
like($site->('/ticket/a.txt')->{headers}{location} // '', qr{^https://login\.example\.test/}, 'without: to its login');

# ---- rules of our own ----
is($branch->('/')->{status}, 401, 'Require wisehost-kind: a preview is closed');
is($branch->('/', %anna)->{body}, "home\n", 'open with the password');
is($branch->('/none')->{status}, 401, 'its 404, too');
is($site->('/')->{status}, 200, 'production is open');
is($as->("nobody.$base")->('/')->{status}, 404, 'and a name that nobody has says so');
is($site->('/only/a.txt')->{status}, 403, 'Require wisehost-app: another application');
is($shop->('/only/a.txt')->{status}, 200, 'this one');
is($site->('/staging/a.txt')->{status}, 403, 'Require wisehost-environment: production');
is($staged->('/staging/a.txt')->{status}, 200, 'that environment');

# ---- WiseHostApp and Require in one .htaccess ----
my @mounted = map {"/mounted$_"} '', '/', '/ip/a.txt', '/none', '/sub', '/sub/', '/./sub/a.txt', '//sub/a.txt', '/sub/../sub/a.txt', '/sub/%61.txt';
is_deeply([ grep { $shared->($_)->{status} != 401 } @mounted ], [], '.htaccess: Require holds on every path of the application');
is_deeply([ $h2->('shared.example.test', '', @mounted) ], [ (401) x @mounted ], '.htaccess: over HTTP/2 too');
is_deeply([ $h2->('shared.example.test', '-u anna:secret', qw(/mounted/sub/a.txt /kind/sub/a.txt /shopdir/x)) ], [ 200, 403, 200 ],
    '.htaccess: over HTTP/2 with the password');
is($shared->('/mounted/sub/a.txt', %anna)->{body}, "text of sub\n", 'open with the password');
is($shared->('/kind/sub/a.txt', %anna)->{status}, 403, '.htaccess: Require wisehost-app of another');
is($shared->('/shopdir/x', %anna)->{json}{path}, '/x', 'of this one');

# ---- what was in the cache before the rule came ----
is($site->('/later/a.txt')->{status}, 200, 'a file is open');
ok(try_for(sub { $site->('/later/a.txt'); $h->log_text('notes.log') =~ m{/later/a\.txt app=site .*cache=hit} }, 10), 'and in the cache');
$h->{vhost} = "$vhost<Location \"/later\">\nRequire valid-user\n</Location>\n";
$h->{vhosts} = $tls_vhosts->($h->{vhost});
$h->write_conf;
$h->signal('USR1');
wait_for { $site->('/later/a.txt')->{status} == 401 } 15, 'the new rule';
is_deeply([ grep { $site->('/later/a.txt')->{status} != 401 } 1 .. 20 ], [], 'a rule that came later holds');
is_deeply([ map { $h2->("site.$base", $_, '/later/a.txt') } '', '-u anna:secret', '-u anna:secret', '' ], [ 401, 200, 200, 401 ],
    'over HTTP/2 too, also when the file is in the cache again');

# ---- fixups and output filters of other modules ----
is($site->('/')->{headers}{'x-from'}, 'fixups', 'fixups and headers of other modules');
is($shop->('/')->{headers}{'x-from'}, 'fixups', 'a container, too');
is($site->('/filters/')->{body}, "<p>new filters</p>\n", 'mod_substitute');
is($site->('/upper/a.txt')->{body}, "TEXT OF UPPER\n", 'mod_ext_filter');
my $got = $site->('/deflate/big.txt', headers => { 'Accept-Encoding' => 'gzip' });
is($got->{headers}{'content-encoding'}, 'gzip', 'mod_deflate, where there is no variant');
cmp_ok(length $got->{body}, '<', 1000, 'it is smaller');

# ---- notes ----
$staged->('/a.txt');
$shop->('/notes');
wait_for { $h->log_text('notes.log') =~ m{^/notes app}m } 5, 'the access log';
my $log = $h->log_text('notes.log');
like($log, qr{^/notes app=shop dep=01b+ env=production preview=- cache=- up=127\.0\.0\.1:\d+ tries=- id=\w+$}m, 'notes of a container');
like($log, qr{^/later/a\.txt app=site dep=01b+ env=production preview=- cache=miss up=- tries=- id=}m, 'notes of a static file');
like($log, qr{^/ app=site dep=01b+ env=branch preview=1 }m, 'notes of a preview');
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
done_testing();
