/* wh_logdrain: where the lines of apps go besides our own files: Loki, syslog, or JSON lines by
 * HTTP; the URL that says so, and what is sent. (wh_drain is about workers.)
 *
 *     loki+https://[user:password@]host[:port][/path][?tenant=id]     also loki+http
 *     syslog+tls://host[:6514]     syslog+tcp://host[:601]     syslog+udp://host[:514]
 *     https://[user:password@]host[:port]/path[?query]                also http
 *
 * The URL is a secret as a whole; it is shown by wh_logdrain_masked alone. Pure and thread-safe. */
#ifndef WH_LOGDRAIN_H
#define WH_LOGDRAIN_H

#include <apr_tables.h>
#include <jansson.h>

#include "libwh/wh_level.h"
#include "libwh/wh_model.h"
#include "libwh/wh_secret.h"

#define WH_LOGDRAIN_URL_MAX 2048
#define WH_LOGDRAIN_DATAGRAM 2048 /* RFC 5426, 3.2: what every receiver should take */

typedef enum wh_logdrain_e {
    WH_LOGDRAIN_LOKI,
    WH_LOGDRAIN_SYSLOG,
    WH_LOGDRAIN_HTTP
} wh_logdrain_e;
typedef enum wh_logdrain_way_e {
    WH_LOGDRAIN_BY_HTTP, /* and https */
    WH_LOGDRAIN_BY_UDP,
    WH_LOGDRAIN_BY_TCP,
    WH_LOGDRAIN_BY_TLS
} wh_logdrain_way_e;

typedef struct wh_logdrain_to_t {
    wh_logdrain_e kind;
    wh_logdrain_way_e way;
    const char *scheme;
    const char *host; /* an IPv6 address without its brackets */
    int port;
    const char *url;    /* by HTTP: without name and password, "" otherwise */
    const char *auth;   /* value of Authorization, "" = none */
    const char *tenant; /* value of X-Scope-OrgID, "" = none */
} wh_logdrain_to_t;

/* All in p. Code: target_invalid (400, at /target); nothing secret is in its text. */
apr_status_t wh_logdrain_parse(apr_pool_t *p, const char *url, wh_logdrain_to_t *out,
                               wh_err_t *err) WH_MUST_CHECK;
/* "loki", "syslog", "http". */
const char *wh_logdrain_kind_name(wh_logdrain_e kind);
/* Scheme, host and port. In p. */
const char *wh_logdrain_masked(apr_pool_t *p, const wh_logdrain_to_t *to);

/* A drain as it is stored. */
typedef struct wh_logdrain_t {
    const char *id, *name;
    const char *kind, *shown;
    apr_int64_t key_id;
    const char *sealed;
    const char *app_id, *slug; /* "" = every app */
    int enabled, gzip; /* gzip: bodies of HTTP are packed */
    apr_int64_t sent, lost; /* lines */
    const char *cause;      /* why the last attempt failed, "" = it did not */
    apr_time_t created_at, updated_at;
} wh_logdrain_t;

/* Fills kind, shown, key_id, sealed; d->id must stand. */
apr_status_t wh_logdrain_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                              wh_logdrain_t *d, const char *url, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_logdrain_open(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_logdrain_t *d,
                              const char **url, wh_err_t *err) WH_MUST_CHECK;
json_t *wh_logdrain_json(apr_pool_t *p, const wh_logdrain_t *d);

/* A line on its way. */
typedef struct wh_logdrain_line_t {
    apr_time_t at;
    const char *app, *environment, *deployment, *container;
    wh_stream_e stream;
    wh_level_e level;
    const char *text; /* cleaned */
} wh_logdrain_line_t;

/* A batch of n lines for a POST, with its content type (static); one stream of Loki for each set of
 * labels app, environment, deployment, stream, level. In p. NULL = no memory. */
const char *wh_logdrain_loki(apr_pool_t *p, const wh_logdrain_line_t *lines, int n, size_t *len);
const char *wh_logdrain_jsonl(apr_pool_t *p, const wh_logdrain_line_t *lines, int n, size_t *len);

/* RFC 5424, one message without framing; host: who sends. In p. */
const char *wh_logdrain_syslog(apr_pool_t *p, const wh_logdrain_line_t *line, const char *host);
/* With the framing of RFC 6587, 3.4.1 and RFC 5425, 4.3: its length before it. */
const char *wh_logdrain_framed(apr_pool_t *p, const char *message);

#endif
