#!/usr/bin/perl
# Lines while the scheduler is killed again and again: of builds each is stored once and in order, of running apps
# what is missing is counted (F103, F104); and one that prints far too much beside one that is quiet (G23).
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(sleep);
use WH::Sched;
use WH::Wait qw(now_s try_for);

my $KILLS = 6;
my $seed = $ENV{WH_TEST_SEED} // time;
srand $seed;
note("WH_TEST_SEED=$seed");

my $s = WH::Sched->new;
$s->init;
$s->start;
my $w = $s->worker(max_jobs => 8);
$w->up;

# An app that runs, as its worker's hello names it ever after.
my ($port, @instances) = (20000);
sub running {
    my ($slug) = @_;
    my $app = $s->app($slug, 'container');
    my $d = $s->deployment($app);
    $s->poke;
    my $at = { container => "c-$slug", address => '127.0.0.1', port => ++$port };
    $w->result($w->begin, 'succeeded', instances => [$at]);
    $w->wait('result_ack') or die "no result_ack for $slug";
    push @instances, { %$at, deployment => $d->{id}, state => 'running' };
    return { app => $app->{id}, deployment => $d->{id}, container => "c-$slug", sent => 0 };
}

sub text_of {
    my ($dir) = @_;
    my $text = '';
    for my $path (sort glob "$dir/*.seg") {
        open my $in, '<', $path or die "$path: $!";
        local $/;
        $text .= <$in>;
    }
    return split /\n/, $text;
}
# Packed or not.
sub app_lines {
    my ($of) = @_;
    open my $in, '-|', ($ENV{top_builddir} || '.') . '/t/tools/wh-log-read', $s->state . "/logs/apps/$of->{app}" or die $!;
    return <$in>;
}

# How many lines are stored, and how many the log says that it misses.
sub sums {
    my ($of) = @_;
    my ($stored, $missing) = (0, 0);
    for (app_lines($of)) {
        if (/^\d+ \d+ sys \S+ .*?(\d+) lines? (?:was|were) left out/) { $missing += $1 }
        else { $stored++ }
    }
    return ($stored, $missing);
}

sub lines_from { my ($n, $count, $text) = @_; return [ map { [ $_, WH::Sched::now_us(), 'out', "line $_ $text" ] } $n .. $n + $count - 1 ] }
sub print_lines {
    my ($of, $count, $text) = @_;
    $w->send('runtime_log', { app => $of->{app}, deployment => $of->{deployment}, container => $of->{container},
        lines => lines_from($of->{sent} + 1, $count, $text), dropped => 0 });
    $of->{sent} += $count;
    return;
}

# ---- killed again and again ----
my $talker = running('talker');
my $site = $s->deployment($s->app('site'));
$s->poke;
my $job = $w->begin;
my %build = (sent => 0, acked => 0);
sub build_lines {
    my ($count) = @_;
    $w->send('build_log', { job => $job->{job}, epoch => $job->{epoch}, lines => lines_from($build{sent} + 1, $count, 'built'), dropped => 0 });
    $build{sent} += $count;
    return;
}
sub acks {
    my ($seconds) = @_;
    while (my $event = $w->event($seconds)) {
        return 0 if $event->{event} eq 'closed';
        next if ($event->{type} // '') ne 'log_ack';
        $build{acked} = $event->{p}{seq} if $event->{p}{seq} > $build{acked};
        last if $build{acked} == $build{sent};
    }
    return 1;
}
my $most = 0;
for my $kill (1 .. $KILLS) {
    for (1 .. 3 + int rand 12) {
        build_lines(1 + int rand 40);
        print_lines($talker, 1 + int rand 40, 'said');
        acks(rand 0.01) if rand() < 0.5;
    }
    sleep rand 0.02 if rand() < 0.5;
    $s->kill9;
    try_for(sub { !acks(0.5) }, 10) or die 'the link stays though its other end is dead';
    $most = $build{sent} if $build{sent} > $most;
    $build{sent} = $build{acked};    # what was not acknowledged is said again
    $s->start;
    $w->up(running => [ { job => $job->{job}, epoch => $job->{epoch} } ], instances => \@instances);
    $w->wait('job_go') or die 'what runs goes on';
}
build_lines($most - $build{sent} + 10);
print_lines($talker, 10, 'said');
ok(try_for(sub { acks(1); $build{acked} == $build{sent} }, 10), "F104 all $build{sent} lines of a build are acknowledged, $KILLS kills -9");
my @stored = grep { / out / } text_of($s->state . "/logs/$site->{id}");
is(join("\n", map { (split / /, $_, 4)[3] } @stored), join("\n", map { "line $_ built" } 1 .. $build{sent}),
    'F104 XN5 every line of the build is there once, in order');
my ($kept, $missing);
ok(try_for(sub { ($kept, $missing) = sums($talker); $kept + $missing == $talker->{sent} }, 10),
    "F103 XN5 lines of a running app: $kept stored + $missing counted = $talker->{sent} sent");
my @numbers = map { /^(\d+) / } app_lines($talker);
is("@numbers", join(' ', 1 .. @numbers), 'and the log numbers its own lines without a gap');
$w->result($job, 'failed');
ok($w->wait('result_ack'), 'the job ends');

# ---- one prints ten times what it may, beside a quiet one ----
my ($loud, $quiet) = (running('loud'), running('quiet'));
my $rss = sub { open my $in, '<', '/proc/' . $s->pid . '/status' or die $!; local $/; return <$in> =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 };
my ($before, $from, $beats, $slowest) = ($rss->(), now_s(), 0, 0);
my $text = 'x' x 4000;
my $sent = 0;
# Written as text: encoding it here would be slower than what is tested.
sub shout {
    my ($of, $count) = @_;
    my $lines = join ',', map { qq([$_,7,"out","$text"]) } $of->{sent} + 1 .. $of->{sent} + $count;
    my $line = qq({"do":"send","type":"runtime_log","p":{"app":"$of->{app}","deployment":"$of->{deployment}",)
        . qq("container":"$of->{container}","dropped":0,"lines":[$lines]}}\n);
    for (my $at = 0; $at < length $line;) { $at += syswrite($w->{in}, $line, 65536, $at) // die "test worker: $!" }
    $of->{sent} += $count;
    $sent += $count * length $text;
    return;
}
while ((my $t = now_s() - $from) < 5) {
    for (1 .. 16) { shout($loud, 8) if $sent < $t * 10 * 262144 }
    print_lines($quiet, 1, 'quiet');
    my $asked = now_s();
    $w->send('heartbeat', { cpu_used_millis => 1, memory_used_bytes => 1, disk_free_bytes => 1, running => [] });
    $w->send('nonsense', {});    # which is answered, after the heartbeat
    $w->wait('error', 10) or die 'no answer';
    my $took = now_s() - $asked;
    $slowest = $took if $took > $slowest;
    $beats++;
    sleep 0.02;
}
my $times = $sent / (now_s() - $from) / 262144;
cmp_ok($times, '>', 5, sprintf 'G23 the loud one says %.1f times what a connection may', $times);
my $grown = ($rss->() - $before) / 1024;
my ($q_kept, $q_missing, $l_kept, $l_missing);
ok(try_for(sub { ($q_kept, $q_missing) = sums($quiet); $q_kept == $quiet->{sent} }, 10), "G23 the quiet one loses nothing: $quiet->{sent} lines");
is($q_missing, 0, 'G23 and nothing is said to be missing');
sleep 1.1;    # the loud one may say something again
print_lines($loud, 1, 'the last');
ok(try_for(sub { ($l_kept, $l_missing) = sums($loud); $l_kept + $l_missing == $loud->{sent} }, 10),
    "G23 of the loud one what is missing is counted: $l_kept stored + $l_missing left out = $loud->{sent} sent")
    or diag("$l_kept + $l_missing != $loud->{sent}");
cmp_ok($l_missing, '>', $loud->{sent} / 2, 'G23 and that is most of it');
cmp_ok($slowest, '<', 2, sprintf 'G23 heartbeats are taken in time: %d, the slowest %.3f s', $beats, $slowest);
cmp_ok($grown, '<=', 32, sprintf 'G23 the scheduler grew by %.1f MiB', $grown);
is($s->value("SELECT status FROM workers WHERE id = $w->{id}"), 'online', 'G23 the worker is online');
is($s->unexpected('WH0483'), '', 'no warning that was not announced');
is($s->stop, 0, 'the end');
$w->do('quit');
done_testing();
