#!/usr/bin/perl
# A peer that does not read, over the scheduler's own TLS listener: in a network namespace where the kernel keeps little
# for a connection, so that what is not taken is soon seen (F87, R14, XE9).
# db: sqlite
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Test::More;
use WH::Netns;
use WH::Sched;
use WH::Wait qw(try_for now_s);

my $netns = WH::Netns->new;
my @in    = $netns->prefix;
system(@in, qw(sysctl -qw), 'net.ipv4.tcp_wmem=4096 16384 16384', 'net.ipv4.tcp_rmem=4096 16384 16384') == 0 or die 'sysctl';

my $port = 8443; # nobody else is in there
my $s    = WH::Sched->new;
my $dir  = $s->dir;
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=hub -batch"
        . " -keyout $dir/hub.key -out $dir/hub.pem 2>/dev/null") == 0 or die 'openssl';
chmod 0600, "$dir/hub.key";
chown((getpwnam 'wisehost')[2, 3], "$dir/hub.key");
$s->write_conf(listen => "127.0.0.1:$port", listen_cert => "$dir/hub.pem", listen_key => "$dir/hub.key");
$s->init;

# Programs of the far side.
for my $what (qw(bin tool)) {
    open my $script, '>', "$dir/far-$what" or die $!;
    print {$script} "#!/bin/sh\nexec @in '$s->{$what}' \"\$@\"\n";
    close $script;
    chmod 0755, "$dir/far-$what";
    $s->{$what} = "$dir/far-$what";
}
$s->start;
my %tls = (port => $port, tls => JSON::PP::true());
my ($slow, $other) = map { $s->worker } 1 .. 2;
for my $w ($slow, $other) { # the table of workers in memory follows within 5 s
    ok(try_for(sub { $w->connect(%tls, bearer => $w->{key}, $w == $slow ? (rcvbuf => 4096) : ())->{event} eq 'connected' }, 8),
        "worker $w->{id} is let in by TLS");
    ok($w->hello, 'and welcome');
}
$slow->do('deaf');
my $from = now_s();
$slow->send('nonsense', {}) for 1 .. 1500;
my $slowest = 0;
ok(try_for(sub {
    my $asked = now_s();
    $other->send('nonsense', {});
    $other->wait('error', 5) or return 0;
    $slowest = now_s() - $asked if now_s() - $asked > $slowest;
    select undef, undef, undef, 0.1;
    return $s->log =~ /worker $slow->{id} connection \d+: closing, code 4008/;
}, 20), 'R14 F87 XE9 who does not read is closed with 4008, over TLS too');
cmp_ok(now_s() - $from, '<', 15, sprintf 'in time (%.1f s)', now_s() - $from);
cmp_ok($slowest, '<', 1, sprintf 'F61 and keeps nobody waiting (%.3f s)', $slowest);
ok(try_for(sub { $s->value("SELECT status FROM workers WHERE id = $slow->{id}") eq 'offline' }, 15), 'it is offline');
is($s->value("SELECT status FROM workers WHERE id = $other->{id}"), 'online', 'the other one is not');
is($s->unexpected(qw(WH0428 WH0483 WH0470 WH0471)), '', 'nothing else is in the log');
is($s->stop, 0, 'the end');
done_testing();
