/* Keeping house: of the images that this agent has built, which ones go. Only images with our own
 * label are ever looked at. The decision is a pure function. */
#ifndef WH_AGENT_KEEP_H
#define WH_AGENT_KEEP_H

#include "wh-agent/conf.h"
#include "wh-agent/engine.h"

typedef struct wh_keep_in_t {
    const char *agent;
    const apr_array_header_t *images;     /* wh_engine_item_t: all with an image label */
    const apr_array_header_t *containers; /* wh_engine_item_t: of all of ours; theirs are in use */
    const char *app;                      /* only this one's; NULL = all, and the quota holds */
    apr_int64_t kept;                     /* images of each app, newest first */
    apr_int64_t quota;                    /* bytes of all of ours; 0 = none */
} wh_keep_in_t;

/* The images that go: const wh_engine_item_t *, in p, oldest first. Those in use stay, and the
 * newest of each app does; an image without a name that nothing runs from always goes. *bytes is
 * what is left, by the engine's own count (layers that images share count in each). Pure. */
apr_array_header_t *wh_keep_plan(apr_pool_t *p, const wh_keep_in_t *in, apr_int64_t *bytes);

typedef struct wh_keep_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    wh_engine_open_fn *engine;
    const char *agent;
    const char *app; /* as above */
} wh_keep_opts_t;

/* Look, plan and remove; each step is said at debug level. Codes: those of the engine. Blocks. */
apr_status_t wh_keep_run(apr_pool_t *p, const wh_keep_opts_t *opts, wh_err_t *err) WH_MUST_CHECK;

#endif
