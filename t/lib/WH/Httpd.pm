package WH::Httpd;
# A real httpd with mod_wisehost on a server root of its own, a route table and releases that the test
# fills itself: no scheduler, no database. Stopped by pid when the object goes, also when the test dies.
use strict;
use warnings;
use Carp qw(croak);
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use WH::Http qw(http_request http_raw json_encode);
use WH::Proc;
use WH::Wait qw(wait_for try_for);

our $base = 'apps.example.test';

my %TYPES = (html => 'text/html;charset=utf-8', css => 'text/css;charset=utf-8', js => 'text/javascript;charset=utf-8',
    txt => 'text/plain;charset=utf-8', json => 'application/json', png => 'image/png', svg => 'image/svg+xml');

sub builddir { return $ENV{top_builddir} || '.' }

sub free_port {
    my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 1)
        or croak "no free port: $!";
    return $sock->sockport;
}

# The module under test: installed (t/run), else in the build tree.
sub module_path {
    for my $path ($ENV{WH_MODULE}, ($ENV{WH_INST} ? "$ENV{WH_INST}/modules/mod_wisehost.so" : undef),
        builddir() . '/mod_wisehost/.libs/mod_wisehost.so')
    {
        return $path if defined $path && -e $path;
    }
    croak 'mod_wisehost is not built';
}

sub tool {
    my $path = builddir() . "/t/tools/$_[0]";
    croak "$path is not built" unless -x $path;
    return $path;
}

# new(mpm => WH_TEST_MPM or 'event', modules => [...], global => text, vhost => text, vhosts => text, workers => 25)
#   workers  so many requests at once, in one child where the MPM has threads;
#   global  directives of the server, vhost  of the one virtual host with the engine on,
#   vhosts  further virtual hosts. conf => text replaces everything below the modules.
sub new {
    my ($class, %o) = @_;
    croak 'httpd needs root to become www-data' if $> != 0;
    my $dir = File::Temp::tempdir('wh-httpd-XXXXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    my $self = bless { mpm => $ENV{WH_TEST_MPM} // 'event', %o, dir => $dir, port => free_port(), owner => $$, allowed => [] }, $class;
    my $www = (getpwnam 'www-data')[3];
    make_path(map { "$dir/$_" } qw(httpd log docs));
    make_path(map { "$dir/state/$_" } qw(keys objects releases run));
    chown -1, $www, "$dir/state";
    chmod 02755, "$dir/state";
    return $self;
}

sub dir   { return $_[0]{dir} }
sub state { return "$_[0]{dir}/state" }
sub port  { return $_[0]{port} }
sub pid   { return $_[0]{proc}->pid }

sub slurp {
    my $path = shift;
    open my $file, '<:raw', $path or return '';
    local $/;
    return scalar <$file> // '';
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>:raw', $path or croak "$path: $!";
    print {$file} $text;
    close $file or croak "$path: $!";
    return $path;
}

# module.key and control.secret as the scheduler makes them.
sub keys {
    my $self = shift;
    system(tool('wh-db-seed'), 'keys', $self->state) == 0 or croak 'wh-db-seed keys failed';
    return $self;
}

sub _modules {
    my $self = shift;
    chomp(my $dir = `apxs -q LIBEXECDIR`);
    my @names = ("mpm_$self->{mpm}", qw(authz_core authn_core authz_host), @{ $self->{modules} // [qw(proxy proxy_http)] });
    return join '', (map {"LoadModule ${_}_module $dir/mod_$_.so\n"} @names),
        ($self->{no_module} ? '' : 'LoadModule wisehost_module ' . module_path() . "\n");
}

sub conf_text {
    my $self = shift;
    my ($dir, $port) = @$self{qw(dir port)};
    my $head = $self->_modules . <<"CONF";
ServerRoot $dir/httpd
DefaultRuntimeDir $dir/httpd
PidFile $dir/httpd/pid
ErrorLog $dir/log/error.log
LogLevel warn
Listen 127.0.0.1:$port
ServerName main.example.test
User www-data
Group www-data
DocumentRoot $dir/docs
CONF
    return $head . $self->{conf} if defined $self->{conf};
    return $head . <<"CONF";
LogLevel wisehost:info
LogFormat "%V %s %{wh-app}n %{wh-request-id}n" wh
CustomLog $dir/log/access.log wh
WiseHostStateDir $dir/state
@{[ $self->_workers ]}
@{[ $self->{global} // '' ]}
<VirtualHost 127.0.0.1:$port>
    ServerName $base
    ServerAlias *.$base
    WiseHostEngine On
    WiseHostBaseDomain $base
    @{[ $self->{vhost} // '' ]}
</VirtualHost>
@{[ $self->{vhosts} // '' ]}
CONF
}

sub _workers {
    my $self = shift;
    my $n = $self->{workers} or return '';
    return "StartServers $n\nMinSpareServers 1\nMaxSpareServers $n\nMaxRequestWorkers $n" if $self->{mpm} eq 'prefork';
    return "StartServers 1\nThreadsPerChild $n\nMaxRequestWorkers $n\nMinSpareThreads 1\nMaxSpareThreads $n";
}

sub write_conf {
    my $self = shift;
    return spew("$self->{dir}/httpd/httpd.conf", $self->conf_text);
}

# apachectl configtest: (exit code, what it said).
sub configtest {
    my $self = shift;
    my $path = $self->write_conf;
    my $pid = open(my $out, '-|') // croak "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec 'apache2', '-d', "$self->{dir}/httpd", '-f', $path, '-t', @{ $self->{args} // [] } or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    # From ErrorLog on, messages go there.
    $text .= slurp("$self->{dir}/log/error.log");
    unlink "$self->{dir}/log/error.log";
    return ($? >> 8, $text);
}

sub start {
    my $self = shift;
    my $path = $self->write_conf;
    # A module built with sanitizers wants their libraries before httpd's own.
    my %env = $ENV{WH_PRELOAD} ? (LD_PRELOAD => $ENV{WH_PRELOAD}) : ();
    $self->{proc} = WH::Proc->start(name => 'httpd', log => "$self->{dir}/log/stderr", env => \%env,
        cmd => [ 'apache2', '-d', "$self->{dir}/httpd", '-f', $path, '-DFOREGROUND' ]);
    wait_for {
        croak 'httpd ended: ' . slurp("$self->{dir}/log/stderr") . $self->log_text unless $self->{proc}->runs;
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 1);
    } 15, 'httpd to listen';
    return $self;
}

sub signal { my ($self, $signal) = @_; return $self->{proc}->signal($signal) }

sub stop {
    my $self = shift;
    my $proc = delete $self->{proc} or return;
    return $proc->stop(15);
}

# request(host => name, path => …) as WH::Http; host defaults to test.<base>.
sub request {
    my ($self, %o) = @_;
    return http_request(port => $self->{port}, host => "test.$base", %o);
}

sub get { my ($self, $label, $path, %o) = @_; return $self->request(host => "$label.$base", path => $path // '/', %o) }

# Exactly these bytes of a request head; (status, all of the answer).
sub raw {
    my ($self, $bytes, %o) = @_;
    my $got = http_raw(port => $self->{port}, bytes => $bytes, timeout => 10, %o) // '';
    return ($got =~ m{^HTTP/1\.[01] (\d{3})} ? $1 : 0, $got);
}

# ---- content -------------------------------------------------------------------------------------

# Puts content into the store; "<sha256> <size>".
sub object {
    my ($self, $content) = @_;
    my $sha = sha256_hex($content);
    my $object = $self->state . '/objects/' . substr($sha, 0, 2);
    make_path($object);
    spew("$object/$sha", $content);
    chmod 0644, "$object/$sha";
    return "$sha " . length $content;
}

# A release of {path => content}; returns its id. Objects and manifest as httpd's own upload makes them.
# A content may be {content => ..., br => ..., zstd => ..., gzip => ...}: with variants.
sub release {
    my ($self, $files, %types) = @_;
    my ($text, $version) = ('', 1);
    for my $path (sort CORE::keys %$files) {
        my $file = ref $files->{$path} ? $files->{$path} : { content => $files->{$path} };
        my ($suffix) = $path =~ /\.(\w+)$/;
        my $type = $types{$path} // $TYPES{ $suffix // '' } // 'application/octet-stream';
        my ($sha, $size) = split / /, $self->object($file->{content});
        $text .= "$sha $size $type $path\n";
        for my $coding (grep { defined $file->{$_} } qw(br zstd gzip)) {
            $text .= " $coding " . $self->object($file->{$coding}) . "\n";
            $version = 2;
        }
    }
    $text = "wisehost-manifest $version\n$text";
    my $id = substr sha256_hex($text), 0, 40;
    make_path($self->state . "/releases/$id");
    spew($self->state . "/releases/$id/manifest", $text);
    return $id;
}

# Writes names: routes({host => label or name, kind => …}, …). A label gets the base domain.
sub routes {
    my ($self, @items) = @_;
    return $self->_put([], @items);
}

# The table is exactly these.
sub routes_all {
    my ($self, @items) = @_;
    return $self->_put(['--all'], @items);
}

sub _put {
    my ($self, $args, @items) = @_;
    for my $item (@items) {
        $item->{host} .= ".$base" unless $item->{host} =~ /\./;
    }
    my $old = umask 007;
    my $pid = open(my $in, '|-') // croak "fork: $!";
    if ($pid == 0) {
        my $gid = getgrnam 'www-data';
        $) = "$gid $gid";
        exec tool('wh-route-put'), $self->state . '/routes', @$args or POSIX::_exit(127);
    }
    umask $old;
    print {$in} json_encode(\@items);
    close $in or croak 'wh-route-put failed: ' . ($? >> 8);
    return $self;
}

# static('blog' => {files}, spa => JSON true): release and route in one.
sub static {
    my ($self, $label, $files, %o) = @_;
    my $id = $self->release($files);
    $self->routes({ host => $label, kind => 'static', slug => $label =~ s/\..*//r, release => $id, %o });
    return $id;
}

# ---- logs ------------------------------------------------------------------------------------------

sub log_text { my ($self, $name) = @_; return slurp("$self->{dir}/log/" . ($name // 'error.log')) }
# HTTP/2 and prefork: mod_http2 says that it does not like it.
our $PREFORK = qr/AH10034/;
sub allow_log { my ($self, @patterns) = @_; push @{ $self->{allowed} }, @patterns; return $self }

# Lines of warn and above that the test did not announce, crashes and sanitizer reports.
# The event MPM, told to stop while a connection lingers: its listener has closed the pollset already.
our $STOPPING = qr/AH03092: process_lingering_close: apr_pollset_add failure/;

sub bad_log_lines {
    my $self = shift;
    my @bad;
    for my $line (split /\n/, $self->log_text . "\n" . $self->log_text('stderr')) {
        next unless $line =~ /:(?:warn|error|crit|alert|emerg)\]|exit signal|Assertion|Sanitizer|runtime error/;
        next if grep { $line =~ $_ } $STOPPING, $PREFORK, @{ $self->{allowed} };
        push @bad, $line;
    }
    return @bad;
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$;
    local ($@, $?, $!);
    eval { $self->stop };
    if ($ENV{WH_KEEP}) { print STDERR "# kept: $self->{dir}\n" }
    else { remove_tree($self->{dir}) }
    return;
}

1;
