#!/usr/bin/perl
# Requests to 200 of 10,000 apps in the table, beside hand-written ProxyPass on the same httpd and Caddy; and what a
# child keeps when 10,000 targets are used in turn. The application behind all of them is one nginx that answers 1 KB
# at any address of the loopback network: it costs the same whoever asks.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build value ratio free_port);
use Serve qw(packages start_under ours httpd nginx caddy requests_file race paired verify wrk memory pids by_callgrind);
use Time::HiRes qw(time);

my $APPS = $ENV{BENCH_APPS} || 10_000;
my $ASKED = $ENV{BENCH_ASKED} || 200;
my @parts = split /,/, $ENV{BENCH_PROXY} || 'rivals,turn,instructions';
$| = 1;
packages();
build();
my $body = 'x' x 1023 . "\n";
my $app = nginx(name => 'backend', address => '0.0.0.0', log => 0, server => qq(location / { default_type text/plain; return 200 "$body"; }));
Serve::parts({ rivals => \&rivals, turn => \&turn, instructions => \&instructions }, @parts);

sub name { return sprintf 'app-%05d.%s', $_[0], $Serve::BASE }
sub address { my ($n) = @_; return sprintf '127.%d.%d.%d', 10 + int($n / 40_000), 1 + int($n / 200) % 200, 1 + $n % 200 }
sub upstream { my ($n) = @_; return { address => address($n), port => 0 + $app->port, weight => 1 } }

# httpd with all apps in its table, not begun.
sub table {
    my (%o) = @_;
    my $h = ours(log => 0, %o);
    $h->routes_all(map { { host => name($_), kind => 'proxy', slug => sprintf('app-%05d', $_), upstreams => [ upstream($_) ],
        app_id => sprintf('01%024d', $_), deployment => sprintf('01%024d', $_ + $APPS) } } 1 .. $APPS);
    return $h;
}

# One in $APPS / $ASKED of them.
sub asked { return map { $_ * $APPS / $ASKED } 1 .. $ASKED }

# As its documentation says it: a virtual host a name, the worker's connections kept (the default, said aloud).
sub proxy_pass {
    return httpd(log => 0, modules => [qw(proxy proxy_http)], more => sub {
        my ($h) = @_;
        return join '', map { <<"CONF" } asked() });
<VirtualHost 127.0.0.1:@{[ $h->port ]}>
    ServerName @{[ name($_) ]}
    ProxyPreserveHost On
    ProxyPass "/" "http://@{[ address($_) ]}:@{[ $app->port ]}/" disablereuse=off
</VirtualHost>
CONF
}

# One site block a name; it keeps connections by default, 32 of them a host as we ask with 32.
sub caddy_sites {
    my $port = free_port();
    my $text = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n";
    for my $n (asked()) {
        $text .= 'http://' . name($n) . ":$port {\n\tbind 127.0.0.1\n\treverse_proxy " . address($n) . ':' . $app->port
            . " {\n\t\ttransport http {\n\t\t\tkeepalive 60s\n\t\t\tkeepalive_idle_conns_per_host 32\n\t\t\tcompression off\n\t\t}\n\t}\n}\n";
    }
    return caddy($port, $text);
}

sub rivals {
    my ($h, $pass, $caddy) = (table()->start, proxy_pass()->start, caddy_sites());
    my $list = requests_file('proxy', map { name($_) . ' /' } asked());
    verify(@$_, '', map { [ name($_), '/', $body ] } asked()) for [ wisehost => $h ], [ ProxyPass => $pass ], [ caddy => $caddy ];
    my $all = race([ proxy_wisehost => $h, $list ], [ proxy_proxypass => $pass, $list ], [ proxy_caddy => $caddy, $list ]);
    ratio('proxy_vs_proxypass', paired($all, 'proxy_wisehost', 'proxy_proxypass'));
    ratio('proxy_vs_caddy', paired($all, 'proxy_wisehost', 'proxy_caddy'));
    return;
}

sub descriptors { my ($pid) = @_; return scalar(() = glob "/proc/$pid/fd/*") }

# All targets one after another, in one child.
sub turn {
    my $h = table(children => 1)->start;
    my @warm = map { name($_) . ' /' } 1 .. 16;
    wrk($h, requests_file('proxy_warm', @warm), seconds => 2, connections => 8);
    my ($child) = grep { $_ != $h->pid } pids($h);
    my ($pss, $fds) = (memory('Pss', $child), descriptors($child));
    my ($most_pss, $most_fds) = ($pss, $fds);
    my $conn = { host => '127.0.0.1', port => $h->port };
    my $began = time;
    for my $n (1 .. $APPS) {
        my ($status, $said) = Bench::http($conn, 'GET', '/', host => name($n));
        die name($n) . " answers $status $said\n" if $status != 200;
        next if $n % 250;
        my ($p, $f) = (memory('Pss', $child), descriptors($child));
        $most_pss = $p if $p > $most_pss;
        $most_fds = $f if $f > $most_fds;
    }
    printf "# %d targets in %.1f s; PSS of the child %.1f MiB before, at most %.1f; descriptors %d before, at most %d\n", $APPS,
        time - $began, $pss, $most_pss, $fds, $most_fds;
    value('proxy_child_grow', $most_pss - $pss, 'MiB');
    value('proxy_child_fds', $most_fds, 'descriptors');
    return;
}

# What a request costs in user space, few apps in turn so that the connections to all of them are kept in spite of valgrind.
sub instructions {
    my @few = map { [ name($_), '/' ] } (asked())[ 0 .. 9 ];
    my %server = (proxy_instructions => \&table, proxy_instructions_proxypass => \&proxy_pass);
    for my $name (sort keys %server) {
        value($name, by_callgrind($name, sub { start_under($server{$name}->(), @_) }, @few), 'instructions');
    }
    return;
}
