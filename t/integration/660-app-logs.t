#!/usr/bin/perl
# What running apps print, from the container to the API (t/lib/WH/AppLogs.pm).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::AppLogs qw(run_app_logs);

run_app_logs();
done_testing();
