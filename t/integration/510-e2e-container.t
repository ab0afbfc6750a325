#!/usr/bin/perl
# db: sqlite pgsql
# A container app from its repository to its name, and every way in which it can fail.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for now_s);

my $src = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1, scheduler_conf => { job_deadline_check_s => 5 });
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;

my $server = $stack->dir . '/server';
is(system('gcc', '-static', '-O2', '-pthread', '-o', $server, "$src/examples/hello-container/server.c"), 0,
    'the example server is built');
my %files = (
    server       => WH::Stack::slurp($server),
    Dockerfile   => WH::Stack::slurp("$src/examples/hello-container/Dockerfile"),
    'index.html' => "<p>birch\n",
);
my $slug = 'box';
my $repo = $stack->repo($slug);
my $commit = sub {
    my (%change) = @_;
    $repo->write_file('server', $files{server}, 0755);
    return $repo->commit({ %files, %change });
};
# git keeps the mode of a file that is there already.
$commit->();
my $app = $stack->api(POST => '/v1/apps', { slug => $slug, kind => 'container', serve => { grace_seconds => 10 },
    repository => { url => $repo->path, branch => 'main' }, run => { port => 8080 } });
is($app->{status}, 201, 'a container app is made') or diag($app->{body});
my $stats = sub { return $stack->api(GET => "/v1/apps/$slug/stats")->{json} };
is($stats->()->{reason}, 'not_running', 'F4 it has no figures yet');

my $deploy = sub {
    my $done = $stack->deploy($slug, {}, 90);
    note(join "\n", map { "log: $_" } $stack->log_lines($done->{id}));
    return $done;
};
my $first = $deploy->();
is($first->{conclusion}, 'succeeded', 'it is built, started, probed and live') or diag(explain $first);
my $got = $stack->get($slug);
is($got->{status}, 200, 'the name answers');
like($got->{body}, qr/birch/, 'out of the container');

my $word = join '', map { chr 97 + int rand 26 } 1 .. 12;
$commit->('index.html' => "<p>$word\n");
my $worded = $deploy->();
is($worded->{conclusion}, 'succeeded', 'a change is deployed');
# The image of the container that was made last.
my $image = sub {
    my (undef, $id) = $stack->podman(qw(ps --latest --quiet));
    my (undef, $of) = $stack->podman(qw(inspect --format {{.Image}}), $id =~ /([0-9a-f]+)/);
    return $of =~ /^([0-9a-f]{64})$/m ? $1 : "none: $of";
};
my $kept = $image->();
like($stack->get($slug)->{body}, qr/$word/, 'and live when the deployment is completed');
my $live = $word;

my %broken = (
    'a Dockerfile that does not parse' => [ 'build_failed', { Dockerfile => "FROM scratch\nBROKEN x\n" } ],
    'a Dockerfile that copies what is not there' =>
        [ 'build_failed', { Dockerfile => "FROM scratch\nCOPY nothing /x\n" } ],
    'a container that exits' =>
        [ 'container_exited', { Dockerfile => "FROM scratch\nCOPY server /server\nENTRYPOINT [\"/server\", \"/none\"]\n" } ],
    'a container that listens elsewhere' => [ 'not_listening',
        { Dockerfile => "FROM scratch\nCOPY server /server\nCOPY . /www/\nENV PORT=9\nENTRYPOINT [\"/server\", \"/www\"]\n" } ],
);
delete $broken{'a container that listens elsewhere'};    # PORT is given by the agent: see below
for my $what (sort keys %broken) {
    my ($code, $change) = @{ $broken{$what} };
    $commit->(%$change);
    my $done = $deploy->();
    is($done->{conclusion}, 'failed', "$what: the deployment fails") or diag(explain $done);
    is($done->{cause}{code}, $code, "its cause is $code") or diag(explain $done->{cause});
    like($done->{cause}{detail} // '', qr/\w+ \w+ \w+/, 'said in a sentence') and note($done->{cause}{detail});
    ok(scalar($stack->log_lines($done->{id})), 'its log is kept');
    like($stack->get($slug)->{body}, qr/$live/, 'the former release goes on serving');
}

# It has run for a while, so nothing is to be waited for.
my $uses = try_for { my $l = $stats->(); $l->{live} && $l } 20;
ok($uses && $uses->{memory_bytes} > 0 && $uses->{net_total_bytes} > 0, 'F71 F72 what it uses is known') or diag(explain $stats->());
like($stack->wh('stats', $slug)->{out}, qr/^cpu .*^memory .*^network .* in, .* out\n.*^of +\d+ container/ms, 'and said by wh stats');

# One that never listens: a program that only waits.
my $waiter = $stack->dir . '/waiter.c';
open my $c, '>', $waiter or die;
print {$c} "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";
close $c;
is(system('gcc', '-static', '-o', "$waiter.bin", $waiter), 0, 'a program that listens nowhere');
$repo->write_file('waiter', WH::Stack::slurp("$waiter.bin"), 0755);
$repo->commit({ Dockerfile => "FROM scratch\nCOPY waiter /waiter\nENTRYPOINT [\"/waiter\"]\n" });
my $done = $deploy->();
is($done->{cause}{code}, 'not_listening', 'one that never listens: not_listening') or diag(explain $done);
like($done->{cause}{detail} // '', qr/nothing listened on port 8080 within 5 s/, 'said with port and time');
like($stack->get($slug)->{body}, qr/$live/, 'the former release goes on serving');

# Old instances are drained and removed, failed ones do not stay.
$repo->commit({ waiter => undef });
$commit->('index.html' => "<p>last\n");
is($deploy->()->{conclusion}, 'succeeded', 'a good commit heals it');
my $left = try_for {
    my ($code, $text) = $stack->podman(qw(ps --all --quiet));
    $code == 0 && scalar(grep { /\S/ } split /\n/, $text) == 1;
} 40;
ok($left, 'only the container that serves is left') or diag(($stack->podman(qw(ps --all)))[1]);

# Back to what has no container any more: one is started from the image that its worker kept, and nothing is built.
isnt($image->(), $kept, 'another image is live');
my $back = $stack->api(POST => "/v1/deployments/$worded->{id}/rollback", {});
is($back->{status}, 202, 'F223 a rollback to a deployment whose container is gone') or diag($back->{body});
my $wish;
ok(try_for(sub { ($wish = $stack->api(GET => $back->{headers}{location})->{json})->{done_at} }, 60), 'comes to an end');
is($wish->{outcome}, 'switched', 'it is switched') or diag(explain $wish);
like($stack->get($slug)->{body}, qr/$word/, 'the name shows it again');
my $restarted = $stack->api(GET => "/v1/deployments/$wish->{result}")->{json};
isnt($restarted->{id}, $worded->{id}, 'as a deployment of its own');
is("$restarted->{conclusion} $restarted->{trigger}", 'succeeded rollback', 'that succeeded');
is($restarted->{commit}{sha}, $worded->{commit}{sha}, 'of the same commit');
unlike(join("\n", $stack->log_lines($restarted->{id})), qr/STEP|COMMIT/, 'without a build');
is($image->(), $kept, 'from the image of then');

$stack->allow_log(qr/WH06/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
