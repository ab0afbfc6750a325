#include "t/unit/sched.h"

#include <ftw.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_text.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/alerts.h"
#include "wh-scheduler/usage.h"
#include "wh-scheduler/gone.h"
#include "wh-scheduler/hub_msg.h"
#include "wh-scheduler/recover.h"
#include "wh-scheduler/tick.h"
#include "wh-scheduler/times.h"

static void no_wake(void *baton)
{
    (void)baton;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

sched_t *sched_make(db_t *t)
{
    sched_t *s = apr_pcalloc(t->p, sizeof(*s));
    char *dir = apr_pstrdup(t->p, "/tmp/wh-unit-sched-XXXXXX");
    int fresh = 0;

    if (getenv("WH_UNIT_LOG") != NULL) {
        wh_log_set_sink(wh_log_stderr, NULL);
    }
    assert_non_null(mkdtemp(dir));
    s->t = t;
    s->dir = dir;
    wh_clock_fake_init(&s->clock, DB_T(1000));
    wh_clock_fake_advance(&s->clock, 1);
    s->settings = (wh_settings_t){.base_domain = "apps.test",
                                  .job_on_worker_loss = "reassign",
                                  .clone_s = 300,
                                  .build_s = 900,
                                  .start_s = 120,
                                  .check_s = 60,
                                  .tick_ms = 1000,
                                  .releases_kept = 10,
                                  .releases_kept_s = 86400,
                                  .notify_keep_days = 30,
                                  .event_log_bytes = 64 * WH_MIB,
                                  .event_log_age_s = 30 * 86400,
                                  .max_workers = 100};
    s->core = (wh_core_t){.settings = &s->settings,
                          .clock = &s->clock.clock,
                          .rand = wh_sys_rand(),
                          .pool = t->p,
                          .dbc = t->dbc};
    s->core.box = wh_mailbox_make(t->p, no_wake, NULL);
    s->core.started = wh_clock_mono(&s->clock.clock);
    assert_ok(wh_publish_open(t->p, apr_pstrcat(t->p, dir, "/routes", NULL), NULL, &s->core.publish,
                              &fresh, &t->err),
              &t->err);
    s->settings.logs_dir = apr_pstrcat(t->p, dir, "/logs", NULL);
    assert_int_equal(mkdir(s->settings.logs_dir, 0750), 0);
    wh_core_intake(&s->core);
    return s;
}

sched_t *sched_case(db_t *t)
{
    sched_t *s = sched_make(t);

    s->w = db_worker(t, 1);
    s->a = db_app(t, 1, WH_KIND_CONTAINER);
    return s;
}

static void forget(sched_t *s)
{
    while (s->core.peers != NULL) {
        (void)wh_core_peer_drop(&s->core, s->core.peers->conn);
    }
    (void)sched_out(s);
    wh_roster_free(s->core.roster);
    s->core.roster = NULL;
}

void sched_end(sched_t *s)
{
    forget(s);
    (void)nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void sched_restart(sched_t *s)
{
    wh_core_t *core = &s->core;

    forget(s);
    core->started = wh_clock_mono(core->clock);
    memset(&core->times, 0, sizeof(core->times));
    memset(&core->declines, 0, sizeof(core->declines));
    core->plan_again = core->unfinished = core->republish = core->plan_behind = 0;
    core->cancels_at.us = core->health_at.us = core->tend_at.us = core->check_at.us = 0;
    wh_gone_forget(core);
    wh_alerts_forget(core);
    wh_usage_forget(core);
    core->deleted_at.us = core->desired_at.us = core->roster_at.us = 0;
    assert_ok(wh_recover_start(&s->core, s->t->p, s->clock.now, &s->t->err), &s->t->err);
}

void sched_pass(sched_t *s, int seconds)
{
    wh_clock_fake_advance(&s->clock, apr_time_from_sec(seconds));
}

void sched_tick(sched_t *s)
{
    apr_pool_t *p;

    apr_pool_create(&p, s->t->p);
    s->core.plan_again = 0;
    assert_ok(wh_tick_run(&s->core, p, 1, &s->t->err), &s->t->err);
    apr_pool_destroy(p);
}

static apr_status_t handle(sched_t *s, wh_peer_t *peer, wh_msg_e type, json_t *payload)
{
    apr_pool_t *p;
    wh_proto_msg_t msg = {.type = type, .id = "0123456789abcdef0123456789abcdef", .p = payload};
    wh_hub_msg_in_t in = {.core = &s->core, .peer = peer, .msg = &msg};
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;

    apr_pool_create(&p, s->t->p);
    in.p = p;
    assert_ok(wh_times_look(&s->core, p, &in.now, &err), &err);
    rv = wh_hub_msg_handle(&in, &err);
    if (rv != APR_SUCCESS && wh_core_may_retry(&err)) {
        fail_msg("%s: %s", wh_proto_type_name(type), err.text);
    }
    wh_dbc_rollback(s->core.dbc);
    json_decref(payload);
    apr_pool_destroy(p);
    return rv;
}

apr_status_t sched_say(sched_t *s, apr_int64_t worker, wh_msg_e type, json_t *payload)
{
    wh_peer_t *peer = wh_core_peer(&s->core, worker);

    assert_non_null(payload);
    if (peer == NULL) {
        json_decref(payload);
        return APR_NOTFOUND; /* not connected: it is not heard */
    }
    return handle(s, peer, type, payload);
}

void sched_up(sched_t *s, const wh_worker_t *w, json_t *running)
{
    apr_time_t now;
    apr_status_t rv;

    assert_ok(wh_times_look(&s->core, s->t->p, &now, &s->t->err), &s->t->err);
    assert_ok(wh_hub_msg_connect(&s->core, s->t->p, w->id, ++s->conns, now, &s->t->err),
              &s->t->err);
    rv = sched_say(s, w->id, WH_MSG_HELLO,
                   json_pack("{s:s,s:s,s:I,s:I,s:{},s:s,s:i,s:o,s:[],s:[]}", "version", "0.1.0",
                             "name", w->name, "cpu_millis", (json_int_t)w->cpu_millis,
                             "memory_bytes", (json_int_t)w->memory_bytes, "labels", "engine",
                             w->engine, "max_jobs", w->max_jobs, "running",
                             running != NULL ? running : json_array(), "results", "instances"));
    assert_int_equal(rv, APR_SUCCESS);
}

void sched_down(sched_t *s, apr_int64_t worker)
{
    wh_peer_t *peer = wh_core_peer(&s->core, worker);

    if (peer != NULL) {
        assert_ok(wh_hub_msg_disconnect(&s->core, s->t->p, peer->conn, 1, s->clock.now, &s->t->err),
                  &s->t->err);
    }
}

json_t *sched_refs(json_t *list, const char *job, apr_int64_t epoch)
{
    list = list != NULL ? list : json_array();
    json_array_append_new(list, json_pack("{s:s,s:I}", "job", job, "epoch", (json_int_t)epoch));
    return list;
}

void sched_beat(sched_t *s, apr_int64_t worker, json_t *running)
{
    (void)sched_say(s, worker, WH_MSG_HEARTBEAT,
                    json_pack("{s:i,s:i,s:i,s:o}", "cpu_used_millis", 1, "memory_used_bytes", 1,
                              "disk_free_bytes", 1, "running",
                              running != NULL ? running : json_array()));
}

apr_status_t sched_ack(sched_t *s, apr_int64_t worker, const char *job, apr_int64_t epoch)
{
    return sched_say(
        s, worker, WH_MSG_JOB_ACK,
        json_pack("{s:s,s:I,s:b}", "job", job, "epoch", (json_int_t)epoch, "accepted", 1));
}

apr_status_t sched_refuse(sched_t *s, apr_int64_t worker, const char *job, apr_int64_t epoch)
{
    return sched_say(s, worker, WH_MSG_JOB_ACK,
                     json_pack("{s:s,s:I,s:b,s:s}", "job", job, "epoch", (json_int_t)epoch,
                               "accepted", 0, "reason", "busy"));
}

apr_status_t sched_result(sched_t *s, apr_int64_t worker, const char *job, apr_int64_t epoch,
                          const char *outcome)
{
    int good = strcmp(outcome, "succeeded") == 0;
    json_t *instances = json_array();
    json_t *p;

    if (good) {
        apr_int64_t number = 0;

        (void)wh_text_number(job + 20, 0, 999999,
                             &number); /* of an id by db_id; others have none */
        json_array_append_new(
            instances, json_pack("{s:s,s:s,s:i}", "container",
                                 apr_psprintf(s->t->p, "c-%s-%d", job, (int)epoch), "address",
                                 "127.0.0.1", "port", 20000 + (int)(number % 10000)));
    }
    p = json_pack("{s:s,s:I,s:s,s:o,s:{s:i,s:i,s:i,s:i,s:i}}", "job", job, "epoch",
                  (json_int_t)epoch, "outcome", outcome, "instances", instances, "timings",
                  "clone_ms", 1, "build_ms", 1, "start_ms", 1, "check_ms", 1, "upload_ms", 1);
    if (!good) {
        json_object_set_new(p, "cause",
                            json_pack("{s:s,s:s}", "code", "build_failed", "detail", "It broke."));
    }
    return sched_say(s, worker, WH_MSG_JOB_RESULT, p);
}

/* " d1+ d2-": what should run, and what should not. */
static const char *desired_text(sched_t *s, const json_t *payload)
{
    const char *text = "";
    json_t *d;
    size_t i;

    json_array_foreach(json_object_get(payload, "desired"), i, d)
    {
        const char *is = json_string_value(json_object_get(d, "desired"));

        text = apr_pstrcat(s->t->p, text, " ", json_string_value(json_object_get(d, "deployment")),
                           strcmp(is, "running") == 0 ? "+" : "-", NULL);
    }
    return text;
}

const char *sched_out(sched_t *s)
{
    wh_post_t *next, *post = wh_mailbox_posts(s->core.box);
    const char *text = "";

    for (; post != NULL; post = next) {
        const char *one = NULL;

        next = post->next;
        if (post->kind == WH_POST_FRAME) {
            const char *job = json_string_value(json_object_get(post->payload, "job"));

            one = job == NULL
                      ? apr_pstrcat(s->t->p, post->type, desired_text(s, post->payload), NULL)
                      : apr_psprintf(
                            s->t->p, "%s %s %d", post->type, job,
                            (int)json_integer_value(json_object_get(post->payload, "epoch")));
        } else if (post->kind == WH_POST_CLOSE) {
            one = apr_psprintf(s->t->p, "close %d", post->code);
        }
        if (one != NULL) {
            text =
                apr_psprintf(s->t->p, "%s%s%s@%d", text, *text ? "; " : "", one, (int)post->conn);
        }
        wh_mailbox_post_free(post);
    }
    return text;
}

const char *sched_deployment(sched_t *s, const char *id)
{
    return db_value(s->t, apr_psprintf(s->t->p,
                                       "SELECT status || '/' || conclusion || '/' || cause_code"
                                       " FROM deployments WHERE id = '%s'",
                                       id));
}

const char *sched_job(sched_t *s, const char *id)
{
    return db_value(s->t, apr_psprintf(s->t->p, "SELECT status FROM jobs WHERE id = '%s'", id));
}

const char *sched_observed(sched_t *s, const wh_app_t *a)
{
    return db_value(s->t, apr_psprintf(s->t->p,
                                       "SELECT observed || '/' || reason || '/' || desired"
                                       " FROM apps WHERE id = '%s'",
                                       a->id));
}

/* A job that runs: deployment n of app on w, epoch 1. */
void sched_begin(sched_t *s, const wh_worker_t *w, const wh_app_t *a, int n)
{
    (void)db_deployment(s->t, a, n);
    sched_tick(s);
    assert_int_equal(sched_ack(s, w->id, db_id(s->t, 'j', n), 1), APR_SUCCESS);
    assert_string_equal(sched_job(s, db_id(s->t, 'j', n)), "processing");
}

void sched_at_work(sched_t *s, const wh_worker_t *w, const wh_app_t *a)
{
    sched_tick(s);
    sched_up(s, w, NULL);
    sched_begin(s, w, a, 1);
}

void sched_away(sched_t *s, const wh_worker_t *w)
{
    assert_ok(wh_db_worker_set_offline(s->t->dbc, s->t->p, w->id, s->clock.now, &s->t->err),
              &s->t->err);
}

void sched_offered(sched_t *s, const wh_worker_t *other)
{
    sched_tick(s);
    sched_up(s, s->w, NULL);
    sched_away(s, other);
    (void)db_deployment(s->t, s->a, 1);
    sched_tick(s);
}
