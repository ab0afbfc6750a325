package Guard;
# What the guards share: the files of the project, and C source with its comments blanked.
use strict;
use warnings;
use Exporter 'import';
use File::Find ();
our @EXPORT_OK = qw(root files slurp code lines_of);

sub root { return $ENV{top_srcdir} && -d "$ENV{top_srcdir}/libwh" ? $ENV{top_srcdir} : '.' }

# Paths (relative to the root) of the project's own files whose name matches $re, sorted.
sub files {
    my ($re, @under) = @_;
    my ($top, @out) = (root());
    @under = grep { -d "$top/$_" }
        @under ? @under : qw(libwh whdb mod_wisehost wh-scheduler wh-agent wh conf schema docs bench t examples);
    return () unless @under;
    File::Find::find({ no_chdir => 1, wanted => sub {
        return unless -f $_ && !-l $_;
        (my $rel = $File::Find::name) =~ s{^\Q$top\E/}{};
        push @out, $rel if $rel =~ $re && $rel !~ m{(^|/)(out|node_modules|\.libs|\.deps)/};
    } }, map {"$top/$_"} @under);
    return sort @out;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', root() . "/$path" or die "$path: $!";
    local $/;
    return scalar <$fh>;
}

# C source with comments and (where $strings is false) string contents blanked; line numbers stay.
sub code {
    my ($path, $strings) = @_;
    my $text = slurp($path);
    my $blank = sub { my $s = shift; $s =~ s/[^\n]/ /g; $s };
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')}
              { defined $1 ? $blank->($1) : $strings ? $2 : '"' . $blank->(substr($2, 1, -1)) . '"' }gse;
    return $text;
}

# "line: text" of each line of $text that matches $re.
sub lines_of {
    my ($text, $re) = @_;
    my $n = 0;
    return map { $n++; $_ =~ $re ? "$n: $_" : () } split /\n/, $text;
}

1;
