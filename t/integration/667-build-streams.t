#!/usr/bin/perl
# The log of a deployment as a stream: its lines as they come, from where one was, and its end, after which nobody waits.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Path ();
use POSIX ();
use Time::HiRes qw(time);
use WH::Api;
use WH::Sse;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $stack = WH::Stack->new->start;
$stack->app('site', { 'index.html' => "one\n" });
$stack->app('other', { 'index.html' => "two\n" });
my $other = $stack->api(GET => '/v1/apps/other')->{json}{id};
my $db = $stack->db;
my (undef, $said) = $stack->run_cmd(WH::Api::builddir() . '/t/tools/wh-db-seed', 'token', $db->driver, $db->params, 'read', $other);
my ($foreign) = $said =~ /^TOKEN=(\S+)/m;
sub viewer { my ($id, %o) = @_; return WH::Sse->open(port => $stack->port, path => "/v1/deployments/$id/logs" . ($o{query} // ''), token => $stack->token, %o) }
sub texts { return join '|', map { $_->{json}{text} } grep { $_->{event} ne 'end' } $_[0]->events }

# ---- a real one ----
my $id = $stack->api(POST => '/v1/apps/site/deployments', {})->{json}{id};
my $view = viewer($id);
ok($view->begun && $view->status == 200, 'a stream from the first moment');
ok($view->ended(30), 'it ends by itself');
is(texts($view), join('|', $stack->log_lines($id)), 'F279 with every line of the log, once, in order');
cmp_ok(scalar($view->events), '>', 2, 'some lines');
my $end = ($view->events)[-1];
is_deeply([ @$end{qw(id event)}, @{ $end->{json} }{qw(app deployment status conclusion cause)} ], [ 'end', 'end', 'site', $id, 'completed', 'succeeded', undef ], 'and with its end')
    or diag explain $end;
like($end->{json}{url}, qr{^http://site\.localhost}, 'F284 its URL');
my $late = viewer($id);
ok($late->ended(10), 'one that is over already');
is_deeply([ texts($late), ($late->events)[-1]{json} ], [ texts($view), $end->{json} ], 'says the same, to its end') or diag explain(($late->events)[-1]);
my $has = viewer($id, last => 'end');
ok($has->begun && $has->status == 204, 'who has its end is told to come no more: 204');
for ([ $foreign, 404 ], [ 'wh_nonsense', 401 ]) { my $v = viewer($id, token => $_->[0]); $v->begun; is($v->status, $_->[1], "D9 another token: $_->[1]") }

# ---- one whose lines we write, as the scheduler does ----
$stack->proc('agent')->stop;
$id = $stack->api(POST => '/v1/apps/site/deployments', {})->{json}{id};
my ($dir, $n) = ("$stack->{dir}/state/logs/$id", 0);
sub write_lines {
    my ($segment, @lines) = @_;
    if (!-d $dir) {
        File::Path::make_path($dir);
        chown((getpwnam 'wisehost')[2], -1, $dir);
    }
    open my $file, '>>', sprintf '%s/%06d.seg', $dir, $segment or die $!;
    print {$file} map { $n++; sprintf "%d %d %s %s\n", $n, time * 1e6, @$_ } @lines;
    close $file;
    return;
}
$view = viewer($id);
ok($view->begun, 'before there is a log');
write_lines(1, [ out => 'Step 1' ], [ err => '<b>warning</b> "x" \\' ], [ sys => 'ours' ]);
ok($view->until(qr/ours/), 'its first lines');
is(join(' ', map {"$_->{id}:$_->{event}"} $view->events), '1:build_logs 2:build_errors 3:build_logs', 'F279 F280 R20 names and ids');
is(($view->events)[1]{json}{text}, '<b>warning</b> "x" \\', 'any text');
unlike(($view->events)[1]{data}, qr/[<>]/, 'that is harmless in a page');
my $pid = fork // die "fork: $!";
if ($pid == 0) {
    %ENV = (PATH => $ENV{PATH}, WH_URL => $stack->url, WH_TOKEN => $stack->token, XDG_CONFIG_HOME => "$stack->{dir}/cli");
    open STDOUT, '>', "$stack->{dir}/cli/followed" or POSIX::_exit(126);
    exec "$stack->{inst}/bin/wh", 'logs', '-f', $id or POSIX::_exit(127);
}
wait_for { WH::Stack::slurp("$stack->{dir}/cli/followed") =~ /ours/ } 10, 'wh logs -f';
my $begin = time;
write_lines(1, [ out => 'soon' ]);
ok($view->until(qr/soon/), 'what comes');
cmp_ok(time - $begin, '<', 1, sprintf 'at once: %.2f s', time - $begin);
my $behind = viewer($id, last => 2);
ok($behind->until(qr/soon/) && join(' ', $behind->ids) eq '3 4', 'R20 Last-Event-ID');
my $after = viewer($id, query => '?after=3');
ok($after->until(qr/soon/) && join(' ', $after->ids) eq '4', 'after');
write_lines(1, map { [ out => "$_ " . 'x' x 7000 ] } 1 .. 60);
write_lines(2, [ out => 'in the next segment' ]);
ok($_->until(qr/next segment/), 'half a megabyte at once, over two segments') for $view, $behind;
is(join(' ', $view->ids), join(' ', 1 .. 65), 'each line once, in order');
kill USR1 => $stack->proc('httpd')->pid;
ok($_->ended(15), 'a graceful restart ends it') for $view, $behind, $after;
is(scalar(grep { $_->{event} eq 'end' } $view->events, $behind->events), 0, 'which is not the deployment\'s end');
$view = viewer($id, last => 64);
ok($view->until(qr/next segment/), 'it comes back where it was');
write_lines(2, [ out => 'last words' ]);
is($stack->api(POST => "/v1/deployments/$id/cancel", {})->{status}, 202, 'it is canceled');
ok($view->ended(10), 'the stream ends in order');
is(join(' ', map { $_->{id} } $view->events), '65 66 end', 'after the last line');
is(($view->events)[-1]{json}{conclusion}, 'canceled', 'with what came of it');
is(waitpid($pid, 0) && $? >> 8, 0, 'wh logs -f ends with it');
my $followed = WH::Stack::slurp("$stack->{dir}/cli/followed");
is(join(' ', map {/(Step 1|ours|soon|next segment|last words)$/} split /\n/, $followed), 'Step 1 ours soon next segment last words', 'and has shown each line once, over the restart');
unlink "$dir/end";
$late = viewer($id);
ok($late->ended(10) && ($late->events)[-1]{json}{conclusion} eq 'canceled', 'one that was over before there were such files');

is(join(' ', $stack->stop), '', 'everything ends in order');
is(join("\n", $stack->bad_log_lines), '', 'clean logs');
done_testing();
