#!/usr/bin/perl
# What running apps print, with every death: of the agent, the scheduler, both, the app, a deployment.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::AppLogs qw(run_app_logs);

run_app_logs(long => 1);
done_testing();
