#!/usr/bin/perl
# How long from the start of `git push` over TLS to new content at its URL: to /git/<app>.git, beside the same bare
# repository with a post-receive checkout behind git's http-backend (mod_cgid) on the same httpd and TLS. 100 files,
# one changed. The rival asks for no credential; ours looks a token up. Each in turn first.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";
use Bench qw(build median percentile http git run_cmd samples value ratio wait_until certificate free_port top);
use File::Path qw(make_path);
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);
use WH::Stack;

my $rounds = $ENV{BENCH_ROUNDS} || 25;
$| = 1;
build();
my ($tls, $plain) = (free_port(), free_port());
chomp(my $modules = `apxs -q LIBEXECDIR`);
my $stack = WH::Stack->new;
my $root = $stack->dir . '/rival';
make_path("$root/www", "$root/repos");
certificate($root);
chmod 0640, "$root/listen.key";
my $conf = WH::Stack::slurp(top() . '/bench/rivals/http-post-receive/httpd.conf');
my %set = (MODULES => $modules, TLS_PORT => $tls, RIVAL_PORT => $plain, RIVAL_ROOT => $root);
$conf =~ s/\$\{(\w+)\}/$set{$1}/g;
$stack->{httpd_extra} = $conf;

# The repository, and the rival's.
my $work = $stack->dir . '/site';
make_path($work);
for my $n (1 .. 99) {
    my $dir = sprintf '%s/dir%d', $work, $n % 10;
    make_path($dir);
    write_file(sprintf('%s/page%02d.html', $dir, $n), "<p>page $n</p>\n" . ('x' x 4000));
}
write_file("$work/index.html", "first\n");
run_cmd('git', 'init', '-q', '-b', 'main', $work);
git($work, qw(add -A));
git($work, qw(commit -qm first));
run_cmd('git', 'init', '-q', '--bare', '-b', 'main', "$root/repos/site.git");
run_cmd('git', '-C', "$root/repos/site.git", 'config', 'http.receivepack', 'true');
write_file("$root/repos/site.git/hooks/post-receive", "#!/bin/sh\nexec git --work-tree='$root/www' checkout -q -f main\n");
chmod 0755, "$root/repos/site.git/hooks/post-receive";
run_cmd('chown', '-R', 'www-data:', "$root/repos", "$root/www");

$stack->start;
my %conn = (ours => { host => '127.0.0.1', port => $stack->port }, rival => { host => '127.0.0.1', port => $plain });
my %host = (ours => 'bench-site.localhost', rival => 'rival.test');
my %url = (ours => "https://127.0.0.1:$tls/git/bench-site.git", rival => "https://127.0.0.1:$tls/rival/site.git");
$ENV{GIT_SSL_CAINFO} = "$root/listen.pem";
my %with = (ours => [ '-c', 'http.extraHeader=Authorization: Basic ' . encode_base64('bench:' . $stack->token, '') ], rival => []);

# The time from the start of the push to the page that shows $word, in ms; and of the push alone.
sub push_and_see {
    my ($side, $word) = @_;
    my $from = time;
    git($work, @{ $with{$side} }, 'push', '-q', $url{$side}, 'main');
    my $done = time;
    wait_until("$word at $host{$side}", 60, 0.001, sub {
        my ($status, $body) = http($conn{$side}, 'GET', '/', host => $host{$side});
        return $status == 200 && index($body, $word) >= 0;
    });
    return (1000 * (time - $from), 1000 * ($done - $from));
}

my (%took, %pushed, @ratio);
for my $n (0 .. $rounds) {
    my $word = "round-$n-$$";
    write_file("$work/index.html", "$word\n");
    git($work, qw(commit -qam), $word);
    my %now;
    for my $side ($n % 2 ? qw(ours rival) : qw(rival ours)) {
        my ($seen, $done) = push_and_see($side, $word);
        next unless $n;    # the first one sends all 100 files, on both sides
        $now{$side} = $seen;
        push @{ $took{$side} }, $seen;
        push @{ $pushed{$side} }, $done;
    }
    push @ratio, $now{ours} / $now{rival} if $n;
}
samples('git_push', 'ms', @{ $took{ours} });
samples('git_push_http_post_receive', 'ms', @{ $took{rival} });
value('git_push_p50', median(@{ $took{ours} }), 'ms');
value('git_push_http_post_receive_p50', median(@{ $took{rival} }), 'ms');
ratio('git_push_vs_http_post_receive', median(@{ $took{ours} }) / median(@{ $took{rival} }));
printf "# of ours, git returned after %.1f ms; ratios of single rounds from %.2f to %.2f\n", median(@{ $pushed{ours} }),
    percentile(0, @ratio), percentile(1, @ratio);

sub write_file {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!\n";
    print {$fh} $text;
    close $fh or die "$path: $!\n";
    return;
}
