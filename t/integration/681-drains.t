#!/usr/bin/perl
# db: sqlite pgsql
# Log drains: what a worker's app prints at a recording Loki, as JSON lines, and at syslog servers by TLS, TCP and UDP; one that is
# dead and one that hangs cost their own lines alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select ();
use IO::Socket::INET ();
use IO::Uncompress::Gunzip qw(gunzip);
use JSON::PP qw(decode_json);
use Test::More;
use WH::Recorder;
use WH::Sched;
use WH::Stack;
use WH::Wait qw(now_s try_for);

my $stack = WH::Stack->new;
my $dir = $stack->dir;
$stack->run_cmd(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=logs -addext
    subjectAltName=IP:127.0.0.1 -keyout), "$dir/conf/tls.key", '-out', "$dir/conf/tls.crt");
chmod 0644, "$dir/conf/tls.crt";
$stack->{scheduler_conf} = { http_private_addresses => 'on', ca_file => "$dir/conf/tls.crt" };
$stack->start(agent => 0);

# ---- who listens ------------------------------------------------------------------------------------------
my $there = WH::Recorder->new;
my $http = $there->http;
my $tcp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die $!;
my $hangs = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!; # nobody ever accepts
my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp') or die $!;
my $tls_port = WH::Stack::free_port();
pipe my $stdin, my $keep or die $!;
my $tls = fork // die $!;
if (!$tls) {
    open STDIN, '<&', $stdin;
    open STDOUT, '>', "$dir/log/tls.out";
    open STDERR, '>', '/dev/null';
    exec qw(openssl s_server -quiet -accept), "127.0.0.1:$tls_port", '-cert', "$dir/conf/tls.crt", '-key', "$dir/conf/tls.key" or die $!;
}
END { my $rc = $?; if ($tls) { kill TERM => $tls; waitpid $tls, 0 } $? = $rc }

sub wh_in { my ($text, @args) = @_; open my $f, '>', "$dir/cli/in" or die; print {$f} "$text\n"; close $f; return $stack->wh_env({ STDIN => "$dir/cli/in" }, @args) }
my %target = (
    loki => "loki+http://u:s3cr3t\@$http/?tenant=t-1",
    http => "http://$http/lines?key=s3cr3t",
    tls => "syslog+tls://127.0.0.1:$tls_port",
    tcp => 'syslog+tcp://127.0.0.1:' . $tcp->sockport,
    udp => 'syslog+udp://127.0.0.1:' . $udp->sockport,
    zip => "http://$http/zip",
    plain => "http://$http/plain",
    dead => 'http://127.0.0.1:' . WH::Stack::free_port() . '/x',
    hangs => 'http://127.0.0.1:' . $hangs->sockport . '/x',
);
for my $name (sort keys %target) {
    my $res = wh_in($target{$name}, qw(drains add), $name, $name =~ /^(?:zip|plain)$/ ? qw(--gzip on) : ());
    like("$res->{rc} $res->{out}", qr/^0 name    $name\n/, "wh drains add $name") or diag $res->{err};
    unlike("$res->{out}$res->{err}", qr/s3cr3t/, 'no secret is said back');
}
is(wh_in('ftp://x', qw(drains add bad))->{rc}, 1, 'a target that is none is refused');
is($stack->api(PATCH => '/v1/drains/tcp', { gzip => JSON::PP::true() })->{json}{code}, 'gzip_unknown', 'syslog has nothing to pack');
is($stack->wh(qw(drains set loki --gzip maybe))->{rc}, 2, 'gzip is on or off');
$there->answer('/plain' => 415);
is($stack->api(POST => '/v1/drains', { name => 'loki', target => 'https://h/' })->{status}, 409, 'a name is there once');
unlike(join('', map { @$_ } $stack->db->rows('SELECT sealed FROM log_drains')), qr/127\.0\.0\.1|s3cr3t/, 'targets are sealed');

# ---- a worker, and an app that prints -----------------------------------------------------------------------
my $s = bless { dir => $dir, db => $stack->db, owner => 0, tool => WH::Sched::program('wh-test-worker', WH::Sched::builddir() . '/t/tools/wh-test-worker') }, 'WH::Sched';
my $w = $s->worker;
$w->up;
my $app = $s->app('shop', 'container');
my $d = $s->deployment($app);
$s->poke;
$w->result($w->begin, 'succeeded', instances => [ { container => 'c0ffee0123456789', address => '127.0.0.1', port => 20001 } ]);
$w->wait('result_ack') or die 'no result_ack';
my $seq = 0;
sub says {
    my (@lines) = @_;
    $w->send('runtime_log', { app => $app->{id}, deployment => $d->{id}, container => 'c0ffee0123456789', dropped => 0,
        lines => [ map { [ ++$seq, 1_700_000_000_000_000 + $seq, $_->[0], $_->[1] ] } @lines ] });
    return;
}
says([ out => "ready \e[31mred\e[0m" ], [ err => 'level=error <b>it</b> "broke"' ]);

sub at_path { my ($path) = @_; return map { $_->{body} } grep { $_->{target} =~ /^\Q$path\E/ } $there->seen }
ok((try_for { at_path('/loki') && at_path('/lines') } 10), 'HTTP drains get the lines');
my ($loki) = grep { $_->{target} eq '/loki/api/v1/push' } $there->seen;
my %labels = (app => 'shop', environment => 'production', deployment => $d->{id}, service_name => 'shop');
is_deeply(decode_json($loki->{body}), { streams => [
    { stream => { %labels, stream => 'stdout' }, values => [ [ '1700000000000001000', 'ready red' ] ] },
    { stream => { %labels, stream => 'stderr', level => 'error' }, values => [ [ '1700000000000002000', 'level=error <b>it</b> "broke"' ] ] },
] }, 'F230 Loki gets streams with labels, and cleaned lines');
is("$loki->{headers}{'content-type'} $loki->{headers}{'x-scope-orgid'} $loki->{headers}{authorization}", 'application/json t-1 Basic dTpzM2NyM3Q=', 'with its tenant and password');
is((decode_json((split /\n/, (at_path('/lines'))[0])[1]))->{message}, 'level=error <b>it</b> "broke"', 'JSON lines');

ok((try_for { at_path('/zip') } 10), 'a drain with gzip gets them, too');
my ($zip) = grep { $_->{target} eq '/zip' } $there->seen;
is($zip->{headers}{'content-encoding'}, 'gzip', 'and says so');
utf8::downgrade(my $packed = $zip->{body});
gunzip(\$packed, \my $unzipped) or die;
is($unzipped, (at_path('/lines'))[0], 'packed is the same');
ok((try_for { grep { $_->{target} eq '/plain' } $there->seen } 10), 'who does not take gzip says 415');
$there->answer('/plain' => 204);
ok((try_for { grep { $_->{target} eq '/plain' && !$_->{headers}{'content-encoding'} } $there->seen } 10), 'and gets the same lines plain');
is((at_path('/plain'))[-1], (at_path('/lines'))[0], 'without a loss');
is($stack->api(DELETE => "/v1/drains/$_")->{status}, 204, "$_ has done") for qw(zip plain);

my $message = sub { my ($pri, $us, $stream, $text) = @_; return "<$pri>1 2023-11-14T22:13:20.00000${us}Z localhost shop c0ffee012345 $stream [wisehost\@32473 environment=\"production\" deployment=\"$d->{id}\"] $text" };
my @want = ($message->(14, 1, 'stdout', 'ready red'), $message->(11, 2, 'stderr', 'level=error <b>it</b> "broke"'));
my $framed = join '', map { length($_) . " $_" } @want;
sub slurp_fh { my ($fh, $n) = @_; my $text = ''; my $select = IO::Select->new($fh); while (length $text < $n && $select->can_read(10)) { sysread($fh, $text, 65536, length $text) or last } return $text }
my $conn = IO::Select->new($tcp)->can_read(10) ? $tcp->accept : die 'nobody came';
is(slurp_fh($conn, length $framed), $framed, 'RFC 5424 over TCP, framed by length');
ok((try_for { WH::Stack::slurp("$dir/log/tls.out") eq $framed } 10), 'and over TLS');
my @datagrams = map { IO::Select->new($udp)->can_read(10) ? do { $udp->recv(my $m, 65536); $m } : '' } 1, 2;
is_deeply(\@datagrams, \@want, 'and in datagrams');

# ---- the dead and the slow -------------------------------------------------------------------------------------
sub drain { my ($name) = @_; return $stack->api(GET => "/v1/drains/$name")->{json} }
my $sent = 2;
for my $wave (1, 2) { # short lines: of one queue they take two thirds each, of what an app may print next to nothing
    says(map { [ out => 'line ' . ($sent + $_) ] } 1 .. 4900);
    $sent += 4900;
    try_for { $s->poke; drain('http')->{lines_sent} >= $sent && drain('loki')->{lines_sent} >= $sent } 10;
}
my @lines = map { decode_json($_)->{message} } map { split /\n/ } at_path('/lines');
is(scalar @lines, $sent, 'the drain that answers has every line') or diag join "\n", grep { /left out/ } @lines;
close $conn; # a syslog server that goes away: the next batch comes on a new connection
says([ out => 'after' ]);
ok((try_for { $s->poke; drain('http')->{lines_sent} == $sent + 1 && drain('dead')->{lines_lost} > 0 && drain('hangs')->{lines_lost} > 0 } 25), 'others lost lines of their own')
    or diag explain [ map { drain($_) } qw(http dead hangs) ];
is(drain($_)->{lines_lost}, 0, "$_ lost nothing") for qw(loki http tls);
like(drain('dead')->{cause}, qr/127\.0\.0\.1: /, 'and it is said why');
like($stack->wh('drains')->{out}, qr{^dead +http://127\.0\.0\.1:\d+/\*\*\* +all +0 +[1-9]\d* +127}m, 'wh drains');
is($stack->wh(qw(drains set hangs --off))->{rc}, 0, 'wh drains set');
is($stack->wh(qw(drains remove dead))->{rc}, 0, 'wh drains remove');
unlike($stack->log_text('scheduler'), qr/s3cr3t/, 'no log has a secret');
$stack->allow_log(qr/WH0542/);

# ---- an orderly end: what waits goes out, but nobody waits for who hangs ------------------------------------------
$stack->wh(qw(drains set hangs --on));
my $lost = drain('hangs')->{lines_lost};
$s->poke;
says([ out => 'the last line' ]);
ok((try_for { grep { WH::Stack::slurp($_) =~ /the last line/ } glob "$dir/state/logs/apps/*/*.seg" } 10), 'a line is stored');
my $from = now_s();
$stack->proc('scheduler')->stop(20);
my $took = now_s() - $from;
cmp_ok($took, '<', 15, sprintf 'the scheduler ends in time: %.1f s', $took);
like(WH::Stack::slurp("$there->{dir}/seen"), qr/the last line/, 'what was not sent yet goes out before');
cmp_ok($stack->db->value("SELECT lost FROM log_drains WHERE name = 'hangs'"), '>', $lost, 'what could not is counted');
delete $stack->{proc}{scheduler};
$w->do('quit');
$stack->stop;
done_testing();
