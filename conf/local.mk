# conf: its part of the one Makefile
EXTRA_DIST += conf/quickstart-httpd.conf.in conf/engine.sh \
	examples/hello-static/index.html examples/hello-static/style.css \
	examples/hello-container/Dockerfile examples/hello-container/README.md \
	examples/hello-container/index.html examples/hello-container/server.c

# Every directive of the module with its default, commented; what the documents for Traefik look like.
dist_pkgdata_DATA = conf/wisehost.conf conf/traefik-dynamic.schema.json conf/wisehost.schema.json \
	conf/grafana-wisehost.json conf/prometheus-wisehost.rules.yml conf/prometheus-wisehost.yml

# The units, with the places of this installation in them; who packages them puts them where systemd
# looks.
units = conf/wisehost-scheduler.service conf/wisehost-agent.service
nodist_pkgdata_DATA = $(units)
CLEANFILES += $(units)
EXTRA_DIST += conf/wisehost-scheduler.service.in conf/wisehost-agent.service.in
unit_places = sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@docdir[@]|$(docdir)|g'
conf/wisehost-scheduler.service: conf/wisehost-scheduler.service.in conf/local.mk
	$(AM_V_GEN)$(MKDIR_P) conf && $(unit_places) $(srcdir)/conf/wisehost-scheduler.service.in >$@.tmp && mv $@.tmp $@
conf/wisehost-agent.service: conf/wisehost-agent.service.in conf/local.mk
	$(AM_V_GEN)$(MKDIR_P) conf && $(unit_places) $(srcdir)/conf/wisehost-agent.service.in >$@.tmp && mv $@.tmp $@
