#ifndef WH_DB_ASSIGN_H
#define WH_DB_ASSIGN_H
/* Jobs given out in batches: a few statements for all of them, in one transaction. Each is what
 * wh_db_job_assign does for one: a compare-and-set on status, epoch and cancellation, the epoch one
 * higher, the worker's capacity reserved under the same guard (F146, R32). Error rules: wh_dbc.h.
 */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* What the planner decided, and the epoch that it saw. */
typedef struct wh_db_place_t {
    const char *job_id;
    apr_int64_t worker_id, epoch;
} wh_db_place_t;

/* A job that was given out, with all that its frame says. */
typedef struct wh_db_placed_t {
    int place; /* in the list that was asked for */
    wh_job_t job;
    const char *environment, *commit_sha, *commit_ref, *snapshot, *slug, *source_id;
    const char *site;     /* wh_deployment_t */
    int untrusted;        /* wh_deployment_t */
    apr_int64_t env_vars; /* how many it got (wh_db_env_of) */
    apr_int64_t cpu_millis, memory_bytes; /* what it adds to its worker's promises */
} wh_db_placed_t;

/* pending -> assigned for each of the list that is still to be had: pending at its epoch, not to be
 * canceled, free for its worker, held by no other transaction (SKIP LOCKED), and, for a deploy job,
 * its worker online, active, not refusing, with room for it after those before it in the list. The
 * others are left out of *placed (array of wh_db_placed_t, in the list's order) and unchanged. What
 * the deployments said of their waiting is taken back. In the caller's transaction; whoever has
 * made this call is alone with the workers' counters until its end, so two schedulers cannot both
 * give away the last room. Errors: db_error also when the guard of a write refused what was read
 * before, which cannot be; the caller rolls back and plans again. */
apr_status_t wh_db_assign(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_place_t *list, int n,
                          apr_time_t now, apr_time_t lease_until, apr_array_header_t **placed,
                          wh_err_t *err) WH_DB_CHECKED;

/* Those of the list that are still assigned to their worker at their epoch and not to be canceled,
 * in its order, to be said to it: array of wh_db_placed_t. */
apr_status_t wh_db_assign_offers(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_place_t *list, int n,
                                 apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* assigned -> processing and prepare -> deploy for all of the list, as wh_db_job_ack and
 * wh_db_deployment_start do it for one; deploy jobs only. In the caller's transaction, and all or
 * nothing: with any other result than APR_SUCCESS (APR_NOTFOUND: one of them is not to be had) the
 * caller rolls back. */
apr_status_t wh_db_assign_begin(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_place_t *list, int n,
                                apr_time_t now, apr_time_t lease_until, apr_time_t deadline_at,
                                wh_err_t *err) WH_DB_CHECKED;

/* Why a deployment waits. */
typedef struct wh_db_wait_t {
    const char *deployment_id, *code, *detail;
} wh_db_wait_t;

/* Says so for all of the list that are in prepare and do not say it yet; *rows (may be NULL) how
 * many.
 */
apr_status_t wh_db_assign_waits(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_wait_t *list, int n,
                                int *rows, wh_err_t *err) WH_DB_CHECKED;

#endif
