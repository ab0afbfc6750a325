#ifndef WH_DB_TRIGGER_H
#define WH_DB_TRIGGER_H
/* The one way in for all triggers (F251): from a commit or a branch of an app to a deployment with
 * the snapshot of what the app is now. Error rules: wh_dbc.h. */

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* Texts: "" = none. */
typedef struct wh_db_trigger_t {
    const char *id, *job_id; /* ULIDs */
    const char *app_id;
    const char *environment;
    wh_trigger_e trigger;
    const char *sha, *ref, *message, *author;
    apr_time_t at;
    int untrusted;                    /* of somebody else: no secrets, and it waits for approval */
    const char *repo_url;             /* instead of the app's; NULL = the app's */
    const wh_deploy_request_t *place; /* its placement instead of the app's; NULL = the app's */
    const char *site; /* wh_deployment_t; NULL = as the last one had it, of this app or of any */
    apr_time_t now;
} wh_db_trigger_t;

/* In the caller's transaction. Of a push to the app's own branch its sync is written, too (F252,
 * F259). Of an app of an image it means that this is pulled anew, whatever the commit; what comes
 * with a repo_url of its own is built from that all the same. Codes: not_found (404: the app was
 * deleted), no_such_worker (422, /placement/worker), too_many_environments. */
apr_status_t wh_db_trigger(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_trigger_t *what,
                           wh_err_t *err) WH_DB_CHECKED;

#endif
