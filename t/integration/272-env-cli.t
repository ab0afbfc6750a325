#!/usr/bin/perl
# db: sqlite pgsql
# wh env: values from pipes and files, .env files; and another key for what is sealed, while everything runs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for);

my $stack = WH::Stack->new;
$stack->start(agent => 0);
my $dir = $stack->dir;
$stack->app('blog', { 'index.html' => 'x' });

sub with_input { my ($text, @args) = @_; open my $f, '>', "$dir/cli/in" or die; print {$f} $text; close $f; return $stack->wh_env({ STDIN => "$dir/cli/in" }, @args) }
sub vars { my $got = $stack->api(GET => '/v1/apps/blog/env' . ($_[0] // ''))->{json}; return join ' ', map { ($_->{environment} ? "$_->{environment}/" : '') . "$_->{name}=" . ($_->{value} // '-') . ($_->{build} ? '+' : '') } @{ $got->{items} } }

# ---- values ----------------------------------------------------------------------------------------------
my $res = with_input("top secret value\n", qw(env set blog API_KEY));
is($res->{rc}, 0, 'a secret from a pipe') or diag $res->{err};
unlike("$res->{out}$res->{err}", qr/top secret/, 'and it is not said back');
$res = $stack->wh(qw(env set blog API_KEY=on-the-command-line));
is($res->{rc}, 2, 'a secret on the command line is refused');
like($res->{err}, qr/does not belong on a command line/, 'with how it is done');
is($stack->wh(qw(env set blog MODE=fast --plain -e production))->{rc}, 0, 'one that is no secret may stand there');
open my $f, '>', "$dir/cli/pem" or die; print {$f} "a\nb\n"; close $f;
is($stack->wh('env:set', 'blog', 'PEM', '--plain', '--build', '-f', "$dir/cli/pem")->{rc}, 0, 'a file as it is');
is(vars(), "API_KEY=- PEM=a\nb\n+ production/MODE=fast", 'all are there');
with_input("v", qw(env set blog NO_END --plain));
like(vars(), qr/NO_END=v /, 'a pipe without a line end');
is($stack->wh(qw(env set blog 1X --plain -f /dev/null))->{rc}, 2, 'XB1 a bad name');
is($stack->wh(qw(env set blog WISEHOST_URL=x --plain))->{rc}, 2, 'one of the system\'s');
is($stack->wh('env', 'set', 'blog', 'X', '-f', "$dir/none")->{rc}, 2, 'no such file');

$res = $stack->wh(qw(env list blog));
like($res->{out}, qr/^API_KEY +\(secret\) +all/m, 'wh env list') or diag $res->{out};
like($res->{out}, qr/^MODE +fast +production/m, 'with values that are no secrets');
unlike($stack->wh(qw(env blog -e staging))->{out}, qr/MODE/, 'wh env APP -e: what an environment gets');
is(scalar @{ JSON::PP::decode_json($stack->wh(qw(env blog --json))->{out}) }, 4, '--json');
is($stack->wh(qw(env unset blog PEM NO_END))->{rc}, 0, 'wh env unset');
my $gone = $stack->wh(qw(env unset blog PEM));
is($gone->{rc}, 3, 'what is not there is said');
like($gone->{err}, qr/`wh env list APP` lists/, 'and where to look');
is(vars(), 'API_KEY=- production/MODE=fast', 'they are gone');

# ---- .env ---------------------------------------------------------------------------------------------------
$res = with_input("# all of it\nexport A=1\nB=\"two\nlines\"\nC='x#y' # c\nPASSWORD=ab#cd\n", qw(env import blog - --plain -e staging));
is($res->{rc}, 0, 'wh env import') or diag $res->{err};
is(vars(), "API_KEY=- production/MODE=fast staging/A=1 staging/B=two\nlines staging/C=x#y staging/PASSWORD=ab", 'as dotenv reads it');
like($res->{err}, qr/PASSWORD ends before the '#'/, 'what was cut is pointed out');
$res = with_input("A=1\nnonsense\n", qw(env import blog -));
is($res->{rc}, 2, 'what is no .env file is refused');
like($res->{err}, qr/line 2/, 'with its line');
is(with_input("Z=1\n", qw(env import blog - -e staging --replace))->{rc}, 0, '--replace');
is(vars('?environment=staging'), 'API_KEY=- staging/Z=-', 'takes the place of what was there');

# ---- another key ----------------------------------------------------------------------------------------------
is($stack->api(PUT => '/v1/apps/blog/env', { environment => 'many', variables => [ map { { name => "V$_", value => "v$_", secret => JSON::PP::false } } 1 .. 240 ] })->{status}, 200, '240 of them');
my $deployment = $stack->api(POST => '/v1/apps/blog/deployments', {})->{json}{id};
my $stale = sub { return $stack->db->value('SELECT (SELECT COUNT(*) FROM env_vars WHERE key_id < 2) + (SELECT COUNT(*) FROM deployment_env WHERE key_id < 2)') };
my $before = $stack->db->value("SELECT sealed FROM env_vars WHERE name = 'API_KEY'");
is($stale->(), 245, 'all sealed with the first key');
$stack->proc('scheduler')->stop;
my $key = WH::Stack::slurp("$dir/state/keys/module.key");
my ($rc, $said) = $stack->run_cmd($stack->scheduler_cmd('--rotate-env-key'));
is($rc, 0, 'wh-scheduler --rotate-env-key') or diag $said;
is_deeply($stack->api(GET => '/v1/audit?action=env_key.rotate')->{json}{items}[0]{actor}, { kind => 'local', id => "$<" }, 'the audit log has who ran it')
    or diag explain $stack->api(GET => '/v1/audit?limit=3')->{json};
is($stack->api(GET => '/v1/audit?action=token.admin')->{json}{items}[0]{actor}{id}, "$<", 'and who made the first token');
like($said, qr/key 2 from now on/, 'says which');
isnt(WH::Stack::slurp("$dir/state/keys/module.key"), $key, 'module.key is another');
is((stat "$dir/state/keys/module.key")[2] & 07777, 0600, 'as private as it was');
$stack->start_scheduler;
wait_for { my $n = $stale->(); $n > 0 && $n < 245 } 20, 'a first batch';
$stack->proc('scheduler')->kill9;
my $left = $stale->();
cmp_ok($left, '<', 245, 'sealed anew in batches');
$stack->start_scheduler;
wait_for { !$stale->() } 20, 'the rest';
pass("after kill -9 the rest of $left goes on where it was");
isnt($stack->db->value("SELECT sealed FROM env_vars WHERE name = 'API_KEY'"), $before, 'all of it is sealed anew');
is($stack->db->value("SELECT key_id FROM deployment_env WHERE deployment_id = '$deployment' AND name = 'API_KEY'"), 2, 'what deployments have, too');
like(vars(), qr/production\/MODE=-/, 'httpd does not know the key yet: the value is not shown');
is(with_input("later\n", qw(env set blog LATER --plain))->{rc}, 0, 'but it goes on sealing with its own');
is($stack->db->value("SELECT key_id FROM env_vars WHERE name = 'LATER'"), 1, 'the former');
kill USR1 => $stack->proc('httpd')->{pid};
wait_for { vars() =~ /production\/MODE=fast/ } 20, 'httpd to have the new key';
like(vars('?environment=many'), qr/^API_KEY=- LATER=later .*V99=v99$/, 'after apachectl graceful everything reads as before');
wait_for { !$stale->() } 20, 'what was sealed with the former';
like(vars('?environment=many'), qr/LATER=later/, 'is sealed anew as well');

is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
