#!/usr/bin/perl
# db: sqlite pgsql
# Scheduler and agent killed, the database gone: what is live stays live. Back again: all as before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new(engine => 1, own_server => 1)->start;
my $page = $stack->app('page', { 'index.html' => "static first\n", 'about/index.html' => "about\n" });
is($stack->deploy('page')->{conclusion}, 'succeeded', 'a static app is live');
my $server = $stack->dir . '/server';
is(system('gcc', '-static', '-O2', '-pthread', '-o', $server, "$WH::Stack::src/examples/hello-container/server.c"), 0,
    'the example server is built');
my $box = $stack->repo('box');
$box->write_file('server', WH::Stack::slurp($server), 0755);
$box->commit({ server => WH::Stack::slurp($server), 'index.html' => "container first\n",
    Dockerfile => WH::Stack::slurp("$WH::Stack::src/examples/hello-container/Dockerfile") });
is($stack->api(POST => '/v1/apps', { slug => 'box', kind => 'container', serve => { grace_seconds => 10 },
    repository => { url => $box->path, branch => 'main' } })->{status}, 201, 'a container app is made');
is($stack->deploy('box', {}, 90)->{conclusion}, 'succeeded', 'and live');
my $before = $stack->db->dump_all(qw(apps deployments names));

my $serves = sub {
    my ($when) = @_;
    my %bad;
    for my $n (1 .. 50) {
        my $got = $stack->get('page', $n % 2 ? '/' : '/about/');
        $bad{page}++ unless $got->{status} == 200 && $got->{body} =~ /static first|about/;
        $got = $stack->get('box');
        $bad{box}++ unless $got->{status} == 200 && $got->{body} =~ /container first/;
    }
    is_deeply(\%bad, {}, "$when: both apps answer, 50 times each");
    return;
};
$serves->('all parts run');
$stack->proc('scheduler')->kill9;
$serves->('the scheduler is killed');
$stack->proc('agent')->kill9;
$serves->('the agent is killed too');
$stack->db->take_away;
$serves->('the database is gone too');
my $got = $stack->api(GET => '/v1/apps');
is($got->{status}, 503, 'the API says 503 without its database, never 401 or 404') or diag($got->{body});
ok($got->{headers}{'retry-after'}, 'with Retry-After');
is($got->{json}{code} && $got->{headers}{'content-type'}, 'application/problem+json', 'as a problem document');

# An httpd that starts while all of this is gone serves what is live.
is_deeply([ $stack->proc('httpd')->stop(15) ], [0], 'httpd stops');
$stack->start_httpd;
$serves->('httpd was started anew, alone');

$stack->db->bring_back;
$stack->start_scheduler;
$stack->start_agent;
$stack->wait_online(40);
is($stack->db->dump_all(qw(apps deployments names)), $before, 'started again: everything is as before');
$serves->('all parts are back');
$page->commit({ 'index.html' => "static second\n" });
is($stack->deploy('page')->{conclusion}, 'succeeded', 'the next static deploy works');
like($stack->get('page')->{body}, qr/static second/, 'and is live');
$box->commit({ 'index.html' => "container second\n" });
is($stack->deploy('box', {}, 90)->{conclusion}, 'succeeded', 'the next container deploy works');
like($stack->get('box')->{body}, qr/container second/, 'and is live');

$stack->allow_log(qr/WH0\d\d\d|AH006\d\d|AH03\d\d\d|AH02454|AH01114|AH02454|dbd|DBD/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs hold nothing else');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
