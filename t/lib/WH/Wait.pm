package WH::Wait;
# Waiting for a condition with an end: no test sleeps for a fixed time.
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(wait_for try_for until_limited now_s);

# Seconds on a clock that only goes forward.
sub now_s { return clock_gettime(CLOCK_MONOTONIC) }

# try_for { condition } $seconds: the condition's first true value, or undef when the time is over.
sub try_for(&$) {
    my ($condition, $seconds) = @_;
    my $end = now_s() + $seconds;
    while (1) {
        my $got = $condition->();
        return $got if $got;
        return undef if now_s() >= $end;
        select undef, undef, undef, 0.02;
    }
}

# wait_for { condition } $seconds, $what: the same, but dies when the time is over.
sub wait_for(&$$) {
    my ($condition, $seconds, $what) = @_;
    my $got = &try_for($condition, $seconds);
    croak "waited $seconds s in vain for $what" unless $got;
    return $got;
}

# What CALL answers, told the number of the try, until it answers 429: buckets are refilled by the second, so how many
# tries that takes depends on the machine. At most 2,000.
sub until_limited(&) {
    my ($call) = @_;
    my @status;
    push @status, $call->($_) and $status[-1] == 429 and last for 1 .. 2000;
    return @status;
}

1;
