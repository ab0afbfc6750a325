package WH::Attack;
# Repositories that attack: one table of what they try, and what comes of it. 590-attacking-repository.t of t/integration
# takes what needs no container, the one of t/long everything. A row:
#   what      for people
#   make      sub(repository, canary): makes the commit
#   app       members of the app
#   container it needs an engine
#   ends      "succeeded", or "failed CODE" (a regular expression)
#   says      of the cause's sentence
#   log       of the deployment's log; hides: what must not be in it
#   site      sub(answer of get): what the name then serves
#   seconds   until it must be over
use strict;
use warnings;
use Exporter qw(import);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

our @EXPORT_OK = qw(attack canary cases names);
use constant MIB => 1 << 20;

my $head = "FROM scratch\nCOPY busybox /bin/busybox\n";

# A RUN of a shell script, by argument list: the image has no /bin/sh.
sub run_line {
    my ($script) = @_;
    $script =~ s/([\\"])/\\$1/g;
    return qq(RUN ["/bin/busybox", "sh", "-c", "$script"]\n);
}

sub busybox {
    my ($repo) = @_;
    $repo->write_file('busybox', slurp('/bin/busybox'), 0755);
    return;
}

sub slurp { my ($path) = @_; open my $fh, '<:raw', $path or die "$path: $!"; local $/; return scalar <$fh> }

# What a build does to everybody, by its script.
sub build {
    my ($script, %o) = @_;
    return sub {
        my ($repo, $canary) = @_;
        busybox($repo);
        my $text = ref $script ? $script->($canary) : $script;
        $repo->commit({ Dockerfile => $head . run_line($text) . ($o{then} // '') });
    };
}

# A commit that git itself would not make: fast-import takes any blob and any path.
sub import_commit {
    my ($repo, $write) = @_;
    open my $in, '|-', 'git', '--git-dir', $repo->path, '-c', 'core.compression=1', '-c', 'fastimport.unpackLimit=0', 'fast-import', '--quiet', '--force' or die "git: $!";
    my $put = sub { print {$in} @_ or die "git: $!" };
    my $file = sub { my ($path, $text, $mode) = @_; $put->('M ' . ($mode // '100644') . " inline $path\ndata ", length $text, "\n", $text, "\n") };
    $put->("commit refs/heads/main\ncommitter Test <test\@example.org> 1700000000 +0000\ndata 1\nx\ndeleteall\n");
    $write->($put, $file);
    $put->("\n");
    close $in or die "git fast-import ended with $?";
    $repo->own;
    return;
}

sub blob_of {
    my ($bytes, $piece) = @_;
    return sub {
        my ($put) = @_;
        $put->("M 100644 inline huge.bin\ndata $bytes\n");
        for (my $left = $bytes; $left > 0; $left -= MIB) { $put->(substr $piece->(), 0, $left < MIB ? $left : MIB) }
        $put->("\n");
    };
}

sub noise { open my $fh, '<:raw', '/dev/urandom' or die; read $fh, my $bytes, MIB; return $bytes }

sub link_to { my ($repo, $name, $to) = @_; symlink $to, $repo->work . "/$name" or die "$name: $!"; return }

# A submodule at an address, as a commit in the tree and a .gitmodules that names it.
sub submodule {
    my ($url, $more) = @_;
    return sub {
        my ($repo, $canary) = @_;
        my $at = ref $url ? $url->($canary) : $url;
        $more = $more ? $more->($canary) : '';
        $repo->commit({ 'index.html' => "<p>submodule\n" });
        my $sha = $repo->git('-C', $repo->work, 'rev-parse', 'HEAD');
        $repo->write_file('.gitmodules', qq([submodule "m"]\n\tpath = m\n\turl = $at\n$more));
        $repo->git('-C', $repo->work, 'add', '.gitmodules');
        $repo->git('-C', $repo->work, 'update-index', '--add', '--cacheinfo', "160000,$sha,m");
        $repo->git('-C', $repo->work, 'commit', '-q', '-m', 'with a submodule');
        $repo->git('-C', $repo->work, 'push', '-q', '-f', 'origin', 'main');
        $repo->own;
    };
}

my @submodules = map { my ($what, $url) = @$_;
    {   what => "XI4 a submodule $what", make => submodule($url), ends => 'succeeded', log => qr/^left out: m \(a submodule\)$/m,
        site => sub { $_[0]{body} =~ /submodule/ } }
} [ 'ext::', sub { "ext::sh -c touch% $_[0]{pwned}" } ], [ 'file://', sub { "file://$_[0]{dir}" } ], [ 'on this machine', sub { $_[0]{dir} } ], [ 'on another path of its own host', '../../other' ];

my @files = (
    @submodules,
    {   what => 'XI4 a submodule whose address is an option', make => submodule('--upload-pack=touch x'), ends => 'failed clone_failed', says => qr/gitmodulesUrl/ },
    {   what => 'XI4 a submodule with a command', make => submodule('https://example.org/x.git', sub { "\tupdate = !touch $_[0]{pwned}\n" }), ends => 'failed clone_failed',
        says => qr/gitmodulesUpdate/ },
    {   what => 'XI6 hooks and filters named by .gitattributes and configuration files in the tree',
        make => sub {
            my ($repo, $canary) = @_;
            my $evil = "[core]\n\thooksPath = hooks\n\tfsmonitor = touch $canary->{pwned}\n[filter \"evil\"]\n\tsmudge = touch $canary->{pwned}\n"
                . "\tclean = touch $canary->{pwned}\n\tprocess = touch $canary->{pwned}\n\trequired = true\n[diff \"evil\"]\n\ttextconv = touch $canary->{pwned}\n";
            $repo->commit({ 'index.html' => "<p>filtered\n", '.gitattributes' => "* filter=evil diff=evil merge=evil text=auto ident\n", '.gitconfig' => $evil,
                '.lfsconfig' => "[lfs]\n\turl = file://$canary->{dir}\n", 'hooks/post-checkout' => "#!/bin/sh\ntouch $canary->{pwned}\n" });
            # And in the repository that is fetched from: it is the pusher's to write where it lies on a machine of theirs.
            open my $conf, '>>', $repo->path . '/config' or die $!;
            print {$conf} $evil, "[uploadpack]\n\tpackObjectsHook = touch $canary->{pwned}\n";
            close $conf;
            for my $hook (qw(post-checkout pre-receive post-update reference-transaction)) {
                open my $fh, '>', $repo->path . "/hooks/$hook" or die $!;
                print {$fh} "#!/bin/sh\ntouch $canary->{pwned}\n";
                close $fh;
                chmod 0755, $repo->path . "/hooks/$hook";
            }
            unlink $canary->{pwned};
            $repo->own;
        },
        ends => 'succeeded', site => sub { $_[0]{body} =~ /filtered/ } },
    {   what => 'XH1 a link in the place of the output directory', app => { build => { output_directory => 'out' } },
        make => sub { my ($repo, $canary) = @_; $repo->commit({ 'index.html' => 'x' }); link_to($repo, 'out', $canary->{dir}); $repo->commit({ x => 1 }) },
        ends => 'failed output_missing', says => qr/the repository has no directory "out"/ },
    {   what => 'XH1 links in the place of pages', make => sub {
            my ($repo, $canary) = @_;
            $repo->commit({ 'page.html' => "<p>linked\n" });
            link_to($repo, 'index.html', $canary->{file});
            link_to($repo, 'etc', '/etc');
            $repo->commit({ x => 1 });
        },
        ends => 'succeeded', log => qr/^left out: index\.html \(a symbolic link\)$/m, site => sub { $_[0]{status} == 404 } },
    {   what => 'XH5 names that no server takes', make => sub {
            my ($repo) = @_;
            import_commit($repo, sub {
                my ($put, $file) = @_;
                $file->('index.html', "<p>names\n");
                $file->('"a\nb.html"', 'x');
                $file->('-rf', 'x');
                $file->('x' x 255 . '/' . 'y' x 255, 'x');
                $file->("\$(touch pwned).html", 'x');
                $file->(join('/', ('d') x 1000) . '/deep', 'x');
            });
        },
        ends => 'succeeded', log => qr/^left out: .*its name cannot be served/m, site => sub { $_[0]{body} =~ /names/ } },
    {   what => 'XI6 a tree with ".git" in it', make => sub {
            my ($repo) = @_;
            $repo->commit({ 'index.html' => 'x' });
            my $blob = $repo->git('-C', $repo->work, 'hash-object', '-w', 'index.html');
            my $path = $repo->work . '.tree';
            open my $fh, '>:raw', $path or die $!;
            print {$fh} "40000 .git\0", pack('H*', $repo->git('-C', $repo->work, 'rev-parse', 'HEAD^{tree}')), "100644 index.html\0", pack('H*', $blob);
            close $fh;
            my $tree = $repo->git('-C', $repo->work, 'hash-object', '-w', '-t', 'tree', '--literally', $path);
            my $sha = $repo->git('-C', $repo->work, 'commit-tree', '-m', 'x', $tree);
            $repo->git('-C', $repo->work, 'push', '-q', '-f', 'origin', "$sha:refs/heads/main");
            $repo->own;
        },
        ends => 'failed clone_failed', says => qr/hasDotgit|fsck/ },
    {   what => 'XI9 a message that paints the terminal', make => sub { $_[0]->commit({ 'index.html' => "<p>painted\n" }, message => "\e]52;c;eA==\a\e[2J\rhidden\x{7f}") },
        ends => 'succeeded', hides => qr/[\x00-\x08\x0b-\x1f\x7f]/, site => sub { $_[0]{body} =~ /painted/ } },
);

my @large = (
    {   what => 'XI7 a blob of 1 GB that hardly packs', make => sub { import_commit($_[0], blob_of(1_000_000_000, \&noise)) },
        ends => 'failed too_large', says => qr/the repository brings more than 512 MiB/, seconds => 120 },
    {   what => 'XI7 a blob of 1 GB that packs to nothing', make => sub { my $nil = "\0" x MIB; import_commit($_[0], blob_of(1_000_000_000, sub { $nil })) },
        ends => 'failed too_large', says => qr/huge\.bin has 953 MiB; a file may have 512 MiB/, seconds => 120 },
    {   what => 'XH5 200,000 files in a site', make => sub {
            import_commit($_[0], sub { my ($put, $file) = @_; $file->('d' . int($_ / 500) . "/$_.html", "<p>$_\n") for 1 .. 200_000 });
        },
        ends => 'failed too_many_files', says => qr/there are more than 20000 files/, seconds => 120 },
);

my @builds = (
    {   what => 'XJ1 a Dockerfile that is a link', make => sub {
            my ($repo, $canary) = @_;
            $repo->commit({ x => 1 });
            link_to($repo, 'Dockerfile', $canary->{file});
            $repo->commit({ x => 2 });
        },
        ends => 'failed build_failed', says => qr/Dockerfile is not a regular file/ },
    {   what => 'XI7 a blob of 1 GB that packs to nothing, for a build', make => sub {
            my $nil = "\0" x MIB;
            import_commit($_[0], sub { my ($put, $file) = @_; $file->('Dockerfile', "FROM scratch\nCOPY . /\n"); blob_of(1_000_000_000, sub { $nil })->($put) });
        },
        ends => 'failed too_large', says => qr/huge\.bin has 953 MiB; a file may have 512 MiB/, seconds => 120 },
    {   what => 'XH5 200,000 files for a build', make => sub {
            import_commit($_[0], sub {
                my ($put, $file) = @_;
                $file->('Dockerfile', "FROM scratch\nCOPY . /\n");
                $file->('d' . int($_ / 500) . "/$_", "$_\n") for 1 .. 200_000;
            });
        },
        ends => 'failed too_many_files', says => qr/the files for the build are more than 200000/, seconds => 120 },
    {   what => 'XJ6 a build that forks without end',
        make => build('echo begun; f() { f | f & }; f; i=0; while [ $i -lt 5000 ]; do /bin/busybox sleep 300 & i=$((i+1)); done; wait'),
        ends => 'failed (?:build_failed|build_timeout)', says => qr/exit status|not done within 20 s/, log => qr/^begun$/m, app => { build => { timeout_seconds => 20 } }, seconds => 60 },
    {   what => 'XJ6 a build that fills the disk with one file', make => build('/bin/busybox dd if=/dev/zero of=/fill bs=1M; echo went on; /bin/busybox sleep 300'),
        ends => 'failed build_failed', says => qr/the build filled more than 512 MiB of the disk|File too large|exit status/, seconds => 90 },
    {   what => 'XJ6 a build that fills the disk with many files',
        make => build('i=0; while :; do /bin/busybox dd if=/dev/zero of=/fill$i bs=1M count=64 2>/dev/null; i=$((i+1)); done'),
        ends => 'failed build_failed', says => qr/the build filled more than 512 MiB of the disk/, seconds => 90 },
    {   what => 'XH4 a build that makes a file of a terabyte which takes no room', make => build('/bin/busybox truncate -s 1T /hole; echo "ended with $?"; exit 9'),
        ends => 'failed build_failed', says => qr/exit status 9/, log => qr/^ended with (?!0$)/m },
    {   what => 'XJ6 a build that never ends', make => build('trap "" TERM INT HUP; while :; do /bin/busybox sleep 1000; done'),
        app => { build => { timeout_seconds => 10 } }, ends => 'failed build_timeout', says => qr/^the build was not done within 10 s$/, seconds => 60 },
    {   what => 'XJ6 a build that prints 1 GB', make => build('/bin/busybox yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | /bin/busybox head -c 1000000000'),
        ends => 'failed build_failed', says => qr/the build printed more than 256 MiB/, seconds => 240 },
    {   what => 'XJ6 a build that prints 1 GB in one line', make => build('/bin/busybox head -c 1000000000 /dev/zero | /bin/busybox tr "\\\\000" x'),
        ends => 'failed build_failed', says => qr/the build printed more than 256 MiB/, seconds => 240 },
    {   what => 'XJ6 a build that reads /proc/1/environ and what else of the machine it can',
        make => build(sub {
            my ($canary) = @_;
            'for f in /proc/1/environ /proc/*/environ /proc/1/root/etc/shadow /proc/1/root' . $canary->{file} . " $canary->{file} /proc/kcore /dev/sda /dev/vda; do "
                . '/bin/busybox head -c 65536 $f 2>/dev/null | /bin/busybox tr "\\\\000" "\\\\n"; done; /bin/busybox ps; '
                . '/bin/busybox mount -t proc proc /mnt; /bin/busybox kill -9 1; echo h > /proc/sysrq-trigger && echo pressed; '
                . "echo pwned > $canary->{pwned}; /bin/busybox mknod /disk b 254 0 && /bin/busybox head -c 512 /disk; echo tried; exit 9";
        }),
        ends => 'failed build_failed', says => qr/exit status 9/, log => qr/^tried$/m, hides => sub { my ($canary) = @_; return qr/$canary->{word}|wh-agent|wh-scheduler|apache2|^pressed/m } },
    {   what => 'XJ8 a build that knocks at the machine', make => build(sub {
            my ($canary) = @_;
            "for h in 127.0.0.1 169.254.169.254 10.88.0.1; do echo 'GET /health HTTP/1.0' | /bin/busybox nc -w 2 \$h $canary->{port} && echo rea''ched; done; echo tried; exit 9" }),
        ends => 'failed build_failed', says => qr/exit status 9/, log => qr/^tried$/m, hides => qr/^reached/m },
    {   what => 'XH1 an output that is a link, and links in it', app => { kind => 'static', build => { preset => 'static', output_directory => 'out',
            build_command => 'x' } },
        make => sub {
            my ($repo, $canary) = @_;
            $repo->commit({ 'index.html' => 'x', 'wisehost.json' => JSON::PP::encode_json({ build => { build_command => "ln -s $canary->{dir} out" } }) });
        },
        ends => 'failed output_(?:missing|refused)', says => qr/\S/ },
);

# cases(): those without a container; cases(1): all.
sub cases {
    my ($all) = @_;
    $_->{container} = 1 for @builds;
    return $all ? (@files, @large, @builds) : @files;
}

# Branches that no request may name; and names that git has no quarrel with, which are data like any other.
sub bad_branches { return ('--upload-pack=touch pwned', '--upload-pack=touch${IFS}pwned', '`touch pwned`', '$(touch pwned)', "main\ntouch pwned", "main\r", '..', 'a..b',
    '-', '-x', '@{u}', 'refs/heads/../x', '', "a\x{7f}", 'a~1', 'a^', 'a:b', 'a?', 'a*', 'a[b', 'a\\b', '/a', 'a/', 'a.lock', 'a' x 4096) }
sub odd_branches { my ($canary) = @_; return map { s/PWNED/$canary->{pwned}/r } '`touch${IFS}PWNED`', '$(touch${IFS}PWNED)', 'main;touch${IFS}PWNED', 'a|touch${IFS}PWNED',
    "a'b", 'a"b', 'a&b', 'a>PWNED' }

# ---- what both tests do with them ----------------------------------------------------------------------

sub word { return join '', 'canary', map { chr 97 + int rand 26 } 1 .. 16 }

# canary(stack, word): a directory of the machine with a secret in it, where everybody may write.
sub canary {
    my ($stack, $word) = @_;
    my $dir = $stack->dir . '/canary';
    mkdir $dir or die "$dir: $!";
    chmod 0777, $dir;
    open my $fh, '>', "$dir/file" or die $!;
    print {$fh} "$word\n";
    close $fh;
    return (word => $word, dir => $dir, file => "$dir/file", pwned => "$dir/pwned", port => $stack->port);
}

sub _untouched {
    my ($canary, $what) = @_;
    is(join(' ', sort glob "$canary->{dir}/*"), $canary->{file}, "$what: nothing was made on the machine") or unlink $canary->{pwned};
    is(slurp($canary->{file}), "$canary->{word}\n", "$what: what lies there is as it was");
    return;
}

# Branches: what no request may name, and what is a name like any other, however it looks to a shell.
sub names {
    my ($stack, $canary) = @_;
    my $repo = $stack->app('names', { 'index.html' => "<p>names\n" });
    for my $branch (bad_branches()) {
        my $name = substr $branch =~ s/[^ -~]/?/gr, 0, 40;
        is($stack->api(POST => '/v1/apps', { slug => 'odd', kind => 'static', repository => { url => $repo->path, branch => $branch } })->{status}, 400,
            "XI2 no app has the branch $name");
        is($stack->api(POST => '/v1/apps/names/deployments', { ref => $branch })->{status}, 400, "XI2 nor a deployment the ref $name");
    }
    for my $branch (odd_branches($canary)) {
        my $word = join '', map { chr 97 + int rand 26 } 1 .. 8;
        $repo->commit({ 'index.html' => "<p>$word\n" }, branch => $branch);
        my $done = $stack->deploy('names', { ref => $branch });
        is($done->{conclusion}, 'succeeded', "XI2 the branch $branch is deployed") or diag(explain $done);
        like($stack->get('names')->{body}, qr/$word/, 'and is what it names');
    }
    _untouched($canary, 'XI2 branches');
    return;
}

# One row: the deployment as it ended, with how long it took; undef where there was none.
sub attack {
    my ($stack, $slug, $case, $canary) = @_;
    my $what = $case->{what};
    my $repo = $stack->repo($slug);
    $case->{make}->($repo, $canary);
    my $made = $stack->api(POST => '/v1/apps', { slug => $slug, kind => $case->{container} ? 'container' : 'static', repository => { url => $repo->path, branch => 'main' },
        %{ $case->{app} // {} } });
    is($made->{status}, 201, "$what: an app") or do { diag($made->{body}); return };
    my $begin = time;
    my $done = $stack->deploy($slug, {}, $case->{seconds});
    $done->{took} = time - $begin;
    my $log = join "\n", $stack->log_lines($done->{id});
    like(join(' ', grep { defined && length } $done->{conclusion}, $done->{cause}{code}), qr/^$case->{ends}$/, "$what: $case->{ends}") or diag(explain($done), substr $log, -2000);
    like($done->{cause}{detail} // '', $case->{says}, "$what: says why") if $case->{says};
    like($log, $case->{log}, "$what: its log") if $case->{log};
    my $hides = ref $case->{hides} eq 'CODE' ? $case->{hides}->($canary) : $case->{hides};
    unlike($log, $hides, "$what: its log has nothing that it must not have") if $hides;
    my $got = $stack->get($slug);
    ok($case->{site}->($got), "$what: its site") or diag(explain $got) if $case->{site};
    unlike("$log$got->{body}", qr/$canary->{word}/, "$what: shows no file of the machine");
    _untouched($canary, $what);
    $stack->api(DELETE => "/v1/apps/$slug", undef, headers => { 'If-Match' => '*' });
    system 'rm', '-rf', $repo->path, $repo->work;
    return $done;
}

1;
