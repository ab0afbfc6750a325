#ifndef WH_DB_LOGDRAIN_H
#define WH_DB_LOGDRAIN_H
/* Drains of logs. Written by the module; counts, causes and other keys by the scheduler. Targets
 * are sealed throughout (libwh/wh_logdrain.h). Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_logdrain.h"
#include "whdb/wh_dbc.h"

/* conflict: the name is another's. */
apr_status_t wh_db_logdrain_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *d,
                                   wh_err_t *err) WH_DB_CHECKED;
/* By id or name. */
apr_status_t wh_db_logdrain_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id_or_name,
                                wh_logdrain_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Up to limit with id > after, by id; array of wh_logdrain_t*. */
apr_status_t wh_db_logdrain_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                                 apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Everything but id, created_at and what is counted. APR_NOTFOUND: it is not any more what it was
 * at read_at, its updated_at then. */
apr_status_t wh_db_logdrain_update(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *d,
                                   apr_time_t read_at, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_logdrain_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   wh_err_t *err) WH_DB_CHECKED;
/* sent and lost come on top. */
apr_status_t wh_db_logdrain_count(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *more,
                                  wh_err_t *err) WH_DB_CHECKED;
/* APR_NOTFOUND when it is not any more what old says. */
apr_status_t wh_db_logdrain_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *old,
                                   const wh_logdrain_t *fresh, wh_err_t *err) WH_DB_CHECKED;
/* App's slug and environment of a deployment. */
apr_status_t wh_db_logdrain_place(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment,
                                  const char **slug, const char **environment,
                                  wh_err_t *err) WH_DB_CHECKED;

#endif
