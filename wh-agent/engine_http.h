/* HTTP to the engine's unix socket, by libcurl: one session, one kept connection, every call ended
 * by its deadline or by the request to stop. A second, long call (waiting for a container's end)
 * may be under way while others are made. */
#ifndef WH_AGENT_ENGINE_HTTP_H
#define WH_AGENT_ENGINE_HTTP_H

#include "wh-agent/engine.h"

#define WH_ENGINE_REPLY_MAX ((size_t)(8 * 1024 * 1024))

typedef struct wh_engine_http_t wh_engine_http_t;

/* Returns 0 to go on. */
typedef int wh_engine_sink_fn(void *baton, const char *buf, size_t n);

typedef struct wh_engine_call_t {
    const char *method;
    const char *path;        /* with the query, escaped */
    const char *header;      /* one more, "Name: value"; NULL = none */
    const char *body;        /* JSON; NULL = none */
    wh_engine_read_fn *read; /* or a tar stream; NULL = none */
    void *read_baton;
    wh_engine_sink_fn *sink; /* takes the body of a good answer; NULL = it is kept */
    void *sink_baton;
    apr_interval_time_t timeout_us; /* 0 = 30 s */
    /* Asked at least four times a second: 1 ends the call (over_limit), 2 does so without waiting
     * for an answer. NULL = nobody looks. */
    int (*watch)(void *baton);
    void *watch_baton;
    /* Called once on cancel, deadline or over_limit; then linger_us more are given for the answer.
     * NULL = the call is broken off at once. */
    void (*over)(void *baton);
    void *over_baton;
    apr_interval_time_t linger_us;
} wh_engine_call_t;

typedef struct wh_engine_reply_t {
    int status;
    const char *body; /* in p; "" when a sink took it */
    size_t n;
    const char *api;    /* what its header Api-Version says, in p; NULL = nothing */
    const char *podman; /* Libpod-Api-Version: Podman's own version; NULL = it is none */
    int answered;       /* the exchange came to its end, in time or lingering */
} wh_engine_reply_t;

/* The session ends with p. Errors: internal. */
apr_status_t wh_engine_http_open(apr_pool_t *p, const wh_engine_open_t *open,
                                 wh_engine_http_t **http, wh_err_t *err) WH_MUST_CHECK;

/* APR_SUCCESS for any answer, whatever its status. Codes: no_engine, canceled, deadline,
 * over_limit, engine_error (the answer was too large or broken off). */
apr_status_t wh_engine_http_call(wh_engine_http_t *http, apr_pool_t *p,
                                 const wh_engine_call_t *call, wh_engine_reply_t *reply,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Begin a call whose answer may take as long as it likes; a former one is given up. */
apr_status_t wh_engine_http_begin(wh_engine_http_t *http, const wh_engine_call_t *call,
                                  wh_err_t *err) WH_MUST_CHECK;

/* Sleep for at most us; *done once that answer is there (or the engine closed: status 0). */
apr_status_t wh_engine_http_check(wh_engine_http_t *http, apr_pool_t *p, apr_interval_time_t us,
                                  int *done, wh_engine_reply_t *reply, wh_err_t *err) WH_MUST_CHECK;

/* A value for a query, escaped, in p. */
const char *wh_engine_http_escape(apr_pool_t *p, const char *value);

#endif
