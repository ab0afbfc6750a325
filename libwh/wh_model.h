/* wh_model: the things of the platform: enumerations with their texts, one struct a table row,
 * strict decoding of what people and workers send, and the JSON that they get.
 *
 * Conventions: strings are never NULL ("" = nothing) unless said otherwise; times are microseconds
 * UTC, 0 = never; sizes are bytes, CPU is in thousandths of a core. Structs own nothing: their
 * strings live in the pool they were read into. JSON makers return new references, NULL only when
 * memory ran out. Decoders refuse unknown members, wrong types and values outside the limits with
 * 400 and a JSON pointer, and leave the struct unusable then; the codes are those of wh_json.h and
 * of the checks named. Strings of a decoded struct point into the body, which the pool keeps alive.
 * No function keeps state: thread-safe.
 *
 * Files: wh_model.c texts, wh_model_app.c, wh_model_build.c, wh_model_place.c, wh_model_snapshot.c,
 * wh_model_deployment.c, wh_model_switch.c, wh_model_worker.c, wh_model_hook.c. */
#ifndef WH_MODEL_H
#define WH_MODEL_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <jansson.h>

#include "libwh/wh_env.h"
#include "libwh/wh_err.h"

/* ---- Enumerations: wh_kind_e {WH_KIND_STATIC, ...} and so on, see wh_model.def ---- */
#define WH_ENUM(type) typedef enum wh_##type##_e {
#define WH_VAL(type, sym, text) WH_##sym,
#define WH_END(type) } wh_##type##_e;
#include "libwh/wh_model.def"
#undef WH_ENUM
#undef WH_VAL
#undef WH_END

/* For each: const char *wh_model_kind_text(wh_kind_e) (static text, "?" out of range) and
 * int wh_model_kind_of(const char *text, wh_kind_e *out), 1 = known and set, 0 = not (NULL too). */
#define WH_ENUM(type)                                                                             \
    const char *wh_model_##type##_text(wh_##type##_e value);                                      \
    int wh_model_##type##_of(const char *text, wh_##type##_e *out);
#define WH_VAL(type, sym, text)
#define WH_END(type)
#include "libwh/wh_model.def"
#undef WH_ENUM
#undef WH_VAL
#undef WH_END

/* 1 for succeeded, failed, canceled. */
int wh_model_job_terminal(wh_job_status_e status);

/* ---- Limits of what people may ask for ---- */
#define WH_APP_NAME_MAX 100
#define WH_APP_COMMAND_MAX 4096
#define WH_APP_PATH_MAX 512
#define WH_APP_HEALTH_MAX 1024
#define WH_APP_REPLICAS_MAX 16
#define WH_APP_CPU_MIN 50
#define WH_APP_CPU_MAX 64000
#define WH_APP_MEMORY_MIN (APR_INT64_C(16) << 20)
#define WH_APP_MEMORY_MAX (APR_INT64_C(256) << 30)
#define WH_APP_PIDS_MIN 8
#define WH_APP_PIDS_MAX 32768
#define WH_APP_PORT_DEFAULT 8080 /* F119 */
#define WH_APP_CPU_DEFAULT 1000
#define WH_APP_MEMORY_DEFAULT (APR_INT64_C(512) << 20)
#define WH_APP_PIDS_DEFAULT 256

#define WH_APP_BUILD_MIN 10 /* seconds */
#define WH_APP_BUILD_MAX 86400
#define WH_APP_BUILD_MEMORY_MIN (APR_INT64_C(64) << 20)

#define WH_APP_TIMEOUT_MAX 3600 /* seconds, as all of these */
#define WH_APP_HOLD_DEFAULT 10
#define WH_APP_HOLD_MAX 60
#define WH_APP_GRACE_DEFAULT 30
#define WH_APP_GRACE_MAX 3600
#define WH_APP_PREVIOUS_DEFAULT 86400
#define WH_APP_PREVIOUS_MAX 2592000
#define WH_APP_PREVIEWS_MAX 1000 /* at one time */
#define WH_APP_PREVIEW_TTL_DEFAULT 604800
#define WH_APP_SYNC_EVERY_DEFAULT 60
#define WH_APP_SYNC_EVERY_MIN 30
#define WH_APP_SYNC_EVERY_MAX 86400
#define WH_APP_PREVIEW_TTL_MIN 3600
#define WH_APP_PREVIEW_TTL_MAX 31536000

/* ---- apps ---- */
/* How an app is served; all but clean_urls holds for what is served already. */
typedef struct wh_serve_t {
    int clean_urls;         /* about.html is /about; of the content, so the snapshot keeps it */
    int sticky;             /* a visitor stays with one replica */
    int maintenance;        /* its names answer 503 */
    apr_int64_t timeout_s;  /* of an answer, 0 = the server's Timeout */
    apr_int64_t hold_s;     /* a request waits so long for a switch, 0 = not at all */
    apr_int64_t grace_s;    /* an old container lives on so long after a switch */
    apr_int64_t previous_s; /* so long the assets of the release before are found, 0 = not */
} wh_serve_t;

/* How an app without a Dockerfile is built; "" and 0 = as the preset, the server, the worker has
 * it. */
typedef struct wh_recipe_t {
    const char *preset; /* a name of wh_preset.def, or WH_RECIPE_DOCKERFILE */
    const char *install, *start;
    const char *pre_deploy; /* before each start */
    const char *image;      /* of the runner */
    apr_int64_t timeout_s, memory_bytes; /* of the build; only ever less than the server allows */
    int submodules, lfs; /* fetched besides the repository's own files (docs/sources.md) */
} wh_recipe_t;
#define WH_RECIPE_DOCKERFILE "dockerfile" /* nothing else will do */
#define WH_RECIPE_AUTO "auto"             /* as people write "" */

typedef struct wh_app_t {
    const char *id;
    const char *slug;
    const char *name;
    wh_kind_e kind;
    const char *repo_url;
    const char *repo_branch;
    const char *repo_root;        /* "" = the top */
    const char *image;            /* wh_imageref_text: runs instead of what is built; "" = none */
    const char *build_command;    /* "" = none */
    const char *build_dockerfile; /* below repo_root */
    const char *build_output;     /* "" = repo_root itself, or as the preset has it */
    wh_recipe_t recipe;
    apr_int64_t run_port;
    const char *run_health_path;
    apr_int64_t run_replicas;
    apr_int64_t run_cpu_millis;
    apr_int64_t run_memory_bytes;
    apr_int64_t run_pids;
    const char *place_worker; /* a worker's name, "" = any */
    const char *place_zone;   /* "" = any */
    const char *place_labels; /* JSON text: what the worker must have */
    int spa;
    wh_serve_t serve;
    apr_int64_t preview_max;   /* branches that no environment takes get a preview, 0 = none does */
    apr_int64_t preview_ttl_s; /* after its last deployment */
    wh_sync_kind_e sync_kind;  /* where new commits come from */
    apr_int64_t sync_every_s;  /* SYNC_POLLING: how often its branch is looked at */
    wh_desired_e desired;
    wh_observed_e observed;
    const char *reason;
    apr_int64_t version; /* the ETag */
    apr_time_t created_at, updated_at, deleted_at;
} wh_app_t;

typedef struct wh_model_app_opt_t {
    int patch;                   /* 1: app holds the row; what the body names replaces it */
    const char *local_repo_root; /* WiseHostLocalRepoRoot, NULL = no local repository */
} wh_model_app_opt_t;

/* Body of POST /v1/apps (patch = 0: *app is filled with defaults; id, version, times are the
 * caller's) or PATCH (slug and kind may be named only with their present value: code immutable).
 * null takes a member back to its default. Codes: those of wh_json.h, slug_invalid,
 * slug_reserved, ref_invalid, repository_refused, image_invalid, path_invalid, immutable,
 * invalid_value. */
apr_status_t wh_model_app_decode(apr_pool_t *p, json_t *body, const wh_model_app_opt_t *opt,
                                 wh_app_t *app, wh_err_t *err)
    WH_MUST_CHECK;

/* 1 when any of the three says where: worker, zone, labels as JSON text; each may be NULL. */
int wh_model_placed(const char *worker, const char *zone, const char *labels);

/* The app document; urls is an array of const char *, may be NULL. */
json_t *wh_model_app_json(apr_pool_t *p, const wh_app_t *app, const apr_array_header_t *urls);

/* ---- snapshot: what a deployment keeps of its app (F227) ---- */
typedef struct wh_snapshot_t {
    const char *slug;
    wh_kind_e kind;
    const char *repo_url, *repo_branch, *repo_root; /* url "" with an image */
    const char *image;                              /* as in wh_app_t */
    const char *build_command, *build_dockerfile, *build_output;
    wh_recipe_t recipe;
    apr_int64_t port;
    const char *health_path;
    apr_int64_t replicas, cpu_millis, memory_bytes, pids;
    int spa, clean_urls;
    const char *place_worker, *place_zone, *place_labels; /* as in wh_app_t */
} wh_snapshot_t;

/* {slug, kind, repository{url,branch,root_directory} or image,
 * build{build_command|null, dockerfile, output_directory, and of preset, install_command,
 * start_command, pre_deploy_command,
 * runner_image, timeout_seconds, memory_bytes, submodules, lfs those that were given},
 * run{port,health_path,replicas,cpu_millis,memory_bytes,pids}, spa, clean_urls,
 * placement{worker,zone,labels} where one is given} */
json_t *wh_model_snapshot_make(const wh_app_t *app);
/* The same from the struct. */
json_t *wh_model_snapshot_json(const wh_snapshot_t *snapshot);
/* The same as text in p, for deployments.snapshot. */
char *wh_model_snapshot_text(apr_pool_t *p, const wh_app_t *app);
/* Reads either form back, with all limits of an app except where the repository may lie (that is
 * the agent's own rule: wh_giturl_check with its root). Unknown members are ignored here: a newer
 * hub may know more. Code: snapshot_invalid or those of wh_model_app_decode. */
apr_status_t wh_model_snapshot_decode(apr_pool_t *p, json_t *json, wh_snapshot_t *out,
                                      wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_model_snapshot_parse(apr_pool_t *p, const char *text, wh_snapshot_t *out,
                                     wh_err_t *err) WH_MUST_CHECK;

/* 1 when it is known beforehand that a container engine is needed: containers, and sites with a
 * command or a preset that has one. */
int wh_model_snapshot_engine(const wh_snapshot_t *snapshot);

/* The settings that the repository brings (wisehost.json): what it names takes the place of what
 * the snapshot has. Code: settings_invalid, with the pointer in the text. */
#define WH_REPO_SETTINGS "wisehost.json"
#define WH_REPO_SETTINGS_MAX ((size_t)(64 * 1024))
apr_status_t wh_model_snapshot_repo(apr_pool_t *p, const char *text, size_t n,
                                    wh_snapshot_t *snapshot, wh_err_t *err) WH_MUST_CHECK;

/* ---- deployments ---- */
typedef struct wh_deployment_t {
    const char *id;
    const char *app_id;
    const char *environment;
    apr_int64_t number;
    wh_deployment_status_e status;
    wh_conclusion_e conclusion;
    wh_phase_e phase;
    const char *cause_code, *cause_detail;
    wh_trigger_e trigger;
    const char *commit_sha, *commit_ref, *commit_message, *commit_author;
    apr_time_t commit_at;
    apr_int64_t worker_id;   /* 0 = NULL */
    const char *snapshot;    /* JSON text */
    const char *release_id;  /* "" = NULL */
    const char *timings;     /* JSON text */
    const char *source_id;   /* whose image or files it took up, "" = its own */
    const char *image_digest; /* of an image of a registry: what was pulled, "" = not known */
    int env_public;          /* it gets no secrets */
    const char *site;        /* scheme, base domain, port as a URL; "" = unknown */
    int untrusted;           /* nothing happens before approved_at */
    apr_time_t approved_at;
    apr_time_t created_at, started_at, finished_at;
} wh_deployment_t;

typedef struct wh_model_deployment_view_t {
    const char *app_slug;
    const char *worker;             /* name or public id, "" or NULL = null */
    const char *url;                /* NULL = null */
    const apr_array_header_t *urls; /* const char *, NULL = [] */
    wh_serving_e serving;           /* R28 */
    const apr_array_header_t *environments; /* const char *, which show it now; NULL = [] */
    int retained;                   /* it can serve again without a build */
} wh_model_deployment_view_t;

/* {id, app, environment, number, status, conclusion|null, phase, cause{code,detail}|null, trigger,
 * commit{sha,ref,message,author,at} with nulls, image{reference,digest|null}|null, worker, url,
 * urls, serving, environments, retained,
 * source|null, timings, created_at, started_at|null, finished_at|null} */
json_t *wh_model_deployment_json(apr_pool_t *p, const wh_deployment_t *d,
                                 const wh_model_deployment_view_t *view);

/* Body of POST /v1/apps/{slug}/deployments: {environment?, ref? | commit?, uploaded?, placement?};
 * an absent or empty body (NULL) is fine. Codes: both_ref_and_commit, ref_invalid, commit_invalid,
 * no_commit, ... */
typedef struct wh_deploy_request_t {
    const char *environment; /* "production" unless named */
    int environment_named;
    const char *ref;         /* branch, "" unless named */
    const char *commit;      /* sha in lower case, "" unless named */
    int uploaded;            /* that commit is of an upload */
    int placed;              /* a placement was named: for this deployment it replaces the app's */
    const char *place_worker, *place_zone, *place_labels;
} wh_deploy_request_t;
apr_status_t wh_model_deploy_request_decode(apr_pool_t *p, json_t *body,
                                            wh_deploy_request_t *out, wh_err_t *err)
    WH_MUST_CHECK;

/* ---- switches: rollback and promotion ---- */
typedef struct wh_switch_t {
    const char *id, *app_id;
    const char *environment;   /* the one that changes */
    const char *deployment_id; /* what it is to show */
    wh_switch_kind_e kind;
    wh_switch_settings_e settings;
    const char *from_id;   /* what it showed, "" = nothing */
    const char *result_id; /* what it shows now, or will when that has started; "" = not known yet */
    wh_switch_outcome_e outcome;
    const char *cause_code, *cause_detail;
    apr_int64_t up_to; /* the app's newest deployment when it was asked for */
    apr_time_t created_at, done_at;
} wh_switch_t;

/* {id, app, environment, kind, settings, deployment, from|null, result|null, outcome|null,
 * cause{code,detail}|null, url|null, created_at, done_at|null} */
json_t *wh_model_switch_json(const wh_switch_t *s, const char *app_slug, const char *url);

/* Bodies: {settings?} of …/deployments/{id}/rollback, {environment?, to?, settings?} of
 * …/apps/{slug}/rollback, {environment, settings?} of …/promote. NULL or absent is fine where
 * nothing is required. */
typedef enum wh_switch_body_e {
    WH_SWITCH_BODY_TO_THIS,
    WH_SWITCH_BODY_OF_APP,
    WH_SWITCH_BODY_PROMOTE
} wh_switch_body_e;
typedef struct wh_switch_request_t {
    const char *environment; /* "production" unless named; not looked at in TO_THIS */
    const char *to;          /* an id or a number, "" = what was shown before */
    wh_switch_settings_e settings;
} wh_switch_request_t;
apr_status_t wh_model_switch_decode(apr_pool_t *p, json_t *body, wh_switch_body_e which,
                                    wh_switch_request_t *out, wh_err_t *err) WH_MUST_CHECK;

/* ---- jobs ---- */
typedef struct wh_job_t {
    const char *id;
    wh_job_kind_e kind;
    const char *app_id, *deployment_id;
    apr_int64_t worker_id; /* 0 = NULL */
    wh_job_status_e status;
    apr_int64_t epoch, priority;
    apr_time_t not_before, lease_until, deadline_at, cancel_at;
    apr_time_t created_at, assigned_at, started_at, finished_at;
} wh_job_t;

/* ---- workers ---- */
typedef struct wh_worker_t {
    apr_int64_t id;
    const char *public_id;
    const char *name;
    const char *key_hash; /* never shown */
    wh_worker_status_e status;
    wh_worker_admin_e admin_state;
    const char *address, *zone;
    const char *labels; /* JSON text of an object */
    const char *engine, *version;
    apr_int64_t cpu_millis, memory_bytes, used_cpu, used_memory, max_jobs, disk_free_bytes;
    const char *refuses; /* why it takes no builds now, "" = it does */
    apr_time_t last_heartbeat_at;
    apr_time_t revoked_at; /* > 0: its key is good for nothing */
    apr_time_t rotate_at;  /* > 0: its key is to be changed */
    apr_time_t drain_at;
    apr_time_t created_at, updated_at;
    apr_int64_t jobs, apps; /* there now; counted only where a reader says so, else 0 */
} wh_worker_t;

/* For GET /v1/workers; no key or its hash in it. "id" is the public id. */
json_t *wh_model_worker_json(apr_pool_t *p, const wh_worker_t *w);

/* Body of POST /v1/workers/register. */
typedef struct wh_worker_register_t {
    const char *name;    /* wh_model_worker_name_ok */
    const char *api_key; /* 64 hex digits, lower case */
    apr_int64_t cpu_millis, memory_bytes;
    const char *address; /* IP address, not WH_ADDRESS_REFUSED; default "127.0.0.1" */
    const char *labels;  /* JSON text of an object of strings; default "{}" */
    const char *zone, *version;
} wh_worker_register_t;
apr_status_t wh_model_worker_register_decode(apr_pool_t *p, json_t *body,
                                             wh_worker_register_t *out, wh_err_t *err)
    WH_MUST_CHECK;

/* Labels as they may be anywhere: an object of at most 32 strings, keys [A-Za-z0-9._-]{1,63},
 * values ≤ 255 bytes of wh_text_honest; NULL counts as {}. Text in p. */
apr_status_t wh_model_labels_decode(apr_pool_t *p, json_t *labels, const char **text,
                                    wh_err_t *err) WH_MUST_CHECK;

/* 1 for an IPv4 or IPv6 address, whatever it is good for: wh_address.h. */
int wh_model_address_ok(const char *address);

/* 1 for what may be a worker's name. */
#define WH_WORKER_NAME_MAX 63
#define WH_WORKER_NAME_RULE                                                                       \
    "a worker's name has 1 to 63 letters, digits, '.', '_' or '-', begins with a letter or digit, " \
    "and is neither \"ws\" nor of the form of an id"
int wh_model_worker_name_ok(const char *name);

/* ---- instances, releases, names, tokens, hooks ---- */
typedef struct wh_instance_t {
    const char *id, *app_id, *deployment_id;
    apr_int64_t worker_id;
    const char *container, *address;
    apr_int64_t port;
    wh_instance_state_e state;
    wh_observed_e observed;
    const char *reason;
    apr_int64_t restarts;
    apr_time_t created_at, stopped_at;
} wh_instance_t;

typedef struct wh_release_t {
    const char *id;
    apr_int64_t files, bytes;
    apr_time_t created_at;
} wh_release_t;

typedef struct wh_name_t {
    const char *label, *app_id, *environment;
    wh_name_kind_e kind;
    const char *deployment_id;
    const char *previous_id; /* "" = NULL */
    apr_time_t updated_at;
    apr_time_t expires_at;  /* of a preview, 0 = never */
    apr_time_t switched_at; /* when it came to its deployment */
} wh_name_t;

/* The name that tells what an environment shows: its own, or, where it has none (a preview), its
 * branch's. names: array of wh_name_t *; NULL = it shows nothing. */
const wh_name_t *wh_model_name_main(const apr_array_header_t *names, const char *environment);

/* F296: whether some environment shows this deployment, or showed it before what it shows now. */
wh_serving_e wh_model_serving(const apr_array_header_t *names, const char *deployment_id);

/* The environments that show it now: const char *, of the names. A promotion brings a deployment to
 * another environment than the one that it was made for. */
apr_array_header_t *wh_model_shown_in(apr_pool_t *p, const apr_array_header_t *names,
                                      const char *deployment_id);

typedef struct wh_token_t {
    const char *id, *name;
    const char *hash;   /* never shown */
    const char *scopes; /* wh_authz_scopes_parse */
    const char *apps;   /* wh_authz_apps_parse */
    apr_time_t created_at, expires_at, last_used_at, revoked_at;
} wh_token_t;

typedef struct wh_hookrow_t {
    const char *id, *app_id, *provider;
    apr_int64_t secret_n;      /* which of its secrets is the present one, from 0 */
    apr_time_t previous_until; /* till then the one before it is taken too */
    const char *watch;         /* patterns of paths, one a line; "" = all */
    apr_time_t last_delivery_at, created_at, deleted_at;
    const char *token_issuer, *token_rule; /* wh_actions.h; "" = it takes no tokens */
    /* Where its forge is told of it by API: hook_forges. forge_api "" or NULL = it is not. */
    const char *forge_api, *forge_repository, *forge_id, *forge_error;
    int forge_stopped;
} wh_hookrow_t;

/* A delivery and what became of it (hook_deliveries). Texts: "" = none. */
typedef struct wh_delivery_t {
    const char *id, *hook_id;
    const char *delivery_id; /* the forge's; of a replay, of our own */
    apr_int64_t part;        /* of a push of several refs */
    const char *event;       /* as the forge calls it */
    const char *ref, *before, *sha;
    const char *verdict; /* accepted, ignored, rejected */
    const char *reason;
    const char *deployment_id, *body_sha256;
    const char *headers; /* JSON */
    const char *payload; /* wh_hook_event_json */
    const char *replay_of;
    apr_time_t received_at;
} wh_delivery_t;

/* {id, app (slug), provider, url, watch[], previous_secret_until, last_delivery_at, created_at,
 * secret?, actions?, forge? {api, repository, state: waiting, registered or stopped, error}}:
 * secret NULL = not shown. */
json_t *wh_model_hook_json(apr_pool_t *p, const wh_hookrow_t *hook, const char *app_slug,
                           const char *url, const char *secret);

/* {id, delivery, event, ref, commit, before, verdict, reason, deployment, replay_of, received_at};
 * full: with the headers and what was read of the payload. */
json_t *wh_model_delivery_json(const wh_delivery_t *d, int full);

/* The forge's API: {token, api?, repository?}; "" = not named. */
typedef struct wh_model_forge_t {
    const char *token, *api, *repository;
} wh_model_forge_t;

/* Reads "forge" of a body; *there = 0 when it has none. Codes: those of wh_json.h, invalid_value
 * (400, /forge/...). */
apr_status_t wh_model_forge_decode(apr_pool_t *p, const json_t *body, const char *provider,
                                   wh_model_forge_t *out, int *there, wh_err_t *err) WH_MUST_CHECK;

/* What a body of POST /v1/hooks says: {app, provider, watch?, actions?, forge?}, or without app
 * below an app (need_app = 0; app is ""). */
typedef struct wh_model_hook_new_t {
    const char *app, *provider, *watch;
    const json_t *actions; /* for wh_actions_rule_decode; NULL = not there */
    wh_model_forge_t forge;
    int has_forge;
} wh_model_hook_new_t;
apr_status_t wh_model_hook_decode(apr_pool_t *p, json_t *body, int need_app,
                                  wh_model_hook_new_t *out, wh_err_t *err) WH_MUST_CHECK;

/* ---- env vars (wh_env.h) ---- */

/* What a body says of one: value NULL = it keeps its own; -1 = the mark stays. */
typedef struct wh_model_env_change_t {
    const char *name, *value;
    int secret, build, remove;
} wh_model_env_change_t;

/* Body {environment?, variables[{name, value?, secret?, build?, remove?}]} of PUT and PATCH
 * …/env; *scope "" where none is named. Codes: those of wh_json.h, of wh_env_name_check,
 * environment_invalid, invalid_value (a name twice). */
apr_status_t wh_model_env_decode(apr_pool_t *p, json_t *body, const char **scope,
                                 apr_array_header_t **changes, wh_err_t *err) WH_MUST_CHECK;

/* {name, environment|null, secret, build, value|null, created_at, updated_at}; value NULL = not
 * shown. */
json_t *wh_model_env_json(const wh_env_var_t *v, const char *value);

/* Body {token, name?} of POST /v1/login; name is "admin" when absent, ≤ 100 bytes. */
apr_status_t wh_model_login_decode(apr_pool_t *p, json_t *body, const char **token,
                                   const char **name, wh_err_t *err)
    WH_MUST_CHECK;

#endif
