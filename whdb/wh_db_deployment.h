#ifndef WH_DB_DEPLOYMENT_H
#define WH_DB_DEPLOYMENT_H
/* Deployments: prepare -> deploy -> finalize -> completed, `fail` on the way to completed (F183,
 * F185). Each step is a compare-and-set; APR_NOTFOUND = it was not in that state (any more). That
 * one deployment an app and environment is active is kept by a unique index. Error rules: wh_dbc.h.
 *
 * Functions with a claim act for a worker: nothing happens unless it holds the deployment's job,
 * at that epoch, in state processing. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* What a new deployment is made of. Texts: "" = none, never NULL. */
typedef struct wh_db_deployment_new_t {
    const char *id;     /* ULID of the deployment */
    const char *job_id; /* ULID of its job */
    const char *app_id;
    const char *environment;
    wh_trigger_e trigger;
    const char *commit_sha;
    const char *commit_ref;
    const char *commit_message;
    const char *commit_author;
    apr_time_t commit_at;
    const char *snapshot;     /* wh_model_snapshot_text; also says what the job reserves */
    apr_int64_t priority;     /* higher goes first (F143) */
    apr_int64_t worker_id;    /* 0 = any (F144): the app's place_worker, resolved */
    const char *place_zone;   /* only workers of this zone; "" or NULL = any */
    const char *place_labels; /* JSON object of strings that the worker must have; NULL = {} */
    const char *source_id;    /* the deployment whose image it starts from; NULL = it is built */
    const char *image_digest; /* what of the snapshot's image is pulled; NULL = as it is then */
    const char *env_of;       /* whose env vars it gets; NULL = those in force now */
    int env_public;           /* of these, no secrets */
    const char *site;         /* wh_deployment_t */
    int untrusted;            /* its job waits till wh_db_deployment_approve */
    apr_time_t now;
} wh_db_deployment_new_t;

/* Makes the deployment (`prepare`) and its job (`pending`); *number is its number in the app:
 * 1, 2, 3, ... without gaps; another who makes one at the same time waits. Only in a transaction
 * (db_error otherwise). APR_NOTFOUND: no live app of this id. */
apr_status_t wh_db_deployment_create(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_deployment_new_t *d,
                                     apr_int64_t *number, wh_err_t *err) WH_DB_CHECKED;

/* Makes a deployment that is completed and succeeded from the beginning, without a job: the release
 * and the commit of source, with this snapshot, in this environment. In a transaction only.
 * APR_NOTFOUND: no live app. */
typedef struct wh_db_over_t {
    const char *id;
    const char *environment;
    wh_trigger_e trigger;
    const wh_deployment_t *source;
    const char *snapshot;
    const char *env_of; /* as above */
    apr_time_t now;
} wh_db_over_t;
apr_status_t wh_db_deployment_take_over(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_over_t *over,
                                        wh_err_t *err) WH_DB_CHECKED;

/* The newest of an environment, whatever became of it. */
apr_status_t wh_db_deployment_newest(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                     const char *environment, wh_deployment_t **out,
                                     wh_err_t *err) WH_DB_CHECKED;

/* Lets an untrusted deployment begin. In a transaction. APR_NOTFOUND: it does not wait for that. */
apr_status_t wh_db_deployment_approve(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                      wh_err_t *err) WH_DB_CHECKED;

/* Those of the environment that wait for approval go: superseded by what is made next, or canceled
 * (cancel_at > 0). None is no error. */
apr_status_t wh_db_deployment_drop_held(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        const char *environment, apr_time_t cancel_at,
                                        wh_err_t *err) WH_DB_CHECKED;

/* Whose image or files a deployment has: its own id, or that of the one they were made for. */
const char *wh_db_deployment_source(const wh_deployment_t *d);

apr_status_t wh_db_deployment_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                  wh_deployment_t **out, wh_err_t *err) WH_DB_CHECKED;

apr_status_t wh_db_deployment_by_number(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        apr_int64_t number, wh_deployment_t **out,
                                        wh_err_t *err) WH_DB_CHECKED;

/* *pinned = whether its snapshot places it on this worker by name, or it starts from an image that
 * lies there: no other will do (F144). A move away from a draining worker keeps the snapshot, but
 * is not pinned to where it comes from. */
apr_status_t wh_db_deployment_pinned(wh_dbc_t *dbc, apr_pool_t *p, const wh_deployment_t *d,
                                     apr_int64_t worker_id, int *pinned,
                                     wh_err_t *err) WH_DB_CHECKED;

/* Newest first, up to limit with number < before (0 = from the newest); array of
 * wh_deployment_t*. */
apr_status_t wh_db_deployment_list_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                          apr_int64_t before, int limit, apr_array_header_t **out,
                                          wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_deployment_env_t {
    const char *id, *environment;
} wh_db_deployment_env_t;

/* The environments of an app's newest deployments: array of wh_db_deployment_env_t. */
apr_status_t wh_db_deployment_environments(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                           int limit, apr_array_header_t **out,
                                           wh_err_t *err) WH_DB_CHECKED;

/* All that are not completed, oldest first, up to limit; array of wh_deployment_t*. */
apr_status_t wh_db_deployment_list_open(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                        apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Those of an environment with at most this number that are not completed, by number. */
apr_status_t wh_db_deployment_list_open_until(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                              const char *environment, apr_int64_t number,
                                              apr_array_header_t **out,
                                              wh_err_t *err) WH_DB_CHECKED;

/* The newest succeeded one of an environment, which a rollback may have taken down. */
apr_status_t wh_db_deployment_latest_serving(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                             const char *environment, wh_deployment_t **out,
                                             wh_err_t *err) WH_DB_CHECKED;

/* Why it waits, while in prepare; "" and "" when it no longer does. APR_SUCCESS also when that
 * stands there already, or it is not in prepare: then nothing is written. */
apr_status_t wh_db_deployment_set_wait(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                       const char *code, const char *detail,
                                       wh_err_t *err) WH_DB_CHECKED;

/* prepare -> deploy, phase cloning, worker and started_at set; in the transaction of
 * wh_db_job_ack, after it. conflict: another deployment of the app and environment is active. */
apr_status_t wh_db_deployment_start(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                    const wh_db_claim_t *claim, apr_time_t now,
                                    wh_err_t *err) WH_DB_CHECKED;

/* Phase shown while in deploy: cloning building starting checking switching. */
apr_status_t wh_db_deployment_set_phase(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                        const wh_db_claim_t *claim, wh_phase_e phase,
                                        wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_commit_t {
    const char *sha, *message, *author; /* never NULL */
    apr_time_t at;
} wh_db_commit_t;

/* The commit as the worker resolved it; the ref that was asked for stays. */
apr_status_t wh_db_deployment_set_commit(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                         const wh_db_claim_t *claim, const wh_db_commit_t *commit,
                                         wh_err_t *err) WH_DB_CHECKED;

/* What the worker found to be otherwise than its snapshot has it. */
apr_status_t wh_db_deployment_set_snapshot(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                           const wh_db_claim_t *claim, const char *text,
                                           wh_err_t *err) WH_DB_CHECKED;

/* Of an image of a registry: what the worker pulled. */
apr_status_t wh_db_deployment_set_image(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                        const wh_db_claim_t *claim, const char *digest,
                                        wh_err_t *err) WH_DB_CHECKED;

/* deploy -> finalize, phase switching; release_id NULL for containers (else it must be in
 * releases), timings = JSON text. In the transaction of wh_db_job_finish and before it, since the
 * claim ends with that. */
apr_status_t wh_db_deployment_finalize(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                       const wh_db_claim_t *claim, const char *release_id,
                                       const char *timings, wh_err_t *err) WH_DB_CHECKED;

/* How a deployment ends. */
typedef struct wh_db_outcome_t {
    wh_conclusion_e conclusion; /* not NONE */
    const char *cause_code;     /* "" or a stable code: build_failed ... */
    const char *cause_detail;   /* "" or one sentence */
} wh_db_outcome_t;

/* from -> completed, phase done, finished_at. from is the status that the caller saw; one that
 * comes to no such conclusion by the table in libwh/wh_fsm.h (by way of `fail` where the conclusion
 * is failed) is db_check. Its event goes to the outbox with it (whdb/wh_db_notify.h), in the
 * caller's transaction or, where there is none, in one of its own. APR_NOTFOUND: it has moved
 * on. */
apr_status_t wh_db_deployment_complete(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                       wh_deployment_status_e from, const wh_db_outcome_t *how,
                                       apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* from -> fail: handling of the failure has begun (F185), the cause is noted;
 * wh_db_deployment_complete(from "fail") ends it. */
apr_status_t wh_db_deployment_fail(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   wh_deployment_status_e from, const char *cause_code,
                                   const char *cause_detail, wh_err_t *err) WH_DB_CHECKED;

#endif
