/* wh_hook: see wh_hook.h. The proofs, and what is done with an event. */
#include <string.h>
#include <strings.h>
#include <apr_base64.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

/* ---- proofs --------------------------------------------------------------------------------- */

static apr_status_t bad_signature(wh_err_t *err)
{
    return wh_err_set(err, 401, "bad_signature", "the delivery is not signed by this hook");
}

/* The MAC that a header names; 0 when it is none. */
static int mac_of(const char *value, const char *prefix, unsigned char out[WH_SHA256_LEN])
{
    size_t n = strlen(prefix);

    return value && strncmp(value, prefix, n) == 0 && strlen(value) == n + WH_SHA256_HEX &&
           wh_sign_unhex(value + n, WH_SHA256_HEX, out) == 0;
}

/* The password of "Basic …" into buf, NULL when there is none. */
static const char *password_of(const char *value, char *buf, size_t size)
{
    const char *text = value + 6;
    char *colon;
    int n;

    if (strncasecmp(value, "Basic ", 6) != 0 || strlen(text) >= size)
        return NULL;
    n = apr_base64_decode(buf, text);
    if (n < 0 || (size_t)n >= size)
        return NULL;
    buf[n] = '\0';
    colon = memchr(buf, ':', (size_t)n);
    if (!colon || strlen(buf) != (size_t)n)
        return NULL;
    return colon + 1;
}

/* The secret that a header shows, NULL when it shows none. */
static const char *shown(wh_hook_scheme_e scheme, const char *value, char *buf, size_t size)
{
    if (!value)
        return NULL;
    if (scheme == WH_HOOK_BASIC)
        return password_of(value, buf, size);
    if (scheme == WH_HOOK_BEARER && strncasecmp(value, "Bearer ", 7) == 0)
        return value + 7;
    return value;
}

static int is_mac(wh_hook_scheme_e scheme)
{
    return scheme == WH_HOOK_SHA256_NAMED || scheme == WH_HOOK_SHA256_BARE;
}

apr_status_t wh_hook_verify(const wh_hook_provider_t *provider, const char *value, const void *body,
                            size_t len, const char *const *secrets, int n, wh_err_t *err)
{
    unsigned char want[WH_SHA256_LEN], got[WH_SHA256_LEN] = {0};
    char buf[1024];
    const char *text;
    int mac = is_mac(provider->scheme), formed, fits = 0, i;

    if (mac) {
        formed = mac_of(value, provider->scheme == WH_HOOK_SHA256_NAMED ? "sha256=" : "", got);
    } else {
        /* Digests are compared, so that neither content nor length shows in the time (XC10). */
        text = shown(provider->scheme, value, buf, sizeof(buf));
        formed = text && *text;
        wh_sign_sha256(formed ? text : "", formed ? strlen(text) : 0, got);
    }
    /* Also for a header that proves nothing: a sender learns nothing from the time it took. */
    for (i = 0; i < n; i++) {
        if (mac)
            wh_sign_hmac(secrets[i], strlen(secrets[i]), body, len, want);
        else
            wh_sign_sha256(secrets[i], strlen(secrets[i]), want);
        fits |= wh_sign_equal(want, got, sizeof(want)) && *secrets[i];
    }
    wh_sign_wipe(buf, sizeof(buf));
    return formed && fits && provider->scheme != WH_HOOK_OIDC ? APR_SUCCESS : bad_signature(err);
}

int wh_hook_delivery_ok(const char *id)
{
    size_t n = id ? strlen(id) : 0, i;

    for (i = 0; i < n; i++) {
        if (!apr_isalnum(id[i]) && id[i] != '.' && id[i] != '_' && id[i] != '-')
            return 0;
    }
    return n >= 1 && n <= 64;
}

/* ---- what to do ----------------------------------------------------------------------------- */

static int watched(const wh_hook_event_t *event, const apr_array_header_t *watch)
{
    int i, j;

    if (!watch || !watch->nelts || !event->paths)
        return 1; /* what is not known may have changed */
    for (i = 0; i < event->paths->nelts; i++) {
        for (j = 0; j < watch->nelts; j++) {
            if (wh_branch_match(APR_ARRAY_IDX(watch, j, const char *),
                                APR_ARRAY_IDX(event->paths, i, const char *)))
                return 1;
        }
    }
    return 0;
}

static const char *of_push(apr_pool_t *p, const wh_hook_event_t *event, const wh_hook_want_t *want,
                           wh_hook_plan_t *plan)
{
    const char *branch = event->head && !event->branch ? want->branch : event->branch;

    if (branch)
        plan->environment =
            wh_branch_environment(p, branch, want->branch, want->rules, want->previews);
    plan->ref = branch;
    if (!plan->environment)
        return "other_branch";
    if (!event->has_commit && !event->head)
        return "empty_commit";
    if (*event->sha && strcmp(event->sha, event->before) == 0)
        return "no_change"; /* Gitea's test delivery */
    if (event->skip)
        return "skip_requested";
    return watched(event, want->watch) ? NULL : "unwatched";
}

static const char *of_request(apr_pool_t *p, const wh_hook_event_t *event,
                              const wh_hook_want_t *want, wh_hook_plan_t *plan)
{
    if (!want->previews)
        return "previews_off";
    if (event->fork && (!*event->request_ref || !*event->sha))
        return "fork_not_fetchable";
    plan->hold = event->fork;
    plan->ref = event->fork ? event->request_ref : event->branch;
    plan->environment = event->fork
                            ? wh_branch_preview(p, event->request_ref)
                            : wh_branch_environment(p, plan->ref, want->branch, want->rules, 1);
    if (!wh_branch_is_preview(plan->environment))
        return "has_environment";
    return event->skip ? "skip_requested" : NULL;
}

void wh_hook_plan(apr_pool_t *p, const wh_hook_event_t *event, const wh_hook_want_t *want,
                  wh_hook_plan_t *plan)
{
    const char *gone = event->fork ? event->request_ref : event->branch;

    *plan = (wh_hook_plan_t){.ref = ""};
    switch (event->kind) {
    case WH_HOOK_PING:
        plan->reason = "ping";
        return;
    case WH_HOOK_TAG:
        plan->reason = "tag";
        return;
    case WH_HOOK_DELETE:
    case WH_HOOK_REQUEST_CLOSE:
        plan->reason = event->kind == WH_HOOK_DELETE ? "branch_delete" : "request_closed";
        plan->close = want->previews && gone && *gone ? wh_branch_preview(p, gone) : NULL;
        return;
    case WH_HOOK_PUSH:
        plan->reason = of_push(p, event, want, plan);
        break;
    case WH_HOOK_REQUEST_OPEN:
    case WH_HOOK_REQUEST_SYNC:
        plan->reason = of_request(p, event, want, plan);
        break;
    case WH_HOOK_OTHER:
    case WH_HOOK_KINDS:
    default:
        plan->reason = "unknown_event";
    }
    if (!plan->reason)
        plan->reason = want->off;
}

apr_status_t wh_hook_watch_parse(apr_pool_t *p, const char *text, apr_array_header_t **out,
                                 wh_err_t *err)
{
    char *last, *line;

    *out = apr_array_make(p, 4, sizeof(const char *));
    for (line = apr_strtok(apr_pstrdup(p, text), "\n", &last); line;
         line = apr_strtok(NULL, "\n", &last)) {
        size_t n = strlen(line);

        if (line[n - 1] == '/')
            line = apr_pstrcat(p, line, "**", NULL);
        if (*line == '/' || n > 255 || !wh_text_plain(line, n) ||
            (*out)->nelts >= WH_HOOK_WATCH_MAX)
            return wh_err_field(err, "/watch", "watch_invalid",
                                "at most %d patterns of paths, one a line: web/**",
                                WH_HOOK_WATCH_MAX);
        APR_ARRAY_PUSH(*out, const char *) = line;
    }
    return APR_SUCCESS;
}
