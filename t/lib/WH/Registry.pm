package WH::Registry;
# A registry of images on this machine: Debian's docker-registry, with TLS and one user.
use strict;
use warnings;
use Carp qw(croak);
use File::Path qw(make_path);
use IO::Socket::INET;
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for);

sub available { return -x '/usr/bin/docker-registry' ? 1 : 0 }

# new(dir => …, user => …, token => …)
sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, port => WH::Stack::free_port() }, $class;
    my $dir = $self->{dir};
    make_path("$dir/data");
    my $cost = '$2y$05$' . join '', map { ('a' .. 'z')[ rand 26 ] } 1 .. 22;
    $self->_write('users', "$o{user}:" . crypt($o{token}, $cost) . "\n");
    my ($rc, $said) = WH::Stack->run_cmd(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch -subj /CN=registry -addext),
        'subjectAltName=IP:127.0.0.1', '-keyout', "$dir/key", '-out', "$dir/crt");
    croak "openssl: $said" if $rc != 0;
    $self->_write('config.yml', <<"END");
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$self->{port}, tls: {certificate: $dir/crt, key: $dir/key}}
auth: {htpasswd: {realm: test, path: $dir/users}}
END
    $self->{proc} = WH::Proc->start(name => 'registry', log => "$dir/log",
        cmd => [ '/usr/bin/docker-registry', 'serve', "$dir/config.yml" ]);
    wait_for { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) || !$self->{proc}->runs } 15, 'the registry';
    croak 'docker-registry ended: ' . WH::Stack::slurp("$dir/log") if !$self->{proc}->runs;
    return $self;
}

sub _write {
    my ($self, $name, $text) = @_;
    open my $file, '>', "$self->{dir}/$name" or croak "$name: $!";
    print {$file} $text;
    close $file or croak "$name: $!";
    return;
}

sub name { return "127.0.0.1:$_[0]{port}" }
sub cert { return "$_[0]{dir}/crt" }

sub stop { my $self = shift; my $proc = delete $self->{proc} or return; $proc->stop(10); return }

sub DESTROY { local ($?, $@); $_[0]->stop; return }

1;
