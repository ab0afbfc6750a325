#!/usr/bin/perl
# Logs as streams of events: from where one was, with filters, over TLS, bounded; many at once hold nothing of httpd's.
# WH_VIEWERS and WH_SECONDS make it longer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use IPC::Open2 qw(open2);
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);
use WH::Api;
use WH::Wait qw(try_for);

my $VIEWERS = $ENV{WH_VIEWERS} // 250;
my $SECONDS = $ENV{WH_SECONDS} // 2;

my $cert = File::Temp->newdir('wh-cert-XXXXXX', TMPDIR => 1);
system('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1',
    '-subj', '/CN=127.0.0.1', '-keyout', "$cert/key", '-out', "$cert/cert") == 0 or die 'openssl';
my ($dir) = grep { -e "$_/mod_ssl.so" } qw(/usr/lib/apache2/modules /usr/lib64/httpd/modules);
my $tls_port = WH::Api::_free_port();
my $api = WH::Api->new(global => <<"END");
LoadModule ssl_module $dir/mod_ssl.so
LoadModule http2_module $dir/mod_http2.so
LoadModule status_module $dir/mod_status.so
Listen 127.0.0.1:$tls_port
<VirtualHost *:$tls_port>
  ServerName 127.0.0.1
  WiseHostAPI On
  SSLEngine On
  SSLCertificateFile $cert/cert
  SSLCertificateKeyFile $cert/key
  Protocols h2 http/1.1
</VirtualHost>
<Location /server-status>
  SetHandler server-status
  Require all granted
</Location>
END
my $token = $api->token('admin');
my $id = $api->app($token, 'talk', kind => 'container')->{id};

# What the scheduler does.
my $logs = "$api->{state}/logs/apps/$id";
my ($n, $file) = (0);
sub write_lines {
    my (@texts) = @_;
    if (!$file) {
        File::Path::make_path($logs);
        open $file, '>>', "$logs/0000000000000001.seg" or die $!;
        $file->autoflush(1);
        print {$file} "\@1 0 01hz0000000000000000000dp1 c1\n";
    }
    print {$file} join '', map { $n++; sprintf "%d %d out%s 1:%d %s\n", $n, time * 1e6, /^ERROR/ ? '.error' : '', $n, $_ } @texts;
    return;
}

# ---- one viewer ----
sub open_stream {
    my ($path, %o) = @_;
    my ($sock, $to, $pid);
    if ($o{tls}) { $pid = open2($sock, $to, "exec openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:$tls_port 2>/dev/null") }
    else         { $to = $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $api->{port}) or die "connect: $!" }
    my $more = join '', map { "$_: $o{headers}{$_}\r\n" } sort keys %{ $o{headers} // {} };
    syswrite $to, "GET $path HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nAuthorization: Bearer " . ($o{token} // $token) . "\r\n$more\r\n";
    return { sock => $sock, to => $to, pid => $pid, got => '' };
}
sub read_some {
    my ($s, $seconds) = @_;
    my $bits = '';
    vec($bits, fileno $s->{sock}, 1) = 1;
    return 0 if !select($bits, undef, undef, $seconds);
    my $n = sysread $s->{sock}, $s->{got}, 65536, length $s->{got};
    $s->{eof} = 1 if !$n;
    return $n;
}
sub until_has {
    my ($s, $what, $seconds) = @_;
    my $end = time + ($seconds // 5);
    while ($s->{got} !~ $what && !$s->{eof} && time < $end) { read_some($s, 0.2) }
    return $s->{got} =~ $what;
}
sub texts { my $s = shift; return join '|', map { JSON::PP->new->decode($_)->{text} } $s->{got} =~ /^data: (.*)$/mg }
sub ids { my $s = shift; return join ' ', $s->{got} =~ /^id: (\d+)$/mg }

my $early = open_stream('/v1/apps/talk/logs');
ok(until_has($early, qr/retry: 2000\n\n/), 'R20 a stream begins, before anything was printed');
like($early->{got}, qr{^HTTP/1\.1 200 .*Content-Type: text/event-stream}s, 'its type');
unlike($early->{got}, qr/Transfer-Encoding|Content-Length/i, 'its end is the end of the connection');
write_lines('one', 'ERROR two', '<b>three');
ok(until_has($early, qr/three/), 'the first lines come');
is(texts($early), 'one|ERROR two|<b>three', 'F281 all of them, in order');
is(ids($early), '1 2 3', 'R20 with their numbers as ids');
like($early->{got}, qr/^event: run_logs$/m, 'F281 and the name of the event');
write_lines(map { "later $_" } 4 .. 6);
ok(until_has($early, qr/later 6/), 'and what comes later');

my $again = open_stream('/v1/apps/talk/logs', headers => { 'Last-Event-ID' => 4 });
ok(until_has($again, qr/later 6/), 'R20 Last-Event-ID');
is(ids($again), '5 6', 'R20 goes on behind it');
my $tail = open_stream('/v1/apps/talk/logs?limit=2');
ok(until_has($tail, qr/later 6/) && ids($tail) eq '5 6', 'without it: the newest few first');
my $errors = open_stream('/v1/apps/talk/logs?level=error&limit=10');
my $text = open_stream('/v1/apps/talk/logs?text=LATER&after=0');
write_lines('nothing', 'ERROR seven', 'the later one');
ok(until_has($errors, qr/seven/) && texts($errors) eq 'ERROR two|ERROR seven', 'a level, of the past and as it comes') or diag texts($errors);
ok(until_has($text, qr/later one/) && texts($text) eq 'later 4|later 5|later 6|the later one', 'a text') or diag texts($text);
my $since = open_stream('/v1/apps/talk/logs?from=' . int(time - 60));
ok(until_has($since, qr/later one/) && ids($since) eq '1 2 3 4 5 6 7 8 9', 'from: that time on') or diag ids($since);
my $ahead = open_stream('/v1/apps/talk/logs', headers => { 'Last-Event-ID' => 1000 });
ok(until_has($ahead, qr/event: missed\ndata: \{"after": 1000, "newest": 9\}/), 'a number that never was: it is told, not waited for') or diag $ahead->{got};
close $_->{sock} for $since, $ahead;
for my $q ('to=1', 'before=9') {
    my $s = open_stream("/v1/apps/talk/logs?$q");
    ok(until_has($s, qr{^HTTP/1\.1 400}), "$q is refused");
}
my $nobody = open_stream('/v1/apps/talk/logs', token => 'wh_nonsense');
ok(until_has($nobody, qr{^HTTP/1\.1 401}), 'XA a stream wants a token');

# ---- TLS ----
my $tls = open_stream('/v1/apps/talk/logs?limit=1', tls => 1);
ok(until_has($tls, qr/later one/), 'over TLS');
write_lines('for all');
ok(until_has($tls, qr/for all/) && ids($tls) eq '9 10', 'what comes, too') or diag $tls->{got};
write_lines(map { "$_ " . 'x' x 8000 } 1 .. 60);
ok(until_has($tls, qr/"60 x/), 'half a megabyte at once');
ok(until_has($early, qr/"60 x/), 'without TLS, too');
is(ids($tls), join(' ', 9 .. 70), 'each line once, in order');
kill TERM => $tls->{pid};
waitpid $tls->{pid}, 0;
close $_->{sock} for $again, $tail, $errors, $text;

# ---- the next segment, as when one is full ----
sub next_segment {
    open $file, '>>', sprintf '%s/%016d.seg', $logs, $n + 1 or die $!;
    $file->autoflush(1);
    print {$file} "\@1 0 01hz0000000000000000000dp1 c1\n";
    return;
}
next_segment();
write_lines('in the next segment');
ok(until_has($early, qr/in the next segment/), 'a segment ends, the stream goes on');

# ---- a client that reads nothing ----
my $deaf = open_stream('/v1/apps/talk/logs');
until_has($deaf, qr/retry/);
my $busy = sub { my ($b) = $api->req(GET => '/server-status?auto')->{body} =~ /^BusyWorkers: (\d+)/m; return $b };
for my $part (0 .. 7) { next_segment(); write_lines(map { "flood $_ " . 'y' x 7000 } $part * 100 + 1 .. $part * 100 + 100) }
next_segment();
ok(until_has($early, qr/flood 800/, 15), 'one that does not read is nothing to the others');

# ---- many ----
my @tokens = map { $api->token('read') } 1 .. POSIX::ceil($VIEWERS / 64);
my $pages = sub {
    my ($seconds) = @_;
    my (@took, $end);
    for ($end = time + $seconds; time < $end;) {
        my $begin = time;
        my $got = $api->req(GET => '/v1/apps/talk', token => $token);
        push @took, (time - $begin) * 1000 if $got->{status} == 200;
        sleep 0.002;
    }
    @took = sort { $a <=> $b } @took;
    return ($took[ int @took * 0.5 ], $took[ int @took * 0.99 ], scalar @took);
};
$pages->(0.5);
my ($p50_alone, $p99_alone, $n_alone) = $pages->($SECONDS);

my $first = $n;
my $tool = WH::Api::builddir() . '/t/tools/wh-stream-viewers';
my $viewers = open2(my $from_viewers, my $to_viewers, $tool, $api->{port}, '/v1/apps/talk/logs?limit=1', $VIEWERS);
syswrite $to_viewers, join '', map {"$_\n"} @tokens;
is(scalar readline $from_viewers, "ready\n", "$VIEWERS viewers of one log, with 32 threads of httpd");
ok(scalar(try_for { $busy->() <= 3 } 5), 'and none of those waits for them');
my $writer = fork // die "fork: $!";
if ($writer == 0) {
    for (my $end = time + $SECONDS; time < $end;) { write_lines('now ' . time); sleep 0.1 }
    print {$file} '';
    POSIX::_exit($n - $first);
}
my ($p50_with, $p99_with, $n_with) = $pages->($SECONDS);
waitpid $writer, 0;
$n = $first + ($? >> 8);
sleep 0.5;
close $to_viewers;
my %seen = (readline $from_viewers) =~ /(\w+) ([\d.]+)/g;
waitpid $viewers, 0;
is("$seen{last} $seen{with_last}", "$n $VIEWERS", 'each viewer has the last line');
is($seen{gaps}, 0, 'and all before it');
cmp_ok($seen{p99_ms}, '<=', $VIEWERS < 1000 ? 2000 : 500, "p99 from the line to the viewer: $seen{p99_ms} ms (median $seen{p50_ms}, $seen{events} events)");
note(sprintf 'API alone: median %.2f ms, p99 %.2f ms (%d); beside %d viewers: %.2f ms, %.2f ms (%d)', $p50_alone, $p99_alone, $n_alone, $VIEWERS, $p50_with, $p99_with, $n_with);
cmp_ok($p99_with, '<=', $VIEWERS < 1000 ? 500 : 50, sprintf 'the API beside them: p99 %.1f ms', $p99_with);

# ---- bounds ----
my $greedy = $api->token('read');
my @open = map { my $s = open_stream('/v1/apps/talk/logs', token => $greedy); until_has($s, qr/\r\n\r\n/); $s } 1 .. 65;
is(scalar(grep { $_->{got} =~ m{^HTTP/1\.1 200} } @open), 64, 'a token has 64 streams');
like($open[64]{got}, qr{^HTTP/1\.1 429.*Retry-After.*too_many_streams}s, 'and no more');
close $_->{sock} for @open;
ok(scalar(try_for { my $s = open_stream('/v1/apps/talk/logs', token => $greedy); until_has($s, qr/\r\n\r\n/); my $ok = $s->{got} =~ / 200 /; close $s->{sock}; $ok } 5),
    'once they are closed there are others');
my $h2 = system("curl -sk --http2 -m 2 -o $cert/h2 -H 'Accept: text/event-stream' -H 'Authorization: Bearer $token' 'https://127.0.0.1:$tls_port/v1/apps/talk/logs?limit=1'");
like(do { local (@ARGV, $/) = "$cert/h2"; <> }, qr/retry: 2000\n\nid: $n\n/, 'over HTTP/2, while it lasts');

# ---- the end of httpd ----
kill USR1 => $api->{httpd};
ok(until_has($early, qr/never/, 10) || $early->{eof}, 'a graceful restart ends the streams');
my $back = open_stream('/v1/apps/talk/logs', headers => { 'Last-Event-ID' => $n - 1 });
ok(until_has($back, qr/id: $n\n/), 'and they come back where they were');
kill TERM => $api->{httpd};
ok(until_has($back, qr/never/, 10) || $back->{eof}, 'the end ends them, too');
waitpid delete $api->{httpd}, 0;
my $error_log = WH::Api::_slurp("$api->{root}/logs/error.log");
is(join("\n", grep { /\[\S*:(error|crit|alert|emerg)\]|exit signal/ && !/AH(03490|00484)/ } split /\n/, $error_log), '', 'nothing in the error log');
done_testing();
