#ifndef WH_DB_ENVIRONMENT_H
#define WH_DB_ENVIRONMENT_H
/* Which branches the environments of an app take. The module writes what the owner wants. Error
 * rules: wh_dbc.h. */

#include "libwh/wh_branch.h"
#include "whdb/wh_dbc.h"

/* Of an app, in the order in which they are asked; array of wh_branch_rule_t. */
apr_status_t wh_db_environment_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Makes or changes the one of this name. */
apr_status_t wh_db_environment_put(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                   const wh_branch_rule_t *rule, wh_err_t *err) WH_DB_CHECKED;

/* APR_NOTFOUND: there is none. */
apr_status_t wh_db_environment_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                      const char *name, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_environment_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                             wh_err_t *err) WH_DB_CHECKED;

#define WH_DB_ENVIRONMENTS_MAX 100 /* that an app shows at one time; previews are counted apart */

/* Whether the app may show this environment: production, a preview, one that it has, or one more.
 * 409 too_many_environments. In the caller's transaction. */
apr_status_t wh_db_environment_room(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    const char *environment, wh_err_t *err) WH_DB_CHECKED;

#endif
