#!/usr/bin/perl
# Every place at which a test may let a program die is one at which some test does.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files slurp code);
use Test::More;

my $tests = join "\n", map { slurp($_) } files(qr/\.(?:t|c)$/, 't/integration', 't/long', 't/unit');
my %there;
for my $path (files(qr/\.c$/, qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh))) {
    $there{$_} = $path for code($path, 1) =~ /\bwh_fault\("([^"]+)"\)/g;
}
cmp_ok(scalar keys %there, '>=', 20, 'there are such places');
for my $point (sort keys %there) { like($tests, qr/(?<![\w.])\Q$point\E(?![\w.])/, "$point ($there{$point}) is met by a test") }
done_testing();
