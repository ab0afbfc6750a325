/*
 * Bodies of requests that may be sent twice: what mod_proxy reads of one is copied, as long as it
 * is short, and given to mod_proxy again before the next attempt.
 *
 * mod_proxy_http keeps what it has read and not sent in a brigade that it finds again by a name in
 * r->pool, for balancers that go on to another member. That brigade is filled anew; should a
 * version of it have none, the body counts as gone.
 */
#include "mod_wisehost/wh_mod_proxy.h"

#define WH_BODY_BRIGADE "proxy-req-input" /* mod_proxy_http's name */

struct wh_body_t {
    apr_bucket_brigade *read; /* all that was read, NULL: more than is kept */
    apr_off_t bytes;
};

static ap_filter_rec_t *body_filter;

/* True while it fits. */
static int keep(wh_body_t *body, const apr_bucket_brigade *bb)
{
    for (apr_bucket *e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb);
         e = APR_BUCKET_NEXT(e)) {
        const char *data;
        apr_size_t n;

        if (APR_BUCKET_IS_EOS(e)) {
            APR_BRIGADE_INSERT_TAIL(body->read, apr_bucket_eos_create(body->read->bucket_alloc));
            continue;
        }
        if (APR_BUCKET_IS_METADATA(e)) {
            continue;
        }
        if (apr_bucket_read(e, &data, &n, APR_BLOCK_READ) != APR_SUCCESS) {
            return 0;
        }
        body->bytes += (apr_off_t)n;
        if (body->bytes > WH_BODY_KEPT ||
            apr_brigade_write(body->read, NULL, NULL, data, n) != APR_SUCCESS) {
            return 0;
        }
    }
    return 1;
}

static apr_status_t body_in(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                            apr_read_type_e block, apr_off_t readbytes)
{
    wh_body_t *body = f->ctx;
    apr_status_t rv = ap_get_brigade(f->next, bb, mode, block, readbytes);

    if (rv == APR_SUCCESS && body->read != NULL && (mode != AP_MODE_READBYTES || !keep(body, bb))) {
        apr_brigade_destroy(body->read);
        body->read = NULL;
    }
    return rv;
}

wh_body_t *wh_mod_body_keep(request_rec *r)
{
    wh_body_t *body = apr_pcalloc(r->pool, sizeof(*body));

    body->read = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    ap_add_input_filter_handle(body_filter, body, r, r->connection);
    return body;
}

int wh_mod_body_again(request_rec *r, const wh_body_t *body)
{
    void *theirs = NULL;
    apr_bucket_brigade *bb;

    (void)apr_pool_userdata_get(&theirs, WH_BODY_BRIGADE, r->pool);
    if (theirs == NULL || body->read == NULL) {
        return 0;
    }
    bb = theirs;
    apr_brigade_cleanup(bb);
    for (apr_bucket *e = APR_BRIGADE_FIRST(body->read); e != APR_BRIGADE_SENTINEL(body->read);
         e = APR_BUCKET_NEXT(e)) {
        apr_bucket *copy;

        if (apr_bucket_copy(e, &copy) != APR_SUCCESS) {
            return 0;
        }
        APR_BRIGADE_INSERT_TAIL(bb, copy);
    }
    return 1;
}

void wh_mod_body_register(void)
{
    /* Before all others, so that it sees what mod_proxy sees. */
    body_filter = ap_register_input_filter("WISEHOST_BODY", body_in, NULL, AP_FTYPE_RESOURCE - 1);
}
