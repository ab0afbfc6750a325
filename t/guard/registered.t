#!/usr/bin/perl
# A test that no rule runs is no test: every C unit and fuzz target is built, every .t is executable Perl,
# every C file belongs to a program.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files slurp root);
use Test::More;

my $make = join "\n", map { slurp($_) } files(qr/local\.mk$/);
for my $c (files(qr/\.c$/, qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh t/unit t/fuzz t/tools bench))) {
    like($make, qr/(^|[\s\\])\Q$c\E($|[\s\\])/m, "$c is built by a rule");
}
for my $h (files(qr/\.(h|def)$/, qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh t/unit t/fuzz t/tools))) {
    like($make, qr/(^|[\s\\])\Q$h\E($|[\s\\])/m, "$h is in the distribution");
}
# Everything else comes along by its name or with its folder.
my $rules = "$make\n" . slurp('Makefile.am');
$rules =~ s/^\s*#.*//gm;
my @lost;
for my $path (grep { !m{(^|/)local\.mk$} } files(qr/./)) {
    my ($name, $in) = ($path, 0);
    until ($in) {
        $in = $rules =~ /(^|[\s\\])\Q$name\E($|[\s\\])/m;
        last unless $name =~ s{/[^/]+$}{};
    }
    push @lost, $path unless $in;
}
is("@lost", '', 'every file is in the distribution');
for my $t (files(qr/\.t$/, qw(t))) {
    like(slurp($t), qr/done_testing|plan\s+tests|tests\s*=>/, "$t states its plan");
}
done_testing();
