#!/usr/bin/perl
# db: sqlite pgsql
# Deliveries of every forge: the proof, what becomes of them, the log and its replay, the change of a secret,
# pushes that overtake one another, requests and those of forks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha1_hex hmac_sha256_hex sha1_hex);
use MIME::Base64 qw(encode_base64);
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $token = $api->token;
my $n = 0;

# How each forge sends: path and headers.
my %forge = (
    github    => sub { my ($h, $b, $e) = @_; ('X-GitHub-Event' => $e, 'X-GitHub-Delivery' => 'gh-' . ++$n, 'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($b, $h->{secret})) },
    gitea     => sub { my ($h, $b, $e) = @_; ('X-Gitea-Event' => $e, 'X-Gitea-Delivery' => 'gt-' . ++$n, 'X-GitHub-Event' => $e, 'X-Gitea-Signature' => hmac_sha256_hex($b, $h->{secret})) },
    gitlab    => sub { my ($h, $b, $e) = @_; ('X-Gitlab-Event' => $e, 'X-Gitlab-Event-UUID' => 'gl-' . ++$n, 'X-Gitlab-Token' => $h->{secret}) },
    bitbucket => sub { my ($h, $b, $e) = @_; ('X-Event-Key' => $e, 'X-Request-UUID' => 'bb-' . ++$n, 'X-Hub-Signature' => 'sha256=' . hmac_sha256_hex($b, $h->{secret})) },
    azure     => sub { my ($h) = @_; (Authorization => 'Basic ' . encode_base64("any:$h->{secret}", '')) },
    generic   => sub { my ($h) = @_; (Authorization => "Bearer $h->{secret}") },
);
$forge{$_} = $forge{gitea} for qw(forgejo codeberg);
my %push = (github => 'push', gitea => 'push', codeberg => 'push', forgejo => 'push', gitlab => 'Push Hook', bitbucket => 'repo:push', azure => '', generic => '');

sub hook { my ($app, $provider, %with) = @_;
    my $res = $api->req(POST => "/v1/apps/$app/hooks", token => $token, json => { provider => $provider, %with });
    is($res->{status}, 201, "a hook of $provider is made") or diag $res->{body};
    return $res->{json} }
sub payload { my ($provider, $file) = @_; $provider = 'gitea' if $provider =~ /^(?:codeberg|forgejo)$/;
    return WH::Api::_slurp("$FindBin::Bin/../data/hooks/$provider/$file.json") }
sub deliver { my ($hook, $event, $body, %more) = @_;
    my %h = ($forge{ $hook->{provider} }->($hook, $body, $event), %{ delete $more{headers} || {} });
    delete @h{ grep { !defined $h{$_} } keys %h };
    my ($path) = $hook->{url} =~ m{(/v1/webhooks/.*)};
    return $api->req(POST => $more{path} // $path, body => $body, headers => \%h) }
sub rows { my ($hook) = @_; return $api->req(GET => "/v1/hooks/$hook->{id}/deliveries", token => $token)->{json}{items} }
sub newest { my ($app) = @_; return $api->req(GET => "/v1/apps/$app/deployments", token => $token)->{json}{items}[0] }

# ---- every forge -----------------------------------------------------------------------------------
for my $p (qw(github gitea codeberg forgejo gitlab bitbucket azure generic)) {
    $api->app($token, "app-$p");
    my $hook = hook("app-$p", $p);
    like($hook->{url}, qr{/v1/webhooks/$p/}, "$p: under its own name");
    my $body = payload($p, 'push');
    my $res = deliver($hook, $push{$p}, $body);
    is($res->{status}, 202, "F15-F18 $p: a push makes a deployment") or diag $res->{body};
    is($res->{json}{commit}{sha}, '9fceb02d0ae598e95dc970b74767f19372d61af8', "F253 $p: of the commit that was pushed");
    is($res->{json}{commit}{message}, 'Say hello to everybody', "$p: with its message");
    my $again = deliver($hook, $push{$p}, $body);
    $p eq 'generic' ? isnt($again->{json}{id}, $res->{json}{id}, 'generic: the same call again is another deployment')
        : is_deeply([ @$again{qw(status)}, $again->{json}{id} ], [ 200, $res->{json}{id} ], "$p: the same push again is the same deployment");
    my $gone = deliver($hook, $p =~ /^(?:gitea|forgejo|codeberg)$/ ? 'delete' : $push{$p}, payload($p, 'branch-delete'));
    is_deeply([ $gone->{status}, $gone->{json}{ignored} ], [ 200, 'branch_delete' ], "D11 R22 $p: a deleted branch is no deployment") or diag $gone->{body};
    $api->unchanged("$p: wrong proofs", sub {
        my %other = %$hook;
        $other{secret} = 'f' x 64;
        my ($path) = $hook->{url} =~ m{(/v1/webhooks/.*)};
        (my $else = $path) =~ s{/\Q$p\E/}{$p eq 'github' ? '/gitlab/' : '/github/'}e;
        $api->is_problem(deliver(\%other, $push{$p}, $body), 401, 'bad_signature', "$p: another secret");
        $api->is_problem(deliver($hook, $push{$p}, $body, path => $else), 401, 'bad_signature', "XC4 $p: its proof under another forge's path");
        $api->is_problem(deliver($hook, $push{$p}, $body, path => $path =~ s{/\Q$p\E/}{/svn/}r), 401, 'bad_signature', "$p: under that of none");
        $api->is_problem(deliver($hook, $push{$p}, $body, headers => { map { $_ => undef } qw(Authorization X-Hub-Signature X-Hub-Signature-256 X-Gitea-Signature X-Gitlab-Token) }),
            401, 'bad_signature', "XC1 $p: none");
    });
}
{
    my $hook = hook('app-generic', 'generic');
    my ($path) = $hook->{url} =~ m{(/v1/webhooks/.*)};
    my $got = $api->raw("POST $path HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: $hook->{secret}\r\nConnection: close\r\n\r\n");
    is($got->{status}, 202, 'F253 the secret alone, without a body, deploys the branch of the app') or diag $got->{body};
    is_deeply([ @{ $got->{json}{commit} }{qw(ref sha)} ], [ 'main', undef ], 'F253 wherever it points');
    is_deeply(deliver($hook, '', '{}', headers => { 'X-Webhook-Event' => 'ping' })->{json}, { ignored => 'ping' }, 'a ping of its own');
    $api->is_problem(deliver($hook, '', '{"commit":"abc123"}'), 422, 'payload_invalid', 'half a commit is none');
    my ($last) = @{ rows($hook) };
    is_deeply([ @$last{qw(verdict deployment)} ], [ 'rejected', undef ], 'what was signed and could not be used is in the log');
    like($last->{reason}, qr/40 or 64/, 'with the reason');
}

# ---- the log and the replay ------------------------------------------------------------------------
{
    $api->app($token, 'logged');
    my $hook = hook('logged', 'github', watch => "web/**\n*.md");
    is_deeply($hook->{watch}, [ 'web/**', '*.md' ], 'a hook watches paths');
    is(deliver($hook, 'push', payload('github', 'push'))->{status}, 202, 'R7 a push that changes one of them');
    is($api->req(PATCH => "/v1/hooks/$hook->{id}", token => $token, json => { watch => 'api/**' })->{json}{watch}[0], 'api/**', 'they are changed');
    $api->is_problem($api->req(PATCH => "/v1/hooks/$hook->{id}", token => $token, json => { watch => '/api' }), 400, 'watch_invalid', 'to patterns alone');
    (my $other = payload('github', 'push')) =~ s/9fceb02d/0fceb02d/g;
    my $res = deliver($hook, 'push', $other, headers => { 'X-GitHub-Delivery' => 'unwatched-1', Cookie => 'secret=1', 'X-Auth' => 'proof' });
    is_deeply([ $res->{status}, $res->{json} ], [ 200, { ignored => 'unwatched' } ], 'R7 a push that changes none of them');
    my @rows = @{ rows($hook) };
    is_deeply([ map { $_->{verdict} } @rows ], [ qw(ignored accepted) ], 'both are in the log, the newest first');
    is_deeply([ @{ $rows[0] }{qw(delivery event ref reason deployment)} ], [ qw(unwatched-1 push refs/heads/main unwatched), undef ], 'with what became of them');
    my $one = $api->req(GET => "/v1/hooks/$hook->{id}/deliveries/$rows[0]{id}", token => $token)->{json};
    is($one->{headers}{'x-github-event'}, 'push', 'one is shown with its headers');
    is_deeply([ @{ $one->{headers} }{qw(x-hub-signature-256 cookie x-auth)} ], [ ('(hidden)') x 3 ], 'but for what proves something');
    is_deeply($one->{payload}{paths}, [ 'web/index.html', 'web/index.html', 'README.md' ], 'and what was read of it');
    unlike($api->db->dump_all('hook_deliveries'), qr/$hook->{secret}/, 'no secret is in the log');
    $res = $api->req(POST => "/v1/hooks/$hook->{id}/deliveries/$rows[0]{id}/replay", token => $token);
    is_deeply($res->{json}, { ignored => 'unwatched' }, 'replayed it is judged again');
    $api->req(PATCH => "/v1/hooks/$hook->{id}", token => $token, json => { watch => '' });
    $res = $api->req(POST => "/v1/hooks/$hook->{id}/deliveries/$rows[0]{id}/replay", token => $token);
    is($res->{status}, 202, 'by what is wanted now');
    is($res->{json}{commit}{sha}, '0fceb02d0ae598e95dc970b74767f19372d61af8', 'with its own commit');
    is(rows($hook)->[0]{replay_of}, $rows[0]{id}, 'and the log says so');
    my $page = $api->req(GET => "/v1/hooks/$hook->{id}/deliveries?limit=1", token => $token)->{json};
    is($api->req(GET => "/v1/hooks/$hook->{id}/deliveries?limit=2&cursor=$page->{next}", token => $token)->{json}{items}[1]{id}, $rows[0]{id}, 'the log has pages');
    $api->is_problem($api->req(GET => "/v1/hooks/$hook->{id}/deliveries/x", token => $token), 404, 'not_found', 'no such delivery');
    # What was ignored may come again under the same id, from the forge's own list.
    $api->req(PATCH => "/v1/hooks/$hook->{id}", token => $token, json => { watch => '' });
    (my $third = $other) =~ s/0fceb02d/1fceb02d/g;
    is(deliver($hook, 'push', $third, headers => { 'X-GitHub-Delivery' => 'unwatched-1' })->{status}, 202, 'an ignored delivery that comes again is taken');
    $api->sql("UPDATE hook_deliveries SET received_at = received_at - 2700000000000", "UPDATE hooks SET last_delivery_at = 1 WHERE id = '$hook->{id}'");
    deliver($hook, 'ping', '{}');
    is(scalar @{ rows($hook) }, 1, 'after 30 days deliveries are forgotten');
}

# ---- a secret that is changed ----------------------------------------------------------------------
{
    my $hook = hook('logged', 'gitlab');
    my %old = %$hook;
    my $ping = sub { my ($h) = @_; return deliver($h, 'Note Hook', '{}')->{status} };
    my $new = $api->req(POST => "/v1/hooks/$hook->{id}/rotate", token => $token, json => { overlap => 60 })->{json};
    isnt($new->{secret}, $old{secret}, 'the next secret is another');
    ok($new->{previous_secret_until}, 'and till when the former one is taken is told');
    is($ping->($new), 200, 'the new one is taken');
    is($ping->(\%old), 200, 'and the old one for a while');
    $api->sql("UPDATE hooks SET previous_until = 1 WHERE id = '$hook->{id}'");
    is($ping->(\%old), 401, 'not longer');
    my $third = $api->req(POST => "/v1/hooks/$hook->{id}/rotate", token => $token, json => { overlap => 0 })->{json};
    is($ping->($new), 401, 'without an overlap it ends at once');
    is($ping->($third), 200, 'for the next');
    is($ping->(\%old), 401, 'and the first never comes back');
    $api->is_problem($api->req(POST => "/v1/hooks/$hook->{id}/rotate", token => $token, json => { overlap => 9999999 }), 400, undef, 'an overlap has an end');
}

# ---- pushes that overtake one another --------------------------------------------------------------
{
    $api->app($token, 'raced');
    my $hook = hook('raced', 'gitea');
    my @sha = map { sha1_hex("commit $_") } 0 .. 20;
    my $pushed = sub { my ($from, $to) = @_;
        my $p = JSON::PP::decode_json(payload('gitea', 'push'));
        @$p{qw(before after)} = ($sha[$from], $sha[$to]);
        $p->{commits} = [ { %{ $p->{commits}[0] }, id => $sha[$to], message => "commit $to" } ];
        $p->{head_commit} = $p->{commits}[0];
        return deliver($hook, 'push', JSON::PP->new->canonical->utf8->encode($p)) };
    my $ends = sub { my ($at, $name) = @_; is(newest('raced')->{commit}{sha}, $sha[$at], "O9 $name: the app ends at its newest commit") };
    $pushed->(0, 1);
    $ends->(1, 'one push');
    $pushed->(2, 3);
    is_deeply($pushed->(1, 2)->{json}, { ignored => 'superseded' }, 'O9 what a newer one came on top of starts nothing');
    $ends->(3, 'two that changed places');
    $pushed->(6, 7);
    $pushed->(3, 4);
    $ends->(4, 'a gap that is not known yet');
    my $res = $pushed->(5, 6);
    is_deeply([ $res->{status}, $res->{json}{commit}{sha} ], [ 202, $sha[7] ], 'O9 the gap is closed: the newest once more') or diag $res->{body};
    is($res->{json}{commit}{message}, 'commit 7', 'with its own message');
    is_deeply($pushed->(4, 5)->{json}, { ignored => 'superseded' }, 'and what lay between starts nothing');
    $ends->(7, 'a gap that was closed');
    $pushed->(7, 5);
    $ends->(5, 'F253 a branch that was set back');
    $pushed->(5, 7);
    $ends->(7, 'and forward again');
    is(scalar(grep { $_->{reason} && $_->{reason} eq 'newer_known' } @{ rows($hook) }), 1, 'the log says when');
    # Many at once, in any order, twice.
    my @kids;
    for my $i (sort { rand() <=> 0.5 } (7 .. 16) x 2) {
        my $pid = fork // die;
        if (!$pid) { delete $api->{http}; $n = $$ * 1000 + $i; my $s = $pushed->($i, $i + 1)->{status}; require POSIX; POSIX::_exit($s =~ /^20[02]$/ ? 0 : 1) }
        push @kids, $pid;
    }
    my $bad = 0;
    for (@kids) { waitpid $_, 0; $bad++ if $? }
    is($bad, 0, 'twenty at once are all taken');
    $ends->(17, 'twenty at once');
}

# ---- requests and forks ----------------------------------------------------------------------------
my $previews = { preview => { max => 5 } };
for my $p (qw(github gitlab azure bitbucket)) {
    my %event = (github => 'pull_request', gitlab => 'Merge Request Hook', azure => '', bitbucket => 'pullrequest:created');
    my $res = $api->req(POST => '/v1/apps', token => $token, json => $api->app_body("req-$p"));
    my $hook = hook("req-$p", $p);
    is_deeply(deliver($hook, $event{$p}, payload($p, 'request-open'))->{json}, { ignored => 'previews_off' }, "$p: without previews a request makes none");
    $api->sql("UPDATE apps SET preview_max = 5 WHERE slug = 'req-$p'");
    $res = deliver($hook, $event{$p}, payload($p, 'request-open'));
    is($res->{status}, 202, "$p: a request makes a preview") or diag $res->{body};
    like($res->{json}{environment}, qr/^preview-feature-french-/, "$p: of its branch");
    is_deeply([ @{ $res->{json} }{qw(approval cause)} ], [ undef, undef ], "$p: at once");
    my $ref = $res->{json}{commit}{ref};
    is($ref, 'feature/french', "$p: by its name");
    my $sync = deliver($hook, $p eq 'bitbucket' ? 'pullrequest:updated' : $event{$p}, payload($p, 'request-sync'));
    is($sync->{status}, 202, "$p: a push to it too") or diag $sync->{body};
    is_deeply(deliver($hook, $event{$p}, payload($p, 'request-sync') =~ s/\n\z/\n\n/r)->{json}{ignored} // 'same',
        $p eq 'azure' ? 'same' : 'already_deployed', "$p: the same commit told in another way is the same deployment") if $p ne 'bitbucket';
    my $fork = deliver($hook, $event{$p}, payload($p, 'request-open-fork'));
    if ($p eq 'bitbucket') { is_deeply($fork->{json}, { ignored => 'fork_not_fetchable' }, 'bitbucket keeps no commits of forks'); next }
    is($fork->{status}, 202, "$p: a request of a fork has a deployment") or diag $fork->{body};
    is_deeply([ $fork->{json}{approval}, $fork->{json}{cause}{code} ], [ 'needed', 'awaiting_approval' ], "$p: that waits for an approval");
    like($fork->{json}{environment}, qr/^preview-(?:pull|merge-requests)-7-/, "$p: in an environment of its own");
    is($api->value("SELECT env_public FROM deployments WHERE id = '$fork->{json}{id}'"), 1, "$p: without secrets");
    cmp_ok($api->value("SELECT not_before FROM jobs WHERE deployment_id = '$fork->{json}{id}'"), '>', 4e15, "$p: nobody is given its job");
    next if $p ne 'github';
    $api->is_problem($api->req(POST => "/v1/deployments/$sync->{json}{id}/approve", token => $token), 409, 'no_approval_needed', 'one of our own needs none');
    (my $more = payload($p, 'request-open-fork')) =~ s/9fceb02d/2fceb02d/;
    my $later = deliver($hook, $event{$p}, $more =~ s/"opened"/"synchronize"/r);
    is($later->{json}{approval}, 'needed', 'each of its pushes waits anew') or diag $later->{body};
    is($api->value("SELECT not_before FROM jobs WHERE deployment_id = '$fork->{json}{id}'"), 0, 'the one before waits no more: it is superseded');
    my $ok = $api->req(POST => "/v1/deployments/$later->{json}{id}/approve", token => $api->token('deploy'));
    is_deeply([ $ok->{status}, @{ $ok->{json} }{qw(approval cause)} ], [ 202, 'given', undef ], 'whoever may deploy approves');
    is($api->value("SELECT not_before FROM jobs WHERE deployment_id = '$later->{json}{id}'"), 0, 'then its job is given out');
    $api->is_problem($api->req(POST => "/v1/deployments/$later->{json}{id}/approve", token => $token), 409, 'no_approval_needed', 'once');
    (my $again = $more) =~ s/2fceb02d/3fceb02d/;
    my $third = deliver($hook, $event{$p}, $again);
    (my $close = $again) =~ s/"opened"/"closed"/;
    is_deeply(deliver($hook, $event{$p}, $close)->{json}, { ignored => 'request_closed' }, 'a closed request deploys nothing');
    cmp_ok($api->value("SELECT cancel_at FROM jobs WHERE deployment_id = '$third->{json}{id}'"), '>', 0, 'and what still waited is canceled');
}

# ---- a push of two refs ----------------------------------------------------------------------------
{
    my $hook = hook('req-bitbucket', 'bitbucket');
    my $res = deliver($hook, 'repo:push', payload('bitbucket', 'push-two'));
    is($res->{status}, 202, 'a push of two branches');
    is_deeply([ sort map { "$_->{verdict} $_->{ref}" } @{ rows($hook) } ], [ 'accepted refs/heads/feature/french', 'accepted refs/heads/main' ], 'starts both');
    is(deliver($hook, 'repo:push', payload('bitbucket', 'push-two'))->{status}, 200, 'once');
}

is($api->unexpected, '', 'the error log is clean');
done_testing();
