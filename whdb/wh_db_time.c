#include "whdb/wh_db_time.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_time_shift(wh_dbc_t *dbc, apr_pool_t *p, apr_interval_time_t by, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_query(dbc, p, WH_SQL_time_shift_jobs,
                                   WH_ARGS(WH_I(by), WH_I(by), WH_I(by), WH_I(by)), NULL, err);

    rv = rv == APR_SUCCESS
             ? wh_dbc_query(dbc, p, WH_SQL_time_shift_workers, WH_ARGS(WH_I(by)), NULL, err)
             : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_query(dbc, p, WH_SQL_time_shift_alerts,
                                          WH_ARGS(WH_I(by), WH_I(by)), NULL, err)
                           : rv;
    rv = rv == APR_SUCCESS
             ? wh_dbc_query(dbc, p, WH_SQL_time_shift_notices, WH_ARGS(WH_I(by)), NULL, err)
             : rv;
    return rv == APR_SUCCESS ? wh_dbc_query(dbc, p, WH_SQL_time_shift_alert_tick,
                                            WH_ARGS(WH_I(by), WH_I(by)), NULL, err)
                             : rv;
}

apr_status_t wh_db_time_settle(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_time_t *t, wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_query(dbc, p, WH_SQL_time_settle_jobs,
                     WH_ARGS(WH_I(t->lease_until), WH_I(t->deadline_min), WH_I(t->deadline_min),
                             WH_I(t->deadline_max), WH_I(t->deadline_max)),
                     NULL, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_query(dbc, p, WH_SQL_time_settle_waits,
                          WH_ARGS(WH_I(t->wait_max), WH_I(t->wait_max)), NULL, err);
    }
    return rv == APR_SUCCESS ? wh_dbc_query(dbc, p, WH_SQL_time_settle_workers,
                                            WH_ARGS(WH_I(t->now), WH_I(t->now)), NULL, err)
                             : rv;
}
