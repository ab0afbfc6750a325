/* Of the streams: what a request says of one, and the head of its answer. */
#include <apr_allocator.h>
#include <apr_strings.h>

#include "libwh/wh_pool.h"
#include "mod_wisehost/wh_mod_stream_int.h"

int wh_mod_stream_wanted(wh_call_t *c)
{
    const char *accept = apr_table_get(c->r->headers_in, "Accept");

    return accept != NULL && ap_find_list_item(c->p, accept, "text/event-stream");
}

apr_int64_t wh_mod_stream_last_id(wh_call_t *c)
{
    const char *text = apr_table_get(c->r->headers_in, "Last-Event-ID");
    char *end;
    apr_int64_t n = text != NULL ? apr_strtoi64(text, &end, 10) : -1;

    return text != NULL && end != text && *end == '\0' && n >= 0 ? n : -1;
}

void wh_mod_stream_head(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->err_headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->err_headers_out, "X-Accel-Buffering", "no");
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
    r->no_cache = 1;
    r->status = HTTP_OK;
    r->status_line = NULL;
    ap_set_content_type(r, "text/event-stream");
}

apr_pool_t *wh_mod_stream_scratch(void)
{
    apr_pool_t *p = wh_pool_make("streams");

    if (p != NULL) {
        apr_allocator_max_free_set(apr_pool_allocator_get(p), APR_ALLOCATOR_MAX_FREE_UNLIMITED);
    }
    return p;
}
