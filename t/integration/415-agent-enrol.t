#!/usr/bin/perl
# A worker that cannot register says why, and what to do; --check looks and makes nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Stack;

my $stack = WH::Stack->new;
$stack->start;
my $dir   = $stack->dir;
my $state = "$dir/other-agent";
my $token = "$dir/conf/other-enrolment";

sub put {
    my ($path, $mode, $text) = @_;
    unlink $path;
    open my $out, '>', $path or die "$path: $!";
    print {$out} $text;
    close $out;
    chmod $mode, $path;
    chown((getpwnam 'wisehost-agent')[ 2, 3 ], $path);
    return;
}

# agent(NAME, OPTIONS…): exit code and what it says, within 2 seconds at most.
sub agent {
    my ($name, @options) = @_;
    put("$dir/conf/other-agent.conf", 0644,
        "state_dir = $state\nserver_url = @{[ $stack->url ]}\nname = $name\nenrolment_token_file = $token\n");
    return $stack->run_cmd(qw(timeout 2 setpriv --reuid wisehost-agent --regid wisehost-agent --clear-groups),
        "$stack->{inst}/sbin/wh-agent", '-c', "$dir/conf/other-agent.conf", @options);
}

my ($rc, $said) = agent('other', '--check');
isnt($rc, 0, '--check without the state directory');
like($said, qr/cannot use \Q$state\E: No such file/, 'names it');
ok(!-e $state, 'and does not make it');

mkdir $state, 0700 or die;
chown((getpwnam 'wisehost-agent')[ 2, 3 ], $state);
is((agent('other', '--check'))[0], 0, '--check with it');
(undef, $said) = agent('other');
like($said, qr/\Q$token\E is not there; `wh-scheduler --enrolment-token`/, 'no token file');
my (undef, $made) = $stack->as_wisehost('--enrolment-token');
my ($once) = $made =~ /^ENROLMENT_TOKEN=(\S+)/m;
put($token, 0644, "$once\n");
(undef, $said) = agent('other');
like($said, qr/\Q$token\E can be read by others: chmod 600/, 'a token file that others can read');
put($token, 0600, ('ab' x 32) . "\n");
(undef, $said) = agent('other');
like($said, qr/the token in \Q$token\E is not valid/, 'a token that is none');
put($token, 0600, "$once\n");
(undef, $said) = agent('test-worker');
like($said, qr/test-worker is registered with another key: give this one another name/, 'a name that is taken');
(undef, $made) = $stack->as_wisehost('--enrolment-token');
($once) = $made =~ /^ENROLMENT_TOKEN=(\S+)/m;
put($token, 0600, "$once\n");
(undef, $said) = agent('other');
like($said, qr/registered with \S+ as other/, 'then it registers');

is_deeply([ $stack->stop ], [], 'everything ends by SIGTERM');
done_testing();
