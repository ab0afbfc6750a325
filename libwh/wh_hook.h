/* wh_hook: webhooks of the forges: signature, payload, and what to do with it (F15, F213, F253,
 * R22; D6, XC). Verify the raw bytes first, parse afterwards, use only what wh_hook_push_t has.
 *
 * A delivery: provider by name -> wh_hook_signature_parse -> HMAC of the raw body (streamed by
 * the caller with wh_sign_hmac_*, or wh_hook_verify on a whole body) -> wh_hook_event ->
 * provider->push -> wh_hook_decide. Thread-safe. */
#ifndef WH_HOOK_H
#define WH_HOOK_H

#include <apr_pools.h>
#include <apr_time.h>

#include "libwh/wh_err.h"

#define WH_HOOK_BODY_MAX ((size_t)5 * 1024 * 1024)
#define WH_HOOK_MESSAGE_MAX 1024

typedef struct wh_hook_push_t {
    const char *ref;       /* "refs/heads/main" */
    const char *branch;    /* "main", or NULL when ref is no branch */
    int tag;               /* ref is a tag */
    const char *after;     /* 40 or 64 hex digits, lower case; zeros when deleted */
    int deleted;
    int has_commit;        /* the push names a head commit */
    int skip;              /* the message asks for [skip ci], [ci skip], [skip deploy] or [no ci] */
    const char *message;   /* first line, ≤ 1 KiB, clean (F178); "" when there is none */
    const char *author;    /* name, ≤ 256 bytes, clean; "" */
    apr_time_t timestamp;  /* of the head commit; 0 when absent or not readable */
    const char *clone_url; /* as told, not checked; "" */
    const char *full_name; /* "owner/name"; "" */
} wh_hook_push_t;

typedef enum wh_hook_event_e { WH_HOOK_UNKNOWN, WH_HOOK_PING, WH_HOOK_PUSH } wh_hook_event_e;

typedef struct wh_hook_provider_t {
    const char *name;             /* "github" */
    const char *signature_header; /* the only header that is looked at for a signature (XC4) */
    const char *event_header;
    const char *delivery_header;
    apr_status_t (*push)(apr_pool_t *p, const char *body, size_t n, wh_hook_push_t *out,
                         wh_err_t *err);
} wh_hook_provider_t;

/* The provider of this name, or NULL. */
const wh_hook_provider_t *wh_hook_provider(const char *name);

/* "sha256=" and 64 hex digits of either case -> 32 bytes. A NULL, or anything else, is
 * bad_signature (401, always with the same text). */
apr_status_t wh_hook_signature_parse(const char *value, unsigned char out[32], wh_err_t *err)
    WH_MUST_CHECK;

/* Checks a whole body in constant time; secret is the text of wh_keys_hook_secret. For an unknown
 * hook call it with any secret of the same length, so that both take the same time.
 * Code: bad_signature (401). */
apr_status_t wh_hook_verify(const char *secret, const void *body, size_t n, const char *signature,
                            wh_err_t *err) WH_MUST_CHECK;

/* What the event header says; NULL or an unknown name is WH_HOOK_UNKNOWN. */
wh_hook_event_e wh_hook_event(const char *name);

/* A delivery id as we store it: 1-64 bytes of [A-Za-z0-9._-]. 1 or 0. */
int wh_hook_delivery_ok(const char *id);

/* A push of GitHub. Strings are in p. Code: payload_invalid (422): broken JSON, a missing or
 * mistyped member, a ref or commit that git would not have. */
apr_status_t wh_hook_github_push(apr_pool_t *p, const char *body, size_t n, wh_hook_push_t *out,
                                 wh_err_t *err) WH_MUST_CHECK;

/* NULL = start a deployment of push->after; else the reason why not, for people and for
 * {"ignored": reason}: ping, unknown_event, branch_delete, tag, other_branch, empty_commit,
 * skip_requested. push may be NULL unless the event is WH_HOOK_PUSH. wanted is the branch that is
 * deployed: the app's own, or the push's when something else takes that. */
const char *wh_hook_decide(wh_hook_event_e event, const wh_hook_push_t *push,
                           const char *wanted);

#endif
