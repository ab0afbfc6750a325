#!/usr/bin/perl
# The last test of t/run: what ran with SQLite and with PostgreSQL ran alike, nothing ran empty, and
# with CI=true nothing was skipped. Its argument is the directory of all TAP. A test whose number of assertions
# is a matter of chance says so by its line "# counts: at random".
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use Test::More;

my $src = abs_path(dirname(__FILE__) . '/..');
my $dir = shift // die "usage: counts.pl DIRECTORY\n";
my %count;

sub at_random {
    my $name = shift;
    open my $file, '<', "$src/$name.t" or return 0;
    return scalar grep {/^# counts: at random$/} <$file>;
}

my %skipped;
find({ no_chdir => 1, wanted => sub {
    return unless -f;
    (my $name = $_) =~ s{^\Q$dir\E/}{};
    return if $name eq 'whole/counts';
    open my $file, '<', $_ or die "$_: $!";
    $count{$name} = 0;
    while (my $line = <$file>) {
        $count{$name}++ if $line =~ /^(?:not )?ok\b/;
        push @{ $skipped{$name} }, $line if $line =~ /^1\.\.0\b|^ok\b.*# skip\b/i;
    }
} }, $dir);

ok(keys %count > 1, scalar(keys %count) . ' tests ran');
for my $name (sort keys %count) {
    ok($count{$name} > 0 || $skipped{$name}, "$name: has assertions");
}
for my $name (sort grep { /\.sqlite$/ } keys %count) {
    (my $other = $name) =~ s/\.sqlite$/.pgsql/;
    next if !exists $count{$other} || at_random($name =~ s/\.sqlite$//r);
    is($count{$other}, $count{$name}, "$name: as many assertions with PostgreSQL");
}
for my $name (sort keys %skipped) {
    my $said = "$name: @{ $skipped{$name} }";
    if (($ENV{CI} // '') eq 'true') { fail('nothing is skipped in CI') or diag($said) }
    else { diag("SKIPPED $said") }
}
done_testing();
