#!/usr/bin/perl
# G23: a container that prints ten times what its worker may, for a minute, beside one that prints a line each 0.1 s:
# the other's lines arrive whole and soon, what is left out is counted in the log, nobody grows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(fmod);
use Time::HiRes qw(time sleep clock_gettime CLOCK_BOOTTIME);
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $SECONDS = $ENV{WH_SECONDS} // 60;
my $src   = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1);
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
my $box = WH::Stack::slurp('/bin/busybox');
my $bb  = '/bin/busybox';

# 100 bytes a line; 2.6 MB a second in ten parts of a second each.
my $loud = <<"END";
$bb mkdir -p /tmp/www; echo up > /tmp/www/index.html
$bb httpd -p \$PORT -h /tmp/www
trap 'exit 0' TERM
line=\$($bb printf '%099d' 7)
i=0; while [ \$i -lt 2600 ]; do echo \$line; i=\$((i+1)); done > /tmp/part
while [ ! -e /tmp/go ]; do $bb sleep 0.2; done
n=0
while [ \$n -lt ${\ ($SECONDS * 10) } ]; do $bb cat /tmp/part; n=\$((n+1)); $bb sleep 0.09; done
echo the end
while :; do $bb sleep 1; done
END
my $quiet = <<"END";
$bb mkdir -p /tmp/www; echo up > /tmp/www/index.html
$bb httpd -p \$PORT -h /tmp/www
trap 'exit 0' TERM
i=0; while :; do i=\$((i+1)); read up rest < /proc/uptime; echo tick \$i \$up; $bb sleep 0.1; done
END
for my $app ([ loud => $loud ], [ quiet => $quiet ]) {
    my ($slug, $script) = @$app;
    my $repo = $stack->repo($slug);
    $repo->write_file('busybox', $box, 0755);
    $repo->commit({ busybox => $box, 'run.sh' => $script,
        Dockerfile => qq(FROM scratch\nCOPY busybox /bin/busybox\nCOPY run.sh /run.sh\nCMD ["/bin/busybox", "sh", "/run.sh"]\n) });
    is($stack->api(POST => '/v1/apps', { slug => $slug, kind => 'container', serve => { grace_seconds => 10 },
        repository => { url => $repo->path, branch => 'main' } })->{status}, 201, "app $slug");
    my $done = $stack->deploy($slug, {}, 60);
    is($done->{conclusion}, 'succeeded', "$slug runs") or diag join "\n", $stack->log_lines($done->{id});
}
my $rss = sub { open my $in, '<', '/proc/' . $stack->proc(shift)->pid . '/status' or die $!; local $/; return <$in> =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 };
sub pid_of {
    my $slug = shift;
    my (undef, $ps) = $stack->podman(qw(ps --format), '{{.Names}}');
    my ($name) = $ps =~ /^(wisehost-$slug-\S+)/m;
    return (($stack->podman(qw(inspect --format), '{{.State.Pid}}', $name))[1] =~ /(\d+)/)[0];
}
wait_for { @{ ($stack->api(GET => '/v1/apps/quiet/logs?limit=1')->{json} // {})->{items} // [] } } 10, 'the quiet one';
my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $stack->port) or die $!;
syswrite $sock, "GET /v1/apps/quiet/logs?limit=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nAuthorization: Bearer " . $stack->token . "\r\n\r\n";
my $pid = pid_of('loud');
sleep 4;    # asking the engine costs more than what is measured
sysread $sock, my $past, 1048576;
my %before = map { $_ => $rss->($_) } qw(scheduler agent);
open my $go, '>', '/proc/' . $pid . '/root/tmp/go' or die "go: $!";
close $go;
my ($text, $last, $gaps) = ('', 0, 0);
my (@late, @read, %most);
my $boot = time - clock_gettime(CLOCK_BOOTTIME);
my $begin = time;
while (time - $begin < $SECONDS) {
    my $bits = '';
    vec($bits, fileno $sock, 1) = 1;
    if (select $bits, undef, undef, 0.5) {
        sysread $sock, $text, 65536, length $text or last;
        my $now = clock_gettime(CLOCK_BOOTTIME);
        while ($text =~ s/\A.*?T(\d\d):(\d\d):([\d.]+)Z".*?"text":"tick (\d+) ([\d.]+)".*?\n\n//s) {
            push @read, ($1 * 3600 + $2 * 60 + $3) - fmod($5 + $boot, 86400);
            if ($last && $4 != $last + 1) { $gaps++; diag "tick $4 after $last" }
            $last = $4;
            push @late, $now - $5;
        }
    }
    for (qw(scheduler agent)) { my $kib = $rss->($_); $most{$_} = $kib if $kib > ($most{$_} // 0) }
}
@late = sort { $a <=> $b } @late;
cmp_ok(scalar @late, '>', $SECONDS * 5, 'the quiet one is heard: ' . @late . ' lines');
is($gaps, 0, 'G23 and loses nothing');
@read = sort { $a <=> $b } @read;
note(sprintf 'of which until the agent has it: p99 %.0f ms, median %.0f ms', $read[ @read * 0.99 ] * 1000, $read[ @read / 2 ] * 1000);
my $p99 = $late[ @late * 0.99 ];
cmp_ok($p99, '<=', 0.5, sprintf 'from the container to the viewer: p99 %.0f ms, median %.0f ms', $p99 * 1000, $late[ @late / 2 ] * 1000);
for (qw(scheduler agent)) {
    my $grown = ($most{$_} - $before{$_}) / 1024;
    cmp_ok($grown, '<=', 32, sprintf 'G23 the %s grew by %.1f MiB, from %.1f', $_, $grown, $before{$_} / 1024);
}
sub all {
    my ($slug) = @_;
    my ($after, @all) = (0);
    while (1) {
        my $page = $stack->api(GET => "/v1/apps/$slug/logs?after=$after&limit=1000")->{json};
        push @all, @{ $page->{items} };
        return @all if $page->{complete};
        $after = $page->{next};
    }
}
my @ticks = map { $_->{text} =~ /^tick (\d+) / ? $1 : () } all('quiet');
is(join(' ', @ticks), join(' ', 1 .. $ticks[-1]), 'G23 every line of the quiet one is stored');
is(join('|', map { $_->{text} } grep { $_->{stream} eq 'sys' } all('quiet')), '', 'and none is said to be missing');
ok(scalar(try_for { @{ $stack->api(GET => '/v1/apps/loud/logs?text=the+end')->{json}{items} } } 60), 'the last line of the loud one is there');
my ($stored, $out) = (0, 0);
for (all('loud')) {
    if ($_->{stream} eq 'sys' && $_->{text} =~ /^(\d+) lines? (?:was|were) left out/) { $out += $1 }
    else { $stored++ }
}
my $sent = $SECONDS * 10 * 2600 + 1;
is($stored + $out, $sent, "G23 what is left out is counted in the log: $stored stored + $out left out = $sent printed");
cmp_ok($out, '>', $sent / 2, 'and that is most of it');
$stack->allow_log(qr/WH06/, qr/WH04/);
is(join("\n", $stack->bad_log_lines), '', 'no warning that was not announced');
$stack->stop;
done_testing();
