#ifndef WH_DB_NAME_H
#define WH_DB_NAME_H
/* Names: labels under the base domain and the deployment that each shows; the source of the route
 * table. Written by the scheduler alone. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* Points a label at a deployment: inserts it, or moves it if it is the same app's (previous_id and
 * times of n but expires_at are not read: the former deployment becomes the previous one; naming
 * the same deployment again changes nothing but updated_at and expires_at). Error name_taken 409:
 * another app has it. */
apr_status_t wh_db_name_claim(wh_dbc_t *dbc, apr_pool_t *p, const wh_name_t *n, apr_time_t now,
                              wh_err_t *err) WH_DB_CHECKED;

/* Points every name of an environment but deployments' own at a deployment: app_id, environment and
 * deployment_id of n are read. */
apr_status_t wh_db_name_move(wh_dbc_t *dbc, apr_pool_t *p, const wh_name_t *n, apr_time_t now,
                             wh_err_t *err) WH_DB_CHECKED;

/* Array of wh_name_t*, by label. */
apr_status_t wh_db_name_list_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Deletes all of an app's; *n (may be NULL) how many. */
apr_status_t wh_db_name_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, int *n,
                                      wh_err_t *err) WH_DB_CHECKED;

/* ---- previews: environments whose names go at a time ---- */
typedef struct wh_db_preview_t {
    const char *app_id, *slug, *environment;
    apr_time_t expires_at;
} wh_db_preview_t;

/* The names of a preview go at this time; those of other environments are left alone. */
apr_status_t wh_db_name_expire(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               const char *environment, apr_time_t at,
                               wh_err_t *err) WH_DB_CHECKED;

/* All names of an environment go at that time, whatever it is: the scheduler takes them out of the
 * table and ends what only they showed. *n of them. */
apr_status_t wh_db_name_close(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                              const char *environment, apr_time_t at, int *n,
                              wh_err_t *err) WH_DB_CHECKED;

/* An app's previews that last beyond now, the newest deployment first; array of wh_db_preview_t. */
apr_status_t wh_db_name_list_previews(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                      apr_time_t now, apr_array_header_t **out,
                                      wh_err_t *err) WH_DB_CHECKED;

/* Up to limit previews of all apps that are to go by now. */
apr_status_t wh_db_name_list_expired(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                     apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Deletes the names of an environment that are to go by now; *n (may be NULL) how many. */
apr_status_t wh_db_name_delete_expired(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                       const char *environment, apr_time_t now, int *n,
                                       wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_upstream_t {
    const char *instance_id;
    apr_int64_t worker_id;
    const char *address;
    int port;
    wh_observed_e observed; /* as its agent reported it last */
} wh_db_upstream_t;

/* One name with all that a route record needs. */
typedef struct wh_db_route_t {
    const char *name; /* a label under the base domain, or, where domain is set, a host */
    int domain;
    const char *redirect_to; /* a domain that leads elsewhere: "https://example.com", else "" */
    int redirect_code;
    const char *app_id;
    const char *slug;
    wh_kind_e app_kind;
    wh_desired_e desired;
    wh_serve_t serve;        /* as it is set now; not clean_urls and grace_s */
    const char *environment; /* from here on "" and 0 for a redirect without a deployment */
    wh_name_kind_e kind;     /* of a domain: that of its environment's own name */
    apr_time_t updated_at;   /* of the name: grows with each switch */
    apr_time_t switched_at;  /* when it came to this deployment */
    const char *deployment_id;
    apr_int64_t number;           /* of the deployment within its app */
    const char *release_id;       /* "" for containers */
    const char *snapshot;         /* JSON text of the deployment: spa … as they were deployed */
    const char *previous_release; /* of the deployment that it showed before, "" = none */
    int switching;                /* the environment's next deployment is starting */
    apr_array_header_t
        *upstreams; /* of wh_db_upstream_t, state running, by instance id; never NULL */
} wh_db_route_t;

/* Routes of one live app, or of all live apps (app_id NULL): labels, then active domains, each by
 * name; array of wh_db_route_t*. */
apr_status_t wh_db_name_routes(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* A number that has gone up by every transaction after which a name may answer otherwise: names,
 * what an app is to do, running instances. Who publishes on another machine looks at it. */
apr_status_t wh_db_name_changes(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *out,
                                wh_err_t *err) WH_DB_CHECKED;

#endif
