/*
 * wh_mod_api: the REST interface as one table (wh_mod_api.def) and the one dispatcher that walks
 * it.
 *
 * A request goes: path and method -> query -> who calls (wh_mod_auth) -> wh_authz on
 * the action alone -> body -> the object (wh_mod_object) -> wh_authz on the object -> handler.
 * Permission is asked here and nowhere else, so a handler can only run with an allowed caller and,
 * where its route names one, an object that the caller may see.
 *
 * A wh_call_t belongs to one request and its thread; everything in it lives in r->pool.
 */
#ifndef WH_MOD_API_H
#define WH_MOD_API_H

#include "libwh/wh_authz.h"
#include "libwh/wh_channel.h"
#include "libwh/wh_logdrain.h"
#include "libwh/wh_model.h"
#include "mod_wisehost/mod_wisehost.h"
#include "mod_wisehost/wh_mod_field.h"
#include "mod_wisehost/wh_mod_req.h"
#include "whdb/wh_db_alert.h"
#include "whdb/wh_db_hook.h"
#include "whdb/wh_db_job.h"

#define WH_API_PARAMS 2
#define WH_API_LIST_MAX 100
#define WH_API_LIST_DEFAULT 50

/* What a route is about; wh_mod_object finds it. */
typedef enum wh_api_object_e {
    WH_OBJ_NONE,
    WH_OBJ_APP,        /* {slug} */
    WH_OBJ_BODY_APP,   /* "app" of the body: a slug */
    WH_OBJ_DEPLOYMENT, /* {id} */
    WH_OBJ_HOOK,       /* {id}: the hook's app */
    WH_OBJ_DELIVERY,   /* {provider}, {id}: the hook itself; a signature has to fit */
    WH_OBJ_BODY_JOB,   /* "job" and "epoch" of the body: a job of the calling worker */
    WH_OBJ_QUERY_JOB,  /* the same from the query */
    WH_OBJ_SWITCH,     /* {id} */
    WH_OBJ_PATH_JOB,   /* the same from the path: {job} and {epoch} */
    WH_OBJ_REPOSITORY, /* {repository}: the slug of an app before ".git" */
    WH_OBJ_ALERT,      /* {id} */
    WH_OBJ_ALERT_RULE, /* {id} */
    WH_OBJ_WORKER,     /* {id}: a worker's public id or name */
    WH_OBJ_CHANNEL,    /* {id}: a notification channel's id or name */
    WH_OBJ_LOGDRAIN    /* {id}: a log drain's id or name */
} wh_api_object_e;

enum {
    WH_API_RAW = 1,      /* the handler reads the body */
    WH_API_OPTIONAL = 2, /* the body may be absent */
    WH_API_BIG = 4,      /* a release's manifest: WH_MANIFEST_JSON_LIMITS */
    WH_API_QUIET =
        16,           /* asked all the time: env wisehost-quiet keeps it out of access logs (F50) */
    WH_API_SIGNED = 8, /* the body's signature says who calls */
    WH_API_GIT = 32,   /* git calls: Basic authentication, errors as text */
    WH_API_CREATES = 64 /* where there is no such app, who may make one is let in; c->app is NULL */
};

/* Of the audit log (wh_mod_audit.c). */
typedef enum wh_api_audit_e {
    WH_API_AUDIT_NONE,
    WH_API_AUDIT_ARMED,  /* the call was let in: its next commit brings a row along */
    WH_API_AUDIT_WRITTEN /* and did */
} wh_api_audit_e;

typedef struct wh_call_t wh_call_t;

/* Answers the call (wh_mod_req_reply and its like) and returns APR_SUCCESS, with what the handler
 * hook is to return in c->rc; or fills c->err and returns an error, and the dispatcher answers.
 * Whatever it begins in the database it ends before it returns. */
typedef apr_status_t (*wh_api_handler_fn)(wh_call_t *c);

typedef struct wh_api_route_t {
    const char *operation; /* operationId */
    const char *method;
    const char *pattern; /* "/v1/apps/{slug}": a parameter is a whole segment */
    wh_action_e action;
    wh_api_object_e object;
    const wh_mod_field_t *body;  /* NULL = no body */
    const wh_mod_field_t *query; /* NULL = no parameter */
    unsigned flags;
    int status; /* of success */
    wh_api_handler_fn handler;
    const char *summary;
} wh_api_route_t;

struct wh_call_t {
    request_rec *r;
    apr_pool_t *p;
    apr_time_t now;
    const wh_api_route_t *route;
    const char *param[WH_API_PARAMS]; /* in the order of the pattern */
    apr_table_t *query;               /* checked; never NULL in a handler */
    json_t *body;                     /* checked; NULL when there is none */
    wh_mod_body_t raw;                /* WH_API_SIGNED: the bytes */
    wh_actor_t actor;
    const apr_array_header_t *actor_slugs; /* its apps by slug (WiseHostGitUser), or NULL */
    const char *credential_hash; /* hex SHA-256 of an enrolment token, else NULL */
    wh_dbc_t *dbc;               /* wh_mod_call_db() */
    /* what wh_mod_object found */
    wh_app_t *app;
    wh_deployment_t *deployment;
    wh_switch_t *wish;
    wh_db_hook_t *hook;
    wh_db_job_scope_t *job;
    wh_worker_t *worker;
    wh_alert_t *alert;
    wh_db_alert_rule_t *alert_rule;
    wh_channel_t *channel;
    wh_logdrain_t *logdrain;
    wh_db_claim_t claim;
    wh_api_audit_e audit;
    const char *made;     /* what the call makes, as it is called in paths, for the audit log */
    const char *made_app; /* the id of the app that it makes, likewise */
    int rc;
    wh_err_t err;
};

/* The table and its length. */
extern const wh_api_route_t wh_api_routes[];
extern const int wh_api_routes_n;

/* ---- wh_mod_call.c: what handlers share ------------------------------------------------------ */

/* Lends the database connection into c->dbc; safe to call again. 503 when there is none. */
apr_status_t wh_mod_call_db(wh_call_t *c) WH_MUST_CHECK;

/* True when rv says that the connection died: it is given up, and the caller may try once more.
 * Only before anything was written. */
int wh_mod_call_lost(wh_call_t *c, apr_status_t rv);

/* Lends a connection and begins a transaction, once more on a fresh one when it turns out dead. */
apr_status_t wh_mod_call_begin(wh_call_t *c) WH_MUST_CHECK;

/* Ends the call with an answer; body is stolen. Always APR_SUCCESS. */
apr_status_t wh_mod_call_reply(wh_call_t *c, int status, json_t *body);
/* The same with JSON that is text already; it lives as long as the request. */
apr_status_t wh_mod_call_text(wh_call_t *c, int status, const char *text, apr_size_t len);
/* The same without a body. */
apr_status_t wh_mod_call_empty(wh_call_t *c, int status);

/* Gives the connection back before the call is over. */
void wh_mod_call_let_go(wh_call_t *c);

/* The dispatcher's: when a call was let in, when it has a (new) connection, when it is over (which
 * returns rv, with c->err another one for who is refused too often). wh_mod_audit.c */
void wh_mod_audit_arm(wh_call_t *c);
void wh_mod_audit_db(wh_call_t *c);
apr_status_t wh_mod_audit_end(wh_call_t *c, apr_status_t rv);

/* A whole number of the query, dflt when it is not given. */
apr_int64_t wh_mod_call_number(wh_call_t *c, const char *name, apr_int64_t dflt);

/* A text of the body, "" when it is not given; it lives as long as the body. */
const char *wh_mod_call_string(const wh_call_t *c, const char *name);

/* "app" of the body, a slug: *id and *slug are that app's, "" each when it is null (every app), and
 * stay when it is not given. Wants the connection. 422 no_such_app. */
apr_status_t wh_mod_call_app(wh_call_t *c, const char **id, const char **slug) WH_MUST_CHECK;

/* {"items": […], "next": cursor or null}; items is stolen. */
json_t *wh_mod_call_list(json_t *items, const char *next);

/* One page of a list while it is being filled. Rows are asked for behind (or before) after, one
 * more than limit at a time, as long as there is more; items is the pool's. */
typedef struct wh_call_page_t {
    int limit;
    const char *after; /* the cursor of the last row looked at, "" at the beginning */
    json_t *items;
    const char *last, *next; /* the cursors of the last row shown, and of the next page */
    int more;
} wh_call_page_t;

/* Begins a page as the query's limit and cursor have it; ok judges a cursor (0 = none of ours:
 * 400). */
apr_status_t wh_mod_call_page(wh_call_t *c, wh_call_page_t *page,
                              int (*ok)(const char *cursor)) WH_MUST_CHECK;

/* A cursor that is the number of a row, from 1 on. */
int wh_mod_call_cursor_number(const char *cursor);

/* The next row, by its cursor; seen says whether the caller may see it. 1 = its document goes into
 * page->items. cursor lives as long as the page. */
int wh_mod_call_page_row(wh_call_page_t *page, const char *cursor, int seen);

/* All n rows of what was asked for were looked at. */
void wh_mod_call_page_read(wh_call_page_t *page, int n);

/* Answers with the page. */
apr_status_t wh_mod_call_page_reply(wh_call_t *c, const wh_call_page_t *page);

/* Who calls: fills c->actor (ANON when there is no credential). Errors: 401 for a wrong credential,
 * 429 after too many of them, 503 when the database cannot tell. wh_mod_auth.c */
apr_status_t wh_mod_auth(wh_call_t *c) WH_MUST_CHECK;

/* Whether this caller's address may read the metrics (WiseHostMetricsAllow). wh_mod_address.c */
int wh_mod_address_metrics(const request_rec *r);

/* Counts a refused credential of this caller and gives the answer for it: 401, or 429. */
apr_status_t wh_mod_auth_refuse(wh_call_t *c) WH_MUST_CHECK;

/* 422 no_such_worker at pointer. Returns APR_EGENERAL. */
apr_status_t wh_mod_call_no_worker(wh_call_t *c, const char *pointer, const char *name);

/* 503 no_random: there is no id, no secret. Returns APR_EGENERAL. */
apr_status_t wh_mod_call_no_random(wh_call_t *c);

/* rv, the cause of a conflict made 409 name_taken: there is a "what" of that name. */
apr_status_t wh_mod_call_name_taken(wh_call_t *c, apr_status_t rv, const char *what) WH_MUST_CHECK;

/* Whether a worker may register with this address (wh_model_address_ok before): 400 at /address for
 * one that nobody can have, and for loopback unless the request came over loopback.
 * wh_mod_address.c */
apr_status_t wh_mod_address_check(wh_call_t *c, const char *address) WH_MUST_CHECK;

/* The same for an API token alone; is_token says whether it has the form of one. APR_NOTFOUND when
 * there is no such token, without counting it. wh_mod_auth.c */
int wh_mod_auth_is_token(const char *text);
apr_status_t wh_mod_auth_token(wh_call_t *c, const char *token) WH_MUST_CHECK;

/* Handles one request of git (wh_mod_git.h). What a handler of httpd returns. wh_mod_api.c */
int wh_mod_api_git(request_rec *r);

/* The path as it was sent, NULL unless it is plain and what httpd made of it. wh_mod_api.c */
const char *wh_mod_api_sent_path(const request_rec *r);

/* Finds what the route is about and tells it in *object; object->exists is 0 when there is no such
 * thing. Fails only when the database cannot tell. wh_mod_object.c */
apr_status_t wh_mod_object(wh_call_t *c, wh_object_t *object) WH_MUST_CHECK;

/* Tells the scheduler that there is new work; never fails, never blocks. wh_mod_poke.c */
void wh_mod_poke(request_rec *r);

/* What a new deployment is of. Texts: "" = none. */
typedef struct wh_h_deploy_t {
    const char *environment;
    wh_trigger_e trigger;
    const char *sha, *ref, *message, *author;
    apr_time_t at;
    int untrusted;                    /* of somebody else: no secrets, and it waits for approval */
    const char *repo_url; /* where it is fetched from instead of the app's; NULL = the app's */
    const wh_deploy_request_t *place; /* its placement instead of the app's; NULL = the app's */
} wh_h_deploy_t;

/* Makes a deployment of the app, with the snapshot of what the app is now, and its job; *id is the
 * new deployment's. Inside the caller's transaction. wh_h_deployment.c */
apr_status_t wh_h_deployment_insert(wh_call_t *c, const char *app_id, const wh_h_deploy_t *what,
                                    const char **id) WH_MUST_CHECK;

/* Puts the URLs of an app's active domains before those in urls: of one environment, or of all
 * (NULL). wh_h_domain.c */
apr_status_t wh_h_domain_urls(wh_call_t *c, const wh_app_t *app, const char *environment,
                              apr_array_header_t **urls) WH_MUST_CHECK;

/* Where a branch of the app goes when nobody named an environment (libwh/wh_branch.h); *environment
 * is NULL when nothing takes it. wh_h_environment.c */
apr_status_t wh_h_environment_of(wh_call_t *c, const wh_app_t *app, const char *branch,
                                 const char **environment) WH_MUST_CHECK;

/* The main URL of a deployment's environment, or of its branch for a preview; NULL without a base
 * domain. wh_h_deployment.c */
const char *wh_h_deployment_url(wh_call_t *c, const char *slug, const char *environment,
                                const char *ref);

/* One line of a deployment's log. Anything but 0 ends the reading. wh_h_log.c */
typedef int (*wh_h_log_fn)(void *baton, apr_int64_t seq, apr_int64_t at, const char *stream,
                           const char *text);

/* Hands fn the lines behind number after, in p. No log yet is no line. */
apr_status_t wh_h_log_each(wh_call_t *c, apr_pool_t *p, const char *deployment, apr_int64_t after,
                           wh_h_log_fn fn, void *baton) WH_MUST_CHECK;

/* Reads the deployment back and answers with its document and a Location. wh_h_deployment.c */
apr_status_t wh_h_deployment_reply(wh_call_t *c, int status, const char *id) WH_MUST_CHECK;

/* URLs that show what an app has in an environment: the main one, NULL when there is no base
 * domain. wh_h_app.c */
const char *wh_h_app_url(wh_call_t *c, const char *slug, const char *environment);

/* That of a branch. wh_h_app.c */
const char *wh_h_app_branch_url(wh_call_t *c, const char *slug, const char *branch);

/* Writes a new app with an id of its own and its first version; *app is filled. Inside the caller's
 * transaction. Code: conflict (409) when there is one with this slug. wh_h_app.c */
apr_status_t wh_h_app_insert(wh_call_t *c, wh_app_t *app) WH_MUST_CHECK;

/* URLs of the app's names now, of all of them or of those that show one deployment: array of const
 * char *, empty without a base domain. wh_h_app.c */
apr_status_t wh_h_app_urls(wh_call_t *c, const wh_app_t *app, const char *deployment_id,
                           apr_array_header_t **urls) WH_MUST_CHECK;

/* Handlers, one resource a file. */
apr_status_t wh_h_health_get(wh_call_t *c);
apr_status_t wh_h_openapi_get(wh_call_t *c);
apr_status_t wh_h_openapi_repo_schema(wh_call_t *c);
apr_status_t wh_h_login(wh_call_t *c);
apr_status_t wh_h_app_list(wh_call_t *c);
apr_status_t wh_h_app_create(wh_call_t *c);
apr_status_t wh_h_app_get(wh_call_t *c);
apr_status_t wh_h_app_patch(wh_call_t *c);
apr_status_t wh_h_app_delete(wh_call_t *c);
apr_status_t wh_h_deployment_list(wh_call_t *c);
apr_status_t wh_h_deployment_create(wh_call_t *c);
apr_status_t wh_h_deployment_get(wh_call_t *c);
apr_status_t wh_h_deployment_cancel(wh_call_t *c);
apr_status_t wh_h_deployment_approve(wh_call_t *c);
apr_status_t wh_h_app_stats_get(wh_call_t *c);
apr_status_t wh_h_requests_get(wh_call_t *c);
apr_status_t wh_h_metrics_get(wh_call_t *c);
apr_status_t wh_h_upload(wh_call_t *c);
apr_status_t wh_h_log_get(wh_call_t *c);
apr_status_t wh_h_applog_get(wh_call_t *c);
apr_status_t wh_h_event_get(wh_call_t *c);
apr_status_t wh_h_source_get(wh_call_t *c);
apr_status_t wh_h_source_key(wh_call_t *c);
apr_status_t wh_h_source_key_delete(wh_call_t *c);
apr_status_t wh_h_source_credentials(wh_call_t *c);
apr_status_t wh_h_source_credentials_delete(wh_call_t *c);
apr_status_t wh_h_source_hosts(wh_call_t *c);
apr_status_t wh_h_sync_get(wh_call_t *c);
apr_status_t wh_h_sync_ask(wh_call_t *c);
apr_status_t wh_h_usage_get(wh_call_t *c);
apr_status_t wh_h_audit_list(wh_call_t *c);
apr_status_t wh_h_alert_list(wh_call_t *c);
apr_status_t wh_h_alert_get(wh_call_t *c);
apr_status_t wh_h_alert_acknowledge(wh_call_t *c);
apr_status_t wh_h_alert_resolve(wh_call_t *c);
apr_status_t wh_h_alert_resolve_source(wh_call_t *c);
apr_status_t wh_h_alert_rule_list(wh_call_t *c);
apr_status_t wh_h_alert_rule_list_app(wh_call_t *c);
apr_status_t wh_h_alert_rule_create(wh_call_t *c);
apr_status_t wh_h_alert_rule_get(wh_call_t *c);
apr_status_t wh_h_alert_rule_patch(wh_call_t *c);
apr_status_t wh_h_alert_rule_delete(wh_call_t *c);
apr_status_t wh_h_switch_to(wh_call_t *c);
apr_status_t wh_h_switch_app(wh_call_t *c);
apr_status_t wh_h_switch_promote(wh_call_t *c);
apr_status_t wh_h_switch_get(wh_call_t *c);
apr_status_t wh_h_worker_list(wh_call_t *c);
apr_status_t wh_h_worker_register(wh_call_t *c);
apr_status_t wh_h_worker_refresh(wh_call_t *c);
apr_status_t wh_h_worker_rotate(wh_call_t *c);
apr_status_t wh_h_worker_get(wh_call_t *c);
apr_status_t wh_h_worker_drain(wh_call_t *c);
apr_status_t wh_h_worker_undrain(wh_call_t *c);
apr_status_t wh_h_worker_revoke(wh_call_t *c);
apr_status_t wh_h_worker_ask_rotate(wh_call_t *c);
apr_status_t wh_h_worker_remove(wh_call_t *c);
apr_status_t wh_h_worker_enrol(wh_call_t *c);
apr_status_t wh_h_stats_get(wh_call_t *c);
apr_status_t wh_h_ws(wh_call_t *c);
apr_status_t wh_h_traefik_worker(wh_call_t *c);
apr_status_t wh_h_traefik_proxy(wh_call_t *c);
apr_status_t wh_h_agent_release(wh_call_t *c);
apr_status_t wh_h_agent_object(wh_call_t *c);
apr_status_t wh_h_agent_objects(wh_call_t *c);
apr_status_t wh_h_agent_commit(wh_call_t *c);
apr_status_t wh_h_agent_refs(wh_call_t *c);
apr_status_t wh_h_agent_source(wh_call_t *c);
apr_status_t wh_h_environment_list(wh_call_t *c);
apr_status_t wh_h_environment_put(wh_call_t *c);
apr_status_t wh_h_environment_delete(wh_call_t *c);
apr_status_t wh_h_env_list(wh_call_t *c);
apr_status_t wh_h_env_put(wh_call_t *c);
apr_status_t wh_h_env_patch(wh_call_t *c);
apr_status_t wh_h_env_delete(wh_call_t *c);
apr_status_t wh_h_domain_list(wh_call_t *c);
apr_status_t wh_h_domain_create(wh_call_t *c);
apr_status_t wh_h_domain_get(wh_call_t *c);
apr_status_t wh_h_domain_patch(wh_call_t *c);
apr_status_t wh_h_domain_verify(wh_call_t *c);
apr_status_t wh_h_domain_delete(wh_call_t *c);
apr_status_t wh_h_hook_list(wh_call_t *c);
apr_status_t wh_h_hook_create(wh_call_t *c);
apr_status_t wh_h_hook_get(wh_call_t *c);
apr_status_t wh_h_hook_delete(wh_call_t *c);
apr_status_t wh_h_hook_patch(wh_call_t *c);
apr_status_t wh_h_hook_rotate(wh_call_t *c);
apr_status_t wh_h_delivery_list(wh_call_t *c);
apr_status_t wh_h_delivery_get(wh_call_t *c);
apr_status_t wh_h_delivery_replay(wh_call_t *c);
apr_status_t wh_h_webhook_deliver(wh_call_t *c);
apr_status_t wh_h_channel_create(wh_call_t *c);
apr_status_t wh_h_channel_get(wh_call_t *c);
apr_status_t wh_h_channel_list(wh_call_t *c);
apr_status_t wh_h_channel_patch(wh_call_t *c);
apr_status_t wh_h_channel_delete(wh_call_t *c);
apr_status_t wh_h_channel_rotate(wh_call_t *c);
apr_status_t wh_h_channel_test(wh_call_t *c);
apr_status_t wh_h_notice_list(wh_call_t *c);
apr_status_t wh_h_notice_get(wh_call_t *c);
apr_status_t wh_h_notice_resend(wh_call_t *c);
apr_status_t wh_h_event_list(wh_call_t *c);
apr_status_t wh_h_logdrain_create(wh_call_t *c);
apr_status_t wh_h_logdrain_get(wh_call_t *c);
apr_status_t wh_h_logdrain_list(wh_call_t *c);
apr_status_t wh_h_logdrain_patch(wh_call_t *c);
apr_status_t wh_h_logdrain_delete(wh_call_t *c);

/* Reads the body of a delivery and checks its signature against the hook that the path names: fills
 * c->raw and makes the caller a HOOK. wh_h_webhook.c */
apr_status_t wh_h_webhook_signature(wh_call_t *c) WH_MUST_CHECK;

#endif
