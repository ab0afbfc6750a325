#!/usr/bin/perl
# The audit log cannot be forgotten: handlers are called in one place, between arming it and ending it; a route that
# changes something is privileged, but for a few that stand here; nothing writes the table but one function.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files code slurp);
use Test::More;

my @callers = grep { code($_, 1) =~ /->handler\s*\(/ } files(qr/\.c$/, 'mod_wisehost');
is("@callers", 'mod_wisehost/wh_mod_api.c', 'one file calls handlers');
my $api = code('mod_wisehost/wh_mod_api.c', 1);
is(scalar(() = $api =~ /->handler\s*\(/g), 1, 'at one place');
like($api, qr/wh_mod_audit_arm\(c\);\s*rv = c->route->handler\(c\);\s*\}\s*return wh_mod_audit_end\(c, rv\);/, 'between the two ends of the audit log');

# Every route but GET, by its action: what is not audited is named here.
my %scope = map { /^WH_AUTHZ_DEF\((\w+), "[^"]+", [^,]+, (\w+),/ ? ($1 => $2) : () } split /\n/, slurp('libwh/wh_authz.def');
my %open = map { $_ => 1 } code('libwh/wh_authz.c', 1) =~ /quiet\[\] = \{(.*?)\};/s ? $1 =~ /WH_ACT_(\w+)/g : ();
cmp_ok(scalar(keys %open), '>=', 5, 'the list of what is not privileged is found');
my %not;
my $table = Guard::code('mod_wisehost/wh_mod_api.def', 1) . Guard::code('mod_wisehost/wh_mod_git.c', 1);
while ($table =~ /WH_API\(\s*(\w+),\s*([A-Z]+),\s*"[^"]+",\s*(\w+),/sg) {
    my ($op, $method, $action) = ($1, $2, $3);
    ok(exists $scope{$action}, "$op: $action is an action");
    $not{$action} = 1 if $method ne 'GET' && ($scope{$action} eq 'WH_SCOPE_READ' || $open{$action});
}
is(join(' ', sort keys %not), 'AGENT_COMMIT AGENT_OBJECT AGENT_RELEASE AGENT_SOURCE WORKER_REFRESH', 'what else than GET is not audited');

my $sql = join '', map { slurp($_) } files(qr/^whdb\/wh_sql\w*\.def$/, 'whdb');
is(join(' ', $sql =~ /(?:UPDATE|DELETE FROM|INTO) audit\b/g), 'INTO audit DELETE FROM audit', 'one statement adds, one cuts');
my $schema = slurp('schema/0008-observe.sql');
like($schema, qr/-- only: $_\nCREATE TRIGGER audit_\w+ BEFORE (?:UPDATE|DELETE)/, "triggers on $_") for qw(sqlite pgsql);
done_testing();
