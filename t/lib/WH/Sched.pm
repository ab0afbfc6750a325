package WH::Sched;
# A scheduler of a test's own, without httpd and agent: state directory, database (WH_TEST_DB), the process,
# rows as the module would insert them, and test workers on its hub socket (WH::Sched::Worker).
use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use File::Temp ();
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time);
use WH::DB;
use WH::Proc;
use WH::Wait qw(wait_for try_for);

my $JSON = JSON::PP->new->canonical->utf8;

sub builddir { return abs_path($ENV{top_builddir} || $ENV{WH_BUILD} || '.') }

sub program {
    my ($name, @paths) = @_;
    for my $path (@paths) { return $path if -x $path }
    croak "$name is not built: @paths";
}

# A ULID as libwh makes them.
my $made = 0;
sub new_id {
    my @digits = split //, '0123456789abcdefghjkmnpqrstvwxyz';
    my ($ms, $text) = (int(time * 1000), '');
    for (1 .. 10) { $text = $digits[$ms % 32] . $text; $ms = int($ms / 32) }
    $text .= $digits[rand 32] for 1 .. 12;
    my $n = ++$made;
    my $tail = '';
    for (1 .. 4) { $tail = $digits[$n % 32] . $tail; $n = int($n / 32) }
    return $text . $tail;
}

sub now_us { return int(time * 1_000_000) }

# new(conf => { key => value }, db => of another scheduler)
sub new {
    my ($class, %o) = @_;
    croak 'the scheduler tests need root' if $> != 0;
    my $build = builddir();
    my $self = bless { owner => $$, conf => $o{conf} // {} }, $class;
    $self->{tmp} = File::Temp->newdir('wh-sched-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{WH_KEEP});
    my $dir = $self->{dir} = "$self->{tmp}";
    chmod 0755, $dir;
    $self->{bin} = program('wh-scheduler', "$build/wh-scheduler/wh-scheduler",
        ($ENV{WH_INST} // '/nonexistent') . '/sbin/wh-scheduler');
    $self->{tool} = program('wh-test-worker', "$build/t/tools/wh-test-worker");
    if (!defined getpwnam 'wisehost') {
        system('useradd', '--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent',
            '--shell', '/usr/sbin/nologin', 'wisehost');
    }
    $self->{db} = $o{db} // WH::DB->new(file => "$dir/state/db/wisehost.db", dir => "$dir/pg", own_server => $o{own_server},
        kind => $o{db_kind}, pg_options => $o{pg_options});
    $self->write_conf;
    return $self;
}

sub dir   { return $_[0]{dir} }
sub state { return "$_[0]{dir}/state" }
sub db    { return $_[0]{db} }
sub sql   { my ($self, $sql) = @_; return $self->{db}->rows($sql) }
sub value { my ($self, $sql) = @_; return $self->{db}->value($sql) }

sub write_conf {
    my ($self, %more) = @_;
    my %conf = (state_dir => $self->state, base_domain => 'apps.test', log_level => 'debug',
        %{ $self->{conf} }, %more);
    $conf{db_driver} //= $self->{db}->driver;
    $conf{db_params} //= $self->{db}->params;
    open my $out, '>', "$self->{dir}/scheduler.conf" or croak $!;
    print {$out} "$_ = $conf{$_}\n" for sort keys %conf;
    close $out or croak $!;
    return;
}

# Runs wh-scheduler with the words given and returns (exit code, stdout, stderr).
sub run {
    my ($self, @words) = @_;
    my $err = "$self->{dir}/run.err";
    my $pid = open my $out, '-|';
    croak "fork: $!" unless defined $pid;
    if ($pid == 0) {
        open STDERR, '>', $err or POSIX::_exit(126);
        exec { $self->{bin} } $self->{bin}, '-c', "$self->{dir}/scheduler.conf", @words or POSIX::_exit(127);
    }
    local $/;
    my $said = <$out> // '';
    close $out;
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    open my $in, '<', $err or croak $!;
    return ($code, $said, scalar(<$in>) // '');
}

sub init {
    my ($self) = @_;
    my ($code, $out, $err) = $self->run(qw(--init --user wisehost --httpd-user www-data));
    croak "--init failed: $err" if $code != 0;
    return $out;
}

sub start {
    my ($self, %o) = @_;
    my $before = () = $self->log =~ / is ready, hub on /g;
    $self->{proc} = WH::Proc->start(name => 'scheduler', cmd => [ $self->{bin}, '-c', "$self->{dir}/scheduler.conf" ],
        log => "$self->{dir}/scheduler.log");
    return $self if $o{no_wait};
    wait_for { $self->{proc}->runs or croak 'the scheduler ended: ' . $self->log;
        (() = $self->log =~ / is ready, hub on /g) > $before } 20, 'the scheduler';
    return $self;
}

sub stop  { my ($self) = @_; return $self->{proc}->stop(10) }
sub kill9 { my ($self) = @_; return $self->{proc}->kill9 }
sub pid   { return $_[0]{proc}->pid }

sub log {
    my ($self) = @_;
    open my $in, '<', "$self->{dir}/scheduler.log" or return '';
    local $/;
    return scalar(<$in>) // '';
}

# Warnings and errors whose tags were not announced.
sub unexpected {
    my ($self, @tags) = @_;
    my %ok = map { $_ => 1 } @tags;
    return join "\n", grep { /^\S+ (?:warn|error) (WH\d+)/ && !$ok{$1} } split /\n/, $self->log;
}

# As httpd does after new work.
sub poke {
    my ($self) = @_;
    my $sock = IO::Socket::UNIX->new(Peer => $self->state . '/run/hub.sock') or return 0;
    print {$sock} "POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    close $sock;
    return 1;
}

# ---- rows, as the module writes them ----

sub insert {
    my ($self, $table, %row) = @_;
    my @cols = sort keys %row;
    my @vals = map { defined $row{$_} ? "'" . ($row{$_} =~ s/'/''/gr) . "'" : 'NULL' } @cols;
    $self->sql("INSERT INTO $table (" . join(', ', @cols) . ') VALUES (' . join(', ', @vals) . ')');
    return;
}

sub snapshot {
    my ($slug, $kind, %o) = @_;
    return $JSON->encode({ slug => $slug, kind => $kind, spa => $o{spa} ? JSON::PP::true : JSON::PP::false,
        repository => { url => 'https://git.example/x.git', branch => 'main', root_directory => '' },
        build => { build_command => undef, dockerfile => 'Dockerfile', output_directory => '' },
        run => { port => 8080, health_path => '/', replicas => 1, cpu_millis => 100, memory_bytes => 67108864,
            pids => 64 } });
}

sub app {
    my ($self, $slug, $kind) = @_;
    my %app = (id => new_id(), slug => $slug, kind => $kind // 'static');
    my $now = now_us();
    $self->insert('apps', id => $app{id}, slug => $slug, name => $slug, kind => $app{kind},
        repo_url => 'https://git.example/x.git', repo_branch => 'main', serve_grace_s => 10, created_at => $now, updated_at => $now);
    return \%app;
}

my %numbers;
# deployment($app, environment => …, ref => …, snapshot => text, number => n): prepare with its pending job
sub deployment {
    my ($self, $app, %o) = @_;
    my $now = now_us();
    my %d = (id => new_id(), job => new_id(), app => $app);
    my $container = $app->{kind} eq 'container' ? 1 : 0;
    $self->insert('deployments', id => $d{id}, app_id => $app->{id}, number => $o{number} // ++$numbers{ $app->{id} },
        environment => $o{environment} // 'production', status => 'prepare', trigger_kind => 'api',
        commit_ref => $o{ref} // '', snapshot => $o{snapshot} // snapshot($app->{slug}, $app->{kind}, %o),
        created_at => $now);
    $self->insert('jobs', id => $d{job}, kind => 'deploy', app_id => $app->{id}, deployment_id => $d{id},
        status => 'pending', created_at => $now, not_before => $o{hold} ? '9000000000000000' : 0, needs_engine => $container,
        cpu_millis => $container ? 100 : 0, memory_bytes => $container ? 67108864 : 0);
    return \%d;
}

sub release {
    my ($self) = @_;
    my $id = substr sha256_hex(new_id()), 0, 40;
    $self->insert('releases', id => $id, files => 1, bytes => 1, created_at => now_us());
    return $id;
}

my $workers = 0;
# A registered worker and its connection's end (not connected yet).
sub worker {
    my ($self, %o) = @_;
    my $id = ++$workers;
    my $key = sha256_hex(new_id());
    my $now = now_us();
    $self->insert('workers', id => $id, public_id => new_id(), name => "w$id", key_hash => sha256_hex($key),
        address => '127.0.0.1', cpu_millis => 4000, memory_bytes => 4 << 30, created_at => $now, updated_at => $now,
        max_jobs => $o{max_jobs} // 2);
    return WH::Sched::Worker->new($self, $id, $key, %o);
}

# The same worker's end of a connection to this scheduler.
sub again {
    my ($self, $worker) = @_;
    return WH::Sched::Worker->new($self, $worker->{id}, $worker->{key}, max_jobs => $worker->{max_jobs},
        engine => $worker->{engine});
}

sub job_status { my ($self, $d) = @_; return $self->value("SELECT status FROM jobs WHERE id = '$d->{job}'") }

sub deployment_status {
    my ($self, $d) = @_;
    my ($row) = $self->sql("SELECT status, conclusion, cause_code FROM deployments WHERE id = '$d->{id}'");
    return join '/', @$row;
}

# True once the condition is, within 10 seconds.
sub soon {
    my ($self, $condition) = @_;
    return try_for(\&$condition, 10);
}

# 0 when the route table is sound.
sub routes {
    my ($self) = @_;
    my ($code) = $self->run('--verify-routes', $self->state . '/routes');
    return $code;
}

sub log_lines {
    my ($self, $d) = @_;
    my $text = '';
    for my $path (sort glob $self->state . "/logs/$d->{id}/*.seg") {
        open my $in, '<', $path or croak $!;
        local $/;
        $text .= <$in>;
    }
    return split /\n/, $text;
}

package WH::Sched::Worker;
use strict;
use warnings;
use Carp qw(croak);
use IPC::Open2 qw(open2);
use IO::Select;
use WH::Wait qw(now_s);

sub new {
    my ($class, $sched, $id, $key, %o) = @_;
    my $self = bless { sched => $sched, id => $id, key => $key, buffer => '', events => [], owner => $$,
        max_jobs => $o{max_jobs} // 2, engine => $o{engine} // 'podman 4' }, $class;
    $self->{pid} = open2($self->{out}, $self->{in}, $sched->{tool}, $sched->state . '/run/hub.sock',
        $sched->state . '/keys/root.key', $id, $key);
    return $self;
}

sub do {
    my ($self, $what, %args) = @_;
    syswrite $self->{in}, $JSON->encode({ do => $what, %args }) . "\n" or croak "test worker: $!";
    return $self;
}

sub send { my ($self, $type, $p, %args) = @_; return $self->do('send', type => $type, p => $p // {}, %args) }

# The next event, or undef after $seconds.
sub event {
    my ($self, $seconds) = @_;
    my $end = now_s() + ($seconds // 10);
    while (1) {
        return shift @{ $self->{events} } if @{ $self->{events} };
        my $left = $end - now_s();
        return undef if $left <= 0;
        next unless IO::Select->new($self->{out})->can_read($left);
        my $n = sysread $self->{out}, $self->{buffer}, 65536, length $self->{buffer};
        croak 'the test worker ended' unless $n;
        push @{ $self->{events} }, $JSON->decode($1) while $self->{buffer} =~ s/^(.*)\n//;
    }
}

# The next frame of this type, or end of the connection when type is "closed". Others in between are
# dropped, but for jobs: those are kept for who asks for them next.
sub wait {
    my ($self, $type, $seconds) = @_;
    my $end = now_s() + ($seconds // 10);
    my (@jobs, $got);
    while (defined(my $event = $self->event($end - now_s()))) {
        my $is = $event->{event} eq 'frame' ? $event->{type} : $event->{event};
        $got = $event if $is eq $type;
        last if $got || $is eq 'closed';
        push @jobs, $event if $is eq 'job';
    }
    unshift @{ $self->{events} }, @jobs;
    return $got;
}

sub connect {
    my ($self, %args) = @_;
    $self->do('connect', %args);
    while (defined(my $event = $self->event(5))) {
        return $event if $event->{event} eq 'connected' || $event->{event} eq 'refused';
    }
    croak 'no answer to the upgrade';
}

sub hello {
    my ($self, %more) = @_;
    $self->send('hello', { version => '0.1.0', name => "w$self->{id}", cpu_millis => 4000, memory_bytes => 4 << 30,
        labels => {}, engine => $self->{engine}, max_jobs => $self->{max_jobs}, running => [], results => [],
        instances => [], %more });
    return $self->wait('welcome');
}

sub up { my ($self, %more) = @_; $self->connect; return $self->hello(%more) }

# Takes the job that comes: ack, go. Returns its payload.
sub begin {
    my ($self) = @_;
    my $job = $self->wait('job') or return undef;
    $self->send('job_ack', { job => $job->{p}{job}, epoch => $job->{p}{epoch}, accepted => JSON::PP::true() });
    my $go = $self->wait('job_go') or return undef;
    return $job->{p};
}

my %timings = map { ("${_}_ms" => 1) } qw(clone build start check upload);
sub result {
    my ($self, $job, $outcome, %more) = @_;
    $self->send('job_result', { job => $job->{job}, epoch => $job->{epoch}, outcome => $outcome, instances => [],
        timings => {%timings}, ($outcome eq 'succeeded' ? () : (cause => { code => 'build_failed', detail => 'It broke.' })),
        %more });
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($?, $!);
    close $self->{in};
    close $self->{out};
    waitpid $self->{pid}, 0;
    return;
}

1;
