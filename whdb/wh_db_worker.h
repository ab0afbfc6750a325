#ifndef WH_DB_WORKER_H
#define WH_DB_WORKER_H
/* Workers: the machines that run agents. Written by the scheduler; the module writes only by
 * wh_db_worker_register and what wh_db_fleet.h has. Error rules: wh_dbc.h.
 *
 * used_cpu and used_memory are what open jobs and live instances hold: wh_db_job_assign adds under
 * a guard, wh_db_worker_recount brings them to the true sum, so no leak can last. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

apr_status_t wh_db_worker_get(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, wh_worker_t **out,
                              wh_err_t *err) WH_DB_CHECKED;

/* By its public id or its name, jobs and apps counted; a removed worker is not found. */
apr_status_t wh_db_worker_find(wh_dbc_t *dbc, apr_pool_t *p, const char *id_or_name,
                               wh_worker_t **out, wh_err_t *err) WH_DB_CHECKED;

/* By the hex SHA-256 of its API key, whatever its status (R31); a removed worker is not found. */
apr_status_t wh_db_worker_by_key_hash(wh_dbc_t *dbc, apr_pool_t *p, const char *key_hash,
                                      wh_worker_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Up to limit workers with id > after, by id, jobs and apps counted; array of wh_worker_t*. Removed
 * ones are left out. */
apr_status_t wh_db_worker_list(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t after, int limit,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Every worker, removed ones too, by id: array of wh_worker_t of which only id, key_hash,
 * admin_state, revoked_at and rotate_at are set. */
apr_status_t wh_db_worker_roster(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                 wh_err_t *err) WH_DB_CHECKED;

/* A number that is another one after whatever changes that list (and after other changes of a
 * worker, too), at the cost of one row. */
apr_status_t wh_db_worker_roster_mark(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *mark,
                                      wh_err_t *err) WH_DB_CHECKED;

/* Registers w (F54, R31): a new name gets a new row with the next id (ids are never used
 * again); a known name with the same key_hash is updated (address, zone, labels, version,
 * capacity). From w are read: public_id (for a new row), name, key_hash, address, zone, labels
 * (JSON text), engine, version, cpu_millis, memory_bytes. *out is the row as it now stands,
 * *created (may be NULL) whether it is new. Call inside a transaction. Errors: conflict with the
 * text telling which: the name belongs to another key, or the key to another name; worker_removed,
 * worker_revoked 403. */
apr_status_t wh_db_worker_register(wh_dbc_t *dbc, apr_pool_t *p, const wh_worker_t *w,
                                   apr_time_t now, wh_worker_t **out, int *created,
                                   wh_err_t *err) WH_DB_CHECKED;

/* The hello of its connection: online, with what the agent says of itself; from w: version, engine,
 * labels, zone ("" = as it was), refuses, cpu_millis, memory_bytes, max_jobs. Counts as a
 * heartbeat.
 */
apr_status_t wh_db_worker_set_online(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                     const wh_worker_t *w, apr_time_t now,
                                     wh_err_t *err) WH_DB_CHECKED;

/* Offline (F8); APR_NOTFOUND when it was offline already. */
apr_status_t wh_db_worker_set_offline(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                                      wh_err_t *err) WH_DB_CHECKED;

/* All online ones offline (at the start of the scheduler, when no connection can be open);
 * *n (may be NULL) how many. */
apr_status_t wh_db_worker_all_offline(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int *n,
                                      wh_err_t *err) WH_DB_CHECKED;

/* A heartbeat (F97): stamps last_heartbeat_at, the free disk space in bytes, and why the worker
 * takes no new builds ("" = it does). */
apr_status_t wh_db_worker_heartbeat(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                    apr_int64_t disk_free_bytes, const char *refuses,
                                    apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* Array of wh_worker_t*: online by status, last heartbeat before `before` (F150). */
apr_status_t wh_db_worker_list_silent(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int limit,
                                      apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* What a worker's apps hold of it: for each app and environment the larger of its live instances
 * and its open deploy jobs there, for a deployment goes where the former one was. Both calls belong
 * into a transaction, and whoever has made one is alone with the worker's counters until its end.
 *
 * Adds what this pending job needs beyond that (F146). APR_NOTFOUND and nothing changed: no such
 * job, or the worker is not online, not active, or has no room. */
apr_status_t wh_db_worker_reserve(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, const char *job_id,
                                  wh_err_t *err) WH_DB_CHECKED;

/* Counts anew (F147: never below 0), after a job has ended or an instance was stopped. */
apr_status_t wh_db_worker_recount(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                  wh_err_t *err) WH_DB_CHECKED;

#endif
