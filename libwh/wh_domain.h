/* wh_domain: a host name of an app's own: its grammar, its proof, and when to look again.
 *
 * Whoever asks for a name shows that it is his, by a TXT record or by a file behind the name; both
 * hold the challenge, which is bound to name and app (wh_keys_domain_proof). Any number of apps may
 * ask; one has it (docs/names.md, schema/README.md). Pure and thread-safe. */
#ifndef WH_DOMAIN_H
#define WH_DOMAIN_H

#include <apr_pools.h>
#include <jansson.h>

#include "libwh/wh_err.h"
#include "libwh/wh_model.h"

#define WH_DOMAIN_TXT_LABEL "_wisehost."
#define WH_DOMAIN_HTTP_PATH "/.well-known/wisehost/"
#define WH_DOMAIN_HOST_MAX 243 /* so that the record's name fits too */
#define WH_DOMAIN_TARGET_MAX 300
#define WH_DOMAINS_MAX 200 /* of one app */
#define WH_DOMAIN_FIRST_US apr_time_from_sec(60)
#define WH_DOMAIN_EVERY_US apr_time_from_sec(3600)       /* at most between two tries */
#define WH_DOMAIN_GIVE_UP_US apr_time_from_sec(7 * 86400) /* after it was asked for */
#define WH_DOMAIN_AGAIN_US apr_time_from_sec(86400)      /* an active one is looked at */

typedef struct wh_domain_t {
    const char *id, *app_id, *environment, *host;
    const char *redirect_to; /* "https://example.com", "" = it shows the environment */
    apr_int64_t redirect_code;
    wh_domain_status_e status;
    const char *challenge;
    const char *reason; /* one sentence, "" = none */
    apr_int64_t attempts;
    apr_time_t next_at;  /* of the next look, 0 = none */
    apr_time_t asked_at; /* since when it is tried */
    apr_time_t checked_at, verified_at, created_at, updated_at;
} wh_domain_t;

/* As DNS has it, or in the letters of any script (wh_idn.h); at least one dot, no address, not
 * under the base domain; *host is in p, as DNS has it, in lower case. Codes (400, /host):
 * domain_invalid, domain_reserved. */
apr_status_t wh_domain_host_check(apr_pool_t *p, const char *text, const char *base,
                                  const char **host, wh_err_t *err) WH_MUST_CHECK;

/* "example.com" (then by https), "https://example.com", "http://example.com:8080": *out in p, with
 * scheme and without a slash, short enough for a route. Never to `host` itself. Code (400,
 * /redirect_to): redirect_invalid. */
apr_status_t wh_domain_target_check(apr_pool_t *p, const char *text, const char *host,
                                    const char **out, wh_err_t *err) WH_MUST_CHECK;

/* Body of POST ({host, environment?, redirect_to?, redirect_code?}) or PATCH (no host) of a domain;
 * null takes a member back to its default. Sets host, environment, redirect_to and redirect_code of
 * d, which holds the row or nothing. Codes: those above, environment_invalid, invalid_value. */
apr_status_t wh_domain_decode(apr_pool_t *p, const json_t *body, const char *base, int patch,
                              wh_domain_t *d, wh_err_t *err) WH_MUST_CHECK;

/* The document. target: the name that its record should lead to, NULL = none is known. */
json_t *wh_domain_json(apr_pool_t *p, const wh_domain_t *d, const char *slug, const char *target);

/* What a look found. */
typedef struct wh_domain_finding_t {
    int txt;         /* 1 the record holds the challenge, 0 it does not, -1 no answer */
    int http;        /* 1 the file holds it, 0 it does not */
    int rival;       /* another app has the name */
    int rival_txt;   /* 1 its challenge is in the record too */
    const char *why; /* what was found instead, "" */
} wh_domain_finding_t;

typedef enum wh_domain_verdict_e {
    WH_DOMAIN_STAYS,  /* as it is, next_at and reason aside */
    WH_DOMAIN_PROVED, /* pending -> active */
    WH_DOMAIN_TAKES,  /* the same, and the other app's loses it */
    WH_DOMAIN_FAILED  /* nobody tries any more */
} wh_domain_verdict_e;

/* Judges a finding at `now` and sets status, attempts, reason and the times of d. A name that
 * another app has is taken over by a record alone, and only when the other's is gone from it. An
 * active one stays so, whatever is found: a resolver in trouble must not take a site down. */
wh_domain_verdict_e wh_domain_judge(apr_pool_t *p, wh_domain_t *d,
                                    const wh_domain_finding_t *finding, apr_time_t now);

#endif
