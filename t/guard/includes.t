#!/usr/bin/perl
# The directions between the parts (who may include what) and what the pure library never touches.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Guard qw(files code lines_of);
use Test::More;

my $HTTPD = qr/^(httpd|http_\w+|mod_\w+|ap_\w+|util_\w+|scoreboard|mpm_common)\.h$/;
my %never = (
    'libwh'        => [ $HTTPD, qr/^libwebsockets\.h$/, qr/^apr_dbd\.h$/, qr/^curl\//, qr/^lmdb\.h$/,
        qr/^archive/, qr/^sys\/socket\.h$/, qr/^apr_network_io\.h$/, qr/^whdb\//, qr/^(mod_wisehost|wh-\w+|wh)\// ],
    'whdb'         => [ $HTTPD, qr/^libwebsockets\.h$/, qr/^curl\//, qr/^lmdb\.h$/, qr/^archive/,
        qr/^(mod_wisehost|wh-\w+|wh)\// ],
    'mod_wisehost' => [ qr/^libwebsockets\.h$/, qr/^curl\//, qr/^archive/, qr/^(wh-\w+|wh)\// ],
    'wh-scheduler' => [ $HTTPD, qr/^archive/, qr/^(mod_wisehost|wh-agent|wh)\// ],
    'wh-agent'     => [ $HTTPD, qr/^apr_dbd\.h$/, qr/^lmdb\.h$/, qr/^whdb\//, qr/^(mod_wisehost|wh-scheduler|wh)\// ],
    'wh'           => [ $HTTPD, qr/^apr_dbd\.h$/, qr/^lmdb\.h$/, qr/^archive/, qr/^libwebsockets\.h$/, qr/^whdb\//,
        qr/^(mod_wisehost|wh-\w+)\// ],
);
for my $part (sort keys %never) {
    for my $path (files(qr/\.[ch]$/, $part)) {
        my @bad;
        for my $inc (code($path, 1) =~ /^\s*#\s*include\s+["<]([^">]+)[">]/mg) {
            push @bad, $inc if grep { $inc =~ $_ } @{ $never{$part} };
        }
        @bad = grep { $_ ne 'sys/socket.h' } @bad if $path =~ m{libwh/wh_sys\.c$};    # one datagram to systemd
        # Archives are taken apart by a program of its own, never in httpd; wh packs directories.
        @bad = grep { !/^archive(_entry)?\.h$/ } @bad if $path =~ m{/wh_(unpack|cli_pack)\.c$};
        is("@bad", '', "$path includes nothing that $part must not know");
    }
}

# Time and randomness are arguments; wh_sys.c is where the real ones come from.
my $CLOCK = qr/\b(apr_time_now|gettimeofday|clock_gettime|time\s*\(\s*(NULL|0)|RAND_bytes|getrandom|rand\s*\(|random\s*\(|apr_generate_random_bytes|sleep\s*\(|apr_sleep)/;
for my $path (grep { !m{/wh_sys\.c$} } files(qr/\.c$/, 'libwh')) {
    my @hits = lines_of(code($path), $CLOCK);
    is("@hits", '', "$path reads no clock and no randomness");
}

# One file each lets libwebsockets in, and only the hub's own files take it from there.
for my $part (qw(wh-scheduler wh-agent)) {
    my @with = grep { code($_, 1) =~ /^\s*#\s*include\s+<libwebsockets\.h>/m } files(qr/\.[ch]$/, $part);
    cmp_ok(scalar(@with), '<=', 1, "$part: one file knows libwebsockets") or diag("@with");
}
my @through = grep { code($_, 1) =~ /^\s*#\s*include\s+"wh-scheduler\/hub_lws\.h"/m } files(qr/\.[ch]$/);
is_deeply([ sort @through ], [ map { "wh-scheduler/$_.c" } qw(hub hub_listen hub_upgrade) ], 'hub_lws.h is for the hub');
my @confirm = grep { code($_, 1) =~ /HTTP_CONFIRM_UPGRADE/ } files(qr/\.[ch]$/);
is("@confirm", '', 'nobody handles HTTP_CONFIRM_UPGRADE (CVE-2025-11677)');
done_testing();
