/* Single requests to a server of Git LFS: https alone, to addresses that were looked at and pinned
 * (netguard.h), no redirect, no proxy, nothing read from the user's or the machine's settings. */
#ifndef WH_AGENT_LFSHTTP_H
#define WH_AGENT_LFSHTTP_H

#include "wh-agent/source.h"

/* Bytes of the answer's body as they come; a result other than 0 ends it. */
typedef int wh_lfshttp_sink_fn(void *baton, const char *buf, size_t n);

typedef struct wh_lfshttp_t {
    const wh_source_opts_t *opts; /* ca_file, allow_private, deadline, cancel, clock */
    const char *url;
    const char *body;             /* posted as LFS' own JSON; NULL = GET */
    const char *const *headers;   /* "Name: value", ends with NULL; may be NULL */
    const char *user, *password;  /* NULL = none: for Basic authentication */
    wh_lfshttp_sink_fn *sink;
    void *baton;
} wh_lfshttp_t;

/* *status is that of the answer; anything but 200 goes not to the sink. Codes: clone_failed,
 * repository_refused (an address that may not be asked), canceled. */
apr_status_t wh_lfshttp(apr_pool_t *p, const wh_lfshttp_t *call, long *status,
                        wh_err_t *err) WH_MUST_CHECK;

#endif
