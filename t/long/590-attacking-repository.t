#!/usr/bin/perl
# db: sqlite pgsql
# Repositories that attack, each with its stated outcome (WH::Attack), against a real hub, agent and engine. While they do, the
# sites of others are asked without a pause; afterwards nothing outside of their containers is other than it was.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP;
use WH::Asker;
use WH::Attack qw(attack canary cases names);
use WH::Presets qw(busybox_image BUSYBOX);
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $src  = $WH::Stack::src;
my $word = WH::Attack::word();
my $stack = WH::Stack->new(engine => 1, agent_env => { WISEHOST_CANARY => $word },
    agent_conf => { build_disk_bytes => '512M', build_pids => 300, runner_images => JSON::PP->new->canonical->encode({ plain => BUSYBOX }) });
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
busybox_image($stack);

my %canary = canary($stack, $word);

# What others have: a site, and a container.
$stack->app('quiet', { 'index.html' => "<p>quiet\n" });
is($stack->deploy('quiet')->{conclusion}, 'succeeded', 'another site is live');
my $calm = $stack->repo('calm');
WH::Attack::busybox($calm);
$calm->commit({ Dockerfile => qq(FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "sh", "-c", "/bin/busybox mkdir -p /www; echo calm > /www/index.html"]\n)
    . qq(CMD ["/bin/busybox", "sh", "-c", "exec /bin/busybox httpd -f -p \$PORT -h /www"]\n) });
is($stack->api(POST => '/v1/apps', { slug => 'calm', kind => 'container', repository => { url => $calm->path, branch => 'main' } })->{status}, 201, 'another app');
is($stack->deploy('calm', {}, 90)->{conclusion}, 'succeeded', 'another container is live');

sub rss { my ($name) = @_; return (WH::Stack::slurp('/proc/' . $stack->proc($name)->pid . '/status') =~ /^VmHWM:\s+(\d+)/m)[0] / 1024 }
sub disk_free { my ($kib) = (split ' ', (split /\n/, `df --output=avail -k $canary{dir}`)[1]); return $kib / 1024 }
sub processes { return join '', grep { !/ps -eo|kworker/ } `ps -eo args` }
sub containers { my (undef, $text) = $stack->podman(qw(ps --all --external --format {{.Names}})); return join ' ', sort grep {/\S/} split /\s+/, $text }
sub scratch { return join ' ', sort glob '/var/tmp/libpod_builder* ' . $stack->dir . '/engine/tmp/*' }
my %before = (map({ ($_ => rss($_)) } qw(agent scheduler)), containers => containers(), tmp => scratch(), tasks => WH::Asker::tasks());
my $asker = WH::Asker->start(port => $stack->port, hosts => [ map {"$_.localhost:" . $stack->port} qw(quiet calm) ]);
my $free = disk_free();

# ---- names --------------------------------------------------------------------------------------------
names($stack, \%canary);

# ---- repositories -------------------------------------------------------------------------------------
my $only = $ENV{WH_ATTACK};    # for people: a word of the rows to run
my $n = 0;
for my $case (grep { !$only || $_->{what} =~ /$only/ } cases(1)) {
    my $done = attack($stack, 'evil' . ++$n, $case, \%canary) or next;
    note(sprintf '%s: %s %s in %.1f s: %s; agent %d MiB, scheduler %d MiB, disk %d MiB less', $case->{what}, $done->{conclusion}, $done->{cause}{code} // '', $done->{took},
        $done->{cause}{detail} // '', rss('agent'), rss('scheduler'), $free - disk_free());
    is(containers(), $before{containers}, "$case->{what}: no container of it is left");
}

# ---- afterwards ---------------------------------------------------------------------------------------
my $answers = $asker->stop;
note(explain $answers);
cmp_ok($answers->{asked}, '>', 100, 'others were asked all the time');
is($answers->{failed}, 0, 'and always answered') or diag(explain $answers->{why});
cmp_ok($answers->{longest}, '<', 5, 'within 5 s');
cmp_ok($answers->{tasks}, '<', $before{tasks} + 1000, 'no build had more than its share of processes');
is(WH::Stack::slurp($canary{file}), "$word\n", 'the file outside is as it was');
unlike(processes(), qr/pwned|sleep 300|dd if=|busybox yes/, 'no process of them runs');
is(scratch(), $before{tmp}, 'nothing lies where the engine builds');
for my $part (qw(agent scheduler)) {
    cmp_ok(rss($part), '<', $before{$part} + 96, sprintf 'the memory of the %s is bounded (%d MiB, %d before)', $part, rss($part), $before{$part});
}
ok(scalar(try_for { disk_free() > $free - 1024 } 60), 'and the disk is free again') or diag($free - disk_free());
is($stack->get('quiet')->{body}, "<p>quiet\n", 'what others have is as it was');
is($stack->get('calm')->{body}, "calm\n", 'in containers, too');
$stack->allow_log(qr/WH06/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
