#!/usr/bin/perl
# The route table, the handlers and docs/api.md name the same calls.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files slurp);
use Test::More;

my $table = Guard::code('mod_wisehost/wh_mod_api.def', 1);
my %route;
while ($table =~ /WH_API\(\s*(\w+),\s*([A-Z]+),\s*"([^"]+)",\s*(\w+),\s*(\w+),.*?\b(wh_h_\w+),/sg) {
    ok(!$route{"$2 $3"}++, "$2 $3 is there once");
}
cmp_ok(scalar keys %route, '>=', 36, 'the table has its routes');
my $docs = slurp('docs/api.md');
for (sort keys %route) { like($docs, qr/^\| `\Q$_\E` \|/m, "$_ is in docs/api.md") }
my @told = $docs =~ /^\| `([A-Z]+ \/\S+)` \|/mg;
is(join(' ', grep { !$route{$_} } @told), '', 'docs/api.md tells of nothing else');

# Permission is asked in one place (style: one choke-point).
my @asks = grep { slurp($_) =~ /\bwh_authz\s*\(/ } grep { !m{^libwh/} } files(qr/\.c$/, qw(mod_wisehost whdb wh-scheduler wh-agent));
is("@asks", 'mod_wisehost/wh_mod_api.c', 'only the dispatcher asks for permission');
# A handler ends its transactions by wh_dbc_commit; what it leaves open is rolled back.
for my $c (files(qr{/wh_h_\w+\.c$}, 'mod_wisehost')) {
    my $text = slurp($c);
    my @begins = $text =~ /wh_mod_call_begin\(/g;
    my @commits = $text =~ /wh_dbc_commit\(/g;
    is(scalar @commits, scalar @begins, "$c commits what it begins");
}
done_testing();
