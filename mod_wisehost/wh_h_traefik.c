#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "libwh/wh_recent.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_traefik.h"

/*
 * The two documents for Traefik's HTTP provider. Each is made at most once in 5 s a child (F117):
 * one for proxy-config, one a worker that asks. When the database fails the last good one is served
 * with its age (R23): an empty answer would take every site down.
 *
 * Traefik tells a change by the bytes, so the same rows must make the same text.
 */

#define FRESH_US apr_time_from_sec(5)
#define DOCS_MAX 256
#define DOCS_BYTES ((apr_size_t)32 << 20)

static struct {
    apr_thread_mutex_t *lock; /* NULL in a child without threads */
    wh_recent_t *recent;
} child;

typedef struct answer_t {
    const char *key;
    apr_int64_t worker_id; /* 0: all */
    wh_traefik_form_e form;
    const char *text; /* in c->p; NULL: the caller has it already */
    apr_size_t len;
    const char *etag;
    apr_interval_time_t age_us;
} answer_t;

void wh_h_traefik_child_init(apr_pool_t *pchild, server_rec *s)
{
    child.recent = NULL;
#if APR_HAS_THREADS
    if (apr_thread_mutex_create(&child.lock, APR_THREAD_MUTEX_DEFAULT, pchild)) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "WH0230: no mutex for Traefik's documents");
        return;
    }
#endif
    child.recent = wh_recent_make(pchild, DOCS_MAX, DOCS_BYTES, FRESH_US);
}

static void lock(void)
{
    if (child.lock) {
        apr_thread_mutex_lock(child.lock);
    }
}

static void unlock(void)
{
    if (child.lock) {
        apr_thread_mutex_unlock(child.lock);
    }
}

/* Whether the caller has this one already. */
static int is_known(wh_call_t *c, const char *etag)
{
    const char *asked = apr_table_get(c->r->headers_in, "If-None-Match");

    return asked && (!strcmp(asked, "*") || ap_find_etag_weak(c->p, asked, etag));
}

/* Copies what the table lends. The lock is held. */
static int take(wh_call_t *c, const wh_recent_doc_t *doc, answer_t *a)
{
    if (!doc->text) {
        return 0;
    }
    a->len = doc->len;
    a->age_us = doc->age_us;
    a->etag = doc->etag ? apr_pstrdup(c->p, doc->etag) : NULL;
    a->text = a->etag && is_known(c, a->etag) ? NULL : apr_pstrmemdup(c->p, doc->text, doc->len);
    return 1;
}

static apr_status_t rows(wh_call_t *c, const answer_t *a, wh_traefik_in_t *in)
{
    apr_array_header_t *servers, *hosts;
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_traefik_rows(c->dbc, c->p, a->worker_id, &servers, &hosts, &c->err);
    if (!rv) {
        in->servers = servers;
        in->hosts = hosts;
    }
    return rv;
}

static apr_status_t make(wh_call_t *c, const answer_t *a, wh_traefik_out_t *out)
{
    wh_traefik_in_t in = {.form = a->form, .base_domain = wh_mod_conf_base_domain(c->r->server)};
    apr_status_t rv = rows(c, a, &in);

    if (wh_mod_call_lost(c, rv)) {
        rv = rows(c, a, &in);
    }
    rv = rv ? rv : wh_traefik_document(c->p, &in, out, &c->err);
    if (!rv && out->refused) {
        ap_log_rerror(
            APLOG_MARK, APLOG_WARNING, 0, c->r,
            "WH0231: %d hosts and addresses were left out of a document for Traefik: %s%s",
            out->refused, ap_escape_logitem(c->p, out->first_refused),
            out->refused > 1 ? " and others" : "");
    }
    return rv;
}

/* Asks the database, and says what to answer when it fails. */
static apr_status_t make_anew(wh_call_t *c, answer_t *a)
{
    wh_mono_t now = wh_clock_mono(wh_sys_clock());
    wh_recent_doc_t doc;
    wh_traefik_out_t out;
    apr_status_t rv = make(c, a, &out);
    int last;

    lock();
    if (rv) {
        wh_recent_failed(child.recent, a->key, now, &doc);
    } else {
        wh_recent_put(child.recent, a->key, out.text, out.len, now, &doc);
    }
    last = take(c, &doc, a);
    unlock();
    if (rv && last) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, c->r,
                      "WH0232: the document of %d s ago is served: %s",
                      (int)apr_time_sec(a->age_us), c->err.text);
        wh_err_clear(&c->err);
        return APR_SUCCESS;
    }
    return rv;
}

static apr_status_t reply(wh_call_t *c, const answer_t *a)
{
    apr_table_setn(c->r->err_headers_out, "Age",
                   apr_psprintf(c->p, "%d", (int)apr_time_sec(a->age_us)));
    if (a->etag) {
        apr_table_setn(c->r->err_headers_out, "ETag", a->etag);
    }
    return a->text ? wh_mod_call_text(c, HTTP_OK, a->text, a->len)
                   : wh_mod_call_empty(c, HTTP_NOT_MODIFIED);
}

static apr_status_t answer(wh_call_t *c, answer_t *a)
{
    const char *base = wh_mod_conf_base_domain(c->r->server);
    wh_recent_doc_t doc;
    int ready;
    apr_status_t rv;

    if (!child.recent) {
        return wh_err_set(&c->err, 503, "not_ready", "This server process is not ready yet.");
    }
    a->key = apr_psprintf(c->p, "%" APR_INT64_T_FMT " %s", a->worker_id, base ? base : "");
    lock();
    ready = wh_recent_find(child.recent, a->key, wh_clock_mono(wh_sys_clock()), &doc) ==
                WH_RECENT_FRESH &&
            take(c, &doc, a);
    unlock();
    rv = ready ? APR_SUCCESS : make_anew(c, a);
    return rv ? rv : reply(c, a);
}

/* F47, F110: the apps of the worker that asks. */
apr_status_t wh_h_traefik_worker(wh_call_t *c)
{
    answer_t a = {.worker_id = c->actor.worker_id, .form = WH_TRAEFIK_WORKER};

    return answer(c, &a);
}

/* F48, F112: all of them. */
apr_status_t wh_h_traefik_proxy(wh_call_t *c)
{
    answer_t a = {.form = WH_TRAEFIK_PROXY};

    return answer(c, &a);
}
