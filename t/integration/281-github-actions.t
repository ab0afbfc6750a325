#!/usr/bin/perl
# db: sqlite pgsql
# GitHub Actions: tokens of an issuer whose keys the scheduler fetches; whose runs deploy, and what is refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64 qw(encode_base64url);
use Test::More;
use Time::HiRes qw(time);
use WH::Http qw(json_encode);
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for until_limited);

# ---- an issuer of the test's own -----------------------------------------------------------------------
my $port = WH::Stack::free_port();
my $issuer = "https://localhost:$port";
my $stack = WH::Stack->new(scheduler_conf => { http_private_addresses => 'on' });
my $dir = $stack->dir . '/issuer';
mkdir $_ or die for $dir, "$dir/.well-known";
$stack->{scheduler_conf}{ca_file} = "$dir/tls.pem";
sub sh { my ($rc, $out) = $stack->run_cmd(@_); die "@_: $out" if $rc; return $out }
sub spew { my ($path, $text) = @_; open my $f, '>:raw', $path or die "$path: $!"; print {$f} $text; close $f or die; return $path }
sh(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch -subj /CN=issuer -addext
    subjectAltName=DNS:localhost -keyout), "$dir/tls.key", '-out', "$dir/tls.pem");
sub key { my ($kid) = @_;
    sh(qw(openssl genrsa -out), "$dir/$kid.key", 2048);
    my ($hex) = sh(qw(openssl rsa -noout -modulus -in), "$dir/$kid.key") =~ /Modulus=(\w+)/;
    return { kty => 'RSA', use => 'sig', alg => 'RS256', kid => $kid, n => encode_base64url(pack 'H*', $hex), e => 'AQAB' } }
sub publish { spew("$dir/jwks", json_encode({ keys => [@_] })); return }
spew("$dir/.well-known/openid-configuration", json_encode({ issuer => $issuer, jwks_uri => "$issuer/jwks" }));
my $first_key = key('k1');
publish($first_key);
my $server = WH::Proc->start(name => 'issuer', cwd => $dir, log => "$dir/log", env => { OPENSSL_CONF => '/dev/null' },
    cmd => [ qw(openssl s_server -quiet -WWW -accept), $port, '-cert', "$dir/tls.pem", '-key', "$dir/tls.key" ]);

my $jti = 0;
# token(kid, claim => value …): undef leaves a claim out.
sub token { my ($kid, %with) = @_;
    my %claims = (iss => $issuer, aud => 'wisehost-test', jti => 'run-' . ++$jti, iat => int time, nbf => int(time) - 300,
        exp => int(time) + 300, repository => 'Owner/Site', repository_id => '42', event_name => 'push',
        ref => 'refs/heads/main', actor => 'ann', workflow_ref => 'Owner/Site/.github/workflows/deploy.yml@refs/heads/main', %with);
    delete @claims{ grep { !defined $claims{$_} } keys %claims };
    my $text = join '.', map { encode_base64url(json_encode($_)) } { alg => 'RS256', typ => 'JWT', kid => $kid }, \%claims;
    my $sig = sh(qw(openssl dgst -sha256 -sign), "$dir/$kid.key", spew("$dir/text", $text));
    return "$text." . encode_base64url($sig) }

# ---- the hook ------------------------------------------------------------------------------------------
$stack->start;
my $repo = $stack->app('page', { 'index.html' => "first\n" }, sync => { type => 'github-actions' });
my $sha = $repo->git('-C', $repo->work, 'rev-parse', 'HEAD');
my $res = $stack->api(POST => '/v1/apps/page/hooks', { provider => 'github-actions' });
is_deeply([ $res->{status}, $res->{json}{errors}[0]{pointer} ], [ 400, '/actions/repository' ], 'a repository that is not on GitHub is named')
    or diag $res->{body};
my $wh = $stack->wh(qw(hooks create page --provider github-actions --repository owner/site --workflow deploy.yml --audience wisehost-test
    --issuer), $issuer);
my $said = $wh->{out} . $wh->{err};
is($wh->{rc}, 0, 'wh makes the hook') or diag $said;
my ($id) = $said =~ /^id\s+(\S+)/m;
my ($path) = $said =~ m{^url\s+\S+?(/v1/webhooks/github-actions/\w+)$}m;
like($said, qr/id-token: write.*audience=wisehost-test.*\Q$path\E/s, 'and shows the workflow');
unlike($said, qr/secret\s+\w{20}/, 'there is no secret');
is_deeply($stack->api(GET => "/v1/hooks/$id")->{json}{actions},
    { issuer => $issuer, audience => 'wisehost-test', repository => 'owner/site', workflows => ['deploy.yml'], branches => [] },
    'F251 what it takes is shown');
is($stack->api(POST => "/v1/hooks/$id/rotate")->{json}{code}, 'no_secret', 'nothing to rotate');

sub send_token { my ($token, %more) = @_;
    return $stack->request(method => 'POST', path => $more{path} // $path, headers => { Authorization => "Bearer $token" }, body => '') }
# Whoever asks on and on with a key that is not known is slowed down: here nobody is asked for it.
sub known { my ($kid) = @_; wait_for { $stack->db->value("SELECT COUNT(*) FROM token_issuers WHERE keys LIKE '%\"$kid\"%'") } 90, "the key $kid"; return }
sub deployments { return $stack->api(GET => '/v1/apps/page/deployments')->{json}{items} }

# ---- a run ---------------------------------------------------------------------------------------------
my $token = token('k1', sha => $sha);
known('k1');
$res = send_token($token);
is($res->{status}, 202, 'F251 F253 a run deploys') or diag $res->{body}, $stack->log_text('scheduler');
my $d = $stack->completed($res->{json}{id});
is_deeply([ @$d{qw(trigger conclusion)}, $d->{commit}{sha} ], [ 'github-actions', 'succeeded', $sha ], 'F253 its own commit');
my $s = $stack->api(GET => '/v1/apps/page/sync')->{json};
is_deeply([ @$s{qw(type status trigger commit app_status)}, map { $_->{status} } @{ $s->{events} } ],
    [ 'github-actions', 'success', 'github-actions', $sha, 'synced', 'success', 'syncing' ], 'F252 F259 with the whole bookkeeping') or diag explain $s;
$res = send_token($token);
is_deeply([ $res->{status}, $res->{json}{id} ], [ 200, $d->{id} ], 'a token counts once: the same jti starts nothing');
is(scalar @{ deployments() }, 1, 'one deployment');
my $plain = $stack->api(POST => '/v1/apps/page/hooks', { provider => 'generic' })->{json};
my ($plain_path) = $plain->{url} =~ m{(/v1/webhooks/.*)};
is_deeply(send_token($plain->{secret}, path => $plain_path)->{json}, { ignored => 'sync_github_actions' }, 'other hooks do not count with this type');

# ---- what does not deploy --------------------------------------------------------------------------------
for my $case (
    [ 'another audience', aud => 'wisehost-other' ], [ 'expired', exp => int(time) - 100, iat => int(time) - 400 ], [ 'not yet good', nbf => int(time) + 200 ],
    [ 'another issuer', iss => 'https://token.actions.githubusercontent.com' ], [ 'no jti', jti => undef ],
) {
    my ($what, %with) = @$case;
    $res = send_token(token('k1', sha => $sha, %with));
    is_deeply([ $res->{status}, $res->{json}{code} ], [ 401, 'bad_signature' ], "a token: $what") or diag $res->{body};
}
my (undef, $claims) = split /[.]/, $token;
is(send_token(encode_base64url('{"alg":"none","kid":"k1"}') . ".$claims.")->{status}, 401, 'alg none');
is(send_token('x')->{status}, 401, 'no token at all');
is(send_token($token, path => "/v1/webhooks/github-actions/" . '0' x 26)->{status}, 401, 'an unknown hook, alike');
is(send_token($token, path => "/v1/webhooks/generic/$id")->{status}, 401, 'under another path');
my $rows = scalar @{ $stack->api(GET => "/v1/hooks/$id/deliveries")->{json}{items} };
is(send_token(token('k1', sha => $sha, repository => 'evil/site'))->{json}{code}, 'token_refused', 'a right token of another repository');
is(scalar @{ $stack->api(GET => "/v1/hooks/$id/deliveries")->{json}{items} }, $rows, 'strangers and wrong tokens leave no row');
for my $case (
    [ 'a pull request', event_name => 'pull_request', ref => 'refs/pull/1/merge' ], [ 'its target', event_name => 'pull_request_target' ],
    [ 'another workflow', workflow_ref => 'Owner/Site/.github/workflows/test.yml@refs/heads/main' ],
) {
    my ($what, %with) = @$case;
    $res = send_token(token('k1', sha => $sha, %with));
    is_deeply([ $res->{status}, $res->{json}{code} ], [ 403, 'token_refused' ], "refused: $what") or diag $res->{body};
}
is($stack->api(GET => "/v1/hooks/$id/deliveries")->{json}{items}[0]{verdict}, 'rejected', 'which the log of deliveries says');
for my $case ([ 'tag', ref => 'refs/tags/v1' ], [ 'other_branch', ref => 'refs/heads/x' ], [ 'unknown_event', event_name => 'issues' ]) {
    my ($why, %with) = @$case;
    is_deeply(send_token(token('k1', sha => $sha, %with))->{json}, { ignored => $why }, "R22 ignored: $why");
}
is(scalar @{ deployments() }, 1, 'none of these deployed');
my $log = $stack->log_text('scheduler') . WH::Stack::slurp($stack->dir . '/log/error.log');
unlike($log, qr/\Q$claims\E/, 'no token is in a log');

# ---- another key -----------------------------------------------------------------------------------------
my $second = $repo->commit({ 'index.html' => "second\n" });
my $new_key = key('k2');
publish($first_key, $new_key);
$token = token('k2', sha => $second);
is(send_token($token)->{status}, 401, 'a key that is not there, right after the keys were fetched: nobody is asked again');
$stack->db->rows('UPDATE token_issuers SET fetched_at = fetched_at - 100000000');
is(send_token($token)->{json}{code}, 'keys_unknown', 'later they are fetched again');
known('k2');
$res = send_token($token);
is($res->{status}, 202, 'and the run deploys') or diag $res->{body};
$stack->completed($res->{json}{id});
like($stack->get('page')->{body}, qr/second/, 'its commit is live');

# ---- an issuer that is away --------------------------------------------------------------------------------
$server->stop(10);
$stack->db->rows('UPDATE token_issuers SET next_at = 0');
wait_for { $stack->db->value('SELECT failures FROM token_issuers') > 0 } 90, 'the failure to be noted';
is(send_token(token('k2', sha => $second))->{status}, 202, 'its keys stay good');
$stack->db->rows('UPDATE token_issuers SET fetched_at = 1, asked_at = 1');
$res = send_token(token('k2', sha => $second));
is_deeply([ $res->{status}, $res->{json}{code} ], [ 503, 'keys_unknown' ], 'but not for ever');
unlike($res->{body}, qr/localhost|refused|unreach/, 'why is for the logs: whoever sent this showed no good token');
like($stack->log_text('scheduler'), qr/\Q$issuer\E/, 'the scheduler says it');
my $forged = join '.', map { encode_base64url($_) } '{"alg":"RS256","kid":"made-up"}', '{}', 'x' x 256;
my @flood = until_limited { send_token($forged)->{status} };
is($flood[-1], 429, 'XC whoever makes keys up is slowed down as every other forger');
is($stack->request(method => 'GET', path => '/health')->{status}, 200, 'and nobody else is');
$stack->allow_log(qr/WH0536/);
is_deeply([ $stack->stop ], [], 'everything ends in order');
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
done_testing();
