# What an administrator sees: the section of server-status, and the dump at configtest.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Backend;
use WH::Httpd;
use WH::Wait qw(wait_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(modules => [qw(proxy proxy_http status)]);
my ($dir, $port) = ($h->dir, $h->port);
$h->{global} = "WiseHostHoldMax 5\n";
$h->{vhosts} = <<"CONF";
<VirtualHost 127.0.0.1:$port>
    ServerName status.example.test
    WiseHostBaseDomain $base
    WiseHostAllowApps blog
    WiseHostMaintenance Off
    <Location "/server-status">
        SetHandler server-status
    </Location>
    <Location "/journal">
        WiseHostApp blog
        WiseHostSPA On
    </Location>
    <Directory "$dir/docs/inner">
        WiseHostApp shop
    </Directory>
</VirtualHost>
CONF
sub auto { my $text = $h->request(host => 'status.example.test', path => '/server-status?auto')->{body};
    return { $text =~ /^WiseHost(\w+): (-?\d+)$/mg } }

# ---- without a table ----
$h->{args} = [qw(-D DUMP_WISEHOST)];
my ($rc, $text) = $h->configtest;
is($rc, 0, 'the dump is a configtest');
like($text, qr/no route table: .*routes: No such file/, 'there is no table yet, and it says so');
ok(!-e $h->state . '/routes', 'the dump makes none');

$h->static(blog => { 'index.html' => "blog\n", 'a.txt' => "text\n" });
my $backend = WH::Backend->new(name => 'shop');
$h->routes({ host => 'shop', kind => 'proxy', slug => 'shop', upstreams => [ { address => '127.0.0.1', port => $backend->port + 0 } ] },
    { host => 'shut', kind => 'maintenance', slug => 'shut' },
    { host => 'old.example.org', kind => 'redirect', slug => 'blog', redirect => 'https://example.org', redirect_code => 301 });
($rc, $text) = $h->configtest;
is($rc, 0, 'with a table, too');
like($text, qr/^ +blog\.\Q$base\E static blog production 01b+$/m, 'a static name');
like($text, qr/^ +shop\.\Q$base\E proxy shop production 01b+ 127\.0\.0\.1:\d+$/m, 'a container and its upstream');
like($text, qr/^ +shut\.\Q$base\E maintenance shut /m, 'maintenance');
like($text, qr{^ +old\.example\.org redirect blog .* https://example\.org$}m, 'a redirect');
like($text, qr/^ +4 names, generation \d+, /m, 'how many, and which table');
like($text, qr/^main server:\n(?: .*\n)* +WiseHostHoldMax 5$/m, 'directives of the server');
like($text, qr/^status\.example\.test \(.*:\d+\):\n(?: .*\n)* +WiseHostAllowApps blog$/m, 'of a virtual host');
like($text, qr{WiseHostApp blog at /journal\n +WiseHostSPA On}, 'of a <Location>');
like($text, qr{WiseHostApp shop at \Q$dir\E/docs/inner/}, 'of a <Directory>');
like($text, qr/Syntax OK/, 'and the syntax is fine');

# ---- server-status ----
$h->{args} = [];
$h->start;
my $s = auto();
is("$s->{RouteTable} $s->{RouteNames}", '1 4', 'server-status?auto: the table and its names');
cmp_ok($s->{RouteGeneration}, '>', 0, 'its generation');
ok($s->{RouteAge} >= 0 && $s->{RouteAge} < 120, 'its age');
cmp_ok($s->{Children}, '>=', 1, 'children');
is($h->get('blog', '/a.txt')->{status}, 200, 'a file') for 1 .. 20;
is($h->get('shop', '/x')->{status}, 200, 'a container') for 1 .. 3;
$h->get('shut');
$h->get('nobody');
my $one = auto();
is($one->{StaticRequests} - $s->{StaticRequests}, 20, 'static requests of all children');
is($one->{ProxyRequests}, 3, 'proxied ones');
is("$one->{MaintenanceRequests} $one->{UnknownRequests}", '1 1', 'maintenance, unknown names');
is($one->{CacheHits} + $one->{CacheMisses}, 20, 'each small file was a hit or a miss');
cmp_ok($one->{CacheEntries}, '>=', 1, 'files in memory');
cmp_ok($one->{CacheBytes}, '>', 0, 'and their bytes');
cmp_ok($one->{Releases}, '>=', 1, 'manifests in memory');
is("$one->{Upstreams} $one->{UpstreamsResting}", '1 0', 'upstreams');
is("$one->{HeldRequests} $one->{Retries}", '0 0', 'held requests, retries');
my $page = $h->request(host => 'status.example.test', path => '/server-status')->{body};
like($page, qr{<h2>WiseHost</h2>.*<td>names in the route table</td><td>4</td>}s, 'for people: a table');
like($page, qr{<td>127\.0\.0\.1:\d+</td><td>0</td><td>3</td><td>0</td><td>no</td>}, 'with each upstream');

# ---- graceful: totals go on ----
my $children = sub { my $pid = $h->pid; my $list = `pgrep -P $pid`; return $list };
my $before = $children->();
$h->signal('USR1');
wait_for { my %old = map { $_ => 1 } split /\s+/, $before; !grep { $old{$_} } split /\s+/, $children->() } 20, 'new children';
my $two = auto();
is($two->{StaticRequests}, 20, 'totals are kept through a graceful restart');
is($two->{CacheEntries}, 0, 'what was in memory is gone with its children');
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
done_testing();
