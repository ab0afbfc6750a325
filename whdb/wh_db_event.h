#ifndef WH_DB_EVENT_H
#define WH_DB_EVENT_H
/* The outbox: what happened that people may want to be told of. A row is written in the transaction
 * of what it tells, so that neither is there without the other, whatever is killed when. Error
 * rules: wh_dbc.h. */

#include <apr_tables.h>
#include <jansson.h>

#include "whdb/wh_dbc.h"

typedef struct wh_db_event_t {
    const char *id;      /* wh_id_make, or wh_id_of what it tells */
    const char *user_id; /* "" = the installation */
    const char *app_id;  /* "" = of no app */
    const char *kind;    /* "app.cpu", "deployment.failed" */
    int ended;           /* the other edge: what it tells of is over */
    json_t *payload;     /* borrowed: {"app":{"id","slug"}, …} */
    apr_time_t at;
} wh_db_event_t;

/* In a transaction only (db_error outside of one). */
apr_status_t wh_db_event_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_event_t *event,
                                wh_err_t *err) WH_DB_CHECKED;

/* Many at once (wh_db_event_t), likewise. */
apr_status_t wh_db_event_insert_all(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *events,
                                    wh_err_t *err) WH_DB_CHECKED;

#endif
