/* What runs here, against what should run (architecture: desired and observed). The decision is a
 * pure function; applying it and looking again is one pass on a thread of its own. Containers
 * without our own agent's label are not even looked at. */
#ifndef WH_AGENT_RECONCILE_H
#define WH_AGENT_RECONCILE_H

#include "libwh/wh_proto_msg.h"
#include "wh-agent/conf.h"
#include "wh-agent/engine.h"
#include "wh-agent/restart.h"

typedef enum wh_reconcile_act_e {
    WH_RECONCILE_KEEP,  /* as it should be, or not ours to judge now */
    WH_RECONCILE_START, /* should run and does not */
    WH_RECONCILE_STOP,  /* should be stopped and runs */
    WH_RECONCILE_REMOVE /* of no deployment that anybody wants */
} wh_reconcile_act_e;

typedef struct wh_reconcile_in_t {
    const apr_array_header_t *desired; /* wh_msg_desired_t */
    const apr_array_header_t
        *busy; /* const char *: jobs that run or whose result is not acknowledged */
    const apr_array_header_t *resting; /* const char *: containers that are not started again yet */
    wh_restarts_t *restarts;           /* NULL = what should run is started at once, always */
    apr_time_t asked_at;               /* when desired was true: younger containers are kept */
    apr_time_t busy_at;                /* when busy was: a younger build's container is kept */
    int may_remove;                    /* desired is complete: what is not in it may go */
} wh_reconcile_in_t;

/* What to do with one container. Pure. */
wh_reconcile_act_e wh_reconcile_decide(const wh_reconcile_in_t *in, const wh_engine_item_t *item);

/* One container of ours as it is after the pass. */
typedef struct wh_reconcile_seen_t {
    const char *app, *deployment, *container, *address;
    apr_int64_t port;
    wh_observed_e state;
    const char *reason;
    const char *secrets; /* names of its secret variables, by commas */
    int up; /* the engine says that it runs */
    const char *violation; /* what it has done this time, "" = nothing new */
    apr_int64_t restarts;
    int started; /* this pass had to start it, whatever came of that */
    int busy; /* of a job whose result the hub does not have yet: it does not know the container */
} wh_reconcile_seen_t;

typedef struct wh_reconcile_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    wh_engine_open_fn *engine;
    const char *agent;
    const wh_reconcile_in_t *in; /* NULL = only look */
} wh_reconcile_opts_t;

/* A pass: list, act, describe. *seen: wh_reconcile_seen_t in p; *engine_name "podman 4.3.1". A
 * container that cannot be started is reported as crashloop. Codes: no_engine, engine_error.
 * Blocks. */
apr_status_t wh_reconcile_pass(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                               apr_array_header_t **seen, const char **engine_name,
                               wh_err_t *err) WH_MUST_CHECK;

/* Where the engine keeps its things; *dir stays as it is when it does not say. Blocks. */
apr_status_t wh_reconcile_engine_root(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                                      const char **dir);

/* Remove everything that these jobs (const char *) made: for a new life of the agent. */
apr_status_t wh_reconcile_clear_jobs(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                                     const apr_array_header_t *jobs, wh_err_t *err) WH_MUST_CHECK;

#endif
