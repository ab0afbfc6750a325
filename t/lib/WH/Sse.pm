package WH::Sse;
# A reader of text/event-stream: open(port => …, path => …, token => …, last => id); until(sub or qr, seconds).
use strict;
use warnings;
use Carp qw(croak);
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);

my $JSON = JSON::PP->new->utf8;

sub open {
    my ($class, %o) = @_;
    my $self = bless { got => '', events => [] }, $class;
    $self->{sock} = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $o{port}) or croak "connect: $!";
    my %headers = (Host => $o{host} // '127.0.0.1', Accept => $o{accept} // 'text/event-stream', %{ $o{headers} // {} });
    $headers{Authorization} = "Bearer $o{token}" if $o{token};
    $headers{'Last-Event-ID'} = $o{last} if defined $o{last};
    syswrite $self->{sock}, "GET $o{path} HTTP/1.1\r\n" . join('', map {"$_: $headers{$_}\r\n"} sort keys %headers) . "\r\n";
    return $self;
}

sub _more {
    my ($self, $seconds) = @_;
    my $bits = '';
    vec($bits, fileno $self->{sock}, 1) = 1;
    return if !select $bits, undef, undef, $seconds;
    my $n = sysread $self->{sock}, $self->{got}, 65536, length $self->{got};
    $self->{eof} = 1 if !$n;
    $self->{head} = $1 if !defined $self->{head} && $self->{got} =~ s/\A(.*?\r\n)\r\n//s;
    return if !defined $self->{head};
    while ($self->{got} =~ s/\A(.*?)\n\n//s) {
        my %e = map { /^(\w+): (.*)/s ? ($1 => $2) : () } split /\n/, $1;
        push @{ $self->{events} }, { %e, json => eval { $JSON->decode($e{data}) } } if defined $e{data};
    }
    return;
}

# Reads until the code is true, or what came matches; false when it took too long or the stream ended before.
sub until {
    my ($self, $what, $seconds) = @_;
    my $end = time + ($seconds // 10);
    my $code = ref $what eq 'CODE' ? $what : sub { $_[0]->all =~ $what };
    while (!$code->($self)) {
        return 0 if $self->{eof} || time > $end;
        $self->_more(0.1);
    }
    return 1;
}

sub begun  { my ($self, $seconds) = @_; return $self->until(sub { defined $_[0]{head} }, $seconds) }
sub ended  { my ($self, $seconds) = @_; return $self->until(sub { $_[0]{eof} }, $seconds) || $self->{eof} }
sub head   { return $_[0]{head} // '' }
sub status { return ($_[0]->head =~ m{^HTTP/1\.1 (\d+)})[0] // 0 }
sub events { return @{ $_[0]{events} } }
sub ids    { return map { $_->{id} } $_[0]->events }
sub types  { return map { $_->{event} } $_[0]->events }
sub all    { my $self = shift; return join "\n", map { "$_->{event} $_->{data}" } $self->events }
sub close  { my $self = shift; close $self->{sock}; return }

1;
