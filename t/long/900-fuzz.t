#!/usr/bin/perl
# Every fuzz target under libFuzzer with address and undefined-behaviour sanitizers, from its corpus, for
# WH_FUZZ_SECONDS (60) each. It prints the CPU seconds that each has used, and the sum. What it finds is kept in the temporary directory that the failure names.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Path qw(remove_tree);
use File::Temp ();
use FindBin;
use Test::More;

my $src = abs_path("$FindBin::Bin/../..");
my $seconds = $ENV{WH_FUZZ_SECONDS} || 60;
my $dir = File::Temp::tempdir('wh-fuzz-XXXXXXXX', TMPDIR => 1);

sub logged {
    my ($log, @cmd) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        chdir $dir;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log or exit 126;
        open STDERR, '>&', \*STDOUT;
        exec { $cmd[0] } @cmd or exit 127;
    }
    waitpid $pid, 0;
    return $?;
}
sub tail_of { open my $file, '<', shift or return ''; my @lines = <$file>; return join '', @lines[-40 .. -1] if @lines > 40; return join '', @lines }

my @targets = map { basename($_, '.c') } sort glob "$src/t/fuzz/fuzz_*.c";
ok(@targets > 5, scalar(@targets) . ' fuzz targets');
my $built = logged("$dir/build.log", "$src/configure", '--enable-fuzz', '--enable-sanitizers', 'CC=clang') == 0
    && logged("$dir/build.log", 'make', '-j2', map { "t/fuzz/$_" } @targets) == 0;
ok($built, 'they are built for libFuzzer') or BAIL_OUT(tail_of("$dir/build.log"));

my $sum = 0;
for my $target (@targets) {
    (my $corpus = $target) =~ s/^fuzz_//;
    my @seeds = glob "$src/t/fuzz/corpus/$corpus/*";
    ok(@seeds > 0, "$target: has a corpus");
    mkdir "$dir/found-$target";
    my @before = times;
    my $rc = logged("$dir/$target.log", "$dir/t/fuzz/$target", "-max_total_time=$seconds", '-rss_limit_mb=1024',
        '-timeout=10', '-max_len=65536', "-artifact_prefix=$dir/$target-", "$dir/found-$target", "$src/t/fuzz/corpus/$corpus");
    is($rc, 0, "$target: nothing found in $seconds s") or diag("see $dir\n" . tail_of("$dir/$target.log"));
    my @after = times;
    my $cpu = $after[2] + $after[3] - $before[2] - $before[3];
    $sum += $cpu;
    diag(sprintf '%s: %.0f CPU seconds', $target, $cpu);
    my ($runs) = tail_of("$dir/$target.log") =~ /^Done (\d+) runs/m;
    ok(($runs // 0) > 1000, "$target: it really ran") or diag(tail_of("$dir/$target.log"));
}
diag(sprintf "all %d targets: %.1f CPU minutes", scalar @targets, $sum / 60);
remove_tree($dir) if Test::More->builder->is_passing;
done_testing();
