package Serve;
# What the benches of serving share: sites to serve, made as a deployment makes them and as plain files beside,
# httpd, nginx and Caddy on ports of their own, wrk as their client.
use strict;
use warnings;
use Exporter 'import';
use Bench qw(build median out_dir run_cmd top free_port);
use Digest::SHA qw(sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Uncompress::Gunzip ();
use POSIX ();
use Time::HiRes qw(time sleep);
use WH::Http qw(http_request);
use WH::Httpd;
use WH::Proc;
use WH::Wait qw(wait_for);
our @EXPORT_OK = qw(packages host url_path start_under site_files write_sites write_release suffix_types ours httpd nginx caddy requests_file wrk race
    paired verify by_callgrind load_line pids cpu_s memory spew seconds rounds);

our $BASE = $WH::Httpd::base;

# The one type table: mod_mime, nginx and the manifests of the releases have it alike.
my %TYPE = (html => 'text/html', css => 'text/css', js => 'text/javascript', svg => 'image/svg+xml', json => 'application/json',
    txt => 'text/plain', png => 'image/png', jpg => 'image/jpeg', ico => 'image/x-icon', woff2 => 'font/woff2', bin => 'application/octet-stream');
my %SQUEEZE = map { $_ => 1 } qw(html css js svg json txt);
my @CODINGS = (['br', 'br'], ['zstd', 'zst'], ['gzip', 'gz']);    # in the order of a manifest; suffix of the plain file

# The files of a site, as small sites have them: path, and bytes in the middle.
my @SITE = (
    ['index.html', 8000], ['blog/first-post.html', 5000], ['blog/second-post.html', 11_000], ['assets/site.css', 6000],
    ['assets/app.3f9a1c52.js', 12_000], ['assets/menu.js', 4000], ['img/logo.svg', 1500], ['img/hero.jpg', 16_000],
    ['img/thumb.png', 4000], ['img/avatar.png', 2000], ['fonts/body.woff2', 14_000], ['favicon.ico', 1100], ['robots.txt', 120],
    ['data/news.json', 600],
);

sub seconds { return $ENV{BENCH_SECONDS} || 3 }
sub rounds  { return $ENV{BENCH_ROUNDS} || 7 }

sub spew {
    my ($path, $text) = @_;
    make_path(dirname($path));
    open my $out, '>:raw', $path or die "$path: $!\n";
    print {$out} $text;
    close $out or die "$path: $!\n";
    return $path;
}

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in> // '';
}

# Debian packages that packages.txt lists for the benches.
sub packages {
    my @want = map { /^([^#\s]\S*) .*\bbench\b/ ? $1 : () } split /\n/, slurp(top() . '/packages.txt');
    my @need = grep { `dpkg-query -W -f '\${db:Status-Status}' $_ 2>/dev/null` ne 'installed' } @want;
    return unless @need;
    print "# installing @need\n";
    local $ENV{DEBIAN_FRONTEND} = 'noninteractive';
    run_cmd(qw(apt-get update));
    run_cmd(qw(apt-get install -y --no-install-recommends), @need);
    # What came as a service of this machine is not wanted as one.
    system("systemctl disable --now $_ >/dev/null 2>&1") for -d '/run/systemd/system' ? grep {/^(?:nginx|caddy)$/} @need : ();
    return;
}

# ---- content ----

# Words as frequent as words are, so that text packs as text does; and bytes that do not pack.
sub pools {
    my @word = map { join '', map { chr 97 + int rand 26 } 1 .. 2 + int rand 9 } 1 .. 4000;
    my @tag = ('<p class="lead">', '</p>', "</div>\n", '<div class="card">', '<a href="/blog/">', '</a>', '<li>', "</li>\n", '<h2>', "</h2>\n");
    my $text = join ' ', map { rand() < 0.2 ? $tag[rand @tag] : $word[ 4000 * rand()**3 ] } 1 .. 150_000;
    my $noise = pack 'L*', map { int rand 4_294_967_296 } 1 .. 250_000;
    return ($text, $noise);
}

# {path => content} for each of $n sites, of the layout above or of [path, bytes, exactly so]; every file is another one.
sub site_files {
    my ($n, @layout) = @_;
    @layout = @SITE unless @layout;
    srand 4;
    my ($text, $noise) = pools();
    my @sites;
    for my $site (1 .. $n) {
        my %file;
        for (@layout) {
            my ($path, $mean, $exact) = @$_;
            my $size = $exact ? $mean : int($mean * (0.5 + rand()));
            my ($suffix) = $path =~ /(\w+)$/;
            my $head = "site $site $path\n";
            my $pool = $SQUEEZE{$suffix} ? \$text : \$noise;
            my $body = '';
            $body .= substr $$pool, rand(length($$pool) / 2), $size - length $body while length $body < $size;
            $file{$path} = substr $head . $body, 0, $size;
        }
        push @sites, \%file;
    }
    return @sites;
}

# As a visitor asks for it.
sub url_path { my ($path) = @_; return '/' . ($path =~ s{(^|/)index\.html$}{$1}r) }

sub host { return sprintf 's%04d.%s', $_[0], $BASE }

sub squeeze {
    my ($root) = @_;
    my $names = join ' -o ', map {"-name '*.$_'"} sort keys %SQUEEZE;
    for (['gzip', '-9 -n -k'], ['brotli', '-q 5 -k'], ['zstd', '-q -9 -k']) {
        my ($program, $options) = @$_;
        system("find '$root' -type f \\( $names \\) -print0 | xargs -0 -P 2 -n 400 $program $options --") == 0 or die "$program failed\n";
    }
    return;
}

# Plain files $root/HOST/PATH with PATH.gz beside, releases in $state, and the items for the route table.
sub write_sites {
    my ($root, $state, @sites) = @_;
    my @items;
    for my $n (0 .. $#sites) {
        spew("$root/" . host($n + 1) . "/$_", $sites[$n]{$_}) for sort keys %{ $sites[$n] };
    }
    squeeze($root);
    for my $n (0 .. $#sites) {
        my $host = host($n + 1);
        push @items, { host => $host, kind => 'static', slug => "s$n", app_id => sprintf('01%024d', $n), release => write_release($state, "$root/$host", keys %{ $sites[$n] }) };
    }
    return @items;
}

sub store {
    my ($state, $content) = @_;
    my $sha = sha256_hex($content);
    my $path = "$state/objects/" . substr($sha, 0, 2) . "/$sha";
    spew($path, $content) unless -e $path;
    return $sha;
}

# A release of these files below $dir, each with the variants that lie beside it and are smaller; its id.
sub write_release {
    my ($state, $dir, @paths) = @_;
    my ($text, $variants) = ('', 0);
    for my $path (sort @paths) {
        my $content = slurp("$dir/$path");
        my ($suffix) = $path =~ /(\w+)$/;
        $text .= join(' ', store($state, $content), length $content, $TYPE{$suffix}, $path) . "\n";
        for (@CODINGS) {
            my ($coding, $ext) = @$_;
            next unless -e "$dir/$path.$ext" && -s _ < length $content;
            $text .= join(' ', " $coding", store($state, slurp("$dir/$path.$ext")), -s "$dir/$path.$ext") . "\n";
            $variants++;
        }
    }
    $text = 'wisehost-manifest ' . ($variants ? 2 : 1) . "\n$text";
    my $id = substr sha256_hex($text), 0, 40;
    spew("$state/releases/$id/manifest", $text);
    return $id;
}

# ---- servers ----

# Both httpds alike: as many threads as connections and to spare, no process started under load, one log line a request.
sub httpd_common {
    my ($dir, %o) = @_;
    my ($children, $threads) = ($o{children} // 2, $o{threads} // 64);
    spew("$dir/mime.types", join '', map {"$TYPE{$_} $_\n"} sort keys %TYPE);
    return <<"CONF" . ($o{log} // 1 ? qq(CustomLog $dir/log/access.log common\n) : '');
StartServers $children
ServerLimit $children
ThreadsPerChild $threads
ThreadLimit $threads
MaxRequestWorkers @{[ $threads * $children ]}
MinSpareThreads 1
MaxSpareThreads @{[ $threads * $children ]}
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Timeout 60
EnableSendfile On
ServerTokens Prod
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
<IfModule mime_module>
    TypesConfig $dir/mime.types
</IfModule>
<Directory "/">
    AllowOverride None
    Options FollowSymLinks
    Require all denied
</Directory>
CONF
}

# httpd with mod_wisehost on a state directory and a route table of its own. more => directives of the server.
sub ours {
    my (%o) = @_;
    my $h = WH::Httpd->new(modules => [qw(mime dir reqtimeout dbd proxy proxy_http), $o{status} ? 'status' : ()], mpm => 'event');
    $h->{conf} = httpd_common($h->dir, %o) . <<"CONF";
WiseHostStateDir @{[ $h->state ]}
@{[ $o{more} // '' ]}
<VirtualHost 127.0.0.1:@{[ $h->port ]}>
    ServerName $BASE
    ServerAlias *.$BASE
    WiseHostEngine On
    WiseHostBaseDomain $BASE
</VirtualHost>
CONF
    return $h;
}

# A single process of it, under a program that looks at it (valgrind).
sub start_under {
    my ($h, @prefix) = @_;
    $h->{proc} = WH::Proc->start(name => 'httpd', log => $h->dir . '/log/stderr',
        cmd => [ @prefix, '/usr/sbin/apache2', '-d', $h->dir . '/httpd', '-f', $h->write_conf, '-X' ]);
    wait_for { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port, Timeout => 1) } 60, 'httpd to listen';
    return $h;
}

# The same httpd without mod_wisehost.
sub httpd {
    my (%o) = @_;
    my $h = WH::Httpd->new(modules => [qw(mime dir reqtimeout), @{ $o{modules} // [] }], mpm => 'event', no_module => 1);
    $h->{conf} = httpd_common($h->dir, %o) . ($o{more}->($h) // '');
    return $h;
}

# A program with a directory of its own that listens on a port and is ended by its object.
sub program {
    my ($name, $port, $dir, @cmd) = @_;
    my $self = bless { port => $port, name => $name }, 'Serve::Program';
    my $log = out_dir() . "/$name.log";
    unlink $log;
    $self->{proc} = WH::Proc->start(name => $name, log => $log, cmd => \@cmd, env => { HOME => $dir, XDG_DATA_HOME => $dir, XDG_CONFIG_HOME => $dir });
    wait_for {
        die "$name ended, see bench/out/$name.log: " . slurp($log) unless $self->{proc}->runs;
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1);
    } 60, "$name to listen";
    return $self;
}

sub nginx_text {
    my ($dir, %o) = @_;
    my $port = $o{port};
    my $types = join ' ', map {"$TYPE{$_} $_;"} sort keys %TYPE;
    my $log = $o{log} // 1 ? "access_log $dir/access.log plain" : 'access_log off';
    my $address = $o{address} // '127.0.0.1';
    return <<"CONF";
@{[ $o{main} // 'worker_processes auto;' ]}
daemon off;
user www-data;
pid $dir/pid;
error_log $dir/error.log error;
worker_rlimit_nofile 65536;
events { worker_connections 16384; }
http {
    types { $types }
    default_type application/octet-stream;
    log_format plain '\$remote_addr - \$remote_user [\$time_local] "\$request" \$status \$body_bytes_sent';
    $log;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 60s;
    server_tokens off;
    client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp; uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp;
    server { listen $address:$port backlog=4096; server_name _; $o{server} }
}
CONF
}

# nginx of Debian, its workers as many as cores; server => what stands in its one server, main => instead of worker_processes.
sub nginx {
    my (%o) = @_;
    my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    $o{port} = free_port();
    spew("$dir/nginx.conf", nginx_text($dir, %o));
    my $self = program($o{name} // 'nginx', $o{port}, $dir, @{ $o{prefix} // [] }, '/usr/sbin/nginx', '-e', "$dir/error.log", '-c', "$dir/nginx.conf");
    $self->{dir} = $dir;
    return $self;
}

sub caddy {
    my ($port, $caddyfile) = @_;
    my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = program('caddy', $port, $dir, 'caddy', 'run', '--adapter', 'caddyfile', '--config', spew("$dir/Caddyfile", $caddyfile));
    $self->{dir} = $dir;
    return $self;
}

package Serve::Program {
    sub port { return $_[0]{port} }
    sub pid  { return $_[0]{proc}->pid }
    sub stop { my $proc = delete $_[0]{proc} or return; return $proc->stop(10) }
    sub DESTROY { local ($@, $?, $!); $_[0]->stop; return }
}

# ---- looking at processes ----

sub pids {
    my ($server) = @_;
    my @all = ($server->pid);
    for (my $i = 0; $i < @all; $i++) {
        open my $in, '<', "/proc/$all[$i]/task/$all[$i]/children" or next;
        push @all, split ' ', scalar(<$in>) // '';
    }
    return @all;
}

my $hz = POSIX::sysconf(POSIX::_SC_CLK_TCK());

sub cpu_s {
    my ($server) = @_;
    my $ticks = 0;
    for my $pid (pids($server)) {
        open my $in, '<', "/proc/$pid/stat" or next;
        my @f = split ' ', (<$in> =~ s/^.*\) //sr);
        $ticks += $f[11] + $f[12];
    }
    return $ticks / $hz;
}

# MiB of one field of smaps_rollup over these processes.
sub memory {
    my ($field, @pids) = @_;
    my $kib = 0;
    for my $pid (@pids) {
        open my $in, '<', "/proc/$pid/smaps_rollup" or die "/proc/$pid/smaps_rollup: $!\n";
        $kib += $1 if do { local $/; <$in> } =~ /^\Q$field\E:\s+(\d+)/m;
    }
    return $kib / 1024;
}

sub load_line {
    open my $in, '<', '/proc/loadavg' or return;
    printf "# load average %s\n", join ' ', (split ' ', <$in>)[ 0 .. 2 ];
    return;
}

# ---- load ----

# Runs these parts; one that fails does not take the figures of the others with it.
sub parts {
    my ($part, @names) = @_;
    my @failed;
    for my $name (@names) {
        my $code = $part->{$name} || die "there is no part \"$name\", there are: @{[ sort keys %$part ]}\n";
        next if eval { $code->(); 1 };
        print "# FAILED: $name: $@";
        push @failed, $name;
    }
    die "failed: @failed\n" if @failed;
    return;
}

# What wrk asks for, one at random each time: lines "host path".
sub requests_file {
    my ($name, @lines) = @_;
    return spew(out_dir() . "/$name.requests", join '', map {"$_\n"} @lines);
}

# One run of wrk: {n, rate, bytes (a second), p50 and p99 (µs), cpu (µs of the server a request)}. The client may use the
# cores that the server has; what a request costs it is the same for all.
sub wrk {
    my ($server, $requests, %o) = @_;
    local @ENV{qw(BENCH_REQUESTS BENCH_HEADERS BENCH_SEED BENCH_ONCE)}
        = ($requests, $o{headers} // '', $o{seed} // 1, $o{once} // '');
    my $cpu = cpu_s($server);
    open my $in, '-|', 'wrk', '-t', $o{threads} // 2, '-c', $o{connections} // 32, '-d', ($o{seconds} // seconds()) . 's', '--timeout',
        '20s', '-s', top() . '/bench/requests.lua', 'http://127.0.0.1:' . $server->port . '/'
        or die "wrk: $!\n";
    my $said = do { local $/; <$in> // '' };
    close $in or die "wrk failed: $said\n";
    my %got = ($said =~ /^RESULT (.*)$/m ? $1 : die "wrk said: $said\n") =~ /(\w+)=(\d+)/g;
    die "wrk saw failures: $said\n" if $got{errors} || !$got{n};
    my $s = $got{us} / 1e6;
    return { %got, rate => $got{n} / $s, bytes => $got{bytes} / $s, cpu => 1e6 * (cpu_s($server) - $cpu) / $got{n} };
}

# In turn, in every round: each of [name, server, file of requests, more for wrk]. {name => [a result a round]}. One
# round before that is not counted warms caches up.
sub race {
    my (@runners) = @_;
    my %all;
    load_line();
    for my $round (0 .. rounds()) {
        for my $runner ($round % 2 ? reverse @runners : @runners) {
            my ($name, $server, $requests, %o) = @$runner;
            my $got = wrk($server, $requests, seed => $round + 1, %o);
            push @{ $all{$name} }, $got if $round;
        }
    }
    load_line();
    for (@runners) {
        my ($name, @got) = ($_->[0], @{ $all{ $_->[0] } });
        Bench::samples($name, 'requests/s', map { $_->{rate} } @got);
        printf "# %s: %.0f MB/s, p50 %.0f us, p99 %.0f us, %.1f us of the server's CPU a request\n", $name,
            median(map { $_->{bytes} } @got) / 1e6, map { my $what = $_; median(map { $_->{$what} } @got) } qw(p50 p99 cpu);
    }
    return \%all;
}

# How many times the rate of $rival ours has: the median over the rounds, each of which saw both in turn.
sub paired {
    my ($all, $ours, $rival) = @_;
    return median(map { $all->{$ours}[$_]{rate} / $all->{$rival}[$_]{rate} } 0 .. $#{ $all->{$ours} });
}

# That a server answers what the files hold, compressed where $coding says so.
sub verify {
    my ($what, $server, $coding, @wanted) = @_;
    for (@wanted) {
        my ($host, $path, $content) = @$_;
        my $got = http_request(port => $server->port, host => $host, path => $path, headers => { 'Accept-Encoding' => $coding || 'identity' });
        my $body = $got->{body};
        if ($coding) {
            die "$what: $host$path came uncompressed\n" if ($got->{headers}{'content-encoding'} // '') ne $coding;
            IO::Uncompress::Gunzip::gunzip(\(my $packed = $body), \$body) or die "$what: $host$path is not gzip\n";
        }
        die "$what: $host$path answers $got->{status}, " . length($body) . ' bytes, not the file of ' . length($content) . "\n"
            if $got->{status} != 200 || $body ne $content;
    }
    return;
}

# Instructions a request where the processor does not count them: by valgrind, the program's own only, one request after
# another on one connection. $start->(PREFIX) starts the server; each of @wanted is [host, path]. Two runs, of which one
# asks more often: what they differ by is what those requests cost. The latter's profile stays in bench/out/NAME.callgrind.
sub by_callgrind {
    my ($name, $start, @wanted) = @_;
    my ($few, $many) = (400, 2400);
    my @total = map { callgrind_run($name, $start, $_, @wanted) } $few, $many;
    return ($total[1] - $total[0]) / ($many - $few);
}

sub callgrind_run {
    my ($name, $start, $n, @wanted) = @_;
    my $dir = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $out = "$dir/callgrind.out";
    my $server = $start->('valgrind', '-q', '--tool=callgrind', "--callgrind-out-file=$out");
    chmod 0777, $dir;    # made by root, written at the end by whom the server became
    chmod 0666, $out;
    my $conn = { host => '127.0.0.1', port => $server->port };
    for my $i (1 .. $n) {
        my $want = $wanted[ $i * 7919 % @wanted ];
        my ($status) = Bench::http($conn, 'GET', $want->[1], host => $want->[0]);
        die "$want->[0]$want->[1] answers $status under callgrind\n" if $status != 200;
    }
    close $conn->{sock};    # it would be waited for
    $server->{proc}->stop(60);
    my $said = slurp($out);
    spew(out_dir() . "/$name.callgrind", $said);
    return $said =~ /^(?:totals|summary): (\d+)/m ? $1 : die "callgrind wrote nothing\n";
}

1;
