#!/usr/bin/perl
# db: sqlite
# Ten gracefuls in the middle of 10,000 requests: with a new connection each none fails; with keep-alive and
# one retry none fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use POSIX ();
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new->start;
$stack->app('page', { 'index.html' => "steady\n" });
is($stack->deploy('page')->{conclusion}, 'succeeded', 'an app is live');
my $port = $stack->port;

sub ask {
    my ($sock, $close) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print {$sock} "GET / HTTP/1.1\r\nHost: page.localhost:$port\r\n" . ($close ? "Connection: close\r\n" : '') . "\r\n"
        or return 0;
    my $line = <$sock> // return 0;
    my ($length, $done) = (0, 0);
    while (defined(my $h = <$sock>)) {
        $length = $1 if $h =~ /^Content-Length: (\d+)/i;
        $done = 1 if $h =~ /^Connection: close/i;
        last if $h eq "\r\n";
    }
    read($sock, my $body, $length) == $length or return 0;
    return $line =~ / 200 / && $body eq "steady\n" ? ($done ? 2 : 1) : -1;
}

sub fresh { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) }

# Counts: requests, failures, retries. One process a client, told by a pipe.
sub client {
    my ($keep, $requests) = @_;
    my ($fail, $retry, $sock) = (0, 0, undef);
    for (1 .. $requests) {
        my $got = 0;
        for my $try (0 .. ($keep ? 1 : 0)) {
            $retry++ if $try;
            $sock = fresh() if !$sock || !$keep;
            $got = $sock ? ask($sock, !$keep) : 0;
            undef $sock if $got != 1;
            last if $got > 0;
        }
        $fail++ if $got <= 0;
    }
    return "$requests $fail $retry\n";
}

my @clients;
for my $keep (0, 0, 1, 1) {
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        print client($keep, 2500);
        close STDOUT;
        POSIX::_exit(0);
    }
    push @clients, [ $keep, $out ];
}
# Each graceful is awaited by its line in the error log, not by time.
my $count = sub { my @n = $stack->log_text('httpd-error') =~ /AH00494|AH00489: .*resuming/g; return scalar @n };
my $gracefuls = 0;
for my $n (1 .. 10) {
    my $before = $count->();
    $stack->proc('httpd')->signal('USR1');
    $gracefuls++ if eval { wait_for { $count->() > $before } 20, "graceful $n"; 1 };
}
is($gracefuls, 10, 'ten gracefuls were done');
my %sum;
for (@clients) {
    my ($keep, $out) = @$_;
    my ($requests, $fail, $retry) = split ' ', scalar <$out>;
    close $out;
    $sum{$keep}{requests} += $requests;
    $sum{$keep}{fail}     += $fail;
    $sum{$keep}{retry}    += $retry;
}
is($sum{0}{fail}, 0, "a new connection each: none of $sum{0}{requests} requests failed");
is($sum{1}{fail}, 0, "keep-alive and one retry ($sum{1}{retry} used): none of $sum{1}{requests} requests failed");
$stack->allow_log(qr/AH00\d\d\d/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
