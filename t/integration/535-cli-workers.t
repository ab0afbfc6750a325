#!/usr/bin/perl
# db: sqlite
# The command line about workers: list, tokens, draining, keys, removal, sums; cancel that stays until the end;
# where an app is to run. With a real scheduler and a real agent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP qw(decode_json);
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new;
$stack->start;
my $name = $stack->api(GET => '/v1/workers')->{json}{items}[0]{name};

sub says {
    my ($args, $rc, $what, %like) = @_;
    my $got = $stack->wh_env({}, @$args);
    is($got->{rc}, $rc, $what) or diag("out: $got->{out}\nerr: $got->{err}");
    like($got->{$_}, $like{$_}, "$what: $_") for sort keys %like;
    return $got;
}
sub worker { return $stack->api(GET => "/v1/workers/$_[0]")->{json} }
sub register {
    my ($token, $as, $key) = @_;
    return $stack->request(method => 'POST', path => '/v1/workers/register', headers => { Authorization => "Bearer $token" },
        body => { name => $as, api_key => $key, cpu_millis => 1000, memory_bytes => 1 << 30, address => '127.0.0.1' });
}

# ---- usage -----------------------------------------------------------------------------------------
says(['--help'], 0, 'the help', out => qr/^  workers drain .*^  stats /ms);
says([ 'workers', $_, '--help' ], 0, "help of workers $_", out => qr/^wh workers \Q$_\E/) for qw(info enroll drain undrain remove revoke rotate-key);
says([ 'workers', 'nonsense' ], 2, 'no such command', err => qr/workers nonsense/);
says([ 'workers', 'drain' ], 2, 'drain of what?', err => qr/an argument is missing/);
says([ 'workers', 'enroll', '--replace' ], 2, 'replace whom?', err => qr/--name/);
says([ 'workers', 'enroll', '--expires', $_ ], 2, "a token for $_ seconds", err => qr/60 to 2592000/) for 5, 'x', 9999999;
says([ 'workers', $_, 'nobody' ], 3, "workers $_ of none: exit code 3") for qw(info drain undrain remove revoke rotate-key);

# ---- list and info ---------------------------------------------------------------------------------
says(['workers'], 0, 'workers', out => qr/^WORKER .*^\Q$name\E +online .* 0\/\d+ /ms);
says([ 'workers', 'list' ], 0, 'workers list', out => qr/^\Q$name\E/m);
is(decode_json(says([ 'workers', '--json' ], 0, 'workers --json')->{out})->[0]{name}, $name, 'an array');
wait_for { worker($name)->{disk_free_bytes} } 10, 'its first heartbeat';
says([ 'workers', 'info', $name ], 0, 'workers info', out => qr/^\Q$name\E: online\n.*disk free MiB [1-9]\d*\n.*address +127\.0\.0\.1/s);
is(decode_json(says([ 'workers:info', $name, '--json' ], 0, 'workers:info --json')->{out})->{name}, $name, 'a colon stands for a space');
says(['stats'], 0, 'stats', out => qr/^workers   1 \(1 online, 0 offline, 0 draining\)\n.*^jobs      0 pending/ms);
is(decode_json(says([ 'stats', '--json' ], 0, 'stats --json')->{out})->{workers}{online}, 1, 'F152 the sums');

# ---- tokens ----------------------------------------------------------------------------------------
my $got = says([ 'workers', 'enroll', '--name', 'second', '--expires', '60' ], 0, 'R8 enroll', out => qr/^[0-9a-f]{64}\n$/, err => qr/one use until .* not shown again.*enrolment_token_file of \/etc\/wisehost\/agent\.conf.*systemctl start wisehost-agent\n.*wh-agent -c/s);
chomp(my $token = $got->{out});
is(register($token, 'third', sha256_hex('third'))->{status}, 403, 'the token is for that name');
is(register($token, 'second', sha256_hex('second'))->{status}, 201, 'and registers it');
says([ 'workers', 'info', 'second' ], 0, 'a worker that was never there', out => qr/disk free MiB unknown\n/);
says([ 'workers', 'enroll', '--name', 'second' ], 5, 'the name is taken: exit code 5', err => qr/^(?!.*replaces").*There is a worker of this name.*--replace makes such a token/s);
says([ 'workers', 'enroll', '--name', 'nobody', '--replace' ], 1, 'replace none', err => qr/no worker named nobody/);
$token = decode_json(says([ 'workers', 'enroll', '--name', 'second', '--replace', '--json' ], 0, 'enroll --replace --json')->{out})->{token};
is(register($token, 'second', sha256_hex('second anew'))->{status}, 201, 'R8 another key for the same worker');
my ($rc, $made) = $stack->as_wisehost('--enrolment-token', '--worker', 'fourth');
my ($once) = $made =~ /^ENROLMENT_TOKEN=(\S+)/m;
is(register($once, 'third', sha256_hex('third'))->{status}, 403, 'wh-scheduler --enrolment-token --worker binds, too');
is(register($once, 'fourth', sha256_hex('fourth'))->{status}, 201, 'to that name');
($rc, $made) = $stack->as_wisehost('--enrolment-token', '--worker', 'fourth', '--replaces');
is(register(($made =~ /^ENROLMENT_TOKEN=(\S+)/m)[0], 'fourth', sha256_hex('fourth anew'))->{status}, 201, '--replaces: with another key');
for my $args ([ '--enrolment-token', '--replaces' ], [ '--check', '--worker', 'x' ], [ '--enrolment-token', '--worker', 'a b' ], [ '--worker', 'x' ]) {
    ($rc, $made) = $stack->as_wisehost(@$args);
    is($rc, 64, "wh-scheduler @$args is no use");
}

# ---- keys ------------------------------------------------------------------------------------------
says([ 'workers', 'revoke', 'second' ], 0, 'revoke', err => qr/^second is shut out\nwh workers enroll --name second --replace lets it back in\n$/);
says([ 'workers', 'info', 'second' ], 0, 'info says so', out => qr/^second: offline, revoked/);
says([ 'workers', 'rotate-key', 'second' ], 5, 'a revoked key is not rotated: exit code 5', err => qr/replaces its key/);
says([ 'workers', 'remove', 'second' ], 0, 'remove', err => qr/second is removed/);
says([ 'workers', 'info', 'second' ], 3, 'it is gone');
is(decode_json(says([ 'workers', 'remove', 'fourth', '--json' ], 0, 'remove --json')->{out})->{removed}, 'fourth', 'names it');

# ---- where an app is to run ------------------------------------------------------------------------
my $repo = $stack->repo('site', { 'index.html' => "one\n" });
says([ 'apps', 'create', 'site', '--repo', $repo->path, '--worker', 'nobody' ], 1, 'an app for no worker', err => qr/no worker named nobody/);
says([ 'apps', 'create', 'site', '--repo', $repo->path, '--label', 'novalue' ], 2, 'a label that is none', err => qr/novalue.*KEY=VALUE/);
says([ 'apps', 'create', 'site', '--repo', $repo->path, '--worker', $name, '--label', 'a=b', '--label', 'c=d=e' ], 0, 'F144 apps create --worker --label');
is_deeply($stack->api(GET => '/v1/apps/site')->{json}{placement}, { worker => $name, zone => undef, labels => { a => 'b', c => 'd=e' } }, 'is the app\'s placement');
says([ 'apps', 'info', 'site' ], 0, 'apps info shows it', out => qr/worker +\Q$name\E.*labels +a=b c=d=e/s);

# ---- cancel ----------------------------------------------------------------------------------------
says([ 'deploy', 'site' ], 0, 'a deployment that no worker will do for');
$got = says([ 'deployments', 'site' ], 0, 'deployments');
wait_for { ($stack->api(GET => '/v1/apps/site/deployments')->{json}{items}[0]{cause} // {})->{detail} } 10, 'a reason';
like($stack->wh('deployments', 'site')->{out}, qr/labels/, 'says why it waits');
$got = says([ 'cancel', 'site' ], 0, 'cancel of an app', err => qr/being canceled.*canceled\n.*Nothing of it runs/s);
is($stack->api(GET => '/v1/apps/site/deployments')->{json}{items}[0]{conclusion}, 'canceled', 'it is over when it comes back');
says([ 'cancel', 'site' ], 5, 'again: exit code 5', err => qr/nothing to cancel/);
my $id = $stack->wh('deploy', 'site')->{out} =~ s/\n//r;
is(decode_json(says([ 'cancel', $id, '--json' ], 0, 'cancel of a deployment --json')->{out})->{conclusion}, 'canceled', 'its JSON says how it ended');
$id = $stack->wh('deploy', 'site')->{out} =~ s/\n//r;
says([ 'cancel', '--no-wait', $id ], 0, 'cancel --no-wait');
wait_for { $stack->api(GET => "/v1/deployments/$id")->{json}{status} eq 'completed' } 10, 'the end of it';
says([ 'cancel', 'nobody' ], 3, 'cancel of none');
says([ 'cancel', 'site', '--timeout', 'x' ], 2, 'no number');

# ---- draining --------------------------------------------------------------------------------------
says([ 'deploy', 'site', '--wait', '--worker', $name ], 0, 'deploy --worker: instead of what the app says');
$got = says([ 'workers', 'drain', $name ], 0, 'drain', err => qr/takes no new jobs; nothing is left there/);
is($got->{out}, '', 'with nothing to tell');
is(worker($name)->{admin_state}, 'draining', 'it drains');
says(['workers'], 0, 'the list says so', out => qr/^\Q$name\E +online, draining/m);
says(['status'], 0, 'so does the status', out => qr/online, draining/);
$id = $stack->wh('deploy', 'site', '--worker', $name)->{out} =~ s/\n//r;
wait_for { ($stack->api(GET => "/v1/deployments/$id")->{json}{cause} // {})->{detail} } 10, 'a reason';
is($stack->api(GET => "/v1/deployments/$id")->{json}{status}, 'prepare', 'F150 it takes no new jobs');
says([ 'workers', 'undrain', $name ], 0, 'undrain', err => qr/takes jobs again/);
wait_for { $stack->api(GET => "/v1/deployments/$id")->{json}{status} eq 'completed' } 20, 'the deployment';
is($stack->api(GET => "/v1/deployments/$id")->{json}{conclusion}, 'succeeded', 'now it does');
like($stack->get('site')->{body}, qr/one/, 'and the site is live');

# An app with a container there, and none to take it.
my ($dep, $app) = @{ $stack->api(GET => '/v1/deployments/' . $id)->{json} }{qw(id app)};
my $row = $stack->db->value("SELECT id FROM workers WHERE name = '$name'");
$stack->db->rows("INSERT INTO instances (id, app_id, deployment_id, worker_id, container, address, port, state, created_at)"
    . " SELECT '" . '0' x 26 . "', app_id, id, $row, 'c1', '127.0.0.1', 20000, 'draining', 1 FROM deployments WHERE id = '$dep'");
$got = says([ 'workers', 'drain', $name ], 0, 'drain with something left', out => qr/^  site \(production\): Its former containers/, err => qr/what is listed is still there/);
says([ 'workers', 'info', $name ], 0, 'info lists it, too', out => qr/^  left +site \(production\): /m);
says([ 'workers', 'drain', $name, '--wait', '--timeout', '1' ], 124, 'drain --wait --timeout: exit code 124', err => qr/site \(production\).*goes on/s);
is(decode_json($stack->wh('workers', 'drain', $name, '--json')->{out})->{drain}{left}[0]{app}, 'site', 'drain --json');
says([ 'workers', 'remove', $name ], 5, 'remove is refused: exit code 5', err => qr/site \(production\).*force/);
$stack->db->rows("UPDATE instances SET state = 'stopped' WHERE container = 'c1'");
says([ 'workers', 'drain', $name, '--wait' ], 0, 'drain --wait ends when nothing is left', err => qr/nothing is left there/);
$stack->allow_log(qr/4010|removed|revoked|401|WH06/);
says([ 'workers', 'remove', $name, '--force' ], 0, 'remove --force');
is_deeply(decode_json($stack->wh('workers', '--json')->{out}), [], 'nobody is left');

is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
