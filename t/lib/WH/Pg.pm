package WH::Pg;
# A PostgreSQL server of a test's own: below one directory, on a unix socket, owned by user postgres.
use strict;
use warnings;
use Carp qw(croak);
use File::Path qw(make_path);
use POSIX qw(_exit);
use WH::Wait qw(wait_for);

sub bindir {
    my @found = sort { ($b =~ m{/(\d+)/})[0] <=> ($a =~ m{/(\d+)/})[0] } glob '/usr/lib/postgresql/*/bin';
    return $found[0];
}

# Runs a program as user postgres, its words in $dir/log. True when it went well.
sub _quiet {
    my ($dir, @cmd) = @_;
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        chdir $dir;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/log" or _exit(126);
        open STDERR, '>&', \*STDOUT;
        exec 'setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', @cmd or _exit(127);
    }
    waitpid $pid, 0;
    return $? == 0;
}

# A new cluster below $dir (which other users must be able to enter). Dies when there is no PostgreSQL.
sub new {
    my ($class, $dir) = @_;
    my $bin = bindir() or croak 'PostgreSQL is not installed';
    my $self = bless { dir => $dir, bin => $bin, owner => $$ }, $class;
    make_path($dir);
    my ($uid, $gid) = (getpwnam 'postgres')[2, 3];
    chown $uid, $gid, $dir;
    if (!-d "$dir/data") {
        _quiet($dir, "$bin/initdb", '-D', "$dir/data", '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync')
            or croak "initdb failed: see $dir/log";
    }
    return $self;
}

# options => more of them for the server: what stands there wins.
sub start {
    my ($self, %o) = @_;
    my ($dir, $bin) = @$self{qw(dir bin)};
    _quiet($dir, "$bin/pg_ctl", '-D', "$dir/data", '-l', "$dir/server.log", '-w', '-t', 30, '-o',
        "-c listen_addresses= -c unix_socket_directories=$dir -c fsync=off -c max_connections=60"
            . ' -c shared_buffers=16MB ' . ($o{options} // ''), 'start')
        or croak "PostgreSQL did not start: see $dir/server.log";
    return $self;
}

# mode: fast (default) or immediate
sub stop {
    my ($self, $mode) = @_;
    return unless -e "$self->{dir}/data/postmaster.pid";
    _quiet($self->{dir}, "$self->{bin}/pg_ctl", '-D', "$self->{dir}/data", '-w', '-m', $mode // 'fast', 'stop');
    return;
}

# kill -9 of the server and everything that it started, and until none of them is left: a backend that lives
# on keeps the next server from starting.
sub kill9 {
    my $self = shift;
    open my $file, '<', "$self->{dir}/data/postmaster.pid" or return;
    chomp(my $postmaster = <$file>);
    my @all = ($postmaster, _children($postmaster));
    kill 'KILL', @all;
    wait_for { !grep { -d "/proc/$_" } @all } 10, 'the killed PostgreSQL to be gone';
    return;
}

sub _children {
    my ($parent) = @_;
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        push @pids, $1 if (<$fh> // '') =~ /^(\d+) \(.*\) \S $parent /;
    }
    return @pids;
}

# Parameters for libpq.
sub params {
    my ($self, $dbname) = @_;
    return "host=$self->{dir} user=postgres dbname=" . ($dbname // 'postgres');
}

sub DESTROY {
    my $self = shift;
    local $?;
    $self->stop('immediate') if $self->{owner} == $$;
}

1;
