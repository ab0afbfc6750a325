#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"

#include <string.h>

/* A word of the tables that this program does not know can only come from a newer schema, which
 * wh_db_schema_check refuses; the first value of the enumeration then stands in. */
static void worker_read(wh_row_t *r, wh_worker_t *w)
{
    w->id = wh_dbc_int(r);
    w->public_id = wh_dbc_text(r);
    w->name = wh_dbc_text(r);
    w->key_hash = wh_dbc_text(r);
    (void)wh_model_worker_status_of(wh_dbc_text(r), &w->status);
    (void)wh_model_worker_admin_of(wh_dbc_text(r), &w->admin_state);
    w->address = wh_dbc_text(r);
    w->zone = wh_dbc_text(r);
    w->labels = wh_dbc_text(r);
    w->engine = wh_dbc_text(r);
    w->version = wh_dbc_text(r);
    w->cpu_millis = wh_dbc_int(r);
    w->memory_bytes = wh_dbc_int(r);
    w->used_cpu = wh_dbc_int(r);
    w->used_memory = wh_dbc_int(r);
    w->max_jobs = wh_dbc_int(r);
    w->disk_free_bytes = wh_dbc_int(r);
    w->refuses = wh_dbc_text(r);
    w->last_heartbeat_at = wh_dbc_int(r);
    w->revoked_at = wh_dbc_int(r);
    w->rotate_at = wh_dbc_int(r);
    w->drain_at = wh_dbc_int(r);
    w->created_at = wh_dbc_int(r);
    w->updated_at = wh_dbc_int(r);
    w->jobs = wh_dbc_int(r); /* 0 where the statement does not count them */
    w->apps = wh_dbc_int(r);
}

static wh_worker_t *worker_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_worker_t *w = apr_pcalloc(p, sizeof(*w));
    wh_row_t r = wh_dbc_row(rows, i);

    worker_read(&r, w);
    return w;
}

static apr_array_header_t *worker_array(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n, sizeof(wh_worker_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_worker_t *) = worker_at(p, rows, i);
    }
    return list;
}

apr_status_t wh_db_worker_get(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, wh_worker_t **out,
                              wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_worker_get, WH_ARGS(WH_I(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = worker_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_worker_find(wh_dbc_t *dbc, apr_pool_t *p, const char *id_or_name,
                               wh_worker_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_worker_find,
                                        WH_ARGS(WH_S(id_or_name), WH_S(id_or_name)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = worker_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_worker_by_key_hash(wh_dbc_t *dbc, apr_pool_t *p, const char *key_hash,
                                      wh_worker_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_worker_by_key_hash, WH_ARGS(WH_S(key_hash)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = worker_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_worker_list(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t after, int limit,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_worker_list, WH_ARGS(WH_I(after), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = worker_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_worker_roster(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                 wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_worker_roster, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_worker_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_worker_t w = {0};

        w.id = wh_dbc_int(&r);
        w.key_hash = wh_dbc_text(&r);
        (void)wh_model_worker_admin_of(wh_dbc_text(&r), &w.admin_state);
        w.revoked_at = wh_dbc_int(&r);
        w.rotate_at = wh_dbc_int(&r);
        APR_ARRAY_PUSH(*out, wh_worker_t) = w;
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_worker_roster_mark(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *mark,
                                      wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_worker_roster_mark, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *mark = wh_dbc_int(&r);
    }
    return rv;
}

static apr_status_t register_new(wh_dbc_t *dbc, apr_pool_t *p, const wh_worker_t *w, apr_time_t now,
                                 apr_int64_t *id, wh_err_t *err)
{
    const char *labels = w->labels == NULL || *w->labels == '\0' ? "{}" : w->labels;
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_worker_number, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    *id = wh_dbc_int(&r);
    return wh_dbc_query(dbc, p, WH_SQL_worker_insert,
                        WH_ARGS(WH_I(*id), WH_S(w->public_id), WH_S(w->name), WH_S(w->key_hash),
                                WH_S(w->address), WH_S(w->zone), WH_S(labels), WH_S(w->version),
                                WH_I(w->cpu_millis), WH_I(w->memory_bytes), WH_I(now), WH_I(now)),
                        NULL, err);
}

/* The row that has this name or this key; both must be one row, and its name and key w's. */
static apr_status_t register_known(const wh_rows_t *rows, const wh_worker_t *w, wh_worker_t *had,
                                   wh_err_t *err)
{
    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        worker_read(&r, had);
        if (had->admin_state == WH_WORKER_REMOVED) {
            return wh_err_set(err, 403, "worker_removed",
                              "This worker was removed: it needs a new key to come back.");
        }
        if (strcmp(had->name, w->name) != 0) {
            return wh_err_set(err, 409, "conflict",
                              "This key belongs to a worker of another name.");
        }
        if (strcmp(had->key_hash, w->key_hash) != 0) {
            return wh_err_set(
                err, 409, "conflict",
                "A worker named %s is registered with another key: give this one another name, or "
                "enrol it with a token that replaces the key.",
                w->name);
        }
        if (had->revoked_at > 0) {
            return wh_err_set(err, 403, "worker_revoked",
                              "This worker's key was revoked: it needs a new one.");
        }
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_worker_register(wh_dbc_t *dbc, apr_pool_t *p, const wh_worker_t *w,
                                   apr_time_t now, wh_worker_t **out, int *created, wh_err_t *err)
{
    wh_worker_t had = {0};
    apr_int64_t id = 0;
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_worker_same,
                                    WH_ARGS(WH_S(w->name), WH_S(w->key_hash)), &rows, err);

    if (rv == APR_SUCCESS) {
        rv = register_known(&rows, w, &had, err);
    }
    if (rv == APR_SUCCESS && rows.n > 0) {
        id = had.id;
        rv = wh_dbc_cas(dbc, p, WH_SQL_worker_update,
                        WH_ARGS(WH_S(w->address), WH_S(w->zone), WH_S(w->labels), WH_S(w->version),
                                WH_I(w->cpu_millis), WH_I(w->memory_bytes), WH_I(now), WH_I(id)),
                        err);
    } else if (rv == APR_SUCCESS) {
        rv = register_new(dbc, p, w, now, &id, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_db_worker_get(dbc, p, id, out, err);
    }
    if (rv == APR_SUCCESS && created != NULL) {
        *created = rows.n == 0;
    }
    return rv;
}

apr_status_t wh_db_worker_set_online(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                     const wh_worker_t *w, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_online,
                      WH_ARGS(WH_S(w->version), WH_S(w->engine), WH_S(w->labels), WH_S(w->zone),
                              WH_S(w->zone), WH_S(w->refuses), WH_I(w->cpu_millis),
                              WH_I(w->memory_bytes), WH_I(w->max_jobs), WH_I(now), WH_I(now),
                              WH_I(id)),
                      err);
}

apr_status_t wh_db_worker_set_offline(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                                      wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_offline, WH_ARGS(WH_I(now), WH_I(id)), err);
}

apr_status_t wh_db_worker_all_offline(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int *n,
                                      wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_worker_all_offline, WH_ARGS(WH_I(now)), n, err);
}

apr_status_t wh_db_worker_heartbeat(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                    apr_int64_t disk_free_bytes, const char *refuses,
                                    apr_time_t now, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_heartbeat,
                      WH_ARGS(WH_I(now), WH_I(disk_free_bytes), WH_S(refuses), WH_I(id)), err);
}

apr_status_t wh_db_worker_list_silent(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int limit,
                                      apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_worker_silent, WH_ARGS(WH_I(before), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = worker_array(p, &rows);
    }
    return rv;
}

/* A statement of its own, and the first of the two: on PostgreSQL one that waits for a row goes on
 * with what it had read of other tables before it waited. */
static apr_status_t lock(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_lock, WH_ARGS(WH_I(id)), err);
}

apr_status_t wh_db_worker_reserve(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, const char *job_id,
                                  wh_err_t *err)
{
    apr_status_t rv = lock(dbc, p, id, err);

    return rv == APR_SUCCESS ? wh_dbc_cas(dbc, p, WH_SQL_worker_reserve,
                                          WH_ARGS(WH_I(id), WH_I(id), WH_S(job_id), WH_I(id)), err)
                             : rv;
}

apr_status_t wh_db_worker_recount(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, wh_err_t *err)
{
    apr_status_t rv = lock(dbc, p, id, err);

    return rv == APR_SUCCESS ? wh_dbc_cas(dbc, p, WH_SQL_worker_recount,
                                          WH_ARGS(WH_I(id), WH_I(id), WH_I(id)), err)
                             : rv;
}
