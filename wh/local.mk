# wh, the command line: its part of the one Makefile
bin_PROGRAMS += wh/wh
wh_wh_SOURCES = \
	wh/main.c wh/wh_cli.h wh/wh_cmd.h \
	wh/wh_cli_app.c wh/wh_cli_app.def wh/wh_cli_app_options.h wh/wh_cli_conf.c wh/wh_cli_deployment.c wh/wh_cli_http.c wh/wh_cli_input.c wh/wh_cli_list.c wh/wh_cli_opts.c wh/wh_cli_out.c wh/wh_cli_pack.c \
	wh/wh_cli_stream.c wh/wh_cli_switch.c wh/wh_cli_applog.c wh/wh_cli_watch.c wh/wh_cli_worker.c \
	wh/wh_cmd_alerts.c wh/wh_cmd_audit.c wh/wh_cmd_apps.c wh/wh_cmd_apps_create.c wh/wh_cmd_apps_delete.c wh/wh_cmd_apps_info.c wh/wh_cmd_apps_source.c wh/wh_cmd_apps_set.c \
	wh/wh_cmd_cancel.c wh/wh_cmd_deploy.c wh/wh_cmd_deployments.c wh/wh_cmd_doctor.c \
	wh/wh_cmd_drains.c wh/wh_cmd_domains.c wh/wh_cmd_env.c wh/wh_cmd_events.c wh/wh_cmd_environments.c \
	wh/wh_cmd_git_credential.c wh/wh_cmd_git_remote.c \
	wh/wh_cmd_hooks.c wh/wh_cmd_hooks_create.c wh/wh_cmd_hooks_delete.c \
	wh/wh_cmd_hooks_deliveries.c wh/wh_cmd_hooks_replay.c wh/wh_cmd_hooks_rotate.c wh/wh_cmd_hooks_forge.c wh/wh_cmd_approve.c \
	wh/wh_cmd_login.c wh/wh_cmd_logs.c wh/wh_cmd_notify.c wh/wh_cmd_promote.c wh/wh_cmd_rollback.c wh/wh_cmd_stats.c wh/wh_cmd_status.c wh/wh_cmd_sync.c \
	wh/wh_cmd_requests.c wh/wh_cmd_usage.c wh/wh_cmd_version.c \
	wh/wh_cmd_workers.c wh/wh_cmd_workers_drain.c wh/wh_cmd_workers_enroll.c \
	wh/wh_cmd_workers_info.c wh/wh_cmd_workers_remove.c wh/wh_cmd_workers_revoke.c \
	wh/wh_cmd_workers_rotate_key.c wh/wh_cmd_workers_undrain.c
wh_wh_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CURL_CFLAGS) $(LIBARCHIVE_CFLAGS)
EXTRA_DIST += wh/README.md
wh_wh_LDADD = libwh/libwh.la $(APR_LIBS) $(JANSSON_LIBS) $(CURL_LIBS) $(LIBARCHIVE_LIBS)
