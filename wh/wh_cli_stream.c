/* A stream of events that is followed: it ends and begins again where it was. */
#include "config.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <stdio.h>
#include <string.h>

#include "wh/wh_cli.h"

#define RETRY_MS 2000
#define AWAY_MAX_S 60

typedef struct reader_t {
    wh_cli_t *cli;
    const wh_cli_stream_t *of;
    apr_pool_t *event; /* cleared with each */
} reader_t;

/* Data is JSON, always. */
static int on_event(void *baton, const char *type, const char *data)
{
    reader_t *r = baton;
    wh_cli_t *cli = r->cli;
    apr_pool_t *before = cli->p;
    json_t *doc = json_loads(data, 0, NULL);
    int rc = 0;

    cli->p = r->event;
    if (doc != NULL && strcmp(type, "missed") == 0)
        wh_cli_note(cli, "wh: what came in between is not there any more\n");
    else if (doc != NULL)
        rc = r->of->fn(r->of->baton, type, doc);
    fflush(stdout);
    json_decref(doc);
    cli->p = before;
    apr_pool_clear(r->event);
    return rc;
}

static int is_final(const wh_cli_reply_t *reply)
{
    return reply->status >= 400 && reply->status < 500 && reply->status != 408 &&
           reply->status != 429;
}

/* Returns what ended it: 0 = the server, to be asked again; else an exit code. */
static int read_once(reader_t *r, wh_sse_t *sse, apr_time_t *heard)
{
    wh_cli_t *cli = r->cli;
    apr_pool_t *before = cli->p, *own;
    wh_cli_reply_t reply;
    int rc;

    if (apr_pool_create(&own, before) != APR_SUCCESS)
        return WH_EXIT_FAIL;
    cli->p = own;
    rc = wh_cli_http_stream(cli, r->of->path, sse, &reply);
    if (rc == 0 && is_final(&reply))
        rc = wh_cli_http_fail(cli, &reply);
    if (reply.status == 200)
        *heard = apr_time_now();
    cli->p = before;
    apr_pool_destroy(own);
    wh_sse_cut(sse);
    return rc;
}

int wh_cli_stream(wh_cli_t *cli, const wh_cli_stream_t *of)
{
    reader_t r = {.cli = cli, .of = of};
    apr_time_t heard = apr_time_now();
    wh_sse_t sse;
    int rc = 0;

    if (apr_pool_create(&r.event, cli->p) != APR_SUCCESS)
        return WH_EXIT_FAIL;
    wh_sse_init(&sse, on_event, &r);
    if (of->after >= 0)
        apr_snprintf(sse.id, sizeof(sse.id), "%" APR_INT64_T_FMT, (apr_int64_t)of->after);
    wh_sse_cut(&sse);
    for (;;) {
        rc = read_once(&r, &sse, &heard);
        if (rc != 0 || wh_cli_interrupted)
            break;
        if (apr_time_now() - heard > apr_time_from_sec(AWAY_MAX_S)) {
            wh_cli_error("the server does not answer");
            rc = WH_EXIT_FAIL;
            break;
        }
        wh_cli_watch_pause(sse.retry_ms >= 0 ? sse.retry_ms : RETRY_MS);
    }
    wh_sse_free(&sse);
    apr_pool_destroy(r.event);
    return wh_cli_interrupted ? WH_EXIT_INT : rc == WH_CLI_STREAM_END ? 0 : rc;
}
