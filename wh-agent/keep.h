/* Keeping house: of the images that this agent has built, which ones go. Only images with our own
 * label are ever looked at. The decision is a pure function. */
#ifndef WH_AGENT_KEEP_H
#define WH_AGENT_KEEP_H

#include "wh-agent/conf.h"
#include "wh-agent/engine.h"
#include "wh-agent/made.h"

typedef struct wh_keep_in_t {
    const char *agent;
    const apr_array_header_t *images;     /* wh_engine_item_t: all with an image label */
    const apr_array_header_t *containers; /* wh_engine_item_t: of all of ours; theirs are in use */
    /* const char *: deployments of jobs that run; what is or may become theirs stays */
    const apr_array_header_t *building;
    const apr_array_header_t *made; /* wh_made_t: which images are previews'; NULL = none */
    apr_int64_t kept;               /* images of each app, and of its previews, newest first */
    apr_int64_t quota;              /* bytes of all of ours; 0 = none */
} wh_keep_in_t;

/* The images that go: const wh_engine_item_t *, in p, oldest first. Those in use stay, and the
 * newest of each app does, but for previews; an image without a name that nothing runs from always
 * goes, but only while nothing is built: it may be a build's that has not named it yet. *bytes is
 * what is left, by the engine's own count (layers that images share count in each). Pure. */
apr_array_header_t *wh_keep_plan(apr_pool_t *p, const wh_keep_in_t *in, apr_int64_t *bytes);

typedef struct wh_keep_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    wh_engine_open_fn *engine;
    const wh_cancel_t *cancel; /* may be NULL */
    const char *agent;
    const apr_array_header_t *building; /* as above */
} wh_keep_opts_t;

/* As many at a time: builds beside stumble over what is removed while they look for layers. */
#define WH_KEEP_BURST 8

/* Remove what newer deployments have superseded, by the marks of made.h: an engine that cannot list
 * its images does this all the same. *more (may be NULL) = there are more than a burst. Codes:
 * those of the engine. Blocks. */
apr_status_t wh_keep_superseded(apr_pool_t *p, const wh_keep_opts_t *opts, int *more,
                                wh_err_t *err) WH_MUST_CHECK;

/* Look at all images, plan and remove: what has no name, what is over the quota; each step is said
 * at debug level. Codes: those of the engine. Blocks, with thousands of images for a minute. */
apr_status_t wh_keep_run(apr_pool_t *p, const wh_keep_opts_t *opts, wh_err_t *err) WH_MUST_CHECK;

/* ---- when ---- */

#define WH_KEEP_EVERY_US ((apr_interval_time_t)600 * APR_USEC_PER_SEC)
#define WH_KEEP_APART_US ((apr_interval_time_t)20 * APR_USEC_PER_SEC) /* an end, the next begin */
#define WH_KEEP_SOON_US ((apr_interval_time_t)2 * APR_USEC_PER_SEC)   /* after a job's end */
#define WH_KEEP_RETRY_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC) /* doubling to the above */

/* The look at all images takes no more of the engine's time than one part in so many. */
#define WH_KEEP_LOOK_SHARE 50

/* {0} is one that is due at once. */
typedef struct wh_keep_when_t {
    wh_mono_t due;
    wh_mono_t look_due; /* when it is to include the look at all images */
    wh_mono_t ended;    /* the last time; {0} = never */
    unsigned failed;    /* times since it last went well */
    int running;
    int again; /* asked for while it ran */
} wh_keep_when_t;

/* A reason to keep house came: due soon, many of them at once, but not at once after the last time,
 * and after a failure not before the first of the waits. Pure, as are the others. */
void wh_keep_when_soon(wh_keep_when_t *when, wh_mono_t now);
void wh_keep_when_begins(wh_keep_when_t *when);
void wh_keep_when_ended(wh_keep_when_t *when, wh_mono_t now, int failed);
/* After a look that took so long, microseconds. */
void wh_keep_when_looked(wh_keep_when_t *when, wh_mono_t now, apr_interval_time_t took);

#endif
