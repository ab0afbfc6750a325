# wh-scheduler: the hub, the loops, the publisher of routes.
sbin_PROGRAMS += wh-scheduler/wh-scheduler

# Everything but main: the units of t/unit link it too.
noinst_LTLIBRARIES += wh-scheduler/libsched.la
wh_scheduler_libsched_la_CPPFLAGS = $(AM_CPPFLAGS) $(LWS_CFLAGS) $(LMDB_CFLAGS) $(CURL_CFLAGS) $(CARES_CFLAGS)
wh_scheduler_libsched_la_CFLAGS = $(AM_CFLAGS)
wh_scheduler_libsched_la_SOURCES = \
	wh-scheduler/alerts.c wh-scheduler/alerts.h \
	wh-scheduler/applog.c wh-scheduler/applog.h \
	wh-scheduler/audit.c wh-scheduler/audit.h \
	wh-scheduler/applog_file.c wh-scheduler/applog_file.h \
	wh-scheduler/assign.c wh-scheduler/assign.h \
	wh-scheduler/beats.c wh-scheduler/beats.h \
	wh-scheduler/check.c wh-scheduler/check.h \
	wh-scheduler/claims.c wh-scheduler/claims.h \
	wh-scheduler/core.c wh-scheduler/core.h \
	wh-scheduler/dbthread.c wh-scheduler/dbthread.h \
	wh-scheduler/decline.c wh-scheduler/decline.h \
	wh-scheduler/say.c wh-scheduler/say.h \
	wh-scheduler/desired.c wh-scheduler/desired.h \
	wh-scheduler/domains.c wh-scheduler/domains.h \
	wh-scheduler/drain.c wh-scheduler/drain.h \
	wh-scheduler/envs.c wh-scheduler/envs.h \
	wh-scheduler/eventlog.c wh-scheduler/eventlog.h wh-scheduler/events.c wh-scheduler/events.h \
	wh-scheduler/finish.c wh-scheduler/finish.h \
	wh-scheduler/finish_switch.c wh-scheduler/finish_switch.h \
	wh-scheduler/forges.c wh-scheduler/forges.h \
	wh-scheduler/forges_text.c wh-scheduler/forges_text.h \
	wh-scheduler/gc.c wh-scheduler/gc.h wh-scheduler/gc_int.h \
	wh-scheduler/gc_objects.c \
	wh-scheduler/gone.c wh-scheduler/gone.h \
	wh-scheduler/gzip.c wh-scheduler/gzip.h \
	wh-scheduler/health.c wh-scheduler/health.h \
	wh-scheduler/hub.c wh-scheduler/hub.h \
	wh-scheduler/hub_auth.c wh-scheduler/hub_auth.h \
	wh-scheduler/hub_conn.c wh-scheduler/hub_conn.h \
	wh-scheduler/hub_dispatch.c wh-scheduler/hub_dispatch.h \
	wh-scheduler/hub_listen.c wh-scheduler/hub_lws.h \
	wh-scheduler/hub_msg.c wh-scheduler/hub_msg.h \
	wh-scheduler/hub_msg_app.c \
	wh-scheduler/hub_msg_job.c \
	wh-scheduler/hub_msg_link.c \
	wh-scheduler/hub_msg_log.c \
	wh-scheduler/hub_rate.c wh-scheduler/hub_rate.h \
	wh-scheduler/hub_upgrade.c \
	wh-scheduler/httpout.c wh-scheduler/httpout.h wh-scheduler/outaddr.c wh-scheduler/outaddr.h \
	wh-scheduler/threads.c wh-scheduler/threads.h \
	wh-scheduler/prover.c wh-scheduler/prover.h \
	wh-scheduler/prover_dns.c wh-scheduler/prover_dns.h \
	wh-scheduler/previews.c wh-scheduler/previews.h \
	wh-scheduler/issuers.c wh-scheduler/issuers.h \
	wh-scheduler/init.c wh-scheduler/init.h \
	wh-scheduler/lock.c wh-scheduler/lock.h \
	wh-scheduler/sources.c wh-scheduler/sources.h \
	wh-scheduler/lsremote.c wh-scheduler/lsremote.h \
	wh-scheduler/packer.c wh-scheduler/packer.h \
	wh-scheduler/asked.c wh-scheduler/asked.h \
	wh-scheduler/poller.c wh-scheduler/poller.h \
	wh-scheduler/syncs.c wh-scheduler/syncs.h \
	wh-scheduler/places.c wh-scheduler/places.h wh-scheduler/logdrains.c wh-scheduler/logdrains.h wh-scheduler/syslogout.c wh-scheduler/syslogout.h \
	wh-scheduler/logseg.c wh-scheduler/logseg.h \
	wh-scheduler/metrics.c wh-scheduler/metrics.h \
	wh-scheduler/mailbox.c wh-scheduler/mailbox.h \
	wh-scheduler/notices.c wh-scheduler/notices.h \
	wh-scheduler/offers.c wh-scheduler/offers.h \
	wh-scheduler/publish.c wh-scheduler/publish.h \
	wh-scheduler/publish_dir.c wh-scheduler/publish_dir.h \
	wh-scheduler/recover.c wh-scheduler/recover.h \
	wh-scheduler/requests.c wh-scheduler/requests.h \
	wh-scheduler/retire.c wh-scheduler/retire.h \
	wh-scheduler/roster.c wh-scheduler/roster.h \
	wh-scheduler/routes.c wh-scheduler/routes.h \
	wh-scheduler/segment.c wh-scheduler/segment.h \
	wh-scheduler/settings.c wh-scheduler/settings.h \
	wh-scheduler/standby.c wh-scheduler/standby.h \
	wh-scheduler/switch.c wh-scheduler/switch.h \
	wh-scheduler/tick.c wh-scheduler/tick.h \
	wh-scheduler/times.c wh-scheduler/times.h \
	wh-scheduler/usage.c wh-scheduler/usage.h \
	wh-scheduler/tls.c wh-scheduler/tls.h \
	wh-scheduler/unshown.c wh-scheduler/unshown.h \
	wh-scheduler/user.c wh-scheduler/user.h \
	wh-scheduler/watchdog.c wh-scheduler/watchdog.h
wh_scheduler_libsched_la_LIBADD = whdb/libwhdb.la libwh/libwh.la \
	$(LWS_LIBS) $(LMDB_LIBS) $(CURL_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS) $(Z_LIBS) -lpthread

wh_scheduler_wh_scheduler_SOURCES = wh-scheduler/main.c
wh_scheduler_wh_scheduler_LDADD = wh-scheduler/libsched.la

EXTRA_DIST += wh-scheduler/README.md

# How fast logs are read.
check_PROGRAMS += t/tools/wh-log-read
t_tools_wh_log_read_SOURCES = t/tools/wh-log-read.c
t_tools_wh_log_read_LDADD = libwh/libwh.la $(APR_LIBS)
check_PROGRAMS += t/tools/wh-stream-viewers
t_tools_wh_stream_viewers_SOURCES = t/tools/wh-stream-viewers.c

# An agent's end of the channel for the tests.
check_PROGRAMS += t/tools/wh-test-worker
t_tools_wh_test_worker_SOURCES = t/tools/wh-test-worker.c
t_tools_wh_test_worker_LDADD = libwh/libwh.la $(JANSSON_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS)
