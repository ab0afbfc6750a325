#!/usr/bin/perl
# The published schema of wisehost.json and the code's own reading of it are one: the same names, the same
# presets, and the same verdict on the documents of t/data/wisehost-json (test_model.c has the code's).
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(slurp root);
use JSON::PP;
use IPC::Open2;
use Test::More;

my $schema = decode_json(slurp('conf/wisehost.schema.json'));
my $build  = $schema->{properties}{build}{properties};

my ($names) = slurp('libwh/wh_model_build.c') =~ /names\[\] = \{(.*?)\};/s;
is(join(' ', sort keys %$build), join(' ', sort $names =~ /"(\w+)"/g), 'build has the names of the code');
my ($fields) = slurp('mod_wisehost/wh_mod_api_fields.h') =~ /build_fields\[\] = \{(.*?)\};/s;
is(join(' ', sort keys %$build), join(' ', sort $fields =~ /\("(\w+)",/g), 'and those of the API');
my %cli = map { $_ => 1 } slurp('wh/wh_cli_app.def') =~ /"build\.(\w+)"/g;
is(join(' ', sort keys %cli), join(' ', sort keys %$build), 'and wh can set each of them, and no other');
my ($run) = slurp('libwh/wh_model_build.c') =~ /run_names\[\] = \{(.*?)\};/s;
is(join(' ', sort keys %{ $schema->{properties}{run}{properties} }), join(' ', sort $run =~ /"(\w+)"/g), 'run has the names of the code');
my @presets = slurp('libwh/wh_preset.def') =~ /WH_PRESET\("([^"]+)"/g;
is(join(' ', sort grep { defined && length && !/^(?:auto|dockerfile)$/ } @{ $build->{preset}{enum} }), join(' ', sort @presets),
    'every preset of the table, and no other');

my $pid = open2(my $out, my $in, 'python3', root() . '/t/tools/json-schema.py', root() . '/conf/wisehost.schema.json');
for my $kind (qw(good bad)) {
    my @docs = split /\n/, slurp("t/data/wisehost-json/$kind.txt");
    cmp_ok(scalar @docs, '>', 10, "there are $kind documents");
    for my $doc (@docs) {
        print {$in} "$doc\n";
        $in->flush;
        my $verdict = <$out> // 'nothing';
        ok(($verdict eq "ok\n") == ($kind eq 'good'), "$kind: $doc") or diag $verdict;
    }
}
close $in;
waitpid $pid, 0;
is($?, 0, 'the schema is one');
done_testing();
