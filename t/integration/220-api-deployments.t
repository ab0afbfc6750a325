#!/usr/bin/perl
# db: sqlite pgsql
# Deployments: made with their job in one transaction, listed, shown, canceled; their log from its file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select ();
use IO::Socket::UNIX ();
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $token = $api->token;
my $app = $api->app($token, 'blog', run => { port => 3000 });
my $other = $api->app($token, 'shop');

# ---- making ----------------------------------------------------------------------------------------
my $res = $api->req(POST => '/v1/apps/blog/deployments', token => $token, body => '');
is($res->{status}, 202, 'F214 a deployment is made, without a body too') or diag $res->{body};
my $d = $res->{json};
is($res->{headers}{location}, "/v1/deployments/$d->{id}", 'Location names it');
is_deeply([ @$d{qw(app environment number status conclusion phase trigger worker cause)} ],
    [ 'blog', 'production', 1, 'prepare', undef, 'queued', 'api', undef, undef ], 'F183 it waits');
is($d->{commit}{ref}, 'main', 'for the app\'s own branch');
is($d->{url}, 'https://blog.apps.example.test/', 'and says where it will be');
is_deeply([ $api->sql("SELECT kind, status, epoch, app_id FROM jobs WHERE deployment_id = '$d->{id}'") ], [ [ 'deploy', 'pending', 0, $app->{id} ] ],
    'its job is pending');
my $snapshot = JSON::PP::decode_json($api->value("SELECT snapshot FROM deployments WHERE id = '$d->{id}'"));
is($snapshot->{run}{port}, 3000, 'F227 it keeps a snapshot of the app');
my $etag = $api->req(GET => '/v1/apps/blog', token => $token)->{headers}{etag};
is($api->req(PATCH => '/v1/apps/blog', token => $token, json => { run => { port => 4000 } }, headers => { 'If-Match' => $etag })->{status}, 200,
    'the app is changed');
is(JSON::PP::decode_json($api->value("SELECT snapshot FROM deployments WHERE id = '$d->{id}'"))->{run}{port}, 3000, 'F227 the snapshot is not');

$res = $api->req(POST => '/v1/apps/blog/deployments', token => $token, json => { ref => 'feature/x', environment => 'staging' });
is_deeply([ @{ $res->{json} }{qw(number environment)}, $res->{json}{commit}{ref}, $res->{json}{url} ],
    [ 2, 'staging', 'feature/x', 'https://blog-env-staging.apps.example.test/' ], 'a branch into an environment');
my $sha = 'a1' x 20;
$res = $api->req(POST => '/v1/apps/blog/deployments', token => $token, json => { commit => $sha });
is_deeply([ $res->{json}{number}, $res->{json}{commit}{sha} ], [ 3, $sha ], 'an exact commit');
$api->is_problem($api->req(POST => '/v1/apps/none/deployments', token => $token, json => {}), 404, 'not_found', 'of an app that is not there');

# ---- numbers under pressure ------------------------------------------------------------------------
my @kids;
for (1 .. 6) {
    my $pid = fork // die;
    if (!$pid) {
        delete $api->{http};
        my $ok = grep { $api->req(POST => '/v1/apps/shop/deployments', token => $token, json => {})->{status} == 202 } 1 .. 5;
        require POSIX;
        POSIX::_exit($ok);
    }
    push @kids, $pid;
}
my $made = 0;
for (@kids) { waitpid $_, 0; $made += $? >> 8 }
is($made, 30, '30 at once are all taken');
is_deeply([ sort { $a <=> $b } map { $_->[0] } $api->sql("SELECT number FROM deployments WHERE app_id = '$other->{id}'") ], [ 1 .. 30 ],
    'numbered without a gap and without a double');

# ---- showing ---------------------------------------------------------------------------------------
$res = $api->req(GET => "/v1/deployments/$d->{id}", token => $token);
is($res->{status}, 200, 'shown');
is_deeply($res->{json}, $d, 'as it was made');
my (@numbers, $cursor);
do {
    $res = $api->req(GET => '/v1/apps/shop/deployments?limit=7' . ($cursor ? "&cursor=$cursor" : ''), token => $token);
    push @numbers, map { $_->{number} } @{ $res->{json}{items} };
    $cursor = $res->{json}{next};
} while $cursor && @numbers < 100;
is_deeply(\@numbers, [ reverse 1 .. 30 ], 'listed newest first, page by page');

# ---- cancel ----------------------------------------------------------------------------------------
$res = $api->req(POST => "/v1/deployments/$d->{id}/cancel", token => $token, body => '');
is($res->{status}, 202, 'a cancellation is asked for') or diag $res->{body};
cmp_ok($api->value("SELECT cancel_at FROM jobs WHERE deployment_id = '$d->{id}'"), '>', 0, 'and noted for the scheduler');
is($api->req(POST => "/v1/deployments/$d->{id}/cancel", token => $token, json => {})->{status}, 202, 'asked again: the same');
$api->sql("UPDATE jobs SET status = 'canceled' WHERE deployment_id = '$d->{id}'",
    "UPDATE deployments SET status = 'completed', conclusion = 'canceled', phase = 'done' WHERE id = '$d->{id}'");
$api->unchanged('canceling what is over', sub {
    $api->is_problem($api->req(POST => "/v1/deployments/$d->{id}/cancel", token => $token, json => {}), 409, 'already_completed', 'what is over is a conflict');
});

# ---- the log ---------------------------------------------------------------------------------------
my $id = $api->req(GET => '/v1/apps/shop/deployments?limit=1', token => $token)->{json}{items}[0]{id};
my $logs = "/v1/deployments/$id/logs";
$res = $api->req(GET => $logs, token => $token);
is_deeply($res->{json}, { items => [], next => 0, complete => JSON::PP::false }, 'a log that has not begun');
my $dir = "$api->{state}/logs/$id";
mkdir $dir or die;
sub segment {
    my ($n, @lines) = @_;
    open my $out, '>', sprintf('%s/%06d.seg', $dir, $n) or die;
    print {$out} @lines;
    close $out or die;
    return;
}
segment(1, map {"$_ 1700000000000000 out line $_\n"} 1 .. 10);
segment(2, "11 1700000000000001 err oops \"quoted\" <b>\n", "12 1700000000000002 sys done\n", '13 1700000000000003 out not yet whol');
$res = $api->req(GET => $logs, token => $token);
is_deeply([ map { $_->{seq} } @{ $res->{json}{items} } ], [ 1 .. 12 ], 'lines of all segments, the unfinished one not yet');
is_deeply($res->{json}{items}[10], { seq => 11, at => '2023-11-14T22:13:20.000001Z', stream => 'err', text => 'oops "quoted" <b>' }, 'with their parts');
is_deeply([ $res->{json}{next}, $res->{json}{complete} ], [ 12, JSON::PP::false ], 'and where to go on');
$res = $api->req(GET => "$logs?after=4&limit=3", token => $token);
is_deeply([ map { $_->{seq} } @{ $res->{json}{items} } ], [ 5, 6, 7 ], 'from a line on, so many');
is($res->{json}{next}, 7, 'next');
is_deeply([ map { $_->{seq} } @{ $api->req(GET => "$logs?after=11", token => $token)->{json}{items} } ], [12], 'from the middle of a later segment');
$api->sql("UPDATE deployments SET status = 'completed', conclusion = 'failed', phase = 'done' WHERE id = '$id'");
$res = $api->req(GET => "$logs?after=12", token => $token);
is_deeply($res->{json}, { items => [], next => undef, complete => JSON::PP::true }, 'complete when the deployment is over and all was read');
ok(!$api->req(GET => "$logs?limit=5", token => $token)->{json}{complete}, 'not before all was read');
$api->is_problem($api->req(GET => "$logs?$_", token => $token), 400, 'bad_parameter', "?$_") for 'after=-1', 'limit=1001', 'limit=0', 'after=x';
segment(3, map {"$_ 1700000000000000 out " . 'x' x 8000 . "\n"} 14 .. 400);
$res = $api->req(GET => "$logs?after=12&limit=1000", token => $token);
cmp_ok(length $res->{body}, '<', 1_300_000, 'one answer stays near 1 MiB');
ok(!$res->{json}{complete} && $res->{json}{next} > 100, 'and says where to go on');

# ---- the poke --------------------------------------------------------------------------------------
my $hub = IO::Socket::UNIX->new(Local => "$api->{state}/run/hub.sock", Listen => 5) or die "hub: $!";
chmod 0777, "$api->{state}/run/hub.sock";
is($api->req(POST => '/v1/apps/blog/deployments', token => $token, json => {})->{status}, 202, 'made with a scheduler there');
my $poke = '';
if (IO::Select->new($hub)->can_read(5)) { my $c = $hub->accept; sysread $c, $poke, 4096 }
like($poke, qr{^POST /poke HTTP/1\.1\r\n(?:.*\r\n)*\r\n$}, 'the scheduler is told at once');
close $hub;
is($api->req(POST => '/v1/apps/blog/deployments', token => $token, json => {})->{status}, 202, 'a dead socket does no harm');

# ---- a deleted app ---------------------------------------------------------------------------------
$api->req(DELETE => '/v1/apps/shop', token => $token, headers => { 'If-Match' => '*' });
$api->is_problem($api->req(GET => $logs, token => $token), 404, 'not_found', 'what belongs to a deleted app is gone');

is($api->unexpected, '', 'the error log is clean');
done_testing();
