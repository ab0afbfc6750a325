#!/usr/bin/perl
# db: sqlite pgsql
# A static site from its repository to its name: deployed, changed, deployed again, broken, deleted.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new;
$stack->start;
my $slug = 'hello';
my $repo = $stack->app($slug, { 'index.html' => "<p>first word: alder\n", 'sub/page.txt' => "page\n" });

my $got = $stack->get($slug);
is($got->{status}, 404, 'F296 an app that was never deployed is the 404 page');

my $first = $stack->deploy($slug);
is($first->{conclusion}, 'succeeded', 'the first deployment succeeds')
    or diag(explain $first), diag(join "\n", $stack->log_lines($first->{id}));
is($first->{number}, 1, 'its number is 1');
is($first->{phase}, 'done', 'its phase is done');
like($first->{commit}{sha}, qr/^[0-9a-f]{40}$/, 'it names the commit that was found');
is($first->{commit}{message}, 'first', 'and its message');
$got = $stack->get($slug);
is($got->{status}, 200, 'the name answers when the deployment is completed');
like($got->{body}, qr/alder/, 'with the content of the repository');
like($got->{headers}{'content-type'}, qr{^text/html}, 'as HTML');
is($stack->get($slug, '/sub/page.txt')->{body}, "page\n", 'a file in a folder is served');
is($stack->get($slug, '/missing')->{status}, 404, 'what is not in the release is 404');
is($stack->get($slug, '/../../etc/passwd')->{status}, 400, 'nothing outside the release is served');
is($stack->request(host => 'nobody.localhost')->{status}, 404, 'an unknown name below the base domain is 404');

my @words = map { join '', map { chr 97 + int rand 26 } 1 .. 12 } 1 .. 5;
for my $word (@words) {
    my $sha = $repo->commit({ 'index.html' => "<p>$word\n" }, message => "word $word");
    my $done = $stack->deploy($slug);
    is($done->{conclusion}, 'succeeded', "deployed $word");
    is($done->{commit}{sha}, $sha, 'exactly the new commit');
    like($stack->get($slug)->{body}, qr/\Q$word\E/, 'is live when the deployment is completed');
}

my $old = $stack->api(GET => "/v1/deployments/$first->{id}")->{json};
my ($id_url) = grep { /-id-/ } @{ $old->{urls} // [] };
ok($id_url, 'a deployment has a URL of its own') or diag(explain $old);
my ($host) = ($id_url // '') =~ m{^http://([^/:]+)};
like($stack->request(host => $host // 'none')->{body}, qr/alder/, 'and goes on serving its own release there');

# What the site's rules ask and do not get is told to who deploys.
$repo->commit({ _redirects => "/old /new\n/de/* /x 302 Country=de\n\n/away https://else.example/ 200\n",
    _headers => "/*\n  X-Frame-Options: DENY\n  Set-Cookie: a=b\n" });
my $ruled = $stack->deploy($slug);
is($ruled->{conclusion}, 'succeeded', 'a site with rules that are not taken is deployed');
my @said = grep { /not taken/ } $stack->log_lines($ruled->{id});
is(scalar @said, 3, 'each has a line in its log') or diag join "\n", $stack->log_lines($ruled->{id});
like($said[0], qr/_redirects line 2: conditions are not supported: Country=de/, 'file, line and reason');
like($said[1], qr/_redirects line 4: \S/, 'comments and empty lines are counted');
like($said[2], qr/_headers line 3: .*Set-Cookie/i, 'of _headers too');
$repo->commit({ _redirects => join('', map { "/a$_\n" } 1 .. 30), _headers => '#' x (1 << 20) . "#\n" });
@said = grep { /not taken/ } $stack->log_lines($stack->deploy($slug)->{id});
is(scalar @said, 22, 'not without end');
like($said[20], qr/10 lines more of _redirects/, 'what is more is counted');
like($said[21], qr/_headers is longer than 1 MiB/, 'too large a file is named');
$repo->commit({ _redirects => undef, _headers => undef });

# What kind of site it is, the repository may say itself; the app's own setting holds where it says nothing.
$repo->commit({ 'wisehost.json' => '{"spa": true, "clean_urls": true}', 'about.html' => "<p>about\n" });
is($stack->deploy($slug)->{conclusion}, 'succeeded', 'F286 a site with a wisehost.json');
is($stack->get($slug, '/any/path')->{status}, 200, 'spa: its page answers every path');
like($stack->get($slug, '/about')->{body}, qr/about/, 'clean_urls: about.html is /about');
ok(!$stack->api(GET => "/v1/apps/$slug")->{json}{spa}, 'the app itself is as it was');
$repo->commit({ 'wisehost.json' => undef, 'about.html' => undef });
is($stack->deploy($slug)->{conclusion}, 'succeeded', 'and without it');
is($stack->get($slug, '/any/path')->{status}, 404, 'it is no longer so');

# What fails leaves the former release live, and says why.
$repo->commit({ 'index.html' => undef, 'sub/page.txt' => undef });
my $empty = $stack->deploy($slug);
is($empty->{conclusion}, 'failed', 'a repository without a file fails');
is($empty->{cause}{code}, 'output_missing', 'its cause is output_missing');
ok(length $empty->{cause}{detail} > 10, 'with a sentence') and note($empty->{cause}{detail});
like($stack->get($slug)->{body}, qr/\Q$words[-1]\E/, 'the former release goes on serving');

my $gone = $stack->deploy($slug, { ref => 'no-such-branch' });
is($gone->{cause}{code}, 'ref_not_found', 'a branch that is not there: ref_not_found');
my @log = $stack->log_lines($gone->{id});
ok(@log > 0, 'a failed deployment keeps its log');

# A branch gets a name of its own.
$repo->commit({ 'index.html' => "<p>on a branch\n" }, branch => 'topic');
my $topic = $stack->deploy($slug, { ref => 'topic' });
is($topic->{conclusion}, 'succeeded', 'another branch can be deployed');
like($stack->get("$slug-branch-topic")->{body}, qr/on a branch/, 'it is served at its branch name');

# Deleting the app takes its names away.
my $app = $stack->api(GET => "/v1/apps/$slug");
is($stack->api(DELETE => "/v1/apps/$slug")->{status}, 428, 'deleting without If-Match: 428');
is($stack->api(DELETE => "/v1/apps/$slug", undef, headers => { 'If-Match' => '"0"' })->{status}, 412,
    'with another ETag: 412');
is($stack->api(DELETE => "/v1/apps/$slug", undef, headers => { 'If-Match' => $app->{headers}{etag} })->{status},
    204, 'the app is deleted');
wait_for { $stack->get($slug)->{status} == 404 } 15, 'the name to be gone';
pass('its name answers 404');

$stack->allow_log(qr/AH10244: invalid URI path/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
