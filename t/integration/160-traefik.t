#!/usr/bin/perl
# db: sqlite pgsql
# Each database shows one half of what happens when it goes away.
# counts: at random
# Both documents for Traefik: who gets them, what is in them, that they are cached, known again and never
# empty by mistake; each one is held against the schema by a validator that is not ours.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Temp ();
use IPC::Open2 qw(open2);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use WH::Api;
use WH::Wait qw(until_limited);

my $proxy = sha256_hex("proxy $$ " . rand);
my $file = File::Temp->new;
print {$file} "$proxy\n";
$file->flush;
chmod 0600, $file->filename;
my $api = WH::Api->new(global => 'WiseHostProxyTokenFile ' . $file->filename, own_server => 1);
my $root = $api->token;
my ($PROXY, $WORKER) = ('/v1/traefik/proxy-config', '/v1/traefik/config');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %w = map { $_ => $api->worker($_) } qw(w1 w2);
$api->sql("UPDATE workers SET address = '10.8.0.2' WHERE name = 'w1'", "UPDATE workers SET address = 'fd00::2' WHERE name = 'w2'");

# ---- the schema ------------------------------------------------------------------------------------
my $pid = open2(my $verdicts, my $texts, 'python3', "$WH::Api::src/t/tools/json-schema.py", "$WH::Api::src/conf/traefik-dynamic.schema.json");
$texts->autoflush(1);
my $held = 0;
sub schema {
    my ($text) = @_;
    $text =~ tr/\n/ /;
    print {$texts} "$text\n";
    chomp(my $verdict = <$verdicts> // 'the validator is gone');
    return $verdict;
}
# What the schema cannot say: each router has its service, each service its router, no host is there twice.
sub is_document {
    my ($res, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $held++;
    my $http = $res->{json}{http} || {};
    my @lost = grep { $http->{routers}{$_}{service} ne $_ || !$http->{services}{$_} } keys %{ $http->{routers} || {} };
    my @idle = grep { !$http->{routers}{$_} } keys %{ $http->{services} || {} };
    my %seen;
    $seen{$_}++ for map { $_->{rule} =~ /`([^`]*)`/g } values %{ $http->{routers} || {} };
    my @twice = grep { $seen{$_} > 1 } keys %seen;
    return is(join(' ', $res->{status}, schema($res->{body}), @lost, @idle, @twice), '200 ok', "$name: a document of the schema");
}

# ---- a world ----------------------------------------------------------------------------------------
my ($n, @rows) = 0;
sub stored { $api->sql(join ";\n", splice @rows); return }
sub id { return sprintf '%026d', ++$n }
# A deployment that an environment of the app shows, with a container on each of the workers.
sub live {
    my ($slug, $env, @on) = @_;
    my $deployment = $api->req(POST => "/v1/apps/$slug/deployments", token => $root, json => {})->{json}{id};
    my $label = $env eq 'production' ? $slug : "$slug-env-$env";
    my $kind = $env eq 'production' ? $env : 'environment';
    push @rows, ("UPDATE jobs SET status = 'succeeded', worker_id = $w{w1}{row}, epoch = 1 WHERE deployment_id = '$deployment'",
        "UPDATE deployments SET status = 'completed', conclusion = 'succeeded', phase = 'done', environment = '$env' WHERE id = '$deployment'",
        "DELETE FROM names WHERE label = '$label'",
        "INSERT INTO names (label, app_id, environment, kind, deployment_id, updated_at) SELECT '$label', app_id, '$env', '$kind', id, 1 FROM deployments WHERE id = '$deployment'",
        map { "INSERT INTO instances (id, app_id, deployment_id, worker_id, container, address, port, state, created_at) SELECT '" . id()
            . "', app_id, id, $_->[0]{row}, 'c$n', '10.8.0.2', $_->[1], '" . ($_->[2] // 'running') . "', 1 FROM deployments WHERE id = '$deployment'" } @on);
    return $deployment;
}
sub domain {
    my ($slug, $host, %with) = @_;
    my %row = (environment => 'production', status => 'active', redirect_to => '', redirect_code => 0, %with);
    push @rows, ("INSERT INTO domains (id, app_id, environment, host, redirect_to, redirect_code, status, challenge, created_at, updated_at) SELECT '"
        . id() . "', id, '$row{environment}', '$host', '$row{redirect_to}', $row{redirect_code}, '$row{status}', 'x', 1, 1 FROM apps WHERE slug = '$slug'");
    return;
}
sub get { my ($path, $token, %headers) = @_; return $api->req(GET => $path, token => $token, headers => \%headers) }
sub proxy_config { return get($PROXY, $proxy) }
# What a document has: router => [rule, urls…].
sub routes {
    my ($res) = @_;
    my $http = $res->{json}{http} || {};
    return { map { $_ => [ $http->{routers}{$_}{rule}, map { $_->{url} } @{ $http->{services}{$_}{loadBalancer}{servers} } ] } keys %{ $http->{routers} || {} } };
}
sub rule { return join ' || ', map {"Host(`$_`)"} @_ }

# Seconds of CPU of httpd's children.
sub cpu {
    my $sum = 0;
    for my $stat (map { "$_/stat" } glob '/proc/[0-9]*') {
        open my $fh, '<', $stat or next;
        my @f = split ' ', (readline($fh) // '') =~ s/^.*\) //sr;
        $sum += $f[11] + $f[12] if @f > 12 && $f[1] == $api->{httpd};
    }
    return $sum / 100;
}

# ---- nothing there ----------------------------------------------------------------------------------
my $res = proxy_config();
is($res->{body}, "{}\n", 'R23 no app: the empty maps are left out');
is_document($res, 'R23 nothing');
is($res->{headers}{'content-type'}, 'application/json', 'it is JSON');
$api->is_problem(get($PROXY), 401, undef, 'F111 without a token');
my $first = time;

# ---- apps -------------------------------------------------------------------------------------------
my %app = map { $_ => $api->app($root, $_, kind => $_ eq 'site' ? 'static' : 'container') }
    qw(blog shop-2 plain stopped mended deleted draining site nowhere env-only);
live('blog', 'production', [ $w{w1}, 32768 ], [ $w{w2}, 32769 ], [ $w{w1}, 32700, 'draining' ]);
live('blog', 'staging', [ $w{w1}, 32780 ]);
live('shop-2', 'production', [ $w{w2}, 32770 ]);
live('plain', 'production', [ $w{w1}, 32771 ]);
live($_, 'production', [ $w{w1}, 32772 ]) for qw(stopped mended deleted nowhere);
live('draining', 'production', [ $w{w1}, 32773, 'draining' ], [ $w{w1}, 32774, 'stopped' ]);
live('site', 'production');
live('env-only', 'staging', [ $w{w1}, 32775 ]);
# A switch: the containers of the deployment before are no part of it.
live('plain', 'production', [ $w{w1}, 32790 ]);
domain('blog', 'www.blog.test');
domain('blog', 'blog.test');
domain('blog', 'next.blog.test', environment => 'staging');
domain('blog', 'pending.blog.test', status => 'pending');
domain('blog', 'failed.blog.test', status => 'failed');
domain('blog', 'old.blog.test', redirect_to => 'https://blog.test', redirect_code => 308);
domain('shop-2', 'xn--bcher-kva.test');
domain($_, "$_.test") for qw(stopped mended deleted site);
# What could only get there past the API.
domain('plain', $_) for "a`) || HostRegexp(`.*", '*.plain.test', 'plain.test.', 'x.apps.example.test', 'UPPER.test', '10.0.0.1';
push @rows, ("UPDATE apps SET desired = 'stopped' WHERE slug = 'stopped'", "UPDATE apps SET serve_maintenance = 1 WHERE slug = 'mended'",
    "UPDATE apps SET deleted_at = 1 WHERE slug = 'deleted'", "UPDATE apps SET serve_sticky = 1 WHERE slug = 'shop-2'");
my $w3 = $api->worker('w3');
push @rows, ("UPDATE workers SET address = '' WHERE name = 'w3'", "UPDATE instances SET worker_id = $w3->{row} WHERE app_id = (SELECT id FROM apps WHERE slug = 'nowhere')",
    # R9: a worker that is away has its routes kept
    "UPDATE workers SET status = 'offline' WHERE name = 'w2'", "UPDATE instances SET observed = 'unknown' WHERE worker_id = $w{w2}{row}");
stored();

is(proxy_config()->{body}, "{}\n", 'F117 the document of before is good for 5 s') if time - $first < 4;
$api->restart; # a child that has none yet
$res = proxy_config();
is_document($res, 'F112');
my $base = 'apps.example.test';
my %want = (
    'blog' => [ rule("blog.$base", 'blog.test', 'www.blog.test'), 'http://10.8.0.2:32768', 'http://[fd00::2]:32769' ],
    'blog-env-staging' => [ rule("blog-env-staging.$base", 'next.blog.test'), 'http://10.8.0.2:32780' ],
    'shop-2' => [ rule("shop-2.$base", 'xn--bcher-kva.test'), 'http://[fd00::2]:32770' ],
    'plain' => [ rule("plain.$base"), 'http://10.8.0.2:32790' ],
    'env-only-env-staging' => [ rule("env-only-env-staging.$base"), 'http://10.8.0.2:32775' ],
);
is_deeply(routes($res), \%want, 'F32 F33 F34 F110 F112 F113 F114 R9 R30 what runs, its hosts and addresses') or diag $res->{body};
is_deeply($res->{json}{http}{routers}{plain}, { entryPoints => [qw(web websecure)], rule => rule("plain.$base"), service => 'plain', tls => { certResolver => 'letsencrypt' } },
    'F107 F115 F116 a router is that, and nothing else');
is_deeply([ sort keys %{ $res->{json}{http} } ], [qw(routers services)], 'F31 R23 routers and services alone');
is_deeply($res->{json}{http}{services}{'shop-2'}{loadBalancer}{sticky}, { cookie => { httpOnly => JSON::PP::true, secure => JSON::PP::true } }, 'a sticky app is sticky');
like($api->error_log, qr/WH0231: 6 hosts and addresses were left out of a document for Traefik: /, 'F120 XL1 hosts that are none are left out, and said');
unlike($res->{body}, qr/HostRegexp|\*|UPPER/, 'F120 XL1 and get into no rule');

# ---- the worker's own -------------------------------------------------------------------------------
my %legacy = (
    'blog' => [ rule('blog.test', 'www.blog.test', "blog.$base"), 'http://10.8.0.2:32768' ],
    'blog-env-staging' => [ rule('next.blog.test', "blog-env-staging.$base"), 'http://10.8.0.2:32780' ],
);
for my $with ([ 'F30 its token' => $w{w1}{token} ], [ 'F108 its key' => $w{w1}{key} ]) {
    my $mine = get($WORKER, $with->[1]);
    is_document($mine, "F110 with $with->[0]");
    is_deeply(routes($mine), \%legacy, "F47 F110 R30 $with->[0]: apps of this worker with a domain, the domains first") or diag $mine->{body};
}
my $other = get($WORKER, $w{w2}{token});
is_document($other, 'F110 another worker');
is_deeply(routes($other), { 'blog' => [ rule('blog.test', 'www.blog.test', "blog.$base"), 'http://[fd00::2]:32769' ],
    'shop-2' => [ rule('xn--bcher-kva.test', "shop-2.$base"), 'http://[fd00::2]:32770' ] }, 'F110 F117 another worker has another document');
$other = get($WORKER, $w3->{token});
is($other->{body}, "{}\n", 'R23 one without an address has none');
is_document($other, 'nothing again');

# ---- known again ------------------------------------------------------------------------------------
my $etag = $res->{headers}{etag};
like($etag, qr/^"[0-9a-f]{64}"$/, 'R3 an ETag');
is($etag, '"' . sha256_hex($res->{body} =~ s/\n\z//r) . '"', 'of the content: two front ends say the same');
like($res->{headers}{age}, qr/^[0-5]$/, 'R23 and an age');
for my $known ($etag, "W/$etag", "\"x\", $etag", '*') {
    my $same = get($PROXY, $proxy, 'If-None-Match' => $known);
    is("$same->{status} " . ($same->{body} // ''), '304 ', "R3 If-None-Match: $known");
    is($same->{headers}{etag}, $etag, 'with the ETag');
}
is(get($PROXY, $proxy, 'If-None-Match' => '"x"')->{status}, 200, 'R3 another ETag: the document');
is(get($PROXY, $proxy)->{body}, $res->{body}, 'the same bytes again: Traefik tells a change by them');
my $head = $api->req(HEAD => $PROXY, token => $proxy);
is("$head->{status} $head->{headers}{etag} " . length($head->{body} // ''), "200 $etag 0", 'HEAD');
like($head->{headers}{'cache-control'}, qr/no-store/, 'nobody between keeps it');

# ---- who else ---------------------------------------------------------------------------------------
my %who = (anonymous => undef, garbage => 'garbage', 'almost the token' => substr($proxy, 0, 63) . ($proxy =~ /0$/ ? '1' : '0'), 'half the token' => substr($proxy, 0, 32),
    'the token twice' => $proxy . $proxy, 'upper case' => uc $proxy, 'a token in old age' => $api->jwt($w{w1}, iat => time - 2000, exp => time - 1000),
    'a token of another key' => $api->jwt({ %{ $w{w1} }, key => 'x' }), 'another worker\'s key' => sha256_hex('other'));
for my $path ($PROXY, $WORKER) {
    $api->is_problem(get($path, $who{$_}), 401, undef, "F109 F111 XL5 $path: $_") for sort keys %who;
}
$api->is_problem(get($PROXY, $_->[1]), 403, 'forbidden', "F48 F111 proxy-config: $_->[0]") for [ 'a worker' => $w{w1}{token} ], [ 'a key' => $w{w1}{key} ],
    [ 'the control secret' => $api->{control} ], [ 'an administrator' => $root ];
$api->is_problem(get($WORKER, $_->[1]), 403, 'forbidden', "F47 config: $_->[0]") for [ 'the proxy token' => $proxy ], [ 'the control secret' => $api->{control} ],
    [ 'an administrator' => $root ];

# ---- bad input --------------------------------------------------------------------------------------
$api->is_problem(get("$PROXY?token=$proxy"), 400, 'unknown_parameter', 'the token is no parameter');
$api->is_problem(get("$PROXY?x=1", $proxy), 400, 'unknown_parameter', 'there are no parameters');
$api->is_problem($api->req(POST => $PROXY, token => $proxy, body => '{}'), 405, 'method_not_allowed', 'GET and HEAD alone');
$api->is_problem($api->req(GET => $PROXY, token => $proxy, body => '{}'), 400, 'unexpected_body', 'no body');
$api->is_problem(get($_, $proxy), 404, 'not_found', "no such address: $_") for "$PROXY/", '/v1/traefik', '/v1/traefik/', '/v1/traefik//proxy-config', '/v1/traefik/%70roxy-config', '/v1/traefik/Proxy-config';
is($api->raw("GET $PROXY HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer $proxy\r\n\r\n")->{body}, $res->{body}, 'over HTTP/1.0');

# ---- the schema refuses -----------------------------------------------------------------------------
{
    my $ok = sub { my $d = $json->decode($res->{body}); $_[0]->($d, $d->{http}, $d->{http}{routers}{plain}, $d->{http}{services}{plain}{loadBalancer}); return schema($json->encode($d)) };
    is($ok->(sub { }), 'ok', 'the schema: taken as it is');
    my @mistakes = (
        [ 'an empty http' => sub { $_[0]{http} = {} } ], [ 'empty routers' => sub { $_[1]{routers} = {} } ], [ 'empty services' => sub { $_[1]{services} = {} } ],
        [ 'no services' => sub { delete $_[1]{services} } ], [ 'an empty document with null' => sub { $_[0]{http} = undef } ],
        (map { my $k = $_; [ "a further $k" => sub { $_[0]{$k} = {} } ] } qw(tcp udp tls routers)),
        [ 'middlewares' => sub { $_[1]{middlewares} = {} } ], [ 'an array for a map' => sub { $_[1]{routers} = [] } ],
        (map { my $k = $_; [ "no $k" => sub { delete $_[2]{$k} } ] } qw(rule service entryPoints tls)),
        [ 'a member too many' => sub { $_[2]{priority} = 1 } ], [ 'a member misspelt' => sub { $_[2]{entrypoints} = delete $_[2]{entryPoints} } ],
        [ 'another entry point' => sub { push @{ $_[2]{entryPoints} }, 'traefik' } ], [ 'an entry point too few' => sub { pop @{ $_[2]{entryPoints} } } ],
        [ 'a text for a list' => sub { $_[2]{entryPoints} = 'web' } ], [ 'tls without a resolver' => sub { $_[2]{tls} = {} } ], [ 'another resolver' => sub { $_[2]{tls}{certResolver} = 'le' } ],
        [ 'a service of another provider' => sub { $_[2]{service} = 'plain@file' } ], [ 'a name that is none' => sub { $_[1]{routers}{'a b'} = $_[2] } ],
        [ 'a name with a line end' => sub { $_[2]{service} = "plain\n" } ],
        (map { my $r = $_; [ "the rule $r" => sub { $_[2]{rule} = $r } ] } '', 'Host(`a`) ||', 'Host(`a`) || HostRegexp(`.*`)', 'Host(`A.test`)', 'Host("a.test")', 'Host(`a.test`, `b.test`)',
            'Host(`a.test`) && Path(`/`)', 'Host(`a.test.`)', 'Host(`*.test`)', 'Host(`' . 'a' x 64 . '.test`)', 'Host(`' . 'a.' x 127 . '`)', "Host(`a.test`)\n", 'PathPrefix(`/`)', 'Host(``)'),
        [ 'no servers' => sub { $_[3]{servers} = [] } ], [ 'no server list' => sub { delete $_[3]{servers} } ], [ 'a server without an URL' => sub { $_[3]{servers} = [ {} ] } ],
        [ 'a weight' => sub { $_[3]{servers}[0]{weight} = 1 } ], [ 'a further member of a balancer' => sub { $_[3]{healthCheck} = {} } ], [ 'a service of two kinds' => sub { $_[1]{services}{plain}{weighted} = {} } ],
        (map { my $u = $_; [ "the URL $u" => sub { $_[3]{servers}[0]{url} = $u } ] } '', 'https://10.0.0.1:1', 'http://10.0.0.1', 'http://10.0.0.1:0', 'http://10.0.0.1:123456', 'http://10.0.0.1:80/x',
            'http://u@10.0.0.1:80', 'http://fd00::1:80', 'http://host:80', "http://10.0.0.1:80\n"),
        [ 'sticky by nothing' => sub { $_[3]{sticky} = {} } ], [ 'a cookie without secure' => sub { $_[3]{sticky} = { cookie => { httpOnly => JSON::PP::true } } } ],
    );
    my @taken = map { $_->[0] } grep { $ok->($_->[1]) eq 'ok' } @mistakes;
    is(join(', ', @taken), '', 'the schema refuses ' . @mistakes . ' mistakes');
    like(schema('{"http":{},"http":{}}'), qr/twice/, 'and a member that is there twice');
}

# ---- who guesses ------------------------------------------------------------------------------------
{
    my %seen;
    $seen{$_}++ for until_limited { get($PROXY, sha256_hex($_[0]))->{status} };
    is_deeply([ sort keys %seen ], [ 401, 429 ], 'XL5 wrong tokens: 401, then 429');
    $api->is_problem(get($WORKER, 'x'), 429, 'rate_limited', 'XL5 on the other address, too');
    is(get($PROXY, $proxy)->{status}, 200, 'XL5 the right one is never slowed down');
    is(get($WORKER, $w{w1}{token})->{status}, 200, 'XL5 nor a worker\'s');
}

# ---- large ------------------------------------------------------------------------------------------
{
    my ($app, $deployment) = map { $api->value($_) } "SELECT id FROM apps WHERE slug = 'plain'", "SELECT deployment_id FROM names WHERE label = 'plain'";
    my @many = map { sprintf "('d%025d', '$app', '%s.big.test', 'active', 'x', 1, 1)", $_, join '.', 'a' x 60, 'b' x 60, $_ } 1 .. 7000;
    $api->sql('INSERT INTO domains (id, app_id, host, status, challenge, created_at, updated_at) VALUES ' . join ',', splice @many, 0, 500) while @many;
    $api->restart;
    get('/health');
    my ($cpu, $t0) = (cpu(), time);
    my $big = proxy_config();
    my $took = time - $t0;
    $cpu = cpu() - $cpu;
    is_document($big, 'a large one');
    cmp_ok(length $big->{body}, '>', 1_000_000, 'G34 of a megabyte');
    cmp_ok($cpu, '<=', 0.15, sprintf 'G34 made in %.0f ms of CPU (%.0f ms in all)', 1000 * $cpu, 1000 * $took);
    $cpu = cpu();
    is(get($PROXY, $proxy, 'If-None-Match' => $big->{headers}{etag})->{status}, 304, 'it is known again') for 1 .. 20;
    cmp_ok(cpu() - $cpu, '<=', 0.1, 'F117 XL5 and kept: to ask for it costs next to nothing');
    $api->sql("DELETE FROM domains WHERE host LIKE '%.big.test'");
}

# ---- the database is gone ---------------------------------------------------------------------------
$api->restart;
$res = proxy_config();
my $made = time;
is_deeply(routes($res), \%want, 'as before');
$api->sql("UPDATE apps SET desired = 'stopped' WHERE slug = 'blog'");
if ($api->db->kind eq 'sqlite') { # an open SQLite file is still read after it was moved away: here the other half
    my $now;
    do { sleep 0.05; $now = proxy_config() } while $now->{body} eq $res->{body} && time - $made < 15;
    ok(!routes($now)->{blog}, 'F117 the document follows');
    cmp_ok(time - $made, '>=', 4.9, 'F117 after 5 s, not before');
}
$api->db->take_away;
$api->is_problem(get($WORKER, $w{w1}{token}), 503, undef, 'R23 nobody can tell who the worker is: 503') if $api->db->kind eq 'pgsql';
if ($api->db->kind eq 'pgsql') {
    sleep 0.05 while time - $made < 5.05;
    my $last = proxy_config();
    is_document($last, 'R23 the last good document');
    is($last->{body}, $res->{body}, 'R23 as it was');
    cmp_ok($last->{headers}{age}, '>=', 5, 'R23 with its age');
    is(get($PROXY, $proxy, 'If-None-Match' => $last->{headers}{etag})->{status}, 304, 'which is known again');
    like($api->error_log, qr/WH0232: the document of \d+ s ago is served: /, 'and it is said');
}
$api->restart;
$api->is_problem(proxy_config(), 503, undef, 'R23 without a last one: 503, never an empty 200');
$api->is_problem(get($PROXY, 'x'), 503, undef, 'D11 no word on credentials that only the database knows');
$api->db->bring_back;
my $until = time + 15;
do { $res = proxy_config(); sleep 0.05 if $res->{status} != 200 } while $res->{status} != 200 && time < $until;
delete @want{qw(blog blog-env-staging)};
is_deeply(routes($res), \%want, 'it is back: what runs now');
is_document($res, 'at last');

cmp_ok($held, '>=', 8, "the validator saw $held answers");
close $texts;
waitpid $pid, 0;
is($?, 0, 'and ended well');
is($api->unexpected('WH0(?:052|113|201|210|231|232)', 'dbd:(?:error|crit)'), '', 'the error log is clean');
done_testing();
