#!/usr/bin/perl
# db: sqlite pgsql
# A hook whose forge is told by its API: registered, put right, removed; states of commits; one comment on a request.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256_hex);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes ();
use WH::Http qw(json_decode json_encode);
use WH::Stack;
use WH::Wait qw(wait_for);

# ---- a forge that writes down what it is told: one request a connection ----------------------------------
my $stack = WH::Stack->new(scheduler_conf => { http_private_addresses => 'on' });
my $dir = $stack->dir . '/forge';
mkdir $dir or die;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1) or die $!;
my $api = 'http://127.0.0.1:' . $listen->sockport . '/api/v3';
my $forge = fork // die $!;
if (!$forge) {
    my $n = 0;
    while (my $c = $listen->accept) {
        my ($head, $body) = ('', '');
        while (defined(my $line = <$c>)) { $head .= $line; last if $line eq "\r\n" }
        read $c, $body, $1 if $head =~ /^Content-Length: (\d+)/mi;
        my ($method, $path) = $head =~ /^(\S+) (\S+)/;
        my $mode = -e "$dir/mode" ? do { open my $f, '<', "$dir/mode"; local $/; <$f> } : '';
        my $status = $mode || ($method eq 'POST' ? 201 : $method eq 'DELETE' ? 204 : 200);
        my ($shown) = $head =~ /^Authorization: Bearer (\S+)/m; # some forges say which token it is that they do not know
        my $answer = $status == 401 ? json_encode({ message => "Bad credentials: $shown, " . encode_base64("x:$shown", '') }) : $status >= 300 ? '{"message":"no"}'
            : $method eq 'GET' ? '[]' : $status == 204 ? '' : '{"id":' . (10 + ++$n) . '}';
        open my $out, '>>', "$dir/seen" or die;
        print {$out} json_encode({ method => $method, path => $path, head => $head, body => json_decode($body), status => $status }), "\n";
        close $out;
        print {$c} "HTTP/1.1 $status X\r\nContent-Length: ", length $answer, "\r\nConnection: close\r\n\r\n$answer";
        close $c;
    }
    POSIX::_exit(0);
}
close $listen;
END { my $rc = $?; if ($forge) { kill 'KILL', $forge; waitpid $forge, 0 } $? = $rc }
sub mode { my ($text) = @_; open my $f, '>', "$dir/mode.new" or die; print {$f} $text; close $f; rename "$dir/mode.new", "$dir/mode" or die; return }
sub seen { return map { json_decode($_) } split /\n/, WH::Stack::slurp("$dir/seen") }
sub lines { return map {"$_->{method} $_->{path}"} @_ }
sub outbox { return $stack->db->value('SELECT COUNT(*) FROM forge_outbox') }
sub all_said { wait_for { outbox() == 0 } 90, 'all to be said'; return }

# ---- a hook ----------------------------------------------------------------------------------------------
$stack->start;
my $repo = $stack->app('page', { 'index.html' => "first\n" }, previews => { max => 3 });
my $token = 'ghp_canary0123456789canary';
my $file = $stack->dir . '/cli/token';
{ open my $f, '>', $file or die; print {$f} "$token\n" }
my $res = $stack->api(POST => '/v1/apps/page/hooks', { provider => 'github', forge => { token => $token } });
is_deeply([ $res->{status}, $res->{json}{code} ], [ 422, 'forge_unknown' ], 'a repository that is at no forge') or diag $res->{body};
$res = $stack->api(POST => '/v1/apps/page/hooks', { provider => 'azure', forge => { token => $token } });
is($res->{status}, 400, 'a provider without an API') or diag $res->{body};
my $wh = $stack->wh_env({ STDIN => $file }, qw(hooks create page --forge-token-stdin --repository owner/site --forge-api), $api);
is($wh->{rc}, 0, 'a hook with a token') or diag $wh->{err};
my ($id) = $wh->{out} =~ /^id\s+(\S+)/m;
my ($secret) = $wh->{out} =~ /^secret\s+(\S+)/m;
my ($url) = $wh->{out} =~ /^url\s+(\S+)/m;
all_said();
my @calls = seen();
is_deeply([ lines(@calls) ], [ 'GET /api/v3/repos/owner/site/hooks?per_page=100', 'POST /api/v3/repos/owner/site/hooks' ], 'it is looked for, then made there');
is_deeply($calls[1]{body}, { name => 'web', active => JSON::PP::true(), events => [ 'push', 'pull_request' ],
    config => { url => $url, content_type => 'json', insecure_ssl => '0', secret => $secret } }, 'with address and secret') or diag explain $calls[1]{body};
like($calls[1]{head}, qr/^Authorization: Bearer $token\r$/m, 'and the token');
like($stack->wh('hooks')->{out}, qr/$id .*registered/, 'wh hooks says so');
$res = $stack->api(GET => "/v1/hooks/$id");
is_deeply($res->{json}{forge}, { api => $api, repository => 'owner/site', state => 'registered', error => undef }, 'and the API, without the token');

# ---- states of commits -------------------------------------------------------------------------------------
my ($path) = $url =~ m{(/v1/webhooks/.*)};
my $n = 0;
sub deliver { my ($event, $body) = @_;
    $body = json_encode($body);
    return $stack->request(method => 'POST', path => $path, body => $body, headers => { 'Content-Type' => 'application/json',
        'X-GitHub-Event' => $event, 'X-GitHub-Delivery' => 'd-' . ++$n, 'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($body, $secret) }) }
sub push_of { my ($branch, $sha) = @_;
    return deliver('push', { ref => "refs/heads/$branch", before => '0' x 40, after => $sha, deleted => JSON::PP::false(), commits => [],
        head_commit => { id => $sha, message => 'm', author => { name => 'ann' } }, repository => { full_name => 'owner/site', clone_url => 'https://x.example/y' } }) }
sub request_of { my ($action, $sha) = @_;
    return deliver('pull_request', { action => $action, number => 7, repository => { full_name => 'owner/site', clone_url => 'https://x.example/y' },
        pull_request => { number => 7, title => 't', user => { login => 'ann' }, head => { ref => 'feature', sha => $sha, repo => { full_name => 'owner/site' } },
            base => { repo => { full_name => 'owner/site' } } } }) }
sub statuses { my ($sha) = @_; return map { $_->{body} } grep { $_->{path} =~ /statuses\/$sha/ && $_->{status} < 300 } seen() }

my $first = $repo->git('-C', $repo->work, 'rev-parse', 'HEAD');
$res = push_of('main', $first);
is($res->{status}, 202, 'a push') or diag $res->{body};
$stack->completed($res->{json}{id});
all_said();
my @states = statuses($first);
is($states[-1]{state}, 'success', 'the commit is a success in the end');
is($states[0]{state}, @states > 1 ? 'pending' : 'success', 'and was pending before');
is_deeply([ @{ $states[-1] }{qw(context description)} ], [ 'wisehost/page', 'Deployed' ], 'by name');
like($states[-1]{target_url}, qr{^http://page-id-\w+\.}, 'with a link to the deployment');

# ---- a request -----------------------------------------------------------------------------------------------
my $second = $repo->commit({ 'index.html' => "second\n" }, branch => 'feature');
$res = request_of('opened', $second);
is($res->{status}, 202, 'a request has a preview') or diag $res->{body};
$stack->completed($res->{json}{id});
all_said();
my @comments = grep { $_->{path} =~ /comments/ } seen();
my @made = grep { $_->{method} eq 'POST' } @comments;
is(scalar @made, 1, 'one comment is made');
like($comments[0]{path}, qr{^/api/v3/repos/owner/site/issues/7/comments\?}, 'after one was looked for');
like($comments[-1]{body}{body}, qr/<!-- wisehost:page:preview-\S+ -->.*Deployed.*http:\/\/page-branch-feature\.\S+/s, 'in the end it says where the preview is')
    or diag explain $comments[-1];
my $comments = @comments;
my $third = $repo->commit({ 'index.html' => "third\n" }, branch => 'feature');
$res = request_of('synchronize', $third);
$stack->completed($res->{json}{id});
all_said();
@comments = grep { $_->{path} =~ /comments/ } seen();
is_deeply([ grep { $_->{method} ne 'PATCH' } @comments[ $comments .. $#comments ] ], [], 'it is edited, and no other is made');
like($comments[-1]{body}{body}, qr/@{[ substr $third, 0, 7 ]}/, 'with the new commit');
request_of('closed', $third);
all_said();
@comments = grep { $_->{path} =~ /comments/ } seen();
like($comments[-1]{body}{body}, qr/preview is gone/, 'closed, it says so');

# ---- a forge that is away ---------------------------------------------------------------------------------------
mode(503);
$res = push_of('main', my $fourth = $repo->commit({ 'index.html' => "fourth\n" }));
$stack->completed($res->{json}{id});
wait_for { $stack->db->value('SELECT MAX(attempts) FROM forge_outbox') } 90, 'a failure';
like($stack->api(GET => "/v1/hooks/$id")->{json}{forge}{error}, qr/GitHub answers 503/, 'what is wrong is seen');
mode('');
wait_for { $stack->db->rows('UPDATE forge_outbox SET next_at = 0 WHERE attempts > 0'); outbox() == 0 } 90, 'it to be said after all';
is((statuses($fourth))[-1]{state}, 'success', 'the newest state is what the forge hears');

# ---- a token that is none (any more) --------------------------------------------------------------------------------
mode(401);
$stack->completed(push_of('main', $repo->commit({ 'index.html' => "fifth\n" }))->{json}{id});
wait_for { $stack->api(GET => "/v1/hooks/$id")->{json}{forge}{state} eq 'stopped' } 90, 'the end';
like($stack->api(GET => "/v1/hooks/$id")->{json}{forge}{error}, qr/^GitHub answers 401: Bad credentials: \*{3}, \w{0,3}\*{3}\S{0,4}$/, 'with the reason, and without the token in any form');
like($stack->wh('hooks')->{out}, qr/stopped: GitHub answers 401/, 'which wh hooks says');
mode('');
my $asked = () = seen();
$stack->completed(push_of('main', $repo->commit({ 'index.html' => "sixth\n" }))->{json}{id});
is(outbox(), 0, 'nothing more is to be said');
is(scalar(() = seen()), $asked, 'nor is it');
{ open my $f, '>', $file or die; print {$f} "ghp_canary_the_second\n" }
$wh = $stack->wh_env({ STDIN => $file }, qw(hooks forge), $id);
is($wh->{rc}, 0, 'another token') or diag $wh->{err};
all_said();
is($stack->api(GET => "/v1/hooks/$id")->{json}{forge}{state}, 'registered', 'and it goes on');
my $last = (seen())[-1];
is("$last->{method} $last->{path}", 'PATCH /api/v3/repos/owner/site/hooks/11', 'with the hook that was there');
like($last->{head}, qr/Bearer ghp_canary_the_second\r/, 'by the new token');
$secret = $stack->api(POST => "/v1/hooks/$id/rotate", { overlap => 0 })->{json}{secret};
all_said();
is((seen())[-1]{body}{config}{secret}, $secret, 'a rotated secret is told to the forge');

# ---- the end ---------------------------------------------------------------------------------------------------------
is($stack->db->value("SELECT COUNT(*) FROM hook_forges WHERE sealed LIKE '%canary%'"), 0, 'no token is in the database');
my ($rc, $said) = $stack->run_cmd($stack->scheduler_cmd('--rotate-env-key'));
is($rc, 0, 'the key that seals is another') or diag $said;
wait_for { $stack->db->value('SELECT key_id FROM hook_forges') == 2 } 90, 'the token to be sealed anew';
is($stack->api(DELETE => "/v1/hooks/$id")->{status}, 204, 'the hook is deleted');
all_said();
$last = (seen())[-1];
is("$last->{method} $last->{path}", 'DELETE /api/v3/repos/owner/site/hooks/11', 'there, too');
is($stack->db->value('SELECT COUNT(*) FROM hook_forges'), 0, 'and its token forgotten');
unlike(join('', map { $stack->log_text($_) } qw(scheduler httpd agent)) . WH::Stack::slurp($stack->dir . '/log/error.log'), qr/canary/, 'no token is in a log');
$stack->allow_log(qr/WH0535/);
is_deeply([ $stack->stop ], [], 'everything ends in order');
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
done_testing();
