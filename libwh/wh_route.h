/* wh_route: the record behind one host name in the route table.
 *
 * Layout: fixed header (magic, version, kind, flags, total length, generation, CRC-32C of key and
 * value), then strings with length and NUL. Little-endian everywhere. A record read under another
 * key, cut, or changed in one bit does not decode: the caller answers 503, never another app's
 * site. Pure and thread-safe. */
#ifndef WH_ROUTE_H
#define WH_ROUTE_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_ROUTE_VERSION 2
#define WH_ROUTE_UPSTREAMS_MAX 16
#define WH_ROUTE_MAX_BYTES 8192
#define WH_ROUTE_STRING_MAX 255

typedef enum wh_route_kind_e {
    WH_ROUTE_STATIC = 1,
    WH_ROUTE_PROXY = 2,
    WH_ROUTE_MAINTENANCE = 3, /* the name exists, nothing serves: 503 */
    WH_ROUTE_REDIRECT = 4     /* to another name, path and query kept */
} wh_route_kind_e;

#define WH_ROUTE_SPA 0x0001u    /* paths without a file suffix fall back to index.html */
#define WH_ROUTE_CLEAN 0x0002u  /* about.html is served as /about, and only so */
#define WH_ROUTE_STICKY 0x0004u /* a visitor stays with the upstream that answered first */
#define WH_ROUTE_HOLD                                                                              \
    0x0008u                      /* a switch is under way: requests wait, at most hold_s; such a   \
                                  * proxy route may have no upstream */
#define WH_ROUTE_PREVIEW 0x0010u /* a branch or a request: not for search engines */
#define WH_ROUTE_FLAGS 0x001fu   /* all of them */

#define WH_ROUTE_TIMEOUT_MAX 3600 /* seconds */
#define WH_ROUTE_HOLD_MAX 60      /* seconds */

typedef struct wh_route_upstream_t {
    const char *address; /* IP address or DNS name */
    int port;            /* 1-65535 */
    int weight;          /* 1-1000 */
} wh_route_upstream_t;

typedef struct wh_route_t {
    wh_route_kind_e kind;
    unsigned flags;          /* WH_ROUTE_SPA ... */
    apr_uint64_t generation; /* of the publish that wrote it */
    const char *app_id;
    const char *slug;
    const char *environment;
    const char *deployment_id;
    const char *release_id;       /* "" unless static; maintenance: where its 503.html is, or "" */
    const char *previous_release; /* static: whose assets are found too, "" = none */
    apr_time_t previous_until;    /* till then, microseconds UTC */
    const char *redirect;         /* redirect: scheme and host, "https://example.com", else "" */
    int redirect_code;            /* redirect: 301, 302, 307 or 308, else 0 */
    int timeout_s;                /* proxy: of an answer, 0 = the server's Timeout */
    int hold_s;                   /* proxy: see WH_ROUTE_HOLD */
    int n_upstreams;              /* 0 unless proxy */
    wh_route_upstream_t upstreams[WH_ROUTE_UPSTREAMS_MAX];
} wh_route_t;

/* What is wrong with it as the record of host name `key`, NULL = nothing. */
const char *wh_route_fault(const char *key, const wh_route_t *rec);

/* Makes the record of host name `key` in p. NULL strings count as "". Code: route_invalid (500):
 * a field out of range, a static route without release id, a proxy route without upstream, a
 * redirect without target. */
apr_status_t wh_route_encode(apr_pool_t *p, const char *key, const wh_route_t *rec, void **buf,
                             size_t *n, wh_err_t *err) WH_MUST_CHECK;

/* Reads a record; the bytes are copied, so buf may go when this returns; strings live in p and
 * are never NULL. Code: route_corrupt (503). */
apr_status_t wh_route_decode(apr_pool_t *p, const char *key, const void *buf, size_t n,
                             wh_route_t *rec, wh_err_t *err) WH_MUST_CHECK;

/* The record and its strings in one piece, in p; its length in *n. A copy of it that lies elsewhere
 * is made good by wh_route_moved, which is told where the copied one lay. */
wh_route_t *wh_route_flat(apr_pool_t *p, const wh_route_t *rec, size_t *n);
void wh_route_moved(wh_route_t *copy, const void *from);

/* Beside the names a table has one record: count and generation, with a checksum, so that one that
 * lost names is seen to be short. No host name begins with a NUL. */
#define WH_ROUTE_TABLE_KEY "\0table"
#define WH_ROUTE_TABLE_KEY_LEN 6
#define WH_ROUTE_TABLE_BYTES 20

typedef struct wh_route_table_t {
    apr_uint64_t count; /* of names */
    apr_uint64_t generation;
} wh_route_table_t;

void wh_route_table_encode(const wh_route_table_t *table, unsigned char out[WH_ROUTE_TABLE_BYTES]);
/* 1, or 0 when these bytes are no such record. */
int wh_route_table_decode(const void *buf, size_t n, wh_route_table_t *out);

/* CRC-32C (Castagnoli) of n bytes, going on from crc (0 to begin). */
apr_uint32_t wh_route_crc32c(apr_uint32_t crc, const void *data, size_t n);

#endif
