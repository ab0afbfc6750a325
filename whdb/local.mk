# whdb: the database layer, linked into the module, the scheduler and the tests. Not installed.
noinst_LTLIBRARIES += whdb/libwhdb.la
whdb_libwhdb_la_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(PQ_CFLAGS)
whdb_libwhdb_la_CFLAGS = $(AM_CFLAGS)
whdb_libwhdb_la_LDFLAGS = $(AM_LDFLAGS)
whdb_libwhdb_la_LIBADD = libwh/libwh.la $(APR_LIBS) $(APU_LIBS) $(SQLITE_LIBS) $(PQ_LIBS)
whdb_libwhdb_la_SOURCES = \
	whdb/wh_db_alert.c whdb/wh_db_alert.h whdb/wh_db_alert_row.h \
	whdb/wh_db_alert_tick.c whdb/wh_db_alert_tick.h \
	whdb/wh_db_app.c whdb/wh_db_app.h \
	whdb/wh_db_audit.c whdb/wh_db_audit.h whdb/wh_sql_audit.def \
	whdb/wh_db_deployment.c whdb/wh_db_deployment.h \
	whdb/wh_db_fleet.c whdb/wh_db_fleet.h \
	whdb/wh_db_domain.c whdb/wh_db_domain.h \
	whdb/wh_db_drain.c whdb/wh_db_drain.h \
	whdb/wh_db_forge.c whdb/wh_db_forge.h \
	whdb/wh_db_front.c whdb/wh_db_front.h \
	whdb/wh_db_gc.c whdb/wh_db_gc.h \
	whdb/wh_db_env.c whdb/wh_db_env.h \
	whdb/wh_db_environment.c whdb/wh_db_environment.h \
	whdb/wh_db_event.c whdb/wh_db_event.h \
	whdb/wh_db_hook.c whdb/wh_db_hook.h \
	whdb/wh_db_instance.c whdb/wh_db_instance.h \
	whdb/wh_db_issuer.c whdb/wh_db_issuer.h \
	whdb/wh_db_job.c whdb/wh_db_job.h \
	whdb/wh_db_lock.c whdb/wh_db_lock.h \
	whdb/wh_db_name.c whdb/wh_db_name.h \
	whdb/wh_db_logdrain.c whdb/wh_db_logdrain.h whdb/wh_sql_logdrain.def \
	whdb/wh_db_notify.c whdb/wh_db_notify.h \
	whdb/wh_db_outbox.c whdb/wh_db_outbox.h \
	whdb/wh_db_plan.c whdb/wh_db_plan.h whdb/wh_db_assign.c whdb/wh_db_assign.h \
	whdb/wh_db_release.c whdb/wh_db_release.h \
	whdb/wh_db_schema.c whdb/wh_db_schema.h whdb/wh_schema_files.h \
	whdb/wh_db_time.c whdb/wh_db_time.h \
	whdb/wh_db_source.c whdb/wh_db_source.h whdb/wh_sql_source.def \
	whdb/wh_db_sync.c whdb/wh_db_sync.h whdb/wh_db_trigger.c whdb/wh_db_trigger.h \
	whdb/wh_db_switch.c whdb/wh_db_switch.h \
	whdb/wh_db_usage.c whdb/wh_db_usage.h whdb/wh_sql_usage.def \
	whdb/wh_db_token.c whdb/wh_db_token.h \
	whdb/wh_db_traefik.c whdb/wh_db_traefik.h \
	whdb/wh_db_worker.c whdb/wh_db_worker.h \
	whdb/wh_dbc.c whdb/wh_dbc.h whdb/wh_dbc_priv.h \
	whdb/wh_dbc_err.c whdb/wh_dbc_run.c whdb/wh_dbc_tx.c whdb/wh_dbc_turn.c \
	whdb/wh_sql.c whdb/wh_sql.h whdb/wh_sql.def \
	whdb/wh_sql_alert.def whdb/wh_sql_env.def whdb/wh_sql_event.def \
	whdb/wh_sql_forge.def \
	whdb/wh_sql_gc.def \
	whdb/wh_sql_issuer.def \
	whdb/wh_sql_notify.def \
	whdb/wh_sql_hook.def whdb/wh_sql_sync.def \
	whdb/wh_sql_names.def \
	whdb/wh_sql_traefik.def \
	whdb/wh_sql_switch.def
nodist_whdb_libwhdb_la_SOURCES = schema/wh_schema_files.c

EXTRA_DIST += whdb/README.md
