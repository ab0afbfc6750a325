#!/usr/bin/perl
# db: sqlite pgsql
# An archive as the source of a deployment: a directory or a file by wh, and what no archive may hold.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Path qw(make_path);
use IO::Compress::Gzip qw(gzip);
use IO::Compress::Zip qw(zip $ZipError);
use Test::More;
use WH::Stack;

my $stack = WH::Stack->new->start;
$stack->api(POST => '/v1/apps', { slug => 'up', kind => 'static', repository => { url => 'https://git.example.org/up.git' } });
$stack->api(POST => '/v1/apps', { slug => 'other', kind => 'static', repository => { url => 'hub:' } });
is($stack->api(POST => '/v1/apps/other/deployments', {})->{json}{code}, 'not_pushed', 'F214 what was never pushed nor uploaded cannot be deployed');
my $hook = $stack->api(POST => '/v1/apps/other/hooks', { provider => 'generic' })->{json};
my $asked = $stack->request(method => 'POST', path => "/v1/webhooks/generic/$hook->{id}", headers => { Authorization => "Bearer $hook->{secret}" }, body => '');
my ($went) = ($asked->{headers}{location} // '') =~ m{/v1/deployments/(\w+)$};
like($stack->completed($went, 60)->{cause}{detail}, qr/nothing was pushed or uploaded to this app yet: wh git remote/, 'a delivery that asks for it says so, too')
    or diag $asked->{body};
my $dir = $stack->dir . '/people';
make_path("$dir/site/a/.git", "$dir/site/.git");

sub put { open my $fh, '>:raw', "$dir/$_[0]" or die "$_[0]: $!"; print {$fh} $_[1]; close $fh or die $!; return "$dir/$_[0]" }

# One member of a tar, as POSIX has it.
sub member {
    my ($name, $data, %o) = @_;
    my $head = pack 'a100a8a8a8a12a12a8a1a100a6a2a32a32a8a8a155a12', $name, sprintf('%07o', $o{mode} // 0644), ('0000000') x 2,
        sprintf('%011o', $o{size} // length $data), sprintf('%011o', 0), ' ' x 8, $o{type} // '0', $o{link} // '', "ustar\0", '00', '', '', ('0000000') x 2, '', '';
    substr($head, 148, 8) = sprintf("%06o\0 ", unpack '%32C*', $head);
    return $head . $data . "\0" x (-length($data) % 512);
}
sub tar { return join('', @_) . "\0" x 1024 }
sub upload { return $stack->api(POST => '/v1/apps/up/uploads', $_[0], headers => { 'Content-Type' => 'application/octet-stream' }) }

# ---- by wh -----------------------------------------------------------------------------------------
put('site/index.html', "<p>tarragon\n");
put('site/a/b "c.txt', "quoted\n");
put('site/.git/config', "nobody's business\n");
put('site/a/.git/HEAD', "nor this\n");
put('site/run.sh', "#!/bin/sh\n");
chmod 0755, "$dir/site/run.sh";
my $got = $stack->wh(qw(deploy up --wait --upload), "$dir/site");
is($got->{rc}, 0, 'wh deploy --upload DIR ends well') or diag($got->{err});
like($got->{err}, qr/3 files uploaded/, 'and says what it sent');
like($got->{out}, qr{^http://up\.localhost}, 'it ends with the URL');
like($stack->get('up')->{body}, qr/tarragon/, 'which serves the directory');
is($stack->get('up', '/a/b%20%22c.txt')->{body}, "quoted\n", 'with all files, whatever they are called');
is($stack->get('up', '/a/.git/HEAD')->{status}, 404, 'but nothing that is called .git');
my $d = $stack->api(GET => '/v1/apps/up/deployments')->{json}{items}[0];
like($d->{commit}{sha}, qr/^[0-9a-f]{40}$/, 'F227 the deployment has a commit');
is($d->{commit}{message}, 'Upload: 3 files, 29 bytes', 'whose message says what it is');

put('site/index.html', "<p>lovage\n");
is($stack->wh(qw(deploy up -w -u), "$dir/site")->{rc}, 0, 'a second one');
like($stack->get('up')->{body}, qr/lovage/, 'is live in its place');
is($stack->deploy('up', { commit => $d->{commit}{sha}, uploaded => JSON::PP::true() })->{conclusion}, 'succeeded', 'the first one can be deployed again');
like($stack->get('up')->{body}, qr/tarragon/, 'and is live');
isnt($stack->wh(qw(deploy up --ref main --upload), "$dir/site")->{rc}, 0, '--upload and --ref are not taken together');
is($stack->wh(qw(deploy up --upload), "$dir/none")->{rc}, 2, 'nor a directory that is not there');

# ---- the forms -------------------------------------------------------------------------------------
my $tar = tar(member('./', '', type => '5'), member('./index.html', "<p>dill\n"), member('l', '', type => '2', link => 'index.html'),
    member('x', "#!\n", mode => 0755));
gzip(\$tar => \my $gz) or die;
zip([ map { put($_, "<p>zip $_\n") } qw(one.html index.html) ] => \my $zip, FilterName => sub { s{.*/}{} }) or die $ZipError;
my %form = (tar => $tar, 'tar.gz' => $gz, zip => $zip);
$form{'tar.zst'} = do { local $/; my $in = put('plain.tar', $tar); open my $z, '-|', 'zstd', '-qc', $in or die; <$z> } if grep { -x "$_/zstd" } split /:/, $ENV{PATH};
for my $name (sort keys %form) {
    my $res = upload($form{$name});
    is($res->{status}, 201, "$name is taken") or diag $res->{body};
    is($res->{json}{files}, $name eq 'zip' ? 2 : 3, "$name: with its files");
}
my $res = upload($tar);
my $repo = glob($stack->dir . '/state/git/*.git');
sub git { open my $out, '-|', 'git', '-c', 'safe.directory=*', "--git-dir=$repo", @_ or die; local $/; return scalar <$out> }
is(git('ls-tree', '-r', $res->{json}{commit}) =~ s/ blob [0-9a-f]{40}\t/ /gr, "100644 index.html\n120000 l\n100755 x\n", 'modes and links within are kept');
is(git('rev-list', '--count', $res->{json}{commit}), "1\n", 'it has no history');
is($stack->wh(qw(deploy other -w -u), put('site.tar.gz', $gz))->{rc}, 0, 'wh deploy --upload FILE, of an app that is pushed to');
like($stack->get('other')->{body}, qr/dill/, 'is live');

# ---- what is refused, and leaves nothing -----------------------------------------------------------
my $objects = git(qw(count-objects -v));
my $bomb = do { my $t = tar(member('zeros', "\0" x (80 << 20))); gzip(\$t => \my $z) or die; $z };
my @refused = (
    [ 'XI a path with ..' => tar(member('a/../../etc/x', 'x')), 422, 'archive_entry' ],
    [ 'an absolute path' => tar(member('/etc/x', 'x')), 422, 'archive_entry' ],
    [ 'a link to an absolute path' => tar(member('l', '', type => '2', link => '/etc/passwd')), 422, 'archive_entry' ],
    [ 'a link out of the tree' => tar(member('a/l', '', type => '2', link => '../../x')), 422, 'archive_entry' ],
    [ 'a hard link' => tar(member('a', 'x'), member('b', '', type => '1', link => 'a')), 422, 'archive_entry' ],
    [ 'a device' => tar(member('null', '', type => '3')), 422, 'archive_entry' ],
    [ 'a pipe' => tar(member('pipe', '', type => '6')), 422, 'archive_entry' ],
    [ 'a name with a line of fast-import' => tar(member("a\nM 100644 inline b", 'x')), 422, 'archive_entry' ],
    [ 'XH6 a name that is there twice' => tar(member('a', 'x'), member('./a', 'y')), 422, 'archive_entry' ],
    [ 'XH6 a file below a file' => tar(member('a', 'x'), member('a-b', 'x'), member('a/b', 'y')), 422, 'archive_entry' ],
    [ 'XH6 a file in the place of a directory' => tar(member('a/b/c', 'x'), member('a', 'y')), 422, 'archive_entry' ],
    [ 'XH6 a file behind a link' => tar(member('d', '', type => '2', link => '.'), member('d/x', 'y')), 422, 'archive_entry' ],
    [ 'XH6 a file with holes' => tar(member('PaxHeader', "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n38 GNU.sparse.realsize=1099511627776\n21 GNU.sparse.name=a\n", type => 'x'),
        member('a', "1\n0\n1\n" . "\0" x 506)), 422, qr/^archive_(?:entry|broken)$/ ],
    [ 'a good file before a bad one' => tar(member('good', 'fresh ' . rand), member('../bad', 'x')), 422, 'archive_entry' ],
    [ 'an archive that is cut off' => substr($gz, 0, length($gz) / 2), 422, qr/^archive_(broken|unknown)$/ ],
    [ 'a size that is a lie' => substr(tar(member('a', 'x', size => 1 << 30)), 0, 1024), 422, 'archive_broken' ],
    [ 'XA11 a bomb' => $bomb, 413, 'archive_too_large' ],
    [ 'no archive' => 'hello, world', 422, 'archive_unknown' ],
    [ 'nothing' => '', 422, qr/^archive_/ ],
    [ 'an archive of nothing' => tar(), 422, qr/^archive_(empty|unknown)$/ ],
    [ 'an archive of a .git alone' => tar(member('.git/config', 'x')), 422, 'archive_empty' ],
);
for my $case (@refused) {
    my ($what, $data, $status, $code) = @$case;
    $res = upload($data);
    is($res->{status}, $status, "$what is refused") or diag $res->{body};
    like($res->{json}{code}, ref $code ? $code : qr/^\Q$code\E$/, "$what: and why");
}
is(git(qw(count-objects -v)), $objects, 'nothing of all that is kept');
is_deeply([ glob "$repo/fast_import_crash* $repo/objects/tmp_* $repo/objects/pack/tmp_*" ], [], 'no file is left behind');
is($stack->request(method => 'POST', path => '/v1/apps/up/uploads', body => $tar)->{status}, 401, 'an upload wants a token');
is($stack->api(POST => '/v1/apps/none/uploads', $tar)->{status}, 404, 'and an app');
$res = $stack->api(POST => '/v1/apps/up/deployments', { uploaded => JSON::PP::true() });
is($res->{json}{code}, 'no_commit', 'uploaded wants a commit');

is_deeply([ $stack->bad_log_lines ], [], 'the logs are clean');
is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
