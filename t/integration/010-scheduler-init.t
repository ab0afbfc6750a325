#!/usr/bin/perl
# wh-scheduler before it runs: --init, --check, tokens, keys, options; two of them; signals (XO1, XO2, XN10, F36).
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use WH::Proc;
use WH::Sched;
use WH::Wait qw(try_for);

my $s = WH::Sched->new;
my $state = $s->state;

# ---- options and configuration ----
my ($code, $out, $err) = $s->run('--version');
like($out, qr/^wh-scheduler \d+\.\d+\.\d+$/, '--version');
($code) = $s->run('--nonsense');
is($code, 64, 'an unknown option is a usage error');
($code) = $s->run(qw(--check --init));
is($code, 64, 'so are two actions');
($code, $out) = $s->run('--reference');
like($out, qr/base_domain/, '--reference shows the keys');
for my $bad ([ 'nonsense = 1', qr/scheduler\.conf:\d+: .*nonsense/ ], [ 'tick_ms = 5', qr/tick_ms/ ],
    [ 'base_domain = a b', qr/base_domain "a b" is not a domain name/ ], [ 'state_dir = here', qr/state_dir/ ]) {
    my ($key, $value) = split / = /, $bad->[0];
    $s->write_conf($key => $value);
    ($code, undef, $err) = $s->run('--dump-config');
    is($code, 78, "XO2 \"$bad->[0]\" is a configuration error");
    like($err, $bad->[1], 'and the message names it');
}
$s->write_conf;
($code, $out) = $s->run('--dump-config');
is($code, 0, '--dump-config');
unlike($out, qr/dbname=wh_/, 'shows no database parameters: a password may be among them');

# ---- before --init ----
($code, undef, $err) = $s->run;
is($code, 78, 'without a state directory it does not start');
like($err, qr/run wh-scheduler --init/, 'and says what to do');
($code, $out) = $s->run('--check');
is($code, 78, '--check minds too');
like($out, qr/\Q$state\E is missing: run wh-scheduler --init\./, 'in a sentence');

# ---- --init ----
($code, undef, $err) = $s->run(qw(--init --user nobody-at-all));
is($code, 78, 'XO2 --init for a user that does not exist');
like($err, qr/there is no user "nobody-at-all"/, 'says so');
ok(!-e "$state/keys/root.key", 'and has made no key');
my $said = $s->init;
like($said, qr/\AADMIN_TOKEN=[0-9a-f]{64}\n\z/, 'the first --init prints one administrator token');
my ($token) = $said =~ /=(\w+)/;
my ($row) = $s->sql('SELECT hash, purpose, used_at FROM onetime_tokens');
is_deeply($row, [ sha256_hex($token), 'admin', 0 ], 'of which only the hash is kept');
sub facts { my @st = stat shift; return sprintf '%s:%s %04o', scalar getpwuid $st[4], scalar getgrgid $st[5], $st[2] & 07777 }
my %tree = (
    '' => 'wisehost:www-data 2755', '/db' => 'wisehost:www-data 2770', '/keys' => 'root:root 0755',
    '/keys/root.key' => 'wisehost:wisehost 0600', '/keys/module.key' => 'root:root 0600',
    '/keys/control.secret' => 'root:root 0600', '/objects' => 'www-data:www-data 2775',
    '/releases' => 'www-data:www-data 2775', '/uploads' => 'www-data:www-data 2775',
    '/logs' => 'wisehost:www-data 2750', '/run' => 'wisehost:www-data 2750',
    '/routes.1' => 'wisehost:www-data 2750', '/routes/data.mdb' => 'wisehost:www-data 0640',
    '/routes/lock.mdb' => 'wisehost:www-data 0660');
is(facts("$state$_"), $tree{$_}, "state directory$_") for sort keys %tree;
is(readlink "$state/routes", 'routes.1', 'routes is a link');
is(facts("$state/db/wisehost.db"), 'wisehost:www-data 0660', 'the database can be written by both') if $s->db->kind eq 'sqlite';
pass('the database is a server') if $s->db->kind ne 'sqlite';
my @keys = map { slurp("$state/keys/$_") } qw(root.key module.key control.secret);
sub slurp { open my $in, '<', shift or return ''; local $/; return scalar <$in> }
is($s->init, '', 'a second --init prints no token');
is_deeply([ map { slurp("$state/keys/$_") } qw(root.key module.key control.secret) ], \@keys, 'and overwrites nothing');
unlink "$state/keys/module.key";
$s->init;
is(slurp("$state/keys/module.key"), $keys[1], 'a module key that is missing comes back as it was: it is derived');
($code, $out) = $s->run('--enrolment-token');
like($out, qr/\AENROLMENT_TOKEN=[0-9a-f]{64}\n\z/, '--enrolment-token');
($code, $out) = $s->run('--admin-token');
like($out, qr/\AADMIN_TOKEN=[0-9a-f]{64}\n\z/, '--admin-token');
($code, $out) = $s->run('--check');
is($out, "Everything is as it should be.\n", '--check finds nothing');
is($code, 0, 'and ends with 0');
($code, $out) = $s->run('--migrate');
like($out, qr/^The schema is at \d+ already\.$/, '--migrate has nothing to do');

# ---- keys that must be refused (XO1) ----
sub with {
    my ($what, $mess, $mend, $tells) = @_;
    $mess->();
    my ($c, undef, $e) = $s->run;
    is($c, 78, "XO1 $what: refused at start");
    like($e, $tells, 'with a reason');
    my (undef, $o) = $s->run('--check');
    isnt($o, "Everything is as it should be.\n", 'and --check says it');
    $mend->();
}
my $root = "$state/keys/root.key";
my $restore = sub { unlink $root; rmdir $root; open my $f, '>', $root; print {$f} $keys[0]; close $f;
    chown scalar getpwnam('wisehost'), scalar getgrnam('wisehost'), $root; chmod 0600, $root };
my $write = sub { my $text = shift; sub { open my $f, '>', $root or die; print {$f} $text; close $f } };
with('a root key that everybody can read', sub { chmod 0644, $root }, sub { chmod 0600, $root }, qr/root\.key/);
with('a short key', $write->(substr($keys[0], 0, 20) . "\n"), $restore, qr/root\.key/);
with('a key with a carriage return', $write->($keys[0] =~ s/\n/\r\n/r), $restore, qr/root\.key/);
with('a key of zeroes', $write->('0' x 64 . "\n"), $restore, qr/root\.key/);
with('a directory in the place of the key', sub { unlink $root; mkdir $root }, $restore, qr/root\.key/);
with('no key', sub { unlink $root }, $restore, qr/root\.key/);

# ---- a database that cannot be used ----
if ($s->db->kind eq 'sqlite') {
    rename "$state/db/wisehost.db", "$state/db/away";
    ($code, undef, $err) = $s->run;
    is($code, 78, 'XO2 without its database file it does not start');
    like($err, qr/wisehost\.db/, 'and names it');
    rename "$state/db/away", "$state/db/wisehost.db";
}
else { pass('XO2 (the server that is away: 330)') for 1 .. 2 }

# ---- signals, readiness ----
my $sock = IO::Socket::UNIX->new(Local => $s->dir . '/notify', Type => SOCK_DGRAM) or die $!;
chmod 0777, $s->dir . '/notify';
$ENV{NOTIFY_SOCKET} = $s->dir . '/notify';
$s->start;
sysread $sock, my $told, 200;
like($told, qr/^READY=1$/m, 'systemd is told that it is ready');
delete $ENV{NOTIFY_SOCKET};
is(facts("$state/run/hub.sock"), 'wisehost:www-data 0770', 'the hub socket is for both');
$s->write_conf(log_level => 'error');
kill 'HUP', $s->pid;
ok($s->soon(sub { $s->log =~ /log level is error from here on/ }), 'SIGHUP reads the log level again');
$s->write_conf(log_level => 'nonsense');
kill 'HUP', $s->pid;
ok($s->soon(sub { $s->log =~ /WH0491/ }), 'a file with a mistake in it changes nothing and is told');
$s->write_conf;

# ---- two of them ----
my $second = WH::Sched::Second->start($s);
if ($s->db->kind eq 'sqlite') {
    ok(try_for(sub { defined $second->ended }, 10), 'XN10 SQLite: a second one ends');
    is($second->ended >> 8, 69, 'with 69');
    like($second->said, qr/another wh-scheduler \(process \d+\) works in this state directory/, 'and says why');
    is($s->stop, 0, 'SIGTERM: 0');
}
else {
    ok(try_for(sub { $second->said =~ /standing by/ }, 10), 'XN10 PostgreSQL: a second one stands by');
    ok($second->runs, 'and waits');
    my $t = time;
    $s->kill9;
    ok(try_for(sub { $second->said =~ /is ready, hub on/ }, 10), 'when the first is killed it takes over');
    is($second->stop, 0, 'SIGTERM: 0');
}
done_testing();

package WH::Sched::Second;
sub start {
    my ($class, $sched) = @_;
    my $log = $sched->dir . '/second.log';
    my $self = bless { log => $log }, $class;
    $self->{proc} = WH::Proc->start(name => 'second', cmd => [ $sched->{bin}, '-c', $sched->dir . '/scheduler.conf' ], log => $log);
    return $self;
}
sub ended { return $_[0]{proc}->ended }
sub runs  { return $_[0]{proc}->runs }
sub stop  { return $_[0]{proc}->stop(10) }
sub said  { open my $in, '<', $_[0]{log} or return ''; local $/; return scalar(<$in>) // '' }
