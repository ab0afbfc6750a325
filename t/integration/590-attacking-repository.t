#!/usr/bin/perl
# db: sqlite pgsql
# Repositories that attack, those that need no container: t/long/590-attacking-repository.t does the rest.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Attack qw(attack canary cases names);
use WH::Stack;

my $stack = WH::Stack->new(agent_env => { WISEHOST_CANARY => my $word = WH::Attack::word() })->start;
my %canary = canary($stack, $word);
names($stack, \%canary);
my $n = 0;
attack($stack, 'evil' . ++$n, $_, \%canary) for cases();
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
