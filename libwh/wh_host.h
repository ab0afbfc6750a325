/* wh_host: host names, labels, slugs, branches and commits; the one place for their grammar
 * (architecture: Naming; XG1-XG8). Everything here is bytes and rules: no look-up, no resolver.
 * Thread-safe. */
#ifndef WH_HOST_H
#define WH_HOST_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_HOST_LABEL_MAX 63
#define WH_HOST_NAME_MAX 253
#define WH_HOST_SLUG_MIN 2
#define WH_HOST_SLUG_MAX 40
#define WH_HOST_ENV_MAX 32
#define WH_HOST_BRANCH_MAX 255
#define WH_HOST_ID_DIGITS 7 /* of wh_host_label_deployment, more on collision (at most 40) */

/* ^[a-z][a-z0-9]*(-[a-z0-9]+)*$, 2-40 bytes, without -env- -branch- -id- inside, not reserved.
 * Codes: slug_invalid, slug_reserved (400). */
apr_status_t wh_host_slug_check(const char *slug, wh_err_t *err)
    WH_MUST_CHECK;

/* An environment has the slug's grammar with 1-32 bytes. Code: environment_invalid (400). */
apr_status_t wh_host_env_check(const char *env, wh_err_t *err) WH_MUST_CHECK;

/* git's rules for a branch, ≤ 255 bytes, no leading '-', no control bytes, no space, valid UTF-8
 * (XC16, XI2). A name without "refs/heads/". Code: ref_invalid (400). */
apr_status_t wh_host_branch_check(const char *branch, wh_err_t *err)
    WH_MUST_CHECK;

/* 40 or 64 hex digits, lower case, not all zero. Code: commit_invalid (400). */
apr_status_t wh_host_commit_check(const char *commit, wh_err_t *err)
    WH_MUST_CHECK;

/* True (1) for a DNS name of letters, digits and hyphens in labels of 1-63 bytes, ≤ 253 in all,
 * lower case, no trailing dot; an IPv4 address is not one. A single label ("localhost") is. */
int wh_host_domain_ok(const char *name);

/* The name of a Host header: lower case, without port and trailing dot, in p. Anything that no
 * name or address can be ("%2e", "..", NUL, a port of 0, 99999 or abc) is host_invalid (400).
 * An address in brackets or dotted form is returned as it is: it never equals a routed name. */
apr_status_t wh_host_normalise(apr_pool_t *p, const char *host_header, const char **name,
                               wh_err_t *err) WH_MUST_CHECK;

typedef enum wh_host_place_e {
    WH_HOST_OTHER, /* not under the base domain: none of our business */
    WH_HOST_UNDER, /* the base itself, or with more than one label before it: 404 */
    WH_HOST_LABEL  /* exactly one label before it: *label is set */
} wh_host_place_e;

/* Where a normalised name stands to the base domain (also normalised, "" = no base domain).
 * *label is in p, and set only for WH_HOST_LABEL. */
wh_host_place_e wh_host_label_of(apr_pool_t *p, const char *name, const char *base,
                                 const char **label);

/* The labels of an app, each ≤ 63 bytes, in p (F190, F191, F221). What does not fit, and a branch
 * that changes when written as a label, is cut and ends with '-' and 7 hex digits of its SHA-256,
 * so that "fix/a" and "fix-a" have a name each, whichever came first. */
const char *wh_host_label_app(apr_pool_t *p, const char *slug);
const char *wh_host_label_env(apr_pool_t *p, const char *slug, const char *env);
const char *wh_host_label_branch(apr_pool_t *p, const char *slug, const char *branch);
/* digits: hex digits of the SHA-256 of the deployment id, WH_HOST_ID_DIGITS unless taken. */
const char *wh_host_label_deployment(apr_pool_t *p, const char *slug, const char *deployment_id,
                                     int digits);

/* "http://name[:port]/" with the port left out when it is 0 or the scheme's own. In p. */
const char *wh_host_url(apr_pool_t *p, const char *scheme, const char *label, const char *base,
                        int port);
/* The same of a whole host name. */
const char *wh_host_url_of(apr_pool_t *p, const char *scheme, const char *host, int port);

/* What all names of a server have in common: "https://apps.example.com" or "http://localhost:8080". */
const char *wh_host_site(apr_pool_t *p, const char *scheme, const char *base, int port);
/* The URL of a label there, without a slash at its end, and its host; "" for a site "". */
const char *wh_host_site_url(apr_pool_t *p, const char *site, const char *label);
const char *wh_host_site_host(apr_pool_t *p, const char *site, const char *label);

#endif
