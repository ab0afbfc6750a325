package WH::Workers;
# A complete Wisehost with several agents, each behind a cable of its own (WH::Netns) that can be cut while
# its containers go on: the engine is one for all and is reached by its socket, and what an agent publishes
# is at the near end of its cable. The first agent's channel leads through httpd, the last one's to the
# scheduler's own TLS listener. WH::Stack's options, and: workers => 2.
use strict;
use warnings;
use parent -norequire, 'WH::Stack';
use Carp qw(croak);
use File::Path qw(make_path);
use IO::Socket::INET;
use WH::Netns;
use WH::Stack;
use WH::Wait qw(wait_for);

sub new {
    my ($class, %o) = @_;
    my $self = $class->SUPER::new(%o);
    my ($uid, $gid) = (getpwnam 'wisehost-agent')[2, 3];
    for my $n (1 .. $o{workers} // 2) {
        my $name = "agent-$n";
        my $netns = WH::Netns->new;
        $self->{netns}{$name} = $netns;
        $self->{agent_prefix}{$name} = [ $netns->prefix ];
        make_path("$self->{dir}/$name");
        chmod 0700, "$self->{dir}/$name";
        chown $uid, $gid, "$self->{dir}/$name";
    }
    $self->{agents} = [ sort keys %{ $self->{netns} } ];
    $self->{httpd_extra} = join '', $self->{httpd_extra} // '',
        map { $self->_near_host($_->near_address) } values %{ $self->{netns} };
    $self->_listener($self->netns(($self->agents)[-1])->near_address);
    return $self;
}

# A certificate for that address, the scheduler's listener there.
sub _listener {
    my ($self, $address) = @_;
    my $port = IO::Socket::INET->new(LocalAddr => $address, LocalPort => 0, Listen => 1, ReuseAddr => 1)->sockport;
    my $tls = "$self->{dir}/conf/listen";
    my ($rc, $said) = $self->run_cmd(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch -subj /CN=hub),
        '-addext', "subjectAltName=IP:$address", '-keyout', "$tls.key", '-out', "$tls.pem");
    croak "openssl: $said" if $rc != 0;
    chmod 0755, "$self->{dir}/conf";
    chmod 0644, "$tls.pem";
    chmod 0600, "$tls.key";
    chown((getpwnam 'wisehost')[2, 3], "$tls.key");
    $self->{scheduler_conf} = { listen => "$address:$port", listen_cert => "$tls.pem", listen_key => "$tls.key",
        %{ $self->{scheduler_conf} // {} } };
    $self->{hub_url} = "wss://$address:$port";
    return;
}

sub netns { my ($self, $name) = @_; return $self->{netns}{$name} }

# The API at the near end, too. What an agent sends is not looked at on this cable.
sub _near_host {
    my ($self, $address) = @_;
    return <<"END";
Listen $address:$self->{port}
<VirtualHost $address:$self->{port}>
    ServerName $address
    WiseHostInsecureHTTP On
    WiseHostAPI On
</VirtualHost>
END
}

sub configure {
    my $self = shift;
    $self->SUPER::configure;
    for my $name ($self->agents) {
        my $at = $self->netns($name)->near_address;
        my %keys = (state_dir => "$self->{dir}/$name", server_url => "http://$at:$self->{port}", name => $name,
            enrolment_token_file => "$self->{dir}/conf/enrolment-$name", local_repo_root => "$self->{dir}/repos",
            address => $at, $self->{engine} ? (engine_socket => "$self->{dir}/engine/podman.sock") : (),
            $name eq ($self->agents)[-1] ? (hub_url => $self->{hub_url}, ca_file => "$self->{dir}/conf/listen.pem") : (),
            %{ $self->{agent_conf} // {} });
        $self->_write("$name.conf", join('', map {"$_ = $keys{$_}\n"} sort keys %keys), 'wisehost-agent');
    }
    return;
}

# Everything, up to all workers online and a token.
sub start {
    my $self = shift;
    $self->SUPER::start(agent => 0);
    for my $name ($self->agents) {
        my ($made) = ($self->as_wisehost('--enrolment-token'))[1] =~ /^ENROLMENT_TOKEN=(\S+)/m;
        $self->_write("enrolment-$name", "$made\n", 'wisehost-agent');
        $self->start_agent($name);
    }
    $self->wait_all_online(30);
    return $self;
}

# The engine's events are evidence: all of them are kept, not the newest megabyte. What it leaves of a build
# when it is killed lies below its own directory.
sub start_engine {
    my $self = shift;
    my $engine = "$self->{dir}/engine";
    make_path("$engine/tmp");
    local $ENV{TMPDIR} = "$engine/tmp";
    my ($rc, $said) = $self->run_cmd("$WH::Stack::src/conf/engine.sh", 'prepare', $engine);
    croak "no container engine: $said" if $rc != 0;
    if (WH::Stack::slurp("$engine/containers.conf") !~ /events_logfile_max_size/) {
        open my $conf, '>>', "$engine/containers.conf" or croak "$engine/containers.conf: $!";
        print {$conf} qq(events_logfile_max_size = "1g"\n);
        close $conf or croak "$engine/containers.conf: $!";
    }
    return $self->SUPER::start_engine;
}

# A bridge takes the lowest of its ports' addresses as its own: when a container stops, it may change, and the
# others on it still send to the old one. Docker, and Podman's netavark from 1.9, give it one for good; Debian 12's
# does not. What comes from outside this machine heals that at once, and so does what comes from 127.0.0.1, but
# here httpd sends from the near end of a cable. So the bridges are told to say that they have changed.
sub steady_bridges {
    my $self = shift;
    my ($rc, $names) = $self->podman(qw(network ls --format), '{{.Name}}');
    for my $net (grep {/^wisehost-/} split /\n/, $names) {
        my ($rc2, $bridge) = $self->podman(qw(network inspect --format), '{{.NetworkInterface}}', $net);
        chomp $bridge;
        open my $file, '>', "/proc/sys/net/ipv4/conf/$bridge/arp_notify" or next;
        print {$file} "1\n";
        close $file;
    }
    return;
}

sub online {
    my $self = shift;
    my $got = $self->api(GET => '/v1/workers')->{json};
    return scalar grep { $_->{status} eq 'online' } @{ ($got // {})->{items} // [] };
}

sub wait_all_online {
    my ($self, $seconds) = @_;
    wait_for { $self->online == $self->agents } $seconds, 'all workers online';
    return;
}

sub stop {
    my $self = shift;
    my @stuck = $self->SUPER::stop;
    $_->remove for values %{ $self->{netns} };
    # What an engine that was killed in a build had mounted, nobody takes down any more.
    open my $mounts, '<', '/proc/self/mounts' or return @stuck;
    for my $at (map { (split / /)[1] } <$mounts>) {
        $self->run_cmd(qw(umount --lazy), $at) if index($at, "$self->{dir}/") == 0;
    }
    return @stuck;
}

1;
