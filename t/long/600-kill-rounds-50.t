#!/usr/bin/perl
# db: sqlite pgsql
# 50 rounds of kill -9 of any one part at random moments of deployments. WH_SEED repeats a run,
# WH_ROUNDS changes their number.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::KillStack qw(run_kill_rounds);

run_kill_rounds(rounds => $ENV{WH_ROUNDS} // 50, parts => [qw(scheduler agent httpd database engine)]);
done_testing();
