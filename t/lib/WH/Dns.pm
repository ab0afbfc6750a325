package WH::Dns;
# A name server for tests: UDP on a port of its own, answers from a table that the test changes. What is not in
# it does not exist; a name of "fail" is SERVFAIL.
use strict;
use warnings;
use IO::Socket::INET ();
use JSON::PP ();
use File::Temp ();
use Net::DNS ();

sub new {
    my ($class) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0) or die "udp: $!";
    my $self = bless { owner => $$, port => $socket->sockport, file => File::Temp->new, zone => {} }, $class;
    $self->_write;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        $SIG{TERM} = 'DEFAULT';
        eval { $self->_serve($socket); 1 } or warn $@;
        require POSIX;
        POSIX::_exit(0);
    }
    return $self;
}

sub address { return "127.0.0.1:$_[0]{port}" }

# set('www.example.test', A => ['192.0.2.1'], TXT => ['x']); without types the name is gone.
sub set {
    my ($self, $name, %types) = @_;
    $self->{zone}{$name} = {%types};
    delete $self->{zone}{$name} if !%types;
    $self->_write;
    return;
}

sub _write {
    my ($self) = @_;
    my $path = $self->{file}->filename;
    open my $out, '>', "$path.new" or die $!;
    print {$out} JSON::PP::encode_json($self->{zone});
    close $out or die $!;
    rename "$path.new", $path or die $!;
    return;
}

sub _read {
    my ($self) = @_;
    open my $in, '<', $self->{file}->filename or return {};
    local $/;
    return JSON::PP::decode_json(<$in>);
}

sub _serve {
    my ($self, $socket) = @_;
    while (defined $socket->recv(my $bytes, 4096)) {
        my $query = Net::DNS::Packet->new(\$bytes) or next;
        my ($question) = $query->question;
        my ($name, $type) = (lc $question->qname, $question->qtype);
        my $entry = $self->_read->{$name};
        my $reply = $query->reply;
        $reply->header->ra(1);
        $reply->header->rcode(!$entry ? 'NXDOMAIN' : $entry->{fail} ? 'SERVFAIL' : 'NOERROR');
        for my $data (@{ ($entry // {})->{$type} // [] }) {
            $reply->push(answer => Net::DNS::RR->new(name => $name, ttl => 0, type => $type,
                $type eq 'TXT' ? (txtdata => [$data]) : (address => $data)));
        }
        $socket->send($reply->data);
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{pid};
    local $?;
    kill 'TERM', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
