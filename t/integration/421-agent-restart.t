#!/usr/bin/perl
# What runs is kept running: back-off, crash loops, kills for want of memory; the agent, the engine and the
# whole machine going down and coming back; others' containers. With a real hub and engine.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP;
use WH::Stack;
use WH::Wait qw(wait_for try_for now_s);

my $src   = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
$stack->allow_log(qr/WH06(30|61|78|79|71|73|74|85)/, qr/WH04/, qr/AH0/);
my $dir = $stack->dir . '/agent';
my $box = WH::Stack::slurp('/bin/busybox');

# An app whose web server ends when it is asked for /cgi-bin/end: with status 3, or by its own greed.
sub app {
    my ($slug, $script) = @_;
    my $repo = $stack->repo($slug);
    $repo->write_file('busybox', $box, 0755);
    $repo->commit({ busybox => $box, 'run.sh' => $script,
        Dockerfile => qq(FROM scratch\nCOPY busybox /bin/busybox\nCOPY run.sh /run.sh\nCMD ["/bin/busybox", "sh", "/run.sh"]\n) });
    is($stack->api(POST => '/v1/apps', { slug => $slug, kind => 'container', serve => { grace_seconds => 10 },
    repository => { url => $repo->path, branch => 'main' } })->{status}, 201, "app $slug");
    my $done = $stack->deploy($slug, {}, 60);
    is($done->{conclusion}, 'succeeded', "$slug runs") or diag explain [ $done, $stack->log_lines($done->{id}) ];
    return;
}
my $b = '/bin/busybox';
my $serve = "$b mkdir -p /tmp/www; echo WORD > /tmp/www/index.html; cd /tmp\n$b httpd -p \$PORT -h /tmp/www\ntrap 'exit 0' TERM\n";
my $stay  = "while :; do $b sleep 1; done\n";
app('fell', ($serve =~ s/WORD/alder/r) . "while [ ! -e /tmp/end ]; do $b sleep 0.1; done; $b rm /tmp/end; exit 3\n");

sub name_of { my $slug = shift; my (undef, $ps) = $stack->podman(qw(ps --all --format), '{{.Names}}'); return (grep {/^wisehost-$slug-/} split /\s+/, $ps)[0] }
sub inspect { my $name = shift; my (undef, $text) = $stack->podman('inspect', $name); return decode_json($text)->[0] }

# By the container's root as the kernel shows it: an exec has no way in where the engine itself lives in a chroot.
sub ask_to_end {
    my $pid = inspect(shift)->{State}{Pid} or return 0;
    open my $file, '>', "/proc/$pid/root/tmp/end" or return 0;
    return close $file;
}
sub state_of { return $stack->api(GET => '/v1/apps/' . shift)->{json}{observed} // '' }

# --- one fall ---
{
    my $name = name_of('fell');
    wait_for { ask_to_end($name) } 10, 'the app to be asked to end';
    my $begin = now_s();
    ok(scalar(try_for { $stack->log_text('agent') =~ /starting the container .* of fell again/ } 10), 'what falls is started again');
    cmp_ok(now_s() - $begin, '<', 4, 'noticed within 2 s, started a second later');
    ok(scalar(try_for { $stack->get('fell')->{body} =~ /alder/ } 10), 'and answers where it did');
    ok(scalar(try_for { state_of('fell') eq 'running' } 5), 'and the hub knows that it runs');
    is(inspect($name)->{HostConfig}{RestartPolicy}{Name} // '', 'no', 'the engine itself restarts nothing');
}

# --- five quick ends ---
{
    my $id = name_of('fell');
    for my $n (2 .. 5) {
        wait_for { inspect($id)->{State}{Running} } 30, "start $n";
        wait_for { ask_to_end($id) } 10, "end $n";
        wait_for { !inspect($id)->{State}{Running} } 10, "down $n";
    }
    my $loop = try_for { my $o = $stack->api(GET => '/v1/apps/fell')->{json}; JSON::PP->new->canonical->encode($o) =~ /crashloop/ } 10;
    my $text = JSON::PP->new->canonical->encode($stack->api(GET => '/v1/apps/fell')->{json});
    ok($loop, 'five quick ends are a crash loop') or diag $text;
    like($text, qr/status 3/, 'with its exit status in the reason');
    ok(scalar(try_for { inspect($id)->{State}{Running} } 25), 'it is tried again, later');
    ok(scalar(try_for { ($stack->get('fell')->{body} // '') =~ /alder/ } 10), 'and answers')
        or diag explain [ $stack->get('fell'), inspect($id)->{State}, inspect($id)->{NetworkSettings}{Ports}, $stack->api(GET => '/v1/apps/fell')->{json} ];
}

# --- no memory ---
SKIP: {
    skip 'the kernel does not count its kills', 4 if WH::Stack::slurp('/proc/vmstat') !~ /^oom_kill /m;
    app('greedy', ($serve =~ s/WORD/cedar/r) . "while [ ! -e /tmp/end ]; do $b sleep 0.1; done; $b rm /tmp/end; exec $b tail /dev/zero\n");
    my $id = name_of('greedy');
    for my $n (1 .. 3) {
        wait_for { inspect($id)->{State}{Running} } 30, "start $n";
        wait_for { ask_to_end($id) } 10, "greed $n";
        wait_for { !inspect($id)->{State}{Running} } 30, "kill $n";
        ok(scalar(try_for { JSON::PP->new->encode($stack->api(GET => '/v1/apps/greedy')->{json}) =~ /more memory/ } 5), 'a kill for want of memory says so') if $n == 1;
    }
    ok(scalar(try_for { JSON::PP->new->encode($stack->api(GET => '/v1/apps/greedy')->{json}) =~ /violated/ } 10), 'R34 three of them are a violation')
        or diag explain $stack->api(GET => '/v1/apps/greedy')->{json};
    select undef, undef, undef, 5;    # its next start would be due after 4 s
    my ($gone) = $stack->podman('inspect', $id);
    ok($gone != 0 || !inspect($id)->{State}{Running}, 'R34 and it is not started again');
}

# --- the agent alone comes up again ---
SKIP: {
    skip 'nothing is violated', 1 if !name_of('greedy');
    my $id = name_of('greedy');
    $stack->proc('agent')->signal('KILL');
    try_for { !$stack->proc('agent')->runs } 5;
    my $before = length $stack->log_text('agent');
    $stack->start_agent;
    wait_for { substr($stack->log_text('agent'), $before) =~ /connected to/ } 20, 'the agent to be back';
    select undef, undef, undef, 4;    # two looks have come by
    ok(!inspect($id)->{State}{Running}, 'R34 what was stopped by a rule stays down over a restart of the agent');
    like($stack->api(GET => '/v1/apps/greedy')->{body}, qr/violated/, 'R34 and is told so');
}

# --- the machine: everything at once, with strangers on the same engine ---
sub image_of { return inspect(shift)->{Image} }
sub engine_dies {
    my $root = $stack->dir . '/engine/storage';
    # Each container by signal 9; what conmon then tidies up (addresses, rules of the firewall) a reboot would.
    my (undef, $ps) = $stack->podman(qw(ps --format {{.ID}}));
    kill 'KILL', map { inspect($_)->{State}{Pid} } split ' ', $ps;
    wait_for { my (undef, $left) = $stack->podman(qw(ps --format {{.ID}})); $left !~ /\S/ } 20, 'all containers to be down';
    wait_for { qx(ps axo args) !~ /container cleanup/ } 20, 'the engine to have tidied up';
    $stack->proc('podman')->signal('KILL');
    try_for { !$stack->proc('podman')->runs } 5;
    kill 'KILL', map { /^\s*(\d+)\s.*\Q$root\E/ ? $1 : () } grep {/conmon/} split /\n/, qx(ps axo pid,args);
    # What a reboot empties: the runtime's and the engine's notes of what runs, and all mounts.
    my @ids = map { m{/([0-9a-f]{64})$} ? $1 : () } glob "$root/overlay-containers/*";
    for my $runtime (qw(runc crun)) { $stack->run_cmd($runtime, 'delete', '--force', $_) for @ids }
    my @mounts = map { (split ' ')[1] } grep { /\Q$root\E/ } split /\n/, WH::Stack::slurp('/proc/mounts');
    $stack->run_cmd('umount', '--lazy', $_) for reverse @mounts;
    $stack->run_cmd("$src/conf/engine.sh", 'clean', $stack->dir . '/engine');
    return;
}
{
    my $name = name_of('fell');
    wait_for { inspect($name)->{State}{Running} } 60, 'it to run';
    my $port = inspect($name)->{HostConfig}{PortBindings};
    $stack->podman(qw(run -d --name stranger --entrypoint /bin/busybox), image_of($name), 'sleep', '1000');
    $stack->podman(qw(run -d --name other --label wisehost.agent=another --label wisehost.deployment=x --entrypoint /bin/busybox), image_of($name), 'sleep', '1000');
    my $me = WH::Stack::slurp("$dir/agent.id") =~ s/\n//r;
    $stack->podman(qw(run -d --name stray --label), "wisehost.agent=$me", qw(--label wisehost.deployment=01hz0000000000000000000zzz --entrypoint /bin/busybox), image_of($name), 'sleep', '1000');
    my (undef, $images) = $stack->podman(qw(images -q));

    # The engine's service alone: the containers do not even notice.
    $stack->proc('podman')->signal('KILL');
    try_for { !$stack->proc('podman')->runs } 5;
    $stack->start_engine;
    like($stack->get('fell')->{body}, qr/alder/, "the engine's service goes and comes: what runs goes on");

    # The machine: agent, engine, containers.
    $stack->proc('agent')->signal('KILL');
    try_for { !$stack->proc('agent')->runs } 5;
    engine_dies();
    wait_for { ($stack->get('fell')->{status} // 0) == 503 } 10, 'the app to be down';
    $stack->start_engine;
    select undef, undef, undef, 3;    # engines tell the time in seconds, and what is just made is not judged
    my $begin = now_s();
    $stack->start_agent;
    ok(scalar(try_for { ($stack->get('fell')->{body} // '') =~ /alder/ } 40), 'after the machine came up what should run runs') or diag $stack->log_text('agent');
    diag sprintf 'up again %.1f s after the start of the agent', now_s() - $begin;
    is_deeply(inspect($name)->{HostConfig}{PortBindings}, $port, 'on the same port');
    ok(scalar(try_for { my ($rc) = $stack->podman('inspect', 'stray'); $rc != 0 } 20), 'what is ours and wanted by nobody goes');
    for my $who (qw(stranger other)) {
        my ($rc) = $stack->podman('inspect', $who);
        is($rc, 0, "R33 the container \"$who\" is not touched");
        $stack->podman(qw(rm -f -t 0), $who);
    }
    my (undef, $after) = $stack->podman(qw(images -q));
    is(join(' ', sort split ' ', $after), join(' ', sort split ' ', $images), 'R33 nor is any image');
}

# --- the machine comes up while the hub is away ---
{
    my $name = name_of('fell');
    my $me = WH::Stack::slurp("$dir/agent.id") =~ s/\n//r;
    $stack->proc($_)->signal('KILL') for qw(agent scheduler);
    for my $who (qw(agent scheduler)) { try_for { !$stack->proc($who)->runs } 5 }
    engine_dies();
    $stack->start_engine;
    $stack->podman(qw(create --name unwanted --label), "wisehost.agent=$me", qw(--label wisehost.deployment=01hz0000000000000000000zzz --entrypoint /bin/busybox), image_of($name), 'sleep', '1000');
    select undef, undef, undef, 3;    # as above
    my $begin = now_s();
    $stack->start_agent;
    ok(scalar(try_for { ($stack->get('fell')->{body} // '') =~ /alder/ } 40), 'without the hub, what should run runs') or diag $stack->log_text('agent');
    diag sprintf 'up again %.1f s after the start of the agent', now_s() - $begin;
    is(($stack->podman('inspect', 'unwanted'))[0], 0, 'and nothing is removed by a list of yesterday');
    $stack->start_scheduler;
    ok(scalar(try_for { ($stack->podman('inspect', 'unwanted'))[0] != 0 } 60), 'only by what the hub says');
}

# --- a network that does not come up ---
{
    my $name = name_of('fell');
    my ($net) = keys %{ inspect($name)->{NetworkSettings}{Networks} };
    my (undef, $text) = $stack->podman(qw(network inspect --format {{.NetworkInterface}}), $net);
    my ($bridge) = $text =~ /(\S+)\s*\z/;
    like($bridge, qr/^wh-[0-9a-f]{10}$/, 'the bridge of an app has a name that no other engine takes');
    $stack->proc('agent')->signal('KILL');
    try_for { !$stack->proc('agent')->runs } 5;
    $stack->podman(qw(stop -t 2), $name);
    wait_for { !-e "/sys/class/net/$bridge" } 20, 'the bridge to be gone';
    # As if another engine had made it: the address is missing, and no way leads to the container.
    is(($stack->run_cmd(qw(ip link add), $bridge, qw(type bridge)))[0], 0, 'a bridge of that name is there');
    $stack->start_agent;
    ok(scalar(try_for { $stack->log_text('agent') =~ /WH0685 .*its network did not come up/ } 60), 'an app without a network is noticed')
        or diag $stack->log_text('agent');
    ok(scalar(try_for { ($stack->get('fell')->{body} // '') =~ /alder/ } 60), 'and mended') or diag $stack->log_text('agent');
    $stack->run_cmd(qw(ip link delete), $bridge) if -e "/sys/class/net/$bridge" && !inspect($name)->{State}{Running};
}

# --- the hub is away: what falls is still started again ---
{
    my $name = name_of('fell');
    $stack->proc('scheduler')->signal('KILL');
    try_for { !$stack->proc('scheduler')->runs } 5;
    wait_for { ask_to_end($name) } 30, 'the app to be asked to end';
    ok(scalar(try_for { !inspect($name)->{State}{Running} } 5), 'it falls while the hub is away');
    ok(scalar(try_for { inspect($name)->{State}{Running} } 30), 'and is started again');
    $stack->start_scheduler;
}

# --- idle ---
{
    wait_for { ($stack->get('fell')->{body} // '') =~ /alder/ } 30, 'the app';
    my $pid = $stack->proc('agent')->pid;
    my $used = sub { my @f = split ' ', WH::Stack::slurp("/proc/$pid/stat") =~ s/^.*\) //r; return ($f[11] + $f[12]) / 100 };
    my ($before, $begin) = ($used->(), now_s());
    select undef, undef, undef, 10;
    my $percent = 100 * ($used->() - $before) / (now_s() - $begin);
    cmp_ok($percent, '<=', 0.5, sprintf 'idle, the agent uses %.2f%% of a core', $percent);
}
my @stuck = $stack->stop;
is("@stuck", '', 'everything ends by SIGTERM');
is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
done_testing();
