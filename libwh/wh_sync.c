#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_backoff.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_sync.h"

void wh_sync_none(wh_sync_t *s, const char *app_id)
{
    *s = (wh_sync_t){.app_id = app_id,
                     .status = WH_SYNC_UNKNOWN,
                     .cause_code = "",
                     .cause_detail = "",
                     .trigger = "",
                     .commit_sha = "",
                     .commit_ref = ""};
}

/* A wish that came after the look began is not answered by it: the next one follows at once. */
static void wish_met(wh_sync_t *s)
{
    if (s->asked_at > s->updated_at)
        s->next_at = 0;
    else
        s->asked_at = 0;
}

void wh_sync_begin(wh_sync_t *s, wh_trigger_e trigger, apr_time_t now)
{
    s->status = WH_SYNC_SYNCING;
    s->cause_code = s->cause_detail = "";
    s->trigger = wh_model_trigger_text(trigger);
    s->next_at = now + WH_SYNC_LEASE_US;
    if (s->asked_at > now) /* the clock was set back */
        s->asked_at = now;
    s->updated_at = now;
}

void wh_sync_done(wh_sync_t *s, const char *sha, const char *ref, apr_int64_t every_s,
                  apr_time_t now)
{
    s->status = WH_SYNC_SUCCESS;
    s->cause_code = s->cause_detail = "";
    s->commit_sha = sha;
    s->commit_ref = ref;
    s->failures = 0;
    s->next_at = every_s > 0 ? now + apr_time_from_sec(every_s) : 0;
    wish_met(s);
    s->synced_at = s->updated_at = now;
}

void wh_sync_failed(wh_sync_t *s, const char *code, const char *detail, apr_int64_t every_s,
                    apr_time_t now, uint32_t random)
{
    apr_interval_time_t every = apr_time_from_sec(every_s);
    apr_interval_time_t wait =
        wh_backoff_wait(every, WH_SYNC_BACKOFF_US, (unsigned)s->failures, random);

    s->status = WH_SYNC_FAILED;
    s->cause_code = code;
    s->cause_detail = detail;
    s->failures++;
    s->next_at = every_s > 0 ? now + (wait > every ? wait : every) : 0;
    wish_met(s);
    s->updated_at = now;
}

int wh_sync_overtaken(const wh_sync_t *s, apr_int64_t version)
{
    return s->version != version;
}

static int failed_before(const wh_deployment_t *d)
{
    return d->conclusion == WH_CONCLUSION_FAILED || d->conclusion == WH_CONCLUSION_CANCELED;
}

int wh_sync_deploys(const wh_sync_t *s, const char *sha, const wh_deployment_t *newest)
{
    int same = newest != NULL && strcmp(newest->commit_sha, sha) == 0;

    if (*sha == '\0')
        return 0;
    if (same)
        return s->asked_at != 0 && failed_before(newest);
    return strcmp(s->commit_sha, sha) != 0;
}

const char *wh_sync_refuses(wh_sync_kind_e kind, int actions)
{
    if (kind == WH_SYNC_MANUAL)
        return "sync_manual";
    return kind == WH_SYNC_ACTIONS && !actions ? "sync_github_actions" : NULL;
}

wh_app_sync_e wh_sync_app(const wh_sync_t *s, const wh_deployment_t *newest)
{
    if (*s->commit_sha == '\0')
        return WH_APP_SYNC_UNKNOWN;
    if (newest == NULL || strcmp(newest->commit_sha, s->commit_sha) != 0)
        return WH_APP_SYNC_OUT;
    if (newest->conclusion == WH_CONCLUSION_NONE)
        return WH_APP_SYNC_SYNCING;
    return newest->conclusion == WH_CONCLUSION_SUCCEEDED ? WH_APP_SYNC_SYNCED : WH_APP_SYNC_OUT;
}

/* ---- as people read it ---- */

static json_t *cause(const char *code, const char *detail)
{
    return *code == '\0' ? json_null() : json_pack("{s:s, s:s}", "code", code, "detail", detail);
}

json_t *wh_sync_json(apr_pool_t *p, const wh_sync_t *s, const wh_app_t *app, wh_app_sync_e status,
                     const apr_array_header_t *events)
{
    json_t *list = wh_json_own(p, json_array());

    for (int i = 0; i < events->nelts; i++) {
        const wh_sync_event_t *e = &APR_ARRAY_IDX(events, i, wh_sync_event_t);

        json_array_append_new(list, json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:o}", "version",
                                              (json_int_t)e->version, "status", e->status, "cause",
                                              cause(e->cause_code, e->cause_detail), "trigger",
                                              wh_model_int_text(e->trigger), "commit",
                                              wh_model_int_text(e->commit_sha), "deployment",
                                              wh_model_int_text(e->deployment_id), "at",
                                              wh_model_int_time(e->at)));
    }
    return json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:O}",
                     "type", wh_model_sync_kind_text(app->sync_kind), "every_seconds",
                     (json_int_t)app->sync_every_s, "status", wh_model_sync_status_text(s->status),
                     "app_status", wh_model_app_sync_text(status), "cause",
                     cause(s->cause_code, s->cause_detail), "trigger",
                     wh_model_int_text(s->trigger), "commit", wh_model_int_text(s->commit_sha),
                     "ref", wh_model_int_text(s->commit_ref), "failures", (json_int_t)s->failures,
                     "next_at", wh_model_int_time(s->next_at), "asked_at",
                     wh_model_int_time(s->asked_at), "synced_at", wh_model_int_time(s->synced_at),
                     "updated_at", wh_model_int_time(s->updated_at), "events", list);
}
