#ifndef WH_DB_USAGE_H
#define WH_DB_USAGE_H
/* What apps used (libwh/wh_usage.h). Written by the scheduler alone. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_usage.h"
#include "whdb/wh_dbc.h"

/* Rows of the bucket that begins at start: array of wh_usage_row_t. */
apr_status_t wh_db_usage_rows(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t start,
                              apr_array_header_t **rows, wh_err_t *err) WH_DB_CHECKED;

/* How far every container is counted (wh_usage_part_t); *fresh: nothing was ever sampled. */
apr_status_t wh_db_usage_parts(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **parts, int *fresh,
                               wh_err_t *err) WH_DB_CHECKED;

/* In a transaction: one statement for all rows, one for all parts. */
apr_status_t wh_db_usage_write(wh_dbc_t *dbc, apr_pool_t *p, const wh_usage_sample_t *sample,
                               wh_err_t *err) WH_DB_CHECKED;

/* The rows of a stretch of time, added up to steps: array of wh_usage_row_t by start. */
apr_status_t wh_db_usage_sum(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                             const wh_usage_query_t *query, apr_array_header_t **rows,
                             wh_err_t *err) WH_DB_CHECKED;

/* F173: removes what is older than before, an hour of it at most; *more: there is more. With the
 * last of it the counts of containers go that are over. */
apr_status_t wh_db_usage_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int *more,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
