#include "mod_wisehost/wh_mod_api.h"

#include "whdb/wh_db_usage.h"

/* F27: what is older than the window is not even asked for. */
apr_status_t wh_h_usage_get(wh_call_t *c)
{
    wh_usage_query_t q;
    apr_array_header_t *rows;
    apr_status_t rv = wh_usage_query(apr_table_get(c->query, "from"), apr_table_get(c->query, "to"),
                                     wh_mod_call_number(c, "step", 0), c->now, &q, &c->err);

    rv = rv ? rv : wh_db_usage_sum(c->dbc, c->p, c->app->id, &q, &rows, &c->err);
    return rv ? rv : wh_mod_call_reply(c, 200, wh_usage_json(c->p, c->app->slug, &q, rows));
}
