#include "whdb/wh_db_release.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_release_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_release_t *r, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_release_put,
                        WH_ARGS(WH_S(r->id), WH_I(r->files), WH_I(r->bytes), WH_I(r->created_at),
                                WH_I(r->created_at)),
                        NULL, err);
}

apr_status_t wh_db_release_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_release_t **out,
                               wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    wh_release_t *release;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_release_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    release = apr_pcalloc(p, sizeof(*release));
    release->id = wh_dbc_text(&r);
    release->files = wh_dbc_int(&r);
    release->bytes = wh_dbc_int(&r);
    release->created_at = wh_dbc_int(&r);
    *out = release;
    return APR_SUCCESS;
}
