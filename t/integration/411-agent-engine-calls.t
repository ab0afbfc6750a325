#!/usr/bin/perl
# R33: what the agent asks an engine for is a closed list. A proxy between the two notes every request while
# things are built, run, canceled, refused, stopped, reconciled and pruned.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP;
use WH::AgentJob;
use WH::EngineProxy;
use WH::Wait qw(try_for);

my $agent = WH::AgentJob->new(engine => 1);
my $proxy = WH::EngineProxy->new(listen => $agent->dir . '/proxy.sock', to => $agent->dir . '/engine/podman.sock', log => $agent->dir . '/log/calls');
$agent->{conf} = { engine_socket => $agent->dir . '/proxy.sock', images_kept => 1 };
my $repo = $agent->repo('app');
my $head = "FROM scratch\nCOPY busybox /bin/busybox\n";
my $b    = '/bin/busybox';
system('cp', $b, do { $repo->commit({ Dockerfile => 'x' }); $repo->work . '/busybox' }) == 0 or die 'no busybox';
my $serve = qq(CMD ["$b", "sh", "-c", "$b mkdir -p /www; echo hello > /www/index.html; exec $b httpd -f -p \$PORT -h /www"]\n);

sub deploy {
    my ($dockerfile, %o) = @_;
    $repo->commit({ Dockerfile => $dockerfile });
    return $agent->run(kind => 'container', url => $repo->path, %o);
}
my @dp = map { sprintf '01hz%022d', $_ } 900 .. 909;
is(deploy("${head}RUN [\"$b\", \"true\"]\n$serve", deployment => $dp[1])->{outcome}, 'succeeded', 'built, started, answers');
is(deploy("$head$serve" . "LABEL x=2\n", deployment => $dp[2])->{outcome}, 'succeeded', 'and another, without a RUN');
is(deploy("$head$serve" . "LABEL privileged=true HostConfig=x\n", deployment => $dp[3])->{outcome}, 'succeeded', 'and one whose labels say a lot');
is(deploy("${head}RUN [\"$b\", \"sleep\", \"30.1$$\"]\n", cancel_after => 2000)->{outcome}, 'canceled', 'canceled in the build');
is(deploy("${head}CMD [\"$b\", \"sleep\", \"30\"]\n", cancel_after => 2000, check_s => 20)->{outcome}, 'canceled', 'canceled in the check');
is(deploy("${head}CMD [\"$b\", \"false\"]\n")->{code}, 'container_exited', 'one that exits');
is(deploy("FROM nowhere.invalid/x\n")->{code}, 'build_failed', 'an image that cannot be had');
is(deploy("FROM nowhere.invalid/../../containers/create?x=y\n")->{code}, 'build_failed', 'XJ9 a name that would be a path');
is(deploy("FROM localhost/a%2f..%2fb\n", dockerfile => 'Dockerfile')->{code}, 'build_failed', 'XJ9 and one with escapes');
{
    my $site = $agent->repo('site');
    $site->commit({ 'index.html' => 'x' });
    is($agent->run(url => $site->path, output => 'out', build_command => 'exit 3', build => { runner_image => 'nowhere.invalid/x' })->{code},
        'build_failed', 'files made in an image that cannot be had');
    $repo->write_file('Dockerfile', "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/true\n");
    $agent->podman('build', '-q', '-t', 'localhost/sh', $repo->work);
    is($agent->run(url => $site->path, output => 'out', build_command => 'exit 0', build => { runner_image => 'localhost/sh' })->{code},
        'output_missing', 'files copied out of an image');
}
is($agent->run(job_kind => 'stop', deployment => $dp[1])->{outcome}, 'succeeded', 'stopped, pruned');
is($agent->run(job_kind => 'stop', deployment => $dp[2])->{outcome}, 'succeeded', 'stopped, pruned again');
$agent->reconcile($dp[3]);
try_for { !@{ $agent->reconcile()->{seen} } } 10;

my $name = qr/[A-Za-z0-9._~%-]+/;
my %allowed = (
    'is it there'          => qr{^GET /_ping$},
    'which version'        => qr{^GET /version$},
    'where its things are' => qr{^GET /v1\.41/info$},
    'what happens'         => qr{^GET /v1\.41/events\?filters=\S+$},
    'build'                => qr{^POST /v1\.41/build\?dockerfile=$name&t=$name&labels=$name&rm=1&forcerm=1&memory=\d+&memswap=\d+&cpushares=\d+&nsoptions=$name(?:&ulimits=$name(?:&cgroupparent=$name)?)?$},
    'fetch an image'       => qr{^POST /v1\.41/images/create\?fromImage=$name$},
    'look at an image'     => qr{^GET /v1\.41/images/$name/(?:json|history)$},
    'list'                 => qr{^GET /v1\.41/(?:containers|images)/json\?all=1&filters=%7B%22label%22%3A%5B%22wisehost\.$name$},
    'remove an image'      => qr{^DELETE /v1\.41/images/$name(?:\?noprune=1)?$},
    'a network'            => qr{^(?:GET|DELETE) /v1\.41/networks/wisehost-$name$|^POST /v1\.41/networks/create$},
    'create'               => qr{^POST /v1\.41/containers/create\?name=wisehost-$name$},
    'look at a container'  => qr{^GET /v1\.41/containers/$name/json$},
    'what it uses'         => qr{^GET /v1\.41/containers/$name/stats\?stream=false&one-shot=true$},
    'start, stop, wait'    => qr{^POST /v1\.41/containers/$name/(?:start|stop\?t=\d+|wait\?condition=next-exit)$},
    'its last lines'       => qr{^GET /v1\.41/containers/$name/logs\?stdout=1&stderr=1&tail=\d+$},
    'a directory of it'    => qr{^GET /v1\.41/containers/$name/archive\?path=%2Fapp%2F$name$},
    'remove a container'   => qr{^DELETE /v1\.41/containers/$name\?force=1&v=1$},
);
my (%seen, @other);
for my $request ($proxy->requests) {
    my ($kind) = grep { $request =~ $allowed{$_} } sort keys %allowed;
    if (defined $kind) { $seen{$kind}++ }
    else               { push @other, $request }
}
is(join("\n", @other), '', 'R33 the engine was asked for nothing else');
my $never = qr/^(?:which version|where its things are|what happens|what it uses)$/;    # of a whole agent, or another engine
is(join(', ', grep { !$seen{$_} && !/$never/ } sort keys %allowed), '', 'and every one of these was asked for');
my $all = () = $proxy->requests;
cmp_ok($all, '>', 60, "$all requests were seen");
$proxy->stop;
$agent->stop;

# The list is closed in the source, too: these are all the paths there are.
my $src = do { local (@ARGV, $/) = map { "$FindBin::Bin/../../wh-agent/$_" } qw(engine_docker.c); <> };
my %paths = map { $_ => 1 } $src =~ m{"(/[a-z_]+(?:/[a-z]+)?)}g;
is(join(' ', sort keys %paths), join(' ', sort qw(/_ping /archive /build /containers /containers/create /containers/json /events /history /images /images/create /images/json
            /info /json /logs /networks /networks/create /start /stats /stop /version /wait)), 'R33 the source knows no other path');
done_testing();
