#include "whdb/wh_db_lock.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_lock_scheduler(wh_dbc_t *dbc, apr_pool_t *p, int *got, wh_err_t *err)
{
    const char *value = NULL;
    apr_status_t rv = APR_SUCCESS;

    *got = 1;
    if (wh_dbc_kind(dbc) == WH_DBC_PGSQL) {
        rv = wh_dbc_exec_value(dbc, p, "SELECT pg_try_advisory_lock(30568, 2)", &value, err);
        *got = rv == APR_SUCCESS && value != NULL && value[0] == 't';
    }
    return rv;
}
