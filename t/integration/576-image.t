#!/usr/bin/perl
# db: sqlite pgsql
# An app of an image: pulled from a real registry over TLS with a user and a token, pinned by its digest, and refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Registry;
use WH::Stack;
use WH::Wait qw(try_for);

my $src = $WH::Stack::src;
my $token = 'tok-' . join '', map { ('a' .. 'z', 0 .. 9)[ rand 36 ] } 1 .. 24;
plan skip_all => 'there is no docker-registry' if !WH::Registry::available();
my $stack = WH::Stack->new(engine => 1);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
my $registry = WH::Registry->new(dir => $stack->dir . '/registry', user => 'puller', token => $token);
my $host = $registry->name;
$stack->{agent_conf} = { registries => "registry.example $host", image_max_bytes => '8M' };
$ENV{SSL_CERT_FILE} = $stack->{engine_env}{SSL_CERT_FILE} = $registry->cert;
$stack->start;

# Builds it under a name of its own and pushes it: no name of the registry stays here.
my $push = sub {
    my ($tag, $text, $more) = @_;
    my $dir = $stack->dir . "/seed-$tag";
    mkdir $dir;
    my %file = ('index.html' => "<p>$text\n", Dockerfile => "FROM scratch\nCOPY busybox /busybox\nCOPY index.html /www/\n"
            . "CMD [\"/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n" . ($more // ''));
    for (keys %file) { open my $f, '>', "$dir/$_" or die; print {$f} $file{$_} }
    system('cp', '/bin/busybox', "$dir/busybox");
    system('truncate', '-s', '12M', "$dir/big") if ($more // '') =~ /big/;
    my ($code, $out) = $stack->podman('build', '-q', '-t', "seed:$tag", $dir);
    ($code, $out) = $stack->podman('push', '-q', '--creds', "puller:$token", "seed:$tag", "docker://$host/team/web:$tag") if !$code;
    is($code, 0, "an image is pushed as $tag") or diag($out);
    $stack->podman('rmi', '-f', "seed:$tag");
    return;
};
$push->('stable', 'first');

# ---- what an app of an image may be ----
my %bad = (
    'a site' => [ { kind => 'static', image => "$host/team/web" }, '/image' ],
    'a name without its registry' => [ { image => 'nginx' }, '/image' ],
    'both' => [ { image => "$host/team/web", repository => { url => 'https://h.example/x' } }, '/image' ],
    'neither' => [ {}, '/repository/url' ],
    'Git LFS' => [ { image => "$host/team/web", build => { lfs => JSON::PP::true() } }, '/build/lfs' ],
    'submodules' => [ { image => "$host/team/web", build => { submodules => JSON::PP::true() } }, '/build/submodules' ],
    'polling' => [ { image => "$host/team/web", sync => { type => 'polling' } }, '/sync/type' ],
);
for (sort keys %bad) {
    my $got = $stack->api(POST => '/v1/apps', { slug => 'no', kind => 'container', %{ $bad{$_}[0] } });
    is("$got->{status} $got->{json}{errors}[0]{pointer}", "400 $bad{$_}[1]", "$_ is refused") or diag($got->{body});
}
my $made = $stack->wh('apps', 'create', 'web', '--image', "$host/team/web:stable", '--grace', '0');
is($made->{rc}, 0, 'wh apps create --image') or diag($made->{err});
my $key = $stack->wh('apps', 'deploy-key', 'web');
is($key->{rc}, 1, 'it has no use for a deploy key');
like($key->{err}, qr{runs an image: .*wh apps credentials web}, 'and says what it has');
my $app = $stack->api(GET => '/v1/apps/web')->{json};
is("$app->{kind} $app->{image}", "container $host/team/web:stable", 'it is a container of that image');
is($app->{repository}, undef, 'and has no repository');
is($stack->api(POST => '/v1/apps/web/deployments', { ref => 'main' })->{json}{code}, 'no_repository', 'nor branches');
is($stack->api(POST => '/v1/apps/web/sync', {})->{json}{code}, 'nothing_to_sync', 'nor anything to sync');

# ---- the credentials ----
my $deploy = sub {
    my $done = $stack->deploy('web', {}, 90);
    note(join "\n", map {"log: $_"} $stack->log_lines($done->{id}));
    return $done;
};
my $refused = $deploy->();
is("$refused->{conclusion} $refused->{cause}{code}", 'failed pull_failed', 'without credentials it is not to be had');
is($stack->api(GET => '/v1/apps/web/source')->{json}{credentials}, undef, 'there are no credentials yet');
open my $in, '>', $stack->dir . '/cli/token' or die;
print {$in} "$token\n";
close $in;
my $in_by = $stack->wh_env({ STDIN => $stack->dir . '/cli/token' }, qw(apps credentials web --username puller));
is($in_by->{rc}, 0, 'wh apps credentials') or diag($in_by->{err});
my $shown = $stack->api(GET => '/v1/apps/web/source');
is(join(' ', @{ $shown->{json}{credentials} }{qw(host username)}), "$host puller", 'they are for the registry of the image');
unlike($shown->{body}, qr/\Q$token\E|token/, 'their token is not shown');

# ---- pulled, and what it was is kept ----
my $first = $deploy->();
is($first->{conclusion}, 'succeeded', 'the image is pulled and runs') or diag(explain $first->{cause});
like($stack->get('web')->{body}, qr/first/, 'the name answers out of it');
is($first->{image}{reference}, "$host/team/web:stable", 'the deployment says what was asked for');
like($first->{image}{digest}, qr/^sha256:[0-9a-f]{64}$/, 'and what that was');
my $log = join "\n", $stack->log_lines($first->{id});
like($log, qr{pulling \Q$host\E/team/web:stable as puller}, 'the log says what is pulled, and as whom');
like($log, qr/\Q$first->{image}{digest}\E/, 'and what came');
unlike(($stack->podman(qw(images --all --format), '{{.Repository}}:{{.Tag}}'))[1], qr/\Q$host\E/,
    'D4 its name of the registry is not left for others');

$push->('stable', 'second');
my $second = $deploy->();
like($stack->get('web')->{body}, qr/second/, 'the tag moved: a deployment takes what it is now');
isnt($second->{image}{digest}, $first->{image}{digest}, 'by another digest');

# ---- back, although the image is here no more ----
my $gone = try_for { (($stack->podman(qw(ps --all --quiet)))[1] =~ tr/\n//) == 1 } 120;
ok($gone, 'the first container has ended');
$stack->podman('rmi', '-f', "localhost/wisehost/$app->{id}:$first->{id}");
my $back = $stack->wh('rollback', 'web');
is($back->{rc}, 0, 'a rollback') or diag($back->{err});
like($stack->get('web')->{body}, qr/first/, 'pulls what the tag was then');
my ($now) = grep { $_->{serving} eq 'current' } @{ $stack->api(GET => '/v1/apps/web/deployments')->{json}{items} };
is($now->{image}{digest}, $first->{image}{digest}, 'by its digest');

# ---- refused ----
my $to = sub {
    my ($image) = @_;
    my $got = $stack->api(PATCH => '/v1/apps/web', { image => $image }, headers => { 'If-Match' => '*' });
    is($got->{status}, 200, "the app is to run $image") or diag($got->{body});
    return $deploy->()->{cause};
};
is($to->("$host/team/web\@sha256:" . '0' x 64)->{code}, 'pull_failed', 'a digest that is not there');
is($to->('127.0.0.2:5000/team/web')->{code}, 'image_refused', 'a registry that the administrator did not name');
$push->('big', 'big', "COPY big /big\n");
is($to->("$host/team/web:big")->{code}, 'too_large', 'an image over image_max_bytes');
like($stack->get('web')->{body}, qr/first/, 'all the while the name answers as before');
unlike(($stack->podman(qw(images --all --format), '{{.Repository}}:{{.Tag}}'))[1], qr/\Q$host\E/, 'and none of them is left');

# ---- the token is nowhere ----
my ($found) = (join "\n", map { $stack->log_text($_) } qw(agent scheduler httpd httpd-error podman)) =~ /(\Q$token\E)/;
is($found, undef, 'the token is in no log');
(undef, $said) = $stack->run_cmd('grep', '-rlaF', $token, map { $stack->dir . "/$_" } qw(state agent engine/storage/overlay-images engine/storage/vfs-images));
is($said =~ /No such file/ ? '' : $said, '', 'nor in the database or in any other file') or diag($said);
is($stack->wh('apps', 'credentials', 'web', '--remove')->{rc}, 0, 'wh apps credentials --remove');
is($stack->api(GET => '/v1/apps/web/source')->{json}{credentials}, undef, 'they are forgotten');

$stack->allow_log(qr/WH06/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
$registry->stop;
done_testing();
