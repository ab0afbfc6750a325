/* The agent as a whole: what the parts share, and when things are done. All of it belongs to the
 * link's thread; work that blocks goes to short-lived threads, which answer through the box.
 *
 * - start, or a lost line: prepare (a thread: clear left-overs, token, a look at the engine), then
 *   connect;
 * - connected: hello, welcome; then reconcile (a thread), results, heartbeats, looks, refreshes.
 */
#ifndef WH_AGENT_AGENT_H
#define WH_AGENT_AGENT_H

#include "libwh/wh_backoff.h"
#include "wh-agent/box.h"
#include "wh-agent/events.h"
#include "wh-agent/follow.h"
#include "wh-agent/job.h"
#include "wh-agent/keep.h"
#include "wh-agent/link.h"
#include "wh-agent/machine.h"
#include "wh-agent/reconcile.h"
#include "wh-agent/room.h"
#include "wh-agent/wanted.h"

typedef struct wh_agent_t wh_agent_t;

/* A container's CPU time when it was looked at. */
typedef struct wh_uses_cpu_t {
    const char *container;
    apr_int64_t ns;
    wh_mono_t at;
} wh_uses_cpu_t;

struct wh_agent_t {
    apr_pool_t *p;
    wh_agent_conf_t conf;
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
    wh_engine_open_fn *engine; /* NULL = none */
    wh_identity_t *identity;
    const char *mark;
    void (*notify)(const char *state); /* the service manager: wh_sys_notify; NULL = none */
    apr_interval_time_t watchdog_us;   /* how often it wants to hear, 0 = never */
    wh_box_t *box;
    wh_results_t *results;
    wh_jobs_t *jobs;
    wh_link_loop_t *loop;
    wh_link_t *link;
    wh_machine_t machine;
    wh_room_t room;
    wh_backoff_t backoff;

    /* the connection */
    int connected; /* hello was sent */
    int welcomed;
    apr_int64_t heartbeat_s;
    wh_bucket_t log_bucket; /* what may go out in log lines */
    int flush_due;          /* a timer is set to send what waits */
    int force_token;        /* the server refused the present one */
    int refused;            /* since the last welcome */
    int revoked;            /* the hub said so, and no token was had since */
    int rotating;           /* a thread changes the key */
    int rekeyed;            /* it did, or may have: the line comes back with the key that counts */

    /* what should run, and what was seen running */
    wh_wanted_t *wanted;
    apr_time_t desired_at; /* when the hub said so in this life; 0 = not yet */
    int reconcile_due;     /* desired is new: act, and remove what is in none of it */
    apr_pool_t *seen_p;
    apr_array_header_t *seen; /* wh_reconcile_seen_t */
    wh_restarts_t *restarts;
    apr_pool_t *uses_p;
    apr_array_header_t *uses; /* wh_uses_cpu_t: of the last look at what containers use */
    int using;                /* one is under way */
    wh_events_t *events;
    wh_follow_t *follow; /* the apps' logs; NULL = no engine */
    int look_again;      /* something happened */
    wh_keep_when_t keep; /* when house is kept next */
    char engine_name[64];

    wh_cancel_t ending; /* set when the agent goes down: what can wait breaks off */
    int cleared;        /* the left-overs of a former life are gone */
    int ready;          /* and the service manager was told */
    int preparing;      /* a thread is at it */
    int looking;
    volatile int quit; /* set by signals */
    int stopping;
};

/* Everything that is made once. conf, clock, rnd, engine are set by the caller. Errors: those of
 * the parts. */
apr_status_t wh_agent_make(wh_agent_t *agent, wh_err_t *err) WH_MUST_CHECK;

/* Serve until a signal. */
void wh_agent_run(wh_agent_t *agent);
void wh_agent_free(wh_agent_t *agent);

/* Signal handlers: end in order. */
void wh_agent_quit(wh_agent_t *agent);

/* Look whether there is room for new builds; why not, "" = there is. */
const char *wh_agent_refuses(wh_agent_t *agent);

/* The engine was looked at, whatever it said: from here on the agent does its work. */
void wh_agent_ready(wh_agent_t *agent);

/* Desired state has changed: look and act soon. */
void wh_agent_look_soon(wh_agent_t *agent);

#endif
