#!/usr/bin/perl
# The whole way over IPv6: the scheduler listens at [::1], the agent goes to wss://[::1].
# db: sqlite
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::IP;
use Test::More;
use WH::Stack;
use WH::Wait qw(try_for until_limited);

my $probe = IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1, Proto => 'tcp')
    or plan skip_all => 'this machine has no ::1';
my $port = $probe->sockport;
close $probe;
my $stack = WH::Stack->new;
my $dir   = $stack->dir;

# A certificate for this address, in place of the one that is in use.
sub certificate {
    my ($address) = @_;
    my ($rc, $said) = $stack->run_cmd(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=hub),
        '-addext', "subjectAltName=IP:$address", '-keyout', "$dir/listen.key", '-out', "$dir/listen.pem");
    die "openssl: $said" if $rc;
    chmod 0640, "$dir/listen.key";
    chown 0, (getgrnam 'wisehost')[2], "$dir/listen.key";
    chmod 0644, "$dir/listen.pem";
    return;
}
certificate('::1');
$stack->{scheduler_conf} = { listen => "[::1]:$port", listen_cert => "$dir/listen.pem", listen_key => "$dir/listen.key" };
$stack->{agent_conf} = { hub_url => "wss://[::1]:$port", ca_file => "$dir/listen.pem" };
$stack->start;
my $connected = qr{connected to wss://\[::1\]:$port as test-worker};
try_for { $stack->log_text('agent') =~ $connected } 30;
like($stack->log_text('agent'), $connected, 'the agent is connected, and the certificate is good for ::1');
$stack->app('six', { 'index.html' => "<p>six\n" });
is($stack->deploy('six')->{conclusion}, 'succeeded', 'a site is deployed by it');
is($stack->get('six')->{body}, "<p>six\n", 'and serves');

# Wrong keys are counted here too, by the first 64 bits.
my @status = until_limited {
    my (undef, $text) = $stack->run_cmd(qw(curl -sS -o /dev/null -w %{http_code} --http1.1 --max-time 5 --cacert), "$dir/listen.pem",
        qw(-H Connection:Upgrade -H Upgrade:websocket -H Sec-WebSocket-Version:13 -H Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==),
        qw(-H Sec-WebSocket-Protocol:wisehost.v1 -H), 'Authorization: Bearer ' . 'f' x 64, "https://[::1]:$port/v1/workers/ws");
    return $text;
};
is($status[0], 401, 'a wrong key: 401');
is($status[-1], 429, 'guessing on: 429');
my $times = sub { return scalar(() = $stack->log_text('agent') =~ /connected to wss/g) };
$stack->proc('agent')->stop(10);
$stack->start_agent;
ok(try_for(sub { $times->() == 2 }, 20), 'the agent is let in all the same');

# A certificate that is trusted, and is another address's.
$stack->proc('agent')->stop(10);
certificate('::2');
$stack->proc('scheduler')->signal('HUP');
ok(try_for(sub { $stack->log_text('scheduler') =~ /certificate read again/ }, 5), 'another certificate') or diag $stack->log_text('scheduler');
$stack->start_agent;
ok(try_for(sub { $stack->log_text('agent') =~ /hostname mismatch.*cannot be reached at wss/s }, 20), 'that is not good for ::1 is not taken');
is($times->(), 2, 'and nothing is said to it');
$stack->allow_log(qr/WH0644/);
is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
is(join(' ', $stack->stop), '', 'everything stops in time');
done_testing();
