package WH::Kill;
# Rounds of kill -9: one part of the platform dies at a random moment of running deployments and is started
# again. Judged by the engine's own journal of containers, the scheduler's log of begun jobs, the database
# read past the API, and every live name read through Apache.
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Test::More;
use Time::HiRes ();
use WH::Wait qw(wait_for try_for now_s);

our @EXPORT_OK = qw(kill_rounds);

sub _start_again {
    my ($stack, $part) = @_;
    if ($part eq 'scheduler') { $stack->start_scheduler }
    elsif ($part eq 'agent')  { $stack->start_agent }
    elsif ($part eq 'httpd')  { $stack->start_httpd }
    elsif ($part eq 'engine') { $stack->start_engine }
    else                      { $stack->db->bring_back }
    return;
}

sub _kill {
    my ($stack, $part) = @_;
    if ($part eq 'database') { $stack->db->take_away('immediate') }
    else { $stack->proc($part eq 'engine' ? 'podman' : $part)->kill9 }
    return;
}

# httpd's children outlive a killed parent for a moment: the port must be free before it starts again.
sub _gone {
    my ($stack, $part) = @_;
    return if $part ne 'httpd';
    my $pattern = $stack->dir . '/conf/httpd.conf';
    for my $pid (map { m{/proc/(\d+)/} ? $1 : () } glob '/proc/[0-9]*/cmdline') {
        open my $fh, '<', "/proc/$pid/cmdline" or next;
        local $/;
        my $cmd = <$fh> // '';
        kill 'KILL', $pid if index($cmd, $pattern) >= 0;
    }
    unlink $stack->dir . '/pid/httpd.pid';
    return;
}

# The deployments of all apps, by the database (the test's own look, not the API's).
sub _open_deployments {
    my $stack = shift;
    return map { $_->[0] } $stack->db->rows("SELECT id FROM deployments WHERE status <> 'completed'");
}

# kill_rounds($stack, rounds => 3, parts => [...], seed => n, deploy => sub { start one deployment per app;
# returns {slug => word} that must be live if it succeeds })
sub kill_rounds {
    my ($stack, %o) = @_;
    my $seed = $o{seed} // $ENV{WH_SEED} // int(now_s() * 1000) % 1_000_000;
    srand $seed;
    diag("kill rounds: WH_SEED=$seed");
    my (%conclusions, @late);
    for my $round (1 .. $o{rounds}) {
        my $part = $o{parts}[ rand @{ $o{parts} } ];
        my %words = $o{deploy}->($round);
        # The moment is the point of the round: anywhere in the life of a deployment.
        Time::HiRes::sleep(rand($o{spread} // 1.2));
        _kill($stack, $part);
        _gone($stack, $part);
        _start_again($stack, $part);
        my $restarted = now_s();
        my $done = try_for { !eval { _open_deployments($stack) } && !$@ } 60;
        push @late, "round $round ($part): " . join(' ', _open_deployments($stack)) unless $done;
        note(sprintf 'round %d: %s killed, all completed %.1f s after the restart', $round, $part,
            now_s() - $restarted);
        for my $slug (sort keys %words) {
            my ($how) = $stack->db->value("SELECT conclusion FROM deployments d JOIN apps a ON a.id = d.app_id"
                . " WHERE a.slug = '$slug' ORDER BY d.number DESC LIMIT 1");
            $how = length($how // '') ? $how : 'unfinished';
            $conclusions{$how}++;
            my $got = $stack->get($slug);
            if ($how eq 'succeeded') {
                my $live = try_for { index($stack->get($slug)->{body}, $words{$slug}) >= 0 } 5;
                ok($live, "round $round ($part): $slug succeeded and is live") or diag($got->{status} . $got->{body});
            }
            else {
                is($got->{status}, 200, "round $round ($part): $slug ended $how, the former release serves");
            }
        }
    }
    note(join ', ', map {"$_: $conclusions{$_}"} sort keys %conclusions);
    is(join("\n", @late), '', 'each deployment was completed at most 60 s after the last restart');
    return;
}

1;
