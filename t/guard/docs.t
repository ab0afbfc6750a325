#!/usr/bin/perl
# Documents and code say the same: the two commands, links that lead somewhere, no trace of anybody's machine.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files slurp root);
use Test::More;
use File::Basename qw(dirname);

my $readme = slurp('README.md');
for my $cmd ('./quickstart', './t/run') {
    like($readme, qr/^\Q$cmd\E\b/m, "README gives the command $cmd");
    ok(-x root() . "/$cmd", "$cmd can be run");
}
like(slurp('.ci/run'), qr/exec \.\/t\/run/, '.ci/run only calls ./t/run');

my @md = ('README.md', files(qr/\.md$/));
for my $path (@md) {
    my @dead;
    for my $to (slurp($path) =~ /\]\(([^)#\s]+)(?:#[^)]*)?\)/g) {
        next if $to =~ /^[a-z]+:/;
        push @dead, $to unless -e root() . '/' . dirname($path) . "/$to";
    }
    is("@dead", '', "$path: its links lead somewhere");
}
# A folder with code has its README beside the code.
for my $dir (qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh schema t bench)) {
    ok(-s root() . "/$dir/README.md", "$dir has a README");
}
# And it names every source, `name`, `name.c`, or by a beginning: `name_*`, `name_<what>.c`.
for my $dir (qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh)) {
    my $text = slurp("$dir/README.md");
    my %named = map { $_ => 1 } $text =~ /`(\w+)(?:\.(?:[ch]|\[ch\]))?`/g;
    my @begin = $text =~ /`(\w+_)(?:\*|<\w+>)(?:\.c|\.\[ch\])?`/g;
    my @lost = grep { my $c = $_; !$named{$c} && !grep { index($c, $_) == 0 } @begin }
        map { m{([^/]+)\.c$} } files(qr/\.c$/, $dir);
    is("@lost", '', "$dir/README.md names all its sources");
}
my @files = ('README.md', 'CHANGES', 'quickstart', 'configure.ac', 'Makefile.am', files(qr/./));
my @trace = grep { slurp($_) =~ m{(?<![\w/.])/(?:wor[k]|hom[e])/\w} } @files;
is("@trace", '', 'no path of a development machine is named');
done_testing();
