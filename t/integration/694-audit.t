#!/usr/bin/perl
# db: sqlite pgsql
# The audit log: each outcome, from where, in the transaction of the action; what the database refuses; export.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use WH::Api;

my $api = WH::Api->new;
my $root = $api->token;
my $reader = $api->token('read', '*');
my $before = $api->value('SELECT COUNT(*) FROM audit');
sub rows { return $api->req(GET => "/v1/audit@_", token => $root)->{json}{items} }
sub newest { my ($r) = @{ rows('?limit=1') }; return join ' ', map { $_ // '-' } @$r{qw(action object app outcome status code)} }

my $mine = $api->app($root, 'mine');
is(newest(), 'app.create POST /v1/apps/mine mine done 201 -', 'what was done, and what was made');
my ($row) = @{ rows('?limit=1') };
is_deeply([ $row->{actor}{kind}, length $row->{actor}{id}, $row->{address} ], [ 'token', 26, '127.0.0.1' ], 'by whom, from where') or diag explain $row;
my $got = $api->req(POST => '/v1/apps/mine/deployments', token => $root, json => {});
is(newest(), 'deployment.create POST /v1/apps/mine/deployments mine done 202 -', 'on which app');
is(rows('?limit=1')->[0]{request_id}, $got->{headers}{'x-request-id'} // rows('?limit=1')->[0]{request_id}, 'in which request');
is($api->req(DELETE => '/v1/apps/mine', token => $reader, headers => { 'If-Match' => '"1"' })->{status}, 403, 'somebody who may not');
is(newest(), 'app.delete DELETE /v1/apps/mine - refused 403 forbidden', 'is written down');
$api->req(POST => '/v1/apps/nowhere/sync', token => $root, json => {});
is(newest(), 'sync.ask POST /v1/apps/nowhere/sync - refused 404 not_found', 'so is what is not there');
$api->req(POST => '/v1/apps', token => $root, json => $api->app_body('Not a slug'));
is(newest(), 'app.create POST /v1/apps - failed 400 ' . rows('?limit=1')->[0]{code}, 'and what fails');
$api->req(PATCH => '/v1/apps/mine', token => $root, json => { name => 'x' }, headers => { 'If-Match' => '"999"' });
is(newest(), 'app.update PATCH /v1/apps/mine mine failed 412 ' . rows('?limit=1')->[0]{code}, 'in the handler, too');
my $n = $api->value('SELECT COUNT(*) FROM audit');
$api->req(GET => '/v1/apps', token => $root);
$api->req(POST => '/v1/apps', token => 'wh_nobody', json => {});
$api->req(POST => '/v1/apps', json => {});
is($api->value('SELECT COUNT(*) FROM audit'), $n, 'reading leaves no row, nor does a credential that is not known');
$api->req(POST => '/v1/login', json => { token => 'no such token' });
like(newest(), qr/^login POST \/v1\/login - failed 401 /, 'a login that fails does');

# Whatever a route wrote has its row with it: as many as there were calls.
is($api->value("SELECT COUNT(*) FROM audit WHERE outcome = 'done'") - $before, 2, 'one row a call');
is(scalar @{ rows('?action=app.create') }, 2, 'by action');
is(scalar @{ rows('?app=mine') }, 3, 'by app, from its making on');
is(scalar @{ rows("?actor=$row->{actor}{id}") }, 5, 'by actor');
is(scalar @{ rows('?since=2100-01-01T00:00:00Z') }, 0, 'by time');
my $page = $api->req(GET => '/v1/audit?limit=3', token => $root)->{json};
is(scalar @{ $api->req(GET => "/v1/audit?limit=100&cursor=$page->{next}", token => $root)->{json}{items} }, $n + 1 - 3, 'in pages');
is($api->req(GET => '/v1/audit', token => $reader)->{status}, 403, 'it is for administrators');

# The database itself.
for my $sql ("UPDATE audit SET outcome = 'done'", 'DELETE FROM audit') {
    my $all = $api->value('SELECT COUNT(*) FROM audit');
    ok(!eval { local $SIG{__DIE__}; open my $err, '>&', \*STDERR; open STDERR, '>', '/dev/null'; my $ok = eval { $api->sql($sql); 1 };
        open STDERR, '>&', $err; $ok }, "refused: $sql");
    is($api->value('SELECT COUNT(*) FROM audit'), $all, 'and all rows are there');
}
is($api->value("SELECT COUNT(*) FROM audit WHERE code = 'forbidden'"), 1, 'as they were');
is($api->unexpected, '', 'the error log is clean');
done_testing();
