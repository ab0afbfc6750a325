#include "wh-scheduler/dbthread.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_lock.h"
#include "whdb/wh_db_schema.h"
#include "wh-scheduler/assign.h"
#include "wh-scheduler/events.h"
#include "wh-scheduler/hub_msg.h"
#include "wh-scheduler/recover.h"
#include "wh-scheduler/threads.h"
#include "wh-scheduler/tick.h"
#include "wh-scheduler/times.h"

#define TRIES 4
#define TURN 64 /* messages that are taken between two looks at a long queue */
#define TRY_PAUSE_US APR_INT64_C(100000)
#define RECONNECT_US APR_INT64_C(1000000)
#define FLUSH_LOOK_US 20000
#define FAULTS_MAX 200 /* wrong frames on one connection: who sends more of them is sent away */

struct wh_dbthread_t {
    wh_core_t *core;
    pthread_t thread;
    int deposed; /* another scheduler is the active one now */
};

static void close_db(wh_core_t *core)
{
    if (core->dbc_pool != NULL) {
        apr_pool_destroy(core->dbc_pool);
    }
    core->dbc_pool = NULL;
    core->dbc = NULL;
}

apr_status_t wh_dbthread_open(wh_core_t *core, apr_pool_t *p, int *active, wh_err_t *err)
{
    const wh_settings_t *s = core->settings;
    apr_pool_t *ptemp;
    int from = 0, to = 0;
    apr_status_t rv = APR_SUCCESS;

    if (core->dbc == NULL || wh_dbc_gone(core->dbc)) {
        close_db(core);
        apr_pool_create(&core->dbc_pool, p);
        apr_pool_tag(core->dbc_pool, "database");
        rv = wh_dbc_open(core->dbc_pool, s->db_driver, s->db_params, &core->dbc, err);
    }
    apr_pool_create(&ptemp, core->dbc_pool);
    rv = rv == APR_SUCCESS ? wh_db_lock_scheduler(core->dbc, ptemp, active, err) : rv;
    if (rv == APR_SUCCESS && *active) {
        rv = wh_db_schema_migrate(core->dbc, ptemp, wh_clock_now(core->clock), &from, &to, err);
    }
    if (rv == APR_SUCCESS && from != to) {
        wh_log(WH_LOG_INFO, NULL, "schema migrated from %d to %d", from, to);
    }
    apr_pool_destroy(ptemp);
    if (rv != APR_SUCCESS) {
        close_db(core);
    }
    return rv;
}

/* Until the database is there, or a stop comes (0), or the lock is another's (0, deposed). */
static int connected(wh_dbthread_t *t)
{
    wh_core_t *core = t->core;
    int active = 0, said = 0;

    if (t->deposed) {
        return 0; /* whatever else this turn of the loop had in mind: the database is another's */
    }
    if (core->dbc != NULL && !wh_dbc_gone(core->dbc)) {
        return 1;
    }
    core->metrics.db_lost++;
    wh_log(WH_LOG_ERROR, "WH0480", "the database is gone; waiting for it");
    close_db(core);
    for (;;) {
        wh_err_t err = WH_ERR_INIT;
        apr_status_t rv = wh_dbthread_open(core, core->pool, &active, &err);

        if (rv == APR_SUCCESS && active) {
            wh_log(WH_LOG_INFO, NULL, "the database is back");
            wh_claims_watch(core->claims, core->dbc);
            core->unfinished = 1;
            wh_times_blind(core);
            return 1;
        }
        if (rv == APR_SUCCESS) {
            wh_log(WH_LOG_ERROR, "WH0481", "another scheduler has become the active one");
            t->deposed = 1;
            close_db(core); /* a connection without the lock must not write */
            return 0;
        }
        if (said++ % 30 == 0) {
            wh_log(WH_LOG_WARN, "WH0482", "database: %s", err.text);
        }
        wh_watchdog_mark(core->dog, wh_clock_mono(core->clock));
        wh_metrics_look(core, core->pool, wh_clock_mono(core->clock), wh_clock_now(core->clock));
        if (wh_mailbox_pause(core->box, RECONNECT_US)) {
            return 0;
        }
    }
}

/* What a handler said is wrong with a frame goes back to the worker. */
static void answer(wh_core_t *core, const wh_work_t *work, const wh_err_t *err)
{
    wh_peer_t *peer = wh_core_peer_of_conn(core, work->conn);

    core->metrics.refused++;
    if (peer != NULL && ++peer->faults > FAULTS_MAX) {
        wh_core_close(core, work->conn, WH_CLOSE_FRAME);
        return;
    }
    if (wh_core_may_say(core, work->worker)) {
        wh_log(WH_LOG_WARN, "WH0483", "worker %" APR_INT64_T_FMT ": %s refused: %s (%s)",
               work->worker, wh_proto_type_name(work->msg.type), err->text, err->code);
    }
    if (peer != NULL && work->msg.type != WH_MSG_ERROR) {
        wh_core_send_error(core, peer, work->msg.id, err->code, err->text);
    }
}

static apr_status_t handle_once(wh_core_t *core, const wh_work_t *work, apr_pool_t *p, int judge,
                                wh_err_t *err)
{
    wh_hub_msg_in_t in = {.core = core, .p = p, .msg = &work->msg};
    apr_status_t rv = wh_times_look(core, p, &in.now, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    switch (work->kind) {
    case WH_WORK_CONNECT:
        core->metrics.connects++;
        return wh_hub_msg_connect(core, p, work->worker, work->conn, in.now, err);
    case WH_WORK_DISCONNECT:
        core->metrics.disconnects++;
        return wh_hub_msg_disconnect(core, p, work->conn, judge, in.now, err);
    case WH_WORK_ROOM:
        in.peer = wh_core_peer_of_conn(core, work->conn);
        return in.peer != NULL ? wh_assign_go_on(core, p, in.peer, err) : APR_SUCCESS;
    case WH_WORK_FRAME:
        core->metrics.messages[work->msg.type]++;
        in.peer = wh_core_peer_of_conn(core, work->conn);
        return in.peer != NULL ? wh_hub_msg_handle(&in, err) : APR_SUCCESS;
    }
    return APR_SUCCESS;
}

/* A message is handled as a whole or not at all; what the database refuses is tried again. A worker
 * whose message could not be taken is sent away: on its next connection it says everything again.
 */
static void handle(wh_dbthread_t *t, wh_work_t *work, int judge)
{
    wh_core_t *core = t->core;
    wh_err_t err = WH_ERR_INIT;

    for (int i = 0; i < TRIES; i++) {
        apr_pool_t *p;
        apr_status_t rv;

        if (!connected(t)) {
            return;
        }
        wh_err_clear(&err);
        apr_pool_create(&p, work->pool);
        rv = handle_once(core, work, p, judge, &err);
        wh_dbc_rollback(core->dbc);
        if (rv == APR_SUCCESS || !wh_core_may_retry(&err)) {
            if (rv != APR_SUCCESS && work->kind == WH_WORK_FRAME) {
                answer(core, work, &err);
            }
            apr_pool_destroy(p);
            return;
        }
        core->metrics.put_off++;
        wh_log(WH_LOG_WARN, "WH0484", "worker %" APR_INT64_T_FMT ": message put off: %s",
               work->worker, err.text);
        apr_pool_destroy(p);
        if (wh_mailbox_pause(core->box, TRY_PAUSE_US)) {
            return;
        }
    }
    wh_core_close(core, work->conn, WH_CLOSE_RESTART);
}

static int begin_together(wh_dbthread_t *t, wh_work_t *const *works, int n)
{
    wh_core_t *core = t->core;
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;
    apr_time_t now;
    apr_pool_t *p;

    if (n < 2 || !connected(t)) {
        return 0;
    }
    apr_pool_create(&p, works[0]->pool);
    rv = wh_times_look(core, p, &now, &err);
    rv = rv == APR_SUCCESS ? wh_hub_msg_job_acks(core, p, works, n, now, &err) : rv;
    apr_pool_destroy(p);
    return rv == APR_SUCCESS;
}

/* This message, and with an ack those behind it. Returns how many it were. */
static int take(wh_dbthread_t *t, wh_work_t *work, int judge)
{
    wh_core_t *core = t->core;
    wh_work_t *all[TURN] = {work};
    int n = 1, done;

    while (work->kind == WH_WORK_FRAME && work->msg.type == WH_MSG_JOB_ACK && n < TURN &&
           (all[n] = wh_mailbox_take_frame(core->box, WH_MSG_JOB_ACK)) != NULL) {
        n++;
    }
    done = begin_together(t, all, n);
    for (int i = 0; i < n; i++) {
        if (!done) {
            wh_watchdog_mark(core->dog, wh_clock_mono(core->clock)); /* each has tries of its own */
            handle(t, all[i], judge);
        }
        if (all[i]->resume) {
            wh_mailbox_post(core->box, wh_mailbox_post_make(WH_POST_RESUME, all[i]->conn));
        }
        apr_pool_destroy(all[i]->pool);
    }
    return n;
}

static void tick(wh_dbthread_t *t, apr_pool_t *p, int poked)
{
    wh_core_t *core = t->core;
    wh_err_t err = WH_ERR_INIT;

    if (!connected(t)) {
        return;
    }
    core->plan_again = 0;
    if (wh_tick_run(core, p, poked, &err) != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0485", "tick: %s", err.text);
        wh_dbc_rollback(core->dbc);
    }
    apr_pool_clear(p);
}

/* An orderly end: the lines that drains have not sent yet get a moment, for they are in no other
 * place that goes on. Whatever hangs is left. */
static void flush(wh_dbthread_t *t, apr_pool_t *p)
{
    wh_core_t *core = t->core;
    wh_mono_t mono = wh_clock_mono(core->clock);
    wh_mono_t until = wh_mono_add(mono, WH_LOGDRAINS_END_US);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;

    if (t->deposed || core->dbc == NULL || wh_dbc_gone(core->dbc)) {
        return;
    }
    while (rv == APR_SUCCESS && wh_logdrains_busy(core, mono) && !wh_mono_reached(mono, until)) {
        wh_watchdog_mark(core->dog, mono);
        rv = wh_logdrains_look(core, p, 0, mono, &err);
        usleep(FLUSH_LOOK_US);
        mono = wh_clock_mono(core->clock);
        rv = rv == APR_SUCCESS ? wh_tick_answers(core, p, wh_clock_now(core->clock), &err) : rv;
        apr_pool_clear(p);
    }
    rv = rv == APR_SUCCESS ? wh_logdrains_leave(core, p, &err) : rv;
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0566", "log drains, at the end: %s", err.text);
    }
}

/* Who looks on sees what a message changed before the next tick. */
static void tell(wh_dbthread_t *t, apr_pool_t *p)
{
    wh_err_t err = WH_ERR_INIT;

    if (connected(t) && wh_events_look(t->core, p, &err) != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0486", "events: %s", err.text);
        wh_dbc_rollback(t->core->dbc);
    }
    apr_pool_clear(p);
}

static apr_interval_time_t pause_of(const wh_core_t *core, wh_mono_t next, wh_mono_t now)
{
    wh_mono_t until = core->events_due && wh_mono_reached(next, core->events_at) ? core->events_at
                                                                                 : next;

    return core->plan_again ? 0 : wh_mono_diff(until, now);
}

static void *run(void *baton)
{
    wh_dbthread_t *t = baton;
    wh_core_t *core = t->core;
    apr_interval_time_t every = core->settings->tick_ms * 1000;
    wh_mono_t next = wh_clock_mono(core->clock);
    apr_pool_t *p;
    int stopped = 0;

    apr_pool_create(&p, core->pool);
    apr_pool_tag(p, "tick");
    while (!stopped && !t->deposed) {
        int turn = TURN;
        wh_mono_t now = wh_clock_mono(core->clock);
        int poked = 0;
        wh_work_t *work;

        wh_watchdog_mark(core->dog, now);
        work = wh_mailbox_take(core->box, pause_of(core, next, now), &poked, &stopped);

        while (work != NULL) {
            int more = 0;

            core->events_due = 1;
            turn -= take(t, work, !stopped);
            work = core->plan_again && !stopped && turn > 0
                       ? wh_mailbox_take(core->box, 0, &more, &stopped)
                       : NULL;
            poked |= more;
        }
        now = wh_clock_mono(core->clock);
        if (!stopped && (poked || core->plan_again || wh_mono_reached(now, next))) {
            tick(t, p, poked);
            next = wh_mono_reached(now, next) ? wh_mono_add(now, every) : next;
        }
        if (core->events_due && (stopped || wh_mono_reached(now, core->events_at))) {
            tell(t, p);
        }
    }
    flush(t, p);
    apr_pool_destroy(p);
    while (core->peers != NULL) {
        (void)wh_core_peer_drop(core, core->peers->conn);
    }
    wh_roster_free(core->roster);
    core->roster = NULL;
    close_db(core);
    if (t->deposed) {
        kill(getpid(), SIGTERM); /* the main thread ends in order, and we start over as a standby */
    }
    return NULL;
}

apr_status_t wh_dbthread_start(apr_pool_t *p, wh_core_t *core, wh_dbthread_t **out, wh_err_t *err)
{
    wh_dbthread_t *t = apr_pcalloc(p, sizeof(*t));
    apr_pool_t *ptemp;
    apr_status_t rv;
    int rc;

    t->core = core;
    apr_pool_create(&ptemp, core->pool);
    rv = wh_recover_start(core, ptemp, wh_clock_now(core->clock), err);
    apr_pool_destroy(ptemp);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = wh_threads_start(&t->thread, run, t);
    if (rc != 0) {
        return wh_err_wrap(err, rc, 500, "no_thread", "the database thread cannot be started");
    }
    *out = t;
    return APR_SUCCESS;
}

int wh_dbthread_join(wh_dbthread_t *t)
{
    pthread_join(t->thread, NULL);
    return t->deposed;
}
