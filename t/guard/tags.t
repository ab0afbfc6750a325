#!/usr/bin/perl
# Every log tag WHnnnn stands in one place and in the range of its part.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files code);
use Test::More;

my %range = (
    'libwh' => [ 1, 99 ], 'whdb' => [ 1, 99 ], 'mod_wisehost' => [ 100, 399 ],
    'wh-scheduler' => [ 400, 599 ], 'wh-agent' => [ 600, 799 ], 'wh' => [ 800, 899 ],
);
my %seen;
for my $part (sort keys %range) {
    for my $path (files(qr/\.[ch]$/, $part)) {
        my @bad;
        for my $n (code($path, 1) =~ /WH(\d{4})(?=["( ])/g) {
            push @bad, "WH$n out of range" if $n < $range{$part}[0] || $n > $range{$part}[1];
            push @bad, "WH$n also in $seen{$n}" if $seen{$n};
            $seen{$n} = $path;
        }
        is("@bad", '', "$path: tags are unique and in range");
    }
}
cmp_ok(scalar(keys %seen), '>', 5, 'there are tags');
done_testing();
