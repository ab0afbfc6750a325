#!/usr/bin/perl
# The agent's own life with a real hub and engine: enrolment, kill -9 in the middle of jobs, a hub that goes
# and comes, containers that fall, going down in order.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use POSIX qw(mkfifo);
use WH::Stack;
use WH::Wait qw(wait_for try_for now_s);

my $src   = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1, scheduler_conf => { job_deadline_check_s => 10 });
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
my $dir = $stack->dir . '/agent';

# --- enrolment ---
for my $file (qw(api.key agent.id)) {
    is((stat "$dir/$file")[2] & 0777, 0600, "F54 $file can be read by the agent alone");
}
my $key = WH::Stack::slurp("$dir/api.key");
like($key, qr/^[0-9a-f]{64}\n\z/, 'F60 the API key is 32 random bytes in hex');
is(scalar(grep { index(WH::Stack::slurp($_), substr $key, 0, 64) >= 0 } glob($stack->dir . '/log/*')), 0, 'G37 the key is in no log');

sub restart_agent {
    my (%o) = @_;
    if (my $agent = $stack->proc('agent')) { $o{kill} ? $agent->signal('KILL') && try_for { !$agent->runs } 5 : $agent->stop(40) }
    start_agent();
    return;
}

# Online is what the hub still thinks of a killed agent, too: what counts is a new connection.
sub start_agent {
    my $connected = sub { scalar(() = $stack->log_text('agent') =~ /connected to/g) };
    my $before = $connected->();
    $stack->start_agent;
    wait_for { $connected->() > $before || $stack->_died('agent') } 40, 'the agent to connect';
    return;
}
unlink $stack->dir . '/conf/enrolment';
restart_agent();
is(WH::Stack::slurp("$dir/api.key"), $key, 'F57 a restart uses the key it has, without the enrolment token');
my ($second, $text) = $stack->run_cmd(qw(timeout 10 setpriv --reuid wisehost-agent --regid wisehost-agent --clear-groups),
    "$stack->{inst}/sbin/wh-agent", '-c', $stack->dir . '/conf/agent.conf');
isnt($second, 0, 'a second agent in the same directory does not start');
like($text, qr/another wh-agent works in/, 'and says why');
$stack->allow_log(qr/WH0690/);

# --- an app that runs ---
my $slug = 'box';
my $repo = $stack->repo($slug);
my $box  = WH::Stack::slurp('/bin/busybox');

sub commit {
    my ($build, $run) = @_;
    $repo->write_file('busybox', $box, 0755);
    return $repo->commit({
        busybox => $box, Dockerfile => qq(FROM scratch\nCOPY busybox /bin/busybox\n${build}COPY run /run.sh\nCMD ["/bin/busybox", "sh", "/run.sh"]\n),
        run => $run });
}
my $serve = qq(/bin/busybox mkdir -p /www; echo WORD > /www/index.html\ntrap "exit 0" TERM\n/bin/busybox httpd -p \$PORT -h /www\nwhile :; do /bin/busybox sleep 1; done\n);

sub serve_word { my $w = shift; return $serve =~ s/WORD/$w/r }
commit('', serve_word('alder'));
is($stack->api(POST => '/v1/apps', { slug => $slug, kind => 'container', serve => { grace_seconds => 10 },
    repository => { url => $repo->path, branch => 'main' } })->{status}, 201, 'an app');
my $first = $stack->deploy($slug, {}, 60);
is($first->{conclusion}, 'succeeded', 'runs') or diag explain [ $first, $stack->log_lines($first->{id}) ];
my $is = sub { $stack->get($slug)->{body} };
like($is->(), qr/alder/, 'and answers');

sub ours { my (undef, $ps) = $stack->podman(qw(ps --all --format), '{{.Names}} {{.State}}'); return grep {/^wisehost-/} split /\n/, $ps }
sub processes { my $what = shift; return scalar grep {/$what/} split /\n/, qx(ps -eo args) }

sub begin {
    my $got = $stack->api(POST => "/v1/apps/$slug/deployments", {});
    return $got->{json}{id};
}

sub in_phase {
    my ($id, $phase) = @_;
    wait_for { ($stack->api(GET => "/v1/deployments/$id")->{json}{phase} // '') eq $phase } 30, "phase $phase";
    return;
}
my $nap = "15.0$$";    # seconds, and a name in the list of processes
$stack->allow_log(qr/WH06(78|79|71|73|74)/, qr/WH04/, qr/AH0/);

# --- kill -9 in the build ---
{
    commit(qq(RUN ["/bin/busybox", "sleep", "$nap"]\n), serve_word('birch'));
    my $id = begin();
    in_phase($id, 'building');
    wait_for { processes("sleep $nap") } 20, 'the build to sleep';
    restart_agent(kill => 1);
    my $done = $stack->completed($id, 30);
    is($done->{conclusion}, 'failed', 'R10 kill -9 in the build: the deployment fails');
    is($done->{cause}{code}, 'agent_lost', 'as agent_lost, and is not run again');
    ok(scalar(try_for { !processes("sleep $nap") } 3), 'nothing of the build runs any more');
    is(scalar(my @left = ours()), 1, 'one container, the one that serves') or diag join "\n", ours();
    like($is->(), qr/alder/, 'the former release goes on serving');
    my @marks = glob "$dir/jobs/*";
    is("@marks", '', 'no mark is left');
}

# --- kill -9 while git waits for a repository that never answers ---
{
    my $never = $stack->app('never', { 'index.html' => 'x' });
    unlink $never->path . '/HEAD';
    mkfifo($never->path . '/HEAD', 0600);
    chown((getpwnam 'wisehost-agent')[2, 3], $never->path . '/HEAD');
    my $id = $stack->api(POST => '/v1/apps/never/deployments', {})->{json}{id};
    wait_for { processes(quotemeta $never->path) } 20, 'git to wait';
    restart_agent(kill => 1);
    is($stack->completed($id, 30)->{cause}{code}, 'agent_lost', 'R10 kill -9 in the clone: agent_lost');
    ok(scalar(try_for { !processes('upload-pack.*' . quotemeta $never->path) } 10), 'git and what it started are gone');

    # --- going down in order: what does not end in time is cut off, and said ---
    $id = $stack->api(POST => '/v1/apps/never/deployments', {})->{json}{id};
    wait_for { processes(quotemeta $never->path) } 20, 'git to wait again';
    my $begin = now_s();
    $stack->proc('agent')->stop(40);
    cmp_ok(now_s() - $begin, '<', 30, 'G26 SIGTERM: the agent is down within 30 s');
    ok(!processes(quotemeta $never->path), 'and git with it');
    start_agent();
    my $done = $stack->completed($id, 30);
    is($done->{cause}{code}, 'agent_lost', 'its result came with the next start');
    like($done->{cause}{detail}, qr/the agent was stopped/, 'and says so');
    is($stack->api(DELETE => '/v1/apps/never', undef, headers => { 'if-match' => $stack->api(GET => '/v1/apps/never')->{headers}{etag} })->{status} < 300, 1, 'that app is deleted');
}

# --- the hub goes while a job runs, and comes back ---
{
    commit(qq(RUN ["/bin/busybox", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo step \$i; /bin/busybox sleep 0.5; done"]\n), serve_word('cedar'));
    my $id = begin();
    in_phase($id, 'building');
    wait_for { grep {/step 2/} $stack->log_lines($id) } 20, 'the second step';
    $stack->proc('scheduler')->signal('KILL');
    try_for { !$stack->proc('scheduler')->runs } 5;
    select undef, undef, undef, 1;
    $stack->start_scheduler;
    my $done = $stack->completed($id, 60);
    is($done->{conclusion}, 'succeeded', 'a job outlives the hub') or diag explain $done;
    my @steps = map { /^step (\d)$/ ? $1 : () } $stack->log_lines($id);
    is("@steps", '1 2 3 4 5 6 7 8 9', 'F104 and its log is whole, each line once');
    like($is->(), qr/cedar/, 'it is live');
    ok(scalar(try_for { my @kept = glob "$dir/results/*"; !@kept } 5), 'the result was acknowledged and forgotten');
}

# --- what should run and does not ---
{
    wait_for { (my @c = ours()) == 1 } 30, 'the former container to be gone';
    my ($name) = split ' ', (ours())[0];
    $stack->proc('agent')->stop(40);
    $stack->podman('stop', '-t', '0', $name);
    is($stack->get($slug)->{status}, 503, 'a dead upstream is a clear 503');
    $stack->podman(qw(run -d --name stray --label), "wisehost.agent=" . (WH::Stack::slurp("$dir/agent.id") =~ s/\n//r),
        qw(--label wisehost.deployment=01hz0000000000000000000zzz --entrypoint /bin/busybox), image_of($name), 'sleep', '1000');
    $stack->podman(qw(run -d --name foreign --entrypoint /bin/busybox), image_of($name), 'sleep', '1000');
    my $now = sub { my (undef, $ps) = $stack->podman(qw(ps --all --format {{.Names}})); join ' ', sort split ' ', $ps };
    like($now->(), qr/foreign.*stray/, 'a stray and a foreign container run');
    select undef, undef, undef, 3;    # engines tell the time in seconds, and what is just made is not judged
    start_agent();
    ok(scalar(try_for { $is->() =~ /cedar/ } 15), 'after a restart the agent starts what should run');
    ok(scalar(try_for { $now->() !~ /stray/ } 15), 'and removes what is ours and wanted by nobody') or diag $now->();
    like($now->(), qr/foreign/, 'R33 but nothing of others');
    $stack->podman(qw(rm -f -t 0 foreign));
}

sub image_of {
    my ($name) = @_;
    my (undef, $image) = $stack->podman('inspect', '--format', '{{.Image}}', $name);
    $image =~ s/\s+//g;
    return $image;
}

# --- the engine goes, and comes back ---
{
    commit('', serve_word('elder'));
    my $done = $stack->deploy($slug, {}, 60);
    is($done->{conclusion}, 'succeeded', 'another deployment');
    my @stuck = $stack->stop;
    is("@stuck", '', 'everything ends by SIGTERM');
    is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
}
done_testing();
