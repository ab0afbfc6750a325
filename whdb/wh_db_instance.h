#ifndef WH_DB_INSTANCE_H
#define WH_DB_INSTANCE_H
/* Instances: the containers that serve a deployment. Written by the scheduler alone. state is what
 * we want of it (running -> draining -> stopped), observed what the agent reports. Error rules:
 * wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* Stores an instance that the claim's worker started for the claim's job: nothing (APR_NOTFOUND)
 * unless the job is processing there and i->deployment_id is the job's. It holds the capacity that
 * the job reserved. i->worker_id, i->app_id, i->state, i->observed are not read: the claim's
 * worker, the deployment's app, running, running. conflict: this worker reported the container
 * before. In the transaction of wh_db_job_finish and before it. */
apr_status_t wh_db_instance_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *claim,
                                   const wh_instance_t *i, wh_err_t *err) WH_DB_CHECKED;

/* Arrays of wh_instance_t*, by id, stopped ones too for a deployment, only live ones for a worker
 * or an app. */
apr_status_t wh_db_instance_list_by_deployment(wh_dbc_t *dbc, apr_pool_t *p,
                                               const char *deployment_id, apr_array_header_t **out,
                                               wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_instance_list_by_worker(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                           apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_instance_list_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* The same of an app's running ones that no environment shows any more. */
apr_status_t wh_db_instance_list_unwanted(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                          apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* A deployment's draining ones run again: they were not stopped yet, and a name shows them. */
apr_status_t wh_db_instance_resume(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                   wh_err_t *err) WH_DB_CHECKED;

/* A live instance, and whether its app's owner wants it to run. */
typedef struct wh_db_wanted_t {
    const char *deployment_id, *app_id;
    wh_instance_state_e state;
    wh_desired_e desired;
} wh_db_wanted_t;

/* Array of wh_db_wanted_t, a worker's live ones. */
apr_status_t wh_db_instance_list_wanted(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                        apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Where a live container of this worker is to be reached now. APR_NOTFOUND: as before, or there is
 * no such container, or the address is not the one that the worker was registered with. */
typedef struct wh_db_place_at_t {
    const char *deployment_id, *container, *address;
    apr_int64_t port;
} wh_db_place_at_t;

apr_status_t wh_db_instance_set_place(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                      const wh_db_place_at_t *at, wh_err_t *err) WH_DB_CHECKED;

/* from -> to of running -> draining -> stopped (running -> stopped too); APR_NOTFOUND: not in from.
 * With stopped, stopped_at = now; follow it with wh_db_worker_recount. */
apr_status_t wh_db_instance_set_state(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                      wh_instance_state_e from, wh_instance_state_e to,
                                      apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* All live ones of a deployment on a worker -> stopped (its stop job succeeded); *n how many (may
 * be NULL). */
apr_status_t wh_db_instance_stop_all(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                     const char *deployment_id, apr_time_t now, int *n,
                                     wh_err_t *err) WH_DB_CHECKED;

/* What the agent reports of one of its containers. */
typedef struct wh_db_observation_t {
    const char *app_id; /* NULL = whichever the deployment is of */
    const char *deployment_id;
    const char *container;
    wh_observed_e observed;
    const char *reason; /* "" or one sentence */
    apr_int64_t restarts;
} wh_db_observation_t;

/* APR_NOTFOUND: this worker has no such container of that deployment and app. */
apr_status_t wh_db_instance_set_observed(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                         const wh_db_observation_t *o, wh_err_t *err) WH_DB_CHECKED;

/* Its owner stopped or started an app: what it violated is forgotten, and its live instances that
 * did show `observed`. *n: how many. */
apr_status_t wh_db_instance_forgive(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    wh_observed_e observed, int *n, wh_err_t *err) WH_DB_CHECKED;

/* A live instance of this worker breaks a rule (F102): observed violated, with o->reason;
 * o->observed and o->restarts are not read. APR_NOTFOUND: this worker has no such live container of
 * that deployment and app. */
apr_status_t wh_db_instance_set_violated(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                         const char *app_id, const wh_db_observation_t *o,
                                         wh_err_t *err) WH_DB_CHECKED;

/* What a worker has of a deployment of an app. */
typedef enum wh_db_held_e {
    WH_DB_HELD_NOT,  /* nothing, ever; or the deployment is another app's */
    WH_DB_HELD_LIVE, /* a live instance, or a job that is starting one */
    WH_DB_HELD_OVER  /* it had one, which was stopped */
} wh_db_held_e;
apr_status_t wh_db_instance_held(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                 const char *app_id, const char *deployment_id, wh_db_held_e *out,
                                 wh_err_t *err) WH_DB_CHECKED;

#endif
