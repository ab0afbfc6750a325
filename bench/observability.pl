#!/usr/bin/perl
# What looking costs. metrics: static sites with requests counted for each app, and without, on the same files.
# ticks: the scheduler's look at 4 alert rules of each of 10,000 apps, and its sample of what they use.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build median ratio samples value);
use File::Temp qw(tempdir);
use Serve qw(packages site_files write_sites ours requests_file race paired verify host url_path);
use WH::DB;
use WH::Http qw(http_request);

my $SITES = $ENV{BENCH_SITES} || 1000;
my @parts = split /,/, $ENV{BENCH_OBSERVABILITY} || 'metrics,ticks';
$| = 1;
packages();
build();
Serve::parts({ metrics => \&metrics, ticks => \&ticks }, @parts);

# What an httpd says of itself.
sub counted {
    my ($h) = @_;
    my %got = http_request(port => $h->port, host => 'status.invalid', path => '/server-status?auto')->{body} =~ /^WiseHost(\w+): (-?\d+)$/mg;
    return \%got;
}

# Both serve the same releases by the same table.
sub metrics {
    my $root = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $root;
    my $status = qq(<Location "/server-status">\nSetHandler server-status\nRequire all granted\n</Location>\n);
    my $on = ours(status => 1, more => $status);
    my $off = ours(status => 1, more => "${status}WiseHostMetrics Off\nWiseHostStateDir " . $on->state . "\n");
    print "# making $SITES sites\n";
    my @sites = site_files($SITES);
    $on->routes_all(write_sites($root, $on->state, @sites));
    my @files = map { my $n = $_; map { [ host($n + 1), url_path($_), $sites[$n]{$_} ] } sort keys %{ $sites[$n] } } 0 .. $#sites;
    $_->start for $on, $off;
    verify(@$_, '', map { $files[ $_ * 7919 % @files ] } 1 .. 40) for [ on => $on ], [ off => $off ];
    my $list = requests_file('static_small', map {"$_->[0] $_->[1]"} @files);
    my $all = race([ metrics_on => $on, $list ], [ metrics_off => $off, $list ]);
    my ($seen, $unseen) = map { counted($_) } $on, $off;
    die "counted $seen->{AppRequests} of $seen->{StaticRequests} requests\n"
        if abs($seen->{AppRequests} - $seen->{StaticRequests}) > 64 || $seen->{MetricsApps} != $SITES || $unseen->{AppRequests};
    print "# $seen->{AppRequests} requests of $seen->{MetricsApps} apps were counted\n";
    ratio('metrics_on_vs_off', paired($all, 'metrics_on', 'metrics_off'));
    return;
}

# On SQLite, and on PostgreSQL with fsync. The tool fails unless each look worked by the rules as they stood.
sub ticks {
    my ($apps, $rounds) = ($ENV{BENCH_APPS} || 10_000, $ENV{BENCH_ROUNDS} || 15);
    my %slowest;
    for my $kind (split ' ', $ENV{BENCH_DBS} || 'pgsql sqlite') {
        my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        chmod 0755, $dir;
        my $db = WH::DB->new(kind => $kind, file => "$dir/bench.db", dir => "$dir/pg", own_server => 1, pg_options => '-c fsync=on -c shared_buffers=128MB');
        print "# $kind: $apps apps with 4 rules each\n";
        open my $out, '-|', "$ENV{WH_BUILD}/bench/sim/wh-sim-ticks", $db->driver, $db->params, $apps, $rounds or die "wh-sim-ticks: $!\n";
        my %us;
        while (<$out>) { push @{ $us{$1} }, $2 / 1000 if /^(\w+) (\d+)$/ }
        close $out or die "wh-sim-ticks failed on $kind\n";
        printf "# %s: the look that reads all rules: %.1f ms\n", $kind, $us{FIRST}[0];
        samples("alert_tick_$kind", 'ms', @{ $us{TICK} });
        samples("usage_sample_$kind", 'ms', @{ $us{USAGE} });
        for ([ alert_tick => 'TICK' ], [ usage_sample => 'USAGE' ]) {
            my ($name, $n) = ($_->[0], median(@{ $us{ $_->[1] } }));
            value("${name}_$kind", $n, 'ms');
            $slowest{$name} = $n if $n > ($slowest{$name} // 0);
        }
    }
    value($_, $slowest{$_}, 'ms') for sort keys %slowest;
    return;
}
