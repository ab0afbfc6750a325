/* The images that a Dockerfile builds on: another app's are refused, and what an image makes every
 * build on it do (ONBUILD) is held to the same rules as the Dockerfile itself. What is not here yet
 * is fetched first, so that what was looked at is what is built on. */
#ifndef WH_AGENT_BASE_H
#define WH_AGENT_BASE_H

#include "wh-agent/dockerfile.h"
#include "wh-agent/work.h"

/* dockerfile->runs is raised when an image makes the build run something. Codes: build_failed,
 * canceled, deadline, those of the engine. Blocks. */
apr_status_t wh_base_check(wh_work_t *work, wh_engine_t *engine, wh_dockerfile_t *dockerfile,
                           wh_mono_t deadline, wh_err_t *err) WH_MUST_CHECK;

/* Whether it cannot be the name or id of an image in a registry or an engine: transports
 * ("docker-archive:/…"), paths and the like. Pure. */
int wh_base_name_bad(const char *name);

/* Whether an image's name says that it is of an app other than `app`. Pure. */
int wh_base_name_foreign(const char *name, const char *app);

#endif
