#!/usr/bin/perl
# db: sqlite pgsql
# What administrators do with workers over REST: tokens for them, one by one, draining, revocation, rotation,
# removal, the sums; and where apps may run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $root = $api->token;
my $reader = $api->token('read');
my %w = map { $_ => $api->worker($_, zone => $_ eq 'w1' ? 'a' : 'b', labels => { disk => 'ssd' }) } qw(w1 w2);

sub call { my ($verb, $path, @json) = @_; return $api->req($verb => $path, token => $root, @json ? (json => $json[0]) : ()) }
sub act { my ($name, $action) = @_; return call(POST => "/v1/workers/$name/$action", {}) }
sub probe { my ($jwt) = @_; return $api->req(POST => '/v1/agent/releases', token => $jwt, json => { job => '0' x 26, epoch => 1, manifest => [] }) }
sub refresh { my ($key) = @_; return $api->req(POST => '/v1/workers/refresh-token', token => $key, body => '') }
sub register {
    my ($credential, $name, $key, %more) = @_;
    return $api->req(POST => '/v1/workers/register', token => $credential,
        json => { name => $name, api_key => $key, cpu_millis => 2000, memory_bytes => 1 << 30, address => '127.0.0.1', %more });
}
# A container of a deployment of the app on a worker, as the scheduler would have stored it.
my $n = 0;
sub live {
    my ($slug, $worker, $state) = @_;
    my $deployment = call(POST => "/v1/apps/$slug/deployments", {})->{json}{id};
    my $job = $api->value("SELECT id FROM jobs WHERE deployment_id = '$deployment'");
    $n++;
    $api->sql("UPDATE jobs SET status = 'succeeded', worker_id = $worker->{row}, epoch = 1 WHERE id = '$job'",
        "UPDATE deployments SET status = 'completed', conclusion = 'succeeded', phase = 'done', worker_id = $worker->{row} WHERE id = '$deployment'",
        "INSERT INTO instances (id, app_id, deployment_id, worker_id, container, address, port, state, created_at) SELECT '" . sprintf('%026d', $n)
            . "', app_id, id, $worker->{row}, 'c$n', '127.0.0.1', 20000, '" . ($state // 'running') . "', 1 FROM deployments WHERE id = '$deployment'",
        "UPDATE apps SET observed = 'running' WHERE slug = '$slug'");
    return $deployment;
}

# ---- one worker ------------------------------------------------------------------------------------
my $res = call(GET => '/v1/workers/w1');
is($res->{status}, 200, 'a worker by its name') or diag $res->{body};
is_deeply([ sort keys %{ $res->{json} } ], [ sort qw(id name status admin_state address zone labels engine version cpu_millis memory_bytes
    used_cpu_millis used_memory_bytes max_jobs jobs apps_running disk_free_bytes refuses revoked rotating draining_since
    last_heartbeat_at created_at updated_at drain) ], 'with its members');
is($api->req(GET => "/v1/workers/$w{w1}{id}", token => $reader)->{json}{name}, 'w1', 'and by its id, to who may read');
unlike($res->{body}, qr/key|hash/i, 'and no key of it');
$api->is_problem(call(GET => "/v1/workers/$_"), 404, 'not_found', "none called $_") for 'w9', '0' x 26, 'W1', 'w1%20', '-x', 'x' x 64;
$api->is_problem(call(GET => '/v1/workers/w1?x=1'), 400, 'unknown_parameter', 'no parameter');

# ---- enrolment tokens ------------------------------------------------------------------------------
my $path = '/v1/workers/enrol-tokens';
sub enrol { my (%body) = @_; return call(POST => $path, \%body) }
$res = $api->req(POST => $path, token => $root, body => '');
is($res->{status}, 201, 'R8 a token without a body') or diag $res->{body};
like($res->{json}{token}, qr/^[0-9a-f]{64}$/, 'is shown');
unlike($api->db->dump_all, qr/$res->{json}{token}/, 'R8 and stored as a hash alone');
is($api->value('SELECT max(expires_at - created_at) FROM onetime_tokens WHERE used_at = 0'), 3600_000_000, 'good for an hour');
is(register($res->{json}{token}, 'w3', sha256_hex('three'))->{status}, 201, 'R8 it registers');
$api->unchanged('the token again', sub { $api->is_problem(register($res->{json}{token}, 'w4', sha256_hex('four')), 401, 'invalid_credentials', 'R8 once') });
my %few = map { $_ => $api->token($_) } qw(read write deploy);
$api->unchanged('enrolment tokens that are none', sub {
    $api->is_problem(enrol(%{ $_->[0] }), 400, $_->[1], "a token with " . JSON::PP->new->ascii->canonical->encode($_->[0])) for
        [ { expires_in => 59 }, 'out_of_range' ], [ { expires_in => 2592001 }, 'out_of_range' ], [ { expires_in => -1 }, 'out_of_range' ],
        [ { expires_in => '60' }, 'wrong_type' ], [ { worker => '' }, 'too_short' ], [ { worker => 'a b' }, 'invalid_value' ],
        [ { worker => 'ws' }, 'invalid_value' ], [ { worker => 'x' x 64 }, 'too_long' ], [ { worker => "a\x{202e}b" }, 'invalid_value' ],
        [ { replaces => JSON::PP::true }, 'missing_field' ], [ { replaces => 1, worker => 'w1' }, 'wrong_type' ], [ { purpose => 'admin' }, 'unknown_field' ];
    $api->is_problem(enrol(worker => 'w1'), 409, 'conflict', 'for a name that is taken');
    $api->is_problem(enrol(worker => 'w9', replaces => JSON::PP::true), 422, 'no_such_worker', 'to replace one that is not there');
    $api->is_problem($api->req(POST => $path, token => $few{$_}, json => {}), 403, 'forbidden', "R8 a token with $_ makes none") for qw(read write deploy);
});
my $bound = enrol(worker => 'w5', expires_in => 60)->{json};
is($bound->{worker}, 'w5', 'a token for one name');
$api->unchanged('the bound token with another name', sub {
    $api->is_problem(register($bound->{token}, 'w6', sha256_hex('six')), 403, 'token_for_another', 'registers no other');
});
is(register($bound->{token}, 'w5', sha256_hex('five'))->{status}, 201, 'and was not used up by that');
$api->app($root, 'kept', placement => { worker => 'w5' });
my $before = $api->value("SELECT id FROM workers WHERE name = 'w5'");
my $replaces = enrol(worker => 'w5', replaces => JSON::PP::true)->{json}{token};
is(refresh(sha256_hex('five'))->{status}, 200, 'a token to replace a key changes nothing yet');
$api->is_problem(register($replaces, 'w5', sha256_hex('three')), 409, 'conflict', 'XD12 the key of another worker is no new key');
is(register($replaces, 'w5', sha256_hex('five anew'))->{status}, 201, 'R8 it registers the name with another key');
is($api->value("SELECT id FROM workers WHERE name = 'w5'"), $before, 'it is the same worker');
$api->is_problem(refresh(sha256_hex('five')), 401, undef, 'F75 the old key is dead');
is(refresh(sha256_hex('five anew'))->{status}, 200, 'the new one is good');

# ---- a worker changes its key ----------------------------------------------------------------------
sub rotate { my ($bearer, $new) = @_; return $api->req(POST => '/v1/workers/rotate-key', token => $bearer, json => { api_key => $new }) }
my ($old, $new) = ($w{w1}{key}, sha256_hex('w1 anew'));
my $jwt = refresh($old)->{json}{token};
is(probe($jwt)->{status}, 404, 'a token of the old key is good');
$api->unchanged('rotations that are none', sub {
    $api->is_problem(rotate($old, $_), 400, undef, 'a new key that is none') for '', 'x', 'G' x 64, uc $new, 'a' x 63, 'a' x 65;
    $api->is_problem(rotate($old, $w{w2}{key}), 409, 'conflict', 'XD12 another worker\'s key');
    $api->is_problem(rotate($_->[1], $new), $_->[2], undef, "rotation by $_->[0]") for [ 'nobody', undef, 401 ], [ 'a person', $root, 403 ],
        [ 'the worker\'s token', $jwt, 403 ], [ 'a wrong key', sha256_hex('x'), 401 ], [ 'the control secret', $api->{control}, 403 ];
});
$res = act('w1', 'rotate-key');
is($res->{status}, 202, 'an administrator asks for a rotation');
is($res->{json}{rotating}, JSON::PP::true, 'it says so until it is done');
$res = rotate($old, $new);
is($res->{status}, 200, 'F75 R8 the worker changes its key') or diag $res->{body};
is_deeply([ sort keys %{ $res->{json} } ], [qw(token token_expires_at)], 'and gets a token for it');
is($api->value("SELECT key_hash FROM workers WHERE name = 'w1'"), sha256_hex($new), 'the hash of the new one is stored');
is($api->value("SELECT rotate_at FROM workers WHERE name = 'w1'"), 0, 'and the wish is fulfilled');
is(probe($res->{json}{token})->{status}, 404, 'the new token is good');
$api->is_problem(probe($jwt), 401, undef, 'F75 R8 XD8 a token of the old key is dead at once');
$api->is_problem(refresh($old), 401, undef, 'F75 and the key');
$api->is_problem(rotate($old, sha256_hex('other')), 401, undef, 'F75 which changes nothing any more');
$api->unchanged('the rotation again with the new key', sub { is(rotate($new, $new)->{status}, 200, 'XD13 the same again with the new key is an answer again') });
$w{w1}{key} = $new;

# ---- revocation ------------------------------------------------------------------------------------
$jwt = refresh($w{w2}{key})->{json}{token};
$res = act('w2', 'revoke');
is($res->{status}, 200, 'R8 a worker is revoked');
is($res->{json}{revoked}, JSON::PP::true, 'and shown as such');
$api->is_problem(refresh($w{w2}{key}), 401, undef, 'R8 XD8 its key is good for nothing');
$api->is_problem(probe($jwt), 401, undef, 'R8 XD8 nor are its tokens');
$api->is_problem(rotate($w{w2}{key}, sha256_hex('x')), 401, undef, 'R8 it cannot help itself to another');
$api->unchanged('a revoked worker', sub {
    is(act('w2', 'revoke')->{status}, 200, 'twice is once');
    $api->is_problem(act('w2', 'rotate-key'), 409, 'worker_revoked', 'a revoked key is not rotated');
    $api->is_problem(register($api->{control}, 'w2', $w{w2}{key}), 403, 'worker_revoked', 'R8 the key is not registered again either');
});
my $anew = enrol(worker => 'w2', replaces => JSON::PP::true)->{json}{token};
$api->is_problem(register($anew, 'w2', $w{w2}{key}), 403, 'worker_revoked', 'R8 nor with a token that replaces it: what was revoked stays revoked');
$api->is_problem(refresh($w{w2}{key}), 401, undef, 'R8 it is good for nothing still');
is(register($anew, 'w2', sha256_hex('w2 anew'))->{status}, 201, 'with another key, by the same token, it comes back');
is(call(GET => '/v1/workers/w2')->{json}{revoked}, JSON::PP::false, 'and is not revoked any more');
$w{w2}{key} = sha256_hex('w2 anew');

# ---- draining --------------------------------------------------------------------------------------
$api->app($root, $_, kind => 'container') for qw(blog shop);
live('blog', $w{w1});
live('shop', $w{w1}, 'draining');
is(call(GET => '/v1/workers/w1')->{json}{drain}, undef, 'who does not drain has no such list');
$res = act('w1', 'drain');
is($res->{status}, 202, 'a worker drains') or diag $res->{body};
is($res->{headers}{location}, "/v1/workers/$w{w1}{id}", 'Location says where to look');
is($res->{json}{admin_state}, 'draining', 'its state says so');
ok($res->{json}{draining_since}, 'and since when');
is_deeply([ map { [ @$_{qw(app environment deployment)}, $_->{cause}{code} ] } @{ $res->{json}{drain}{left} } ],
    [ [ 'blog', 'production', undef, undef ], [ 'shop', 'production', undef, 'stopping' ] ], 'what is left there, and what stops by itself');
my $moves = call(POST => '/v1/apps/blog/deployments', {})->{json}{id};
$api->sql("UPDATE deployments SET trigger_kind = 'drain', cause_code = 'no_room', cause_detail = 'no other worker has room' WHERE id = '$moves'");
my $left = call(GET => '/v1/workers/w1')->{json}{drain}{left}[0];
is_deeply([ @$left{qw(deployment status)}, $left->{cause}{detail} ], [ $moves, 'prepare', 'no other worker has room' ], 'why it cannot move yet');
$api->sql("UPDATE deployments SET status = 'completed', conclusion = 'failed', phase = 'done', cause_code = 'build_failed', cause_detail = 'make: ***' WHERE id = '$moves'",
    "UPDATE jobs SET status = 'failed', worker_id = $w{w2}{row} WHERE deployment_id = '$moves'");
$left = call(GET => '/v1/workers/w1')->{json}{drain}{left}[0];
is_deeply([ @$left{qw(deployment status)}, $left->{cause}{code} ], [ $moves, 'completed', 'build_failed' ], 'and that it failed');
$api->unchanged('draining again', sub { is(act('w1', 'drain')->{status}, 202, 'twice is once') });
is(act('w1', 'undrain')->{json}{admin_state}, 'active', 'and back');
is($api->value("SELECT drain_at FROM workers WHERE name = 'w1'"), 0, 'with nothing left of it');

# ---- stats -----------------------------------------------------------------------------------------
$api->sql("UPDATE workers SET status = 'online', used_cpu = 500, used_memory = 1024 WHERE name = 'w1'");
is_deeply($api->req(GET => '/v1/stats', token => $api->{control})->{json}, { workers => { total => 4, online => 1, offline => 3, draining => 0 },
    cpu_millis => { total => 10000, used => 500 }, memory_bytes => { total => (8 << 30) + 3 * (1 << 30), used => 1024 },
    jobs => { pending => 0, assigned => 0, processing => 0 }, apps => { running => 2 } }, 'F49 F59 F152 the sums, by the control secret')
    or diag explain $api->req(GET => '/v1/stats', token => $api->{control})->{json};
is($api->req(GET => '/v1/stats', token => $reader)->{status}, 200, 'F49 a token that may read all');
$api->is_problem($api->req(GET => '/v1/stats', token => $_->[1]), $_->[2], undef, "F49 not by $_->[0]") for [ 'nobody', undef, 401 ], [ 'a worker', $w{w1}{key}, 403 ],
    [ 'a token for one app', $api->token('read', $api->value("SELECT id FROM apps WHERE slug = 'blog'")), 403 ], [ 'one that only deploys', $api->token('deploy'), 403 ];

# ---- removal ---------------------------------------------------------------------------------------
$api->app($root, $_, kind => 'container') for qw(begun given pinned);
my ($begun, $job) = $api->processing($root, 'begun', $w{w1}, 3);
my ($given) = $api->processing($root, 'given', $w{w1}, 4);
$api->sql("UPDATE jobs SET status = 'assigned' WHERE deployment_id = '$given'");
$api->sql("UPDATE deployments SET status = 'deploy' WHERE id = '$begun'");
my $pinned = call(POST => '/v1/apps/pinned/deployments', { placement => { worker => 'w1' } })->{json}{id};
is($api->value("SELECT worker_id FROM jobs WHERE deployment_id = '$pinned'"), $w{w1}{row}, 'F144 a deployment placed on one worker: its job says so');
$jwt = refresh($w{w1}{key})->{json}{token};
$api->unchanged('a removal that is refused', sub {
    $res = call(DELETE => '/v1/workers/w1');
    $api->is_problem($res, 409, 'worker_in_use', 'a worker with containers stays');
    like($res->{json}{detail}, qr/blog \(production\), shop \(production\)/, 'and the answer names the apps');
    $api->is_problem(call(DELETE => "/v1/workers/w1?force=$_"), $_ eq 'false' ? 409 : 400, undef, "force=$_") for 'false', '1', 'yes', '';
    $api->is_problem(call(DELETE => '/v1/workers/nobody?force=true'), 404, 'not_found', 'one that is not there');
});
is(call(DELETE => '/v1/workers/w1?force=true')->{status}, 204, 'by force it goes');
$api->is_problem(call(GET => "/v1/workers/$_"), 404, 'not_found', 'nobody finds it') for 'w1', $w{w1}{id};
ok(!(grep { $_->{id} eq $w{w1}{id} } @{ call(GET => '/v1/workers')->{json}{items} }), 'nor in the list');
$api->is_problem(refresh($w{w1}{key}), 401, undef, 'XD8 its key is good for nothing');
$api->is_problem(probe($jwt), 401, undef, 'XD8 nor are its tokens');
sub conclusion { my ($id) = @_; my $d = call(GET => "/v1/deployments/$id")->{json}; return join ' ', $d->{status}, $d->{conclusion} // '', $d->{cause}{code} // '' }
is(conclusion($begun), 'completed failed worker_removed', 'what had begun there failed');
is($api->value("SELECT status FROM jobs WHERE id = '$job'"), 'failed', 'its job is fenced');
is(conclusion($pinned), 'completed failed worker_removed', 'so did what was placed on it by name');
is($api->value("SELECT status FROM jobs WHERE deployment_id = '$given' AND worker_id IS NULL"), 'pending', 'R10 what had not begun goes to another');
is($api->value("SELECT count(*) FROM instances WHERE worker_id = $w{w1}{row} AND state <> 'stopped'"), 0, 'its containers count as stopped');
is(call(GET => '/v1/apps/blog')->{json}{reason}, 'worker_removed', 'the app says why it does not run');
$api->is_problem(register($api->onetime('enrolment'), $_, $w{w1}{key}), 403, 'worker_removed', 'the key never comes back') for 'w1', 'w7';
is(register($api->onetime('enrolment'), 'w1', sha256_hex('another'))->{status}, 201, 'the name is free again');
isnt($api->value("SELECT id FROM workers WHERE name = 'w1'"), $w{w1}{row}, 'for another worker');
is(call(DELETE => '/v1/workers/w2')->{status}, 204, 'one without containers goes without force');

# ---- placement -------------------------------------------------------------------------------------
my $place = { worker => 'w5', zone => 'b', labels => { disk => 'ssd' } };
$res = call(POST => '/v1/apps', $api->app_body('placed', placement => $place));
is_deeply($res->{json}{placement}, $place, 'F144 an app says where it may run') or diag $res->{body};
is_deeply(call(GET => '/v1/apps/blog')->{json}{placement}, { worker => undef, zone => undef, labels => {} }, 'or nothing of it');
my $d = call(POST => '/v1/apps/placed/deployments', {})->{json}{id};
is($api->value("SELECT worker_id FROM jobs WHERE deployment_id = '$d'"), $before, 'F144 the job waits for that worker');
is($api->value("SELECT place_zone FROM jobs WHERE deployment_id = '$d'"), 'b', 'in that zone');
is($api->value("SELECT place_labels FROM jobs WHERE deployment_id = '$d'"), '{"disk":"ssd"}', 'with those labels');
is_deeply(JSON::PP::decode_json($api->value("SELECT snapshot FROM deployments WHERE id = '$d'"))->{placement}, $place, 'F227 and the snapshot keeps it');
$d = call(POST => '/v1/apps/placed/deployments', { placement => { zone => 'c' } })->{json}{id};
is($api->value("SELECT place_zone FROM jobs WHERE deployment_id = '$d' AND worker_id IS NULL AND place_labels = '{}'"), 'c', 'a deployment may say otherwise for itself');
$api->unchanged('placements that are none', sub {
    for my $case ([ { worker => 'w9' }, 422, 'no_such_worker' ], [ { worker => 'a b' }, 400 ], [ { worker => 7 }, 400 ], [ { zone => 'x' x 64 }, 400 ],
        [ { zone => "a\x{200b}" }, 400 ], [ { labels => [] }, 400 ], [ { labels => { 'a b' => 'x' } }, 400 ], [ { labels => { a => "\x{2066}" } }, 400 ],
        [ { labels => { map { $_ => 'x' } 1 .. 33 } }, 400 ], [ { node => 'x' }, 400 ], [ 'w1', 400 ]) {
        my ($what, $status, $code) = @$case;
        my $name = 'placement ' . JSON::PP->new->ascii->canonical->allow_nonref->encode($what) =~ s/^(.{60}).*/$1/r;
        $api->is_problem(call(POST => '/v1/apps', $api->app_body('new-app', placement => $what)), $status, $code, "$name of an app");
        $api->is_problem(call(POST => '/v1/apps/placed/deployments', { placement => $what }), $status, $code, "$name of a deployment");
        $api->is_problem($api->req(PATCH => '/v1/apps/placed', token => $root, json => { placement => $what },
            headers => { 'If-Match' => call(GET => '/v1/apps/placed')->{headers}{etag} }), $status, $code, "$name of a patch");
    }
});
is(call(DELETE => '/v1/workers/w5')->{status}, 204, 'the worker goes');
$api->is_problem(call(POST => '/v1/apps/placed/deployments', {}), 422, 'no_such_worker', 'what is placed on it waits for nobody');
$res = $api->req(PATCH => '/v1/apps/placed', token => $root, json => { placement => { worker => undef } }, headers => { 'If-Match' => call(GET => '/v1/apps/placed')->{headers}{etag} });
is_deeply($res->{json}{placement}, { %$place, worker => undef }, 'null takes one part back');

is($api->unexpected, '', 'the error log is clean');
done_testing();
