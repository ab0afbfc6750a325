#!/usr/bin/perl
# db: sqlite
# A few deployments and rollbacks under load, of a site and of a container app: no request fails (R16, F228). At length:
# t/long/640-switch-load.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Switches qw(run_switches);

run_switches(rounds => 3, connections => 20, grace => 30);
done_testing();
