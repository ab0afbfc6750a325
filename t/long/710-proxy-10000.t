#!/usr/bin/perl
# t/integration/113-proxy-many.t with 10,000 upstreams: a child grows by 20 MiB at most and keeps 300 descriptors.
use strict;
use warnings;
use FindBin;

$ENV{WH_TEST_TARGETS} = 10_000;
my $test = "$FindBin::Bin/../integration/113-proxy-many.t";
exec $^X, $test or die "$test: $!";
# The plan is its own: done_testing.
