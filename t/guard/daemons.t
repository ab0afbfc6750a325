#!/usr/bin/perl
# The daemons' keys stand in docs/daemons.md with their defaults, and no others do.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(code slurp);
use Test::More;

my $doc = slurp('docs/daemons.md');
for my $daemon ([ 'wh-scheduler', 'wh-scheduler/settings.c' ], [ 'wh-agent', 'wh-agent/conf.c' ]) {
    my ($name, $path) = @$daemon;
    my ($part) = $doc =~ /^## $name\n(.*?)(?=^## |\z)/ms;
    my %documented = map { /^\| `(\w+)` \| (.*?) \|/ ? ($1 => $2) : () } split /\n/, $part // '';
    my %known;
    for my $entry (code($path, 1) =~ /\{(\s*\.name = .*?)\},\n/gs) {
        my ($key) = $entry =~ /\.name = "(\w+)"/;
        my ($def) = $entry =~ /\.def = "([^"]*)"/;
        $known{$key} = $entry =~ /WH_CONF_F_REQUIRED/ ? 'required' : length($def // '') ? "`$def`" : '–';
    }
    cmp_ok(scalar(keys %known), '>', 5, "$name: its table of keys is found");
    is_deeply(\%documented, \%known, "$name: keys and defaults in docs/daemons.md are the code's");
}
done_testing();
