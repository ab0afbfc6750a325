#!/usr/bin/perl
# db: sqlite
# Two workers and a container app: draining one moves the app to the other while its name answers all the time,
# rotation and revocation reach the agents, removal by force brings the app back by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Wait qw(wait_for try_for);
use WH::Workers;

my $src = $WH::Stack::src;
my $stack = WH::Workers->new(engine => 1, workers => 2);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;

my $server = $stack->dir . '/server';
is(system('gcc', '-static', '-O2', '-pthread', '-o', $server, "$src/examples/hello-container/server.c"), 0, 'the example server is built');
my $repo = $stack->repo('box');
$repo->write_file('server', WH::Stack::slurp($server), 0755);
$repo->commit({ server => WH::Stack::slurp($server), Dockerfile => WH::Stack::slurp("$src/examples/hello-container/Dockerfile"), 'index.html' => "<p>birch\n" });
is($stack->api(POST => '/v1/apps', { slug => 'box', kind => 'container', serve => { grace_seconds => 10 }, repository => { url => $repo->path, branch => 'main' },
    run => { port => 8080 } })->{status}, 201, 'a container app');
my $first = $stack->deploy('box', {}, 90);
is($first->{conclusion}, 'succeeded', 'is live') or diag explain $first;
my $from = $first->{worker};
my ($to) = grep { $_ ne $from } $stack->agents;
sub where {
    return join ' ', map { $_->[0] } $stack->db->rows("SELECT w.name FROM instances i JOIN workers w ON w.id = i.worker_id WHERE i.state <> 'stopped' ORDER BY w.name");
}
is(where(), $from, 'on one worker');

# Draining, with somebody who asks for the app all the time.
my ($asked, $failed);
my $pid = open my $out, '-|';
if (!$pid) {
    my ($n, $bad, $stop) = (0, 0, 0);
    local $SIG{TERM} = sub { $stop = 1 };
    while (!$stop) {
        my $got = eval { $stack->get('box') } // {};
        $n++;
        $bad++ if ($got->{status} // 0) != 200 && !$stop; # the signal cuts the last one off
        select undef, undef, undef, 0.05;
    }
    print "$n $bad\n";
    close STDOUT;
    require POSIX;
    POSIX::_exit(0);
}
my $got = $stack->wh('workers', 'drain', $from, '--wait', '--timeout', '120');
is($got->{rc}, 0, 'drain --wait ends') or diag "$got->{out}$got->{err}";
like($got->{err}, qr/box \(production\): .*nothing is left there/s, 'it said what moved');
is(where(), $to, 'the app is on the other worker, and there alone');
kill TERM => $pid;
($asked, $failed) = split ' ', <$out> // '';
close $out;
cmp_ok($asked, '>', 10, 'the name was asked for meanwhile');
is($failed, 0, "start-first: none of $asked requests failed");
my $moved = $stack->api(GET => '/v1/apps/box/deployments?limit=1')->{json}{items}[0];
is_deeply([ @$moved{qw(trigger conclusion worker)}, $moved->{commit}{sha} ], [ 'drain', 'succeeded', $to, $first->{commit}{sha} ], 'by a deployment of the same commit');
is($stack->wh('workers', 'undrain', $from)->{rc}, 0, 'back to work');

my $ok;

# A new key, while connected.
my $before = $stack->db->value("SELECT key_hash FROM workers WHERE name = '$from'");
is($stack->wh('workers', 'rotate-key', $from)->{rc}, 0, 'a rotation is asked for');
$ok = try_for { $stack->db->value("SELECT key_hash FROM workers WHERE name = '$from'") ne $before } 30;
ok($ok, 'F75 the agent changes its key');
$ok = try_for { ($stack->api(GET => "/v1/workers/$from")->{json}{status} // '') eq 'online' } 30;
ok($ok, 'and is online with it');

# Removal by force: its containers are given up, the app comes back elsewhere.
$stack->allow_log(qr{\Q$to\E|4010|removed|revoked}); # whoever was removed says so
is($stack->wh('workers', 'remove', $to)->{rc}, 5, 'what has containers is not removed');
is($stack->wh('workers', 'remove', $to, '--force')->{rc}, 0, 'but by force');
$ok = try_for { where() eq $from && ($stack->get('box')->{status} // 0) == 200 } 90;
ok($ok, 'the app moves by itself') or diag where();

is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
