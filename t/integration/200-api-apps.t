#!/usr/bin/perl
# db: sqlite pgsql
# The API as people use it: health, login, apps, their documents, pages and ETags.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $time = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

# ---- health, common headers -----------------------------------------------------------------------
my $res = $api->req(GET => '/health');
is($res->{status}, 200, 'F43 GET /health answers without a credential');
is($res->{json}{status}, 'ok', 'F43 status ok');
like($res->{json}{time}, $time, 'F43 time in RFC 3339, UTC, microseconds');
is($res->{headers}{'cache-control'}, 'no-store', 'answers are not stored');
is($res->{headers}{'x-content-type-options'}, 'nosniff', 'answers are not sniffed');
like($res->{headers}{'x-request-id'}, qr/^\S{8,64}$/, 'every answer has a request id');
is($api->req(GET => '/health', headers => { 'X-Request-Id' => 'abcdefgh-1' })->{headers}{'x-request-id'}, 'abcdefgh-1',
    'a usable request id is kept');
unlike($api->req(GET => '/health', headers => { 'X-Request-Id' => "x\x01<b>" })->{headers}{'x-request-id'} // '', qr/</,
    'an odd request id is not');
is($api->req(HEAD => '/health')->{status}, 200, 'HEAD is answered as GET');

# ---- login ----------------------------------------------------------------------------------------
my $onetime = $api->onetime('admin');
$res = $api->req(POST => '/v1/login', json => { token => $onetime, name => 'laptop' });
is($res->{status}, 201, 'a one-time token becomes an API token');
my $token = $res->{json}{token};
like($token, qr/^wh_[0-9a-f]{64}$/, 'the token has its prefix, for secret scanners');
unlike($api->db->dump_all, qr/\Q$token\E/, 'it is stored as a hash only');
$api->is_problem($api->req(POST => '/v1/login', json => { token => $onetime }), 401, 'invalid_credentials', 'it works once');
$api->is_problem($api->req(POST => '/v1/login', json => { token => $api->onetime('admin', -1) }), 401, 'invalid_credentials',
    'not when it has expired');
$api->is_problem($api->req(POST => '/v1/login', json => { token => $api->onetime('enrolment') }), 401,
    'invalid_credentials', 'not when it is for something else');

# ---- create, get -----------------------------------------------------------------------------------
$res = $api->req(POST => '/v1/apps', token => $token, json => $api->app_body('blog', name => 'Blog <&>', spa => JSON::PP::true));
is($res->{status}, 201, 'an app is made') or diag $res->{body};
is($res->{headers}{location}, '/v1/apps/blog', 'Location names it');
my $app = $res->{json};
is_deeply([ sort keys %$app ], [ sort qw(id slug name kind repository image build run placement spa serve previews sync desired observed push_url reason urls created_at
    updated_at) ], 'the app document has its members');
is_deeply([ @$app{qw(slug kind desired observed)} ], [qw(blog static running unknown)], 'with their defaults');
is_deeply($app->{run}, { port => 8080, health_path => '/', replicas => 1, cpu_millis => 1000, memory_bytes => 512 << 20,
    pids => 256 }, 'limits in millis and bytes, with their defaults');
is_deeply($app->{sync}, { type => 'webhook', every_seconds => 60 }, 'F251 pushes are deployed as hooks tell of them');
is_deeply($app->{previews}, { max => 0, ttl_seconds => 604800 }, 'no previews unless asked for');
is_deeply($app->{urls}, ['https://blog.apps.example.test/'], 'and its URL');
like($app->{created_at}, $time, 'times are RFC 3339');
unlike($res->{body}, qr/[<>&]/, 'angle brackets and ampersands come escaped');
my $etag = $res->{headers}{etag};
like($etag, qr/^"\d+"$/, 'it has an ETag');
$res = $api->req(GET => '/v1/apps/blog', token => $token);
is_deeply($res->{json}, $app, 'GET gives the same document');
is($res->{headers}{etag}, $etag, 'and the same ETag');
$api->is_problem($api->req(POST => '/v1/apps', token => $token, json => $api->app_body('blog')), 409, 'conflict',
    'F267 F270 a slug is taken once, by the index and not by a look beforehand');
$api->is_problem($api->req(POST => '/v1/apps', token => $token, json => $api->app_body('blog', placement => { zone => 'elsewhere' })), 409, 'conflict',
    'F267 and for all workers, for it is a host name');
like($api->value(($ENV{WH_TEST_DB} // 'sqlite') eq 'sqlite' ? "SELECT sql FROM sqlite_master WHERE name = 'apps_slug'"
        : "SELECT indexdef FROM pg_indexes WHERE indexname = 'apps_slug' AND schemaname = current_schema()"),
    qr/UNIQUE.*\(slug\) WHERE \(?deleted_at = 0/, 'F265 F266 F268 the index is on the name itself, and leaves out what was deleted');

# ---- the schema of what a repository may say ----------------------------------------------------------
$res = $api->req(GET => '/v1/schema/wisehost.json');
is_deeply($res->{json}, JSON::PP::decode_json(do { local (@ARGV, $/) = "$FindBin::Bin/../../conf/wisehost.schema.json"; <> }),
    'the server itself answers the schema of wisehost.json, to anybody');

# ---- change ----------------------------------------------------------------------------------------
$api->is_problem($api->req(PATCH => '/v1/apps/blog', token => $token, json => { name => 'B' }), 428,
    'precondition_required', 'PATCH needs If-Match');
$api->is_problem($api->req(PATCH => '/v1/apps/blog', token => $token, json => { name => 'B' }, headers => { 'If-Match' => '"999"' }),
    412, 'precondition_failed', 'and the present version');
$res = $api->req(PATCH => '/v1/apps/blog', token => $token, headers => { 'If-Match' => $etag },
    json => { name => 'B', run => { port => 3000 }, build => { build_command => 'make' } });
is($res->{status}, 200, 'PATCH changes what it names') or diag $res->{body};
is_deeply([ $res->{json}{name}, $res->{json}{run}{port}, $res->{json}{build}{build_command}, $res->{json}{run}{pids} ],
    [ 'B', 3000, 'make', 256 ], 'and nothing else');
isnt($res->{headers}{etag}, $etag, 'the ETag moves');
my %recipe = (preset => 'node', install_command => 'npm ci', start_command => "node a\nnode b", pre_deploy_command => 'node m',
    runner_image => 'registry.example/node:22', timeout_seconds => 600, memory_bytes => 1 << 30);
my $built = $api->req(PATCH => '/v1/apps/blog', token => $token, headers => { 'If-Match' => '*' }, json => { build => \%recipe });
is($built->{status}, 200, 'F286 the settings of a build are taken') or diag $built->{body};
is_deeply({ map { $_ => $built->{json}{build}{$_} } keys %recipe }, \%recipe, 'F286 and answered');
$built = $api->req(PATCH => '/v1/apps/blog', token => $token, headers => { 'If-Match' => '*' },
    json => { build => { map { $_ => undef } keys %recipe } });
is_deeply([ $built->{status}, map { $built->{json}{build}{$_} } sort keys %recipe ], [ 200, (undef) x keys %recipe ],
    'F286 null takes them back') or diag $built->{body};
$api->is_problem($api->req(PATCH => '/v1/apps/blog', token => $token, headers => { 'If-Match' => '*' },
    json => { build => { preset => 'nothing' } }), 400, undef, 'F286 a preset that is not there');
$api->is_problem($api->req(PATCH => '/v1/apps/blog', token => $token, json => { name => 'C' }, headers => { 'If-Match' => $etag }),
    412, 'precondition_failed', 'the former one no longer does');
is($api->req(GET => '/v1/apps/blog', token => $token)->{json}{name}, 'B', 'and changed nothing');

$etag = $api->req(GET => '/v1/apps/blog', token => $token)->{headers}{etag};
$res = $api->req(PATCH => '/v1/apps/blog', token => $token, headers => { 'If-Match' => $etag },
    json => { serve => { sticky => JSON::PP::true, grace_seconds => 0 }, previews => { max => 3 } });
is_deeply($res->{json}{serve}, { clean_urls => JSON::PP::false, sticky => JSON::PP::true, maintenance => JSON::PP::false,
    timeout_seconds => 0, hold_seconds => 10, grace_seconds => 0, previous_assets_seconds => 86400 },
    'how it is served is changed member by member');
is_deeply($res->{json}{previews}, { max => 3, ttl_seconds => 604800 }, 'and its previews');

# ---- lists -----------------------------------------------------------------------------------------
$api->app($token, "app-$_") for 'a' .. 'g';
my (@seen, $cursor, $pages);
do {
    $res = $api->req(GET => '/v1/apps?limit=3' . ($cursor ? "&cursor=$cursor" : ''), token => $token);
    push @seen, map { $_->{slug} } @{ $res->{json}{items} };
    $cursor = $res->{json}{next};
} while $cursor && ++$pages < 10;
is_deeply(\@seen, [ (map {"app-$_"} 'a' .. 'g'), 'blog' ], 'pages show each app once, in order');
my $only = $api->token('read', $app->{id});
$res = $api->req(GET => '/v1/apps?limit=1', token => $only);
is_deeply([ map { $_->{slug} } @{ $res->{json}{items} } ], ['blog'], 'a token for one app sees it alone');
ok(!defined $res->{json}{next}, 'and there is no further page');

# ---- delete ----------------------------------------------------------------------------------------
$api->is_problem($api->req(DELETE => '/v1/apps/app-a', token => $token), 428, 'precondition_required', 'DELETE needs If-Match');
$res = $api->req(DELETE => '/v1/apps/app-a', token => $token,
    headers => { 'If-Match' => $api->req(GET => '/v1/apps/app-a', token => $token)->{headers}{etag} });
is($res->{status}, 204, 'an app is deleted');
$api->is_problem($api->req(GET => '/v1/apps/app-a', token => $token), 404, 'not_found', 'and gone');
is($api->req(POST => '/v1/apps', token => $token, json => $api->app_body('app-a'))->{status}, 201, 'its slug is free again');

# ---- many at once ----------------------------------------------------------------------------------
my @kids;
for my $n (1 .. 8) {
    my $pid = fork // die;
    if (!$pid) {
        delete $api->{http};
        my $ok = $api->req(POST => '/v1/apps', token => $token, json => $api->app_body('race'))->{status};
        require POSIX;
        POSIX::_exit($ok == 201 ? 1 : $ok == 409 ? 2 : 3);
    }
    push @kids, $pid;
}
my %count;
for (@kids) { waitpid $_, 0; $count{ $? >> 8 }++ }
is_deeply(\%count, { 1 => 1, 2 => 7 }, 'of many who take one slug at once exactly one gets it');

# ---- the document of the API -----------------------------------------------------------------------
$res = $api->req(GET => '/v1/openapi.json');
is($res->{json}{openapi}, '3.1.0', 'openapi.json is served without a credential');
ok($res->{json}{paths}{'/v1/apps/{slug}'}{patch}{requestBody}{content}{'application/json'}{schema}{properties}{run},
    'and has the fields of requests');

is($api->unexpected, '', 'the error log is clean');
done_testing();
