#!/usr/bin/perl
# A worker with more assigned jobs than fit a link at once: each is said once on every connection (R11), oldest
# first, and the link stays.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Sched;

my $MANY = 1000;
my $s = WH::Sched->new(conf => { job_on_worker_loss => 'hold' });
$s->init;
$s->start;
my $w = $s->worker(max_jobs => 1024);

# As they are after a thousand assignments, with snapshots that are more together than 4 MiB.
my $app = $s->app('many');
my $big = WH::Sched::snapshot('many', 'static');
$big =~ s/"build_command":null/'"build_command":"' . 'x' x 4000 . '"'/e or die 'no build_command in the snapshot';
my $now = WH::Sched::now_us();
my @d = map { { id => WH::Sched::new_id(), job => WH::Sched::new_id(), at => $now + $_, n => $_ } } 1 .. $MANY;
$s->sql("INSERT INTO deployments (id, app_id, number, environment, status, trigger_kind, commit_ref, snapshot, created_at) VALUES "
    . join ',', map { "('$_->{id}', '$app->{id}', $_->{n}, 'e$_->{n}', 'prepare', 'api', '', '$big', $now)" } @$_)
    for map { [ @d[ 20 * $_ .. 20 * $_ + 19 ] ] } 0 .. $MANY / 20 - 1;
$s->sql("UPDATE workers SET status = 'online' WHERE id = $w->{id}");
$s->sql('INSERT INTO jobs (id, kind, app_id, deployment_id, status, worker_id, epoch, assigned_at, lease_until, created_at) VALUES '
    . join ',', map { "('$_->{job}', 'deploy', '$app->{id}', '$_->{id}', 'assigned', $w->{id}, 1, $_->{at}, "
        . ($now + 600_000_000) . ", $now)" } @$_)
    for map { [ @d[ 20 * $_ .. 20 * $_ + 19 ] ] } 0 .. $MANY / 20 - 1;

sub heard {
    my (@jobs, $end);
    $w->connect;
    $w->send('hello', { version => '0.1.0', name => "w$w->{id}", cpu_millis => 4000, memory_bytes => 4 << 30, labels => {},
        engine => '', max_jobs => 1024, running => [], results => [], instances => [] });
    while (@jobs < $MANY and my $event = $w->event(10)) {
        $end = $event if $event->{event} eq 'closed';
        last if $end;
        push @jobs, $event->{p}{job} if $event->{event} eq 'frame' && $event->{type} eq 'job';
    }
    return ($end, @jobs);
}

for my $way ('the first connection', 'a second one') {
    my ($closed, @jobs) = heard();
    is($closed ? $closed->{code} : 0, 0, "R11 R14 $way: is not closed");
    is(scalar(@jobs), $MANY, "R11 $way: every assigned job is said");
    is_deeply(\@jobs, [ map { $_->{job} } @d ], "R11 $way: each once, oldest first");
    $w->send('nonsense', {});
    ok($w->wait('error'), "$way: and it answers");
    is(scalar(grep { ($_->{type} // '') eq 'job' } @{ $w->{events} }), 0, "R11 $way: none came twice");
    $w->do('drop');
    ok($s->soon(sub { $s->value("SELECT status FROM workers WHERE id = $w->{id}") eq 'offline' }), "$way: has gone");
}
is($s->value("SELECT COUNT(*) FROM jobs WHERE status = 'assigned' AND worker_id = $w->{id}"), $MANY, 'F10 all are its still');
is($s->unexpected, '', 'nothing else is in the log');
is($s->stop, 0, 'the end');
$w->do('quit');
done_testing();
