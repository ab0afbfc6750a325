#!/usr/bin/perl
# What a container uses, from the engine by the agent and the scheduler to the API and /metrics; and that nothing is
# known is said. A short look at the same is in t/integration/510-e2e-container.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(try_for wait_for);

my $src = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;

my $repo = $stack->repo('burn');
my $b = '/bin/busybox';
$repo->write_file('busybox', WH::Stack::slurp('/bin/busybox'), 0755);
$repo->commit({ Dockerfile => qq(FROM scratch\nCOPY busybox $b\nCMD ["$b", "sh", "-c", )
        . qq("$b mkdir -p /www; echo hello > /www/index.html; (while true; do true; done) & exec $b httpd -f -p \$PORT -h /www"]\n) });
sub stats { my ($slug) = @_; return $stack->api(GET => "/v1/apps/$slug/stats")->{json} }

$stack->api(POST => '/v1/apps', { slug => 'site', kind => 'static', repository => { url => $repo->path, branch => 'main' } });
my $none = stats('site');
is_deeply([ @$none{qw(live reason cpu_percent memory_bytes updated_at)} ], [ JSON::PP::false(), 'static', undef, undef, undef ],
    'F4 a static app has no figures, and says why');
$stack->api(POST => '/v1/apps', { slug => 'burn', kind => 'container', repository => { url => $repo->path, branch => 'main' },
    run => { port => 8080, memory_bytes => 64 << 20 } });
is($stack->wh('stats', 'burn')->{out}, "no figures: not_running\n", 'wh stats says so');
is(stats('burn')->{reason}, 'not_running', 'F4 nor has one that does not run');
my $d = $stack->deploy('burn', {}, 90);
is($d->{conclusion}, 'succeeded', 'a container that burns CPU') or diag explain $d;
my $live = try_for { my $l = stats('burn'); $l->{live} && $l } 40;
ok($live, 'F71 F72 is seen by its figures') or diag explain(stats('burn')), $stack->log_text('agent');
cmp_ok($live->{cpu_percent}, '>', 5, 'F71 CPU in percent of one core');
is($live->{cpu_millis}, 10 * $live->{cpu_percent}, 'and in thousandths');
cmp_ok($live->{memory_bytes}, '>', 100_000, 'F71 memory');
cmp_ok($live->{memory_bytes}, '<', 32 << 20, 'F71 without the page cache');
is($live->{memory_limit_bytes}, 64 << 20, 'F71 its limit');
like($live->{updated_at}, qr/^\d{4}-.*Z$/, 'F71 when that was');
ok(exists $live->{$_} && defined $live->{$_}, "F72 $_") for qw(net_bytes_per_s net_mbps net_total_bytes disk_bytes_per_s disk_mbps);
cmp_ok($live->{net_total_bytes}, '>', 0, 'F72 its probe came over the network');
like($stack->wh('stats', 'burn')->{out}, qr/\Acpu +\d+\.\d % of a core\nmemory +\d+\.\d of 64\.0 MiB\nnetwork .*\ndisk .* read, .* written\nof +1 container/, 'wh stats');
ok(try_for(sub { $stack->request(path => '/metrics')->{body} =~ /^wisehost_app_memory_bytes\{app="burn"\} \d+$/m }, 15), 'the same in /metrics');
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
$stack->stop;
done_testing();
