#!/usr/bin/perl
# Requests of each app, counted in httpd: by whom they were answered and how, in the API, through a graceful restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Api;
use WH::Backend;
use WH::Http qw(http_request json_encode);
use WH::Wait qw(try_for wait_for);

my $base = 'apps.example.test';
my $api = WH::Api->new(conf => "WiseHostEngine On", global => "WiseHostMetricsApps 3\nServerLimit 2\n");
my $token = $api->token;
my %app = map { $_ => $api->app($token, $_) } qw(blog shop);

# ---- routes, without a scheduler ----
sub routes {
    my (@items) = @_;
    my $gid = getgrnam 'www-data';
    my $old = umask 007;
    my $pid = open(my $in, '|-') // die "fork: $!";
    if (!$pid) { $) = "$gid $gid"; exec WH::Api::builddir() . '/t/tools/wh-route-put', "$api->{state}/routes" or die }
    umask $old;
    print {$in} json_encode([ map { { %$_, host => "$_->{slug}.$base" } } @items ]);
    close $in or die 'wh-route-put';
    return;
}
my $backend = WH::Backend->new(name => 'shop');
chown -1, scalar getgrnam('www-data'), $api->{state};
chmod 02775, $api->{state};
routes({ slug => 'blog', kind => 'maintenance', app_id => $app{blog}{id} },
    { slug => 'shop', kind => 'proxy', app_id => $app{shop}{id}, upstreams => [ { address => '127.0.0.1', port => $backend->port + 0 } ] });
sub get { my ($slug, $path, %o) = @_; return http_request(port => $api->{port}, host => "$slug.$base", path => $path // '/', %o) }
sub counted { return $api->req(GET => "/v1/apps/$_[0]/requests", token => $token)->{json} }

wait_for { get('shop', '/echo')->{status} == 200 } 10, 'the route table';
my $first = counted('shop');
ok($first->{counted}, 'requests are counted unless told not to');
like($first->{since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'since when');
my $then = $first->{total};
get('shop', "/status/$_") for 200, 200, 302, 404, 404, 404, 500;
my $shop;
wait_for { $shop = counted('shop'); $shop->{total}{requests} - $then->{requests} >= 7 } 5, 'the last one to be counted';
my %more = map { $_ => $shop->{total}{classes}{$_} - $then->{classes}{$_} } qw(1xx 2xx 3xx 4xx 5xx);
is_deeply(\%more, { '1xx' => 0, '2xx' => 2, '3xx' => 1, '4xx' => 3, '5xx' => 1 }, 'status classes of a container');
is($shop->{total}{requests} - $then->{requests}, 7, 'are all its requests');
is($shop->{now}{requests}, $shop->{total}{requests}, 'all of them within the last minute');
unlike(JSON::PP->new->encode($shop), qr/\d\.\d{7}/, 'no figure has more decimals than it knows');
cmp_ok($shop->{now}{seconds}, '>', 0, 'whose length is said');
cmp_ok(abs($shop->{now}{requests_per_s} - $shop->{now}{requests} / $shop->{now}{seconds}), '<', 0.01, 'and makes the rate');
cmp_ok($shop->{total}{bytes_sent}, '>', 0, 'bytes');
my $took = $shop->{total}{duration_s};
ok($took->{p50} > 0 && $took->{p50} <= $took->{p95} && $took->{p95} <= $took->{p99}, 'quantiles of how long they took');

# ---- slow, streaming, refused ----
get('shop', '/slow');
# A request is counted when its last byte went out, which its client may have before that.
ok(try_for(sub { counted('shop')->{total}{untimed} }, 5), 'a stream of events is counted');
cmp_ok(counted('shop')->{total}{duration_s}{p99}, '<', 0.5, 'but says nothing of how fast the app is');
$backend->stop;
is(get('shop', '/echo')->{status}, 503, 'a container that is gone');
wait_for { $shop = counted('shop'); $shop->{total}{classes}{'5xx'} == 2 } 5, 'that to be counted';
cmp_ok($shop->{total}{upstream_errors}, '>=', 1, 'counts as an upstream error');
is($shop->{total}{classes}{'5xx'}, 2, 'and as what the visitor saw');

# ---- each app its own; what has none ----
get('blog');
wait_for { counted('blog')->{total}{requests} } 5, 'that to be counted';
is(counted('blog')->{total}{classes}{'5xx'}, 1, 'a page of maintenance is the app\'s');
is(counted('shop')->{total}{requests}, $shop->{total}{requests}, 'and not another\'s');
$api->app($token, 'quiet');
my $quiet = counted('quiet');
is_deeply([ $quiet->{total}{requests}, $quiet->{total}{duration_s}{p95} ], [ 0, undef ], 'nobody asked: no requests, and no duration at all');
my $foreign = $api->token('read', $app{blog}{id});
is($api->req(GET => '/v1/apps/shop/requests', token => $foreign)->{status}, 404, 'another\'s app is not there');
is($api->req(GET => '/v1/apps/blog/requests', token => $foreign)->{status}, 200, 'one\'s own is');
is($api->req(GET => '/v1/apps/blog/requests')->{status}, 401, 'nobody reads without a token');

# ---- made anew under its slug: another app ----
my $etag = $api->req(GET => '/v1/apps/blog', token => $token)->{headers}{etag};
$api->req(DELETE => '/v1/apps/blog', token => $token, headers => { 'If-Match' => $etag });
$api->sql("DELETE FROM apps WHERE slug = 'blog'");
my $again = $api->app($token, 'blog');
routes({ slug => 'blog', kind => 'maintenance', app_id => $again->{id} });
wait_for { get('blog'); counted('blog')->{total}{requests} } 10, 'the new route';
is(counted('blog')->{total}{requests}, counted('blog')->{total}{classes}{'5xx'}, 'an app made anew begins at nothing of the former');

# ---- more apps than rows: in one row together ----
routes(map { { slug => "x$_", kind => 'maintenance', app_id => sprintf '01%024d', $_ } } 1 .. 4);
wait_for { get('x4')->{status} == 503 } 10, 'more routes';
get("x$_") for 1 .. 4;
my $before = counted('shop')->{total};

# ---- graceful: figures go on ----
my $old = `pgrep -P $api->{httpd}`;
kill USR1 => $api->{httpd};
wait_for { my %was = map { $_ => 1 } split /\s+/, $old; my @new = split /\s+/, `pgrep -P $api->{httpd}`; @new && !grep { $was{$_} } @new } 20, 'new children';
delete $api->{http};
is_deeply([ @{ counted('shop')->{total} }{qw(requests bytes_sent)} ], [ @$before{qw(requests bytes_sent)} ], 'figures are kept through a graceful restart');
get('shop');
ok(try_for(sub { counted('shop')->{total}{requests} == $before->{requests} + 1 }, 5), 'and go on');
$api->stop;

# ---- off ----
my $off = WH::Api->new(global => 'WiseHostMetrics Off');
my $t = $off->token;
$off->app($t, 'blog');
is_deeply($off->req(GET => '/v1/apps/blog/requests', token => $t)->{json},
    { counted => JSON::PP::false(), map { $_ => undef } qw(since now hour total minutes) }, 'with WiseHostMetrics Off it says that nothing is counted');
is($api->unexpected('WH0162', 'WH0120', 'AH01114', 'AH00957', 'AH00959'), '', 'the error log is clean');
done_testing();
