#!/usr/bin/perl
# A site that is built, and a server without a Dockerfile, from `wh apps create` to the name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Presets qw(busybox_image BUSYBOX);
use WH::Stack;
use WH::Wait qw(wait_for);

my $src = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
busybox_image($stack);

my %repo;

sub deploy {
    my ($slug, $files, %app) = @_;
    my $repo = $repo{$slug} = $stack->repo($slug);
    $repo->commit($files);
    my $made = $stack->api(POST => '/v1/apps', { slug => $slug, repository => { url => $repo->path, branch => 'main' }, %app });
    is($made->{status}, 201, "$slug: made") or diag $made->{body};
    my $done = $stack->deploy($slug, {}, 90);
    note(join "\n", map {"log: $_"} $stack->log_lines($done->{id}));
    is($done->{conclusion}, 'succeeded', "$slug: deployed") or diag explain $done;
    return $done;
}

my $done = deploy('built', { 'index.html' => 'source', 'wisehost.json' => '{"build": {"output_directory": "out"}}' }, kind => 'static',
    build => { build_command => 'mkdir out; echo "<p>made" > out/index.html', runner_image => BUSYBOX });
my $got = $stack->get('built');
is("$got->{status} $got->{body}", "200 <p>made\n", 'F286 F288 F300 what the build made is served under its name');
like(join("\n", $stack->log_lines($done->{id})), qr/preset static: /, 'F286 the log of the deployment says how it was built');

deploy('served', { 'package.json' => '{}' }, kind => 'container',
    build => { install_command => 'mkdir www; echo "<p>served" > www/index.html', start_command => 'exec httpd -f -p $PORT -h www', runner_image => BUSYBOX });
$got = $stack->get('served');
is("$got->{status} $got->{body}", "200 <p>served\n", 'F286 a server without a Dockerfile answers under its name');

$repo{served}->commit({ 'wisehost.json' => '{"run": {"port": "x"}}' });
$done = $stack->deploy('served', {}, 90);
is("$done->{conclusion} $done->{cause}{code}", 'failed settings_invalid', 'F286 a wisehost.json that is wrong fails the deployment');
like($done->{cause}{detail}, qr{^wisehost\.json, /run/port: }, 'and says where');
is($stack->get('served')->{body}, "<p>served\n", 'what was there before goes on');
$stack->stop;
done_testing();
