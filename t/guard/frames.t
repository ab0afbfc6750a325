#!/usr/bin/perl
# docs/protocol.md tells of every member of every frame, and of no other: the members are those of its vectors, which
# a unit holds against the codecs, and the names that the decoders read.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files slurp);
use JSON::PP;
use Test::More;

my $docs = slurp('docs/protocol.md');
my ($frames) = $docs =~ /^## Every frame, field by field\n(.*?)^## /ms;
my %told = $frames =~ /^### (\w+)\n(.*?)(?=^### |\z)/msg;
my @types = Guard::code('libwh/wh_proto_msg.def', 1) =~ /WH_MSG_DEF\(\w+,\s*"(\w+)"/g;
is(join(' ', sort keys %told), join(' ', sort @types), 'a section for every type of frame, and for no other');

my %member;
sub note_members {
    my ($to, $value) = @_;
    if (ref $value eq 'HASH') { $to->{$_}++, note_members($to, $value->{$_}) for keys %$value }
    elsif (ref $value eq 'ARRAY') { note_members($to, $_) for @$value }
    return;
}
while ($docs =~ /^ok \S+ (\w+) (\{.*\})$/mg) {
    my ($type, $p) = ($1, decode_json($2)->{p});
    delete $p->{labels};    # its members are the worker's own
    note_members($member{$type} //= {}, $p);
}
my $read = join '', map { slurp($_) } files(qr{/wh_(?:proto_msg|model)\w*\.c$}, 'libwh');
for my $type (@types) {
    my %said = map { $_ => 1 } join(' ', $told{$type} =~ /^\| (`.*)$/mg) =~ /`(\w+)`/g;
    my $elsewhere = join ' ', $told{$type} =~ /as in `(\w+)`/g;
    for (split ' ', $elsewhere) { $said{$_} = 1 for join(' ', ($told{$_} // '') =~ /^\| (`.*)$/mg) =~ /`(\w+)`/g }
    is(join(' ', grep { !$said{$_} } sort keys %{ $member{$type} // {} }), '', "$type: every member is told");
    my @fields = $told{$type} =~ /^\| `(\w+)` \|/mg;
    is(join(' ', grep { $read !~ /"\Q$_\E"/ } @fields), '', "$type: a decoder reads each that is told");
    is(join(' ', grep { !$member{$type}{$_} && $_ ne 'labels' } @fields), '', "$type: the vectors have each that is told");
}
done_testing();
