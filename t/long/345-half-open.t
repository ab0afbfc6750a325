#!/usr/bin/perl
# A peer that is there for the kernel and for nobody else: its machine takes the hub's pings and never answers.
# On both ways in it is dead after 90 seconds, 95 at most (F64, F65, XE20). Takes them.
# db: sqlite
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use WH::Sched;
use WH::Stack;
use WH::Wait qw(try_for);

my $stack = WH::Stack->new;
my $dir = $stack->dir;
my $tls_port = WH::Stack::free_port();
my ($rc, $said) = $stack->run_cmd(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=hub),
    '-keyout', "$dir/conf/hub.key", '-out', "$dir/conf/hub.pem");
die $said if $rc;
chmod 0600, "$dir/conf/hub.key";
chown((getpwnam 'wisehost')[2, 3], "$dir/conf/hub.key");
$stack->{scheduler_conf} = { listen => "127.0.0.1:$tls_port", listen_cert => "$dir/conf/hub.pem", listen_key => "$dir/conf/hub.key" };
$stack->start(agent => 0);
{
    package Hub;
    sub state { return "$dir/state" }
}
my $hub = bless { tool => WH::Sched::builddir() . '/t/tools/wh-test-worker' }, 'Hub';
chomp(my $control = WH::Stack::slurp("$dir/state/keys/control.secret"));
my %way = (httpd => { port => $stack->port }, tls => { port => $tls_port, tls => JSON::PP::true() });
my (%w, %gone);
for my $way (sort keys %way) {
    my $key = sha256_hex("$way $$ " . rand);
    my $got = $stack->request(method => 'POST', path => '/v1/workers/register', token => $control, body => { name => "w-$way",
        api_key => $key, cpu_millis => 1000, memory_bytes => 1 << 30, address => '127.0.0.1', labels => {}, zone => '', version => '0.1.0' });
    $w{$way} = WH::Sched::Worker->new($hub, $stack->db->value("SELECT id FROM workers WHERE name = 'w-$way'"), $key);
    is($w{$way}->connect(%{ $way{$way} }, bearer => $got->{json}{token})->{event}, 'connected', "$way: connected");
    ok($w{$way}->hello, "$way: and welcome");
    kill STOP => $w{$way}{pid};
}
my $from = time;
try_for {
    for my $way (grep { !$gone{$_} } keys %w) {
        $gone{$way} = time - $from if $stack->db->value("SELECT status FROM workers WHERE id = $w{$way}{id}") eq 'offline';
    }
    keys %gone == 2;
} 110;
for my $way (sort keys %way) {
    cmp_ok($gone{$way} // 999, '<=', 95, sprintf "$way: XE20 F64 half-open is dead within 95 s (%.1f s)", $gone{$way} // 999);
    cmp_ok($gone{$way} // 0, '>=', 85, "$way: F64 F65 and not before its time");
    kill CONT => $w{$way}{pid};
}
is_deeply([ $stack->stop ], [], 'everything stops in time');
done_testing();
