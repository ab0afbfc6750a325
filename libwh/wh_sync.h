/* wh_sync: how an app follows its repository (F243-F262). Two layers: a sync is a success once the
 * commit was resolved and its deployment made (F256); what becomes of that is the deployment's, and
 * wh_sync_app says it in one word (F257).
 *
 * Each function below changes a row in the hand; wh_db_sync_write, which alone writes the status,
 * then makes one event of it (F243, F244). Pure and thread-safe: the clock and chance are
 * arguments. */
#ifndef WH_SYNC_H
#define WH_SYNC_H

#include "libwh/wh_model.h"

#define WH_SYNC_LEASE_US apr_time_from_sec(180)    /* a look that a crash ended is done again */
#define WH_SYNC_BACKOFF_US apr_time_from_sec(3600) /* the longest wait after failures */
#define WH_SYNC_DETAIL_MAX 512

/* Texts: "" = none, never NULL. */
typedef struct wh_sync_t {
    const char *app_id;
    wh_sync_status_e status;
    const char *cause_code, *cause_detail; /* of failed */
    const char *trigger;                   /* of the last one: wh_model_trigger_text, "" = none */
    const char *commit_sha, *commit_ref;   /* the last one that was dispatched */
    apr_int64_t failures;                  /* in a row */
    apr_time_t next_at;                    /* 0 = as soon as can be */
    apr_time_t asked_at;                   /* somebody asked by hand; 0 = nobody does */
    apr_time_t synced_at;                  /* the last success */
    apr_int64_t version;                   /* how often a status was written; 0 = never */
    apr_time_t updated_at;
} wh_sync_t;

/* The row of an app that has none yet. */
void wh_sync_none(wh_sync_t *s, const char *app_id);

/* Somebody begins to find the commit out; after the lease it is somebody else's. */
void wh_sync_begin(wh_sync_t *s, wh_trigger_e trigger, apr_time_t now);

/* Its commit is known and everything that follows from it is written. every_s: of a polling app,
 * 0 = it is not looked at again by itself. */
void wh_sync_done(wh_sync_t *s, const char *sha, const char *ref, apr_int64_t every_s,
                  apr_time_t now);

/* It could not be found out. The next look waits longer with each failure in a row: the interval,
 * doubled to an hour, drawn from the upper half (random: 32 bits), and never less than the
 * interval. */
void wh_sync_failed(wh_sync_t *s, const char *code, const char *detail, apr_int64_t every_s,
                    apr_time_t now, uint32_t random);

/* Something else wrote while it was looked up: what was found is old (O9). 1 = drop it. */
int wh_sync_overtaken(const wh_sync_t *s, apr_int64_t version);

/* Whether a commit that was found makes a deployment: once each (F253, R22). newest: the newest
 * deployment of the environment, NULL = none. A commit that was dispatched before is only tried
 * again when somebody asks by hand and its last deployment did not succeed. */
int wh_sync_deploys(const wh_sync_t *s, const char *sha, const wh_deployment_t *newest);

/* Why a delivery of a hook does not count, NULL = it does: with type manual none do (sync_manual),
 * with github-actions those of workflow runs alone (sync_github_actions). */
const char *wh_sync_refuses(wh_sync_kind_e kind, int actions);

/* The other layer. newest as above; of the commit that was dispatched last: syncing while it is
 * under way, synced when it succeeded, out_of_sync else. */
wh_app_sync_e wh_sync_app(const wh_sync_t *s, const wh_deployment_t *newest);

/* One write of a status. */
typedef struct wh_sync_event_t {
    apr_int64_t version;
    const char *status, *cause_code, *cause_detail, *trigger, *commit_sha, *deployment_id;
    apr_time_t at;
} wh_sync_event_t;

/* {status, app_status, cause|null, trigger|null, commit|null, failures, next_at|null,
 * asked_at|null, synced_at|null, updated_at|null, events[{version, status, cause, trigger, commit,
 * deployment, at}]}; type and every_seconds are the app's. events: wh_sync_event_t. In p. */
json_t *wh_sync_json(apr_pool_t *p, const wh_sync_t *s, const wh_app_t *app, wh_app_sync_e status,
                     const apr_array_header_t *events);

#endif
