# The route file gone, cut short, not to be read, replaced: clear log lines, 503 for what cannot be looked up, other
# sites untouched, and all as before when there is a table again. With each MPM, nothing but httpd running.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Path qw(make_path);
use Test::More;
use WH::Backend;
use WH::Httpd;
use WH::Wait qw(wait_for);

my $backend = WH::Backend->new(name => 'shop');
# The children of prefork see every kind of damage, those of the others enough to know that threads change nothing.
my %few = (prefork => "StartServers 2\nMinSpareServers 1\nMaxSpareServers 3\nMaxRequestWorkers 4\n",
    map { ($_ => "StartServers 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n") } qw(worker event));
for my $mpm (qw(prefork worker event)) {
    my $h = WH::Httpd->new(mpm => $mpm, global => $few{$mpm} . "<Directory />\nRequire all granted\n</Directory>\n");
    WH::Httpd::spew($h->dir . '/docs/plain.txt', "existing\n");
    my $routes = $h->state . '/routes';
    my $fill = sub {
        $h->static(blog => { 'index.html' => "blog\n" });
        $h->routes({ host => 'shop', kind => 'proxy', slug => 'shop', upstreams => [ { address => '127.0.0.1', port => $backend->port + 0 } ] });
        return;
    };
    my $answers = sub { return join ' ', map { $_->{status} } $h->get('blog'), $h->get('shop', '/x'), $h->get('nobody'),
        $h->request(host => 'main.example.test', path => '/plain.txt') };
    my $lines = sub { my ($tag) = @_; return scalar grep {/$tag/} split /\n/, $h->log_text };

    # ---- no table at the start ----
    $h->start;
    is($answers->(), '503 503 503 200', "$mpm: no table yet: 503 under the base domain, nothing else is touched");
    like($h->log_text, qr/WH0120: no route table at \Q$routes\E: No such file/, "$mpm: and the log says so");
    ok($h->get('blog')->{headers}{'retry-after'}, "$mpm: with Retry-After");
    $fill->();
    wait_for { $answers->() eq '200 200 404 200' } 10, 'the table to be taken';
    is($answers->(), '200 200 404 200', "$mpm: the first table is taken without a reload");

    # ---- the link goes, and comes back: the table in memory serves on ----
    rename $routes, "$routes.away";
    is($answers->(), '200 200 404 200', "$mpm: the link is gone: the open table serves on");
    rename "$routes.away", $routes;
    # ---- the file is removed under httpd, and cut short ----
    my $file = (glob $h->state . '/routes/data.mdb')[0];
    my $data = WH::Httpd::slurp($file);
    rename $file, "$file.away";
    unlink "$file.away";
    wait_for { $answers->(); $lines->('WH0127') } 10, 'the line of the log';
    is($answers->(), '200 200 404 200', "$mpm: its file is removed: served as it was, and the log says so");
    is_deeply([ $h->stop ], [0], "$mpm: httpd stops");
    WH::Httpd::spew($file, $data);
    $h->start;
    is($answers->(), '200 200 404 200', "$mpm: put back");
    truncate $file, 4096;
    wait_for { $answers->() eq '503 503 503 200' } 15, 'the cut to be seen';
    is_deeply([ grep { $answers->() ne '503 503 503 200' } 1 .. 10 ], [], "$mpm: cut short under httpd: 503, other sites go on");
    is_deeply([ $h->stop ], [0], "$mpm: httpd stops");
    WH::Httpd::spew($file, $data);
    rename $routes, "$routes.away";
    # ---- httpd started without it, then a table that is cut short, then one that it may not read ----
    $h->start;
    is($answers->(), '503 503 503 200', "$mpm: started without a table");
    my $bad = $h->state . '/routes.bad';
    my @bad = ([ 'cut short' => substr($data, 0, 8192), 0644 ], [ 'empty' => '', 0644 ], [ 'no table at all' => 'x' x 20000, 0644 ],
        [ 'not to be read' => $data, 0600 ]);
    for my $case ($mpm eq 'prefork' ? @bad : $mpm eq 'event' ? $bad[0] : ()) {
        my ($what, $bytes, $mode) = @$case;
        make_path($bad);
        chmod 0777, $bad;
        unlink glob "$bad/*";
        WH::Httpd::spew("$bad/data.mdb", $bytes);
        WH::Httpd::spew("$bad/lock.mdb", '');
        chmod $mode, "$bad/data.mdb";
        chmod 0666, "$bad/lock.mdb";
        unlink $routes;
        symlink $bad, $routes;
        my $seen = $lines->('WH0120');
        $h->signal('USR1');
        wait_for { $answers->(); $lines->('WH0120') > $seen } 10, 'a line of the log';
        is($answers->(), '503 503 503 200', "$mpm: a file $what: 503, other sites go on");
    }
    # ---- the right one again ----
    unlink $routes;
    rename "$routes.away", $routes;
    wait_for { $answers->() eq '200 200 404 200' } 10, 'the table to be taken';
    like($h->log_text, qr/WH0121: route table \S+ opened/, "$mpm: a sound table again: taken, and the log says so");
    is($h->stop, 0, "$mpm: httpd stops");
    $h->allow_log(qr/WH012[067]/, qr/AH00051|AH00052.*exit signal Bus error/);
    is_deeply([ $h->bad_log_lines ], [], "$mpm: the error log is clean");
}
done_testing();
