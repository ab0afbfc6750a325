# libwh: the pure domain library, linked into the module, both daemons and the tests. Not installed.
noinst_LTLIBRARIES += libwh/libwh.la
libwh_libwh_la_CFLAGS = $(AM_CFLAGS) $(ZSTD_CFLAGS)
libwh_libwh_la_LDFLAGS = $(AM_LDFLAGS)
libwh_libwh_la_LIBADD = $(APR_LIBS) $(APU_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(IDN2_LIBS) $(ZSTD_LIBS)

# Foundations: errors, logging, time, ids, text, JSON, keys, configuration.
libwh_libwh_la_SOURCES = \
	libwh/wh_try.h libwh/wh_types.h \
	libwh/wh_assertion.c libwh/wh_assertion.h \
	libwh/wh_backoff.c libwh/wh_backoff.h \
	libwh/wh_branch.c libwh/wh_branch.h libwh/wh_domain.c libwh/wh_domain.h \
	libwh/wh_bucket.c libwh/wh_bucket.h \
	libwh/wh_clock.c libwh/wh_clock.h \
	libwh/wh_conf.c libwh/wh_conf.h \
	libwh/wh_err.c libwh/wh_err.h \
	libwh/wh_fault.c libwh/wh_fault.h \
	libwh/wh_httpurl.c libwh/wh_httpurl.h \
	libwh/wh_id.c libwh/wh_id.h \
	libwh/wh_idn.c libwh/wh_idn.h \
	libwh/wh_idmap.c libwh/wh_idmap.h \
	libwh/wh_imageref.c libwh/wh_imageref.h \
	libwh/wh_json.c libwh/wh_json.h \
	libwh/wh_jwt.c libwh/wh_jwt.h \
	libwh/wh_keys.c libwh/wh_keys.h \
	libwh/wh_limits.c libwh/wh_limits.h \
	libwh/wh_log.c libwh/wh_log.h \
	libwh/wh_oidc.c libwh/wh_oidc.h \
	libwh/wh_rand.c libwh/wh_rand.h \
	libwh/wh_recent.c libwh/wh_recent.h \
	libwh/wh_secret.c libwh/wh_secret.h \
	libwh/wh_sign.c libwh/wh_sign.h \
	libwh/wh_sys.c libwh/wh_sys.h \
	libwh/wh_sse.c libwh/wh_sse.h \
	libwh/wh_sync.c libwh/wh_sync.h \
	libwh/wh_text.c libwh/wh_text.h \
	libwh/wh_time.c libwh/wh_time.h

# The domain: protocol, names, models, states, routes.
libwh_libwh_la_SOURCES += \
	libwh/wh_actions.c libwh/wh_actions.h \
	libwh/wh_address.c libwh/wh_address.h \
	libwh/wh_alert.c libwh/wh_alert.h libwh/wh_alert.def \
	libwh/wh_alert_plan.c libwh/wh_alert_plan.h \
	libwh/wh_usage.c libwh/wh_usage.h \
	libwh/wh_asset.c libwh/wh_asset.h \
	libwh/wh_authz.c libwh/wh_authz.h libwh/wh_authz.def \
	libwh/wh_batch.c libwh/wh_batch.h \
	libwh/wh_dockerfile_gen.c libwh/wh_dockerfile_gen.h \
	libwh/wh_commit.c libwh/wh_commit.h \
	libwh/wh_drain.c libwh/wh_drain.h \
	libwh/wh_env.c libwh/wh_env.h libwh/wh_mask.c libwh/wh_mask.h \
	libwh/wh_event.c libwh/wh_event.h libwh/wh_event.def \
	libwh/wh_news.c libwh/wh_news.h libwh/wh_news.def \
	libwh/wh_fsm.c libwh/wh_fsm.h \
	libwh/wh_forge.c libwh/wh_forge.h libwh/wh_forge.def \
	libwh/wh_gc.c libwh/wh_gc.h \
	libwh/wh_gitauth.c libwh/wh_gitauth.h libwh/wh_gitauth.def \
	libwh/wh_giturl.c libwh/wh_giturl.h \
	libwh/wh_sshkey.c libwh/wh_sshkey.h \
	libwh/wh_file.c libwh/wh_file.h \
	libwh/wh_hash.c libwh/wh_hash.h \
	libwh/wh_headers.c libwh/wh_headers.h \
	libwh/wh_hook.c libwh/wh_hook.h libwh/wh_hook_int.h libwh/wh_hook_decode.c libwh/wh_hook_log.c \
	libwh/wh_hook_provider.c libwh/wh_hook_provider.def \
	libwh/wh_host.c libwh/wh_host.h \
	libwh/wh_lograte.c libwh/wh_lograte.h \
	libwh/wh_level.c libwh/wh_level.h \
	libwh/wh_logline.c libwh/wh_logline.h \
	libwh/wh_logpack.c libwh/wh_logpack.h \
	libwh/wh_logread.c libwh/wh_logread.h \
	libwh/wh_lru.c libwh/wh_lru.h \
	libwh/wh_openmetrics.c libwh/wh_openmetrics.h \
	libwh/wh_meter.c libwh/wh_meter.def libwh/wh_meter.h libwh/wh_meter_file.c libwh/wh_meter_file.h \
	libwh/wh_memo.c libwh/wh_memo.h \
	libwh/wh_manifest.c libwh/wh_manifest.h \
	libwh/wh_mime.c libwh/wh_mime.h \
	libwh/wh_model.c libwh/wh_model.h libwh/wh_model.def libwh/wh_model_int.h \
	libwh/wh_model_app.c \
	libwh/wh_model_build.c \
	libwh/wh_model_deployment.c \
	libwh/wh_model_env.c \
	libwh/wh_model_hook.c \
	libwh/wh_model_place.c \
	libwh/wh_model_snapshot.c \
	libwh/wh_model_switch.c \
	libwh/wh_model_worker.c \
	libwh/wh_negotiate.c libwh/wh_negotiate.h \
	libwh/wh_pattern.c libwh/wh_pattern.h \
	libwh/wh_pool.c libwh/wh_pool.h \
	libwh/wh_preset.c libwh/wh_preset.h libwh/wh_preset.def \
	libwh/wh_preset_text.c libwh/wh_preset_text.h \
	libwh/wh_proto.c libwh/wh_proto.h libwh/wh_proto_msg.def \
	libwh/wh_proto_msg.c libwh/wh_proto_msg.h libwh/wh_proto_msg_int.h \
	libwh/wh_proto_msg_app.c \
	libwh/wh_proto_msg_job.c \
	libwh/wh_proto_msg_link.c \
	libwh/wh_proto_msg_log.c \
	libwh/wh_channel.c libwh/wh_channel.h \
	libwh/wh_logdrain.c libwh/wh_logdrain.h \
	libwh/wh_notify.c libwh/wh_notify.h \
	libwh/wh_stdhook.c libwh/wh_stdhook.h \
	libwh/wh_shout.c libwh/wh_shout.h libwh/wh_shout.def \
	libwh/wh_entry.c libwh/wh_entry.h \
	libwh/wh_pktlist.c libwh/wh_pktlist.h \
	libwh/wh_push.c libwh/wh_push.h \
	libwh/wh_redirects.c libwh/wh_redirects.h \
	libwh/wh_route.c libwh/wh_route.h \
	libwh/wh_sched.c libwh/wh_sched.h \
	libwh/wh_seq.c libwh/wh_seq.h \
	libwh/wh_site.c libwh/wh_site.h \
	libwh/wh_stats.c libwh/wh_stats.h \
	libwh/wh_traefik.c libwh/wh_traefik.h \
	libwh/wh_switch.c libwh/wh_switch.h \
	libwh/wh_upstream.c libwh/wh_upstream.h

EXTRA_DIST += libwh/README.md
