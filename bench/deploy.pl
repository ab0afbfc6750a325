#!/usr/bin/perl
# How long from POST of a deployment to new content at its URL: static beside a post-receive checkout,
# container beside a plain script that does the same through the engine's API.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Bench qw(median http api git run_cmd platform stop_platform samples value ratio wait_until top free_port);
use File::Path qw(make_path);
use File::Basename qw(dirname);
use Time::HiRes qw(time sleep);

my $rounds = $ENV{BENCH_ROUNDS} || 15;
my $pf = platform();
my @stop = (sub { stop_platform($pf) });
my $ok = eval { static_site(); container_app(); 1 };
my $why = $@;
$_->() for reverse @stop;
die $why unless $ok;

sub write_file {
    my ($path, $text) = @_;
    make_path(dirname($path));
    open my $fh, '>', $path or die "$path: $!\n";
    print {$fh} $text;
    close $fh or die "$path: $!\n";
    return;
}

# A repository of 100 files of 4 KB, and bare copies for both sides.
sub site_repository {
    my ($work) = @_;
    for my $n (1 .. 99) {
        write_file(sprintf('%s/dir%d/page%02d.html', $work, $n % 10, $n), "<p>page $n</p>\n" . ('x' x 4000));
    }
    write_file("$work/index.html", "first\n");
    run_cmd('git', 'init', '-q', '-b', 'main', $work);
    git($work, qw(add -A));
    git($work, qw(commit -qm first));
    return;
}

sub head_of {
    my ($work) = @_;
    open my $fh, '<', "$work/.git/refs/heads/main" or die "$work: $!\n";
    chomp(my $sha = <$fh>);
    return $sha;
}

# Reads the page until it shows $word; the time it did.
sub seen {
    my ($conn, $host, $word) = @_;
    wait_until("$word at $host", 60, 0.001, sub {
        my ($status, $body) = http($conn, 'GET', '/', host => $host);
        return $status == 200 && index($body, $word) >= 0;
    });
    return time;
}

sub static_site {
    my $root = dirname($pf->{REPO_STATIC});
    my ($work, $ours, $rival) = ("$pf->{dir}/site", "$root/bench-site.git", "$pf->{dir}/rival");
    site_repository($work);
    run_cmd('git', 'clone', '-q', '--bare', $work, $ours);
    run_cmd('chown', '-R', 'wisehost-agent:', $ours);
    api($pf, 'POST', '/v1/apps', { slug => 'bench-site', kind => 'static', repository => { url => $ours, branch => 'main' } });

    # The rival: a bare repository whose post-receive hook checks out into a plain httpd's DocumentRoot.
    make_path("$rival/www", "$rival/logs");
    run_cmd('git', 'clone', '-q', '--bare', $work, "$rival/site.git");
    write_file("$rival/site.git/hooks/post-receive", "#!/bin/sh\nexec git --work-tree='$rival/www' checkout -q -f main\n");
    chmod 0755, "$rival/site.git/hooks/post-receive";
    my $port = free_port();
    my @httpd = ('/usr/sbin/apache2', '-d', $rival, '-f', top() . '/bench/rivals/post-receive/httpd.conf',
        '-C', "Define RIVAL_PORT $port", '-C', "Define RIVAL_ROOT $rival");
    run_cmd(@httpd, '-k', 'start');
    push @stop, sub { run_cmd(@httpd, '-k', 'stop') };
    my $rconn = { host => '127.0.0.1', port => $port };
    my $host = 'bench-site.localhost';

    my (@a, @b, @push);
    for my $n (0 .. $rounds) {
        my $word = "round-$n-$$";
        write_file("$work/index.html", "$word\n");
        git($work, qw(commit -qam), $word);
        my $p0 = time;
        git($work, qw(push -q), $ours, 'main');
        my $t0 = time;
        api($pf, 'POST', '/v1/apps/bench-site/deployments', { commit => head_of($work) });
        my $t1 = seen($pf->{conn}, $host, $word);
        my $r0 = time;
        git($work, qw(push -q), "$rival/site.git", 'main');
        my $r1 = seen($rconn, 'localhost', $word);
        if (!$n) {    # the first one sends all 100 files, on both sides
            value('deploy_static_first', ($t1 - $t0) * 1000, 'ms');
            value('post_receive_first', ($r1 - $r0) * 1000, 'ms');
            next;
        }
        push @a, ($t1 - $t0) * 1000;
        push @push, ($t1 - $p0) * 1000;
        push @b, ($r1 - $r0) * 1000;
    }
    samples('deploy_static', 'ms', @a);
    samples('deploy_static_with_push', 'ms', @push);
    samples('post_receive', 'ms', @b);
    value('deploy_static_p50', median(@a), 'ms');
    value('deploy_static_with_push_p50', median(@push), 'ms');
    value('post_receive_p50', median(@b), 'ms');
    ratio('deploy_static_vs_post_receive', median(@a) / median(@b));
    return;
}

sub container_app {
    if (!$pf->{REPO_CONTAINER} || !$pf->{ENGINE_SOCKET}) {
        print "# no container engine: the container part is left out\n";
        return;
    }
    require "$FindBin::Bin/rivals/engine-script/Script.pm";
    my $root = dirname($pf->{REPO_CONTAINER});
    my ($work, $ours) = ("$pf->{dir}/app", "$root/bench-app.git");
    git('/', 'clone', '-q', $pf->{REPO_CONTAINER}, $work);
    git($work, qw(checkout -q -B main));
    run_cmd('git', 'clone', '-q', '--bare', $work, $ours);
    run_cmd('chown', '-R', 'wisehost-agent:', $ours);
    api($pf, 'POST', '/v1/apps', { slug => 'bench-app', kind => 'container', repository => { url => $ours, branch => 'main' } });
    my $rival = EngineScript->new($pf->{ENGINE_SOCKET});
    push @stop, sub { $rival->remove };
    my (@a, @b, @over);
    for my $n (0 .. $rounds) {
        my $word = "round-$n-$$";
        write_file("$work/index.html", "$word\n");
        git($work, qw(add -A));
        git($work, qw(commit -qm), $word);
        git($work, qw(push -q), $ours, 'main');
        my $t0 = time;
        api($pf, 'POST', '/v1/apps/bench-app/deployments', { commit => head_of($work) });
        my $t1 = seen($pf->{conn}, 'bench-app.localhost', $word);
        my $r0 = time;
        $rival->deploy($work, $word);
        my $r1 = time;
        $rival->remove;    # not in the script's time: ours removes the former container after the switch, too
        next unless $n;
        push @a, ($t1 - $t0) * 1000;
        push @b, ($r1 - $r0) * 1000;
        push @over, $a[-1] - $b[-1];
    }
    samples('deploy_container', 'ms', @a);
    samples('engine_script', 'ms', @b);
    value('deploy_container_p50', median(@a), 'ms');
    value('engine_script_p50', median(@b), 'ms');
    value('deploy_container_overhead_p50', median(@over), 'ms');
    return;
}
