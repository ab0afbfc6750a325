/* An image from a Dockerfile, of the repository or made for it: the tree goes to the engine as a
 * tar stream straight from git, the engine's words go to the build log as they come (XJ1, F104,
 * F279-F280). */
#ifndef WH_AGENT_BUILD_H
#define WH_AGENT_BUILD_H

#include "wh-agent/recipe.h"
#include "wh-agent/work.h"

/* *image is "sha256:…". Codes: build_failed, build_timeout, no_engine, too_large, canceled and
 * those of wh_source_read. */
apr_status_t wh_build_image(wh_work_t *work, wh_engine_t *engine, const wh_source_t *source,
                            const wh_recipe_plan_t *plan, const char **image,
                            wh_err_t *err) WH_MUST_CHECK;

#endif
