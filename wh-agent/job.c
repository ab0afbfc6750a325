#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/deploy.h"
#include "wh-agent/hush.h"
#include "wh-agent/job.h"
#include "wh-agent/thread.h"
#include "wh-agent/vars.h"

#define STOPS_MAX                                                                                  \
    16 /* beside the deployments: stopping is short and must not queue behind a build */

typedef enum task_state_e { TASK_WAITING, TASK_RUNNING, TASK_DONE } task_state_e;

typedef struct task_t task_t;
struct task_t {
    task_t *next;
    wh_jobs_t *jobs;
    apr_pool_t *p;    /* of the link's thread, but for what is noted */
    wh_msg_job_t msg; /* read-only once made: both threads */
    task_state_e state;
    wh_cancel_t cancel; /* both */
    wh_logs_t *logs;    /* both */
    const char *engine_root; /* as it was at the go */
    int abandoned;      /* both, atomically: the agent is going down */
    json_t *status;     /* the last job_status payload */
    int status_unsent;
};

struct wh_jobs_t {
    wh_jobs_opts_t opts;
    task_t *first;
};

/* What a job's thread tells; job and epoch name the task, which may be gone. */
typedef struct tell_t {
    wh_jobs_t *jobs;
    char job[WH_ID_LEN + 1];
    apr_int64_t epoch;
    json_t *payload;
} tell_t;

/* ---- the table ---- */

apr_status_t wh_jobs_make(apr_pool_t *p, const wh_jobs_opts_t *opts, wh_jobs_t **out, wh_err_t *err)
{
    wh_jobs_t *jobs = apr_pcalloc(p, sizeof(*jobs));

    (void)err;
    jobs->opts = *opts;
    *out = jobs;
    return APR_SUCCESS;
}

static task_t *find(const wh_jobs_t *jobs, const char *job, apr_int64_t epoch)
{
    for (task_t *t = jobs->first; t != NULL; t = t->next)
        if (strcmp(t->msg.job, job) == 0 && (epoch == 0 || t->msg.epoch == epoch))
            return t;
    return NULL;
}

static void forget(wh_jobs_t *jobs, task_t *task)
{
    for (task_t **at = &jobs->first; *at != NULL; at = &(*at)->next)
        if (*at == task) {
            *at = task->next;
            break;
        }
    json_decref(task->status);
    apr_pool_destroy(task->p);
}

void wh_jobs_free(wh_jobs_t *jobs)
{
    task_t *t = jobs->first;

    while (t != NULL) {
        task_t *next = t->next;

        if (t->state != TASK_RUNNING) /* a thread still holds the others */
            forget(jobs, t);
        t = next;
    }
}

static int count(const wh_jobs_t *jobs, wh_job_kind_e kind)
{
    int n = 0;

    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        n += t->state != TASK_DONE && t->msg.kind == kind;
    return n;
}

/* Two deployments of one app never run at once: whoever sends them, and whatever it thinks of the
 * first. */
static int app_is_busy(const wh_jobs_t *jobs, const task_t *task)
{
    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        if (t->state != TASK_DONE && t->msg.kind == WH_JOB_KIND_DEPLOY &&
            strcmp(t->msg.app, task->msg.app) == 0)
            return 1;
    return 0;
}

static task_t *make_task(wh_jobs_t *jobs, json_t *payload, wh_err_t *err)
{
    apr_pool_t *p = wh_pool_make("task");
    wh_logs_opts_t logs = {
        .clock = jobs->opts.clock, .wake = jobs->opts.wake, .wake_baton = jobs->opts.wake_baton};
    task_t *task;
    apr_status_t rv;

    if (p == NULL) {
        (void)wh_err_set(err, 500, "internal", "out of memory");
        return NULL;
    }
    task = apr_pcalloc(p, sizeof(*task));
    task->p = p;
    task->jobs = jobs;
    rv = wh_proto_msg_job_decode(p, payload, &task->msg, err);
    if (rv == APR_SUCCESS)
        rv = wh_cancel_init(p, &task->cancel, err);
    if (rv == APR_SUCCESS)
        rv = wh_logs_make(p, &logs, &task->logs, err);
    if (rv == APR_SUCCESS)
        return task;
    apr_pool_destroy(p);
    return NULL;
}

const char *wh_jobs_offer(wh_jobs_t *jobs, json_t *payload)
{
    wh_err_t err = WH_ERR_INIT;
    task_t *task = make_task(jobs, payload, &err), *old;
    int is_stop;

    if (task == NULL)
        return err.text[0] != '\0' ? "the job cannot be read" : "out of memory";
    if (wh_results_find(jobs->opts.results, task->msg.job, task->msg.epoch) != NULL &&
        find(jobs, task->msg.job, task->msg.epoch) == NULL) {
        forget(jobs, task);
        return "this job is done; its result is on its way";
    }
    old = find(jobs, task->msg.job, 0);
    if (old != NULL && old->msg.epoch == task->msg.epoch) {
        forget(jobs, task); /* offered again: the answer may have been lost */
        return NULL;
    }
    if (old != NULL && old->state == TASK_WAITING) {
        forget(jobs, old);
        old = NULL;
    }
    is_stop = task->msg.kind == WH_JOB_KIND_STOP;
    if (old != NULL && old->state == TASK_RUNNING) {
        wh_cancel_set(&old->cancel);
        forget(jobs, task);
        return "an earlier run of this job has not ended yet";
    }
    if (!is_stop && app_is_busy(jobs, task)) {
        forget(jobs, task);
        return "busy";
    }
    if (count(jobs, task->msg.kind) >= (is_stop ? STOPS_MAX : (int)jobs->opts.conf->max_jobs)) {
        forget(jobs, task);
        return "as many jobs as allowed are running";
    }
    task->next = jobs->first;
    jobs->first = task;
    return NULL;
}

/* ---- the thread of one job ---- */

static tell_t *tell_of(apr_pool_t *p, const task_t *task, json_t *payload)
{
    tell_t *tell = apr_pcalloc(p, sizeof(*tell));

    tell->jobs = task->jobs;
    apr_cpystrn(tell->job, task->msg.job, sizeof(tell->job));
    tell->epoch = task->msg.epoch;
    tell->payload = payload;
    return tell;
}

static void on_phase(void *owner, void *data)
{
    tell_t *tell = data;
    task_t *task = find(tell->jobs, tell->job, tell->epoch);

    (void)owner;
    if (task == NULL) {
        json_decref(tell->payload);
        return;
    }
    json_decref(task->status);
    task->status = tell->payload;
    task->status_unsent = 1;
    tell->jobs->opts.changed(tell->jobs->opts.owner);
}

static void say_phase(void *baton, wh_phase_e phase, const wh_msg_commit_t *commit)
{
    task_t *task = baton;
    apr_pool_t *p = wh_pool_make("phase");
    wh_msg_job_status_t status = {.job = task->msg.job,
                                  .epoch = task->msg.epoch,
                                  .phase = phase,
                                  .commit = {.sha = "", .message = "", .author = ""},
                                  .started_at = wh_clock_now(task->jobs->opts.clock)};
    json_t *payload;

    if (commit != NULL)
        status.commit = *commit;
    payload = wh_proto_msg_job_status_encode(&status);
    if (p == NULL || payload == NULL) {
        json_decref(payload);
        if (p != NULL)
            apr_pool_destroy(p);
        return;
    }
    wh_box_post(task->jobs->opts.box, p, on_phase, tell_of(p, task, payload));
}

static void on_done(void *owner, void *data)
{
    tell_t *tell = data;
    task_t *task = find(tell->jobs, tell->job, tell->epoch);
    wh_msg_ref_t ref = {.job = tell->job, .epoch = tell->epoch};

    (void)owner;
    if (task != NULL)
        task->state = TASK_DONE;
    wh_results_add(tell->jobs->opts.results, &ref, tell->payload);
    tell->jobs->opts.changed(tell->jobs->opts.owner);
    tell->jobs->opts.ended(tell->jobs->opts.owner);
}

static void abandoned(wh_msg_job_result_t *result)
{
    result->outcome = WH_OUTCOME_FAILED;
    result->cause_code = "agent_lost";
    result->cause_detail = "the agent was stopped while the deployment ran";
}

static void work_for(task_t *task, wh_work_t *work, wh_msg_job_result_t *result)
{
    wh_err_t err = WH_ERR_INIT;

    *result = (wh_msg_job_result_t){.job = task->msg.job,
                                    .epoch = task->msg.epoch,
                                    .outcome = WH_OUTCOME_FAILED,
                                    .cause_code = "internal",
                                    .release = "",
                                    .commit = {.sha = "", .message = "", .author = ""}};
    /* Without a mark a crash would leave things behind that nobody knows of: then better not begin.
     */
    if (wh_results_mark(work->conf->state_dir, work->p, &task->msg, &err) == APR_SUCCESS) {
        wh_deploy_run(work, result);
        if (__atomic_load_n(&task->abandoned, __ATOMIC_SEQ_CST) &&
            result->outcome == WH_OUTCOME_CANCELED)
            abandoned(result);
    } else {
        result->cause_detail = apr_pstrdup(work->p, err.text);
    }
}

/* A result that cannot be written as it is must not keep the deployment open for ever. */
static json_t *encode_result(wh_msg_job_result_t *result)
{
    json_t *payload = wh_proto_msg_job_result_encode(result);

    if (payload != NULL)
        return payload;
    result->outcome = WH_OUTCOME_FAILED;
    result->cause_code = "internal";
    result->cause_detail = "the result could not be written";
    result->release = "";
    result->instances = NULL;
    result->commit = (wh_msg_commit_t){.sha = "", .message = "", .author = ""};
    return wh_proto_msg_job_result_encode(result);
}

/* The task outlives this function's use of it: it is forgotten only after on_done. */
static void run_job(void *data)
{
    task_t *task = data;
    const wh_jobs_opts_t *o = &task->jobs->opts;
    apr_pool_t *p = wh_pool_make("job"), *letter = wh_pool_make("done");
    wh_work_t work = {.p = p,
                      .conf = o->conf,
                      .clock = o->clock,
                      .rnd = o->rnd,
                      .identity = o->identity,
                      .engine = o->engine,
                      .engine_root = task->engine_root,
                      .mark = o->mark,
                      .cancel = &task->cancel,
                      .logs = task->logs,
                      .job = &task->msg,
                      .phase = say_phase,
                      .phase_baton = task,
                      .stopped = o->stopped,
                      .stopped_baton = o->owner};
    wh_msg_ref_t ref = {.job = task->msg.job, .epoch = task->msg.epoch};
    wh_msg_job_result_t result;
    wh_err_t err = WH_ERR_INIT;
    json_t *payload;

    if (p == NULL || letter == NULL) {
        wh_log(WH_LOG_ERROR, "WH0650", "out of memory: job %s does not begin", task->msg.job);
        if (p != NULL)
            apr_pool_destroy(p);
        if (letter != NULL)
            apr_pool_destroy(letter);
        return; /* the hub fails it by its deadline */
    }
    work.mask = wh_vars_mask(p, &task->msg);
    wh_logs_mask(task->logs, work.mask);
    wh_hush_begin(work.mask);
    work_for(task, &work, &result);
    wh_hush_begin(NULL);
    wh_logs_mask(task->logs, NULL);
    payload = encode_result(&result);
    if (payload == NULL ||
        wh_results_store(o->conf->state_dir, p, &ref, payload, &err) != APR_SUCCESS)
        wh_log(WH_LOG_ERROR, "WH0651", "the result of job %s is kept in memory only: %s",
               task->msg.job, err.text);
    wh_results_unmark(o->conf->state_dir, p, task->msg.job);
    wh_log(WH_LOG_INFO, NULL, "job %s of %s: %s%s%s", task->msg.job, task->msg.slug,
           wh_model_outcome_text(result.outcome),
           result.outcome == WH_OUTCOME_SUCCEEDED ? "" : ": ",
           result.outcome == WH_OUTCOME_SUCCEEDED ? "" : result.cause_detail);
    apr_pool_destroy(p);
    wh_box_post(o->box, letter, on_done, tell_of(letter, task, payload));
}

int wh_jobs_go(wh_jobs_t *jobs, const wh_msg_ref_t *ref)
{
    task_t *task = find(jobs, ref->job, ref->epoch);
    wh_err_t err = WH_ERR_INIT;

    if (task == NULL)
        return 0;
    if (task->state != TASK_WAITING)
        return 1;
    task->state = TASK_RUNNING;
    task->engine_root =
        jobs->opts.engine_root != NULL ? apr_pstrdup(task->p, jobs->opts.engine_root) : "";
    if (wh_thread_start(run_job, task, &err) == APR_SUCCESS)
        return 1;
    wh_log(WH_LOG_ERROR, "WH0652", "job %s cannot begin: %s", ref->job, err.text);
    forget(jobs, task);
    return 0;
}

const char *wh_jobs_stops(const wh_jobs_t *jobs, const wh_msg_ref_t *ref)
{
    const task_t *task = find(jobs, ref->job, ref->epoch);

    return task != NULL && task->msg.kind == WH_JOB_KIND_STOP ? task->msg.deployment : NULL;
}

/* ---- cancel ---- */

static void store_canceled(wh_jobs_t *jobs, const wh_msg_ref_t *ref)
{
    wh_msg_job_result_t result = {.job = ref->job,
                                  .epoch = ref->epoch,
                                  .outcome = WH_OUTCOME_CANCELED,
                                  .cause_code = "canceled",
                                  .cause_detail = "the deployment was canceled before it began",
                                  .release = "",
                                  .commit = {.sha = "", .message = "", .author = ""}};
    json_t *payload = wh_proto_msg_job_result_encode(&result);
    apr_pool_t *p = wh_pool_make("canceled");
    wh_err_t err = WH_ERR_INIT;

    if (p != NULL && payload != NULL) {
        if (wh_results_store(jobs->opts.conf->state_dir, p, ref, payload, &err) != APR_SUCCESS)
            wh_log(WH_LOG_ERROR, "WH0653", "the result of job %s is kept in memory only: %s",
                   ref->job, err.text);
        wh_results_add(jobs->opts.results, ref, json_incref(payload));
    }
    json_decref(payload);
    if (p != NULL)
        apr_pool_destroy(p);
}

void wh_jobs_cancel(wh_jobs_t *jobs, const wh_msg_ref_t *ref)
{
    task_t *task = find(jobs, ref->job, 0);

    if (task != NULL && task->state == TASK_RUNNING) {
        wh_cancel_set(&task->cancel);
        return;
    }
    if (task != NULL && task->state == TASK_WAITING)
        forget(jobs, task);
    if (wh_results_find(jobs->opts.results, ref->job, 0) == NULL)
        store_canceled(jobs, ref);
    jobs->opts.changed(jobs->opts.owner);
}

void wh_jobs_abandon(wh_jobs_t *jobs)
{
    for (task_t *t = jobs->first; t != NULL; t = t->next) {
        if (t->state != TASK_RUNNING)
            continue;
        __atomic_store_n(&t->abandoned, 1, __ATOMIC_SEQ_CST);
        wh_cancel_set(&t->cancel);
    }
}

/* ---- acknowledgements ---- */

int wh_jobs_acked(wh_jobs_t *jobs, apr_pool_t *p, const wh_msg_ref_t *ref,
                  wh_msg_desired_t *running)
{
    const json_t *payload = wh_results_find(jobs->opts.results, ref->job, ref->epoch);
    const char *outcome = json_string_value(json_object_get(payload, "outcome"));
    task_t *task = find(jobs, ref->job, ref->epoch);
    int is_up = 0;

    if (task != NULL && task->state == TASK_DONE) {
        is_up = outcome != NULL && strcmp(outcome, "succeeded") == 0 &&
                task->msg.kind == WH_JOB_KIND_DEPLOY &&
                task->msg.snapshot.kind == WH_KIND_CONTAINER;
        *running = (wh_msg_desired_t){.deployment = apr_pstrdup(p, task->msg.deployment),
                                      .app = apr_pstrdup(p, task->msg.app),
                                      .desired = WH_DESIRED_RUNNING};
        forget(jobs, task);
    }
    (void)wh_results_drop(jobs->opts.results, ref);
    return is_up;
}

void wh_jobs_log_acked(wh_jobs_t *jobs, const char *job, apr_int64_t seq)
{
    task_t *task = find(jobs, job, 0);

    if (task != NULL)
        wh_logs_acked(task->logs, seq);
}

void wh_jobs_disconnected(wh_jobs_t *jobs)
{
    for (task_t *t = jobs->first; t != NULL; t = t->next) {
        t->status_unsent = t->status != NULL;
        wh_logs_rewind(t->logs);
    }
    wh_results_rewind(jobs->opts.results);
}

/* ---- lists ---- */

apr_array_header_t *wh_jobs_running(const wh_jobs_t *jobs, apr_pool_t *p)
{
    apr_array_header_t *refs = apr_array_make(p, 4, sizeof(wh_msg_ref_t));

    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        if (t->state == TASK_RUNNING)
            APR_ARRAY_PUSH(refs, wh_msg_ref_t) =
                (wh_msg_ref_t){.job = apr_pstrdup(p, t->msg.job), .epoch = t->msg.epoch};
    return refs;
}

/* What waits is named, too: its go may have been on the way when the line broke, and then the hub,
 * which holds it for begun, says it again; what the hub gave to another meanwhile it cancels. */
apr_array_header_t *wh_jobs_held(const wh_jobs_t *jobs, apr_pool_t *p)
{
    apr_array_header_t *refs = wh_jobs_running(jobs, p);

    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        if (t->state == TASK_WAITING)
            APR_ARRAY_PUSH(refs, wh_msg_ref_t) =
                (wh_msg_ref_t){.job = apr_pstrdup(p, t->msg.job), .epoch = t->msg.epoch};
    return refs;
}

int wh_jobs_count_running(const wh_jobs_t *jobs)
{
    int n = 0;

    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        n += t->state == TASK_RUNNING;
    return n;
}

apr_array_header_t *wh_jobs_busy(const wh_jobs_t *jobs, apr_pool_t *p)
{
    apr_array_header_t *busy = apr_array_make(p, 4, sizeof(const char *));
    apr_array_header_t *results = wh_results_refs(jobs->opts.results, p);

    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        APR_ARRAY_PUSH(busy, const char *) = apr_pstrdup(p, t->msg.job);
    for (int i = 0; i < results->nelts; i++)
        APR_ARRAY_PUSH(busy, const char *) = APR_ARRAY_IDX(results, i, wh_msg_ref_t).job;
    return busy;
}

apr_array_header_t *wh_jobs_building(const wh_jobs_t *jobs, apr_pool_t *p)
{
    apr_array_header_t *ids = apr_array_make(p, 4, sizeof(const char *));

    for (const task_t *t = jobs->first; t != NULL; t = t->next)
        if (t->state != TASK_DONE && t->msg.kind == WH_JOB_KIND_DEPLOY)
            for (int i = 0; i < 2; i++)
                APR_ARRAY_PUSH(ids, const char *) =
                    apr_pstrdup(p, i == 0 ? t->msg.deployment : t->msg.image_of);
    return ids;
}

/* ---- what is to be sent ---- */

static json_t *next_log(task_t *task, apr_pool_t *p, apr_int64_t *budget)
{
    wh_msg_build_log_t log = {.job = task->msg.job, .epoch = task->msg.epoch};

    log.lines = wh_logs_take(task->logs, p, &log.dropped);
    if (log.lines == NULL)
        return NULL;
    for (int i = 0; i < log.lines->nelts; i++)
        *budget -= (apr_int64_t)strlen(APR_ARRAY_IDX(log.lines, i, wh_msg_line_t).text) + 1;
    return wh_proto_msg_build_log_encode(&log);
}

/* All lines of a job go out before its result: when the hub has the result, it has the log. */
static json_t *next_result(wh_jobs_t *jobs, apr_pool_t *p)
{
    apr_array_header_t *refs = wh_results_unsent(jobs->opts.results, p);

    for (int i = 0; i < refs->nelts; i++) {
        const wh_msg_ref_t *ref = &APR_ARRAY_IDX(refs, i, wh_msg_ref_t);
        task_t *task = find(jobs, ref->job, ref->epoch);

        if (task != NULL && wh_logs_pending(task->logs))
            continue;
        wh_results_sent(jobs->opts.results, ref->job);
        return json_incref(wh_results_find(jobs->opts.results, ref->job, ref->epoch));
    }
    return NULL;
}

json_t *wh_jobs_next(wh_jobs_t *jobs, apr_pool_t *p, apr_int64_t *budget, wh_msg_e *type)
{
    json_t *payload;

    for (task_t *t = jobs->first; t != NULL; t = t->next)
        if (t->status_unsent) {
            t->status_unsent = 0;
            *type = WH_MSG_JOB_STATUS;
            return json_incref(t->status);
        }
    *type = WH_MSG_BUILD_LOG;
    for (task_t *t = jobs->first; t != NULL && *budget > 0; t = t->next)
        if ((payload = next_log(t, p, budget)) != NULL)
            return payload;
    *type = WH_MSG_JOB_RESULT;
    return next_result(jobs, p);
}
