#include "wh-scheduler/beats.h"

#include <stdlib.h>
#include <apr_strings.h>

#include "libwh/wh_text.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_worker.h"

typedef struct ref_t {
    char job[32];
    apr_int64_t epoch;
} ref_t;

struct wh_beat_t {
    apr_int64_t disk_free_bytes;
    apr_time_t at;
    char refuses[WH_CORE_REFUSES_MAX + 1];
    int n;
    ref_t running[];
};

void wh_beats_forget(wh_core_t *core, wh_peer_t *peer)
{
    if (peer->beat != NULL) {
        core->beats--;
    }
    free(peer->beat);
    peer->beat = NULL;
}

apr_status_t wh_beats_note(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer,
                           const wh_msg_heartbeat_t *m, apr_time_t now, wh_err_t *err)
{
    wh_beat_t *beat = malloc(sizeof(*beat) + sizeof(ref_t) * (size_t)m->running->nelts);

    if (beat == NULL) {
        return wh_err_set(err, 500, "internal", "out of memory");
    }
    beat->disk_free_bytes = m->disk_free_bytes;
    beat->at = now;
    apr_cpystrn(beat->refuses, wh_text_clean_line(p, m->refuses, WH_TEXT_NUL, WH_CORE_REFUSES_MAX),
                sizeof(beat->refuses));
    beat->n = m->running->nelts;
    for (int i = 0; i < beat->n; i++) {
        const wh_msg_ref_t *ref = &APR_ARRAY_IDX(m->running, i, wh_msg_ref_t);

        apr_cpystrn(beat->running[i].job, ref->job, sizeof(beat->running[i].job));
        beat->running[i].epoch = ref->epoch;
    }
    wh_beats_forget(core, peer);
    peer->beat = beat;
    core->beats++;
    return wh_beats_write(core, p, err);
}

static apr_status_t write_one(wh_core_t *core, apr_pool_t *p, const wh_peer_t *peer, wh_err_t *err)
{
    wh_beat_t *beat = peer->beat;
    apr_status_t rv = wh_db_worker_heartbeat(core->dbc, p, peer->worker, beat->disk_free_bytes,
                                             beat->refuses, beat->at, err);

    for (int i = 0; rv == APR_SUCCESS && i < beat->n; i++) {
        wh_db_claim_t claim = {.worker_id = peer->worker,
                               .job_id = beat->running[i].job,
                               .epoch = beat->running[i].epoch};

        rv = wh_db_job_renew_lease(core->dbc, p, &claim, beat->at + WH_SCHED_LEASE_US, err);
        if (rv == APR_NOTFOUND) {
            /* It runs what is over or another's: a cancel was left for it (R24). Frames go out from
             * the mailbox at once, but nothing depends on this transaction's end. */
            wh_core_send_ref(core, peer, WH_MSG_JOB_CANCEL, beat->running[i].job,
                             beat->running[i].epoch);
            wh_err_clear(err);
            rv = APR_SUCCESS;
        }
    }
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv; /* a worker that was removed meanwhile */
}

apr_status_t wh_beats_write(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    apr_pool_t *scratch;
    apr_status_t rv;

    if (core->beats == 0 || !wh_mono_reached(mono, core->beats_at)) {
        return APR_SUCCESS;
    }
    apr_pool_create(&scratch, p);
    rv = wh_dbc_begin(core->dbc, p, err);
    for (wh_peer_t *peer = core->peers; rv == APR_SUCCESS && peer != NULL; peer = peer->next) {
        if (peer->beat != NULL) {
            rv = write_one(core, scratch, peer, err);
            apr_pool_clear(scratch);
        }
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    apr_pool_destroy(scratch);
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    core->beats_at = wh_mono_add(mono, WH_BEATS_EVERY_US);
    for (wh_peer_t *peer = core->peers; peer != NULL; peer = peer->next) {
        wh_beats_forget(core, peer);
    }
    return APR_SUCCESS;
}
