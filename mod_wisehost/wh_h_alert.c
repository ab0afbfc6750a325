#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_id.h"
#include "whdb/wh_db_alert.h"

static apr_status_t reply(wh_call_t *c, const char *id)
{
    wh_alert_t *a;
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_alert_get(c->dbc, c->p, id, &a, &c->err);
    return rv ? rv : wh_mod_call_reply(c, 200, wh_alert_json(c->p, a));
}

apr_status_t wh_h_alert_get(wh_call_t *c)
{
    return wh_mod_call_reply(c, 200, wh_alert_json(c->p, c->alert));
}

static apr_status_t status_ok(wh_call_t *c, const char *status)
{
    static const char *const words[] = {"open", "active", "acknowledged", "resolved"};

    for (apr_size_t i = 0; status && i < WH_ARRAY_LEN(words); i++) {
        if (!strcmp(status, words[i])) {
            return APR_SUCCESS;
        }
    }
    return status ? wh_err_set(&c->err, 400, "bad_parameter",
                               "The status is open, active, acknowledged or resolved.")
                  : APR_SUCCESS;
}

/* F157: of one app, or of all that the caller may see; pages are filled. */
apr_status_t wh_h_alert_list(wh_call_t *c)
{
    const char *status = apr_table_get(c->query, "status");
    wh_db_alert_filter_t f = {.app_id = c->app ? c->app->id : "", .status = status ? status : ""};
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    f.limit = page.limit + 1;
    rv = rv ? rv : status_ok(c, status);
    rv = rv ? rv : wh_mod_call_db(c);
    while (!rv && page.more) {
        f.before = page.after;
        rv = wh_db_alert_list(c->dbc, c->p, &f, &rows, &c->err);
        for (int i = 0; !rv && i < rows->nelts; i++) {
            const wh_alert_t *a = APR_ARRAY_IDX(rows, i, wh_alert_t *);

            if (wh_mod_call_page_row(&page, a->id, wh_authz_sees_app(&c->actor, a->app_id))) {
                json_array_append_new(page.items, wh_alert_json(c->p, a));
            }
        }
        wh_mod_call_page_read(&page, rv ? 0 : rows->nelts);
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

/* Once more is no fault: it stays whose it is. */
apr_status_t wh_h_alert_acknowledge(wh_call_t *c)
{
    apr_status_t rv;

    if (!strcmp(c->alert->status, "resolved")) {
        return wh_err_set(&c->err, 409, "already_resolved", "This alert is resolved.");
    }
    rv = wh_db_alert_acknowledge(c->dbc, c->p, c->alert->id, c->actor.id, c->now, &c->err);
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv ? rv : reply(c, c->alert->id);
}

/* Inside the caller's transaction. */
static apr_status_t resolve(wh_call_t *c, const char *id)
{
    apr_array_header_t *ends = apr_array_make(c->p, 1, sizeof(wh_db_alert_end_t));

    APR_ARRAY_PUSH(ends, wh_db_alert_end_t) = (wh_db_alert_end_t){.id = id, .reason = "by_hand"};
    return wh_db_alert_resolve(c->dbc, c->p, ends, c->now, NULL, &c->err);
}

apr_status_t wh_h_alert_resolve(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : resolve(c, c->alert->id);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return reply(c, c->alert->id);
}

/* F157: whatever alert the source has; none is no fault. */
apr_status_t wh_h_alert_resolve_source(wh_call_t *c)
{
    wh_alert_t source = {.user_id = "", .app_id = c->app->id};
    const json_t *body = json_object_get(c->body, "source");
    const char *id = NULL;
    apr_status_t rv;

    source.source_type = json_string_value(json_object_get(body, "type"));
    source.source_id = json_string_value(json_object_get(body, "id"));
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_alert_of_source(c->dbc, c->p, &source, &id, &c->err);
    rv = rv || !id ? rv : resolve(c, id);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return id ? reply(c, id) : wh_mod_call_empty(c, 204);
}
