package WH::Load;
# Many keep-alive connections that ask for a page and then for the asset that it names, as a process of its own. An answer
# is right when the version in its header, in its body and in its asset is one and the same. Nothing is tried again.
use strict;
use warnings;
use Carp qw(croak);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time);
use WH::Wait qw(try_for);

# start(port => , connections => , hosts => [ … ])
sub start {
    my ($class, %o) = @_;
    pipe my $out, my $in or croak "pipe: $!";
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        close $out;
        my $said = eval { _run(%o) } // { fatal => "$@" };
        syswrite $in, JSON::PP::encode_json($said);
        POSIX::_exit(0);
    }
    close $in;
    return bless { pid => $pid, out => $out, owner => $$ }, $class;
}

# Ends it: {asked, failed => [ texts ], versions => {host => {version => answers}}}.
sub stop {
    my $self = shift;
    kill TERM => $self->{pid};
    local $/;
    my $text = readline $self->{out};
    waitpid delete $self->{pid}, 0;
    return JSON::PP::decode_json($text);
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$ || !$self->{pid};
    local ($?, $!);
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

my (%said, $stop);

sub _fail {
    my ($c, $why) = @_;
    push @{ $said{failed} }, sprintf '%s%s: %s', $c->{host}, $c->{path}, $why if @{ $said{failed} } < 20;
    $said{failures}++;
    return;
}

sub _open {
    my ($c, $o) = @_;
    $c->{sock} = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $o->{port}, Timeout => 10)
        or return _fail($c, "no connection: $!");
    $c->{nth} = 0;
    return $c->{sock};
}

sub _ask {
    my ($c) = @_;
    $c->{got} = '';
    $c->{nth}++;
    $c->{at} = time;
    syswrite $c->{sock}, "GET $c->{path} HTTP/1.1\r\nHost: $c->{host}\r\n\r\n" or _fail($c, "not sent: $!");
    return;
}

sub _judge {
    my ($c, $head, $body) = @_;
    $said{asked}++;
    my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
    my ($version) = $head =~ /^X-Version: (\S+)\r$/mi;
    my ($in_body) = $body =~ /^(?:version|asset) (\S+)$/m;
    if (($status // 0) != 200 || !defined $in_body) { _fail($c, substr "$head $body", 0, 200) }
    elsif ($c->{path} eq '/') {
        _fail($c, "header $version, body $in_body") if ($version // '') ne $in_body;
        $said{versions}{ $c->{host} }{$in_body}++;
        ($c->{path}) = $body =~ m{^(/asset\S*)$}m;
        $c->{page} = $in_body;
        return;
    }
    elsif ($c->{path} =~ /-/) { _fail($c, "asset $in_body of page $c->{page}") if $in_body ne $c->{page} }
    else { _fail($c, "header $version, asset $in_body") if ($version // '') ne $in_body }
    $c->{path} = '/';
    return;
}

# One whole answer, if it is there: then the next question.
sub _take {
    my ($c, $o) = @_;
    my $n = sysread $c->{sock}, $c->{got}, 65536, length $c->{got};
    if (!$n) {
        _fail($c, sprintf 'cut off: request %d of its connection, %.3f s after it: %s', $c->{nth}, time - $c->{at}, substr $c->{got}, 0, 100);
        $c->{path} = '/';
        _open($c, $o) and _ask($c);
        return;
    }
    $c->{got} =~ /\r\n\r\n/ or return;
    my ($head, $body) = ($` . "\r\n", $');
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/mi;
    if (!defined $length) { _fail($c, "no length: $head"); $length = length $body }
    return if length $body < $length;
    _judge($c, $head, $body);
    if ($head =~ /^Connection: close\r$/mi) { close $c->{sock}; _open($c, $o) or return }
    _ask($c);
    return;
}

sub _run {
    my (%o) = @_;
    %said = (asked => 0, failures => 0, failed => [], versions => {});
    local $SIG{TERM} = sub { $stop = 1 };
    my @conns = map { { host => $o{hosts}[ $_ % @{ $o{hosts} } ], path => '/' } } 1 .. $o{connections};
    for my $c (@conns) { _open($c, \%o) and _ask($c) }
    while (!$stop) {
        my %by = map { fileno($_->{sock}) => $_ } grep { $_->{sock} && defined fileno $_->{sock} } @conns;
        my $want = '';
        vec($want, $_, 1) = 1 for keys %by;
        next if select(my $ready = $want, undef, undef, 1) <= 0;
        for (keys %by) { _take($by{$_}, \%o) if vec $ready, $_, 1 }
    }
    return \%said;
}

1;
