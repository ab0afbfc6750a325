package WH::KillStack;
# The stack of the kill rounds: two agents behind cables of their own, one engine, static and container
# apps whose starts go into a ledger, hundreds of commits of each ready to be deployed.
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Test::More;
use WH::Kill qw(deploy_all kill_rounds);
use WH::KillJudge qw(judge);
use WH::Ledger;
use WH::Stack;
use WH::Workers;

our @EXPORT_OK = qw(run_kill_rounds);

use constant {
    APPS        => 20,
    CONTAINERS  => 8,     # of them, but in the batches in which all are
    CPU_MILLIS  => 250,
    MEMORY      => 32 * 1024 * 1024,
    IMAGES_KEPT => 3,
    PAGES       => 20,    # a static deployment brings so many new files, and takes its time
};

sub _build {
    my ($stack, $name, @flags) = @_;
    my $to = $stack->dir . "/$name";
    system('gcc', '-static', '-O2', '-o', $to, @flags, "$WH::Stack::src/t/tools/$name.c") == 0
        or croak "$name does not build";
    chmod 0755, $to;
    return $to;
}

# All the commits that an app will need, in one go: git fast-import. Each changes the files @names.
sub _commits {
    my ($repo, $slug, $n, $files, @names) = @_;
    my (@words, $stream);
    for my $i (1 .. $n) {
        my $word = "$slug-$i-" . join '', map { chr 97 + rand 26 } 1 .. 8;
        push @words, $word;
        $stream .= "commit refs/heads/main\nmark :$i\ncommitter Test <test\@example.org> 1700000000 +0000\n"
            . 'data ' . length($word) . "\n$word\n"
            . ($i == 1 ? join('', map { "M $files->{$_}[0] inline $_\ndata " . length($files->{$_}[1]) . "\n$files->{$_}[1]\n" }
                sort keys %$files) : '')
            . join('', map { "M 100644 inline $_\ndata " . (length($word) + 1) . "\n$word\n" } @names) . "\n";
    }
    my $marks = $repo->work . '.marks';
    my $in = $repo->work . '.import';
    open my $file, '>:raw', $in or croak "$in: $!";
    print {$file} $stream;
    close $file or croak "$in: $!";
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', $in or POSIX::_exit(126);
        exec 'git', '--git-dir', $repo->path, 'fast-import', '--quiet', "--export-marks=$marks" or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    croak 'fast-import failed' if $? != 0;
    $repo->own;
    my %sha = WH::Stack::slurp($marks) =~ /^:(\d+) ([0-9a-f]{40})$/mg;
    return [ map { { sha => $sha{$_}, word => $words[ $_ - 1 ] } } 1 .. $n ];
}

sub _app {
    my ($stack, $slug, $kind, $n, $files) = @_;
    my $repo = $stack->repo($slug);
    my $app = { slug => $slug, kind => $kind, serve => { grace_seconds => 10 },
        commits => _commits($repo, $slug, $n, $files,
            $kind eq 'container' ? 'word' : ('index.html', map {"page-$_.html"} 1 .. PAGES)) };
    my $got = $stack->api(POST => '/v1/apps', { slug => $slug, kind => $kind,
        repository => { url => $repo->path, branch => 'main' },
        $kind eq 'container' ? (run => { cpu_millis => CPU_MILLIS, memory_bytes => MEMORY, pids => 32 }) : () });
    croak "app $slug: $got->{status} $got->{body}" unless $got->{status} == 201;
    return $app;
}

# (the containers, the static ones, the containers for a batch of nothing else)
sub _apps {
    my ($stack, $ledger, $o) = @_;
    my $server = WH::Stack::slurp(_build($stack, 'ledger-app'));
    my %files = (
        server     => [ 100755, $server ],
        collector  => [ 100644, $ledger->collector . "\n" ],
        Dockerfile => [ 100644, "FROM scratch\nCOPY server collector word /\nEXPOSE 8080\nENTRYPOINT [\"/server\"]\n" ],
    );
    my $n = 2 * $o->{rounds} + 40;
    my $static = APPS - $o->{containers};
    return (
        [ map { _app($stack, sprintf('box-%02d', $_), 'container', $n, \%files) } 1 .. $o->{containers} ],
        [ map { _app($stack, sprintf('page-%02d', $_), 'static', $n, {}) } 1 .. $static ],
        [ map { _app($stack, sprintf('more-%02d', $_), 'container', $n, \%files) } 1 .. ($o->{all_every} ? $static : 0) ],
    );
}

# run_kill_rounds(rounds => n, parts => […], containers => 8, all_every => each so many rounds all 20 are
# containers, 0 = never)
sub run_kill_rounds {
    my (%o) = @_;
    $o{containers} //= CONTAINERS;
    $o{all_every} //= 0;
    # With a standby beside it a scheduler that dies is replaced at once: that is a part of its own.
    my $standby = grep { $_ eq 'standby' } @{ $o{parts} };
    my $stack = WH::Workers->new(engine => 1, own_server => 1, standby => $standby, agent_conf => {
        max_jobs => 3, cpu_millis => 16_000, memory_bytes => 4 * 1024 ** 3, images_kept => IMAGES_KEPT });
    my $ledger = WH::Ledger->new(dir => $stack->dir, address => $stack->netns('agent-1')->near_address);
    $stack->{agent_conf}{git_program} = _build($stack, 'ledger-git', '-DLEDGER="' . $ledger->path . '"');
    $stack->steady_bridges;
    $stack->start;
    my ($boxes, $pages, $more) = _apps($stack, $ledger, \%o);
    my $all = $o{all_every};
    my %acked;
    deploy_all($stack, [ @$boxes, @$pages, @$more ], \%acked, 'at the beginning');
    my $got = kill_rounds($stack, %o, acked => \%acked, apps => sub {
        my $round = shift;
        return $all && $round % $all == 0 ? [ @$boxes, @$more ] : [ @$boxes, @$pages ];
    });
    judge($stack, $ledger, $got, images_kept => IMAGES_KEPT, cpu_millis => CPU_MILLIS, memory_bytes => MEMORY,
        apps => [ @$boxes, @$pages, @$more ]);
    return;
}

1;
