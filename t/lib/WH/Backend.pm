package WH::Backend;
# An application's process for the proxy tests: HTTP/1.1 with keep-alive, one child a connection.
#   /echo…  JSON of what came in         /status/N  answers N            /slow  three chunks, 0.3 s apart
#   /ws     WebSocket, echoes bytes      /close     ends the connection unanswered
#   /say/HEX  those bytes, then the end  /hang      nothing, until the client goes: "gone" into {log}
#   /head/N/SIZE  N headers of that size
#   /first  answered as the first of a connection, closed unanswered as a later one
use strict;
use warnings;
use Carp qw(croak);
use IO::Socket::INET;
use POSIX ();
use WH::Http qw(json_encode);
use WH::Wait qw(try_for);

# new(name => 'a', address => '127.0.0.1', port => 0)
sub new {
    my ($class, %o) = @_;
    my $self = bless { name => 'a', address => '127.0.0.1', port => 0, %o, owner => $$ }, $class;
    return $self->start;
}

sub port { return $_[0]{port} }

sub start {
    my $self = shift;
    my $listen = IO::Socket::INET->new(LocalAddr => $self->{address}, LocalPort => $self->{port}, Listen => 128,
        ReuseAddr => 1) or croak "backend: $!";
    $self->{port} = $listen->sockport;
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM);
        setpgrp;
        eval { $self->_accept($listen) };
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    return $self;
}

sub stop {
    my $self = shift;
    my $pid = delete $self->{pid} or return;
    kill KILL => -$pid, $pid;
    waitpid $pid, 0;
    # Its connections are processes of the group: gone only when the last of them is.
    try_for { !kill 0 => -$pid } 5;
    return $self;
}

sub _accept {
    my ($self, $listen) = @_;
    $SIG{CHLD} = 'IGNORE';
    my $n = 0;
    while (1) {
        my $sock = $listen->accept or next;
        $n++;
        my $pid = fork;
        if (defined $pid && $pid == 0) {
            close $listen;
            eval { $self->_serve($sock, $n) };
            POSIX::_exit(0);
        }
        close $sock;
    }
}

sub _serve {
    my ($self, $sock, $n) = @_;
    my ($buf, $served) = ('', 0);
    while (1) {
        while ($buf !~ /\r\n\r\n/) {
            return unless sysread $sock, $buf, 65536, length $buf;
        }
        $buf =~ s/^(.*?)\r\n\r\n//s;
        my ($line, @lines) = split /\r\n/, $1;
        my ($method, $path) = split / /, $line;
        my %in = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
        my $body = _body($sock, \$buf, \%in);
        return _websocket($sock, \%in) if lc($in{upgrade} // '') eq 'websocket';
        return if $path =~ m{^/close} || ($path =~ m{^/first} && $served);
        return syswrite $sock, pack 'H*', $1 if $path =~ m{^/say/([0-9a-f]+)};
        return syswrite $sock, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" . join('', map { "X-$_: " . 'y' x $2 . "\r\n" } 1 .. $1) . "\r\nhi"
            if $path =~ m{^/head/(\d+)/(\d+)};
        return $self->_hang($sock) if $path =~ m{^/hang};
        $served++;
        $self->_answer($sock, $n, $method, $path, \%in, $body);
    }
}

sub _more { my ($sock, $buf) = @_; return sysread $sock, $$buf, 65536, length $$buf }

sub _body {
    my ($sock, $buf, $in) = @_;
    if (my $len = $in->{'content-length'}) {
        while (length $$buf < $len) { _more($sock, $buf) or last }
        return substr $$buf, 0, $len, '';
    }
    return '' unless lc($in->{'transfer-encoding'} // '') eq 'chunked';
    my $body = '';
    while (1) {
        while ($$buf !~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/) { _more($sock, $buf) or return $body }
        $$buf =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n//;
        my $size = hex $1;
        while (length $$buf < $size + 2) { _more($sock, $buf) or return $body }
        $body .= substr $$buf, 0, $size, '';
        substr $$buf, 0, 2, '';
        return $body if $size == 0;
    }
}

sub _answer {
    my ($self, $sock, $n, $method, $path, $in, $body) = @_;
    if ($path eq '/slow') {
        syswrite $sock, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        for my $part (1 .. 3) {
            syswrite $sock, sprintf "%x\r\n%s\r\n", 9, "data: $part\n\n" if $part;
            select undef, undef, undef, 0.3;
        }
        syswrite $sock, "0\r\n\r\n";
        return;
    }
    my $status = $path =~ m{^/status/(\d+)} ? $1 : 200;
    my $out = json_encode({ name => $self->{name}, connection => $n, method => $method, path => $path,
        headers => $in, length => length $body, sum => unpack '%32C*', $body });
    syswrite $sock, "HTTP/1.1 $status Whatever\r\nContent-Type: application/json\r\nX-Wisehost-Backend: $self->{name}\r\n"
        . 'Content-Length: ' . length($out) . "\r\n\r\n" . ($method eq 'HEAD' ? '' : $out);
    return;
}

sub _hang {
    my ($self, $sock) = @_;
    sysread $sock, my $more, 1;
    open my $log, '>>', $self->{log} or return;
    syswrite $log, "gone\n";
    return;
}

sub _websocket {
    my ($sock, $in) = @_;
    syswrite $sock, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    while (sysread $sock, my $got, 65536) { syswrite $sock, $got }
    return;
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$;
    local ($@, $?, $!);
    $self->stop;
    return;
}

1;
