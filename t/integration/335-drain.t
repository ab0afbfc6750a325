#!/usr/bin/perl
# Emptying a worker over the real channel: apps move start-first, what cannot move says why, undrain, removal;
# owners that stop and start; job_on_worker_loss = hold.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use WH::Sched;

my $s = WH::Sched->new(conf => { job_on_worker_loss => 'hold' });
$s->init;
$s->start;
my $old = $s->worker(max_jobs => 4);
my $new = $s->worker(max_jobs => 4);
$old->up;

my %port;
sub up_at {
    my ($w, $job, $port) = @_;
    $w->result($job, 'succeeded', instances => [ { container => "c-$job->{job}", address => '127.0.0.1', port => $port } ]);
    return $w->wait('result_ack');
}
sub newest { my ($app, $what) = @_;
    return $s->value("SELECT $what FROM deployments d JOIN jobs j ON j.deployment_id = d.id AND j.kind = 'deploy'"
        . " WHERE d.app_id = '$app->{id}' ORDER BY d.number DESC LIMIT 1") }
sub states { my ($app) = @_;
    return join ' ', map { "$_->[0]:$_->[1]" } $s->sql("SELECT worker_id, state FROM instances WHERE app_id = '$app->{id}' ORDER BY worker_id, id") }

my $app = $s->app('shop', 'container');
$s->sql("UPDATE apps SET serve_grace_s = 2 WHERE id = '$app->{id}'");
my $d = $s->deployment($app, ref => 'main');
$s->poke;
my $job = $old->begin;
ok(up_at($old, $job, 20001), 'an app runs on the first worker');
$s->sql("UPDATE apps SET last_number = 1 WHERE id = '$app->{id}'");
$s->sql("UPDATE deployments SET commit_sha = '" . 'a' x 40 . "' WHERE id = '$d->{id}'");

# ---- stop and start ----
$s->sql("UPDATE apps SET desired = 'stopped' WHERE id = '$app->{id}'");
$s->poke;
my $settings = $old->wait('settings');
is_deeply($settings->{p}{desired}, [ { deployment => $d->{id}, app => $app->{id}, desired => 'stopped' } ],
    'an owner stops an app: its worker is told what should run');
$s->sql("UPDATE apps SET desired = 'running' WHERE id = '$app->{id}'");
$s->poke;
is($old->wait('settings')->{p}{desired}[0]{desired}, 'running', 'and starts it again');

# ---- drain: nowhere to go ----
my $now = WH::Sched::now_us();
$s->sql("UPDATE workers SET admin_state = 'draining', drain_at = $now WHERE id = $old->{id}");
$s->poke;
ok($s->soon(sub { (newest($app, 'd.trigger_kind') // '') eq 'drain' && (newest($app, 'd.cause_code') // '') ne '' }), 'draining makes a deployment of the app');
is(newest($app, 'd.commit_sha'), 'a' x 40, 'of the same commit');
is(newest($app, 'd.cause_code'), 'no_worker', 'which says why it waits');
is(states($app), "$old->{id}:running", 'and the app stays where it is');

# ---- undrain ----
$s->sql("UPDATE workers SET admin_state = 'active', drain_at = 0 WHERE id = $old->{id}");
$s->poke;
ok($s->soon(sub { (newest($app, 'd.conclusion') // '') eq 'skipped' }), 'undrain takes back what has not begun');
my $back = newest($app, 'd.id');

# ---- drain: start-first ----
$new->up;
$now = WH::Sched::now_us();
$s->sql("UPDATE workers SET admin_state = 'draining', drain_at = $now WHERE id = $old->{id}");
$s->poke;
$job = $new->begin;
is($job->{app}, $app->{id}, 'with another worker there it moves to that one');
is($job->{commit}{sha}, 'a' x 40, 'at the same commit') if $job->{commit};
is(states($app), "$old->{id}:running", 'the old container runs until the new one answers');
ok(up_at($new, $job, 20002), 'the new one answers');
ok($s->soon(sub { states($app) eq "$old->{id}:draining $new->{id}:running" }), 'then the old one has its last requests');
my $stop = $old->wait('job', 20);
# A tick between the undrain and its poke may have offered what was then taken back.
$stop = $old->wait('job', 20) if $stop->{p}{kind} eq 'deploy' && $stop->{p}{deployment} eq $back;
is($stop->{p}{kind}, 'stop', 'and is stopped by a stop job, which a draining worker takes');
$old->send('job_ack', { job => $stop->{p}{job}, epoch => $stop->{p}{epoch}, accepted => JSON::PP::true });
ok($old->wait('job_go'), 'that begins');
$old->result($stop->{p}, 'succeeded');
ok($s->soon(sub { states($app) eq "$old->{id}:stopped $new->{id}:running" }), 'the worker is empty');
is($s->value("SELECT used_cpu FROM workers WHERE id = $old->{id}"), 0, 'and nothing is reserved on it');

# ---- hold ----
my $other = $s->app('other', 'container');
$s->sql("UPDATE workers SET admin_state = 'active', drain_at = 0 WHERE id = $old->{id}");
$s->sql("UPDATE workers SET admin_state = 'draining', drain_at = $now WHERE id = $new->{id}");
my $held = $s->deployment($other);
$s->poke;
ok($old->wait('job'), 'a job is offered');
$old->do('drop');
$old->wait('closed');
ok($s->soon(sub { $s->value("SELECT status FROM workers WHERE id = $old->{id}") eq 'offline' }), 'F8 its worker drops');
is($s->job_status($held), 'assigned', 'F10 hold: the job stays assigned');
$old->up;
my $again = $old->begin;
is($again->{job}, $held->{job}, 'R11 and is sent again when it is back');
is($again->{epoch}, 1, 'at the same epoch');
is($s->unexpected, '', 'no warning that was not announced');
is($s->stop, 0, 'SIGTERM ends it with 0');
done_testing();
