#include "whdb/wh_db_environment.h"

#include <string.h>

#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_environment_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_environment_list, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_branch_rule_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_branch_rule_t *rule = apr_array_push(*out);

        rule->environment = wh_dbc_text(&r);
        rule->pattern = wh_dbc_text(&r);
        rule->position = wh_dbc_int(&r);
        rule->created_at = wh_dbc_int(&r);
        rule->updated_at = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_environment_put(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                   const wh_branch_rule_t *rule, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_environment_put,
                        WH_ARGS(WH_S(app_id), WH_S(rule->environment), WH_S(rule->pattern),
                                WH_I(rule->position), WH_I(rule->created_at),
                                WH_I(rule->updated_at)),
                        NULL, err);
}

apr_status_t wh_db_environment_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                      const char *name, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_environment_delete, WH_ARGS(WH_S(app_id), WH_S(name)), err);
}

apr_status_t wh_db_environment_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                             wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_environment_delete_by_app, WH_ARGS(WH_S(app_id)), NULL, err);
}

apr_status_t wh_db_environment_room(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    const char *environment, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_int64_t n, own;
    apr_status_t rv;

    if (strcmp(environment, "production") == 0 || wh_branch_is_preview(environment)) {
        return APR_SUCCESS;
    }
    rv = wh_dbc_select_one(dbc, p, WH_SQL_environment_room,
                           WH_ARGS(WH_S(environment), WH_S(app_id), WH_S(app_id), WH_S(app_id)),
                           &rows, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    n = wh_dbc_int(&r);
    own = wh_dbc_int(&r);
    return own == 0 && n >= WH_DB_ENVIRONMENTS_MAX
               ? wh_err_set(err, 409, "too_many_environments",
                            "The app has %d environments already; it cannot have %s too.",
                            WH_DB_ENVIRONMENTS_MAX, environment)
               : APR_SUCCESS;
}
