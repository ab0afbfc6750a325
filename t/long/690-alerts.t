#!/usr/bin/perl
# db: sqlite pgsql
# Alerts by the real ticks: an app whose worker is gone, the scheduler killed with -9 in between.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new->start;
$stack->app('page', { 'index.html' => "first\n" });
my $id = $stack->api(GET => '/v1/apps/page')->{json}{id};
my $offline = '0' x 25 . '1';
my $seen = sub {
    my ($status) = @_;
    return scalar grep { $_->{kind} eq 'offline' } @{ $stack->api(GET => "/v1/apps/page/alerts?status=$status")->{json}{items} };
};
sub as { $stack->db->rows("UPDATE apps SET kind = '$_[0]', observed = '$_[1]', reason = '$_[2]' WHERE id = '$id'"); return }

is($stack->api(PATCH => "/v1/alert-rules/$offline", { sustain_minutes => 0 })->{status}, 200, 'a rule without time');
for my $round (1 .. 3) {
    as('container', 'stopped', 'worker_offline');
    if ($round > 1) { $stack->proc('scheduler')->kill9; $stack->start_scheduler }
    wait_for { $seen->('active') } 150, "round $round: it fires, 45 s after a start at the earliest";
    $stack->proc('scheduler')->kill9;
    $stack->start_scheduler;
    as('container', 'running', '');
    wait_for { !$seen->('active') } 150, "round $round: and resolves";
}
is($stack->db->value("SELECT COUNT(*) FROM alerts WHERE kind = 'offline'"), 3, 'none fired twice, none was forgotten');
for my $ended (0, 1) {
    is($stack->db->value("SELECT COUNT(*) FROM notification_event WHERE kind = 'app.offline' AND ended = $ended"), 3, "told once: $ended");
}
$stack->stop;
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
done_testing();
