#!/usr/bin/perl
# An agent whose disk runs full: it takes no deployment, says why, and takes them again when there is room.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;
use WH::Wait qw(wait_for try_for);

my $stack = WH::Stack->new(agent_conf => { disk_floor_bytes => '24M' });
my $dir   = $stack->dir . '/agent';
my ($uid, $gid) = (getpwnam 'wisehost-agent')[2, 3];
my ($rc) = $stack->run_cmd('mount', '-t', 'tmpfs', '-o', "size=40M,mode=0700,uid=$uid,gid=$gid", 'tmpfs', $dir);
plan skip_all => 'nothing can be mounted here' if $rc != 0;
END { local $?; system 'umount', '--lazy', $dir if -e "$dir/api.key" }
$stack->start;
$stack->app('page', { 'index.html' => "one\n" });
is($stack->deploy('page', {}, 60)->{conclusion}, 'succeeded', 'with room it deploys');

open my $fh, '>', "$dir/ballast" or die "$dir/ballast: $!";
print {$fh} 'x' x 1048576 for 1 .. 20;
close $fh;
my $id = $stack->api(POST => '/v1/apps/page/deployments', {})->{json}{id};
my $low = try_for { $stack->log_text('agent') =~ /no new deployments are taken: the disk has \d+ MiB left; builds need 24 MiB/ } 60;
ok($low, 'below the floor it takes none and says why') or diag $stack->log_text('agent');
like($stack->get('page')->{body}, qr/one/, 'what is served goes on being served');
is($stack->api(GET => "/v1/deployments/$id")->{json}{conclusion}, undef, 'the deployment waits');
unlink "$dir/ballast";
is($stack->completed($id, 90)->{conclusion}, 'succeeded', 'when there is room again, it runs');
like($stack->log_text('agent'), qr/deployments are taken again/, 'and the agent says so');
$stack->allow_log(qr/WH0681/, qr/WH04/);
my @stuck = $stack->stop;
is("@stuck", '', 'everything ends by SIGTERM');
$stack->run_cmd('umount', $dir);
is(join("\n", $stack->bad_log_lines), '', 'the logs are clean');
done_testing();
