package WH::Http;
# HTTP over a socket to 127.0.0.1 with any Host, and exactly the bytes that a test wants to send.
use strict;
use warnings;
use Exporter qw(import);
use IO::Socket::INET;
use IO::Select;
use JSON::PP ();
use WH::Wait qw(now_s);

our @EXPORT_OK = qw(http_request http_raw json_decode json_encode);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
sub json_decode { my $got = eval { $json->decode($_[0]) }; return $got }
sub json_encode { return $json->encode($_[0]) }

# http_raw(port => …, bytes => …, timeout => 30): all that comes back until the peer closes.
sub http_raw {
    my %o = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $o{port}, Timeout => 5)
        or return undef;
    local $SIG{PIPE} = 'IGNORE';
    my $end = now_s() + ($o{timeout} // 30);
    my $sent = 0;
    while ($sent < length $o{bytes}) {
        my $n = syswrite $sock, $o{bytes}, 65536, $sent;
        last unless $n;
        $sent += $n;
    }
    my ($got, $select) = ('', IO::Select->new($sock));
    while (now_s() < $end && $select->can_read($end - now_s())) {
        last unless sysread $sock, $got, 65536, length $got;
        last if $o{until} && $got =~ $o{until};
    }
    close $sock;
    return $got;
}

sub _dechunk {
    my ($in, $out) = (shift, '');
    while ($in =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n//) {
        my $n = hex $1;
        last if $n == 0;
        $out .= substr $in, 0, $n, '';
        $in =~ s/^\r\n//;
    }
    return $out;
}

# http_request(port => …, method => 'GET', host => …, path => '/', headers => {…}, body => bytes or
# reference (sent as JSON), token => …) -> {status, headers (lower case), body, json}; status 0: none.
sub http_request {
    my %o = (method => 'GET', path => '/', headers => {}, @_);
    my %headers = (
        'Host'       => $o{host} // "127.0.0.1:$o{port}",
        'Connection' => 'close',
        %{ $o{headers} },
    );
    my $body = $o{body};
    if (ref $body) {
        $body = json_encode($body);
        $headers{'Content-Type'} //= 'application/json';
    }
    $headers{'Content-Length'} //= length $body if defined $body;
    $headers{'Authorization'} //= "Bearer $o{token}" if defined $o{token};
    my $bytes = "$o{method} $o{path} HTTP/1.1\r\n"
        . join('', map { "$_: $headers{$_}\r\n" } grep { defined $headers{$_} } sort keys %headers)
        . "\r\n" . ($body // '');
    my $got = http_raw(port => $o{port}, bytes => $bytes, timeout => $o{timeout});
    return { status => 0, headers => {}, body => '' } unless defined $got && $got =~ s/^(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;
    my %in;
    for (@lines) { $in{ lc $1 } = $2 if /^([^:]+):\s*(.*?)\s*$/ }
    $got = _dechunk($got) if lc($in{'transfer-encoding'} // '') eq 'chunked';
    return {
        status  => $line =~ m{^HTTP/1\.[01] (\d{3})} ? $1 + 0 : 0,
        headers => \%in,
        body    => $got,
        json    => ($in{'content-type'} // '') =~ /json/ ? json_decode($got) : undef,
    };
}

1;
