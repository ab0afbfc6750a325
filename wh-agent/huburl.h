/* Where the hub is: ws:// and wss:// addresses, taken apart once at the start. Pure. */
#ifndef WH_AGENT_HUBURL_H
#define WH_AGENT_HUBURL_H

#include <apr_tables.h>
#include "libwh/wh_err.h"

#define WH_HUBURL_MAX 16 /* addresses in one setting */

typedef struct wh_huburl_t {
    const char *text;        /* for people: wss://host:port/path as given */
    const char *host;        /* to connect to, without brackets */
    const char *host_header; /* host[:port] as written */
    const char *path;        /* of the upgrade: what the address has, and /v1/workers/ws */
    int port, tls;
} wh_huburl_t;

/* One or several addresses, separated by spaces: array of wh_huburl_t in p, in their order. ws://
 * is taken for loopback addresses and localhost only: without TLS a token could be read on the way.
 * Errors: bad_config. */
apr_status_t wh_huburl_list(apr_pool_t *p, const char *text, apr_array_header_t **out,
                            wh_err_t *err) WH_MUST_CHECK;

/* With TLS, or on this machine. */
int wh_huburl_safe(const wh_huburl_t *url);

/* The one that follows from server_url (http:// or https://, checked already). */
apr_array_header_t *wh_huburl_of_server(apr_pool_t *p, const char *server_url);

#endif
