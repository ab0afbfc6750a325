package Bench;
# What the benches share: a small HTTP client that can be timed (any Host, TCP or unix socket, one kept
# connection), medians, raw samples, and a platform started by ./quickstart as shipped.
use strict;
use warnings;
use Exporter 'import';
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(time sleep);
our @EXPORT_OK = qw(median percentile http api run_cmd git platform stop_platform samples value ratio wait_until top out_dir free_port build
    certificate);

my $TOP = dirname(abs_path(__FILE__));
$TOP = dirname($TOP);
sub top { return $TOP }

sub out_dir { my $d = "$TOP/bench/out"; make_path($d); return $d }

sub percentile {
    my ($q, @v) = @_;
    @v = sort { $a <=> $b } @v;
    return 0 unless @v;
    my $i = int($q * $#v + 0.5);
    return $v[$i];
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return 0 unless @v;
    return @v % 2 ? $v[ $#v / 2 ] : ($v[ @v / 2 - 1 ] + $v[ @v / 2 ]) / 2;
}

# Raw samples go to bench/out/NAME.txt, one a line, and in short to the terminal.
sub samples {
    my ($name, $unit, @v) = @_;
    open my $fh, '>', out_dir() . "/$name.txt" or die "bench/out/$name.txt: $!\n";
    printf $fh "%.3f\n", $_ for @v;
    close $fh or die "bench/out/$name.txt: $!\n";
    printf "# %s: n=%d min=%.1f p50=%.1f p95=%.1f max=%.1f %s\n", $name, scalar(@v), percentile(0, @v),
        median(@v), percentile(0.95, @v), percentile(1, @v), $unit;
    return;
}

sub value { my ($name, $value, $unit) = @_; printf "VALUE %s %.3f %s\n", $name, $value, $unit; return }
sub ratio { my ($name, $value) = @_; printf "RATIO %s %.3f\n", $name, $value; return }

sub run_cmd {
    my (@argv) = @_;
    open my $null, '>', '/dev/null' or die $!;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>&', $null;
        open STDERR, '>', out_dir() . '/last-command.err';
        exec { $argv[0] } @argv or exit 127;
    }
    waitpid $pid, 0;
    die "@argv: exit status " . ($? >> 8) . ", see bench/out/last-command.err\n" if $?;
    return;
}

sub git {
    my ($dir, @args) = @_;
    # The receiving side of a local push reads the global file, not the environment's settings.
    my $config = out_dir() . '/gitconfig';
    if (!-e $config) {
        open my $fh, '>', $config or die "$config: $!\n";
        print {$fh} "[safe]\n\tdirectory = *\n";
        close $fh or die "$config: $!\n";
    }
    local %ENV = (%ENV, GIT_CONFIG_GLOBAL => $config, GIT_AUTHOR_NAME => 'bench', GIT_AUTHOR_EMAIL => 'bench@localhost', GIT_COMMITTER_NAME => 'bench',
        GIT_COMMITTER_EMAIL => 'bench@localhost');
    run_cmd('git', '-C', $dir, @args);
    return;
}

# One request. $conn: {host, port} or {unix}; the connection is kept in it, and the headers of the last answer
# (lower case). Returns (status, body).
sub http {
    my ($conn, $method, $path, %o) = @_;
    for my $try (1, 2) {
        my $fresh = !$conn->{sock};
        $conn->{sock} //= $conn->{unix}
            ? IO::Socket::UNIX->new(Peer => $conn->{unix})
            : IO::Socket::INET->new(PeerAddr => $conn->{host}, PeerPort => $conn->{port}, Timeout => 10);
        return (0, "connect: $!") unless $conn->{sock};
        my ($status, $body) = eval { exchange($conn, $method, $path, %o) };
        return ($status, $body) if $status;
        close $conn->{sock};
        delete $conn->{sock};
        return (0, $@ || 'no answer') if $fresh;
    }
    return (0, 'no answer');
}

sub exchange {
    my ($conn, $method, $path, %o) = @_;
    my $s = $conn->{sock};
    my $body = $o{body} // '';
    my $h = join '', map {"$_: $o{headers}{$_}\r\n"} sort keys %{ $o{headers} || {} };
    local $SIG{PIPE} = 'IGNORE';
    my $name = $o{host} // $conn->{host} // 'localhost';
    my $length = length $body || $method ne 'GET' ? 'Content-Length: ' . length($body) . "\r\n" : '';
    print {$s} "$method $path HTTP/1.1\r\nHost: $name\r\n$h$length\r\n$body" or return;
    $s->flush;
    my $line = <$s> // return;
    my ($status) = $line =~ m{^HTTP/1\.[01] (\d+)} or return;
    my %got;
    while (defined($line = <$s>)) {
        last if $line =~ /^\r?\n$/;
        $got{ lc $1 } = $2 if $line =~ /^([^:]+):\s*(.*?)\r?\n$/;
    }
    $conn->{headers} = \%got;
    my $text = '';
    if (($got{'transfer-encoding'} // '') =~ /chunked/i) {
        while (defined($line = <$s>)) {
            my $n = hex($line =~ /^([0-9a-f]+)/i ? $1 : 0);
            read $s, my $part, $n + 2;
            last unless $n;
            $text .= substr $part, 0, $n;
        }
    } elsif (defined $got{'content-length'}) {
        read $s, $text, $got{'content-length'} if $got{'content-length'};
    } elsif ($status != 204 && $status != 304) {
        local $/;
        $text = <$s> // '';
        delete $conn->{sock};
    }
    if (($got{connection} // '') =~ /close/i) {
        close $s;
        delete $conn->{sock};
    }
    return ($status, $text);
}

# A JSON request to the API of platform $pf; dies on anything but 2xx.
sub api {
    my ($pf, $method, $path, $data) = @_;
    my $body = defined $data ? JSON::PP::encode_json($data) : '';
    my %h = (Authorization => "Bearer $pf->{WH_TOKEN}");
    $h{'Content-Type'} = 'application/json' if length $body;
    my ($status, $text) = http($pf->{conn}, $method, $path, body => $body, headers => \%h);
    die "$method $path: $status $text\n" unless $status >= 200 && $status < 300;
    return length $text ? JSON::PP::decode_json($text) : undef;
}

sub wait_until {
    my ($what, $seconds, $step, $code) = @_;
    my $end = time + $seconds;
    while (time < $end) {
        return 1 if $code->();
        sleep $step;
    }
    die "waited $seconds s for $what\n";
}

sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "port: $!";
    return $s->sockport;
}

# A build of its own, with the simulator; WH_BUILD and WH_INST name one that is there already.
sub build {
    if (!($ENV{WH_BUILD} && $ENV{WH_INST})) {
        my $dir = out_dir() . '/build';
        my $log = out_dir() . '/build.log';
        make_path($dir);
        my $configured = -e "$dir/config.status" ? 'true' : "'$TOP/configure' --prefix='$dir/inst' --with-moddir='$dir/inst/modules'";
        patiently('building (log: bench/out/build.log)', $log,
            "{ cd '$TOP' && { [ -x configure ] || autoreconf -i; } && cd '$dir' && $configured && make -j2 "
                . "&& make -j2 bench/sim/wh-sim bench/sim/wh-sim-seed bench/sim/wh-sim-ticks t/tools/wh-test-worker t/tools/wh-stream-viewers t/tools/wh-route-put t/tools/wh-db-seed && make install; } > '$log' 2>&1")
            or die "the build failed, see bench/out/build.log\n";
        chmod 0755, $dir, out_dir();
        @ENV{qw(WH_BUILD WH_INST)} = ($dir, "$dir/inst");
    }
    $ENV{top_builddir} = $ENV{WH_BUILD};
    return;
}

# Runs a command for the shell, with a word every 15 s on how far its log is. True when it went well.
sub patiently {
    my ($what, $log, $command) = @_;
    my ($began, $next) = (time, 15);
    print "# $what\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) { exec '/bin/sh', '-c', $command or exit 127 }
    while (waitpid($pid, WNOHANG) == 0) {
        sleep 0.2;
        next if time - $began < $next;
        open my $in, '<', $log or next;
        1 while <$in>;
        printf "# %d s, %d lines in the log\n", $next, $.;
        $next += 15;
    }
    my $good = $? == 0;
    printf "# done after %.0f s\n", time - $began;
    return $good;
}

# A certificate for the scheduler's listener: $dir/listen.pem, $dir/listen.key.
sub certificate {
    my ($dir) = @_;
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
            . "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout $dir/listen.key -out $dir/listen.pem -batch 2>/dev/null") == 0
        or die "openssl failed\n";
    chmod 0640, "$dir/listen.key";
    chown 0, (getgrnam 'wisehost')[2], "$dir/listen.key";
    return;
}

# Starts the platform as ./quickstart ships it, in a directory of its own.
sub platform {
    my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 0);
    chmod 0755, $dir;
    my $port = free_port();
    my $log = out_dir() . '/quickstart.log';
    print "# starting the platform (log: bench/out/quickstart.log)\n";
    system("$TOP/quickstart --dir '$dir/run' --port $port > '$log' 2>&1") == 0
        or die "quickstart failed, see bench/out/quickstart.log\n";
    my %pf = (dir => $dir, port => $port, conn => { host => '127.0.0.1', port => $port });
    open my $fh, '<', "$dir/run/env" or die "$dir/run/env: $!\n";
    while (<$fh>) {
        $pf{$1} = $2 if /^([A-Z_]+)=['"]?(.*?)['"]?$/;
    }
    $pf{ENGINE_SOCKET} = "$dir/run/engine/podman.sock" if -S "$dir/run/engine/podman.sock";
    return \%pf;
}

sub stop_platform {
    my ($pf) = @_;
    system("$TOP/quickstart stop --dir '$pf->{dir}/run' >> '" . out_dir() . "/quickstart.log' 2>&1");
    run_cmd('rm', '-rf', $pf->{dir});
    return;
}

1;
