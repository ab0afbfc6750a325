#!/usr/bin/perl
# Rollback and promotion in the scheduler: at once, from the image, refused, and what they overtake (R16, R28, F228,
# F290).
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use WH::Sched;

my $s = WH::Sched->new;
$s->init;
$s->start;
my $w = $s->worker(max_jobs => 4);
$w->up;
my ($site, $box) = ($s->app('site'), $s->app('box', 'container'));
my $port = 40000;

# The app's next deployment.
sub fresh {
    my ($app, %o) = @_;
    $s->sql("UPDATE apps SET last_number = last_number + 1 WHERE id = '$app->{id}'");
    return $s->deployment($app, %o, number => $s->value("SELECT last_number FROM apps WHERE id = '$app->{id}'"));
}
# One that succeeded, as its worker tells it. What nobody is shown any more may have come to its end before.
sub done {
    my ($app, %o) = @_;
    my $d = fresh($app, %o);
    $s->poke;
    my $job = $w->begin;
    while ($job->{deployment} ne $d->{id}) {
        die "not a stop: $job->{kind}" if $job->{kind} ne 'stop';
        $w->result($job, 'succeeded');
        $w->wait('result_ack');
        $job = $w->begin;
    }
    return finish($d, $job);
}
sub finish {
    my ($d, $job) = @_;
    if ($job->{snapshot}{kind} eq 'static') {
        $d->{release} = $s->release;
        $w->result($job, 'succeeded', release => $d->{release});
    } else {
        $d->{container} = 'c-' . ++$port;
        $w->result($job, 'succeeded', instances => [ { container => $d->{container}, address => '127.0.0.1', port => $port } ]);
    }
    $w->wait('result_ack');
    $s->soon(sub { $s->deployment_status($d) =~ /^completed/ });
    return $d;
}
sub switch {
    my ($to, %o) = @_;
    my $app = $to->{app}{id};
    my $id = WH::Sched::new_id();
    $s->insert('switches', id => $id, app_id => $app, environment => $o{environment} // 'production', deployment_id => $to->{id},
        kind => $o{kind} // 'rollback', settings => $o{settings} // 'own', created_at => WH::Sched::now_us(),
        up_to => $s->value("SELECT last_number FROM apps WHERE id = '$app'"));
    $s->poke;
    return $id;
}
sub outcome { my ($id) = @_; return join '/', @{ ($s->sql("SELECT outcome, cause_code FROM switches WHERE id = '$id'"))[0] } }
sub comes_to {
    my ($id, $want, $text) = @_;
    $s->soon(sub { outcome($id) eq $want });
    return is(outcome($id), $want, $text);
}
sub shows { my ($label) = @_; return $s->value("SELECT deployment_id FROM names WHERE label = '$label'") // '' }
sub state_of { my ($d) = @_; return $s->value("SELECT state FROM instances WHERE container = '$d->{container}'") }
sub count { my ($app) = @_; return $s->value("SELECT COUNT(*) FROM deployments WHERE app_id = '$app->{id}'") }

# ---- a site ----
my @site = map { done($site, ref => 'main') } 1 .. 3;
is(shows('site'), $site[2]{id}, 'the newest is shown');
my $id = switch($site[0]);
comes_to($id, 'switched/', 'R16 a site goes back to any deployment that is kept');
is(shows($_), $site[0]{id}, "R16 the name $_ goes with it") for 'site', 'site-branch-main';
is($s->value("SELECT previous_id FROM names WHERE label = 'site'"), $site[2]{id}, 'F228 the name remembers the former');
cmp_ok($s->value("SELECT switched_at FROM names WHERE label = 'site'"), '>', 0, 'and since when');
is(count($site), 3, 'F290 the record exists: none is made');
is($s->value("SELECT from_id FROM switches WHERE id = '$id'"), $site[2]{id}, 'the switch tells from where');
is($s->value("SELECT result_id FROM switches WHERE id = '$id'"), $site[0]{id}, 'and where to');
is($s->value("SELECT deployment_id FROM names WHERE kind = 'deployment' AND deployment_id = '$site[2]{id}'"), $site[2]{id},
    'a deployment\'s own name stays its own');
comes_to(switch($site[0]), 'failed/already_serving', 'what is shown already is not shown again');
$s->sql("UPDATE apps SET spa = 1 WHERE id = '$site->{id}'");
comes_to($id = switch($site[1], settings => 'current'), 'switched/', 'with the settings of today');
my $new = $s->value("SELECT result_id FROM switches WHERE id = '$id'");
my ($row) = $s->sql("SELECT release_id, source_id, trigger_kind, conclusion, number, snapshot FROM deployments WHERE id = '$new'");
my $snapshot = decode_json(pop @$row);
is_deeply($row, [ $site[1]{release}, $site[1]{id}, 'rollback', 'succeeded', 4 ], 'it is a deployment of its own with the files of that one');
ok($snapshot->{spa}, 'and the present settings');
is(shows('site'), $new, 'which is shown');
$s->sql("UPDATE deployments SET release_id = NULL WHERE id = '$site[0]{id}'");
comes_to(switch($site[0]), 'failed/release_gone', 'what is no longer kept is refused');
$s->sql("UPDATE apps SET desired = 'stopped' WHERE id = '$site->{id}'");
comes_to(switch($site[2]), 'failed/app_stopped', 'so is any for an app that its owner stopped');
is(done($site, ref => 'main')->{id}, shows('site'), 'a deployment of it is taken');
is($s->value("SELECT observed FROM apps WHERE id = '$site->{id}'"), 'stopped', 'and it is stopped still');
$s->sql("UPDATE apps SET desired = 'running' WHERE id = '$site->{id}'");

# ---- what is under way ----
my $late = fresh($site);
$s->poke;
my $job = $w->begin;
comes_to(switch($site[2]), 'switched/', 'a rollback does not wait for what is under way');
is($w->wait('job_cancel')->{p}{job}, $late->{job}, 'which is told to end');
finish($late, $job);
is($s->deployment_status($late), 'completed/canceled/superseded', 'and where it succeeds all the same it does not switch');
is(shows('site'), $site[2]{id}, 'the names stay where they were led');
my $waits = fresh($site, hold => 1);
comes_to(switch($site[1]), 'switched/', 'one that waits');
ok($s->soon(sub { $s->deployment_status($waits) eq 'completed/skipped/superseded' }), 'never begins')
    or diag $s->deployment_status($waits);
my $next = fresh($site);
$s->poke;
finish($next, $w->begin);
is(shows('site'), $next->{id}, 'one that is asked for after it is shown as ever');

# ---- containers that still run ----
my @box = map { done($box) } 1 .. 2;
is(state_of($box[0]), 'draining', 'the first is on its way out');
comes_to(switch($box[0]), 'switched/', 'R16 containers that were not stopped yet are shown again');
is(state_of($box[0]), 'running', 'they run on');
is(state_of($box[1]), 'draining', 'and the others drain');
is($s->value("SELECT status FROM jobs WHERE kind = 'stop' AND deployment_id = '$box[0]{id}'"), 'canceled', 'nobody stops them');
is($s->value("SELECT status FROM jobs WHERE kind = 'stop' AND deployment_id = '$box[1]{id}'"), 'pending', 'the others end after the grace');
is(count($box), 2, 'F290 and no record is made');
comes_to(switch($box[1]), 'switched/', 'and back');
is(state_of($box[1]), 'running', 'once more');

# ---- from the image ----
$s->sql("UPDATE jobs SET not_before = 0 WHERE kind = 'stop' AND status = 'pending'");
$s->poke;
$job = $w->begin;
is($job->{kind}, 'stop', 'the first is being stopped');
comes_to($id = switch($box[0]), 'starting/', 'then its containers are started again');
$new = $w->wait('job')->{p};
is($new->{image_of}, $box[0]{id}, 'from the image that it left');
$w->send('job_ack', { job => $new->{job}, epoch => $new->{epoch}, accepted => JSON::PP::true });
$w->wait('job_go');
my $again = { id => $new->{deployment}, app => $box, job => $new->{job} };
is(shows('box'), $box[1]{id}, 'what is shown stays until they answer');
finish($again, $new);
comes_to($id, 'switched/', 'start first, then the switch');
is(shows('box'), $again->{id}, 'to the new deployment');
is($s->value("SELECT source_id FROM deployments WHERE id = '$again->{id}'"), $box[0]{id}, 'which knows whose image it has');
is($s->value("SELECT trigger_kind FROM deployments WHERE id = '$again->{id}'"), 'rollback', 'and where it comes from');
$w->result($job, 'succeeded');
$w->wait('result_ack');
comes_to($id = switch($again, settings => 'current'), 'starting/', 'present settings need new containers, also for what is shown');
$job = $w->begin;
is($job->{image_of}, $box[0]{id}, 'of the image where it was built');
$w->result($job, 'failed', cause => { code => 'image_gone', detail => 'Gone.' });
$w->wait('result_ack');
comes_to($id, 'failed/image_gone', 'an image that is gone: said so');
is(shows('box'), $again->{id}, 'and what was shown is shown');

# ---- promotion ----
my $stage = done($box, environment => 'staging');
comes_to(switch($stage, kind => 'promote'), 'switched/', 'production takes what staging shows');
is(shows('box'), $stage->{id}, 'the same containers');
is(shows('box-env-staging'), $stage->{id}, 'staging keeps them');
my $stage2 = done($box, environment => 'staging');
is(state_of($stage), 'running', 'and when staging goes on they are not taken from under production');
comes_to(switch($stage2, kind => 'promote', environment => 'qa'), 'switched/', 'an environment that showed nothing');
is(shows('box-env-qa'), $stage2->{id}, 'gets its name');

# A branch's name belongs to its environment, and one transaction moves all names of that: it is never led to
# containers that are being stopped.
my $main = done($box, ref => 'main');
is(shows('box-branch-main'), $main->{id}, "a branch's name shows what its environment does");
my $dev = done($box, environment => 'staging', ref => 'develop');
comes_to(switch($dev, kind => 'promote'), 'switched/', 'after a promotion');
is(shows('box-branch-main'), $dev->{id}, 'it still does: R16 every name of the environment moves');
is(shows('box-branch-develop'), $dev->{id}, 'as does that of the environment which the promoted one came from');
comes_to(switch($main), 'switched/', 'a rollback');
is(shows('box-branch-main'), $main->{id}, 'takes it back with the others');
is(shows('box-branch-develop'), $dev->{id}, 'and leaves those of other environments');

# ---- the worker is away, the scheduler was ----
my $last = done($box);
$s->stop;
$id = switch($stage);
$s->start;
comes_to($id, 'failed/worker_offline', 'without its worker there is no way back to a container');
is(shows('box'), $last->{id}, 'and the names stay');
comes_to(switch($site[2]), 'switched/', 'a site needs none');
is($s->routes, 0, 'the route table is sound');
is($s->unexpected, '', 'and the log is clean');
is($s->stop, 0, 'it ends');
done_testing();
