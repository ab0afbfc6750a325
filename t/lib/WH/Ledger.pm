package WH::Ledger;
# A file that the test's own programs append to when something starts: containers over TCP, the agents' git
# over a unix socket (t/tools/ledger-*.c). A process of its own writes it, on disk before it answers.
use strict;
use warnings;
use Carp qw(croak);
use Fcntl qw(O_WRONLY O_APPEND O_CREAT);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes ();

# new(dir => …, address => where containers reach it)
sub new {
    my ($class, %o) = @_;
    my $self = bless { file => "$o{dir}/ledger", path => "$o{dir}/ledger.sock", owner => $$ }, $class;
    my $tcp = IO::Socket::INET->new(LocalAddr => $o{address}, LocalPort => 0, Listen => 64, ReuseAddr => 1)
        or croak "ledger: $!";
    my $unix = IO::Socket::UNIX->new(Local => $self->{path}, Listen => 64) or croak "$self->{path}: $!";
    chmod 0666, $self->{path};
    $self->{collector} = "$o{address} " . $tcp->sockport;
    sysopen my $file, $self->{file}, O_WRONLY | O_APPEND | O_CREAT, 0600 or croak "$self->{file}: $!";
    $self->{pid} = fork // croak "fork: $!";
    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM);
        $SIG{PIPE} = 'IGNORE';
        eval { _collect($file, getppid(), $tcp, $unix) };
        POSIX::_exit(0);
    }
    return $self;
}

sub _take {
    my ($file, $peer) = @_;
    my $line = '';
    while ($line !~ /\n/ && length $line < 4096) {
        return unless IO::Select->new($peer)->can_read(2);
        return unless sysread $peer, $line, 4096, length $line;
    }
    my $text = sprintf '%.6f %s', Time::HiRes::time(), $line;
    my $put = syswrite $file, $text;
    return unless defined $put && $put == length $text && $file->sync;
    syswrite $peer, "ok\n";
    return;
}

sub _collect {
    my ($file, $parent, @listeners) = @_;
    my $ready = IO::Select->new(@listeners);
    while (getppid() == $parent) {
        for my $listener ($ready->can_read(1)) {
            my $peer = $listener->accept or next;
            _take($file, $peer);
            close $peer;
        }
    }
    return;
}

sub path      { return $_[0]{path} }
sub collector { return $_[0]{collector} }

# Each line as [time, kind, words…], in the order of the file.
sub lines {
    my $self = shift;
    open my $in, '<', $self->{file} or croak "$self->{file}: $!";
    return map { chomp; [ split / / ] } <$in>;
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$ || !$self->{pid};
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
