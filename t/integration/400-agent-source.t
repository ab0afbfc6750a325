#!/usr/bin/perl
# The agent and repositories that somebody else wrote: what of them becomes a release, what is refused, and
# that nothing in them ever runs. Real git, no hub.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Path qw(make_path);
use IO::Uncompress::Gunzip ();
use POSIX qw(mkfifo);
use WH::AgentJob;
use WH::Wait qw(try_for);

my $agent = WH::AgentJob->new;
$agent->start_server;
my $app = 0;

# Each repository is an app of its own.
sub new_app { return sprintf '01hz%022d', 9000 + ++$app }

# How many objects these requests brought, alone or with others in one body.
sub sent { return scalar grep {/^(?:PUT|OBJECT) /} @_ }

sub ok_release {
    my ($got, $paths, $what) = @_;
    is($got->{outcome}, 'succeeded', $what) or diag explain $got;
    is($agent->paths, $paths, "$what: these files and no others");
    return;
}

sub fails {
    my ($got, $code, $what, $like) = @_;
    is($got->{outcome}, 'failed', "$what: fails");
    is($got->{code}, $code, "$what: $code") or diag explain $got;
    like($got->{detail}, $like // qr/\S/, "$what: says why");
    diag $got->{detail} if $ENV{WH_VERBOSE};
    return;
}

# --- variants: made once, sent once, made again as they were where the server asks ---
sub compressed {
    my $id = new_app();
    my $repo = $agent->repo('pages');
    my $page = join '', map {"<p>paragraph $_ of many</p>\n"} 1 .. 300;
    my $noise = join '', map { chr int rand 256 } 1 .. 4000;
    $repo->commit({ 'page.html' => $page, 'same.html' => $page, 'same.bin' => $page, 'small.html' => 'x' x 255, 'noise.txt' => $noise,
        'big.txt' => join('', map {"line $_\n"} 1 .. 60_000) });
    $agent->requests;
    my $got = $agent->run(app => $id, url => $repo->path);
    is($got->{outcome}, 'succeeded', 'a release with compressed variants') or diag explain $got;
    my %entry = map { $_->{path} => $_ } @{ $agent->manifest };
    is(join(' ', sort keys %{ $entry{'page.html'}{variants} // {} }), 'br gzip zstd', 'a page comes with three');
    is_deeply($entry{'same.html'}{variants}, $entry{'page.html'}{variants}, 'the same content with the same');
    is_deeply([ map { $entry{$_}{variants} } qw(same.bin small.html noise.txt) ], [ (undef) x 3 ],
        'not what is compressed already, small, or does not get smaller');
    my $gzip = $entry{'page.html'}{variants}{gzip};
    my $object = sub { my ($sha) = @_; open my $in, '<:raw', $agent->dir . "/objects/$sha" or return ''; local $/; return scalar <$in> };
    my $plain = '';
    IO::Uncompress::Gunzip::gunzip(\$object->($gzip->{sha256}) => \$plain);
    is($plain, $page, 'the gzip variant says what its file says');
    cmp_ok($_->{size}, '<', 0.2 * length $page, "and is small: $_->{size} of " . length $page) for values %{ $entry{'page.html'}{variants} };
    is(sent($agent->requests), 4 + 2 * 3, 'each content and each variant is sent once');
    like("@{ $got->{log} }", qr/3 files compressed in \d+ ms/, 'and the log says that it was done');
    my $manifest = $agent->manifest;

    $got = $agent->run(app => $id, url => $repo->path);
    is_deeply($agent->manifest, $manifest, 'unchanged files have the same variants');
    is(sent($agent->requests), 0, 'which are not sent');
    unlike("@{ $got->{log} }", qr/compressed/, 'nor made');
    unlink map { $agent->dir . "/objects/$_->{sha256}" } map { values %{ $_->{variants} } } @entry{qw(page.html big.txt)};
    $got = $agent->run(app => $id, url => $repo->path);
    is($got->{outcome}, 'succeeded', 'a server that lost the variants gets them again') or diag explain $got;
    is(sent($agent->requests), 6, 'byte for byte, from git');
    unlink $agent->dir . "/state/cache/$id/variants";
    $got = $agent->run(app => $id, url => $repo->path);
    is_deeply($agent->manifest, $manifest, 'without its notes the agent makes the same ones');
    like("@{ $got->{log} }", qr/3 files compressed/, 'by compressing once more');
    return;
}

# --- what becomes a release ---
{
    my $id = new_app();
    my $repo = $agent->repo('plain');
    my $first = $repo->commit({ 'index.html' => "one\n", 'a/b.txt' => "two\n", 'a/same.txt' => "two\n" }, message => "first\n\nmore");
    my $got = $agent->run(app => $id, url => $repo->path);
    ok_release($got, 'a/b.txt a/same.txt index.html', 'F216 a plain repository');
    is($got->{result}{commit}{sha}, $first, 'F216 it names the commit');
    is($got->{result}{commit}{message}, "first\n\nmore", 'F294 and its message');
    is($got->{result}{commit}{author}, 'Test', 'F294 and its author');
    is(join(' ', @{ $got->{phases} }), 'cloning switching', 'the phases in their order');
    my @requests = $agent->requests;
    is(sent(@requests), 2, 'equal contents are sent once');

    my $second = $repo->commit({ 'index.html' => "changed\n" });
    $got = $agent->run(app => $id, url => $repo->path);
    ok_release($got, 'a/b.txt a/same.txt index.html', 'a change');
    is(sent($agent->requests), 1, 'one file changed: one object sent');
    $got = $agent->run(app => $id, url => $repo->path);
    is(sent($agent->requests), 0, 'nothing changed: nothing sent');

    unlink glob $agent->dir . '/objects/*';
    $got = $agent->run(app => $id, url => $repo->path);
    is($got->{outcome}, 'succeeded', 'a server that lost its objects gets them again');
    is(sent($agent->requests), 2, 'all of them, from git');

    compressed();
    $got = $agent->run(app => $id, url => $repo->path, sha => $first);
    is($got->{result}{commit}{sha}, $first, 'XI12 a commit by its name is exactly that commit');
    fails($agent->run(app => $id, url => $repo->path, sha => 'a' x 40), 'ref_not_found', 'XI12 a commit that is not there', qr/aaaa/);
    fails($agent->run(app => $id, url => $repo->path, branch => 'gone'), 'ref_not_found', 'a branch that is not there', qr/gone/);
    $got = $agent->run(app => $id, url => $repo->path);
    is($got->{result}{commit}{sha}, $second, 'the branch still leads to its head');

    ok_release($agent->run(app => $id, url => $repo->path, root => 'a'), 'b.txt same.txt', 'a root directory');
    ok_release($agent->run(app => $id, url => $repo->path, output => 'a'), 'b.txt same.txt', 'F288 an output directory');
    fails($agent->run(app => $id, url => $repo->path, output => 'dist'), 'output_missing', 'XH8 an output directory that is not there', qr/dist/);
    fails($agent->run(app => $id, url => $repo->path, root => 'a', output => 'b.txt'), 'output_missing', 'a file in its place');
    my $empty = $agent->repo('empty');
    $empty->commit({});
    fails($agent->run(app => new_app(), url => $empty->path), 'output_missing', 'XH8 no file at all', qr/holds no files/);
    fails($agent->run(app => new_app(), url => $repo->path, build_command => 'npm run build'), 'no_engine',
        'a build command without an engine', qr/build commands need a container engine; this worker has none/);
}

# --- a server that is away for a moment costs nobody a deployment; what it refuses is refused ---
{
    my $id = new_app();
    my $repo = $agent->repo('away');
    $repo->commit({ 'index.html' => "one\n", 'big.bin' => 'x' x 1_500_000 });
    $agent->requests;
    # The token, the announcement, an object (of two: one through a file), the commit.
    $agent->faults(503, 0, 503, 'drop', 0, 502, 0, 503, 0, 503);
    my $got = $agent->run(app => $id, url => $repo->path);
    ok_release($got, 'big.bin index.html', 'a server that answers 502 and 503 and drops connections now and then');
    my @requests = map { (split / /)[0] } grep { !/refresh-token/ } $agent->requests;
    cmp_ok(scalar @requests, '>', 4, "it was asked again: @requests");
    $repo->commit({ 'index.html' => "two\n" });
    $agent->faults(0, 409);
    $got = $agent->run(app => $id, url => $repo->path);
    fails($got, 'upload_failed', 'a server that says no');
    is(scalar(grep { !/refresh-token/ } $agent->requests), 1, 'no is not asked again');
    $agent->faults;
}

# --- what is in a tree, but not a file ---
{
    my $repo = $agent->repo('links');
    $repo->write_file('index.html', "ok\n");
    $repo->write_file('run.sh', "#!/bin/sh\n", 0755);
    symlink '/etc/passwd', $repo->work . '/passwd';
    symlink '../..', $repo->work . '/up';
    symlink 'loop', $repo->work . '/loop';
    $repo->git('-C', $repo->work, 'update-index', '--add', '--cacheinfo', '160000', 'b' x 40, 'sub');
    $repo->write_file(".gitmodules", qq([submodule "sub"]\n\tpath = sub\n\turl = file:///etc\n));
    $repo->write_file("bad\nname", 'x');
    $repo->write_file("bad\xff", 'x');
    $repo->write_file('-rf', 'x');
    $repo->git('-C', $repo->work, 'add', 'index.html', 'run.sh', 'passwd', 'up', 'loop', "bad\nname", "bad\xff", '--', '-rf');
    $repo->git('-C', $repo->work, 'commit', '-q', '-m', 'links');
    $repo->git('-C', $repo->work, 'push', '-q', 'origin', 'main');
    my $got = $agent->run(app => new_app(), url => $repo->path);
    ok_release($got, '-rf index.html run.sh', 'XH1 XI4 links, submodules and impossible names are left out');
    my $log = join "\n", @{ $got->{log} };
    like($log, qr/left out: passwd \(a symbolic link\)/, 'XH1 a link is named in the log');
    like($log, qr/left out: sub \(a submodule\)/, 'XI4 a submodule is named in the log');
    like($log, qr/left out: bad\\x0Aname/i, 'XH5 a line end in a name does not make a line');
    unlike(join("\n", map { $_->{sha256} } @{ $agent->manifest }), qr/^$/m, 'every file has a hash');
}

# --- names that could be options, transports that could be commands ---
my $canary = $agent->dir . '/canary';
{
    my $repo = $agent->repo('names');
    $repo->commit({ 'index.html' => 'x' });
    for my $branch ('--upload-pack=touch ' . $canary, '-x', '$(touch ' . $canary . ')', 'a..b', '.hidden') {
        my $got = $agent->run(app => new_app(), url => $repo->path, branch => $branch);
        isnt($got->{outcome} // '', 'succeeded', "XI2 the branch \"$branch\" is refused");
    }
    for my $url ("--upload-pack=touch $canary", "ext::sh -c touch% $canary", 'file://' . $repo->path, '/etc', "ssh://-oProxyCommand=touch/x",
        'git://127.0.0.1/x', 'http://127.0.0.1/x', 'https://u:p@example.org/x', 'fd::17', $repo->path . '/../names.git', '/')
    {
        my $got = $agent->run(app => new_app(), url => $url);
        isnt($got->{outcome} // '', 'succeeded', "XI1 the address \"$url\" is refused");
        ok(!defined $got->{result} || $got->{code} eq 'repository_refused', "XI1 \"$url\" never reaches git") or diag explain $got;
    }
    fails($agent->run(app => new_app(), url => 'https://127.0.0.1:1/x.git'), 'repository_refused', 'D9 an inner address', qr/not public/);
    fails($agent->run(app => new_app(), url => 'https://[::1]/x.git'), 'repository_refused', 'D9 an inner address, v6');
    fails($agent->run(app => new_app(), url => $repo->path, conf => { local_repo_root => '' }), 'repository_refused', 'no local root: no local repository');

    symlink '/', $agent->dir . '/repos/root';
    make_path($agent->dir . '/outside');
    rename $agent->dir . '/repos/names.git', $agent->dir . '/outside/names.git';
    symlink $agent->dir . '/outside/names.git', $agent->dir . '/repos/names.git';
    fails($agent->run(app => new_app(), url => $repo->path), 'repository_refused', 'a link that leads out of the local root', qr/does not lie below/);
    fails($agent->run(app => new_app(), url => $agent->dir . '/repos/root/etc'), 'repository_refused', 'a directory behind such a link');
    fails($agent->run(app => new_app(), url => $agent->dir . '/repos/nothing.git'), 'clone_failed', 'a repository that is not there', qr/is not there/);
}

# --- a repository whose own configuration and hooks are hostile ---
{
    my $repo = $agent->repo('hooks');
    $repo->commit({ 'index.html' => 'x', '.gitattributes' => "* filter=evil diff=evil\n", '.lfsconfig' => "[lfs]\n\turl = file:///\n" });
    my $bare = $repo->path;
    for my $hook (qw(post-checkout pre-receive post-receive reference-transaction post-merge fsmonitor-watchman)) {
        make_path("$bare/hooks");
        open my $fh, '>', "$bare/hooks/$hook";
        print {$fh} "#!/bin/sh\ntouch $canary\n";
        close $fh;
        chmod 0755, "$bare/hooks/$hook";
    }
    open my $fh, '>>', "$bare/config";
    print {$fh} "[uploadpack]\n\tpackObjectsHook = touch $canary\n[core]\n\tfsmonitor = touch $canary\n\tsshCommand = touch $canary\n"
        . "\thooksPath = $bare/hooks\n[filter \"evil\"]\n\tsmudge = touch $canary\n\tclean = touch $canary\n[alias]\n\tfetch = !touch $canary\n"
        . "[receive]\n\tprocReceiveRefs = refs\n[gc]\n\tauto = 1\n";
    close $fh;
    ok_release($agent->run(app => new_app(), url => $bare), '.gitattributes .lfsconfig index.html', 'XI6 a repository with hostile hooks and configuration');
}
ok(!-e $canary, 'XI1 XI2 XI6 nothing of all this ran');

# --- a broken tree ---
{
    my $repo = $agent->repo('dotgit');
    $repo->commit({ 'index.html' => 'x' });
    my $blob = $repo->git('-C', $repo->work, 'rev-parse', 'HEAD:index.html');
    open my $in, '>', $agent->dir . '/tree';
    print {$in} "100644 blob $blob\t.git\n";
    close $in;
    my $tree = qx(git --git-dir=@{[ $repo->path ]} mktree --missing < @{[ $agent->dir ]}/tree 2>/dev/null);
    chomp $tree;
  SKIP: {
        skip 'this git makes no such tree', 2 if $tree !~ /^[0-9a-f]{40}$/;
        my $commit = $repo->git("--git-dir=" . $repo->path, 'commit-tree', $tree, '-m', 'evil');
        $repo->git("--git-dir=" . $repo->path, 'update-ref', 'refs/heads/main', $commit);
        my $got = $agent->run(app => new_app(), url => $repo->path);
        is($got->{outcome}, 'failed', 'XI6 a tree with a file .git in it is refused by fsck');
        is($got->{code}, 'clone_failed', 'XI6 as a failed clone');
    }
}

# --- what no working tree brings in: a FIFO, devices, a socket by their modes; deep and long paths ---
{
    my $repo = $agent->repo('modes');
    $repo->commit({ 'index.html' => 'x' });
    my @git = ('--git-dir=' . $repo->path);
    my $blob = $repo->git(@git, 'rev-parse', 'HEAD:index.html');
    my $raw = join '', map {"$_->[0] $_->[1]\0" . pack 'H*', $blob}
        [ 10644 => 'a-fifo' ], [ 20644 => 'b-char' ], [ 60644 => 'c-block' ], [ 100644 => 'index.html' ], [ 140644 => 'socket' ];
    open my $out, '>:raw', $agent->dir . '/raw';
    print {$out} $raw;
    close $out;
    my $tree = $repo->git(@git, qw(hash-object -t tree --literally -w), $agent->dir . '/raw');
    $repo->git(@git, 'update-ref', 'refs/heads/main', $repo->git(@git, 'commit-tree', $tree, '-m', 'odd modes'));
    $repo->own if $repo->can('own');
    my $got = $agent->run(app => new_app(), url => $repo->path);
    ok_release($got, 'index.html', 'XH1 FIFO, device and socket by mode are no files (git takes them for submodules)');
    like("@{ $got->{log} }", qr/left out: \Q$_\E \((?:a submodule|not a regular file)\)/, "XH1 $_ is named in the log") for qw(a-fifo b-char c-block socket);

    # A hard link is a file of its own to git, with the same content; what a mode may add to it counts for nothing.
    $repo = $agent->repo('linked');
    $repo->write_file('index.html', 'y');
    link $repo->work . '/index.html', $repo->work . '/hard.html' or die "link: $!";
    $repo->write_file('setuid', 'z', 06777);
    $repo->commit({});
    $agent->requests;
    ok_release($agent->run(app => new_app(), url => $repo->path), 'hard.html index.html setuid', 'XH4 a hard link is a file of its own');
    is(sent($agent->requests), 2, 'XH4 its content is sent once');

    for my $name ('..', 'a/b', '.', '.GIT', "git~1") {
        my $evil = $agent->repo('name-' . ++$app);
        $evil->commit({ 'index.html' => 'x' });
        my @at = ('--git-dir=' . $evil->path);
        open my $file, '>:raw', $agent->dir . '/raw';
        print {$file} "100644 $name\0" . pack 'H*', $evil->git(@at, 'rev-parse', 'HEAD:index.html');
        close $file;
        $evil->git(@at, 'update-ref', 'refs/heads/main',
            $evil->git(@at, 'commit-tree', $evil->git(@at, qw(hash-object -t tree --literally -w), $agent->dir . '/raw'), '-m', 'evil'));
        fails($agent->run(app => new_app(), url => $evil->path), 'clone_failed', "XH6 a tree with a file named \"$name\" is refused");
    }

    my $deep = $agent->repo('deep');
    my $level = join '/', ('d') x 32;
    $deep->commit({ 'index.html' => 'x', join('/', ('d') x 31) . '/fits' => 'x', "$level/too-deep" => 'x',
        join('/', ('e' x 250) x 5) => 'x' });
    $got = $agent->run(app => new_app(), url => $deep->path);
    ok_release($got, join('/', ('d') x 31) . '/fits index.html', 'XH5 paths of more than 32 levels or 1,024 bytes are left out');
    is(scalar(grep {/its name cannot be served/} @{ $got->{log} }), 2, 'XH5 with a line each');
}

# --- too much ---
{
    my $repo = $agent->repo('huge');
    open my $random, '<:raw', '/dev/urandom';
    read $random, my $bytes, 3 * 1048576;
    $repo->commit({ 'index.html' => 'x', 'big.bin' => $bytes });
    my $id = new_app();
    fails($agent->run(app => $id, url => $repo->path, conf => { clone_max_bytes => '1M' }), 'too_large', 'XI7 more than the clone may bring', qr/1 MiB/);
    my $got = $agent->run(app => $id, url => $repo->path);
    ok_release($got, 'big.bin index.html', 'the same with room enough, an object of 3 MiB');

    my $many = $agent->repo('many');
    my $blob = do { $many->commit({ 'index.html' => 'x' }); $many->git('-C', $many->work, 'rev-parse', 'HEAD:index.html') };
    open my $in, '|-', 'git', "--git-dir=" . $many->path, 'fast-import', '--quiet', '--force' or die "git: $!";
    print {$in} "commit refs/heads/main\ncommitter T <t\@e> 1700000000 +0000\ndata 1\nx\n";
    print {$in} "M 100644 $blob f/$_\n" for 1 .. 20001;
    print {$in} "\n";
    close $in;
    fails($agent->run(app => new_app(), url => $many->path), 'too_many_files', 'XH5 too many files', qr/20000/);
}

# --- one that never answers ---
{
    my $repo = $agent->repo('never');
    $repo->commit({ 'index.html' => 'x' });
    unlink $repo->path . '/HEAD';
    mkfifo($repo->path . '/HEAD', 0600);
    my $got = $agent->run(app => new_app(), url => $repo->path, clone_s => 1);
    is($got->{outcome}, 'failed', 'XI7 a repository that never answers fails by its deadline');
    cmp_ok($got->{took}, '<', 15, 'XI7 soon after it');
    $got = $agent->run(app => new_app(), url => $repo->path, clone_s => 60, cancel_after => 300);
    is($got->{outcome}, 'canceled', 'a cancel ends it');
    cmp_ok($got->{took}, '<', 10, 'at once');
    my $left = try_for { my $ps = qx(ps -eo args); $ps !~ /\Q@{[ $repo->path ]}\E/ } 5;
    ok($left, 'XI7 no process of it is left');
    unlink $repo->path . '/HEAD';
}

# --- one that borrows what is another's ---
SKIP: {
    skip 'this kernel has no Landlock', 2 if !$agent->has_landlock;
    my $other = $agent->repo('others');
    my $sha = $other->commit({ 'index.html' => 'a secret of another' });
    my $thief = $agent->repo('thief');
    open my $fh, '>', $thief->path . '/objects/info/alternates';
    print {$fh} $other->path, "/objects\n";
    close $fh;
    $thief->git('--git-dir=' . $thief->path, 'update-ref', 'refs/heads/main', $sha);
    my $got = $agent->run(app => new_app(), url => $thief->path);
    is($got->{outcome}, 'failed', 'D2 a repository cannot borrow the objects of another') or diag explain $got;
    is($got->{code}, 'clone_failed', 'D2 it is a failed clone');
}

# --- one of another user ---
SKIP: {
    skip 'only root gives files away', 3 if $>;
    my $repo = $agent->repo('foreign');
    $repo->commit({ 'index.html' => 'x' });
    system('chown', '-R', 'nobody', $repo->path) == 0 or die 'chown';
    fails($agent->run(app => new_app(), url => $repo->path), 'clone_failed', 'a repository of another user',
        qr/belongs to nobody, and must belong to root, .*chown -R root \Q@{[ $repo->path ]}\E$/);
}

# --- what a commit says is text ---
{
    my $repo = $agent->repo('words');
    $repo->commit({ 'index.html' => 'x' }, message => "\e[31m<script>alert(1)</script>\e[0m \$(id) `id`\n\n" . ('long ' x 1000));
    my $got = $agent->run(app => new_app(), url => $repo->path);
    is($got->{outcome}, 'succeeded', 'XC23 a commit message with anything in it');
    unlike($got->{result}{commit}{message}, qr/\e/, 'XC23 has no escapes');
    cmp_ok(length $got->{result}{commit}{message}, '<=', 1024, 'XC23 and is cut to 1 KiB');
}

# --- a cache that was spoiled heals ---
{
    my $id = new_app();
    my $repo = $agent->repo('spoiled');
    $repo->commit({ 'index.html' => 'one' });
    is($agent->run(app => $id, url => $repo->path)->{outcome}, 'succeeded', 'a first deployment');
    my $cache = $agent->dir . "/state/cache/$id/git";
    for my $pack (glob "$cache/objects/pack/*.pack") { chmod 0600, $pack; truncate $pack, 20 }
    $repo->commit({ 'index.html' => 'two' });
    my $got = $agent->run(app => $id, url => $repo->path);
    is($got->{outcome}, 'succeeded', 'a spoiled cache is made anew') or diag explain $got;
}
$agent->stop;
done_testing();
