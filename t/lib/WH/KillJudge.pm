package WH::KillJudge;
# What must hold after the kill rounds. The platform's own books (its database) are compared with what it
# cannot write itself: the engine's events and containers, and the ledger that the apps and the agents' git
# append to when they start.
use strict;
use warnings;
use Exporter qw(import);
use JSON::PP ();
use Test::More;
use WH::Kill qw(deploy_all);
use WH::Stack;
use WH::Wait qw(try_for now_s);

our @EXPORT_OK = qw(judge);

sub _none {
    my ($what, @wrong) = @_;
    is(join("\n", @wrong), '', $what);
    return;
}

sub _podman_json {
    my ($stack, @args) = @_;
    my ($rc, $text) = $stack->podman(@args);
    return [] if $text !~ /\S/;
    return eval { JSON::PP->new->utf8->decode($text) } // do { diag("podman @args: $text"); [] };
}

# --- the books ---

sub _books {
    my ($stack) = @_;
    my (%d, %jobs);
    for ($stack->db->rows('SELECT d.id, a.slug, d.number, d.status, d.conclusion, d.cause_code, a.kind FROM deployments d'
        . ' JOIN apps a ON a.id = d.app_id')) {
        my %row;
        @row{qw(id slug number status conclusion code kind)} = @$_;
        $d{ $row{id} } = \%row;
    }
    for ($stack->db->rows('SELECT id, kind, deployment_id, status, epoch FROM jobs')) {
        my %row;
        @row{qw(id kind deployment status epoch)} = @$_;
        push @{ $jobs{ $row{deployment} }{ $row{kind} } }, \%row;
    }
    return (\%d, \%jobs);
}

# Nothing lost: what was acknowledged is there (I6), has ended (I1), and its job ended as it did.
sub _nothing_lost {
    my ($d, $jobs, $acked) = @_;
    _none('I6 every acknowledged deployment is in the database', grep { !$d->{$_} } sort keys %$acked);
    _none('I1 every deployment has ended', grep { $d->{$_}{status} ne 'completed' } sort keys %$d);
    _none('I1 every deployment has one job, which ended as the deployment did', map {
        my @its = @{ $jobs->{$_}{deploy} // [] };
        my $how = $d->{$_}{conclusion};
        my %ends = (succeeded => 'succeeded', failed => 'failed', skipped => 'canceled', canceled => 'canceled');
        @its == 1 && $its[0]{status} eq ($ends{$how} // '?') ? () : "$_ $how: " . join ' ', map { $_->{status} } @its;
    } sort keys %$d);
    _none('no stop job is open either', map { my $id = $_; map {"$id $_->{status}"}
        grep { $_->{status} =~ /^(?:pending|assigned|processing)$/ } @{ $jobs->{$id}{stop} // [] } } sort keys %$jobs);
    return;
}

# --- the ledger of git: how often each deployment began ---

# Two fetches of one commit by one agent process are one beginning only if the agent made the cache anew
# between them (what a kill left of it could not be read). Everything else is a second beginning.
sub _git_begins {
    my ($ledger) = @_;
    my (%begins, %last);
    for ($ledger->lines) {
        my ($time, $kind, $agent, @words) = @$_;
        next unless ($kind // '') eq 'git';
        my ($dir) = grep {/^--git-dir=/} @words;
        my $key = "$agent $dir";
        if (grep { $_ eq 'init' } @words) { $last{$key}{anew} = 1; next }
        my ($sha) = "@words" =~ /\b([0-9a-f]{40})\b/ or next;
        my $again = ($last{$key}{sha} // '') eq $sha && $last{$key}{anew};
        push @{ $begins{$sha} }, "$time by $agent" unless $again;
        $last{$key} = { sha => $sha };
    }
    return \%begins;
}

sub _began_once {
    my ($d, $ledger, $acked) = @_;
    my $begins = _git_begins($ledger);
    my $how = sub { my $n = @{ $begins->{ $acked->{ $_[0] }{sha} } // [] }; $n };
    my @ids = grep { $d->{$_} } sort keys %$acked;
    cmp_ok(scalar(keys %$begins), '>', 0, 'the ledger says what began: ' . keys(%$begins) . ' commits were fetched');
    _none('I2 no deployment began twice, by the ledger of git',
        map { "$_: " . join ', ', @{ $begins->{ $acked->{$_}{sha} } } } grep { $how->($_) > 1 } @ids);
    _none('every deployment that succeeded began, by the ledger of git',
        grep { $d->{$_}{conclusion} eq 'succeeded' && $how->($_) != 1 } @ids);
    _none('no deployment that was skipped ever began, by the ledger of git',
        grep { $d->{$_}{conclusion} =~ /^(?:skipped|canceled)$/ && $how->($_) > 0 } @ids);
    return;
}

# --- the engine's events and the ledger of the containers ---

# deployment -> container -> its events in order: [create, start, died, …]
sub _events {
    my ($stack) = @_;
    my ($rc, $text) = $stack->podman(qw(events --since 48h --stream=false --filter type=container --format json));
    my %seen;
    for (split /\n/, $text) {
        my $event = eval { JSON::PP->new->utf8->decode($_) } or next;
        my $deployment = ($event->{Attributes} // {})->{'wisehost.deployment'} // next;
        push @{ $seen{$deployment}{ $event->{ID} } }, $event->{Status};
    }
    return \%seen;
}

# A container may be created and never started when the port that was picked for it turned out to be taken:
# then the next one is the same beginning. Two that were started are two starts, whatever the reason.
# A container itself may start again only after it died: an agent that finds a wanted one down starts it.
sub _started_once {
    my ($d, $ledger, $acked, $events) = @_;
    my (%starts, %restarts);
    for ($ledger->lines) {
        my (undef, $kind, $word, $id) = @$_;
        $starts{$word}{$id} = 1 if ($kind // '') eq 'app';
    }
    cmp_ok(scalar(keys %$events), '>', 0, 'the engine remembers: ' . keys(%$events) . ' deployments had containers');
    cmp_ok(scalar(keys %starts), '>', 0, 'the ledger of the containers has ' . keys(%starts) . ' of them');
    _none('I2 no deployment had two containers that were started, by the engine\'s events', map {
        my $c = $events->{$_};
        my @started = grep { grep { $_ eq 'start' } @{ $c->{$_} } } sort keys %$c;
        @started > 1 ? "$_: @started" : ();
    } sort keys %$events);
    for my $id (sort keys %$events) {
        for my $c (sort keys %{ $events->{$id} }) {
            my $died = 0;
            for my $what (@{ $events->{$id}{$c} }) {
                $died = 1 if $what eq 'died';
                if ($what eq 'start') { $restarts{$id}{$died ? 'after a death' : 'first'}++; $died = 0 }
            }
        }
    }
    _none('no container was started while it ran, by the engine\'s events',
        grep { ($restarts{$_}{first} // 0) > 1 } sort keys %restarts);
    my @again = grep { $restarts{$_}{'after a death'} } sort keys %restarts;
    note('started again after a death: ' . scalar @again);
    for my $id (@again[ 0 .. ($#again < 4 ? $#again : 4) ]) {
        note("$id: " . join ', ', map { substr($_, 0, 12) . ' ' . join ' ', @{ $events->{$id}{$_} } } sort keys %{ $events->{$id} });
    }
    _none('I2 no container\'s program started more often than the engine says, by its own ledger', map {
        my $n = keys %{ $starts{ $acked->{$_}{word} } // {} };
        $n > 1 + ($restarts{$_}{'after a death'} // 0) ? "$_ $acked->{$_}{slug} $acked->{$_}{word}: $n" : ();
    } sort keys %$acked);
    _none('each container that serves or served is in both: engine and ledger', grep {
        $d->{$_}{conclusion} eq 'succeeded' && $d->{$_}{kind} eq 'container'
            && !($restarts{$_}{first} && $starts{ $acked->{$_}{word} });
    } grep { $d->{$_} } sort keys %$acked);
    return \%starts;
}

# --- what runs at the end ---

sub _containers {
    my ($stack) = @_;
    my $list = _podman_json($stack, qw(ps --all --format json));
    my %c;
    for (@$list) {
        my $labels = $_->{Labels} // {};
        $c{ $_->{Id} } = { state => $_->{State}, map { ($_ => $labels->{"wisehost.$_"} // '') } qw(agent app deployment slug) };
    }
    my $seen = %c ? _podman_json($stack, 'inspect', sort keys %c) : [];
    for (@$seen) {
        @{ $c{ $_->{Id} } }{qw(memory cpu)} = ($_->{HostConfig}{Memory}, $_->{HostConfig}{NanoCpus} / 1_000_000);
    }
    return \%c;
}

sub _what_runs {
    my ($stack, $c) = @_;
    my %rows = map { $_->[0] => $_ } $stack->db->rows("SELECT i.container, i.state, a.slug, i.deployment_id,"
        . " CASE WHEN EXISTS (SELECT 1 FROM names n WHERE n.deployment_id = i.deployment_id AND n.kind = 'production')"
        . " THEN 1 ELSE 0 END FROM instances i JOIN apps a ON a.id = i.app_id WHERE i.state <> 'stopped'");
    _none('I5 every container is one that the database knows and wants running', map {
        my $row = $rows{$_};
        $row && $row->[1] eq 'running' && $c->{$_}{state} eq 'running' ? () : "$_ $c->{$_}{slug} $c->{$_}{deployment} "
            . "$c->{$_}{state}: " . ($row ? $row->[1] : 'not in the database');
    } sort keys %$c);
    _none('every container that the database wants is there', grep { !$c->{$_} } sort keys %rows);
    _none('I3 every one belongs to the deployment behind its app\'s name', grep { !$rows{$_}[4] } sort keys %rows);
    my %per;
    $per{ $_->{slug} }++ for values %$c;
    _none('I3 no app has two', grep { $per{$_} > 1 } sort keys %per);
    return;
}

# I4: three sums of the same thing. The counters; what the rows of jobs and instances come to, by a statement
# of the test's own; what the engine's running containers were given.
sub _capacity {
    my ($stack, $c) = @_;
    my %counter = map { $_->[0] => "$_->[1] $_->[2]" } $stack->db->rows('SELECT id, used_cpu, used_memory FROM workers');
    my %held = map { $_ => [ 0, 0 ] } keys %counter;
    for ($stack->db->rows("SELECT worker_id, cpu_millis, memory_bytes FROM instances WHERE state <> 'stopped' UNION ALL"
        . " SELECT worker_id, cpu_millis, memory_bytes FROM jobs WHERE status IN ('assigned', 'processing')")) {
        $held{ $_->[0] }[0] += $_->[1];
        $held{ $_->[0] }[1] += $_->[2];
    }
    is_deeply({ map { $_ => "@{ $held{$_} }" } keys %held }, \%counter, 'I4 the capacity counters are exact, by the rows');
    my (%engine, $cpu, $memory);
    for (values %$c) { $engine{ $_->{agent} }[0] += $_->{cpu}; $engine{ $_->{agent} }[1] += $_->{memory} }
    my @engine = sort map {"$_->[0] $_->[1]"} values %engine;
    is_deeply(\@engine, [ sort grep { $_ ne '0 0' } values %counter ],
        'I4 the capacity counters are exact, by the engine') or diag(explain(\%engine, \%counter));
    return;
}

# --- what is left behind ---

sub _left_behind {
    my ($stack, $o) = @_;
    my $dir = $stack->dir;
    # The module clears an upload away with its release; one whose job was lost is cleared away by a later one.
    my %lost = map { $_->[0] => 1 } $stack->db->rows("SELECT id FROM jobs WHERE status = 'failed'");
    _none('I5 no upload is left but of jobs that were lost', grep { m{/(\w{26})\.\d+\z} && !$lost{$1} } glob "$dir/state/uploads/*");
    for my $name ($stack->agents) {
        _none("I5 $name has no job's mark, no result, no process left", (glob("$dir/$name/jobs/*"), glob("$dir/$name/results/*")));
    }
    # From the store itself: an engine that was killed at work may no longer be able to list what it has.
    # House is kept soon after the last job, or half a minute after it failed.
    my $most = $o->{images_kept} * $stack->agents;
    my %images;
    try_for {
        my $store = eval { JSON::PP->new->utf8->decode(WH::Stack::slurp("$dir/engine/storage/overlay-images/images.json")) } // [];
        %images = ();
        $images{$_}++ for map { m{^localhost/wisehost/(\w+):} ? $1 : () } map { @{ $_->{names} // [] } } @$store;
        return %images && !grep { $_ > $most } values %images;
    } 180;
    cmp_ok(scalar keys %images, '>', 0, 'the store of images can be read');
    _none("I5 no app has more than $o->{images_kept} images a worker",
        map {"$_: $images{$_}"} grep { $images{$_} > $most } sort keys %images);
    my %of = map { $_ => 1 } map { @{ $_->{NetworkSettings}{Networks} ? [ keys %{ $_->{NetworkSettings}{Networks} } ] : [] } }
        @{ _podman_json($stack, 'inspect', sort keys %{ $o->{containers} }) };
    for my $net (@{ _podman_json($stack, qw(network inspect), sort keys %of) }) {
        my $bridge = $net->{network_interface} // next;
        my @ends = qx(ip -o link show master $bridge 2>/dev/null);
        $o->{ends} += @ends;
    }
    # One more for each time that the engine was killed while it took an interface away is the engine's own.
    my $killed = $o->{done}{engine} // 0;
    my $over = ($o->{ends} // 0) - keys %{ $o->{containers} };
    cmp_ok($over, '<=', $killed, 'I5 the networks have one interface for each container');
    note("the killed engine left $over interfaces") if $over > 0;
    return _mounts($stack, scalar keys %{ $o->{containers} });
}

# An engine that is killed in a build leaves its own working container, which only it can see: no label, and not
# in the API. Each of these is one mount more.
sub _mounts {
    my ($stack, $containers) = @_;
    my ($rc, $text) = $stack->podman(qw(ps --all --external --filter status=unknown --format), '{{.Names}}');
    my $cut_off = grep {/working-container/} split /\n/, $text;
    my $dir = $stack->dir;
    open my $file, '<', '/proc/self/mounts' or return fail("mounts: $!");
    my @merged = grep {m{^\S+ \Q$dir\E/engine/storage/overlay/\S+/merged }} <$file>;
    note("builds that the engine was killed in left $cut_off of its own working containers");
    cmp_ok(scalar @merged, '<=', $containers + $cut_off, 'I5 one mount for each container');
    return;
}

sub _database_whole {
    my ($stack) = @_;
    my $db = $stack->db;
    if ($db->kind eq 'sqlite') {
        is($db->value('PRAGMA integrity_check'), 'ok', 'the database is whole');
        return;
    }
    my $wrong = eval {
        $db->rows('CREATE EXTENSION IF NOT EXISTS amcheck');
        $db->rows("SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am m ON m.oid = c.relam"
            . " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE m.amname = 'btree' AND c.relkind = 'i'"
            . " AND n.nspname = 'public'");
        '';
    } // $@;
    is($wrong, '', 'the database is whole: every index fits its table');
    return;
}

# --- all of it ---

# judge($stack, $ledger, what kill_rounds returned, images_kept => n, apps => [...])
sub judge {
    my ($stack, $ledger, $got, %o) = @_;
    my $since = now_s();
    my $settled = try_for { $stack->db->value("SELECT COUNT(*) FROM jobs WHERE status IN ('pending', 'assigned', 'processing')") == 0 } 60;
    ok($settled, 'no job of any kind is open 60 s later') or diag(map {"@$_\n"} $stack->db->rows(
        "SELECT id, kind, status, epoch, worker_id FROM jobs WHERE status IN ('pending', 'assigned', 'processing')"));
    note(sprintf 'the last stop was done %.1f s after the last check', now_s() - $since);
    # What the rounds left is tidied by it, too.
    deploy_all($stack, $o{apps}, $got->{acked}, 'at the end');
    try_for { $stack->db->value("SELECT COUNT(*) FROM jobs WHERE status IN ('pending', 'assigned', 'processing')") == 0 } 60;
    my ($d, $jobs) = _books($stack);
    _nothing_lost($d, $jobs, $got->{acked});
    _began_once($d, $ledger, $got->{acked});
    my $starts = _started_once($d, $ledger, $got->{acked}, _events($stack));
    my $c = _containers($stack);
    _what_runs($stack, $c);
    _capacity($stack, $c);
    _left_behind($stack, { %o, containers => $c, done => $got->{done} });
    _database_whole($stack);
    $stack->allow_log(qr/WH0\d\d\d|mod_dbd|AH00\d\d\d|AH01\d\d\d|apr_dbd|proxy/);
    _none('I9 nothing crashed by itself', grep {/exit signal|Segmentation|Sanitizer|runtime error|Assertion/} $stack->bad_log_lines);
    my @cables = map { $stack->netns($_) } $stack->agents;
    _none('everything ends by SIGTERM', $stack->stop);
    _none('I5 no namespace and no interface is left', grep { -e "/run/netns/" . $_->name || grep { -e "/sys/class/net/$_" } $_->interfaces } @cables);
    return;
}

1;
