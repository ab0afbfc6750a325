#!/usr/bin/perl
# Repositories over https: from a server with a certificate that is trusted, at an address that is allowed, and
# nowhere else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use WH::AgentJob;
use WH::Proc;
use WH::Wait qw(wait_for);

my $agent = WH::AgentJob->new;
$agent->start_server;
my $dir  = $agent->dir;
my $port = do { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1); $s->sockport };
chomp(my $modules = qx(apxs -q LIBEXECDIR));

sub certificate {
    my ($name) = @_;
    system('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', "/CN=$name", '-addext',
        'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem", '-batch') == 0 or die 'openssl';
    return;
}
{
    open my $null, '>', '/dev/null';
    open my $keep, '>&', \*STDERR;
    open STDERR, '>&', $null;
    certificate($_) for qw(server other);
    open STDERR, '>&', $keep;
}
my $repo = $agent->repo('site');
my $sha  = $repo->commit({ 'index.html' => "over https\n" });
my $loaded = join '', map { my ($name, $file) = @$_; -e "$modules/$file" ? "LoadModule $name $modules/$file\n" : '' }
    [ mpm_event_module => 'mod_mpm_event.so' ], [ authz_core_module => 'mod_authz_core.so' ], [ alias_module => 'mod_alias.so' ],
    [ env_module => 'mod_env.so' ], [ cgid_module => 'mod_cgid.so' ], [ ssl_module => 'mod_ssl.so' ], [ socache_shmcb_module => 'mod_socache_shmcb.so' ];
open my $conf, '>', "$dir/httpd.conf" or die $!;
print {$conf} <<"END";
ServerRoot $dir
$loaded
DefaultRuntimeDir $dir
PidFile $dir/httpd.pid
ScriptSock $dir/cgi.sock
ErrorLog $dir/log/httpd.log
ServerName localhost
Listen 127.0.0.1:$port
User www-data
Group www-data
SSLEngine on
SSLCertificateFile $dir/server.pem
SSLCertificateKeyFile $dir/server.key
SetEnv GIT_PROJECT_ROOT $dir/repos
SetEnv GIT_HTTP_EXPORT_ALL 1
SetEnv GIT_CONFIG_COUNT 1
SetEnv GIT_CONFIG_KEY_0 safe.directory
SetEnv GIT_CONFIG_VALUE_0 *
PassEnv PATH
Redirect 302 /moved https://localhost:$port/git
ScriptAlias /git/ /usr/lib/git-core/git-http-backend/
<Directory /usr/lib/git-core>
    Require all granted
</Directory>
END
close $conf;
system('chown', '-R', 'www-data:www-data', "$dir/repos");
chmod 0755, $dir;
my $httpd = WH::Proc->start(name => 'httpd', log => "$dir/log/httpd.out", cmd => [ 'apache2', '-d', $dir, '-f', "$dir/httpd.conf", '-DFOREGROUND' ]);
wait_for { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) || !$httpd->runs } 15, 'httpd';
ok($httpd->runs, 'a server of repositories') or diag qx(cat $dir/log/httpd.*);

my %ok = (git_private_addresses => 'on', ca_file => "$dir/server.pem");
my $n = 0;

sub fetch {
    my ($url, %conf) = @_;
    return $agent->run(app => sprintf('01hz%022d', 7000 + ++$n), url => $url, clone_s => 10, conf => \%conf);
}
my $got = fetch("https://localhost:$port/git/site.git", %ok);
is($got->{outcome}, 'succeeded', 'F216 a repository over https') or diag explain($got), qx(cat $dir/log/httpd.log);
is($got->{result}{commit}{sha}, $sha, 'its commit');
is(fetch("https://127.0.0.1:$port/git/site.git", %ok)->{outcome}, 'succeeded', 'by address');
$got = $agent->run(app => sprintf('01hz%022d', 7000 + ++$n), url => "https://localhost:$port/git/site.git", sha => $sha, conf => {%ok});
is($got->{outcome}, 'succeeded', 'XI12 one commit by its name') or diag explain $got;

sub fails {
    my ($what, $code, $like, $got2) = @_;
    is($got2->{outcome}, 'failed', "$what: fails");
    is($got2->{code}, $code, "$what: $code") or diag explain $got2;
    like($got2->{detail}, $like, "$what: says why");
    return;
}
fails('D9 an inner address, as shipped', 'repository_refused', qr/not public/, fetch("https://localhost:$port/git/site.git", ca_file => "$dir/server.pem"));
fails('a certificate that nobody trusts', 'clone_failed', qr/certificate|SSL/i, fetch("https://localhost:$port/git/site.git", %ok, ca_file => "$dir/other.pem"));
fails('XK3 a redirect is not followed', 'clone_failed', qr/\S/, fetch("https://localhost:$port/moved/site.git", %ok));
fails('a repository that is not there', 'clone_failed', qr/\S/, fetch("https://localhost:$port/git/gone.git", %ok));
fails('a branch that is not there', 'ref_not_found', qr/gone/,
    $agent->run(app => sprintf('01hz%022d', 7000 + ++$n), url => "https://localhost:$port/git/site.git", branch => 'gone', conf => {%ok}));

# --- a server that takes the connection and says nothing ---
{
    my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5);
    my $r = $agent->run(app => sprintf('01hz%022d', 7000 + ++$n), url => 'https://localhost:' . $silent->sockport . '/x.git', clone_s => 2, conf => {%ok});
    fails('XI7 a server that says nothing', 'clone_failed', qr/within 2 s/, $r);
    cmp_ok($r->{took}, '<', 8, 'XI7 by the deadline');
}
$httpd->stop(10);
$agent->stop;
done_testing();
