#!/usr/bin/perl
# wh logs -f and wh events -f follow streams: over a restart of httpd, with the lines of one environment whose deployments
# change meanwhile, and what a terminal would obey taken out.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Path ();
use POSIX ();
use Time::HiRes qw(time sleep);
use WH::Api;
use WH::Sse;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $api = WH::Api->new;
my $token = $api->token('admin');
my $wh = "$ENV{WH_INST}/bin/wh";

# ---- what the scheduler does ----
my (%n, %out);
sub segment {
    my ($dir, $head) = @_;
    return $out{$dir} //= do {
        File::Path::make_path("$api->{state}/logs/$dir");
        open my $file, '>>', "$api->{state}/logs/$dir/0000000000000001.seg" or die $!;
        $file->autoflush(1);
        print {$file} $head;
        $file;
    };
}
sub say_lines {
    my ($id, $deployment, @texts) = @_;
    my $file = segment("apps/$id", '');
    my $k = $n{"$id$deployment"} //= do { my $new = ++$n{"k$id"}; print {$file} "\@$new 0 $deployment c$new\n"; $new };
    print {$file} map { my $i = ++$n{$id}; sprintf "%d %d out %d:%d %s\n", $i, time * 1e6, $k, $i, $_ } @texts;
    return;
}
sub say_event {
    my ($type, $app, $json) = @_;
    my $i = ++$n{events};
    print { segment('events', "\@1 0 events 1\n") } sprintf "%d %d sys 1:%d %s %s %s\n", $i, time * 1e6, $i, $type, $app, $json;
    return;
}

my $app = $api->app($token, 'talk', kind => 'container');
my $id = $app->{id};
sub deployment { return $api->req(POST => '/v1/apps/talk/deployments', token => $token, json => { environment => shift })->{json}{id} }
my %d = (one => deployment('production'), two => deployment('staging'));

# ---- wh as somebody runs it ----
sub start {
    my (@args) = @_;
    pipe my $from, my $to or die $!;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        %ENV = (PATH => $ENV{PATH}, LC_ALL => 'C.UTF-8', WH_URL => $api->{url}, WH_TOKEN => $token, XDG_CONFIG_HOME => "$api->{root}");
        open STDOUT, '>&', $to or POSIX::_exit(126);
        open STDERR, '>', "$api->{root}/wh.err" or POSIX::_exit(126);
        exec $wh, @args or POSIX::_exit(127);
    }
    close $to;
    return { pid => $pid, from => $from, got => '' };
}
sub until_has {
    my ($p, $what, $seconds) = @_;
    my $end = time + ($seconds // 10);
    while ($p->{got} !~ $what && time < $end) {
        my $bits = '';
        vec($bits, fileno $p->{from}, 1) = 1;
        next if !select $bits, undef, undef, 0.2;
        last if !sysread $p->{from}, $p->{got}, 65536, length $p->{got};
    }
    return $p->{got} =~ $what;
}
sub interrupt {
    my $p = shift;
    kill INT => $p->{pid};
    wait_for { waitpid($p->{pid}, POSIX::WNOHANG()) == $p->{pid} } 5, 'an end';
    return $? >> 8;
}

# ---- logs ----
say_lines($id, $d{one}, map {"line $_"} 1 .. 5);
my $follow = start(qw(logs -f talk -n 2));
ok(until_has($follow, qr/line 5\n/), 'wh logs -f begins with the newest lines');
is($follow->{got}, "line 4\nline 5\n", 'as many as were asked for');
my $begin = time;
say_lines($id, $d{one}, "hostile \e[31mred\e[0m \x{c2}\x{9b}31m\e]0;title\a end");
ok(until_has($follow, qr/ end\n/), 'what comes is shown');
cmp_ok(time - $begin, '<', 1, sprintf 'at once: %.2f s', time - $begin);
unlike($follow->{got}, qr/[\e\a]|\x{c2}\x{9b}/, 'a terminal finds nothing to obey');
$api->restart;
say_lines($id, $d{one}, map {"line $_"} 7 .. 9);
ok(until_has($follow, qr/line 9\n/, 15), 'httpd was restarted, it goes on');
is(join(' ', $follow->{got} =~ /^line (\d+)$/mg), '4 5 7 8 9', 'R20 behind where it was: nothing twice, nothing lost');
is(interrupt($follow), 130, 'until interrupted');
my $json = start(qw(logs -f --json talk -n 1));
ok(until_has($json, qr/^\{"seq":9,.*"text":"line 9".*\}\n/m), '--json: a line each');
interrupt($json);
my $wrong = start(qw(logs -f talk --until 1h));
waitpid $wrong->{pid}, 0;
is($? >> 8, 2, '-f and --until do not go together');
my $none = start(qw(logs -f nosuch --since 1h));
waitpid $none->{pid}, 0;
is($? >> 8, 3, 'an app that is not there');

# ---- one environment, whose deployments change ----
my $staging = start(qw(logs -f talk --env staging -n 5));
my $view = WH::Sse->open(port => $api->{port}, path => '/v1/apps/talk/logs?environment=staging&limit=5', token => $token);
ok($view->begun && $view->status == 200, 'a stream of one environment') or diag $view->{got};
say_lines($id, $d{one}, 'of production');
say_lines($id, $d{two}, 'of staging');
ok($view->until(qr/of staging/), 'has its lines');
ok(until_has($staging, qr/of staging\n/), 'wh logs -f --env, too');
$d{three} = deployment('staging');
$d{four} = deployment('production');
say_lines($id, $d{four}, 'of a new production');
say_lines($id, $d{three}, 'of a new staging');
ok($view->ended, 'a deployment that is new ends the stream in order');
is(scalar(grep { $_->{data} =~ /of a new/ } $view->events), 0, 'before its first line');
ok(until_has($staging, qr/of a new staging\n/), 'who comes again has its lines');
$d{five} = deployment('staging');
say_lines($id, $d{five}, 'newer still');
ok(until_has($staging, qr/newer still\n/), 'and so on');
is($staging->{got}, "of staging\nof a new staging\nnewer still\n", 'each once, and no other\'s');
my $back = WH::Sse->open(port => $api->{port}, path => '/v1/apps/talk/logs?environment=production', token => $token, last => 0);
ok($back->until(qr/of a new production/), 'another environment, from the beginning');
is(scalar(grep { $_->{data} =~ /staging|newer/ } $back->events), 0, 'none of the other\'s');
say_lines($id, '01hz0000000000000000000dp9', 'of nobody');
ok($back->ended, 'a deployment that nobody knows');
my $again = WH::Sse->open(port => $api->{port}, path => '/v1/apps/talk/logs?environment=production', token => $token, last => ($back->ids)[-1]);
say_lines($id, $d{one}, 'and on');
ok($again->until(qr/and on/), 'holds nobody up who comes again');
is(scalar($again->events), 1, 'and is not shown');
$_->close for $back, $again;
interrupt($staging);

# ---- events ----
say_event('deploymentUpdate', $id, qq({"app":"talk","deployment":"$d{one}","environment":"production","number":1,"status":"deploy","phase":"building","conclusion":null,"cause":null,"url":null}));
say_event('worker.offline', '-', '{"worker":"w1","name":"big \u001b[31m one","status":"offline","admin_state":"active"}');
my $list = start('events');
waitpid $list->{pid}, 0;
until_has($list, qr/offline.*\n/);
like($list->{got}, qr/^\S+ \S+  deploymentUpdate    talk              #1 deploy building production\n\S+ \S+  worker\.offline      -                 big +one offline\n\z/, 'wh events') or diag $list->{got};
my $events = start(qw(events -f -n 1 --type), 'alert.*,worker.*');
ok(until_has($events, qr/worker\.offline/), 'wh events -f begins with the newest');
say_event('alert.opened', $id, '{"app":"talk","alert":"a1","status":"active","kind":"cpu","severity":"warning","title":"CPU <b>high</b>"}');
say_event('deploymentUpdate', $id, '{"app":"talk","status":"completed"}');
ok(until_has($events, qr/alert\.opened +talk +cpu active CPU <b>high<\/b>\n/), 'and goes on');
unlike($events->{got}, qr/completed/, 'with what was asked for');
is(interrupt($events), 130, 'until interrupted');
my $own = start(qw(events talk --json));
waitpid $own->{pid}, 0;
until_has($own, qr/\]\n/);
is(scalar(() = $own->{got} =~ /"type"/g), 3, 'wh events APP --json');

is($api->unexpected, '', 'a clean error log');
done_testing();
