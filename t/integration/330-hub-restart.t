#!/usr/bin/perl
# Crashes and come-backs: what a restart finds and sets right, on either side (states.md 4, R9, R10, R24; XN10).
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use WH::Sched;

my $s = WH::Sched->new(own_server => 1);
$s->init;
$s->start;
my $w = $s->worker(max_jobs => 8);
$w->up;
my $app = $s->app('blog');

sub status_is { my ($d, $want, $text) = @_; $s->soon(sub { $s->deployment_status($d) eq $want });
    is($s->deployment_status($d), $want, $text) }
sub ref_of { return { job => $_[0]{job}, epoch => $_[0]{epoch} // 1 } }

# ---- killed while a job runs: it goes on, and its result counts ----
my $d = $s->deployment($app);
$s->poke;
my $job = $w->begin;
$s->kill9;
$w->wait('closed');
$s->start;
my $release = $s->release;
$w->up(running => [ ref_of($job) ]);
is($w->wait('job_go')->{p}{job}, $job->{job}, 'after a crash the go of a running job is said again (it may have been lost)');
is($s->deployment_status($d), 'deploy//', 'R24 the job goes on');
$w->result($job, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'and its result counts');
is($s->deployment_status($d), 'completed/succeeded/', 'it is completed');

# ---- killed while the agent has a result to tell ----
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
$s->kill9;
$w->wait('closed');
$s->start;
$w->up(results => [ ref_of($job) ]);
$w->result($job, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'a stored result is taken on the next connection');
is($s->deployment_status($d), 'completed/succeeded/', 'it is completed');

# ---- killed between the transaction and the switch ----
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
$w->result($job, 'succeeded', release => $release);
$w->wait('result_ack');
$s->kill9;
$w->wait('closed');
$s->sql("UPDATE deployments SET status = 'finalize', conclusion = '', finished_at = 0 WHERE id = '$d->{id}'");
$s->start;
is($s->deployment_status($d), 'completed/succeeded/', 'a deployment caught in `finalize` is published and completed at start');
is($s->routes, 0, 'the table is sound');

# ---- killed while a job is assigned: it is sent on connect, oldest first, each once ----
my @apps = map { $s->app("app$_") } 1 .. 3;
$w->up;
my @waiting = map { $s->deployment($_) } @apps;
$s->poke;
$w->wait('job') for @waiting;
$s->kill9;
$w->wait('closed');
$s->start;
$w->up;
my @sent = map { $w->wait('job')->{p}{job} } @waiting;
is_deeply(\@sent, [ map { $_->{job} } @waiting ], 'R11 on connect every assigned job is sent, oldest first');
ok(!$w->wait('job', 0.3), 'R11 each once');
$w->send('job_ack', { job => $_->{job}, epoch => 1, accepted => JSON::PP::true }) for @waiting;
ok($w->wait('job_go'), 'and begins') for @waiting;

# ---- the agent was restarted and no longer knows of one ----
$w->do('drop');
$w->wait('closed');
$w->up(running => [ ref_of($waiting[0]), ref_of($waiting[1]), { job => WH::Sched::new_id(), epoch => 3 } ]);
my $cancel = $w->wait('job_cancel');
is($cancel->{p}{epoch}, 3, 'what it runs and must not is canceled');
status_is($waiting[2], 'completed/failed/agent_lost', 'states 4: a job that its worker came back without fails as agent_lost');
like(($s->log_lines($waiting[2]))[-1], qr/agent_lost/, 'and its log says so');
is($s->deployment_status($waiting[0]), 'deploy//', 'the others go on');
$s->soon(sub { $s->job_status($waiting[2]) eq 'failed' });
$w->result({ job => $waiting[2]{job}, epoch => 1 }, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'XE14 success after failure');
is($s->deployment_status($waiting[2]), 'completed/failed/agent_lost', 'XE14 changes nothing');

# ---- a lease that was not renewed, a deadline that has passed ----
my $long_ago = WH::Sched::now_us() - 16 * 60 * 1_000_000;
$w->do('drop');
$w->wait('closed');
$s->sql("UPDATE jobs SET lease_until = $long_ago, deadline_at = $long_ago WHERE id = '$waiting[0]{job}'");
$s->poke;
status_is($waiting[0], 'completed/failed/agent_lost', 'R24 not renewed for 15 minutes and past its deadlines: failed, agent_lost');
$w->up(running => [ ref_of($waiting[0]), ref_of($waiting[1]) ]);
is($w->wait('job_cancel')->{p}{job}, $waiting[0]{job}, 'R24 a cancel was left for the worker');
$s->sql("UPDATE jobs SET deadline_at = $long_ago WHERE id = '$waiting[1]{job}'");
$s->poke;
is($w->wait('job_cancel')->{p}{job}, $waiting[1]{job}, 'XN4 beyond all its deadlines a job is canceled');
status_is($waiting[1], 'completed/failed/deadline', 'and failed with cause deadline');

# ---- heartbeats renew leases; a silent worker is offline after two minutes, but not right after a start ----
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
my $lease = $s->value("SELECT lease_until FROM jobs WHERE id = '$d->{job}'");
$s->soon(sub { select undef, undef, undef, 0.2;
    $w->send('heartbeat', { cpu_used_millis => 1, memory_used_bytes => 1, disk_free_bytes => 777, running => [ ref_of($job) ] });
    $s->value("SELECT lease_until FROM jobs WHERE id = '$d->{job}'") > $lease });
cmp_ok($s->value("SELECT lease_until FROM jobs WHERE id = '$d->{job}'"), '>', $lease, 'F97 a heartbeat renews the lease');
is($s->value("SELECT disk_free_bytes FROM workers WHERE id = $w->{id}"), 777, 'F97 and is noted');
$s->sql("UPDATE workers SET last_heartbeat_at = $long_ago WHERE id = $w->{id}");
$s->kill9;
$w->wait('closed');
$s->start;
$s->poke;
is($s->value("SELECT status FROM workers WHERE id = $w->{id}"), 'online', 'R9 after a start nobody is judged before a whole timeout');
$w->up(running => [ ref_of($job) ]);
$w->result($job, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'and its job ends well');

# ---- a damaged route table ----
is(readlink($s->state . '/routes'), 'routes.1', 'the table in force');
for my $damage ([ 'cut short' => sub { truncate $_[0], 8192 } ],
    [ 'overwritten' => sub { open my $f, '+<', $_[0] or die; binmode $f; my $size = -s $f;
        seek $f, 8192, 0; print {$f} map { chr rand 256 } 1 .. $size - 8192 } ],
    [ 'emptied' => sub { truncate $_[0], 0 } ]) {
    $s->stop;
    my $old = readlink $s->state . '/routes';
    $damage->[1]->($s->state . '/routes/data.mdb');
    isnt($s->routes, 0, "a table that was $damage->[0] is not sound");
    my (undef, $said) = $s->run('--check');
    like($said, qr/route table .* is damaged/, '--check says so') if $damage->[0] ne 'emptied';
    $s->start;
    isnt(readlink $s->state . '/routes', $old, "$damage->[0]: a new one takes its place at start");
    is($s->routes, 0, 'and is sound');
    like($s->log, qr/route table: [1-9]\d* names published/, 'with every name');
}
ok(!-d $s->state . '/routes.1', 'older directories are removed');

# ---- a deployment that nobody can read, a worker that has no place ----
$w->up;
my $bad = $s->deployment($s->app('bad'), snapshot => '{}');
$d = $s->deployment($app);
$s->poke;
status_is($bad, 'completed/failed/internal', 'a deployment whose snapshot cannot be read fails');
my $offered = $w->wait('job')->{p};
is($offered->{job}, $d->{job}, 'and does not stand in the way of the next');
$w->send('job_ack', { job => $d->{job}, epoch => 1, accepted => JSON::PP::false, reason => 'busy' });
$offered = $w->wait('job');
is($offered->{p}{epoch}, 1, 'a job that was not taken is offered again soon, as it is');
$w->send('job_ack', { job => $d->{job}, epoch => 1, accepted => JSON::PP::true });
ok($w->wait('job_go'), 'and begins');

# ---- the database goes and comes back ----
$s->db->take_away;
$w->send('heartbeat', { cpu_used_millis => 1, memory_used_bytes => 1, disk_free_bytes => 888, running => [ ref_of({ job => $d->{job} }) ] });
$w->result({ job => $d->{job}, epoch => 1 }, 'succeeded', release => $release);
ok(!$w->wait('result_ack', 1), 'while the database is away nothing is acknowledged');
ok($s->poke, 'and the hub answers');
$s->db->bring_back;
$s->soon(sub { $s->deployment_status($d) eq 'completed/succeeded/' });
is($s->deployment_status($d), 'completed/succeeded/', 'when it is back the result is taken');
$d = $s->deployment($app);
$s->poke;
ok($w->wait('job'), 'and the next job is placed');

# ---- a second one ----
my ($code, $err) = (0, "");
($code, undef, $err) = $s->run if $s->db->kind eq "sqlite";
if ($s->db->kind eq 'sqlite') {
    is($code, 69, 'XN10 a second scheduler on the same SQLite ends at once');
    my $pid = $s->pid;
    like($err, qr/another wh-scheduler \(process $pid\) works in this state directory/, 'XN10 and says which one is there');
}
else {
    pass('XN10 on PostgreSQL a second one stands by (see below)') for 1 .. 2;
}
is($s->unexpected(qw(WH0050 WH0052 WH0055 WH0411 WH0412 WH0432 WH0450 WH0451 WH0453 WH0472 WH0480 WH0482 WH0484 WH0485 WH0490)), '', 'no warning that was not announced');
is($s->stop, 0, 'SIGTERM ends it with 0');
done_testing();
