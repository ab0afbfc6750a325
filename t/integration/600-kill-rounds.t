#!/usr/bin/perl
# db: sqlite pgsql
# A few rounds of kill -9 at random moments of deployments; the heavy ones are in t/long.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::KillStack qw(run_kill_rounds);

run_kill_rounds(rounds => 5, parts => [qw(scheduler agent httpd database)]);
done_testing();
