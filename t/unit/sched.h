/* A scheduler's database thread without a thread: the real handlers and the real tick on a real
 * database (t/unit/db.h), a clock that is moved by hand, and workers that speak by function call.
 * The route table and the log segments are real files in a directory of the case's own. */
#ifndef T_UNIT_SCHED_H
#define T_UNIT_SCHED_H

#include "t/unit/db.h"
#include "libwh/wh_clock.h"
#include "wh-scheduler/core.h"
#include "wh-scheduler/settings.h"

typedef struct sched_t {
    db_t *t;
    wh_core_t core;
    wh_settings_t settings;
    wh_clock_fake_t clock;
    const char *dir;
    apr_uint64_t conns; /* the last connection's number */
    wh_worker_t *w;     /* sched_case: worker 1 and a container app 1 */
    wh_app_t *a;
} sched_t;

/* Starts at DB_T(1000). End it with sched_end, which takes the files away. */
sched_t *sched_make(db_t *t);
sched_t *sched_case(db_t *t);
void sched_end(sched_t *s);

/* The process is another one: peers and everything in memory is forgotten, the database stays. */
void sched_restart(sched_t *s);

/* Time passes by whole ticks of a second; nothing else happens. */
void sched_pass(sched_t *s, int seconds);
void sched_tick(sched_t *s);

/* Of a worker: its connection comes (with a hello that names these jobs, each {job, epoch}, as
 * running) and goes. Frames in; what the hub says of them is not an error of the test. */
void sched_up(sched_t *s, const wh_worker_t *w, json_t *running);
void sched_down(sched_t *s, apr_int64_t worker);
apr_status_t sched_say(sched_t *s, apr_int64_t worker, wh_msg_e type, json_t *payload);
void sched_beat(sched_t *s, apr_int64_t worker, json_t *running);
apr_status_t sched_ack(sched_t *s, apr_int64_t worker, const char *job, apr_int64_t epoch);
apr_status_t sched_refuse(sched_t *s, apr_int64_t worker, const char *job, apr_int64_t epoch);
/* outcome succeeded brings a container "c-" job epoch at 127.0.0.1. */
apr_status_t sched_result(sched_t *s, apr_int64_t worker, const char *job, apr_int64_t epoch,
                          const char *outcome);
/* {job, epoch} in a list, or added to it. */
json_t *sched_refs(json_t *list, const char *job, apr_int64_t epoch);

/* What went out since the last call: "type job epoch@conn; ..." (job frames, go, cancel, ack; other
 * types by name; welcome and settings with what should run: " d1+ d2-"). */
const char *sched_out(sched_t *s);

/* status/conclusion/cause of a deployment, status of a job. */
const char *sched_deployment(sched_t *s, const char *id);
const char *sched_job(sched_t *s, const char *id);

/* observed/reason/desired of an app. */
const char *sched_observed(sched_t *s, const wh_app_t *a);

/* Deployment n of the app runs on w: placed, taken, gone for, at epoch 1. */
void sched_begin(sched_t *s, const wh_worker_t *w, const wh_app_t *a, int n);
/* How most cases begin: a tick, w comes, deployment 1 of the app runs on it. */
void sched_at_work(sched_t *s, const wh_worker_t *w, const wh_app_t *a);
/* Or so: w comes, other is away, and deployment 1 is offered to w, which has not answered. */
void sched_offered(sched_t *s, const wh_worker_t *other);
/* Its row says that it is not online. */
void sched_away(sched_t *s, const wh_worker_t *w);

#endif
