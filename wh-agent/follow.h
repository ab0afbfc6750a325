/* What running apps print, on its way from the engine to the hub. One thread follows the logs of
 * all our containers, each by a stream of the engine; the link's thread says which there are, and
 * takes lines. The engine's own file of a log is what waits while the hub is away: nothing is read
 * then.
 *
 * Where each log was half a minute ago is kept in the state directory (`followed`), and there
 * reading goes on after a restart of the agent or a lost line to the hub. What the hub has of it by
 * number and time it passes over (tail.h), so that nothing is lost or stored twice.
 *
 * What comes too fast is left out here: by the rules of the hub (wh_lograte.h), a little below its
 * rate, and by the room of a log's queue. It keeps its number, and the hub counts the gap; the last
 * line of a burst is always sent, a second later, so that the gap shows. */
#ifndef WH_AGENT_FOLLOW_H
#define WH_AGENT_FOLLOW_H

#include <apr_tables.h>
#include "libwh/wh_clock.h"
#include "libwh/wh_proto_msg.h"
#include "wh-agent/conf.h"
#include "wh-agent/engine.h"

#define WH_FOLLOW_BATCH (32 * WH_KIB) /* bytes of lines in a frame, about */
#define WH_FOLLOW_QUEUE WH_MIB        /* of one log */
#define WH_FOLLOW_QUEUES (8 * WH_MIB) /* of all */
#define WH_FOLLOW_STREAMS 512         /* at once */
#define WH_FOLLOW_MARK_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC)

typedef struct wh_follow_t wh_follow_t;

typedef struct wh_follow_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    wh_engine_open_fn *engine;
    void (*wake)(void *baton); /* lines are there; the follower's thread */
    void *wake_baton;
} wh_follow_opts_t;

/* Starts the thread. Errors: internal. */
apr_status_t wh_follow_start(apr_pool_t *p, const wh_follow_opts_t *opts, wh_follow_t **follow,
                             wh_err_t *err) WH_MUST_CHECK;

/* A container has stopped: waits until its log was read to the end, but not long. Any thread but
 * the link's. */
void wh_follow_last(wh_follow_t *follow, const char *container);

/* Ends the thread soon; what it holds goes with the process. NULL is fine. */
void wh_follow_stop(wh_follow_t *follow);

/* All containers there are: wh_reconcile_seen_t. The link's thread, as is all below. */
void wh_follow_set(wh_follow_t *follow, const apr_array_header_t *seen);

/* The hub takes lines, or is away: then what was not sent is forgotten and read again later. */
void wh_follow_online(wh_follow_t *follow, int online);

/* Lines of one container, some BATCH of them, in p: 1, or 0 when there are none. The logs take
 * turns. */
int wh_follow_take(wh_follow_t *follow, apr_pool_t *p, wh_msg_runtime_log_t *m);

int wh_follow_pending(wh_follow_t *follow);

#endif
