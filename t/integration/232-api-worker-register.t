#!/usr/bin/perl
# db: sqlite pgsql
# Registration under attack and under load: addresses that nobody should have, names that hide something,
# many at one time, wrong tokens, and calls that come again because the answer got lost.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);
use WH::Api;
use WH::Wait qw(wait_for until_limited);

my $api = WH::Api->new(listen => '0.0.0.0', conf => 'WiseHostInsecureHTTP On');
my $root = $api->token;
my $JSON = JSON::PP->new->utf8;

sub body { my ($name, $key, %more) = @_; return { name => $name, api_key => $key, cpu_millis => 2000, memory_bytes => 1 << 30, address => '10.0.0.7', %more } }
sub register { my ($credential, @body) = @_; return $api->req(POST => '/v1/workers/register', token => $credential, json => body(@body)) }
sub refresh { my ($key) = @_; return $api->req(POST => '/v1/workers/refresh-token', token => $key, body => '') }
my $key = sha256_hex('one');

# ---- what is registered ----------------------------------------------------------------------------
my $enrol = $api->onetime('enrolment');
$api->unchanged('addresses', sub {
    $api->is_problem(register($enrol, 'w1', $key, address => $_), 400, 'invalid_value', "address $_") for
        '0.0.0.0', '0.1.2.3', '169.254.169.254', '169.254.0.1', '224.0.0.1', '239.255.255.255', '255.255.255.255', '240.0.0.1', '::', 'fe80::1', 'febf::1',
        'ff02::1', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::ffff:0:0', '64:ff9b::a9fe:a9fe', '2130706433', '0x7f000001', '0x7f.1', '127.1', '1.2.3',
        'fe80::1%eth0', '[::1]', '10.0.0.7:80', 'http://h', 'a b', '-x', '..',
        'localhost', 'w1.example.org', 'rebind.example';
    $api->is_problem(register($enrol, 'w1', $key, address => "10.0.0.7$_"), 400, 'bad_characters', 'an address with a control character') for "\n", "\x{7f}";
});
$api->unchanged('names and texts', sub {
    $api->is_problem(register($enrol, $_, $key), 400, undef, 'a name of ' . $JSON->ascii->allow_nonref->encode($_)) for
        '', ' ', 'a b', "a\tb", "a\nb", "a\x{0}b", "a\x{7f}", "a\x{202a}", "a\x{202e}b", "a\x{2066}", "a\x{2069}", "a\x{200b}b", "a\x{200f}", "\x{feff}a",
        "caf\x{e9}", '.a', '-a', '_a', '../x', 'a/b', 'ws', '0' x 26, 'x' x 64, '%s', '$(id)', "' OR 1=1--";
    $api->is_problem(register($enrol, 'w1', $key, @$_), 400, undef, "$_->[0] that hides something") for
        [ zone => "a\x{202e}" ], [ zone => "a\nb" ], [ version => "\x{200b}" ], [ labels => { a => "\x{2066}" } ], [ labels => { "a\x{200b}" => 'x' } ];
});
$api->unchanged('numbers', sub {
    for my $field (qw(cpu_millis memory_bytes)) {
        $api->is_problem(register($enrol, 'w1', $key, $field => $_), 400, undef, "$field = " . ($_ // 'null')) for -1, 0, 1 << 60, '1', 1.5, undef, [], JSON::PP::true;
    }
    my $text = $JSON->encode(body('w1', $key)) =~ s/"cpu_millis":2000/"cpu_millis":9223372036854775808/r;
    $api->is_problem($api->req(POST => '/v1/workers/register', token => $enrol, body => $text), 400, undef, 'cpu_millis = 2^63');
});
for my $address ('10.0.0.7', '192.168.1.1', 'fd00::7', '2001:db8::1', '127.0.0.1', '::1') {
    is(register($api->{control}, 'ok-' . substr(sha256_hex($address), 0, 8), sha256_hex($address), address => $address)->{status}, 201, "address $address, over loopback");
}
is(register($enrol, 'w1', $key)->{status}, 201, 'and the token was not used up by all that');

# ---- loopback is for those who are here ------------------------------------------------------------
my $udp = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '203.0.113.1', PeerPort => 9);
my $own = $udp && $udp->sockhost;
SKIP: {
    skip 'this machine has no address but loopback', 6 if !$own || $own =~ /^127\./;
    my $far = sub {
        my ($address) = @_;
        my $json = $JSON->encode(body('far', sha256_hex('far'), address => $address));
        local $api->{host} = $own;
        return $api->raw("POST /v1/workers/register HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer $api->{control}\r\nContent-Type: application/json\r\n"
            . "Content-Length: " . length($json) . "\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n$json");
    };
    $api->unchanged('loopback from afar', sub {
        $api->is_problem($far->($_), 400, 'invalid_value', "address $_ of a worker elsewhere") for '127.0.0.1', '::1', 'localhost', '::ffff:7f00:1';
    });
    is($far->('10.0.0.9')->{status}, 201, 'another address is fine');
}

# ---- calls that come again -------------------------------------------------------------------------
is(register($api->{control}, 'w1', $key)->{status}, 201, 'XD13 the same registration again is an answer again');
is($api->value("SELECT count(*) FROM workers WHERE name = 'w1'"), 1, 'XD13 and one worker');
is(refresh($key)->{status}, 200, 'XD13 refreshing twice') for 1, 2;
$api->unchanged('the key of another worker', sub {
    $api->is_problem(register($api->{control}, 'w2', $key), 409, 'conflict', 'XD12 a known key under another name');
    $api->is_problem(register($api->{control}, 'w1', sha256_hex('other')), 409, 'conflict', 'XD12 a known name with another key');
});

# ---- many at one time ------------------------------------------------------------------------------
# Runs the call in n processes; the statuses, sorted.
sub parallel {
    my ($n, $call) = @_;
    pipe my $in, my $out or die;
    my @pids = map {
        my $i = $_;
        my $pid = fork // die;
        if (!$pid) {
            local $api->{http} = undef;
            my $status = eval { $call->($i)->{status} } // 'died';
            syswrite $out, "$status\n";
            require POSIX;
            POSIX::_exit(0);
        }
        $pid;
    } 1 .. $n;
    close $out;
    my @status = map { chomp; $_ } <$in>;
    waitpid $_, 0 for @pids;
    return sort @status;
}
my $one = $api->onetime('enrolment');
my %got;
$got{$_}++ for parallel(20, sub { register($one, "many-$_[0]", sha256_hex("many $_[0]")) });
is_deeply(\%got, { 201 => 1, 401 => 19 }, 'XD12 one token, twenty at one time: one worker') or diag explain \%got;
is($api->value("SELECT count(*) FROM workers WHERE name LIKE 'many-%'"), 1, 'XD12 in the database too');
%got = ();
$got{$_}++ for parallel(100, sub { register($api->{control}, 'same', sha256_hex('same')) });
is_deeply(\%got, { 201 => 100 }, 'XD12 XD13 a hundred registrations of one worker at one time') or diag explain \%got;
is($api->value("SELECT count(*) FROM workers WHERE name = 'same'"), 1, 'XD12 are one worker');
my @taken = parallel(10, sub { register($api->{control}, 'race', sha256_hex("race $_[0]")) });
is_deeply(\@taken, [ 201, (409) x 9 ], 'XD12 ten keys for one name: one has it') or diag "@taken";
my $race = $api->value("SELECT key_hash FROM workers WHERE name = 'race'");
my ($mine) = grep { sha256_hex(sha256_hex("race $_")) eq $race } 1 .. 10;
my @rotated = parallel(10, sub {
    $api->req(POST => '/v1/workers/rotate-key', token => sha256_hex("race $mine"), json => { api_key => sha256_hex("rotated $_[0]") });
});
is_deeply(\@rotated, [ 200, (401) x 9 ], 'F75 ten rotations of one key: one takes place') or diag "@rotated";

# ---- a wrong token waits for nobody's write --------------------------------------------------------
my $sqlite = $api->db->kind eq 'sqlite';
open my $to, '|-', $sqlite ? ('sqlite3', '-batch', $api->db->params) : ('psql', '-Xq', $api->db->params) or die;
$to->autoflush(1);
my $flag = "$api->{root}/locked";
print {$to} $sqlite ? "BEGIN IMMEDIATE;\n.shell touch $flag\n" : "BEGIN;\nLOCK TABLE onetime_tokens, workers IN EXCLUSIVE MODE;\n\\! touch $flag\n";
wait_for { -e $flag } 10, 'the lock';
my $began = time;
$api->is_problem(register(sha256_hex('no token'), 'w9', sha256_hex('nine')), 401, undef, 'a wrong enrolment token while another writes: 401');
cmp_ok(time - $began, '<', 2.5, 'and at once: it takes no write transaction');
print {$to} $sqlite ? "ROLLBACK;\n.quit\n" : "ROLLBACK;\n\\q\n";
close $to;

# ---- and is counted --------------------------------------------------------------------------------
my @status = until_limited { register(sha256_hex("guess $_[0]"), 'w9', sha256_hex('nine'))->{status} };
is($status[0], 401, 'XD12 wrong tokens are refused');
is($status[-1], 429, 'XD12 and limited for an address');
ok(!(grep { $_ != 401 && $_ != 429 } @status), 'XD12 with nothing else between');
is(refresh($key)->{status}, 200, 'who is known is not limited');

is($api->unexpected('AH00484'), '', 'the error log is clean but for a server that was full for a moment');
done_testing();
