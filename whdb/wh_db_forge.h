#ifndef WH_DB_FORGE_H
#define WH_DB_FORGE_H
/* Hooks that are known to their forge by its API, and what is to be said to it: the module and
 * whoever writes an outcome put it into the outbox, in the transaction of what it tells; the
 * scheduler says it (libwh/wh_forge.h). Tokens are sealed throughout. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_secret.h"
#include "whdb/wh_dbc.h"

/* Texts: "" = none. */
typedef struct wh_db_forge_t {
    const char *hook_id, *provider;
    apr_int64_t secret_n;
    apr_time_t deleted_at; /* of the hook */
    const char *app_id, *slug;
    const char *api, *repository, *url;
    apr_int64_t key_id;
    const char *sealed;    /* the token: wh_db_forge_for */
    const char *remote_id; /* of the hook there */
    int stopped;
    const char *error;
} wh_db_forge_t;

/* What a token is bound to. *names is the caller's, one text. */
wh_secret_for_t wh_db_forge_for(const char *const *hook_id);

/* A new one, or another token: then what was stopped goes on. foreign_key: no such hook. */
apr_status_t wh_db_forge_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_t *f,
                             wh_err_t *err) WH_DB_CHECKED;
/* Of deleted hooks and apps, too. */
apr_status_t wh_db_forge_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, wh_db_forge_t *out,
                             wh_err_t *err) WH_DB_CHECKED;
/* Up to limit whose token an older key sealed: array of wh_db_forge_t. */
apr_status_t wh_db_forge_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t key_id, int limit,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* APR_NOTFOUND: it was set anew meanwhile. */
apr_status_t wh_db_forge_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_t *old,
                                apr_int64_t key_id, const char *sealed,
                                wh_err_t *err) WH_DB_CHECKED;
/* remote_id "": it is not there any more. */
apr_status_t wh_db_forge_remote(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                const char *remote_id, wh_err_t *err) WH_DB_CHECKED;
/* What went wrong last. */
apr_status_t wh_db_forge_error(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *error,
                               wh_err_t *err) WH_DB_CHECKED;
/* Nothing is said any more, and error says why. */
apr_status_t wh_db_forge_stop(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *error,
                              wh_err_t *err) WH_DB_CHECKED;
/* All of it, and what was to be said. */
apr_status_t wh_db_forge_remove(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                wh_err_t *err) WH_DB_CHECKED;

/* ---- requests ---- */

typedef struct wh_db_forge_request_t {
    const char *hook_id, *environment, *number, *comment_id;
    int closed;
} wh_db_forge_request_t;

/* A request has this environment, or is closed; its comment is to be written. Nothing for a hook
 * that its forge does not know by its API. */
apr_status_t wh_db_forge_request(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_request_t *r,
                                 wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_forge_request_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                     const char *environment, wh_db_forge_request_t *out,
                                     wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_forge_request_comment(wh_dbc_t *dbc, apr_pool_t *p,
                                         const wh_db_forge_request_t *r, const char *comment_id,
                                         wh_err_t *err) WH_DB_CHECKED;
/* It is closed, and that was said. */
apr_status_t wh_db_forge_request_over(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_request_t *r,
                                      wh_err_t *err) WH_DB_CHECKED;

/* ---- the outbox ---- */

#define WH_FORGE_SAY_HOOK "hook"
#define WH_FORGE_SAY_UNHOOK "unhook"
#define WH_FORGE_SAY_STATUS "status"
#define WH_FORGE_SAY_COMMENT "comment"

/* A deployment was made, or is over: in the transaction that says so. */
apr_status_t wh_db_forge_note_deployment(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                         wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_forge_note(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *kind,
                              const char *subject, wh_err_t *err) WH_DB_CHECKED;
/* The app goes, and its hooks with it. */
apr_status_t wh_db_forge_note_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                  wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_forge_say_t {
    const char *hook_id, *kind, *subject;
    apr_int64_t version, attempts;
} wh_db_forge_say_t;

/* array of wh_db_forge_say_t */
apr_status_t wh_db_forge_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                             apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* failed: 1 counts an attempt. */
apr_status_t wh_db_forge_later(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_say_t *say,
                               apr_time_t next_at, int failed, wh_err_t *err) WH_DB_CHECKED;
/* It was said; what came since is due. */
apr_status_t wh_db_forge_said(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_say_t *say,
                              wh_err_t *err) WH_DB_CHECKED;

#endif
