package WH::Kill;
# Rounds of kill -9 and of cut cables during many concurrent deployments. In each round one thing is done to
# one part of the platform at a random moment, while every app has a deployment open; then it is put right
# again. Some rounds in a row (a batch) share their deployments; after a batch everything must end by itself,
# and what the names answer with is compared with what is said to have succeeded.
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Test::More;
use Time::HiRes ();
use WH::Netns qw(cuts);
use WH::Wait qw(try_for now_s);

our @EXPORT_OK = qw(kill_rounds deploy_all);

use constant {
    PATIENCE_S => 60,     # after the last restart nothing may be open for longer
    HITS_MAX   => 4,      # rounds of one batch
    MOMENT_S   => 2,      # a round's moment: up to that long after all apps have a deployment open
    DOWN_S     => 1,      # up to that long a part stays down
    CUT_S      => 2,      # a short cut: connections outlive most of them
    LONG_CUT_S => 12,     # a long one: past the time in which a message must be taken (5 s)
};

# --- what is done, and how it is put right: part => [sub doing it, returns the undoing] ---

sub _kill_httpd {
    my $stack = shift;
    $stack->proc('httpd')->kill9;
    # Its children outlive it for a moment: the ports must be free before it starts again.
    my $conf = $stack->dir . '/conf/httpd.conf';
    for my $file (glob '/proc/[0-9]*/cmdline') {
        open my $fh, '<', $file or next;
        local $/;
        kill 'KILL', $file =~ m{/(\d+)/} if index(<$fh> // '', $conf) >= 0;
    }
    unlink $stack->dir . '/pid/httpd.pid';
    return sub { $stack->start_httpd };
}

sub _kill_agent {
    my $stack = shift;
    my @names = $stack->agents;
    my $name = $names[ rand @names ];
    $stack->proc($name)->kill9;
    return (sub { $stack->start_agent($name) }, $name);
}

sub _cut_link {
    my $stack = shift;
    my ($name) = (sort { $a->[0] <=> $b->[0] } map { [ rand, $_ ] } $stack->agents)[0][1];
    my @how = cuts();
    my $how = $how[ rand @how ];
    my $long = rand() < 0.2;
    $stack->netns($name)->cut($how);
    Time::HiRes::sleep($long ? 5 + rand(LONG_CUT_S - 5) : 0.2 + rand(CUT_S));
    return (sub { $stack->netns($name)->heal }, $name . ($long ? " $how, long" : " $how"));
}

# The active scheduler dies and its standby takes over; then that one dies, and the first, which came back as a
# standby, is the active one again: two takeovers, the second at a moment of its own.
sub _change_over {
    my $stack = shift;
    my @took;
    my $change = sub {
        my ($from, $to) = @_;
        my $before = $stack->took_over($to);
        $stack->proc($from)->kill9;
        my $since = now_s();
        push @took, try_for { $stack->took_over($to) > $before } 20;
        $took[-1] = now_s() - $since if $took[-1];
        Time::HiRes::sleep(rand(DOWN_S));
        $stack->start_as_standby($from);
        return;
    };
    $change->('scheduler', 'standby');
    Time::HiRes::sleep(rand(DOWN_S));
    $stack->settle_schedulers if !$took[0];
    $change->('standby', 'scheduler') if $took[0];
    ok(!(grep { !$_ || $_ > 5 } @took), sprintf 'a standby took over within 5 s of the death of the active one: %s',
        join ', ', map { defined $_ ? sprintf '%.2f s', $_ : 'never' } @took);
    return (sub { try_for { -S $stack->dir . '/state/run/hub.sock' } 10 }, 'two takeovers');
}

my %parts = (
    standby   => \&_change_over,
    scheduler => sub { my $s = shift; $s->proc('scheduler')->kill9; return sub { $s->start_scheduler } },
    database  => sub { my $s = shift; $s->db->kill9; return sub { $s->db->bring_back } },
    engine    => sub { my $s = shift; $s->proc('podman')->kill9; return sub { $s->start_engine } },
    httpd     => \&_kill_httpd,
    agent     => \&_kill_agent,
    link      => \&_cut_link,
);

# --- deployments ---

# Asks for one and remembers what was acknowledged: $acked->{deployment id} = {slug, sha, word}. An answer
# that got lost may or may not have made one: it is asked again with the next commit, never the same.
sub _ask {
    my ($stack, $app, $acked) = @_;
    my $last = '';
    my $done = try_for {
        my $c = shift @{ $app->{commits} } // croak "$app->{slug} has no commits left";
        my $got = $stack->api(POST => "/v1/apps/$app->{slug}/deployments", { commit => $c->{sha} }, timeout => 5);
        $last = "$got->{status} $got->{body}";
        $acked->{ $got->{json}{id} } = { %$c, slug => $app->{slug} } if $got->{status} == 202;
        $got->{status} == 202 || ($got->{status} != 0 && $got->{status} != 503);
    } 30;
    return 1 if $done && $last =~ /^202/;
    fail("a deployment of $app->{slug} is taken");
    diag($last);
    return 0;
}

# slug -> how many of its deployments are open, by the database (the test's own look).
sub _open {
    my $stack = shift;
    my $rows = try_for { my @r = eval { $stack->db->rows("SELECT a.slug, COUNT(*) FROM deployments d JOIN apps a"
        . " ON a.id = d.app_id WHERE d.status <> 'completed' GROUP BY a.slug") }; $@ ? undef : [@r] } 10;
    croak "the database does not answer: $@" unless $rows;
    return { map { $_->[0] => $_->[1] } @$rows };
}

sub _top_up {
    my ($stack, $apps, $acked) = @_;
    my $open = _open($stack);
    for my $app (@$apps) {
        # Now and then one more, although it waits: it must be skipped or run, not both.
        _ask($stack, $app, $acked) if !$open->{ $app->{slug} } || rand() < 0.05;
    }
    return;
}

# One deployment of every app with nothing killed: all are taken, and all succeed.
sub deploy_all {
    my ($stack, $apps, $acked, $what) = @_;
    my %before = %$acked;
    is(scalar(grep { _ask($stack, $_, $acked) } @$apps), scalar @$apps, "$what every app takes a deployment");
    _all_end($stack);
    my %how = map { $_->[0] => "$_->[1] $_->[2] $_->[3]" }
        $stack->db->rows('SELECT id, conclusion, cause_code, cause_detail FROM deployments');
    my @wrong = map {"$acked->{$_}{slug} $_: " . ($how{$_} // 'lost')}
        grep { !$before{$_} && ($how{$_} // '') !~ /^succeeded/ } sort keys %$acked;
    is(join("\n", @wrong), '', "$what all of them succeed");
    return;
}

# --- one round, one batch ---

sub _round {
    my ($stack, $o, $apps, $round) = @_;
    my $part = $o->{parts}[ rand @{ $o->{parts} } ];
    _top_up($stack, $apps, $o->{acked});
    Time::HiRes::sleep(MOMENT_S * rand() ** 2);    # rather early than late: then most of them are open
    my $open = _open($stack);
    my ($undo, $what) = $parts{$part}->($stack);
    Time::HiRes::sleep(rand(DOWN_S)) if $part !~ /^(?:link|standby)\z/;
    $undo->();
    $stack->settle_schedulers if $part eq 'database' && $stack->proc('standby');
    note(sprintf 'round %d: %s%s, %d deployments of %d apps open', $round, $part, defined $what ? " $what" : '',
        _count($open), scalar keys %$open);
    $o->{done}{$part}++;
    return $part;
}

# How deployments of a batch may fail: a job that is running goes with its agent, or with what it needs at the
# very moment. A scheduler or a database that dies costs nobody a deployment.
my %costs = (scheduler => 0, database => 0, standby => 0, httpd => 1, agent => 1, engine => 1, link => 1);

# What each app answers is its newest success; returns how many answer otherwise.
sub _live {
    my ($stack, $apps, $acked, $what) = @_;
    my %newest = map { $_->[0] => $_->[1] } $stack->db->rows(
        "SELECT a.slug, d.id FROM deployments d JOIN apps a ON a.id = d.app_id WHERE d.conclusion = 'succeeded'"
            . " AND d.number = (SELECT MAX(e.number) FROM deployments e WHERE e.app_id = a.id AND e.conclusion = 'succeeded')");
    my @wrong;
    for my $app (@$apps) {
        my $slug = $app->{slug};
        my $id = $newest{$slug} // next;
        my $word = $acked->{$id}{word};
        my $got;
        my $ok = try_for {
            $got = $stack->get($slug);
            $got->{status} == 200 && (defined $word ? index($got->{body}, $word) == 0 : 1);
        } 5;
        push @wrong, "$slug $got->{status} " . substr($got->{body}, 0, 60) . ' instead of ' . ($word // $id) unless $ok;
    }
    is(join("\n", @wrong), '', "$what: every name answers with its newest success");
    return;
}

sub _conclusions {
    my ($stack, $o, $before, $what, @parts) = @_;
    my %how;
    for ($stack->db->rows("SELECT d.id, d.conclusion, d.cause_code, d.cause_detail FROM deployments d WHERE d.status = 'completed'")) {
        my ($id, $conclusion, $code, $detail) = @$_;
        next if $before->{$id}++;
        $how{ $conclusion eq 'failed' ? "failed ($code)" : $conclusion }++;
        push @{ $o->{failures}{"$code: $detail"} }, $id if $conclusion eq 'failed';
    }
    $o->{conclusions}{$_} += $how{$_} for keys %how;
    my @failed = grep {/^failed/} sort keys %how;
    is("@failed", '', "$what: nothing failed, for nothing was cut off that a deployment needs")
        unless grep { $costs{$_} } @parts;
    my @never = grep {/\((?:internal|bad_result|name_taken|db_\w+|)\)/} @failed;
    is("@never", '', "$what: nothing failed for a reason of our own");
    return join ', ', map {"$_: $how{$_}"} sort keys %how;
}

sub _batch {
    my ($stack, $o, $first, $hits) = @_;
    my $apps = $o->{apps}->($first);
    my @parts = map { _round($stack, $o, $apps, $_) } $first .. $first + $hits - 1;
    my $what = $hits == 1 ? "round $first (@parts)" : "rounds $first-" . ($first + $hits - 1) . " (@parts)";
    my $restarted = now_s();
    my $done = _all_end($stack);
    ok($done, "$what: no deployment is open " . PATIENCE_S . ' s after the last restart, or after the one before it')
        or diag(_why($stack));
    note(sprintf '%s: all completed %.1f s after the last restart; %s', $what, now_s() - $restarted,
        _conclusions($stack, $o, $o->{seen}, $what, @parts));
    _live($stack, $apps, $o->{acked}, $what);
    return $done;
}

# PATIENCE_S after the last restart all have ended. Where the machine cannot do the work of the batch in that
# time, they must go on ending: what is in a phase has until that phase's deadline, what waits has its turn. So
# time is given for as long as the last end was not PATIENCE_S ago.
sub _all_end {
    my ($stack) = @_;
    my $open = _count(_open($stack));
    my $since = now_s();
    while ($open > 0 && now_s() - $since < PATIENCE_S) {
        Time::HiRes::sleep(0.1);
        my $now = _count(_open($stack));
        $since = now_s() if $now < $open;
        $open = $now;
    }
    return $open == 0;
}

sub _count { my $n = 0; $n += $_ for values %{ $_[0] }; return $n }

# What hangs, for people.
sub _why {
    my $stack = shift;
    return map { join(' ', @$_) . "\n" } $stack->db->rows(
        "SELECT a.slug, d.id, d.status, d.phase, d.cause_detail, j.id, j.status, j.epoch, j.worker_id FROM deployments d"
            . " JOIN apps a ON a.id = d.app_id LEFT JOIN jobs j ON j.deployment_id = d.id AND j.kind = 'deploy'"
            . " WHERE d.status <> 'completed'");
}

# kill_rounds($stack, rounds => 200, parts => […], apps => sub { the apps of the batch that begins with this
# round: [{slug, commits => [{sha, word}…]}…] }) -> {acked, conclusions, done, failures}
# acked => what was acknowledged before
sub kill_rounds {
    my ($stack, %o) = @_;
    my $seed = $ENV{WH_SEED} // int(now_s() * 1000) % 1_000_000;
    srand $seed;
    diag("kill rounds: WH_SEED=$seed, $o{rounds} rounds of @{ $o{parts} }");
    $o{$_} //= {} for qw(acked conclusions done failures seen);
    $o{seen}{ $_->[0] } = 1 for $stack->db->rows("SELECT id FROM deployments");
    for (my $round = 1; $round <= $o{rounds};) {
        my $hits = 1 + int rand HITS_MAX;
        $hits = $o{rounds} - $round + 1 if $hits > $o{rounds} - $round + 1;
        last unless _batch($stack, \%o, $round, $hits);
        $round += $hits;
    }
    note('done: ' . join ', ', map {"$_ $o{done}{$_}"} sort keys %{ $o{done} });
    note('conclusions: ' . join ', ', map {"$_ $o{conclusions}{$_}"} sort keys %{ $o{conclusions} });
    note('failed: ' . @{ $o{failures}{$_} } . " $_") for sort keys %{ $o{failures} };
    return \%o;
}

1;
