#!/usr/bin/perl
# db: sqlite pgsql
# Workers: registration by a one-time token or the control secret, refresh by the raw key, the worker's
# token and every way in which it is refused, the upgrade to the hub.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256 sha256 sha256_hex);
use IO::Socket::UNIX ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;
use WH::Api;
use WH::Wait qw(until_limited);

my $api = WH::Api->new;
my $people = $api->token;

sub body { my ($name, $key, %more) = @_; return { name => $name, api_key => $key, cpu_millis => 2000, memory_bytes => 1 << 30, address => '10.0.0.7',
    labels => { disk => 'ssd' }, zone => 'a', version => '0.1.0', %more } }
sub register { my ($credential, @body) = @_; return $api->req(POST => '/v1/workers/register', token => $credential, json => body(@body)) }
sub refresh { my ($key) = @_; return $api->req(POST => '/v1/workers/refresh-token', token => $key, body => '') }

# ---- register --------------------------------------------------------------------------------------
my ($key, $key2) = (sha256_hex('one'), sha256_hex('two'));
my $enrol = $api->onetime('enrolment');
my $res = register($enrol, 'w1', $key);
is($res->{status}, 201, 'R8 a one-time enrolment token registers') or diag $res->{body};
is_deeply([ sort keys %{ $res->{json} } ], [qw(token token_expires_at worker)], 'F56 {worker, token, token_expires_at}');
is($res->{json}{worker}{name}, 'w1', 'F56 worker has its name');
like($res->{json}{worker}{id}, qr/^[0-9a-z]{26}$/, 'and an opaque id');
my ($h, $p, $s) = split /\./, $res->{json}{token};
is(decode_base64url($h), '{"alg":"HS256","typ":"JWT"}', 'F129 the header, to the byte');
is(decode_base64url($s), hmac_sha256("$h.$p", $api->{key}{worker_jwt}), 'F126 F128 signed with a key of its own purpose');
unlike($res->{json}{token}, qr/=/, 'F129 base64url without padding');
my $claims = JSON::PP::decode_json(decode_base64url($p));
is_deeply([ sort keys %$claims ], [qw(exp iat jti key_hash sub)], 'F127 the claims');
is($claims->{sub}, $api->value("SELECT id FROM workers WHERE name = 'w1'"), 'F127 sub is the worker');
is($claims->{key_hash}, sha256_hex(sha256($key)), 'F127 R8 key_hash is a hash of the key\'s hash');
is($claims->{exp} - $claims->{iat}, 900, 'F55 F122 it lives 15 minutes');
like($claims->{jti}, qr/^[0-9a-f]{24}$/, 'F130 jti is 12 bytes');
is($api->value("SELECT key_hash FROM workers WHERE name = 'w1'"), sha256_hex($key), 'F54 the hash of the key is stored');
unlike($api->db->dump_all, qr/$key/, 'F54 the key is not');
$api->unchanged('a token used twice', sub {
    $api->is_problem(register($enrol, 'w9', $key2), 401, 'invalid_credentials', 'R8 an enrolment token works once');
});
my $kept = $api->onetime('enrolment');
$api->unchanged('a registration that fails', sub {
    $api->is_problem(register($kept, 'w1', $key2), 409, 'conflict', 'XD12 a name with another key');
    $api->is_problem(register($kept, 'bad name!', $key2), 400, undef, 'a name that is none');
    $api->is_problem(register($kept, 'w9', $_), 400, undef, 'F54 an api_key that is none') for 'x', 'g' x 64, 'a' x 63, 'a' x 128;
    $api->is_problem(register($kept, 'w9', $key2, %$_), 400, undef, 'a field out of bounds')
        for { cpu_millis => -1 }, { memory_bytes => '1G' }, { labels => [] }, { labels => { a => 1 } }, { address => 'a b' }, { status => 'online' };
});
is(register($kept, 'w2', $key2)->{status}, 201, 'a registration that failed used no token up');
is(register($api->{control}, 'w3', sha256_hex('three'))->{status}, 201, 'F44 F53 the control secret registers too');
is(register($api->{control}, 'w3', sha256_hex('three'), zone => 'b')->{status}, 201, 'F54 XD13 the same again: the row is updated');
is($api->value("SELECT zone FROM workers WHERE name = 'w3'"), 'b', 'F54 with what is new');
is($api->value("SELECT count(*) FROM workers"), 3, 'and there is still one');
for my $case ([ 'nothing', undef, 401 ], [ 'an admin one-time token', $api->onetime('admin'), 401 ], [ 'an expired one', $api->onetime('enrolment', -5), 401 ],
    [ 'a token of a person', $people, 403 ], [ 'a worker key', $key, 403 ], [ 'the control secret, cut', substr($api->{control}, 1), 401 ],
    [ 'the control secret and more', $api->{control} . '0', 401 ], [ 'the root key', 'f' x 64, 401 ]) {
    $api->is_problem(register($case->[1], 'w9', sha256_hex('nine')), $case->[2], undef, "register with $case->[0]");
}
$api->is_problem($api->req(GET => '/v1/apps', token => $api->{control}), 403, 'forbidden', 'F49 the control secret opens nothing else');

# ---- refresh ---------------------------------------------------------------------------------------
$res = refresh($key);
is($res->{status}, 200, 'F45 F57 R31 the raw key gets a fresh token');
is_deeply([ sort keys %{ $res->{json} } ], [qw(token token_expires_at)], 'F57 token and its end');
is($api->value("SELECT status FROM workers WHERE name = 'w1'"), 'offline', 'R31 whatever its status');
$api->is_problem(refresh($_->[1]), $_->[2], undef, "refresh with $_->[0]")
    for [ 'nothing', undef, 401 ], [ 'another key', sha256_hex('x'), 401 ], [ 'a key in capitals', uc $key, 401 ], [ 'a worker token', $res->{json}{token}, 403 ],
    [ 'the hash of the key', sha256_hex($key), 401 ];

# ---- the list --------------------------------------------------------------------------------------
$res = $api->req(GET => '/v1/workers', token => $people);
is_deeply([ map { $_->{name} } @{ $res->{json}{items} } ], [qw(w1 w2 w3)], 'people see the workers');
unlike($res->{body}, qr/key|hash/i, 'without their keys');
is_deeply([ map { $_->{name} } @{ $api->req(GET => '/v1/workers?limit=1', token => $people)->{json}{items} } ], ['w1'], 'page by page');

# ---- the worker's token, and what is none ----------------------------------------------------------
my %w = (row => $api->value("SELECT id FROM workers WHERE name = 'w1'"), key => $key);
my %other = (row => $api->value("SELECT id FROM workers WHERE name = 'w2'"), key => $key2);
my $now = time;
sub probe { my ($jwt) = @_; return $api->req(POST => '/v1/agent/releases', token => $jwt, json => { job => '0' x 26, epoch => 1, manifest => [] }) }
$api->is_problem(probe($api->jwt(\%w)), 404, 'not_found', 'a good token comes as far as the job');
my $good = $api->jwt(\%w);
my ($gh, $gp, $gs) = split /\./, $good;
my @bad = (
    [ 'XD1 alg none', $api->jwt(\%w, header => '{"alg":"none","typ":"JWT"}') ], [ 'XD1 alg nOnE', $api->jwt(\%w, header => '{"alg":"nOnE","typ":"JWT"}') ],
    [ 'XD1 no alg', $api->jwt(\%w, header => '{"typ":"JWT"}') ], [ 'XD1 no signature', "$gh.$gp." ], [ 'XD1 HS384', $api->jwt(\%w, header => '{"alg":"HS384","typ":"JWT"}') ],
    [ 'XD1 more in the header', $api->jwt(\%w, header => '{"alg":"HS256","typ":"JWT","kid":"1"}') ],
    [ 'F131 XD3 exp = now', $api->jwt(\%w, iat => $now - 900, exp => $now) ], [ 'XD3 exp in a year', $api->jwt(\%w, exp => $now + 31536000) ],
    [ 'XD3 exp missing', $api->jwt(\%w, exp => undef) ], [ 'XD3 exp a text', $api->jwt(\%w, exp => \qq("$now")) ], [ 'XD3 exp a fraction', $api->jwt(\%w, exp => \"$now.5") ],
    [ 'XD3 exp negative', $api->jwt(\%w, exp => -1) ], [ 'XD3 exp 2^63', $api->jwt(\%w, exp => \'9223372036854775808') ],
    [ 'XD4 issued in the future', $api->jwt(\%w, iat => $now + 300, exp => $now + 900) ], [ 'sub missing', $api->jwt(\%w, sub => undef) ],
    [ 'sub a text', $api->jwt(\%w, sub => \'"1"') ], [ 'sub 0', $api->jwt(\%w, sub => 0) ], [ 'sub of nobody', $api->jwt(\%w, sub => 999) ],
    [ 'F74 another worker\'s sub', $api->jwt(\%w, sub => $other{row}) ], [ 'F75 another key hash', $api->jwt(\%w, key_hash => sha256_hex('x')) ],
    [ 'R8 the stored hash itself', $api->jwt(\%w, key_hash => sha256_hex($key)) ], [ 'jti missing', $api->jwt(\%w, jti => undef) ],
    [ 'signed with the webhook key', $api->jwt(\%w, key => $api->{key}{webhook}) ], [ 'signed with the assertion key', $api->jwt(\%w, key => $api->{key}{hub_assertion}) ],
    [ 'signed with the control secret', $api->jwt(\%w, key => $api->{control}) ], [ 'signed with nothing', $api->jwt(\%w, key => '') ],
    [ 'XD6 two segments', "$gh.$gp" ], [ 'XD6 four segments', "$good.x" ], [ 'XD6 an empty segment', "$gh..$gs" ], [ 'XD6 dots', '.' x 4000 ], [ 'XD6 padding', "$good=" ],
    [ 'XD6 a stray bit', substr($good, 0, -1) . (substr($good, -1) eq 'A' ? 'B' : chr(1 + ord substr $good, -1)) ], [ 'XD6 plus', "$gh.$gp.+" . substr $gs, 1 ],
    [ 'XD6 over 1 KiB', $api->jwt(\%w, aud => 'x' x 900) ], [ 'a claim more', $api->jwt(\%w, aud => 'x') ], [ 'a byte changed', $gh . '.' . ($gp =~ s/^(.)/chr(ord($1) ^ 1)/er) . ".$gs" ],
);
$api->unchanged('bad worker tokens', sub { $api->is_problem(probe($_->[1]), 401, undef, $_->[0]) for @bad });
is(probe($api->jwt(\%w, iat => $now - 900, exp => $now))->{json}{code}, 'token_expired', 'an agent is told that its token ended');
$api->sql("UPDATE workers SET key_hash = '" . sha256_hex('rotated') . "' WHERE name = 'w1'");
$api->is_problem(probe($good), 401, undef, 'F75 XD8 a token of a rotated key');
$api->is_problem(refresh($key), 401, undef, 'XD8 and the key itself');
$api->sql("UPDATE workers SET admin_state = 'removed' WHERE name = 'w2'");
$api->is_problem(probe($api->jwt(\%other)), 401, undef, 'XD8 a removed worker');
$api->is_problem(refresh($key2), 401, undef, 'XD8 and its key');
$api->sql("UPDATE workers SET admin_state = 'active', revoked_at = 1 WHERE name = 'w2'");
$api->is_problem(probe($api->jwt(\%other)), 401, undef, 'XD8 a revoked worker');
$api->is_problem(refresh($key2), 401, undef, 'XD8 and its key');
$api->sql("UPDATE workers SET key_hash = '" . sha256_hex($key) . "' WHERE name = 'w1'", "UPDATE workers SET revoked_at = 0 WHERE name = 'w2'");

# ---- the upgrade -----------------------------------------------------------------------------------
my $nonce = 'ab' x 16;
sub upgrade {
    my (%with) = @_;
    my $line = delete $with{line} // 'GET /v1/workers/ws HTTP/1.1';
    my %head = (Host => '127.0.0.1', Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Protocol' => 'wisehost.v1', 'X-Wisehost-Nonce' => $nonce,
        Authorization => "Bearer $good", %with);
    my $text = join '', map { defined $head{$_} ? "$_: $head{$_}\r\n" : () } sort keys %head;
    return $api->raw("$line\r\n$text\r\n", head => 1);
}
my $path = "$api->{state}/run/hub.sock";
my $hub = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "hub: $!";
chmod 0777, $path;
my $seen = "$api->{root}/hub-saw";
our $pid = fork // die;
if (!$pid) {
    alarm 60; # whatever becomes of the test
    while (my $c = $hub->accept) {
        my $head = '';
        while ($head !~ /\r\n\r\n/) { last unless sysread $c, $head, 4096, length $head }
        open my $out, '>>', $seen or die;
        print {$out} $head;
        close $out;
        syswrite $c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: wisehost.v1\r\n"
            . "X-Wisehost-Nonce: " . 'cd' x 16 . "\r\n\r\n";
        close $c;
    }
    require POSIX;
    POSIX::_exit(0);
}
END { kill TERM => $pid if $pid }
close $hub;
$api->is_problem(upgrade(Authorization => undef), 401, undef, 'F46 no credential: refused before the upgrade');
$api->is_problem(upgrade(Authorization => 'Bearer ' . $bad[0][1]), 401, undef, 'F46 a bad token too');
$api->is_problem(upgrade(Authorization => "Bearer $people"), 403, undef, 'a person\'s token opens no channel');
$api->is_problem(upgrade(Origin => 'https://evil.example'), 403, 'origin_refused', 'a browser is refused');
for my $case ([ 'no upgrade', Upgrade => undef, Connection => undef ], [ 'another upgrade', Upgrade => 'h2c' ], [ 'no subprotocol', 'Sec-WebSocket-Protocol' => undef ],
    [ 'another subprotocol', 'Sec-WebSocket-Protocol' => 'wisehost.v9, chat' ], [ 'XE1 another version', 'Sec-WebSocket-Version' => 12 ],
    [ 'XE1 no version', 'Sec-WebSocket-Version' => undef ], [ 'XE1 HTTP/1.0', line => 'GET /v1/workers/ws HTTP/1.0' ]) {
    my ($name, %with) = @$case;
    my $got = upgrade(%with);
    $api->is_problem($got, 426, 'upgrade_required', $name);
    like($got->{head}, qr/^Sec-WebSocket-Protocol: wisehost\.v1\r?$/mi, "$name: the answer says what is spoken");
}
$api->is_problem(upgrade('X-Wisehost-Nonce' => $_), 400, 'bad_nonce', 'a nonce that is none') for undef, 'x', 'AB' x 16, 'ab' x 15, 'ab' x 17;
$api->is_problem(upgrade('Sec-WebSocket-Key' => $_), 400, 'bad_handshake', 'XE1 a key that is none') for undef, 'x', 'x' x 25;
is(upgrade(line => 'HEAD /v1/workers/ws HTTP/1.1')->{status}, 426, 'XE1 HEAD opens no channel');
ok(!-e $seen, 'nothing of all that reached the hub');
$res = upgrade('X-Wisehost-Assertion' => 'forged', 'X-Wisehost-Worker' => 7);
is($res->{status}, 101, 'F46 a good token is taken to the hub') or diag $res->{head}, $api->error_log;
like($res->{head}, qr/^X-Wisehost-Nonce: (cd){16}/mi, 'the hub\'s nonce comes back');
open my $in, '<', $seen or die "$seen: $!";
my $head = do { local $/; <$in> };
like($head, qr{^GET /v1/workers/ws HTTP/1\.1\r\n}, 'on its own path');
like($head, qr/^X-Wisehost-Nonce: $nonce\r$/mi, 'with the agent\'s nonce');
unlike($head, qr/^Authorization:/mi, 'without the credential');
unlike($head, qr/forged|X-Wisehost-Worker/, 'and without what the client said of itself');
my ($claim, $mac) = $head =~ /^X-Wisehost-Assertion: ([\w-]+)\.([\w-]+)\r$/mi;
is(encode_base64url(hmac_sha256($claim // '', $api->{key}{hub_assertion})), $mac, 'with an assertion that only the module can make');
my $says = JSON::PP::decode_json(decode_base64url($claim));
is_deeply([ @$says{qw(actor action object)} ], [ "worker:$w{row}", 'worker.connect', 'hub' ], 'who does what');
is(upgrade(Authorization => "Bearer $key")->{status}, 101, 'R31 the raw key is taken too');
kill TERM => $pid;
waitpid $pid, 0;
unlink $path;
my $down = upgrade();
$api->is_problem($down, 503, 'hub_unreachable', 'a hub that is down is 503');
like($down->{head}, qr/^Retry-After:/mi, 'with Retry-After');

# ---- failures are counted, successes are not -------------------------------------------------------
my @status = until_limited { $api->req(POST => '/v1/workers/refresh-token', token => sha256_hex("guess $_[0]"), body => '')->{status} };
is($status[-1], 429, 'XD12 wrong keys are limited for an address');
is(refresh($key)->{status}, 200, 'a right one is not');
@status = until_limited { $api->req(POST => '/v1/login', json => { token => "guess $_[0]" })->{status} };
is($status[-1], 429, 'wrong logins too');
ok($api->req(POST => '/v1/login', json => { token => 'x' })->{headers}{'retry-after'} > 0, 'with Retry-After');

# ---- tokens only -----------------------------------------------------------------------------------
{
    my $strict = WH::Api->new(conf => "WiseHostAllowRawKey Off\n");
    my $raw = sha256_hex('strict');
    my $in = $strict->req(POST => '/v1/workers/register', token => $strict->{control}, json => body('s1', $raw));
    my $open = sub {
        return $strict->raw(join("\r\n", 'GET /v1/workers/ws HTTP/1.1', 'Host: 127.0.0.1', 'Upgrade: websocket', 'Connection: Upgrade',
            'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Protocol: wisehost.v1',
            "X-Wisehost-Nonce: $nonce", "Authorization: Bearer $_[0]", '', ''), head => 1);
    };
    $strict->is_problem($open->($raw), 401, undef, 'WiseHostAllowRawKey Off: the key opens no channel');
    is($open->($in->{json}{token})->{status}, 503, 'the token does: it is the hub that is not there');
    $strict->is_problem($strict->req(GET => '/v1/traefik/config', token => $raw), 401, undef, 'F108 nor gets it a document for Traefik');
    is($strict->req(GET => '/v1/traefik/config', token => $in->{json}{token})->{status}, 200, 'F108 the token does');
    is($strict->req(POST => '/v1/workers/refresh-token', token => $raw, body => '')->{status}, 200, 'R31 F45 the key still gets a token');
    is($strict->unexpected('WH0163', 'AH02454', 'AH01079', 'AH01114'), '', 'nothing else is in the log');
}

is($api->unexpected('WH0163', 'AH00957', 'AH01102', 'AH02454', 'AH01079', 'AH01114'), '', 'the error log has nothing but what was announced');
done_testing();
