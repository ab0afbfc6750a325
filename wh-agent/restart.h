/* When a container that should run and does not is started again: after 1 s, then twice as long
 * each time up to 5 minutes, and from 1 s again once it has run for 10 minutes. Five ends in a row
 * that came sooner are a crash loop, which goes on at that pace. Three kills for want of memory
 * within an hour are a violation (R34): it stays down until it is deployed anew.
 *
 * wh_restart_t is one container, pure, with time injected. wh_restarts_t is all of them: it belongs
 * to no thread and locks itself. */
#ifndef WH_AGENT_RESTART_H
#define WH_AGENT_RESTART_H

#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_model.h"

#define WH_RESTART_FIRST_US APR_USEC_PER_SEC
#define WH_RESTART_MAX_US ((apr_interval_time_t)300 * APR_USEC_PER_SEC)
#define WH_RESTART_GOOD_US ((apr_interval_time_t)600 * APR_USEC_PER_SEC)
#define WH_RESTART_QUICK_MAX 5
#define WH_RESTART_OOM_US ((apr_interval_time_t)3600 * APR_USEC_PER_SEC)
#define WH_RESTART_OOM_MAX 3

typedef struct wh_restart_t {
    int is_down;
    int quick;                 /* ends in a row that came soon */
    apr_interval_time_t pause; /* what was waited last */
    wh_mono_t until;           /* no start before */
    wh_mono_t oom[WH_RESTART_OOM_MAX];
    int ooms; /* of those that are set */
    int violated;
} wh_restart_t;

/* It has ended after running for ran_us (0 also when it could not even be started). */
void wh_restart_down(wh_restart_t *r, wh_mono_t now, apr_interval_time_t ran_us, int oom);

/* It runs. */
void wh_restart_up(wh_restart_t *r);

/* Whether it may be started now. */
int wh_restart_due(const wh_restart_t *r, wh_mono_t now);

/* What to call the state of one that is down and should run. */
wh_observed_e wh_restart_state(const wh_restart_t *r);

/* ---- all of them ---- */

typedef struct wh_restarts_t wh_restarts_t;

/* since: when this life of the agent began. Errors: internal. It ends with p. */
apr_status_t wh_restarts_make(apr_pool_t *p, apr_time_t since, wh_restarts_t **all,
                              wh_err_t *err) WH_MUST_CHECK;

/* What an engine says of a container that is down; ended_at tells one end from the next. */
typedef struct wh_restarts_end_t {
    apr_time_t started_at, ended_at;
    apr_int64_t status;
    int oom;
} wh_restarts_end_t;

/* Each pass over the containers begins with this: how many kills for want of memory the kernel
 * counts, -1 = not known. An engine does not always say which end was one; an end by signal 9 while
 * the number rose counts as one, too. */
void wh_restarts_begin(wh_restarts_t *all, apr_int64_t oom_kills);

/* Returns how often it was started again. */
apr_int64_t wh_restarts_up(wh_restarts_t *all, const char *id);

/* *r is how it stands afterwards, *oom whether this end counts as one, *news whether a violation
 * begins with it. An end that was counted before changes nothing. What was started before this life
 * of the agent and was never seen running in it may be started at once: the machine came up. */
void wh_restarts_down(wh_restarts_t *all, const char *id, const wh_restarts_end_t *end,
                      wh_mono_t now, wh_restart_t *r, int *oom, int *news);

/* It was started again by us, or could not be. */
void wh_restarts_started(wh_restarts_t *all, const char *id, int worked, wh_mono_t now);

/* A former life found that it broke a rule: it stays down. */
void wh_restarts_violated(wh_restarts_t *all, const char *id);

/* Whether it was reached by its network since its start; now = it just was. */
int wh_restarts_reached(wh_restarts_t *all, const char *id, int now);

/* How long until the next one is due; at most us. */
apr_interval_time_t wh_restarts_wait(wh_restarts_t *all, wh_mono_t now, apr_interval_time_t us);

/* Each pass over all containers ends with this: those not seen in it are forgotten. */
void wh_restarts_end(wh_restarts_t *all);

#endif
