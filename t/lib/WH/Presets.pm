package WH::Presets;
# What tests of presets share: a runner image of busybox alone, and repositories to build in it.
use strict;
use warnings;
use Exporter qw(import);
use File::Path qw(make_path);

our @EXPORT_OK = qw(busybox_image BUSYBOX log_of);

use constant BUSYBOX => 'localhost/busybox-runner:1';

# An image with /bin/sh and everything else of busybox.
sub busybox_image {
    my ($agent) = @_;
    my $dir = $agent->dir . '/busybox';
    make_path($dir);
    system('cp', '/bin/busybox', $dir) == 0 or die 'no busybox';
    open my $fh, '>', "$dir/Dockerfile" or die $!;
    print {$fh} qq(FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nENV PATH=/bin\nCMD ["/bin/sh"]\n);
    close $fh;
    $agent->podman('build', '-q', '-t', BUSYBOX, $dir);
    return BUSYBOX;
}

sub log_of { return join "\n", @{ $_[0]{log} } }

1;
