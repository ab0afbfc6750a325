package WH::AppLogs;
# What running apps print, from the container to the API: cleaned, masked, levelled, filtered; once each, over the
# death of agent and scheduler; what is left after the app has gone.
use strict;
use warnings;
use utf8;
use Exporter qw(import);
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for now_s);

our @EXPORT_OK = qw(run_app_logs);

# run_app_logs(long => 1): with every death
sub run_app_logs {
    my (%o) = @_;
    my $long = $o{long};
    binmode $_, ':utf8' for *STDOUT, *STDERR, Test::More->builder->output, Test::More->builder->failure_output;
    my $src   = $WH::Stack::src;
    my $stack = WH::Stack->new(engine => 1);
    my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
    plan skip_all => "no container engine: $said" if $rc != 0;
    $stack->start;
    $stack->allow_log(qr/WH06(30|61|78|79|71|73|74|85)/, qr/WH04/, qr/AH0/);
    my $box = WH::Stack::slurp('/bin/busybox');
    my $bb  = '/bin/busybox';

    my $secret = 'xq7-' . join '', map { chr 97 + int rand 26 } 1 .. 14;
    my $script = <<"END";
$bb mkdir -p /tmp/www; echo up > /tmp/www/index.html
$bb httpd -p \$PORT -h /tmp/www
$bb printf 'plain\\n\\033[31mred\\033[0m \\000nul\\n10%%\\r20%%\\rdone\\n\\377\\376bad\\n<b onclick="x">&\\n'
$bb printf 'ERROR it broke\\n{"level":"warn","m":1}\\n' >&2
echo "the key is \$KEY, \$(echo -n \$KEY | $bb base64)"
$bb dd if=/dev/zero bs=524288 count=1 2>/dev/null | $bb tr '\\000' x; echo
echo ready
trap 'echo bye; exit 0' TERM
i=0
while [ ! -e /tmp/end ]; do i=\$((i+1)); echo tick \$i; $bb sleep 0.1; done
echo last words; exit 1
END
    my $repo = $stack->repo('talk');
    $repo->write_file('busybox', $box, 0755);
    $repo->commit({ busybox => $box, 'run.sh' => $script,
        Dockerfile => qq(FROM scratch\nCOPY busybox /bin/busybox\nCOPY run.sh /run.sh\nCMD ["/bin/busybox", "sh", "/run.sh"]\n) });
    is($stack->api(POST => '/v1/apps', { slug => 'talk', kind => 'container', serve => { grace_seconds => 10 },
        repository => { url => $repo->path, branch => 'main' } })->{status}, 201, 'a container app');
    is($stack->api(PATCH => '/v1/apps/talk/env', { variables => [ { name => 'KEY', value => $secret } ] })->{status}, 200, 'with a secret');
    my $done = $stack->deploy('talk', {}, 60);
    is($done->{conclusion}, 'succeeded', 'it runs') or diag explain [ $done, $stack->log_lines($done->{id}) ];

    my $page; $page = sub { my $q = shift // ''; my $got = $stack->api(GET => "/v1/apps/talk/logs?$q"); return $got->{json} // die "$got->{status} $got->{body}" };

    # All lines there are, page by page.
    my $all; $all = sub {
        my ($after, @all) = (0);
        while (1) {
            my $page = $page->("after=$after&limit=1000");
            push @all, @{ $page->{items} };
            return @all if $page->{complete};
            $after = $page->{next};
        }
    };
    my $ticks; $ticks = sub { return map { $_->{text} =~ /^tick (\d+)$/ ? $1 : () } $all->() };

    wait_for { ($ticks->())[-1] // 0 > 3 } 15, 'the app to be heard';
    my @lines = $all->();
    my %by = map { $_->{text} => $_ } @lines;
    is($by{plain}{stream}, 'out', 'F281 a line of stdout');
    is($by{'ERROR it broke'}{stream}, 'err', 'F282 and one of stderr');
    is($by{plain}{deployment}, $done->{id}, 'its deployment is named');
    ok($by{'red nul'}, 'F5 F6 ANSI and NUL are taken out') or diag join '|', map { substr $_->{text}, 0, 80 } @lines[ 0 .. 8 ];
    ok($by{'10%'} && $by{'20%'} && $by{done}, 'what overwrites itself is lines');
    ok($by{"\x{fffd}\x{fffd}bad"}, 'what is no UTF-8 is marked');
    ok($by{'<b onclick="x">&'}, 'HTML stays text');
    is($by{'ERROR it broke'}{level}, 'error', 'levels: a word');
    is($by{'{"level":"warn","m":1}'}{level}, 'warn', 'levels: a field');
    is($by{plain}{level}, undef, 'levels: none');
    my @long = grep { length $_->{text} > 8000 } @lines;
    is(length join('', map { $_->{text} } @long), 524288, 'F7 a line of half a MiB is lines of at most 8 KiB');
    cmp_ok((sort { $b <=> $a } map { length $_->{text} } @lines)[0], '<=', 8192, 'none longer');
    ok($by{'the key is ***, ***'}, 'R17 a secret is masked, in base64 too') or diag join '|', grep {/key/} keys %by;
    is(scalar(grep { $_->{stream} eq 'sys' } @lines), 0, 'nothing was left out');

    # --- filters ---
    is(join('|', map { $_->{text} } @{ $page->('text=IT+BROKE')->{items} }), 'ERROR it broke', 'text, in any case');
    is(join('|', sort map { $_->{text} } @{ $page->('level=warn')->{items} }), 'ERROR it broke|{"level":"warn","m":1}', 'a level and graver ones');
    is(scalar(grep { $_->{stream} ne 'err' } @{ $page->('stream=err')->{items} }), 0, 'a stream');
    is(scalar @{ $page->("deployment=$done->{id}&limit=3")->{items} }, 3, 'a deployment');
    is(scalar @{ $page->('deployment=01hz0000000000000000000dp1')->{items} }, 0, 'of another one nothing');
    is(scalar @{ $page->('environment=production&limit=3')->{items} }, 3, 'an environment');
    is(scalar @{ $page->('environment=staging')->{items} }, 0, 'another has printed nothing');
    is($page->('from=2001-01-01T00:00:00Z&limit=1&after=0')->{items}[0]{text}, 'plain', 'a time');
    is(scalar @{ $page->('to=1000000000')->{items} }, 0, 'before it there was nothing');
    my $newest = $page->('limit=2');
    is($newest->{complete} ? 1 : 0, 0, 'the newest two are not all');
    my ($older) = reverse @{ $page->("before=$newest->{before}&limit=1")->{items} };
    is($older->{seq}, $newest->{before} - 1, 'and the one before follows');
    for my $bad ('level=loud', 'stream=both', 'from=yesterday', 'after=1&before=2', 'limit=0', 'x=1', 'deployment=short') {
        is($stack->api(GET => "/v1/apps/talk/logs?$bad")->{status}, 400, "$bad is refused");
    }
    is($stack->request(path => '/v1/apps/talk/logs')->{status}, 401, 'nobody reads it without a token');
    is($stack->api(GET => '/v1/apps/other/logs')->{status}, 404, 'no other app');

    # --- over the death of the agent, then of the scheduler, then of both ---
    my $whole; $whole = sub { my @t = $ticks->(); return @t && join(' ', @t) eq join(' ', 1 .. $t[-1]) ? $t[-1] : 0 };
    # What it has printed, by the engine's own file.
    my $printed; $printed = sub {
        my ($name) = ($stack->podman(qw(ps --format), '{{.Names}}'))[1] =~ /^(wisehost-talk-\S+)/m;
        my ($path) = ($stack->podman(qw(inspect --format), '{{.HostConfig.LogConfig.Path}}', $name))[1] =~ /(\S+)/;
        return sub { return (WH::Stack::slurp($path) =~ /tick (\d+)/g)[-1] // 0 };
    };
    my $again; $again = sub {
        my ($what, @names) = @_;
        my $had = ($ticks->())[-1];
        my $last = $long && $printed->();
        $stack->proc($_)->signal('KILL') for @names;
        for my $name (@names) { try_for { !$stack->proc($name)->runs } 5 }
        if ($long) {
            my $at = $last->();
            ok(scalar(try_for { $last->() > $at + 50 } 30), "$what: it prints on meanwhile, 50 lines and more");
        }
        for my $name (@names) { my $start = "start_$name"; $stack->$start }
        ok(scalar(try_for { my @t = $ticks->(); ($t[-1] // 0) > $had + 12 } 20), "$what: the log goes on");
        my @t = $ticks->();
        is(join(' ', @t), join(' ', 1 .. $t[-1]), "$what: every line is there once, in order");
    };
    $again->('agent killed', 'agent') if $long;
    $again->('scheduler killed', 'scheduler') if $long;
    $again->('both killed', 'scheduler', 'agent');
    is(scalar(grep { $_->{stream} eq 'sys' } $all->()), 0, 'and none is said to be missing');
    is(scalar(grep { $_->{text} =~ /\Q$secret/ } $all->()), 0, 'R17 the secret is masked by another life of the agent, too');

    if ($long) {
        # --- it crashes, it is deployed anew, it is deleted ---
        my (undef, $ps) = $stack->podman(qw(ps --format), '{{.Names}}');
        my ($name) = $ps =~ /^(wisehost-talk-\S+)/m;
        $stack->podman(qw(inspect --format), '{{.State.Pid}}', $name);
        my ($pid) = ($stack->podman(qw(inspect --format), '{{.State.Pid}}', $name))[1] =~ /(\d+)/;
        open my $end, '>', "/proc/$pid/root/tmp/end" or die "end: $!";
        close $end;
        ok(scalar(try_for { grep { $_->{text} eq 'last words' } $all->() } 15), 'its last words outlive a crash');
        ok(scalar(try_for { (grep { $_->{text} eq 'ready' } $all->()) == 2 } 15), 'and it is heard when it is started again');
        my $second = $stack->deploy('talk', {}, 60);
        is($second->{conclusion}, 'succeeded', 'it is deployed anew');
        ok(scalar(try_for { @{ $page->("deployment=$second->{id}&text=ready")->{items} } } 15), 'the new one is heard');
        ok(scalar(try_for { grep { $_->{text} eq 'bye' } $all->() } 20), 'the old one to its end');
        ok(scalar(grep { $_->{text} eq 'last words' } $all->()), 'coolify#812 what came before is still there');
    }
    is(join("\n", $stack->bad_log_lines), '', 'no warning that was not announced');
    $stack->stop;
    return;
}

1;
