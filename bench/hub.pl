#!/usr/bin/perl
# What the hub does and costs with many agents: 1,000 talking ones and 5,000 idle ones over the scheduler's own
# TLS listener, 500 through Apache. The agents are simulated (bench/sim), their channel is the real one.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(median percentile build certificate samples value out_dir top);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time sleep);
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for now_s);

my $seconds = $ENV{BENCH_SECONDS} || 60;
my %want = map { $_ => 1 } split /,/, $ENV{BENCH_HUB} || 'talk,idle,apache';
my $LINES = 10000;
$| = 1;
build();
my ($sim, $seed) = map { "$ENV{WH_BUILD}/bench/sim/$_" } qw(wh-sim wh-sim-seed);
my $hz = POSIX::sysconf(POSIX::_SC_CLK_TCK());
talk() if $want{talk};
idle() if $want{idle};
apache() if $want{apache};

# ---- the parts ----

# A platform with a listener, without an agent of its own unless asked for.
sub stack {
    my (%o) = @_;
    my $port = WH::Stack::free_port();
    my $stack = WH::Stack->new(scheduler_conf => { max_workers => 6000, listen => "127.0.0.1:$port" }, %o);
    certificate($stack->dir);
    $stack->{scheduler_conf}{"listen_$_->[0]"} = $stack->dir . "/listen.$_->[1]" for [ cert => 'pem' ], [ key => 'key' ];
    $stack->start(agent => $o{agent} // 0);
    $stack->{hub} = "wss://127.0.0.1:$port";
    return $stack;
}

sub seed {
    my ($stack, $command, @args) = @_;
    my ($rc, $said) = $stack->run_cmd($seed, $command, $stack->db->driver, $stack->db->params, @args);
    die "wh-sim-seed $command: $said\n" if $rc;
    return $said;
}

sub sim {
    my ($stack, $agents, @more) = @_;
    my $dir = $stack->dir;
    seed($stack, 'workers', $agents, 'sim-', "$dir/workers.list");
    $stack->{sim} = WH::Proc->start(name => 'sim', log => "$dir/log/sim.log", cmd => [ $sim, '--hub', $stack->{hub},
        '--ca', "$dir/listen.pem", '--agents', $agents, '--workers', "$dir/workers.list", '--api', $stack->url,
        '--by-token', 1, '--out', "$dir/sim.json", @more ]);
    return;
}

# The last line that the simulator said.
sub status {
    my ($stack) = @_;
    my ($got) = $stack->log_text('sim') =~ /.*^SIM ([^\n]*)\n/ms;
    return { ($got // '') =~ /(\w+)=(\d+)/g };
}

sub reach {
    my ($stack, $what, $n, $patience) = @_;
    my $began = time;
    wait_for { $stack->{sim}->runs || die 'the simulator ended: ' . $stack->log_text('sim') . "\n";
        (status($stack)->{$what} // 0) >= $n } $patience, "$n $what";
    printf "# %d %s after %.1f s\n", $n, $what, time - $began;
    return;
}

sub pss {
    my (@pids) = @_;
    my $kib = 0;
    for my $pid (@pids) {
        open my $in, '<', "/proc/$pid/smaps_rollup" or next;
        while (<$in>) { $kib += $1 if /^Pss:\s+(\d+)/ }
    }
    return $kib / 1024;
}

sub cpu_s {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!\n";
    my @f = split ' ', (<$in> =~ s/^.*\) //sr);
    return ($f[11] + $f[12]) / $hz;
}

sub children {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/task/$pid/children" or return ();
    return split ' ', scalar(<$in>) // '';
}

# Looks each second for $for seconds: calls $each, gives the samples of memory and the CPU used.
sub watch {
    my ($pid, $for, $each) = @_;
    my (@pss, @cpu);
    my ($t, $c) = (time, cpu_s($pid));
    my ($end, $t0, $c0) = ($t + $for, $t, $c);
    while (time < $end) {
        sleep 1;
        push @pss, pss($pid);
        my ($t1, $c1) = (time, cpu_s($pid));
        push @cpu, 100 * ($c1 - $c) / ($t1 - $t);
        ($t, $c) = ($t1, $c1);
        $each->() if $each;
    }
    return (\@pss, \@cpu, 100 * ($c - $c0) / ($t - $t0));
}

sub finish {
    my ($stack) = @_;
    $stack->{sim}->stop(30);
    my $said = JSON::PP::decode_json(WH::Stack::slurp($stack->dir . '/sim.json'));
    my $c = $said->{counters};
    print '# ', join(' ', map { ref $c->{$_} ? () : "$_=$c->{$_}" } sort keys %$c), "\n";
    die "the simulator ended with $stack->{sim}{status}: lines were lost on the way\n" . substr($stack->log_text('sim'), -1500)
        if $stack->{sim}{status};
    return $said;
}

# Lines of the simulator that stand in the segments, and those that the segments say were left out.
sub stored {
    my ($stack) = @_;
    my ($lines, $left_out) = (0, 0);
    for my $segment (glob($stack->dir . '/state/logs/*/*.seg'), glob($stack->dir . '/state/logs/*/*/*.seg')) {
        my $text = WH::Stack::slurp($segment);
        $lines += () = $text =~ /^\d+ \d+ out sim-/mg;
        $left_out += $1 while $text =~ /^\d+ \d+ sys (\d+) lines were left out/mg;
    }
    return ($lines, $left_out);
}

# ---- 1,000 agents that talk ----

sub talk {
    my $agents = $ENV{BENCH_AGENTS} || 1000;
    print "# $agents agents over TLS: heartbeats every 30 s, stats every 15 s, $LINES log lines/s, $seconds s\n";
    my $stack = stack();
    sim($stack, $agents, qw(--heartbeat 30 --stats 15 --quiet 1 --lines), $LINES,
        qw(--hold hold- --finish-ms 300 --logs), $ENV{BENCH_LOGS} || 'build');
    reach($stack, up => $agents, 120);
    seed($stack, 'jobs', $agents, 'hold-', 'pinned');
    my $hub = $stack->dir . '/state/run/hub.sock';
    seed($stack, 'push', 1, 'first-', $hub, 1);
    reach($stack, running => $agents, 120);
    my $scheduler = $stack->proc('scheduler')->pid;
    $stack->{sim}->signal('USR1');
    sleep 2;
    my $n = int($seconds * 1000 / 150);
    my $pushes = WH::Proc->start(name => 'push', log => $stack->dir . '/log/push.log',
        cmd => [ $seed, 'push', $stack->db->driver, $stack->db->params, $n, 'push-', $hub, 150 ]);
    my $sim_cpu = cpu_s($stack->{sim}->pid);
    my ($pss, $cpu_each, $cpu) = watch($scheduler, $seconds);
    printf "# the simulator itself: %.0f percent of a core\n", 100 * (cpu_s($stack->{sim}->pid) - $sim_cpu) / $seconds;
    wait_for { !$pushes->runs } 60, 'the pushes';
    sleep 1;
    my $said = finish($stack);
    my %offered = map { $_->{job} => $_->{offered_us} } @{ $said->{jobs} };
    my @pushed = grep {/^PUSH/} split /\n/, $stack->log_text('push');
    my @ms;
    for (@pushed) {
        my ($job, $made, $poked) = (split ' ')[ 1, 2, 3 ];
        die "job $job was never pushed\n" unless $offered{$job};
        push @ms, ($offered{$job} - $poked) / 1000;
    }
    die 'only ' . @ms . " of $n pushes\n" if @ms < $n;
    samples('hub_push', 'ms', @ms);
    samples('hub_pss', 'MiB', @$pss);
    samples('hub_cpu', 'percent', @$cpu_each);
    my $c = $said->{counters};
    my ($lines, $left_out) = stored($stack);
    printf "# lines: %d made, %d sent, %d dropped before, %d stored, %d told as left out; %.0f a second\n",
        @$c{qw(lines_made lines_sent lines_dropped)}, $lines, $left_out, $c->{lines_made} / ($seconds + 3);
    value('hub_push_p50', median(@ms), 'ms');
    value('hub_push_p99', percentile(0.99, @ms), 'ms');
    value('hub_pss', percentile(1, @$pss), 'MiB');
    value('hub_cpu', $cpu, 'percent');
    value('hub_lines', $c->{lines_made} / ($seconds + 3), 'lines/s');
    die "lines sent and dropped: $c->{lines_made}; read back and counted: " . ($lines + $left_out) . "\n"
        if $lines + $left_out != $c->{lines_made};
    $stack->stop;
    return;
}

# ---- 5,000 that do not ----

sub idle {
    my $agents = $ENV{BENCH_IDLE_AGENTS} || 5000;
    print "# $agents idle agents over TLS\n";
    my $stack = stack();
    sim($stack, $agents, qw(--connect-rate 300));
    reach($stack, up => $agents, 180);
    sleep 5;
    my ($pss, undef, $cpu) = watch($stack->proc('scheduler')->pid, $seconds < 35 ? $seconds : 35);
    finish($stack);
    samples('hub_idle_pss', 'MiB', @$pss);
    value('hub_idle_pss', percentile(1, @$pss), 'MiB');
    value('hub_idle_cpu', $cpu, 'percent');
    $stack->stop;
    return;
}

# ---- 500 through Apache ----

sub apache {
    my $agents = $ENV{BENCH_APACHE_AGENTS} || 500;
    my ($threads, $spare) = (64, 128);
    my $children = POSIX::ceil(($agents + $spare) / $threads);
    print "# $agents agents through Apache: each holds a thread of it. $agents + $spare for requests = ", $agents + $spare,
        ": ThreadsPerChild $threads, ServerLimit $children, MaxRequestWorkers ", $children * $threads, "\n";
    my $stack = stack(agent => 1, httpd_extra => "ServerLimit $children\nStartServers $children\nThreadsPerChild $threads\nThreadLimit $threads\n"
            . 'MaxRequestWorkers ' . $children * $threads . "\nMaxSpareThreads " . $children * $threads . "\n");
    $stack->app('bench-site', { 'index.html' => "hello\n" });
    $stack->deploy('bench-site')->{conclusion} eq 'succeeded' or die "the site cannot be deployed\n";
    my $httpd = $stack->proc('httpd')->pid;
    my $conn = { host => '127.0.0.1', port => $stack->port };
    my @before = gets($conn, 200);
    my $pss_before = pss($httpd, children($httpd));
    $stack->{hub} = 'ws://127.0.0.1:' . $stack->port;
    sim($stack, $agents, qw(--connect-rate 100 --stats 15 --heartbeat 30));
    reach($stack, up => $agents, 120);
    my @during;
    watch($stack->proc('scheduler')->pid, $seconds < 30 ? $seconds : 30, sub { push @during, gets($conn, 50) });
    my $pss = pss($httpd, children($httpd));
    printf "# httpd: %d children\n", scalar children($httpd);
    finish($stack);
    samples('hub_apache_get_before', 'ms', @before);
    samples('hub_apache_get', 'ms', @during);
    value('hub_apache_get_p50', median(@during), 'ms');
    value('hub_apache_get_p99', percentile(0.99, @during), 'ms');
    value('hub_apache_httpd_pss_before', $pss_before, 'MiB');
    value('hub_apache_httpd_pss', $pss, 'MiB');
    $stack->stop;
    return;
}

sub gets {
    my ($conn, $n) = @_;
    return map {
        # A connection of its own: a kept one waits for ever when its child's threads have all become tunnels.
        delete $conn->{sock};
        my $t = time;
        my ($status) = Bench::http($conn, 'GET', '/', host => "bench-site.localhost:$conn->{port}");
        die "the site answers $status\n" if $status != 200;
        (time - $t) * 1000;
    } 1 .. $n;
}
