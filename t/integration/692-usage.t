#!/usr/bin/perl
# db: sqlite pgsql
# GET /v1/apps/{slug}/usage: windows, steps, sums. How rows come about is in t/unit/test_usage.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX qw(strftime);
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $root = $api->token;
my $id = $api->app($root, 'mine')->{id};
my $other = $api->app($root, 'other')->{id};
my $now = int(time / 300) * 300;
sub at { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }
sub usage { my ($query, %o) = @_; return $api->req(GET => "/v1/apps/mine/usage$query", token => $root, %o) }
for my $ago (0, 300, 600, 3600, 90 * 86400 - 300, 90 * 86400 + 300) {
    my $start = ($now - $ago) . '000000';
    $api->sql("INSERT INTO usage_buckets (app_id, bucket_start, samples, cpu_sum, cpu_max, memory_sum, memory_max, net_sum, net_max, net_bytes)"
        . " VALUES ('$_', $start, 3, 100, 50, 301, 150, 9, 5, 1000)") for $id, $other;
}
my $doc = usage('')->{json};
is($doc->{step_seconds}, 300, 'a day in buckets');
is(scalar @{ $doc->{points} }, 4, 'those of the last day');
is_deeply({ %{ $doc->{points}[-1] }, start => 0 }, { start => 0, samples => 3, cpu_millis_avg => 33, cpu_millis_max => 50, memory_bytes_avg => 100,
    memory_bytes_max => 150, net_bytes_per_s_avg => 3, net_bytes_per_s_max => 5, net_bytes => 1000 }, 'F168 F171 one bucket') or diag explain $doc;
is($doc->{total}{net_bytes}, 4000, 'the sum of them, of this app alone');
$doc = usage('?from=' . at($now - 100 * 86400) . '&step=86400')->{json};
is($doc->{total}{samples}, 15, 'F27 F166 nothing beyond 90 days, though it is still there');
is($doc->{from}, do { (my $t = at($now - 90 * 86400 + 300)) =~ s/Z/.000000Z/; $t }, 'and the answer says so');
is(scalar @{ usage('?from=' . at($now - 600) . '&to=' . at($now))->{json}{points} }, 2, 'from is in, to is not');
my ($day) = grep { $_->{samples} >= 3 } @{ usage('?step=86400')->{json}{points} };
like($day->{start}, qr/T00:00:00\.000000Z$/, 'F172 steps begin at multiples of themselves');
for ('?step=301', '?from=yesterday', '?from=' . at($now) . '&to=' . at($now - 300), '?from=' . at($now - 80 * 86400) . '&step=300', '?step=x', '?until=1') {
    is(usage($_)->{status}, 400, "no: $_");
}
is(usage('', token => $api->token('read', $other))->{status}, 404, 'not of a foreign app');
is($api->unexpected, '', 'the error log is clean');
done_testing();
