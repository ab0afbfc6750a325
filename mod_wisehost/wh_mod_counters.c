/* See wh_mod_counters.h. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <apr_shm.h>
#include <apr_strings.h>

#include "mod_wisehost/wh_mod_counters.h"

#define CHILDREN 128 /* more than that share the first part */
#define LINE 64      /* bytes that one core owns at a time */
#define ROW ((WH_COUNTS * sizeof(apr_int64_t) + LINE - 1) / LINE * LINE / sizeof(apr_int64_t))

/* Kept in the memory of the process, found again by this name: another module after an upgrade has
 * other figures. */
#define KEEP_NAME "wisehost-counters-%d"

typedef struct wh_counters_shared_t {
    _Atomic int pids[CHILDREN]; /* 0 = free */
    _Alignas(LINE) _Atomic apr_int64_t rows[CHILDREN][ROW];
} wh_counters_shared_t;

static const char is_gauge[WH_COUNTS] = {
#define KIND_TOTAL 0
#define KIND_GAUGE 1
#define WH_COUNTER(kind, name, auto_name, doc) KIND_##kind,
#include "mod_wisehost/wh_mod_counters.def"
#undef WH_COUNTER
};

static _Atomic apr_int64_t own[WH_COUNTS]; /* of a process without a part */
_Atomic apr_int64_t *wh_mod_counts = own;
static wh_counters_shared_t *shared; /* set in post_config, read-only afterwards */

void wh_mod_counters_post_config(server_rec *s)
{
    char name[sizeof(KEEP_NAME) + 8];
    wh_counters_shared_t **kept;
    apr_shm_t *shm = NULL;
    apr_status_t rv;

    apr_snprintf(name, sizeof(name), KEEP_NAME, (int)WH_COUNTS);
    kept = ap_retained_data_get(name);
    if (kept != NULL) {
        shared = *kept;
        return;
    }
    rv = apr_shm_create(&shm, sizeof(*shared) + LINE, NULL, s->process->pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "WH0180: no shared memory for counters: server-status shows one child's");
        return;
    }
    /* APR keeps a word of its own before what it gives. */
    shared = (void *)(((uintptr_t)apr_shm_baseaddr_get(shm) + LINE - 1) & ~(uintptr_t)(LINE - 1));
    memset(shared, 0, sizeof(*shared));
    kept = ap_retained_data_create(name, sizeof(*kept));
    *kept = shared;
}

static int lives(int pid)
{
    return pid != 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

static apr_status_t give_back(void *data)
{
    int i = (int)(wh_mod_counts - shared->rows[0]) / (int)ROW;

    (void)data;
    wh_mod_counts = own;
    atomic_store(&shared->pids[i], 0);
    return APR_SUCCESS;
}

/* The part of a child that is gone goes to the next one: its totals go on, its gauges begin at 0.
 */
void wh_mod_counters_child_init(apr_pool_t *pchild)
{
    int i;

    wh_mod_counts = own;
    if (shared == NULL) {
        return;
    }
    for (i = 1; i < CHILDREN; i++) {
        int pid = atomic_load(&shared->pids[i]);

        if (!lives(pid) && atomic_compare_exchange_strong(&shared->pids[i], &pid, (int)getpid())) {
            int k;

            wh_mod_counts = shared->rows[i];
            for (k = 0; k < WH_COUNTS; k++) {
                if (is_gauge[k]) {
                    atomic_store(&wh_mod_counts[k], 0);
                }
            }
            apr_pool_cleanup_register(pchild, NULL, give_back, apr_pool_cleanup_null);
            return;
        }
    }
    wh_mod_counts = shared->rows[0];
}

static void add_row(_Atomic apr_int64_t *row, int alive, wh_mod_counters_t *out)
{
    int k;

    for (k = 0; k < WH_COUNTS; k++) {
        if (alive || !is_gauge[k]) {
            out->of[k] += atomic_load_explicit(&row[k], memory_order_relaxed);
        }
    }
}

void wh_mod_counters_read(wh_mod_counters_t *out)
{
    int i;

    memset(out, 0, sizeof(*out));
    if (shared == NULL) {
        out->children = 1;
        add_row(own, 1, out);
        return;
    }
    add_row(shared->rows[0], 1, out); /* whoever found no part of its own */
    for (i = 1; i < CHILDREN; i++) {
        int alive = lives(atomic_load(&shared->pids[i]));

        out->children += alive;
        add_row(shared->rows[i], alive, out);
    }
}
