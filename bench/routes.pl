#!/usr/bin/perl
# The route table: what 100,000 names cost beside ten, how long a look-up takes inside httpd, what httpd keeps of them,
# and how long after its commit a name answers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build median percentile samples value ratio);
use Serve qw(packages site_files write_release ours requests_file race paired wrk memory pids spew);
use File::Temp qw(tempdir);
use Time::HiRes qw(time sleep);
use WH::Http qw(http_request);
use WH::Httpd;
use WH::Stack;

my $NAMES = $ENV{BENCH_NAMES} || 100_000;
my $LIVE = $ENV{BENCH_LIVE} || 200;
my @parts = split /,/, $ENV{BENCH_ROUTES} || 'hosts,lookup,anon,live';
$| = 1;
packages();
build();
Serve::parts({ hosts => \&hosts, lookup => \&lookup, anon => \&anon, live => \&live }, @parts);

sub name { return sprintf 'app-%06d.%s', $_[0], $Serve::BASE }

# httpd with $n names in its table, all of the same release: a page of 4 KB.
sub table {
    my ($n, %o) = @_;
    my $h = ours(%o);
    my ($site) = site_files(1, [ 'index.html', 4096, 1 ]);
    my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    spew("$dir/index.html", $site->{'index.html'});
    my $release = write_release($h->state, $dir, 'index.html');
    $h->routes_all(map { { host => name($_), kind => 'static', slug => sprintf('app-%06d', $_), release => $release,
        app_id => sprintf('01%024d', $_), deployment => sprintf('01%024d', $_ + $NAMES) } } 1 .. $n);
    return $h->start;
}

# $NAMES lines either way, so that they cost the client the same.
sub list { my ($n) = @_; return requests_file("routes_$n", map { name(1 + $_ % $n) . ' /' } 0 .. $NAMES - 1) }

sub hosts {
    my ($many, $few) = (table($NAMES), table(10));
    value('routes_file', (-s $many->state . '/routes/data.mdb') / (1 << 20), 'MiB');
    my $all = race([ routes_many => $many, list($NAMES) ], [ routes_ten => $few, list(10) ]);
    ratio('hosts_100k_vs_10', paired($all, 'routes_many', 'routes_ten'));
    return;
}

# The module says at trace4 how long each took. The line that it then writes makes caches colder than they would be.
sub lookup {
    my $h = table($NAMES, more => 'LogLevel wisehost:trace4');
    Serve::load_line();
    wrk($h, list($NAMES), seconds => 5, connections => 8);
    my @us = map { $_ / 1000 } $h->log_text =~ /looked up in (\d+) ns/g;
    die "the error log names no look-up\n" unless @us > 1000;
    @us = @us[ @us / 4 .. $#us ];    # the pages of the table are there by then
    samples('route_lookup', 'us', @us);
    value('route_lookup', median(@us), 'us');
    value('route_lookup_p99', percentile(0.99, @us), 'us');
    return;
}

sub anon {
    my $h = table($NAMES);
    wrk($h, list(10), seconds => 3);    # buffers and threads have their size by then
    my @children = grep { $_ != $h->pid } pids($h);
    my ($anon, $pss) = map { memory($_, @children) } qw(Anonymous Pss);
    my $got = wrk($h, list($NAMES), threads => 1, once => 1, seconds => 120);
    die "only $got->{n} of $NAMES names were asked\n" if $got->{n} < $NAMES;
    my @now = grep { $_ != $h->pid } pids($h);
    die "the children are not the same: @children, then @now\n" if "@now" ne "@children";
    printf "# %d children, %.1f MiB anonymous before, PSS %.1f to %.1f MiB (the table's pages among it)\n", scalar(@children), $anon, $pss,
        memory('Pss', @children);
    value('routes_anon', memory('Anonymous', @children) - $anon, 'MiB');
    return;
}

# ---- the whole platform: a committed answer of the API, then httpd's ----

# A deployment is promoted to an environment that has no name yet: from the API's answer to the first right one of
# httpd by the new name, without a reload, on connections that are kept.
sub live {
    my $stack = WH::Stack->new->start;
    Serve::load_line();
    my ($api, $visitor) = map { { host => '127.0.0.1', port => $stack->port } } 1, 2;
    my (@ms, $made);
    for my $n (0 .. $LIVE - 1) {
        $made = site($stack, 'bench-site-' . $n / 50) if $n % 50 == 0;    # an app has at most 100 environments
        push @ms, promote($stack, $api, $visitor, $made->{id}, "e$n");
    }
    samples('name_live', 'ms', @ms);
    value('name_live_p50', median(@ms), 'ms');
    value('name_live_p99', percentile(0.99, @ms), 'ms');
    $stack->stop;
    return;
}

sub site {
    my ($stack, $slug) = @_;
    $stack->app($slug, { 'index.html' => "hello\n" });
    my $made = $stack->deploy($slug);
    die "the site cannot be deployed\n" if $made->{conclusion} ne 'succeeded';
    return $made;
}

sub promote {
    my ($stack, $api, $visitor, $id, $environment) = @_;
    my ($status, $said) = Bench::http($api, 'POST', "/v1/deployments/$id/promote", body => qq({"environment":"$environment"}),
        headers => { Authorization => 'Bearer ' . $stack->{token}, 'Content-Type' => 'application/json' });
    my $began = time;
    my ($host) = $said =~ m{"url":\s*"http://([^"/]+)} or die "promote: $status $said\n";
    my ($seen, $body) = (0, '');
    until ($seen == 200 && $body eq "hello\n") {
        die "after 10 s $host still answers $seen\n" if time > $began + 10;
        ($seen, $body) = Bench::http($visitor, 'GET', '/', host => $host);
    }
    my $ms = (time - $began) * 1000;
    sleep 0.02;
    return $ms;
}
