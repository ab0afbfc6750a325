#!/usr/bin/perl
# Directives: the code, conf/wisehost.conf and docs/directives.md say the same: names, defaults, contexts.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(slurp);
use Test::More;

# name -> {default, context} of the code
my %code;
my $def = slurp('mod_wisehost/wh_mod_conf.def');
$def =~ s{/\*.*?\*/}{}gs;
while ($def =~ /WH_SRV\((\w+), (\w+), [^,]+, ([^,]+), "(\w+)", (\w+), (\w+),/g) {
    my ($type, $default, $name, $context) = ($1, $3, $4, $6);
    $default = $default eq 'NULL' ? undef : $type eq 'flag' ? ($default ? 'On' : 'Off') : $default =~ s/"//gr;
    $code{$name} = { default => $default, context => $context eq 'SERVER' ? 'server config' : 'server config, virtual host' };
}
my %where = (ANY => 'server config, virtual host, directory, .htaccess', SECTION => 'server config, virtual host, directory');
while ($def =~ /WH_DIR\(\w+, \w+, [^,]+, "(\w+)", \w+, (\w+),/g) {
    $code{$1} = { context => $where{$2} };
}
my $cmds = slurp('mod_wisehost/wh_mod_cmds.c');
while ($cmds =~ /AP_INIT_\w+\("(\w+)", \w+, NULL, (\w+)/g) {
    $code{$1} = { context => $2 eq 'RSRC_CONF' ? 'server config, virtual host' : 'virtual host, directory, .htaccess' };
}
cmp_ok(scalar keys %code, '>=', 15, 'the directives of the code are found: ' . keys %code);

my $conf = slurp('conf/wisehost.conf');
my %conf = map { /^# *(?:    )?(WiseHost\w+) +(.+?)$/ ? ($1 => $2) : () } reverse split /\n/, $conf;
is_deeply([ sort keys %conf ], [ sort keys %code ], 'conf/wisehost.conf has exactly the directives of the code');
unlike($conf, qr/^[^#\n]/m, 'conf/wisehost.conf changes nothing as it stands');

my $docs = slurp('docs/directives.md');
my %docs;
while ($docs =~ /^### (\w+)\n(.*?)(?=^##|\z)/gms) {
    my ($name, $text) = ($1, $2);
    $docs{$name} = { map { lc $1 => $2 } () };
    $docs{$name}{ lc $1 } = $2 while $text =~ /^\| \*\*(\w+):\*\* \| (.*?) \|$/gm;
    $docs{$name}{text} = $text;
}
is_deeply([ sort keys %docs ], [ sort keys %code ], 'docs/directives.md has exactly the directives of the code');
for my $name (sort keys %code) {
    my ($default, $context) = @{ $code{$name} }{qw(default context)};
    is($docs{$name}{context}, $context, "$name: the documented context is the code's");
    like($docs{$name}{syntax}, qr/^$name /, "$name: has its syntax");
    ok($docs{$name}{description}, "$name: has its description");
    is($docs{$name}{override}, $context =~ /htaccess/ ? 'FileInfo' : undef, "$name: the documented override is the code's");
    next unless defined $default && $default ne '0';
    like($docs{$name}{default}, qr/\Q$default\E/, "$name: the documented default is the code's");
    is($conf{$name}, $default, "$name: the default in conf/wisehost.conf is the code's");
}
like($docs, qr/\(#\L$_\E\)/, "$_: is in the list") for sort keys %code;
done_testing();
