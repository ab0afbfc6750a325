/* Calls to the server's API over one kept connection, by libcurl. One session belongs to one
 * thread. */
#ifndef WH_AGENT_API_H
#define WH_AGENT_API_H

#include <jansson.h>
#include "libwh/wh_err.h"
#include "wh-agent/cancel.h"
#include "wh-agent/conf.h"

typedef struct wh_api_t wh_api_t;

typedef struct wh_api_call_t {
    const char *method;
    const char *path; /* "/v1/…" */
    const char *bearer;
    json_t *json;     /* body, borrowed; or */
    const void *data; /* bytes, borrowed; or */
    int fd; /* a file read from its present position, borrowed; used when data is NULL and n > 0 */
    apr_int64_t n; /* of data or of the file */
    apr_interval_time_t timeout_us;
} wh_api_call_t;

/* The session ends with p; cancel may be NULL. Errors: internal. */
apr_status_t wh_api_open(apr_pool_t *p, const wh_agent_conf_t *conf, const wh_cancel_t *cancel,
                         wh_api_t **api, wh_err_t *err) WH_MUST_CHECK;

/* APR_SUCCESS for a 2xx answer; *reply (may be NULL) is its JSON object, borrowed from p, NULL when
 * it has no body. Otherwise err holds the server's own code, status and sentence (problem
 * document), or server_unreachable (503), canceled, bad_reply (502). Blocks. */
apr_status_t wh_api_call(wh_api_t *api, apr_pool_t *p, const wh_api_call_t *call, json_t **reply,
                         wh_err_t *err) WH_MUST_CHECK;

#endif
