/* wh_httpurl: which addresses the server may be told to send HTTP to. One reading only: a host name
 * or an address, perhaps a port, a path; whom it resolves to is judged when it is connected to.
 * Pure and thread-safe. */
#ifndef WH_HTTPURL_H
#define WH_HTTPURL_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_HTTPURL_MAX 2048

typedef struct wh_httpurl_t {
    int tls;          /* https */
    const char *host; /* lower case; an IPv6 address without its brackets */
    int port;
    const char *target; /* path and query, from its '/': "/" when there is none */
} wh_httpurl_t;

/* Reads https://host[:port][/path][?query], and http:// where plain says so. Refused: a user name,
 * a fragment, a control character, a space or a byte beyond ASCII; ports below 1024 but 80 and 443
 * (other protocols live there). Code: url_invalid (422), without the address in its text: it may
 * hold a secret. */
apr_status_t wh_httpurl_parse(apr_pool_t *p, const char *url, int plain, wh_httpurl_t *out,
                              wh_err_t *err) WH_MUST_CHECK;

#endif
