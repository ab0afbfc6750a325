/* The scheduler's configuration file and the paths that follow from it. Read once, before any
 * thread; afterwards nothing of it changes but the log level (SIGHUP). */
#ifndef WH_SETTINGS_H
#define WH_SETTINGS_H

#include <stdio.h>
#include "libwh/wh_err.h"

typedef struct wh_settings_t {
    const char *state_dir;
    const char *db_driver;
    const char *db_params;
    const char *hub_socket;
    const char *httpd_user;
    const char *listen; /* empty = no listener of our own */
    const char *listen_cert, *listen_key;
    int allow_raw_key;
    const char *base_domain;
    const char *dns_resolver; /* empty = the system's */
    apr_int64_t domain_http_port;
    int domain_private;
    const char *git_program;
    const char *local_repo_root; /* empty = no local repository is polled */
    const char *ca_file;         /* empty = the system's */
    int git_private;
    int http_private;
    apr_int64_t notify_keep_days, notify_disable_after;
    const char *log_level;
    apr_int64_t clone_s, build_s, start_s, check_s;
    const char *job_on_worker_loss; /* reassign or hold */
    apr_int64_t tick_ms;
    apr_int64_t max_workers;
    apr_int64_t releases_kept, releases_kept_s;
    apr_int64_t audit_days; /* 0 = for ever */
    apr_int64_t switches_kept_s;
    apr_int64_t collect_after_s;
    apr_int64_t app_log_bytes, app_log_age_s;
    apr_int64_t event_log_bytes, event_log_age_s;

    const char *listen_host; /* an IP address without brackets, and the port; NULL = no listener */
    apr_int64_t listen_port;
    const char *keys_dir; /* state_dir/keys and so on: derived, not in the file */
    const char *routes;   /* the link to the route table in force */
    const char *logs_dir;
    const char *lock_file;
    const char *sqlite_file; /* NULL with another driver */
} wh_settings_t;

/* Read path into *out; strings are in p. Besides the key table's own errors: bad_config for a base
 * domain that is none. */
apr_status_t wh_settings_load(apr_pool_t *p, const char *path, wh_settings_t *out,
                              wh_err_t *err) WH_MUST_CHECK;

/* 1 when an assigned job waits for the worker that dropped (F10). */
int wh_settings_hold(const wh_settings_t *settings);

/* The file in force, and the reference with every key explained. */
void wh_settings_dump(FILE *to, const wh_settings_t *settings);
void wh_settings_reference(FILE *to);

#endif
