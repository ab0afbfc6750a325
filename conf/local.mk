# conf: its part of the one Makefile
EXTRA_DIST += conf/quickstart-httpd.conf.in conf/engine.sh \
	examples/hello-static/index.html examples/hello-static/style.css \
	examples/hello-container/Dockerfile examples/hello-container/README.md \
	examples/hello-container/index.html examples/hello-container/server.c

# Every directive of the module with its default, commented.
dist_pkgdata_DATA = conf/wisehost.conf
