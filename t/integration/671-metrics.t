#!/usr/bin/perl
# /metrics: who may read it, both forms, what is in it; rules and dashboard against it; a real Prometheus reads it.
# db: sqlite pgsql
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP qw(decode_json);
use Test::More;
use WH::Http qw(http_request);
use WH::Proc;
use WH::Stack;
use WH::Wait qw(try_for wait_for);

my $secret = sha256_hex("metrics $$ " . rand);
my $s = WH::Stack->new;
open my $file, '>', $s->dir . '/metrics.token' or die;
print {$file} "$secret\n";
close $file or die;
chmod 0600, $s->dir . '/metrics.token';
$s->{httpd_extra} = "WiseHostMetricsTokenFile @{[ $s->dir ]}/metrics.token\n";
$s->configure;
$s->init;
$s->start_scheduler;
$s->start_httpd;
$s->login;
sub metrics { my (%h) = @_; return $s->request(path => '/metrics', headers => \%h) }

# ---- who ----
is(metrics()->{status}, 200, 'from loopback, without a token');
is(metrics($_ => '192.0.2.1')->{status}, 401, "but not through a proxy: $_") for qw(X-Forwarded-For X-Real-IP Via Forwarded);
is(metrics('X-Forwarded-For' => '192.0.2.1', Authorization => "Bearer $secret")->{status}, 200, 'the metrics token, from anywhere');
is(metrics(Authorization => 'Bearer ' . reverse $secret)->{status}, 401, 'a wrong one is worse than none');
is(metrics(Authorization => 'Bearer ' . $s->token)->{status}, 200, 'a token of the API with read');
is($s->request(path => '/v1/apps', headers => { Authorization => "Bearer $secret" })->{status}, 403, 'the metrics token is good for nothing else');

# ---- forms ----
my $om = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
my $plain = metrics();
is($plain->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'plain text unless asked otherwise');
wait_for { metrics(Accept => $om)->{body} =~ /^wisehost_scheduler_up 1$/m } 15, 'the scheduler\'s figures';
my $open = metrics(Accept => $om);
is($open->{headers}{'content-type'}, 'application/openmetrics-text; version=1.0.0; charset=utf-8', 'OpenMetrics by Accept');
like($open->{body}, qr/\n# EOF\n\z/, 'which says its end');
unlike(metrics()->{body}, qr/# EOF|# UNIT/, 'plain text does not');
like($open->{headers}{vary}, qr/Accept/, 'caches are told');
$s->get('nobody');
$plain = metrics()->{body};
my %value = map { /^([^# ]\S*(?:\{[^}]*\})?) (\S+)$/ ? ($1 => $2) : () } split /\n/, $plain;
for (qw(wisehost_httpd_children wisehost_httpd_api_requests_total wisehost_routes_open wisehost_scheduler_up wisehost_hub_connections wisehost_job_queue_depth
    wisehost_jobs{state="pending"} wisehost_workers{state="online"} wisehost_deployments_total{result="succeeded"} wisehost_database_up wisehost_http_apps_limit
    wisehost_deployment_duration_seconds_bucket{le="+Inf"})) { ok(exists $value{$_}, "$_ is there") }
is($value{wisehost_database_up}, 1, 'the database can be used');
my %families;
$families{$_}++ for $plain =~ /^# TYPE (\S+)/mg;
for (qw(cpu_seconds network_receive_bytes network_transmit_bytes disk_read_bytes disk_written_bytes)) {
    like($plain, qr/^# TYPE wisehost_app_${_}_total counter$/m, "F71 wisehost_app_${_}_total is a counter of applications");
}
is_deeply([ grep { $families{$_} > 1 } sort keys %families ], [], 'each family is there once');

# ---- what reads it ----
sub promtool {
    my ($in, @args) = @_;
    open my $tmp, '>', $s->dir . '/promtool.in' or die;
    print {$tmp} $in;
    close $tmp or die;
    my $said = `promtool @args < @{[ $s->dir ]}/promtool.in 2>&1`;
    return ($? >> 8, $said);
}
my ($rc, $said) = promtool($plain, 'check', 'metrics');
is($rc, 0, 'promtool finds nothing wrong with the figures') or diag $said;
($rc, $said) = promtool('', 'check', 'rules', "$WH::Stack::src/conf/prometheus-wisehost.rules.yml");
is($rc, 0, 'nor with the rules') or diag $said;

# Every name that rules and dashboard ask for is one that is there, or comes with the first application.
my $rules = WH::Stack::slurp("$WH::Stack::src/conf/prometheus-wisehost.rules.yml");
my $dash = decode_json(WH::Stack::slurp("$WH::Stack::src/conf/grafana-wisehost.json"));
my $asked = join ' ', $rules =~ /expr: (.*?)(?=\n +(?:for|labels):)/sg, map { map { $_->{expr} } @{ $_->{targets} // [] } } @{ $dash->{panels} };
my @lost = grep { my $n = $_ =~ s/_(?:bucket|count|sum)$//r; !$families{$_} && !$families{$n} } do { my %n; grep { !$n{$_}++ } $asked =~ /\b(wisehost_\w+)/g };
is("@lost", '', 'rules and dashboard ask for nothing that is not there');
for my $expr (map { map { $_->{expr} =~ s/\$__rate_interval/5m/gr } @{ $_->{targets} // [] } } @{ $dash->{panels} }) {
    push @lost, $expr unless $expr =~ /\$instance|\$app/;
}
is("@lost", '', 'every panel follows the choice of server and application');

# ---- Prometheus itself ----
my $port = WH::Stack::free_port();
my $conf = $s->dir . '/prometheus.yml';
open my $yml, '>', $conf or die;
print {$yml} <<"YML";
rule_files: ['$WH::Stack::src/conf/prometheus-wisehost.rules.yml']
scrape_configs:
  - job_name: wisehost
    scrape_interval: 1s
    authorization: {credentials: '$secret'}
    static_configs: [{targets: ['127.0.0.1:@{[ $s->port ]}']}]
YML
close $yml or die;
my $prometheus = WH::Proc->start(name => 'prometheus', log => $s->dir . '/log/prometheus.log',
    cmd => [ 'prometheus', "--config.file=$conf", '--storage.tsdb.path=' . $s->dir . '/tsdb', "--web.listen-address=127.0.0.1:$port", '--log.level=warn' ]);
sub query {
    my ($q) = @_;
    $q =~ s/([^\w])/sprintf '%%%02X', ord $1/ge;
    my $res = eval { http_request(port => $port, host => '127.0.0.1', path => "/api/v1/query?query=$q") } // {};
    return ($res->{status} // 0) == 200 ? decode_json($res->{body})->{data}{result} : [];
}
my $up = try_for { my $r = query('up{job="wisehost"} == 1'); @$r && $r } 20;
ok($up, 'a Prometheus reads it') or diag $s->log_text('prometheus');
ok(try_for(sub { my $r = query('wisehost_build_info'); @$r && $r->[0]{metric}{version} }, 10), 'with its labels');
my $res = http_request(port => $port, host => '127.0.0.1', path => '/api/v1/rules');
my @bad = map { $_->{health} eq 'err' ? "$_->{name}: $_->{lastError}" : () } map { @{ $_->{rules} } } @{ decode_json($res->{body})->{data}{groups} };
is("@bad", '', 'and its rules are sound');
$prometheus->stop(10);

# ---- a scheduler that writes no more ----
utime time - 100, time - 100, $s->dir . '/state/run/scheduler.metrics';
my $stale = metrics()->{body};
SKIP: {
    skip 'it was written again just now', 1 if $stale =~ /^wisehost_scheduler_up 1$/m;
    unlike($stale, qr/^wisehost_(?:jobs|hub_connections)\b/m, 'old figures of the scheduler are not shown as new ones');
}
is_deeply([ $s->bad_log_lines ], [], 'the logs are clean');
$s->stop;
done_testing();
