package WH::AgentJob;
# Jobs of the agent one at a time, without a hub: the tool wh-agent-job, and a small server of our own in the
# place of /v1/agent for static releases.
use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path);
use File::Temp;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use Time::HiRes ();
use WH::Proc;
use WH::Repo;
use WH::Wait qw(wait_for);

sub builddir { return abs_path($ENV{top_builddir} || $ENV{WH_BUILD} || '.') }

my $owner = $$;
my @alive;
END { if ($$ == $owner) { local $?; $_->stop for grep { defined } @alive } }

# new(engine => 1 | 0, conf => {…})
sub new {
    my ($class, %o) = @_;
    my $self = bless {%o, n => 0}, $class;
    $self->{tmp} = File::Temp->newdir('wh-agent-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{WH_KEEP});
    $self->{dir} = "$self->{tmp}";
    chmod 0755, $self->{dir};
    make_path(map {"$self->{dir}/$_"} qw(state repos work log objects));
    $self->{tool} = builddir() . '/t/tools/wh-agent-job';
    croak "$self->{tool} is not built" if !-x $self->{tool};
    push @alive, $self;
    $self->start_engine if $o{engine};
    return $self;
}

sub dir { return $_[0]{dir} }


# --- a container engine of the test's own ---

sub engine_sh {
    my ($self, @args) = @_;
    my $src = abs_path($ENV{top_srcdir} || '.');
    open my $out, '-|', "$src/conf/engine.sh", @args or croak "engine.sh: $!";
    local $/;
    my $text = <$out> // '';
    close $out;
    $self->{engine_rc} = $? >> 8;
    return $text;
}

sub start_engine {
    my $self = shift;
    my $src  = abs_path($ENV{top_srcdir} || '.');
    my $said = $self->engine_sh('prepare', "$self->{dir}/engine");
    croak "no container engine: $said" if $self->{engine_rc};
    $self->{podman} = WH::Proc->start(
        name => 'podman', log => "$self->{dir}/log/podman.log", umask => 077,
        cmd  => [ "$src/conf/engine.sh", 'serve', "$self->{dir}/engine" ]);
    wait_for { -S "$self->{dir}/engine/podman.sock" } 15, 'the engine';
    return;
}

sub podman { my ($self, @args) = @_; return $self->engine_sh('podman', "$self->{dir}/engine", @args) }

# Names of all containers, running or not.
sub containers { my $self = shift; return sort split ' ', $self->podman(qw(ps --all --format {{.Names}})) }

# Whether the kernel can shut git in: its list of security modules, or its answer where that is not mounted.
sub has_landlock {
    my $version = syscall 444, 0, 0, 1;    # landlock_create_ruleset, the same on all machines
    return $version >= 1;
}

# --- jobs ---

sub repo {
    my ($self, $name) = @_;
    return WH::Repo->new(path => "$self->{dir}/repos/$name.git", work => "$self->{dir}/work/$name");
}

sub write_conf {
    my ($self, %more) = @_;
    my $path = "$self->{dir}/agent-" . ++$self->{n} . '.conf';
    my %conf = (
        state_dir => "$self->{dir}/state", local_repo_root => "$self->{dir}/repos",
        server_url => 'http://127.0.0.1:' . ($self->{port} // 1),
        $self->{podman} ? (engine_socket => "$self->{dir}/engine/podman.sock") : (),
        %{ $self->{conf} // {} }, %more);
    open my $fh, '>', $path or croak "$path: $!";
    print {$fh} "$_ = $conf{$_}\n" for sort keys %conf;
    close $fh;
    return $path;
}

# A 26 character id that differs from all before.
sub id { my $self = shift; return sprintf '01hz%022d', ++$self->{n} }

# payload(app => id, url => …, kind => 'static', branch, sha, root, output, source => {…}, …) of a job frame.
sub payload {
    my ($self, %o) = @_;
    my $null = undef;
    return {
        job => $o{job} // $self->id, epoch => 1, kind => $o{job_kind} // 'deploy', app => $o{app} // '01hz0000000000000000000app',
        slug => 'hello', deployment => $o{deployment} // $self->id, environment => 'production',
        snapshot => {
            slug => 'hello', kind => $o{kind} // 'static',
            repository => { url => $o{url} // '/', branch => $o{branch} // 'main', root_directory => $o{root} // '' },
            build => { build_command => $o{build_command}, dockerfile => $o{dockerfile} // 'Dockerfile', output_directory => $o{output} // '',
                %{ $o{build} // {} } },
            run => { port => $o{run_port} // 8080, health_path => $o{health} // '/', replicas => 1, cpu_millis => 500,
                memory_bytes => $o{memory} // 64 * 1048576, pids => 32 },
            spa => JSON::PP::false,
        },
        $o{env} ? (env => $o{env}) : (),
        $o{source} ? (source => $o{source}) : (),
        $o{image_of} ? (image_of => $o{image_of}) : (),
        commit => { sha => $o{sha}, ref => $null },
        deadlines => { clone_s => $o{clone_s} // 20, build_s => $o{build_s} // 60, start_s => 20, check_s => $o{check_s} // 10 },
    };
}

sub run_tool {
    my ($self, $conf, $doc, @args) = @_;
    my $file = "$self->{dir}/job-" . ++$self->{n} . '.json';
    open my $fh, '>', $file or croak "$file: $!";
    print {$fh} JSON::PP->new->canonical->encode($doc);
    close $fh;
    my $begin = Time::HiRes::time();
    my $pid = open my $out, '-|';
    croak "fork: $!" if !defined $pid;
    if (!$pid) {
        open STDERR, '>>', "$self->{dir}/log/tool.log";
        exec $self->{tool}, '-c', $conf, @args, $file or exit 127;
    }
    my (@lines) = <$out>;
    close $out;
    my %got = (rc => $? >> 8, signal => $? & 127, took => Time::HiRes::time() - $begin, log => [], phases => [], seen => []);
    chomp @lines;
    for (@lines) {
        if    (/^log (\w+) (.*)/s)  { push @{ $got{log} }, $2; push @{ $got{streams} }, $1 }
        elsif (/^phase (\w+)/)      { push @{ $got{phases} }, $1 }
        elsif (/^result (.*)/)      { $got{result} = JSON::PP->new->utf8->decode($1) }
        elsif (/^seen (\S+) (\S+) (\S+) (\S+)/) { push @{ $got{seen} }, { deployment => $1, container => $2, at => $3, state => $4 } }
    }
    $got{code} = $got{result}{cause}{code} // '';
    $got{detail} = $got{result}{cause}{detail} // '';
    $got{outcome} = $got{result}{outcome} // '';
    return \%got;
}

# run(…payload…, conf => {…}, cancel_after => ms)
sub run {
    my ($self, %o) = @_;
    my $conf = $self->write_conf(%{ delete $o{conf} // {} });
    my @args = $o{cancel_after} ? ('--cancel-after', delete $o{cancel_after}) : ();
    return $self->run_tool($conf, $self->payload(%o), @args);
}

sub reconcile {
    my ($self, @desired) = @_;
    return $self->run_tool($self->write_conf, {
        worker => '01hz0000000000000000000wrk', server_version => 'test', settings => { heartbeat_s => 30 },
        desired => [ map { { deployment => $_, app => '01hz0000000000000000000app', desired => 'running' } } @desired ] }, '--reconcile');
}

# --- the server's part ---

sub token {
    my $now = time;
    return join '.', map { encode_base64url($_) } '{"alg":"HS256","typ":"JWT"}',
        encode_json({ sub => 1, iat => $now, exp => $now + 900 }), 'signature';
}

# Serves on a port of its own; objects land in objects/, requests in log/api.
sub start_server {
    my $self = shift;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 20, ReuseAddr => 1)
        or croak "listen: $!";
    $self->{port} = $listen->sockport;
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        $SIG{PIPE} = 'IGNORE';
        while (1) {
            my $c = $listen->accept or next;
            eval { $self->_serve($c); 1 } or warn $@;
        }
    }
    close $listen;
    $self->{server_pid} = $pid;
    return;
}

sub _serve {
    my ($self, $c) = @_;
    while (defined(my $line = <$c>)) {
        my ($method, $path) = $line =~ /^(\S+) (\S+)/ or return;
        my %h;
        while (defined(my $l = <$c>)) {
            $l =~ s/\r?\n\z//;
            last if $l eq '';
            $h{ lc $1 } = $2 if $l =~ /^([^:]+):\s*(.*)/;
        }
        my $body = '';
        read $c, $body, $h{'content-length'} if $h{'content-length'};
        open my $log, '>>', "$self->{dir}/log/api";
        print {$log} "$method $path ", length($body), "\n";
        close $log;
        my $fault = $self->_fault;
        return if $fault eq 'drop';
        my ($status, $reply) = $fault ? ($fault, '{"code":"fault","detail":"as told"}') : $self->_answer($method, $path, $body, \%h);
        print {$c} "HTTP/1.1 $status X\r\nContent-Type: application/json\r\nContent-Length: ", length($reply), "\r\n\r\n$reply";
    }
    return;
}

# What the next requests get instead of an answer: a status each, 'drop' = the connection ends, 0 = the answer.
sub faults {
    my ($self, @faults) = @_;
    open my $fh, '>', "$self->{dir}/faults" or croak "faults: $!";
    print {$fh} "@faults";
    close $fh;
    return;
}

sub _fault {
    my $self = shift;
    open my $fh, '<', "$self->{dir}/faults" or return 0;
    my ($first, @rest) = split / /, <$fh> // '';
    close $fh;
    $self->faults(@rest);
    return $first // 0;
}

sub _answer {
    my ($self, $method, $path, $body, $h) = @_;
    my $objects = "$self->{dir}/objects";
    return (200, encode_json({ token => token(), token_expires_at => 'soon' })) if $path eq '/v1/workers/refresh-token';
    if ($path eq '/v1/agent/releases') {
        my $manifest = decode_json($body)->{manifest};
        my $text = join '', "wisehost-manifest 1\n", map {"$_->{path} $_->{sha256}\n"} @$manifest;
        open my $fh, '>', "$self->{dir}/manifest.json";
        print {$fh} $body;
        close $fh;
        my %seen;
        my @missing = grep { !-e "$objects/$_" && !$seen{$_}++ }
            map { ($_->{sha256}, map { $_->{sha256} } values %{ $_->{variants} // {} }) } @$manifest;
        my $release = $self->_release($manifest);
        return (200, encode_json({ release => $release, missing => \@missing }));
    }
    if ($method eq 'PUT' && $path =~ m{^/v1/agent/objects/([0-9a-f]{64})\?}) {
        return (422, '{"code":"hash_mismatch","detail":"another hash"}') if sha256_hex($body) ne $1;
        open my $fh, '>:raw', "$objects/$1";
        print {$fh} $body;
        close $fh;
        return (201, '{}');
    }
    if ($path =~ m{^/v1/agent/objects\?}) {
        my $n = 0;
        while ($body =~ s/\A([0-9a-f]{64}) (0|[1-9][0-9]*)\n//) {
            my ($sha, $data) = ($1, substr $body, 0, $2, '');
            return (422, '{"code":"hash_mismatch","detail":"another hash"}') if sha256_hex($data) ne $sha;
            open my $fh, '>:raw', "$objects/$sha";
            print {$fh} $data;
            close $fh;
            open my $log, '>>', "$self->{dir}/log/api";
            print {$log} "OBJECT $sha\n";
            close $log;
            $n++;
        }
        return length $body ? (400, '{"code":"bad_batch","detail":"no batch"}') : (200, encode_json({ stored => $n }));
    }
    return (200, '{}') if $path =~ m{^/v1/agent/releases/[0-9a-f]{40}/commit$};
    return (404, '{"code":"not_found","detail":"no"}');
}

# The id of a release as libwh makes it, with types left to it: asked of the real thing is not possible here.
sub _release {
    my ($self, $manifest) = @_;
    my %mime = (html => 'text/html;charset=utf-8', txt => 'text/plain;charset=utf-8');
    my $text = 'wisehost-manifest ' . ((grep { $_->{variants} } @$manifest) ? 2 : 1) . "\n";
    for my $e (sort { $a->{path} cmp $b->{path} } @$manifest) {
        my ($ext) = $e->{path} =~ /\.([a-z]+)$/;
        my $type = $mime{ $ext // '' } // 'application/octet-stream';
        $text .= "$e->{sha256} $e->{size} $type $e->{path}\n";
        $text .= " $_->[0] $_->[1]{sha256} $_->[1]{size}\n"
            for map { $e->{variants}{$_} ? [ $_, $e->{variants}{$_} ] : () } qw(br zstd gzip);
    }
    utf8::encode($text);
    return substr sha256_hex($text), 0, 40;
}

sub manifest {
    my $self = shift;
    open my $fh, '<', "$self->{dir}/manifest.json" or return [];
    local $/;
    return decode_json(<$fh>)->{manifest};
}

sub paths { my $self = shift; return join ' ', sort map { $_->{path} } @{ $self->manifest } }

# The requests since the last call.
sub requests {
    my $self = shift;
    open my $fh, '<', "$self->{dir}/log/api" or return ();
    my @lines = <$fh>;
    close $fh;
    unlink "$self->{dir}/log/api";
    chomp @lines;
    return @lines;
}

# Ends what was started; a test calls it at its end, and a test that dies gets here, too.
sub stop {
    my $self = shift;
    if (my $pid = delete $self->{server_pid}) { kill 'TERM', $pid; waitpid $pid, 0 }
    if ($self->{podman}) {
        $self->podman(qw(rm --all --force --time 0));
        delete($self->{podman})->stop(10);
        $self->podman(qw(system reset --force)) if !$ENV{WH_KEEP};
        $self->engine_sh('clean', "$self->{dir}/engine");
    }
    return;
}

sub DESTROY {
    my $self = shift;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT' && !$self->{podman} && !$self->{server_pid};
    local ($?, $@);
    $self->stop;
    return;
}

1;
