package WH::Netns;
# A network namespace joined to this machine by one pair of interfaces, as if a cable ran between two
# machines; the cable can be cut in several ways. All of it goes with the object, or with the test.
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use POSIX ();

our @EXPORT_OK = qw(cuts);

my ($count, %living) = (0);

sub _run {
    my @cmd = @_;
    my $pid = open(my $out, '-|') // croak "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    local $/;
    my $said = <$out> // '';
    return close($out) ? '' : "@cmd: $said";
}

sub _must {
    my @cmd = @_;
    my $wrong = _run(@cmd);
    croak $wrong if $wrong ne '';
    return;
}

# Two addresses of a range of four that nothing on this machine uses; the engines' own networks begin
# at 10.128 (conf/engine.sh).
sub _addresses {
    chomp(my @taken = qx(ip -o -4 addr show));
    for (1 .. 100) {
        my $base = sprintf '10.%d.%d', 64 + int rand 64, int rand 256;
        my $last = 4 * int rand 64;
        return ("$base." . ($last + 1), "$base." . ($last + 2)) unless grep {/ \Q$base\E\./} @taken;
    }
    croak 'no free addresses';
}

sub new {
    my ($class) = @_;
    my $n = ++$count;
    my $self = bless { name => sprintf('wh-%x-%d', $$, $n), near => sprintf('wh%xh%d', $$, $n),
        far => sprintf('wh%xf%d', $$, $n), owner => $$ }, $class;
    @$self{qw(near_address far_address)} = _addresses();
    _must(qw(ip netns add), $self->{name});
    $living{ $self->{name} } = $self;
    _must(qw(ip link add), $self->{near}, qw(type veth peer name), $self->{far}, 'netns', $self->{name});
    _must(qw(ip addr add), "$self->{near_address}/30", 'dev', $self->{near});
    _must(qw(ip link set), $self->{near}, 'up');
    _must('ip', '-n', $self->{name}, qw(link set lo up));
    $self->_far_up;
    # What is published at the near address is looked for by a bind that the far side has to be let.
    $self->_within(qw(sysctl -qw net.ipv4.ip_nonlocal_bind=1));
    return $self;
}

sub name         { return $_[0]{name} }
sub near_address { return $_[0]{near_address} }
sub interfaces   { return @{ $_[0] }{qw(near far)} }

# What to put before a command so that it runs on the far side.
sub prefix { return ('nsenter', "--net=/run/netns/$_[0]{name}") }

sub _within { my ($self, @cmd) = @_; return _must($self->prefix, @cmd) }

sub _far_up {
    my $self = shift;
    _must('ip', '-n', $self->{name}, qw(link set), $self->{far}, 'up');
    _must('ip', '-n', $self->{name}, qw(addr replace), "$self->{far_address}/30", 'dev', $self->{far});
    return;
}

# Seen from the far side: nothing comes, nothing goes, neither; the cable is out; each packet of a
# connection is answered with a reset, to both ends.
my %cuts = (
    in    => [ [qw(INPUT DROP)] ],
    out   => [ [qw(OUTPUT DROP)] ],
    both  => [ [qw(INPUT DROP)], [qw(OUTPUT DROP)] ],
    reset => [ [qw(INPUT reset)], [qw(OUTPUT reset)] ],
    down  => [],
);
sub cuts { return sort keys %cuts }

sub cut {
    my ($self, $how) = @_;
    return _must('ip', '-n', $self->{name}, qw(link set), $self->{far}, 'down') if $how eq 'down';
    for my $rule (@{ $cuts{$how} // croak "no cut $how" }) {
        my ($chain, $what) = @$rule;
        $self->_within(qw(iptables -w -A), $chain, $chain eq 'INPUT' ? '-i' : '-o', $self->{far}, '-p', 'tcp',
            '-j', $what eq 'reset' ? qw(REJECT --reject-with tcp-reset) : $what);
    }
    return;
}

sub heal {
    my $self = shift;
    $self->_within(qw(iptables -w -F));
    $self->_far_up;
    return;
}

sub remove {
    my $self = shift;
    return unless delete $living{ $self->{name} };
    _run(qw(ip link del), $self->{near});
    _run(qw(ip netns del), $self->{name});
    return;
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$;
    local ($@, $?, $!);
    $self->remove;
    return;
}

END {
    local $?;
    for my $netns (values %living) { $netns->remove if $netns->{owner} == $$ }
}

1;
