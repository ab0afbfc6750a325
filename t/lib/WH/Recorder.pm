package WH::Recorder;
# A server for tests that others send to, on loopback: HTTP on one port, mail (SMTP without TLS) on another. It keeps what
# came and answers 204, or what answer() says for a path: a status, or [ status, header, ... ]; after as many seconds as
# answer("after $path" => seconds) says.
use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use File::Temp ();
use POSIX ();

my $json = JSON::PP->new->latin1->canonical;

sub new {
    my ($class) = @_;
    my ($http, $mail) = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1) or die "listen: $!" } 1, 2;
    my $self = bless { owner => $$, http => $http->sockport, mail => $mail->sockport, dir => File::Temp->newdir, answers => {} }, $class;
    $self->answer;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        $SIG{TERM} = $SIG{CHLD} = 'DEFAULT';
        eval { $self->_serve($http, $mail); 1 } or warn $@;
        POSIX::_exit(0);
    }
    return $self;
}

sub http { return "127.0.0.1:$_[0]{http}" }
sub mail { return "127.0.0.1:$_[0]{mail}" }

sub answer {
    my ($self, %answers) = @_;
    $self->{answers} = { %{ $self->{answers} }, %answers };
    open my $out, '>', "$self->{dir}/answers.new" or die $!;
    print {$out} $json->encode($self->{answers});
    close $out or die $!;
    rename "$self->{dir}/answers.new", "$self->{dir}/answers" or die $!;
    return;
}

# What came so far, in its order: { method, target, headers => {lower case}, body }; of a mail { method => 'MAIL', from, to => [], body }.
sub seen {
    my ($self) = @_;
    open my $in, '<', "$self->{dir}/seen" or return wantarray ? () : 0;
    my @all = map { $json->decode($_) } <$in>;
    return @all;
}

sub _keep {
    my ($self, $what) = @_;
    open my $out, '>>', "$self->{dir}/seen" or die $!;
    print {$out} $json->encode($what), "\n";
    close $out or die $!;
    return;
}

sub _answers {
    my ($self) = @_;
    open my $in, '<', "$self->{dir}/answers" or return {};
    local $/;
    return $json->decode(<$in>);
}

# One request at a time of each connection; a connection that has not sent all of it waits.
sub _serve {
    my ($self, $http, $mail) = @_;
    my $select = IO::Select->new($http, $mail);
    my %got;
    while (1) {
        for my $fh ($select->can_read) {
            if ($fh == $http || $fh == $mail) {
                my $new = $fh->accept or next;
                $select->add($new);
                $got{$new} = { text => '', mail => $fh == $mail };
                print {$new} "220 test\r\n" if $fh == $mail;
                next;
            }
            my $state = $got{$fh};
            if (!sysread $fh, $state->{text}, 65536, length $state->{text}) { $select->remove($fh); delete $got{$fh}; close $fh; next }
            $state->{mail} ? $self->_smtp($fh, $state) : $self->_http($fh, $state);
        }
    }
    return;
}

sub _http {
    my ($self, $fh, $state) = @_;
    while ($state->{text} =~ /\A(\S+) (\S+) HTTP[^\r]*\r\n(.*?)\r\n\r\n/s) {
        my ($method, $target, $head, $length) = ($1, $2, $3, $+[0]);
        my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } split /\r\n/, $head;
        my $n = $headers{'content-length'} // 0;
        return if length($state->{text}) < $length + $n;
        my $body = substr $state->{text}, $length, $n;
        substr $state->{text}, 0, $length + $n, '';
        $self->_keep({ method => $method, target => $target, headers => \%headers, body => $body });
        my ($path, $answers) = ($target =~ s/\?.*//r, $self->_answers);
        my $answer = $answers->{$path} // 204;
        select undef, undef, undef, $answers->{"after $path"} if $answers->{"after $path"};
        my ($status, @more) = ref $answer ? @$answer : $answer;
        syswrite $fh, "HTTP/1.1 $status X\r\n" . join('', map { "$_\r\n" } @more) . ($status == 204 ? '' : "Content-Length: 0\r\n") . "\r\n";
    }
    return;
}

sub _smtp {
    my ($self, $fh, $state) = @_;
    while ($state->{text} =~ s/\A(.*?)\r\n//s) {
        my $line = $1;
        if ($state->{data}) {
            if ($line ne '.') { push @{ $state->{data} }, $line =~ s/^\.//r; next }
            $self->_keep({ method => 'MAIL', from => $state->{from}, to => $state->{to}, body => join '', map { "$_\r\n" } @{ $state->{data} } });
            $state->{data} = undef;
            syswrite $fh, "250 taken\r\n";
        } elsif ($line =~ /^(?:EHLO|HELO)/i) { syswrite $fh, "250 test\r\n"; $state->{to} = [] }
        elsif ($line =~ /^MAIL FROM:<([^>]*)>/i) { $state->{from} = $1; syswrite $fh, "250 ok\r\n" }
        elsif ($line =~ /^RCPT TO:<([^>]*)>/i) { push @{ $state->{to} }, $1; syswrite $fh, "250 ok\r\n" }
        elsif ($line =~ /^DATA/i) { $state->{data} = []; syswrite $fh, "354 go on\r\n" }
        elsif ($line =~ /^QUIT/i) { syswrite $fh, "221 bye\r\n" }
        else { syswrite $fh, "500 what\r\n" }
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    if ($self->{pid} && $self->{owner} == $$) { kill TERM => $self->{pid}; waitpid $self->{pid}, 0 }
    return;
}

1;
