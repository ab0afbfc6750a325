#ifndef WH_DB_FLEET_H
#define WH_DB_FLEET_H
/* What administrators do with workers, and what a worker does with its own key. Written by the
 * module; every call that changes more than one row wants the caller's transaction. Error rules:
 * wh_dbc.h. After the commit the scheduler is to be poked: it closes connections that no longer
 * hold. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* from -> to of active and draining; drain_at is now for draining, else 0. APR_NOTFOUND: it is not
 * in from. */
apr_status_t wh_db_fleet_set_admin(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                   wh_worker_admin_e from, wh_worker_admin_e to, apr_time_t now,
                                   wh_err_t *err) WH_DB_CHECKED;

/* Its key is good for nothing from now on; the worker and its apps stay. APR_NOTFOUND: revoked or
 * removed before. */
apr_status_t wh_db_fleet_revoke(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                                wh_err_t *err) WH_DB_CHECKED;

/* Notes that its key is to be changed (the scheduler tells it). APR_NOTFOUND: revoked, removed. */
apr_status_t wh_db_fleet_ask_rotate(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                                    wh_err_t *err) WH_DB_CHECKED;

/* A new key in the place of the old one, by compare-and-set: both are hex SHA-256. APR_NOTFOUND:
 * the old one is not (or no longer) its key. conflict: another worker has the new one. */
apr_status_t wh_db_fleet_rotate(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, const char *old_hash,
                                const char *new_hash, apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* Gives the worker of this name another key, whatever it had, and takes a revocation back: for an
 * enrolment token that replaces, in the transaction of wh_db_worker_register and before it.
 * APR_SUCCESS also when there is no such worker. conflict: another worker has the key. */
apr_status_t wh_db_fleet_take_over(wh_dbc_t *dbc, apr_pool_t *p, const char *name,
                                   const char *new_hash, apr_time_t now,
                                   wh_err_t *err) WH_DB_CHECKED;

/* Takes the worker out for good, in the caller's transaction: its key never counts again, its name
 * is free. Jobs that it had not begun go to another worker; those that it had begun, and those of
 * deployments placed on it by name, fail as worker_removed, and what it still says of them finds
 * nothing. What lived there counts as stopped. APR_NOTFOUND: removed before, or one of its jobs
 * moved at the same time: roll back and ask again. */
apr_status_t wh_db_fleet_remove(wh_dbc_t *dbc, apr_pool_t *p, const wh_worker_t *w, apr_time_t now,
                                wh_err_t *err) WH_DB_CHECKED;

/* An app and environment that still has containers on a worker. */
typedef struct wh_db_left_t {
    const char *app, *environment; /* slug */
    int superseded;                /* its former containers alone: they stop by themselves */
    const char *deployment_id;     /* what is to move it: open, or of this drain; "" = none */
    wh_deployment_status_e status; /* of that */
    const char *cause_code, *cause_detail;
} wh_db_left_t;

/* Array of wh_db_left_t*, by slug and environment, one each; deployments of trigger `drain` count
 * from `since` on. */
apr_status_t wh_db_fleet_left(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t since,
                              apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* F59, F152: sums over all workers that were not removed. */
typedef struct wh_db_stats_t {
    apr_int64_t workers, online, draining;
    apr_int64_t cpu_millis, cpu_used, memory_bytes, memory_used;
    apr_int64_t jobs_pending, jobs_assigned, jobs_processing, apps_running;
    apr_time_t oldest_pending; /* when the job was made that has waited longest, 0 = none waits */
} wh_db_stats_t;

apr_status_t wh_db_fleet_stats(wh_dbc_t *dbc, apr_pool_t *p, wh_db_stats_t *out,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
