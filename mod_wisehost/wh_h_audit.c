#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_id.h"
#include "libwh/wh_time.h"
#include "whdb/wh_db_audit.h"

static const char *given(wh_call_t *c, const char *name)
{
    const char *text = apr_table_get(c->query, name);

    return text ? text : "";
}

static json_t *or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *document(wh_call_t *c, const wh_db_audit_t *a)
{
    return json_pack("{s:s, s:s, s:{s:s, s:o}, s:s, s:s, s:o, s:o, s:o, s:s, s:i, s:o}", "id",
                     a->id, "at", wh_time_rfc3339(c->p, a->at), "actor", "kind", a->actor_kind,
                     "id", or_null(a->actor_id), "action", a->action, "object", a->object, "app",
                     or_null(*a->slug ? a->slug : a->app_id), "address", or_null(a->address),
                     "request_id", or_null(a->request_id), "outcome", a->outcome, "status",
                     a->status, "code", or_null(a->code));
}

apr_status_t wh_h_audit_list(wh_call_t *c)
{
    const char *since = apr_table_get(c->query, "since");
    wh_db_audit_filter_t f = {
        .action = given(c, "action"), .slug = given(c, "app"), .actor = given(c, "actor")};
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    f.before = page.after;
    f.limit = page.limit + 1;
    if (!rv && since && wh_time_parse(since, &f.since)) {
        return wh_err_set(&c->err, 400, "bad_parameter",
                          "The query parameter since is a time: 2026-01-02T03:04:05Z.");
    }
    rv = rv ? rv : wh_mod_call_db(c);
    rv = rv ? rv : wh_db_audit_list(c->dbc, c->p, &f, &rows, &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_db_audit_t *a = &APR_ARRAY_IDX(rows, i, wh_db_audit_t);

        if (wh_mod_call_page_row(&page, a->id, 1)) {
            json_array_append_new(page.items, document(c, a));
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}
