#!/usr/bin/perl
# db: sqlite pgsql
# WH_SOAK_ROUNDS (400) deployments in a row: memory, descriptors and threads stay where they were, each
# deployment succeeds and is live, nothing is left behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;

my $rounds = $ENV{WH_SOAK_ROUNDS} || 400;
my $stack = WH::Stack->new->start;
my $repo = $stack->app('soak', { map { ("f$_.txt" => "file $_\n") } 1 .. 50 });

sub pss_kib {
    my ($text) = WH::Stack::slurp("/proc/$_[0]/smaps_rollup") =~ /^Pss:\s+(\d+)/m;
    return $text // 0;
}
sub fds { my @fds = glob "/proc/$_[0]/fd/*"; return scalar @fds }
sub threads { my @tasks = glob "/proc/$_[0]/task/*"; return scalar @tasks }
sub measure {
    return map { my $pid = $stack->proc($_)->pid; ($_ => [ pss_kib($pid), fds($pid), threads($pid) ]) } qw(scheduler agent);
}

my ($bad, %before) = (0);
for my $round (1 .. $rounds) {
    $repo->commit({ 'index.html' => "round $round\n", 'f1.txt' => "changed $round\n" });
    my $done = $stack->deploy('soak');
    $bad++ unless $done->{conclusion} eq 'succeeded' && $stack->get('soak')->{body} eq "round $round\n";
    %before = measure() if $round == int $rounds / 4;
}
is($bad, 0, "$rounds deployments succeeded, each live when it was completed");
my %after = measure();
for my $name (qw(scheduler agent)) {
    note("$name: PSS $before{$name}[0] -> $after{$name}[0] KiB");
    cmp_ok($after{$name}[0], '<', $before{$name}[0] + 2048, "$name: memory stays (PSS within 2 MiB)");
    cmp_ok($after{$name}[1], '<=', $before{$name}[1] + 2, "$name: descriptors stay");
    cmp_ok($after{$name}[2], '<=', $before{$name}[2] + 1, "$name: threads stay");
}
is($stack->db->value("SELECT count(*) FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'canceled')"), 0, 'no job is left over');
my @left = glob $stack->dir . '/state/uploads/*';
is(scalar @left, 0, 'no upload is left over') or diag("@left");
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
