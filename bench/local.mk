# bench: scripts only
EXTRA_DIST += bench/README.md bench/run bench/Bench.pm bench/deploy.pl bench/idle.pl \
	bench/rivals/post-receive/httpd.conf bench/rivals/no-module/httpd.conf \
	bench/rivals/engine-script/Script.pm
