# Which replica gets a request, what happens when it does not answer, and requests that wait for a switch.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use Test::More;
use WH::Backend;
use WH::Http qw(http_request);
use WH::Httpd;
use WH::Wait qw(now_s wait_for);

my $base = $WH::Httpd::base;
my $h = WH::Httpd->new(workers => 25, global => "LogLevel wisehost:debug\nWiseHostHoldMax 3"
    . "\nLogFormat \"%{Host}i %>s up=%{wh-upstream}n retries=%{wh-retries}n\" notes\n"
    . 'CustomLog ${NOTES} notes', args => []);
$h->{global} =~ s/\$\{NOTES\}/$h->dir . '\/log\/notes.log'/e;
my %b = map { $_ => WH::Backend->new(name => $_, address => '127.0.0.1') } qw(a b c);
sub up { my ($name, $weight) = @_; return { address => '127.0.0.1', port => $b{$name}->port + 0, weight => $weight // 1 } }
sub proxy { my ($label, $ups, %o) = @_; $h->routes({ host => $label, kind => 'proxy', slug => $label, upstreams => $ups, %o }); return }
sub who { my ($label, %o) = @_; my $got = $h->get($label, '/echo', %o); return $got->{json} ? $got->{json}{name} : $got->{status} }
sub notes { my $text = $h->log_text('notes.log'); return $text }

proxy(three => [ up('a', 2), up('b'), up('c') ]);
proxy(one => [ up('a') ]);
proxy(sticky => [ map { up($_) } qw(a b c) ], flags => ['sticky']);
$h->start;
$h->allow_log(qr/AH0\d+:.*(?:failed to make connection|attempt to connect|Error reading from remote|error reading status line|pass request body failed)/, qr/WH0162/);

# ---- weights ----
my %count;
$count{ who('three') }++ for 1 .. 40;
is_deeply(\%count, { a => 20, b => 10, c => 10 }, 'replicas get as much as their weights say');

# ---- sticky ----
my $got = $h->get('sticky', '/echo');
my ($name, $cookie) = ($got->{json}{name}, $got->{headers}{'set-cookie'});
like($cookie, qr{^__wh-up=[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax$}, 'a sticky route gives a cookie that tells nothing');
my ($pair) = split /;/, $cookie;
my %seen;
for (1 .. 10) {
    $got = $h->get('sticky', '/echo', headers => { Cookie => "mine=1; $pair; other=2" });
    $seen{"$got->{json}{name} " . ($got->{headers}{'set-cookie'} // 'none') . ' ' . ($got->{json}{headers}{cookie} // '')}++;
}
is_deeply(\%seen, { "$name none mine=1; other=2" => 10 }, 'whoever brings it stays; the application does not see it')
    or diag(explain(\%seen));
my $port = $b{a}->port;
for my $bad ('__wh-up=0123456789abcdef', "__wh-up=127.0.0.1:$port", '__wh-up=', '__wh-up=' . 'f' x 4000) {
    $got = $h->get('sticky', '/echo', headers => { Cookie => $bad });
    like("$got->{status} $got->{headers}{'set-cookie'}", qr/^200 __wh-up=[0-9a-f]{16};/, 'a forged one is ignored: ' . substr $bad, 0, 30);
}
proxy(other => [ map { up($_) } qw(a b c) ], flags => ['sticky'], app_id => '01cccccccccccccccccccccccc');
like($h->get('other', '/echo', headers => { Cookie => $pair })->{headers}{'set-cookie'}, qr/__wh-up/, "another app's cookie is a forged one");
is($h->get('three', '/echo')->{headers}{'set-cookie'}, undef, 'no cookie where none is asked for');
$b{$name}->stop;
$got = $h->get('sticky', '/echo', headers => { Cookie => $pair });
isnt($got->{json}{name}, $name, 'its replica is dead: another answers');
like($got->{headers}{'set-cookie'}, qr/^__wh-up=/, 'and gives its own cookie');
$b{$name}->start;

# ---- ejection ----
$b{c}->stop;
%count = ();
$count{ who('three', method => 'POST', body => 'x' x 9000) }++ for 1 .. 40;
ok(!grep({ !/^[ab]$/ } keys %count), 'one of three is dead: 40 of 40 POSTs are answered by the others') or diag(explain(\%count));
my $refused = () = $h->log_text =~ /AH00957/g;
cmp_ok($refused, '<=', 8, "a dead replica is left alone for a while: $refused connections were tried for it");
$b{c}->start;
$count{c} = 0;
wait_for { who('three') eq 'c' } 12, 'the replica that is alive again to get requests';
pass('it gets requests again when it is back');
$b{$_}->stop for qw(a b c);
$got = $h->get('three', '/echo');
is("$got->{status} $got->{json}{code}", '503 upstream_unreachable', 'all are dead: 503');
ok($got->{headers}{'retry-after'}, 'with Retry-After');
$b{b}->start;
is(who('three'), 'b', 'all rest, one is back: the very next request finds it');
$b{$_}->start for qw(a c);

# ---- again, or not ----
my $hard = WH::Backend->new(name => 'h');
$b{h} = $hard;
# One that takes the request and ends: whoever may be sent twice goes to the other.
my $eater = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 50) or die $!;
my $pid = fork // die $!;
if (!$pid) {
    while (my $sock = $eater->accept) { sysread $sock, my $x, 65536; close $sock }
    POSIX::_exit(0);
}
my $eat = { address => '127.0.0.1', port => $eater->sockport + 0, weight => 1 };
proxy(half => [ $eat, up('h') ]);
for my $method (qw(GET HEAD OPTIONS DELETE PUT)) {
    my %status;
    $status{ $h->get('half', '/echo', method => $method)->{status} }++ for 1 .. 6;
    is_deeply(\%status, { 200 => 6 }, "RFC 9110 9.2.2: $method that got no answer is sent to another replica");
}
for my $case ([ PUT => 'body' ], [ DELETE => 'body' ], [ PUT => 'b' x 20_000 ], [ PUT => 'b' x 65_536 ]) {
    my ($method, $body) = @$case;
    my %got;
    for (1 .. 6) { my $answer = $h->get('half', '/echo', method => $method, body => $body); $got{"$answer->{status} " . ($answer->{json}{length} // '')}++ }
    is_deeply(\%got, { '200 ' . length $body => 6 }, "$method with a body of " . length($body) . ', too: it arrives whole');
}
for (1, 2) {
    my (undef, $all) = $h->raw("PUT /echo HTTP/1.1\r\nHost: half.$base\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    like($all, qr/"length":11/, "in chunks, too: $_");
}
for my $case ([ POST => undef ], [ PATCH => undef ], [ POST => 'body' ], [ PUT => 'b' x 65_537 ]) {
    my ($method, $body) = @$case;
    my %status;
    $status{ $h->get('half', '/echo', method => $method, body => $body)->{status} }++ for 1 .. 6;
    is_deeply(\%status, { 200 => 3, 502 => 3 }, "$method" . ($body ? ' with a body of ' . length $body : '') . ' is not');
}
like(notes(), qr/^half\S* 200 up=127\.0\.0\.1:@{[$hard->port]} retries=1$/m, 'the notes say who answered, and that it was the second');
like(notes(), qr/^three\S* 503 up=- retries=2$/m, 'or that nobody did');
kill KILL => $pid;
waitpid $pid, 0;

# A kept connection of ours that the application closed meanwhile, on a kept connection of the client.
my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) or die $!;
my @answers;
proxy(kept => [ up('h') ]);
for (1 .. 4) {
    syswrite $sock, "GET /first HTTP/1.1\r\nHost: kept.$base\r\n\r\n";
    my $text = '';
    sysread $sock, $text, 65536, length $text or last while $text !~ /\r\n\r\n.*\}/s;
    push @answers, $text =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'closed';
}
is("@answers", '200 200 200 200', 'a connection closed under a GET: made anew, the client does not see it');
close $sock;

# ---- the held switch ----
sub ask_in_child {
    my ($label, %o) = @_;
    pipe my $in, my $out;
    my $kid = fork // die $!;
    if (!$kid) {
        my $t0 = now_s();
        my $answer = $h->get($label, '/echo', %o);
        syswrite $out, join ' ', $answer->{status}, $answer->{json}{name} // $answer->{json}{code} // '',
            $answer->{json}{length} // '', now_s() - $t0;
        POSIX::_exit(0);
    }
    return [ $kid, $in ];
}
sub waiters {
    my $n = shift;
    return wait_for { (() = $h->log_text =~ /waits for a switch/g) >= $n } 5, "$n requests to wait";
}
sub answer_of { my ($kid, $in) = @{ $_[0] }; sysread $in, my $text, 1000; waitpid $kid, 0; return split / /, $text }

proxy(switch => [], flags => ['hold'], hold_s => 5);
my @waiting = map { ask_in_child('switch', method => 'POST', body => 'w' x 70_000) } 1 .. 3;
waiters(3);
$got = $h->get('switch', '/echo');
is("$got->{status} $got->{json}{code} " . ($got->{headers}{'retry-after'} // ''), '503 switching 2', 'one more than WiseHostHoldMax gets 503 at once, with Retry-After');
is(who('one'), 'a', 'others are served meanwhile');
my $switched = now_s();
proxy(switch => [ up('b') ]);
my @all = map { [ answer_of($_) ] } @waiting;
is_deeply([ map { "@$_[0 .. 2]" } @all ], [ ('200 b 70000') x 3 ], 'three POSTs waited for the switch and arrive whole');
cmp_ok(now_s() - $switched, '<', 1, 'at once when it is done');

proxy(switch => [], flags => ['hold'], hold_s => 1);
my @over = answer_of(ask_in_child('switch'));
is("$over[0] $over[1]", '503 switching', 'a switch that takes longer than hold_s: 503');
cmp_ok($over[3], '>=', 1, 'after hold_s, not before');
cmp_ok($over[3], '<', 2, '… and not long after');

proxy(switch => [], flags => ['hold'], hold_s => 30);
my @gone = map {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port) or die $!;
    syswrite $s, "GET / HTTP/1.1\r\nHost: switch.$base\r\n\r\n";
    $s;
} 1 .. 3;
waiters(7);
close $_ for @gone;
my $late = ask_in_child('switch');
proxy(switch => [ up('c') ]);
@over = answer_of($late);
is("$over[0] $over[1]", '200 c', 'a client that goes away gives its place to another');

$h->static(page => { 'index.html' => "from files\n", 'echo' => "files\n" });
proxy(becomes => [], flags => ['hold'], hold_s => 10);
my $kid = ask_in_child('becomes');
waiters(8);
my $id = $h->release({ echo => "files\n" });
$h->routes({ host => 'becomes', kind => 'static', slug => 'becomes', release => $id });
@over = answer_of($kid);
is($over[0], 200, 'the route may become another kind of site meanwhile');

# Read before the switch, sent after it: refused by the old container, taken by the new one.
my $dead = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1) or die $!;
my $dead_up = { address => '127.0.0.1', port => $dead->sockport + 0, weight => 1 };
close $dead;
my $t0 = now_s();
proxy(nobody => [$dead_up], hold_s => 10);
is($h->get('nobody', '/')->{status}, 503, 'a dead application without a switch is told at once');
cmp_ok(now_s() - $t0, '<', 1, '… and does not wait');

is($h->stop, 0, 'httpd stops');
is_deeply([ $h->bad_log_lines ], [], 'the error log is clean');
done_testing();
