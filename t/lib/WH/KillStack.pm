package WH::KillStack;
# The stack of the kill rounds: one static and, where an engine is, one container app.
use strict;
use warnings;
use Exporter qw(import);
use Test::More;
use WH::Kill qw(kill_rounds);
use WH::Stack;

our @EXPORT_OK = qw(run_kill_rounds);

sub _container {
    my ($stack) = @_;
    my $server = $stack->dir . '/server';
    is(system('gcc', '-static', '-O2', '-pthread', '-o', $server, "$WH::Stack::src/examples/hello-container/server.c"),
        0, 'the example server is built');
    my $repo = $stack->repo('box');
    $repo->write_file('server', WH::Stack::slurp($server), 0755);
    $repo->commit({ Dockerfile => WH::Stack::slurp("$WH::Stack::src/examples/hello-container/Dockerfile"),
        'index.html' => "first\n", server => WH::Stack::slurp($server) });
    my $got = $stack->api(POST => '/v1/apps',
        { slug => 'box', kind => 'container', repository => { url => $repo->path, branch => 'main' } });
    is($got->{status}, 201, 'the container app is made') or diag($got->{body});
    is($stack->deploy('box', {}, 90)->{conclusion}, 'succeeded', 'and live');
    return $repo;
}

sub run_kill_rounds {
    my (%o) = @_;
    my $stack = WH::Stack->new(engine => 1, own_server => 1);
    $stack->start;
    my %repo = (page => $stack->app('page', { 'index.html' => "first\n" }));
    is($stack->deploy('page')->{conclusion}, 'succeeded', 'the static app is live');
    $repo{box} = _container($stack);
    kill_rounds($stack, %o, deploy => sub {
        my ($round) = @_;
        my %words;
        for my $slug (sort keys %repo) {
            my $word = "r$round-$slug-" . join '', map { chr 97 + rand 26 } 1 .. 8;
            my $sha = $repo{$slug}->commit({ 'index.html' => "$word\n" }, message => $word);
            my $got = $stack->api(POST => "/v1/apps/$slug/deployments", { commit => $sha });
            is($got->{status}, 202, "round $round: a deployment of $slug is taken") or diag($got->{body});
            $words{$slug} = $word;
        }
        return %words;
    });
    _none_twice($stack);
    $stack->allow_log(qr/WH0\d\d\d|mod_dbd|AH00\d\d\d|AH01\d\d\d|apr_dbd|proxy/);
    is_deeply([ grep {/exit signal|Segmentation|Sanitizer|runtime error/} $stack->bad_log_lines ], [],
        'nothing crashed by itself');
    $stack->stop;
    return;
}

# deployment -> how often the engine created a container for it, by the engine's own journal.
sub _creates {
    my ($stack) = @_;
    my ($rc, $text) = $stack->podman(qw(events --since 24h --stream=false --filter event=create --filter type=container),
        '--format', '{{.Attributes}}');
    my %n;
    for (split /\n/, $text) {
        $n{$1}++ if /wisehost\.deployment[:=]([0-9a-z]{26})/;
    }
    return \%n;
}

# None ran twice: the engine created at most one container for a deployment, and a job was let go once.
sub _none_twice {
    my ($stack) = @_;
    my $n = _creates($stack);
    my @twice = grep { $n->{$_} > 1 } sort keys %$n;
    cmp_ok(scalar(keys %$n), '>', 0, 'the engine remembers what it created');
    is("@twice", '', 'the engine created no container twice for one deployment');
    my (%deploy, %begun);
    $deploy{ $_->[0] } = 1 for $stack->db->rows("SELECT id FROM jobs WHERE kind = 'deploy'");
    $begun{$_}++ for grep { $deploy{$_} } $stack->log_text('scheduler') =~ /job (\w{26}): worker \d+ begins,/g;
    cmp_ok(scalar(keys %begun), '>', 0, 'the log tells which deployments began');
    is(join(' ', grep { $begun{$_} > 1 } sort keys %begun), '', 'no deployment, static or not, began twice');
    my @open = $stack->db->rows("SELECT id, status FROM jobs WHERE kind = 'deploy' AND status IN ('assigned', 'processing')");
    is(scalar(@open), 0, 'no job is left in the middle');
    my @reserved = $stack->db->rows('SELECT used_cpu, used_memory FROM workers');
    note("reserved: @$_") for @reserved;
    return;
}

1;
