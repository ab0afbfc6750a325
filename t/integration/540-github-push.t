#!/usr/bin/perl
# db: sqlite pgsql
# A signed GitHub delivery makes the pushed commit live with no other action.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256_hex);
use Test::More;
use WH::Http qw(json_encode json_decode);
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new->start;
my $repo = $stack->app('page', { 'index.html' => "first\n" });
is($stack->deploy('page')->{conclusion}, 'succeeded', 'an app is live');
my $hook = $stack->api(POST => '/v1/hooks', { app => 'page', provider => 'github' });
is($hook->{status}, 201, 'a hook is made') or diag($hook->{body});
my ($path) = $hook->{json}{url} =~ m{(/v1/webhooks/github/\S+)$};
my $secret = $hook->{json}{secret};
my $payload = json_decode(WH::Stack::slurp("$WH::Stack::src/t/data/github/push.json"));
ok($payload && $payload->{ref}, 'a recorded push payload is there');

my $deliver = sub {
    my (%o) = @_;
    my $body = json_encode($o{payload});
    return $stack->request(method => 'POST', path => $path, body => $body, headers => {
        'Content-Type' => 'application/json', 'X-GitHub-Event' => $o{event} // 'push',
        'X-GitHub-Delivery' => $o{id}, 'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($body, $o{secret} // $secret),
        'User-Agent' => 'GitHub-Hookshot/044aadd' });
};
my $push = sub {
    my ($sha, $word, %change) = @_;
    return { %$payload, ref => 'refs/heads/main', after => $sha, deleted => JSON::PP::false(),
        head_commit => { %{ $payload->{head_commit} }, id => $sha, message => $word }, %change };
};
my $count = sub { $stack->db->value('SELECT COUNT(*) FROM deployments') };

my $word = join '', map { chr 97 + rand 26 } 1 .. 12;
my $sha = $repo->commit({ 'index.html' => "$word\n" }, message => $word);
my $got = $deliver->(payload => $push->($sha, $word), id => 'd0000000-0000-4000-8000-000000000001');
is($got->{status}, 202, 'F213 a signed push: 202') or diag($got->{body});
my ($id) = ($got->{headers}{location} // '') =~ m{/v1/deployments/([0-9a-z]{26})$};
ok($id, 'with the Location of the deployment');
my $done = $stack->completed($id);
is($done->{conclusion}, 'succeeded', 'which succeeds') or diag(explain $done);
is($done->{commit}{sha}, $sha, 'F216 at exactly the pushed commit');
is($done->{trigger}, 'push', 'triggered by the push');
like($stack->get('page')->{body}, qr/$word/, 'and is live with no other action');

my $before = $count->();
$got = $deliver->(payload => $push->($sha, $word), id => 'd0000000-0000-4000-8000-000000000001');
is($got->{status}, 200, 'the same delivery twice: 200');
is($got->{json}{id} // $got->{json}{deployment}, $id, 'with the first deployment') or diag($got->{body});
is($count->(), $before, 'XC19 and no second deployment');
$got = $deliver->(payload => $push->($sha, $word), id => 'd0000000-0000-4000-8000-000000000001', secret => 'x' x 64);
is($got->{status}, 401, 'a wrong secret: 401, for a known delivery too');
my %ignored = (
    'a deleted branch' => [ 'push', { after => '0' x 40, deleted => JSON::PP::true(), head_commit => undef }, 'branch_delete' ],
    'a tag'            => [ 'push', { ref => 'refs/tags/v1' },       'tag' ],
    'another branch'   => [ 'push', { ref => 'refs/heads/other' },   'other_branch' ],
);
for my $what (sort keys %ignored) {
    my ($event, $change, $reason) = @{ $ignored{$what} };
    $got = $deliver->(payload => $push->($sha, $word, %$change), event => $event, id => "ignored-$reason");
    is($got->{status}, 200, "R22 $what: 200");
    is(($got->{json} // {})->{ignored}, $reason, 'ignored with the reason') or diag($got->{body});
}
is($count->(), $before, 'and no deployment');

# A request of a fork: made, seen, and not begun before somebody says so.
$stack->db->value("UPDATE apps SET preview_max = 5 WHERE slug = 'page'");
my $request = json_decode(WH::Stack::slurp("$WH::Stack::src/t/data/hooks/github/request-open-fork.json"));
my $fork = sub {
    my ($action, $commit) = @_;
    my $p = { %$request, action => $action, pull_request => { %{ $request->{pull_request} }, head => { %{ $request->{pull_request}{head} }, sha => $commit } } };
    return $deliver->(payload => $p, event => 'pull_request', id => "fork-$action-" . substr $commit, 0, 7);
};
my @theirs = map { $repo->commit({ 'index.html' => "theirs $_\n" }, message => "theirs $_") } 1 .. 3;
$got = $fork->('opened', $theirs[0]);
is_deeply([ $got->{status}, $got->{json}{approval} ], [ 202, 'needed' ], 'a request of a fork waits for an approval') or diag($got->{body});
my $held = $got->{json};
is($stack->deploy('page')->{conclusion}, 'succeeded', 'others go on meanwhile');
is($stack->api(GET => "/v1/deployments/$held->{id}")->{json}{status}, 'prepare', 'and it still waits');
$got = $fork->('synchronize', $theirs[1]);
is($stack->completed($held->{id})->{conclusion}, 'skipped', 'R7 the next push to it supersedes it');
my $approved = $got->{json}{id};
is($stack->api(POST => "/v1/deployments/$approved/approve")->{status}, 202, 'that one is approved');
$done = $stack->completed($approved);
is($done->{conclusion}, 'succeeded', 'and deployed') or diag(explain $done);
like($done->{url}, qr{//page-branch-pull-7}, 'under an address of its own') or diag(explain $done);
$got = $fork->('synchronize', $theirs[2]);
is($fork->('closed', $theirs[2])->{json}{ignored}, 'request_closed', 'the request is closed');
is($stack->completed($got->{json}{id})->{conclusion}, 'canceled', 'then what waits is canceled');
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
