/* Why a deployment failed, as one stable code and one sentence (F219, R15). Pure. */
#ifndef WH_AGENT_CAUSE_H
#define WH_AGENT_CAUSE_H

#include "libwh/wh_err.h"

/* What the probes of one container came to. */
typedef struct wh_cause_probe_t {
    apr_int64_t port;
    const char *path;
    apr_int64_t waited_s; /* the check deadline */
    int connected;        /* something took a connection and kept it */
    int last_status;      /* of the last HTTP answer, 0 = there was none */
} wh_cause_probe_t;

/* not_listening, or unhealthy when something listens. Returns APR_EGENERAL. */
apr_status_t wh_cause_not_ready(wh_err_t *err, const wh_cause_probe_t *probe);

/* container_exited: status as the engine gives it (above 128 = a signal), -1 = not known. */
apr_status_t wh_cause_exited(wh_err_t *err, apr_int64_t status, int oom_killed,
                             apr_interval_time_t after_us);

/* An error as it goes into a job result: codes that the hub does not show to people become
 * "internal", "bad_reply", …; err is changed in place. */
void wh_cause_settle(wh_err_t *err);

#endif
