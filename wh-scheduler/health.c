#include "wh-scheduler/health.h"

#include "libwh/wh_log.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/recover.h"

#define LIST_LIMIT 100

static int stale(const wh_core_t *core, wh_mono_t mono, wh_mono_t heard)
{
    return wh_sched_worker_stale(mono.us, heard.us, core->started.us);
}

static apr_status_t offline(wh_core_t *core, apr_pool_t *p, apr_int64_t worker, apr_time_t now,
                            wh_err_t *err)
{
    wh_log(WH_LOG_WARN, "WH0460",
           "worker %" APR_INT64_T_FMT " has sent no heartbeat for two minutes", worker);
    return wh_recover_drop(core, p, worker, now, err);
}

static apr_status_t connected(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                              wh_err_t *err)
{
    wh_peer_t *peer = core->peers, *next;
    apr_status_t rv = APR_SUCCESS;

    for (; rv == APR_SUCCESS && peer != NULL; peer = next) {
        apr_int64_t worker = peer->worker;
        apr_uint64_t conn = peer->conn;

        next = peer->next;
        if (!stale(core, mono, peer->heard)) {
            continue;
        }
        /* Before the rows, so that what is placed anew is not sent to it. */
        (void)wh_core_peer_drop(core, conn);
        wh_core_close(core, conn, WH_CLOSE_RESTART);
        rv = offline(core, p, worker, now, err);
    }
    return rv;
}

apr_status_t wh_health_check(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    apr_array_header_t *rows;
    apr_status_t rv;

    if (!stale(core, mono, core->started)) {
        return APR_SUCCESS;
    }
    rv = connected(core, p, mono, now, err);
    if (rv == APR_SUCCESS) {
        rv = wh_db_worker_list_silent(core->dbc, p, now - WH_SCHED_HEARTBEAT_TIMEOUT_US, LIST_LIMIT,
                                      &rows, err);
    }
    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts; i++) {
        const wh_worker_t *w = APR_ARRAY_IDX(rows, i, wh_worker_t *);

        if (wh_core_peer(core, w->id) == NULL) {
            rv = offline(core, p, w->id, now, err);
        }
    }
    return rv;
}
