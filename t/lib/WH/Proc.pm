package WH::Proc;
# A process that a test starts: with its own log, ended by pid also when the test dies.
use strict;
use warnings;
use Carp qw(croak);
use POSIX qw(WNOHANG _exit setsid);
use WH::Wait qw(try_for);

my %running;    # pid -> object, of this very process
my $owner = $$;

# An interrupted test ends what it started, too.
$SIG{INT}  = sub { exit 130 };
$SIG{TERM} = sub { exit 143 };

# start(name => …, cmd => […], log => file, user => …, groups => …, umask => 022, env => {…}, cwd => …,
# prefix => [words before the command])
# user: run by setpriv as that user with its own group, and with the groups named.
sub start {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    my @cmd = @{ $o{cmd} };
    if ($o{user}) {
        my @groups = $o{groups} ? ('--groups', $o{groups}) : ('--clear-groups');
        unshift @cmd, 'setpriv', '--reuid', $o{user}, '--regid', $o{user}, @groups, '--pdeathsig', 'KILL';
    }
    elsif (!$o{no_deathsig}) {
        unshift @cmd, 'setpriv', '--pdeathsig', 'KILL';
    }
    unshift @cmd, @{ $o{prefix} } if $o{prefix};
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        setsid();
        $SIG{$_} = 'DEFAULT' for qw(INT TERM PIPE);
        umask($o{umask} // 022);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $o{log} // '/dev/null' or _exit(126);
        open STDERR, '>&', \*STDOUT;
        if ($o{env}) { @ENV{ keys %{ $o{env} } } = values %{ $o{env} } }
        if ($o{cwd}) { chdir $o{cwd} or _exit(126) }
        exec { $cmd[0] } @cmd or _exit(127);
    }
    $self->{pid} = $pid;
    $running{$pid} = $self;
    return $self;
}

sub pid { return $_[0]{pid} }

# The wait status once it has ended, undef while it runs.
sub ended {
    my $self = shift;
    if (!defined $self->{status} && waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
        $self->{status} = $?;
        delete $running{ $self->{pid} };
    }
    return $self->{status};
}

sub runs { return !defined $_[0]->ended }

# Sends a signal; returns false when the process is gone.
sub signal {
    my ($self, $signal) = @_;
    return 0 unless $self->runs;
    return kill $signal, $self->{pid};
}

# Ends it: SIGTERM, after $seconds SIGKILL. Returns the wait status; 1 second is never slept away.
sub stop {
    my ($self, $seconds) = @_;
    $self->signal('TERM');
    if (!try_for { defined $self->ended } $seconds // 15) {
        $self->{killed} = 1;
        $self->kill9;
    }
    return $self->{status};
}

sub kill9 {
    my $self = shift;
    $self->signal('KILL');
    try_for { defined $self->ended } 10;
    return $self->{status};
}

END {
    if ($$ == $owner) {
        local $?;
        $_->stop(5) for values %running;
    }
}

1;
