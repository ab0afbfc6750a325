/* From the names in the database to the records of the route table. */
#ifndef WH_ROUTES_H
#define WH_ROUTES_H

#include "wh-scheduler/core.h"
#include "whdb/wh_db_name.h"

/* One name as a record in p; the host of a label is label.base_domain. A container app without a
 * running upstream, an app that its owner stopped and one that he put there is in maintenance: the
 * name stays ours; while the next deployment is starting, requests wait instead. Errors: those of
 * the snapshot. Pure. */
apr_status_t wh_routes_record(apr_pool_t *p, const wh_db_route_t *row, const char *base_domain,
                              wh_publish_item_t *out, wh_err_t *err) WH_MUST_CHECK;

/* All names and domains of an app in one transaction of the table, durable on return; what it is
 * not to answer for any more goes in the same one. */
apr_status_t wh_routes_publish_app(wh_core_t *core, apr_pool_t *p, const char *app_id,
                                   wh_err_t *err) WH_MUST_CHECK;

/* The whole table, from nothing. */
apr_status_t wh_routes_publish_all(wh_core_t *core, apr_pool_t *p, wh_err_t *err) WH_MUST_CHECK;

/* Takes the names (array of wh_name_t*) out of the table, and with app_id, that of a deleted app,
 * its domains. */
apr_status_t wh_routes_remove(wh_core_t *core, apr_pool_t *p, const apr_array_header_t *names,
                              const char *app_id, wh_err_t *err) WH_MUST_CHECK;

#endif
