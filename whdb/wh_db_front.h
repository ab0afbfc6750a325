#ifndef WH_DB_FRONT_H
#define WH_DB_FRONT_H
/* What the httpd of other machines counted of requests (libwh/wh_meter_file.h): the schedulers that
 * stand by there write it, the active one reads it. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "whdb/wh_dbc.h"

typedef struct wh_db_front_t {
    const char *name;    /* of the file */
    const char *figures; /* the file */
} wh_db_front_t;

/* In the place of what was said under this name; nothing while no rule of error_rate or latency is
 * enabled. figures: ASCII. */
apr_status_t wh_db_front_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_front_t *front,
                             apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* Up to limit that were written after `since`: array of wh_db_front_t. */
apr_status_t wh_db_front_since(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t since, int limit,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Those that were written before go. */
apr_status_t wh_db_front_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
