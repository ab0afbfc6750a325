package WH::H2;
# One request over HTTP/2 (prior knowledge) with exactly the header fields that a test wants to send, also
# ones that no client would: fields go out as literals, without Huffman.
use strict;
use warnings;
use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use WH::Wait qw(now_s);

our @EXPORT_OK = qw(h2_request);

# The statuses of HPACK's static table, and its codes of digits.
my %STATUS = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304, 0x8c => 400, 0x8d => 404, 0x8e => 500);
my %DIGIT = ('00000' => 0, '00001' => 1, '00010' => 2, map { sprintf('%06b', 22 + $_) => $_ } 3 .. 9);

# The first field of an answer is its status; a size update of the table may stand before it.
sub _status {
    my ($block) = @_;
    $block =~ s/^[\x20-\x3f]+//;
    my ($how, $len) = map { ord } split //, substr $block, 0, 2;
    return $STATUS{$how} // -1 if $how & 0x80;
    return substr $block, 2, $len unless $len & 0x80;
    my $bits = unpack 'B*', substr $block, 2, $len & 0x7f;
    return join '', map { $bits =~ s/^(000(?:00|01|10)|011001|0110[01][01]|0111[01][01])// ? $DIGIT{$1} : '?' } 1 .. 3;
}

sub _int { my ($n) = @_; return $n < 127 ? chr $n : "\x7f" . chr(($n - 127) & 127 | ($n - 127 > 127 ? 128 : 0)) . ($n - 127 > 127 ? _rest(($n - 127) >> 7) : '') }
sub _rest { my ($n) = @_; return $n > 127 ? chr($n & 127 | 128) . _rest($n >> 7) : chr $n }
sub _field { my ($name, $value) = @_; return "\0" . _int(length $name) . $name . _int(length $value) . $value }
sub _frame { my ($type, $flags, $stream, $payload) = @_; return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload }

# h2_request(port, [name => value, …]) -> (status, body); the status is 0 for a stream or a connection that
# was reset.
sub h2_request {
    my ($port, $fields) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return (0, '');
    my $block = '';
    for (my $i = 0; $i < @$fields; $i += 2) { $block .= _field(@$fields[ $i, $i + 1 ]) }
    local $SIG{PIPE} = 'IGNORE';
    syswrite $sock, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . _frame(4, 0, 0, '') . _frame(1, 5, 1, $block);
    my ($in, $status, $body, $select, $end) = ('', 0, '', IO::Select->new($sock), now_s() + 10);
    while (now_s() < $end && $select->can_read($end - now_s())) {
        last unless sysread $sock, $in, 65536, length $in;
        while (length $in >= 9 && length $in >= 9 + unpack 'N', "\0" . substr $in, 0, 3) {
            my ($size, $type, $flags, $stream) = (unpack('N', "\0" . substr $in, 0, 3), unpack 'CCN', substr $in, 3, 6);
            my $payload = substr substr($in, 0, 9 + $size, ''), 9;
            return (0, '') if $type == 3 || $type == 7; # RST_STREAM, GOAWAY
            syswrite $sock, _frame(4, 1, 0, '') if $type == 4 && !($flags & 1);
            next if $stream != 1;
            $status = _status($payload) if $type == 1;
            $body .= $payload if $type == 0;
            return ($status, $body) if $type < 2 && $flags & 1;
        }
    }
    return ($status, $body);
}

1;
