#include "whdb/wh_db_lock.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_lock_scheduler(wh_dbc_t *dbc, apr_pool_t *p, int *got, wh_err_t *err)
{
    const char *value = NULL;
    apr_status_t rv = APR_SUCCESS;

    *got = 1;
    if (wh_dbc_kind(dbc) == WH_DBC_PGSQL) {
        /* The server is to notice within 5 s that our machine is gone, and to let go of the lock.
         */
        rv = wh_dbc_exec(dbc,
                         "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1;"
                         " SET tcp_keepalives_count = 2",
                         err);
    }
    if (rv == APR_SUCCESS && wh_dbc_kind(dbc) == WH_DBC_PGSQL) {
        rv = wh_dbc_exec_value(dbc, p, "SELECT pg_try_advisory_lock(30568, 2)", &value, err);
        *got = rv == APR_SUCCESS && value != NULL && value[0] == 't';
    }
    return rv;
}
