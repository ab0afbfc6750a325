/* The env vars of a job (docs/env.md): for its container, for its build, and how they are hidden.
 */
#ifndef WH_AGENT_VARS_H
#define WH_AGENT_VARS_H

#include "wh-agent/dockerfile.h"
#include "wh-agent/work.h"

/* Those of the frame and those that tell of the commit: wh_env_pair_t in the job's pool. */
apr_array_header_t *wh_vars_run(const wh_work_t *work);

/* The names of a job's secrets with commas between them, in p; "" = it has none. A container bears
 * them as a label, so that what it prints can be masked by a later life of the agent, too. */
const char *wh_vars_secrets(apr_pool_t *p, const wh_msg_job_t *job);

/* What hides the values of those names among env (const char *, NAME=VALUE), in p; NULL = nothing
 * to hide. */
const wh_mask_t *wh_vars_mask_named(apr_pool_t *p, const char *names,
                                    const apr_array_header_t *env);

/* What hides the secrets of a job, in p; NULL when it has none. */
const wh_mask_t *wh_vars_mask(apr_pool_t *p, const wh_msg_job_t *job);

/* Build secrets travel in front of the tree, as files of names that nobody can know, which Podman
 * takes away again before it looks at the tree. */
typedef struct wh_vars_build_t {
    const char *param; /* of the build call, "" = no secrets */
    const char *tar;   /* the entries, n bytes */
    size_t n;
} wh_vars_build_t;

/* For the secrets that the Dockerfile asks for, as far as variables are marked for the build; what
 * it asks for in vain is said in the log. Codes: build_secrets_unsupported (422: the engine cannot
 * do it), internal. */
apr_status_t wh_vars_build(wh_work_t *work, wh_engine_t *engine, const wh_dockerfile_t *dockerfile,
                           wh_vars_build_t *out, wh_err_t *err) WH_MUST_CHECK;

#endif
