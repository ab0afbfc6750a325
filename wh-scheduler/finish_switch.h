/* The successful ending: everything that one transaction changes, and the switch that follows it.
 */
#ifndef WH_FINISH_SWITCH_H
#define WH_FINISH_SWITCH_H

#include "wh-scheduler/core.h"

/* Below are the services of the machine, never what an agent publishes. */
#define WH_FINISH_PORT_MIN 1024

/* One transaction: commit and release of the deployment, its instances, its names, the job; the
 * deployment is in `finalize` afterwards. For an app that was deleted meanwhile the deployment is
 * canceled instead and its containers get a stop job. */
apr_status_t wh_finish_switch(wh_core_t *core, apr_pool_t *p, const wh_db_claim_t *claim,
                              const char *deployment, const wh_msg_job_result_t *r, apr_time_t now,
                              wh_err_t *err) WH_MUST_CHECK;

#endif
