#ifndef WH_DB_RELEASE_H
#define WH_DB_RELEASE_H
/* Static releases, named by their content (id = wh_manifest_id, 40 hex digits); a row is there once
 * the files are durably in place. Error rules: wh_dbc.h. */

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* Stores r, or notes that the one that is there was committed again, at r->created_at. */
apr_status_t wh_db_release_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_release_t *r,
                               wh_err_t *err) WH_DB_CHECKED;

apr_status_t wh_db_release_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_release_t **out,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
