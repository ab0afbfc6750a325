#!/usr/bin/perl
# How many may come: a warning before it is full, a refusal when it is, how often one worker may, and no busy loop
# where there are fewer descriptors than workers were promised.
# db: sqlite
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep);
use WH::Sched;
use WH::Wait qw(try_for);

my $s = WH::Sched->new(conf => { max_workers => 5 });
$s->init;
$s->start;
my @w = map { $s->worker } 1 .. 6;
my $warnings = sub { return scalar(() = $s->log =~ /WH0407 (\d+) of 5 workers/g) };
ok($w[$_]->up, "worker $_ is let in") for 0 .. 2;
is($warnings->(), 0, 'three of five: nothing is said');
$w[3]->up;
is($warnings->(), 1, 'at 80 % the log warns');
$w[4]->up;
is($warnings->(), 1, 'once');
my $full = $w[5]->connect;
is($full->{status}, 503, 'one too many: 503');
like($full->{head}, qr/^retry-after: \d/mi, 'come again later');
$w[4]->do('drop');
ok($s->soon(sub { $w[4]->connect->{event} eq 'connected' }), 'there is room again');
is($warnings->(), 1, 'a worker that comes and goes at the edge makes no lines');
$_->do('drop') for @w[2 .. 4];
ok($s->soon(sub { $s->value("SELECT count(*) FROM workers WHERE status = 'online'") == 2 }), 'two are left');
$w[$_]->up for 2, 3;
is($warnings->(), 2, 'after it was calm it warns anew');
is($s->unexpected('WH0407'), '', 'nothing else is in the log');
is($s->stop, 0, 'the end');
$_->do('quit') for @w;

# A worker with a good key that connects again and again.
my $calm = WH::Sched->new;
$calm->init;
$calm->start;
my ($stormy, $other) = map { $calm->worker } 1 .. 2;
my @storm = map { $calm->again($stormy) } 1 .. 12;
is(join(' ', map { $storm[$_]->connect->{status} // 101 } 0 .. 9), join(' ', (101) x 10), 'ten connections of one worker in a row');
ok($storm[9]->hello, 'the newest is the one that counts');
my $told = $storm[10]->connect;
is($told->{status}, 429, 'the next one is told to come later: 429');
like($told->{head}, qr/^retry-after: [1-6]\r$/mi, 'and when');
like($calm->log, qr/worker \d+: upgrade refused with 429: it connects too often/, 'the log names the worker');
ok($other->up, 'another worker is let in');
$storm[9]->send('nonsense', {});
ok($storm[9]->wait('error'), 'the connection that it has goes on');
ok(try_for(sub { $storm[11]->connect->{event} eq 'connected' }, 7), 'and within 5 s it may come again');
is($calm->unexpected('WH0428'), '', 'nothing else is in the log, and of that not more than a worker may cause');
is($calm->stop, 0, 'the end');
$_->do('quit') for @storm, $other;

# 160 descriptors for 1000 workers.
my $poor = WH::Sched->new(conf => { max_workers => 1000 });
my $bin = $poor->{bin};
$poor->init;
$poor->{bin} = $poor->dir . '/few-files';
open my $script, '>', $poor->{bin} or die $!;
print {$script} "#!/bin/sh\nulimit -n 160\nexec '$bin' \"\$@\"\n";
close $script;
chmod 0755, $poor->{bin};
$poor->start;
like($poor->log, qr/WH0408 only 160 files may be open: there is room for 64 connections/, 'G13 the log says that there are too few descriptors');
my $worker = $poor->worker;
ok($worker->up, 'a worker is let in');
my $cpu = sub { my @f = split ' ', do { local (@ARGV, $/) = '/proc/' . $poor->pid . '/stat'; <> }; return $f[13] + $f[14] };
my @knock = map { IO::Socket::UNIX->new(Peer => $poor->state . '/run/hub.sock') } 1 .. 300;
my $before = $cpu->();
sleep 2;
cmp_ok($cpu->() - $before, '<', 40, 'G13 three hundred at the door: less than 20 % of a processor');
cmp_ok(scalar(() = glob '/proc/' . $poor->pid . '/fd/*'), '<', 160, 'G13 and descriptors are left');
$worker->send('nonsense', {});
ok($worker->wait('error'), 'who is in is served');
@knock = ();
ok($poor->soon(sub { my $w = $poor->worker; $w->up }), 'and when they have gone others come in');
is($poor->unexpected('WH0408'), '', 'nothing else is in the log');
is($poor->stop, 0, 'the end');
done_testing();
