#!/usr/bin/perl
# db: sqlite pgsql
# kill -9 at each step of publishing, in httpd, scheduler and collector: every answer is wholly the old or the new
# release, the deployment succeeds, and after the next collection nothing is left behind. Then the collector beside
# commits that take up what it is about to remove.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Find qw(find);
use Test::More;
use WH::Stack;
use WH::Wait qw(try_for wait_for);

my $stack = WH::Stack->new(scheduler_conf => { releases_kept => 1, releases_kept_s => 3600 });
my $fault = $stack->dir . '/fault';
$stack->{$_} = { WISEHOST_FAULT_FILE => $fault } for qw(httpd_env scheduler_env);
chmod 0777, $stack->dir;    # whoever dies takes the file with it
# httpd says that a child was killed; the agent's line to a killed scheduler ends, and httpd finds no hub for a moment.
$stack->allow_log(qr/exit signal Killed/, qr/WH06\d\d/, qr/hub\.sock|AH01114|AH0288|AH00957/, qr/WH05\d\d/);
$stack->start;
my $state = $stack->dir . '/state';
my $n = 0;

# Page and asset of a release say the same word; big enough to have variants.
sub content { my ($word) = @_; return { 'index.html' => "<p>$word</p>\n" x 60, 'app.css' => "/* $word */\n" x 60, 'tiny.txt' => $word } }
my $repo = $stack->app('site', content('word0'));
is($stack->deploy('site')->{conclusion}, 'succeeded', 'F285 a site is there');
my %whole = map { my $w = "word$_"; my $c = content($w); map { $c->{$_} => $w } keys %$c } 0 .. 60;

# What a name answers: the word of a whole file, or undef.
sub word { my ($path) = @_; my $got = $stack->get('site', $path); return $got->{status} == 0 ? '' : $got->{status} == 200 ? $whole{ $got->{body} } : undef }

sub arm {
    my ($point) = @_;
    open my $file, '>', "$fault.new" or die "$fault: $!";
    print {$file} "$point\n";
    close $file;
    chmod 0666, "$fault.new";
    rename "$fault.new", $fault or die "$fault: $!";
    return;
}

# One deployment with a kill in it: what was answered meanwhile, and how it ended.
sub through {
    my ($point, $meanwhile, %besides) = @_;
    my $old = "word$n";
    my $new = 'word' . ++$n;
    $repo->commit({ %{ content($new) }, %besides });
    arm($point);
    my $made = $stack->api(POST => '/v1/apps/site/deployments', {})->{json};
    my (%seen, $d);
    my $hit = 0;
    my $done = try_for {
        $hit ||= !-e $fault && ($meanwhile ? $meanwhile->() : 1);
        for my $path (qw(/ /app.css)) { my $word = word($path); $seen{ $word // 'something else' }++ if !defined $word || $word ne '' }
        $d = $stack->api(GET => "/v1/deployments/$made->{id}")->{json};
        ($d->{status} // '') eq 'completed' && $hit;
    } 30;
    ok($hit, "$point: met");
    is($done && $d->{conclusion}, 'succeeded', "$point: the deployment succeeds all the same") or diag explain $d;
    delete @seen{ $old, $new };
    is_deeply(\%seen, {}, "$point: every answer was wholly old or new");
    is(word($_), $new, "$point: $_ is the new one's") for qw(/ /app.css);
    unlink $fault;
    return;
}
through($_) for qw(stage.dir stage.wanted stage.manifest object.begun object.written batch.synced batch.renamed file.synced file.renamed
    release.dir release.manifest release.renamed release.row release.recorded unstaged);
through('object.kept', undef, 'large.bin' => join '', map { chr(rand 256) } 1 .. 300_000);    # too large to travel with others
for my $point (qw(switch.committed routes.written routes.committed switch.completed)) {
    my $once = 0;
    through($point, sub { return 1 if $once++; wait_for { !$stack->proc('scheduler')->runs } 5, 'its end'; $stack->start_scheduler; return 1 });
}

# A rollback writes the route table first, then commits: whatever comes between, all names end up alike, and so do
# table and database.
my ($branch) = map { $_->[0] } $stack->db->rows("SELECT label FROM names WHERE kind = 'branch'");
for my $point (qw(routes.written routes.committed rollback.committed)) {
    my ($old, $new) = ("word$n", 'word' . ($n - 1));
    arm($point);
    my $asked = $stack->api(POST => '/v1/apps/site/rollback', {});
    is($asked->{status}, 202, "$point: a rollback is asked for") or diag explain $asked;
    wait_for { !-e $fault && !$stack->proc('scheduler')->runs } 10, "the scheduler's end";
    like(word('/'), qr/^(?:$old|$new)$/, "$point: old or new while it is down");
    $stack->start_scheduler;
    ok(try_for(sub { ($stack->api(GET => "/v1/switches/$asked->{json}{id}")->{json}{outcome} // '') eq 'switched' }, 15),
        "$point: it is carried out after all");
    is(join(' ', map { $whole{ $stack->get($_)->{body} } // '' } 'site', $branch), "$new $new", "$point: every name shows it");
    is($stack->api(POST => '/v1/apps/site/rollback', {})->{status}, 202, "$point: and back");
    ok(try_for(sub { word('/') eq $old }, 10), "$point: it goes back") or diag word('/');
}
is(($stack->as_wisehost('--verify-routes', "$state/routes"))[0], 0, 'the route table is sound');

# ---- what is left, and what is needed --------------------------------------------------------------
sub files { my ($dir) = @_; my @all; find({ no_chdir => 1, wanted => sub { push @all, $_ if -f } }, "$state/$dir"); return @all }
sub age { find({ no_chdir => 1, wanted => sub { utime time - 200_000, time - 200_000, $_ } }, map {"$state/$_"} qw(objects releases uploads)); return }
sub manifests { return map { m{/releases/([0-9a-f]{40})/manifest$} ? ($1 => WH::Stack::slurp($_)) : () } files('releases') }
sub needed { my %m = manifests(); return map { $_ => 1 } map {/\b([0-9a-f]{64})\b/g} values %m }
sub there { return map { m{/([0-9a-f]{64})$} ? ($1 => 1) : () } files('objects') }
sub sound {
    my ($what) = @_;
    my (%needed, %there) = ();
    %needed = needed();
    %there = there();
    is(join(' ', grep { !$there{$_} } keys %needed), '', "$what: no release lacks an object");
    my %m = manifests();
    my @rows = map { $_->[0] } $stack->db->rows('SELECT id FROM releases');
    is(join(' ', grep { !$m{$_} } @rows), '', "$what: every release of the database is there");
    return;
}
sub clean {
    my ($what) = @_;
    my (%needed, %there) = ();
    %needed = needed();
    %there = there();
    is(join(' ', grep { !$needed{$_} } keys %there), '', "$what: no object is left that no release needs");
    is(join(' ', grep {m{/\.tmp-}} map { files($_) } qw(objects releases uploads)), '', "$what: nothing half is left");
    is(join(' ', files('uploads')), '', "$what: no upload is left");
    my %rows = map { $_->[0] => 1 } $stack->db->rows('SELECT id FROM releases');
    is(join(' ', grep { !$rows{$_} } keys %{ { manifests() } }), '', "$what: no release is left that no row has");
    return;
}
cmp_ok(scalar(grep {m{/\.tmp-}} map { files($_) } qw(objects releases)), '>', 0, 'kills do leave something');
sound('after the kills');
sub gc { local $ENV{WISEHOST_FAULT_FILE} = $fault; return $stack->as_wisehost('--gc') }
my ($rc, $said) = gc();
is($rc, 0, 'a collection') or diag $said;
like($said, qr/removed from the store: 0 releases, 0 objects/, 'takes nothing that is young');

# The owner's window is one: the others retire with the next look, which comes with a start.
my @ids = map { $_->[0] } $stack->db->rows("SELECT id FROM deployments WHERE conclusion = 'succeeded' ORDER BY number");
my ($own) = map { $_->[0] } $stack->db->rows("SELECT label FROM names WHERE kind = 'deployment' AND deployment_id = '$ids[0]'");
like($stack->get($own)->{body} // '', qr/word0/, 'a deployment out of the window still has its own name');
$stack->db->rows("UPDATE deployments SET finished_at = finished_at - 86400000000");
$stack->db->rows("UPDATE names SET switched_at = switched_at - 200000000000 WHERE kind <> 'deployment'");
$stack->db->rows('UPDATE releases SET touched_at = touched_at - 200000000000');
age();
$stack->proc('scheduler')->stop(10);
$stack->start_scheduler;
ok(try_for(sub { $stack->get($own)->{status} == 404 }, 10), 'an hour later it has not');
is(word('/'), "word$n", 'the site has');
is($stack->db->value("SELECT count(*) FROM deployments WHERE release_id IS NOT NULL"), 1, 'the others have given up their releases');
for my $point (qw(gc.rows gc.dir gc.object)) {
    arm($point);
    gc();
    ok(!-e $fault, "$point: met");
    is(word('/'), "word$n", "$point: the site is served");
    sound($point);
}
($rc, $said) = gc();
is($rc, 0, 'the next collection goes to its end') or diag $said;
clean('collected');
sound('collected');
is(word($_), "word$n", "collected: $_ is served") for qw(/ /app.css);

# ---- the collector beside commits that take up what it removes -------------------------------------
for my $round (1 .. 6) {
    my $back = 'word' . ($round % 2 ? $n - 1 : $n);    # content that was there before, and is about to go
    $repo->commit(content($back));
    $stack->db->rows('UPDATE releases SET touched_at = touched_at - 200000000000');
    $stack->db->rows("UPDATE deployments SET release_id = NULL WHERE id NOT IN (SELECT deployment_id FROM names WHERE kind <> 'deployment')");
    age();
    my $pid = fork // die "fork: $!";
    if (!$pid) { gc() for 1 .. 4; POSIX::_exit(0) }
    my $d = $stack->deploy('site');
    is($d->{conclusion}, 'succeeded', "round $round: a deployment beside collections") or diag explain $d;
    waitpid $pid, 0;
    is(word($_), $back, "round $round: $_ is whole") for qw(/ /app.css);
    sound("round $round");
}

is(join("\n", $stack->bad_log_lines), '', 'nothing is in the logs that should not be');
is(join(' ', $stack->stop), '', 'all ends in order');
done_testing();
