#!/usr/bin/perl
# docs/build.md shows the presets and the runner images as libwh/wh_preset.def has them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(slurp);
use Test::More;

my $def = slurp('libwh/wh_preset.def');
my $doc = slurp('docs/build.md');

# The arguments of a row: strings joined as C joins them.
sub fields {
    my ($args) = @_;
    my @fields = ('');
    for my $token ($args =~ /"(?:[^"\\]|\\.)*"|\w+|,/g) {
        if ($token eq ',') { push @fields, '' }
        else               { $fields[-1] .= $token =~ s/^"|"$//gr }
    }
    return @fields;
}
sub terms { return join ' ', map {"`$_`"} split ' ', $_[0] }

my (@want, %known);
for my $args ($def =~ /^WH_PRESET\((.*?)\)\n(?=WH_|\n)/msg) {
    my ($name, $title, $family, $priority, $output, $all, $any, $none) = fields($args);
    my $makes = $output eq 'NULL' ? 'server' : $output eq '' ? 'the tree' : "`$output/`";
    push @want, "| `$name` | $title | $family | $priority | $makes | " . join(' | ', map { terms($_) } $all, $any, $none) . ' |';
    $known{$_} = 1 for $name, $family;
}
cmp_ok(scalar @want, '>=', 15, 'there are presets');
is_deeply([ $doc =~ /^(\| `[\w-]+` \| [\w .]+ \| \w+ \| \d+ \|.*\|)$/mg ], \@want, 'docs/build.md has them in their order');

my @runners = map { my ($family, $build, $run) = fields($_); "| $family | `$build` | `$run` |" } $def =~ /^WH_RUNNER\((.*?)\)$/msg;
is_deeply([ $doc =~ /^(\| \w+ \| `[^`]+:[^`]+` \| `[^`]+` \|)$/mg ], \@runners, 'and the runner images');

my %whose = map { $_ => 1 } $def =~ /^WH_WAY\("([^"]+)"/mg;
is(join(' ', sort grep { !$known{$_} } keys %whose), '', 'each way belongs to a preset or a family');
done_testing();
