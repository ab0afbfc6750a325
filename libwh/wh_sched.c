/* wh_sched: see wh_sched.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <jansson.h>

#include "libwh/wh_sched.h"
#include "libwh/wh_text.h"

#define APPS_FULL 32
#define SHUNNED 1000000 /* more than any score, also of a worker that is over its capacity */

typedef struct own_t {
    const wh_sched_held_t *held;
    struct own_t *next;
} own_t;

typedef struct target_t {
    int busy;                     /* something of it is under way */
    apr_int64_t busy_number;      /* and that is this deployment */
    own_t *own;                   /* what it holds, worker by worker */
    const wh_sched_job_t *newest; /* of those that wait, in the input */
    apr_int64_t newest_number;    /* of all that wait */
} target_t;

typedef struct waiting_t {
    const wh_sched_job_t *job;
} waiting_t;

/* One plan under way. Workers are copied, because each assignment fills its worker a little. */
typedef struct plan_t {
    apr_pool_t *p;
    const wh_sched_in_t *in;
    apr_hash_t *targets; /* "app/environment" -> target_t */
    wh_sched_worker_t *workers;
    waiting_t *waiting; /* pending deploy and stop jobs that may be placed */
    int n_waiting;
    wh_sched_plan_t *out;
} plan_t;

static void push(plan_t *plan, wh_sched_do_e what, const wh_sched_job_t *job,
                 apr_int64_t worker_id, const char *by)
{
    APR_ARRAY_PUSH(plan->out->actions, wh_sched_action_t) =
        (wh_sched_action_t){.what = what, .job = job, .worker_id = worker_id, .by = by};
}

static void waits(plan_t *plan, const wh_sched_job_t *job, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void waits(plan_t *plan, const wh_sched_job_t *job, const char *code, const char *fmt, ...)
{
    va_list args;
    const char *detail;

    va_start(args, fmt);
    detail = apr_pvsprintf(plan->p, fmt, args);
    va_end(args);
    if (!job->cause_code || !job->cause_detail || strcmp(job->cause_code, code) != 0 ||
        strcmp(job->cause_detail, detail) != 0)
        APR_ARRAY_PUSH(plan->out->waits, wh_sched_wait_t) =
            (wh_sched_wait_t){.job = job, .code = code, .detail = detail};
}

static void due(plan_t *plan, apr_time_t at)
{
    if (at > plan->in->now && (plan->out->next_at == 0 || at < plan->out->next_at))
        plan->out->next_at = at;
}

static wh_sched_worker_t *worker_of(plan_t *plan, apr_int64_t id)
{
    int i;

    for (i = 0; i < plan->in->n_workers; i++) {
        if (plan->workers[i].id == id)
            return &plan->workers[i];
    }
    return NULL;
}

static int is_open(const wh_sched_job_t *job)
{
    return job->status == WH_JOB_ASSIGNED || job->status == WH_JOB_PROCESSING;
}

/* What stands about one app and environment. A job that is assigned makes it busy, although its
 * deployment is still in prepare: its worker may acknowledge it at any moment. */
static const char *target_key(const plan_t *plan, const char *app_id, const char *environment)
{
    return apr_pstrcat(plan->p, app_id, "/", environment, NULL);
}

static target_t *target_of(plan_t *plan, const char *app_id, const char *environment)
{
    const char *key = target_key(plan, app_id, environment);
    target_t *t = apr_hash_get(plan->targets, key, APR_HASH_KEY_STRING);

    if (!t) {
        t = apr_pcalloc(plan->p, sizeof(*t));
        apr_hash_set(plan->targets, key, APR_HASH_KEY_STRING, t);
    }
    return t;
}

static void survey(plan_t *plan)
{
    const wh_sched_in_t *in = plan->in;
    int i;

    for (i = 0; i < in->n_busy; i++) {
        target_t *t = target_of(plan, in->busy[i].app_id, in->busy[i].environment);

        t->busy = in->busy[i].number > 0;
        t->busy_number = in->busy[i].number;
        t->newest_number = in->busy[i].newest;
    }
    for (i = 0; i < in->n_jobs; i++) {
        const wh_sched_job_t *job = &in->jobs[i];
        target_t *t;

        if (job->kind != WH_JOB_KIND_DEPLOY)
            continue;
        t = target_of(plan, job->app_id, job->environment);
        if (is_open(job)) {
            t->busy = 1;
            t->busy_number = job->number;
        }
        if (job->status == WH_JOB_PENDING && job->cancel_at == 0 &&
            (!t->newest || job->number > t->newest->number))
            t->newest = job;
        if (t->newest && t->newest->number > t->newest_number)
            t->newest_number = t->newest->number;
    }
}

static void survey_held(plan_t *plan)
{
    const wh_sched_in_t *in = plan->in;
    int i;

    for (i = 0; i < in->n_held; i++) {
        const wh_sched_held_t *held = &in->held[i];
        const char *key = target_key(plan, held->app_id, held->environment);
        target_t *t = apr_hash_get(plan->targets, key, APR_HASH_KEY_STRING);

        if (t) {
            own_t *own = apr_palloc(plan->p, sizeof(*own));

            *own = (own_t){.held = held, .next = t->own};
            t->own = own;
        }
    }
}

static const wh_sched_held_t *held_on(const target_t *t, const wh_sched_worker_t *w)
{
    const own_t *own;

    for (own = t->own; own; own = own->next) {
        if (own->held->worker_id == w->id)
            return own->held;
    }
    return NULL;
}

/* What a job needs beyond what its own app and environment hold there; negative, where those hold
 * more: while the deployment before the last has its last requests, two are there. */
typedef struct need_t {
    apr_int64_t cpu, memory;
} need_t;

static need_t need_of(const wh_sched_job_t *job, const wh_sched_held_t *held)
{
    need_t need = {job->cpu_millis, job->memory_bytes};

    if (held) {
        need.cpu -= held->cpu_millis;
        need.memory -= held->memory_bytes;
    }
    return need;
}

/* What it adds to what is used now: nothing goes before it is there. */
static need_t added(const need_t *need)
{
    return (need_t){need->cpu > 0 ? need->cpu : 0, need->memory > 0 ? need->memory : 0};
}

/* Room for it once it has taken the place of all that its app has there. */
static int has_room(const wh_sched_worker_t *w, const need_t *need)
{
    return w->cpu_used + need->cpu <= w->cpu_millis &&
           w->memory_used + need->memory <= w->memory_bytes;
}

static int fullness(const wh_sched_worker_t *w, const need_t *beyond)
{
    need_t more = added(beyond), *need = &more;
    apr_int64_t cpu, memory, apps;

    /* In 128 bits nothing of this can overflow, whatever a worker says of itself. */
    cpu = w->cpu_millis > 0
              ? (apr_int64_t)((__int128)(w->cpu_used + need->cpu) * 1000 / w->cpu_millis)
              : 0;
    memory = w->memory_bytes > 0
                 ? (apr_int64_t)((__int128)(w->memory_used + need->memory) * 1000 /
                                 w->memory_bytes)
                 : 0;
    apps = w->running >= APPS_FULL ? 1000 : (apr_int64_t)w->running * 1000 / APPS_FULL;
    return (int)((cpu * 50 + memory * 35 + apps * 15) / 100);
}

static int is_set(const char *text)
{
    return text && *text;
}

static int has_label(const wh_sched_worker_t *w, const wh_sched_label_t *label)
{
    int i;

    for (i = 0; i < w->labels.n; i++) {
        if (strcmp(w->labels.list[i].key, label->key) == 0)
            return strcmp(w->labels.list[i].value, label->value) == 0;
    }
    return 0;
}

static int of_zone(const wh_sched_worker_t *w, const wh_sched_job_t *job)
{
    return !is_set(job->zone) || (w->zone && strcmp(w->zone, job->zone) == 0);
}

static int of_labels(const wh_sched_worker_t *w, const wh_sched_job_t *job)
{
    int i;

    for (i = 0; i < job->labels.n; i++) {
        if (!has_label(w, &job->labels.list[i]))
            return 0;
    }
    return 1;
}

wh_sched_labels_t wh_sched_labels(apr_pool_t *p, const char *text)
{
    static const wh_sched_label_t nobodys = {.key = "", .value = ""};
    wh_sched_labels_t out = {0};
    wh_sched_label_t *list;
    json_t *json, *value;
    const char *key;

    if (!is_set(text) || strcmp(text, "{}") == 0)
        return out;
    json = json_loads(text, 0, NULL);
    list = apr_pcalloc(p, (json_object_size(json) + 1) * sizeof(*list));
    json_object_foreach (json, key, value) {
        if (!json_is_string(value))
            break;
        list[out.n++] = (wh_sched_label_t){.key = apr_pstrdup(p, key),
                                           .value = apr_pstrdup(p, json_string_value(value))};
    }
    out.list = list;
    if (!json_is_object(json) || (size_t)out.n != json_object_size(json))
        out = (wh_sched_labels_t){.n = 1, .list = &nobodys};
    json_decref(json);
    return out;
}

int wh_sched_score(const wh_sched_worker_t *w, const wh_sched_job_t *job,
                   const wh_sched_held_t *held)
{
    need_t need = need_of(job, held);

    if (!w->online || !w->active || is_set(w->refuses) || (job->needs_engine && !w->engine) ||
        !of_zone(w, job) || !of_labels(w, job) || !has_room(w, &need))
        return -1;
    return fullness(w, &need);
}

static int avoided(const plan_t *plan, const wh_sched_job_t *job, const wh_sched_worker_t *w)
{
    int i;

    for (i = 0; i < plan->in->n_avoid; i++) {
        if (plan->in->avoid[i].worker_id == w->id &&
            strcmp(plan->in->avoid[i].job_id, job->id) == 0)
            return 1;
    }
    return 0;
}

/* The emptiest worker that can take a deploy job; by jobs under way, then id, where equal. One that
 * did not take it a moment ago is asked again only if there is no other. */
static wh_sched_worker_t *choose(plan_t *plan, const wh_sched_job_t *job, const target_t *t)
{
    wh_sched_worker_t *best = NULL;
    int best_score = 0, i;

    for (i = 0; i < plan->in->n_workers; i++) {
        wh_sched_worker_t *w = &plan->workers[i];
        int score;

        if ((job->worker_id && job->worker_id != w->id) || w->jobs >= w->max_jobs)
            continue;
        score = wh_sched_score(w, job, held_on(t, w));
        if (score < 0)
            continue;
        score += avoided(plan, job, w) ? SHUNNED : 0;
        if (!best || score < best_score ||
            (score == best_score &&
             (w->jobs < best->jobs || (w->jobs == best->jobs && w->id < best->id)))) {
            best = w;
            best_score = score;
        }
    }
    return best;
}

static apr_int64_t left(apr_int64_t all, apr_int64_t used, apr_int64_t own)
{
    return all - used + own > 0 ? all - used + own : 0;
}

static void no_room(plan_t *plan, const wh_sched_job_t *job, const wh_sched_worker_t *best,
                    const wh_sched_held_t *held)
{
    apr_int64_t cpu = left(best->cpu_millis, best->cpu_used, held ? held->cpu_millis : 0);
    apr_int64_t memory = left(best->memory_bytes, best->memory_used, held ? held->memory_bytes : 0);

    waits(plan, job, "no_room",
          "no worker has room for %" APR_INT64_T_FMT " CPU millis and %" APR_INT64_T_FMT
          " MiB; the best has %" APR_INT64_T_FMT " CPU millis and %" APR_INT64_T_FMT " MiB",
          job->cpu_millis, (job->memory_bytes + WH_MIB - 1) / WH_MIB, cpu, memory / WH_MIB);
}

/* What somebody else wrote, as it may stand in a sentence. */
static const char *cut(apr_pool_t *p, const char *text)
{
    return text ? wh_text_cap(p, text, 400) : "";
}

/* How many workers get how far, in the order in which the reasons are told. */
typedef struct sieve_t {
    int online, zone, labels, active, taking, engine, room;
    const char *refuses;           /* the first word of one that takes nothing */
    const wh_sched_worker_t *best; /* the emptiest of those with an engine */
    int best_score;
} sieve_t;

static void sift(sieve_t *s, const wh_sched_worker_t *w, const wh_sched_job_t *job,
                 const target_t *t)
{
    need_t need = need_of(job, held_on(t, w));
    int score = fullness(w, &need);

    if (!w->online || (job->worker_id && job->worker_id != w->id))
        return;
    s->online++;
    if (!of_zone(w, job))
        return;
    s->zone++;
    if (!of_labels(w, job))
        return;
    s->labels++;
    if (!w->active)
        return;
    s->active++;
    if (is_set(w->refuses)) {
        s->refuses = s->refuses ? s->refuses : w->refuses;
        return;
    }
    s->taking++;
    if (job->needs_engine && !w->engine)
        return;
    s->engine++;
    s->room += has_room(w, &need);
    if (!s->best || score < s->best_score) {
        s->best = w;
        s->best_score = score;
    }
}

/* Why there was nothing to choose: the first step at which no worker is left. */
static void why_not(plan_t *plan, const wh_sched_job_t *job, const target_t *t)
{
    sieve_t s = {0};
    int i;

    for (i = 0; i < plan->in->n_workers; i++)
        sift(&s, &plan->workers[i], job, t);
    if (!s.online)
        waits(plan, job, "no_worker",
              job->worker_id ? "the worker it is meant for is not online" : "no worker is online");
    else if (!s.zone)
        waits(plan, job, "no_match",
              job->worker_id ? "the worker it is meant for is not of zone %s"
                             : "no worker of zone %s is online",
              job->zone);
    else if (!s.labels)
        waits(plan, job, "no_match",
              job->worker_id ? "the worker it is meant for does not have the labels %s"
                             : "no worker that is online has the labels %s",
              cut(plan->p, job->labels_text));
    else if (!s.active)
        waits(plan, job, "no_worker",
              job->worker_id ? "the worker it is meant for takes no new deployments"
                             : "no worker that is online takes new deployments");
    else if (!s.taking)
        waits(plan, job, "no_worker",
              "no worker that is online takes new deployments at the moment: %s",
              cut(plan->p, s.refuses));
    else if (!s.engine)
        waits(plan, job, "no_engine", "no worker with a container engine is online");
    else if (!s.room)
        no_room(plan, job, s.best, held_on(t, s.best));
    else
        waits(plan, job, "busy", "the workers are at work on as many deployments as they may be");
}

/* What time alone has decided: lost leases and deadlines. */
/* Assigned has certainly not begun, so it goes elsewhere once its worker is gone and the lease,
 * which covers a message still on its way, has run out; or it is held for that worker (F10) until
 * it is stuck (F11). */
static void orphaned(plan_t *plan, const wh_sched_job_t *job)
{
    apr_time_t now = plan->in->now, at = job->lease_until;
    const wh_sched_worker_t *w = worker_of(plan, job->worker_id);

    if ((w && w->online) || job->kind == WH_JOB_KIND_STOP)
        return;
    if (plan->in->hold_on_loss)
        at += WH_SCHED_LOST_US - WH_SCHED_LEASE_US;
    if (now >= at)
        push(plan, plan->in->hold_on_loss ? WH_SCHED_FAIL_LOST : WH_SCHED_RELEASE, job, 0, NULL);
    else
        due(plan, at);
}

static void overdue(plan_t *plan, const wh_sched_job_t *job)
{
    apr_time_t now = plan->in->now, lost, late;

    if (job->status == WH_JOB_ASSIGNED) {
        orphaned(plan, job);
        return;
    }
    late = job->deadline_at ? job->deadline_at + WH_SCHED_DEADLINE_GRACE_US : 0;
    lost = job->lease_until - WH_SCHED_LEASE_US + WH_SCHED_LOST_US;
    if (lost < job->deadline_at)
        lost = job->deadline_at; /* R24: within its deadlines it is never stuck */
    if (now >= lost)
        push(plan, WH_SCHED_FAIL_LOST, job, 0, NULL);
    else if (late && now >= late)
        push(plan, WH_SCHED_FAIL_DEADLINE, job, 0, NULL);
    else
        due(plan, late && late < lost ? late : lost);
}

static int by_priority_then_age(const void *a, const void *b)
{
    const wh_sched_job_t *x = ((const waiting_t *)a)->job;
    const wh_sched_job_t *y = ((const waiting_t *)b)->job;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    if (x->created_at != y->created_at)
        return x->created_at < y->created_at ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* Sorts a pending job out: skipped, waiting for its time, or to be placed. */
static void consider(plan_t *plan, const wh_sched_job_t *job)
{
    const target_t *t = NULL;

    if (job->cancel_at != 0)
        return;
    if (job->kind == WH_JOB_KIND_DEPLOY) {
        t = target_of(plan, job->app_id, job->environment);
        if (job->number < t->newest_number || t->newest != job) {
            push(plan, WH_SCHED_SKIP, job, 0,
                 t->newest->number == t->newest_number ? t->newest->deployment_id : "");
            return;
        }
    }
    if (job->not_before > plan->in->now) {
        due(plan, job->not_before);
        return;
    }
    if (t && t->busy) {
        waits(plan, job, "busy", "deployment %" APR_INT64_T_FMT " of this app is under way",
              t->busy_number);
        return;
    }
    plan->waiting[plan->n_waiting++].job = job;
}

static void place(plan_t *plan, const wh_sched_job_t *job)
{
    wh_sched_worker_t *w;
    const target_t *t;
    need_t need;

    /* A stop job needs no room; it needs its worker, and waits there until that is back. */
    if (job->kind == WH_JOB_KIND_STOP) {
        w = worker_of(plan, job->worker_id);
        if (w && w->online)
            push(plan, WH_SCHED_ASSIGN, job, w->id, NULL);
        return;
    }
    t = target_of(plan, job->app_id, job->environment);
    w = choose(plan, job, t);
    if (!w) {
        why_not(plan, job, t);
        return;
    }
    push(plan, WH_SCHED_ASSIGN, job, w->id, NULL);
    need = need_of(job, held_on(t, w));
    need = added(&need);
    w->cpu_used += need.cpu;
    w->memory_used += need.memory;
    w->jobs++;
}

void wh_sched_plan(apr_pool_t *p, const wh_sched_in_t *in, wh_sched_plan_t *out)
{
    plan_t plan = {.p = p, .in = in, .out = out, .targets = apr_hash_make(p)};
    int i, before;

    *out = (wh_sched_plan_t){.actions = apr_array_make(p, 16, sizeof(wh_sched_action_t)),
                             .waits = apr_array_make(p, 4, sizeof(wh_sched_wait_t))};
    if (in->n_workers > 0)
        plan.workers = apr_pmemdup(p, in->workers, (size_t)in->n_workers * sizeof(*in->workers));
    plan.waiting = apr_pcalloc(p, (size_t)(in->n_jobs + 1) * sizeof(*plan.waiting));
    survey(&plan);
    survey_held(&plan);
    /* Fails before releases: a failed job is a fact, a released one is placed in the next plan. */
    for (i = 0; i < in->n_jobs; i++) {
        if (in->jobs[i].status == WH_JOB_PROCESSING)
            overdue(&plan, &in->jobs[i]);
    }
    for (i = 0; i < in->n_jobs; i++) {
        if (in->jobs[i].status == WH_JOB_ASSIGNED)
            overdue(&plan, &in->jobs[i]);
    }
    for (i = 0; i < in->n_jobs; i++) {
        if (in->jobs[i].status == WH_JOB_PENDING)
            consider(&plan, &in->jobs[i]);
    }
    qsort(plan.waiting, (size_t)plan.n_waiting, sizeof(*plan.waiting), by_priority_then_age);
    before = out->actions->nelts;
    for (i = 0; i < plan.n_waiting; i++) {
        if (out->actions->nelts - before >= WH_SCHED_TICK_MAX) {
            out->more = 1;
            break;
        }
        place(&plan, plan.waiting[i].job);
    }
}

apr_interval_time_t wh_sched_phase_left(wh_phase_e phase, const wh_sched_limits_t *limits)
{
    apr_interval_time_t left = limits->check;

    if (phase == WH_PHASE_SWITCHING)
        return limits->build; /* what a static site uploads is part of its build */
    if (phase <= WH_PHASE_STARTING)
        left += limits->start;
    if (phase <= WH_PHASE_BUILDING)
        left += limits->build;
    if (phase <= WH_PHASE_CLONING)
        left += limits->clone;
    return left;
}

int wh_sched_worker_stale(apr_int64_t now, apr_int64_t last_heartbeat, apr_int64_t scheduler_start)
{
    return now - last_heartbeat > WH_SCHED_HEARTBEAT_TIMEOUT_US &&
           now - scheduler_start > WH_SCHED_HEARTBEAT_TIMEOUT_US;
}
