#include "whdb/wh_db_event.h"
#include "whdb/wh_dbc_priv.h"

#include <stdlib.h>

apr_status_t wh_db_event_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_event_t *event,
                                wh_err_t *err)
{
    char *payload;
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "An event is written in a transaction only.");
    }
    payload = json_dumps(event->payload, JSON_COMPACT | JSON_SORT_KEYS);
    if (payload == NULL) {
        return wh_err_set(err, 500, "internal", "An event cannot be written as JSON.");
    }
    rv = wh_dbc_query(dbc, p, WH_SQL_event_insert,
                      WH_ARGS(WH_S(event->id), WH_S(event->user_id), WH_S(event->app_id),
                              WH_S(event->kind), WH_I(event->ended), WH_S(payload),
                              WH_I(event->at)),
                      NULL, err);
    free(payload);
    return rv;
}
