/* Env vars on their way: into the frame of a job, opened, with those that the system sets; and
 * sealed anew, bit by bit, once another key seals. */
#ifndef WH_ENVS_H
#define WH_ENVS_H

#include "wh-scheduler/core.h"

#define WH_ENVS_EVERY_US APR_INT64_C(5000000)
#define WH_ENVS_AGAIN_US APR_INT64_C(1000000) /* while there is more to seal */
#define WH_ENVS_BATCH 100

/* Where the deployment of a job lies. */
typedef struct wh_envs_of_t {
    const char *site; /* wh_deployment_t */
    int any;          /* 0: it has none of its own, so that nobody need look */
} wh_envs_of_t;

/* Fills m->env; the rest of m is there already. *bytes += about what that makes the frame longer.
 * Errors: secret_broken, secret_key, which name the variable; those of the database. */
apr_status_t wh_envs_add(wh_core_t *core, apr_pool_t *p, const wh_envs_of_t *of, wh_msg_job_t *m,
                         size_t *bytes, wh_err_t *err) WH_MUST_CHECK;

/* When it is due: looks which key seals, and seals a batch of what others sealed, in one
 * transaction. What does not open is said once and left as it is. */
apr_status_t wh_envs_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono,
                          wh_err_t *err) WH_MUST_CHECK;

#endif
