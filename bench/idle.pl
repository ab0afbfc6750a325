#!/usr/bin/perl
# What the platform costs while nothing happens, a minute after both examples serve.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Bench qw(median http run_cmd platform stop_platform samples value top free_port wait_until);
use File::Path qw(make_path);
use POSIX ();
use Time::HiRes qw(time sleep);

my $seconds = $ENV{BENCH_IDLE_SECONDS} || 60;
my $pf = platform();
my @stop = (sub { stop_platform($pf) });
my $ok = eval { measure(); 1 };
my $why = $@;
$_->() for reverse @stop;
die $why unless $ok;

# $pid and all its descendants.
sub family {
    my ($pid) = @_;
    my %child;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $text = <$fh> // next;
        push @{ $child{$2} }, $1 if $text =~ /^(\d+) \(.*\) \S (\d+)/;
    }
    my @all = ($pid);
    for (my $i = 0; $i < @all; $i++) {
        push @all, @{ $child{ $all[$i] } || [] };
    }
    return @all;
}

sub pss_kib {
    my $sum = 0;
    for my $pid (@_) {
        open my $fh, '<', "/proc/$pid/smaps_rollup" or next;
        while (<$fh>) {
            $sum += $1 if /^Pss:\s+(\d+) kB/;
        }
    }
    return $sum;
}

# CPU seconds used so far, children that ended included.
sub cpu_s {
    my $ticks = 0;
    for my $pid (@_) {
        open my $fh, '<', "/proc/$pid/stat" or next;
        my $text = <$fh> // next;
        $text =~ s/^.*\) //;
        my @f = split / /, $text;
        $ticks += $f[11] + $f[12] + $f[13] + $f[14];
    }
    return $ticks / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

sub measure {
    for my $host ('hello-static.localhost', $pf->{REPO_CONTAINER} ? 'hello-container.localhost' : ()) {
        wait_until($host, 30, 0.1, sub { (http($pf->{conn}, 'GET', '/', host => $host))[0] == 200 });
    }
    print "# both examples serve; a minute of quiet\n";
    sleep $seconds;
    my @roots = @$pf{qw(PID_SCHEDULER PID_AGENT)};
    my @all = map { family($_) } @roots;
    my ($c0, $t0, @pss) = (cpu_s(@all), time);
    for (1 .. 12) {
        sleep $seconds / 12;
        push @pss, pss_kib(map { family($_) } @roots) / 1024;
    }
    my $cpu = 100 * (cpu_s(@all) - $c0) / (time - $t0);
    samples('idle_pss', 'MiB', @pss);
    value('idle_pss', median(@pss), 'MiB');
    value('idle_cpu', $cpu, 'percent');
    module();
    return;
}

# An httpd child of the platform beside one of the same configuration without the module.
sub module {
    my $bare = "$pf->{dir}/bare";
    make_path("$bare/logs", "$bare/www");
    my $port = free_port();
    my @httpd = ('/usr/sbin/apache2', '-d', $bare, '-f', top() . '/bench/rivals/no-module/httpd.conf',
        '-C', "Define BARE_PORT $port", '-C', "Define BARE_ROOT $bare");
    run_cmd(@httpd, '-k', 'start');
    push @stop, sub { run_cmd(@httpd, '-k', 'stop') };
    my $conn = { host => '127.0.0.1', port => $port };
    wait_until('the bare httpd', 10, 0.05, sub { (http($conn, 'GET', '/'))[0] });
    for (1 .. 200) {
        http($pf->{conn}, 'GET', '/', host => 'hello-static.localhost');
        http($conn, 'GET', '/');
    }
    open my $fh, '<', "$bare/logs/httpd.pid" or die "bare httpd: $!\n";
    chomp(my $bare_pid = <$fh>);
    my $of = sub { my ($parent, @kids) = family(shift); return median(map { pss_kib($_) / 1024 } @kids) };
    my ($with, $without) = ($of->($pf->{PID_HTTPD}), $of->($bare_pid));
    value('httpd_child_pss', $with, 'MiB');
    value('httpd_child_bare_pss', $without, 'MiB');
    value('module_pss', $with - $without, 'MiB');
    return;
}
