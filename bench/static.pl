#!/usr/bin/perl
# Static sites from releases, beside mod_vhost_alias on the same httpd and nginx on plain files: 1,000 sites of small
# files, the same with compression negotiated, files of 1 MB, and the instructions that a request costs.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build ratio value out_dir);
use File::Temp qw(tempdir);
use Serve qw(packages start_under site_files write_sites ours httpd nginx requests_file race paired verify pids wrk host url_path by_callgrind);
use WH::Http qw(http_request);
use WH::Httpd;
use WH::Proc;
use WH::Wait qw(wait_for);

my $SITES = $ENV{BENCH_SITES} || 1000;
my $FD_CACHE = 'open_file_cache max=50000 inactive=600s; open_file_cache_valid 60s; open_file_cache_min_uses 1;';
my @parts = split /,/, $ENV{BENCH_STATIC} || 'small,gzip,large,instructions';
$| = 1;
packages();
build();

# Plain files for the rivals, releases and route table for ours, of the same bytes.
my $root = tempdir('wisehost-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my $ours = ours();
print "# making $SITES sites\n";
my @sites = site_files($SITES);
push @sites, site_files(8, map { [ "big$_.bin", 1 << 20, 1 ] } 1 .. 4);
$ours->routes_all(write_sites($root, $ours->state, @sites));
$ours->start;
# [host, path, content] of every file.
my @files = map { my $n = $_; map { [ host($n + 1), url_path($_), $sites[$n]{$_} ] } sort keys %{ $sites[$n] } } 0 .. $#sites;
my @small = grep { $_->[1] !~ /\.bin$/ } @files;
my @pages = grep { $_->[1] =~ m{(?:\.html|/)$} } @files;
my @large = grep { $_->[1] =~ /\.bin$/ } @files;
printf "# %d files of %.1f KB in the mean, %.0f MB; one log line a request, to a file, for all\n", scalar(@small),
    size(@small) / @small / 1e3, size(@small) / 1e6;
my %part = (small => \&small, gzip => \&gzip, large => \&large, instructions => \&instructions);
Serve::parts(\%part, @parts);

sub size { my $n = 0; $n += length $_->[2] for @_; return $n }
sub list { my ($name, @of) = @_; return requests_file($name, map {"$_->[0] $_->[1]"} @of) }
sub some { return map { $_[ $_ * 7919 % @_ ] } 1 .. 40 }

sub plain_nginx {
    my ($name, $more, %o) = @_;
    return nginx(name => $name, server => "root $root/\$host; $FD_CACHE $more", %o);
}

# As its documentation has it, without looks at links and .htaccess.
sub vhost_alias {
    return httpd(modules => ['vhost_alias'], more => sub {
        return <<"CONF" })->start;
UseCanonicalName Off
VirtualDocumentRoot $root/%0
DirectoryIndex index.html
<Directory "$root">
    AllowOverride None
    Options FollowSymLinks
    Require all granted
</Directory>
CONF
}

sub small {
    print "# small files\n";
    my $list = list('static_small', @small);
    my ($alias, $nginx) = (vhost_alias(), plain_nginx('nginx', ''));
    verify(@$_, '', some(@small)) for [ wisehost => $ours ], [ vhost_alias => $alias ], [ nginx => $nginx ];
    my $all = race([ static_wisehost => $ours, $list ], [ static_vhost_alias => $alias, $list ], [ static_nginx => $nginx, $list ]);
    ratio('static_vs_vhost_alias', paired($all, 'static_wisehost', 'static_vhost_alias'));
    ratio('static_vs_nginx', paired($all, 'static_wisehost', 'static_nginx'));
    $alias->stop;
    return;
}

# Pages only: what nginx compresses unless told more.
sub gzip {
    print "# pages, with gzip negotiated\n";
    my $list = list('static_pages', @pages);
    my ($on, $static) = (plain_nginx('nginx-gzip', 'gzip on;'), plain_nginx('nginx-gzip-static', 'gzip_static on;'));
    verify(@$_, 'gzip', some(@pages)) for [ wisehost => $ours ], [ 'gzip on' => $on ], [ gzip_static => $static ];
    my @more = ($list, headers => 'Accept-Encoding: gzip');
    my $all = race([ static_gzip_wisehost => $ours, @more ], [ static_gzip_nginx => $on, @more ], [ static_gzip_nginx_static => $static, @more ]);
    ratio('static_gzip_vs_nginx', paired($all, 'static_gzip_wisehost', 'static_gzip_nginx'));
    ratio('static_gzip_vs_nginx_gzip_static', paired($all, 'static_gzip_wisehost', 'static_gzip_nginx_static'));
    return;
}

sub large {
    print "# files of 1 MB\n";
    my $list = list('static_large', @large);
    my $nginx = plain_nginx('nginx', '');
    verify(@$_, '', @large[ 0 .. 3 ]) for [ wisehost => $ours ], [ nginx => $nginx ];
    my $all = race([ static_1m_wisehost => $ours, $list ], [ static_1m_nginx => $nginx, $list ]);
    ratio('static_1m_vs_nginx', paired($all, 'static_1m_wisehost', 'static_1m_nginx'));
    return;
}

# ---- instructions a request ----

sub perf_counts {
    my $said = `perf stat -x, -e instructions true 2>&1`;
    return $? == 0 && $said =~ /^\d+,/m;
}

# By the processor, kernel included.
sub by_perf {
    my ($server, $list) = @_;
    my $out = out_dir() . '/perf.txt';
    wrk($server, $list);
    my $perf = WH::Proc->start(name => 'perf', cmd => [ 'perf', 'stat', '-x', ',', '-e', 'instructions', '-o', $out, '-p', join ',', pids($server) ]);
    my $got = wrk($server, $list);
    $perf->signal('INT');
    wait_for { !$perf->runs } 10, 'perf';
    my ($n) = WH::Httpd::slurp($out) =~ /^(\d+),[^\n]*instructions/m;
    return $n / $got->{n};
}

sub instructions {
    my $perf = perf_counts();
    print '# instructions a request, ', $perf ? "counted by the processor, kernel included\n"
        : "counted by callgrind without the kernel's: this machine has no counter\n";
    my $list = list('static_small', @small);
    my %start = (static_instructions => sub { return start_under($ours, @_) },
        static_instructions_nginx => sub { plain_nginx('nginx', '', prefix => [@_], main => 'master_process off;') });
    $ours->stop unless $perf;
    for my $name (sort keys %start) {
        my $n = $perf ? by_perf($name =~ /nginx/ ? plain_nginx('nginx', '') : $ours, $list) : by_callgrind($name, $start{$name}, @small[ 0 .. (@small < 400 ? $#small : 399) ]);
        Bench::value($name, $n, 'instructions');
    }
    return;
}
