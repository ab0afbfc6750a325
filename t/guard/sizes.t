#!/usr/bin/perl
# A file has one reason to change, a function fits a screen or two: hard ends 700 and 100 lines.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files code);
use Test::More;

use constant { FILE_MAX => 700, FUNCTION_MAX => 100, LINE_MAX => 100 };

my @c = files(qr/\.[ch]$/);
ok(@c > 10, 'there is C source to look at');
for my $path (@c) {
    my $text = code($path, 1);
    my @lines = split /\n/, $text;
    my (@long, $start);
    for my $i (0 .. $#lines) {
        $start = $i if $lines[$i] =~ /^\{/;
        if ($lines[$i] =~ /^\}/ && defined $start) {
            my $n = $i - $start - 1;
            push @long, sprintf 'line %d: %d lines', $start + 1, $n if $n > FUNCTION_MAX;
            undef $start;
        }
    }
    my $raw = Guard::slurp($path);
    my $wide = grep { length($_) > LINE_MAX && !/https?:|"/ } split /\n/, $raw;
    ok(@lines <= FILE_MAX && !@long && !$wide, "$path keeps the size limits")
        or diag(scalar(@lines) . " lines; long functions: @long; $wide lines over " . LINE_MAX);
}
done_testing();
