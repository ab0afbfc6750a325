#include "wh-scheduler/usage.h"

#include "whdb/wh_db_usage.h"

struct wh_usage_t {
    apr_pool_t *pool; /* of the book; NULL = nothing is loaded */
    wh_usage_book_t *book;
    apr_time_t bucket; /* of which the book has the rows */
    wh_mono_t due, prune_at;
};

static wh_usage_t *usage_of(wh_core_t *core)
{
    if (core->usage == NULL) {
        core->usage = apr_pcalloc(core->pool, sizeof(*core->usage));
    }
    return core->usage;
}

void wh_usage_forget(wh_core_t *core)
{
    wh_usage_t *u = core->usage;

    if (u != NULL && u->pool != NULL) {
        apr_pool_destroy(u->pool);
        u->pool = NULL;
        u->book = NULL;
    }
}

static apr_status_t no_memory(wh_core_t *core, wh_err_t *err)
{
    wh_usage_forget(core);
    return wh_err_set(err, 500, "internal", "out of memory");
}

/* The present bucket as it was written last: after a restart, or where a clock that was set back
 * comes by a second time, it is gone on with (R1, G17). Of a bucket that begins there are no rows.
 */
static apr_status_t load_rows(wh_core_t *core, apr_pool_t *p, apr_time_t bucket, wh_err_t *err)
{
    wh_usage_t *u = core->usage;
    apr_array_header_t *rows;
    int good = 1;
    apr_status_t rv = wh_db_usage_rows(core->dbc, p, bucket, &rows, err);

    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts; i++) {
        good &= wh_usage_book_row(u->book, &APR_ARRAY_IDX(rows, i, wh_usage_row_t));
    }
    if (rv == APR_SUCCESS) {
        u->bucket = bucket;
    }
    return rv == APR_SUCCESS && !good ? no_memory(core, err) : rv;
}

static apr_status_t load_parts(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    wh_usage_t *u = core->usage;
    apr_array_header_t *parts;
    int fresh, good = 1;
    apr_status_t rv = wh_db_usage_parts(core->dbc, p, &parts, &fresh, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&u->pool, core->pool);
    apr_pool_tag(u->pool, "usage");
    u->book = wh_usage_book_make(u->pool, fresh);
    u->bucket = -1;
    for (int i = 0; i < parts->nelts; i++) {
        good &= wh_usage_book_part(u->book, &APR_ARRAY_IDX(parts, i, wh_usage_part_t));
    }
    return good ? APR_SUCCESS : no_memory(core, err);
}

static apr_status_t load(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    wh_usage_t *u = usage_of(core);
    apr_time_t bucket = wh_usage_bucket(now);
    apr_status_t rv = u->pool == NULL ? load_parts(core, p, err) : APR_SUCCESS;

    return rv == APR_SUCCESS && u->bucket != bucket ? load_rows(core, p, bucket, err) : rv;
}

static apr_status_t sample(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                           int *any, wh_err_t *err)
{
    wh_usage_t *u = usage_of(core);
    wh_usage_sample_t taken;
    apr_status_t rv = load(core, p, now, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    wh_usage_sample(u->book, p, core->stats, now, mono, &taken);
    *any = taken.rows->nelts > 0;
    if (!*any) {
        return APR_SUCCESS;
    }
    rv = wh_dbc_begin(core->dbc, p, err);
    rv = rv == APR_SUCCESS ? wh_db_usage_write(core->dbc, p, &taken, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    return wh_usage_done(u->book, &taken) ? APR_SUCCESS : no_memory(core, err);
}

/* A part a tick, until nothing is too old. What is remembered of containers that are over goes,
 * too: by reading what is left. */
static apr_status_t prune(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                          wh_err_t *err)
{
    wh_usage_t *u = usage_of(core);
    int more = 0;
    apr_status_t rv = APR_SUCCESS;

    if (u->prune_at.us == 0) {
        u->prune_at = wh_mono_add(mono, WH_USAGE_PRUNE_FIRST_US);
    } else if (wh_mono_reached(mono, u->prune_at)) {
        rv = wh_db_usage_prune(core->dbc, p, wh_usage_bucket(now - WH_USAGE_KEPT_US), &more, err);
        if (rv == APR_SUCCESS && !more) {
            wh_usage_forget(core);
            u->prune_at = wh_mono_add(mono, WH_USAGE_PRUNE_US);
        }
    }
    return rv;
}

apr_status_t wh_usage_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                           wh_err_t *err)
{
    wh_usage_t *u = usage_of(core);
    apr_pool_t *scratch;
    apr_interval_time_t wait;
    int any = 0;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&scratch, p);
    if (wh_mono_reached(mono, u->due)) {
        rv = sample(core, scratch, mono, now, &any, err);
        wait = any ? WH_USAGE_EVERY_US : WH_USAGE_AGAIN_US;
        u->due = rv == APR_SUCCESS ? wh_mono_add(mono, wait) : u->due;
    }
    rv = rv == APR_SUCCESS ? prune(core, scratch, mono, now, err) : rv;
    apr_pool_destroy(scratch);
    return rv;
}
