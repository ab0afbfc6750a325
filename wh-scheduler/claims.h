/* What the database said lately of who may write what: the job that a build log is of, the app that
 * a worker reports on. A claim is asked of the database once and then remembered; whatever ends the
 * job or the instance makes it forgotten (wh_dbc_on_ended), and it is asked anew after a minute in
 * any case. A refusal is remembered for a second, so that who insists costs little.
 *
 * A bounded table of some 200 bytes a claim. Belongs to the database thread. */
#ifndef WH_CLAIMS_H
#define WH_CLAIMS_H

#include "libwh/wh_clock.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"

#define WH_CLAIMS_MAX 8192
#define WH_CLAIMS_TRUST_US APR_INT64_C(60000000)
#define WH_CLAIMS_REFUSAL_US APR_INT64_C(1000000)

typedef struct wh_claims_t wh_claims_t;

wh_claims_t *wh_claims_make(apr_pool_t *p);

/* Listens on a new connection, and forgets what the old one said. */
void wh_claims_watch(wh_claims_t *claims, wh_dbc_t *dbc);

/* The deployment whose build log this job of this worker may write now, valid until the next call.
 * APR_NOTFOUND: it may not. Else what the database says. */
apr_status_t wh_claims_job(wh_claims_t *claims, wh_dbc_t *dbc, apr_pool_t *p,
                           const wh_db_claim_t *claim, wh_mono_t now, const char **deployment,
                           wh_err_t *err) WH_MUST_CHECK;

/* What the worker has of that deployment of that app. */
apr_status_t wh_claims_app(wh_claims_t *claims, wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker,
                           const char *app, const char *deployment, wh_mono_t now,
                           wh_db_held_e *held, wh_err_t *err) WH_MUST_CHECK;

/* How often the database was asked, for tests and for who measures. */
apr_int64_t wh_claims_asked(const wh_claims_t *claims);

#endif
