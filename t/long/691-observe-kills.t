#!/usr/bin/perl
# db: sqlite pgsql
# G31: the scheduler killed with -9 at random moments, while apps print and use, deployments fail and succeed, alerts
# come and go and are told: no stored line is lost, at most a minute of usage, no alert fires twice, none is forgotten,
# each event is told at least once. WH_TEST_SEED=n repeats the moments, WH_KILLS=n makes them more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP qw(decode_json);
use List::Util qw(sum0 max);
use Test::More;
use WH::Recorder;
use WH::Sched;
use WH::Stack;
use WH::Wait qw(now_s try_for wait_for);

my $KILLS = $ENV{WH_KILLS} // 20;
my $seed = $ENV{WH_TEST_SEED} // time;
srand $seed;
note("WH_TEST_SEED=$seed");
my $MIN = 60;       # seconds between two samples of usage (F167)
my $REPORTED = 20;  # after a start, all agents have reported
my $READ_AGAIN = 30;    # what an agent reads again

my $there = WH::Recorder->new;
my $http = $there->http;
$there->answer('after /slow' => 0.2);    # so that kills come while something is under way
my $stack = WH::Stack->new(scheduler_conf => { http_private_addresses => 'on' });
$stack->start(agent => 0);
my $db = $stack->db;
for my $name (qw(quick slow)) {
    is($stack->api(POST => '/v1/notifications/channels', { name => $name, target => "http://$http/$name" })->{status}, 201, "a channel: $name");
}
is($stack->api(POST => '/v1/alert-rules', { kind => 'cpu', threshold => 50, sustain_minutes => 0 })->{status}, 201, 'a rule of CPU, for every app');

# ---- a worker of ours, which does what the agent does ----
my $s = bless { owner => $$, dir => $stack->dir, db => $db,
    tool => WH::Sched::program('wh-test-worker', WH::Sched::builddir() . '/t/tools/wh-test-worker') }, 'WH::Sched';
my $w = $s->worker(max_jobs => 4);
my (%apps, @instances);
sub hello { my (%o) = @_; return try_for { $w->connect->{event} eq 'connected' && $w->hello(instances => \@instances, %o) } 20 }
ok(hello(), 'a worker');
for my $n (1 .. 3) {
    my $app = $s->app("app$n", 'container');
    my $d = $s->deployment($app);
    $s->poke;
    my $at = { container => "c-$n", address => '127.0.0.1', port => 20000 + $n };
    $w->result($w->begin, 'succeeded', instances => [$at]);
    $w->wait('result_ack') or die "no result_ack for app$n";
    push @instances, { %$at, deployment => $d->{id}, state => 'running' };
    $apps{"app$n"} = { app => $app->{id}, deployment => $d->{id}, container => "c-$n", lines => [], high => 0, fired => 0, net => 0, samples => 0 };
}
my $site = $s->app('site');
my $epoch = now_s();

# What each prints: numbered, with its time, and what a new connection says again.
sub say_lines {
    my ($of, $from) = @_;
    my @lines = @{ $of->{lines} }[ $from .. $#{ $of->{lines} } ];
    while (my @part = splice @lines, 0, 200) {
        $w->send('runtime_log', { app => $of->{app}, deployment => $of->{deployment}, container => $of->{container}, lines => [ map { $_->{line} } @part ], dropped => 0 });
    }
    return;
}
sub prints {
    for my $of (values %apps) {
        my $from = @{ $of->{lines} };
        push @{ $of->{lines} }, { at => now_s(), line => [ @{ $of->{lines} } + 1, WH::Sched::now_us(), 'out', sprintf 'line %d %s', @{ $of->{lines} } + 1, 'x' x rand 60 ] } for 1 .. rand 8;
        say_lines($of, $from);
    }
    return;
}
sub says_again {
    for my $of (values %apps) {
        my $from = 0;
        $from++ while $from < @{ $of->{lines} } && $of->{lines}[$from]{at} < now_s() - $READ_AGAIN;
        say_lines($of, $from);
    }
    return;
}
sub stored {
    my ($of) = @_;
    open my $in, '-|', WH::Sched::builddir() . '/t/tools/wh-log-read', $s->state . "/logs/apps/$of->{app}" or die $!;
    my @lines = <$in>;
    return @lines;
}

# What they use: CPU above the rule until the alert is there, then below it until that is over.
my $flows = 0;
sub uses {
    my ($since) = @_;
    for my $of (values %apps) { $of->{net} += int((now_s() - $since) * 10_000) if $flows }
    $w->send('app_stats', { apps => [ map { { app => $_->{app}, deployment => $_->{deployment}, cpu_millis => $_->{high} ? 900 : 100, memory_bytes => 1 << 20,
        memory_limit_bytes => 1 << 26, net_rx_bytes => $_->{net}, net_tx_bytes => 0, disk_read_bytes => 0, disk_write_bytes => 0 } } values %apps ] });
    return;
}
my (%gaps, $kills);
sub looks {
    my ($settle) = @_;
    my %open = map { $_->[0] => 1 } $db->rows("SELECT app_id FROM alerts WHERE kind = 'cpu' AND resolved_at = 0");
    my %samples = map { $_->[0] => $_->[1] } $db->rows('SELECT app_id, SUM(samples) FROM usage_buckets GROUP BY app_id');
    for my $of (values %apps) {
        if ($of->{high} && $open{ $of->{app} }) { $of->{high} = 0; $of->{fired}++ }
        elsif (!$of->{high} && !$open{ $of->{app} } && !$settle) { $of->{high} = 1 }
        my $n = $samples{ $of->{app} } // 0;
        next if $n == $of->{samples};
        push @{ $of->{gaps} }, { seconds => now_s() - $of->{sampled}, kills => $kills - $of->{kills} } if $of->{samples};
        @$of{qw(samples sampled kills)} = ($n, now_s(), $kills);
    }
    return;
}

# Deployments of the site: failed or succeeded as it falls, each said until it is acknowledged.
my ($d, $job, $outcome, @outcomes) = (undef, undef, undef);
sub deploys {
    my ($settle) = @_;
    if (!$d && !$settle) { $d = $s->deployment($site); $s->poke }
    while (my $e = $w->event(0.001)) {
        return 0 if $e->{event} eq 'closed';
        my $type = $e->{type} // '';
        if ($type eq 'job') {
            $job = $e->{p};
            $w->send('job_ack', { job => $job->{job}, epoch => $job->{epoch}, accepted => JSON::PP::true() });
        } elsif ($type eq 'job_go' && $job && !$outcome) {
            $outcome = rand() < 0.5 ? 'failed' : 'succeeded';
            tells_outcome();
        } elsif ($type eq 'result_ack' && $outcome && $e->{p}{job} eq $job->{job}) {
            push @outcomes, $outcome;
            ($d, $job, $outcome) = ();
        }
    }
    return 1;
}
my $release;
sub tells_outcome { $w->result($job, $outcome, $outcome eq 'succeeded' ? (release => $release //= $s->release) : ()); return }

# ---- until the next kill ----
sub works {
    my ($seconds, $settle) = @_;
    my ($end, $told, $looked, $used) = (now_s() + $seconds, 0, 0, now_s());
    while (now_s() < $end && !(ref $settle && $settle->())) {
        prints() if !$settle;
        if (now_s() - $used > 1.2) { uses($used); $used = now_s() }
        if (now_s() - $looked > 1) { looks($settle); $looked = now_s() }
        deploys($settle) or die 'the scheduler closed the link: ' . substr $stack->log_text('scheduler'), -500;
        if (now_s() - $told > 10) { $w->send('heartbeat', { cpu_used_millis => 1, memory_used_bytes => 1, disk_free_bytes => 1, running => [] }); $told = now_s() }
        select undef, undef, undef, 0.1;
    }
    uses($used) if now_s() - $used > 1.05;
    return;
}
$kills = 0;
works(90, sub { !grep { !$_->{samples} } values %apps });
ok(!(grep { !$_->{samples} } values %apps), 'usage is sampled');
$flows = 1;
my %before;
my @lost;
for (1 .. $KILLS) {
    works(rand() < 0.6 ? rand 8 : 20 + rand 40);
    $stack->proc('scheduler')->kill9;
    $kills++;
    try_for { my $e = $w->event(0.2); $e && $e->{event} eq 'closed' } 10 or die 'the link stays though its other end is dead';
    for my $name (keys %apps) {
        my @now = stored($apps{$name});
        my $same = 1;
        for my $i (0 .. $#{ $before{$name} }) { $same &&= ($now[$i] // '') eq $before{$name}[$i] }
        push @lost, "$name after kill $kills" if !$same;
        $before{$name} = \@now;
    }
    $stack->start_scheduler;
    my @ref = $job ? ({ job => $job->{job}, epoch => $job->{epoch} }) : ();
    hello(running => $outcome ? [] : \@ref, results => $outcome ? \@ref : []) or die 'the worker does not come back';
    tells_outcome() if $outcome;
    says_again();
}

# ---- all comes to its end ----
sub quiet { return !$d && !grep({ $_->{high} } values %apps) && !$db->value("SELECT COUNT(*) FROM alerts WHERE kind = 'cpu' AND resolved_at = 0") }
works(120, \&quiet);
ok(quiet(), 'the last alerts are over');
$flows = 0;
my %n = map { $_ => $apps{$_}{samples} } keys %apps;
works(150, sub { !grep({ $apps{$_}{samples} == $n{$_} } keys %apps) && !$db->value("SELECT COUNT(*) FROM notification_deliveries WHERE status = 'pending'") });
note(sprintf '%d kills in %d s', $kills, now_s() - $epoch);

# Logs
is(join(', ', @lost), '', "no line that was stored is lost by $kills kills");
for my $name (sort keys %apps) {
    my @texts = map { s/\n//r } map { (split / /, $_, 5)[4] } my @stored = stored($apps{$name});
    my @said = map { $_->{line}[3] } @{ $apps{$name}{lines} };
    is(join("\n", map { /(line .*)/ ? $1 : $_ } @stored), join("\n", @said), "$name: " . @said . ' lines are there, each once, in order');
}

# Usage
for my $name (sort keys %apps) {
    my $of = $apps{$name};
    is($db->value("SELECT SUM(net_bytes) FROM usage_buckets WHERE app_id = '$of->{app}'"), $of->{net}, "$name: of $of->{net} bytes over the network none is missing");
    my @late = grep { $_->{seconds} - $MIN > $MIN * max(1, $_->{kills}) } @{ $of->{gaps} };
    is(scalar @late, 0, sprintf '%s: %d samples, a kill costs at most a minute: %s s between them', $name, $of->{samples}, join ' ', map { int $_->{seconds} } @{ $of->{gaps} });
}

# Alerts
my ($failed, $edges, $was) = (0, 0, '');
for (@outcomes) { $edges++ if $_ eq 'failed' && $was ne 'failed'; $failed++ if $_ eq 'failed'; $was = $_ }
is($db->value("SELECT COUNT(*) FROM alerts WHERE kind = 'deployment_failed'"), $edges, "$failed of " . @outcomes . " deployments failed: $edges alerts, none twice, none forgotten");
is($db->value("SELECT COUNT(*) FROM alerts WHERE kind = 'deployment_failed' AND resolved_at = 0"), $was eq 'failed' ? 1 : 0, 'those that are over are over');
my $cpu = sum0 map { $_->{fired} } values %apps;
cmp_ok($cpu, '>', 2, "CPU was too high $cpu times");
is($db->value("SELECT COUNT(*) FROM alerts WHERE kind = 'cpu'"), $cpu, 'and as many alerts fired: none twice, none forgotten');
is($db->value("SELECT COUNT(*) FROM alerts WHERE kind NOT IN ('cpu', 'deployment_failed')"), 0, 'and none because of the kills');
my %told = map { $_->[0] => $_->[1] } $db->rows('SELECT kind || ended, COUNT(*) FROM notification_event GROUP BY kind, ended');
is_deeply(\%told, { 'app.cpu0' => $cpu, 'app.cpu1' => $cpu, 'app.deployment_failed0' => $edges,
    ($edges > ($was eq 'failed') ? ('app.deployment_failed1' => $edges - ($was eq 'failed')) : ()),
    'worker.online0' => 1, 'deployment.failed0' => $failed, 'deployment.succeeded0' => @outcomes - $failed + 3 }, 'each edge was written to be told once, and the worker came but once') or diag explain \%told;

# Notifications
my %seen;
for ($there->seen) { $seen{ $_->{target} }{ $_->{headers}{'webhook-id'} }++ }
for my $name (qw(quick slow)) {
    my %tries = map { @$_ } $db->rows("SELECT d.id, d.attempts FROM notification_deliveries d JOIN notification_channels c ON c.id = d.channel_id WHERE c.name = '$name'");
    my $got = $seen{"/$name"};
    is(scalar keys %tries, sum0(values %told), "$name: of each event a message");
    is(scalar(grep { !$got->{$_} } keys %tries), 0, 'and each arrived');
    is(scalar(grep { $got->{$_} > ($tries{$_} // 0) } keys %$got), 0, 'under its own id, and only as often as it was begun to be sent');
    my $twice = sum0 map { $_ - 1 } values %$got;
    cmp_ok($twice, '<=', 4 * $kills, "a kill may repeat what was under way, four of a channel: here $twice of " . sum0(values %$got));
    note('one of them ' . max(values %$got) . ' times');
}
is($db->value("SELECT COUNT(*) FROM notification_deliveries WHERE status <> 'delivered'"), 0, 'all are done with');
$w->do('quit');
$stack->stop;
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
done_testing();
