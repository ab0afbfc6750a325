#!/usr/bin/perl
# What a newcomer does: ./quickstart, the command that it prints, again, stop, again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use POSIX ();
use Test::More;
use WH::Http qw(http_request);
use WH::Stack;
use WH::Wait qw(try_for);

my $src = $WH::Stack::src;
my $top = File::Temp::tempdir('wh-q-XXXXXXXX', TMPDIR => 1);
chmod 0755, $top;
my $dir  = "$top/run";
my $port = WH::Stack::free_port();
my $owner = $$;
END {
    if ($$ == $owner) {
        local $?;
        if ($dir && -d $dir) {
            system "$src/quickstart", 'stop', '--dir', $dir;
            system "$src/conf/engine.sh", 'podman', "$dir/engine", qw(system reset --force) if -d "$dir/engine/storage";
            system "$src/conf/engine.sh", 'clean', "$dir/engine";
        }
        system 'rm', '-rf', $top if $top;
    }
}

# Under t/run, what was compiled for the other tests is not compiled again; for that the options must be theirs.
my %ccache;
if ($ENV{WH_CCACHE}) {
    open my $fh, '>', "$top/config.site" or die $!;
    print {$fh} "enable_werror=yes\n";
    close $fh or die $!;
    %ccache = (CCACHE_DIR => $ENV{WH_CCACHE}, CCACHE_NOHASHDIR => 1, CONFIG_SITE => "$top/config.site");
}

# (rc, output) of a command, in a clean environment.
sub run_cmd {
    my @cmd = @_;
    # The token is one that a shell has of another server's run/env.
    my $pid = open(my $out, '-|') // die "fork: $!";
    if ($pid == 0) {
        %ENV = (PATH => $ENV{PATH}, HOME => $top, LC_ALL => 'C.UTF-8', TMPDIR => $ENV{TMPDIR} // '/tmp',
            WH_URL => 'http://127.0.0.1:1', WH_TOKEN => 'wh_of_another', %ccache);
        $ENV{PATH} = "/usr/lib/ccache:$ENV{PATH}" if %ccache;
        open STDERR, '>&', \*STDOUT;
        chdir $top;
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}
sub quickstart { return run_cmd("$src/quickstart", @_, '--dir', $dir) }
sub get { my ($app) = @_; return http_request(port => $port, host => "$app.localhost:$port") }

sub env {
    my ($rc, $text) = run_cmd('sh', '-c', ". '$dir/env'; for v in WH_URL WH_TOKEN REPO_STATIC REPO_CONTAINER"
        . ' PID_SCHEDULER PID_AGENT PID_HTTPD; do eval "echo $v=\$$v"; done');
    return map { split /=/, $_, 2 } split /\n/, $text;
}

# Options.
my ($rc, $said) = run_cmd("$src/quickstart", '--help');
is($rc, 0, '--help');
like($said, qr/--$_\b/, "names --$_") for qw(port dir no-install db help);
($rc, $said) = quickstart('--port', '70000');
is($rc, 2, 'a port that is none is refused');
like($said, qr/70000/, 'and named');
is((quickstart('--nonsense'))[0], 2, 'an unknown option is refused');
ok(!-e $dir, 'and nothing was made');

# First run.
($rc, $said) = quickstart('--port', $port, '--no-install');
is($rc, 0, 'quickstart exits 0') or BAIL_OUT($said . WH::Stack::slurp("$dir/log/quickstart.log"));
note($said);
my $container = $said =~ m{http://hello-container};
ok($container, 'a container engine works here') or diag($said);
like($said, qr{http://hello-static\.localhost:$port/}, 'prints the URL of the static example');
like($said, qr{http://127\.0\.0\.1:$port\b}, 'prints the address of the API');
my %env = env();
is($env{WH_URL}, "http://127.0.0.1:$port", 'run/env: WH_URL');
like($env{WH_TOKEN}, qr/^wh_\w+/, 'run/env: WH_TOKEN');
is((stat "$dir/env")[2] & 077, 0, 'run/env is for root alone');
for my $name (qw(SCHEDULER AGENT HTTPD)) {
    ok(kill(0, $env{"PID_$name"} || -1), "run/env: PID_$name runs");
}
my @apps = ('hello-static', $container ? 'hello-container' : ());
is(get($_)->{status}, 200, "$_ answers 200") for @apps;
like(get('hello-static')->{body}, qr/juniper/, 'the static example shows its content');
like(get('hello-container')->{body}, qr/rosemary/, 'the container example shows its content') if $container;

# The next command that it prints works as printed (the lines that are indented after "Try next").
like($said, qr{^  git push http://127\.0\.0\.1:\d+/git/my-site\.git main$}m, 'it says how a repository of one\'s own is pushed');
my ($next) = $said =~ /Try next:\n\n((?:  .*\n)+)/;
($rc, my $out) = run_cmd('sh', '-ec', $next);
is($rc, 0, 'the next command works as printed') or diag($next, $out);
like(get('hello-static')->{body}, qr/thyme/, 'and what it deployed is live');

# A word committed to each repository is live when `wh deploy --wait` returns.
for my $app (@apps) {
    my $repo = $env{ $app eq 'hello-static' ? 'REPO_STATIC' : 'REPO_CONTAINER' };
    my $word = join '', map { chr 97 + int rand 26 } 1 .. 12;
    ($rc, $out) = run_cmd('sh', '-ec', ". '$dir/env'; git clone -q '$repo' w-$app; cd w-$app;"
        . " echo '<p>$word' >index.html; git -c user.name=t -c user.email=t\@t commit -qam $word; git push -q;"
        . " wh deploy --wait $app");
    is($rc, 0, "$app: a word is committed, pushed and deployed") or diag($out);
    like(get($app)->{body}, qr/$word/, 'and live when the command returns');
    $env{"word-$app"} = $word;
}
if ($container) {
    ($rc, $out) = run_cmd('sh', '-ec', ". '$dir/env'; cd w-hello-container; cp Dockerfile ../Dockerfile;"
        . ' echo NONSENSE >>Dockerfile; git -c user.name=t -c user.email=t@t commit -qam broken; git push -q;'
        . ' wh deploy --wait hello-container');
    is($rc, 1, 'a broken Dockerfile: exit code 1') or diag($out);
    like(get('hello-container')->{body}, qr/$env{'word-hello-container'}/, 'the former release goes on serving');
}

# Second run: nothing is started twice, and what somebody changed stays.
{ open my $fh, '>>', "$dir/conf/agent.conf" or die $!; print {$fh} "# mine\n"; close $fh or die $! }
($rc, $said) = quickstart('--no-install');
is($rc, 0, 'a second run exits 0') or diag($said);
like($said, qr{conf/agent\.conf was changed by hand and stays so; a change is in force after a stop and a start\.$}m, 'a file that was changed by hand is named');
like(do { open my $fh, '<', "$dir/conf/agent.conf" or die $!; local $/; <$fh> }, qr/^# mine$/m, 'and kept');
unlike($said, qr/(?:httpd|scheduler)\.conf was changed/, 'and no other');
my %again = env();
is($again{$_}, $env{$_}, "$_ is the same") for qw(WH_TOKEN PID_SCHEDULER PID_AGENT PID_HTTPD);
like(get($_)->{body}, qr/$env{"word-$_"}/, "$_ serves what was deployed last") for @apps;

# Another one beside it on the same port says so.
($rc, $said) = run_cmd("$src/quickstart", '--no-install', '--dir', "$top/other", '--port', $port);
is($rc, 1, 'a port in use is refused');
like($said, qr/port $port is in use.*--port/s, 'with what to do');
run_cmd("$src/quickstart", 'stop', '--dir', "$top/other");

# A domain of an app's own, and the administrator's own directives, from the next start on.
($rc, $out) = run_cmd('sh', '-ec', ". '$dir/env'; wh domains add hello-static shop.example");
is($rc, 0, 'a domain is asked for') or diag($out);
mkdir "$dir/conf/local.d";
open my $own, '>', "$dir/conf/local.d/own.conf" or die $!;
print {$own} "<Location /closed>\n    Require all denied\n</Location>\n";
close $own;

# Stop, and a third run on the data that is left.
($rc, $said) = quickstart('stop');
is($rc, 0, 'stop exits 0') or diag($said);
# What has ended may stay a while as a zombie, which has no command line.
is(WH::Stack::slurp('/proc/' . $env{"PID_$_"} . '/cmdline'), '', "$_ has ended") for qw(SCHEDULER AGENT HTTPD);
my @left = grep { (WH::Stack::slurp("/proc/$_/cmdline") =~ /\Q$dir\E\//) } map { m{(\d+)} } glob '/proc/[0-9]*';
is("@left", '', 'no process of it is left') or diag(map { WH::Stack::slurp("/proc/$_/cmdline") . "\n" } @left);
($rc, $said) = quickstart('stop');
is($rc, 0, 'stop again is no error');
like($said, qr/nothing/i, 'and says that nothing runs');
# As if its proof had been found.
run_cmd('sqlite3', "$dir/state/db/wisehost.db", "UPDATE domains SET status = 'active', verified_at = created_at, reason = ''");
($rc, $said) = quickstart('--no-install');
is($rc, 0, 'a run after stop exits 0') or diag($said);
my %third = env();
is($third{WH_TOKEN}, $env{WH_TOKEN}, 'the token is the same');
isnt($third{PID_SCHEDULER}, $env{PID_SCHEDULER}, 'the processes are new');
for my $app (@apps) {
    my $got = get($app);
    is($got->{status}, 200, "$app answers again");
    like($got->{body}, qr/$env{"word-$app"}/, 'with what was deployed last') unless $app eq 'hello-container';
}
ok(scalar(try_for { http_request(port => $port, host => "shop.example:$port")->{body} =~ /$env{'word-hello-static'}/ } 10),
    'a domain that is proved shows its app');
is(http_request(port => $port, host => "shop.example:$port", path => '/v1/apps')->{status}, 404, 'not the API');
is(http_request(port => $port, host => "other.example:$port", path => '/v1/apps')->{status}, 403, 'nor does any other name');
is(http_request(port => $port, host => "127.0.0.1:$port", path => '/health')->{status}, 200, 'which is where it was');
is(http_request(port => $port, host => "hello-static.localhost:$port", path => '/closed')->{status}, 403,
    "the administrator's own directives hold");
is((quickstart('stop'))[0], 0, 'stop exits 0');
done_testing();
