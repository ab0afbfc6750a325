/* Of the streams: what a request says of one, the head of its answer, and one that stays in its
 * thread. */
#include <apr_allocator.h>
#include <apr_strings.h>

#include <ap_mpm.h>

#include "libwh/wh_pool.h"
#include "mod_wisehost/wh_mod_stream_int.h"

#define HELD_LOOK_US ((apr_interval_time_t)250000)

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

int wh_mod_stream_stopping(void)
{
    int state = AP_MPMQ_RUNNING;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

int wh_mod_stream_greet(request_rec *r, const wh_stream_of_t *of)
{
    return ap_rputs(WH_STREAM_HELLO, r) >= 0 &&
           (of->hello == NULL || ap_rputs(of->hello, r) >= 0) && ap_rflush(r) >= 0;
}

void wh_mod_stream_hold(request_rec *r, const wh_stream_of_t *of)
{
    char *buf = apr_palloc(r->pool, WH_STREAM_OUT);
    apr_time_t begin = apr_time_now(), said = begin;
    apr_int64_t pos = of->after;
    wh_build_at_t at = {.n = of->after};
    apr_pool_t *scratch;
    int there = wh_mod_stream_greet(r, of), ask = 0;

    apr_pool_create(&scratch, r->pool);
    while (there && !r->connection->aborted && !wh_mod_stream_stopping() &&
           apr_time_now() - begin < WH_MOD_STREAM_LIFE) {
        wh_build_e how = WH_BUILD_ALL;
        apr_size_t n =
            of->build ? wh_mod_stream_build(of, scratch, &at, buf, WH_STREAM_OUT, &how)
                      : wh_mod_stream_page(of, scratch, &pos, 0, buf, WH_STREAM_OUT, &ask);
        int over = how == WH_BUILD_OVER || (n == 0 && ask);

        apr_pool_clear(scratch);
        n = over && ask ? wh_mod_stream_come_again(pos, buf, WH_STREAM_OUT) : n;
        if (n == 0 && apr_time_now() - said > WH_MOD_STREAM_SILENCE) {
            memcpy(buf, ":\n\n", 3);
            n = 3;
        }
        if (n == 0) {
            apr_sleep(HELD_LOOK_US);
            continue;
        }
        said = apr_time_now();
        there = ap_rwrite(buf, (int)n, r) >= 0 && ap_rflush(r) >= 0 && !over;
    }
    apr_pool_destroy(scratch);
}
