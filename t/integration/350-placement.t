#!/usr/bin/perl
# Where deployments go: zones, labels, a worker meant, workers that refuse, room, order, and what is said of
# those that wait (F136-F146, W7).
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

# worker(zone, labels): connected
sub worker {
    my ($zone, $labels, %o) = @_;
    my $w = $s->worker(max_jobs => 16, %o);
    $s->sql("UPDATE workers SET zone = '$zone' WHERE id = $w->{id}");
    $w->up(zone => $zone, labels => $labels // {}, %{ $o{hello} // {} });
    return $w;
}

sub cause {
    my ($d) = @_;
    my ($row) = $s->sql("SELECT cause_code, cause_detail FROM deployments WHERE id = '$d->{id}'");
    return join ': ', @$row;
}

# wanted($name, column => value…): a waiting container deployment of a new app
sub wanted {
    my ($name, %job) = @_;
    my $d = $s->deployment($s->app($name, 'container'), hold => 1);
    my @set = map { "$_ = '$job{$_}'" } sort keys %job;
    $s->sql('UPDATE jobs SET ' . join(', ', 'not_before = 0', @set) . " WHERE id = '$d->{job}'");
    $s->poke;
    return $d;
}

sub says { my ($d, $want, $text) = @_; $s->soon(sub { cause($d) eq $want }); return is(cause($d), $want, $text) }

sub goes_to {
    my ($w, $d, $text) = @_;
    my $job = $w->begin;
    is($job && $job->{job}, $d->{job}, $text);
    is(cause($d), ': ', 'and its deployment no longer waits');
    return;
}

my $none = wanted('none');
says($none, 'no_worker: no worker is online', 'nobody there');
my $south = worker('south', { disk => 'hdd' });
goes_to($south, $none, 'the first worker takes it');

my $zoned = wanted('zoned', place_zone => 'north');
says($zoned, 'no_match: no worker of zone north is online', 'a zone without workers');
my $labelled = wanted('labelled', place_labels => '{"disk":"ssd"}');
says($labelled, 'no_match: no worker that is online has the labels {"disk":"ssd"}', 'labels that nobody has');
my $both = wanted('both', place_zone => 'south', place_labels => '{"disk":"hdd"}');
goes_to($south, $both, 'zone and labels of a worker');
my $ssd = worker('east', { disk => 'ssd', arch => 'x' });
goes_to($ssd, $labelled, 'labels: the worker that has them');
my $north = worker('north', {});
goes_to($north, $zoned, 'zone: its worker');

my $pinned = wanted('pinned', worker_id => $south->{id});
goes_to($south, $pinned, 'F144 the worker that it is meant for, although others are emptier');
$south->do('drop');
$s->soon(sub { $s->value("SELECT status FROM workers WHERE id = $south->{id}") eq 'offline' });
my $meant = wanted('meant', worker_id => $south->{id});
says($meant, 'no_worker: the worker it is meant for is not online', 'F144 and waits for it');
my $mixed = wanted('mixed', worker_id => $north->{id}, place_zone => 'east');
says($mixed, 'no_match: the worker it is meant for is not of zone north' =~ s/north/east/r, 'a worker and a zone that is not its own');

$s->sql("UPDATE workers SET refuses = 'less than 1 GiB of disk is free' WHERE id = $ssd->{id}");
my $refused = wanted('refused', place_zone => 'east');
says($refused, 'no_worker: no worker that is online takes new deployments at the moment: less than 1 GiB of disk is free',
    'a worker that refuses says why');
$s->sql("UPDATE workers SET refuses = '' WHERE id = $ssd->{id}");
goes_to($ssd, $refused, 'until it takes them again');

my $huge = wanted('huge', place_zone => 'north', cpu_millis => 3950);
like(do { $s->soon(sub { cause($huge) =~ /no_room/ }); cause($huge) }, qr/^no_room: no worker has room for 3950 CPU millis .*the best has 3900/,
    'F146 W7 what builds counts against the room');
my $small = wanted('small', place_zone => 'north', cpu_millis => 3900);
goes_to($north, $small, 'what fits goes past it');
my $wrong = $s->value('SELECT COUNT(*) FROM workers w WHERE used_cpu <> (SELECT COALESCE(SUM(cpu_millis), 0) FROM jobs j'
    . " WHERE j.worker_id = w.id AND j.status IN ('assigned', 'processing'))");
is($wrong, 0, 'F147 the counters are the sums');
is($s->stop, 0, 'SIGTERM ends it with 0');
done_testing();
