#!/usr/bin/perl
# db: sqlite pgsql
# counts: at random
# A few rounds of kill -9 and of cut cables at random moments of 20 concurrent deployments; the heavy ones are
# in t/long. WH_SEED repeats a run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::DB qw(db_kind);
use WH::KillStack qw(run_kill_rounds);

run_kill_rounds(rounds => 3, containers => 4, parts => [ qw(scheduler agent engine link), db_kind() eq 'pgsql' ? 'database' : () ]);
done_testing();
