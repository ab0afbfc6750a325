#!/usr/bin/perl
# db: sqlite pgsql
# Bad input gets a 4xx problem document and changes nothing: the database before and after is equal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Api;
use WH::Http qw(http_raw);

my $api = WH::Api->new;
my $token = $api->token;
my $app = $api->app($token, 'blog');
my $etag = $api->req(GET => '/v1/apps/blog', token => $token)->{headers}{etag};
my $auth = "Host: 127.0.0.1\r\nAuthorization: Bearer $token\r\n";

sub create { my ($body) = @_; return $api->req(POST => '/v1/apps', token => $token, body => $body) }
sub with { my (%more) = @_; return JSON::PP->new->utf8->encode($api->app_body('new-app', %more)) }
# The usual body with one piece of text replaced: for what no JSON writer would write.
sub odd { my ($from, $to) = @_; my $text = with(run => { port => 4242 }); $text =~ s/\Q$from\E/$to/ or die $from; return $text }

# ---- what every problem says is said once ----------------------------------------------------------
for ([ GET => '/v1/apps/none', $auth ], [ GET => '/v1/apps', "Host: 127.0.0.1\r\n" ], [ POST => '/v1/webhooks/github/none', "Host: 127.0.0.1\r\nContent-Length: 0\r\n" ]) {
    my $got = http_raw(port => $api->{port}, bytes => "$_->[0] $_->[1] HTTP/1.1\r\n$_->[2]Connection: close\r\n\r\n") // '';
    my %n;
    $n{ lc $_ }++ for $got =~ /^([A-Za-z-]+):/mg;
    is(join(' ', grep { $n{$_} > 1 } sort keys %n), '', "$_->[0] $_->[1]: no header twice") or diag $got;
    is($n{'x-content-type-options'}, 1, 'nosniff among them');
}

# ---- JSON that is none -----------------------------------------------------------------------------
$api->unchanged('broken JSON', sub {
    my @bad = (
        [ '', 'body_not_object|bad_json', 'XA1 empty body' ], [ 'null', 'body_not_object', 'XA1 null' ],
        [ '[]', 'body_not_object', 'XA1 array' ], [ '"x"', 'body_not_object', 'XA1 text' ],
        [ '[' x 10_000, 'too_deep', 'XA2 10,000 arrays' ], [ '{"a":' x 10_000, 'too_deep', 'XA2 10,000 objects' ],
        [ '{"a":' . '[' x 40 . ']' x 40 . '}', 'too_deep', 'XA2 41 levels' ],
        [ odd('4242', '1e999'), undef, 'XA4 1e999' ], [ odd('4242', '8080.0'), undef, 'XA4 8080.0' ],
        [ odd('4242', '18446744073709551616'), undef, 'XA4 2^64' ], [ odd('4242', '9007199254740993'), undef, 'XA4 2^53+1' ],
        [ odd('4242', '0080'), undef, 'XA4 leading zero' ], [ odd('4242', '+80'), undef, 'XA4 +80' ],
        [ odd('4242', '0x50'), undef, 'XA4 0x50' ], [ odd('4242', 'NaN'), undef, 'XA4 NaN' ], [ odd('4242', '-0'), undef, 'XA4 -0' ],
        [ odd('new-app', "a\xc0\x80b"), 'bad_utf8', 'XA5 overlong' ], [ odd('new-app', "a\xed\xa0\x80b"), 'bad_utf8', 'XA5 surrogate' ],
        [ odd('new-app', "a\xf5b"), 'bad_utf8', 'XA5 F5' ], [ odd('new-app', "a\xe2\x82"), 'bad_utf8', 'XA5 truncated' ],
        [ odd('new-app', 'a\\ud800b'), undef, 'XA5 lone surrogate escape' ], [ "\xef\xbb\xbf" . with(), undef, 'XA5 byte order mark' ],
        [ odd('new-app', 'new\\u0000app'), undef, 'XA6 NUL escape' ], [ with() . with(), undef, 'XA9 two documents' ],
        [ with() . ' // x', undef, 'XA9 comment' ], [ "{'slug':'x'}", undef, 'XA9 single quotes' ], [ '{"slug":"x",}', undef, 'XA9 trailing comma' ],
        [ '{"slug":"aa","slug":"bb"}', undef, 'a name twice' ],
        [ '{' . join(',', map {"\"k$_\":1"} 1 .. 60_000) . '}', 'too_many', 'XA8 60,000 keys' ],
        [ '{"a":[' . join(',', (1) x 300_000) . ']}', 'too_many', 'XA8 300,000 elements' ],
    );
    for my $case (@bad) {
        my ($body, $code, $name) = @$case;
        my $res = create($body);
        $api->is_problem($res, 400, undef, $name);
        like($res->{json}{code} // '', qr/^(?:$code)$/, "$name: code") if $code;
    }
});

# ---- bodies and headers ----------------------------------------------------------------------------
$api->unchanged('bodies', sub {
    $api->is_problem(create('{"a":"' . 'x' x 1_048_576 . '"}'), 413, 'too_large', 'XA7 a byte more than 1 MiB');
    my $post = "POST /v1/apps HTTP/1.1\r\n${auth}Content-Type: application/json\r\n";
    $api->is_problem($api->raw("${post}Content-Length: 99999999999\r\n\r\n"), 413, 'too_large', 'XA7 told too long: refused before it is read');
    is($api->raw("${post}Content-Length: 200\r\nConnection: close\r\n\r\n" . with(), shut => 1)->{status}, 400, 'XA7 shorter than told');
    is($api->raw("${post}Content-Length: -1\r\n\r\n")->{status}, 400, 'XA7 a negative length');
    is($api->raw("${post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n")->{status}, 400, 'XA7 a broken chunk');
    my $stuck = $api->raw("${post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"a\":\r\n", wait => 12);
    is($stuck->{status}, 408, 'XA7 chunks without an end');
    my $many = 'x' x 60_000;
    my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length $many, $many } 1 .. 20;
    $api->is_problem($api->raw("${post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks}0\r\n\r\n"), 413, 'too_large',
        'XA7 chunks beyond 1 MiB');
    $api->is_problem($api->req(POST => '/v1/apps', token => $token, body => with(), headers => { 'Content-Encoding' => 'gzip' }), 415,
        'unsupported_encoding', 'XA11 compressed bodies are not taken');
    $api->is_problem($api->req(POST => '/v1/apps', token => $token, body => with(), type => $_), 415, 'unsupported_media_type', "type $_")
        for 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'application/json; charset=latin1', 'multipart/form-data';
    $api->is_problem($api->req(GET => '/v1/apps', token => $token, body => '{}'), 400, 'unexpected_body', 'a body where none belongs');
});

# ---- fields ----------------------------------------------------------------------------------------
$api->unchanged('fields', sub {
    for my $name (qw(is_admin team_id id created_at observed version)) {
        my $res = create(with($name => 'x'));
        $api->is_problem($res, 400, 'unknown_field', "XA12 field $name");
        is($res->{json}{errors}[0]{pointer}, "/$name", "XA12 field $name is pointed to");
    }
    my @types = ([ slug => 7 ], [ slug => [] ], [ name => {} ], [ repository => 'x' ], [ run => [] ], [ run => { port => '80' } ],
        [ run => { port => 1.5 } ], [ spa => 'yes' ], [ spa => 1 ], [ kind => 1 ], [ build => { dockerfile => 1 } ]);
    $api->is_problem(create(with(@$_)), 400, undef, "wrong type of $_->[0]") for @types;
    my @range = (map({ [ port => $_ ] } -1, 0, 65536, 2147483648), map({ [ cpu_millis => $_ ] } -1, 0, 2147483648),
        map({ [ memory_bytes => $_ ] } -1, 0, 1, 9223372036854775807), [ pids => 0 ], [ replicas => 0 ], [ replicas => 1000 ]);
    $api->is_problem(create(with(run => { @$_ })), 400, undef, "XA14 $_->[0] = $_->[1]") for @range;
    $api->is_problem(create(with(run => { memory_bytes => $_ })), 400, undef, "XA14 memory \"$_\"") for '512m ', '5 12M', '99999999999999999999';
    $api->is_problem(create(with(name => 'x' x 10_000)), 400, undef, 'a name of 10,000 bytes');
    $api->is_problem(create(with(name => "a\nb")), 400, undef, 'a name with a line feed');
    $api->is_problem(create(with(build => { build_command => 'x' x 5000 })), 400, undef, 'a command of 5,000 bytes');
    $api->is_problem(create(with(build => { dockerfile => $_ })), 400, undef, "dockerfile $_") for '../Dockerfile', '/etc/passwd', 'a/../../b';
    $api->is_problem(create(with(kind => 'vm')), 400, undef, 'a kind that is none');
    $api->is_problem(create(with(desired => 'paused')), 400, undef, 'a desired state that is none');
    $api->is_problem($api->req(POST => '/v1/apps', token => $token, json => { slug => 'x-y' }), 400, 'missing_field', 'no repository');
});

# ---- names, repositories, refs ---------------------------------------------------------------------
$api->unchanged('slugs', sub {
    for my $slug ('a', 'A', 'Blog', '1a', '-a', 'a-', 'a--b', 'a_b', 'a.b', 'a b', ' ', '', 'a/b', '../x', "a\tb", "bl\x{0}og", "blog\x{202e}x",
        "bl\x{200b}og", "bl\x{43e}g", 'x' x 41, 'x' x 10_000, "caf\x{e9}", "\x{1f600}", 'a-env-b', 'a-branch-b', 'a-id-b', 'www', 'api', 'admin',
        "' OR 1=1--", '%s', '%', '$(id)', '`id`') {
        my $body = JSON::PP->new->utf8->encode($api->app_body($slug));
        my $shown = $slug =~ /^[\x21-\x7e]{1,40}$/ ? $slug : sprintf 'of %d odd characters', length $slug;
        $api->is_problem(create($body), 400, undef, "XA13 slug $shown");
    }
});
$api->unchanged('repositories', sub {
    for my $url ('--upload-pack=touch /tmp/x', '-oProxyCommand=x', 'ext::sh -c id', 'fd::17', 'file:///etc', '/etc', '/etc/passwd', 'ssh://-oX@h/x',
        'git://h/x', 'http://h/x.git', 'https://u:p@h/x.git', 'https://h\\@evil/x', "https://h/x\ny", 'https://h/../x', 'https://', 'git@h:-x.git',
        '../x', './x', '', 'https://h:0/x', 'https://h:99999/x', 'https://h/' . 'x' x 8192, "https://h/\x{0}", 'https://h/x y') {
        my $body = JSON::PP->new->utf8->encode($api->app_body('new-app', repository => { url => $url, branch => 'main' }));
        $api->is_problem(create($body), 400, undef, 'XI1 ' . ($url =~ /^[ -~]{1,60}$/ ? $url : 'an odd address'));
    }
    for my $ref ('-x', '--upload-pack=x', 'a..b', 'a b', "a\nb", 'a~1', 'a^', 'a:b', '/a', 'a/', 'a//b', 'a.lock', '@', 'a@{1}', '.a', 'x' x 300, '', '*') {
        my $body = JSON::PP->new->utf8->encode($api->app_body('new-app', repository => { url => 'https://h/x', branch => $ref }));
        $api->is_problem(create($body), 400, undef, 'XI2 branch ' . ($ref =~ /^[ -~]{1,40}$/ ? $ref : 'odd'));
        $api->is_problem($api->req(POST => '/v1/apps/blog/deployments', token => $token, json => { ref => $ref }), 400, undef, 'XI2 deploy the same');
    }
    for my $sha ('-x', 'HEAD', 'x' x 40, '0' x 40, 'a' x 39, 'a' x 41, 'a' x 65, "main;id") {
        $api->is_problem($api->req(POST => '/v1/apps/blog/deployments', token => $token, json => { commit => $sha }), 400, undef, "commit $sha");
    }
    $api->is_problem($api->req(POST => '/v1/apps/blog/deployments', token => $token, json => { commit => 'a' x 40, ref => 'main' }), 400, undef,
        'a ref and a commit');
    $api->is_problem($api->req(POST => '/v1/apps/blog/deployments', token => $token, json => { environment => $_ }), 400, undef, "environment $_")
        for 'Prod', 'a b', '../x', '-x', 'x' x 64;
});

# ---- changing with bad bodies ----------------------------------------------------------------------
$api->unchanged('PATCH', sub {
    for my $body ('[]', '{"slug":"other"}', '{"kind":"container"}', '{"id":"x"}', '{"run":{"port":0}}', '{"repository":{"url":"/etc"}}',
        '{"name":7}', '{"observed":"running"}') {
        $api->is_problem($api->req(PATCH => '/v1/apps/blog', token => $token, body => $body, headers => { 'If-Match' => $etag }), 400, undef,
            "PATCH $body");
    }
    $api->is_problem($api->req(PATCH => '/v1/apps/blog', token => $token, json => { name => 'x' }, headers => { 'If-Match' => $_ }), 412,
        'precondition_failed', "If-Match $_") for '1', 'x', '""', '"x', 'W/"1"';
});

# ---- paths and queries -----------------------------------------------------------------------------
$api->unchanged('paths', sub {
    for my $path ('/v1', '/v1/', '/v1/apps/', '/v1/apps/../workers', '/v1/./apps', '//v1/apps', '/v1//apps', '/v1/apps/%2e%2e/workers', '/v1/apps%2fblog',
        '/v1/apps/blog%00', '/v1/apps/blog;x=y', '/v1/apps;x/blog', '/v1/apps/blog.', '/v1/apps/Blog', '/v1/apps/blog%20', '/v1/%61pps',
        '/v1/apps/..%5cworkers', '/v1/nothing', '/v1/apps/blog/nothing', '/V1/apps', '/v1/apps/blog/deployments/', '/v2/apps') {
        my $res = $api->raw("GET $path HTTP/1.1\r\n${auth}Connection: close\r\n\r\n");
        ok($res->{status} == 404 || $res->{status} == 400 || $res->{status} == 403, "XA18 $path is no other route") or diag $res->{status};
        unlike($res->{body}, qr/"slug"/, "XA18 $path shows nothing");
    }
    $api->is_problem($api->req(GET => '/v1/nothing', token => $token), 404, 'not_found', 'an unknown address');
    my $res = $api->req(DELETE => '/v1/apps', token => $token);
    $api->is_problem($res, 405, 'method_not_allowed', 'a method that is not taken');
    like($res->{headers}{allow}, qr/GET/, 'Allow says which are');
    $api->is_problem($api->req(TRACK => '/v1/apps', token => $token), 405, undef, 'an unknown method');
    for my $query ('limit=-1', 'limit=0', 'limit=1000000000', 'limit=+5', 'limit=5x', 'limit=', 'limit=5&limit=6', 'cursor=%00', 'cursor=A', 'sort=name;DROP',
        'cursor=%', 'limit=%zz', "cursor=' OR 1=1--", 'x=1', 'cursor=' . 'a' x 100) {
        (my $escaped = $query) =~ s/ /%20/g;
        $api->is_problem($api->raw("GET /v1/apps?$escaped HTTP/1.1\r\n${auth}Connection: close\r\n\r\n"), 400, undef, "XA15 XA16 ?$query");
    }
    $api->is_problem($api->req(GET => "/v1/apps?token=$token"), 400, undef, 'XA19 a token in the query is refused');
    $api->is_problem($api->req(GET => "/v1/deployments/$_", token => $token), 404, 'not_found', "deployment $_")
        for 'x', '0' x 26, 'zzzzzzzzzzzzzzzzzzzzzzzzzz', 'A' x 26;
});

# ---- rollback and promotion ----------------------------------------------------------------------
my $made = $api->req(POST => '/v1/apps/blog/deployments', token => $token, json => {})->{json}{id};
$api->unchanged('switches', sub {
    for ([ '/v1/apps/blog/rollback', { to => 0 } ], [ '/v1/apps/blog/rollback', { to => '0' } ], [ '/v1/apps/blog/rollback', { to => '-1' } ],
        [ '/v1/apps/blog/rollback', { to => "1' OR 1=1--" } ], [ '/v1/apps/blog/rollback', { to => '9' x 30 } ],
        [ '/v1/apps/blog/rollback', { environment => 'a/b' } ], [ '/v1/apps/blog/rollback', { settings => 'old' } ],
        [ '/v1/apps/blog/rollback', { deployment => 1 } ], [ "/v1/deployments/$made/rollback", { to => '1' } ],
        [ "/v1/deployments/$made/rollback", { environment => 'qa' } ], [ "/v1/deployments/$made/promote", {} ],
        [ "/v1/deployments/$made/promote", { environment => '../x' } ], [ "/v1/deployments/$made/promote", { environment => 7 } ]) {
        my ($path, $body) = @$_;
        $api->is_problem($api->req(POST => $path, token => $token, json => $body), 400, undef, "$path " . JSON::PP->new->encode($body));
    }
    $api->is_problem($api->req(POST => '/v1/apps/blog/rollback', token => $token, json => { to => $_ }), 422, 'no_such_deployment', "to $_")
        for '99', '999999999999999999', '0' x 26;
    $api->is_problem($api->req(POST => '/v1/apps/blog/rollback', token => $token), 409, 'no_previous', 'nothing was shown before');
    $api->is_problem($api->req(POST => "/v1/deployments/$made/rollback", token => $token), 409, 'not_succeeded', 'one that did not succeed');
    $api->is_problem($api->req(POST => "/v1/deployments/$made/promote", token => $token, json => { environment => 'production' }), 409,
        'same_environment', 'a promotion to where it is');
    $api->is_problem($api->req(GET => "/v1/switches/$_", token => $token), 404, 'not_found', "switch $_") for 'x', '0' x 26;
});

# ---- credentials -----------------------------------------------------------------------------------
$api->unchanged('credentials', sub {
    my $no = $api->req(GET => '/v1/apps');
    $api->is_problem($no, 401, 'unauthorized', 'no credential');
    like($no->{headers}{'www-authenticate'}, qr/^Bearer/, 'the answer says which kind is wanted');
    $api->is_problem($api->req(GET => '/v1/apps', headers => { Authorization => $_ }), 401, undef, "F52 Authorization: $_")
        for 'Bearer', 'Bearer ', "Basic $token", $token, "Bearer $token x", "Bearer wh_", 'Bearer wh_' . '0' x 64, "Bearer ${token}0", 'Bearer ' . substr($token, 0, -1),
        'Bearer ' . uc $token, 'Bearer ' . 'x' x 5000, 'Bearer ..', 'Bearer a.b.c', "Bearer $token,$token", 'Bearer 0';
    my $gone = $api->token;
    $api->sql("UPDATE tokens SET revoked_at = 1 WHERE hash = '" . Digest::SHA::sha256_hex($gone) . "'");
    $api->is_problem($api->req(GET => '/v1/apps', token => $gone), 401, 'invalid_credentials', 'a revoked token');
    $api->sql("DELETE FROM tokens WHERE hash = '" . Digest::SHA::sha256_hex($gone) . "'");
    $api->is_problem($api->req(POST => '/v1/login', json => { token => $_ }), 401, 'invalid_credentials', 'F44 a wrong one-time token')
        for 'x', 'wh_' . '0' x 64, "' OR 1=1--", 'x' x 256;
    $api->is_problem($api->req(POST => '/v1/login', json => $_), 400, undef, 'a login body that is none')
        for {}, { token => '' }, { token => 1 }, { token => 'x', admin => JSON::PP::true }, { token => 'x' x 1000 };
});

is($api->unexpected('WH0210'), '', 'the error log has nothing but what was announced');
done_testing();
