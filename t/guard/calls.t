#!/usr/bin/perl
# Calls that the source must not contain: shells, unbounded copies, unchecked numbers; and unfinished work.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files code lines_of slurp root);
use Test::More;

my @shipped = files(qr/\.[ch]$/, qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh));
my @rules = (
    [ 'no shell on our side', qr/(?<![\w.>])(system|popen|wordexp|execlp|execvp)\s*\(|APR_SHELLCMD|"-c"|"\/bin\/(ba)?sh"/ ],
    [ 'no unbounded copy', qr/(?<![\w])(sprintf|vsprintf|strcpy|strcat|strtok|gets|stpcpy|alloca)\s*\(/ ],
    [ 'no unchecked number', qr/(?<![\w])(atoi|atol|atoll|atof)\s*\(/ ],
    [ 'no assert that ships', qr/(?<![\w])assert\s*\(/ ],
    [ 'no transaction by the driver', qr/\bapr_dbd_transaction_\w+\s*\(/ ],
);
for my $rule (@rules) {
    my ($what, $re) = @$rule;
    my @hits = map { my $f = $_; map {"$f:$_"} lines_of(code($f, 1), $re) } @shipped;
    is(join("\n", @hits), '', $what);
}
my @open = map { my $f = $_; map {"$f:$_"} lines_of(slurp($f), qr/\b(TODO|FIXME|XXX|not implemented|unimplemented)\b/) } @shipped;
is(join("\n", @open), '', 'nothing is left open in the code');

# SQL lives in whdb and schema; everything else calls functions.
my $SQL = qr/"\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\s/;
my @sql = map { my $f = $_; map {"$f:$_"} lines_of(code($f, 1), $SQL) } grep { !m{^whdb/} } @shipped;
is(join("\n", @sql), '', 'no SQL outside whdb');
done_testing();
