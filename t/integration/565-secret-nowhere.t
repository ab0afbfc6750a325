#!/usr/bin/perl
# db: sqlite
# "A secret set once is found nowhere": env vars and build secrets in a real build and a real container, and a
# search for them, as they are and encoded, in everything that is written, said or listed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Find ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

plan skip_all => 'no busybox' if !-x '/bin/busybox';
my $src = $WH::Stack::src;
my $stack = WH::Stack->new(engine => 1, scheduler_conf => { job_deadline_check_s => 5 });
my ($rc, $said) = $stack->run_cmd("$src/conf/engine.sh", 'prepare', $stack->dir . '/engine');
plan skip_all => "no container engine: $said" if $rc != 0;
$stack->start;
my $dir = $stack->dir;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

# ---- secrets, and how they would look ------------------------------------------------------------------
sub random_text { my ($n) = @_; my @c = ('A' .. 'Z', 'a' .. 'z', 0 .. 9); return join '', map { $c[ rand @c ] } 1 .. $n }
my %secret = (
    API_KEY    => random_text(12) . '/"+ ~' . random_text(12),
    PEM        => join('', map { "$_\n" } '-----BEGIN X-----', (map { random_text(40) } 1 .. 3), '-----END X-----'),
    NPM_TOKEN  => 'npm_' . random_text(36),
    UNUSED     => random_text(30),
);
# Inner bytes of the encodings: what stands there whatever is around it.
sub forms {
    my ($s) = @_;
    my @forms = ($s);
    for my $shift (0 .. 2) {
        my $b64 = encode_base64('x' x $shift . $s, '');
        my $core = substr $b64, 4, length($b64) - 8;
        (my $url = $core) =~ tr{+/}{-_};
        push @forms, $core, $url;
    }
    (my $percent = $s) =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
    (my $json = JSON::PP->new->allow_nonref->encode($s)) =~ s/^"|"$//g;
    push @forms, $percent, lc $percent eq $percent ? () : $percent =~ s/(%..)/lc $1/ger, $json, unpack('H*', $s), uc unpack('H*', $s);
    push @forms, grep { length > 20 } split /\n/, $s;
    return @forms;
}
my %form;    # form => name
for my $name (keys %secret) { $form{$_} = $name for forms($secret{$name}) }
# What a private repository asks for: a token, and a key, of which the lines that hold its private half.
my $source = { token => random_text(40), key => '' };
{
    my $file = $stack->dir . '/../wh-565-key-' . $$;
    system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', $file) == 0 or die 'ssh-keygen';
    $source->{key} = WH::Stack::slurp($file);
    unlink $file, "$file.pub";
}
$form{$_} = 'the repository\'s token' for forms($source->{token});
$form{$_} = 'the deploy key' for map { forms($_) } (split /\n/, $source->{key})[ 3, 4 ];
my $any = join '|', map { quotemeta } sort { length $b <=> length $a } keys %form;
$any = qr/($any)/;
sub found { my ($text) = @_; return $text =~ $any ? $form{$1} : undef }
is(found("x$_"), $form{$_}, 'the search finds what it looks for') for (sort keys %form)[0, 5, 9];

# ---- an app that uses them ---------------------------------------------------------------------------------
my $show = 'for v in API_KEY PEM; do eval "x=\\$$v"; echo "raw $x"; printf %s "$x" | /bin/busybox base64; printf %s "u:$x" | /bin/busybox base64 -w 0; echo;'
    . ' printf %s "$x" | /bin/busybox od -An -tx1 -v | /bin/busybox tr -d " \\n"; echo; echo "half $x" | /bin/busybox head -c 20; echo; done';
my $run = sub { my ($script) = @_; return 'CMD ["/bin/busybox", "sh", "-c", ' . JSON::PP->new->allow_nonref->encode($script) . "]\n" };
my $serve = $run->('/bin/busybox mkdir -p /www; /bin/busybox env | /bin/busybox grep -E "^(WISEHOST|PORT)" >/www/index.html;'
    . ' echo "${#API_KEY} ${#PEM} $MODE ${#UNUSED}" >>/www/index.html; exec /bin/busybox httpd -f -p $PORT -h /www');
my $die = $run->("$show; exit 3");
my $step = sub { my ($script, $mount) = @_; return "RUN $mount" . JSON::PP->new->encode([ '/bin/busybox', 'sh', '-c', $script ]) . "\n" };
my $build = "FROM scratch\nCOPY busybox /bin/busybox\n"
    . $step->('cat=/bin/busybox; t=$($cat cat /run/secrets/NPM_TOKEN); echo "the token is $t"; echo "$t" | $cat base64; echo "Basic $(printf "u:$t" | $cat base64 -w 0)";'
        . ' echo "it has ${#t} bytes"; $cat sleep 1', '--mount=type=secret,id=NPM_TOKEN ')
    . $step->('echo "now: $(/bin/busybox ls /run/secrets 2>&1)"; /bin/busybox env; /bin/busybox tr "\\\\0" " " </proc/1/environ; /bin/busybox find / -xdev -name ".wise*-s*"', '')
    . "COPY . /src/\n";
my $repo = $stack->repo('box');
my $commit = sub { my (%files) = @_; $repo->write_file('busybox', WH::Stack::slurp('/bin/busybox'), 0755); return $repo->commit(\%files) };
$commit->(Dockerfile => $build . $serve);
is($stack->api(POST => '/v1/apps', { slug => 'box', kind => 'container', serve => { grace_seconds => 5 },
    repository => { url => $repo->path, branch => 'main' }, run => { port => 8080 } })->{status}, 201, 'an app');
my $set = $stack->api(PATCH => '/v1/apps/box/env', { variables => [
    (map { { name => $_, value => $secret{$_}, $_ eq 'NPM_TOKEN' ? (build => $yes) : () } } sort keys %secret),
    { name => 'MODE', value => 'fast', secret => $no } ] });
is($set->{status}, 200, 'secrets are set once') or diag $set->{body};
# With submodules they go to the agent, wherever the repository lies.
is($stack->api(PATCH => '/v1/apps/box', { build => { submodules => $yes } }, headers => { 'If-Match' => '*' })->{status}, 200, 'submodules');
my @source = ($stack->api(POST => '/v1/apps/box/source/deploy-key', { private_key => $source->{key} }),
    $stack->api(PUT => '/v1/apps/box/source/credentials', { token => $source->{token}, host => 'git.example.test' }));
is_deeply([ map { $_->{status} } @source ], [ 201, 200 ], 'a deploy key and a token') or diag explain \@source;

# ---- a build, and who is looked at meanwhile ------------------------------------------------------------------
my %listed;
sub look_around {
    for my $proc (glob '/proc/[0-9]*') {
        next if $proc eq "/proc/$$";
        for my $what (qw(cmdline environ)) {
            my $name = found(WH::Stack::slurp("$proc/$what")) or next;
            my $cmd = WH::Stack::slurp("$proc/cmdline") =~ tr/\0/ /r;
            $listed{"$what of $cmd: $name"} = 1;
        }
    }
    return;
}
my $id = $stack->api(POST => '/v1/apps/box/deployments', {})->{json}{id};
my ($done, %phase);
wait_for {
    look_around() if !$phase{starting};
    $done = $stack->api(GET => "/v1/deployments/$id")->{json};
    $phase{ $done->{phase} } = 1;
    $phase{starting} ||= $done->{phase} =~ /^(?:starting|checking|switching|done)$/;
    $done->{status} eq 'completed';
} 90, 'the deployment';
my @log = $stack->log_lines($id);
is($done->{conclusion}, 'succeeded', 'R17 a build with a build secret, and a container with env vars') or diag(join "\n", @log, $done->{cause}{detail} // '');
is_deeply([ sort keys %listed ], [], 'R17 no process has a secret in its arguments or environment while it is built');

my $page = $stack->get('box')->{body};
like($page, qr/^@{[ length $secret{API_KEY} ]} @{[ length $secret{PEM} ]} fast @{[ length $secret{UNUSED} ]}$/m, 'the container has them as they were set, of several lines too') or diag $page;
my %is = $page =~ /^(WISEHOST\w*|PORT)=(.*)$/mg;
is($is{PORT}, 8080, 'R15 PORT is the app\'s');
is($is{WISEHOST_COMMIT_SHA}, $done->{commit}{sha}, 'WISEHOST_COMMIT_SHA');
is_deeply([ @is{qw(WISEHOST WISEHOST_BRANCH WISEHOST_ENVIRONMENT WISEHOST_APP WISEHOST_DEPLOYMENT_ID WISEHOST_COMMIT_AUTHOR)} ],
    [ 'true', 'main', 'production', 'box', $id, $done->{commit}{author} ], 'and what else the system says');
my $p = $stack->port;
is($is{WISEHOST_URL_ENVIRONMENT}, "http://box.localhost:$p", 'where it is');
is($stack->request(host => "$is{WISEHOST_DOMAIN}:$p", path => '/')->{status}, 200, 'WISEHOST_DOMAIN is a name of it');
like($is{WISEHOST_URL}, qr{^http://\Q$is{WISEHOST_DOMAIN}\E:$p$}, 'WISEHOST_URL is that with its scheme');

my $log = join "\n", @log;
like($log, qr/the token is \*\*\*/, 'F286 the step had the build secret, and the log has it masked') or diag $log;
like($log, qr/it has 40 bytes/, 'as it was set');
like($log, qr/Basic .{0,8}\*\*\*/, 'encoded, too');
unlike($log, qr/\.wisehost-secret/, 'no file of it lies in the tree');

# ---- rollback: with its own, or with today's -------------------------------------------------------------------
$stack->api(PATCH => '/v1/apps/box/env', { variables => [ { name => 'MODE', value => 'slow' } ] });
for ([ current => 'slow', 'today\'s' ], [ own => 'fast', 'its own' ]) {
    my ($settings, $mode, $whose) = @$_;
    my $wish = $stack->api(POST => "/v1/deployments/$id/rollback", { settings => $settings })->{json};
    wait_for { ($stack->api(GET => "/v1/switches/$wish->{id}")->{json}{outcome} // 'starting') ne 'starting' } 60, 'a rollback';
    $page = $stack->get('box')->{body};
    like($page, qr/^\d+ \d+ $mode \d+$/m, "F227 F228 a rollback with $whose env vars") or diag $page;
    like($page, qr/^WISEHOST_COMMIT_SHA=$done->{commit}{sha}$/m, 'and of which commit it is');
}

# ---- a container that fails and says all that it knows ----------------------------------------------------------
$commit->(Dockerfile => "FROM scratch\nCOPY busybox /bin/busybox\n$die");
my $failed = $stack->deploy('box', {}, 60);
is($failed->{cause}{code}, 'container_exited', 'a container that fails') or diag(explain $failed);
$log = join "\n", $stack->log_lines($failed->{id});
like($log, qr/raw \*\*\*/, 'S8 its last lines are there, masked') or diag $log;

# ---- one that asks in vain, and one that puts it where it should not ----------------------------------------------
$commit->(Dockerfile => "FROM scratch\nCOPY busybox /bin/busybox\n" . $step->('cat=/bin/busybox; $cat cat /run/secrets/UNUSED', '--mount=type=secret,id=UNUSED ') . $serve);
$failed = $stack->deploy('box', {}, 60);
is($failed->{conclusion}, 'failed', 'what is not marked for builds is not handed to one');
like(join("\n", $stack->log_lines($failed->{id})), qr/asks for the build secret UNUSED/, 'and the log says why');

# ---- the search -----------------------------------------------------------------------------------------------
my (%in, $files);
File::Find::find({ no_chdir => 1, wanted => sub {
    my $path = $File::Find::name;
    return if -l $path || !-f _ || !-s _;
    $files++;
    my $name = found(WH::Stack::slurp($path)) or return;
    $in{ substr $path, length($dir) + 1 } = $name;
} }, $dir);
cmp_ok($files, '>', 50, "files were looked through: $files");
# The engine's own record of the container, which is how the container gets its environment (docs/env.md).
my @config = grep { m{^engine/.*(?:/userdata/config\.json|/bolt_state\.db|/db\.sql|/containers\.json)$} } sort keys %in;
delete @in{@config};
is_deeply(\%in, {}, 'found in no file: database, logs, error log, releases, agent, images, layers, build cache') or diag(explain \%in);
cmp_ok(scalar(@config), '>', 0, "found only in the engine's record of the container: @config");

my (undef, $ids) = $stack->podman(qw(images --all --quiet --no-trunc));
my (undef, $said_of_images) = $stack->podman('image', 'inspect', split /\s+/, $ids);
like($said_of_images, qr/"History".*created_by.*mount=type=secret/s, 'images were asked for their history');
is(found($said_of_images), undef, 'XJ3 history and configuration of the images have none');

my @answers = map { $stack->api(GET => $_)->{body} } '/v1/apps', '/v1/apps/box', '/v1/apps/box/env', '/v1/apps/box/source', '/v1/apps/box/env?environment=production', '/v1/apps/box/deployments',
    (map { ("/v1/deployments/$_", "/v1/deployments/$_/logs?limit=1000") } $id, $failed->{id}), '/v1/workers', '/v1/stats';
push @answers, $set->{body}, map { $_->{body} } @source;
is(found(join "\n", @answers), undef, 'F226 S12 no answer of the API has one');
my @left = grep {-e} $stack->dir . '/engine/tmp';
my %left;
File::Find::find({ no_chdir => 1, wanted => sub { $left{$File::Find::name} = 1 if -f && !-l && found(WH::Stack::slurp($_)) } }, @left) if @left;
is_deeply(\%left, {}, 'nor has what the engine leaves of builds');

$stack->allow_log(qr/WH06/);
is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
