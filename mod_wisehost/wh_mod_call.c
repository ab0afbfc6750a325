/* What handlers share: the connection, what a call says, answers, and causes that many have. */
#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "whdb/wh_db_app.h"

/* ---- the database --------------------------------------------------------------------------- */

apr_status_t wh_mod_call_db(wh_call_t *c)
{
    apr_status_t rv = c->dbc ? APR_SUCCESS : wh_mod_dbc(c->r, &c->dbc, &c->err);

    if (!rv) {
        wh_mod_audit_db(c);
    }
    return rv;
}

int wh_mod_call_lost(wh_call_t *c, apr_status_t rv)
{
    if (!rv || rv == APR_NOTFOUND || !wh_err_is(&c->err, "db_gone")) {
        return 0;
    }
    c->dbc = NULL; /* the next wh_mod_call_db lends a fresh one */
    wh_err_clear(&c->err);
    return 1;
}

apr_status_t wh_mod_call_begin(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_dbc_begin(c->dbc, c->p, &c->err);
    if (wh_mod_call_lost(c, rv)) {
        rv = wh_mod_call_db(c);
        rv = rv ? rv : wh_dbc_begin(c->dbc, c->p, &c->err);
    }
    return rv;
}

/* Whatever waits for the client (a body that dribbles in, an answer that nobody reads) waits
 * without a connection of the pool: a few slow clients would have them all. */
void wh_mod_call_let_go(wh_call_t *c)
{
    wh_mod_db_release(c->r);
    c->dbc = NULL;
}

/* ---- answers -------------------------------------------------------------------------------- */

apr_status_t wh_mod_call_reply(wh_call_t *c, int status, json_t *body)
{
    wh_mod_call_let_go(c);
    c->rc = wh_mod_req_reply(c->r, status, body);
    return APR_SUCCESS;
}

apr_status_t wh_mod_call_text(wh_call_t *c, int status, const char *text, apr_size_t len)
{
    wh_mod_call_let_go(c);
    c->rc = wh_mod_req_text(c->r, status, text, len);
    return APR_SUCCESS;
}

apr_status_t wh_mod_call_empty(wh_call_t *c, int status)
{
    wh_mod_call_let_go(c);
    c->rc = wh_mod_req_empty(c->r, status);
    return APR_SUCCESS;
}

json_t *wh_mod_call_list(json_t *items, const char *next)
{
    return json_pack("{s:o, s:s?}", "items", items, "next", next);
}

/* ---- pages of lists ------------------------------------------------------------------------- */

apr_status_t wh_mod_call_page(wh_call_t *c, wh_call_page_t *page, int (*ok)(const char *cursor))
{
    const char *cursor = apr_table_get(c->query, "cursor");

    *page = (wh_call_page_t){.limit = (int)wh_mod_call_number(c, "limit", WH_API_LIST_DEFAULT),
                             .after = cursor ? cursor : "",
                             .items = wh_json_own(c->p, json_array()),
                             .more = 1};
    return !cursor || ok(cursor)
               ? APR_SUCCESS
               : wh_err_set(&c->err, 400, "bad_parameter", "The cursor is none of ours.");
}

int wh_mod_call_cursor_number(const char *cursor)
{
    size_t n = strlen(cursor);

    return n > 0 && n <= 18 && *cursor != '0' && strspn(cursor, "0123456789") == n;
}

int wh_mod_call_page_row(wh_call_page_t *page, const char *cursor, int seen)
{
    if (page->next) {
        return 0;
    }
    page->after = cursor;
    if (!seen) {
        return 0;
    }
    if ((int)json_array_size(page->items) == page->limit) {
        page->next = page->last;
        return 0;
    }
    page->last = cursor;
    return 1;
}

void wh_mod_call_page_read(wh_call_page_t *page, int n)
{
    page->more = !page->next && n > page->limit;
}

apr_status_t wh_mod_call_page_reply(wh_call_t *c, const wh_call_page_t *page)
{
    return wh_mod_call_reply(c, 200, wh_mod_call_list(json_incref(page->items), page->next));
}

/* ---- what the call says --------------------------------------------------------------------- */

apr_int64_t wh_mod_call_number(wh_call_t *c, const char *name, apr_int64_t dflt)
{
    const char *text = apr_table_get(c->query, name);

    return text ? apr_atoi64(text) : dflt; /* the table was checked: digits alone */
}

const char *wh_mod_call_string(const wh_call_t *c, const char *name)
{
    const char *value = c->body ? json_string_value(json_object_get(c->body, name)) : NULL;

    return value ? value : "";
}

apr_status_t wh_mod_call_app(wh_call_t *c, const char **id, const char **slug)
{
    const json_t *given = c->body ? json_object_get(c->body, "app") : NULL;
    wh_app_t *app;
    apr_status_t rv;

    if (!given) {
        return APR_SUCCESS;
    }
    *id = *slug = "";
    if (!json_is_string(given)) {
        return APR_SUCCESS;
    }
    rv = wh_db_app_by_slug(c->dbc, c->p, json_string_value(given), &app, &c->err);
    if (rv == APR_NOTFOUND) {
        (void)!wh_err_field(&c->err, "/app", "no_such_app", "There is no app of that name.");
        c->err.http = 422;
        return APR_EGENERAL;
    }
    if (!rv) {
        *id = app->id;
        *slug = app->slug;
    }
    return rv;
}

/* ---- causes --------------------------------------------------------------------------------- */

apr_status_t wh_mod_call_no_worker(wh_call_t *c, const char *pointer, const char *name)
{
    (void)!wh_err_field(&c->err, pointer, "no_such_worker", "There is no worker named %s.", name);
    c->err.http = 422;
    return APR_EGENERAL;
}

apr_status_t wh_mod_call_no_random(wh_call_t *c)
{
    return wh_err_set(&c->err, 503, "no_random", "This server has no random numbers.");
}

apr_status_t wh_mod_call_name_taken(wh_call_t *c, apr_status_t rv, const char *what)
{
    if (rv && wh_err_is(&c->err, "conflict")) {
        return wh_err_set(&c->err, 409, "name_taken", "There is a %s of that name.", what);
    }
    return rv;
}
