#!/usr/bin/perl
# db: sqlite pgsql
# 50 deployments and 50 rollbacks of a site and of a container app under 200 connections: no request fails, each answer is
# wholly of one version. WH_ROUNDS changes how many.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Switches qw(run_switches);

run_switches(rounds => $ENV{WH_ROUNDS} // 50, connections => 200, grace => 30);
done_testing();
