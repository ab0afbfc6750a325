#!/usr/bin/perl
# Each statement of the list is run by exactly one function, and each migration is in the program.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files code slurp root);
use Test::More;

my $def = join '', map { slurp($_) } files(qr/^whdb\/wh_sql\w*\.def$/, 'whdb');
my @labels = $def =~ /^WH_SQL(?:_2|_EACH|_AMONG)?\((\w+),/mg;
cmp_ok(scalar(@labels), '>', 50, 'the list has statements');
my %twice;
$twice{$_}++ for @labels;
is(join(' ', grep { $twice{$_} > 1 } sort keys %twice), '', 'no label twice');

my %in;    # label => the functions that name it
for my $path (grep { $_ ne 'whdb/wh_sql.c' } files(qr/\.c$/, qw(whdb mod_wisehost wh-scheduler))) {
    my $function = '';
    for my $line (split /\n/, code($path, 1)) {
        $function = $1 if $line =~ /^\w.*?\b(\w+)\(/;
        $in{$1}{"$path:$function"} = 1 while $line =~ /\bWH_SQL_([a-z]\w*)/g;
    }
}
is(join(' ', grep { !$in{$_} } @labels), '', 'every statement is used');
is(join(' ', grep { keys %{ $in{$_} || {} } > 1 } @labels), '', 'every statement is used by one function');
is(join(' ', grep { !m{^whdb/} } map { keys %$_ } values %in), '', 'statements are used in whdb only');

# A status of a job or deployment is moved by libwh/wh_fsm: both states are arguments.
my @by_hand = grep { $def =~ /^WH_SQL\($_,(?:(?!^WH_SQL)[^;])*UPDATE (?:jobs|deployments|SET)\b(?:(?!WHERE).)*\bstatus = '/ms } @labels;
is("@by_hand", '', 'no status of a job or deployment is written by hand');

my $make = slurp('schema/local.mk');
my @sql = files(qr/\.sql$/, 'schema');
cmp_ok(scalar(@sql), '>', 0, 'there are migrations');
for my $path (@sql) {
    like($make, qr/\Q$path\E/, "$path is part of the program");
    my @bad = grep { /;/ && !/;$/ && !/^\s*--/ } split /\n/, slurp($path);
    is("@bad", '', "$path: a semicolon stands at the end of a line only");
}
is_deeply([ map { m{/(\d{4})-} ? $1 + 0 : $_ } @sql ], [ 1 .. @sql ], 'migrations are numbered 1, 2, 3');
done_testing();
