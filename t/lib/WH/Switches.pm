package WH::Switches;
# Deployments and rollbacks under load: a site and, where there is an engine, a container app; every answer is wholly of
# one version, none fails, and what was upgraded lives on through the grace.
use strict;
use warnings;
use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use WH::Load;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

our @EXPORT_OK = qw(run_switches);

my $src = $WH::Stack::src;

# A thread for each connection from the first moment on: where threads are scarce, and where a child is one too many, the
# MPM closes connections that wait for their next request, whatever is deployed; and so it does where the whole machine
# stood still for longer than KeepAliveTimeout.
my $mpm = "StartServers 4\nServerLimit 8\nThreadsPerChild 100\nThreadLimit 100\nMaxRequestWorkers 800\nMinSpareThreads 100\n"
    . "MaxSpareThreads 800\nKeepAliveTimeout 600\n";

sub _site {
    my ($version) = @_;
    return { _headers => "/*\n  X-Version: $version\n", 'index.html' => "version $version\n/asset-$version.js\n",
        "asset-$version.js" => "asset $version\n", $version > 1 ? ('asset-' . ($version - 1) . '.js' => undef) : () };
}

sub _answers {
    my ($stack, $slug) = @_;
    my $got = eval { $stack->get($slug) } // {};
    return ($got->{body} // '') =~ /^version (\S+)/m ? $1 : '';
}

sub _note_times {
    my ($what, @ms) = @_;
    my @sorted = sort { $a <=> $b } @ms or return;
    note(sprintf '%s: POST to the first right answer, %d times: median %.1f ms, p99 %.1f ms, most %.1f ms', $what,
        scalar @sorted, $sorted[ $#sorted / 2 ], $sorted[ int($#sorted * 0.99) ], $sorted[-1]);
    return;
}

# A deployment of the next version, then back to what was shown before.
sub _round {
    my ($stack, $slug, $version, $commit, $ms) = @_;
    my $want = _answers($stack, $slug);
    $commit->($version);
    my $done = $stack->deploy($slug, {}, 90);
    $done->{conclusion} eq 'succeeded' or return "deployment of $version: $done->{cause}{code} $done->{cause}{detail}";
    my $shown = _answers($stack, $slug);
    return "deployment of $version succeeded, but $shown is shown" if $shown ne $version;
    return '' if $version == 1;
    my $begun = time;
    my $got = $stack->api(POST => "/v1/apps/$slug/rollback", {});
    return "rollback from $version: $got->{status} $got->{body}" if $got->{status} != 202;
    my $right = try_for { _answers($stack, $slug) eq $want } 60;
    push @$ms, (time - $begun) * 1000;
    return "rollback from $version: $want is not shown" if !$right;
    my $end;
    my $settled = try_for { $end = $stack->api(GET => $got->{headers}{location})->{json}; $end->{done_at} } 60;
    return $settled && $end->{outcome} eq 'switched' ? '' : "rollback from $version: " . ($end->{outcome} // 'open');
}

# An upgraded connection: a line goes through and comes back.
sub _upgrade {
    my ($stack, $slug) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $stack->port, Timeout => 5) or return;
    syswrite $sock, "GET / HTTP/1.1\r\nHost: $slug.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    IO::Select->new($sock)->can_read(10) or return;
    sysread $sock, my $head, 4096;
    return ($head // '') =~ /^HTTP\/1\.1 101/ ? $sock : undef;
}
sub _echo {
    my ($sock, $text) = @_;
    syswrite $sock, $text or return '';
    IO::Select->new($sock)->can_read(5) or return '';
    sysread $sock, my $back, 4096;
    return $back // '';
}

# run_switches(rounds => , connections => , grace => seconds)
sub run_switches {
    my (%o) = @_;
    my $stack = WH::Stack->new(engine => 1, httpd_extra => $mpm);
    my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
    my $engine = $rc == 0;
    note("no container engine: $said") if !$engine;
    delete $stack->{engine} if !$engine;
    $stack->start;
    my %repo = (site => $stack->app('site', _site(0)));
    my %commit = (site => sub { $repo{site}->commit(_site($_[0])) });
    if ($engine) {
        my $bin = $stack->dir . '/version-app';
        is(system('gcc', '-D_GNU_SOURCE', '-static', '-O2', '-o', $bin, "$src/t/tools/version-app.c"), 0, 'the application is built');
        $repo{box} = $stack->repo('box');
        $repo{box}->write_file('server', WH::Stack::slurp($bin), 0755);
        $commit{box} = sub { $repo{box}->commit({ server => WH::Stack::slurp($bin), version => "$_[0]\n",
            Dockerfile => "FROM scratch\nCOPY server version /\nENTRYPOINT [\"/server\"]\n" }) };
        $commit{box}->(0);
        is($stack->api(POST => '/v1/apps', { slug => 'box', kind => 'container', repository => { url => $repo{box}->path, branch => 'main' },
            run => { port => 8080 }, serve => { grace_seconds => $o{grace} } })->{status}, 201, 'a container app');
    }
    my (%ms, @bad);
    for my $slug (sort keys %commit) { push @bad, grep { $_ } _round($stack, $slug, 1, $commit{$slug}, []) }
    is("@bad", '', 'all is live');
    my $load = WH::Load->start(port => $stack->port, connections => $o{connections}, hosts => [ map { "$_.localhost" } sort keys %commit ]);
    my $ws = $engine ? _upgrade($stack, 'box') : undef;
    for my $version (2 .. $o{rounds} + 1) {
        for my $slug (sort keys %commit) {
            push @bad, grep { $_ } _round($stack, $slug, $version, $commit{$slug}, $ms{$slug} //= []);
            if ($ws && $slug eq 'box' && $version == 2) {
                is(_echo($ws, "still there\n"), "still there\n", 'F223 what was upgraded before a deployment and a rollback is up');
                close $ws;
            }
        }
    }
    my $got = $load->stop;
    is(join("\n", @bad), '', "$o{rounds} deployments and $o{rounds} rollbacks of each") or diag(explain \@bad);
    is($got->{fatal} // '', '', 'the load went on to the end');
    cmp_ok($got->{asked}, '>', 10 * $o{connections}, "$o{connections} connections asked $got->{asked} times");
    is($got->{failures}, 0, "0 of them failed, each wholly of one version") or diag(explain $got->{failed});
    for my $slug (sort keys %commit) {
        _note_times($slug, @{ $ms{$slug} });
        my $seen = keys %{ $got->{versions}{"$slug.localhost"} };
        cmp_ok($seen, '>', $o{rounds} / 2, "$slug: visitors saw $seen versions");
    }
    is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
    is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
    return;
}

1;
