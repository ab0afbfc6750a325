#!/usr/bin/perl
# How fast waiting deployments get to their workers: BENCH_JOBS of as many apps, over BENCH_WORKERS connected
# agents, from the moment when they are there for the scheduler to see until the last agent has its last
# `job` frame. With PostgreSQL (fsync on) and with SQLite; the scheduler alone, without httpd.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(median run_cmd samples value top out_dir wait_until);
use Cwd qw(getcwd);
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use IO::Select;
use IPC::Open2 qw(open2);
use Time::HiRes qw(time sleep);

my $jobs = $ENV{BENCH_JOBS} || 10_000;
my $workers = $ENV{BENCH_WORKERS} || 100;
my $rounds = $ENV{BENCH_ROUNDS} || 5;
my @kinds = split ' ', $ENV{BENCH_DBS} || 'pgsql sqlite';

$ENV{top_builddir} ||= build();
require WH::Sched;
for my $kind (@kinds) {
    my @rate = map { measure($kind) } 1 .. $rounds;
    samples("assign_$kind", 'jobs/s', @rate);
    value("assign_$kind", median(@rate), 'jobs/s');
}

sub build {
    my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $home = getcwd();
    print "# building\n";
    run_cmd('autoreconf', '-i', top()) unless -x top() . '/configure';
    chdir $dir or die "$dir: $!\n";
    run_cmd(top() . '/configure', '--quiet');
    run_cmd('make', '-s', '-j2', 'check', 'TESTS=');
    chdir $home or die "$home: $!\n";
    return $dir;
}

sub id { my ($kind, $n) = @_; return sprintf '%s%025d', $kind, $n }

# Workers that are said to be large enough, each with its end of a connection.
sub connect_all {
    my ($s) = @_;
    my @all;
    my ($cpu, $room) = (64_000, 512 << 30);
    my $now = int(time * 1e6);
    for my $n (1 .. $workers) {
        my $key = sha256_hex("worker $n");
        $s->insert('workers', id => $n, public_id => id('w', $n), name => "w$n", key_hash => sha256_hex($key),
            address => '127.0.0.1', cpu_millis => $cpu, memory_bytes => $room, created_at => $now, updated_at => $now);
        my ($out, $in);
        my $pid = open2($out, $in, $s->{tool}, $s->state . '/run/hub.sock', $s->state . '/keys/root.key', $n, $key);
        push @all, { n => $n, pid => $pid, out => $out, in => $in };
        my $max = 128;
        syswrite $in, qq({"do":"connect"}\n{"do":"send","type":"hello","p":{"version":"0.1.0","name":"w$n",)
            . qq("cpu_millis":$cpu,"memory_bytes":$room,"labels":{},"engine":"podman 4","max_jobs":$max,)
            . qq("running":[],"results":[],"instances":[]}}\n);
    }
    return @all;
}

# Apps and deployments; their jobs are made later, all at once.
sub seed {
    my ($s) = @_;
    my $now = int(time * 1e6);
    my $file = $s->dir . '/seed.sql';
    open my $out, '>', $file or die "$file: $!\n";
    print {$out} "BEGIN;\n";
    for my $n (1 .. $jobs) {
        my $snapshot = WH::Sched::snapshot("app-$n", 'container');
        my ($app, $deployment) = (id('a', $n), id('d', $n));
        print {$out} "INSERT INTO apps (id, slug, name, kind, repo_url, repo_branch, created_at, updated_at)"
            . " VALUES ('$app', 'app-$n', 'App $n', 'container', 'https://git.example/x.git', 'main', $now, $now);\n"
            . "INSERT INTO deployments (id, app_id, number, status, trigger_kind, snapshot, created_at)"
            . " VALUES ('$deployment', '$app', 1, 'prepare', 'api', '$snapshot', $now);\n";
    }
    print {$out} "COMMIT;\n";
    close $out or die "$file: $!\n";
    my @client = $s->db->kind eq 'sqlite' ? ('sqlite3', $s->db->params, ".read $file")
        : ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, $s->db->params);
    run_cmd(@client);
    return;
}

# Returns when they can be seen, with the time from which on they could.
sub release {
    my ($s) = @_;
    my @client = $s->db->kind eq 'sqlite' ? ('sqlite3', '-cmd', '.timeout 5000', $s->db->params)
        : ('psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', $s->db->params);
    my $pid = open2(my $out, my $in, @client);
    my $now = int(time * 1e6);
    syswrite $in, "BEGIN;\nINSERT INTO jobs (id, kind, app_id, deployment_id, status, created_at, needs_engine,"
        . " cpu_millis, memory_bytes) SELECT 'j' || substr(id, 2), 'deploy', app_id, id, 'pending',"
        . " $now + CAST(substr(id, 2) AS BIGINT), 1, 100, 67108864 FROM deployments;\nSELECT 'made';\n";
    my $line = <$out>;
    my $start = time;
    syswrite $in, "COMMIT;\n";
    close $in;
    waitpid $pid, 0;
    $s->poke;
    return $start;
}

sub measure {
    my ($kind) = @_;
    my $s = WH::Sched->new(db_kind => $kind, own_server => 1, conf => { log_level => 'info' },
        pg_options => '-c fsync=on -c shared_buffers=128MB');
    $s->init;
    $s->start;
    seed($s);
    my @all = connect_all($s);
    my $select = IO::Select->new(map { $_->{out} } @all);
    my %buffer = map { fileno $_->{out} => '' } @all;
    my ($welcome, $got, $last) = (0, 0, 0);
    my $look = sub {
        for my $fh ($select->can_read(10)) {
            my $text = \$buffer{ fileno $fh };
            sysread $fh, $$text, 262144, length $$text or die "an agent ended\n";
            my $end = rindex($$text, "\n") + 1;
            my $lines = substr $$text, 0, $end, '';
            $welcome += () = $lines =~ /"type":"welcome"/g;
            $got += () = $lines =~ /"type":"job"/g;
            die "an agent was sent away: $1\n" if $lines =~ /("event":"(?:closed|refused|bad_frame).*)/;
            die "a hello was refused: $1\n" if $lines =~ /("type":"error".*)/;
            $last = time;
        }
    };
    $look->() while $welcome < $workers;
    sleep 1.5;
    my $start = release($s);
    my $limit = time + 300;
    $look->() while $got < $jobs && time < $limit;
    my $seconds = $last - $start;
    my ($done) = $s->value("SELECT COUNT(*) FROM jobs WHERE status = 'assigned' AND epoch = 1");
    die "$got frames, $done jobs assigned, of $jobs\n" if $got != $jobs || $done != $jobs;
    my $wrong = $s->value("SELECT COUNT(*) FROM workers w WHERE used_cpu <> (SELECT COALESCE(SUM(cpu_millis), 0)"
        . " FROM jobs j WHERE j.worker_id = w.id)");
    die "$wrong workers are miscounted\n" if $wrong;
    printf "# %s: %d jobs in %.3f s: %.0f jobs/s\n", $kind, $jobs, $seconds, $jobs / $seconds;
    close $_->{in} for @all;
    waitpid $_->{pid}, 0 for @all;
    $s->stop;
    return $jobs / $seconds;
}
