package WH::Repo;
# A bare git repository below the agent's local_repo_root, and commits to it.
use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use File::Path qw(make_path);

# git with nothing of this machine's configuration.
sub git {
    my ($self, @args) = @_;
    local %ENV = (
        PATH => $ENV{PATH}, HOME => $self->{work}, LC_ALL => 'C.UTF-8',
        GIT_CONFIG_NOSYSTEM => 1, GIT_CONFIG_GLOBAL => "$self->{work}.gitconfig",
        GIT_AUTHOR_NAME => 'Test', GIT_AUTHOR_EMAIL => 'test@example.org',
        GIT_COMMITTER_NAME => 'Test', GIT_COMMITTER_EMAIL => 'test@example.org',
    );
    open my $out, '-|', 'git', @args or croak "git: $!";
    local $/;
    my $text = <$out> // '';
    close $out or croak "git @args ended with $?";
    $text =~ s{\n\z}{};
    return $text;
}

# new(path => the bare repository, work => a work tree, user => owner of the bare one)
sub new {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    make_path($o{work});
    open my $conf, '>', "$o{work}.gitconfig" or croak "$o{work}.gitconfig: $!";
    print {$conf} "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n";
    close $conf;
    $self->git('init', '-q', '--bare', '-b', 'main', $o{path});
    $self->git('init', '-q', '-b', 'main', $o{work});
    $self->git('-C', $o{work}, 'remote', 'add', 'origin', $o{path});
    return $self;
}

sub path { return $_[0]{path} }
sub work { return $_[0]{work} }

sub write_file {
    my ($self, $name, $content, $mode) = @_;
    my $path = "$self->{work}/$name";
    make_path(dirname($path));
    open my $file, '>:raw', $path or croak "$path: $!";
    print {$file} $content;
    close $file or croak "$path: $!";
    chmod $mode, $path if defined $mode;
    return $path;
}

# commit({name => content, or undef to remove}, message => …, branch => 'main'): commits, pushes;
# returns the commit.
sub commit {
    my ($self, $files, %o) = @_;
    my $branch = $o{branch} // 'main';
    my @at = ('-C', $self->{work});
    my $now = eval { $self->git(@at, 'symbolic-ref', '--short', 'HEAD') } // '';
    $self->git(@at, 'checkout', '-q', '-B', $branch) if $now ne $branch;
    for my $name (sort keys %$files) {
        if (defined $files->{$name}) { $self->write_file($name, $files->{$name}) }
        else { unlink "$self->{work}/$name" }
    }
    $self->git(@at, 'add', '-A');
    $self->git(@at, 'commit', '-q', '--allow-empty', '-m', $o{message} // 'a change');
    $self->git(@at, 'push', '-q', '-f', 'origin', $branch);
    $self->own;
    return $self->git(@at, 'rev-parse', 'HEAD');
}

# git reads a repository only as its owner.
sub own {
    my $self = shift;
    system('chown', '-R', "$self->{user}:$self->{user}", $self->{path}) if $self->{user};
    return;
}

1;
