# t/unit: C units with cmocka, TAP on stdout. A unit t/unit/test_<x>.c is two lines here: its name in
# unit_tests, and its _SOURCES.
unit_tests = \
	t/unit/test_address \
	t/unit/test_alert \
	t/unit/test_audit \
	t/unit/test_alerts \
	t/unit/test_applog \
	t/unit/test_asset \
	t/unit/test_assertion \
	t/unit/test_authz \
	t/unit/test_backoff \
	t/unit/test_batch \
	t/unit/test_branch \
	t/unit/test_bucket \
	t/unit/test_clock \
	t/unit/test_conf \
	t/unit/test_db_conn \
	t/unit/test_db_entity \
	t/unit/test_db_env \
	t/unit/test_db_fsm \
	t/unit/test_db_assign \
	t/unit/test_db_job \
	t/unit/test_db_race \
	t/unit/test_db_schema \
	t/unit/test_db_sql \
	t/unit/test_db_worker \
	t/unit/test_drain \
	t/unit/test_domain \
	t/unit/test_env \
	t/unit/test_entry \
	t/unit/test_err \
	t/unit/test_events \
	t/unit/test_file \
	t/unit/test_forge \
	t/unit/test_fsm \
	t/unit/test_gc \
	t/unit/test_gitauth \
	t/unit/test_giturl \
	t/unit/test_hash \
	t/unit/test_headers \
	t/unit/test_hook \
	t/unit/test_pktlist \
	t/unit/test_push \
	t/unit/test_host \
	t/unit/test_httpout \
	t/unit/test_httpurl \
	t/unit/test_hub \
	t/unit/test_hub_auth \
	t/unit/test_id \
	t/unit/test_idmap \
	t/unit/test_intake \
	t/unit/test_json \
	t/unit/test_jwt \
	t/unit/test_keys \
	t/unit/test_life \
	t/unit/test_limits \
	t/unit/test_log \
	t/unit/test_logread \
	t/unit/test_logseg \
	t/unit/test_lru \
	t/unit/test_memo \
	t/unit/test_logdrain \
	t/unit/test_logdrains \
	t/unit/test_notices \
	t/unit/test_notify \
	t/unit/test_manifest \
	t/unit/test_mask \
	t/unit/test_model \
	t/unit/test_negotiate \
	t/unit/test_oidc \
	t/unit/test_places \
	t/unit/test_preset \
	t/unit/test_dockerfile_gen \
	t/unit/test_proto \
	t/unit/test_proto_msg \
	t/unit/test_proto_vectors \
	t/unit/test_publish \
	t/unit/test_redirects \
	t/unit/test_recent \
	t/unit/test_retire \
	t/unit/test_roster \
	t/unit/test_route \
	t/unit/test_sched \
	t/unit/test_sched_place \
	t/unit/test_secret \
	t/unit/test_seq \
	t/unit/test_sign \
	t/unit/test_site \
	t/unit/test_meter \
	t/unit/test_openmetrics \
	t/unit/test_sse \
	t/unit/test_stats \
	t/unit/test_switch \
	t/unit/test_sync \
	t/unit/test_text \
	t/unit/test_tick \
	t/unit/test_time \
	t/unit/test_traefik \
	t/unit/test_usage \
	t/unit/test_upstream

unit_common = t/unit/unit.c t/unit/unit.h
unit_libs = libwh/libwh.la $(APR_LIBS) $(APU_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(CMOCKA_LIBS)

t_unit_test_assertion_SOURCES = t/unit/test_assertion.c $(unit_common)
t_unit_test_assertion_LDADD = $(unit_libs)
t_unit_test_sse_SOURCES = t/unit/test_sse.c $(unit_common)
t_unit_test_sse_LDADD = $(unit_libs)
t_unit_test_backoff_SOURCES = t/unit/test_backoff.c $(unit_common)
t_unit_test_backoff_LDADD = $(unit_libs)
t_unit_test_branch_SOURCES = t/unit/test_branch.c $(unit_common)
t_unit_test_branch_LDADD = $(unit_libs)
t_unit_test_bucket_SOURCES = t/unit/test_bucket.c $(unit_common)
t_unit_test_bucket_LDADD = $(unit_libs)
t_unit_test_clock_SOURCES = t/unit/test_clock.c $(unit_common)
t_unit_test_clock_LDADD = $(unit_libs)
t_unit_test_conf_SOURCES = t/unit/test_conf.c $(unit_common)
t_unit_test_conf_LDADD = $(unit_libs)
t_unit_test_domain_SOURCES = t/unit/test_domain.c $(unit_common)
t_unit_test_domain_LDADD = $(unit_libs)
t_unit_test_entry_SOURCES = t/unit/test_entry.c $(unit_common)
t_unit_test_entry_LDADD = $(unit_libs)
t_unit_test_err_SOURCES = t/unit/test_err.c $(unit_common)
t_unit_test_err_LDADD = $(unit_libs)
t_unit_test_httpurl_SOURCES = t/unit/test_httpurl.c $(unit_common)
t_unit_test_httpurl_LDADD = $(unit_libs)
t_unit_test_oidc_SOURCES = t/unit/test_oidc.c $(unit_common)
t_unit_test_oidc_LDADD = $(unit_libs)
t_unit_test_forge_SOURCES = t/unit/test_forge.c $(unit_common)
t_unit_test_forge_LDADD = $(unit_libs)
t_unit_test_id_SOURCES = t/unit/test_id.c $(unit_common)
t_unit_test_id_LDADD = $(unit_libs)
t_unit_test_json_SOURCES = t/unit/test_json.c $(unit_common)
t_unit_test_json_LDADD = $(unit_libs)
t_unit_test_jwt_SOURCES = t/unit/test_jwt.c $(unit_common)
t_unit_test_jwt_LDADD = $(unit_libs)
t_unit_test_keys_SOURCES = t/unit/test_keys.c $(unit_common)
t_unit_test_keys_LDADD = $(unit_libs)
t_unit_test_limits_SOURCES = t/unit/test_limits.c $(unit_common)
t_unit_test_limits_LDADD = $(unit_libs)
t_unit_test_log_SOURCES = t/unit/test_log.c $(unit_common)
t_unit_test_logread_SOURCES = t/unit/test_logread.c $(unit_common)
t_unit_test_logread_LDADD = $(unit_libs)
t_unit_test_log_LDADD = $(unit_libs)
t_unit_test_logdrain_SOURCES = t/unit/test_logdrain.c $(unit_common)
t_unit_test_logdrain_LDADD = $(unit_libs)
t_unit_test_notify_SOURCES = t/unit/test_notify.c $(unit_common)
t_unit_test_notify_LDADD = $(unit_libs)
t_unit_test_sign_SOURCES = t/unit/test_sign.c $(unit_common)
t_unit_test_sign_LDADD = $(unit_libs)
t_unit_test_text_SOURCES = t/unit/test_text.c $(unit_common)
t_unit_test_text_LDADD = $(unit_libs)
t_unit_test_time_SOURCES = t/unit/test_time.c $(unit_common)
t_unit_test_time_LDADD = $(unit_libs)

# Those of whdb run each case on both databases (t/unit/db.h).
unit_db = t/unit/db.c t/unit/db.h
unit_db_libs = whdb/libwhdb.la $(unit_libs) $(SQLITE_LIBS) $(PQ_LIBS)
unit_db_cppflags = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(PQ_CFLAGS)
t_unit_test_db_conn_SOURCES = t/unit/test_db_conn.c $(unit_db)
t_unit_test_db_conn_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_conn_LDADD = $(unit_db_libs)
t_unit_test_db_entity_SOURCES = t/unit/test_db_entity.c $(unit_db)
t_unit_test_db_entity_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_entity_LDADD = $(unit_db_libs)
t_unit_test_db_env_SOURCES = t/unit/test_db_env.c $(unit_db)
t_unit_test_db_env_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_env_LDADD = $(unit_db_libs)
t_unit_test_db_fsm_SOURCES = t/unit/test_db_fsm.c $(unit_db)
t_unit_test_db_fsm_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_fsm_LDADD = $(unit_db_libs)
t_unit_test_db_assign_SOURCES = t/unit/test_db_assign.c $(unit_db)
t_unit_test_db_assign_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_assign_LDADD = $(unit_db_libs)
t_unit_test_db_job_SOURCES = t/unit/test_db_job.c $(unit_db)
t_unit_test_db_job_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_job_LDADD = $(unit_db_libs)
t_unit_test_db_race_SOURCES = t/unit/test_db_race.c $(unit_db)
t_unit_test_db_race_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_race_LDADD = $(unit_db_libs)
t_unit_test_db_schema_SOURCES = t/unit/test_db_schema.c $(unit_db)
t_unit_test_db_schema_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_schema_LDADD = $(unit_db_libs)
t_unit_test_db_sql_SOURCES = t/unit/test_db_sql.c $(unit_db)
t_unit_test_db_sql_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_sql_LDADD = $(unit_db_libs)
t_unit_test_db_worker_SOURCES = t/unit/test_db_worker.c $(unit_db)
t_unit_test_db_worker_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_db_worker_LDADD = $(unit_db_libs)

# The domain: protocol, names, models, states, routes.
t_unit_test_address_SOURCES = t/unit/test_address.c $(unit_common)
t_unit_test_address_LDADD = $(unit_libs)
t_unit_test_authz_SOURCES = t/unit/test_authz.c $(unit_common)
t_unit_test_authz_LDADD = $(unit_libs)
t_unit_test_env_SOURCES = t/unit/test_env.c $(unit_common)
t_unit_test_env_LDADD = $(unit_libs)
t_unit_test_mask_SOURCES = t/unit/test_mask.c $(unit_common)
t_unit_test_mask_LDADD = $(unit_libs)
t_unit_test_secret_SOURCES = t/unit/test_secret.c $(unit_common)
t_unit_test_secret_LDADD = $(unit_libs)
t_unit_test_fsm_SOURCES = t/unit/test_fsm.c $(unit_common)
t_unit_test_fsm_LDADD = $(unit_libs)
t_unit_test_gc_SOURCES = t/unit/test_gc.c $(unit_common)
t_unit_test_gc_LDADD = $(unit_libs)
t_unit_test_gitauth_SOURCES = t/unit/test_gitauth.c $(unit_common)
t_unit_test_gitauth_LDADD = $(unit_libs)
t_unit_test_giturl_SOURCES = t/unit/test_giturl.c $(unit_common)
t_unit_test_giturl_LDADD = $(unit_libs)
t_unit_test_pktlist_SOURCES = t/unit/test_pktlist.c $(unit_common)
t_unit_test_pktlist_LDADD = $(unit_libs)
t_unit_test_push_SOURCES = t/unit/test_push.c $(unit_common)
t_unit_test_push_LDADD = $(unit_libs)
t_unit_test_hook_SOURCES = t/unit/test_hook.c $(unit_common)
t_unit_test_hook_LDADD = $(unit_libs)
t_unit_test_host_SOURCES = t/unit/test_host.c $(unit_common)
t_unit_test_host_LDADD = $(unit_libs)
t_unit_test_recent_SOURCES = t/unit/test_recent.c $(unit_common)
t_unit_test_recent_LDADD = $(unit_libs)
t_unit_test_traefik_SOURCES = t/unit/test_traefik.c $(unit_common)
t_unit_test_traefik_LDADD = $(unit_libs)
t_unit_test_lru_SOURCES = t/unit/test_lru.c $(unit_common)
t_unit_test_lru_LDADD = $(unit_libs)
t_unit_test_memo_SOURCES = t/unit/test_memo.c $(unit_common)
t_unit_test_memo_LDADD = $(unit_libs)
t_unit_test_upstream_SOURCES = t/unit/test_upstream.c $(unit_common)
t_unit_test_upstream_LDADD = $(unit_libs)
t_unit_test_batch_SOURCES = t/unit/test_batch.c $(unit_common)
t_unit_test_batch_LDADD = $(unit_libs)
t_unit_test_manifest_SOURCES = t/unit/test_manifest.c $(unit_common)
t_unit_test_manifest_LDADD = $(unit_libs)
t_unit_test_model_SOURCES = t/unit/test_model.c $(unit_common)
t_unit_test_model_LDADD = $(unit_libs)
t_unit_test_preset_SOURCES = t/unit/test_preset.c $(unit_common)
t_unit_test_preset_LDADD = $(unit_libs)
t_unit_test_dockerfile_gen_SOURCES = t/unit/test_dockerfile_gen.c $(unit_common)
t_unit_test_dockerfile_gen_LDADD = $(unit_libs)
t_unit_test_proto_SOURCES = t/unit/test_proto.c $(unit_common)
t_unit_test_proto_LDADD = $(unit_libs)
t_unit_test_proto_msg_SOURCES = t/unit/test_proto_msg.c $(unit_common)
t_unit_test_proto_msg_LDADD = $(unit_libs)
t_unit_test_proto_vectors_SOURCES = t/unit/test_proto_vectors.c $(unit_common)
t_unit_test_proto_vectors_LDADD = $(unit_libs)
t_unit_test_route_SOURCES = t/unit/test_route.c $(unit_common)
t_unit_test_route_LDADD = $(unit_libs)
t_unit_test_sched_SOURCES = t/unit/test_sched.c t/unit/sched_world.h $(unit_common)
t_unit_test_sched_LDADD = $(unit_libs)
t_unit_test_sched_place_SOURCES = t/unit/test_sched_place.c t/unit/sched_world.h $(unit_common)
t_unit_test_sched_place_LDADD = $(unit_libs)
t_unit_test_seq_SOURCES = t/unit/test_seq.c $(unit_common)
t_unit_test_seq_LDADD = $(unit_libs)
t_unit_test_alert_SOURCES = t/unit/test_alert.c $(unit_common)
t_unit_test_alert_LDADD = $(unit_libs)
t_unit_test_openmetrics_SOURCES = t/unit/test_openmetrics.c $(unit_common)
t_unit_test_openmetrics_LDADD = $(unit_libs)
t_unit_test_meter_SOURCES = t/unit/test_meter.c $(unit_common)
t_unit_test_meter_LDADD = $(unit_libs)
t_unit_test_stats_SOURCES = t/unit/test_stats.c $(unit_common)
t_unit_test_stats_LDADD = $(unit_libs)
t_unit_test_switch_SOURCES = t/unit/test_switch.c $(unit_common)
t_unit_test_switch_LDADD = $(unit_libs)
t_unit_test_asset_SOURCES = t/unit/test_asset.c $(unit_common)
t_unit_test_asset_LDADD = $(unit_libs)
t_unit_test_file_SOURCES = t/unit/test_file.c $(unit_common)
t_unit_test_file_LDADD = $(unit_libs)
t_unit_test_hash_SOURCES = t/unit/test_hash.c $(unit_common)
t_unit_test_hash_LDADD = $(unit_libs)
t_unit_test_headers_SOURCES = t/unit/test_headers.c $(unit_common)
t_unit_test_headers_LDADD = $(unit_libs)
t_unit_test_negotiate_SOURCES = t/unit/test_negotiate.c $(unit_common)
t_unit_test_negotiate_LDADD = $(unit_libs)
t_unit_test_redirects_SOURCES = t/unit/test_redirects.c $(unit_common)
t_unit_test_redirects_LDADD = $(unit_libs)
t_unit_test_site_SOURCES = t/unit/test_site.c $(unit_common)
t_unit_test_site_LDADD = $(unit_libs)

# Pieces of the scheduler.
t_unit_test_sync_SOURCES = t/unit/test_sync.c $(unit_common)
t_unit_test_sync_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
t_unit_test_httpout_SOURCES = t/unit/test_httpout.c $(unit_common)
t_unit_test_httpout_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
t_unit_test_hub_auth_SOURCES = t/unit/test_hub_auth.c $(unit_common)
t_unit_test_hub_auth_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
t_unit_test_idmap_SOURCES = t/unit/test_idmap.c $(unit_common)
t_unit_test_idmap_LDADD = $(unit_libs)
t_unit_test_roster_SOURCES = t/unit/test_roster.c $(unit_common)
t_unit_test_roster_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
t_unit_test_applog_SOURCES = t/unit/test_applog.c $(unit_common)
t_unit_test_applog_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
t_unit_test_hub_SOURCES = t/unit/test_hub.c $(unit_common)
t_unit_test_hub_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
t_unit_test_logseg_SOURCES = t/unit/test_logseg.c $(unit_common)
t_unit_test_logseg_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)
# The database thread's work, on both databases and with a clock that is moved by hand.
unit_sched = t/unit/sched.c t/unit/sched.h $(unit_db)
unit_sched_libs = wh-scheduler/libsched.la $(unit_db_libs)
t_unit_test_drain_SOURCES = t/unit/test_drain.c $(unit_sched)
t_unit_test_drain_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_drain_LDADD = $(unit_sched_libs)
t_unit_test_retire_SOURCES = t/unit/test_retire.c $(unit_sched)
t_unit_test_retire_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_retire_LDADD = $(unit_sched_libs)
t_unit_test_life_SOURCES = t/unit/test_life.c $(unit_sched)
t_unit_test_life_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_life_LDADD = $(unit_sched_libs)
t_unit_test_intake_SOURCES = t/unit/test_intake.c $(unit_sched)
t_unit_test_intake_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_intake_LDADD = $(unit_sched_libs)
t_unit_test_alerts_SOURCES = t/unit/test_alerts.c $(unit_sched)
t_unit_test_alerts_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_alerts_LDADD = $(unit_sched_libs)
t_unit_test_usage_SOURCES = t/unit/test_usage.c $(unit_sched)
t_unit_test_usage_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_usage_LDADD = $(unit_sched_libs)
t_unit_test_notices_SOURCES = t/unit/test_notices.c $(unit_sched)
t_unit_test_notices_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_notices_LDADD = $(unit_sched_libs)
t_unit_test_audit_SOURCES = t/unit/test_audit.c $(unit_sched)
t_unit_test_audit_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_audit_LDADD = $(unit_sched_libs)
t_unit_test_logdrains_SOURCES = t/unit/test_logdrains.c $(unit_sched)
t_unit_test_logdrains_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_logdrains_LDADD = $(unit_sched_libs)
t_unit_test_places_SOURCES = t/unit/test_places.c $(unit_db)
t_unit_test_places_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_places_LDADD = $(unit_sched_libs)
t_unit_test_events_SOURCES = t/unit/test_events.c $(unit_sched)
t_unit_test_events_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_events_LDADD = $(unit_sched_libs)
t_unit_test_tick_SOURCES = t/unit/test_tick.c $(unit_sched)
t_unit_test_tick_CPPFLAGS = $(unit_db_cppflags)
t_unit_test_tick_LDADD = $(unit_sched_libs)
t_unit_test_publish_SOURCES = t/unit/test_publish.c $(unit_common)
t_unit_test_publish_LDADD = wh-scheduler/libsched.la $(CMOCKA_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests) $(agent_units)
TESTS += $(unit_tests) $(agent_units)
else
TESTS += t/unit/missing-cmocka
endif
EXTRA_DIST += t/unit/missing-cmocka t/data
