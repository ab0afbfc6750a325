#!/usr/bin/perl
# db: sqlite pgsql
# counts: at random
# httpd and the scheduler die (kill -9) at random moments while pushes come in. A sender that got no answer sends
# the delivery again, as a forge does: every 2xx has its row, every delivery at most one deployment, every app
# ends at its newest commit.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256_hex sha1_hex);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use WH::Http qw(json_encode json_decode);
use WH::Stack;
use WH::Wait qw(wait_for);

my $seed = $ENV{WH_SEED} // int(rand 1e6);
srand $seed;
note "WH_SEED=$seed";
my ($APPS, $SECONDS) = (4, 6);
my $stack = WH::Stack->new->start(agent => 0);
my $template = json_decode(WH::Stack::slurp("$WH::Stack::src/t/data/hooks/gitea/push.json"));
my @apps = map { my $slug = "site-$_";
    $stack->app($slug, { 'index.html' => "x\n" });
    my $hook = $stack->api(POST => "/v1/apps/$slug/hooks", { provider => 'gitea' })->{json};
    { slug => $slug, secret => $hook->{secret}, path => $hook->{url} =~ m{(/v1/webhooks/.*)} } } 1 .. $APPS;

# Pushes one after the other until the time is over; says each 2xx to the test.
sub sender {
    my ($app, $out, $until) = @_;
    for (my $n = 1; time < $until; $n++) {
        my ($before, $after) = map { sha1_hex("$app->{slug} $_") } $n - 1, $n;
        my %p = (%$template, before => $before, after => $after, commits => [ { %{ $template->{commits}[0] }, id => $after } ], total_commits => 1);
        $p{head_commit} = $p{commits}[0];
        my $body = json_encode(\%p);
        my $id = "$app->{slug}-$n";
        for my $try (1 .. 200) {
            my $got = eval { $stack->request(method => 'POST', path => $app->{path}, body => $body, headers => { 'Content-Type' => 'application/json',
                'X-Gitea-Event' => 'push', 'X-Gitea-Delivery' => $id, 'X-Gitea-Signature' => hmac_sha256_hex($body, $app->{secret}) }) } || { status => 0 };
            if ($got->{status} =~ /^2/) {
                syswrite $out, join(' ', $app->{slug}, $id, $after, $got->{status}, $got->{json}{id} // "-") . "\n";
                last;
            }
            sleep 0.05;
        }
    }
    return;
}

my $until = time + $SECONDS;
my @senders = map { my $app = $_;
    pipe my $in, my $out or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) { sender($app, $out, $until); POSIX::_exit(0) }
    close $out;
    [ $pid, $in ] } @apps;

my %killed = (httpd => 0, scheduler => 0);
while (time < $until - 0.5) {
    sleep 0.2 + rand 0.6;
    my $part = rand() < 0.6 ? 'httpd' : 'scheduler';
    my $proc = $stack->proc($part);
    kill 'KILL', -$proc->pid; # with all its children
    wait_for { !$proc->runs } 10, "$part to be dead";
    $part eq 'httpd' ? $stack->start_httpd : $stack->start_scheduler;
    $killed{$part}++;
}
my @told;
for (@senders) {
    my ($pid, $in) = @$_;
    while (my $line = <$in>) { push @told, [ split ' ', $line ] }
    waitpid $pid, 0;
}
note "$killed{httpd} times httpd, $killed{scheduler} times the scheduler; " . @told . ' deliveries were answered';
cmp_ok($killed{httpd} + $killed{scheduler}, '>=', 3, 'some were killed');
cmp_ok(scalar @told, '>=', 20, 'deliveries came through all the same');

my $db = $stack->db;
my %row = map { $_->[0] => $_ } $db->rows("SELECT l.delivery_id, l.verdict, l.deployment_id, d.commit_sha FROM hook_deliveries l"
    . " LEFT JOIN deployments d ON d.id = l.deployment_id WHERE l.verdict = 'accepted'");
my @lost = grep { !$row{ $_->[1] } || $row{ $_->[1] }[2] ne $_->[4] || $row{ $_->[1] }[3] ne $_->[2] } @told;
is(join("\n", map {"@$_"} @lost), '', 'every 2xx has its row, and the deployment that it named');
is($db->value('SELECT COUNT(*) FROM (SELECT hook_id, delivery_id FROM hook_deliveries GROUP BY hook_id, delivery_id HAVING COUNT(*) > 1) twice'),
    0, 'each delivery was taken once');
is($db->value("SELECT COUNT(*) FROM (SELECT app_id, commit_sha FROM deployments GROUP BY app_id, commit_sha HAVING COUNT(*) > 1) twice"), 0,
    'and deployed once');
is($db->value("SELECT COUNT(*) FROM deployments d WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.deployment_id = d.id)"), 0, 'each deployment has its job');
my %newest = map { $_->[0] => $_->[2] } @told;
for my $app (@apps) {
    my ($last) = $db->rows("SELECT d.commit_sha FROM deployments d JOIN apps a ON a.id = d.app_id WHERE a.slug = '$app->{slug}' ORDER BY d.number DESC LIMIT 1");
    is($last->[0], $newest{ $app->{slug} }, "O9 $app->{slug} is to be at its newest commit");
}
is(join("\n", $stack->bad_log_lines), '', 'the logs say nothing that nobody expected');
$stack->stop;
done_testing();
