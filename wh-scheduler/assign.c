#include "wh-scheduler/assign.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_imageref.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_assign.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_plan.h"
#include "wh-scheduler/envs.h"
#include "wh-scheduler/finish.h"
#include "wh-scheduler/sources.h"

/* How many of the queue are looked at in one go: several plans are made of one look. */
#define WINDOW (5 * WH_SCHED_TICK_MAX)
/* What a frame has besides its snapshot, about. */
#define FRAME_REST 1024

/* A job whose snapshot cannot be read (of a newer version, say) will never run: it fails and says
 * so, instead of standing in the way for ever. */
static apr_status_t unsendable(wh_core_t *core, apr_pool_t *p, const wh_job_t *job, wh_err_t *err)
{
    wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_FAILED,
                           .cause_code = "internal",
                           .cause_detail =
                               apr_psprintf(p, "The job cannot be sent: %s", err->text)};
    wh_finish_ref_t ref = {.job = job->id,
                           .deployment = job->deployment_id,
                           .epoch = job->epoch,
                           .kind = job->kind,
                           .worker = job->worker_id};

    wh_log(WH_LOG_ERROR, "WH0432", "job %s cannot be sent: %s", job->id, err->text);
    wh_err_clear(err);
    return wh_finish_unstarted(core, p, &ref, &how, wh_clock_now(core->clock), err);
}

/* What a frame has of the deployment. */
typedef struct frame_t {
    const char *snapshot;
    int untrusted;
    wh_envs_of_t env;
} frame_t;

/* Of an image: which of it is pulled, and where its credentials are for. */
static apr_status_t add_image(wh_core_t *core, apr_pool_t *p, wh_msg_job_t *m, const char **url,
                              wh_err_t *err)
{
    wh_imageref_t ref;
    wh_deployment_t *d;
    apr_status_t rv = wh_imageref_parse(p, m->snapshot.image, &ref, err);

    rv = rv == APR_SUCCESS ? wh_db_deployment_get(core->dbc, p, m->deployment, &d, err) : rv;
    if (rv == APR_SUCCESS) {
        m->image_digest = d->image_digest;
        *url = wh_imageref_url(p, &ref);
    }
    return rv;
}

/* What is fetched needs what the repository asks for, or the registry; an image that is there
 * already does not, but a registry's may have to be pulled again. */
static apr_status_t add_source(wh_core_t *core, apr_pool_t *p, const frame_t *frame,
                               wh_msg_job_t *m, size_t *bytes, wh_err_t *err)
{
    int image = m->snapshot.image[0] != '\0';
    wh_sources_of_t of = {.app_id = m->app,
                          .url = m->snapshot.repo_url,
                          .submodules = !image && m->snapshot.recipe.submodules,
                          .own_only = frame->untrusted};
    apr_status_t rv = image ? add_image(core, p, m, &of.url, err) : APR_SUCCESS;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!image && m->image_of[0] != '\0' && m->snapshot.kind == WH_KIND_CONTAINER) {
        return APR_SUCCESS;
    }
    rv = wh_sources_of(core, p, &of, &m->source, err);
    if (rv == APR_SUCCESS && image) {
        m->source.n_keys = 0;
        m->source.known_hosts = "";
        m->source.token = wh_gitauth_fits(p, &m->source, of.url) ? m->source.token : "";
    }
    for (int i = 0; rv == APR_SUCCESS && i < m->source.n_keys; i++) {
        *bytes += strlen(m->source.keys[i]);
    }
    *bytes += rv == APR_SUCCESS ? strlen(m->source.known_hosts) + strlen(m->source.token) : 0;
    return rv;
}

/* The frame of a job. */
static apr_status_t send_job(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, const wh_job_t *job,
                             wh_msg_job_t *m, const frame_t *frame, wh_err_t *err)
{
    const wh_settings_t *s = core->settings;
    size_t bytes = FRAME_REST;
    apr_status_t rv = APR_SUCCESS;

    m->job = job->id;
    m->epoch = job->epoch;
    m->kind = job->kind;
    m->app = job->app_id;
    m->deployment = job->deployment_id;
    m->clone_s = s->clone_s;
    m->build_s = s->build_s;
    m->start_s = s->start_s;
    m->check_s = s->check_s;
    if (job->kind == WH_JOB_KIND_DEPLOY) {
        bytes += strlen(frame->snapshot);
        rv = wh_model_snapshot_parse(p, frame->snapshot, &m->snapshot, err);
        rv = rv == APR_SUCCESS ? wh_envs_add(core, p, &frame->env, m, &bytes, err) : rv;
        rv = rv == APR_SUCCESS ? add_source(core, p, frame, m, &bytes, err) : rv;
    }
    if (rv != APR_SUCCESS) {
        return wh_core_may_retry(err) ? rv : unsendable(core, p, job, err);
    }
    wh_core_send(core, peer, WH_MSG_JOB, wh_proto_msg_job_encode(m));
    wh_offers_sent(&peer->offers, bytes);
    return APR_SUCCESS;
}

static apr_status_t send_row(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, const wh_job_t *job,
                             wh_err_t *err)
{
    wh_deployment_t *d;
    wh_app_t *app;
    wh_msg_job_t m = {0};
    apr_status_t rv = wh_db_deployment_get(core->dbc, p, job->deployment_id, &d, err);

    rv = rv == APR_SUCCESS ? wh_db_app_by_id(core->dbc, p, job->app_id, &app, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv == APR_NOTFOUND || wh_core_may_retry(err) ? rv : unsendable(core, p, job, err);
    }
    m.slug = app->slug;
    m.environment = d->environment;
    m.commit_sha = d->commit_sha;
    m.commit_ref = d->commit_ref;
    m.image_of = d->source_id;
    return send_job(core, p, peer, job, &m,
                    &(frame_t){.snapshot = d->snapshot,
                               .untrusted = d->untrusted,
                               .env = {.site = d->site, .any = 1}},
                    err);
}

/* ---- Not more at once than the link takes ---- */

static void ask_for_room(wh_core_t *core, wh_peer_t *peer)
{
    wh_post_t *post = peer->offers.asked ? NULL : wh_mailbox_post_make(WH_POST_ROOM, peer->conn);

    if (post != NULL) {
        peer->offers.asked = 1;
        wh_mailbox_post(core->box, post);
    }
}

/* True when the job has to wait for the next window, in which case it does: as long as one waits
 * nobody overtakes it. */
static int put_off(wh_core_t *core, wh_peer_t *peer, const wh_job_t *job)
{
    if (wh_offers_next(&peer->offers) == NULL && wh_offers_open(&peer->offers)) {
        return 0;
    }
    if (wh_offers_later(&peer->offers, job->id, job->epoch) != 0) {
        wh_log(WH_LOG_ERROR, "WH0503",
               "job %s: out of memory, it is offered again when its lease is over", job->id);
    }
    ask_for_room(core, peer);
    return 1;
}

apr_status_t wh_assign_send(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, const wh_job_t *job,
                            wh_err_t *err)
{
    return put_off(core, peer, job) ? APR_SUCCESS : send_row(core, p, peer, job, err);
}

static apr_status_t send_placed(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer,
                                const wh_db_placed_t *t, wh_err_t *err)
{
    wh_msg_job_t m = {.slug = t->slug,
                      .environment = t->environment,
                      .commit_sha = t->commit_sha,
                      .commit_ref = t->commit_ref,
                      .image_of = t->source_id};

    return send_job(core, p, peer, &t->job, &m,
                    &(frame_t){.snapshot = t->snapshot,
                                  .untrusted = t->untrusted,
                                  .env = {.site = t->site, .any = t->env_vars > 0}},
                    err);
}

/* The next of those that wait, as many as a window holds. What has gone elsewhere, or ended, while
 * it waited is left out. */
static apr_status_t send_waiting(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, wh_err_t *err)
{
    wh_db_place_t list[WH_OFFERS_FRAMES];
    apr_array_header_t *rows;
    int n = wh_offers_waiting(&peer->offers), done;
    apr_status_t rv;

    n = n < WH_OFFERS_FRAMES ? n : WH_OFFERS_FRAMES;
    for (int i = 0; i < n; i++) {
        const wh_offer_t *offer = wh_offers_at(&peer->offers, i);

        list[i] =
            (wh_db_place_t){.job_id = offer->job, .worker_id = peer->worker, .epoch = offer->epoch};
    }
    rv = wh_db_assign_offers(core->dbc, p, list, n, &rows, err);
    done = rv == APR_SUCCESS ? n : 0;
    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts; i++) {
        const wh_db_placed_t *t = &APR_ARRAY_IDX(rows, i, wh_db_placed_t);

        if (!wh_offers_open(&peer->offers)) {
            done = t->place;
            break;
        }
        rv = wh_core_only(core, send_placed(core, p, peer, t, err), t->job.id, err);
        done = rv == APR_SUCCESS ? done : t->place;
    }
    while (done-- > 0) {
        wh_offers_drop(&peer->offers);
    }
    return rv;
}

apr_status_t wh_assign_go_on(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, wh_err_t *err)
{
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&scratch, p);
    wh_offers_renew(&peer->offers);
    while (rv == APR_SUCCESS && wh_offers_next(&peer->offers) != NULL &&
           wh_offers_open(&peer->offers)) {
        apr_pool_clear(scratch);
        rv = send_waiting(core, scratch, peer, err);
    }
    apr_pool_destroy(scratch);
    if (rv == APR_SUCCESS && wh_offers_next(&peer->offers) != NULL) {
        ask_for_room(core, peer);
    }
    return rv;
}

/* ---- A batch of assignments ---- */

/* After the commit: into the snapshot, for the next plan, and out to the worker (F145). Who is not
 * connected gets it with its next hello. */
static apr_status_t given(wh_core_t *core, apr_pool_t *p, wh_db_plan_t *seen,
                          const wh_sched_job_t *job, const wh_db_placed_t *t, wh_err_t *err)
{
    wh_peer_t *peer = wh_core_peer(core, t->job.worker_id);

    wh_log(WH_LOG_INFO, NULL,
           "job %s: assigned to worker %" APR_INT64_T_FMT ", epoch %" APR_INT64_T_FMT, t->job.id,
           t->job.worker_id, t->job.epoch);
    wh_db_plan_given(seen, job, t->job.worker_id, t->cpu_millis, t->memory_bytes);
    if (peer == NULL || !peer->ready || put_off(core, peer, &t->job)) {
        return APR_SUCCESS;
    }
    return send_placed(core, p, peer, t, err);
}

/* All assignments of a plan, at most WH_SCHED_TICK_MAX (F142), in one transaction. What was
 * overtaken is left out there, and the rest goes. *n is how many went. */
static apr_status_t place(wh_core_t *core, apr_pool_t *p, wh_db_plan_t *seen,
                          const wh_sched_action_t *const *actions, int count, int *n, wh_err_t *err)
{
    wh_db_place_t list[WH_SCHED_TICK_MAX];
    apr_array_header_t *placed = NULL;
    apr_time_t now = wh_clock_now(core->clock);
    apr_status_t rv = count > 0 ? wh_dbc_begin(core->dbc, p, err) : APR_SUCCESS;

    *n = 0;
    if (rv != APR_SUCCESS || count == 0) {
        return rv;
    }
    for (int i = 0; i < count; i++) {
        list[i] = (wh_db_place_t){.job_id = actions[i]->job->id,
                                  .worker_id = actions[i]->worker_id,
                                  .epoch = actions[i]->job->epoch};
    }
    rv = wh_db_assign(core->dbc, p, list, count, now, now + WH_SCHED_LEASE_US, &placed, err);
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    for (int i = 0; rv == APR_SUCCESS && i < placed->nelts; i++) {
        const wh_db_placed_t *t = &APR_ARRAY_IDX(placed, i, wh_db_placed_t);

        rv = wh_core_only(core, given(core, p, seen, actions[t->place]->job, t, err), t->job.id,
                          err);
    }
    *n = placed->nelts;
    return rv;
}

/* pending or assigned, and never to run: out of the queue together with its deployment. */
static apr_status_t skip(wh_core_t *core, apr_pool_t *p, const wh_sched_action_t *action,
                         apr_time_t now, wh_err_t *err)
{
    const wh_sched_job_t *job = action->job;
    wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_SKIPPED,
                           .cause_code = "superseded",
                           .cause_detail = "A newer deployment took its place before it began."};
    apr_status_t rv = wh_finish_unstarted(core, p,
                                          &(wh_finish_ref_t){.job = job->id,
                                                             .deployment = job->deployment_id,
                                                             .epoch = job->epoch,
                                                             .kind = job->kind},
                                          &how, now, err);

    if (rv == APR_SUCCESS && job->status == WH_JOB_ASSIGNED) {
        wh_core_send_ref(core, wh_core_peer(core, job->worker_id), WH_MSG_JOB_CANCEL, job->id,
                         job->epoch);
    }
    return rv;
}

static apr_status_t release(wh_core_t *core, apr_pool_t *p, const wh_sched_job_t *job,
                            wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? wh_db_job_reassign(core->dbc, p, job->id, job->epoch, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    wh_log(WH_LOG_INFO, NULL, "job %s: its worker has gone before it began, it waits again",
           job->id);
    core->plan_again = 1;
    return APR_SUCCESS;
}

static const wh_db_outcome_t held_too_long = {
    .conclusion = WH_CONCLUSION_FAILED,
    .cause_code = "agent_lost",
    .cause_detail = "The worker that it was held for did not come back for 15 minutes."};

/* What is no assignment. */
static apr_status_t apply(wh_core_t *core, apr_pool_t *p, const wh_sched_action_t *action,
                          apr_time_t now, wh_err_t *err)
{
    wh_finish_ref_t ref = {.job = action->job->id,
                           .deployment = action->job->deployment_id,
                           .epoch = action->job->epoch,
                           .kind = action->job->kind,
                           .worker = action->job->worker_id};

    switch (action->what) {
    case WH_SCHED_ASSIGN:
        break;
    case WH_SCHED_SKIP:
        return skip(core, p, action, now, err);
    case WH_SCHED_RELEASE:
        return release(core, p, action->job, err);
    case WH_SCHED_FAIL_LOST:
        if (action->job->status == WH_JOB_ASSIGNED) {
            return wh_finish_unstarted(core, p, &ref, &held_too_long, now, err);
        }
        return wh_finish_give_up(core, p, &ref, "agent_lost",
                                 "The worker was not heard of for 15 minutes.", now, err);
    case WH_SCHED_FAIL_DEADLINE:
        return wh_finish_give_up(core, p, &ref, "deadline",
                                 "All its deadlines together have passed.", now, err);
    }
    return APR_SUCCESS;
}

/* ---- Reminders ---- */

static apr_status_t offer(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, const char *job,
                          apr_int64_t epoch, apr_time_t now, wh_err_t *err)
{
    wh_db_claim_t claim = {.worker_id = peer->worker, .job_id = job, .epoch = epoch};
    wh_job_t *row;
    apr_status_t rv = wh_db_job_renew_lease(core->dbc, p, &claim, now + WH_SCHED_LEASE_US, err);

    rv = rv == APR_SUCCESS ? wh_db_job_get(core->dbc, p, job, &row, err) : rv;
    rv = rv == APR_SUCCESS ? wh_assign_send(core, p, peer, row, err) : rv;
    return wh_core_only(core, rv, job, err);
}

/* Assigned jobs whose lease ran out unanswered (the frame got lost) are offered again. */
static apr_status_t remind(wh_core_t *core, apr_pool_t *p, const wh_sched_in_t *in, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < in->n_jobs; i++) {
        const wh_sched_job_t *job = &in->jobs[i];
        wh_peer_t *peer = job->status == WH_JOB_ASSIGNED && job->lease_until < in->now
                              ? wh_core_peer(core, job->worker_id)
                              : NULL;

        if (peer != NULL && peer->ready) {
            rv = offer(core, p, peer, job->id, job->epoch, in->now, err);
        }
    }
    return rv;
}

/* So are those of a worker that had no place for one a moment ago. */
static apr_status_t ask_again(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    apr_status_t rv = APR_SUCCESS;

    for (wh_peer_t *peer = core->peers; rv == APR_SUCCESS && peer != NULL; peer = peer->next) {
        apr_array_header_t *jobs;

        if (peer->offer_again.us == 0 || !wh_mono_reached(mono, peer->offer_again) ||
            !peer->ready) {
            continue;
        }
        peer->offer_again.us = 0;
        rv = wh_db_job_list_by_worker_assigned(core->dbc, p, peer->worker, &jobs, err);
        for (int i = 0; rv == APR_SUCCESS && i < jobs->nelts; i++) {
            const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);

            rv = offer(core, p, peer, job->id, job->epoch, now, err);
        }
    }
    return rv;
}

/* Why they wait, where that is something new, for their owners to read. */
static apr_status_t say_why(wh_core_t *core, apr_pool_t *p, const wh_sched_plan_t *plan,
                            wh_err_t *err)
{
    int n = plan->waits->nelts;
    wh_db_wait_t *list = apr_palloc(p, sizeof(*list) * (size_t)(n + 1));

    for (int i = 0; i < n; i++) {
        const wh_sched_wait_t *wait = &APR_ARRAY_IDX(plan->waits, i, wh_sched_wait_t);

        list[i] = (wh_db_wait_t){
            .deployment_id = wait->job->deployment_id, .code = wait->code, .detail = wait->detail};
        wh_log(WH_LOG_INFO, NULL, "deployment %s waits: %s", wait->job->deployment_id,
               wait->detail);
    }
    return wh_db_assign_waits(core->dbc, p, list, n, NULL, err);
}

/* ---- One look at the queue ---- */

/* One plan of the window, applied. *placed: how many were given out; *more: it was a full plan. */
static apr_status_t round_of(wh_core_t *core, apr_pool_t *p, wh_db_plan_t *seen, int *placed,
                             int *more, wh_err_t *err)
{
    const wh_sched_action_t *assign[WH_SCHED_TICK_MAX];
    wh_sched_plan_t plan;
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;
    int n = 0;

    apr_pool_create(&scratch, p);
    wh_sched_plan(p, &seen->in, &plan);
    *more = plan.more;
    for (int i = 0; rv == APR_SUCCESS && i < plan.actions->nelts; i++) {
        const wh_sched_action_t *action = &APR_ARRAY_IDX(plan.actions, i, wh_sched_action_t);

        if (action->what == WH_SCHED_ASSIGN) {
            assign[n++] = action;
            continue;
        }
        apr_pool_clear(scratch);
        rv = wh_core_only(core, apply(core, scratch, action, seen->in.now, err), action->job->id,
                          err);
        seen->jobs[action->job - seen->jobs].status = WH_JOB_CANCELED; /* done with, here */
    }
    apr_pool_clear(scratch);
    rv = rv == APR_SUCCESS ? place(core, scratch, seen, assign, n, placed, err) : rv;
    /* Not while the queue moves: most of what would be said now is over with the next plan. */
    rv = rv == APR_SUCCESS && !plan.more ? say_why(core, scratch, &plan, err) : rv;
    apr_pool_destroy(scratch);
    return rv;
}

/* All plans that one window is good for. *left: some of a full window were not given out. */
static apr_status_t window(wh_core_t *core, apr_pool_t *p, wh_db_plan_t *seen, int *all, int *left,
                           wh_err_t *err)
{
    apr_status_t rv = remind(core, p, &seen->in, err);
    int again = 1, placed = 0, sum = 0;

    seen->in.hold_on_loss = wh_settings_hold(core->settings);
    wh_decline_list(&core->declines, p, wh_clock_mono(core->clock), &seen->in);
    while (rv == APR_SUCCESS && again && seen->in.n_jobs > 0) {
        rv = round_of(core, p, seen, &placed, &again, err);
        sum += placed;
        again = again && placed > 0;
    }
    *all += sum;
    *left = seen->n_pending == WINDOW && sum < WINDOW;
    return rv;
}

/* Where the next look behind the head of the queue begins. */
static void move_on(wh_core_t *core, const wh_db_plan_t *seen)
{
    core->plan_behind = seen->n_pending == WINDOW;
    if (core->plan_behind) {
        const wh_sched_job_t *last = &seen->jobs[WINDOW - 1];

        core->plan_after.priority = last->priority;
        core->plan_after.created_at = last->created_at;
        apr_cpystrn(core->plan_after_id, last->id, sizeof(core->plan_after_id));
        core->plan_after.id = core->plan_after_id;
    }
}

apr_status_t wh_assign_run(wh_core_t *core, apr_pool_t *p, apr_time_t now, int *more, wh_err_t *err)
{
    wh_db_plan_t head = {0}, behind = {0};
    wh_db_plan_opt_t opt = {.now = now, .limit = WINDOW};
    int all = 0, left = 0;
    apr_status_t rv = wh_db_plan_load(core->dbc, p, &opt, &head, err);

    rv = rv == APR_SUCCESS ? window(core, p, &head, &all, &left, err) : rv;
    /* Jobs that nobody can take must not hide those behind them: with each look one more window. */
    if (rv == APR_SUCCESS && left) {
        if (!core->plan_behind) {
            move_on(core, &head);
        }
        opt.after = &core->plan_after;
        rv = wh_db_plan_load(core->dbc, p, &opt, &behind, err);
        rv = rv == APR_SUCCESS ? window(core, p, &behind, &all, &left, err) : rv;
        if (rv == APR_SUCCESS) {
            move_on(core, &behind);
        }
    }
    *more = rv == APR_SUCCESS && head.n_pending == WINDOW && all > 0;
    return rv == APR_SUCCESS ? ask_again(core, p, now, err) : rv;
}
