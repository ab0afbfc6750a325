/* wh_site: a release as a site: what a path is answered with.
 *
 * The manifest with an index over its paths, and the rules of its _redirects and _headers.
 * Read-only once made, any thread may ask. No byte of a path becomes part of a file name: what the
 * manifest does not list does not exist. */
#ifndef WH_SITE_H
#define WH_SITE_H

#include <apr_pools.h>

#include "libwh/wh_hash.h"
#include "libwh/wh_headers.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_redirects.h"

typedef struct wh_site_t {
    const wh_manifest_t *manifest;
    apr_uint32_t *index; /* entry + 1 by hash of the path, 0 = free */
    apr_uint32_t mask;
    wh_hash_key_t key;
    unsigned char *assets;         /* by entry: 1 = the name has the content's hash (wh_asset) */
    const wh_redirects_t *redirects; /* NULL = no such file */
    const wh_headers_t *headers;
    size_t bytes; /* of manifest and index, about */
} wh_site_t;

typedef struct wh_site_ask_t {
    const char *path;          /* decoded, begins with '/'; "" = a mount without its slash */
    const char *query;         /* NULL = none */
    const char *accept;        /* the header, NULL = none */
    unsigned flags;            /* WH_ROUTE_SPA, WH_ROUTE_CLEAN */
    const wh_site_t *previous; /* whose assets are found too, or NULL */
} wh_site_ask_t;

typedef enum wh_site_kind_e {
    WH_SITE_NOTHING, /* 404, or the status of a rule, without a page of the site's own */
    WH_SITE_FILE,
    WH_SITE_REDIRECT
} wh_site_kind_e;

typedef struct wh_site_answer_t {
    wh_site_kind_e kind;
    int status;
    const wh_manifest_entry_t *entry; /* FILE */
    int asset;                        /* FILE: its name has the hash */
    int previous;                     /* FILE: of the release before */
    const char *location;             /* REDIRECT: begins with '/', or with a scheme */
    int encoded;                      /* REDIRECT: ready to send; else a decoded path, no query */
    int outside;                      /* REDIRECT: not below the mount */
} wh_site_answer_t;

/* Makes one in p; m must live as long. Rules are NULL until set. key: random, so that no site can
 * choose paths that are slow to find. */
wh_site_t *wh_site_make(apr_pool_t *p, const wh_manifest_t *m, const wh_hash_key_t *key);

/* The entry of exactly this path, without its leading '/'; NULL = none. */
const wh_manifest_entry_t *wh_site_find(const wh_site_t *site, const char *path);

/* Decides. Never a file with a segment that begins with a dot (but /.well-known/, RFC 8615), never
 * _redirects and _headers. In this order: rules with "!"; the file; with WH_ROUTE_CLEAN the file
 * with .html, and redirects to the one form (/about, /docs/); a directory's slash; an asset (no
 * page) of the release before; other rules; for a page route (no suffix, not below /api, HTML
 * welcome) 200.html, and index.html with WH_ROUTE_SPA; the nearest 404.html. */
void wh_site_answer(apr_pool_t *p, const wh_site_t *site, const wh_site_ask_t *ask,
                    wh_site_answer_t *out);

#endif
