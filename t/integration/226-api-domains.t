#!/usr/bin/perl
# db: sqlite pgsql
# Domains as the API takes them: what may be asked for, where it may lead, who has it; nothing is looked up here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $token = $api->token;
my ($blog, $shop) = map { $api->app($token, $_) } qw(blog shop);

sub ask { my ($app, %body) = @_; return $api->req(POST => "/v1/apps/$app/domains", token => $token, json => \%body) }
sub at { my ($method, $path, @more) = @_; return $api->req($method => "/v1/apps/blog/domains/$path", token => $token, @more) }

is_deeply($api->req(GET => '/v1/apps/blog/domains', token => $token)->{json}, { items => [], next => undef }, 'none at first');
my $res = ask('blog', host => 'WWW.Example.org');
is($res->{status}, 201, 'a domain is asked for') or diag $res->{body};
my $d = $res->{json};
is_deeply([ @$d{qw(host app environment status redirect_to redirect_code target)} ],
    [ 'www.example.org', 'blog', 'production', 'pending', undef, undef, 'blog.apps.example.test' ], 'with what it is');
is_deeply($d->{proof}, { dns => { type => 'TXT', name => '_wisehost.www.example.org', value => $d->{proof}{http}{body} },
    http => { url => "http://www.example.org/.well-known/wisehost/$blog->{id}", body => $d->{proof}{dns}{value} } }, 'and what proves it');
is_deeply(at(GET => $_)->{json}, $d, 'shown by id and host') for $d->{id}, 'www.example.org';
$api->is_problem(ask('blog', host => 'www.example.org'), 409, 'conflict', 'an app asks once');
is(ask('shop', host => 'www.example.org')->{status}, 201, 'XL4 another app may ask too');

# ---- what is none -----------------------------------------------------------------------------------
for my $host ('example', 'localhost', 'a.localhost', '127.0.0.1', '0x7f.1', '[::1]', '*.example.org', 'example.org.', 'a_b.org', 'http://a.org',
    'a.org:80', 'a.org/x', "a.org\n", 'a`b.org', 'a)||Host(`b.org', '-a.org', 'x' x 64 . '.org', ('a.' x 130) . 'org', "b\x{fc}cher", "b\x{fc}/x.example", "\x{2603}.example", "\x{202e}b\x{fc}.example", "\x{fc}" x 70 . ".example", "b\x{fc}cher.example:80") {
    my $got = ask('blog', host => $host);
    $api->is_problem($got, 400, undef, 'XL1 no domain: ' . substr($host =~ s/[^ -~]/?/gr, 0, 40));
}
for my $host ('apps.example.test', 'x.apps.example.test', 'a.b.apps.example.test') {
    $api->is_problem(ask('blog', host => $host), 400, 'domain_reserved', "given out by this server: $host");
}
$api->is_problem(ask('blog', host => 'a.example', %$_), 400, undef, 'a wrong redirect') for { redirect_to => 'ftp://b.example' },
    { redirect_to => 'https://b.example/path' }, { redirect_to => 'a.example' }, { redirect_to => 'b.example', redirect_code => 303 },
    { redirect_code => 301 }, { environment => 'preview-x' }, { environment => 'No' }, { colour => 1 };
$api->is_problem(ask('blog'), 400, undef, 'no host');

# ---- in other letters -------------------------------------------------------------------------------
$res = ask('blog', host => "B\x{dc}cher.example", redirect_to => "b\x{fc}cher.test");
is_deeply([ @{ $res->{json} }{qw(host host_unicode redirect_to)} ], [ 'xn--bcher-kva.example', "b\x{fc}cher.example", 'https://xn--bcher-kva.test' ],
    'kept as DNS has it, answered in both forms');
is($res->{json}{proof}{dns}{name}, '_wisehost.xn--bcher-kva.example', 'what is to be set is the form of DNS');
is(at(GET => 'xn--bcher-kva.example')->{json}{id}, $res->{json}{id}, 'found by the form of DNS');
is(at(GET => 'b%C3%BCcher.example')->{status}, 404, 'paths have no other');
$api->is_problem(ask('blog', host => 'xn--bcher-kva.example'), 409, 'conflict', 'both forms are one name');
$api->is_problem(ask('blog', host => "\x{ff41}pps.example.test"), 400, 'domain_reserved', 'wide letters are the same letters');

# ---- changing, giving up ----------------------------------------------------------------------------
$res = at(PATCH => $d->{id}, json => { redirect_to => 'https://example.org', redirect_code => 301 });
is_deeply([ @{ $res->{json} }{qw(redirect_to redirect_code)} ], [ 'https://example.org', 301 ], 'it may lead elsewhere');
is($api->value("SELECT republish FROM apps WHERE slug = 'blog'"), 1, 'F222 and the scheduler is asked to publish that');
$res = at(PATCH => $d->{id}, json => { redirect_to => undef, environment => 'staging' });
is_deeply([ @{ $res->{json} }{qw(redirect_to redirect_code environment target)} ], [ undef, undef, 'staging', 'blog-env-staging.apps.example.test' ],
    'or show another environment');
$api->is_problem(at(PATCH => $d->{id}, json => { host => 'b.example' }), 400, undef, 'its host stays');
$api->sql("UPDATE domains SET status = 'failed', next_at = 0 WHERE id = '$d->{id}'");
$res = at(POST => "$d->{id}/verify", json => {});
is("$res->{status} $res->{json}{status}", '202 pending', 'one that failed is looked for again');
is($api->value("SELECT CASE WHEN next_at > 0 THEN 1 ELSE 0 END FROM domains WHERE id = '$d->{id}'"), 1, 'soon');
$api->sql("UPDATE domains SET status = 'active' WHERE id = '$d->{id}'");
is($api->req(GET => '/v1/apps/blog', token => $token)->{json}{urls}[0], 'https://www.example.org/', 'the URLs of an app begin with its domains');
is(at(DELETE => $d->{id})->{status}, 204, 'it is given up');
$api->is_problem(at($_ => $d->{id}, $_ eq 'PATCH' ? (json => {}) : ()), 404, 'not_found', "$_ of one that is not there") for qw(GET PATCH DELETE);
$api->is_problem(at(GET => 'nobody.example'), 404, 'not_found', 'nor by host');
is(ask('blog', host => 'www.example.org')->{json}{status}, 'pending', 'and may be asked for again, from the beginning');
is($api->unexpected, '', 'the error log is clean');
done_testing();
