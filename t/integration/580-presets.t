#!/usr/bin/perl
# Builds without a Dockerfile, in real containers of a busybox image: a server, files copied out of an image, and what
# a repository may not do with either. No hub; the languages are in t/long/585-preset-languages.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use HTTP::Tiny;
use JSON::PP;
use WH::AgentJob;
use WH::Presets qw(busybox_image log_of);

my $agent = WH::AgentJob->new(engine => 1);
my $image = busybox_image($agent);
my $http  = HTTP::Tiny->new(timeout => 5);
my %conf  = (runner_images => JSON::PP->new->canonical->encode({ map { $_ => $image } qw(node python plain hugo php go ruby rust) }));
my $n     = 0;
my $last;    # repository
$agent->start_server;

# deploy({path => text}, …payload…): a repository and an app of its own each time, unless it is given
sub deploy {
    my ($files, %o) = @_;
    my $repo = $last = delete $o{repo} // $agent->repo('r' . ++$n);
    $repo->commit($files) if $files;
    return $agent->run(app => sprintf('01hz%018dpres', $n), kind => 'container', url => $repo->path, conf => {%conf}, %o);
}

sub fails {
    my ($got, $code, $sentence, $what) = @_;
    is("$got->{outcome} $got->{code}", "failed $code", "$what: $code") or diag explain $got;
    like($got->{detail}, $sentence, "$what: says why");
    is(join(' ', $agent->containers), '', "$what: nothing of it is left");
    return;
}

sub gone { $agent->podman(qw(rm --all --force --time 0)); return }

# --- a server ---
my $serve = 'mkdir -p /tmp/w && cp who page /tmp/w && exec httpd -f -p $PORT -h /tmp/w';
{
    my $id  = '01hz00000000000000000000p1';
    my $got = deploy({ 'package.json' => '{"scripts": {"start": "x"}}', 'wisehost.json' => '{"run": {"port": 3000}}' }, deployment => $id,
        build => { install_command => "mkdir bin\nid -u > who", build_command => 'echo "made \'here\'" > page', start_command => $serve,
            pre_deploy_command => 'test "$PORT" = 3000 && echo pre-deploy as $(id -u)' });
    is($got->{outcome}, 'succeeded', 'F286 F216 a container without a Dockerfile is built, started and answers') or diag explain $got;
    my ($i) = @{ $got->{result}{instances} };
    is($http->get("http://127.0.0.1:$i->{port}/page")->{content}, "made 'here'\n", 'F293 what the build command made is served by the start command');
    is($http->get("http://127.0.0.1:$i->{port}/who")->{content}, "0\n", 'F293 the install command ran while it was built');
    like(log_of($got), qr/^settings of wisehost\.json are used$/m, 'F286 the log says that the repository has settings');
    like(log_of($got), qr/^preset node: package\.json$/m, 'F286 the log says which preset was taken and why');
    like(log_of($got), qr/^\| FROM \Q$image\E AS build$/m, 'F187 F239 and shows the Dockerfile, with the image of the worker\'s choice');
    like(log_of($got), qr/^\| RUN .*[^\\]\\"made /m, 'F187 as it is: a backslash stays one');
    my $c = decode_json($agent->podman('inspect', $i->{container}))->[0];
    is($c->{Config}{User}, '10001:10001', 'F235 it runs as nobody');
    ok((grep { $_ eq 'PORT=3000' } @{ $c->{Config}{Env} }), 'wisehost.json says where it listens');
    open my $status, '<', "/proc/$c->{State}{Pid}/status" or die "the process of the container: $!";
    is((map { /^Uid:\s+(\d+)/ ? $1 : () } <$status>)[0], 10001, 'F235 its processes, too');
    like($agent->podman('logs', $i->{container}), qr/^pre-deploy as 10001$/m, 'F216 the pre-deploy command ran in it first');
    my $label = $agent->podman('image', 'inspect', '--format', '{{index .Labels "wisehost.run"}}', $c->{Image});
    like($label, qr/"port":3000/, 'the image remembers the repository\'s port');
    gone();
    $got = deploy(undef, repo => $last, image_of => $id);
    is($got->{outcome}, 'succeeded', 'F228 a rollback starts it from the image alone') or diag explain $got;
    ($i) = @{ $got->{result}{instances} };
    is($http->get("http://127.0.0.1:$i->{port}/page")->{content}, "made 'here'\n", 'F228 at the port that the repository had named');
    gone();
}
fails(deploy({ 'index.html' => 'x' }, build => { preset => 'static', start_command => 'exec httpd -f -p $PORT', pre_deploy_command => 'exit 9' }),
    'container_exited', qr/status 9/, 'F216 a pre-deploy command that fails');
fails(deploy({ 'README' => 'x' }), 'build_failed', qr/no Dockerfile .* no preset/, 'no Dockerfile and no preset');
fails(deploy({ 'index.html' => 'x' }), 'build_failed', qr/static files.*static app/, 'files in a container');
fails(deploy({ 'package.json' => '{}' }), 'build_failed', qr/start command/, 'a server that nobody can start');
fails(deploy({ 'package.json' => '{}', 'wisehost.json' => '{"build": {"presett": 1}}' }), 'settings_invalid', qr{^wisehost\.json, /build/presett: }, 'F286 a wisehost.json that is wrong');
fails(deploy({ 'package.json' => '{}', 'wisehost.json' => '{' }), 'settings_invalid', qr/^wisehost\.json: /, 'F286 a wisehost.json that is none');
fails(deploy({ 'package.json' => '{}', '.wisehost.Dockerfile' => "FROM scratch\n" }, build => { start_command => 'x' }),
    'build_failed', qr/may not have a \.wisehost\.Dockerfile/, 'XJ1 a repository with a Dockerfile in the made one\'s place');
fails(deploy({ Dockerfile => "FROM scratch\n" }, build => { preset => 'dockerfile' }, dockerfile => 'other'), 'build_failed', qr/no other/, 'nothing but the Dockerfile');
{
    my $repo = $agent->repo('links');
    $repo->commit({ 'package.json' => '{}' });
    symlink '/etc/passwd', $repo->work . '/wisehost.json';
    fails(deploy(undef, repo => $repo->commit({ x => 1 }) && $repo), 'settings_invalid', qr/no plain file/, 'XJ1 a wisehost.json that is a link');
}

# --- files ---
sub site {
    my ($files, %o) = @_;
    return deploy($files, kind => 'static', %o);
}
{
    my $got = site({ 'index.html' => 'source', 'a b.txt' => "x\n" }, output => 'out',
        build_command => 'mkdir -p out/sub; echo built > out/index.html; cp "a b.txt" out/sub/; echo e > ' . "out/caf\xc3\xa9" . '; ln -s /etc/passwd out/passwd; ln -s sub out/dir; '
            . 'ln out/index.html out/hard.txt; mkfifo out/fifo; echo x > out/odd\\\\name; chmod 4755 out/sub/*; ln -s index.html out/index.txt; : > out/empty.txt');
    is($got->{outcome}, 'succeeded', 'F286 F288 files made in a container become a release') or diag explain $got;
    is($agent->paths, "caf\x{e9} empty.txt hard.txt index.html sub/a b.txt", 'XH1 XH4 regular files only, a hard link as what it leads to');
    my %of = map { $_->{path} => $_ } @{ $agent->manifest };
    is($of{'hard.txt'}{sha256}, $of{'index.html'}{sha256}, 'XH1 with the same contents');
    like(log_of($got), qr/^left out: \Q$_->[0]\E \($_->[1]\)$/m, "XH1 XH4 left out with a line: $_->[0]")
        for [ passwd => 'a symbolic link' ], [ dir => 'a symbolic link' ], [ fifo => 'not a regular file' ];
    like(log_of($got), qr/^preset static: /m, 'F286 the log says which preset was taken');
    is(join(' ', @{ $got->{phases} }), 'cloning building switching', 'F286 the phases in their order');
    is(join(' ', $agent->containers), '', 'F288 the container that the files came from is gone');
    my ($sha) = $of{'index.html'}{sha256};
    is(do { local (@ARGV, $/) = $agent->dir . "/objects/$sha"; <> }, "built\n", 'F288 what was sent is what was built');
}
{
    my $repo = $agent->repo('again');
    my @env = map { { name => $_->[0], value => $_->[1], secret => JSON::PP::true, build => $_->[2] ? JSON::PP::true : JSON::PP::false } }
        [ TO => "it's \"here\"", 1 ], [ OTHER => 'not for builds', 0 ];
    my %o = (repo => $repo, kind => 'static', output => 'out', env => \@env, build_command => 'echo ran >&2; mkdir out; echo "$TO$OTHER" > out/index.html');
    my $first = deploy({ 'index.html' => 'one' }, %o);
    is($first->{outcome}, 'succeeded', 'a build') or diag explain $first;
    my $sha = $agent->manifest->[0]{sha256};
    is(do { local (@ARGV, $/) = $agent->dir . "/objects/$sha"; <> }, qq(it's "here"\n), 'R17 variables for the build are in its environment, others not');
    my $again = deploy({}, %o);
    unlike(log_of($again), qr/^ran$/m, 'what was built before is not built again: the cache');
    $env[0]{value} = 'else';
    like(log_of(deploy({}, %o)), qr/^ran$/m, 'but with another value of a variable it is');
}
fails(site({ 'index.html' => 'x' }, output => 'dist', build_command => 'true'), 'output_missing', qr{made no /app/dist}, 'XH8 an output directory that is not there');
# Podman follows such a link within the image, Docker hands the link out; neither leads to the machine.
{
    my $got = site({ 'index.html' => 'x' }, output => 'dist', build_command => 'ln -s ' . $agent->dir . ' dist');
    like("$got->{outcome} $got->{code}", qr/^failed output_(?:missing|refused)$/, 'XH1 a link to a directory of the machine in its place') or diag explain $got;
}
{
    my $got = site({ 'index.html' => 'x' }, output => 'dist', build_command => 'sleep 1000', cancel_after => 3000);
    is($got->{outcome}, 'canceled', 'a build that is canceled');
    cmp_ok($got->{took}, '<', 30, 'soon');
    is(join(' ', $agent->containers), '', 'nothing of it is left');
}

# --- as they are ---
fails(site({ 'go.mod' => "module example.org/x\n", 'main.go' => "package main\nfunc main() {}\n" }), 'settings_invalid', qr/a Go program .*publish its source.*kind=container/,
    'a program that came as a site');
{
    my $got = site({ 'index.html' => 'x', 'dist/index.html' => 'y', 'package.json' => '{"scripts":{"build":"x"},"devDependencies":{"vite":"5"}}' }, output => 'dist');
    is($got->{outcome}, 'succeeded', 'an output directory that is in the repository is served as it is') or diag explain $got;
    is(join(' ', @{ $got->{phases} }), 'cloning switching', 'and nothing is built');
    $got = site({ 'index.html' => 'x', 'package.json' => '{"scripts":{"build":"x"},"devDependencies":{"vite":"5"}}' }, build => { preset => 'static' });
    is(join(' ', @{ $got->{phases} }), 'cloning switching', 'nor where the preset is chosen to be static');
    $got = site({ 'index.html' => 'x', 'package.json' => '{"scripts":{"build":"x"},"devDependencies":{"vite":"5"}}' },
        build => { install_command => 'true', build_command => 'mkdir dist; echo vite > dist/index.html' });
    like(log_of($got), qr/^preset vite: package\.json, vite in package\.json, the script "build", index\.html$/m, 'F286 a Vite project is known by its files');
    is("$got->{outcome} " . $agent->paths, 'succeeded index.html', 'F288 and its dist is what is served') or diag explain $got;
}
$agent->stop;
done_testing();
