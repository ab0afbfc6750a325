/* wh_forge: what is said to a forge by its API, as requests: hooks made and removed, the state of a
 * commit, one comment on a request; and what its answers mean. The calls of each forge are one
 * table, wh_forge.def. Who sends them: wh-scheduler/forges.h. Pure and thread-safe. */
#ifndef WH_FORGE_H
#define WH_FORGE_H

#include <apr_tables.h>

#include "libwh/wh_err.h"

#define WH_FORGE_TOKEN_MAX 4096

typedef struct wh_forge_t wh_forge_t;

typedef enum wh_forge_action_e {
    WH_FORGE_HOOK_ADD,
    WH_FORGE_HOOK_SET,
    WH_FORGE_HOOK_REMOVE,
    WH_FORGE_HOOK_FIND, /* before it is added once more: the first time may have come through */
    WH_FORGE_STATUS,
    WH_FORGE_COMMENT_ADD,
    WH_FORGE_COMMENT_SET,
    WH_FORGE_COMMENT_FIND,
    WH_FORGE_ACTIONS
} wh_forge_action_e;

typedef enum wh_forge_state_e {
    WH_FORGE_PENDING,
    WH_FORGE_SUCCESS,
    WH_FORGE_FAILURE,
    WH_FORGE_CANCELED,
    WH_FORGE_STATES
} wh_forge_state_e;

/* What a call may need; the rest is NULL. */
typedef struct wh_forge_vars_t {
    const char *api, *repository, *token;
    const char *id;           /* of the forge's hook or comment */
    const char *url, *secret; /* of our hook */
    const char *sha, *target, *description, *context;
    wh_forge_state_e state;
    const char *number; /* of the request */
    const char *text;   /* of the comment */
} wh_forge_vars_t;

typedef struct wh_forge_call_t {
    const char *method, *url;
    const char *body;          /* NULL = none */
    const char *headers[4][2]; /* up to the first without a name; the first proves who we are */
} wh_forge_call_t;

/* That of a provider (wh_hook.h), NULL when it has no API that we know. */
const wh_forge_t *wh_forge_of(const char *provider);

/* Where the API of the repository's forge is, and how the repository is called there. Code:
 * forge_unknown (422): url, which wh_giturl_check let through, is no https or ssh
 * address with an owner and a name. In p. */
apr_status_t wh_forge_place(apr_pool_t *p, const wh_forge_t *forge, const char *url,
                            const char **api, const char **repository, wh_err_t *err) WH_MUST_CHECK;

/* Whether they may be used: an http address without query and without '/' at its end; names with
 * '/' between, each of letters, digits, '.', '_' and '-'. */
int wh_forge_api_ok(apr_pool_t *p, const char *api);
int wh_forge_repository_ok(const wh_forge_t *forge, const char *repository);
/* 1 for a token that can stand in a header. */
int wh_forge_token_ok(const char *token);

/* One call, in p. */
void wh_forge_call(apr_pool_t *p, const wh_forge_t *forge, wh_forge_action_e action,
                   const wh_forge_vars_t *vars, wh_forge_call_t *out);

/* The id in the answer to an ADD, in p; NULL when there is none. */
const char *wh_forge_id(apr_pool_t *p, const wh_forge_t *forge, const char *body, size_t n);
/* Of a FIND: the id of the item that has this hook's address, or this text in its comment; NULL =
 * there is none. */
const char *wh_forge_find(apr_pool_t *p, const wh_forge_t *forge, wh_forge_action_e action,
                          const char *what, const char *body, size_t n);

typedef enum wh_forge_verdict_e {
    WH_FORGE_DONE,
    WH_FORGE_AGAIN, /* later: it is busy, away, or asks for time */
    WH_FORGE_GONE,  /* what was to be changed is not there (any more) */
    WH_FORGE_NO,    /* this call is refused for good */
    WH_FORGE_STOP   /* and so would be every other: the token or the repository */
} wh_forge_verdict_e;

/* status 0 = no answer came. waits: the answer has Retry-After, or says that the hour's calls are
 * used up. */
wh_forge_verdict_e wh_forge_verdict(wh_forge_action_e action, int status, int waits);

#endif
