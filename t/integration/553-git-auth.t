#!/usr/bin/perl
# db: sqlite
# Who may push, with httpd's authentication before it: our provider beside a file of users, WiseHostGitUser, TLS and HTTP/2;
# and pushes that end early, or whose database is away.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha1_base64);
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use WH::Push;
use WH::Stack;
use WH::Wait qw(wait_for);

chomp(my $modules = `apxs -q LIBEXECDIR`);
my ($auth_port, $tls_port) = map { WH::Stack::free_port() } 1 .. 2;
my $stack = WH::Stack->new;
my $dir = $stack->dir;
my @load = map {"LoadModule $_->[0]_module $modules/mod_$_->[1].so"} ([ authn_core => 'authn_core' ], [ auth_basic => 'auth_basic' ],
    [ authn_file => 'authn_file' ], [ authz_user => 'authz_user' ], [ ssl => 'ssl' ], [ socache_shmcb => 'socache_shmcb' ], [ http2 => 'http2' ]);
$stack->{httpd_extra} = join("\n", @load) . <<"CONF";

Listen 127.0.0.1:$auth_port
Listen 127.0.0.1:$tls_port
# Users of a file, and tokens; what each user may is said here.
<VirtualHost 127.0.0.1:$auth_port>
    ServerName 127.0.0.1
    WiseHostAPI On
    WiseHostGit On
    WiseHostGitCreate Off
    WiseHostGitUser anna read,deploy,write
    WiseHostGitUser ben read,deploy blog
    <Location "/git/">
        AuthType Basic
        AuthName git
        AuthBasicProvider wisehost file
        AuthUserFile $dir/users
        Require valid-user
    </Location>
    <Location "/v1/">
        AuthType Basic
        AuthName api
        AuthBasicProvider wisehost
        Require valid-user
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:$tls_port>
    ServerName 127.0.0.1
    Protocols h2 http/1.1
    SSLEngine On
    SSLCertificateFile $dir/tls.pem
    SSLCertificateKeyFile $dir/tls.key
    WiseHostAPI On
    WiseHostGit On
    WiseHostGitStrict On
    WiseHostGitTimeout 4
</VirtualHost>
CONF
open my $fh, '>', "$dir/users" or die;
print {$fh} "$_->[0]:{SHA}" . sha1_base64($_->[1]) . "=\n" for [ anna => 'a-word' ], [ ben => 'b-word' ], [ carl => 'c-word' ];
close $fh;
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    . " -keyout $dir/tls.key -out $dir/tls.pem -batch 2>/dev/null") == 0 or die;
$stack->start;

my $site = WH::Push->new(stack => $stack, slug => 'blog');
$site->commit({ 'index.html' => "<p>hazel\n" }, 'first');
is($site->push('main')->{rc}, 0, 'an app is made');
my $second = bless { %$site, slug => 'shop' }, 'WH::Push';
is($second->push('main')->{rc}, 0, 'and another');

# --- AuthBasicProvider wisehost file ---
package Login;
our @ISA = ('WH::Push');
sub remote { my $self = shift; return "$self->{url}/git/$self->{slug}.git" =~ s{://}{://$self->{login}@}r }
package main;
sub as { my ($login, $slug) = @_; return bless { %$site, login => $login, slug => $slug, url => "http://127.0.0.1:$auth_port" }, 'Login' }
my $n = 0;
sub pushes { my ($login, $slug) = @_; return as($login, $slug)->push('-ono-deploy', 'main:refs/heads/b' . ++$n) }

my $token = $stack->token;
is(pushes("x:$token", 'blog')->{rc}, 0, 'a token, by the provider of AuthBasicProvider');
is(pushes('anna:a-word', 'blog')->{rc}, 0, 'a user of the file whom WiseHostGitUser names');
is(pushes('ben:b-word', 'blog')->{rc}, 0, 'one for named apps, to his own');
for my $case (
    [ 'ben:b-word', 'shop', qr/not found/, 'not to another' ],
    [ 'ben:b-word', 'no-such', qr/not found/, 'nor to what is not there' ],
    [ 'anna:a-word', 'no-such', qr/not found/, 'WiseHostGitCreate Off: no app is made' ],
    [ "x:$token", 'no-such', qr/not found/, 'nor by a token' ],
    [ 'carl:c-word', 'blog', qr/403|WiseHostGitUser/, 'a user whom no directive names' ],
    [ 'anna:b-word', 'blog', qr/Authentication failed/, 'a wrong password' ],
    [ "anna:wh_" . 'e' x 64, 'blog', qr/Authentication failed/, 'a token that is none' ],
    [ 'nobody:x', 'blog', qr/Authentication failed/, 'nobody' ],
    ) {
    my ($login, $slug, $says, $what) = @$case;
    my $got = pushes($login, $slug);
    isnt($got->{rc}, 0, "$what: refused");
    like($got->{said}, $says, 'in words') or diag($got->{said});
}
my $log = $stack->log_text('httpd-access');
unlike($log, qr/\banna\b.*\Q$token\E/, 'no token in the access log');
# A name that the client gives himself with a token is not his.
my $who = $stack->request(port => $auth_port, path => '/v1/apps', headers => { Authorization => 'Basic ' . encode_base64("x:$token", '') });
is($who->{status}, 401, 'the provider lets nobody in elsewhere than on /git/');
# Agents still fetch: their way is not /git/.
is($stack->deploy('blog')->{conclusion}, 'succeeded', 'what was pushed can be deployed');

# --- TLS, HTTP/2, strict by directive ---
my $tls = bless { %$site, url => "https://127.0.0.1:$tls_port", env => { GIT_SSL_CAINFO => "$dir/tls.pem" } }, 'WH::Push';
$tls->commit({ 'index.html' => "<p>rowan\n" }, 'rowan');
my $got = $tls->push('main');
is($got->{rc}, 0, 'over TLS') or diag($got->{said});
like($got->{said}, qr/blog is live/, 'with its progress');
like($stack->get('blog')->{body}, qr/rowan/, 'and is live');
my $keep = $tls->head;
$tls->commit({ 'index.html' => undef }, 'gone');
isnt($tls->push('main')->{rc}, 0, 'WiseHostGitStrict On: refused when the deployment fails');
is($tls->tips->{main}, $keep, 'the branch stays');
$tls->in('reset', '-q', '--hard', $keep);

# --- what ends early ---
my ($repo) = grep { -e "$_/refs/heads/main" && !/empty/ } glob("$dir/state/git/*.git");
my $left = sub { join ' ', map { glob("$_/objects/*incoming* $_/wisehost-lent/*") } glob("$dir/state/git/*.git") };
# No agent: a strict push waits, and runs out of its time.
delete($stack->{proc}{agent})->stop(20);
$tls->commit({ 'index.html' => "<p>nobody builds it\n" }, 'nobody');
my $from = time;
$got = $tls->push('main');
isnt($got->{rc}, 0, 'a strict push that nobody deploys is refused at WiseHostGitTimeout');
like($got->{said}, qr/it waits: .*no_worker.*took too long.*Refused/s, 'after it said what it waits for') or diag($got->{said});
cmp_ok(time - $from, '<', 60, 'and not later');
is($tls->tips->{main}, $keep, 'the branch stays');
wait_for { $stack->api(GET => '/v1/apps/blog/deployments?limit=1')->{json}{items}[0]{conclusion} // '' eq 'canceled' } 20, 'its deployment to be canceled';
pass('its deployment is canceled');

# The person goes away in the middle.
my $strict = sub {
    my $pid = fork // die;
    return $pid if $pid;
    POSIX::setpgid(0, 0);
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    exec 'git', '-C', $site->work, 'push', '-q', '-ostrict', $site->remote, 'main' or POSIX::_exit(127);
};
my $pid = $strict->();
wait_for { $stack->api(GET => '/v1/apps/blog/deployments?limit=1')->{json}{items}[0]{status} eq 'prepare' } 20, 'a deployment to wait';
my ($id) = map { $_->{id} } $stack->api(GET => '/v1/apps/blog/deployments?limit=1')->{json}{items}[0];
isnt($left->(), '', 'its objects are lent meanwhile');
# Another push to this app waits its turn, and gets it.
my $second_pid = fork // die;
if (!$second_pid) { POSIX::_exit($site->push('-ono-deploy', 'main:refs/heads/turn')->{rc}) }
sleep 0.5;
is(waitpid($second_pid, POSIX::WNOHANG()), 0, 'another push waits for it');
kill INT => -$pid; # as Ctrl-C does
waitpid $pid, 0;
$stack->completed($id, 30);
is($stack->api(GET => "/v1/deployments/$id")->{json}{conclusion}, 'canceled', 'a strict push that nobody waits for is canceled');
waitpid $second_pid, 0;
is($? >> 8, 0, 'the other one gets its turn');
wait_for { $left->() eq '' } 20, 'quarantine and loan to go';
pass('nothing lies about');
is($tls->tips->{main}, $keep, 'the branch stays');
wait_for { !grep {/git/} split /\n/, `ps -u www-data -o args=` } 20, 'git to end';
pass('no process runs on');

# With the agent back, what was refused goes through.
$stack->start_agent->wait_online;
$got = $site->push('-ostrict', 'main');
is($got->{rc}, 0, 'it goes through when there is a worker') or diag($got->{said});
like($stack->get('blog')->{body}, qr/nobody builds it/, 'and is live');

# --- wh as git's credential helper ---
my $ask = sub {
    my ($host, $op) = @_;
    open my $in, '>', "$dir/cli/ask" or die;
    print {$in} "protocol=http\nhost=$host\n\n";
    close $in;
    return $stack->wh_env({ STDIN => "$dir/cli/ask" }, 'git-credential', $op // 'get')->{out};
};
is($ask->('127.0.0.1:' . $stack->port), "username=wisehost\npassword=$token\n", 'wh git-credential gives git the token');
is($ask->('127.0.0.1'), '', 'for its own server alone');
is($ask->("127.0.0.1:$auth_port"), '', 'and port');
is($ask->('127.0.0.1:' . $stack->port, 'store'), '', 'and keeps nothing');

$stack->allow_log(qr/AH01617|AH01618|AH01797|AH01906|AH01909|AH10244|WH0242|WH0243|AH02032|WH0245/, qr/cannot reach|connection|WH06/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
