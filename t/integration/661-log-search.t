#!/usr/bin/perl
# A log of a million lines: a text that stands only in its oldest segment, and its end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Cwd qw(abs_path);
use File::Temp ();

my $tool = abs_path($ENV{top_builddir} || '.') . '/t/tools/wh-log-read';
my $dir  = File::Temp->newdir('wh-log-XXXXXX', TMPDIR => 1);
open my $out, '-|', $tool, "$dir", 1_000_000 or die "$tool: $!";
my %value = map { /^VALUE (\w+) ([\d.]+) (\w+)/ ? ($1 => $2) : () } <$out>;
ok(close $out, 'a million lines are stored') or diag "$?";
note(map { "$_ $value{$_}\n" } sort keys %value);
cmp_ok($value{search_oldest}, '<=', 1000, "a text only in the oldest segment: $value{search_oldest} ms, at most 1 s");
cmp_ok($value{search_short},  '<=', 5000, "two letters that stand nowhere, for which all is unpacked: $value{search_short} ms");
cmp_ok($value{search_level},  '<=', 1000, "a level that only it has: $value{search_level} ms");
cmp_ok($value{tail_100},      '<=', 20,   "the last hundred lines: $value{tail_100} ms, at most 20 ms");
cmp_ok($value{stored}, '<', $value{text} / 2, "$value{text} MiB of text are $value{stored} MiB on the disk");
done_testing();
