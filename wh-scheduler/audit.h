/* The end of the audit log: with audit_days set, what is older goes once a day, and that has its
 * own row. Nothing else ever takes a row away. In the database thread. */
#ifndef WH_AUDIT_H
#define WH_AUDIT_H

#include "wh-scheduler/core.h"

#define WH_AUDIT_EVERY_US APR_INT64_C(86400000000)
#define WH_AUDIT_FIRST_US APR_INT64_C(900000000) /* after a start */

apr_status_t wh_audit_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                           wh_err_t *err) WH_MUST_CHECK;

#endif
