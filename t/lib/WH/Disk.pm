package WH::Disk;
# A file system of a test's own on a loop device, mounted where it is wanted, of which the kernel counts for each control
# group what is read and written. Linux from 6.10 does that in the first form of control groups only for disks that somebody
# has a limit on: so there is one, far away, on this one alone.
use strict;
use warnings;
use Carp qw(croak);
use File::Path qw(make_path);
use WH::Wait qw(try_for);

my $BLKIO = '/sys/fs/cgroup/blkio';

sub _run { my (@cmd) = @_; open my $out, '-|', @cmd or croak "$cmd[0]: $!"; my $said = join '', <$out>; close $out or croak "@cmd ended with $?"; return $said }

# new(directory, megabytes)
sub new {
    my ($class, $dir, $mib) = @_;
    my $self = bless { owner => $$, dir => $dir, file => "$dir.disk" }, $class;
    make_path($dir);
    open my $file, '>', $self->{file} or croak "$self->{file}: $!";
    truncate $file, ($mib // 2048) << 20 or croak "$self->{file}: $!";
    close $file;
    _run(qw(mkfs.ext4 -q -F), $self->{file});
    chomp($self->{loop} = _run(qw(losetup --find --show), $self->{file}));
    _run('mount', $self->{loop}, $dir);
    $self->{mounted} = 1;
    _run(qw(losetup --detach), $self->{loop}); # which happens when nothing of it is mounted any more
    if (-d $BLKIO) {
        my ($name) = $self->{loop} =~ m{([^/]+)$};
        $self->{group} = "$BLKIO/wisehost-test-$$";
        mkdir $self->{group} or croak "$self->{group}: $!";
        open my $in, '<', "/sys/block/$name/dev" or croak "$name: $!";
        chomp(my $dev = <$in>);
        open my $out, '>', "$self->{group}/blkio.throttle.write_bps_device" or croak $!;
        print {$out} "$dev 1099511627776\n";
        close $out or croak "$self->{group}: $!";
    }
    return $self;
}

sub remove {
    my ($self) = @_;
    if (delete $self->{mounted}) {
        system('umount', '--recursive', $self->{dir}) == 0 or system 'umount', '--recursive', '--lazy', $self->{dir};
    }
    if (my $group = delete $self->{group}) { rmdir $group }
    unlink $self->{file};
    my $loop = delete $self->{loop} or return 1;
    return try_for { _run(qw(losetup --all)) !~ /^\Q$loop\E:.*\Q$self->{file}\E/m } 10;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->remove if $self->{owner} == $$;
    return;
}

1;
