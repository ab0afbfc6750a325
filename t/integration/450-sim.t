#!/usr/bin/perl
# The worker simulator of bench/sim, in short: it registers, connects, takes jobs, writes lines and says what
# it did; and the platform says the same.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use JSON::PP ();
use Test::More;
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for);

my $build = abs_path($ENV{top_builddir} || $ENV{WH_BUILD} || '.');
my ($sim, $seed) = map { "$build/bench/sim/$_" } qw(wh-sim wh-sim-seed);
plan skip_all => "$sim is not built" unless -x $sim;

my $stack = WH::Stack->new;
$stack->start(agent => 0);
my $dir = $stack->dir;
my $n = 50;

sub seed {
    my ($command, @args) = @_;
    my ($rc, $said) = $stack->run_cmd($seed, $command, $stack->db->driver, $stack->db->params, @args);
    is($rc, 0, "wh-sim-seed $command @args[0, 1]") or diag $said;
    return $said;
}

sub status { my ($got) = $stack->log_text('sim') =~ /.*^SIM (.*)/ms; return { ($got // '') =~ /(\w+)=(\d+)/g } }

seed('jobs', $n, 'hold-');
my $proc = WH::Proc->start(name => 'sim', log => "$dir/log/sim.log", cmd => [ $sim, '--hub', "ws://127.0.0.1:" . $stack->port,
    '--agents', $n, '--workers', "$dir/workers.list", '--api', $stack->url, '--secret-file', "$dir/state/keys/control.secret",
    qw(--by-token 1 --max-jobs 4 --hold hold- --lines 1000 --heartbeat 1 --stats 1 --repeat 1 --out), "$dir/sim.json" ]);
wait_for { !$proc->runs || (status()->{running} // 0) == $n } 60, 'the held jobs';
is(status()->{up}, $n, 'F78 every simulated agent is connected, with a token');
my @pushed = seed('push', 40, 'push-', "$dir/state/run/hub.sock", 50) =~ /^PUSH (\w+) \d+ (\d+)$/mg;
wait_for { !$proc->runs || (status()->{settled} // 0) >= 40 } 20, 'the results';
wait_for { !$proc->runs || (status()->{lines} // 0) >= 1000 } 20, 'lines';
$proc->stop(20);
is($proc->{status}, 0, 'it ends with 0 when all are connected');

my $said = JSON::PP::decode_json(WH::Stack::slurp("$dir/sim.json"));
my $c = $said->{counters};
is($c->{errors}, 0, 'no frame was refused') or diag $stack->log_text('sim');
is($c->{started}, $n + 40, 'each job began once');
is($c->{result_acks}, 40, 'each result was acknowledged');
cmp_ok($c->{results}, '>=', 40, 'and some sent twice');
is($c->{lines_acked}, $c->{lines_sent}, 'every line was acknowledged');
my %offered = map { $_->{job} => $_->{offered_us} } @{ $said->{jobs} };
my %poked = @pushed;
is(scalar(grep { ($offered{$_} // 0) > 0 } keys %poked), 40, 'the ledger has every pushed job');
my ($ended) = map { $_->[0] } $stack->db->rows("SELECT count(*) FROM jobs WHERE status = 'succeeded' AND kind = 'deploy'");
is($ended, 40, 'the database says the same');
my $lines = 0;
for my $segment (glob "$dir/state/logs/*/*.seg") {
    $lines += () = WH::Stack::slurp($segment) =~ /^\d+ \d+ out sim-/mg;
}
is($lines, $c->{lines_sent}, 'lines sent = lines read back from the segments');
$stack->allow_log(qr/WH0678/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
