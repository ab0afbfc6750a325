/*
 * wh_mod_data.h - what the files of the data plane share: one decision a request, made in
 * translate_name, carried in the request's config vector, acted on by the handler.
 */
#ifndef WH_MOD_DATA_H
#define WH_MOD_DATA_H

#include <apr_buckets.h>
#include <apr_file_io.h>

#include "libwh/wh_manifest.h"
#include "libwh/wh_route.h"
#include "libwh/wh_site.h"
#include "mod_wisehost/mod_wisehost.h"

typedef enum wh_place_e {
    WH_PLACE_NONE = 0,    /* not ours: DECLINED everywhere */
    WH_PLACE_API,         /* the control plane */
    WH_PLACE_GIT,         /* the same: repositories that are pushed to */
    WH_PLACE_APP,         /* route is set */
    WH_PLACE_UNKNOWN,     /* a name under the base domain that nobody has: 404 page */
    WH_PLACE_UNAVAILABLE, /* route table or record unreadable: 503 */
    WH_PLACE_PROOF,       /* the file that proves a domain; mount is the host */
    WH_PLACE_HUB          /* being forwarded to the scheduler's socket */
} wh_place_e;

struct wh_attempt_t;

typedef struct wh_mod_req_t {
    wh_place_e place;
    const wh_route_t *route;      /* copied into r->pool; set for WH_PLACE_APP only */
    const char *path;             /* decoded path within the app, begins with '/' */
    const char *mount;            /* URL path before it, "" when the app has the whole host */
    const char *name;             /* key of the route in the table */
    struct wh_attempt_t *attempt; /* at an upstream, under way, or NULL */
    const char *cookie;           /* Set-Cookie of the answer, or NULL */
    const char *request_id;       /* of what goes to an application */
    unsigned flags;               /* those of the route, and what directives say: for the handler */
    const char *cache_control;    /* of directives: "" = none is sent, NULL = not given */
    signed char cached;             /* a small file: 1 = found in memory, -1 = read, 0 = neither */
    unsigned short upstream_errors; /* attempts at upstreams that came to nothing */
    unsigned short retries;
    const struct wh_actor_t *actor; /* WH_PLACE_GIT: whom our provider let in, or NULL */
} wh_mod_req_t;

/* The decision about r, NULL when there is none. */
wh_mod_req_t *wh_mod_data_get(const request_rec *r);
/* Makes and attaches one. */
wh_mod_req_t *wh_mod_data_make(request_rec *r, wh_place_e place);

/* ---- route table: wh_mod_route.c ---------------------------------------------------------- */

/* Opens the table of this child and arranges for closing it with pchild. A table that is not there
 * yet is no error: it is tried again once a second. */
void wh_mod_route_child_init(apr_pool_t *pchild, server_rec *s);

typedef enum wh_mod_route_rc_e {
    WH_MOD_ROUTE_FOUND,
    WH_MOD_ROUTE_NONE, /* no such name */
    WH_MOD_ROUTE_ERROR /* unreadable table or record: 503 for that name, never another's site */
} wh_mod_route_rc_e;

/* Looks a normalised host name up; *out is in r->pool. Never blocks on anything but a short mutex.
 */
wh_mod_route_rc_e wh_mod_route_find(request_rec *r, const char *name, const wh_route_t **out);
/* What was found for this name before, if the table has not changed since: only names that were
 * normalised and looked up are known. A copy in r->pool, or NULL: look it up. */
const wh_route_t *wh_mod_route_known(request_rec *r, const char *name);
/* The same at another time than that of the request, *out in p: for who looks again. */
wh_mod_route_rc_e wh_mod_route_find_in(request_rec *r, apr_pool_t *p, apr_time_t now,
                                       const char *name, const wh_route_t **out);

/* What is known of the table without looking at a name. */
typedef struct wh_mod_table_t {
    const char *path; /* of the directory; NULL = there is none */
    apr_uint64_t names;
    apr_uint64_t generation;
    apr_time_t written; /* 0 = unknown */
} wh_mod_table_t;

/* Of the table in force in this child; texts in r->pool. */
void wh_mod_route_info(request_rec *r, wh_mod_table_t *out);

typedef void wh_mod_route_fn(void *baton, const char *name, const wh_route_t *route);
/* Calls fn for every name of the table at <state_dir>/routes, route NULL for a record that cannot
 * be read; names and routes are gone when it returns. For configtest: opens a table of its own, and
 * makes no file. NULL, or what is wrong. */
const char *wh_mod_route_walk(apr_pool_t *p, const server_rec *s, wh_mod_route_fn *fn, void *baton,
                              wh_mod_table_t *out);

/* ---- figures, dump: wh_mod_status.c, wh_mod_dump.c ------------------------------------------- */

/* The section of server-status. Call in register_hooks. */
void wh_mod_status_register(void);
/* Prints the route table and what virtual hosts say, for "-t -D DUMP_WISEHOST". test_config. */
void wh_mod_dump(apr_pool_t *p, const server_rec *main_server);

/* ---- hooks of the data plane: wh_mod_host.c ------------------------------------------------ */

int wh_mod_host_post_read(request_rec *r);
int wh_mod_host_translate(request_rec *r);
int wh_mod_host_map_to_storage(request_rec *r);
int wh_mod_host_type_checker(request_rec *r);
int wh_mod_host_fixups(request_rec *r);
/* The decision about r after the directory walk, which a <Directory> or .htaccess may have made
 * ours; NULL when it is not. For access rules: fixups ask the same. */
const wh_mod_req_t *wh_mod_host_place(request_rec *r);

/* ---- access rules: wh_mod_access.c ---------------------------------------------------------- */

/* Require wisehost-app, wisehost-environment and wisehost-kind. Call in register_hooks. */
void wh_mod_access_register(apr_pool_t *p);

/* ---- generators ----------------------------------------------------------------------------- */

/* Answers with what req->route says: files, an application, a page. mod_wisehost.c. */
int wh_mod_app_handler(request_rec *r, wh_mod_req_t *req);

void wh_mod_static_child_init(apr_pool_t *pchild, server_rec *s);
/* Answers from the release of req->route. OK, DONE or an HTTP status. */
int wh_mod_static_handler(request_rec *r, const wh_mod_req_t *req);
/* Answers with the file `name` of the route's release and that status. DECLINED, with nothing sent,
 * when there is none. */
int wh_mod_static_page(request_rec *r, const wh_mod_req_t *req, const char *name, int status);

/* Finds httpd's own output filters. Call in post_config. wh_mod_send.c */
void wh_mod_send_post_config(void);
/* Sends 200 with all of bb, which ends with EOS and has size bytes, where httpd's filters alone
 * would do no more: *rv is the outcome. 0 = they have to, and nothing was done. headers_out is
 * complete but for what they add; foreign = somebody else may have put something there. No Range
 * and no condition was asked. */
int wh_mod_send_whole(request_rec *r, apr_bucket_brigade *bb, apr_off_t size, int foreign,
                      apr_status_t *rv);

/* Finds mod_proxy. Call in post_config. */
void wh_mod_proxy_post_config(apr_pool_t *pconf, server_rec *s);
/* Hooks into mod_proxy. Call in pre_config: all modules are loaded then, and hooks get sorted
 * after. */
void wh_mod_proxy_register(void);
void wh_mod_proxy_child_init(apr_pool_t *pchild, server_rec *s);
int wh_mod_proxy_handler(request_rec *r, wh_mod_req_t *req);

/* OK for a request that may go to an application, else the status that refuses it. */
int wh_mod_forward_check(request_rec *r);
/* Makes r->headers_in say about the client what this server knows, and nothing that it claims; sets
 * req->request_id. */
void wh_mod_forward_headers(request_rec *r, wh_mod_req_t *req);

/* Answers for a route of kind redirect. wh_mod_domain.c */
int wh_mod_domain_redirect(request_rec *r, const wh_mod_req_t *req);
/* The id of the app whose proof this path is, on a name with this route or (NULL) none; or NULL. */
const char *wh_mod_domain_proof_of(const request_rec *r, const wh_route_t *route);
int wh_mod_domain_proof(request_rec *r, const wh_mod_req_t *req);

/* The page or problem document (as the client's Accept asks) of an error in the data plane. */
int wh_mod_page_send(request_rec *r, const wh_err_t *err);
/* "No such deployment" for a name under the base domain. */
int wh_mod_page_unknown(request_rec *r);
/* 503: the administrator's page, else the release's own 503.html, else ours. */
int wh_mod_page_maintenance(request_rec *r, wh_mod_req_t *req);

/* ---- manifests: wh_mod_release.c ------------------------------------------------------------ */

void wh_mod_release_child_init(apr_pool_t *pchild, server_rec *s);
/* Types of a release's entries under one configuration. */
typedef struct wh_mod_types_t {
    const ap_conf_vector_t *conf; /* per_dir_config */
    const char *of[];             /* by entry: what mod_mime says, NULL = the manifest's */
} wh_mod_types_t;

/* A release as this child keeps it. */
#define WH_MOD_TYPES_MAX 4 /* virtual hosts whose requests find their types made */
typedef struct wh_mod_release_t {
    apr_pool_t *pool; /* its own; used under the lock of wh_mod_type.c once it is shared */
    const wh_site_t *site;
    wh_mod_types_t *types[WH_MOD_TYPES_MAX]; /* atomic: set once, NULL = free */
} wh_mod_release_t;

/* From the child's cache; borrowed until r->pool ends. Codes: release_missing, manifest_corrupt …
 * (503). */
apr_status_t wh_mod_release_get(request_rec *r, const char *release_id, wh_mod_release_t **out,
                                wh_err_t *err) WH_MUST_CHECK;
/* Opens an object, read-only, for the life of r->pool; *f is made for a file bucket. Codes:
 * object_missing, object_corrupt (503). */
apr_status_t wh_mod_release_open(request_rec *r, const char *sha256, apr_off_t size,
                                 apr_file_t **f, wh_err_t *err) WH_MUST_CHECK;
/* All of an object for the cache (wh_mod_cache.h), with one reference. Codes as above. */
struct wh_mod_content_t;
apr_status_t wh_mod_release_content(const char *sha256, apr_off_t size, int map,
                                    struct wh_mod_content_t **out, wh_err_t *err) WH_MUST_CHECK;

/* ---- content types: wh_mod_type.c ----------------------------------------------------------- */

/* Finds mod_mime. Call in post_config. */
void wh_mod_type_post_config(void);
/* Makes the lock of this child. */
void wh_mod_type_child_init(apr_pool_t *pchild);
/* The Content-Type of an entry for this request; lives as long as r or the release. */
const char *wh_mod_type_of(request_rec *r, wh_mod_release_t *view,
                           const wh_manifest_entry_t *entry);

#endif
