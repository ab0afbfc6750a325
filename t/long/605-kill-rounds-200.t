#!/usr/bin/perl
# db: sqlite pgsql
# 200 rounds: kill -9 of the scheduler, an agent, PostgreSQL, the engine's service, httpd, and cuts of a cable,
# at random moments of 20 concurrent deployments. WH_SEED repeats a run, WH_ROUNDS changes their number.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::DB qw(db_kind);
use WH::KillStack qw(run_kill_rounds);

# The cable twice: it is cut in five ways. On PostgreSQL a standby scheduler takes over from each that dies.
run_kill_rounds(rounds => $ENV{WH_ROUNDS} // 200, all_every => 5,
    parts => [ qw(agent engine link link httpd), db_kind() eq 'pgsql' ? qw(standby database) : 'scheduler' ]);
done_testing();
