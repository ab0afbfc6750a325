#!/usr/bin/perl
# Streams of a log against viewers that mean no good: made-up ids, requests behind one another, broken connections, words that
# are looked for in all of a large log while others wait for their next line. Nothing is left open.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Path qw(make_path);
use IO::Socket::INET;
use Socket qw(SHUT_WR SO_LINGER SOL_SOCKET);
use Test::More;
use Time::HiRes qw(time sleep);
use WH::Api;
use WH::Wait qw(try_for);

my $api = WH::Api->new;
my $token = $api->token('admin');
my %log;
for my $slug (qw(small large)) {
    my $dir = "$api->{state}/logs/apps/" . $api->app($token, $slug, kind => 'container')->{id};
    make_path($dir);
    $log{$slug} = { dir => $dir, n => 0 };
}
my $tool = WH::Api::builddir() . '/t/tools/wh-log-read';
is(system("$tool $log{large}{dir} 120000 > /dev/null"), 0, 'a log of 120,000 lines');
$log{large}{n} = 120000;
sub say_line {
    my ($slug, @texts) = @_;
    my $log = $log{$slug};
    if (!$log->{file}) {
        open $log->{file}, '>>', sprintf '%s/%016d.seg', $log->{dir}, $log->{n} + 1 or die $!;
        $log->{file}->autoflush(1);
        print { $log->{file} } "\@1 0 01hz0000000000000000000dp1 c1\n";
    }
    for (@texts) { $log->{n}++; printf { $log->{file} } "%d %d out 1:%d %s\n", $log->{n}, time * 1e6, $log->{n}, $_ }
    return $log->{n};
}
say_line('large', 'the end');
say_line('small', map {"line $_"} 1 .. 5);
chmod 0644, glob "$log{large}{dir}/*";

sub request {
    my ($path, %o) = @_;
    my $head = join '', map {"$_: $o{headers}{$_}\r\n"} sort keys %{ $o{headers} // {} };
    return ($o{method} // 'GET') . " $path HTTP/" . ($o{version} // '1.1') . "\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        . 'Authorization: Bearer ' . ($o{token} // $token) . "\r\n$head\r\n";
}
sub open_stream {
    my ($path, %o) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $api->{port}) or die "connect: $!";
    syswrite $sock, request($path, %o) . ($o{behind} // '');
    return { sock => $sock, got => '' };
}
sub until_has {
    my ($s, $what, $seconds) = @_;
    for (my $end = time + ($seconds // 5); $s->{got} !~ $what && !$s->{eof} && time < $end;) {
        my $bits = '';
        vec($bits, fileno $s->{sock}, 1) = 1;
        select($bits, undef, undef, 0.2) or next;
        $s->{eof} = 1 if !sysread $s->{sock}, $s->{got}, 65536, length $s->{got};
    }
    return $s->{got} =~ $what;
}
sub ids { my ($s) = @_; return join ' ', $s->{got} =~ /^id: (\d+)$/mg }

# ---- ids that nobody was given ----
my @odd = ('-1', '-9223372036854775808', '1e9', 'abc', '0x10', '4,5', '0' x 3000, "\xff\xfe", '%00', '');
my %odd = map { $_ => open_stream('/v1/apps/small/logs?limit=2', headers => { 'Last-Event-ID' => $_ }) } @odd;
my @large = map { open_stream('/v1/apps/small/logs', headers => { 'Last-Event-ID' => $_ }) } qw(6 9223372036854775807 18446744073709551616 999999999999999999999999);
push @large, open_stream('/v1/apps/small/logs?after=1000000000000');
is(scalar(grep { until_has($odd{$_}, qr/id: 5\n/) && ids($odd{$_}) =~ /(?:^| )4 5$/ } @odd), scalar @odd, 'an id that is none counts as none');
until_has($_, qr/retry/) for @large;
my $next = say_line('small', 'what comes');
is(join('|', map { until_has($_, qr/id: $next\n/); ($_->{got} =~ /^event: missed$/m ? 'missed ' : '') . ids($_) } @large), join('|', ('missed ' . ($next - 1) . " $next") x @large),
    'one that was never given is told, and hides nothing that comes');

# ---- what no viewer does ----
my $twice = open_stream('/v1/apps/small/logs?limit=1', behind => "GET /v1/apps HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
ok(until_has($twice, qr/id: $next\n/), 'a request behind it in the same packet');
$next = say_line('small', 'after it');
ok(until_has($twice, qr/id: $next\n/), 'is not answered');
is(scalar(() = $twice->{got} =~ m{^HTTP/}mg), 1, 'and breaks nothing');
my $half = open_stream('/v1/apps/small/logs');
until_has($half, qr/retry/);
shutdown $half->{sock}, SHUT_WR;
my $talks = open_stream('/v1/apps/small/logs');
until_has($talks, qr/retry/);
syswrite $talks->{sock}, 'x' x 10000;
ok(until_has($_, qr/never/, 3) || $_->{eof}, 'who ends his half, or says more, is let go') for $half, $talks;
my $head = open_stream('/v1/apps/small/logs', method => 'HEAD', headers => { Connection => 'close' });
ok(until_has($head, qr/\r\n\r\n/) && $head->{got} =~ / 200 .*event-stream/s, 'HEAD is answered, and over');
my $old = open_stream('/v1/apps/small/logs?limit=1', version => '1.0');
ok(until_has($old, qr/id: $next\n/), 'HTTP/1.0');
my ($child) = split ' ', `pgrep -P $api->{httpd}`;
my $sockets; $sockets = sub { return scalar grep { (readlink // '') =~ /^socket/ } glob "/proc/$child/fd/*" };
close $_->{sock} for values %odd, @large, $twice, $half, $talks, $head, $old;
for (1 .. 200) {
    my $s = open_stream('/v1/apps/small/logs');
    setsockopt $s->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0; # a reset
    sleep 0.001 if $_ % 2;
    close $s->{sock};
}
ok(scalar(try_for { $sockets->() <= 6 } 10), 'after 200 resets no socket is left') or diag $sockets->();

# ---- a word that is nowhere ----
my $small = open_stream('/v1/apps/small/logs?limit=1');
until_has($small, qr/id: $next\n/);
my $evil = $api->token('read');
my $begin = time;
my @search = map { open_stream('/v1/apps/large/logs?after=1&text=zq', token => $evil) } 1 .. 24;
my @took;
for (1 .. 8) {
    my $from = time;
    $next = say_line('small', 'while they search');
    until_has($small, qr/id: $next\n/);
    push @took, time - $from;
}
@took = sort { $a <=> $b } @took;
cmp_ok($took[-1], '<', 2, sprintf 'another log\'s viewers have their lines: median %d ms, at most %d', $took[4] * 1000, $took[-1] * 1000);
$next = say_line('large', 'here zq');
is(scalar(grep { until_has($_, qr/id: $next\n/, 20) } @search), scalar @search, 'and the searches come to their end');
cmp_ok(time - $begin, '<', 20, sprintf 'within %.1f s', time - $begin);
my $error_log = WH::Api::_slurp("$api->{root}/logs/error.log");
is(join("\n", grep { /\[\S*:(error|crit|alert|emerg)\]|exit signal|Sanitizer|runtime error/ && !/AH(03490|00484)/ } split /\n/, $error_log), '', 'nothing in the error log');
done_testing();
