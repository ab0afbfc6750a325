package WH::DB;
# The database under test: WH_TEST_DB=sqlite (default) or pgsql. With pgsql each object is a database of
# its own in the server that WH_TEST_PG (libpq parameters) names, or in a server of its own.
use strict;
use warnings;
use Carp qw(croak);
use DBI;
use Exporter qw(import);
use WH::Pg;

our @EXPORT_OK = qw(db_kind);

sub db_kind {
    my $kind = $ENV{WH_TEST_DB} || 'sqlite';
    croak "WH_TEST_DB=$kind is neither sqlite nor pgsql" unless $kind =~ /^(?:sqlite|pgsql)$/;
    return $kind;
}

my $count = 0;

# new(dir => where a server of its own would live, file => of SQLite, own_server => 1)
sub new {
    my ($class, %o) = @_;
    my $self = bless { kind => $o{kind} || db_kind(), owner => $$ }, $class;
    if ($self->{kind} eq 'sqlite') {
        $self->{params} = $o{file} // croak 'file?';
        return $self;
    }
    my $server = $ENV{WH_TEST_PG};
    if ($o{own_server} || !$server) {
        $self->{pg} = WH::Pg->new($o{dir} // croak 'dir?')->start(options => $o{pg_options});
        $server = $self->{pg}->params;
    }
    $self->{name} = sprintf 'wh_%d_%d', $$, ++$count;
    ($self->{params} = $server) =~ s/\bdbname=\S+/dbname=$self->{name}/
        or $self->{params} .= " dbname=$self->{name}";
    $self->{server} = $server;
    $self->_pgsql($server, "CREATE DATABASE $self->{name}");
    return $self;
}

sub kind { return $_[0]{kind} }
sub driver { return $_[0]{kind} eq 'sqlite' ? 'sqlite3' : 'pgsql' }
sub params { return $_[0]{params} }

sub _run {
    my @cmd = @_;
    open my $out, '-|', @cmd or croak "$cmd[0]: $!";
    local $/;
    my $text = <$out>;
    close $out or croak "$cmd[0] ended with $?: $text";
    return $text;
}

# A connection to PostgreSQL, kept: a program for each statement is most of what a test would take. Each process has its
# own; one that was lost is made again.
sub _dbh {
    my ($self, $params) = @_;
    my $kept = $self->{dbh}{"$$ $params"};
    return $kept if $kept && $kept->ping;
    return $self->{dbh}{"$$ $params"} = DBI->connect('dbi:Pg:' . join(';', split ' ', $params), undef, undef,
        { RaiseError => 0, PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1, pg_enable_utf8 => 0, pg_bool_tf => 1 })
        // croak "PostgreSQL: " . DBI->errstr;
}

sub _pgsql {
    my ($self, $params, $sql) = @_;
    my $st = $self->_dbh($params)->prepare($sql, { pg_direct => 1 });
    $st->execute // croak 'PostgreSQL: ' . $st->errstr;
    return $st->{NUM_OF_FIELDS} ? map { [ map { $_ // '' } @$_ ] } @{ $st->fetchall_arrayref } : ();
}

# The rows of one statement, each a list of texts.
sub rows {
    my ($self, $sql) = @_;
    return $self->_pgsql($self->{params}, $sql) if $self->{kind} eq 'pgsql';
    my $text = _run('sqlite3', '-batch', '-bail', '-separator', "\t", '-cmd', '.timeout 5000', $self->{params}, $sql);
    return map { [ split /\t/, $_, -1 ] } split /\n/, $text // '';
}

# The first value of the first row.
sub value {
    my ($self, $sql) = @_;
    my @rows = $self->rows($sql);
    return @rows ? $rows[0][0] : undef;
}

my @tables = qw(apps deployments jobs names releases instances hooks deliveries tokens onetime_tokens workers);

# All rows of the tables that bad input must not change, as one text to compare.
sub dump_all {
    my ($self, @only) = @_;
    my %volatile = (
        workers => 'id, public_id, name, key_hash, admin_state, address, zone, labels, cpu_millis, memory_bytes, revoked_at, rotate_at, drain_at',
        hooks   => 'id, app_id, provider, secret_n, previous_until, watch, created_at, deleted_at',
        tokens  => 'id, name, hash, scopes, apps, created_at, expires_at, revoked_at',
    );
    return join '', map {
        my $table = $_;
        my $what = $volatile{$table} // '*';
        "$table:\n" . join '', sort map { join("\t", @$_) . "\n" } $self->rows("SELECT $what FROM $table");
    } @only ? @only : @tables;
}

# Takes the database away and brings it back: the file moved, the server stopped.
sub take_away {
    my $self = shift;
    if ($self->{pg}) { $self->{pg}->stop('fast') }
    elsif ($self->{kind} eq 'sqlite') {
        for my $end ('', '-wal', '-shm') {
            rename "$self->{params}$end", "$self->{params}.away$end" if -e "$self->{params}$end";
        }
    }
    else { croak 'take_away needs own_server => 1' }
    return;
}

# kill -9 of a PostgreSQL of our own; SQLite has no process to be killed.
sub kill9 {
    my $self = shift;
    croak 'kill9 needs own_server => 1 and PostgreSQL' unless $self->{pg};
    $self->{pg}->kill9;
    return;
}

sub bring_back {
    my $self = shift;
    if ($self->{pg}) { $self->{pg}->start }
    else {
        for my $end ('', '-wal', '-shm') {
            rename "$self->{params}.away$end", "$self->{params}$end" if -e "$self->{params}.away$end";
        }
    }
    return;
}

sub DESTROY {
    my $self = shift;
    return if $self->{owner} != $$ || !$self->{name} || $self->{pg};
    local ($@, $?);
    my $drop = "DROP DATABASE IF EXISTS $self->{name} WITH (FORCE)";
    # At the very end nobody knows which objects still live.
    eval { ${^GLOBAL_PHASE} eq 'DESTRUCT' ? _run('psql', '-Xqc', $drop, $self->{server}) : $self->_pgsql($self->{server}, $drop) };
}

1;
