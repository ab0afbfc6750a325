#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_alert.h"

static json_t *document(wh_call_t *c, const wh_db_alert_rule_t *r)
{
    return wh_alert_rule_json(c->p, &r->rule, *r->slug ? r->slug : NULL,
                              *r->slug || c->app ? &r->state : NULL, r->open);
}

apr_status_t wh_h_alert_rule_get(wh_call_t *c)
{
    return wh_mod_call_reply(c, 200, document(c, c->alert_rule));
}

/* Of an app: its own and those of every app, as they stand on it. One page: there are at most
 * WH_ALERT_RULES_MAX of each. */
apr_status_t wh_h_alert_rule_list_app(wh_call_t *c)
{
    apr_array_header_t *rows;
    json_t *items;
    apr_status_t rv = wh_db_alert_rule_list_app(c->dbc, c->p, c->app->id, &rows, &c->err);

    if (rv) {
        return rv;
    }
    items = json_array();
    for (int i = 0; i < rows->nelts; i++) {
        json_array_append_new(items, document(c, &APR_ARRAY_IDX(rows, i, wh_db_alert_rule_t)));
    }
    return wh_mod_call_reply(c, 200, wh_mod_call_list(items, NULL));
}

/* A rule of every app is for those who see every app. */
static const char *whose(const wh_alert_rule_t *rule)
{
    return *rule->app_id ? rule->app_id : WH_OBJECT_EVERY_APP;
}

apr_status_t wh_h_alert_rule_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    rv = rv ? rv : wh_mod_call_db(c);
    while (!rv && page.more) {
        rv = wh_db_alert_rule_list(c->dbc, c->p, page.after, page.limit + 1, &rows, &c->err);
        for (int i = 0; !rv && i < rows->nelts; i++) {
            const wh_db_alert_rule_t *r = &APR_ARRAY_IDX(rows, i, wh_db_alert_rule_t);

            if (wh_mod_call_page_row(&page, r->rule.id,
                                     wh_authz_sees_app(&c->actor, whose(&r->rule)))) {
                json_array_append_new(page.items, document(c, r));
            }
        }
        wh_mod_call_page_read(&page, rv ? 0 : rows->nelts);
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

apr_status_t wh_h_alert_rule_create(wh_call_t *c)
{
    wh_db_alert_rule_t made = {.slug = c->app ? c->app->slug : ""};
    wh_alert_rule_t *r = &made.rule;
    apr_status_t rv = wh_alert_rule_decode(c->p, c->body, 0, r, &c->err);

    r->id = wh_id_make(c->p, c->now, wh_sys_rand());
    r->user_id = "";
    r->app_id = c->app ? c->app->id : "";
    r->created_at = r->updated_at = c->now;
    if (!rv && !r->id) {
        rv = wh_mod_call_no_random(c);
    }
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_alert_rule_insert(c->dbc, c->p, r, &c->err);
    c->made = r->id;
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_req_location(c->r, "/v1/alert-rules/%s", r->id);
    return wh_mod_call_reply(c, 201, document(c, &made));
}

/* The rule as the database has it under the lock of the transaction. */
static apr_status_t write_rule(wh_call_t *c)
{
    wh_alert_rule_t *r = &c->alert_rule->rule;

    r->updated_at = c->now;
    return wh_db_alert_rule_update(c->dbc, c->p, r, &c->err);
}

apr_status_t wh_h_alert_rule_patch(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv
            : wh_db_alert_rule_get(c->dbc, c->p, c->alert_rule->rule.id, &c->alert_rule, &c->err);
    rv = rv ? rv : wh_alert_rule_decode(c->p, c->body, 1, &c->alert_rule->rule, &c->err);
    rv = rv ? rv : write_rule(c);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_h_alert_rule_get(c);
}

/* What it fired is resolved by the next tick. */
apr_status_t wh_h_alert_rule_delete(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    c->alert_rule->rule.deleted_at = c->now;
    rv = rv ? rv : write_rule(c);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_mod_call_empty(c, 204);
}
