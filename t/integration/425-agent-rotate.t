#!/usr/bin/perl
# A new key for a worker, when an administrator asks for one; and the agent killed at each step of it: no step
# leaves a worker that the server does not know. Its calls go through a proxy that lets one pass, or not.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $proxy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 20, ReuseAddr => 1) or die $!;
my $stack = WH::Stack->new(agent_conf => { server_url => 'http://127.0.0.1:' . $proxy->sockport });
$stack->{agent_conf}{hub_url} = 'ws://127.0.0.1:' . $stack->port;
my $dir = $stack->dir;

# One call to the API through the proxy. before/after: run when it is POST /v1/workers/rotate-key; 0 from
# `before` = it goes no further.
sub one_call {
    my (%o) = @_;
    my $from = $proxy->accept or return 0;
    my ($head, $body, $n) = ('', '', 0);
    while (defined(my $line = <$from>)) {
        $line = "Connection: close\r\n$line" if $line =~ /^\r?\n$/;
        $head .= $line unless $line =~ /^Connection: keep/i;
        $n = $1 if $line =~ /^Content-Length: (\d+)/i;
        last if $line =~ /\n\r?\n$/ || $line =~ /^\r?\n$/;
    }
    read $from, $body, $n if $n;
    my $rotation = $head =~ m{^POST /v1/workers/rotate-key };
    return 1 if $rotation && $o{before} && !$o{before}->();
    my $to = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $stack->port) or return 0;
    print {$to} $head, $body;
    my $answer = do { local $/; <$to> };
    return 1 if $rotation && $o{after} && !$o{after}->();
    local $SIG{PIPE} = 'IGNORE';
    print {$from} $answer;
    close $from;
    return $rotation ? 2 : 1;
}

# Serves calls until the condition holds.
sub until_so {
    my ($what, $condition, %o) = @_;
    my $select = IO::Select->new($proxy);
    my $ok = try_for(sub { one_call(%o) if $select->can_read(0.05); $condition->() }, 30);
    ok($ok, $what) or diag $stack->log_text('agent');
    return;
}

sub key { my $text = WH::Stack::slurp("$dir/agent/api.key"); chomp $text; return $text }
sub next_there { return -e "$dir/agent/api.key.next" }
sub registered { return $stack->db->value("SELECT key_hash FROM workers WHERE name = 'test-worker'") }
sub connections { return scalar(() = $stack->log_text('agent') =~ / connected to /g) }
sub ask { return $stack->api(POST => '/v1/workers/test-worker/rotate-key', {})->{status} }
sub kill_agent { $stack->proc('agent')->kill9; return 0 }

$stack->start(agent => 0);
$stack->start_agent;
until_so('the agent is connected', sub { connections() == 1 });
my $first = key();
is(registered(), sha256_hex($first), 'with the key of api.key');

# ---- as it should go ----
is(ask(), 202, 'an administrator asks for a new key');
until_so('it comes back on a new connection', sub { connections() == 2 });
isnt(key(), $first, 'XD a new key lies in api.key');
is(registered(), sha256_hex(key()), 'and is the one registered');
ok(!next_there(), 'api.key.next is gone');
is((stat "$dir/agent/api.key")[2] & 07777, 0600, 'only the agent may read it');
unlike($stack->log_text('agent'), qr/WH0710/, 'it is not called revoked on the way');

# ---- killed at each step ----
for my $step (
    [ 'before the new key was sent', before => \&kill_agent ],
    [ 'after the server took it, before its answer', after => \&kill_agent ],
    ) {
    my ($what, @when) = @$step;
    my ($old, $n) = (key(), connections());
    is(ask(), 202, "$what: asked");
    until_so("$what: the agent is killed", sub { !$stack->proc('agent')->runs }, @when);
    ok(next_there(), "$what: api.key.next is there");
    is(key(), $old, "$what: api.key is the old one");
    my $at_server = registered();
    $stack->start_agent;
    until_so("$what: the next life connects", sub { connections() > $n && registered() eq sha256_hex(key()) && !next_there() });
    isnt(key(), $old, "$what: and in the end has the new key");
    $when[0] eq 'before'
        ? is($at_server, sha256_hex($old), "$what: the server knew the old one")
        : isnt($at_server, sha256_hex($old), "$what: the server knew the new one");
}

# ---- an answer that is lost, while the agent lives ----
{
    my ($old, $n) = (key(), connections());
    is(ask(), 202, 'asked once more');
    until_so('an answer that is lost: it finds out by itself', sub { connections() > $n && key() ne $old && !next_there() }, after => sub { 0 });
    isnt(key(), $old, 'which key counts');
    is(registered(), sha256_hex(key()), 'and the server has it');
}

# ---- revoked: said clearly, and no spinning ----
{
    my $before = () = $stack->log_text('agent') =~ /\n/g;
    is($stack->api(POST => '/v1/workers/test-worker/revoke', {})->{status}, 200, 'F revoked by an administrator')
        or diag 'status';
    until_so('4010 is said in words', sub { $stack->log_text('agent') =~ /WH0710 the hub takes this worker no more/ });
    my $tried = connections();
    select undef, undef, undef, 1.5;
    my $lines = () = $stack->log_text('agent') =~ /\n/g;
    cmp_ok($lines - $before, '<', 4, 'and it does not spin');
    is(connections(), $tried, 'nor connect');
}

# ---- a token that replaces: never with the key that was revoked ----
{
    my ($old, $n) = (key(), connections());
    my $res = $stack->api(POST => '/v1/workers/enrol-tokens', { worker => 'test-worker', replaces => JSON::PP::true });
    is($res->{status}, 201, 'R8 an administrator gives it a token that replaces its key');
    $stack->proc('agent')->kill9;
    $stack->_write('enrolment', "$res->{json}{token}\n", 'wisehost-agent');
    $stack->start_agent;
    until_so('R8 it makes another key and comes back', sub { connections() > $n && !next_there() });
    isnt(key(), $old, 'R8 what was revoked stays revoked');
    is(registered(), sha256_hex(key()), 'the server has the new one');
}
$stack->allow_log(qr/WH0710|WH0711|WH0678|WH0483|WH04\d\d|WH06\d\d/);
is_deeply([ grep {/exit signal|Segmentation|Sanitizer|runtime error/} $stack->bad_log_lines ], [], 'nothing crashed');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
