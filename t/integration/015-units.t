#!/usr/bin/perl
# The systemd units, and what the daemons say to systemd: readiness, the watchdog's food, the end.
# db: sqlite
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use WH::Proc;
use WH::Sched;

# ---- the units ----
my $build = WH::Sched::builddir();
my %known = map { $_ => 1 } qw(Description Documentation After Wants StartLimitIntervalSec Type User ExecStart ExecReload
    Restart RestartSec WatchdogSec TimeoutStartSec TimeoutStopSec KillMode UMask LimitNOFILE CapabilityBoundingSet NoNewPrivileges
    ProtectSystem ReadWritePaths ProtectHome PrivateTmp PrivateDevices ProtectKernelTunables ProtectKernelModules
    ProtectKernelLogs ProtectControlGroups ProtectClock ProtectHostname RestrictNamespaces RestrictRealtime
    RestrictSUIDSGID RestrictAddressFamilies LockPersonality MemoryDenyWriteExecute SystemCallArchitectures WantedBy);
my $analyze = grep { -x "$_/systemd-analyze" } split /:/, $ENV{PATH};
for my $name (qw(wisehost-scheduler wisehost-agent)) {
    my ($path) = grep { -e $_ } "$build/conf/$name.service", ($ENV{WH_INST} // '') . "/share/wisehost/$name.service";
    ok($path, "$name.service is built") or next;
    open my $in, '<', $path or die $!;
    my @lines = <$in>;
    is(join('', grep { !/^(?:#.*|\[(?:Unit|Service|Install)\]|(\w+)=\S.*|)$/ || ($1 && !$known{$1}) } @lines), '',
        "$name.service: sections, comments and known keys alone");
    is(join('', grep { /@\w+@|\$\{/ } @lines), '', "$name.service: every place is filled in");
    next unless $analyze;
    my $said = `systemd-analyze verify --man=no '$path' 2>&1`;
    unlike($said, qr/\Q$name\E\.service:.*(?:Unknown|Failed to parse|Invalid)/, "$name.service: systemd-analyze verify");
}

# ---- what is said ----
my $s = WH::Sched->new;
$s->init;
my $path = $s->dir . '/notify';
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die $!;
chmod 0777, $path;

sub said {
    my ($want, $seconds) = @_;
    my $end = time + ($seconds // 10);
    while (time <= $end) {
        IO::Select->new($notify)->can_read(1) or next;
        $notify->recv(my $text, 4096);
        return 1 if $text =~ $want;
    }
    return 0;
}

{
    local @ENV{qw(NOTIFY_SOCKET WATCHDOG_USEC)} = ($path, 2_000_000);
    $s->start;
}
ok(said(qr/^READY=1/m), 'readiness');
ok(said(qr/^WATCHDOG=1/m, 3), 'the watchdog is fed') for 1 .. 3;
is($s->stop, 0, 'SIGTERM ends it with 0');
ok(said(qr/^STOPPING=1/m, 2), 'and that is said');
is($s->unexpected, '', 'no warning');

# ---- the agent: with an engine that is not there, and nobody to talk to ----
my $dir = $s->dir . '/agent';
mkdir $dir, 0700 or die $!;
open my $conf, '>', "$dir/agent.conf" or die $!;
print {$conf} "state_dir = $dir/state\nserver_url = http://127.0.0.1:1\nengine_socket = $dir/none.sock\n";
close $conf or die $!;
my ($program) = grep { -x $_ } "$build/wh-agent/wh-agent", ($ENV{WH_INST} // '') . '/sbin/wh-agent';
my $agent = WH::Proc->start(name => 'agent', log => "$dir/log", env => { NOTIFY_SOCKET => $path, WATCHDOG_USEC => 1_500_000 },
    cmd => [ $program, '-c', "$dir/agent.conf" ]);
ok(said(qr/^READY=1/m), 'the agent: readiness, though the engine is missing');
ok(said(qr/^WATCHDOG=1/m, 3), 'the watchdog is fed') for 1 .. 3;
is($agent->stop(10), 0, 'SIGTERM ends it with 0');
ok(said(qr/^STOPPING=1/m, 2), 'and that is said');
done_testing();
