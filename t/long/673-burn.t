#!/usr/bin/perl
# End to end with real containers that burn CPU, memory, disk and network: what the API says of them against the kernel's
# own files, the alert of each at both edges, once each at a recording server, usage; and a worker that is gone, a
# container that falls again and again, a deployment that fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP qw(decode_json);
use List::Util qw(max);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);
use WH::Disk;
use WH::Http qw(http_request);
use WH::Recorder;
use WH::Stack;
use WH::Wait qw(try_for);

use constant READ => 2;    # seconds: a report is read within them before its time
my $src = $WH::Stack::src;
my $there = WH::Recorder->new;
my $stack = WH::Stack->new(engine => 1, scheduler_conf => { http_private_addresses => 'on' });
$stack->{disk} = WH::Disk->new($stack->dir . '/engine'); # of its own: what is written to it is counted
my $client; # who fetches what an app serves
END { local $?; kill TERM => $client if $client; $stack->stop if $stack && !$stack->{stopped} && $stack->{owner} == $$ } # before the disk goes
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
is($stack->api(POST => '/v1/notifications/channels', { name => 'ops', target => 'http://' . $there->http . '/ops', events => ['app.*'] })->{status}, 201, 'somebody is told of alerts');
# Low enough for a machine that gives these containers what others leave.
my %above = (cpu => 4, memory => 15, network => 0.5, disk => 0.5);
is($stack->api(POST => '/v1/alert-rules', { kind => $_, threshold => $above{$_}, sustain_minutes => 0 })->{status}, 201, "a rule: $_ above $above{$_}") for sort keys %above;
my ($offline) = grep { $_->{kind} eq 'offline' } @{ $stack->api(GET => '/v1/alert-rules')->{json}{items} };
is($stack->api(PATCH => "/v1/alert-rules/$offline->{id}", { sustain_minutes => 0 })->{status}, 200, 'offline, at once');

# ---- four apps of one image: each burns what the file /tmp/do names ----
my $box = '/bin/busybox';
my $repo = $stack->repo('burn');
$repo->write_file('busybox', WH::Stack::slurp($box), 0755);
$repo->commit({ 'run.sh' => <<"END", Dockerfile => qq(FROM scratch\nCOPY busybox $box\nCOPY run.sh /run.sh\nCMD ["$box", "sh", "/run.sh"]\n) });
[ ! -e /fall ] || exit 3
trap 'exit 0' TERM
$box mkdir -p /www; echo up > /www/index.html
$box dd if=/dev/zero of=/www/big bs=1048576 count=40 2>/dev/null
$box dd if=/dev/zero of=/www/part bs=1048576 count=1 2>/dev/null
$box httpd -p \$PORT -h /www
while :; do
    what=; [ ! -e /tmp/do ] || read what < /tmp/do
    case \$what in
    cpu) for k in 1 2 3; do (i=0; while [ \$i -lt 20000 ]; do i=\$((i+1)); done) & done; wait ;;
    memory) $box dd if=/dev/zero bs=26214400 count=1 2>/dev/null | while read what < /tmp/do && [ "\$what" = memory ]; do $box sleep 1; done ;;
    disk) $box dd if=/dev/zero of=/burnt bs=1048576 count=2 oflag=direct 2>/dev/null; $box dd if=/burnt of=/dev/null bs=1048576 iflag=direct 2>/dev/null; $box sleep 1 ;;
    *) $box sleep 0.2 ;;
    esac
done
END
my @kinds = sort keys %above;
my (%app, %has);
for my $kind (@kinds) {
    is($stack->api(POST => '/v1/apps', { slug => $kind, kind => 'container', repository => { url => $repo->path, branch => 'main' },
        serve => { grace_seconds => 10 }, run => { port => 8080, memory_bytes => 128 << 20 } })->{status}, 201, "an app for $kind");
    my $d = $stack->deploy($kind, {}, 120);
    is($d->{conclusion}, 'succeeded', 'it runs') or diag explain $d, $stack->log_lines($d->{id});
    my ($name) = ($stack->podman(qw(ps --format), '{{.Names}}'))[1] =~ /^(wisehost-$kind-\S+)/m;
    my ($pid, $upper, $port) = (($stack->podman(qw(inspect --format), '{{.State.Pid}} {{.GraphDriver.Data.UpperDir}} {{(index (index .HostConfig.PortBindings "8080/tcp") 0).HostPort}}', $name))[1]) =~ /(\d+) (\S+) (\d+)/;
    $app{$kind} = { name => $name, pid => $pid, upper => $upper, port => $port, id => $stack->api(GET => "/v1/apps/$kind")->{json}{id}, seen => [] };
}
sub burns {
    my ($kind, $what) = @_;
    open my $out, '>', "/proc/$app{$kind}{pid}/root/tmp/do" or die "$kind: $!";
    print {$out} "$what\n";
    close $out;
    $app{$kind}{does} = $what;
    return;
}

# ---- what the kernel says ----
my %cgroup; # controller -> directory, by pid
sub group {
    my ($pid, $controller, $file) = @_;
    for (split /\n/, WH::Stack::slurp("/proc/$pid/cgroup")) {
        my (undef, $names, $path) = split /:/, $_, 3;
        return WH::Stack::slurp("/sys/fs/cgroup/$controller$path/$file->[0]") if ",$names," =~ /,$controller,/;
        $cgroup{$pid} = $path if $names eq '';
    }
    return WH::Stack::slurp("/sys/fs/cgroup$cgroup{$pid}/$file->[1]");
}
sub kernel {
    my ($pid) = @_;
    my %now = (at => time, disk => 0);
    my $cpu = group($pid, 'cpuacct', [qw(cpuacct.usage cpu.stat)]);
    $now{cpu_us} = $cpu =~ /usage_usec (\d+)/ ? $1 : $cpu / 1000;
    my $mem = group($pid, 'memory', [qw(memory.stat memory.stat)]);
    my ($usage) = group($pid, 'memory', [qw(memory.usage_in_bytes memory.current)]) =~ /(\d+)/;
    my %stat = $mem =~ /^(\S+) (\d+)$/mg;
    $now{file} = $stat{total_inactive_file} // $stat{inactive_file};
    $now{memory} = $usage - $now{file};
    my $io = group($pid, 'blkio', [qw(blkio.throttle.io_service_bytes io.stat)]);
    $now{disk} += $_ for $io =~ /(?: (?:Read|Write) |[rw]bytes=)(\d+)/g;
    for (split /\n/, WH::Stack::slurp("/proc/$pid/net/dev")) {
        my ($if, @n) = /^\s*(\w+):((?:\s+\d+)+)/ ? ($1, split ' ', $2) : next;
        next if $if eq 'lo';
        $now{rx} += $n[0];
        $now{tx} += $n[8];
    }
    $now{net} = $now{rx} + $now{tx};
    return \%now;
}
# Its figure at a time, between two looks.
sub at {
    my ($kind, $what, $time) = @_;
    my @k = @{ $app{$kind}{seen} };
    for my $i (1 .. $#k) {
        my ($p, $q) = @k[ $i - 1, $i ];
        return $p->{$what} + ($q->{$what} - $p->{$what}) * ($time - $p->{at}) / ($q->{at} - $p->{at}) if $p->{at} <= $time && $time <= $q->{at};
    }
    return;
}

sub fetches {
    my ($port) = @_;
    $client = fork // die "fork: $!";
    return if $client;
    $SIG{TERM} = 'DEFAULT';
    my $of = getppid;
    while (getppid == $of) { http_request(port => $port, path => '/part'); select undef, undef, undef, 0.5 }
    POSIX::_exit(0);
}
sub fetches_no_more { kill TERM => $client; waitpid $client, 0; undef $client; return }

# Its memory about a time: what comes next to that figure, for it is of one moment.
sub near {
    my ($kind, $time, $figure) = @_;
    my ($best) = sort { abs($a - $figure) <=> abs($b - $figure) } map { $_->{memory} } grep { $_->{at} > $time - READ && $_->{at} < $time + 1 } @{ $app{$kind}{seen} };
    return $best // die "nobody looked at $kind";
}

# ---- looking on, until a condition holds ----
sub stats { return $stack->api(GET => "/v1/apps/$_[0]/stats")->{json} }
sub alerts { return grep { $_->{kind} eq ($_[1] // $_[0]) } @{ $stack->api(GET => "/v1/apps/$_[0]/alerts")->{json}{items} } }
my @reports; # [ kind, its stats, when it came ], each once
sub look_on {
    my ($until, $seconds) = @_;
    return try_for {
        for my $kind (@kinds) {
            my $of = $app{$kind};
            push @{ $of->{seen} }, kernel($of->{pid}) if -e "/proc/$of->{pid}/net/dev";
            my $live = stats($kind);
            next if !$live->{live} || $live->{updated_at} eq ($of->{updated} // '');
            $of->{updated} = $live->{updated_at};
            push @reports, { kind => $kind, does => $of->{does} // '', %$live };
        }
        $until->() || (select(undef, undef, undef, 0.3), 0)[1];
    } $seconds;
}

ok(look_on(sub { !grep { !stats($_)->{live} } @kinds }, 60), 'all four have figures');
is(scalar(map { alerts($_) } @kinds), 0, 'and nobody is too loud');
burns($_, $_) for @kinds;
fetches($app{network}{port});
my $began = time;
ok(look_on(sub { !grep { !alerts($_) || alerts($_) && (alerts($_))[0]{status} ne 'active' } @kinds }, 180), 'each burns: its alert fires') or diag explain [ map { stats($_) } @kinds ];
note(sprintf 'after %d s', time - $began);
for my $kind (@kinds) {
    my @own = grep { $_->{kind} eq $kind } my @all = @{ $stack->api(GET => "/v1/apps/$kind/alerts")->{json}{items} };
    is(join(' ', map { $_->{kind} } @all), $kind, "$kind: that one, and no other");
    cmp_ok($own[0]{value}, '>', $above{$kind}, "$own[0]{message}");
}
my $n = @reports;
ok(look_on(sub { my %two; $two{ $_->{kind} }++ for @reports[ $n .. $#reports ]; !grep { ($two{$_} // 0) < 3 } @kinds }, 90), 'three reports more, while all burn');
ok(look_on(sub { usage('memory')->{memory_bytes_max} > 20 << 20 && usage('cpu')->{cpu_millis_max} > 20 }, 120), 'and a sample of usage');

# ---- against the kernel ----
# A rate is over the time since the report before.
sub us { my ($y, $mo, $d, $h, $mi, $s) = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z/; return timegm(0, $mi, $h, $d, $mo - 1, $y) + $s }
my %prev;
my %worst;
for my $r (@reports[ $n .. $#reports ]) {
    my ($kind, $t) = ($r->{kind}, us($r->{updated_at}));
    my $p = $prev{$kind};
    $prev{$kind} = { %$r, t => $t };
    next if !$p;
    my $s = $t - $p->{t};
    my ($cpu, $rx, $tx, $io) = map { my $what = $_; (at($kind, $what, $t) - at($kind, $what, $p->{t})) / $s } qw(cpu_us rx tx disk);
    for ([ cpu => $r->{cpu_percent}, $cpu / 1e4, 2 ], [ network => $r->{net_rx_bytes_per_s}, $rx, 20_000 ], [ network => $r->{net_tx_bytes_per_s}, $tx, 20_000 ], [ disk => $r->{disk_bytes_per_s}, $io, 20_000 ], [ memory => $r->{memory_bytes}, near($kind, $t, $r->{memory_bytes}), 2 << 20 ]) {
        my ($what, $said, $is, $little) = @$_;
        my $off = abs($said - $is) - $little;
        my $part = $is > 0 ? $off / $is : 0;
        $worst{$what} = { part => $part, said => $said, is => $is, of => $kind, may => 0.25 } if $off > 0 && $part > ($worst{$what}{part} // -1);
    }
    my ($low, $high) = map { at($kind, 'net', $t + $_) // $app{$kind}{seen}[-1]{net} } -READ, 0.5;
    ok($low <= $r->{net_total_bytes} && $r->{net_total_bytes} <= $high, "F72 $kind: all of its network, $r->{net_total_bytes} bytes") or diag "$low to $high";
    ($low, $high) = map { at($kind, 'disk', $t + $_) // $app{$kind}{seen}[-1]{disk} } -READ, 0.5;
    ok($low <= $r->{disk_total_bytes} && $r->{disk_total_bytes} <= $high, "F72 $kind: and of its disk, $r->{disk_total_bytes} bytes") or diag "$low to $high";
    is($r->{memory_limit_bytes}, 128 << 20, "F71 $kind: its limit");
}
for my $what (@kinds) {
    my $w = $worst{$what} // { part => 0, said => 0, is => 0, of => 'any', may => 0.25 };
    cmp_ok($w->{part}, '<=', $w->{may}, sprintf 'F71 F72 %s is what the kernel says: at worst %.1f %% off (%.0f, kernel %.0f, app %s)', $what, 100 * $w->{part}, $w->{said}, $w->{is}, $w->{of});
}
cmp_ok($app{cpu}{seen}[-1]{file}, '>', 30 << 20, 'F71 though all have files in the page cache, which are not their memory');

# ---- it stops ----
burns($_, 'nothing') for @kinds;
fetches_no_more();
$began = time;
ok(look_on(sub { !grep { ((alerts($_))[0] // {})->{status} ne 'resolved' } @kinds }, 180), 'it stops: each alert is over') or diag explain [ map { stats($_) } @kinds ];
note(sprintf 'after %d s', time - $began);
is(join(' ', map { (alerts($_))[0]{reason} } @kinds), join(' ', ('recovered') x 4), 'recovered');

# ---- usage ----
sub usage { return $stack->api(GET => "/v1/apps/$_[0]/usage?step=300")->{json}{total} }
my %had = map { $_ => usage($_)->{samples} } @kinds;
ok(look_on(sub { !grep { usage($_)->{samples} == $had{$_} } @kinds }, 90), 'one more sample of usage');
for my $kind (@kinds) {
    my ($u, $of) = (usage($kind), $app{$kind});
    my @own = grep { $_->{kind} eq $kind } @reports;
    my $net = $of->{seen}[-1]{net};
    my $first = $own[0]{net_total_bytes}; # counting begins where the first sample finds it
    ok($u->{net_bytes} <= $net && $u->{net_bytes} >= 0.98 * ($net - max($first, $net * 0.01)) - 20_000, "F171 $kind: $u->{net_bytes} of $net bytes in usage");
    cmp_ok($u->{cpu_millis_max}, '<=', max(map { $_->{cpu_millis} } @own), "F171 $kind: CPU was never more than a report said");
    cmp_ok($u->{memory_bytes_max}, '<=', max(map { $_->{memory_bytes} } @own), "F171 $kind: nor memory");
}
cmp_ok($prev{network}{net_tx_bytes_per_s}, '>', 50 * $prev{network}{net_rx_bytes_per_s}, 'F72 what is served goes out');
cmp_ok(usage('cpu')->{cpu_millis_max}, '>', 20, 'F171 the one that burnt CPU is seen');
cmp_ok(usage('memory')->{memory_bytes_max}, '>', 20 << 20, 'F171 and the one with memory');
cmp_ok(usage('network')->{net_bytes}, '>', 30 << 20, 'F171 and the one with network');

# ---- what is told with the change itself ----
my $bad = $stack->api(POST => '/v1/apps/cpu/deployments', { ref => 'no-such-branch' })->{json};
ok(try_for(sub { grep { $_->{status} eq 'active' } alerts('cpu', 'deployment_failed') }, 60), 'a deployment that fails');
is($stack->deploy('cpu', {}, 120)->{conclusion}, 'succeeded', 'the next one');
ok(try_for(sub { !grep { $_->{status} ne 'resolved' } alerts('cpu', 'deployment_failed') }, 30), 'ends its alert');

open my $fall, '>', "$app{disk}{upper}/fall" or die $!;
close $fall;
$stack->podman('kill', $app{disk}{name});
ok(try_for(sub { grep { $_->{status} eq 'active' } alerts('disk', 'crashloop') }, 120), 'one that falls again and again');
unlink "$app{disk}{upper}/fall";
ok(try_for(sub { !grep { $_->{status} ne 'resolved' } alerts('disk', 'crashloop') }, 150), 'until it runs');

$stack->proc('agent')->kill9;
ok(try_for(sub { 4 == grep { my $k = $_; grep { $_->{status} eq 'active' } alerts($k, 'offline') } @kinds }, 150), 'their worker is gone: all four are offline');
$stack->start_agent;
ok(try_for(sub { !grep { my $k = $_; grep { $_->{status} ne 'resolved' } alerts($k, 'offline') } @kinds }, 150), 'and back');

# ---- who was told ----
my @want = sort map { ("$_->[0] app.$_->[1] begins", "$_->[0] app.$_->[1] ends") } (map { [ $_, $_ ], [ $_, 'offline' ] } @kinds), [ cpu => 'deployment_failed' ], [ disk => 'crashloop' ];
sub told { return sort map { my $doc = decode_json($_->{body}); "$doc->{data}{app}{slug} $doc->{type} " . ($doc->{data}{ended} || $doc->{ended} ? 'ends' : 'begins') } $there->seen }
try_for { scalar(() = told()) >= @want } 15;
is(join("\n", told()), join("\n", @want), 'F22 of each edge one message arrived') or diag explain [ map { $_->{body} } $there->seen ];
$stack->allow_log(qr/WH06(30|61|78|79|71|73|74|85)/, qr/WH04/, qr/AH0/);
is(join("\n", $stack->bad_log_lines), '', 'no warning that was not announced');
is(join(' ', grep { $_ eq 'disk' } $stack->stop), '', 'nothing is left');
done_testing();
