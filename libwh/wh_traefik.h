/* wh_traefik: the document of Traefik's HTTP provider (dynamic configuration, v2 and v3), made of
 * the rows of the database:
 *
 *     {"http": {"routers": {"blog": {"rule": "Host(`blog.apps.example.com`)", …}},
 *               "services": {"blog": {"loadBalancer": {"servers": [{"url": "http://10.8.0.2:32768"}]}}}}}
 *
 * One router and one service, of one name, for each app that has containers, and for each further
 * environment of it. Production's name is the slug (R30), an environment's its label: neither can
 * be another app's. Traefik refuses a map that is there and empty, and with it the whole document,
 * so an empty one is left out, up to "{}" (R23).
 *
 * A host or an address that is not well-formed is left out here whatever the database holds: a rule
 * is a language, and a backtick in a host would be a piece of it (F120, XL1). Pure. */
#ifndef WH_TRAEFIK_H
#define WH_TRAEFIK_H

#include <apr_tables.h>

#include "libwh/wh_err.h"

#define WH_TRAEFIK_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define WH_TRAEFIK_ROWS_MAX 100000 /* of either kind */

/* One container. Those of one app and environment stand next to each other. */
typedef struct wh_traefik_server_t {
    const char *label; /* the environment's own name under the base domain */
    const char *slug;
    const char *app_id, *environment; /* what its domains are found by */
    int production;                   /* the label is the app's apex */
    int sticky;
    const char *address; /* of the worker: IPv4 or IPv6 */
    int port;
} wh_traefik_server_t;

/* One verified domain that serves its environment. */
typedef struct wh_traefik_host_t {
    const char *app_id, *environment;
    const char *host;
} wh_traefik_host_t;

typedef enum wh_traefik_form_e {
    WH_TRAEFIK_PROXY, /* F112, F113: every app; its apex, then its domains */
    WH_TRAEFIK_WORKER /* F110, R30: an app with a domain; its domains, then its apex */
} wh_traefik_form_e;

typedef struct wh_traefik_in_t {
    wh_traefik_form_e form;
    const char *base_domain;           /* NULL = there is none, and no apex */
    const apr_array_header_t *servers; /* of wh_traefik_server_t */
    const apr_array_header_t *hosts;   /* of wh_traefik_host_t */
} wh_traefik_in_t;

typedef struct wh_traefik_out_t {
    const char *text; /* JSON in p */
    size_t len;
    int routers;
    int refused;               /* hosts and addresses that were left out */
    const char *first_refused; /* the first of them; NULL = none. Not safe to print as it is */
} wh_traefik_out_t;

/* Makes the document. Code: document_too_large (503), beyond one of the limits above. */
apr_status_t wh_traefik_document(apr_pool_t *p, const wh_traefik_in_t *in, wh_traefik_out_t *out,
                                 wh_err_t *err) WH_MUST_CHECK;

/* "Host(`a`) || Host(`b`)" of validated host names (F33, F120), in p. */
const char *wh_traefik_rule(apr_pool_t *p, const apr_array_header_t *hosts);

/* A router's name: ASCII letters, digits and hyphens stay, anything else becomes a hyphen (F121).
 * Slugs and labels come out as they are. */
const char *wh_traefik_name(apr_pool_t *p, const char *name);

#endif
