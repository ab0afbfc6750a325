#!/usr/bin/perl
# How fast waiting deployments get to their workers: BENCH_JOBS of as many apps, over BENCH_WORKERS connected
# agents, from the commit by which the scheduler can see them to the last `job` frame at its agent. The agents
# are simulated (bench/sim), their channel is the real one: the scheduler's TLS listener, with MACs. Each
# acknowledges its job, as an agent does, gets its `job_go` and holds it. With PostgreSQL (fsync on) and with
# SQLite; the scheduler alone, without httpd.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build certificate median samples value);
use JSON::PP ();
use Time::HiRes qw(time sleep);
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for now_s);

my $jobs = $ENV{BENCH_JOBS} || 10_000;
my $workers = $ENV{BENCH_WORKERS} || 100;
my $rounds = $ENV{BENCH_ROUNDS} || 3;
my @kinds = split ' ', $ENV{BENCH_DBS} || 'pgsql sqlite';
my $PATIENCE_S = 120;

$| = 1;
build();
require WH::Sched;
my ($sim, $seed) = map { "$ENV{WH_BUILD}/bench/sim/$_" } qw(wh-sim wh-sim-seed);
for my $kind (@kinds) {
    my @rounds = map { measure($kind, $_) } 1 .. $rounds;
    samples("assign_$kind", 'jobs/s', map { $_->[0] } @rounds);
    samples("assign_${kind}_begun", 'jobs/s', map { $_->[1] } @rounds);
    value("assign_$kind", median(map { $_->[0] } @rounds), 'jobs/s');
    value("assign_${kind}_begun", median(map { $_->[1] } @rounds), 'jobs/s');
}

# Who is up, has its job, runs it: the last line that the simulator said.
sub status {
    my ($log) = @_;
    my ($got) = WH::Stack::slurp($log) =~ /.*^SIM ([^\n]*)\n/ms;
    return { ($got // '') =~ /(\w+)=(\d+)/g };
}

sub run_seed {
    my ($s, $command, @args) = @_;
    open my $out, '-|', $seed, $command, $s->db->driver, $s->db->params, @args or die "$seed: $!\n";
    local $/;
    my $said = <$out> // '';
    close $out or die "wh-sim-seed $command: $said\n";
    return $said;
}

# As many jobs on each as there are, and some room for an uneven split.
sub connect_all {
    my ($s, $url, $label) = @_;
    my $dir = $s->dir;
    my $room = int($jobs / $workers * 1.25) + 4;
    run_seed($s, 'workers', $workers, 'sim-', "$dir/workers.list");
    $s->poke;
    my $proc = WH::Proc->start(name => 'sim', log => "$dir/sim.log", cmd => [ $sim, '--hub', $url,
        '--ca', "$dir/listen.pem", '--agents', $workers, '--workers', "$dir/workers.list", '--connect-rate', 100,
        '--heartbeat', 30, '--stats', -1, '--max-jobs', $room, '--hold', '', '--out', "$dir/sim.json" ]);
    wait_for { $proc->runs || die 'the simulator ended: ' . WH::Stack::slurp("$dir/sim.log") . "\n";
        (status("$dir/sim.log")->{up} // 0) == $workers } 60, "$workers agents";
    print "# $label: $workers agents are connected, each takes $room jobs\n";
    return $proc;
}

# Each job once, at the agent that the table names, acknowledged and told to go; nothing counted wrong.
sub check {
    my ($s, $said) = @_;
    my $c = $said->{counters};
    my %at;
    $at{"$_->{job} $_->{epoch} $_->{agent}"}++ for @{ $said->{jobs} };
    my @rows = map {"$_->[0] $_->[1] $_->[2]"} $s->sql('SELECT j.id, j.epoch, w.name FROM jobs j JOIN workers w'
        . " ON w.id = j.worker_id WHERE j.status = 'processing' AND j.epoch = 1");
    my $missing = grep { !$at{$_} } @rows;
    my $twice = grep { $_ > 1 } values %at;
    die scalar(@rows) . ' jobs begun in the table, ' . keys(%at) . " at the agents, of $jobs; $missing elsewhere, $twice twice, "
        . "$c->{offered_again} said again, $c->{errors} errors, $c->{lost} connections lost\n"
        if @rows != $jobs || keys %at != $jobs || $missing || $twice || $c->{offered_again} || $c->{errors} || $c->{lost};
    my $wrong = $s->value('SELECT COUNT(*) FROM workers w WHERE used_cpu <> (SELECT COALESCE(SUM(cpu_millis), 0)'
        . ' FROM jobs j WHERE j.worker_id = w.id)');
    die "$wrong workers are miscounted\n" if $wrong;
    return;
}

sub load { return (split ' ', WH::Stack::slurp('/proc/loadavg'))[0] }

# (jobs a second that arrived, jobs a second that were acknowledged and told to go)
sub measure {
    my ($kind, $round) = @_;
    my $label = "$kind $round/$rounds";
    my $port = WH::Stack::free_port();
    my $s = WH::Sched->new(db_kind => $kind, own_server => 1, pg_options => '-c fsync=on -c shared_buffers=128MB',
        conf => { log_level => 'info', listen => "127.0.0.1:$port" });
    my $dir = $s->dir;
    certificate($dir);
    $s->write_conf(listen_cert => "$dir/listen.pem", listen_key => "$dir/listen.key");
    $s->init;
    $s->start;
    my $proc = connect_all($s, "wss://127.0.0.1:$port", $label);
    my ($start) = run_seed($s, 'burst', $jobs, 'app-', $s->state . '/run/hub.sock') =~ /^BURST (\d+)$/m;
    print "# $label: $jobs deployments are waiting, load ", load(), "\n";
    my $said = 0;
    wait_for {
        my $now = status("$dir/sim.log");
        printf "# $label: %d arrived, %d begun\n", $now->{jobs}, $said = $now->{running} if $now->{running} > $said;
        $proc->runs or die 'the simulator ended: ' . WH::Stack::slurp("$dir/sim.log") . "\n";
        $now->{running} >= $jobs } $PATIENCE_S, "$jobs jobs to begin";
    $proc->stop(30);
    my $ledger = JSON::PP::decode_json(WH::Stack::slurp("$dir/sim.json"));
    $s->stop;
    check($s, $ledger);
    my ($arrived, $begun) = map { my $what = $_; (sort { $b <=> $a } map { $_->{$what} } @{ $ledger->{jobs} })[0] }
        qw(offered_us started_us);
    my @rate = map { $jobs / ($_ - $start) * 1e6 } $arrived, $begun;
    printf "# %s: %d jobs arrived in %.3f s: %.0f jobs/s; all begun in %.3f s: %.0f jobs/s; load %s\n", $label, $jobs,
        $jobs / $rate[0], $rate[0], $jobs / $rate[1], $rate[1], load();
    return \@rate;
}
