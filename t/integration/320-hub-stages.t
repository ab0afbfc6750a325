#!/usr/bin/perl
# Cancel at each stage, superseded deployments, containers and their draining, deleted apps, build logs
# (states.md; XN1, XN4, XE17, XE18).
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
my $app = $s->app('shop', 'container');

sub cancel {
    my ($d) = @_;
    $s->sql("UPDATE jobs SET cancel_at = " . WH::Sched::now_us() . " WHERE id = '$d->{job}'");
    $s->poke;
}
sub ends_as {
    my ($d, $want, $text) = @_;
    $s->soon(sub { $s->deployment_status($d) eq $want });
    is($s->deployment_status($d), $want, $text);
}

# ---- pending: no worker is there ----
my $d = $s->deployment($app);
$s->poke;
ok($s->soon(sub { $s->deployment_status($d) eq 'prepare//no_worker' }), 'what waits says why: no worker is online');
cancel($d);
ends_as($d, 'completed/canceled/canceled', 'XN4 a pending job is canceled at once');
is($s->job_status($d), 'canceled', 'and so is its job');

# ---- assigned: sent, not acknowledged ----
$w->up;
$d = $s->deployment($app);
$s->poke;
my $job = $w->wait('job')->{p};
cancel($d);
ends_as($d, 'completed/canceled/canceled', 'XN4 an assigned job is canceled at once');
is($w->wait('job_cancel')->{p}{epoch}, 1, 'the worker is told');
$w->send('job_ack', { job => $d->{job}, epoch => 1, accepted => JSON::PP::true });
is($w->wait('error')->{p}{code}, 'stale_epoch', 'its acknowledgement comes too late: no go');
is($s->value("SELECT epoch FROM jobs WHERE id = '$d->{job}'"), 2, 'the epoch went on');

# ---- processing ----
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
cancel($d);
ok($w->wait('job_cancel'), 'XN4 a processing job gets a job_cancel');
is($s->deployment_status($d), 'deploy//', 'and is not canceled before the agent says that nothing runs');
$w->result($job, 'canceled');
ok($w->wait('result_ack'), 'which it then says');
is($s->deployment_status($d), 'completed/canceled/canceled', 'XN4 then it is');

# ---- newer ones wait, and of the waiting only the newest stays ----
my @many = ($s->deployment($app));
$s->poke;
$job = $w->begin;
push @many, $s->deployment($app) for 1 .. 5;
$s->poke;
ends_as($many[$_], 'completed/skipped/superseded', "XN1 waiting deployment $_ of 5 is superseded") for 1 .. 4;
ok($s->soon(sub { $s->deployment_status($many[5]) eq 'prepare//busy' }), 'XN1 the newest waits for the active one');
like($s->value("SELECT cause_detail FROM deployments WHERE id = '$many[5]{id}'"), qr/^deployment \d+ of this app is under way$/, 'and says so');
my %first = (container => 'c-first', address => '127.0.0.1', port => 40001);
$w->result($job, 'succeeded', instances => [ \%first ]);
ok($w->wait('result_ack'), 'the active one succeeds');
is($s->deployment_status($many[0]), 'completed/succeeded/', 'it is completed');
my $next = $w->begin;
is($next->{job}, $many[5]{job}, 'and the newest follows at once');

# ---- the switch: the old container drains ----
$w->result($next, 'succeeded', instances => [ { container => 'c-second', address => '127.0.0.1', port => 40002 } ]);
ok($w->wait('result_ack'), 'the second succeeds');
is($s->value("SELECT deployment_id FROM names WHERE label = 'shop'"), $many[5]{id}, 'F221 the name moved');
is($s->value("SELECT previous_id FROM names WHERE label = 'shop'"), $many[0]{id}, 'and remembers the former');
is($s->value("SELECT state FROM instances WHERE container = 'c-first'"), 'draining', 'F223 the old container drains');
my ($stop) = $s->sql("SELECT not_before - created_at, worker_id FROM jobs WHERE kind = 'stop'");
is_deeply($stop, [ 10_000_000, $w->{id} ], 'a stop job for its worker is due after the grace of the app');
$s->sql("UPDATE jobs SET not_before = 0 WHERE kind = 'stop'");
$s->poke;
my $p = $w->begin;
is($p->{kind}, 'stop', 'then it goes out');
is($p->{deployment}, $many[0]{id}, 'for the old deployment');
$w->result($p, 'failed', cause => { code => 'internal', detail => 'engine busy' });
ok($w->wait('result_ack'), 'one that fails');
is($s->value("SELECT status FROM jobs WHERE kind = 'stop'"), 'pending', 'is due again');
$s->sql("UPDATE jobs SET not_before = 0 WHERE kind = 'stop'");
$s->poke;
$p = $w->begin;
$w->result($p, 'succeeded');
ok($w->wait('result_ack'), 'and once it succeeds');
is($s->value("SELECT state FROM instances WHERE container = 'c-first'"), 'stopped', 'the container is stopped');
is($s->value("SELECT used_cpu FROM workers WHERE id = $w->{id}"), 100, 'F147 its capacity is free again, the other holds its own');

# ---- a full worker ----
$s->sql("UPDATE workers SET cpu_millis = 100 WHERE id = $w->{id}");
my $stranger = $s->deployment($s->app('other', 'container'));
$s->poke;
ok($s->soon(sub { $s->deployment_status($stranger) eq 'prepare//no_room' }), 'F146 a new app does not fit, and says so');
is($s->value("SELECT cause_detail FROM deployments WHERE id = '$stranger->{id}'"), 'no worker has room for 100 CPU millis and 64 MiB;'
    . ' the best has 0 CPU millis and 4032 MiB', 'with what it needs and what there is');
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
is($job->{job}, $d->{job}, 'the app that runs there is deployed anew all the same');
is($s->value("SELECT used_cpu FROM workers WHERE id = $w->{id}"), 100, 'in the room that it has');
$w->result($job, 'failed');
ok($w->wait('result_ack'), 'it fails');
is($s->value("SELECT used_cpu FROM workers WHERE id = $w->{id}"), 100, 'and the container before it keeps its room');
is($s->deployment_status($stranger), 'prepare//no_room', 'which is still nobody else\'s');
$s->sql("UPDATE workers SET cpu_millis = 4000 WHERE id = $w->{id}");
$s->poke;
$job = $w->begin;
is($job->{job}, $stranger->{job}, 'once there is room the other one begins by itself');
is($s->deployment_status($stranger), 'deploy//', 'and no cause is left');
$w->result($job, 'failed');
ok($w->wait('result_ack'), 'it fails too');

# ---- what the agent observes ----
my %status = (app => $app->{id}, deployment => $many[5]{id}, container => 'c-second', reason => '', restarts => 0);
$w->send('app_status', { %status, state => 'crashloop', reason => 'exited with 1', restarts => 4 });
ok($s->soon(sub { $s->value("SELECT observed FROM apps WHERE slug = 'shop'") eq 'crashloop' }), 'app_status is what the app shows');
is($s->value("SELECT reason FROM apps WHERE slug = 'shop'"), 'exited with 1', 'with its reason');
$w->send('app_status', { %status, state => 'running' });
ok($s->soon(sub { $s->value("SELECT observed FROM apps WHERE slug = 'shop'") eq 'running' }), 'and back');
$w->do('drop');
ok($s->soon(sub { ($s->value("SELECT reason FROM apps WHERE slug = 'shop'") // '') eq 'worker_offline' }), 'F9 R9 its worker drops: worker_offline');
is($s->value("SELECT observed FROM apps WHERE slug = 'shop'"), 'stopped', 'R9 observed stopped');
is($s->value("SELECT desired FROM apps WHERE slug = 'shop'"), 'running', 'R9 desired stays');
my $welcome = $w->up(instances => [
    { deployment => $many[5]{id}, container => 'c-second', address => '127.0.0.1', port => 40002, state => 'running' },
    { deployment => $many[0]{id}, container => 'c-first', address => '127.0.0.1', port => 40001, state => 'running' } ]);
my %want = map { $_->{deployment} => $_->{desired} } @{ $welcome->{p}{desired} };
is($want{ $many[5]{id} }, 'running', 'welcome says what is to run');
is($want{ $many[0]{id} }, 'stopped', 'and what is not');
is($s->value("SELECT observed FROM apps WHERE slug = 'shop'"), 'running', 'R9 it returns to running when the worker reports it');

# ---- build logs ----
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
my @line = map { [ $_, 1000 + $_, 'out', "line $_" ] } 1 .. 6;
sub build_log { my ($j, @lines) = @_; $w->send('build_log', { job => $j->{job}, epoch => $j->{epoch}, lines => \@lines, dropped => 0 }) }
build_log($job, @line[ 0 .. 2 ]);
is($w->wait('log_ack')->{p}{seq}, 3, 'F104 lines are stored and acknowledged');
build_log($job, @line[ 1 .. 4 ]);
is($w->wait('log_ack')->{p}{seq}, 5, 'what is sent again');
is(scalar($s->log_lines($d)), 5, 'is stored once');
build_log($job, [ 6, 1, 'err', "\e[31mred\e[0m \x08and\rover" ], [ 7, 1, 'out', 'x' x 8192 ]);
is($w->wait('log_ack')->{p}{seq}, 7, 'XE17 lines with escapes are taken');
my @stored = $s->log_lines($d);
unlike($stored[5], qr/[\x00-\x08\x0b-\x1f\x7f]/, 'F92 and cleaned');
like($stored[5], qr/^6 1 err red and/, 'F92 of ANSI and control bytes');
cmp_ok(length $stored[6], '<=', 8192 + 10, 'F93 capped at 8 KiB');
my $big = 'y' x 8000;
my $seq = 7;
for (1 .. 4) { build_log($job, map { [ ++$seq, 1, 'out', $big ] } 1 .. 100) }
my ($ack, $acks) = (undef, 0);
do { $ack = $w->wait('log_ack') } while ($ack && $ack->{p}{seq} < $seq && ++$acks < 10);
is($ack->{p}{seq}, $seq, 'R12 more than a connection may send is acknowledged, when the log says what is missing');
build_log($job, [ $seq + 3, 1, 'out', 'after' ]);
is($w->wait('log_ack')->{p}{seq}, $seq + 3, 'a gap in the numbers is what the agent left out');
my ($kept, $missing) = (0, 0);
for my $line ($s->log_lines($d)) {
    if ($line =~ /^\d+ \d+ sys (\d+) lines were left out/) { $missing += $1 }
    else { $kept++ }
}
cmp_ok($missing, '>', 2, 'R12 what was left out is counted in the log');
is($kept + $missing, $seq + 3, 'lines sent = lines stored + lines counted');
my $other = $s->worker;
$other->up;
$other->send('build_log', { job => $job->{job}, epoch => 1, lines => [ [ 99999, 1, 'out', 'not mine' ] ], dropped => 0 });
$other->wait('log_ack');
ok(!(grep { /not mine/ } $s->log_lines($d)), 'XE18 another worker cannot write into it');
$other->do('drop');
$s->soon(sub { $s->value("SELECT status FROM workers WHERE id = $other->{id}") eq 'offline' });
$w->result($job, 'failed');
$w->wait('result_ack');
my $lines = $s->log_lines($d);
build_log($job, [ $seq + 2, 1, 'out', 'late' ]);
is($w->wait('log_ack')->{p}{seq}, $seq + 2, 'XE18 a line for a finished job is acknowledged');
is($s->log_lines($d), $lines, 'XE18 and dropped');
my @seqs = map { /^(\d+) / ? $1 : () } $s->log_lines($d);
is_deeply(\@seqs, [ sort { $a <=> $b } keys %{ { map { $_ => 1 } @seqs } } ], 'numbers rise and none is there twice');

# ---- where a worker may lead visitors ----
for my $case ([ '169.254.169.254', 40001, 'the metadata of a cloud' ], [ '10.0.0.5', 40001, 'another machine' ],
    [ '::1', 40001, 'the same machine by another name' ],
    [ '127.0.0.1', 443, 'a service of the machine' ])
{
    my ($address, $port, $what) = @$case;
    my $bad = $s->app("lead$port-" . length $address, 'container');
    my $its = $s->deployment($bad);
    $s->poke;
    $w->result($w->begin, 'succeeded', instances => [ { container => "c-$address-$port", address => $address, port => $port } ]);
    ok($w->wait('result_ack'), "D9 $what: the result is answered");
    is($s->deployment_status($its), 'completed/failed/internal', "D9 $what: the deployment failed");
    is($s->value("SELECT count(*) FROM instances WHERE address = '$address' AND port = $port"), 0, "D9 $what: no route leads there");
    $w->result($w->begin, 'succeeded');
    ok($w->wait('result_ack'), "D9 $what: the container it claimed gets its stop job");
}

# A name is no address at all, whoever it stands for: the frame itself is refused.
{
    my $its = $s->deployment($s->app('lead-by-name', 'container'));
    $s->poke;
    my $begun = $w->begin;
    $w->result($begun, 'succeeded', instances => [ { container => 'c-name', address => 'localhost', port => 40001 } ]);
    is(($w->wait('error') // {})->{p}{code}, 'bad_payload', 'D9 a name that is not its own: the result is refused');
    is($s->value("SELECT count(*) FROM instances WHERE container = 'c-name'"), 0, 'D9 a name that is not its own: no route leads there');
    $w->result($begun, 'failed');
    $w->wait('result_ack');
    ends_as($its, 'completed/failed/build_failed', 'and the worker may still say how it ended');
}

# ---- an app is deleted ----
$d = $s->deployment($app);
$s->poke;
$job = $w->begin;
$s->sql("UPDATE apps SET deleted_at = " . WH::Sched::now_us() . ", desired = 'stopped' WHERE id = '$app->{id}'");
$s->poke;
ok($w->wait('job_cancel'), 'a deleted app: its running job is canceled');
is($s->value('SELECT count(*) FROM names'), 0, 'its names are free');
is($s->routes, 0, 'and out of the route table');
$w->result($job, 'succeeded', instances => [ { container => 'c-late', address => '127.0.0.1', port => 40009 } ]);
my @stops;
for (1 .. 2) {
    my $stop_job = $w->begin or last;
    push @stops, $stop_job->{deployment};
    $w->result($stop_job, 'succeeded');
    $w->wait('result_ack');
}
is_deeply([ sort @stops ], [ sort $many[5]{id}, $d->{id} ], 'its containers are stopped, a late one too');
is($s->deployment_status($d), 'completed/canceled/canceled', 'and the deployment that came too late is canceled');
is($s->value("SELECT count(*) FROM instances WHERE state <> 'stopped'"), 0, 'nothing is left');

is($s->unexpected(qw(WH0452 WH0453 WH0483)), '', 'no warning that was not announced');
is($s->stop, 0, 'SIGTERM ends it with 0');
done_testing();
