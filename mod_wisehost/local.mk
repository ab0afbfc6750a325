# mod_wisehost: the Apache module. Only wisehost_module is visible.
httpdmoddir = $(HTTPD_MODDIR)
httpdmod_LTLIBRARIES = mod_wisehost/mod_wisehost.la

mod_wisehost_mod_wisehost_la_SOURCES = \
	mod_wisehost/mod_wisehost.c \
	mod_wisehost/mod_wisehost.h \
	mod_wisehost/wh_mod_access.c \
	mod_wisehost/wh_mod_body.c \
	mod_wisehost/wh_mod_cache.c \
	mod_wisehost/wh_mod_cache.h \
	mod_wisehost/wh_mod_check.c \
	mod_wisehost/wh_mod_cmds.c \
	mod_wisehost/wh_mod_answer.c \
	mod_wisehost/wh_mod_conf.c \
	mod_wisehost/wh_mod_conf.def \
	mod_wisehost/wh_mod_counters.c \
	mod_wisehost/wh_mod_counters.def \
	mod_wisehost/wh_mod_counters.h \
	mod_wisehost/wh_mod_data.h \
	mod_wisehost/wh_mod_db.c \
	mod_wisehost/wh_mod_dump.c \
	mod_wisehost/wh_mod_domain.c \
	mod_wisehost/wh_mod_forward.c \
	mod_wisehost/wh_mod_hold.c \
	mod_wisehost/wh_mod_host.c \
	mod_wisehost/wh_mod_keep.c \
	mod_wisehost/wh_mod_keep.h \
	mod_wisehost/wh_mod_lru.h \
	mod_wisehost/wh_mod_meter.c mod_wisehost/wh_mod_meter_file.c \
	mod_wisehost/wh_mod_meter.h \
	mod_wisehost/wh_mod_page.c \
	mod_wisehost/wh_mod_problem.c \
	mod_wisehost/wh_mod_proxy.c \
	mod_wisehost/wh_mod_proxy.h \
	mod_wisehost/wh_mod_release.c \
	mod_wisehost/wh_mod_route.c \
	mod_wisehost/wh_mod_send.c \
	mod_wisehost/wh_mod_static.c \
	mod_wisehost/wh_mod_feed.c mod_wisehost/wh_mod_feed.h \
	mod_wisehost/wh_mod_stream.c mod_wisehost/wh_mod_stream.h mod_wisehost/wh_mod_stream_int.h \
	mod_wisehost/wh_mod_stream_build.c mod_wisehost/wh_mod_stream_logs.c mod_wisehost/wh_mod_stream_count.c mod_wisehost/wh_mod_stream_http.c mod_wisehost/wh_mod_stream_page.c \
	mod_wisehost/wh_mod_stream_wire.c \
	mod_wisehost/wh_mod_status.c \
	mod_wisehost/wh_mod_type.c \
	mod_wisehost/wh_mod_target.c \
	mod_wisehost/wh_mod_upstream.c
# The control plane.
mod_wisehost_mod_wisehost_la_SOURCES += \
	mod_wisehost/wh_h_actions.c mod_wisehost/wh_h_actions.h \
	mod_wisehost/wh_h_agent.c \
	mod_wisehost/wh_h_alert.c mod_wisehost/wh_h_alert_rule.c \
	mod_wisehost/wh_h_channel.c mod_wisehost/wh_h_logdrain.c \
	mod_wisehost/wh_h_app.c mod_wisehost/wh_h_usage.c \
	mod_wisehost/wh_h_audit.c mod_wisehost/wh_mod_audit.c \
	mod_wisehost/wh_h_applog.c mod_wisehost/wh_h_applog.h \
	mod_wisehost/wh_h_app_stats.c \
	mod_wisehost/wh_h_deployment.c \
	mod_wisehost/wh_h_domain.c \
	mod_wisehost/wh_h_env.c \
	mod_wisehost/wh_h_event.c mod_wisehost/wh_h_event.h \
	mod_wisehost/wh_h_environment.c \
	mod_wisehost/wh_h_git.c \
	mod_wisehost/wh_h_health.c \
	mod_wisehost/wh_h_hook.c \
	mod_wisehost/wh_h_log.c \
	mod_wisehost/wh_h_login.c \
	mod_wisehost/wh_h_openapi.c \
	mod_wisehost/wh_h_metrics.c \
	mod_wisehost/wh_h_push.c \
	mod_wisehost/wh_h_requests.c \
	mod_wisehost/wh_h_stats.c \
	mod_wisehost/wh_h_upload.c \
	mod_wisehost/wh_h_traefik.c \
	mod_wisehost/wh_h_switch.c \
	mod_wisehost/wh_h_source.c \
	mod_wisehost/wh_h_sync.c \
	mod_wisehost/wh_h_delivery.c mod_wisehost/wh_h_delivery.h mod_wisehost/wh_h_webhook.c \
	mod_wisehost/wh_h_worker.c \
	mod_wisehost/wh_h_worker_admin.c \
	mod_wisehost/wh_mod_address.c \
	mod_wisehost/wh_h_ws.c \
	mod_wisehost/wh_mod_api.c \
	mod_wisehost/wh_mod_api.def \
	mod_wisehost/wh_mod_api.h \
	mod_wisehost/wh_mod_api_fields.h \
	mod_wisehost/wh_mod_auth.c \
	mod_wisehost/wh_mod_call.c \
	mod_wisehost/wh_mod_field.c \
	mod_wisehost/wh_mod_field.h \
	mod_wisehost/wh_mod_git.c \
	mod_wisehost/wh_mod_git.h \
	mod_wisehost/wh_mod_git_auth.c \
	mod_wisehost/wh_mod_git_env.c \
	mod_wisehost/wh_mod_git_repo.c \
	mod_wisehost/wh_mod_git_asked.c \
	mod_wisehost/wh_mod_git_asked.h \
	mod_wisehost/wh_mod_git_run.c \
	mod_wisehost/wh_mod_object.c \
	mod_wisehost/wh_mod_poke.c \
	mod_wisehost/wh_mod_push.c \
	mod_wisehost/wh_mod_push.h \
	mod_wisehost/wh_mod_rate.c \
	mod_wisehost/wh_mod_rate.h \
	mod_wisehost/wh_mod_req.c \
	mod_wisehost/wh_mod_req.h \
	mod_wisehost/wh_mod_spawn.c \
	mod_wisehost/wh_mod_spawn.h \
	mod_wisehost/wh_mod_store.c \
	mod_wisehost/wh_mod_store.h \
	mod_wisehost/wh_mod_store_file.c \
	mod_wisehost/wh_mod_store_int.h \
	mod_wisehost/wh_mod_store_object.c \
	mod_wisehost/wh_mod_talk.h
# -isystem: httpd's and APR's own macros do not pass our warnings (-Wcast-qual in APR_RING_SENTINEL).
mod_wisehost_mod_wisehost_la_CPPFLAGS = $(AM_CPPFLAGS) $(HTTPD_CFLAGS) \
	$(patsubst -I%,-isystem%,$(HTTPD_CFLAGS) $(APR_CFLAGS)) -DWH_VERSION=\"$(VERSION)\" \
	-DWH_GIT_HOOKS_DIR=\"$(pkglibexecdir)/git-hooks\" \
	-DWH_UNPACK_PROGRAM=\"$(pkglibexecdir)/wh-unpack\"
mod_wisehost_mod_wisehost_la_CFLAGS = $(AM_CFLAGS) $(Z_CFLAGS)
mod_wisehost_mod_wisehost_la_LIBADD = $(SSL_LIBS) whdb/libwhdb.la \
	$(LMDB_LIBS) $(SQLITE_LIBS) $(PQ_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS) $(Z_LIBS)
mod_wisehost_mod_wisehost_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^wisehost_module$$'

# The hook of repositories that are pushed to: one program under the two names that git looks for.
pkglibexec_PROGRAMS = mod_wisehost/wh-git-hook mod_wisehost/wh-unpack
mod_wisehost_wh_git_hook_SOURCES = mod_wisehost/wh_git_hook.c
# Uploads become commits.
mod_wisehost_wh_unpack_SOURCES = mod_wisehost/wh_unpack.c mod_wisehost/wh_unpack.h mod_wisehost/wh_unpack_import.c
mod_wisehost_wh_unpack_CFLAGS = $(AM_CFLAGS) $(LIBARCHIVE_CFLAGS)
mod_wisehost_wh_unpack_LDADD = libwh/libwh.la $(LIBARCHIVE_LIBS)
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(pkglibexecdir)/git-hooks
	for name in pre-receive post-receive; do \
		ln -sfn ../wh-git-hook $(DESTDIR)$(pkglibexecdir)/git-hooks/$$name; done

EXTRA_DIST += mod_wisehost/README.md

# httpd loads the .so; libtool's own file has no place among the modules.
install-data-hook:
	rm -f $(DESTDIR)$(httpdmoddir)/mod_wisehost.la

uninstall-hook:
	rm -f $(DESTDIR)$(httpdmoddir)/mod_wisehost.so
	rm -f $(DESTDIR)$(pkglibexecdir)/git-hooks/pre-receive $(DESTDIR)$(pkglibexecdir)/git-hooks/post-receive
	-rmdir $(DESTDIR)$(pkglibexecdir)/git-hooks $(DESTDIR)$(pkglibexecdir)

# The schema of wisehost.json, as bytes.
mod_wisehost/wh_repo_schema.inc: conf/wisehost.schema.json
	$(AM_V_GEN)$(MKDIR_P) mod_wisehost && od -An -v -tx1 $(srcdir)/conf/wisehost.schema.json | \
		sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' >$@.new && mv $@.new $@
$(mod_wisehost_mod_wisehost_la_OBJECTS): mod_wisehost/wh_repo_schema.inc
CLEANFILES += mod_wisehost/wh_repo_schema.inc
