/* wh_hook: webhooks of the forges: signature, payload, and what to do with it (F15-F18, F213, F253,
 * R7, R22; D6, XC). Verify the raw bytes first, decode afterwards, use only what wh_hook_event_t
 * has.
 *
 * A delivery: provider by name -> wh_hook_verify on the raw body -> wh_hook_decode -> for each
 * event wh_hook_plan. Who the providers are stands in wh_hook_provider.def. Pure and thread-safe.
 */
#ifndef WH_HOOK_H
#define WH_HOOK_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <jansson.h>

#include "libwh/wh_err.h"

#define WH_HOOK_BODY_MAX ((size_t)5 * 1024 * 1024)
#define WH_HOOK_MESSAGE_MAX 1024
#define WH_HOOK_CHANGES_MAX 256 /* refs of one push */
#define WH_HOOK_PATHS_MAX 3000  /* of one push; more count as not known */
#define WH_HOOK_WATCH_MAX 50    /* patterns of a hook */

/* How a delivery proves that it knows the secret; one scheme a provider, never two (XC4). */
typedef enum wh_hook_scheme_e {
    WH_HOOK_SHA256_NAMED, /* "sha256=" and the hex HMAC-SHA256 of the body (F15, F18) */
    WH_HOOK_SHA256_BARE,  /* the hex alone (F16) */
    WH_HOOK_TOKEN,        /* the secret itself (F17) */
    WH_HOOK_BASIC, /* the password of Basic authentication; the user's name is not looked at */
    WH_HOOK_BEARER, /* the secret, "Bearer " before it or not */
    WH_HOOK_OIDC    /* a token of somebody else's: wh_oidc.h; wh_hook_verify takes none */
} wh_hook_scheme_e;

enum {
    WH_HOOK_NO_ID = 1,           /* a delivery need not have an id */
    WH_HOOK_SAME_BODY = 2,       /* the same body again is not the same delivery */
    WH_HOOK_NO_BODY = 4,         /* the body may be empty */
    WH_HOOK_HEAD = 8,            /* no commit = whatever the branch points at */
    WH_HOOK_NO_SHA_DELETES = 16, /* no commit = the ref was deleted */
    WH_HOOK_SHORT_SHA = 32 /* a request's commit may be cut: then its branch is what is built */
};

typedef struct wh_hook_provider_t {
    const char *name;  /* as in the path: "github" */
    const char *title; /* "GitHub" */
    wh_hook_scheme_e scheme;
    const char *signature;   /* the only header that is looked at for a proof (XC4) */
    const char *event;       /* header, or NULL: then … */
    const char *event_path;  /* … the event's name stands there in the body */
    const char *delivery[2]; /* headers of the delivery's id, the first that is there; or … */
    const char *delivery_path;
    const char *action;      /* where a request says what became of it */
    const char *request_ref; /* the ref below refs/ under which the forge keeps a request of a fork,
                                %s = number; NULL = it keeps none */
    unsigned flags;
    int kind; /* of the tables; private */
} wh_hook_provider_t;

/* The provider of this name, or NULL; and the i-th, NULL behind the last. */
const wh_hook_provider_t *wh_hook_provider(const char *name);
const wh_hook_provider_t *wh_hook_provider_at(int i);

/* "github, gitea, …" in p: for messages. */
const char *wh_hook_provider_names(apr_pool_t *p);

/* Checks a whole body against the n secrets (each is tried, whatever the others say), in constant
 * time; value is that of the signature header, NULL = there is none. For an unknown hook call it
 * with any secrets of the same number and length, so that both take the same time.
 * Code: bad_signature (401), always with the same text. */
apr_status_t wh_hook_verify(const wh_hook_provider_t *provider, const char *value, const void *body,
                            size_t len, const char *const *secrets, int n,
                            wh_err_t *err) WH_MUST_CHECK;

typedef enum wh_hook_kind_e {
    WH_HOOK_OTHER,
    WH_HOOK_PING,
    WH_HOOK_PUSH,   /* of a branch, or of a ref that is neither branch nor tag */
    WH_HOOK_TAG,    /* a tag, made or deleted */
    WH_HOOK_DELETE, /* a branch */
    WH_HOOK_REQUEST_OPEN,
    WH_HOOK_REQUEST_SYNC, /* pushed to, or changed in another way: the commit tells */
    WH_HOOK_REQUEST_CLOSE,
    WH_HOOK_KINDS
} wh_hook_kind_e;

/* "push", "request_open", …; and back, WH_HOOK_OTHER for what is none. */
const char *wh_hook_kind_text(wh_hook_kind_e kind);
wh_hook_kind_e wh_hook_kind_of(const char *text);

/* Texts are clean and never NULL, "" = not told. */
typedef struct wh_hook_event_t {
    wh_hook_kind_e kind;
    const char *ref;    /* "refs/heads/main"; "" of a request, or when none was named */
    const char *branch; /* "main"; of a request its source; NULL when ref is no branch */
    const char *tag;    /* "v1", or NULL */
    const char *sha;    /* 40 or 64 hex digits, lower case; "" when not told; zeros when deleted */
    const char *short_sha; /* of a request that told no more than these first digits; "" */
    const char *before;    /* what the ref pointed at; "" or zeros */
    const char *message;   /* first line, ≤ 1 KiB (F178) */
    const char *author;    /* name, ≤ 256 bytes */
    apr_time_t at;         /* of the commit; 0 */
    int has_commit;        /* there is something to build */
    int head;              /* sha is "": whatever the branch points at */
    int skip; /* the message asks for [skip ci], [ci skip], [skip deploy] or the like */
    const apr_array_header_t *paths; /* const char *: what changed; NULL = not known */
    const char *number;              /* of a request: digits; "" */
    const char *request_ref;         /* of a request: "pull/7"; "" when the forge keeps none */
    int fork;                        /* a request from another repository */
    const char *clone_url;           /* as told, not checked */
    const char *full_name;           /* "owner/name" */
} wh_hook_event_t;

typedef struct wh_hook_decoded_t {
    const char *event;    /* as the forge calls it, clean; "" */
    const char *delivery; /* the id in the body, or NULL */
    apr_array_header_t
        *events; /* wh_hook_event_t, at least one; a push of several refs has several */
} wh_hook_decoded_t;

/* Reads a delivery that was verified. event is the header's value, NULL = none. All in p.
 * Code: payload_invalid (422): broken JSON, a missing or mistyped member, a ref or commit that git
 * would not have. Events that mean nothing to us are WH_HOOK_OTHER, and their body is not read. */
apr_status_t wh_hook_decode(apr_pool_t *p, const wh_hook_provider_t *provider, const char *event,
                            const char *body, size_t n, wh_hook_decoded_t *out,
                            wh_err_t *err) WH_MUST_CHECK;

/* A delivery id as we store it: 1-64 bytes of [A-Za-z0-9._-]. 1 or 0. */
int wh_hook_delivery_ok(const char *id);

/* What an app wants of its hook. */
typedef struct wh_hook_want_t {
    const char *branch;              /* the app's own */
    const apr_array_header_t *rules; /* wh_branch_rule_t; NULL = none */
    int previews; /* 1 = branches and requests that nothing else takes have one */
    const apr_array_header_t *watch; /* const char *: patterns of paths; NULL or empty = all */
    const char *off; /* the reason why nothing is deployed that comes by itself; NULL = it is */
} wh_hook_want_t;

typedef struct wh_hook_plan_t {
    const char *reason; /* NULL = a deployment; else why not, for people and {"ignored": reason} */
    const char *environment; /* where it goes */
    const char *ref;         /* the deployment's branch, or "pull/7" */
    const char *close;       /* the preview that goes, or NULL */
    int hold;                /* waits for approval and gets no secrets */
} wh_hook_plan_t;

/* Reasons: ping, unknown_event, tag, branch_delete, other_branch, empty_commit, no_change,
 * skip_requested, unwatched, previews_off, has_environment (a request whose branch is deployed by
 * its pushes), fork_not_fetchable, request_closed,
 * and what want->off says. Texts are in p or static. */
void wh_hook_plan(apr_pool_t *p, const wh_hook_event_t *event, const wh_hook_want_t *want,
                  wh_hook_plan_t *plan);

/* Patterns as wh_branch.h has them, one a line; a "/" at the end means all that is below. In p.
 * Code: watch_invalid (400, /watch). */
apr_status_t wh_hook_watch_parse(apr_pool_t *p, const char *text, apr_array_header_t **out,
                                 wh_err_t *err) WH_MUST_CHECK;

/* An event as it is remembered (≤ 64 KiB), and back: payload_invalid (422) when it is none. */
json_t *wh_hook_event_json(const wh_hook_event_t *event);
apr_status_t wh_hook_event_load(apr_pool_t *p, const char *text, wh_hook_event_t *out,
                                wh_err_t *err) WH_MUST_CHECK;

/* The headers of a delivery as they are remembered: names in lower case, ≤ 4 KiB, and what proves
 * something left out. */
json_t *wh_hook_headers_json(apr_pool_t *p, const apr_table_t *headers);

#endif
