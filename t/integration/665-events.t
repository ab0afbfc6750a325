#!/usr/bin/perl
# db: sqlite pgsql
# Live events: one a write, to those who may see them, from where one was, over restarts and kill -9.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP ();
use Time::HiRes qw(time);
use WH::Api;
use WH::Sse;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $stack = WH::Stack->new->start;
my $repo = $stack->app('blog', { 'index.html' => "one\n" });
$stack->app('other', { 'index.html' => "two\n" });
my %id = map { $_ => $stack->api(GET => "/v1/apps/$_")->{json}{id} } qw(blog other);
my $tool = WH::Api::builddir() . '/t/tools/wh-db-seed';
sub token {
    my ($scopes, $apps) = @_;
    my $db = $stack->db;
    my (undef, $out) = $stack->run_cmd($tool, 'token', $db->driver, $db->params, $scopes, $apps);
    return ($out =~ /^TOKEN=(\S+)/m)[0] // die "no token: $out";
}
my %token = (all => $stack->token, blog => token('read', $id{blog}), other => token('read', $id{other}), deploy => token('deploy', '*'));
sub viewer { my ($path, %o) = @_; return WH::Sse->open(port => $stack->port, path => $path, token => $token{ $o{as} // 'all' }, %o) }
sub page { my ($path, $as) = @_; return $stack->request(path => $path, token => $token{ $as // 'all' }) }

# ---- pages ----------------------------------------------------------------------------------------------
my $page;
wait_for { $page = page('/v1/events')->{json}; grep { $_->{type} eq 'app.created' && $_->{app} eq 'other' } @{ $page->{items} } } 10, 'what was made is told';
is(join(' ', map { $_->{type} } @{ $page->{items} }), 'worker.registered worker.online app.created app.created', 'R20 what happened so far, as a page')
    or diag explain $page;
is($page->{before}, undef, 'from the beginning');
is_deeply([ map { $_->{id} } @{ $page->{items} } ], [ 1 .. 4 ], 'their ids');
is(join(' ', map { "$_->{type} $_->{app}" } @{ page('/v1/events', 'other')->{json}{items} }), 'app.created other', 'D9 a token sees its own apps, no worker');
is(join(' ', map { $_->{app} } @{ page('/v1/apps/blog/events')->{json}{items} }), 'blog', 'an app\'s page');
my $next = page('/v1/events?after=1&limit=2')->{json};
is_deeply([ [ map { $_->{id} } @{ $next->{items} } ], $next->{next}, $next->{complete} ], [ [ 2, 3 ], 3, JSON::PP::false() ], 'forwards') or diag explain $next;
for (['/v1/apps/blog/events', 'other', 404], ['/v1/apps/nosuch/events', 'all', 404], ['/v1/events', 'deploy', 403], ['/v1/apps/blog/events', 'deploy', 403],
    ['/v1/events?type=nonsense', 'all', 400], ['/v1/events?type=alert.*,worker.online', 'all', 200], ['/v1/events?after=1&before=2', 'all', 400]) {
    is(page($_->[0], $_->[1])->{status}, $_->[2], "D9 $_->[0] as $_->[1]: $_->[2]");
}
my $nobody = WH::Sse->open(port => $stack->port, path => '/v1/events');
$nobody->begun;
is($nobody->status, 401, 'nobody sees anything');
my $wrong = viewer('/v1/apps/blog/events', as => 'other');
$wrong->begun;
is($wrong->status, 404, 'D9 nor does another app\'s token, as a stream');
for ('before=3', 'to=5') { my $v = viewer("/v1/events?$_"); $v->begun; is($v->status, 400, "a stream and $_") }

# ---- a deployment, as it goes ----------------------------------------------------------------------------
my %view = (all => viewer('/v1/events'), blog => viewer('/v1/apps/blog/events', as => 'blog'), own => viewer('/v1/events', as => 'blog'),
    other => viewer('/v1/events', as => 'other'), builds => viewer('/v1/events?type=buildStatusUpdate'));
ok($view{$_}->begun && $view{$_}->status == 200, "a stream: $_") for sort keys %view;
like($view{all}->head, qr{^Content-Type: text/event-stream\r$}m, 'R20 its type');
my $d = $stack->deploy('blog');
is($d->{conclusion}, 'succeeded', 'a deployment');
my $over = time;
ok($view{blog}->until(qr/"conclusion":\s?"succeeded"/), 'F284 its end is told');
cmp_ok(time - $over, '<', 3, sprintf 'soon: %.2f s after the API said so', time - $over);
my @told = map { my $j = $_->{json}; "$_->{event} $j->{status}" . ($j->{phase} ? "/$j->{phase}" : '') } $view{blog}->events;
is(join(', ', grep {/build/} @told), 'buildStatusUpdate queued, buildStatusUpdate running, buildStatusUpdate passed', 'F283 the build, once each') or diag explain \@told;
is($told[0], 'deploymentUpdate prepare/queued', 'F284 from its beginning');
is(scalar(grep { $_ eq 'deploymentUpdate completed/done' } @told), 1, 'F244 to its end, once');
my %seen;
$seen{$_}++ for @told;
is(join(', ', grep { $seen{$_} > 1 } sort keys %seen), '', 'F243 F244 nothing twice');
my ($last) = grep { $_->{data} =~ /succeeded/ } $view{blog}->events;
is_deeply([ @{ $last->{json} }{qw(app deployment environment number conclusion id)} ], [ 'blog', $d->{id}, 'production', 1, 'succeeded', $last->{id} + 0 ], 'what it says')
    or diag explain $last;
like($last->{json}{url}, qr{^http://blog\.localhost}, 'F284 with the URL');
ok($view{builds}->until(qr/passed/), 'a filter by type');
is(join(' ', $view{builds}->types), 'buildStatusUpdate ' x 2 . 'buildStatusUpdate', 'and nothing else');
ok($view{own}->until(qr/succeeded/), 'a token of one app');
is(scalar($view{own}->events), scalar($view{blog}->events), 'sees what is of it');
is(join(' ', $view{other}->events), '', 'D9 a token of another app sees nothing of that');

# ---- hostile text ------------------------------------------------------------------------------------------
my $evil = "<script>alert(1)</script>\nid: 1\ndata: x\r\n\x{2028}\"'";
(my $sql = $evil) =~ s/'/''/g;
utf8::encode($sql);
$stack->db->rows("UPDATE apps SET reason = '$sql' WHERE slug = 'blog'");
ok($view{blog}->until(qr/script/), 'any text comes');
my ($hostile) = grep { $_->{data} =~ /script/ } $view{blog}->events;
is($hostile->{json}{reason}, $evil, 'as it is');
unlike($hostile->{data}, qr/[<>]|\r|\x{e2}\x{80}\x{a8}/, 'in one line of data, and harmless in a page');
is($hostile->{event}, 'app.status', 'of one event');

# ---- a worker goes and comes -------------------------------------------------------------------------------
$stack->proc('agent')->stop;
ok($view{all}->until(qr/worker\.offline/, 15), 'a worker goes');
$stack->start_agent;
ok($view{all}->until(qr/worker\.online/, 15), 'and comes') or diag $view{all}->all;
is(join(' ', grep {/^worker/} $view{all}->types), 'worker.offline worker.online', 'F244 once each');

# ---- resume: httpd's graceful restart, kill -9 of the scheduler --------------------------------------------
my $mark = ($view{all}->ids)[-1];
kill USR1 => $stack->proc('httpd')->pid;
ok($view{$_}->ended(15), "a graceful restart ends streams: $_") for sort keys %view;
sub write_reasons {
    my ($from, $to) = @_;
    $stack->db->rows(join '; ', map {"UPDATE apps SET reason = 'r$_' WHERE slug = 'other'"} $from .. $to);
    return;
}
$stack->allow_log(qr/AH02454|AH01114/);    # the agent asks for a killed scheduler
for my $round (0 .. 2) {
    write_reasons($round * 40 + 1, $round * 40 + 20);
    $stack->proc('scheduler')->kill9;
    write_reasons($round * 40 + 21, $round * 40 + 40);
    $stack->start_scheduler;
}
my $back = viewer('/v1/events?type=app.status', last => $mark);
ok($back->until(qr/"r120"/, 20), 'R20 Last-Event-ID, after three kills');
my @reasons = map { $_->{json}{reason} } grep { $_->{json}{app} eq 'other' } $back->events;
is(join(' ', @reasons), join(' ', map {"r$_"} 1 .. 120), 'F244 nothing lost, nothing twice, in order');
my @ids = $back->ids;
is_deeply(\@ids, [ sort { $a <=> $b } @ids ], 'ids rise');
is($stack->db->value('SELECT COUNT(*) FROM event_outbox'), 0, 'and nothing is left in the database');
my $some = viewer('/v1/events?limit=3');
$some->until(sub { $_[0]->events == 3 });
like($some->all, qr/"r120"/, 'limit: the newest few first');
my $from = viewer('/v1/events?from=' . int(time - 3600) . '&type=app.created');
ok($from->until(sub { $_[0]->events == 2 }), 'from: that time on');

# ---- what is there no more -----------------------------------------------------------------------------------
my $future = viewer('/v1/events', last => 1_000_000);
ok($future->until(sub { $_[0]->events > 0 }), 'an id that never was');
is_deeply([ ($future->events)[0]{event}, ($future->events)[0]{json}{after} ], [ 'missed', 1_000_000 ], 'the client is told') or diag $future->all;
my $segment = "$stack->{dir}/state/logs/events/0000000000000001.seg";
ok(-s $segment, 'the log');
rename $segment, "$stack->{dir}/state/logs/events/0000000000000011.seg";    # as if the first ten had gone
my $missed = viewer('/v1/events', last => 4);
ok($missed->until(sub { $_[0]->events > 1 }), 'an id that is there no more');
is_deeply([ @{ ($missed->events)[0] }{qw(id event)}, ($missed->events)[0]{json} ], [ 10, 'missed', { after => 4, oldest => 11 } ], 'the client is told which are gone')
    or diag explain(($missed->events)[0]);
rename "$stack->{dir}/state/logs/events/0000000000000011.seg", $segment;

# ---- bounds ----------------------------------------------------------------------------------------------------
my @open = map { my $v = viewer('/v1/events', as => 'blog'); $v->begun; $v } 1 .. 65;
is(scalar(grep { $_->status == 200 } @open), 64, 'a token has 64 streams');
is($open[64]->status, 429, 'and no more');
$_->close for @open;
$stack->db->rows("UPDATE tokens SET revoked_at = 1 WHERE apps = '$id{blog}'");
# What is open ends when its ten minutes are over (WH_MOD_STREAM_LIFE).
my $revoked = viewer('/v1/events', as => 'blog');
$revoked->begun;
is($revoked->status, 401, 'a revoked token begins none');

is(join(' ', $stack->stop), '', 'everything ends in order');
is(join("\n", $stack->bad_log_lines), '', 'clean logs');
done_testing();
