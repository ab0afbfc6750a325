/* One job from its go to its result, on a thread of its own: the steps of a deployment in their
 * order, each within its deadline, and the one sentence that says why it failed. */
#ifndef WH_AGENT_DEPLOY_H
#define WH_AGENT_DEPLOY_H

#include "wh-agent/work.h"

/* Does the job and fills result, whatever happens; its strings are in work->p. When it returns
 * nothing of the job runs any more but the container of a deployment that succeeded. Blocks. */
void wh_deploy_run(wh_work_t *work, wh_msg_job_result_t *result);

#endif
