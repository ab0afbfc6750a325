#!/usr/bin/perl
# Two machines with httpd and a scheduler each before one PostgreSQL, as docs/install.md says: state directories of
# their own, objects and releases shared. Either API deploys, both serve; the active scheduler is killed with a deployment under way.
# db: pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Proc;
use WH::Stack;
use WH::Wait qw(try_for now_s);

my $src = $WH::Stack::src;
my $one = WH::Stack->new(engine => 1);
my ($rc, $said) = $one->run_cmd("$src/conf/engine.sh", 'prepare', $one->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
chomp(my $modules = `apxs -q LIBEXECDIR`);
my $two = WH::Stack->new(httpd_extra => 'WiseHostLocalRepoRoot "' . $one->dir . <<"CONF");
/repos"
<IfModule !alias_module>
    LoadModule alias_module "$modules/mod_alias.so"
</IfModule>
<Location "/broken">
    Redirect 500 /
</Location>
CONF
$two->{db} = $one->db;
$one->{agent_conf} = { hub_url => join ' ', map { 'ws://127.0.0.1:' . $_->port } $one, $two };
# An agent comes to a front end whose scheduler stands by, or is dead; and before the killed one is back, its machine's
# table names a container that was replaced.
$_->allow_log(qr/hub\.sock|AH01114|WH06\d\d/) for $one, $two;
$one->allow_log(qr/AH00957: http: attempt to connect to 127/);
$one->start;

$two->configure;
$two->init;
my ($mine, $theirs) = map { $_->dir . '/state' } $two, $one;
system('cp', '-p', (map { "$theirs/keys/$_" } qw(root.key module.key control.secret)), "$mine/keys/") == 0 or die 'cp';
for my $shared (qw(objects releases)) {
    system('rm', '-rf', "$mine/$shared") == 0 or die 'rm';
    symlink "$theirs/$shared", "$mine/$shared" or die "$shared: $!";
}
$two->{token} = $one->token;

# It stands by: there is no hub to wait for.
sub stand_by {
    my ($stack) = @_;
    my $dir = $stack->dir;
    my $before = () = $stack->log_text('scheduler') =~ /standing by: another scheduler is active/g;
    unlink "$dir/state/run/hub.sock";
    $stack->{proc}{scheduler} = WH::Proc->start(name => 'scheduler', user => 'wisehost', groups => 'www-data', umask => 007,
        log => "$dir/log/scheduler.log", cmd => [ $stack->scheduler_cmd ]);
    return try_for(sub { (() = $stack->log_text('scheduler') =~ /standing by: another scheduler is active/g) > $before }, 10);
}
ok(stand_by($two), 'the second scheduler stands by');
$two->start_httpd;
my %name = ($one => 'the first', $two => 'the second');

# Both front ends answer with this within two seconds.
sub both_serve {
    my ($slug, $re, $what) = @_;
    my $from = now_s();
    for my $stack ($one, $two) {
        ok(try_for(sub { ($stack->get($slug)->{body} // '') =~ $re }, 2 - (now_s() - $from)), "$what: served by $name{$stack}")
            or diag(explain $stack->get($slug));
    }
    note(sprintf '%s: both after %.2f s', $what, now_s() - $from);
    return;
}

my $server = $one->dir . '/server';
is(system('gcc', '-static', '-O2', '-pthread', '-o', $server, "$src/examples/hello-container/server.c"), 0, 'the example server is built');
my %files = (server => WH::Stack::slurp($server), Dockerfile => WH::Stack::slurp("$src/examples/hello-container/Dockerfile"));
my %repo = (site => $one->app('site', { 'index.html' => "<p>none\n" }), box => $one->repo('box'));
my $made = $two->api(POST => '/v1/apps', { slug => 'box', kind => 'container', serve => { grace_seconds => 10 },
    repository => { url => $repo{box}->path, branch => 'main' }, run => { port => 8080 } });
is($made->{status}, 201, 'an app is made through the second front end') or diag($made->{body});
my $n = 0;
sub commit {
    my ($slug) = @_;
    my $word = 'word' . ++$n . join '', map { chr 97 + int rand 26 } 1 .. 8;
    $repo{box}->write_file('server', $files{server}, 0755) if $slug eq 'box';
    $repo{$slug}->commit({ $slug eq 'box' ? %files : (), 'index.html' => "<p>$word\n" });
    return qr/$word/;
}
sub through {
    my ($stack, $slug, $what) = @_;
    my $word = commit($slug);
    my $done = $stack->deploy($slug, {}, 60);
    is($done->{conclusion}, 'succeeded', "$what: $slug is deployed through $name{$stack}") or diag(explain $done);
    both_serve($slug, $word, "$what, $slug");
    return;
}
is($one->api(POST => '/v1/alert-rules', { kind => 'error_rate', threshold => 20, sustain_minutes => 0 })->{status}, 201, 'a rule of error rates');
through($one, 'site', 'the first is active');
sub broken { $two->get('site', '/broken') for 1 .. 20; return }
broken();
through($two, 'site', 'the first is active');
through($two, 'box', 'the first is active');

# ---- what came to the front end of the one that stands by counts ----
my ($alert, $asked) = (undef, 0);
ok(try_for(sub {
    broken() if $asked++ % 20 == 0;
    ($alert) = grep { $_->{kind} eq 'error_rate' } @{ $one->api(GET => '/v1/apps/site/alerts')->{json}{items} };
    return $alert;
}, 75), 'R26 errors that only the second front end answered with fire error_rate');
cmp_ok($alert->{value} // 0, '>', 20, 'with the part of all requests');

# ---- the active one dies, with a deployment under way ----
my $word = commit('box');
my $under_way = $two->api(POST => '/v1/apps/box/deployments', {})->{json}{id};
ok(try_for(sub { $one->api(GET => "/v1/deployments/$under_way")->{json}{status} eq 'deploy' }, 15), 'a deployment is under way');
my $from = now_s();
$one->proc('scheduler')->kill9;
ok(try_for(sub { -S "$mine/run/hub.sock" }, 10), 'the other one is the hub now');
my $took = now_s() - $from;
cmp_ok($took, '<', 5, sprintf 'XN10 it took over %.2f s after a kill -9', $took);
my $done = $one->completed($under_way, 60);
is($done->{conclusion}, 'succeeded', 'the deployment under way ends as it should') or diag(explain $done);
is(scalar(grep { /^wh-|box/ } split /\n/, ($one->podman(qw(ps --format {{.Names}})))[1]), 1, 'and its container is the only one')
    if try_for(sub { 1 == (() = ($one->podman(qw(ps --format {{.Names}})))[1] =~ /box/g) }, 20);
delete $one->{proc}{scheduler};
ok(stand_by($one), 'the killed one comes back and stands by');
both_serve('box', $word, 'what was under way');
through($one, 'site', 'the second is active');
through($two, 'site', 'the second is active');
through($one, 'box', 'the second is active');

is(join("\n", map { $_->bad_log_lines } $one, $two), '', 'the logs are clean');
is(join(' ', $two->stop, $one->stop), '', 'all of it ends when it is told to');
done_testing();
