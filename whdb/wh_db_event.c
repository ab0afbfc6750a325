#include "whdb/wh_db_event.h"
#include "whdb/wh_dbc_priv.h"

#include <stdlib.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"

/* In p, NULL = it is no JSON that can be written. */
static const char *payload_of(apr_pool_t *p, const wh_db_event_t *event)
{
    char *text = json_dumps(event->payload, JSON_COMPACT | JSON_SORT_KEYS | WH_JSON_REALS);
    const char *copy = text != NULL ? apr_pstrdup(p, text) : NULL;

    free(text);
    return copy;
}

static apr_status_t inside(const wh_dbc_t *dbc, const char *payload, wh_err_t *err)
{
    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "An event is written in a transaction only.");
    }
    return payload != NULL
               ? APR_SUCCESS
               : wh_err_set(err, 500, "internal", "An event cannot be written as JSON.");
}

apr_status_t wh_db_event_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_event_t *event,
                                wh_err_t *err)
{
    const char *payload = payload_of(p, event);
    apr_status_t rv = inside(dbc, payload, err);

    return rv == APR_SUCCESS
               ? wh_dbc_query(dbc, p, WH_SQL_event_insert,
                              WH_ARGS(WH_S(event->id), WH_S(event->user_id), WH_S(event->app_id),
                                      WH_S(event->kind), WH_I(event->ended), WH_S(payload),
                                      WH_I(event->at)),
                              NULL, err)
               : rv;
}

apr_status_t wh_db_event_insert_all(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *events,
                                    wh_err_t *err)
{
    json_t *batch = json_array();
    const char *text;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < events->nelts; i++) {
        const wh_db_event_t *e = &APR_ARRAY_IDX(events, i, wh_db_event_t);
        const char *payload = payload_of(p, e);

        rv = inside(dbc, payload, err);
        if (rv == APR_SUCCESS) {
            json_array_append_new(batch, json_pack("[s,s,s,s,i,s,I]", e->id, e->user_id, e->app_id,
                                                   e->kind, e->ended, payload, (json_int_t)e->at));
        }
    }
    text = wh_dbc_batch_text(p, batch);
    return rv == APR_SUCCESS && events->nelts > 0
               ? wh_dbc_query(dbc, p, WH_SQL_event_insert_all, WH_ARGS(WH_J(text)), NULL, err)
               : rv;
}
