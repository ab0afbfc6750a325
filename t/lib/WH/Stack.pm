package WH::Stack;
# A complete Wisehost of a test's own: httpd, scheduler, agent and (wanted) a container engine, from the
# installed build that WH_INST names, on free ports, below one temporary directory, on WH_TEST_DB.
# Everything is ended by pid, also when the test dies; the directory goes with it (WH_KEEP=1 keeps it).
use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use WH::Httpd ();
use WH::DB;
use WH::Http qw(http_request json_decode);
use WH::Proc;
use WH::Repo;
use WH::Wait qw(wait_for try_for);

our $src = abs_path(dirname(__FILE__) . '/../../..');

sub free_port {
    my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 1)
        or croak "no free port: $!";
    return $sock->sockport;
}

sub slurp {
    my $path = shift;
    open my $file, '<:raw', $path or return '';
    local $/;
    return scalar <$file> // '';
}

# new(engine => 1, agent_conf => {…}, scheduler_conf => {…}, httpd_extra => text, own_server => 1)
sub new {
    my ($class, %o) = @_;
    my $inst = $ENV{WH_INST} // croak 'WH_INST does not name an installed build: use t/run';
    croak 'the stack needs root' if $> != 0;
    my $dir = File::Temp::tempdir('wh-t-XXXXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    my $self = bless { %o, dir => $dir, inst => $inst, port => free_port(), owner => $$,
        # On a busy machine httpd's children may be slow to go.
        allowed => [qr/AH0004[56]/] },
        $class;
    make_path(map { "$dir/$_" } qw(conf log pid httpd repos work cli));
    chmod 0700, "$dir/cli";
    symlink $inst, "$dir/inst";
    for my $user (qw(wisehost wisehost-agent)) {
        system('useradd', '--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent',
            '--shell', '/usr/sbin/nologin', $user)
            unless defined getpwnam $user;
    }
    my ($uid, $gid) = (getpwnam 'wisehost-agent')[2, 3];
    make_path("$dir/agent");
    chmod 0700, "$dir/agent";
    chown $uid, $gid, "$dir/agent";
    $self->{db} = WH::DB->new(
        file => "$dir/state/db/wisehost.db", dir => "$dir/pg", own_server => $o{own_server}, pg_options => $o{pg_options});
    return $self;
}

sub dir  { return $_[0]{dir} }
sub port { return $_[0]{port} }
sub url  { return "http://127.0.0.1:$_[0]{port}" }
sub db   { return $_[0]{db} }
sub token { return $_[0]{token} }
sub proc { my ($self, $name) = @_; return $self->{proc}{$name} }
sub log_text { my ($self, $name) = @_; return slurp("$self->{dir}/log/$name.log") }

sub _write {
    my ($self, $name, $text, $owner) = @_;
    my $path = "$self->{dir}/conf/$name";
    open my $file, '>', $path or croak "$path: $!";
    print {$file} $text;
    close $file or croak "$path: $!";
    chmod 0600, $path;
    chown((getpwnam $owner)[2, 3], $path) if $owner;
    return $path;
}

sub _keys { my $set = shift // {}; return join '', map { "$_ = $set->{$_}\n" } sort keys %$set }

sub configure {
    my $self = shift;
    my ($dir, $db) = @$self{qw(dir db)};
    my $conf = slurp("$src/conf/quickstart-httpd.conf.in");
    chomp(my $modules = `apxs -q LIBEXECDIR`);
    my %set = (RUN => $dir, PORT => $self->{port}, MODULES => $modules, DBDRIVER => $db->driver,
        DBPARAMS => $db->params);
    $conf =~ s/\@([A-Z]+)\@/$set{$1}/g;
    $self->_write('httpd.conf', $conf . ($self->{httpd_extra} // ''));
    $self->_write('scheduler.conf', _keys({
        state_dir => "$dir/state", db_driver => $db->driver, db_params => $db->params,
        base_domain => 'localhost', httpd_user => 'www-data', local_repo_root => "$dir/repos", %{ $self->{scheduler_conf} // {} },
    }), 'wisehost');
    $self->_write('agent.conf', _keys({
        state_dir => "$dir/agent", server_url => $self->url, name => 'test-worker',
        enrolment_token_file => "$dir/conf/enrolment", local_repo_root => "$dir/repos",
        address => '127.0.0.1', $self->{engine} ? (engine_socket => "$dir/engine/podman.sock") : (),
        %{ $self->{agent_conf} // {} },
    }), 'wisehost-agent');
    return;
}

# A program of the build, with what it says: (exit code, stdout and stderr).
sub run_cmd {
    my ($self, @cmd) = @_;
    my $pid = open(my $out, '-|') // croak "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

sub scheduler_cmd {
    my ($self, @args) = @_;
    return ("$self->{inst}/sbin/wh-scheduler", '-c', "$self->{dir}/conf/scheduler.conf", @args);
}

# wh-scheduler as it runs, with other arguments: (exit code, what it says).
sub as_wisehost {
    my ($self, @args) = @_;
    return $self->run_cmd(qw(setpriv --reuid wisehost --regid wisehost --groups www-data),
        $self->scheduler_cmd(@args));
}

sub init {
    my $self = shift;
    my ($rc, $said) = $self->run_cmd($self->scheduler_cmd(qw(--init --user wisehost --httpd-user www-data)));
    croak "wh-scheduler --init ended with $rc: $said" if $rc != 0;
    $self->{admin_token} = $1 if $said =~ /^ADMIN_TOKEN=(\S+)/m;
    (my $made) = ($self->as_wisehost('--enrolment-token'))[1] =~ /^ENROLMENT_TOKEN=(\S+)/m;
    $self->_write('enrolment', "$made\n", 'wisehost-agent');
    return $said;
}

sub _died {
    my ($self, $name) = @_;
    my $proc = $self->{proc}{$name} or return 0;
    return 0 if $proc->runs;
    croak "$name ended with $proc->{status}: " . substr $self->log_text($name), -2000;
}

sub start_scheduler {
    my $self = shift;
    my $dir = $self->{dir};
    unlink "$dir/state/run/hub.sock";
    $self->{proc}{scheduler} = WH::Proc->start(
        name => 'scheduler', user => 'wisehost', groups => 'www-data', umask => 007,
        log => "$dir/log/scheduler.log", cmd => [ $self->scheduler_cmd ], env => $self->{scheduler_env});
    wait_for { -S "$dir/state/run/hub.sock" || $self->_died('scheduler') } 15, 'the hub socket';
    return $self;
}

sub start_httpd {
    my $self = shift;
    my $dir = $self->{dir};
    $self->{proc}{httpd} = WH::Proc->start(
        name => 'httpd', log => "$dir/log/httpd.log", env => $self->{httpd_env},
        cmd => [ 'apache2', '-d', "$dir/httpd", '-f', "$dir/conf/httpd.conf", '-DFOREGROUND' ]);
    wait_for { $self->request(path => '/health')->{status} || $self->_died('httpd') } 15, 'httpd';
    return $self;
}

sub start_engine {
    my $self = shift;
    my $engine = "$self->{dir}/engine";
    my ($rc, $said) = $self->run_cmd("$src/conf/engine.sh", 'prepare', $engine);
    croak "no container engine: $said" if $rc != 0;
    chown 0, (getpwnam 'wisehost-agent')[3], $engine;
    chmod 0750, $engine;
    unlink "$engine/podman.sock";    # a killed service leaves its socket, which is not the new one's
    $self->{proc}{podman} = WH::Proc->start(
        name => 'podman', log => "$self->{dir}/log/podman.log", umask => 077, env => $self->{engine_env},
        cmd => [ "$src/conf/engine.sh", 'serve', $engine ]);
    wait_for { -S "$engine/podman.sock" || $self->_died('podman') } 15, 'the engine';
    chown 0, (getpwnam 'wisehost-agent')[3], "$engine/podman.sock";
    chmod 0660, "$engine/podman.sock";
    return $self;
}

sub podman { my ($self, @args) = @_; return $self->run_cmd("$src/conf/engine.sh", 'podman', "$self->{dir}/engine", @args) }

# One agent, or (WH::Workers) one of several, whose file and log are called as it is.
sub start_agent {
    my ($self, $name) = @_;
    my $dir = $self->{dir};
    $name //= 'agent';
    $self->{proc}{$name} = WH::Proc->start(
        name => $name, user => 'wisehost-agent', umask => 077, log => "$dir/log/$name.log",
        prefix => $self->{agent_prefix}{$name}, env => $self->{agent_env},
        cmd => [ "$self->{inst}/sbin/wh-agent", '-c', "$dir/conf/$name.conf" ]);
    return $self;
}

sub agents { return @{ $_[0]{agents} // ['agent'] } }

sub wait_online {
    my ($self, $seconds) = @_;
    wait_for {
        $self->_died('agent');
        my $got = $self->api(GET => '/v1/workers')->{json};
        grep { $_->{status} eq 'online' } @{ ($got // {})->{items} // [] };
    } $seconds // 20, 'a worker online';
    return $self;
}

# Everything, up to a worker online and a token.
sub start {
    my ($self, %o) = @_;
    $self->configure;
    $self->init;
    $self->start_scheduler;
    $self->start_httpd;
    $self->login;
    $self->start_engine if $self->{engine};
    return $self if defined $o{agent} && !$o{agent};
    $self->start_agent;
    $self->wait_online;
    return $self;
}

sub login {
    my $self = shift;
    my $got = $self->request(method => 'POST', path => '/v1/login', body => { token => $self->{admin_token} });
    croak "login: $got->{status} $got->{body}" unless $got->{status} == 201;
    $self->{token} = $got->{json}{token};
    return $self;
}

# --- using it ---

sub request { my ($self, %o) = @_; return http_request(port => $self->{port}, %o) }

# api(GET => path, body or undef, more options of http_request)
sub api {
    my ($self, $method, $path, $body, %o) = @_;
    return $self->request(method => $method, path => $path, body => $body, token => $self->{token}, %o);
}

# What the app answers by its name.
sub get {
    my ($self, $app, $path, %o) = @_;
    return $self->request(host => "$app.localhost:$self->{port}", path => $path // '/', %o);
}

# The command line: {rc, out, err}.
sub wh {
    my ($self, @args) = @_;
    return $self->wh_env({}, @args);
}

sub wh_env {
    my ($self, $env, @args) = @_;
    my ($out, $err) = map { "$self->{dir}/cli/$_" } qw(out err);
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        %ENV = (PATH => $ENV{PATH}, LC_ALL => 'C.UTF-8', XDG_CONFIG_HOME => "$self->{dir}/cli",
            WH_URL => $self->url, WH_TOKEN => $self->{token} // '', %$env);
        open STDIN, '<', delete $ENV{STDIN} // '/dev/null';
        open STDOUT, '>', $out or POSIX::_exit(126);
        open STDERR, '>', $err or POSIX::_exit(126);
        exec "$self->{inst}/bin/wh", @args or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return { rc => $? >> 8, signal => $? & 127, out => slurp($out), err => slurp($err) };
}

sub repo {
    my ($self, $name, $files) = @_;
    my $repo = WH::Repo->new(path => "$self->{dir}/repos/$name.git", work => "$self->{dir}/work/$name",
        user => 'wisehost-agent');
    $repo->commit($files, message => 'first') if $files;
    return $repo;
}

# An app with its repository: (slug, {file => content}, members of the app) -> the repository.
sub app {
    my ($self, $slug, $files, %members) = @_;
    my $repo = $self->repo($slug, $files);
    my $got = $self->api(POST => '/v1/apps',
        { slug => $slug, kind => 'static', repository => { url => $repo->path, branch => 'main' },
            serve => { grace_seconds => 10 }, %members });
    croak "app $slug: $got->{status} $got->{body}" unless $got->{status} == 201;
    return $repo;
}

# Deploys by the API and waits: the deployment as it ended.
sub deploy {
    my ($self, $slug, $body, $seconds) = @_;
    my $got = $self->api(POST => "/v1/apps/$slug/deployments", $body // {});
    croak "deploy $slug: $got->{status} $got->{body}" unless $got->{status} == 202;
    return $self->completed($got->{json}{id}, $seconds);
}

sub completed {
    my ($self, $id, $seconds) = @_;
    my $last;
    croak 'no deployment was made' unless defined $id;
    wait_for {
        $last = $self->api(GET => "/v1/deployments/$id")->{json};
        $last && ($last->{status} // '') eq 'completed';
    } $seconds // 60, "deployment $id to be completed";
    return $last;
}

# The lines of a deployment's log.
sub log_lines {
    my ($self, $id) = @_;
    my $got = $self->api(GET => "/v1/deployments/$id/logs?limit=1000")->{json};
    return map { $_->{text} } @{ ($got // {})->{items} // [] };
}

# --- ending it ---

# Lines that the test's own doings explain.
sub allow_log { my ($self, @patterns) = @_; push @{ $self->{allowed} }, @patterns; return }

# What stands in the logs of all parts and should not: errors, crashes, sanitizer reports.
sub bad_log_lines {
    my $self = shift;
    my @bad;
    for my $name (qw(httpd-error httpd scheduler), $self->agents) {
        for my $line (split /\n/, $self->log_text($name)) {
            # httpd: [wisehost:error]; ours: TIME error WH0123 …
            next unless $line =~ /\[(?:\w+:)?(?:error|crit|alert|emerg)\]|^\S+Z[ ]error[ ]|exit[ ]signal
                |Segmentation|Assertion|Sanitizer|runtime[ ]error/x;
            next if grep { $line =~ $_ } $WH::Httpd::STOPPING, @{ $self->{allowed} };
            push @bad, "$name: $line";
        }
    }
    return @bad;
}

sub stop {
    my $self = shift;
    my @stuck;
    for my $name ($self->agents, qw(httpd scheduler)) {
        my $proc = delete $self->{proc}{$name} or next;
        $proc->stop(20);
        push @stuck, $name if $proc->{killed};
    }
    if ($self->{proc}{podman}) {
        $self->podman(qw(rm --all --force --time 0));
        delete($self->{proc}{podman})->stop(10);
        $self->podman(qw(system reset --force)) if !$ENV{WH_KEEP};
        $self->run_cmd("$src/conf/engine.sh", 'clean', "$self->{dir}/engine");
    }
    if ($self->{disk}) { # of a test that gave the engine one of its own (WH::Disk)
        push @stuck, 'disk' if !delete($self->{disk})->remove;
    }
    $self->{stopped} = 1;
    return @stuck;
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$;
    local ($@, $?, $!);
    eval { $self->stop } unless $self->{stopped};
    delete $self->{db};
    if ($ENV{WH_KEEP}) { print STDERR "# kept: $self->{dir}\n" }
    else { remove_tree($self->{dir}) }
    return;
}

1;
