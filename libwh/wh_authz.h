/* wh_authz: the one choke-point for permission. A route names an action; a caller is an actor;
 * what the action is on is an object; wh_authz says yes or no and with which status.
 *
 * Rules, in this order:
 *  1. an action for ANY is allowed;
 *  2. an anonymous caller: 401;
 *  3. a kind of caller that the action does not take: 403 (the credential is good, not for this);
 *  4. an object that does not exist or is not the caller's: 404, alike, so that nobody learns what
 *     others have (a worker: its own id; a hook: its own id; a token: the apps it is for);
 *  5. a token without the scope: 403. `admin` includes every scope, no other includes another;
 *  6. a token for named apps may not make apps or see what belongs to no app: 403. Lists are
 *     allowed: the handler shows only wh_authz_sees_app ones.
 * Pure and thread-safe. */
#ifndef WH_AUTHZ_H
#define WH_AUTHZ_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "libwh/wh_err.h"

#define WH_SCOPE_READ 0x1u
#define WH_SCOPE_DEPLOY 0x2u
#define WH_SCOPE_WRITE 0x4u
#define WH_SCOPE_ADMIN 0x8u
#define WH_SCOPE_ALL 0xfu

typedef enum wh_actor_kind_e {
    WH_ACTOR_ANON,
    WH_ACTOR_CONTROL,
    WH_ACTOR_ENROLMENT,
    WH_ACTOR_WORKER_KEY, /* raw API key of a worker */
    WH_ACTOR_WORKER,     /* worker JWT */
    WH_ACTOR_PROXY,
    WH_ACTOR_TOKEN,
    WH_ACTOR_HOOK,
    WH_ACTOR_METRICS, /* the metrics token, or an address that may read them */
    WH_ACTOR_COUNT
} wh_actor_kind_e;

typedef struct wh_actor_t {
    wh_actor_kind_e kind;
    const char *id;                 /* token id, hook id, worker's public id, or "" */
    apr_int64_t worker_id;          /* workers.id for the two worker kinds, else 0 */
    unsigned scopes;                /* WH_SCOPE_* of a token */
    const apr_array_header_t *apps; /* app ids (const char *) of a token; NULL = all */
} wh_actor_t;

typedef enum wh_action_e {
#define WH_AUTHZ_DEF(sym, text, kinds, scope, object) WH_ACT_##sym,
#include "libwh/wh_authz.def"
#undef WH_AUTHZ_DEF
    WH_ACT_COUNT
} wh_action_e;

/* app_id of what is every app's: for tokens of all apps. */
#define WH_OBJECT_EVERY_APP "*"

typedef struct wh_object_t {
    int exists;            /* 0: it was looked for and is not there */
    const char *app_id;    /* the app it belongs to, for actions on APP */
    const char *hook_id;   /* for actions on HOOK */
    apr_int64_t worker_id; /* whose job it is, for actions on WORKER */
} wh_object_t;

typedef enum wh_verdict_e {
    WH_ALLOW = 0,
    WH_DENY_401 = 401,
    WH_DENY_403 = 403,
    WH_DENY_404 = 404
} wh_verdict_e;

/* May actor do action on object? object may be NULL for actions on nothing; for others NULL
 * means "not known yet": kind and scope are judged, and the caller asks again with the object
 * (so that a caller without any right is refused before the database is asked). */
wh_verdict_e wh_authz(const wh_actor_t *actor, wh_action_e action, const wh_object_t *object);

/* 1 when a token is for this app (or for all). */
int wh_authz_sees_app(const wh_actor_t *actor, const char *app_id);

/* "app.read"; NULL for no action. The text of an assertion and of audit lines. */
const char *wh_authz_action_text(wh_action_e action);

/* 1 when the action changes something, or lets somebody in: it has its row in the audit log. What
 * only reads is not, nor is what agents do within their own job or a worker to keep its token. */
int wh_authz_privileged(wh_action_e action);

/* "token", "worker_key"; NULL for no kind. */
const char *wh_authz_kind_text(wh_actor_kind_e kind);

/* Scope a token needs (0 = none), and whether a kind of caller is taken: for the route table, the
 * API document and tests that walk them. */
unsigned wh_authz_action_scope(wh_action_e action);
int wh_authz_action_takes(wh_action_e action, wh_actor_kind_e kind);

/* "read deploy" (single spaces or commas) -> bits; code scopes_invalid (400). */
apr_status_t wh_authz_scopes_parse(const char *text, unsigned *scopes, wh_err_t *err)
    WH_MUST_CHECK;
/* The other way, in p: words in the order read deploy write admin, single spaces. */
const char *wh_authz_scopes_text(apr_pool_t *p, unsigned scopes);

/* tokens.apps: "*" -> NULL array, else ids with commas -> array in p; code apps_invalid (400). */
apr_status_t wh_authz_apps_parse(apr_pool_t *p, const char *text, apr_array_header_t **apps,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Sets err for a verdict (unauthorized, forbidden, not_found); APR_SUCCESS for WH_ALLOW. */
apr_status_t wh_authz_err(wh_verdict_e verdict, wh_err_t *err);

#endif
