#!/usr/bin/perl
# Several schedulers: one is active, the others stand by, keep their own machine's route table and take
# over (XN10; that SQLite has room for one only is in 330). Each has a state directory of its own, as on two machines, and the same keys.
# db: pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use WH::Sched;
use WH::Wait qw(try_for now_s);

my $first = WH::Sched->new(own_server => 1);
$first->init;
$first->start;

# Another machine: its own state directory, socket and route table; database and keys are the same.
sub neighbour {
    my $s = WH::Sched->new(db => $first->db);
    $s->init;
    system('cp', '-p', (map { $first->state . "/keys/$_" } qw(root.key module.key control.secret)), $s->state . '/keys/') == 0
        or die 'cp';
    $s->start(no_wait => 1);
    return $s;
}

sub stands_by { my ($s) = @_; return try_for(sub { $s->log =~ /standing by: another scheduler is active/ }, 10) }

sub readies { my ($s) = @_; return scalar(() = $s->log =~ / is ready, hub on /g) }

# A host's record is in this machine's table, and names that deployment.
sub shows {
    my ($s, $host, $d) = @_;
    open my $in, '<:raw', $s->state . '/routes/data.mdb' or return 0;
    local $/;
    my $table = <$in>;
    return index($table, $host) >= 0 && index($table, $d->{id}) >= 0;
}

my $second = neighbour();
ok(stands_by($second), 'a second scheduler stands by');
ok(!-S $second->state . '/run/hub.sock', 'and listens for nobody');

# ---- the route table of the standby's machine ----
my $w = $first->worker(max_jobs => 64);
$w->up;
my $app = $first->app('blog');
my $release = $first->release;
my $d = $first->deployment($app);
$first->poke;
$w->result($w->begin, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'a deployment through the active one');
my $began = now_s();
ok(try_for(sub { shows($second, 'blog.apps.test', $d) }, 10), 'is in the table of the standby too');
cmp_ok(now_s() - $began, '<', 2, 'within 2 s');
my $version = $first->value("SELECT value FROM counters WHERE name = 'routes'");
$first->sql("UPDATE apps SET desired = 'running' WHERE id = '$app->{id}'");
is($first->value("SELECT value FROM counters WHERE name = 'routes'"), $version, 'the counter is the programs\' to move');

# ---- takeovers, with deployments under way ----
my ($active, $standby) = ($first, $second);
my (@took, %ends, %begun);
my %worker = ($first => $w);
for my $round (1 .. 6) {
    my @apps = map { $first->app("r$round-$_") } 1 .. 3;
    my $running = $first->deployment($apps[0]);
    $active->poke;
    my $job = $w->begin;
    $begun{ $job->{job} }++;
    my $sent = $first->deployment($apps[1]);
    $active->poke;
    my $assigned = $w->wait('job')->{p};
    my $before = readies($standby);
    my $t0 = now_s();
    $active->kill9;
    try_for(sub { readies($standby) > $before }, 10) or diag($standby->log);
    push @took, now_s() - $t0;
    my $waiting = $first->deployment($apps[2]);
    ($active, $standby) = ($standby, $active);
    $w = $active->again($w);
    $w->up(running => [ { job => $job->{job}, epoch => $job->{epoch} } ]);
    my $go = $w->wait('job_go');
    is($go->{p}{job}, $job->{job}, "round $round: what ran goes on");
    my %again = map { my $p = $w->wait('job', 5)->{p}; ($p->{job} => $p) } 1 .. 2;
    is_deeply([ sort keys %again ], [ sort $assigned->{job}, $waiting->{job} ],
        "round $round: what was assigned is sent again, what waited is given out");
    is($again{ $assigned->{job} }{epoch}, $assigned->{epoch}, 'and it is the same assignment, not a second one');
    for my $p (values %again) {
        $begun{ $p->{job} }++;
        $w->send('job_ack', { job => $p->{job}, epoch => $p->{epoch}, accepted => JSON::PP::true });
        $w->wait('job_go');
    }
    for my $p ($job, values %again) {
        $w->result($p, 'succeeded', release => $release);
        $w->wait('result_ack');
    }
    $ends{ $_->{id} } = $first->deployment_status($_) for $running, $sent, $waiting;
    $standby->start(no_wait => 1);
    ok(try_for(sub { (() = $standby->log =~ /standing by: another scheduler is active/g) >= 1
        && $standby->{proc}->runs }, 10), "round $round: the killed one comes back and stands by");
}
is(join(' ', grep { $_ ne 'completed/succeeded/' } values %ends), '', 'XN10 no deployment was lost');
is(scalar(keys %ends), 18, 'of 18');
is(join(' ', grep { $_ > 1 } values %begun), '', 'and none began twice');
my @slow = grep { $_ >= 5 } @took;
is("@slow", '', sprintf 'takeovers within 5 s: %s', join ' ', map { sprintf '%.2f', $_ } @took);

# ---- half dead: stopped for ten seconds, its session ended meanwhile ----
my $lock = q{FROM pg_locks WHERE locktype = 'advisory' AND granted}
    . q{ AND database = (SELECT oid FROM pg_database WHERE datname = current_database())};
my $ready = readies($standby);
my $stopped = now_s();
kill STOP => $active->pid;
is($first->value("SELECT COUNT(*) $lock"), 1, 'the lock is one session\'s');
$first->sql("SELECT pg_terminate_backend(pid) $lock");
ok(try_for(sub { readies($standby) > $ready }, 5), 'the standby takes over from one that is half dead');
my $old = $w;
$w = $standby->again($old);
$w->up;
my $half = $first->deployment($first->app('half'));
$standby->poke;
my $job = $w->begin;
$old->send('job_ack', { job => $job->{job}, epoch => $job->{epoch}, accepted => JSON::PP::true });
$old->send('job_result', { job => $job->{job}, epoch => $job->{epoch}, outcome => 'canceled' });
select undef, undef, undef, 10 - (now_s() - $stopped) if now_s() - $stopped < 10; # what is tested takes this long
# The new one does not get at this deployment for the moment, so it is there for the old one to take.
kill STOP => $standby->pid;
my $lure = $first->deployment($first->app('lure'));
my $rows = $first->db->dump_all(qw(jobs deployments names instances apps));
kill CONT => $active->pid;
ok(try_for(sub { defined $active->{proc}->ended }, 10), 'woken, it sees that another is active, and ends');
like($active->log, qr/WH0481 another scheduler has become the active one/, 'and says so');
is($first->db->dump_all(qw(jobs deployments names instances apps)), $rows, 'without having written anything');
kill CONT => $standby->pid;
$w->result($job, 'succeeded', release => $release);
ok($w->wait('result_ack'), 'the work goes on where it was taken over');
is($first->deployment_status($half), 'completed/succeeded/', 'to its end');
is($standby->unexpected(qw(WH0483 WH0495)), '', 'no warning that was not announced');
is($standby->stop, 0, 'SIGTERM ends it with 0');
done_testing();
