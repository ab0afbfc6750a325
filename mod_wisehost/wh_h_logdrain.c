/* Drains of logs: their targets are sealed before they are stored, and never answered again. */
#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_id.h"
#include "libwh/wh_logdrain.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_logdrain.h"

static apr_status_t seal(wh_call_t *c, wh_logdrain_t *d, const char *url)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());

    return wh_logdrain_seal(c->p, &ring, wh_sys_rand(), d, url, &c->err);
}

/* Syslog has no bodies. */
static apr_status_t gzip_check(wh_call_t *c, const wh_logdrain_t *d)
{
    return d->gzip && !strcmp(d->kind, wh_logdrain_kind_name(WH_LOGDRAIN_SYSLOG))
               ? wh_err_field(&c->err, "/gzip", "gzip_unknown",
                              "Syslog sends no bodies: gzip is for Loki and HTTP.")
               : APR_SUCCESS;
}

/* The scheduler looks at the table when it is poked. */
static apr_status_t reply(wh_call_t *c, int status, const wh_logdrain_t *d)
{
    if (status == 201) {
        wh_mod_req_location(c->r, "/v1/drains/%s", d->id);
    }
    wh_mod_poke(c->r);
    return wh_mod_call_reply(c, status, wh_logdrain_json(c->p, d));
}

apr_status_t wh_h_logdrain_create(wh_call_t *c)
{
    wh_logdrain_t d = {.id = wh_id_make(c->p, c->now, wh_sys_rand()),
                       .name = wh_mod_call_string(c, "name"),
                       .app_id = "",
                       .slug = "",
                       .cause = "",
                       .enabled = !json_is_false(json_object_get(c->body, "enabled")),
                       .gzip = json_is_true(json_object_get(c->body, "gzip")),
                       .created_at = c->now,
                       .updated_at = c->now};
    apr_status_t rv = wh_channel_name_check(d.name, &c->err);

    if (!rv && !d.id) {
        rv = wh_mod_call_no_random(c);
    }
    rv = rv ? rv : seal(c, &d, wh_mod_call_string(c, "target"));
    rv = rv ? rv : gzip_check(c, &d);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_mod_call_app(c, &d.app_id, &d.slug);
    rv = rv ? rv
            : wh_mod_call_name_taken(c, wh_db_logdrain_insert(c->dbc, c->p, &d, &c->err), "drain");
    c->made = d.name;
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 201, &d);
}

apr_status_t wh_h_logdrain_get(wh_call_t *c)
{
    return wh_mod_call_reply(c, 200, wh_logdrain_json(c->p, c->logdrain));
}

apr_status_t wh_h_logdrain_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    rv = rv ? rv : wh_mod_call_db(c);
    rv = rv ? rv : wh_db_logdrain_list(c->dbc, c->p, page.after, page.limit + 1, &rows, &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_logdrain_t *d = APR_ARRAY_IDX(rows, i, wh_logdrain_t *);

        if (wh_mod_call_page_row(&page, d->id, 1)) {
            json_array_append_new(page.items, wh_logdrain_json(c->p, d));
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

apr_status_t wh_h_logdrain_patch(wh_call_t *c)
{
    const json_t *enabled = json_object_get(c->body, "enabled");
    const json_t *gzip = json_object_get(c->body, "gzip");
    wh_logdrain_t d = *c->logdrain;
    apr_time_t read_at = d.updated_at;
    apr_status_t rv = APR_SUCCESS;

    if (*wh_mod_call_string(c, "name")) {
        d.name = wh_mod_call_string(c, "name");
        rv = wh_channel_name_check(d.name, &c->err);
    }
    d.enabled = json_is_boolean(enabled) ? json_is_true(enabled) : d.enabled;
    d.gzip = json_is_boolean(gzip) ? json_is_true(gzip) : d.gzip;
    d.updated_at = c->now > read_at ? c->now : read_at + 1;
    if (!rv && *wh_mod_call_string(c, "target")) {
        rv = seal(c, &d, wh_mod_call_string(c, "target"));
    }
    rv = rv ? rv : gzip_check(c, &d);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_mod_call_app(c, &d.app_id, &d.slug);
    rv = rv ? rv
            : wh_mod_call_name_taken(c, wh_db_logdrain_update(c->dbc, c->p, &d, read_at, &c->err),
                                     "drain");
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 409, "conflict", "It was changed at the same time.");
    }
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 200, &d);
}

apr_status_t wh_h_logdrain_delete(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_logdrain_delete(c->dbc, c->p, c->logdrain->id, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (!rv) {
        wh_mod_poke(c->r);
    }
    return rv ? rv : wh_mod_call_empty(c, 204);
}
