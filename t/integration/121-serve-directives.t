# What directives say of applications: WiseHostApp in all its places, maintenance, presentation, pages of the
# administrator; and where they are refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Path qw(make_path);
use Test::More;
use WH::Backend;
use WH::Httpd;

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(modules => [qw(proxy proxy_http alias dir mime headers)]);
my ($dir, $port) = ($h->dir, $h->port);
my $maintenance = WH::Httpd::spew("$dir/work.html", "<h1>the administrator's page</h1>\n");
my $unknown = WH::Httpd::spew("$dir/unknown.html", "<h1>nobody here</h1>\n");
$h->{global} = <<"CONF";
TypesConfig /dev/null
WiseHostBaseDomain $base
WiseHostMaintenancePage $maintenance
Alias /alias $dir/docs/real
<Directory "$dir/docs">
    AllowOverride FileInfo
    Require all granted
</Directory>
<Directory "$dir/docs/narrow">
    AllowOverride Limit
</Directory>
<Directory "$dir/docs/closed">
    AllowOverride None
</Directory>
CONF
# The base domain's own virtual host.
$h->{vhost} = <<"CONF";
<Location "/always-down">
    WiseHostMaintenance On
</Location>
<If "%{HTTP_HOST} =~ /^held/">
    WiseHostMaintenance On
</If>
CONF
$h->{vhosts} = <<"CONF";
<VirtualHost 127.0.0.1:$port>
    ServerName whole.example.test
    WiseHostApp site
    WiseHostSPA On
    WiseHostCacheControl "public, max-age=60"
    <Location "/plain">
        WiseHostSPA Off
        WiseHostCacheControl None
    </Location>
    <Location "/files">
        WiseHostApp None
    </Location>
    <Location "/shop">
        WiseHostApp shop
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:$port>
    ServerName shared.example.test
    WiseHostAllowApps site clean
    WiseHostNotFoundPage $unknown
    <Location "/journal">
        WiseHostApp site
        WiseHostMaintenance On
    </Location>
    <Location "/journal/open">
        WiseHostMaintenance Off
    </Location>
    <Location "/nobody">
        WiseHostApp nobody
    </Location>
    <Directory "$dir/docs/fixed">
        WiseHostApp clean
        WiseHostCleanURLs Off
    </Directory>
</VirtualHost>
CONF
make_path(map {"$dir/docs/$_"} qw(files fixed narrow closed down spa foreign real badfile files2));
WH::Httpd::spew("$dir/docs/files/a.txt", "from disk\n");
WH::Httpd::spew("$dir/docs/closed/a.txt", "from disk\n");
my %htaccess = (
    spa     => "WiseHostApp site\nWiseHostSPA On\nWiseHostCacheControl \"no-store\"\n",
    down    => "WiseHostApp site\nWiseHostMaintenance On\n",
    foreign => "WiseHostApp secret\n",
    narrow  => "WiseHostApp site\n",
    closed  => "WiseHostApp site\n",
    real    => "WiseHostApp clean\n",
    badfile => "WiseHostMaintenancePage /etc/passwd\n",
    files2  => "<Files x>\nWiseHostSPA On\n</Files>\n",
);
WH::Httpd::spew("$dir/docs/$_/.htaccess", $htaccess{$_}) for keys %htaccess;
my %site = ('index.html' => "site index\n", 'a.css' => "css\n", 'plain/b.css' => "b\n", 'open/index.html' => "open\n",
    '404.html' => "site 404\n", 'about.html' => "about\n", '503.html' => "<p>the site's own 503</p>\n");
$h->static($_ => \%site) for qw(site secret held);
$h->static(clean => { %site, '503.html' => 'x' }, flags => ['clean']);
my $release = $h->release(\%site);
my $backend = WH::Backend->new(name => 'shop');
my @up = (upstreams => [ { address => '127.0.0.1', port => $backend->port + 0 } ]);
$h->routes({ host => 'shop', kind => 'proxy', slug => 'shop', @up },
    { host => 'stopped', kind => 'maintenance', slug => 'stopped' },
    { host => 'shut', kind => 'maintenance', slug => 'shut', release => $release });
$h->start;

my %html = (headers => { Accept => 'text/html' });
my $as = sub { my ($host) = @_; return sub { my ($path, %o) = @_; $h->request(host => $host, path => $path, %o) } };
my ($whole, $shared) = ($as->('whole.example.test'), $as->('shared.example.test'));

# ---- a whole virtual host ----
is($whole->('/')->{body}, "site index\n", 'WiseHostApp of a virtual host: its root is the application');
is($whole->('/a.css')->{body}, "css\n", 'a file of it');
is($whole->('/deep/in/it', %html)->{body}, "site index\n", 'WiseHostSPA On: a page route');
is($whole->('/a.css')->{headers}{'cache-control'}, 'public, max-age=60', 'WiseHostCacheControl goes before the default');
is($whole->('/plain/none', %html)->{status}, 404, 'WiseHostSPA Off in a <Location>');
is($whole->('/plain/b.css')->{headers}{'cache-control'}, undef, 'WiseHostCacheControl None sends none');
is($whole->('/files/a.txt')->{body}, "from disk\n", 'WiseHostApp None: this path stays the site\'s own');
is($whole->('/shop/x')->{json}{path}, '/x', 'another application in a <Location>');
is($h->get('site', '/deep', %html)->{status}, 404, 'elsewhere the application\'s own settings hold');
like($h->get('site', '/a.css')->{headers}{'cache-control'}, qr/must-revalidate/, 'and the default Cache-Control');

# ---- <Directory>, .htaccess, Alias ----
is($shared->('/spa/any/route', %html)->{body}, "site index\n", '.htaccess: WiseHostSPA');
is($shared->('/spa/a.css')->{headers}{'cache-control'}, 'no-store', '.htaccess: WiseHostCacheControl');
is($shared->('/fixed/about.html')->{status}, 200, 'WiseHostCleanURLs Off in a <Directory>');
is($shared->('/alias/about')->{body}, "about\n", "an Alias to a mapped directory: the application's clean URLs hold");
is($shared->('/alias/about.html')->{status}, 301, 'in their one form');

# ---- refused ----
is($shared->('/foreign/')->{status}, 500, '.htaccess: an application that is not allowed');
like($h->log_text, qr/"secret" is not among the WiseHostAllowApps/, 'and the log says so');
is($shared->('/narrow/')->{status}, 500, '.htaccess without FileInfo');
like($h->log_text, qr/WiseHostApp not allowed here/, 'and the log says so');
is($shared->('/closed/a.txt')->{body}, "from disk\n", 'AllowOverride None: .htaccess is not read');
is($shared->('/badfile/x')->{status}, 500, '.htaccess: no file of the server as a page');
like($h->log_text, qr/WiseHostMaintenancePage not allowed here/, 'and the log says so');
is($shared->('/files2/x')->{status}, 500, 'a <Files> section does nothing and is refused');

# ---- maintenance ----
my $got = $shared->('/journal/', %html);
is("$got->{status} $got->{body}", "503 <h1>the administrator's page</h1>\n", "WiseHostMaintenance: the administrator's page");
is($got->{headers}{'retry-after'}, 120, 'with Retry-After');
is($got->{headers}{'cache-control'}, 'no-store', 'kept by nobody');
is($shared->('/journal/open/')->{body}, "open\n", 'Off in a <Location> below');
$got = $shared->('/journal/a.css', headers => { Accept => 'application/json' });
is("$got->{status} $got->{json}{code}", '503 maintenance', 'a program gets a problem document');
is($shared->('/journal/a.css', method => $_)->{status}, 503, "$_ is no way around it") for qw(HEAD POST OPTIONS);
is($shared->('/down/')->{status}, 503, '.htaccess: WiseHostMaintenance');
is($h->get('site', '/always-down/x')->{status}, 503, 'in a <Location> of the applications\' virtual host');
is($h->get('site', '/')->{status}, 200, 'and nowhere else');
is($h->get('held', '/')->{status}, 503, 'in an <If>');
is($h->get('stopped', '/', %html)->{body}, "<h1>the administrator's page</h1>\n", "an application's own maintenance: the same page");
rename $maintenance, "$maintenance.away";
$h->allow_log(qr/WH0190|not allowed here|is not among|does nothing in/);
$got = $h->get('shut', '/', %html);
is("$got->{status} $got->{body}", "503 <p>the site's own 503</p>\n", "that page is gone: the release's 503.html");
is($got->{headers}{'retry-after'}, 120, 'with Retry-After');
is($got->{headers}{'cache-control'}, 'no-store', 'kept by nobody');
like($h->get('stopped', '/', %html)->{body}, qr/not being served/, 'neither: the built-in page');
is(scalar(grep {/WH0190/} split /\n/, $h->log_text), 2, 'and the log says so');
rename "$maintenance.away", $maintenance;

# ---- F208: a name that nobody has ----
$got = $h->get('nobody', '/x', %html);
is($got->{status}, 404, 'F208 an unknown name: 404 in place');
like($got->{body}, qr/No such deployment/, 'F208 with the built-in page');
ok(!exists $got->{headers}{location}, 'F208 R27 never a redirect');
$got = $shared->('/nobody/x');
is("$got->{status} $got->{body}", "404 <h1>nobody here</h1>\n", 'F208 WiseHostNotFoundPage');
$got = $h->get('nobody', '/x', headers => { Accept => 'application/json' });
is("$got->{status} $got->{json}{code}", '404 deployment_not_found', 'F208 a program gets a problem document');
$got = $h->get('nobody', '/%3Cscript%3Ealert(1)%3C/script%3E?<b>', headers => { Accept => 'text/html', 'X-Request-Id' => '<b>hello</b>' });
unlike($got->{body}, qr/script|<b>|nobody/, 'F208 nothing of the request is shown');
is($h->get('nobody', '/x', method => 'POST', body => 'x' x 70000)->{status}, 404, 'F208 a body is read away');
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');

# ---- configtest ----
my $refused = sub {
    my ($global, $vhosts, $like, $what) = @_;
    my $t = WH::Httpd->new(global => $global, vhosts => $vhosts);
    my ($rc, $text) = $t->configtest;
    ok($rc != 0 && $text =~ $like, "configtest refuses $what") or diag("$rc $text");
    return;
};
$refused->("WiseHostApp site\n", '', qr/WiseHostApp: goes into <VirtualHost>/, 'WiseHostApp for the whole server');
$refused->("WiseHostMaintenancePage /nonexistent.html\n", '', qr/is not a file/, 'a page that is not there');
$refused->("WiseHostNotFoundPage /etc\n", '', qr/is not a file/, 'a directory as a page');
$refused->("WiseHostCacheControl \"a\tb\"\n", '', qr/not a value of Cache-Control/, 'control characters in Cache-Control');
$refused->("WiseHostMaintenance Maybe\n", '', qr/must be On or Off/, 'a flag that is none');
$refused->("<Files x>\nWiseHostMaintenance On\n</Files>\n", '', qr/does nothing in <Files>/, 'a section of files');
$refused->("<LocationMatch x>\nWiseHostApp blog\n</LocationMatch>\n", '', qr/one plain path/, 'a pattern');
$refused->('', "<VirtualHost 127.0.0.1:9>\nWiseHostApp blog\n</VirtualHost>\n", qr/WH0108.*needs WiseHostBaseDomain/,
    'WiseHostApp without the base domain');
$refused->("<Location /x>\nRequire wisehost-kind previews\n</Location>\n", '', qr/is none of production, preview/, 'a kind that is none');
$refused->("<Location /x>\nRequire wisehost-app\n</Location>\n", '', qr/names are missing/, 'Require wisehost-app of nothing');
done_testing();
