#!/usr/bin/perl
# The life of a job over the real channel: states.md, with a scriptable worker in the agent's place.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use WH::Sched;
use WH::Wait qw(wait_for try_for);

my $s = WH::Sched->new;
$s->init;
$s->start;
my $w = $s->worker;

# ---- assign, ack, go, result, route ----
my $welcome = $w->up;
is($welcome->{p}{settings}{heartbeat_s}, 30, 'welcome: a heartbeat every 30 s');
is($s->value("SELECT status FROM workers WHERE id = $w->{id}"), 'online', 'F79 the upgrade marks the worker online');

my $blog = $s->app('blog');
my $d = $s->deployment($blog, ref => 'main');
my $asked = time;
$s->poke;
my $job = $w->wait('job', 2);
ok($job, 'F145 a poke brings the job at once, not at the next tick');
is($job->{p}{job}, $d->{job}, 'F90 it is the job, with its snapshot');
is($job->{p}{snapshot}{slug}, 'blog', 'F90 the snapshot is in it');
is($s->job_status($d), 'assigned', 'F145 the frame goes out after the commit');
is($s->deployment_status($d), 'prepare//', 'R10 nothing has begun before the acknowledgement');
my $release = $s->release;
$w->send('job_ack', { job => $d->{job}, epoch => 1, accepted => JSON::PP::true });
my $go = $w->wait('job_go');
is($go->{p}{epoch}, 1, 'D12 go carries the epoch');
is($s->job_status($d), 'processing', 'job_ack moves the job to processing');
is($s->deployment_status($d), 'deploy//', 'F217 and the deployment to deploy');

$w->send('job_ack', { job => $d->{job}, epoch => 1, accepted => JSON::PP::true });
ok($w->wait('job_go'), 'an acknowledgement said twice is answered by the go again');

$w->send('job_status', { job => $d->{job}, epoch => 1, phase => 'building', started_at => 1,
    commit => { sha => 'a' x 40, message => 'first', author => 'A', at => 1 } });
ok($s->soon(sub { $s->value("SELECT phase FROM deployments WHERE id = '$d->{id}'") eq 'building' }), 'F98 job_status sets the phase');
is($s->value("SELECT commit_sha FROM deployments WHERE id = '$d->{id}'"), 'a' x 40, 'and the commit as it was resolved');

$w->result({ job => $d->{job}, epoch => 1 }, 'succeeded', release => $release);
my $ack = $w->wait('result_ack');
is($ack->{p}{job}, $d->{job}, 'F99 the result is acknowledged');
is($s->deployment_status($d), 'completed/succeeded/', 'F220 finalize: completed, succeeded');
is($s->job_status($d), 'succeeded', 'and the job with it');
is(join(' ', map { $_->[0] } $s->sql('SELECT kind FROM names ORDER BY kind')), 'branch deployment production',
    'F221 names: branch, the deployment itself, production');
is($s->routes, 0, 'F222 the route table holds and is sound');
my $records = join ' ', map { $_->[0] } $s->sql('SELECT label FROM names ORDER BY label');
like($records, qr/^blog blog-branch-main blog-id-[0-9a-f]{7}$/, 'architecture 7: the labels');

# ---- the result again, and a stale one ----
my $before = $s->db->dump_all;
$w->result({ job => $d->{job}, epoch => 1 }, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'XE14 a result that is repeated is acknowledged again');
is($s->db->dump_all, $before, 'XE14 and changes nothing');
$w->result({ job => $d->{job}, epoch => 1 }, 'failed');
ok($w->wait('result_ack'), 'XE14 another outcome afterwards is acknowledged');
$w->result({ job => $d->{job}, epoch => 0 }, 'failed');
$w->result({ job => $d->{job}, epoch => 7 }, 'failed');
ok($w->wait('result_ack'), 'D12 a result with a stale epoch is acknowledged');
is($s->db->dump_all, $before, 'D12 XE14 and none of them changes anything');
like($s->log, qr/WH0451 job $d->{job}: a result of worker \d+ for epoch 7 is dropped/, 'D12 it is logged');

# ---- not its own ----
my $other = $s->worker;
$other->up;
$before = $s->db->dump_all;
$other->result({ job => $d->{job}, epoch => 1 }, 'failed');
is($other->wait('error')->{p}{code}, 'not_yours', 'XE13 another worker is told that the job is not its own');
$other->send('app_status', { app => $blog->{id}, deployment => $d->{id}, container => 'c1', state => 'crashloop',
    reason => 'x', restarts => 1 });
is($other->wait('error')->{p}{code}, 'not_yours', 'F96 nor may it report for it');
$other->send('job_status', { job => $d->{job}, epoch => 1, phase => 'building', started_at => 1 });
is($other->wait('error')->{p}{code}, 'stale_epoch', 'XE13 nor move its phase');
is($s->db->dump_all, $before, 'XE13 nothing changed');
$other->do('drop');
ok($other->wait('closed'), 'it goes');
ok($s->soon(sub { $s->value("SELECT status FROM workers WHERE id = $other->{id}") eq 'offline' }), 'F8 a dropped worker is offline');

# ---- a failure ----
my $e = $s->deployment($blog);
$s->poke;
my $p = $w->begin;
is($p->{epoch}, 1, 'the next one begins');
$w->result($p, 'failed');
ok($w->wait('result_ack'), 'a failure is acknowledged');
is($s->deployment_status($e), 'completed/failed/build_failed', 'F224 failed, with its cause');
is($s->value("SELECT deployment_id FROM names WHERE label = 'blog'"), $d->{id}, 'the former release goes on serving');
like(($s->log_lines($e))[-1], qr/^1 \d+ sys deployment failed: It broke\. \(build_failed\)$/, 'its log ends with the reason');

# ---- a result without what it needs ----
my $f = $s->deployment($blog);
$s->poke;
$p = $w->begin;
$w->result($p, 'succeeded');
ok($w->wait('result_ack'), 'a result that cannot be used is acknowledged');
is($s->deployment_status($f), 'completed/failed/internal', 'and the deployment fails with the reason');
$f = $s->deployment($blog);
$s->poke;
$p = $w->begin;
$w->result($p, 'succeeded', release => 'f' x 40);
ok($w->wait('result_ack'), 'so is one whose release does not exist');
is($s->deployment_status($f), 'completed/failed/internal', 'XN1 it fails');
is($s->value("SELECT deployment_id FROM names WHERE label = 'blog'"), $d->{id}, 'and moves no name');

is($s->unexpected(qw(WH0451 WH0453 WH0483)), '', 'no warning that was not announced');
is($s->stop, 0, 'SIGTERM ends it with 0');
is($w->wait('closed')->{code}, 1012, 'the worker is told to come back: 1012');
done_testing();
