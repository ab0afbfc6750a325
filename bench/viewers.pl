#!/usr/bin/perl
# What many viewers of a log cost everybody else: calls of the API beside 1,000 streams of one log that is written to,
# and without them, in turn. The viewers stand for other machines: they run when nothing else wants the processor.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build http median percentile ratio samples value wait_until);
use File::Path qw(make_path);
use IPC::Open2 qw(open2);
use POSIX ();
use Time::HiRes qw(time sleep);

my $VIEWERS = $ENV{BENCH_VIEWERS} || 1000;
my ($rounds, $seconds) = ($ENV{BENCH_ROUNDS} || 9, $ENV{BENCH_SECONDS} || 5);
my $LINES = 10;    # a second
my $PATH = '/v1/apps/talk';
$| = 1;
build();
require WH::Api;
# httpd as Debian ships it.
my ($modules) = grep { -e "$_/mod_status.so" } qw(/usr/lib/apache2/modules /usr/lib64/httpd/modules);
my $api = WH::Api->new(global => <<"END");
StartServers 2
MinSpareThreads 25
MaxSpareThreads 75
ThreadLimit 64
ThreadsPerChild 25
MaxRequestWorkers 150
LoadModule status_module $modules/mod_status.so
<Location "/server-status">
  SetHandler server-status
  Require all granted
</Location>
END
my $token = $api->token('admin');
my @tokens = map { $api->token('read') } 1 .. POSIX::ceil($VIEWERS / 64);
my $log = "$api->{state}/logs/apps/" . $api->app($token, 'talk', kind => 'container')->{id};
my ($n, $file) = (0);
begin_log();
my %p99;
my %all;
for my $round (1 .. $rounds) {
    for my $with ($round % 2 ? (0, 1) : (1, 0)) {
        my $viewers = $with ? viewers() : undef;
        my $took = calls();
        push @{ $p99{$with} }, percentile(0.99, @$took);
        push @{ $all{$with} }, @$took;
        leave($viewers) if $viewers;
    }
    printf "# round %d: p99 %.2f ms alone, %.2f ms beside %d viewers\n", $round, $p99{0}[-1], $p99{1}[-1], $VIEWERS;
}
samples('api_alone', 'ms', @{ $all{0} });
samples('api_beside_viewers', 'ms', @{ $all{1} });
value('api_p99_alone', median(@{ $p99{0} }), 'ms');
value('api_p99_beside_viewers', median(@{ $p99{1} }), 'ms');
ratio('api_p99_viewers_vs_none', median(map { $p99{1}[$_] / $p99{0}[$_] } 0 .. $#{ $p99{0} }));

# ---- the parts ----

# What the scheduler does.
sub begin_log {
    make_path($log);
    open $file, '>>', "$log/0000000000000001.seg" or die "$log: $!\n";
    $file->autoflush(1);
    print {$file} "\@1 0 01hz0000000000000000000dp1 c1\n";
    return;
}

# Calls of the API on one kept connection while the log goes on; how long each took, in ms.
sub calls {
    my %conn = (host => '127.0.0.1', port => $api->{port});
    my ($end, $line) = (time + $seconds, time);
    my @took;
    while ((my $begin = time) < $end) {
        my ($status, $body) = http(\%conn, GET => $PATH, headers => { Authorization => "Bearer $token" });
        die "GET $PATH: $status $body\n" unless $status == 200;
        push @took, (time - $begin) * 1000;
        if (time >= $line) {
            $n++;
            printf {$file} "%d %d out 1:%d now %.6f\n", $n, time * 1e6, $n, time;
            $line += 1 / $LINES;
        }
        sleep 0.002;
    }
    return \@took;
}

sub viewers {
    my $pid = open2(my $from, my $to, 'nice', '-n', 19, "$ENV{WH_BUILD}/t/tools/wh-stream-viewers", $api->{port}, "$PATH/logs?limit=1", $VIEWERS);
    syswrite $to, join '', map {"$_\n"} @tokens;
    my $said = readline $from;
    die "the viewers did not come\n" if ($said // '') ne "ready\n";
    return { pid => $pid, from => $from, to => $to };
}

# They must have seen all there was.
sub leave {
    my ($v) = @_;
    sleep 1;
    close $v->{to};
    my $said = readline $v->{from};
    # The streams of a token are counted until httpd has seen them go.
    wait_until('the streams to end', 30, 0.1, sub { $api->req(GET => '/server-status?auto')->{body} =~ /^WiseHostStreams: 0$/m });
    my %seen = $said =~ /(\w+) ([\d.]+)/g;
    waitpid $v->{pid}, 0;
    die "not all was seen: $said" if $seen{last} != $n || $seen{with_last} != $VIEWERS || $seen{gaps};
    print "# each of $VIEWERS saw all $n lines; p50 $seen{p50_ms}, p99 $seen{p99_ms} ms after it was printed\n";
    return;
}
