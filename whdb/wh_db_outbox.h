#ifndef WH_DB_OUTBOX_H
#define WH_DB_OUTBOX_H
/* The outbox of live events: triggers of the database fill it, in the transaction of the status
 * that was written; nothing else does. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_news.h"
#include "whdb/wh_dbc.h"

/* The oldest that are committed (array of wh_news_row_t), by id. Another may still be committed
 * under a lower id (PostgreSQL): it comes with a later call. */
apr_status_t wh_db_outbox_list(wh_dbc_t *dbc, apr_pool_t *p, int limit, apr_array_header_t **out,
                               wh_err_t *err) WH_DB_CHECKED;

/* Removes these rows. */
apr_status_t wh_db_outbox_delete(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *rows,
                                 wh_err_t *err) WH_DB_CHECKED;

#endif
