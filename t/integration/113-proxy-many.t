# Many upstreams used in turn: what one child keeps of them is bounded, in memory and in descriptors.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use WH::Httpd;

# t/long/710-proxy-10000.t says how many.
use constant { TARGETS => $ENV{WH_TEST_TARGETS} // 1500, GROWTH_MIB => 20, DESCRIPTORS => 300 };

my $base = $WH::Httpd::base;
# One child, so that it meets all of them.
my $h = WH::Httpd->new(workers => 25, global => "MaxKeepAliveRequests 0\nLogLevel wisehost:warn");

# One process answers on every address of 127.0.0.0/8: each is an upstream of its own to httpd.
my $listen = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => 0, Listen => 512, ReuseAddr => 1) or die $!;
my $port = $listen->sockport;
my $backend = fork // die $!;
if (!$backend) {
    my $select = IO::Select->new($listen);
    while (my @ready = $select->can_read) {
        for my $sock (@ready) {
            if ($sock == $listen) { $select->add($listen->accept); next }
            if (sysread $sock, my $in, 65536) { syswrite $sock, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" }
            else { $select->remove($sock); close $sock }
        }
    }
    POSIX::_exit(0);
}
END { local $?; if ($backend) { kill KILL => $backend; waitpid $backend, 0 } }

my @hosts = map { "m$_" } 0 .. TARGETS - 1;
$h->routes_all(map {
    my $n = substr $_, 1;
    { host => $_, kind => 'proxy', slug => $_, upstreams => [ { address => sprintf('127.1.%d.%d', $n >> 8, $n & 255), port => $port + 0, weight => 1 } ] }
} @hosts);
$h->start;

my ($sock, %status);
sub ask {
    my $host = shift;
    $sock //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) or die $!;
    syswrite $sock, "GET / HTTP/1.1\r\nHost: $host.$base\r\n\r\n";
    my $got = '';
    sysread $sock, $got, 65536, length $got or last while $got !~ /\r\n\r\nok\z/;
    return $status{ $got =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0 }++;
}

sub child { my ($pid) = split ' ', WH::Httpd::slurp('/proc/' . $h->pid . '/task/' . $h->pid . '/children'); return $pid }
sub pss_mib { return WH::Httpd::slurp("/proc/$_[0]/smaps_rollup") =~ /^Pss:\s+(\d+) kB/m ? $1 / 1024 : die 'no Pss' }
sub descriptors { my @all = glob "/proc/$_[0]/fd/*"; return scalar @all }

ask('m0') for 1 .. 50; # the threads are there, the table was read
my $pid = child();
my $before = pss_mib($pid);
my $most = 0;
for my $i (0 .. $#hosts) {
    ask($hosts[$i]);
    if ($i % 1000 == 999) { my $n = descriptors($pid); $most = $n if $n > $most }
}
my $after = pss_mib($pid);
is_deeply(\%status, { 200 => TARGETS + 50 }, TARGETS . ' upstreams in turn, all answered');
is(child(), $pid, 'by one child');
cmp_ok($after - $before, '<=', GROWTH_MIB, sprintf 'it grew by %.1f MiB (from %.1f)', $after - $before, $before);
cmp_ok($most, '<=', DESCRIPTORS, "and had $most descriptors at most");
is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
done_testing();
