#!/usr/bin/perl
# A preview's names: one for each branch, gone after their time or when newer ones fill the share; what the
# owner sets about serving reaches the table without a deployment.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Sched;

my $s = WH::Sched->new;
$s->init;
$s->start;
my $w = $s->worker;
$w->up;
my $app = $s->app('blog');
$s->sql("UPDATE apps SET preview_max = 2, preview_ttl_s = 3600 WHERE id = '$app->{id}'");

sub deployed {
    my ($environment, $ref) = @_;
    my $d = $s->deployment($app, environment => $environment, ref => $ref);
    $s->poke;
    my $job = $w->begin or return undef;
    $w->result($job, 'succeeded', release => $s->release);
    $s->soon(sub { $s->deployment_status($d) eq 'completed/succeeded/' });
    return $d;
}

sub labels { return [ map { $_->[0] } $s->sql("SELECT label FROM names WHERE kind <> 'deployment' ORDER BY label") ] }

deployed('production', 'main');
deployed('preview-a-1', 'a');
is_deeply(labels(), [qw(blog blog-branch-a blog-branch-main)], 'F221 a preview has the name of its branch');
my $left = sub { ($s->value("SELECT expires_at FROM names WHERE label = '$_[0]'") - $s->value("SELECT updated_at FROM names WHERE label = '$_[0]'")) / 1e6 };
is($left->('blog-branch-a'), 3600, 'for its time after the last deployment');
is($s->value("SELECT COUNT(*) FROM names WHERE environment = 'production' AND expires_at > 0"), 0, 'others stay for ever');

$s->sql("UPDATE names SET expires_at = 4102444800000000 - 1 WHERE environment = 'preview-a-1'");
my $first = deployed('preview-a-1', 'a');
is($s->value("SELECT COUNT(*) FROM names WHERE environment = 'preview-a-1' AND expires_at > 4000000000000000"), 0,
    'all its names last as long as the newest');

deployed('preview-b-1', 'b');
deployed('preview-c-1', 'c');
ok($s->soon(sub { join(' ', @{ labels() }) eq 'blog blog-branch-b blog-branch-c blog-branch-main' }), 'one too many: the oldest goes')
    or diag join ' ', @{ labels() };
is($s->value("SELECT COUNT(*) FROM names WHERE environment = 'preview-a-1'"), 0, 'with all its names');
like($s->log, qr/app blog: preview preview-a-1 goes, 2 are newer/, 'and it is said');
my $routes = sub { my ($n) = ($s->run('--verify-routes', $s->state . '/routes'))[1] =~ /(\d+)/; return $n };
is($s->routes, 0, 'the table is sound');

$s->sql("UPDATE names SET expires_at = 1 WHERE environment = 'preview-b-1'");
$s->poke;
ok($s->soon(sub { join(' ', @{ labels() }) eq 'blog blog-branch-c blog-branch-main' }), 'F190 its time has come: it goes');
like($s->log, qr/app blog: preview-b-1 is closed, 2 names taken down/, 'and it is said');

# A rollback opens one that was closed: it counts as any other.
$s->sql("UPDATE apps SET preview_max = 1 WHERE id = '$app->{id}'");
$s->insert('switches', id => WH::Sched::new_id(), app_id => $app->{id}, environment => 'preview-a-1', deployment_id => $first->{id}, kind => 'rollback',
    settings => 'own', created_at => WH::Sched::now_us(), up_to => 99);
$s->poke;
ok($s->soon(sub { join(' ', @{ labels() }) eq 'blog blog-branch-a blog-branch-main' }), 'a rollback to a closed preview opens no more than may be')
    or diag join ' ', @{ labels() };

# An environment that is ended; what another one shows of it, by a promotion, goes on running.
my $box = $s->app('box', 'container');
my $port = 20000;
my $start = sub {
    my $d = $s->deployment($box, environment => 'staging', ref => 'develop');
    $s->poke;
    my $job = $w->begin or return undef;
    $w->result($job, 'succeeded', instances => [ { container => "c$d->{id}", address => '127.0.0.1', port => ++$port } ]);
    $s->soon(sub { $s->deployment_status($d) eq 'completed/succeeded/' });
    return $d;
};
my $promoted = $start->();
$s->insert('switches', id => WH::Sched::new_id(), app_id => $box->{id}, environment => 'production', deployment_id => $promoted->{id}, kind => 'promote',
    settings => 'own', created_at => WH::Sched::now_us(), up_to => 99);
$s->poke;
ok($s->soon(sub { $s->value("SELECT COUNT(*) FROM names WHERE label = 'box'") == 1 }), 'production shows what was made for staging');
my $other = $start->();
my $of_box = sub { join ' ', sort map { $_->[0] } $s->sql("SELECT label FROM names WHERE app_id = '$box->{id}' AND kind <> 'deployment'") };
is($of_box->(), 'box box-branch-develop box-env-staging', 'and staging something newer');
my $state = sub { $s->value("SELECT state FROM instances WHERE deployment_id = '$_[0]{id}'") };
$s->sql("UPDATE names SET expires_at = 1 WHERE app_id = '$box->{id}' AND environment = 'staging'");
$s->poke;
ok($s->soon(sub { $of_box->() eq 'box' }), 'F192 an environment is ended: its names go') or diag $of_box->();
ok($s->soon(sub { $state->($other) ne 'running' }), 'its container ends');
is($state->($promoted), 'running', 'but not the one that production shows');

# A change of how an app is served.
$s->sql("UPDATE apps SET serve_maintenance = 1, republish = republish + 1 WHERE id = '$app->{id}'");
$s->poke;
ok($s->soon(sub { $s->value("SELECT republish FROM apps WHERE id = '$app->{id}'") == 0 }), 'F222 what the owner changed is published');
is($s->routes, 0, 'and the table is sound');
is($s->unexpected, '', 'the log is clean');
done_testing();
