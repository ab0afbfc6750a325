#!/usr/bin/perl
# The command line: exit codes, JSON, what goes where, waiting, and what a hostile server may not do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP qw(decode_json);
use IO::Socket::INET;
use POSIX ();
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $stack = WH::Stack->new;
$stack->start;

sub says {
    my ($env, $args, $rc, $what, %like) = @_;
    my $got = $stack->wh_env($env, @$args);
    is($got->{rc}, $rc, $what) or diag("out: $got->{out}\nerr: $got->{err}");
    like($got->{$_}, $like{$_}, "$what: $_") for sort keys %like;
    return $got;
}

# Usage.
says({}, ['--help'], 0, '--help', out => qr/^  deploy /m);
says({}, [ 'deploy', '--help' ], 0, 'help of a command', out => qr/--wait/);
says({}, [], 2, 'no command', err => qr/--help/);
says({}, ['nonsense'], 2, 'an unknown command', err => qr/nonsense/);
says({}, [ 'deploy', '--nonsense', 'x' ], 2, 'an unknown option', err => qr/--nonsense.*wh deploy --help/);
says({}, [ 'deploy', 'x', 'y' ], 2, 'too many arguments');
says({}, ['apps:create'], 2, 'a colon stands for a space', err => qr/argument is missing/);
says({}, [ 'deploy', 'x', '--timeout', '5x' ], 2, 'no number', err => qr/5x/);
says({}, ['version'], 0, 'version', out => qr/^wh \d+\.\d+/);
is(decode_json($stack->wh('version', '--json')->{out})->{version}, '0.1.0', 'version --json');
says({ WH_URL => 'ftp://x' }, ['apps'], 2, 'a URL that is none', err => qr/ftp/);

# Login.
says({ WH_TOKEN => '' }, ['apps'], 4, 'no token: exit code 4', err => qr/wh login/);
says({ WH_TOKEN => 'wh_wrong' }, ['apps'], 4, 'a wrong token: exit code 4', err => qr/WH_TOKEN/);
says({ WH_TOKEN => '' }, [ 'login', 'one-time-nonsense' ], 4, 'a wrong one-time token');
my (undef, $made) = $stack->as_wisehost('--admin-token');
my ($once) = $made =~ /^ADMIN_TOKEN=(\S+)/m;
ok($once, 'a second one-time token') or diag($made);
my $stdin = $stack->dir . '/cli/stdin';
open my $in, '>', $stdin or die;
print {$in} "$once\n";
close $in;
says({ WH_TOKEN => '', STDIN => $stdin }, ['login'], 0, 'login with the token on standard input');
my $conf = $stack->dir . '/cli/wisehost/config.json';
is((stat $conf)[2] & 07777, 0600, 'the token is kept, mode 0600');
my $kept = decode_json(WH::Stack::slurp($conf));
like($kept->{token}, qr/^wh_/, 'an API token');
says({ WH_TOKEN => '', WH_URL => '' }, ['apps'], 0, 'what login kept is used');
says({ WH_TOKEN => '', WH_URL => 'http://127.0.0.1:1' }, ['apps'], 1, 'and never sent to another server');
says({ WH_TOKEN => '', STDIN => $stdin }, ['login'], 4, 'a one-time token works once');

# Apps.
my $repo = $stack->repo('site', { 'index.html' => "one\n" });
says({}, [ 'apps', 'create', 'site' ], 2, 'create without a repository', err => qr/--repo/);
my $got = says({}, [ 'apps', 'create', 'Bad_Name', '--repo', $repo->path ], 1, 'a bad slug', err => qr/400|422/);
is(($got->{err} =~ tr/\n//), 1, 'is said once');
$got = says({}, [ 'apps', 'create', 'site', '--repo', $repo->path, '--json' ], 0, 'create');
is(decode_json($got->{out})->{slug}, 'site', 'create --json');
says({}, [ 'apps', 'create', 'site', '--repo', $repo->path ], 5, 'the same again: exit code 5');
says({}, ['apps'], 0, 'list', out => qr/^site\s+static/m);
is(ref decode_json($stack->wh('apps', 'list', '--json')->{out}), 'ARRAY', 'list --json');
says({}, [ 'apps', 'set', 'site', '--preset', 'static' ], 0, 'F286 a preset is chosen');
says({}, [ 'apps', 'set', 'site', '--preset', 'nothing' ], 1, 'F286 one that is not there', err => qr{/build/preset: there is no preset});
says({}, [ 'apps', 'set', 'site', '--preset=' ], 0, 'F286 and told from the files again');
says({}, [ 'apps', 'info', 'site' ], 0, 'info', out => qr/\Q@{[ $repo->path ]}\E/);
says({}, [ 'apps', 'info', '-a', 'nobody' ], 3, 'info of none: exit code 3', err => qr/`wh apps` lists/);
says({ WH_URL => $stack->url =~ s/127\.0\.0\.1/site.localhost/r }, ['apps'], 3, 'not the address of the API', err => qr/wh doctor/);
says({}, ['apps'], 0, 'an app without a deployment', out => qr/^site +static +never deployed /m);
says({}, [ 'apps', 'info', 'site' ], 0, 'its info', out => qr/state +never deployed\n/);
says({}, [ 'status', 'site' ], 0, 'its status', out => qr/^site: never deployed\n/);
says({}, ['status'], 0, 'and the status of all', out => qr/^site +never deployed /m);
says({}, [ 'requests', 'site' ], 0, 'requests', out => qr/^LAST +PER S +REQUESTS .*^minute +0\.00 +0 .*^all +- +0 +0 +0 +0 +0 +0 +- +- +- +0\.0 MiB$/ms, err => qr/counted since \d{4}-/);
ok(decode_json($stack->wh('requests', '-a', 'site', '--json')->{out})->{counted}, 'requests --json');
says({}, [ 'stats', 'site' ], 0, 'F4 stats of a static app', out => qr/\Ano figures: static\n\z/);
says({}, [ $_, 'nobody' ], 3, "$_ of none: exit code 3") for qw(requests stats);
says({}, ['requests'], 2, 'requests of what?', err => qr/which app/);
# Its settings.
says({}, [ 'apps', 'set', 'site' ], 2, 'apps set of nothing', err => qr/what\?/);
says({}, [ 'apps', 'set', 'site', '--kind', 'container' ], 2, 'its kind cannot be changed, and it is said', err => qr/cannot be changed; make another app/);
says({}, [ 'apps', 'set', 'site', '--previous-assets', '2h' ], 0, 'a time with its unit');
says({}, [ 'apps', 'set', 'site', '--previous-assets', '2w' ], 2, 'and one without sense', err => qr/is no time/);
says({}, [ 'apps', 'set', 'nobody', '--spa' ], 3, 'apps set of none: exit code 3');
says({}, [ 'apps', 'set', 'site', '--spa', '--no-spa' ], 2, 'both ways', err => qr/--spa and --no-spa/);
says({}, [ 'apps', 'set', 'site', '--repo', '' ], 2, 'no repository', err => qr/--repo must not be empty/);
says({}, [ 'apps', 'set', 'site', '--previews', 'x' ], 2, 'no number', err => qr/--previews: "x"/);
says({}, [ 'apps', 'set', 'site', '--previews', '100000' ], 1, 'too many previews', err => qr{/previews/max});
says({}, [ 'apps', 'set', 'site', '--spa', '--clean-urls', '--label', 'a=b' ], 0, 'apps set of what a deployment takes',
    err => qr/next deployment: wh deploy --wait site/);
$got = says({}, [ 'apps', 'set', 'site', '--previous-assets', '60', '--previews', '3', '--preview-ttl', '7200', '--name', 'My site',
    '--json' ], 0, 'apps set of what is seen at once', err => qr/^Set\.$/);
my $app = decode_json($got->{out});
is_deeply([ $app->{name}, $app->{previews}, $app->{serve}{previous_assets_seconds} ], [ 'My site', { max => 3, ttl_seconds => 7200 }, 60 ],
    'its JSON is the app');
says({}, [ 'apps', 'info', 'site' ], 0, 'info shows the settings',
    out => qr/name +My site\n.*spa +yes\n.*clean urls +yes\n.*previous assets +60\n.*previews +3\n.*preview ttl +7200\n.*maintenance +no\n/s);
says({}, [ 'apps', 'set', 'site', '--no-spa', '--no-clean-urls', '--previews=', '--preview-ttl=', '--previous-assets=', '--name=',
    '--label=' ], 0, 'empty values are the defaults');
my %fresh = %{ $stack->api(GET => '/v1/apps/site')->{json} };
is_deeply([ @fresh{qw(name spa previews)}, @{ $fresh{serve} }{qw(clean_urls previous_assets_seconds)}, $fresh{placement}{labels} ],
    [ 'site', JSON::PP::false, { max => 0, ttl_seconds => 604800 }, JSON::PP::false, 86400, {} ], 'as at first');
for my $state (qw(stopped running)) {
    says({}, [ 'apps', 'set', '-a', 'site', '--desired', $state ], 0, "apps set --desired $state");
    is($stack->api(GET => '/v1/apps/site')->{json}{desired}, $state, 'is wanted');
}
# Every field of the API's app can be set.
my $spec = $stack->api(GET => '/v1/openapi.json')->{json};
my $body = $spec->{paths}{'/v1/apps/{slug}'}{patch}{requestBody}{content}{'application/json'}{schema};
my $def  = WH::Stack::slurp("$FindBin::Bin/../../wh/wh_cli_app.def");
my %settable = map { $_ => 1 } $def =~ /^APP_[A-Z]+\("[^"]+", (?:"[A-Z]+", )?"([^"]+)"/mg;
my @missing = grep { !$settable{$_} && !/^(?:slug|kind|placement\..*)$/ }
    map { my $m = $_; my $in = $body->{properties}{$m}{properties}; $in ? map { "$m.$_" } sort keys %$in : $m } sort keys %{ $body->{properties} };
cmp_ok(scalar(keys %settable), '>', 20, 'the list of settings');
is("@missing", '', 'wh apps set knows every field of the API');

says({}, [ 'logs', 'site' ], 3, 'logs before a deployment', err => qr/wh deploy site/);

# Deployments.
$got = says({}, [ 'deploy', 'site', '--wait' ], 0, 'deploy --wait',
    out => qr{^http://site\.localhost:\d+/?\n$}, err => qr/\[ *\d+\.\d s\] done/);
like($stack->get('site')->{body}, qr/one/, 'is live when it returns');
$repo->commit({ 'index.html' => "two\n" });
$got = says({}, [ 'deploy', '--wait', '--json', '-q', 'site' ], 0, 'deploy --wait --json -q');
is(decode_json($got->{out})->{conclusion}, 'succeeded', 'its JSON is the deployment');
is($got->{err}, '', 'and -q says nothing else');
like($stack->get('site')->{body}, qr/two/, 'is live when it returns');
$got = says({}, [ 'deploy', 'site', '--wait', '--ref', 'nowhere' ], 1, 'a deployment that fails: exit code 1',
    err => qr/failed.*next: wh /s);
is($got->{out}, '', 'prints no URL');
like($got->{err}, qr/goes on serving/, 'says that the former release goes on');
says({}, [ 'deploy', 'nobody' ], 3, 'deploy of none');
says({}, [ 'deployments', 'site' ], 0, 'deployments', out => qr/^3\s.*failed.*^2\s.*succeeded.*^1\s/ms);
is(scalar @{ decode_json($stack->wh('deployments', 'site', '-n', '2', '--json')->{out}) }, 2, 'deployments -n 2');
# Lists are asked for alike.
for my $list (qw(deployments environments domains hooks)) {
    my $want = says({}, [ $list, 'site' ], 0, "$list APP", out => qr/\A[A-Z]+ /)->{out};
    is($stack->wh($list, 'list', 'site')->{out}, $want, "$list list APP");
    is($stack->wh($list, '-a', 'site')->{out}, $want, "$list -a APP");
    is($stack->wh($list, 'list', '--app', 'site')->{out}, $want, "$list list --app APP");
    is(ref decode_json($stack->wh($list, 'site', '--json')->{out}), 'ARRAY', "$list --json");
    says({}, [ $list, 'nobody' ], 3, "$list of none: exit code 3");
}
says({}, [ $_, 'nonsense' ], 2, "$_ nonsense", err => qr/no command $_ nonsense/) for qw(apps workers);
says({}, [ 'logs', 'site' ], 0, 'logs of an app', out => qr/nowhere/);

# Rollback and promotion. What an environment shows is not always what was deployed to it.
says({}, [ 'rollback', 'site' ], 0, 'rollback', out => qr{^http://site\.localhost}, err => qr/production shows/);
wait_for { $stack->get('site')->{body} =~ /one/ } 10, 'the former release';
says({}, [ 'rollback', 'site', '--to', '1' ], 5, 'rollback to what is shown: exit code 5', err => qr/already_serving/);
says({}, [ 'rollback', 'site', '--to', '99' ], 1, 'rollback to nothing', err => qr/no_such_deployment/);
says({}, [ 'promote', 'site', '--from', 'production', '--to', 'staging' ], 0, 'promote', err => qr/staging shows/);
says({}, [ 'deployments', 'site' ], 0, 'deployments say where', out => qr/^1\s.*live in production, staging /m);
says({}, [ 'deploy', 'site', '--wait' ], 0, 'production goes on');
says({}, [ 'promote', 'site', '--to', 'qa' ], 0, 'promote what staging shows', err => qr/qa shows/);
wait_for { $stack->get('site-env-qa')->{body} =~ /one/ } 10, 'what was made for production';
says({}, [ 'apps', 'set', 'site', '--maintenance' ], 0, 'maintenance');
says({}, [ 'status', 'site' ], 0, 'an app in maintenance says so', out => qr/^site: maintenance/);
says({}, [ 'apps', 'set', 'site', '--no-maintenance' ], 0, 'and no more');
says({}, [ 'status', 'site' ], 0, 'and when it is over', out => qr/^site: running/);
says({}, [ 'domains', 'verify', 'site', 'nobody.example' ], 3, 'a domain that is none', err => qr/`wh domains APP` lists/);
says({}, [ 'promote', 'site', '--from', 'nowhere', '--to', 'qa' ], 3, 'promote of nothing: exit code 3', err => qr/wh deployments site/);
says({}, [ 'logs', '-f', 'site' ], 0, 'logs -f ends with the deployment');
says({}, [ 'cancel', 'site' ], 5, 'cancel of what has ended: exit code 5');
says({}, ['status'], 0, 'status', out => qr{online.*0/[1-9]\d* .*site}s);
says({}, [ 'status', 'site' ], 0, 'status of an app', out => qr/http:/);
says({}, ['doctor'], 0, 'doctor', out => qr/ok\s+workers/);
ok(decode_json($stack->wh('doctor', '--json')->{out})->{ok}, 'doctor --json');

# Hooks.
$got = says({}, [ 'hooks', 'create', 'site', '--json' ], 0, 'hooks create');
my $hook = decode_json($got->{out} || '{}');
ok($hook->{secret} && $hook->{url}, 'shows URL and secret');
says({}, ['hooks'], 0, 'hooks', out => qr/\Q$hook->{id}\E/);
unlike($stack->wh('hooks', '--json')->{out}, qr/\Q$hook->{secret}\E/, 'the secret is never shown again');
says({}, [ 'hooks', 'create', 'site', '--provider', 'svn' ], 1, 'hooks create: no forge of ours', err => qr/gitlab/);
says({}, [ 'hooks', 'create', 'site', '--provider', 'gitlab', '--watch', 'web/**,*.md' ], 0, 'hooks create: of another forge', out => qr{/v1/webhooks/gitlab/});
says({}, [ 'hooks', 'create', 'site', '--provider', 'generic' ], 0, 'hooks create: of no forge', err => qr/Authorization: Bearer/);
$got = says({}, [ 'hooks', 'rotate', $hook->{id}, '--json' ], 0, 'hooks rotate');
isnt(decode_json($got->{out})->{secret}, $hook->{secret}, 'with another secret');
says({}, [ 'hooks', 'deliveries', $hook->{id} ], 0, 'hooks deliveries', out => qr/VERDICT/);
says({}, [ 'hooks', 'replay', $hook->{id}, '0' x 26 ], 3, 'hooks replay: no such delivery', err => qr/`wh hooks deliveries HOOK` lists/);
says({}, [ 'approve', '0' x 26 ], 3, 'approve: no such deployment');
says({}, [ 'hooks', 'delete', $hook->{id} ], 0, 'hooks delete');
says({}, [ 'hooks', 'delete', $hook->{id} ], 3, 'once');

# Ctrl-C leaves the deployment running. Without an agent it waits for ever.
$stack->proc('agent')->stop;
wait_for { ($stack->api(GET => '/v1/workers')->{json}{items}[0]{status} // '') eq 'offline' } 20, 'offline';
says({}, ['doctor'], 1, 'doctor without a worker', out => qr/fail\s+workers/);
says({}, [ 'deploy', 'site', '--wait', '--timeout', '1' ], 124, 'out of time: exit code 124',
    err => qr/queued.*waits: no worker is online\n.*goes on/s);
my $err = $stack->dir . '/cli/int';
my $pid = fork // die;
if ($pid == 0) {
    %ENV = (PATH => $ENV{PATH}, WH_URL => $stack->url, WH_TOKEN => $stack->token);
    open STDERR, '>', $err;
    open STDOUT, '>', '/dev/null';
    exec $stack->{inst} . '/bin/wh', qw(deploy site --wait) or POSIX::_exit(127);
}
wait_for { WH::Stack::slurp($err) =~ /queued/ } 10, 'wh to wait';
kill INT => $pid;
waitpid $pid, 0;
is($? >> 8, 130, 'interrupted: exit code 130');
like(WH::Stack::slurp($err), qr/the deployment goes on.*wh logs -f.*wh cancel/s, 'says that it goes on and how to end it');
says({}, [ 'cancel', 'site' ], 0, 'cancel');
wait_for { ($stack->api(GET => '/v1/apps/site/deployments?limit=1')->{json}{items}[0]{conclusion} // '') eq 'canceled' } 10,
    'the deployment to be canceled';
pass('is canceled');

# Deleting.
says({}, [ 'apps', 'delete', 'site' ], 2, 'delete asks; no one is there', err => qr/--yes/);
says({}, [ 'apps', 'delete', 'site', '--yes' ], 0, 'delete --yes');
says({}, [ 'apps', 'info', 'site' ], 3, 'is gone');

# A hostile server: what it sends must not reach the terminal as a command.
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1) or die;
my $fake = fork // die;
if ($fake == 0) {
    $SIG{TERM} = 'DEFAULT';
    while (my $peer = $listen->accept) {
        while (my $line = <$peer>) { last if $line =~ /^\r?\n$/ }
        my $evil = '\u001b]0;owned\u0007\u001b[2Jx\u009b31my\u202e\r\u0000\u007f';
        my $body = qq({"items":[{"slug":"$evil","kind":"$evil","urls":["$evil"]}],"next":null});
        print {$peer} "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            . length($body) . "\r\nConnection: close\r\n\r\n$body";
        close $peer;
    }
    POSIX::_exit(0);
}
my $fake_url = 'http://127.0.0.1:' . $listen->sockport;
for my $args (['apps'], [ 'apps', '--json' ], ['status']) {
    $got = $stack->wh_env({ WH_URL => $fake_url }, @$args);
    (my $rest = $got->{out} . $got->{err}) =~ s/\n//g;
    unlike($rest, qr/[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]/, "wh @$args: control characters are masked");
    ok(length $rest, 'and something is shown');
}
kill TERM => $fake;
waitpid $fake, 0;

is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
