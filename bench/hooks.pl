#!/usr/bin/perl
# Deliveries of forges: 1,000 in 10 s for 20 apps, every tenth of them twice, then 1,000 at once; on both databases.
# Deployments run meanwhile: the scheduler gives them to simulated agents (bench/sim), which finish them. At the end
# every app is at its newest commit, and every 2xx has its row.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build certificate http percentile median samples value out_dir);
use Digest::SHA qw(hmac_sha256_hex sha1_hex);
use Errno qw(EINPROGRESS EAGAIN EINTR);
use IO::Poll qw(POLLIN POLLOUT POLLHUP POLLERR);
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for);

my $deliveries = $ENV{BENCH_DELIVERIES} || 1000;
my $seconds = $ENV{BENCH_SECONDS} || 10;
my $APPS = 20;
my @kinds = split ' ', $ENV{BENCH_DBS} || 'sqlite pgsql';
my @FORGES = qw(github gitea gitlab bitbucket);
my $JSON = JSON::PP->new->canonical->utf8;
$| = 1;
build();
my ($sim, $seed) = map { "$ENV{WH_BUILD}/bench/sim/$_" } qw(wh-sim wh-sim-seed);
my (%steady, %burst);
for my $kind (@kinds) {
    local $ENV{WH_TEST_DB} = $kind;
    my $stack = platform();
    my @apps = map { app($stack, $_) } 0 .. $APPS - 1;
    $steady{$kind} = [ steady($stack, $kind, \@apps) ];
    settle($stack, $kind, \@apps, 'steady');
    $burst{$kind} = [ burst($stack, $kind, \@apps) ];
    settle($stack, $kind, \@apps, 'burst');
    $stack->{sim}->stop(30);
    $stack->stop;
}
value("hook_p99_$_", percentile(0.99, @{ $steady{$_} }), 'ms') for @kinds;
value("hook_burst_max_$_", percentile(1, @{ $burst{$_} }), 'ms') for @kinds;
value('hook_p99', (sort { $b <=> $a } map { percentile(0.99, @{ $steady{$_} }) } @kinds)[0], 'ms');
value('hook_burst_max', (sort { $b <=> $a } map { percentile(1, @{ $burst{$_} }) } @kinds)[0], 'ms');

# ---- the parts ----

sub platform {
    my $port = WH::Stack::free_port();
    # httpd as Debian ships it, PostgreSQL with the connections that it has by default.
    my $mpm = "StartServers 2\nMinSpareThreads 25\nMaxSpareThreads 75\nThreadLimit 64\nThreadsPerChild 25\nMaxRequestWorkers 150\n";
    my $stack = WH::Stack->new(own_server => 1, pg_options => '-c fsync=on -c shared_buffers=128MB -c max_connections=100',
        httpd_extra => $mpm . ($ENV{BENCH_HTTPD} // ''),
        scheduler_conf => { listen => "127.0.0.1:$port" });
    my $dir = $stack->dir;
    certificate($dir);
    $stack->{scheduler_conf}{"listen_$_->[0]"} = "$dir/listen.$_->[1]" for [ cert => 'pem' ], [ key => 'key' ];
    $stack->start(agent => 0);
    my ($rc, $said) = $stack->run_cmd($seed, 'workers', $stack->db->driver, $stack->db->params, 4, 'sim-', "$dir/workers.list");
    die "wh-sim-seed: $said\n" if $rc;
    $stack->{sim} = WH::Proc->start(name => 'sim', log => "$dir/log/sim.log", cmd => [ $sim, '--hub', "wss://127.0.0.1:$port",
        '--ca', "$dir/listen.pem", '--agents', 4, '--workers', "$dir/workers.list", '--api', $stack->url, '--by-token', 1,
        '--finish-ms', 300, '--max-jobs', 8, '--out', "$dir/sim.json" ]);
    wait_for { WH::Stack::slurp("$dir/log/sim.log") =~ /up=4/ } 60, 'four agents';
    return $stack;
}

sub app {
    my ($stack, $i) = @_;
    my $forge = $FORGES[ $i % @FORGES ];
    my $slug = "bench-$i";
    my $made = $stack->api(POST => '/v1/apps', { slug => $slug, kind => 'container', run => { cpu_millis => 50, memory_bytes => 64 << 20 },
        repository => { url => "https://git.example.test/bench/$slug.git", branch => 'main' } });
    die "app: $made->{status} $made->{body}\n" unless $made->{status} == 201;
    my $hook = $stack->api(POST => "/v1/apps/$slug/hooks", { provider => $forge })->{json};
    my ($path) = $hook->{url} =~ m{(/v1/webhooks/.*)};
    return { slug => $slug, forge => $forge, secret => $hook->{secret}, path => $path, n => 0, sha => sha1_hex("$slug 0"), ids => 0 };
}

# The next push of an app: headers and body, as its forge sends them.
sub push_of {
    my ($app) = @_;
    my ($before, $after) = ($app->{sha}, sha1_hex("$app->{slug} " . ++$app->{n}));
    $app->{sha} = $after;
    my $template = WH::Stack::slurp("$WH::Stack::src/t/data/hooks/$app->{forge}/push.json");
    my $p = $JSON->decode($template);
    if ($app->{forge} eq 'bitbucket') {
        my $change = $p->{push}{changes}[0];
        $change->{old}{target}{hash} = $before;
        $_->{hash} = $after for $change->{new}{target}, $change->{commits}[0];
    }
    else {
        @$p{qw(before after)} = ($before, $after);
        $_->{id} = $after for grep {defined} $p->{head_commit}, $p->{commits}[ $app->{forge} eq 'gitea' ? 0 : -1 ];
    }
    my $body = $JSON->encode($p);
    my $id = sprintf '%s-%d', $app->{slug}, ++$app->{ids};
    my $mac = hmac_sha256_hex($body, $app->{secret});
    my %h = (github => { 'X-GitHub-Event' => 'push', 'X-GitHub-Delivery' => $id, 'X-Hub-Signature-256' => "sha256=$mac" },
        gitea => { 'X-Gitea-Event' => 'push', 'X-Gitea-Delivery' => $id, 'X-Gitea-Signature' => $mac },
        gitlab => { 'X-Gitlab-Event' => 'Push Hook', 'X-Gitlab-Event-UUID' => $id, 'X-Gitlab-Token' => $app->{secret} },
        bitbucket => { 'X-Event-Key' => 'repo:push', 'X-Request-UUID' => $id, 'X-Hub-Signature' => "sha256=$mac" });
    return { app => $app, body => $body, headers => { 'Content-Type' => 'application/json', %{ $h{ $app->{forge} } } } };
}

# Every tenth comes twice.
sub plan {
    my ($apps) = @_;
    my @all;
    for my $i (0 .. $deliveries / @$apps - 1) {
        for my $app (@$apps) {
            push @all, $app->{last} && $i % 10 == 9 ? { %{ $app->{last} }, again => 1 } : ($app->{last} = push_of($app));
        }
    }
    return @all;
}

# One sender an app, each delivery at its time whether the one before was answered or not: from when it was due to
# its answer.
sub steady {
    my ($stack, $kind, $apps) = @_;
    my @all = plan($apps);
    my $t0 = time + 1;
    $all[$_]{at} = $t0 + $_ * $seconds / @all for 0 .. $#all;
    my (@ms, %status, @kids);
    for my $app (@$apps) {
        pipe my $in, my $out or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            my $conn = { host => '127.0.0.1', port => $stack->port };
            for my $d (grep { $_->{app} == $app } @all) {
                my $wait = $d->{at} - time;
                sleep $wait if $wait > 0;
                my ($status) = http($conn, 'POST', $app->{path}, body => $d->{body}, headers => $d->{headers});
                syswrite $out, sprintf "%d %.3f %d\n", $status, 1000 * (time - $d->{at}), $d->{again} // 0;
            }
            require POSIX;
            POSIX::_exit(0);
        }
        close $out;
        push @kids, [ $pid, $in ];
    }
    for (@kids) {
        my ($pid, $in) = @$_;
        while (<$in>) {
            my ($status, $ms, $again) = split;
            push @ms, $ms;
            $status{ $again ? "again $status" : $status }++;
        }
        waitpid $pid, 0;
    }
    print "# $kind, $deliveries in $seconds s: ", join(', ', map {"$status{$_} x $_"} sort keys %status), "\n";
    samples("hook_$kind", 'ms', @ms);
    check_status($stack, \%status);
    return @ms;
}

sub check_status {
    my ($stack, $status) = @_;
    my @bad = grep { !/^(?:200|202|again 200)$/ } keys %$status;
    die "answers that are none: @bad\n" . substr(WH::Stack::slurp($stack->dir . '/log/httpd-error.log'), -2000) if @bad;
    return;
}

# All of them on a connection each, at the same moment, in any order.
sub burst {
    my ($stack, $kind, $apps) = @_;
    my @all = sort { $a->{order} <=> $b->{order} } map { +{ %{ push_of($apps->[ $_ % @$apps ]) }, order => rand } } 0 .. $deliveries - 1;
    my $to = Socket::pack_sockaddr_in($stack->port, Socket::inet_aton('127.0.0.1'));
    my $poll = IO::Poll->new;
    my (%by, @ms, %status);
    my $t0 = time;
    for my $d (@all) {
        my $head = join '', map {"$_: $d->{headers}{$_}\r\n"} sort keys %{ $d->{headers} };
        $d->{out} = "POST $d->{app}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n${head}Content-Length: " . length($d->{body}) . "\r\n\r\n$d->{body}";
        $d->{in} = '';
        socket my $s, Socket::PF_INET(), Socket::SOCK_STREAM(), 0 or die "socket: $!\n";
        IO::Handle::blocking($s, 0);
        connect $s, $to or $!{EINPROGRESS} or die "connect: $!\n";
        setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
        $by{ fileno $s } = [ $s, $d ];
        $poll->mask($s => POLLOUT);
    }
    while (%by && time < $t0 + 60) {
        $poll->poll(1);
        for my $s ($poll->handles(POLLOUT | POLLIN | POLLHUP | POLLERR)) {
            my $d = $by{ fileno $s }[1];
            if (length $d->{out}) {
                my $n = syswrite $s, $d->{out};
                substr $d->{out}, 0, $n, '' if $n;
                $poll->mask($s => POLLIN) unless length $d->{out};
                next if $n || $!{EAGAIN} || $!{EINTR};
            }
            my $n = sysread $s, $d->{in}, 65536, length $d->{in};
            next if $n || !defined $n && ($!{EAGAIN} || $!{EINTR});
            my ($got) = $d->{in} =~ m{^HTTP/1\.1 (\d+)};
            $status{ $got // 0 }++;
            push @ms, 1000 * (time - $t0);
            $poll->remove($s);
            delete $by{ fileno $s };
            close $s;
        }
    }
    print "# $kind, $deliveries at once: ", join(', ', map {"$status{$_} x $_"} sort keys %status), '; ', scalar(keys %by), " never answered\n";
    samples("hook_burst_$kind", 'ms', @ms);
    check_status($stack, \%status);
    die "not all were answered\n" if %by;
    return @ms;
}

# Until nothing waits: then each app's newest deployment is of its newest commit and went well, and all have rows.
sub settle {
    my ($stack, $kind, $apps, $what) = @_;
    wait_for { !$stack->db->value("SELECT COUNT(*) FROM deployments WHERE status <> 'completed'") } 300, 'every deployment to end';
    for my $app (@$apps) {
        my ($last) = $stack->db->rows("SELECT d.commit_sha, d.conclusion FROM deployments d JOIN apps a ON a.id = d.app_id"
            . " WHERE a.slug = '$app->{slug}' ORDER BY d.number DESC LIMIT 1");
        die "$app->{slug} ($app->{forge}) ended at $last->[0] $last->[1], not at $app->{sha}\n" if $last->[0] ne $app->{sha} || $last->[1] ne 'succeeded';
        my $rows = $stack->db->value("SELECT COUNT(DISTINCT l.delivery_id) FROM hook_deliveries l JOIN hooks h ON h.id = l.hook_id"
            . " JOIN apps a ON a.id = h.app_id WHERE a.slug = '$app->{slug}'");
        die "$app->{slug}: $rows rows of $app->{ids} deliveries\n" if $rows != $app->{ids};
    }
    my %ended = map { @$_ } $stack->db->rows('SELECT conclusion, COUNT(*) FROM deployments GROUP BY conclusion');
    print "# $kind, after $what: every app is at its newest commit; ", join(', ', map {"$ended{$_} $_"} sort keys %ended), "\n";
    return;
}
