#!/usr/bin/perl
# db: sqlite pgsql
# Every route of openapi.json, by every kind of caller, on own, foreign and missing objects: who is let in,
# who is not and with which status; and nothing changes when somebody is not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use File::Temp ();
use JSON::PP ();
use Test::More;
use WH::Api;

my $proxy = sha256_hex("proxy $$ " . rand);
my $file = File::Temp->new;
print {$file} "$proxy\n";
$file->flush;
chmod 0600, $file->filename;
my $metrics = sha256_hex("metrics $$ " . rand);
my $metrics_file = File::Temp->new;
print {$metrics_file} "$metrics\n";
$metrics_file->flush;
chmod 0600, $metrics_file->filename;
my $api = WH::Api->new(global => 'WiseHostProxyTokenFile ' . $file->filename . "\nWiseHostMetricsTokenFile " . $metrics_file->filename,
    conf => 'WiseHostMetricsAllow none');
my $root = $api->token;
my $doc = $api->req(GET => '/v1/openapi.json')->{json};
my ($mine, $yours) = map { $api->app($root, $_) } qw(mine yours);
my ($w1, $w2, $w3, $w4) = map { $api->worker($_) } qw(w1 w2 w3 w4); # the last two are for those who change workers
my ($own_dep, $own_job) = $api->processing($root, 'mine', $w1);
my ($foreign_dep, $foreign_job) = $api->processing($root, 'yours', $w2);
my %hook = map { $_ => $api->req(POST => '/v1/hooks', token => $root, json => { app => $_, provider => 'github' })->{json} } qw(mine yours);

$api->req(POST => '/v1/notifications/channels', token => $root, json => { name => $_, target => 'discord://tok@1' }) for qw(ch-1 ch-2);
$api->req(POST => '/v1/drains', token => $root, json => { name => $_, target => 'https://h.test/', enabled => JSON::PP::false }) for qw(dr-1 dr-2);

my %switch;
for ([ mine => $mine, $own_dep ], [ yours => $yours, $foreign_dep ]) {
    my ($slug, $app, $deployment) = @$_;
    $switch{$slug} = '0' . substr($slug, 0, 1) . '0' x 24;
    $api->sql("INSERT INTO switches (id, app_id, environment, deployment_id, kind, created_at, done_at) VALUES"
        . " ('$switch{$slug}', '$app->{id}', 'production', '$deployment', 'rollback', 1, 1)");
}

# Rules and alerts of both, by their number.
my (%rule, %alert);
for ([ mine => $mine ], [ yours => $yours ]) {
    my ($slug, $app) = @$_;
    ($rule{$slug}, $alert{$slug}) = map { '0' . substr($slug, 0, 1) . '0' x 23 . $_ } 1, 2;
    $api->sql("INSERT INTO alert_rules (id, app_id, kind, threshold, sustain_s, created_at, updated_at) VALUES ('$rule{$slug}', '$app->{id}', 'cpu', 1, 60, 1, 1)",
        "INSERT INTO alerts (id, app_id, rule_id, kind, severity, source_type, source_id, title, fired_at) VALUES"
        . " ('$alert{$slug}', '$app->{id}', '$rule{$slug}', 'cpu', 'info', 'app.cpu', '$app->{id}', 'x', 1)");
}

# What each operation is called with; the object comes in by {}.
my $sha = sha256_hex('a');
my $manifest = [ { path => 'a', size => 1, sha256 => $sha } ];
my %call = (
    login => sub { (json => { token => 'no such' }) },
    create_app => sub { (json => $api->app_body('brand-new')) },
    change_app => sub { (json => { name => 'x' }, headers => { 'If-Match' => '"999"' }) },
    delete_app => sub { (headers => { 'If-Match' => '"999"' }) },
    create_deployment => sub { (json => {}) },
    create_upload => sub { (body => 'x', type => 'application/octet-stream') },
    create_domain => sub { (json => { host => 'localhost' }) }, # nothing that would be taken
    change_domain => sub { (json => {}) },
    verify_domain => sub { (json => {}) },
    (map { $_ => sub { (json => { variables => [] }) } } qw(put_env change_env)),
    put_credentials => sub { (json => { token => 't', host => 'git.example.test' }) },
    put_known_hosts => sub { (json => { known_hosts => '' }) },
    put_environment => sub { (json => { pattern => 'x' }) },
    (map { $_ => sub { (json => {}) } } qw(rotate_hook replay_delivery approve_deployment cancel_deployment rollback_deployment rollback_app sync_app create_deploy_key)),
    (map { $_ => sub { (json => { kind => 'offline', severity => 'loud' }) } } qw(create_alert_rule create_app_alert_rule)), # nothing that would be taken
    resolve_app_alert => sub { (json => { source => { type => 'app.none', id => 'x' } }) },
    change_alert_rule => sub { (json => { severity => 'loud' }) },
    (map { $_ => sub { (json => {}) } } qw(acknowledge_alert resolve_alert)),
    promote_deployment => sub { (json => { environment => 'qa' }) },
    create_hook => sub { (json => { app => $_[0]{app}, provider => 'github' }) },
    create_app_hook => sub { (json => { provider => 'github' }) },
    register_worker => sub { (json => { name => 'w1', api_key => 'f' x 64, cpu_millis => 1, memory_bytes => 1 }) }, # a conflict
    refresh_token => sub { (json => {}) },
    rotate_worker_key => sub { (json => { api_key => 'not hex ' x 8 }) }, # nothing that would be taken
    enrol_worker => sub { (json => { worker => 'w3' }) },
    (map { $_ => sub { (json => {}) } } qw(drain_worker undrain_worker revoke_worker ask_rotate_worker_key)),
    create_release => sub { (json => { job => $_[0]{job}, epoch => 1, manifest => $manifest }) },
    put_object => sub { (body => 'a', type => 'application/octet-stream', query => "?job=$_[0]{job}&epoch=1") },
    put_objects => sub { (body => sha256_hex('a') . " 1\na", type => 'application/octet-stream', query => "?job=$_[0]{job}&epoch=1") },
    get_job_refs => sub { (query => '?service=git-upload-pack') },
    fetch_job_source => sub { (body => '0000', type => 'application/x-git-upload-pack-request') },
    commit_release => sub { (json => { job => $_[0]{job}, epoch => 1 }) },
    deliver => sub { (body => '{}') },
    (map { $_ => sub { (json => {}) } } qw(change_channel rotate_channel test_channel resend_notice)),
    change_drain => sub { (json => {}) },
    create_drain => sub { (json => { name => 'Not One', target => 'x' }) },
    create_channel => sub { (json => { name => 'Not One', target => 'x' }) }, # nothing that would be taken
    change_hook => sub { (json => { watch => 'web/**' }) },
);
$api->deliver($hook{$_}, 'ping', '{}') for qw(mine yours);
my %delivery = map { $_ => $api->value("SELECT id FROM hook_deliveries WHERE hook_id = '$hook{$_}{id}'") } qw(mine yours);
my %object = (
    own => { app => 'mine', deployment => $own_dep, hook => $hook{mine}{id}, delivery => $delivery{mine}, job => $own_job, worker => 'w3', switch => $switch{mine}, alert => $alert{mine}, alert_rule => $rule{mine}, channel => 'ch-1', logdrain => 'dr-1' },
    foreign => { app => 'yours', deployment => $foreign_dep, hook => $hook{yours}{id}, delivery => $delivery{yours}, job => $foreign_job, worker => $w4->{id}, switch => $switch{yours}, alert => $alert{yours}, alert_rule => $rule{yours}, channel => 'ch-2', logdrain => 'dr-2' },
    missing => { app => 'no-such-app', deployment => '0' x 26, hook => '0' x 26, delivery => '0' x 26, job => '0' x 26, worker => 'w9', switch => '0' x 26, alert => '0' x 26, alert_rule => '0' x 26, channel => 'ch-9', logdrain => 'dr-9' },
);

my @ops;
for my $path (sort keys %{ $doc->{paths} }) {
    for my $method (sort keys %{ $doc->{paths}{$path} }) {
        push @ops, { path => $path, method => uc $method, %{ $doc->{paths}{$path}{$method} } };
    }
}
cmp_ok(scalar @ops, '>=', 36, 'the document names the routes');
for my $op (@ops) {
    ok($op->{operationId} && @{ $op->{'x-callers'} } && $op->{'x-action'} && $op->{responses}{default}, "$op->{method} $op->{path} is described");
    ok(!$op->{requestBody} || $call{ $op->{operationId} }, "and this test knows what to send to it");
}

# kind, credential, scopes and apps of a token
my @callers = ([ anonymous => undef ], [ garbage => 'garbage' ], [ control => $api->{control} ], [ proxy => $proxy ], [ worker_key => $w1->{key} ],
    [ worker => $w1->{token} ], [ metrics => $metrics ]);
for my $scopes ('read', 'deploy', 'write', 'read deploy', 'admin') {
    for my $apps ('*', $mine->{id}) { push @callers, [ token => $api->token($scopes, $apps), $scopes, $apps ] }
}

sub call {
    my ($op, $who, $object) = @_;
    my %with = $call{ $op->{operationId} } ? $call{ $op->{operationId} }->($object) : ();
    my $id = $op->{'x-object'} =~ /^(?:hook|delivery)$/ ? $object->{hook} : $object->{ $op->{'x-object'} =~ /^(?:worker|switch|alert|alert_rule|channel|logdrain)$/ ? $op->{'x-object'} : 'deployment' };
    $id = 'a' x 40 if $op->{operationId} eq 'commit_release';
    (my $path = $op->{path}) =~ s/\{slug\}/$object->{app}/;
    $path =~ s/\{id\}/$id/;
    $path =~ s/\{sha256\}/$sha/;
    $path =~ s/\{name\}/staging/;
    $path =~ s/\{provider\}/github/;
    $path =~ s/\{delivery\}/$object->{delivery}/;
    $path =~ s/\{notice\}/$object->{notice} || '0' x 26/e;
    $path =~ s/\{job\}/$object->{job}/;
    $path =~ s/\{epoch\}/1/;
    $path =~ s/\{domain\}/$object->{app}.example/;
    return $api->req($op->{method}, $path . (delete $with{query} // ''), token => $who->[1], %with);
}

# What wh_authz's rules say: undef = let in.
sub verdict {
    my ($op, $who, $which) = @_;
    my ($kind, undef, $scopes, $apps) = @$who;
    my %takes = map { $_ => 1 } @{ $op->{'x-callers'} };
    return undef if $takes{anonymous};
    return 401 if $kind eq 'anonymous' || $kind eq 'garbage' || $takes{hook};
    return 403 if !$takes{$kind};
    my $object = $op->{'x-object'};
    my $has = $kind ne 'token' || !$op->{'x-scope'} || $scopes =~ /\b(?:admin|\Q$op->{'x-scope'}\E)\b/;
    if ($object eq 'none') {
        my $list = $op->{operationId} =~ /^(?:list_(?:apps|hooks|alerts|alert_rules)|get_events)$/;
        return !$has || ($kind eq 'token' && $apps ne '*' && !$list) ? 403 : undef;
    }
    # A worker or channel belongs to no app: it is everybody's who may see workers at all.
    return !$has || $apps ne '*' ? 403 : $which eq 'missing' ? 404 : undef if $object =~ /^(?:worker|channel|logdrain)$/;
    # Kind and scope are asked before the object is looked for.
    return 403 if !$has && $which ne 'own';
    return 404 if $which eq 'missing' || ($kind eq 'token' ? $apps ne '*' && $which eq 'foreign' : $which eq 'foreign');
    return $has ? undef : 403;
}

my (%seen, @let_in);
$api->unchanged('everybody who is refused', sub {
    my $nth = 0;
    for my $op (@ops) {
        $api->restart if ++$nth % 20 == 0; # so many refusals in a row would be 429: counted anew
        my @which = $op->{'x-object'} eq 'none' ? ('own') : sort keys %object;
        my @wrong;
        for my $who (@callers) {
            for my $which (@which) {
                my $want = verdict($op, $who, $which);
                my $name = join ' ', grep { defined } $who->[0], @$who[ 2 .. $#$who ], $which;
                if (!defined $want) { push @let_in, [ $op, $who, $which, $name ]; next }
                # Refused credentials are counted: so many in a row would be 429.
                $api->restart if ++$seen{$want} % 200 == 0 && $want == 401;
                my $got = call($op, $who, $object{$which});
                push @wrong, "$name: wanted $want, got $got->{status} " . ($got->{json}{code} // '')
                    if $got->{status} != $want || ($got->{headers}{'content-type'} // '') ne 'application/problem+json';
            }
        }
        is(join("\n", @wrong), '', "XA21 $op->{method} $op->{path}: refused as it should be");
    }
});
cmp_ok($seen{$_} // 0, '>=', 10, "enough answers were $_") for 401, 403, 404;

# A foreign object and a missing one read the same.
for my $op (grep { $_->{'x-object'} =~ /^(?:app|deployment|hook|switch|alert|alert_rule)$/ } @ops) {
    my $who = [ token => $api->token('admin', $mine->{id}) ];
    my ($foreign, $missing) = map { my $r = call($op, $who, $object{$_}); delete $r->{json}{request_id}; $r } qw(foreign missing);
    is_deeply([ @$foreign{qw(status json)} ], [ @$missing{qw(status json)} ], "XA21 $op->{method} $op->{path}: foreign or missing, nobody can tell");
}

my %wrong;
for my $case (sort { ($a->[0]{method} eq 'DELETE') <=> ($b->[0]{method} eq 'DELETE') } @let_in) {
    my ($op, $who, $which, $name) = @$case;
    next if $op->{operationId} eq 'login';
    my %now = %{ $object{$which} };
    if ($op->{operationId} =~ /^(?:rotate_hook|(?:get|replay)_delivery)$/) { # another delivery each, of a hook of its own
        my $h = $api->req(POST => '/v1/hooks', token => $root, json => { app => $now{app}, provider => 'github' })->{json};
        $api->deliver($h, 'ping', '{}');
        @now{qw(hook delivery)} = ($h->{id}, $api->value("SELECT id FROM hook_deliveries WHERE hook_id = '$h->{id}'"));
    }
    if ($op->{operationId} eq 'delete_hook') { # each one deletes its own
        $now{hook} = $api->req(POST => '/v1/hooks', token => $root, json => { app => $now{app}, provider => 'github' })->{json}{id};
    }
    if ($op->{operationId} eq 'delete_alert_rule') {
        $now{alert_rule} = $api->req(POST => "/v1/apps/$now{app}/alert-rules", token => $root, json => { kind => 'offline' })->{json}{id};
    }
    if ($op->{operationId} eq 'delete_environment') { # ended, with nothing in it but its pattern
        $api->req(PUT => "/v1/apps/$now{app}/environments/staging", token => $root, json => { pattern => 'x' });
    }
    if ($op->{operationId} =~ /^(?:get|change|verify|delete)_domain$/) {
        $api->req(POST => "/v1/apps/$now{app}/domains", token => $root, json => { host => "$now{app}.example" });
    }
    if ($op->{operationId} =~ /^(?:delete|rotate|test)_channel$|_notice$/) {
        my $channels = '/v1/notifications/channels';
        $api->req(POST => $channels, token => $root, json => { name => $now{channel} = 'ch-3', target => 'https://h.test/' });
        $now{notice} = $api->req(POST => "$channels/ch-3/test", token => $root)->{json}{id};
        $api->sql("UPDATE notification_deliveries SET status = 'dead'");
    }
    if ($op->{operationId} eq 'delete_drain') {
        $api->req(POST => '/v1/drains', token => $root, json => { name => $now{logdrain} = 'dr-3', target => 'https://h.test/' });
    }
    if ($op->{operationId} eq 'remove_worker') { $api->worker($now{worker} = 'short-lived') }
    my $got = call($op, $who, \%now);
    my $bad = $got->{status} >= 500 || $got->{status} =~ /^(?:401|403|404|405)$/;
    push @{ $wrong{"$op->{method} $op->{path}"} }, "$name: $got->{status} $got->{body}" if $bad;
}
is(join("\n", @{ $wrong{"$_->{method} $_->{path}"} || [] }), '', "$_->{method} $_->{path}: who may is let in") for @ops;

# Enrolment and hooks have credentials of their own kind. So many refusals in a row would be 429: counted anew.
$api->restart;
for my $op (@ops) {
    my $enrol = $api->onetime('enrolment');
    my $got = call($op, [ enrolment => $enrol ], $object{own});
    my %takes = map { $_ => 1 } @{ $op->{'x-callers'} };
    my $want = $takes{anonymous} || $takes{enrolment} ? qr/^(?:2\d\d|4(?:00|01|09))$/ : qr/^401$/;
    like($got->{status}, $want, "$op->{method} $op->{path}: an enrolment token is for registering alone");
}
is($api->deliver($hook{mine}, 'ping', '{}')->{status}, 200, 'a hook\'s signature is for its own deliveries');
$api->is_problem($api->deliver({ id => $hook{yours}{id}, secret => $hook{mine}{secret} }, 'ping', '{}'), 401, 'bad_signature', 'and not for another\'s');

is($api->unexpected, '', 'the error log is clean');
done_testing();
