#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_backoff.h"
#include "libwh/wh_batch.h"
#include "wh-agent/release_int.h"

#define TRY_US ((apr_interval_time_t)60 * APR_USEC_PER_SEC) /* that long a call is said again */
#define TRY_PAUSE_MAX_US ((apr_interval_time_t)4 * APR_USEC_PER_SEC)

/* The server, its database or the line may be away for a moment: every call here may be said twice.
 */
static int may_pass(const wh_err_t *err)
{
    return err->http == 502 || err->http == 503 || err->http == 504;
}

/* Waits before the next try; false when there is to be none. */
static int try_again(const wh_release_run_t *r, wh_backoff_t *backoff, wh_mono_t end)
{
    const wh_work_t *work = r->work;
    apr_interval_time_t wait = wh_backoff_next(backoff, wh_rand_jitter(work->rnd));
    apr_interval_time_t left = wh_mono_diff(end, wh_clock_mono(work->clock));

    if (wait > TRY_PAUSE_MAX_US)
        wait = TRY_PAUSE_MAX_US;
    return left > wait && !wh_cancel_wait(work->cancel, wait);
}

/* Every call asks for the token anew: one that is about to end is refreshed on the way. */
apr_status_t wh_release_call(wh_release_run_t *r, apr_pool_t *p, wh_api_call_t *c, json_t **reply,
                             wh_err_t *err)
{
    const wh_work_t *work = r->work;
    wh_mono_t end = wh_mono_add(wh_clock_mono(work->clock), TRY_US);
    wh_backoff_t backoff = {0};
    apr_status_t rv;

    if (wh_mono_diff(r->source->opts.deadline, end) < 0)
        end = r->source->opts.deadline;
    c->timeout_us = (apr_interval_time_t)300 * APR_USEC_PER_SEC;
    do {
        wh_err_clear(err);
        if (c->fd >= 0 && lseek(c->fd, 0, SEEK_SET) != 0)
            return wh_err_wrap(err, errno, 500, "internal", "cannot read a temporary file");
        rv = wh_identity_token(work->identity, p, 0, &c->bearer, err);
        if (rv == APR_SUCCESS)
            rv = wh_api_call(r->api, p, c, reply, err);
    } while (rv != APR_SUCCESS && may_pass(err) && try_again(r, &backoff, end));
    return rv;
}

/* ---- objects ---- */

static const char *place(const wh_release_run_t *r, apr_pool_t *p, const char *name)
{
    return apr_psprintf(p, "/v1/agent/objects%s?job=%s&epoch=%" APR_INT64_T_FMT, name,
                        r->work->job->job, r->work->job->epoch);
}

apr_status_t wh_release_flush(wh_release_run_t *r, wh_err_t *err)
{
    wh_api_call_t c = {.method = "POST", .data = r->batch, .n = (apr_int64_t)r->batch_n, .fd = -1};

    if (r->batch_objects == 0)
        return APR_SUCCESS;
    r->batch_n = 0;
    r->batch_objects = 0;
    c.path = place(r, r->p, "");
    return wh_release_call(r, r->p, &c, NULL, err);
}

static apr_status_t free_batch(void *data)
{
    free(data);
    return APR_SUCCESS;
}

static apr_status_t make_batch(wh_release_run_t *r, wh_err_t *err)
{
    r->batch = malloc(WH_BATCH_BODY_MAX);
    if (r->batch == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    apr_pool_cleanup_register(r->p, r->batch, free_batch, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

static apr_status_t add(wh_release_run_t *r, const char *sha256, const wh_api_call_t *c,
                        wh_err_t *err)
{
    char line[WH_BATCH_LINE_MAX + 1];
    size_t n = wh_batch_line(line, sha256, (apr_off_t)c->n), bytes = (size_t)c->n;
    apr_status_t rv = r->batch == NULL ? make_batch(r, err) : APR_SUCCESS;

    if (rv == APR_SUCCESS &&
        (r->batch_objects == WH_BATCH_OBJECTS_MAX || r->batch_n + n + bytes > WH_BATCH_BODY_MAX))
        rv = wh_release_flush(r, err);
    if (rv != APR_SUCCESS)
        return rv;
    memcpy(r->batch + r->batch_n, line, n);
    memcpy(r->batch + r->batch_n + n, c->data, bytes);
    r->batch_n += n + bytes;
    r->batch_objects++;
    return APR_SUCCESS;
}

apr_status_t wh_release_put(wh_release_run_t *r, apr_pool_t *p, const char *sha256,
                            wh_api_call_t *c, wh_err_t *err)
{
    if (c->data != NULL && c->n <= WH_BATCH_OBJECT_MAX)
        return add(r, sha256, c, err);
    c->method = "PUT";
    c->path = place(r, p, apr_pstrcat(p, "/", sha256, NULL));
    return wh_release_call(r, p, c, NULL, err);
}
