#!/usr/bin/perl
# A cable that swallows every packet: neither end hears of it. The hub calls the worker offline within 95 s (F64, F65,
# XE20), the agent gives its line up after 65 s, and when the cable carries again it comes back. On both ways in.
# Takes these minutes.
# db: sqlite
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Wait qw(try_for now_s);
use WH::Workers;

my $stack = WH::Workers->new(workers => 2);
$stack->allow_log(qr/ WH0(?:4\d\d|6\d\d) /, qr/AH\d+/);
$stack->start;
my @agents = $stack->agents;
my %name = ($agents[0] => 'through httpd', $agents[-1] => 'TLS listener');
my $lost = sub { return scalar(() = $stack->log_text($_[0]) =~ /the line to the hub is gone/g) };
my %before = map { $_ => $lost->($_) } @agents;
my (%offline, %gave_up);
$stack->netns($_)->cut('both') for @agents;
my $from = now_s();
try_for {
    for my $agent (@agents) {
        my $took = now_s() - $from;
        $gave_up{$agent} //= $took if $lost->($agent) > $before{$agent};
        $offline{$agent} //= $took if $stack->db->value("SELECT status FROM workers WHERE name = '$agent'") eq 'offline';
    }
    keys %offline == @agents && keys %gave_up == @agents;
} 130;
for my $agent (@agents) {
    my ($off, $up) = map { $_ // 999 } $offline{$agent}, $gave_up{$agent};
    cmp_ok($off, '<=', 95, sprintf "$name{$agent}: XE20 F64 the hub calls it offline within 95 s (%.1f s)", $off);
    cmp_ok($off, '>=', 15, "$name{$agent}: and not before its time");
    cmp_ok($up, '<=', 95, sprintf "$name{$agent}: its agent gives the line up (%.1f s)", $up);
}
$stack->netns($_)->heal for @agents;
ok(eval { $stack->wait_all_online(60); 1 }, 'the cables carry again: all come back');
is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything stops in time');
done_testing();
