#!/usr/bin/perl
# Domains from asking to serving: proved by a TXT record of a real name server or by the file that httpd answers
# with, taken over only as they may be, redirected, given up.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(time);
use WH::Dns;
use WH::Stack;
use WH::Wait qw(try_for);

my $dns = WH::Dns->new;
my $stack = WH::Stack->new;
$stack->{scheduler_conf} = { dns_resolver => $dns->address, domain_http_port => $stack->port, domain_private => 'on' };
# Domains that the administrator named no virtual host for come to this one.
$stack->{httpd_extra} = sprintf "<VirtualHost 127.0.0.1:%d>\nServerName localhost\nServerAlias *\nWiseHostEngine On\n</VirtualHost>\n"
    . "<VirtualHost 127.0.0.9:%d>\nServerName own.shop.test\nWiseHostEngine On\n</VirtualHost>\n", ($stack->port) x 2;
$stack->start;
$stack->app('shop', { 'index.html' => "shop\n" });
$stack->app('rival', { 'index.html' => "rival\n" });
$stack->deploy($_) for qw(shop rival);

sub ask { my ($app, $host, %more) = @_; return $stack->api(POST => "/v1/apps/$app/domains", { host => $host, %more }) }
sub domain { my ($app, $host) = @_; return $stack->api(GET => "/v1/apps/$app/domains/$host")->{json} }
sub verify { my ($app, $host) = @_; return $stack->api(POST => "/v1/apps/$app/domains/$host/verify", {}) }
sub visit { my ($host, $path, %o) = @_; return $stack->request(host => $host, path => $path // '/', %o) }
# What a name answers with, once it is as wanted: the table follows the database by a few milliseconds.
sub shows { my ($host, $body) = @_; try_for { visit($host)->{body} eq $body } 5; return visit($host)->{body} }
sub looked { my ($app, $host) = @_; return try_for { domain($app, $host)->{checked_at} } 10 }

# Looks again until it is as wanted: a look is asked for at most every five seconds.
sub becomes {
    my ($app, $host, $status) = @_;
    $stack->db->rows("UPDATE domains SET checked_at = 1 WHERE host = '$host'");
    verify($app, $host);
    return try_for { my $d = domain($app, $host); $d->{status} eq $status && $d->{checked_at} !~ /^1970/ } 10;
}

# ---- a TXT record -----------------------------------------------------------------------------------
my $got = ask('shop', 'WWW.Shop.test');
is($got->{status}, 201, 'a domain is asked for') or diag $got->{body};
my $d = $got->{json};
is_deeply([ @$d{qw(host status environment redirect_to target)} ], [ 'www.shop.test', 'pending', 'production', undef, 'shop.localhost' ],
    'and waits, with what it is to lead to');
is($d->{proof}{dns}{name}, '_wisehost.www.shop.test', 'its record is named');
like($d->{proof}{dns}{value}, qr/^[0-9a-f]{40}$/, 'and its value');
is($got->{headers}{location}, "/v1/apps/shop/domains/$d->{id}", 'Location names it');
looked('shop', 'www.shop.test');
like(domain('shop', 'www.shop.test')->{reason}, qr/there is no TXT record/, 'nothing there: the reason says so');
isnt(visit('www.shop.test')->{body}, "shop\n", 'XG15 an unproved domain is not served');
$dns->set('_wisehost.www.shop.test', TXT => [ 'x' x 200, 'wrong' ]);
ok(becomes('shop', 'www.shop.test', 'pending'), 'a record with something else');
like(domain('shop', 'www.shop.test')->{reason}, qr/hold something else/, 'is none');
$dns->set('_wisehost.www.shop.test', fail => 1);
becomes('shop', 'www.shop.test', 'pending');
like(domain('shop', 'www.shop.test')->{reason}, qr/^DNS: \S/, 'a name server in trouble is said');
$dns->set('_wisehost.www.shop.test', TXT => [ 'other', $d->{proof}{dns}{value} ]);
ok(becomes('shop', 'www.shop.test', 'active'), 'F222 the record proves it') or diag explain domain('shop', 'www.shop.test');
is(shows('www.shop.test', "shop\n"), "shop\n", 'F238 and the domain shows the app, without a reload');
is($stack->api(GET => '/v1/apps/shop')->{json}{urls}[0], 'http://www.shop.test:' . $stack->port . '/', 'it is the first of its URLs');

# ---- the file ---------------------------------------------------------------------------------------
$dns->set('file.shop.test', A => ['127.0.0.1']);
my $file = ask('shop', 'file.shop.test')->{json};
is(visit('file.shop.test', '/.well-known/wisehost/' . $file->{proof}{http}{url} =~ s{.*/}{}r)->{body}, $file->{proof}{http}{body},
    'httpd answers with the proof on a name that only comes here');
ok(try_for(sub { domain('shop', 'file.shop.test')->{status} eq 'active' }, 10), 'and that proves it, without a record')
    or diag explain domain('shop', 'file.shop.test');
is(shows('file.shop.test', "shop\n"), "shop\n", 'it is served');
is(visit('file.shop.test', "/.well-known/wisehost/$_")->{status}, 404, 'no proof for nobody') for 'x', 'z' x 26, '../x';
unlike(visit('127.0.0.1', '/.well-known/wisehost/' . $file->{proof}{http}{url} =~ s{.*/}{}r)->{body}, qr/^[0-9a-f]{40}$/, 'a name that the administrator gave to a site proves nothing');

unlike(visit('own.shop.test', '/.well-known/wisehost/' . $file->{proof}{http}{url} =~ s{.*/}{}r)->{body}, qr/^[0-9a-f]{40}$/,
    'XG15 neither does one of a virtual host at another address, where nothing else is asked for at port 80');

my $said = $stack->wh('domains', 'add', 'shop', 'cli.shop.test', '--redirect-to', 'www.shop.test', '--code', '301');
is($said->{rc}, 0, 'wh domains add') or diag $said->{err};
like($said->{out}, qr/_wisehost\.cli\.shop\.test\. TXT "[0-9a-f]{40}"/, 'says what to set');
$stack->db->rows("UPDATE domains SET checked_at = 1 WHERE host = 'file.shop.test'");
$said = $stack->wh('domains', 'verify', 'shop', 'file.shop.test');
is("$said->{rc} $said->{out}", "0 file.shop.test is active\n", 'wh domains verify looks now');
like($stack->wh('domains', 'shop')->{out}, qr/^cli\.shop\.test +pending +https:/m, 'wh domains lists them');
is($stack->wh('domains', 'remove', 'shop', 'cli.shop.test')->{rc}, 0, 'wh domains remove');
$said = $stack->wh('domains', 'add', 'shop', "b\xc3\xbccher.test");
like($said->{out}, qr/^b\xc3\xbccher\.test \(xn--bcher-kva\.test\) is pending\n.*_wisehost\.xn--bcher-kva\.test\. TXT "([0-9a-f]{40})"/s,
    'a name in other letters is shown as it is read, and as DNS has it');
$dns->set('_wisehost.xn--bcher-kva.test', TXT => [ $said->{out} =~ /TXT "([0-9a-f]{40})"/ ]);
is($stack->wh('domains', 'verify', 'shop', "b\xc3\xbccher.test")->{rc}, 0, 'proved by its record');
is(shows('xn--bcher-kva.test', "shop\n"), "shop\n", 'and served');
is($stack->wh('domains', 'remove', 'shop', "b\xc3\xbccher.test")->{rc}, 0, 'removed as it is read');
is($stack->wh('environments', 'set', 'shop', 'staging', 'release/*', '--position', 2)->{rc}, 0, 'wh environments set');
like($stack->wh('environments', 'shop')->{out}, qr{^staging +release/\* +2 }m, 'wh environments lists them');
is($stack->wh('environments', 'unset', 'shop', 'staging')->{rc}, 0, 'wh environments unset');
like($stack->wh('apps', 'info', 'shop')->{out}, qr{urls +http://file\.shop\.test:.*domains +file\.shop\.test \(active\)}s,
    'wh apps info shows domains first');

# ---- two who want it --------------------------------------------------------------------------------
$dns->set('www.shop.test', A => ['127.0.0.1']);
my $theirs = ask('rival', 'www.shop.test')->{json};
isnt($theirs->{proof}{dns}{value}, $d->{proof}{dns}{value}, 'another app has another proof');
looked('rival', 'www.shop.test');
is(domain('rival', 'www.shop.test')->{status}, 'pending', 'XL4 a name that an app has proves nothing for another by file');
$dns->set('_wisehost.www.shop.test', TXT => [ $theirs->{proof}{dns}{value}, $d->{proof}{dns}{value} ]);
becomes('rival', 'www.shop.test', 'pending');
like(domain('rival', 'www.shop.test')->{reason}, qr/still there/, 'XL4 nor by a record beside the other\'s');
is(visit('www.shop.test')->{body}, "shop\n", 'it stays whose it was');
$dns->set('_wisehost.www.shop.test', TXT => [ $theirs->{proof}{dns}{value} ]);
ok(becomes('rival', 'www.shop.test', 'active'), 'XL4 with the other\'s gone it is taken over') or diag explain domain('rival', 'www.shop.test');
is(shows('www.shop.test', "rival\n"), "rival\n", 'and shows the other app');
$stack->api(PATCH => '/v1/apps/rival/domains/www.shop.test', { environment => 'staging' });
ok(try_for(sub { visit('www.shop.test')->{body} ne "rival\n" }, 5), 'an environment that was never deployed shows nothing');
$stack->api(PATCH => '/v1/apps/rival/domains/www.shop.test', { environment => undef });
is(shows('www.shop.test', "rival\n"), "rival\n", 'null is production again');
is(domain('shop', 'www.shop.test')->{status}, 'disabled', 'the first one has lost it');
is($stack->db->value("SELECT COUNT(*) FROM domains WHERE host = 'www.shop.test' AND status = 'active'"), 1, 'one app has it');
$stack->allow_log(qr/WH0497/);

# ---- redirects --------------------------------------------------------------------------------------
$dns->set('old.shop.test', A => ['127.0.0.1']);
ask('shop', 'old.shop.test', redirect_to => 'http://file.shop.test', redirect_code => 302);
ok(try_for(sub { domain('shop', 'old.shop.test')->{status} eq 'active' }, 10), 'a domain that leads elsewhere');
try_for { visit('old.shop.test')->{status} == 302 } 5;
for my $case ([ '/a/b?x=1&y=%2F', '/a/b?x=1&y=%2F' ], [ '/', '/' ], [ '//evil.test/x', '//evil.test/x' ], [ '/%0d%0aX:y', '/%0d%0aX:y' ],
    [ '/a%20b/%C3%A4', '/a%20b/%C3%A4' ]) {
    $got = visit('old.shop.test', $case->[0]);
    is("$got->{status} " . ($got->{headers}{location} // ''), "302 http://file.shop.test$case->[1]", "leads there, path and query kept: $case->[0]");
}
is($got->{headers}{'cache-control'}, 'no-cache', 'for now');
is(visit('old.shop.test', '/x', method => $_)->{status}, 302, "$_ too") for qw(HEAD POST);
my @took;
for my $code ((301, 307, 308) x 7) {
    my $ok = $stack->api(PATCH => '/v1/apps/shop/domains/old.shop.test', { redirect_code => $code })->{status};
    my $from = time;
    try_for { visit('old.shop.test')->{status} == $code } 5;
    push @took, 1000 * (time - $from);
}
@took = sort { $a <=> $b } @took;
diag sprintf 'a change shows after %.1f ms, at most %.1f ms', $took[10], $took[-1];
cmp_ok($took[10], '<', 1000, 'F222 a change shows at once');
is(visit('old.shop.test')->{headers}{'cache-control'}, 'public, max-age=3600', 'a lasting one may be kept for an hour');
$stack->api(PATCH => '/v1/apps/shop/domains/old.shop.test', { redirect_to => undef });
ok(try_for(sub { visit('old.shop.test')->{body} eq "shop\n" }, 5), 'and shows the app again');

# ---- the whole app ----------------------------------------------------------------------------------
my $etag = $stack->api(GET => '/v1/apps/shop')->{headers}{etag};
is($stack->api(PATCH => '/v1/apps/shop', { serve => { maintenance => \1 } }, headers => { 'If-Match' => $etag })->{status}, 200, 'maintenance');
ok(try_for(sub { visit('file.shop.test')->{status} == 503 && $stack->get('shop')->{status} == 503 }, 5), 'F222 on all its names, domains too');
is($stack->api(DELETE => '/v1/apps/shop/domains/old.shop.test')->{status}, 204, 'a domain is given up');
ok(try_for(sub { visit('old.shop.test')->{status} != 503 }, 5), 'and nobody answers for it');
is(ask('shop', 'old.shop.test')->{status}, 201, 'it may be asked for again');
$etag = $stack->api(GET => '/v1/apps/shop')->{headers}{etag};
$stack->api(DELETE => '/v1/apps/shop', undef, headers => { 'If-Match' => $etag });
ok(try_for(sub { visit('file.shop.test')->{status} != 503 }, 10), 'a deleted app takes its domains with it');
ok(try_for(sub { $stack->db->value("SELECT COUNT(*) FROM domains WHERE host LIKE '%.shop.test'") == 1 }, 10), 'rows and all');
is(visit('www.shop.test')->{body}, "rival\n", 'and no other app\'s');

# ---- where a file is not asked for --------------------------------------------------------------------
$stack->proc('scheduler')->stop(10);
$stack->{scheduler_conf}{domain_private} = 'off';
$stack->configure;
$stack->start_scheduler;
$dns->set('in.shop.test', A => [ '127.0.0.1', '10.0.0.1', '169.254.169.254' ], AAAA => [ '::1', '::ffff:127.0.0.1', 'fd00::1' ]);
ask('rival', 'in.shop.test');
looked('rival', 'in.shop.test');
like(domain('rival', 'in.shop.test')->{reason}, qr/is no public address/, 'XK1 addresses that only this machine can reach are not asked');
$stack->allow_log(qr/AH01630/, qr/AH02454|AH01114/); # an httpd that has no files; the agent while there was no scheduler
is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
done_testing();
