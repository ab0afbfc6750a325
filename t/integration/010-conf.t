# configtest: what it refuses, in one line that says what to do, and what it only warns of.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Httpd;
use WH::Wait qw(try_for);

my $base = 'apps.example.test';
my @all = qw(proxy proxy_http dbd alias);
my $db = "DBDriver sqlite3\nDBDParams /nonexistent/wisehost.db\n";

# One configtest: (what it is about, modules, text with @DIR@ and @PORT@, expected exit, pattern, keys).
sub configtest {
    my ($about, $text, $rc_wanted, $pattern, %o) = @_;
    my $h = WH::Httpd->new(modules => $o{modules} // \@all);
    $h->keys unless $o{no_keys};
    $o{before}->($h) if $o{before};
    my ($dir, $port) = ($h->dir, $h->port);
    $text =~ s/\@DIR\@/$dir/g;
    $text =~ s/\@PORT\@/$port/g;
    $h->{conf} = "WiseHostStateDir $dir/state\n$text";
    my ($rc, $said) = $h->configtest;
    ok($rc_wanted ? $rc != 0 : $rc == 0, "$about: " . ($rc_wanted ? 'refused' : 'accepted')) or diag($said);
    like($said, $pattern, "$about: says why") if $pattern;
    unlike($said, qr/exit signal|Segmentation/, "$about: no crash");
    return $said;
}

sub vhost { my ($inner) = @_; return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName api.example.test\n$inner\n</VirtualHost>\n" }

my $api = $db . "WiseHostBaseDomain $base\n" . vhost('WiseHostAPI On');
my $engine = "WiseHostBaseDomain $base\n" . vhost('WiseHostEngine On');

# ---- good ones ----
configtest('nothing at all', '', 0);
configtest('an engine', $engine, 0);
configtest('an API', $api, 0);
configtest('an API, its database in the virtual host', "WiseHostBaseDomain $base\n" . vhost("WiseHostAPI On\n$db"), 0);
configtest('inside IfModule', "<IfModule mod_dbd.c>\n$db</IfModule>\nWiseHostBaseDomain $base\n" . vhost('WiseHostAPI On'), 0);
configtest('module loaded but unused, without proxy and dbd', '', 0, undef, modules => []);
configtest('every directive with a good value', $db . <<"CONF" . vhost('WiseHostAPI On'), 0);
WiseHostBaseDomain Apps.Example.TEST
WiseHostInsecureHTTP On
WiseHostAllowRawKey Off
WiseHostAppScheme http
WiseHostAppPort 8080
WiseHostLocalRepoRoot \@DIR\@/repos/
WiseHostHubSocket \@DIR\@/state/run/hub.sock
WiseHostKeyFile \@DIR\@/state/keys/module.key
WiseHostControlSecretFile \@DIR\@/state/keys/control.secret
WiseHostProxyTargets 16
WiseHostAllowApps blog shop
WiseHostGitCreate Off
WiseHostGitStrict On
WiseHostGitMaxSize 64
WiseHostGitTimeout 600
WiseHostGitMax 4
WiseHostGitExecPath /usr/lib/git-core/
WiseHostGitUser anna read,deploy
WiseHostGitUser * "read deploy" blog shop
<Location "/blog">
    WiseHostApp blog
</Location>
CONF

# ---- wrong values: one line, with the name, the value and the range ----
for my $case (
    ['WiseHostEngine maybe',             qr/WiseHostEngine must be On or Off/],
    ['WiseHostAllowRawKey maybe',        qr/WiseHostAllowRawKey must be On or Off/],
    ['WiseHostAPI',                      qr/WiseHostAPI/],
    ['WiseHostBaseDomain "x y"',         qr/WiseHostBaseDomain: "x y" is not a valid domain name/],
    ['WiseHostBaseDomain -a.example',    qr/WiseHostBaseDomain: "-a.example" is not a valid domain name/],
    ['WiseHostBaseDomain 10.0.0.1',      qr/is not a valid domain name/],
    ['WiseHostBaseDomain ""',            qr/WiseHostBaseDomain takes one argument/],
    ['WiseHostBaseDomain ' . 'a' x 64,   qr/is not a valid domain name/],
    ['WiseHostAppScheme ftp',            qr/WiseHostAppScheme: "ftp" is neither http nor https/],
    ['WiseHostAppPort 0',                qr/WiseHostAppPort: "0" is not a port between 1 and 65535/],
    ['WiseHostAppPort 65536',            qr/between 1 and 65535/],
    ['WiseHostAppPort 80x',              qr/between 1 and 65535/],
    ['WiseHostAppPort -1',               qr/between 1 and 65535/],
    ['WiseHostProxyTargets 0',           qr/WiseHostProxyTargets: "0" is not a number of targets between 1 and 10000/],
    ['WiseHostProxyTargets 99999999999', qr/between 1 and 10000/],
    ['WiseHostStateDir ""',              qr/WiseHostStateDir takes one argument/],
    ['WiseHostHubSocket /' . 'x' x 120,  qr/WiseHostHubSocket: the path of a unix socket has at most 107 bytes/],
    ['WiseHostAllowApps Blog',           qr/WiseHostAllowApps: "Blog" is not the slug/],
    ['WiseHostGitMaxSize 0',             qr/WiseHostGitMaxSize: "0" is not a size in MiB between 1 and 65536/],
    ['WiseHostGitTimeout 0',             qr/WiseHostGitTimeout: "0" is not a number of seconds between 1 and 86400/],
    ['WiseHostGitMax 0',                 qr/WiseHostGitMax: "0" is not a number of requests between 1 and 1000/],
    ['WiseHostGitUser anna',             qr/WiseHostGitUser takes a user, scopes and perhaps slugs/],
    ['WiseHostGitUser anna push',        qr/WiseHostGitUser: "push": scopes are words among/],
    ['WiseHostGitUser anna read Blog',   qr/WiseHostGitUser: "Blog" is not the slug/],
    ['WiseHostApp blog',                 qr/WiseHostApp: goes into <VirtualHost>, <Location>, <Directory> or \.htaccess/],
    ["<Location /x>\nWiseHostApp a--b\n</Location>",          qr/WiseHostApp: "a--b" is not the slug/],
    ["<LocationMatch ^/x>\nWiseHostApp blog\n</LocationMatch>", qr/one plain path, not a pattern/],
    ["<Location /x*>\nWiseHostApp blog\n</Location>",         qr/one plain path, not a pattern/],
    ["<Location ~ ^/x>\nWiseHostApp blog\n</Location>",       qr/one plain path, not a pattern/],
    ["<Files x>\nWiseHostApp blog\n</Files>",                 qr/WiseHostApp/],
    ["<Directory /x>\nWiseHostEngine On\n</Directory>",       qr/WiseHostEngine.* not allowed/],
    [vhost("WiseHostStateDir /x"),                            qr/WiseHostStateDir.* (?:cannot occur|not allowed)/],
    [vhost("WiseHostKeyFile /x"),                             qr/WiseHostKeyFile.* (?:cannot occur|not allowed)/],
    [vhost("WiseHostProxyTargets 5"),                         qr/WiseHostProxyTargets.* (?:cannot occur|not allowed)/],
    )
{
    my ($text, $pattern) = @$case;
    my ($about) = $text =~ /^([^\n]{1,50})/;
    my $said = configtest($about, "$text\n", 1, $pattern);
    unlike($said, qr/WiseHost\w+: [^\n]*\n[^\n]*WiseHost\w+: /, "$about: in one line");
}

# ---- what belongs together ----
configtest('engine without a base domain', vhost('WiseHostEngine On'), 1, qr/WH0104: WiseHostEngine .* needs WiseHostBaseDomain/);
configtest('API without a base domain', $db . vhost('WiseHostAPI On'), 1, qr/WH0104: WiseHostAPI .* needs WiseHostBaseDomain/);
configtest('engine without mod_proxy', $engine, 1, qr/WH0101: WiseHostEngine needs mod_proxy: load it \(on Debian: a2enmod proxy\)/,
    modules => []);
configtest('engine without mod_proxy_http', $engine, 1, qr/WH0101: .*mod_proxy_http.*a2enmod proxy_http/, modules => ['proxy']);
configtest('API without mod_dbd', "WiseHostBaseDomain $base\n" . vhost('WiseHostAPI On'), 1, qr/WH0101: WiseHostAPI needs mod_dbd/,
    modules => [qw(proxy proxy_http)]);
configtest('API without DBDParams', "WiseHostBaseDomain $base\n" . vhost('WiseHostAPI On'), 1, qr/WH0111: .*DBDParams/);
configtest('two API hosts with a database each', "WiseHostBaseDomain $base\n" . vhost("WiseHostAPI On\n$db")
    . vhost("WiseHostAPI On\n$db") =~ s/api\./api2./r, 1, qr/WH0110: .*one database/);

configtest('git with the API', $db . "WiseHostBaseDomain $base\n" . vhost("WiseHostAPI On\nWiseHostGit On"), 0);
configtest('git without the API', $db . "WiseHostBaseDomain $base\n" . vhost('WiseHostGit On'), 1, qr/WH0114: WiseHostGit in .* needs WiseHostAPI On/);
configtest('git without git', $db . "WiseHostBaseDomain $base\nWiseHostGitExecPath /nonexistent\n" . vhost("WiseHostAPI On\nWiseHostGit On"),
    1, qr{WH0115: .*/nonexistent/git-http-backend: install git, or say WiseHostGitExecPath});

# ---- the API's name and the cookies ----
for my $name ("api.$base", $base, "API.Apps.Example.Test", "a.b.$base") {
    configtest("API as $name", $api =~ s/ServerName api\.example\.test/ServerName $name/r, 1, qr/WH0102: .*lies under WiseHostBaseDomain/);
}
configtest('an alias under the base domain', $db . "WiseHostBaseDomain $base\n" . vhost("ServerAlias x.example.test y.$base\nWiseHostAPI On"), 1, qr/WH0102: .*y\.apps/);
configtest('a wild-card alias over it', $db . "WiseHostBaseDomain $base\n" . vhost("ServerAlias *.example.test\nWiseHostAPI On"), 1, qr/WH0102/);
configtest("under another host's base domain", $db . vhost("WiseHostBaseDomain other.test\nWiseHostAPI On")
    . vhost("WiseHostBaseDomain example.test\nWiseHostEngine On") =~ s/api\./e./r, 1, qr/WH0102/);
configtest('a name that only ends alike', $db . "WiseHostBaseDomain $base\n" . vhost('WiseHostAPI On') =~ s/api\.example\.test/xapps.example.test/r, 0);

# ---- secrets ----
for my $file (qw(module.key control.secret)) {
    my $what = $file eq 'module.key' ? 'WiseHostKeyFile' : 'WiseHostControlSecretFile';
    configtest("$file open to all", $api, 1, qr/WH0105: $what \S+\/$file: /, before => sub { chmod 0644, $_[0]->state . "/keys/$file" });
    configtest("$file open to the group", $api, 1, qr/WH0105: $what/, before => sub { chmod 0640, $_[0]->state . "/keys/$file" });
    configtest("$file missing", $api, 1, qr/WH0105: $what/, before => sub { unlink $_[0]->state . "/keys/$file" });
    configtest("$file short", $api, 1, qr/WH0105: $what/, before => sub {
        my $path = $_[0]->state . "/keys/$file";
        WH::Httpd::spew($path, "abc\n");
    });
}
configtest('a proxy token that is missing', "$api\nWiseHostProxyTokenFile \@DIR\@/state/none\n", 1, qr/WH0105: WiseHostProxyTokenFile/);
my $said = configtest('an engine alone needs no key', $engine, 0, undef, no_keys => 1);

# ---- daemons away: warned, not refused ----
configtest('no scheduler', $engine, 0, qr/WH0107: wh-scheduler does not answer on \S+hub\.sock/);
configtest('no state directory', "WiseHostStateDir /nonexistent/wisehost\n$engine", 0, qr/WH0106: WiseHostStateDir \/nonexistent/);

# ---- merge: a virtual host overrides the server, also back to Off ----
my $h = WH::Httpd->new(global => "WiseHostEngine On\nWiseHostBaseDomain $base", vhosts => <<'CONF');
<VirtualHost *:*>
    ServerName off.example.test
    ServerAlias *.off.example.test
    WiseHostEngine Off
</VirtualHost>
<VirtualHost *:*>
    ServerName own.example.test
    ServerAlias *.own.example.test
    WiseHostBaseDomain own.example.test
</VirtualHost>
CONF
WH::Httpd::spew($h->dir . '/docs/index.html', "docs\n");
$h->{vhosts} =~ s/\*:\*/127.0.0.1:@{[$h->port]}/g;
$h->static(test => { 'index.html' => "app\n" });
$h->routes({ host => 'x.off.example.test', release => $h->release({ 'index.html' => "off\n" }), slug => 'off' });
$h->start;
is($h->get('test', '/')->{body}, "app\n", 'the engine is on where the server says so');
is($h->request(host => 'x.off.example.test', path => '/index.html')->{body}, "docs\n", 'WiseHostEngine Off in a virtual host overrides On');
is($h->request(host => 'nobody.own.example.test')->{status}, 404, 'a base domain of its own');
is($h->request(host => 'nobody.own.example.test', path => '/')->{headers}{'cache-control'}, 'no-store', 'with the page');

# ---- graceful with a broken configuration keeps the old one ----
$h->{global} .= "\nWiseHostAppPort nonsense";
my ($rc) = $h->configtest;
isnt($rc, 0, 'a broken configuration is refused');
is($h->get('test', '/')->{body}, "app\n", 'G4 the running server goes on');
is($h->stop, 0, 'httpd stops');

# ---- the order of LoadModule does not matter ----
$h = WH::Httpd->new;
{
    no warnings 'redefine';
    my $module = WH::Httpd::module_path();
    local *WH::Httpd::_modules = sub {
        chomp(my $lib = `apxs -q LIBEXECDIR`);
        return "LoadModule wisehost_module $module\n"
            . join '', map {"LoadModule ${_}_module $lib/mod_$_.so\n"} qw(mpm_event authz_core proxy proxy_http);
    };
    my ($code, $said_then) = $h->configtest;
    is($code, 0, 'LoadModule wisehost before proxy: accepted') or diag($said_then);
}

# ---- WiseHostApp alone does not ask for mod_proxy at start: a container application is 503 then ----
$h = WH::Httpd->new(modules => [], conf => '');
$h->{conf} = "WiseHostStateDir @{[ $h->state ]}\nWiseHostBaseDomain $base\n<Location /shop>\nWiseHostApp shop\n</Location>\n";
$h->routes({ host => 'shop', kind => 'proxy', slug => 'shop', upstreams => [ { address => '127.0.0.1', port => 9 } ] });
$h->allow_log(qr/WH0162/);
$h->start;
my $without = $h->request(host => 'any.example', path => '/shop/');
is("$without->{status} $without->{json}{code}", '503 upstream_unreachable', 'without mod_proxy: 503, no crash');
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');

# ---- a table that was cut short ----
$h = WH::Httpd->new;
$h->static(test => { 'index.html' => "x\n" });
truncate $h->state . '/routes.1/data.mdb', 8192 or die "truncate: $!";
$h->allow_log(qr/WH0120/);
$h->start;
is($h->get('test', '/')->{json}{code}, 'routes_unavailable', 'a truncated table is not opened: 503, no SIGBUS');
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');

# ---- no route table yet ----
$h = WH::Httpd->new;
$h->allow_log(qr/WH0120/);
$h->start;
my $got = $h->get('test', '/');
is("$got->{status} $got->{json}{code}", '503 routes_unavailable', 'no table yet: 503 for names under the base domain');
ok($got->{headers}{'retry-after'}, 'with Retry-After');
is($h->request(host => 'other.example')->{status}, 404, 'other hosts are not touched');
$h->static(test => { 'index.html' => "there\n" });
my $there = try_for { $h->get('test', '/')->{status} == 200 } 5;
ok($there, 'the table is found once it is made');
# By the child that missed it: another one may have answered.
my $both = qr/WH0120: no route table.*WH0121: route table \S+ opened/s;
try_for { $h->get('test', '/'); $h->log_text =~ $both } 10;
like($h->log_text, $both, 'both are logged');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
is($h->stop, 0, 'httpd stops');
done_testing();
