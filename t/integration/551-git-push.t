#!/usr/bin/perl
# db: sqlite pgsql
# git push to this very httpd: the first one makes the app, each makes its commit live, and the person who pushes sees how.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Push;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new->start;
my $site = WH::Push->new(stack => $stack, slug => 'blog');

# One command from a local repository to a live URL.
my $sha = $site->commit({ 'index.html' => "<p>juniper\n", 'a/b.txt' => "deep\n" }, 'the first one');
my $got = $site->push('main');
is($got->{rc}, 0, 'the first push to an app that is not there succeeds') or diag($got->{said});
like($got->{said}, qr/remote: blog is a new app: static, deployed from main/, 'and says that it made the app');
like($got->{said}, qr{remote: blog is live: http://blog\.localhost:\d+/}, 'and ends with the URL');
like($stack->get('blog')->{body}, qr/juniper/, 'which serves what was pushed');
is($stack->get('blog', '/a/b.txt')->{body}, "deep\n", 'all of it');
my $app = $stack->api(GET => '/v1/apps/blog')->{json};
is($app->{repository}{url}, 'hub:', 'the app is deployed from its pushes');
is($app->{push_url}, $stack->url . '/git/blog.git', 'and says where they go');
my $d = $stack->api(GET => '/v1/apps/blog/deployments')->{json}{items}[0];
is($d->{trigger}, 'git', 'F213 the deployment was triggered by git');
is($d->{commit}{sha}, $sha, 'F216 at exactly the pushed commit');
is($d->{commit}{message}, 'the first one', 'with its message');
is($d->{commit}{author}, 'Test Author', 'and its author');

# Progress on the side band, before it is over.
for my $word (qw(thyme sorrel)) {
    $site->commit({ 'index.html' => "<p>$word\n" }, $word);
    $got = $site->push('main');
    is($got->{rc}, 0, "pushed $word") or diag($got->{said});
    like($got->{said}, qr/remote: blog: main \([0-9a-f]{7}\) goes to production, deployment [0-9a-z]{26}/, 'it names the deployment');
    like($got->{said}, qr/remote:   commit [0-9a-f]{7}: $word/, 'it shows the log');
    like($stack->get('blog')->{body}, qr/$word/, 'and is live when it returns');
}
is($site->push('main')->{rc}, 0, 'a push of nothing is fine');
is($stack->db->value('SELECT COUNT(*) FROM deployments'), 3, 'and deploys nothing');
my ($rc) = $site->git('clone', '-q', $site->remote, $stack->dir . '/people/clone');
is($rc, 0, 'what was pushed can be cloned again');
is(WH::Stack::slurp($stack->dir . '/people/clone/index.html'), "<p>sorrel\n", 'at the branch that is deployed');
is(-e $stack->dir . '/people/clone/.git/hooks/pre-receive', undef, 'and brings no hook');

# Where a branch goes.
$site->in(qw(checkout -q -b topic));
$site->commit({ 'index.html' => "<p>on a topic\n" }, 'topic');
$got = $site->push('topic');
is($got->{rc}, 0, 'a branch that nothing takes is taken by git');
like($got->{said}, qr/topic is not deployed: no environment takes this branch/, 'and says why it is not deployed');
$got = $site->push('-opreview', 'topic:topic2');
isnt($got->{rc}, 0, '-o preview without previews is refused');
like($got->{said}, qr/previews\.max/, 'and says what to set');
is($site->tips->{topic2}, undef, 'and leaves no branch');
$stack->api(PATCH => '/v1/apps/blog', { previews => { max => 2 } }, headers => { 'If-Match' => '*' });
$got = $site->push('-opreview', 'topic:topic2');
is($got->{rc}, 0, '-o preview') or diag($got->{said});
like($got->{said}, qr{is live: http://blog-branch-topic2\.}, 'shows the URL of the preview');
like($stack->get('blog-branch-topic2')->{body}, qr/on a topic/, 'which serves it');
like($stack->get('blog')->{body}, qr/sorrel/, 'production is as it was');
$stack->api(PUT => '/v1/apps/blog/environments/staging', { pattern => 'release/*' });
$got = $site->push('topic:release/1');
like($got->{said}, qr{goes to staging.*is live: http://blog-env-staging\.}s, 'F190 a branch goes to the environment that takes it');
$got = $site->push('-oenvironment=qa', 'topic:refs/heads/x');
like($got->{said}, qr{goes to qa.*is live: http://blog-env-qa\.}s, '-o environment=NAME');
$got = $site->push('-ono-deploy', 'topic:release/2');
like($got->{said}, qr/release\/2 is not deployed: as no-deploy asks/, '-o no-deploy');
$site->commit({ 'index.html' => "<p>skipped\n" }, "later\n\n[skip ci]");
like($site->push('topic:release/3')->{said}, qr/its message asks for no deployment/, 'R7 [skip ci]');
is($site->push('--delete', 'release/2')->{rc}, 0, 'R22 a branch can be deleted');
isnt($site->push('--delete', 'main')->{rc}, 0, 'but not the one that is deployed');
$site->push('--delete', 'topic2');
wait_for { $stack->get('blog-branch-topic2')->{status} == 404 } 15, 'the preview to be closed';
pass('a deleted branch takes its preview along');

# Not waiting.
$site->in(qw(checkout -q main));
$site->commit({ 'index.html' => "<p>fennel\n" }, 'fennel');
$got = $site->push('-ono-wait', 'main');
is($got->{rc}, 0, '-o no-wait');
unlike($got->{said}, qr/is live/, 'does not wait');
my ($id) = $got->{said} =~ /deployment ([0-9a-z]{26})/;
is($stack->completed($id)->{conclusion}, 'succeeded', 'and is deployed all the same');
is($stack->deploy('blog', { ref => 'release/1' })->{conclusion}, 'succeeded', 'the API deploys what was pushed, too');

# A failed deployment: told; the push was taken unless strict.
$site->commit({ 'index.html' => undef, 'a/b.txt' => undef }, 'nothing left');
$got = $site->push('main');
is($got->{rc}, 0, 'without strict the push is taken');
like($got->{said}, qr/failed: .*\(output_missing\).*goes on serving/s, 'and says that the deployment failed, and why');
is($site->tips->{main}, $site->head, 'the branch has moved');

# Two branches at once; a shallow clone, as a build server has it (git itself takes but one branch of such).
$site->commit({ 'index.html' => "<p>two at once\n" }, 'two');
$got = $site->push('main', 'main:release/4');
is($got->{rc}, 0, 'two branches in one push');
like($got->{said}, qr/goes to production.*goes to staging.*is live.*is live/s, 'each is deployed where it goes');
like($stack->get("blog$_")->{body}, qr/two at once/, "blog$_ serves it") for '', '-env-staging';
$site->git('clone', '-q', '--depth=1', 'file://' . $site->work, $stack->dir . '/people/shallow');
my $shallow = bless { %$site, work => $stack->dir . '/people/shallow', slug => 'shallow' }, 'WH::Push';
$shallow->commit({ 'index.html' => "<p>shallow\n" });
$got = $shallow->push('main');
is($got->{rc}, 0, 'a shallow clone can be pushed') or diag($got->{said});
like($stack->get('shallow')->{body}, qr/shallow/, 'and is live');

# A Dockerfile at the top makes a container app, unless the push says otherwise.
my $box = WH::Push->new(stack => $stack, slug => 'box');
$box->commit({ Dockerfile => "FROM scratch\n", 'index.html' => "x\n" });
like($box->push('-ono-deploy', 'main:trunk')->{said}, qr/box is a new app: container, deployed from trunk/, 'a Dockerfile: a container app');
my $plain = bless { %$box, slug => 'plain' }, 'WH::Push';
like($plain->push('-okind=static', 'main')->{said}, qr/plain is a new app: static.*plain is live/s, '-o kind=static: a site all the same');

# wh
like($stack->wh(qw(apps info blog))->{out}, qr{push to\s+\Q$app->{push_url}\E}, 'wh apps info names the push URL');
is($stack->wh(qw(git-remote blog))->{out}, "$app->{push_url}\n", 'wh git-remote prints it');

# The repository goes with its app.
my @repos = grep { !/empty/ } glob($stack->dir . '/state/git/*');
is(scalar @repos, 4, 'a repository each');
$stack->api(DELETE => '/v1/apps/shallow', undef, headers => { 'If-Match' => '*' });
is(scalar(grep { !/empty/ } glob($stack->dir . '/state/git/*')), 3, 'it goes with its app');

is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
unlike($stack->log_text('httpd-error') . $stack->log_text('agent'), qr/\Q$stack->{token}\E/, 'no token in a log');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
