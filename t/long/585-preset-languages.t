#!/usr/bin/perl
# A sample app of each language, built by its preset and run, in real containers: the toolchains are Debian's own packages, put
# together by mmdebstrap (about 1.6 GB; WH_TOOLCHAINS=FILE takes a tar that is there already). The commands are the
# presets' own; no sample has a dependency that would have to be fetched.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use HTTP::Tiny;
use JSON::PP;
use WH::AgentJob;
use WH::Presets qw(log_of);

my $debian = $ENV{WH_TOOLCHAINS};
if (!$debian && !-x '/usr/bin/mmdebstrap') {
    die "mmdebstrap is not installed\n" if $ENV{CI};
    plan skip_all => 'mmdebstrap is not installed: no toolchains to build with';
}
my $agent = WH::AgentJob->new(engine => 1);
my $image = 'localhost/toolchains:1';
if (!$debian) {
    $debian = $agent->dir . '/toolchains.tar';
    system(qw(mmdebstrap --variant=minbase --quiet), '--include=nodejs,npm,python3,python3-venv,php-cli,composer,golang-go,ruby,bundler,rustc,cargo,hugo',
        'bookworm', $debian, 'http://deb.debian.org/debian') == 0 or die "mmdebstrap failed\n";
}
$agent->podman('import', '--quiet', '--change', 'ENV PATH=/usr/local/bin:/usr/bin:/bin', $debian, $image);
$agent->start_server;

my %conf = (runner_images => JSON::PP->new->canonical->encode({ map { $_ => $image } qw(node python plain hugo php go ruby rust) }));
my $http = HTTP::Tiny->new(timeout => 5);
my $n    = 0;

sub deploy {
    my ($files, %o) = @_;
    my $repo = $agent->repo('r' . ++$n);
    $repo->commit($files);
    return $agent->run(app => sprintf('01hz%018dpset', $n), kind => 'container', url => $repo->path, conf => \%conf, memory => 512 * 1048576,
        build_s => 500, check_s => 60, %o);
}

my %server = (
    node => {
        'package.json' => '{"name": "shop", "version": "1.0.0", "private": true, "scripts": {"build": "node build.js", "start": "node server.js"}}',
        'build.js'     => q{require('fs').writeFileSync('made.txt', 'hello from node');},
        'server.js'    => q{require('http').createServer((q, r) => r.end(require('fs').readFileSync('made.txt'))).listen(process.env.PORT);},
    },
    python => {
        'requirements.txt' => "# none\n",
        'app.py'           => <<'PY',
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello from python " + sys.prefix.encode())
http.server.HTTPServer(("", int(os.environ["PORT"])), H).serve_forever()
PY
    },
    php => {
        'composer.json'    => '{"name": "a/shop", "require": {"php": ">=8"}, "autoload": {"psr-4": {"Shop\\\\": "src/"}}}',
        'src/Hello.php'    => "<?php\nnamespace Shop;\nclass Hello { static function say() { return 'hello from php'; } }\n",
        'public/index.php' => "<?php\nrequire __DIR__ . '/../vendor/autoload.php';\necho Shop\\Hello::say();\n",
    },
    go => {
        'go.mod'  => "module example.org/shop\n\ngo 1.19\n",
        'main.go' => <<'GO',
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from go") })
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
GO
    },
    ruby => {
        Gemfile  => "source 'https://rubygems.org'\n",
        'app.rb' => <<'RB',
require 'socket'
s = TCPServer.new('0.0.0.0', ENV['PORT'].to_i)
loop do
  c = s.accept
  nil until [nil, "\r\n"].include?(c.gets)
  c.write "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\nhello from ruby"
  c.close
end
RB
    },
    rust => {
        'Cargo.toml'  => "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
        'src/main.rs' => <<'RS',
use std::io::{Read, Write};
fn main() {
    let l = std::net::TcpListener::bind(("0.0.0.0", std::env::var("PORT").unwrap().parse().unwrap())).unwrap();
    for s in l.incoming() {
        let mut s = s.unwrap();
        let _ = s.read(&mut [0u8; 4096]);
        let _ = s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\nhello from rust");
    }
}
RS
    },
);
for my $name (sort keys %server) {
    my $got = deploy($server{$name});
    is($got->{outcome}, 'succeeded', "F286 $name: built by its preset, started and answers") or diag log_of($got);
    like(log_of($got), qr/^preset \Q$name\E: /m, "$name: the log says which preset was taken");
    my ($i) = @{ $got->{result}{instances} // [] };
    my $page = $http->get('http://127.0.0.1:' . ($i->{port} // 1) . '/');
    like($page->{content}, qr/^hello from \Q$name\E/, "$name: its own answer");
    like($page->{content}, qr{/app/\.venv$}, 'python: out of its virtual environment') if $name eq 'python';
    my $c = decode_json($agent->podman('inspect', $i->{container}))->[0];
    is($c->{Config}{User}, '10001:10001', "F235 $name: as nobody");
    $agent->podman(qw(rm --all --force --time 0));
}

my $got = deploy({ 'index.html' => "as it is\n", 'more.txt' => 'x' }, kind => 'static');
is($got->{outcome} . ' ' . $agent->paths, 'succeeded index.html more.txt', 'F286 static: served as it is');
$got = deploy({
        'hugo.toml'                  => "baseURL = 'https://example.org/'\ntitle = 'x'\ndisableKinds = ['RSS', 'sitemap', 'taxonomy', 'term']\n",
        'content/about.md'           => "---\ntitle: About\n---\nhello from hugo\n",
        'layouts/_default/baseof.html' => '{{ block "main" . }}{{ end }}',
        'layouts/_default/single.html' => '{{ define "main" }}{{ .Content }}{{ end }}',
        'layouts/_default/list.html'   => '{{ define "main" }}{{ .Title }}{{ end }}',
    }, kind => 'static');
is($got->{outcome}, 'succeeded', 'F286 F288 hugo: built by its preset, its output is a release') or diag log_of($got);
like($agent->paths, qr{^404\.html about/index\.html index\.html$|^about/index\.html index\.html$}, 'hugo: the pages that it makes');

# --- what a build may not do ---
sub fails {
    my ($what, $code, $sentence, @site) = @_;
    my $bad = deploy({ 'index.html' => 'x' }, kind => 'static', output => 'dist', @site);
    is("$bad->{outcome} $bad->{code}", "failed $code", "$what: $code") or diag log_of($bad);
    like($bad->{detail}, $sentence, "$what: says why");
    is(join(' ', $agent->containers), '', "$what: nothing of it is left");
    return;
}
fails('XH4 XH6 a sparse file of 1,100 MiB', 'too_large', qr/1024 MiB/, build_command => 'mkdir dist; truncate -s 1100M dist/big');
fails('XH5 20,001 files', 'too_many_files', qr/20000/, build_command => 'mkdir dist; cd dist; seq 20001 | xargs touch');
fails('XJ6 a build that never ends', 'build_timeout', qr/within 10 s/, build_command => 'trap "" TERM; sleep 1000', build => { timeout_seconds => 10 });
fails('XJ6 a build that forks', 'build_timeout', qr/within 10 s/, build_command => 'for i in $(seq 50); do (while :; do sleep 1; done) & done; wait', build => { timeout_seconds => 10 });
fails('F219 a build that fails', 'build_failed', qr/7/, build_command => 'exit 7');
$agent->stop;
done_testing();
