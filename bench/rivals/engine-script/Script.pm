package EngineScript;
# The rival of a container deployment: build, create, start and probe through the engine's API, with
# nothing around it.
use strict;
use warnings;
use Bench qw(http wait_until);
use JSON::PP ();
use Time::HiRes ();

sub new {
    my ($class, $socket) = @_;
    return bless { unix => $socket, old => undef, n => 0 }, $class;
}

sub engine {
    my ($self, $method, $path, $body, $type) = @_;
    my ($status, $text) = http({ unix => $self->{unix} }, $method, "/v1.41$path", body => $body // '',
        headers => { 'Content-Type' => $type // 'application/json', Connection => 'close' });
    die "engine: $method $path: $status $text\n" unless $status >= 200 && $status < 400;
    return $text;
}

sub deploy {
    my ($self, $work, $word) = @_;
    my $image = 'localhost/wisehost-bench-script:n' . ++$self->{n};
    open my $tar, '-|:raw', 'git', '-C', $work, 'archive', '--format=tar', 'HEAD' or die "git archive: $!\n";
    my $context = do { local $/; <$tar> };
    close $tar or die "git archive failed\n";
    $self->engine('POST', "/build?t=$image", $context, 'application/x-tar');
    my $made = JSON::PP::decode_json($self->engine('POST', '/containers/create', JSON::PP::encode_json({
        Image => $image, Env => ['PORT=8080'], ExposedPorts => { '8080/tcp' => {} },
        HostConfig => { PortBindings => { '8080/tcp' => [ { HostIp => '127.0.0.1', HostPort => '' } ] } },
    })));
    $self->engine('POST', "/containers/$made->{Id}/start");
    my $seen = JSON::PP::decode_json($self->engine('GET', "/containers/$made->{Id}/json"));
    my $port = $seen->{NetworkSettings}{Ports}{'8080/tcp'}[0]{HostPort};
    wait_until("the script's container", 30, 0.005, sub {
        my ($status, $body) = http({ host => '127.0.0.1', port => $port }, 'GET', '/', headers => { Connection => 'close' });
        return $status == 200 && index($body, $word) >= 0;
    });
    @$self{qw(old image)} = ($made->{Id}, $image);
    return;
}

sub remove {
    my ($self) = @_;
    return unless $self->{old};
    $self->engine('DELETE', "/containers/$self->{old}?force=true");
    $self->engine('DELETE', "/images/$self->{image}?force=true");
    $self->{old} = undef;
    return;
}

1;
