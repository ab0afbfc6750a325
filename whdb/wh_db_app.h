#ifndef WH_DB_APP_H
#define WH_DB_APP_H
/* Apps. The module writes what the owner wants, the scheduler what is observed. Error rules:
 * wh_dbc.h. A deleted app keeps its row (deployments point to it) with deleted_at set; its slug is
 * free again once the names are gone. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* Stores a new app (version, created_at, updated_at as given). conflict: the slug is taken by a
 * live app. */
apr_status_t wh_db_app_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_app_t *app,
                              wh_err_t *err) WH_DB_CHECKED;

/* The live app of this slug. */
apr_status_t wh_db_app_by_slug(wh_dbc_t *dbc, apr_pool_t *p, const char *slug, wh_app_t **out,
                               wh_err_t *err) WH_DB_CHECKED;

/* The app of this id, deleted ones too (see deleted_at). */
apr_status_t wh_db_app_by_id(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_app_t **out,
                             wh_err_t *err) WH_DB_CHECKED;

/* Up to limit live apps with slug > after ("" = from the start), by slug; array of wh_app_t*. */
apr_status_t wh_db_app_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                            apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Writes all that an owner may change (name, repository, build, run, spa, serve, previews, desired)
 * if the live row still has app->version; then sets version + 1 and updated_at = now in the row and
 * in app. Where its names are to answer otherwise, wh_db_app_republish comes along.
 * APR_NOTFOUND: somebody else changed or deleted it. */
apr_status_t wh_db_app_update(wh_dbc_t *dbc, apr_pool_t *p, wh_app_t *app, apr_time_t now,
                              wh_err_t *err) WH_DB_CHECKED;

/* Asks the scheduler to publish an app's names anew; it reads so at its next look, and at once when
 * it is poked. */
apr_status_t wh_db_app_republish(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                 wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_republish_t {
    const char *app_id;
    apr_int64_t seen; /* how often it was asked for */
} wh_db_republish_t;

/* Up to limit apps that ask for it, by id; array of wh_db_republish_t. */
apr_status_t wh_db_app_list_republish(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                      apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* It is done, unless it was asked for again since. */
apr_status_t wh_db_app_republished(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_republish_t *one,
                                   wh_err_t *err) WH_DB_CHECKED;

/* Marks deleted, desired = stopped, if the live row still has this version (APR_NOTFOUND as above).
 * The scheduler then cancels, stops, unpublishes: wh_db_app_list_deleted. */
apr_status_t wh_db_app_mark_deleted(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                    apr_int64_t version, apr_time_t now,
                                    wh_err_t *err) WH_DB_CHECKED;

/* Deleted apps whose clean-up is not finished: some name, open job or deployment or live instance
 * is left. Array of wh_app_t*. */
apr_status_t wh_db_app_list_deleted(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                    apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Live apps that their owners stopped; array of const char *, by id. */
apr_status_t wh_db_app_list_stopped(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                    wh_err_t *err) WH_DB_CHECKED;

/* Observed state and its reason (one sentence or ""); the version stays, for an owner's If-Match
 * must not fail because a container restarted. Same values: nothing is written, APR_SUCCESS. */
apr_status_t wh_db_app_set_observed(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                    wh_observed_e observed, const char *reason, apr_time_t now,
                                    wh_err_t *err) WH_DB_CHECKED;

#endif
