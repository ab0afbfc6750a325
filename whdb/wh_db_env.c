#include "whdb/wh_db_env.h"
#include "libwh/wh_branch.h"
#include "whdb/wh_dbc_priv.h"

/* The columns that all of them begin with. */
static void var_at(wh_row_t *r, wh_env_var_t *v)
{
    *v = (wh_env_var_t){.app_id = wh_dbc_text(r)};
    v->scope = wh_dbc_text(r);
    v->name = wh_dbc_text(r);
    v->secret = (int)wh_dbc_int(r);
    v->build = (int)wh_dbc_int(r);
    v->key_id = wh_dbc_int(r);
    v->sealed = wh_dbc_text(r);
}

/* The last three are not there in every row: they read as 0 then. */
static apr_array_header_t *vars_at(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n + 1, sizeof(wh_env_var_t));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_env_var_t *v = apr_array_push(list);

        var_at(&r, v);
        v->bytes = wh_dbc_int(&r);
        v->created_at = wh_dbc_int(&r);
        v->updated_at = wh_dbc_int(&r);
    }
    return list;
}

apr_status_t wh_db_env_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                            apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_env_list, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = vars_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_env_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_env_var_t *v, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_env_put,
                        WH_ARGS(WH_S(v->app_id), WH_S(v->scope), WH_S(v->name), WH_I(v->secret),
                                WH_I(v->build), WH_I(v->key_id), WH_S(v->sealed), WH_I(v->bytes),
                                WH_I(v->created_at), WH_I(v->updated_at)),
                        NULL, err);
}

apr_status_t wh_db_env_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, const char *scope,
                              const char *name, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_env_delete, WH_ARGS(WH_S(app_id), WH_S(scope), WH_S(name)),
                      err);
}

apr_status_t wh_db_env_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                     wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_query(dbc, p, WH_SQL_env_delete_by_app, WH_ARGS(WH_S(app_id)), NULL, err);

    return rv == APR_SUCCESS
               ? wh_dbc_query(dbc, p, WH_SQL_env_forget_by_app, WH_ARGS(WH_S(app_id)), NULL, err)
               : rv;
}

apr_status_t wh_db_env_take(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_env_take_t *take,
                            wh_err_t *err)
{
    const char *env = take->environment;
    const char *second = wh_branch_is_preview(env) ? WH_ENV_SCOPE_PREVIEWS : env;

    if (take->from != NULL) {
        return wh_dbc_query(dbc, p, WH_SQL_env_copy,
                            WH_ARGS(WH_S(take->deployment_id), WH_S(take->from)), NULL, err);
    }
    return wh_dbc_query(dbc, p, WH_SQL_env_take,
                        WH_ARGS(WH_S(take->deployment_id), WH_I(!take->public_only),
                                WH_S(take->app_id), WH_S(env), WH_S(second), WH_S(env),
                                WH_S(second)),
                        NULL, err);
}

apr_status_t wh_db_env_of(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                          apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_env_of, WH_ARGS(WH_S(deployment_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = vars_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_env_forget(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                              wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_env_forget, WH_ARGS(WH_S(deployment_id)), NULL, err);
}

/* ---- keys ---- */

apr_status_t wh_db_env_key(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *id, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_env_key, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS) {
        wh_row_t r = wh_dbc_row(&rows, 0);

        *id = wh_dbc_int(&r);
    }
    return rv;
}

apr_status_t wh_db_env_key_next(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_env_key_next, WH_ARGS(WH_I(id), WH_I(id)), err);
}

static void stale_at(const wh_rows_t *rows, apr_array_header_t *list)
{
    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_db_env_stale_t *stale = apr_array_push(list);

        var_at(&r, &stale->var);
        stale->deployment_id = wh_dbc_text(&r);
    }
}

apr_status_t wh_db_env_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, int limit,
                             apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_env_stale, WH_ARGS(WH_I(id), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, limit, sizeof(wh_db_env_stale_t));
    stale_at(&rows, *out);
    if (rows.n == limit) {
        return APR_SUCCESS;
    }
    rv = wh_dbc_select(dbc, p, WH_SQL_env_stale_taken, WH_ARGS(WH_I(id), WH_I(limit - rows.n)),
                       &rows, err);
    if (rv == APR_SUCCESS) {
        stale_at(&rows, *out);
    }
    return rv;
}

apr_status_t wh_db_env_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_env_stale_t *old,
                              const wh_env_var_t *fresh, wh_err_t *err)
{
    const wh_env_var_t *v = &old->var;

    return old->deployment_id[0] == '\0'
               ? wh_dbc_cas(dbc, p, WH_SQL_env_reseal,
                            WH_ARGS(WH_I(fresh->key_id), WH_S(fresh->sealed), WH_S(v->app_id),
                                    WH_S(v->scope), WH_S(v->name), WH_S(v->sealed)),
                            err)
               : wh_dbc_cas(dbc, p, WH_SQL_env_reseal_taken,
                            WH_ARGS(WH_I(fresh->key_id), WH_S(fresh->sealed),
                                    WH_S(old->deployment_id), WH_S(v->name), WH_S(v->sealed)),
                            err);
}
