#!/usr/bin/perl
# An owner stops a container app and starts it again, while its agent stays connected.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for now_s);

my $src   = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
$stack->allow_log(qr/AH00957|AH01114/);    # the name is asked for while nobody is behind it

my $box  = WH::Stack::slurp('/bin/busybox');
my $b    = '/bin/busybox';
my $repo = $stack->repo('shop');
$repo->write_file('busybox', $box, 0755);
$repo->commit({ busybox => $box,
    'run.sh' => "$b mkdir -p /tmp/www; echo alder > /tmp/www/index.html\ntrap 'exit 0' TERM\n"
        . "$b httpd -p \$PORT -h /tmp/www\nwhile :; do $b sleep 0.2; done\n",
    Dockerfile => qq(FROM scratch\nCOPY busybox $b\nCOPY run.sh /run.sh\nCMD ["$b", "sh", "/run.sh"]\n) });
is($stack->api(POST => '/v1/apps', { slug => 'shop', kind => 'container', serve => { grace_seconds => 10 },
    repository => { url => $repo->path, branch => 'main' } })->{status}, 201, 'an app');
my $done = $stack->deploy('shop', {}, 90);
is($done->{conclusion}, 'succeeded', 'is live') or diag explain $done;

my (undef, $ps) = $stack->podman(qw(ps --all --format), '{{.ID}} {{.Names}}');
my ($id) = $ps =~ /^(\S+) wisehost-shop-/m;
sub inspect { my (undef, $text) = $stack->podman('inspect', $id); return decode_json($text)->[0] }
sub answer { my $got = $stack->get('shop'); return "$got->{status} " . (($got->{body} // '') =~ /(alder)/ ? $1 : '') }
sub connections { my $n = () = $stack->log_text('agent') =~ /connected to/g; return $n }
sub want {
    my $etag = $stack->api(GET => '/v1/apps/shop')->{headers}{etag};
    return $stack->api(PATCH => '/v1/apps/shop', { desired => shift }, headers => { 'If-Match' => $etag })->{status};
}
my ($port, $lines) = (inspect()->{HostConfig}{PortBindings}, connections());
is(answer(), '200 alder', 'and answers');

for my $round (1, 2) {
    my $begin = now_s();
    is(want('stopped'), 200, "round $round: it is stopped");
    ok(scalar(try_for { answer() =~ /^503/ } 5), 'its name answers 503');
    ok(scalar(try_for { inspect()->{State}{Status} eq 'exited' } 15), 'its container ends');
    my $took = now_s() - $begin;
    cmp_ok($took, '<', 5, sprintf 'soon: %.1f s', $took);
    ok(scalar(try_for { $stack->api(GET => '/v1/apps/shop')->{json}{observed} eq 'stopped' } 5), 'it is observed stopped');
    select undef, undef, undef, 3;    # two looks of the agent
    is(inspect()->{State}{Status}, 'exited', 'and nothing brings it back');

    $begin = now_s();
    is(want('running'), 200, 'it is started');
    ok(scalar(try_for { answer() eq '200 alder' } 15), 'it answers again') or diag answer(), $stack->log_text('agent');
    diag sprintf 'stopped in %.1f s, started in %.1f s', $took, now_s() - $begin;
    is_deeply(inspect()->{HostConfig}{PortBindings}, $port, 'the same container, on the same address');
    ok(scalar(try_for { $stack->api(GET => '/v1/apps/shop')->{json}{observed} eq 'running' } 5), 'and is observed running');
}

# What is deployed meanwhile waits for its owner too.
is(want('stopped'), 200, 'it is stopped once more');
ok(scalar(try_for { inspect()->{State}{Status} eq 'exited' } 15), 'its container ends');
my $next = $stack->deploy('shop', {}, 90);
is($next->{conclusion}, 'succeeded', 'and a deployment succeeds') or diag explain $next;
is($stack->api(GET => '/v1/apps/shop')->{json}{observed}, 'stopped', 'which leaves the app observed stopped');
like(answer(), qr/^503/, 'its name answers 503');
(undef, $ps) = $stack->podman(qw(ps --all --no-trunc --format), '{{.ID}} {{.Names}}');
my @all = map { /^(\S+) wisehost-shop-/ ? $1 : () } split /\n/, $ps;
ok(scalar(try_for { !grep { $id = $_; inspect()->{State}{Status} ne 'exited' } @all } 15), 'no container of it runs')
    or diag $ps;
is($stack->api(GET => '/v1/apps/shop')->{json}{observed}, 'stopped', 'and it is observed stopped still');
is(want('running'), 200, 'it is started');
ok(scalar(try_for { answer() eq '200 alder' } 15), 'and the new one answers') or diag answer(), $stack->log_text('agent');
is(connections(), $lines, 'the agent was connected all the time');
my @stuck = $stack->stop;
is("@stuck", '', 'everything ends by SIGTERM');
is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
done_testing();
