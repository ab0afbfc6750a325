package WH::Api;
# A real httpd with the API on, on a database of its own (WH_TEST_DB: sqlite, the default, or pgsql), no
# scheduler: what the API tests talk to. Everything lies below one temporary directory; the end of the
# object stops httpd and drops the database.
use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256 sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp ();
use HTTP::Tiny ();
use IO::Socket::INET ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Test::More ();
use Time::HiRes qw(sleep time);
use WH::DB ();

# HTTP::Tiny writes head and body apart: with Nagle each request would wait 40 ms for an ACK.
{
    no warnings 'redefine';
    my $connect = \&HTTP::Tiny::Handle::connect;
    *HTTP::Tiny::Handle::connect = sub {
        my $handle = $connect->(@_);
        setsockopt $handle->{fh}, IPPROTO_TCP, TCP_NODELAY, 1 if $handle->{fh};
        return $handle;
    };
}

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;

sub builddir { abs_path($ENV{top_builddir} || $ENV{WH_BUILD} || q{.}) }
our $src = abs_path(dirname(__FILE__) . q{/../../..});

# Options: conf (more directives for the virtual host), global (for the server), listen (address, default 127.0.0.1), base.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { opt => \%opt, pid => $$ }, $class;
    $self->{tmp}   = File::Temp->newdir('wh-api-XXXXXX', TMPDIR => 1);
    $self->{root}  = "$self->{tmp}";
    $self->{state} = "$self->{root}/state";
    $self->{seed}  = _find('wh-db-seed', builddir() . '/t/tools/wh-db-seed');
    chmod 0755, $self->{root};
    $self->_make_state;
    $self->_make_database;
    $self->_start;
    return $self;
}

sub _find {
    my ($what, @paths) = @_;
    for (@paths) { return $_ if -e $_ }
    die "$what is not built: @paths\n";
}

sub _www { my @pw = getpwnam('www-data'); return @pw[2, 3] }

sub _make_state {
    my ($self) = @_;
    my ($uid, $gid) = _www();
    my $s = $self->{state};
    make_path("$s/$_") for qw(db keys objects releases uploads logs run);
    make_path("$self->{root}/$_") for qw(conf logs docs httpd);
    if ($> == 0) {
        chown $uid, $gid, "$s/$_" for qw(db objects releases uploads run);
        chmod 02770, "$s/db";
        chmod 0755, $s;
    }
    $self->tool('keys', $s);
    my $module = $JSON->decode(_slurp("$s/keys/module.key"));
    $self->{key}{$_} = pack 'H*', $module->{$_} for qw(worker_jwt webhook hub_assertion);
    chomp($self->{control} = _slurp("$s/keys/control.secret"));
    return;
}

sub _slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}

sub _spew {
    my ($path, $text) = @_;
    open my $fh, '>:raw', $path or die "$path: $!";
    print {$fh} $text;
    close $fh or die "$path: $!";
    return;
}

sub _make_database {
    my ($self) = @_;
    my $db = $self->{db} = WH::DB->new(file => "$self->{state}/db/wisehost.db", dir => "$self->{root}/pg",
        own_server => $self->{opt}{own_server});
    @$self{qw(driver params)} = ($db->driver, $db->params);
    $self->tool('migrate', @$self{qw(driver params)});
    if ($self->{db}->kind eq 'sqlite' && $> == 0) {
        my ($uid, $gid) = _www();
        chown $uid, $gid, glob "$self->{state}/db/*";
        chmod 0660, glob "$self->{state}/db/*";
    }
    return;
}

# Runs wh-db-seed. Returns its output.
sub tool {
    my ($self, @args) = @_;
    open my $out, '-|', $self->{seed}, @args or die "$self->{seed}: $!";
    local $/;
    my $text = <$out>;
    close $out or die "wh-db-seed $args[0]: exit " . ($? >> 8) . "\n";
    return $text;
}

# The database itself (WH::DB), and the two things that are asked of it most.
sub db    { return $_[0]{db} }
sub sql   { my ($self, @statements) = @_; return map { $self->{db}->rows($_) } @statements }
sub value { my ($self, $sql) = @_; return $self->{db}->value($sql) }

sub token {
    my ($self, $scopes, $apps) = @_;
    my $out = $self->tool('token', @$self{qw(driver params)}, $scopes // 'admin', $apps // '*');
    my ($token) = $out =~ /^TOKEN=(\S+)/m;
    return $token;
}

sub onetime {
    my ($self, $purpose, $seconds) = @_;
    my ($token) = $self->tool('onetime', @$self{qw(driver params)}, $purpose, $seconds // 3600) =~ /^TOKEN=(\S+)/m;
    return $token;
}

# ---- httpd ---------------------------------------------------------------------------------------

sub _free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "port: $!";
    return $s->sockport;
}

sub _modules {
    my ($self) = @_;
    my ($dir) = grep { -e "$_/mod_mpm_event.so" } qw(/usr/lib/apache2/modules /usr/lib64/httpd/modules);
    die "httpd's modules are not found\n" unless $dir;
    my $own = _find('mod_wisehost', builddir() . '/mod_wisehost/.libs/mod_wisehost.so',
        builddir() . '/mod_wisehost/mod_wisehost.so');
    my @load = map { [ "${_}_module", "$dir/mod_$_.so" ] } qw(mpm_event authz_core authn_core dbd proxy proxy_http);
    return join '', map {"LoadModule $_->[0] $_->[1]\n"} @load, [ 'wisehost_module', $own ];
}

sub _conf {
    my ($self) = @_;
    my ($root, $state) = @$self{qw(root state)};
    my $listen = $self->{opt}{listen} || '127.0.0.1';
    my $base = $self->{opt}{base} // 'apps.example.test';
    my $extra = $self->{opt}{conf} // '';
    my $global = $self->{opt}{global} // '';
    my $params = $self->{db}->kind eq 'sqlite' ? "file:$self->{params}?mode=rw" : $self->{params};
    return $self->_modules . <<"CONF";
ServerRoot $root/httpd
PidFile $root/httpd/pid
DefaultRuntimeDir $root/httpd
Listen $listen:$self->{port}
ServerName 127.0.0.1
User www-data
Group www-data
ErrorLog $root/logs/error.log
CustomLog $root/logs/access.log "%r" env=!wisehost-quiet
LogLevel info wisehost:debug
Timeout 5
KeepAlive On
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
MinSpareThreads 1
MaxSpareThreads 32
LimitRequestFieldSize 16384
DocumentRoot $root/docs
<Directory />
  Require all denied
</Directory>
<Directory $root/docs>
  Require all granted
</Directory>
DBDriver $self->{driver}
DBDParams "$params"
DBDMin 1
DBDKeep 2
DBDMax 8
DBDExptime 60
WiseHostStateDir $state
WiseHostKeyFile $state/keys/module.key
WiseHostControlSecretFile $state/keys/control.secret
WiseHostHubSocket $state/run/hub.sock
WiseHostBaseDomain $base
$global
<VirtualHost *:$self->{port}>
  ServerName 127.0.0.1
  ServerAlias $self->{host}
  WiseHostAPI On
$extra
</VirtualHost>
CONF
}

sub _httpd { my ($path) = grep { -x } qw(/usr/sbin/apache2 /usr/sbin/httpd); return $path || die "no httpd\n" }

sub _start {
    my ($self) = @_;
    $self->{port} = _free_port();
    $self->{host} = $self->{opt}{listen} && $self->{opt}{listen} ne '0.0.0.0' ? $self->{opt}{listen} : '127.0.0.1';
    $self->{url} = "http://$self->{host}:$self->{port}";
    _spew("$self->{root}/conf/httpd.conf", $self->_conf);
    return $self->_launch;
}

sub _launch {
    my ($self) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', "$self->{root}/logs/start" or die;
        open STDERR, '>&', \*STDOUT or die;
        exec { _httpd() } _httpd(), '-DFOREGROUND', '-f', "$self->{root}/conf/httpd.conf" or die "exec: $!";
    }
    $self->{httpd} = $pid;
    my $until = time + 20;
    while (time < $until) {
        return if IO::Socket::INET->new(PeerAddr => $self->{host}, PeerPort => $self->{port}, Timeout => 1);
        if (waitpid($pid, 1) == $pid) { last }
        sleep 0.02;
    }
    die "httpd did not start:\n" . _slurp("$self->{root}/logs/start")
        . (-e "$self->{root}/logs/error.log" ? _slurp("$self->{root}/logs/error.log") : '');
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{httpd} or return;
    kill TERM => $pid;
    waitpid $pid, 0;
    return;
}

# The same httpd again, on the same port.
sub restart {
    my ($self) = @_;
    $self->stop;
    delete $self->{http};
    return $self->_launch;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{pid};
    local ($?, $@);
    $self->stop;
    delete $self->{db}; # before the directory that its server may live in
    return;
}

sub error_log { my ($self) = @_; return _slurp("$self->{root}/logs/error.log") }

# Warnings and worse that no test announced (tags WHnnnn in @announced).
sub unexpected {
    my ($self, @announced) = @_;
    my $known = join '|', @announced, 'WH0120: no route table'; # there is no scheduler
    return join "\n", grep { /:(warn|error|crit|alert|emerg)\]/ && !/$known/ } split /\n/, $self->error_log;
}

# ---- requests ------------------------------------------------------------------------------------

# Options: token, json (data), body (text), type, headers. Returns {status, headers, body, json}.
sub req {
    my ($self, $method, $path, %opt) = @_;
    my %headers = %{ $opt{headers} || {} };
    $headers{Authorization} = "Bearer $opt{token}" if defined $opt{token};
    my $body = exists $opt{json} ? $JSON->encode($opt{json}) : $opt{body};
    $headers{'Content-Type'} //= $opt{type} // 'application/json' if defined $body;
    my $http = $self->{http} ||= HTTP::Tiny->new(timeout => 20, max_redirect => 0, agent => 'wisehost-tests');
    my $res = $http->request($method, "$self->{url}$path",
        { headers => \%headers, defined $body ? (content => $body) : () });
    my $json = ($res->{headers}{'content-type'} // '') =~ /json/ ? eval { $JSON->decode($res->{content}) } : undef;
    return { status => $res->{status}, headers => $res->{headers}, body => $res->{content}, json => $json };
}

# Sends bytes as they are and gives what comes back within a few seconds.
sub raw {
    my ($self, $bytes, %opt) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => $self->{host}, PeerPort => $self->{port}, Timeout => 5) or die "connect: $!";
    $s->autoflush(1);
    local $SIG{PIPE} = 'IGNORE';
    print {$s} $bytes;
    shutdown $s, 1 if $opt{shut};
    my $out = '';
    my $until = time + ($opt{wait} // 8);
    while (time < $until) {
        my $rin = '';
        vec($rin, fileno $s, 1) = 1;
        next unless select $rin, undef, undef, 0.2;
        my $n = sysread $s, $out, 65536, length $out;
        last unless $n;
        last if $opt{head} && $out =~ /\r\n\r\n/;
    }
    my ($status) = $out =~ m{^HTTP/1\.\d (\d+)};
    my ($head, $body) = split /\r\n\r\n/, $out, 2;
    return { status => $status // 0, head => $head // '', body => $body // '', json => scalar eval { $JSON->decode($body) } };
}

# ---- what is asked most --------------------------------------------------------------------------

# A problem document of this status (and code).
sub is_problem {
    my ($self, $res, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $j = $res->{json};
    my $type = ref $res->{headers} ? $res->{headers}{'content-type'} : ($res->{head} =~ /^content-type: ([^\r]*)/im)[0];
    my $good = $res->{status} == $status && ref $j eq 'HASH' && ($type // '') eq 'application/problem+json'
        && $j->{status} == $status && (!defined $code || $j->{code} eq $code)
        && $j->{type} eq "urn:wisehost:problem:$j->{code}" && $j->{title} && $j->{detail} && $j->{request_id};
    return Test::More::ok($good, $name)
        || Test::More::diag("wanted $status " . ($code // '*') . ", got $res->{status}: " . substr $res->{body} // '', 0, 400);
}

# Nothing in the database changes while the code runs.
sub unchanged {
    my ($self, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = $self->{db}->dump_all;
    $code->();
    my $after = $self->{db}->dump_all;
    return Test::More::is($after, $before, "$name: the database is as before");
}

sub app_body {
    my ($self, $slug, %more) = @_;
    return { slug => $slug, kind => 'static', repository => { url => 'https://git.example.test/a/b.git', branch => 'main' }, %more };
}

# Makes an app; its document.
sub app {
    my ($self, $token, $slug, %more) = @_;
    my $res = $self->req(POST => '/v1/apps', token => $token, json => $self->app_body($slug, %more));
    die "app $slug: $res->{status} $res->{body}" unless $res->{status} == 201;
    return $res->{json};
}

# A worker by enrolment: {id, name, key, token, row} (row = workers.id).
sub worker {
    my ($self, $name, %more) = @_;
    my $key = sha256_hex("key of $name $$ " . rand);
    my $res = $self->req(POST => '/v1/workers/register', token => $self->onetime('enrolment'),
        json => { name => $name, api_key => $key, cpu_millis => 4000, memory_bytes => 8 << 30, address => '127.0.0.1',
            version => '0', %more });
    die "worker $name: $res->{status} $res->{body}" unless $res->{status} == 201;
    my $row = $self->value("SELECT id FROM workers WHERE name = '$name'");
    return { %{ $res->{json}{worker} }, key => $key, token => $res->{json}{token}, row => $row,
        expires => $res->{json}{token_expires_at} };
}

# A deployment of the app whose job is processing on the worker at this epoch: (deployment, job).
sub processing {
    my ($self, $token, $slug, $worker, $epoch) = @_;
    my $res = $self->req(POST => "/v1/apps/$slug/deployments", token => $token, json => {});
    die "deployment: $res->{status} $res->{body}" unless $res->{status} == 202;
    my $id = $res->{json}{id};
    $epoch //= 1;
    $self->sql("UPDATE jobs SET status = 'processing', worker_id = $worker->{row}, epoch = $epoch WHERE deployment_id = '$id'");
    return ($id, $self->value("SELECT id FROM jobs WHERE deployment_id = '$id'"));
}

# A worker's token as facts F122-F131 say, made here from scratch; %with replaces or (undef) drops claims.
sub jwt {
    my ($self, $worker, %with) = @_;
    my $now = int time;
    my %claims = (sub => $worker->{row} + 0, key_hash => sha256_hex(sha256($worker->{key})), iat => $now, exp => $now + 900,
        jti => substr sha256_hex(rand), 0, 24);
    my $header = delete $with{header} // '{"alg":"HS256","typ":"JWT"}';
    my $key = delete $with{key} // $self->{key}{worker_jwt};
    my $order = delete $with{payload};
    for (keys %with) { defined $with{$_} ? ($claims{$_} = $with{$_}) : delete $claims{$_} }
    my $payload = $order // '{' . join(',', map { $claims{$_} =~ /^-?\d+$/ && $_ ne 'jti' && $_ ne 'key_hash'
        ? qq("$_":$claims{$_}) : ref $claims{$_} ? qq("$_":${$claims{$_}}) : qq("$_":"$claims{$_}") }
        grep { exists $claims{$_} } qw(sub key_hash iat exp jti), grep { !/^(sub|key_hash|iat|exp|jti)$/ } sort keys %claims) . '}';
    my $signed = encode_base64url($header) . '.' . encode_base64url($payload);
    return $signed . '.' . encode_base64url(hmac_sha256($signed, $key));
}

# A signed delivery of a GitHub event; more options as req, and hook {id, secret}.
sub deliver {
    my ($self, $hook, $event, $body, %opt) = @_;
    my %headers = ('X-GitHub-Event' => $event, 'X-GitHub-Delivery' => $opt{delivery} // sprintf('%08x-0000-4000-8000-%012x', rand 2**32, rand 2**32),
        'X-Hub-Signature-256' => $opt{signature} // 'sha256=' . hmac_sha256_hex($body, $hook->{secret}), %{ $opt{headers} || {} });
    delete @headers{ grep { !defined $headers{$_} } keys %headers };
    return $self->req(POST => "/v1/webhooks/github/$hook->{id}", body => $body, type => $opt{type}, headers => \%headers);
}

1;
