#!/usr/bin/perl
# db: sqlite pgsql
# Env vars: scopes, secrets that are never answered again, what is refused, what a deployment keeps.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use MIME::Base64 ();
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $token = $api->token;
my $app = $api->app($token, 'blog');
my $secret = 'hunter2-hunter2-hunter2';
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

sub env { my ($method, $body, $query) = @_; return $api->req($method => '/v1/apps/blog/env' . ($query // ''), token => $token, $body ? (json => $body) : ()) }
sub vars { my ($res) = @_; return join ' ', map { ($_->{environment} ? "$_->{environment}/" : '') . "$_->{name}=" . ($_->{value} // '-') . ($_->{build} ? '+' : '') } @{ $res->{json}{items} } }

# ---- setting and reading ------------------------------------------------------------------------------
is_deeply(env('GET')->{json}, { items => [], next => undef }, 'none at first');
my $res = env(PATCH => { variables => [ { name => 'API_KEY', value => $secret }, { name => 'MODE', value => 'fast', secret => $no } ] });
is($res->{status}, 200, 'variables are set') or diag $res->{body};
is(vars($res), 'API_KEY=- MODE=fast', 'F226 a secret is not answered, not even at once; what is none is');
is($res->{json}{items}[0]{secret}, $yes, 'a value is a secret unless it is said otherwise');
is(vars(env(PATCH => { environment => 'production', variables => [ { name => 'MODE', value => "two\nlines \"and\" \$x", secret => $no } ] })),
    "production/MODE=two\nlines \"and\" \$x", 'XB2 for one environment, of several lines');
is(vars(env(PATCH => { environment => 'preview', variables => [ { name => 'MODE', value => '', secret => $no } ] })), 'preview/MODE=', 'for previews; empty');
is(vars(env('GET')), "API_KEY=- MODE=fast preview/MODE= production/MODE=two\nlines \"and\" \$x", 'all of them');
is(vars(env(GET => undef, '?environment=production')), "API_KEY=- production/MODE=two\nlines \"and\" \$x", 'what production gets');
is(vars(env(GET => undef, '?environment=staging')), 'API_KEY=- MODE=fast', 'what an environment without its own gets');
is(vars(env(GET => undef, '?environment=preview-x-0123456')), 'API_KEY=- preview/MODE=', 'what a preview gets');

# ---- marks, keeping, replacing -------------------------------------------------------------------------
is(vars(env(PATCH => { variables => [ { name => 'API_KEY', build => $yes } ] })), 'API_KEY=-+ MODE=fast', 'a mark changes, the value stays');
$api->is_problem(env(PATCH => { variables => [ { name => 'API_KEY', secret => $no } ] }), 422, 'env_value_missing', 'F226 a secret does not become readable');
is(vars(env(PATCH => { variables => [ { name => 'MODE', secret => $yes } ] })), 'API_KEY=-+ MODE=-', 'what was readable becomes a secret');
$api->is_problem(env(PATCH => { variables => [ { name => 'NEW' } ] }), 422, 'env_value_missing', 'a new one needs a value');
is(vars(env(PUT => { variables => [ { name => 'API_KEY' }, { name => 'C', value => 'c', secret => $no } ] })), 'API_KEY=-+ C=c', 'PUT: what is not named goes, what is named without a value stays');
is(vars(env(GET => undef, '?environment=production')), "API_KEY=-+ C=c production/MODE=two\nlines \"and\" \$x", 'and other scopes stay');
is(vars(env(PATCH => { variables => [ { name => 'C', remove => $yes }, { name => 'GONE', remove => $yes } ] })), 'API_KEY=-+', 'PATCH removes, also what is not there');
is(env(DELETE => undef, '?environment=production&name=MODE')->{status}, 204, 'DELETE removes one');
$api->is_problem(env(DELETE => undef, '?environment=production&name=MODE'), 404, 'not_found', 'and says when there is none');
is(env(DELETE => undef, '?environment=preview')->{status}, 204, 'or all of a scope');
is(vars(env('GET')), 'API_KEY=-+', 'and nothing else');

# ---- who may look ---------------------------------------------------------------------------------------
env(PATCH => { variables => [ { name => 'OPEN', value => 'seen', secret => $no } ] });
is(vars($api->req(GET => '/v1/apps/blog/env', token => $api->token('read'))), 'API_KEY=-+ OPEN=-', 'a token that may only read sees names');
is(vars($api->req(GET => '/v1/apps/blog/env', token => $api->token('read write'))), 'API_KEY=-+ OPEN=seen', 'one that may write sees what is no secret');
$api->is_problem($api->req(PATCH => '/v1/apps/blog/env', token => $api->token('read deploy'), json => { variables => [] }), 403, undef, 'and may alone change');

# ---- what is refused --------------------------------------------------------------------------------------
$api->is_problem(env(PATCH => { variables => [ { name => $_, value => 'x' } ] }), 400, undef, "XB1 no name: $_") for 'A=B', "A\nB", '1A', 'A B', '', 'A' x 129, 'A-B';
$api->is_problem(env(PATCH => { variables => [ { name => $_, value => 'x' } ] }), 400, 'env_name_reserved', "the system's: $_") for 'WISEHOST_URL', 'WISEHOST', 'PORT';
$api->is_problem(env(PATCH => { variables => [ { name => 'A', value => "a\0b" } ] }), 400, 'nul_character', 'XB2 no NUL');
$api->is_problem(env(PATCH => { variables => [ { name => 'A', value => 'x' x 65537 } ] }), 400, undef, 'XB2 at most 64 KiB');
$api->is_problem(env(PATCH => { variables => [ { name => 'A', value => 1 } ] }), 400, 'wrong_type', 'a value is a text');
$api->is_problem(env(PATCH => { variables => [ { name => 'A', value => 'x' }, { name => 'A', value => 'y' } ] }), 400, undef, 'a name stands once');
$api->is_problem(env(PATCH => { environment => 'No', variables => [] }), 400, 'environment_invalid', 'no environment');
$api->is_problem(env(PATCH => { variables => [ map { { name => "BIG$_", value => 'x' x 60000 } } 1 .. 3 ] }), 422, 'env_too_large', 'XB2 128 KiB in all');
is(vars(env('GET')), 'API_KEY=-+ OPEN=seen', 'and nothing of that was stored');

# ---- what a deployment keeps --------------------------------------------------------------------------------
my $d = $api->req(POST => '/v1/apps/blog/deployments', token => $token, json => {})->{json};
env(PATCH => { variables => [ { name => 'API_KEY', value => 'another-value-by-now' } ] });
is($api->value("SELECT COUNT(*) FROM deployment_env WHERE deployment_id = '$d->{id}'"), 2, 'F227 a deployment keeps what was in force');
my ($kept, $now) = map { $api->value($_) } "SELECT sealed FROM deployment_env WHERE deployment_id = '$d->{id}' AND name = 'API_KEY'", "SELECT sealed FROM env_vars WHERE name = 'API_KEY'";
isnt($kept, $now, 'and not what was set since');
is($api->value("SELECT site FROM deployments WHERE id = '$d->{id}'"), 'https://apps.example.test', 'and how its names are made');

# ---- nowhere in the clear -----------------------------------------------------------------------------------
my $all = join "\n", map { $api->value("SELECT sealed FROM $_ ORDER BY name LIMIT 1") } qw(env_vars deployment_env);
unlike($all, qr/hunter2/, 'F226 F297 the database has it sealed');
unlike($all, qr/\Q@{[ substr MIME::Base64::encode_base64($secret, ''), 0, 20 ]}\E/, 'and not merely encoded');
done_testing();
