package WH::Push;
# A work tree of a person's own, pushed with the real git to /git/<app>.git of a stack.
use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use POSIX ();

# new(stack => …, slug => …, name => directory, token => …, url => base, env => {…})
sub new {
    my ($class, %o) = @_;
    my $self = bless { token => $o{stack}->token, url => $o{stack}->url, name => $o{slug}, env => {}, %o }, $class;
    $self->{work} = $o{stack}->dir . "/people/$self->{name}";
    make_path($self->{work});
    $self->git('init', '-q', '-b', 'main', $self->{work});
    return $self;
}

sub work { return $_[0]{work} }
sub remote {
    my ($self) = @_;
    my $url = "$self->{url}/git/$self->{slug}.git";
    $url =~ s{://}{://any:$self->{token}@} if length($self->{token} // '');
    return $url;
}

# Runs git: (exit code, what it says on both).
sub git {
    my ($self, @args) = @_;
    my $pid = open(my $out, '-|') // croak "fork: $!";
    if ($pid == 0) {
        %ENV = (PATH => $ENV{PATH}, HOME => $self->{work}, LC_ALL => 'C.UTF-8', GIT_CONFIG_NOSYSTEM => 1,
            GIT_CONFIG_GLOBAL => '/dev/null', GIT_TERMINAL_PROMPT => 0, GIT_AUTHOR_NAME => 'Test Author',
            GIT_AUTHOR_EMAIL => 'test@example.org', GIT_COMMITTER_NAME => 'Test', GIT_COMMITTER_EMAIL => 'test@example.org',
            %{ $self->{env} });
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec 'git', @args or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return wantarray ? ($? >> 8, $text) : $text;
}

sub in { my ($self, @args) = @_; return $self->git('-C', $self->{work}, @args) }

# commit({name => content or undef}, message): the new commit.
sub commit {
    my ($self, $files, $message) = @_;
    for my $name (sort keys %$files) {
        my $path = "$self->{work}/$name";
        if (!defined $files->{$name}) { unlink $path; next }
        make_path(dirname($path));
        open my $fh, '>:raw', $path or croak "$path: $!";
        print {$fh} $files->{$name};
        close $fh or croak "$path: $!";
    }
    $self->in('add', '-A');
    my ($rc, $said) = $self->in('commit', '-q', '--allow-empty', '-m', $message // 'a change');
    croak "commit: $said" if $rc != 0;
    return $self->head;
}

sub head { my ($self, $ref) = @_; my $sha = $self->in('rev-parse', $ref // 'HEAD'); chomp $sha; return $sha }

# push(refs and options): {rc, said}
sub push {
    my ($self, @args) = @_;
    my @options = grep { /^-/ } @args;
    my @refs = grep { !/^-/ } @args;
    my ($rc, $said) = $self->in('push', @options, $self->remote, @refs);
    return { rc => $rc, said => $said };
}

# Names and commits that the server shows.
sub tips {
    my ($self) = @_;
    my ($rc, $said) = $self->in('ls-remote', '--heads', $self->remote);
    return { map { /^(\S+)\trefs\/heads\/(\S+)$/ ? ($2 => $1) : () } split /\n/, $said };
}

1;
