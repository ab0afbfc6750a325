#!/usr/bin/perl
# Where the agent goes: straight to the scheduler's own TLS listener, to the next address when the first is dead,
# back through Apache when the listener is gone; and never to a listener whose certificate it does not trust.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(try_for);

my $port  = WH::Stack::free_port();
my $dead  = WH::Stack::free_port();
my $stack = WH::Stack->new(scheduler_conf => { listen => "127.0.0.1:$port" });
my $dir   = $stack->dir;

sub certificate {
    my ($name) = @_;
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$name "
            . "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout $dir/$name.key -out $dir/$name.pem -batch 2>/dev/null") == 0
        or die 'openssl';
    chmod 0640, "$dir/$name.key";
    chown 0, (getgrnam 'wisehost')[2], "$dir/$name.key";
    chmod 0644, "$dir/$name.pem";
    return;
}
certificate($_) for qw(listen other);
$stack->{scheduler_conf}{"listen_$_->[0]"} = "$dir/listen.$_->[1]" for [ cert => 'pem' ], [ key => 'key' ];
my $apache = 'ws://127.0.0.1:' . $stack->port;
$stack->{agent_conf} = { hub_url => "wss://127.0.0.1:$port", ca_file => "$dir/listen.pem" };
$stack->start;

sub said { my ($what, $re) = @_; ok(try_for(sub { $stack->log_text('agent') =~ $re }, 20), $what) or diag $stack->log_text('agent'); return }

# The agent anew, with these settings and an empty log.
sub again {
    my (%conf) = @_;
    $stack->proc('agent')->stop(10);
    $stack->{agent_conf} = { ca_file => "$dir/listen.pem", %conf };
    $stack->configure;
    unlink "$dir/log/agent.log";
    $stack->start_agent;
    return;
}

said('straight to the listener', qr{connected to wss://127\.0\.0\.1:$port as test-worker});
again(hub_url => "wss://127.0.0.1:$port", ca_file => "$dir/other.pem");
said('D another CA: refused', qr{cannot be reached at wss://127\.0\.0\.1:$port});
unlike($stack->log_text('agent'), qr/connected to/, 'and never connected');
again(hub_url => "wss://127.0.0.1:$dead wss://localhost:$port");
said('the first address is dead', qr{cannot be reached at wss://127\.0\.0\.1:$dead});
said('the second is taken', qr{connected to wss://localhost:$port});
again(hub_url => "wss://127.0.0.1:$port $apache");
said('the first of two', qr{connected to wss://127\.0\.0\.1:$port});

# The scheduler comes back without its listener.
$stack->proc('scheduler')->stop(10);
my %listen = map { $_ => delete $stack->{scheduler_conf}{$_} } qw(listen listen_cert listen_key);
$stack->configure;
$stack->start_scheduler;
said('1012 is no alarm', qr/the hub restarts: coming back/);
said('the listener is gone: through Apache', qr{connected to \Q$apache\E });
is_deeply($stack->api(GET => '/v1/workers')->{json}{items}[0]{status}, 'online', 'and online');

# What the setting takes.
for my $bad ('http://x', 'wss://', 'ws://203.0.113.7:80', 'wss://a:0', 'wss://a:99999', 'wss://user@a', "wss://[::1") {
    open my $out, '>', "$dir/conf/bad.conf" or die $!;
    print {$out} "state_dir = $dir/agent\nserver_url = @{[ $stack->url ]}\nhub_url = $bad\n";
    close $out;
    my ($rc, $text) = $stack->run_cmd("$stack->{inst}/sbin/wh-agent", '-c', "$dir/conf/bad.conf", '--check');
    is($rc, 78, "hub_url = $bad is refused");
    like($text, qr/hub_url: "\Q$bad\E"/, 'by its name');
}
for my $case ([ 'http://203.0.113.7:8080', 'off', 78 ], [ 'http://localhost.example', 'off', 78 ], [ 'http://203.0.113.7:8080', 'on', 0 ], [ 'http://[::1]:8080', 'off', 0 ]) {
    my ($url, $insecure, $wanted) = @$case;
    open my $out, '>', "$dir/conf/bad.conf" or die $!;
    print {$out} "state_dir = $dir/agent\nserver_url = $url\ninsecure_http = $insecure\n";
    close $out;
    my ($rc, $text) = $stack->run_cmd("$stack->{inst}/sbin/wh-agent", '-c', "$dir/conf/bad.conf", '--check');
    is($rc == 78 && $text =~ /server_url: "\Q$url\E": http/ ? 78 : 0, $wanted, "server_url = $url, insecure_http = $insecure") or diag $text;
}
for my $bad ('0.0.0.0', '169.254.1.1', 'localhost', 'w1.example.org') {
    open my $out, '>', "$dir/conf/bad.conf" or die $!;
    print {$out} "state_dir = $dir/agent\nserver_url = @{[ $stack->url ]}\naddress = $bad\n";
    close $out;
    my ($rc, $text) = $stack->run_cmd("$stack->{inst}/sbin/wh-agent", '-c', "$dir/conf/bad.conf", '--check');
    is($rc, 78, "address = $bad is refused");
    like($text, qr/address: "\Q$bad\E" is not an IP address/, 'by its name');
}
$stack->allow_log(qr/WH0644|WH0678|WH0679|WH06\d\d|WH04\d\d|AH\d+|wisehost:error/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
