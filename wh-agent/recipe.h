/* How a job is built: the settings that the repository brings, and then one of three ways. It is
 * said in the build log, with its reason. */
#ifndef WH_AGENT_RECIPE_H
#define WH_AGENT_RECIPE_H

#include "wh-agent/work.h"

#define WH_RECIPE_FILE ".wisehost.Dockerfile" /* the made one, in the stream of the context */

typedef enum wh_recipe_way_e {
    WH_RECIPE_AS_IS, /* the files of the tree are what is served */
    WH_RECIPE_OWN,   /* the repository's Dockerfile */
    WH_RECIPE_MADE   /* dockerfile */
} wh_recipe_way_e;

typedef struct wh_recipe_plan_t {
    wh_recipe_way_e way;
    const char *dockerfile; /* MADE: its text */
    const char *output;     /* MADE, of a static app: absolute, in the image */
} wh_recipe_plan_t;

/* Reads wisehost.json: afterwards work->job is a copy that has its settings, and work->repo_run
 * says which of them a later start from the image needs. Decides the way. Codes: settings_invalid,
 * build_failed, no_engine, and those of wh_source_read. */
apr_status_t wh_recipe_settle(wh_work_t *work, wh_source_t *source, wh_recipe_plan_t *plan,
                              wh_err_t *err) WH_MUST_CHECK;

/* What an image remembers of its repository's settings (label WH_ENGINE_LABEL_RUN). */
apr_status_t wh_recipe_remember(wh_work_t *work, const char *label, wh_err_t *err) WH_MUST_CHECK;

#endif
