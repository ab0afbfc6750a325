#ifndef WH_DB_AUDIT_H
#define WH_DB_AUDIT_H
/* The audit log. Nothing here changes a row; the database would refuse it. Error rules: wh_dbc.h.
 */

#include <apr_tables.h>

#include "whdb/wh_dbc.h"

typedef struct wh_db_audit_t {
    const char *id;
    apr_time_t at;
    const char *actor_kind, *actor_id; /* who */
    const char *action, *object;       /* what: "app.delete", "DELETE /v1/apps/blog" */
    const char *app_id, *slug;         /* "" = of no app; slug only when it is read */
    const char *address, *request_id;  /* from where */
    const char *outcome;               /* done, refused, failed */
    int status;                        /* of the answer */
    const char *code;                  /* of the problem, "" = none */
} wh_db_audit_t;

apr_status_t wh_db_audit_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_audit_t *row,
                                wh_err_t *err) WH_DB_CHECKED;

/* "" and 0 = whatever. */
typedef struct wh_db_audit_filter_t {
    const char *before; /* ids less than that */
    const char *action, *slug, *actor;
    apr_time_t since;
    int limit;
} wh_db_audit_filter_t;

/* Newest first: array of wh_db_audit_t. */
apr_status_t wh_db_audit_list(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_audit_filter_t *filter,
                              apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* The one way in which rows go, in a transaction: all older than before, from now on refused no
 * more by the database. *n = how many. */
apr_status_t wh_db_audit_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int *n,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
