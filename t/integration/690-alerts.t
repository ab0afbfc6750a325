#!/usr/bin/perl
# db: sqlite pgsql
# Alerts end to end: rules by API and wh, a deployment that fails. The edges in time are in t/unit/test_alerts,
# the real ticks in t/long/690-alerts.t; but one rule is followed from what visitors got to its alert.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

chomp(my $modules = `apxs -q LIBEXECDIR`);
my $stack = WH::Stack->new(httpd_extra => <<"CONF")->start;
<IfModule !alias_module>
    LoadModule alias_module "$modules/mod_alias.so"
</IfModule>
<Location "/broken">
    Redirect 500 /
</Location>
CONF
my $repo = $stack->app('page', { 'index.html' => "first\n" });
my $id = $stack->api(GET => '/v1/apps/page')->{json}{id};
sub alerts { return $stack->api(GET => "/v1/apps/page/alerts@_")->{json}{items} }
sub events { return join ' ', map { $_->[0] } $stack->db->rows("SELECT kind || ended FROM notification_event WHERE kind LIKE 'app.%' ORDER BY created_at, id") }

# ---- rules ----------------------------------------------------------------------------------------------
my $rules = $stack->api(GET => '/v1/alert-rules')->{json}{items};
is_deeply([ map { $_->{kind} } @$rules ], [qw(offline crashloop deployment_failed)], 'three rules are there from the start');
my $made = $stack->api(POST => '/v1/apps/page/alert-rules', { kind => 'error_rate', threshold => 0.5, sustain_minutes => 0 });
is_deeply([ $made->{status}, @{ $made->{json} }{qw(app threshold unit severity enabled)} ],
    [ 201, 'page', 0.5, 'percent_of_requests', 'warning', JSON::PP::true() ], 'R26 a rule has its unit') or diag explain $made;
sub enable { return $stack->api(PATCH => "/v1/alert-rules/$made->{json}{id}", { enabled => $_[0] })->{status} }
is(enable(JSON::PP::false()), 200, 'it may be off, until it is wanted');
for ([ { kind => 'load', threshold => 1 }, 'kind_unknown' ], [ { kind => 'cpu' }, 'missing_field' ], [ { kind => 'cpu', threshold => -1 }, 'out_of_range' ],
    [ { kind => 'memory', threshold => 101 }, 'out_of_range' ], [ { kind => 'cpu', threshold => 'much' }, 'wrong_type' ],
    [ { kind => 'cpu', threshold => 1, sustain_minutes => 1441 }, 'out_of_range' ], [ { kind => 'cpu', threshold => 1, app => 'page' }, 'unknown_field' ]) {
    my $got = $stack->api(POST => '/v1/alert-rules', $_->[0]);
    is_deeply([ $got->{status}, $got->{json}{code} ], [ 400, $_->[1] ], "no: $_->[1]") or diag explain $got->{json};
}
my $out = $stack->wh('alerts', 'add', 'cpu', '80', '-a', 'page', '--for', '10', '--severity', 'critical');
is($out->{rc}, 0, 'wh alerts add') or diag explain $out;
chomp(my $rule = $out->{out});
is($stack->wh('alerts', 'set', $rule, '--above', '85.5')->{rc}, 0, 'wh alerts set');
like($stack->wh('alerts', 'rules', 'page')->{out}, qr/^\Q$rule\E +page +cpu +85.5 percent_of_core +10 min +critical +ok$/m, 'wh alerts rules');
is($stack->wh('alerts', 'remove', $rule)->{rc}, 0, 'wh alerts remove');
is($stack->api(GET => "/v1/alert-rules/$rule")->{status}, 404, 'it is gone');

# ---- requests: told by httpd every ten seconds or so, looked at below ------------------------------------
is($stack->get('page', '/broken')->{status}, 500, 'an app that answers 500') for 1 .. 3;

# ---- an event -------------------------------------------------------------------------------------------
$repo->git('-C', $repo->path, 'symbolic-ref', 'HEAD', 'refs/heads/main');
my $bad = $stack->api(POST => '/v1/apps/page/deployments', { ref => 'no-such-branch' })->{json};
wait_for { @{ alerts('?status=open') } } 90, 'F165 the alert of a failed deployment';
my ($a) = @{ alerts() };
is_deeply([ @$a{qw(kind status severity value)}, $a->{source} ], [ 'deployment_failed', 'active', 'warning', undef,
    { type => 'app.deployment_failed', id => "$id/production" } ], 'F155 it says what and of whom') or diag explain $a;
is(events(), 'app.deployment_failed0', 'and it was written to be told');
like($stack->wh('alerts')->{out}, qr/^\Q$a->{id}\E +page .* active +warning +Deployment \d+ of production failed/m, 'wh alerts');
is($stack->wh('alerts', 'ack', $a->{id})->{rc}, 0, 'wh alerts ack');
is($stack->api(GET => "/v1/alerts/$a->{id}")->{json}{status}, 'acknowledged', 'somebody knows');

my $good = $stack->deploy('page');
wait_for { $stack->api(GET => "/v1/alerts/$a->{id}")->{json}{status} eq 'resolved' } 90, 'a deployment that succeeds ends it';
is(events(), 'app.deployment_failed0 app.deployment_failed1', 'F22 each edge was told once');
is($stack->api(POST => "/v1/alerts/$a->{id}/acknowledge")->{status}, 409, 'what is over is not acknowledged');
like($stack->wh('alerts')->{out}, qr/\A[^\n]*\n\z/, 'wh alerts has nothing more to say');
is(() = $stack->wh('alerts', 'page', '--all')->{out} =~ / resolved /g, 1, 'but for the history');

# ---- by source ------------------------------------------------------------------------------------------
$stack->api(POST => '/v1/apps/page/deployments', { ref => 'no-such-branch' });
wait_for { @{ alerts('?status=open') } } 90, 'the next one';
my ($b) = @{ alerts() };
my $source = $stack->api(POST => '/v1/apps/page/alerts/resolve', { source => $b->{source} });
is_deeply([ $source->{status}, @{ $source->{json} }{qw(id status reason)} ], [ 200, $b->{id}, 'resolved', 'by_hand' ], 'F157 resolved by source');
is($stack->api(POST => '/v1/apps/page/alerts/resolve', { source => $b->{source} })->{status}, 204, 'once more is no fault');

# ---- requests -------------------------------------------------------------------------------------------
sub told { return join '', map { WH::Stack::slurp($_) } glob $stack->dir . '/state/run/httpd-*.requests' }
$stack->get('page', '/broken'); # the last minute is what counts
wait_for { told() =~ /^\Q$id\E 0 \d+ 0 \d+ [1-9]/m } 30, 'httpd has told of the errors';
is(enable(JSON::PP::true()), 200, 'the rule is on again');
$stack->proc('scheduler')->kill9; # the first look of the next one is at once
$stack->start_scheduler;
my $rate;
wait_for { ($rate) = grep { $_->{kind} eq 'error_rate' } @{ alerts('?status=active') } } 60, 'an app that answers 500 fires error_rate';
cmp_ok($rate->{value}, '>', 0.5, 'with the part that failed, in percent');
like($rate->{message}, qr/^error_rate is [\d.]+ % of requests, above 0\.5/, 'in words');
$stack->stop;
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
done_testing();
