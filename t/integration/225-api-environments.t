#!/usr/bin/perl
# db: sqlite pgsql
# Branches and environments: patterns, where a push or a deployment of a branch goes, previews.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $token = $api->token;
$api->app($token, 'blog');
my $hook = $api->req(POST => '/v1/apps/blog/hooks', token => $token, json => { provider => 'github' })->{json};
my $n = 0;

sub put {
    my ($name, %rule) = @_;
    return $api->req(PUT => "/v1/apps/blog/environments/$name", token => $token, json => \%rule);
}

sub push_to {
    my ($branch, %more) = @_;
    my $sha = sprintf '%040x', ++$n + 0xabc;
    return $api->deliver($hook, 'push', JSON::PP::encode_json({ ref => "refs/heads/$branch", before => '0' x 40, after => $sha,
        created => JSON::PP::false, deleted => JSON::PP::false, forced => JSON::PP::false,
        repository => { full_name => 'o/r', clone_url => 'https://github.com/o/r.git' },
        head_commit => { id => $sha, message => 'x', timestamp => '2026-01-01T00:00:00Z', author => { name => 'A' } }, %more }));
}

sub previews {
    my ($max) = @_;
    my $etag = $api->req(GET => '/v1/apps/blog', token => $token)->{headers}{etag};
    return $api->req(PATCH => '/v1/apps/blog', token => $token, json => { previews => { max => $max } }, headers => { 'If-Match' => $etag });
}

sub deploy { my (%body) = @_; return $api->req(POST => '/v1/apps/blog/deployments', token => $token, json => \%body) }

# ---- rules ----------------------------------------------------------------------------------------
is_deeply($api->req(GET => '/v1/apps/blog/environments', token => $token)->{json}, { items => [], next => undef }, 'none at first');
my $res = put('staging', pattern => 'develop', position => 5);
is($res->{status}, 200, 'an environment takes a branch') or diag $res->{body};
is_deeply([ @{ $res->{json} }{qw(name pattern position url)} ], [ 'staging', 'develop', 5, 'https://blog-env-staging.apps.example.test/' ],
    'F191 and says so, with its name');
is(put('qa', pattern => 'release/*')->{status}, 200, 'a pattern');
is(put('qa', pattern => 'release/**', position => 1)->{json}{pattern}, 'release/**', 'PUT changes it');
$res = $api->req(GET => '/v1/apps/blog/environments', token => $token);
is_deeply([ map { $_->{name} } @{ $res->{json}{items} } ], [qw(qa staging)], 'in the order in which they are asked');
$api->is_problem(put('staging', pattern => $_), 400, 'pattern_invalid', 'no pattern') for 'a b', '-x', 'a//b', 'x.lock', '[a]';
$api->is_problem(put($_, pattern => 'x'), 400, 'environment_invalid', "no environment: $_") for 'preview-x', 'Staging', 'a--b', 'x' x 33;
$api->is_problem(put('staging', pattern => 'x', position => -1), 400, undef, 'no position');
$api->is_problem(put('staging'), 400, undef, 'no pattern at all');

# ---- deployments ------------------------------------------------------------------------------------
is(deploy(ref => 'develop')->{json}{environment}, 'staging', 'F190 a branch goes to the environment that takes it');
is(deploy(ref => 'release/1/2')->{json}{environment}, 'qa', 'by its pattern');
is(deploy(ref => 'main')->{json}{environment}, 'production', 'the app\'s own to production');
is(deploy(ref => 'develop', environment => 'qa')->{json}{environment}, 'qa', 'unless an environment is named');
is(deploy(ref => 'fix')->{json}{environment}, 'production', 'what nothing takes goes to production, as it was asked for');
$api->is_problem(deploy(ref => 'x', environment => 'preview-x'), 400, 'environment_invalid', 'a preview is not named');

# ---- pushes -----------------------------------------------------------------------------------------
$res = push_to('develop');
is($res->{status}, 202, 'F190 a push to a branch that an environment takes');
is($res->{json}{environment}, 'staging', 'is deployed there');
is_deeply(push_to('fix')->{json}, { ignored => 'other_branch' }, 'R22 another one is ignored, as long as there are no previews');
is(previews(2)->{status}, 200, 'previews are asked for');
$res = push_to('fix/Login');
is($res->{status}, 202, 'F221 then it gets one') or diag $res->{body};
like($res->{json}{environment}, qr/^preview-fix-login-[0-9a-f]{7}$/, 'an environment of its own');
like($res->{json}{url}, qr{^https://blog-branch-fix-login-[0-9a-f]{7}\.apps\.example\.test/$}, 'F221 and the name of its branch');
is(deploy(ref => 'fix/Login')->{json}{environment}, $res->{json}{environment}, 'a deployment of it goes there too');
is(push_to('main')->{json}{environment}, 'production', 'the app\'s own still goes to production');
is_deeply(push_to('fix/Login', deleted => JSON::PP::true, after => '0' x 40, head_commit => undef)->{json}, { ignored => 'branch_delete' },
    'F253 R22 a deleted branch starts nothing');

# ---- taken back -------------------------------------------------------------------------------------
my $drop = sub { return $api->req(DELETE => "/v1/apps/blog/environments/$_[0]", token => $token) };
is($drop->('staging?keep=true')->{status}, 204, 'an environment takes nothing any more');
$api->is_problem($drop->('staging?keep=true'), 404, 'not_found', 'once');
like(deploy(ref => 'develop')->{json}{environment}, qr/^preview-develop-/, 'its branch is like any other then');

# ---- ended ------------------------------------------------------------------------------------------
my $id = $api->value("SELECT id FROM apps WHERE slug = 'blog'");
my $of = sub { return $api->value("SELECT COUNT(*) FROM jobs j JOIN deployments d ON d.id = j.deployment_id WHERE d.environment = '$_[0]' AND j.cancel_at $_[1]") };
$api->sql("INSERT INTO names (label, app_id, environment, kind, deployment_id, updated_at) SELECT 'blog-env-qa', app_id, 'qa', 'environment', id, 1"
    . " FROM deployments WHERE environment = 'qa' ORDER BY number LIMIT 1");
$api->req(PUT => '/v1/apps/blog/env', token => $token, json => { environment => 'qa', variables => [ { name => 'A', value => 'x' } ] });
$api->sql("INSERT INTO domains (id, app_id, environment, host, status, challenge, created_at, updated_at) VALUES ('d', '$id', 'qa', 'qa.example', 'active', 'c', 1, 1)");
$api->is_problem($drop->('qa'), 409, 'has_domains', 'not while a domain shows it');
is($of->('qa', '> 0'), 0, 'and nothing of it is done');
$api->sql("DELETE FROM domains WHERE id = 'd'");
cmp_ok($of->('qa', '= 0'), '>', 0, 'something is under way');
is($drop->('qa')->{status}, 204, 'an environment that shows something is ended');
is($of->('qa', '= 0'), 0, 'what is under way is asked to end');
cmp_ok($api->value("SELECT expires_at FROM names WHERE label = 'blog-env-qa'"), '>', 1, 'its names go');
is_deeply($api->req(GET => '/v1/apps/blog/env', token => $token)->{json}{items}, [], 'its env vars are gone');
is_deeply($api->req(GET => '/v1/apps/blog/environments', token => $token)->{json}{items}, [], 'and its pattern');
$api->is_problem($drop->('production'), 409, 'production', 'production goes with its app');
$api->is_problem($drop->('nothing'), 404, 'not_found', 'what is not there is not found');
is($api->unexpected, '', 'the error log is clean');
done_testing();
