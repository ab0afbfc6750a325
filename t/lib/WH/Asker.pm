package WH::Asker;
# Asks some names over and over, about twenty times a second, as a process of its own: whether others are served meanwhile.
use strict;
use warnings;
use Carp qw(croak);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time);
use WH::Http qw(http_request);

# start(port => , hosts => [ … ])
sub start {
    my ($class, %o) = @_;
    pipe my $out, my $in or croak "pipe: $!";
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        close $out;
        my $over = 0;
        $SIG{TERM} = sub { $over = 1 };
        my %said = (asked => 0, failed => 0, longest => 0, tasks => 0, why => []);
        while (!$over) {
            for my $host (@{ $o{hosts} }) {
                my $begin = time;
                my $got = http_request(port => $o{port}, host => $host, path => '/', timeout => 30);
                my $took = time - $begin;
                $said{asked}++;
                $said{longest} = $took if $took > $said{longest};
                next if ($got->{status} // 0) == 200;
                push @{ $said{why} }, join ' ', int time, $host, $got->{status} // 'none' if $said{failed}++ < 10;
            }
            my $tasks = tasks();
            $said{tasks} = $tasks if $tasks > $said{tasks};
            select undef, undef, undef, 0.1;
        }
        syswrite $in, JSON::PP::encode_json(\%said);
        POSIX::_exit(0);
    }
    close $in;
    return bless { pid => $pid, out => $out, owner => $$ }, $class;
}

# Processes and threads of the whole machine.
sub tasks { open my $fh, '<', '/proc/loadavg' or return 0; return (split m{[ /]}, <$fh>)[4] }

# Ends it: {asked, failed, longest (s), tasks (at most), why => [ the first failures ]}.
sub stop {
    my $self = shift;
    kill TERM => $self->{pid};
    local $/;
    my $text = readline $self->{out};
    waitpid delete $self->{pid}, 0;
    return JSON::PP::decode_json($text);
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$ || !$self->{pid};
    local $?;
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
