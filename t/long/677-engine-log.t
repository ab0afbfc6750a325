#!/usr/bin/perl
# The engine's own file of what a container prints is bounded: it is begun anew, who follows goes on, and what went while
# nobody read is said.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $MAX = 1 << 20;
my $src = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1, agent_conf => { container_log_bytes => '1M' });
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
my $b = '/bin/busybox';
my $repo = $stack->repo('talk');
$repo->write_file('busybox', WH::Stack::slurp($b), 0755);
$repo->commit({ 'run.sh' => <<"END", Dockerfile => qq(FROM scratch\nCOPY busybox $b\nCOPY run.sh /run.sh\nCMD ["$b", "sh", "/run.sh"]\n) });
$b mkdir -p /tmp/www; echo up > /tmp/www/index.html
$b httpd -p \$PORT -h /tmp/www
trap 'exit 0' TERM
line=\$($b printf '%0900d' 7)
i=0; while :; do i=\$((i+1)); echo tick \$i \$line; $b usleep 10000; done
END
is($stack->api(POST => '/v1/apps', { slug => 'talk', kind => 'container', repository => { url => $repo->path, branch => 'main' } })->{status}, 201, 'an app');
my $done = $stack->deploy('talk', {}, 90);
is($done->{conclusion}, 'succeeded', 'it runs, and prints some 90 KB a second') or diag explain $done;

# Its file, and how often it was another one.
my ($name) = ($stack->podman(qw(ps --format), '{{.Names}}'))[1] =~ /^(wisehost-talk-\S+)/m;
my ($file) = ($stack->podman(qw(inspect --format), '{{.HostConfig.LogConfig.Path}}', $name))[1] =~ /(\S+)/;
my ($inode, $begun, $most) = (0, -1, 0);
sub look {
    my @s = stat $file or return $begun;
    $begun++ if $s[1] != $inode;
    $inode = $s[1];
    $most = $s[7] if $s[7] > $most;
    return $begun;
}
my ($after, @ticks, @notes) = (0);
sub take {
    while (1) {
        my $page = $stack->api(GET => "/v1/apps/talk/logs?after=$after&limit=1000")->{json} // return;
        for (@{ $page->{items} }) {
            if ($_->{stream} eq 'sys') { push @notes, "$_->{text} after " . ($ticks[-1] // 0) }
            elsif ($_->{text} =~ /^tick (\d+) /) { push @ticks, $1 }
        }
        $after = $page->{next} if $page->{next};
        return if $page->{complete};
    }
}
# What is missing in front of each line that follows no other: [ before, after ].
sub holes { return map { $ticks[$_] == $ticks[ $_ - 1 ] + 1 ? () : [ @ticks[ $_ - 1, $_ ] ] } 1 .. $#ticks }

look();
ok(scalar(try_for { take(); look() >= 3 } 120), 'its file was begun anew three times');
my $until = $ticks[-1];
ok(scalar(try_for { take(); $ticks[-1] > $until + 100 } 30), 'and it is still heard');
cmp_ok($most, '<=', $MAX, "its file had at most $most bytes");
my @holes = holes();
cmp_ok(scalar @holes, '<=', $begun, 'at most once each time something is lost: ' . join ' ', map { $_->[1] - $_->[0] - 1 } @holes);
is(scalar(grep { $_->[1] - $_->[0] > 60 } @holes), 0, 'what was printed within a quarter of a second');
is(scalar(grep { $_->[1] <= $_->[0] } @holes), 0, 'nothing twice');
is(join('|', @notes), '', 'nobody says that more is missing');

# --- nobody reads ---
ok(scalar(try_for { take(); WH::Stack::slurp($stack->dir . '/agent/followed') =~ /^\S+ [1-9]\d* \d+ [1-9]/m } 90), 'the agent has kept how far it was');
$stack->proc('agent')->kill9;
take();
my $heard = $ticks[-1];
my $was = look();
ok(scalar(try_for { look() >= $was + 2 } 60), 'without the agent it was begun anew twice');
$stack->start_agent;
ok(scalar(try_for { take(); $ticks[-1] > $heard } 40), 'with the agent the log goes on');
my ($first) = grep { $_ > $heard } @ticks;
is(join('|', @notes), "lines may be missing here: the engine began its file of this log anew after $heard", 'and says that there is something missing')
    or diag "heard $heard, then $first";
cmp_ok($first, '>', $heard + 1, 'as there is: ' . ($first - $heard - 1) . ' lines');
$until = $ticks[-1];
ok(scalar(try_for { take(); $ticks[-1] > $until + 100 } 30), 'and on');
$stack->allow_log(qr/WH06(30|61|78|79|71|73|74|85)/, qr/WH04/);
is(join("\n", $stack->bad_log_lines), '', 'no warning that was not announced');
$stack->stop;
done_testing();
