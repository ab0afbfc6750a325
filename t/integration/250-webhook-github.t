#!/usr/bin/perl
# db: sqlite pgsql
# Hooks, and the deliveries of GitHub that they take: signature over the raw body first, then the content;
# each delivery at most one deployment.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha1_hex hmac_sha256_hex sha256_hex);
use IO::Socket::INET ();
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $token = $api->token;
my $app = $api->app($token, 'hello-static');
my $after = '9fceb02d0ae598e95dc970b74767f19372d61af8';

sub payload { my ($name) = @_; return WH::Api::_slurp("$FindBin::Bin/../data/github/$name.json") }
sub pushed { my (%with) = @_; my $p = JSON::PP::decode_json(payload('push')); $p->{$_} = $with{$_} for keys %with;
    return JSON::PP->new->utf8->canonical->encode($p) }
# Another body for the same push, so that it is no repetition.
my $nth = 0;
sub fresh { my ($name) = @_; my $p = JSON::PP::decode_json(payload($name)); $p->{x_nth} = ++$nth; return JSON::PP->new->utf8->canonical->encode($p) }
sub deployments { return $api->value('SELECT count(*) FROM deployments') }

# ---- hooks -----------------------------------------------------------------------------------------
my $res = $api->req(POST => '/v1/hooks', token => $token, json => { app => 'hello-static', provider => 'github' });
is($res->{status}, 201, 'a hook is made') or diag $res->{body};
my $hook = $res->{json};
like($hook->{secret}, qr/^[0-9a-f]{64}$/, 'its secret is shown once');
is($hook->{url}, "$api->{url}/v1/webhooks/github/$hook->{id}", 'with the address to give to GitHub');
is($hook->{secret}, hmac_sha256_hex("hook:$hook->{id}", $api->{key}{webhook}), 'the secret is derived');
unlike($api->db->dump_all, qr/$hook->{secret}/, 'and nowhere stored');
$res = $api->req(GET => '/v1/hooks', token => $token);
is_deeply([ map { $_->{id} } @{ $res->{json}{items} } ], [ $hook->{id} ], 'hooks are listed');
unlike($res->{body}, qr/"secret"|$hook->{secret}/, 'without secrets');
is($api->req(GET => "/v1/hooks/$hook->{id}", token => $token)->{json}{app}, 'hello-static', 'and shown');
my $second = $api->req(POST => '/v1/apps/hello-static/hooks', token => $token, json => { provider => 'github' })->{json};
is(scalar @{ $api->req(GET => '/v1/apps/hello-static/hooks', token => $token)->{json}{items} }, 2, 'a second one, below the app');
$api->is_problem($api->req(POST => '/v1/hooks', token => $token, json => $_->[0]), $_->[1], undef, "a hook that cannot be: $_->[2]")
    for [ { app => 'none', provider => 'github' }, 404, 'no app' ], [ { app => 'hello-static', provider => 'svn' }, 400, 'no provider of ours' ],
    [ { app => 'hello-static' }, 400, 'no provider' ], [ { app => 'hello-static', provider => 'github', secret => 'mine' }, 400, 'a field more' ];

# ---- a push ----------------------------------------------------------------------------------------
my $body = payload('push');
$res = $api->deliver($hook, 'push', $body, delivery => 'd-0001');
is($res->{status}, 202, 'F15 F213 a signed push makes a deployment') or diag $res->{body};
my $d = $res->{json};
is($res->{headers}{location}, "/v1/deployments/$d->{id}", 'Location names it');
is_deeply([ @$d{qw(app trigger environment number)} ], [ 'hello-static', 'push', 'production', 1 ], 'of the hook\'s app');
is_deeply([ @{ $d->{commit} }{qw(sha ref message)} ], [ $after, 'main', 'Say hello to everybody' ], 'F253 of exactly the commit that was pushed');
is($api->value("SELECT status FROM jobs WHERE deployment_id = '$d->{id}'"), 'pending', 'with its job');
$api->unchanged('repetitions', sub {
    my $again = $api->deliver($hook, 'push', $body, delivery => 'd-0001');
    is_deeply([ $again->{status}, $again->{json}{id} ], [ 200, $d->{id} ], 'XC19 the same delivery again: 200 with the first deployment');
    $again = $api->deliver($hook, 'push', $body, delivery => 'd-0002');
    is_deeply([ $again->{status}, $again->{json}{id} ], [ 200, $d->{id} ], 'XC19 the same body under another id within 10 minutes: the same');
    $again = $api->deliver($hook, 'push', fresh('push'), delivery => 'd-0001');
    is_deeply([ $again->{status}, $again->{json}{id} ], [ 200, $d->{id} ], 'the same id with another body: the same');
});
$api->sql('UPDATE hook_deliveries SET received_at = received_at - 601000000');
is($api->deliver($hook, 'push', $body, delivery => 'd-0003')->{status}, 202, 'after 10 minutes it is a new push');
is($api->deliver($second, 'push', $body, delivery => 'd-0001')->{status}, 202, 'another hook has its own deliveries');

# ---- the same delivery many times at once ----------------------------------------------------------
my ($before, $race, @kids) = (deployments(), fresh('push'));
for my $n (1 .. 8) {
    my $pid = fork // die;
    if (!$pid) {
        delete $api->{http};
        my $got = $api->deliver($hook, 'push', $race, delivery => 'd-race')->{status};
        require POSIX;
        POSIX::_exit($got == 202 ? 1 : $got == 200 ? 2 : 3);
    }
    push @kids, $pid;
}
my %count;
for (@kids) { waitpid $_, 0; $count{ $? >> 8 }++ }
is_deeply(\%count, { 1 => 1, 2 => 7 }, 'a delivery that comes eight times at once makes one deployment');
is(deployments() - $before, 1, 'in the database too');

# ---- ignored on purpose ----------------------------------------------------------------------------
$api->unchanged('what is ignored', sub {
    for my $case ([ 'push-branch-delete', 'branch_delete', 'F253 R22 a deleted branch' ], [ 'push-tag', 'tag', 'R22 a tag' ], [ 'push-tag-delete', undef, 'R22 a deleted tag' ],
        [ 'push-other-branch', 'other_branch', 'another branch' ], [ 'push-skip-ci', 'skip_requested', 'XC24 [skip ci]' ]) {
        $res = $api->deliver($hook, 'push', payload($case->[0]));
        is($res->{status}, 200, "$case->[2]: 200") or diag $res->{body};
        defined $case->[1] ? is_deeply($res->{json}, { ignored => $case->[1] }, "$case->[2]: with the reason")
            : like($res->{json}{ignored}, qr/^(?:tag|branch_delete)$/, "$case->[2]: with the reason");
    }
    is_deeply($api->deliver($hook, 'ping', payload('ping'))->{json}, { ignored => 'ping' }, 'XC25 ping');
    is_deeply($api->deliver($hook, 'issues', '{}')->{json}, { ignored => 'unknown_event' }, 'XC25 an event that we do not know');
    is($api->deliver($hook, 'ping', payload('ping'), headers => { 'X-GitHub-Event' => undef })->{json}{ignored}, 'unknown_event', 'no event at all');
});
$res = $api->deliver($hook, 'push', payload('push-hostile-message'));
is($res->{status}, 202, 'XC23 a hostile message does no harm') or diag $res->{body};
cmp_ok(length $res->{json}{commit}{message}, '<=', 1024, 'XC23 it is cut to 1 KiB');
unlike($res->{json}{commit}{message}, qr/[\x00-\x1f]/, 'XC23 without control bytes');
unlike($res->{body}, qr/<script/, 'XC23 and escaped in the answer');

# ---- signatures ------------------------------------------------------------------------------------
my $p = fresh('push');
my $mac = hmac_sha256_hex($p, $hook->{secret});
my @refused;
sub refused {
    my ($name, %opt) = @_;
    my $got = $api->deliver($opt{hook} || $hook, 'push', $p, %opt);
    $api->is_problem($got, 401, 'bad_signature', $name);
    delete $got->{json}{request_id};
    push @refused, JSON::PP->new->canonical->encode($got->{json});
    return;
}
$api->unchanged('bad signatures', sub {
    refused('XC1 none', headers => { 'X-Hub-Signature-256' => undef });
    refused("XC2 $_->[0]", signature => $_->[1]) for [ 'empty', '' ], [ 'sha256=', 'sha256=' ], [ '63 digits', 'sha256=' . substr $mac, 1 ], [ '65 digits', "sha256=${mac}0" ],
        [ 'no hex', 'sha256=' . 'g' x 64 ], [ 'no scheme', $mac ], [ 'another scheme', "sha512=$mac" ], [ 'SHA256=', "SHA256=$mac" ], [ 'a blank', "sha256= $mac" ],
        [ 'one bit', 'sha256=' . ($mac =~ s/^(.)/$1 eq '0' ? '1' : '0'/er) ], [ 'two', "sha256=$mac, sha256=$mac" ];
    refused('XC3 sha1 with the right secret', signature => 'sha1=' . hmac_sha1_hex($p, $hook->{secret}));
    refused('XC4 in the header of another forge', headers => { 'X-Hub-Signature-256' => undef, 'X-Gitea-Signature' => $mac, 'X-Hub-Signature' => "sha256=$mac", 'X-Gitlab-Token' => $hook->{secret} });
    refused('XC8 a plain hash of secret and body', signature => 'sha256=' . sha256_hex($hook->{secret} . $p));
    refused('another hook\'s secret', signature => 'sha256=' . hmac_sha256_hex($p, $second->{secret}));
    refused('a signature of other bytes', signature => 'sha256=' . hmac_sha256_hex("$p ", $hook->{secret}));
    refused('with an empty key', signature => 'sha256=' . hmac_sha256_hex($p, ''));
    refused('an unknown hook', hook => { id => '0' x 26, secret => $hook->{secret} });
    refused('an id that is none', hook => { id => 'x', secret => $hook->{secret} });
    my $id = '0' x 26;
    refused('an unknown hook with the secret that it would have', hook => { id => $id, secret => hmac_sha256_hex("hook:$id", $api->{key}{webhook}) });
    refused('XC27 a forge\'s address and name', headers => { 'X-Hub-Signature-256' => undef, 'X-Forwarded-For' => '140.82.112.1' });
});
my %alike = map { $_ => 1 } @refused;
is(scalar keys %alike, 1, 'all of them get the same answer, the unknown hook too') or diag explain \%alike;
is($api->deliver($hook, 'push', $p, signature => 'sha256=' . uc $mac)->{status}, 202, 'XC2 capitals are the same bytes');

# ---- bodies ----------------------------------------------------------------------------------------
my $path = "/v1/webhooks/github/$hook->{id}";
my $head = "POST $path HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: d-9\r\nConnection: close\r\n";
$api->unchanged('bodies', sub {
    $api->is_problem($api->raw($head . sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length $p, $p)), 411, 'length_required', 'XC13 D6 without a length');
    $api->is_problem($api->raw("${head}Content-Length: 5242881\r\n\r\n"), 413, 'too_large', 'XC13 D6 more than 5 MiB: refused before it is read');
    is($api->raw("${head}Content-Length: 100\r\n\r\nshort", shut => 1)->{status}, 400, 'XC13 cut short');
    my $big = '{"ref":"refs/heads/main","x":"' . 'x' x (5 * 1024 * 1024 - 100) . '"}';
    my $got = $api->deliver($hook, 'push', $big);
    ok($got->{status} == 422, 'just below 5 MiB it is read, and signed but unusable') or diag $got->{status}, substr $got->{body}, 0, 300;
    $api->is_problem($api->deliver($hook, 'push', "payload=$p", type => 'application/x-www-form-urlencoded'), 415, undef, 'XC11 the form encoding is not taken');
    for my $case ([ 'no JSON', '{' ], [ 'not an object', '[]' ], [ 'nothing in it', '{}' ], [ 'ref a number', pushed(ref => 1) ], [ 'after of 39', pushed(after => 'a' x 39) ],
        [ 'after HEAD', pushed(after => 'HEAD') ], [ 'after -x', pushed(after => '-x') ], [ 'XC17 after of 41', pushed(after => 'a' x 41) ],
        map({ [ "XC16 ref $_", pushed(ref => $_) ] } 'refs/heads/--upload-pack=x', 'refs/heads/a..b', 'refs/heads/a b', "refs/heads/a\nb", 'refs/heads/', 'main',
            'refs/tags/..', 'refs/heads/' . 'x' x 4096),
        [ 'deep', '[' x 5000 ], [ 'a byte that is no UTF-8', "{\"ref\":\"\xff\"}" ]) {
        (my $name = $case->[0]) =~ s/[^ -~]/?/g;
        $api->is_problem($api->deliver($hook, 'push', $case->[1]), 422, undef, 'signed but unusable: ' . substr $name, 0, 60);
    }
    $res = $api->deliver($hook, 'push', pushed(ref => 'refs/heads/main;id'));
    is_deeply($res->{json}, { ignored => 'other_branch' }, 'XC16 a branch of git\'s that a shell would take for more is just another branch');
    is($api->deliver($hook, 'push', pushed(ref => 'refs/pull/1/head'))->{status} =~ /^(200|422)$/ ? 1 : 0, 1, 'XC16 a pull request\'s ref makes nothing');
    $api->is_problem($api->deliver($hook, 'push', $p, delivery => $_), 422, undef, 'a delivery id that is none') for 'x' x 200, 'a b', "a'--";
    $api->is_problem($api->req(GET => $path), 405, undef, 'only POST');
});

# ---- a hook that is gone ---------------------------------------------------------------------------
is($api->req(DELETE => "/v1/hooks/$second->{id}", token => $token)->{status}, 204, 'a hook is deleted');
$api->is_problem($api->req(DELETE => "/v1/hooks/$second->{id}", token => $token), 404, 'not_found', 'once');
refused('a deleted hook, rightly signed', hook => $second);
is(scalar keys %{ { map { $_ => 1 } @refused } }, 1, 'in the same words');

# ---- limits ----------------------------------------------------------------------------------------
my @status = map { $api->deliver($hook, 'ping', '{}', signature => 'sha256=' . '0' x 64)->{status} } 1 .. 80;
is($status[-1], 429, 'refused deliveries are limited for hook and address');
is($api->deliver($hook, 'ping', '{}')->{status}, 200, 'signed ones are not');

# ---- large deliveries that nobody signed -----------------------------------------------------------
{
    my $size = 5 * 1024 * 1024;
    my ($started, $refused) = (0, 0);
    local $SIG{PIPE} = 'IGNORE';
    my @held;
    for (1 .. 20) {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $api->{port}) or die "connect: $!";
        syswrite $s, "POST /v1/webhooks/github/$hook->{id} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: $size\r\n\r\n";
        for (my $sent = 0; $sent < $size - 1;) {
            my $n = syswrite $s, 'x' x ($sent + 65536 < $size ? 65536 : $size - 1 - $sent);
            last unless $n;
            $sent += $n;
        }
        push @held, $s;
    }
    like($api->deliver($hook, 'ping', '{}')->{status}, qr/^200$/, 'XC13 a small delivery passes while large ones wait');
    for my $s (@held) {
        my $rin = '';
        vec($rin, fileno $s, 1) = 1;
        next unless select $rin, undef, undef, 0.2;
        sysread $s, my $got, 4096;
        $refused++ if ($got // '') =~ m{^HTTP/1.1 503 .*^Retry-After:}ims;
    }
    cmp_ok($refused, '>=', 5, "XC13 of twenty that would hold 100 MiB some are told to come again: $refused");
}

is($api->unexpected('WH0201: 503 busy'), '', 'the error log is clean');
done_testing();
