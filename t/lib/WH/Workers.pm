package WH::Workers;
# A complete Wisehost with several agents, each behind a cable of its own (WH::Netns) that can be cut while
# its containers go on: the engine is one for all and is reached by its socket, and what an agent publishes
# is at the near end of its cable. The first agent's channel leads through httpd, the last one's to the
# scheduler's own TLS listener. WH::Stack's options, and: workers => 2, standby => 1 (PostgreSQL): a second
# scheduler with a state directory and a listener of its own.
use strict;
use warnings;
use parent -norequire, 'WH::Stack';
use Carp qw(croak);
use File::Path qw(make_path);
use IO::Socket::INET;
use IO::Socket::UNIX;
use WH::Netns;
use WH::Proc;
use WH::Stack;
use WH::Wait qw(wait_for now_s);

use constant ARP_NOTIFY => '/proc/sys/net/ipv4/conf/default/arp_notify';

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
    $self->{tls_address} = $self->netns(($self->agents)[-1])->near_address;
    $self->_certificate($self->{tls_address});
    my @ports = map { _port($self->{tls_address}) } 0 .. ($o{standby} ? 1 : 0);
    $self->{scheduler_conf} = { $self->_listener($ports[0]), %{ $self->{scheduler_conf} // {} } };
    $self->{standby_port} = $ports[1];
    $self->{hub_url} = join ' ', map {"wss://$self->{tls_address}:$_"} @ports;
    return $self;
}

sub _port { return IO::Socket::INET->new(LocalAddr => $_[0], LocalPort => 0, Listen => 1, ReuseAddr => 1)->sockport }

sub _listener {
    my ($self, $port) = @_;
    my $tls = "$self->{dir}/conf/listen";
    return (listen => "$self->{tls_address}:$port", listen_cert => "$tls.pem", listen_key => "$tls.key");
}

# A certificate for that address.
sub _certificate {
    my ($self, $address) = @_;
    my $tls = "$self->{dir}/conf/listen";
    my ($rc, $said) = $self->run_cmd(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch -subj /CN=hub),
        '-addext', "subjectAltName=IP:$address", '-keyout', "$tls.key", '-out', "$tls.pem");
    croak "openssl: $said" if $rc != 0;
    chmod 0755, "$self->{dir}/conf";
    chmod 0644, "$tls.pem";
    chmod 0600, "$tls.key";
    chown((getpwnam 'wisehost')[2, 3], "$tls.key");
    return;
}

# --- the standby: as on another machine, but for what is shared between the machines ---

sub _init_standby {
    my $self = shift;
    my ($dir, $state, $db) = ($self->{dir}, "$self->{dir}/standby", $self->db);
    my %keys = ($self->_listener($self->{standby_port}), state_dir => $state, db_driver => $db->driver,
        db_params => $db->params, base_domain => 'localhost', httpd_user => 'www-data');
    $self->_write('standby.conf', join('', map {"$_ = $keys{$_}\n"} sort keys %keys), 'wisehost');
    my ($rc, $said) = $self->run_cmd("$self->{inst}/sbin/wh-scheduler", '-c', "$dir/conf/standby.conf",
        qw(--init --user wisehost --httpd-user www-data));
    croak "standby --init ended with $rc: $said" if $rc != 0;
    for my $key (qw(root.key module.key control.secret)) {
        ($rc, $said) = $self->run_cmd('cp', '-p', "$dir/state/keys/$key", "$state/keys/$key");
        croak $said if $rc != 0;
    }
    for my $shared (qw(releases logs)) {
        rmdir "$state/$shared" or croak "$state/$shared: $!";
        symlink "$dir/state/$shared", "$state/$shared" or croak "$state/$shared: $!";
    }
    return;
}

sub start_standby {
    my $self = shift;
    $self->{proc}{standby} = WH::Proc->start(
        name => 'standby', user => 'wisehost', groups => 'www-data', umask => 007, log => "$self->{dir}/log/standby.log",
        cmd => [ "$self->{inst}/sbin/wh-scheduler", '-c', "$self->{dir}/conf/standby.conf" ]);
    return $self;
}

sub _listens { my $path = shift; return defined IO::Socket::UNIX->new(Peer => $path) }

# After the database was away either may be the active one, and the other ended with 75, to be started again
# by whatever looks after it. Makes the first the active one again, for one agent comes through its httpd; it
# may be listening still and not know yet that it no longer is: that must last longer than its look at the lock.
sub settle_schedulers {
    my $self = shift;
    my $since;
    wait_for {
        for my $name (qw(scheduler standby)) {
            $self->start_as_standby($name) if !$self->proc($name)->runs;
        }
        my $other = _listens("$self->{dir}/standby/run/hub.sock");
        $self->proc('standby')->kill9 if $other;
        $since = undef if $other || !_listens("$self->{dir}/state/run/hub.sock");
        $since //= now_s() if !$other && _listens("$self->{dir}/state/run/hub.sock");
        defined $since && now_s() - $since > 3;
    } 30, 'the first scheduler to be the active one';
    return;
}

# How often each of the two has become the active one.
sub took_over { my ($self, $name) = @_; return scalar(() = $self->log_text($name) =~ / is ready, hub on /g) }

# Starts one that stands by: it does not come to listen.
sub start_as_standby {
    my ($self, $name) = @_;
    return $self->start_standby if $name eq 'standby';
    unlink "$self->{dir}/state/run/hub.sock";
    $self->{proc}{scheduler} = WH::Proc->start(
        name => 'scheduler', user => 'wisehost', groups => 'www-data', umask => 007,
        log => "$self->{dir}/log/scheduler.log", cmd => [ $self->scheduler_cmd ]);
    return $self;
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
        my %keys = (state_dir => "$self->{dir}/$name", server_url => "http://$at:$self->{port}", insecure_http => 'on', name => $name,
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
    if ($self->{standby}) { $self->_init_standby; $self->start_standby }
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
# So every bridge that is made from here on is; stop() puts the setting back.
sub steady_bridges {
    my $self = shift;
    $self->{arp_notify} //= _sysctl(ARP_NOTIFY);
    _sysctl(ARP_NOTIFY, 1);
    for my $path (glob '/proc/sys/net/ipv4/conf/wh-*/arp_notify') { _sysctl($path, 1) }
    return;
}

sub _sysctl {
    my ($path, $value) = @_;
    open my $file, defined $value ? '>' : '<', $path or return;
    if (defined $value) { print {$file} "$value\n"; return close $file }
    return scalar(<$file>) =~ s/\n//r;
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
    my $standby = delete $self->{proc}{standby};
    my @stuck;
    if ($standby) { $standby->stop(20); push @stuck, 'standby' if $standby->{killed} }
    push @stuck, $self->SUPER::stop;
    _sysctl(ARP_NOTIFY, delete $self->{arp_notify}) if defined $self->{arp_notify};
    $_->remove for values %{ $self->{netns} };
    # What an engine that was killed in a build had mounted, nobody takes down any more.
    open my $mounts, '<', '/proc/self/mounts' or return @stuck;
    for my $at (map { (split / /)[1] } <$mounts>) {
        $self->run_cmd(qw(umount --lazy), $at) if index($at, "$self->{dir}/") == 0;
    }
    return @stuck;
}

1;
