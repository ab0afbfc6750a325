#!/usr/bin/perl
# The agent and a real engine: built, limited, started, probed, failed, canceled, stopped, reconciled. No hub.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use HTTP::Tiny;
use JSON::PP;
use WH::AgentJob;
use WH::Wait qw(try_for);

my $agent = WH::AgentJob->new(engine => 1);
my $app   = '01hz0000000000000000000app';
my $http  = HTTP::Tiny->new(timeout => 5);
my $repo  = $agent->repo('app');
my $head  = "FROM scratch\nCOPY busybox /bin/busybox\n";

sub run_script {
    my ($script) = @_;
    return qq(${head}CMD ["/bin/busybox", "sh", "-c", ) . JSON::PP->new->allow_nonref->encode($script) . "]\n";
}
my $serve = '/bin/busybox mkdir -p /www; echo hello > /www/index.html; echo up; echo warned >&2; exec /bin/busybox httpd -f -p $PORT -h /www';

my $serve_cmd = run_script($serve);
system('cp', '/bin/busybox', do { $repo->commit({ Dockerfile => 'x' }); $repo->work . '/busybox' }) == 0 or die 'no busybox';

sub deploy {
    my ($dockerfile, %o) = @_;
    $repo->commit({ Dockerfile => $dockerfile, %{ delete $o{files} // {} } });
    return $agent->run(app => $app, kind => 'container', url => $repo->path, %o);
}

sub inspect {
    my ($id) = @_;
    return decode_json($agent->podman('inspect', $id))->[0];
}

# What others have on the same engine must outlive everything below.
$repo->commit({ Dockerfile => run_script('/bin/busybox sleep 1000') });
$agent->podman('build', '-q', '-t', 'foreign', $repo->work);
$agent->podman(qw(run -d --name foreign --label wisehost.deployment=x --label wisehost.agent=somebody-else foreign));
is(join(' ', $agent->containers), 'foreign', 'a foreign container runs');

# --- it comes up ---
my $good = deploy(run_script($serve), deployment => '01hz0000000000000000000dp1');
is($good->{outcome}, 'succeeded', 'F215 F216 F220 a container is built, started and answers') or diag explain $good;
is(join(' ', @{ $good->{phases} }), 'cloning building starting checking', 'the phases in their order');
like(join("\n", @{ $good->{log} }), qr/STEP 1/, 'F279 the build is in the log');
my ($instance) = @{ $good->{result}{instances} };
is($instance->{address}, '127.0.0.1', 'it is published on the address of the worker alone');
is($http->get("http://127.0.0.1:$instance->{port}/")->{content}, "hello\n", 'F218 and answers there, with PORT in its environment');
{
    my $c = inspect($instance->{container});
    my $h = $c->{HostConfig};
    is($h->{Memory}, 64 * 1048576, 'F215 memory is limited');
    is($h->{PidsLimit}, 32, 'F215 processes are limited');
    is($h->{NanoCpus}, 500_000_000, 'F215 CPU is limited');
    is(join(' ', sort @{ $c->{EffectiveCaps} }), join(' ', sort map {"CAP_$_"} qw(CHOWN DAC_OVERRIDE FOWNER KILL NET_BIND_SERVICE SETGID SETUID)),
        'D3 these capabilities and no others');
    ok((grep {/no-new-privileges/} @{ $h->{SecurityOpt} }), 'D3 no new privileges');
    ok(!$h->{Privileged} && !@{ $h->{Binds} // [] } && $h->{NetworkMode} ne 'host', 'D3 not privileged, nothing of the host mounted, no host network');
    is($h->{RestartPolicy}{Name} // '', 'no', 'the agent starts it again, not the engine');
    is($c->{Config}{Labels}{'wisehost.app'}, $app, 'F215 it carries the labels');
    is($c->{Config}{Labels}{'wisehost.deployment'}, '01hz0000000000000000000dp1', 'F215 of its deployment');
    like(join(' ', keys %{ $c->{NetworkSettings}{Networks} }), qr/^wisehost-$app$/, 'it has a network of its app');
    my $said = $agent->podman('exec', $instance->{container}, '/bin/busybox', 'sh', '-c', 'ulimit -n; /bin/busybox touch /tmp/x && echo tmp');
    is($said, "1024\ntmp\n", 'open files are limited, /tmp is there');
}

# --- the ways of failing: each leaves what was there before, and nothing else ---
my @before = $agent->containers;

sub fails {
    my ($got, $code, $sentence, $what) = @_;
    is($got->{outcome}, 'failed', "$what: fails");
    is($got->{code}, $code, "$what: $code") or diag explain $got;
    like($got->{detail}, $sentence, "F219 $what: says why");
    is(join(' ', $agent->containers), join(' ', @before), "F224 $what: nothing of it is left");
    is($http->get("http://127.0.0.1:$instance->{port}/")->{content}, "hello\n", "$what: what ran before goes on");
    return;
}
my $got = deploy("${head}RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo about to fail; exit 7\"]\n");
fails($got, 'build_failed', qr/7/, 'a build that fails');
like(join("\n", @{ $got->{log} }), qr/about to fail/, 'F280 its last words are in the log');
fails(deploy("FROM nowhere.invalid/x\n"), 'build_failed', qr/\S/, 'an image that cannot be had');
fails(deploy("NONSENSE\n"), 'build_failed', qr/\S/, 'XJ1 a Dockerfile that is none');
fails(deploy("x\0y" x 1000), 'build_failed', qr/\S/, 'XJ1 a Dockerfile of bytes');
$got = deploy(run_script('echo last word; exit 3'));
fails($got, 'container_exited', qr/^the container exited with status 3 after \d+\.\d s$/, 'a container that exits');
like(join("\n", @{ $got->{log} }), qr/last word/, 'its last lines are in the log');
fails(deploy(run_script('exec /bin/busybox sleep 1000'), check_s => 2), 'not_listening', qr/^nothing listened on port 8080 within 2 s$/, 'a container that never listens');
fails(deploy(run_script('while :; do echo -e "HTTP/1.1 503 No\\r\\nContent-Length: 0\\r\\n\\r\\n" | /bin/busybox nc -l -p $PORT; done'), check_s => 2, health => '/up'),
    'unhealthy', qr{^GET /up still answered 503 after 2 s$}, 'a container that answers 503');
fails(deploy(run_script($serve), dockerfile => 'gone/Dockerfile'), 'build_failed', qr{no gone/Dockerfile}, 'XJ1 a Dockerfile that is not there');

# --- links where the engine would read a file ---
{
    my $links = $agent->repo('links');
    $links->commit({ 'index.html' => 'x' });
    symlink '/etc/passwd', $links->work . '/Dockerfile';
    $links->commit({ x => 1 });
    fails($agent->run(app => $app, kind => 'container', url => $links->path), 'build_failed', qr/Dockerfile is not a regular file/, 'XJ1 a Dockerfile that is a link');
    unlink $links->work . '/Dockerfile';
    symlink '/etc/shadow', $links->work . '/.dockerignore';
    $links->commit({ Dockerfile => $head });
    fails($agent->run(app => $app, kind => 'container', url => $links->path), 'build_failed', qr/\.dockerignore is not a regular file/, 'XJ1 an ignore file that is a link');
}

# --- Dockerfiles that reach for the host ---
{
    my $canary = 'canary-' . $$ . time;
    my $secret = $agent->dir . '/secret';
    open my $fh, '>', $secret or die $!;
    print {$fh} "$canary\n";
    close $fh;
    chmod 0600, $secret;
    my $evil = $agent->repo('evil');
    my @all;
    my $try = sub {
        my ($files, $like, $what, %o) = @_;
        system('cp', '/bin/busybox', $evil->work . '/busybox');
        $evil->commit($files);
        my $r = $agent->run(app => $app, kind => 'container', url => $evil->path, %o);
        push @all, @{ $r->{log} }, $r->{detail};
        fails($r, 'build_failed', $like, $what);
    };
    $try->({ 'Dockerfile.in' => qq(FROM scratch\n#include "$secret"\n) }, qr/may not be called \*\.in/, 'XJ1 a Dockerfile for a preprocessor',
        dockerfile => 'Dockerfile.in');
    $try->({ Dockerfile => "FROM scratch AS a\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"ln\", \"-s\", \"/\", \"/evil\"]\n"
            . "${head}RUN --mount=type=bind,from=a,source=/evil,target=/m [\"/bin/busybox\", \"cat\", \"/m$secret\"]\n" },
        qr/line 6.*--mount/, 'XJ1 a mount out of the build');
    $try->({ Dockerfile => "FROM scratch\nADD http://127.0.0.1:$instance->{port}/ /x\n" }, qr/line 2.*ADD/, 'XJ8 an address fetched by the engine');
    unlike(join("\n", @all), qr/$canary/, 'XJ1 no file of the host is in a log');
    my $inner = HTTP::Tiny->new(timeout => 2)->get("http://127.0.0.1:$instance->{port}/")->{content};
    is($inner, "hello\n", 'what answers on the loopback of the host');
    $try->({ Dockerfile => "${head}RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo GET / | /bin/busybox nc -w 3 127.0.0.1 $instance->{port} && echo reach''ed; exit 9\"]\n" },
        qr/\S/, 'XJ8 a build that knocks at the loopback of the host');
    unlike(join("\n", @all), qr/^reached/m, 'XJ8 does not reach it');
}

# --- trees and images that unfold ---
{
    my $bomb = $agent->repo('bomb');
    $bomb->commit({ Dockerfile => $head });
    my ($file) = $bomb->git('-C', $bomb->work, 'ls-tree', 'HEAD') =~ /^(.*)$/m;
    my $tree_of = sub {
        my ($list) = @_;
        my $path = $bomb->work . '.list';
        open my $fh, '>', $path or die $!;
        print {$fh} $list;
        close $fh;
        open STDIN, '<', $path or die $!;
        return $bomb->git('-C', $bomb->work, 'mktree');
    };
    my ($blob) = $file =~ / ([0-9a-f]{40})/;
    my $tree = $tree_of->(join '', map {"100644 blob $blob\tf$_\n"} 0 .. 9);
    $tree = $tree_of->(join '', map {"040000 tree $tree\td$_\n"} 0 .. 9) for 1 .. 9;
    $tree = $tree_of->("$file\n040000 tree $tree\td\n");
    my $commit = $bomb->git('-C', $bomb->work, 'commit-tree', '-m', 'many', $tree);
    $bomb->git('-C', $bomb->work, 'push', '-q', '-f', 'origin', "$commit:refs/heads/main");
    my $r = $agent->run(app => $app, kind => 'container', url => $bomb->path);
    fails($r, 'too_many_files', qr/more than 200000/, 'XJ6 ten thousand million files in ten trees');
    cmp_ok($r->{took}, '<', 10, 'XJ6 at once');
    my $labels = 'LABEL ' . join(' ', map {"k$_=v"} 1 .. 5000) . "\n";
    fails(deploy(run_script($serve) . $labels), 'start_failed', qr/Labels/, 'XJ6 an image with labels without end');
    my $volume = deploy(run_script($serve) . "VOLUME /data\n", deployment => '01hz0000000000000000000vv1');
    is($volume->{outcome}, 'succeeded', 'an image may ask for a volume of the engine') or diag explain $volume;
    is($agent->run(app => $app, job_kind => 'stop', deployment => '01hz0000000000000000000vv1')->{outcome}, 'succeeded', 'it is stopped');
    is($agent->podman(qw(volume ls -q)), '', 'I5 and its volume goes with it');
}

# --- cancel ---
my $nap = "15.0$$";    # seconds, and a name in the list of processes
for my $case (
    [ 'in the build', qq(${head}RUN ["/bin/busybox", "sleep", "$nap"]\n), 2500 ],
    [ 'while it is checked', run_script("exec /bin/busybox sleep $nap"), 2500 ])
{
    my ($where, $dockerfile, $ms) = @$case;
    my $c = deploy($dockerfile, cancel_after => $ms, check_s => 60);
    is($c->{outcome}, 'canceled', "XN4 a cancel $where") or diag explain $c;
    cmp_ok($c->{took}, '<', 12, "XN4 a cancel $where is done within 10 s");
    is(join(' ', $agent->containers), join(' ', @before), "XN4 a cancel $where leaves no container");
    unlike(scalar(qx(ps -eo args)), qr/sleep $nap/, "XN4 a cancel $where: when it says so, no process of it runs any more");
    is(leftovers(), '', "XN4 a cancel $where leaves nothing of the build in the engine, nothing of its own");
}

# The engine's own: working containers of builds, and what it unpacks for them.
sub leftovers {
    my $engine = $agent->dir . '/engine';
    my @storage = grep {/working-container/} split ' ', $agent->podman(qw(ps --all --external --format {{.Names}}));
    return join ' ', @storage, glob "$engine/tmp/*";
}

# --- the build's deadline ---
{
    my $late = deploy(qq(${head}RUN ["/bin/busybox", "sleep", "$nap"]\n), build_s => 3);
    fails($late, 'build_timeout', qr/^the build was not done within 3 s$/, 'a build that takes too long');
    cmp_ok($late->{took}, '<', 8, 'is ended soon after its deadline');
    unlike(scalar(qx(ps -eo args)), qr/sleep $nap/, 'and its step with it');
    is(leftovers(), '', 'and what the engine keeps for it');
    # What ignores every signal but one, forks away, and holds its output open, goes too.
    my $stubborn = deploy(qq(${head}RUN ["/bin/busybox", "sh", "-c", "trap '' TERM INT HUP; /bin/busybox setsid /bin/busybox sleep $nap & while :; do /bin/busybox sleep $nap; done"]\n),
        cancel_after => 2500);
    is($stubborn->{outcome}, 'canceled', 'XN4 a build that ignores signals is canceled');
    unlike(scalar(qx(ps -eo args)), qr/sleep $nap/, 'XN4 with all that it started');
    is(leftovers(), '', 'XN4 and nothing is left');
}

# --- images of others ---
{
    my $own = '01hz0000000000000000000ap2';
    my $id = ($agent->podman('images', '-q', '--filter', "label=wisehost.image") =~ /^(\w+)/)[0];
    my ($tag) = $agent->podman('images', '--format', '{{.Repository}}:{{.Tag}}', '--filter', 'label=wisehost.image') =~ m{^(localhost/wisehost/$app:\S+)}m;
    ok($tag, 'the app has an image of its own here');
    for my $case ([ "FROM $tag\n", 'by its tag' ], [ "FROM " . ($tag =~ s{^localhost/}{}r) . "\n", 'by its short name' ],
        [ "FROM $id\n", 'by its id' ], [ "ARG A=$tag\nFROM \$A\n", 'by a variable' ], [ "${head}COPY --from=$tag /bin/busybox /x\n", 'by COPY --from' ],
        [ "FROM scratch AS a\nCOPY busybox /b\nFROM $tag\n", 'in a second stage' ])
    {
        my ($dockerfile, $what) = @$case;
        $repo->commit({ Dockerfile => $dockerfile });
        my $r = $agent->run(app => $own, kind => 'container', url => $repo->path);
        is($r->{code}, 'build_failed', "XJ5 another app's image $what is refused") or diag explain $r;
        like($r->{detail}, qr/belongs to another app/, 'and it says why');
    }
    my $r = deploy("FROM $tag\n" . ($serve_cmd =~ s/^\Q$head\E//r), deployment => '01hz0000000000000000000vv2');
    is($r->{outcome}, 'succeeded', 'an app may build on its own image') or diag explain $r;
    $agent->run(app => $app, job_kind => 'stop', deployment => '01hz0000000000000000000vv2');
    # ONBUILD of an image that is here already.
    my $base = $agent->repo('base');
    system('cp', '/bin/busybox', do { $base->commit({ Dockerfile => 'x' }); $base->work . '/busybox' });
    for my $case ([ "ONBUILD ADD http://127.0.0.1:1/ /x\n", 'ADD of an address' ], [ "ONBUILD RUN --mount=type=bind,target=/m [\"/bin/busybox\", \"true\"]\n", 'RUN --mount' ],
        [ "ONBUILD RUN --mount=type=bind,target=/m [\"/bin/busybox\", \"true\", \"layer not known\"]\n", 'words of the engine that mean another try' ]) {
        my ($line, $what) = @$case;
        $base->commit({ Dockerfile => $head . $line });
        $agent->podman(qw(build -q --format docker -t onbuild), $base->work);
        fails(deploy("FROM localhost/onbuild\n"), 'build_failed', qr/ONBUILD.*not allowed/, "XJ1 a base image with ONBUILD $what");
    }
    $base->commit({ Dockerfile => "${head}ONBUILD RUN [\"/bin/busybox\", \"true\"]\n" });
    $agent->podman(qw(build -q --format docker -t onbuild), $base->work);
    $r = deploy("FROM localhost/onbuild\n" . ($serve_cmd =~ s/^\Q$head\E//r), deployment => '01hz0000000000000000000vv3');
    is($r->{outcome}, 'succeeded', 'a base image with a harmless ONBUILD is taken') or diag explain $r;
    $agent->run(app => $app, job_kind => 'stop', deployment => '01hz0000000000000000000vv3');
    $agent->podman(qw(rmi -f onbuild));
}

# --- a second deployment, and the end of the first ---
my $second = deploy(run_script($serve) . "LABEL x=2\n", deployment => '01hz0000000000000000000dp2');
is($second->{outcome}, 'succeeded', 'the next one starts beside the first');
is($http->get("http://127.0.0.1:$instance->{port}/")->{content}, "hello\n", 'the first still answers');
my $stop = $agent->run(app => $app, job_kind => 'stop', deployment => '01hz0000000000000000000dp1');
is($stop->{outcome}, 'succeeded', 'a stop') or diag explain $stop;
is(scalar(grep {/^wisehost-/} $agent->containers), 1, 'takes away the containers of its deployment alone');
is($agent->run(app => $app, job_kind => 'stop', deployment => '01hz0000000000000000000dp1')->{outcome}, 'succeeded', 'a second stop finds nothing to do');

# --- reconcile ---
my ($running) = @{ $second->{result}{instances} };
$agent->podman('stop', '-t', '0', $running->{container});
my $pass = $agent->reconcile('01hz0000000000000000000dp2');
is($pass->{seen}[0]{state}, 'running', 'what should run and does not is started again');
ok(scalar(try_for { $http->get("http://127.0.0.1:$running->{port}/")->{content} eq "hello\n" } 5), 'at the same address as before');
# Engines tell the time in seconds, so what is just made is left alone for a moment.
my $none = try_for { $pass = $agent->reconcile(); return !@{ $pass->{seen} } } 10;
is(scalar @{ $pass->{seen} }, 0, 'what nobody wants is removed');
is(join(' ', $agent->containers), 'foreign', 'R33 and the foreign container was never touched');
like($agent->podman(qw(inspect foreign --format {{.State.Status}})), qr/running/, 'it still runs');

# --- no engine ---
$got = $agent->run(app => $app, kind => 'container', url => $repo->path, conf => { engine_socket => $agent->dir . '/nothing.sock' });
is($got->{code}, 'no_engine', 'an engine that does not answer: no_engine') or diag explain $got;
$agent->stop;
done_testing();
