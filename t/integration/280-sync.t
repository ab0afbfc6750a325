#!/usr/bin/perl
# db: sqlite pgsql
# Following a repository: polled, by hand and by webhook through one path; a commit makes one deployment.
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
my $repo = $stack->app('page', { 'index.html' => "first\n" }, sync => { type => 'polling', every_seconds => 60 });
my $id = $stack->api(GET => '/v1/apps/page')->{json}{id};
sub state_of { return $stack->api(GET => "/v1/apps/$_[0]/sync")->{json} }
# Its time has come.
sub now_due { return $stack->db->rows("UPDATE syncs SET next_at = 0 WHERE app_id = '$id'") }
sub deployments { return $stack->api(GET => "/v1/apps/$_[0]/deployments")->{json}{items} }

sub synced_to {
    my ($sha) = @_;
    my $s;
    wait_for { $s = state_of('page'); ($s->{commit} // '') eq $sha && $s->{app_status} eq 'synced' } 90, "$sha to be synced";
    return $s;
}

# ---- polling -----------------------------------------------------------------------------------------
my $first = $repo->git('-C', $repo->work, 'rev-parse', 'HEAD');
my $s = synced_to($first);
is_deeply([ @$s{qw(type every_seconds status cause trigger ref failures)} ], [ 'polling', 60, 'success', undef, 'poll', 'main', 0 ],
    'F251 a polled app is deployed with no other action') or diag explain $s;
like($stack->get('page')->{body}, qr/first/, 'and live');
my ($d) = @{ deployments('page') };
is_deeply([ $d->{trigger}, $d->{commit}{sha}, $d->{commit}{ref} ], [ 'poll', $first, 'main' ], 'F253 its commit is what the branch pointed at');

my $second = $repo->commit({ 'index.html' => "second\n" });
now_due();
$s = synced_to($second);
is(scalar @{ deployments('page') }, 2, 'a push makes one deployment');
like($stack->get('page')->{body}, qr/second/, 'and is live');
my $version = $s->{events}[0]{version};
for my $n (1, 2) {
    now_due();
    wait_for { $s = state_of('page'); $s->{status} eq 'success' && $s->{events}[0]{version} >= $version + 2 * $n } 90, "look $n";
}
is(scalar @{ deployments('page') }, 2, 'the same commit again makes none');
is_deeply([ map { $_->{status} } reverse @{ $s->{events} } ], [ map { ('syncing', 'success') } 1 .. @{ $s->{events} } / 2 ],
    'F243 F252 each sync is syncing, then success');
is_deeply([ map { $_->{version} } reverse @{ $s->{events} } ], [ 1 .. @{ $s->{events} } ], 'F244 one event a write');
is($stack->db->value("SELECT version FROM syncs WHERE app_id = '$id'"), scalar @{ $s->{events} }, 'and no write without one');
is(scalar(grep { $_->{deployment} } @{ $s->{events} }), 2, 'those that made a deployment name it');

# ---- a repository that fails ---------------------------------------------------------------------------
rename $repo->path, $repo->path . '.away' or die;
now_due();
wait_for { $s = state_of('page'); $s->{status} eq 'failed' } 90, 'the failure to be stated';
is_deeply([ $s->{cause}{code}, $s->{failures}, $s->{app_status}, $s->{commit} ], [ 'repository_unreachable', 1, 'synced', $second ],
    'F255 F258 the sync failed, the app is what it was') or diag explain $s;
like($s->{cause}{detail}, qr/is not there/, 'it says why');
like($stack->wh('apps', 'info', 'page')->{out}, qr/synced +failed \(synced\), \Q@{[ substr $second, 0, 7 ]}\E\n +.*is not there/, 'wh apps info too');
for my $n (2 .. 4) {
    now_due();
    wait_for { $s = state_of('page'); $s->{failures} == $n && $s->{status} eq 'failed' } 90, "failure $n";
}
my $wait = $stack->db->value("SELECT next_at - updated_at FROM syncs WHERE app_id = '$id'") / 1e6;
cmp_ok($wait, '>=', 240, 'it waits longer each time');
cmp_ok($wait, '<=', 480, 'doubled, drawn from the upper half');
is(scalar @{ deployments('page') }, 2, 'F262 nothing is deployed of it');
rename $repo->path . '.away', $repo->path or die;
is($stack->wh('sync', 'page')->{rc}, 0, 'wh sync looks now');
wait_for { $s = state_of('page'); $s->{status} eq 'success' } 90, 'it is found again';
is_deeply([ @$s{qw(failures cause trigger asked_at)} ], [ 0, undef, 'manual', undef ], 'and all is forgotten');

# ---- by hand -------------------------------------------------------------------------------------------
is($stack->wh('apps', 'set', 'page', '--sync', 'manual')->{rc}, 0, 'wh apps set --sync manual');
my $third = $repo->commit({ 'index.html' => "third\n" });
now_due();
my $hook = $stack->api(POST => '/v1/hooks', { app => 'page', provider => 'github' })->{json};
my ($path) = $hook->{url} =~ m{(/v1/webhooks/github/\S+)$};
my $payload = json_decode(WH::Stack::slurp("$WH::Stack::src/t/data/github/push.json"));
my $n = 0;
my $push = sub {
    my ($sha) = @_;
    my $body = json_encode({ %$payload, ref => 'refs/heads/main', after => $sha, deleted => JSON::PP::false(),
        head_commit => { %{ $payload->{head_commit} }, id => $sha, message => 'by hook' } });
    return $stack->request(method => 'POST', path => $path, body => $body, headers => { 'Content-Type' => 'application/json',
        'X-GitHub-Event' => 'push', 'X-GitHub-Delivery' => sprintf('d0000000-0000-4000-8000-%012d', ++$n),
        'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($body, $hook->{secret}) });
};
my $got = $push->($third);
is_deeply([ $got->{status}, json_decode($got->{body}) ], [ 200, { ignored => 'sync_manual' } ], 'a hook of an app that is synced by hand starts nothing');
is(scalar @{ deployments('page') }, 2, 'nor does a look');
is($stack->api(POST => '/v1/apps/page/sync')->{status}, 202, 'asked for by hand');
synced_to($third);
is(deployments('page')->[0]{trigger}, 'manual', 'it is deployed');

# ---- by webhook, with polling behind it ---------------------------------------------------------------------
is($stack->wh('apps', 'set', 'page', '--sync', 'polling', '--sync-every', '1d')->{rc}, 0, 'polling, once a day');
wait_for { ($s = state_of('page'))->{trigger} eq 'poll' && $s->{status} eq 'success' } 90, 'a changed setting is a look at once';
my $fourth = $repo->commit({ 'index.html' => "fourth\n" });
is($push->($fourth)->{status}, 202, 'a hook of a polled app is quicker');
$s = synced_to($fourth);
is_deeply([ map { [ @$_{qw(status trigger commit)} ] } @{ $s->{events} }[ 0, 1 ] ], [ [ 'success', 'push', $fourth ], [ 'syncing', 'push', $third ] ],
    'F259 F260 a hook keeps the same books') or diag explain $s->{events};
now_due();
wait_for { ($s = state_of('page'))->{trigger} eq 'poll' && $s->{status} eq 'success' } 90, 'the look after it';
is(scalar @{ deployments('page') }, 4, 'F253 finds the commit deployed already');

# ---- what is refused ---------------------------------------------------------------------------------------
my $etag = $stack->api(GET => '/v1/apps/page')->{headers}{etag};
for ([ { type => 'often' }, '/sync/type' ], [ { every_seconds => 29 }, '/sync/every_seconds' ], [ { every_seconds => 86401 }, '/sync/every_seconds' ],
    [ { url => 1 }, '/sync/url' ]) {
    my $no = $stack->request(method => 'PATCH', path => '/v1/apps/page', body => json_encode({ sync => $_->[0] }),
        headers => { 'Content-Type' => 'application/json', 'If-Match' => $etag, Authorization => "Bearer $stack->{token}" });
    is($no->{status}, 400, "no: $_->[1]") or diag $no->{body};
}
$stack->stop;
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
done_testing();
