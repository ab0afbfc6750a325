/*
 * A release served: path -> manifest entry -> object. Nothing of the request ever becomes part of a
 * file name; what the manifest does not list does not exist. What a path is answered with is
 * decided in libwh/wh_site; here are the representation, the headers and the bytes.
 *
 * Each look into a table of headers is a walk, so the ones that matter here are found in one.
 */
#include <apr_buckets.h>
#include <apr_strings.h>

#include "libwh/wh_negotiate.h"
#include "mod_wisehost/wh_mod_cache.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_keep.h"

/* APR_BRIGADE_INSERT_TAIL casts volatile away; clang takes it for ours. */
#pragma GCC diagnostic ignored "-Wcast-qual"

/* A name keeps, its content moves with the next deployment: ask again, pay a 304. */
#define CACHE_NAME "public, max-age=0, must-revalidate"
/* The name has the content's hash in it. */
#define CACHE_ASSET "public, max-age=31536000, immutable"
/* Of the release before: here for a while only. */
#define CACHE_PREVIOUS "public, max-age=60"

typedef struct seen_t {
    const char *accept;
    const char *accept_encoding;
    int conditional; /* If-… */
    int range;       /* Range or its forerunner */
    int body;        /* Content-Length or Transfer-Encoding */
} seen_t;

/* One representation of a file. */
typedef struct rep_t {
    const char *sha256;
    apr_off_t size;
    const char *coding; /* NULL = as it is */
} rep_t;

typedef struct static_t {
    request_rec *r;
    const wh_mod_req_t *req;
    wh_mod_release_t *view;
    wh_mod_release_t *previous; /* NULL = none */
    seen_t seen;
    int foreign; /* headers_out may hold what is not from here */
} static_t;

/* A header of ours. */
static void put(const static_t *st, const char *name, const char *value)
{
    if (st->foreign) {
        apr_table_setn(st->r->headers_out, name, value);
    } else {
        apr_table_addn(st->r->headers_out, name, value); /* none of that name to look for */
    }
}

static void look(const request_rec *r, seen_t *seen)
{
    const apr_array_header_t *all = apr_table_elts(r->headers_in);
    const apr_table_entry_t *e = (const apr_table_entry_t *)(const void *)all->elts;
    const apr_table_entry_t *end = e + all->nelts;

    memset(seen, 0, sizeof(*seen));
    for (; e < end; e++) {
        switch (e->key[0] | 0x20) {
        case 'a':
            if (ap_cstr_casecmp(e->key, "Accept-Encoding") == 0) {
                seen->accept_encoding = e->val;
            } else if (ap_cstr_casecmp(e->key, "Accept") == 0) {
                seen->accept = e->val;
            }
            break;
        case 'i':
            seen->conditional |= e->key[1] != '\0' && e->key[2] == '-';
            break;
        case 'c':
            seen->body |= ap_cstr_casecmp(e->key, "Content-Length") == 0;
            break;
        case 'r':
            seen->range |= ap_cstr_casecmp(e->key, "Range") == 0 ||
                           ap_cstr_casecmp(e->key, "Request-Range") == 0;
            break;
        case 't':
            seen->body |= ap_cstr_casecmp(e->key, "Transfer-Encoding") == 0;
            break;
        default:
            break;
        }
    }
}

static int fail(request_rec *r, const char *tag, const wh_mod_req_t *req, const wh_err_t *err)
{
    wh_err_t shown = WH_ERR_INIT;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s: app %s, release %s: %s", tag, req->route->slug,
                  req->route->release_id, err->text);
    (void)wh_err_set(&shown, HTTP_SERVICE_UNAVAILABLE, err->code,
                     "The content of this site cannot be read.");
    return wh_mod_page_send(r, &shown);
}

/* ---- bytes ------------------------ */

/* A small object goes through the cache of the child, whoever asked for it first. */
static apr_status_t small_bucket(request_rec *r, const rep_t *rep, apr_bucket **out, wh_err_t *err)
{
    wh_mod_content_t *content = wh_mod_cache_find(rep->sha256);
    wh_mod_req_t *req = wh_mod_data_get(r);
    const core_dir_config *core;
    apr_status_t rv;
    int hit = content != NULL;

    if (!hit) {
        wh_mod_keep_slow(); /* the disk */
        core = ap_get_core_module_config(r->per_dir_config);
        rv = wh_mod_release_content(rep->sha256, rep->size, core->enable_mmap != ENABLE_MMAP_OFF,
                                    &content, err);
        if (rv != APR_SUCCESS || content == NULL) {
            return rv;
        }
        wh_mod_cache_keep(rep->sha256, content);
        apr_table_setn(r->notes, "wh-cache", "miss");
        wh_mod_count(WH_COUNT_CACHE_MISS);
    } else {
        apr_table_setn(r->notes, "wh-cache", "hit");
        wh_mod_count(WH_COUNT_CACHE_HIT);
    }
    if (req != NULL) {
        req->cached = hit ? 1 : -1;
    }
    wh_mod_keep_quick(r, rep->size);
    *out = wh_mod_content_bucket(content, r->connection->bucket_alloc);
    return APR_SUCCESS;
}

/* The object into bb; a file bucket is sent by sendfile or mmap, as EnableSendfile and EnableMMAP
 * have it. */
static apr_status_t fill(request_rec *r, const rep_t *rep, apr_bucket_brigade *bb, wh_err_t *err)
{
    const core_dir_config *core;
    apr_file_t *f = NULL;
    apr_bucket *b = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (rep->size > 0 && wh_mod_cache_wants(rep->size)) {
        rv = small_bucket(r, rep, &b, err);
        if (rv == APR_SUCCESS && b != NULL) {
            APR_BRIGADE_INSERT_TAIL(bb, b);
        }
    } else if (rep->size > 0) {
        wh_mod_keep_slow();
        rv = wh_mod_release_open(r, rep->sha256, rep->size, &f, err);
        if (rv == APR_SUCCESS && f != NULL) {
            b = apr_brigade_insert_file(bb, f, 0, rep->size, r->pool);
            core = ap_get_core_module_config(r->per_dir_config);
#if APR_HAS_MMAP
            if (core->enable_mmap == ENABLE_MMAP_OFF) {
                (void)apr_bucket_file_enable_mmap(b, 0);
            }
#else
            (void)core;
#endif
        }
    }
    if (rv == APR_SUCCESS) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    }
    return rv;
}

/* ---- headers ------------------------ */

/* Which variant goes out; Vary as soon as there is a choice, whatever was chosen. */
static rep_t choose(const static_t *st, const wh_manifest_entry_t *entry)
{
    rep_t rep = {.sha256 = entry->sha256, .size = entry->size, .coding = NULL};
    unsigned there = 0;
    int i;

    for (i = 0; entry->variants != NULL && i < WH_CODINGS; i++) {
        there |= entry->variants[i].size > 0 ? 1u << i : 0;
    }
    if (there == 0) {
        return rep;
    }
    if (st->foreign) {
        apr_table_mergen(st->r->headers_out, "Vary", "Accept-Encoding");
    } else {
        put(st, "Vary", "Accept-Encoding");
    }
    i = wh_negotiate_coding(st->seen.accept_encoding, there);
    if (i != WH_CODING_IDENTITY) {
        rep.sha256 = entry->variants[i].sha256;
        rep.size = entry->variants[i].size;
        rep.coding = wh_manifest_coding_text((wh_coding_e)i);
    }
    return rep;
}

/* One header of _headers: it goes before ours, and joins those of rules before it. */
typedef struct owner_t {
    request_rec *r;
    apr_table_t *set; /* by a rule so far */
} owner_t;

static void owner_field(void *baton, const char *name, const char *value)
{
    owner_t *o = baton;

    if (value == NULL) {
        apr_table_unset(o->set, name);
        apr_table_unset(o->r->headers_out, name);
    } else {
        apr_table_add(o->set, name, value); /* copied, as the type is below, and why */
    }
}

static int owner_set(void *baton, const char *name, const char *value)
{
    request_rec *r = baton;

    if (ap_cstr_casecmp(name, "Content-Type") == 0) {
        ap_set_content_type(r, value);
    } else {
        apr_table_setn(r->headers_out, name, value);
    }
    return 1;
}

static void owner_headers(static_t *st)
{
    owner_t o = {.r = st->r, .set = NULL};

    o.set = apr_table_make(st->r->pool, 4);
    wh_headers_match(st->view->site->headers, st->r->pool, st->req->path, owner_field, &o);
    apr_table_compress(o.set, APR_OVERLAP_TABLES_MERGE);
    apr_table_do(owner_set, st->r, o.set, NULL);
}

static void set_headers(static_t *st, const wh_site_answer_t *answer, const rep_t *rep)
{
    request_rec *r = st->r;
    wh_mod_release_t *of = answer->previous ? st->previous : st->view;
    const char *type = wh_mod_type_of(r, of, answer->entry);

    /* mod_http2 may read it when this pool, and so its hold on the release, is gone. */
    ap_set_content_type(r, r->connection->master != NULL ? apr_pstrdup(r->pool, type) : type);
    put(st, "X-Content-Type-Options", "nosniff");
    put(st, "Cache-Control",
        answer->previous ? CACHE_PREVIOUS
        : answer->asset  ? CACHE_ASSET
                         : CACHE_NAME);
    if ((st->req->route->flags & WH_ROUTE_PREVIEW) != 0) {
        put(st, "X-Robots-Tag", "noindex");
    }
    if (rep->coding != NULL) {
        r->content_encoding = rep->coding;
    }
    if (st->view->site->headers != NULL) {
        st->foreign = 1;
        owner_headers(st);
    }
    if (st->req->cache_control != NULL) {
        st->foreign = 1;
        if (*st->req->cache_control != '\0') {
            apr_table_setn(r->headers_out, "Cache-Control", st->req->cache_control);
        } else {
            apr_table_unset(r->headers_out, "Cache-Control");
        }
    }
}

/* The hash of what is sent, so each coding has its own. */
static void set_etag(const static_t *st, const rep_t *rep)
{
    char *etag = apr_palloc(st->r->pool, 67);

    etag[0] = '"';
    memcpy(etag + 1, rep->sha256, 64);
    etag[65] = '"';
    etag[66] = '\0';
    put(st, "ETag", etag);
}

/* ---- answers ------------------------ */

static int send_file(static_t *st, const wh_site_answer_t *answer)
{
    request_rec *r = st->r;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    rep_t rep;
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;
    int rc;

    st->foreign = !apr_is_empty_table(r->headers_out);
    rep = choose(st, answer->entry);
    if (fill(r, &rep, bb, &err) != APR_SUCCESS) {
        apr_table_unset(r->headers_out, "Vary");
        return fail(r, "WH0150", st->req, &err);
    }
    set_headers(st, answer, &rep);
    if (answer->status == HTTP_OK) {
        set_etag(st, &rep);
        ap_set_accept_ranges(r);
        rc = st->seen.conditional ? ap_meets_conditions(r) : OK;
        if (rc != OK) {
            r->status = rc;
            return rc;
        }
    }
    r->status = answer->status;
    ap_set_content_length(r, rep.size);
    if (st->seen.conditional || st->seen.range ||
        !wh_mod_send_whole(r, bb, rep.size, st->foreign, &rv)) {
        rv = ap_pass_brigade(r->output_filters, bb);
    }
    if (rv != APR_SUCCESS && !r->connection->aborted) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "app %s: response not sent whole",
                      st->req->route->slug);
    }
    return OK;
}

/* A target within the site is a path only: no host of the request gets into it, and never a second
 * '/' that a browser would take for the beginning of one. */
static int send_redirect(static_t *st, const wh_site_answer_t *answer)
{
    request_rec *r = st->r;
    const char *target = answer->location;

    if (!answer->encoded) {
        target = ap_escape_uri(r->pool, target);
        if (r->args != NULL) {
            target = apr_pstrcat(r->pool, target, "?", r->args, NULL);
        }
    }
    if (!answer->outside) {
        target = apr_pstrcat(r->pool, ap_escape_uri(r->pool, st->req->mount), target, NULL);
        if (target[0] != '/' || target[1] == '/' || target[1] == '\\') {
            return HTTP_NOT_FOUND;
        }
    }
    apr_table_setn(r->headers_out, "Location", target);
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-cache");
    return answer->status;
}

/* The release before, while open tabs may ask for its assets: only for what the new one lacks. */
static void load_previous(static_t *st)
{
    const wh_route_t *route = st->req->route;
    wh_err_t err = WH_ERR_INIT;

    if (*route->previous_release == '\0' || st->r->request_time >= route->previous_until ||
        *st->req->path != '/' || wh_site_find(st->view->site, st->req->path + 1) != NULL) {
        return;
    }
    if (wh_mod_release_get(st->r, route->previous_release, &st->previous, &err) != APR_SUCCESS) {
        st->previous = NULL; /* collected: a 404 is the right answer then */
    }
}

static int serve(static_t *st)
{
    wh_site_ask_t ask = {.path = st->req->path,
                         .query = st->r->args,
                         .accept = st->seen.accept,
                         .flags = st->req->flags};
    wh_site_answer_t answer;

    load_previous(st);
    ask.previous = st->previous != NULL ? st->previous->site : NULL;
    wh_site_answer(st->r->pool, st->view->site, &ask, &answer);
    switch (answer.kind) {
    case WH_SITE_FILE:
        return send_file(st, &answer);
    case WH_SITE_REDIRECT:
        return send_redirect(st, &answer);
    case WH_SITE_NOTHING:
    default:
        return answer.status == HTTP_OK ? HTTP_NOT_FOUND : answer.status;
    }
}

int wh_mod_static_handler(request_rec *r, const wh_mod_req_t *req)
{
    static_t st = {.r = r, .req = req, .view = NULL, .previous = NULL};
    wh_err_t err = WH_ERR_INIT;
    int rc;

    if (r->method_number != M_GET) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, M_OPTIONS, -1);
        if (r->method_number != M_OPTIONS) {
            return HTTP_METHOD_NOT_ALLOWED;
        }
        apr_table_setn(r->headers_out, "Allow", "GET,HEAD,OPTIONS");
        ap_set_content_length(r, 0);
        return OK;
    }
    look(r, &st.seen);
    rc = st.seen.body ? ap_discard_request_body(r) : OK;
    if (rc != OK) {
        return rc;
    }
    if (wh_mod_release_get(r, req->route->release_id, &st.view, &err) != APR_SUCCESS) {
        return fail(r, "WH0151", req, &err);
    }
    return serve(&st);
}

int wh_mod_static_page(request_rec *r, const wh_mod_req_t *req, const char *name, int status)
{
    static_t st = {.r = r, .req = req, .view = NULL, .previous = NULL};
    wh_site_answer_t answer = {.kind = WH_SITE_FILE, .status = status};
    wh_err_t err = WH_ERR_INIT;

    if (*req->route->release_id == '\0' ||
        wh_mod_release_get(r, req->route->release_id, &st.view, &err) != APR_SUCCESS) {
        return DECLINED;
    }
    answer.entry = wh_site_find(st.view->site, name);
    if (answer.entry == NULL) {
        return DECLINED;
    }
    look(r, &st.seen);
    return send_file(&st, &answer);
}
