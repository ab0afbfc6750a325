package WH::EngineProxy;
# Stands between an agent and an engine on two unix sockets, passes every byte, and notes the head of each
# request in a file: "METHOD /path?query".
use strict;
use warnings;
use Carp qw(croak);
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();

my $owner = $$;
my @alive;
END { if ($$ == $owner) { local $?; $_->stop for @alive } }

# new(listen => path, to => path, log => path, group => gid of who may connect)
sub new {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    unlink $o{listen};
    my $listen = IO::Socket::UNIX->new(Local => $o{listen}, Listen => 64) or croak "$o{listen}: $!";
    chmod 0660, $o{listen};
    chown 0, $o{group}, $o{listen} if defined $o{group};
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        $SIG{PIPE} = $SIG{CHLD} = 'IGNORE';
        while (1) {
            my $c = $listen->accept or next;
            my $child = fork // next;
            POSIX::_exit($self->_pass($c)) if !$child;
        }
    }
    $self->{pid} = $pid;
    push @alive, $self;
    return $self;
}

# Requests of one connection follow each other, so a head begins where the body before it ended.
sub _pass {
    my ($self, $c) = @_;
    $SIG{TERM} = 'DEFAULT';
    my $e = IO::Socket::UNIX->new(Peer => $self->{to}) or return 1;
    my $select = IO::Select->new($c, $e);
    my %state = (buf => '', left => 0, chunked => 0);
    while (my @ready = $select->can_read) {
        for my $from (@ready) {
            my $n = sysread $from, my $bytes, 65536;
            return 0 if !$n;
            $self->_note(\%state, $bytes) if $from == $c;
            my $to = $from == $c ? $e : $c;
            for (my $at = 0; $at < length $bytes;) { my $w = syswrite $to, $bytes, length($bytes) - $at, $at; return 0 if !$w; $at += $w }
        }
    }
    return 0;
}

sub _note {
    my ($self, $s, $bytes) = @_;
    $s->{buf} .= $bytes;
    while (length $s->{buf}) {
        if ($s->{left} > 0) {
            my $take = $s->{left} < length $s->{buf} ? $s->{left} : length $s->{buf};
            substr $s->{buf}, 0, $take, '';
            $s->{left} -= $take;
            last if $s->{left};
            next;
        }
        if ($s->{chunked}) {
            $s->{buf} =~ s/\A(?:\r\n)?([0-9a-fA-F]+)\r\n// or last;
            my $n = hex $1;
            if ($n) { $s->{left} = $n }
            else    { $s->{chunked} = 0; $s->{buf} =~ s/\A\r\n//; $s->{after} = 1 }
            next;
        }
        $s->{buf} =~ s/\A(?:\r\n)+//;
        $s->{buf} =~ s/\A((\S+) (\S+) HTTP\/1\.1\r\n.*?\r\n\r\n)//s or last;
        my ($head, $method, $path) = ($1, $2, $3);
        open my $fh, '>>', $self->{log} or POSIX::_exit(3);
        syswrite $fh, "$method $path\n";
        close $fh;
        $s->{left} = $1 if $head =~ /^content-length:\s*(\d+)/im;
        $s->{chunked} = 1 if $head =~ /^transfer-encoding:\s*chunked/im;
    }
    return;
}

sub requests {
    my $self = shift;
    open my $fh, '<', $self->{log} or return ();
    chomp(my @lines = <$fh>);
    return @lines;
}

sub stop {
    my $self = shift;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    return;
}

1;
