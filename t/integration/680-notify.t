#!/usr/bin/perl
# db: sqlite pgsql
# Notifications from a deployment to each service: the bytes of t/data/notify at a recording server, a signature checked by
# other means than ours, what is refused, what is tried again; wh notify.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256);
use JSON::PP qw(decode_json);
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;
use WH::Recorder;
use WH::Stack;
use WH::Wait qw(try_for);

my $channels = '/v1/notifications/channels';
my $there = WH::Recorder->new;
my ($http, $mail) = ($there->http, $there->mail);
my $stack = WH::Stack->new;
$stack->{scheduler_conf} = { http_private_addresses => 'on' };
$stack->start;
$stack->app('shop', { 'index.html' => "shop\n" });

# Whose bytes, the same target with the recording server as its host.
my %target = (
    discord => "discord://W3dE2OZz4C13_4z-uHfD\@693853386302554172?via=http://$http",
    slack => "slack://T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX?via=http://$http",
    teams => "teams://11111111-4444-4444-8444-cccccccccccc\@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQ?host=contoso.webhook.office.com&via=http://$http",
    telegram => "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw\@telegram?chats=\@deploys&via=http://$http",
    'ntfy-password' => "ntfy://phil:my%20pass\@$http/deploys?priority=high&tags=rocket,shop&scheme=http",
    gotify => "gotify://$http/AzyoeNS.D4iJLVa?priority=5&disabletls=yes",
    matrix => "matrix://:syt_dG9rZW4\@$http/?rooms=!AbCdEf:matrix.example.com&disabletls=yes",
    mattermost => "mattermost://Wisehost\@$http/bywsw8zt5jgpte3nm65qjiru6h/deploys?disabletls=yes",
    generic => "generic+http://$http/deploys?room=7&\@Authorization=Bearer%20token123",
    webhook => "http://$http/wisehost?key=s3cr3t",
    'smtp-plain' => "smtp://$mail/?from=alerts\@example.com&to=ops\@example.com&encryption=None&starttls=no",
);

sub add { my ($name, $target, @more) = @_; return $stack->api(POST => $channels, { name => $name, target => $target, @more }) }
sub log_of { my ($name) = @_; return @{ $stack->api(GET => "$channels/$name/deliveries")->{json}{items} } }
sub case { my ($name) = @_; open my $f, '<', "$FindBin::Bin/../data/notify/$name.txt" or die $!; local $/; return scalar <$f> }

my %secret;
for my $name (sort keys %target) {
    my $got = add($name, $target{$name}, events => ['deployment.succeeded']);
    is($got->{status}, 201, "a channel to $name") or diag $got->{body};
    $secret{$name} = $got->{json}{secret};
    unlike($got->{body}, qr/W3dE2|XXXXXX|1111-4444|AAHdq|my%20pass|Azyoe|syt_dG|bywsw|token123|s3cr3t/, 'of which no secret is said back');
}
is(join(' ', grep { $secret{$_} } sort keys %secret), 'webhook', 'webhooks alone have a secret');
is(add('webhook', $target{webhook})->{status}, 409, 'a name is there once');
for ([ name => 'X', $target{slack} ], [ target => 'x', 'ftp://x' ], [ events => 'y', $target{slack}, events => ['no.such'] ], [ app => 'z', $target{slack}, app => 'none' ]) {
    my ($field, @args) = @$_;
    my $got = add(@args);
    like("$got->{status} $got->{json}{errors}[0]{pointer}", qr{^4\d\d /$field}, "a wrong $field is refused");
}
unlike(join('', map { @$_ } $stack->db->rows('SELECT sealed FROM notification_channels')), qr/127\.0\.0\.1|whsec/, 'targets are sealed');

# ---- one deployment, eleven services ---------------------------------------------------------------------
my $deployment = $stack->deploy('shop');
ok((try_for { $there->seen == keys %target } 10), 'F100 a deployment that succeeds is told to all of them') or diag scalar $there->seen;
my @seen = $there->seen;
my $site = 'http://shop.localhost:' . $stack->port;
my %took;
for my $name (sort keys %target) {
    my ($head, $body) = split /\n\n/, case($name), 2;
    my ($line, @headers) = grep { !/^(?:url|shown|from) / } split /\n/, $head;
    my ($method, $path) = $line =~ m{^(\S+) \w+://[^/]+(/\S*)?};
    my ($id) = map { $_->{id} } log_of($name);
    if ($method eq 'MAIL') {
        my ($m) = grep { $_->{method} eq 'MAIL' } @seen;
        is("$m->{from} @{ $m->{to} }", 'alerts@example.com ops@example.com', 'the mail has its envelope');
        my ($subject) = $body =~ /^(Subject: .*)\r$/m;
        like($m->{body}, qr/^\Q$subject\E\r$/m, 'and subject');
        like($m->{body}, qr/^Message-ID: <\Q$id\E\@example\.com>\r$/m, 'and id');
        like(decode_base64((split /\r\n\r\n/, $m->{body}, 2)[1]), qr/^\xe2\x9c\x85 Deployment succeeded \xe2\x80\x94 shop\n\Q$site\E\n\nEnvironment: production\nCommit: [0-9a-f]{7} first\n\z/, 'F174 F177 F178 and text');
        next;
    }
    $body =~ s{https://shop\.apps\.example\.com}{$site}g;
    $body =~ s/\n\z//;
    $path =~ s/01hf7yatg00000000000000000/$id/;
    my ($r) = grep { $_->{method} eq $method && $_->{target} eq $path } @seen;
    ok($r, "$name: $method, and its address") or next;
    if ($name eq 'webhook') { $took{webhook} = $r; next }
    is($r->{body}, $body, "F175 $name: the bytes that its documentation has");
    for (@headers) { my ($key, $value) = split /: /, $_, 2; is($r->{headers}{ lc $key }, $value, "$name: $key") }
}

# ---- the webhook ------------------------------------------------------------------------------------------
my $hook = $took{webhook};
my $doc = decode_json($hook->{body});
is("$doc->{type} $doc->{data}{app}{slug} $doc->{data}{deployment}{id} $doc->{data}{url}", "deployment.succeeded shop $deployment->{id} $site", 'F175 a webhook gets JSON');
like($doc->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'with its time');
is($doc->{data}{commit}{short}, substr($doc->{data}{commit}{sha}, 0, 7), 'F177 the short commit');
my ($id, $at, $signature) = map { $hook->{headers}{"webhook-$_"} } qw(id timestamp signature);
my ($key) = $secret{webhook} =~ /^whsec_(.*)/;
is($signature, 'v1,' . encode_base64(hmac_sha256("$id.$at.$hook->{body}", decode_base64($key)), ''), 'it is signed as Standard Webhooks say');
cmp_ok(abs($at - time), '<', 300, 'at the time of its sending');
is((log_of('webhook'))[0]{id}, $id, 'its id is the delivery\'s');

# Another secret: both sign for a day.
my $next = $stack->api(POST => "$channels/webhook/rotate", {})->{json}{secret};
isnt($next, $secret{webhook}, 'a rotated secret is another one');
$stack->api(POST => "$channels/webhook/deliveries/$id/resend", {});
ok((try_for { (grep { ($_->{headers}{'webhook-id'} // '') eq $id } $there->seen) == 2 } 10), 'resent under the same id');
my $again = (grep { ($_->{headers}{'webhook-id'} // '') eq $id } $there->seen)[-1];
is($again->{headers}{'webhook-signature'}, join(' ', map { 'v1,' . encode_base64(hmac_sha256("$id.$again->{headers}{'webhook-timestamp'}.$again->{body}", decode_base64(substr $_, 6)), '') } $next, $secret{webhook}), 'and both secrets sign');

# ---- the command line, and what goes wrong ------------------------------------------------------------------
sub wh_in { my ($text, @args) = @_; my $in = $stack->dir . '/cli/in'; open my $f, '>', $in or die; print {$f} $text; close $f; return $stack->wh_env({ STDIN => $in }, @args) }
my $res = wh_in("http://$http/gone\n", qw(notify add gone -e app.*));
like("$res->{rc} $res->{out}", qr{^0 name    gone\ntarget  http://127\.0\.0\.1:\d+/\*\*\*\napp     all\nevents  app\.\*\nstate   on\nsecret  whsec_}, 'wh notify add') or diag $res->{err};
like($stack->wh('notify')->{out}, qr{^discord +discord://\*\*\*\@693853386302554172.* deployment\.succeeded +on$}m, 'wh notify');
$res = $stack->wh(qw(notify test gone));
like("$res->{rc} $res->{out}", qr/^0 delivered \(204\)/, 'wh notify test') or diag $res->{err};
is(decode_json(($there->seen)[-1]{body})->{type}, 'test', 'a test says that it is one, whatever the filter');
$there->answer('/gone' => 410, '/away' => [ 302, "Location: http://$http/elsewhere" ]);
$res = $stack->wh(qw(notify test gone));
like("$res->{rc} $res->{err}", qr/^1 wh: dead: It was answered with 410/, '410 is the end') or diag $res->{out};
like($stack->wh('notify')->{out}, qr/^gone .* off \(gone\)$/m, 'of the channel, too');
is($stack->wh(qw(notify set gone --on))->{rc}, 0, 'until its owner says otherwise');

wh_in("http://$http/away\n", qw(notify add away));
$res = $stack->wh(qw(notify test away));
like("$res->{rc} $res->{err}", qr/^1 wh: pending: It was answered with 302/, 'what is led elsewhere has not arrived');
is(scalar(grep { ($_->{target} // '') eq '/elsewhere' } $there->seen), 0, 'redirects are not followed');
$there->answer('/away' => 204);
$stack->db->rows("UPDATE notification_deliveries SET next_at = 1 WHERE status = 'pending'"); # its five seconds are over
ok((try_for { (log_of('away'))[0]{status} eq 'delivered' } 10), 'it is tried again');
is((log_of('away'))[0]{attempts}, 2, 'and arrives');

wh_in("http://169.254.169.254/latest\n", qw(notify add cloud));
$res = $stack->wh(qw(notify test cloud));
like("$res->{rc} $res->{err}", qr/^1 wh: dead: .*169\.254\.169\.254/, 'a link-local address is refused in any case');
like($stack->wh(qw(notify log cloud --status dead))->{out}, qr/ test +dead +1 /, 'wh notify log');
is($stack->wh(qw(notify remove cloud))->{rc}, 0, 'wh notify remove');
is($stack->api(GET => "$channels/cloud")->{status}, 404, 'it is gone');
my $all = join '', map { $stack->log_text($_) } qw(scheduler httpd);
unlike($all, qr/W3dE2|XXXXXX|AAHdq|whsec|s3cr3t|my%20pass|token123/, 'no log has a secret');
$stack->allow_log(qr/WH0540/);
$stack->stop;
done_testing();
