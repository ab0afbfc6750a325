/* How many streams each token has, in all children: a table in shared memory of (token, child). */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <apr_shm.h>

#include "mod_wisehost/wh_mod_stream_int.h"

#define ENTRIES 4096
#define KEEP_NAME "wisehost-streams"

typedef struct entry_t {
    _Atomic int pid; /* 0 = free */
    _Atomic int n;
    _Atomic apr_uint64_t token;
} entry_t;

static entry_t *entries; /* NULL = not counted */

void wh_mod_stream_count_post_config(server_rec *s)
{
    entry_t **kept = ap_retained_data_get(KEEP_NAME);
    apr_shm_t *shm = NULL;
    apr_status_t rv;

    if (kept != NULL) {
        entries = *kept;
        return;
    }
    rv = apr_shm_create(&shm, ENTRIES * sizeof(entry_t), NULL, s->process->pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "WH0196: no shared memory: the streams of a token are not counted");
        return;
    }
    entries = apr_shm_baseaddr_get(shm);
    memset(entries, 0, ENTRIES * sizeof(entry_t));
    kept = ap_retained_data_create(KEEP_NAME, sizeof(*kept));
    *kept = entries;
}

static int lives(int pid)
{
    return pid == (int)getpid() || kill(pid, 0) == 0 || errno != ESRCH;
}

/* What a child left that is gone is free. */
static int is_taken(entry_t *e)
{
    int pid = atomic_load(&e->pid);

    if (pid != 0 && !lives(pid)) {
        (void)atomic_compare_exchange_strong(&e->pid, &pid, 0);
        return 0;
    }
    return pid != 0;
}

/* This child's entry of the token, made when need be. NULL = the table is full. */
static entry_t *own_of(apr_uint64_t token)
{
    int pid = (int)getpid();

    for (int i = 0; i < ENTRIES; i++) {
        if (atomic_load(&entries[i].pid) == pid && atomic_load(&entries[i].token) == token) {
            return &entries[i];
        }
    }
    for (int i = 0; i < ENTRIES; i++) {
        int none = 0;

        if (!is_taken(&entries[i]) && atomic_compare_exchange_strong(&entries[i].pid, &none, pid)) {
            atomic_store(&entries[i].n, 0);
            atomic_store(&entries[i].token, token);
            return &entries[i];
        }
    }
    return NULL;
}

int wh_mod_stream_count_in(apr_uint64_t token, int most)
{
    entry_t *own;
    int sum = 0;

    if (entries == NULL) {
        return 1;
    }
    for (int i = 0; i < ENTRIES; i++) {
        if (is_taken(&entries[i]) && atomic_load(&entries[i].token) == token) {
            sum += atomic_load(&entries[i].n);
        }
    }
    own = sum < most ? own_of(token) : NULL;
    if (own != NULL) {
        (void)atomic_fetch_add(&own->n, 1);
    }
    return own != NULL;
}

void wh_mod_stream_count_out(apr_uint64_t token)
{
    int pid = (int)getpid();

    for (int i = 0; entries != NULL && i < ENTRIES; i++) {
        if (atomic_load(&entries[i].pid) == pid && atomic_load(&entries[i].token) == token) {
            if (atomic_fetch_sub(&entries[i].n, 1) == 1) {
                atomic_store(&entries[i].pid, 0);
            }
            return;
        }
    }
}
