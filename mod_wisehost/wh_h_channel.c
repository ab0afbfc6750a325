/* Channels of notifications: their targets are sealed before they are stored, and never answered
 * again. */
#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_channel.h"
#include "libwh/wh_event.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_stdhook.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_time.h"
#include "whdb/wh_db_event.h"
#include "whdb/wh_db_notify.h"

/* ---- what a body says ----------------------------------------------------------------------- */

/* The list of the body as lines; NULL when there is none. */
static apr_status_t read_events(wh_call_t *c, const char **lines)
{
    const json_t *given = c->body ? json_object_get(c->body, "events") : NULL;
    apr_array_header_t *list = apr_array_make(c->p, 4, sizeof(const char *));
    apr_status_t rv;

    *lines = NULL;
    if (!json_is_array(given)) {
        return APR_SUCCESS;
    }
    for (size_t i = 0; i < json_array_size(given); i++) {
        APR_ARRAY_PUSH(list, const char *) = json_string_value(json_array_get(given, i));
    }
    rv = wh_event_filter_check(list, &c->err);
    if (!rv) {
        *lines = apr_array_pstrcat(c->p, list, '\n');
        *lines = *lines ? *lines : "";
    }
    return rv;
}

/* A webhook has a secret: the one given, or a new one. */
static apr_status_t give_secret(wh_call_t *c, wh_channel_key_t *key)
{
    wh_shout_t *t;
    apr_status_t rv = wh_shout_parse(c->p, key->url, &t, &c->err);

    if (rv) {
        return rv;
    }
    if (t->kind != WH_SHOUT_WEBHOOK) {
        key->secret = key->former = "";
        return APR_SUCCESS;
    }
    if (!*key->secret) {
        key->secret = wh_stdhook_secret_make(c->p, wh_sys_rand());
    }
    return key->secret ? APR_SUCCESS : wh_mod_call_no_random(c);
}

static apr_status_t seal(wh_call_t *c, wh_channel_t *channel, const wh_channel_key_t *key)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());

    return wh_channel_seal(c->p, &ring, wh_sys_rand(), channel, key, &c->err);
}

static apr_status_t open_key(wh_call_t *c, wh_channel_key_t *key)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());

    return wh_channel_open(c->p, &ring, c->channel, key, &c->err);
}

/* ---- routes --------------------------------------------------------------------------------- */

static apr_status_t reply(wh_call_t *c, int status, const wh_channel_t *channel,
                          const char *secret)
{
    if (status == 201) {
        wh_mod_req_location(c->r, "/v1/notifications/channels/%s", channel->id);
    }
    return wh_mod_call_reply(c, status, wh_channel_json(c->p, channel, secret));
}

apr_status_t wh_h_channel_create(wh_call_t *c)
{
    const json_t *enabled = json_object_get(c->body, "enabled");
    wh_channel_t channel = {.id = wh_id_make(c->p, c->now, wh_sys_rand()),
                            .name = wh_mod_call_string(c, "name"),
                            .app_id = "",
                            .slug = "",
                            .enabled = !json_is_false(enabled),
                            .reason = "",
                            .created_at = c->now,
                            .updated_at = c->now};
    wh_channel_key_t key = {.url = wh_mod_call_string(c, "target"),
                            .secret = wh_mod_call_string(c, "secret"),
                            .former = ""};
    apr_status_t rv = wh_channel_name_check(channel.name, &c->err);

    rv = rv ? rv : (channel.id ? APR_SUCCESS : wh_mod_call_no_random(c));
    rv = rv ? rv : give_secret(c, &key);
    rv = rv ? rv : read_events(c, &channel.events);
    rv = rv ? rv : seal(c, &channel, &key);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_mod_call_app(c, &channel.app_id, &channel.slug);
    rv = rv ? rv
            : wh_mod_call_name_taken(c, wh_db_channel_insert(c->dbc, c->p, &channel, &c->err),
                                     "channel");
    c->made = channel.name;
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    channel.events = channel.events ? channel.events : "";
    return rv ? rv : reply(c, 201, &channel, *key.secret ? key.secret : NULL);
}

apr_status_t wh_h_channel_get(wh_call_t *c)
{
    return reply(c, 200, c->channel, NULL);
}

apr_status_t wh_h_channel_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    rv = rv ? rv : wh_mod_call_db(c);
    rv = rv ? rv : wh_db_channel_list(c->dbc, c->p, page.after, page.limit + 1, &rows, &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_channel_t *channel = APR_ARRAY_IDX(rows, i, wh_channel_t *);

        if (wh_mod_call_page_row(&page, channel->id, 1)) {
            json_array_append_new(page.items, wh_channel_json(c->p, channel, NULL));
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

/* Writes what it became, if nobody else has changed it since it was read. */
static apr_status_t store(wh_call_t *c, wh_channel_t *channel)
{
    apr_time_t read_at = channel->updated_at;
    apr_status_t rv;

    channel->updated_at = c->now > read_at ? c->now : read_at + 1;
    rv = wh_mod_call_name_taken(c, wh_db_channel_update(c->dbc, c->p, channel, read_at, &c->err),
                                "channel");
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 409, "conflict", "It was changed at the same time.");
    }
    channel->failures = 0;
    return rv;
}

/* The body's fields into the channel; *secret = a new one of a webhook. */
static apr_status_t change(wh_call_t *c, wh_channel_t *channel, const char **secret)
{
    const json_t *enabled = json_object_get(c->body, "enabled");
    wh_channel_key_t key = {.url = wh_mod_call_string(c, "target"), .secret = "", .former = ""};
    const char *events = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (*wh_mod_call_string(c, "name")) {
        channel->name = wh_mod_call_string(c, "name");
        rv = wh_channel_name_check(channel->name, &c->err);
    }
    rv = rv ? rv : read_events(c, &events);
    channel->events = events ? events : channel->events;
    if (json_is_boolean(enabled)) {
        channel->enabled = json_is_true(enabled);
        channel->reason = "";
    }
    if (!rv && *key.url) {
        rv = give_secret(c, &key);
        rv = rv ? rv : seal(c, channel, &key);
        *secret = *key.secret ? key.secret : NULL;
    }
    return rv;
}

apr_status_t wh_h_channel_patch(wh_call_t *c)
{
    wh_channel_t channel = *c->channel;
    const char *secret = NULL;
    apr_status_t rv = change(c, &channel, &secret);

    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_mod_call_app(c, &channel.app_id, &channel.slug);
    rv = rv ? rv : store(c, &channel);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 200, &channel, secret);
}

apr_status_t wh_h_channel_delete(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_channel_delete(c->dbc, c->p, c->channel->id, c->now, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_mod_call_empty(c, 204);
}

/* The secret before signs beside the new one for a day, so that nothing is refused in between. */
apr_status_t wh_h_channel_rotate(wh_call_t *c)
{
    wh_channel_t channel = *c->channel;
    wh_channel_key_t key;
    apr_status_t rv = open_key(c, &key);

    if (!rv && !*key.secret) {
        rv = wh_err_set(&c->err, 409, "no_secret", "Only webhooks have a secret.");
    }
    if (!rv) {
        key.former = key.secret;
        key.former_until = c->now + WH_CHANNEL_FORMER_US;
        key.secret = wh_stdhook_secret_make(c->p, wh_sys_rand());
        rv = key.secret ? APR_SUCCESS : wh_mod_call_no_random(c);
    }
    rv = rv ? rv : seal(c, &channel, &key);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : store(c, &channel);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 200, &channel, key.secret);
}

/* ---- what went to it ------------------------------------------------------------------------ */

static json_t *when(apr_pool_t *p, apr_time_t at)
{
    return at ? json_string(wh_time_rfc3339(p, at)) : json_null();
}

static json_t *document(apr_pool_t *p, const wh_notice_t *n)
{
    int pending = !strcmp(n->status, "pending");
    json_t *doc = json_pack("{s:s, s:s, s:b, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "id", n->id,
                            "event", n->kind, "ended", n->ended, "status", n->status, "attempts",
                            (json_int_t)n->attempts, "http_status",
                            n->http_status ? json_integer(n->http_status) : json_null(), "cause",
                            *n->cause_code ? json_pack("{s:s, s:s}", "code", n->cause_code,
                                                       "detail", n->cause_detail)
                                           : json_null(),
                            "created_at", when(p, n->created_at), "attempted_at",
                            when(p, n->attempted_at), "next_at", when(p, pending ? n->next_at : 0));
    json_t *data = json_loads(n->payload, 0, NULL);

    json_object_set_new(doc, "data", data ? data : json_null());
    return doc;
}

static apr_status_t find(wh_call_t *c, wh_notice_t **n)
{
    if (!wh_id_ok(c->param[1])) {
        return wh_err_set(&c->err, 404, "not_found", "There is no such delivery.");
    }
    return wh_db_notice_get(c->dbc, c->p, c->channel->id, c->param[1], n, &c->err);
}

static apr_status_t reply_notice(wh_call_t *c, int status, const char *id)
{
    wh_notice_t *n;
    apr_status_t rv = wh_db_notice_get(c->dbc, c->p, c->channel->id, id, &n, &c->err);

    if (rv) {
        return rv;
    }
    if (status == 202) {
        wh_mod_req_location(c->r, "/v1/notifications/channels/%s/deliveries/%s", c->channel->id,
                            n->id);
        wh_mod_poke(c->r);
    }
    return wh_mod_call_reply(c, status, document(c->p, n));
}

apr_status_t wh_h_notice_list(wh_call_t *c)
{
    const char *status = apr_table_get(c->query, "status");
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    if (!rv && status && strcmp(status, "pending") && strcmp(status, "delivered") &&
        strcmp(status, "dead")) {
        return wh_err_set(&c->err, 400, "bad_parameter",
                          "status is pending, delivered or dead.");
    }
    rv = rv ? rv
            : wh_db_notice_list(c->dbc, c->p, c->channel->id, page.after, status ? status : "",
                                page.limit + 1, &rows, &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_notice_t *n = APR_ARRAY_IDX(rows, i, wh_notice_t *);

        if (wh_mod_call_page_row(&page, n->id, 1)) {
            json_array_append_new(page.items, document(c->p, n));
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

apr_status_t wh_h_notice_get(wh_call_t *c)
{
    wh_notice_t *n;
    apr_status_t rv = find(c, &n);

    return rv ? rv : wh_mod_call_reply(c, 200, document(c->p, n));
}

/* The same delivery with the same id, from its first attempt on. */
apr_status_t wh_h_notice_resend(wh_call_t *c)
{
    wh_notice_t *n;
    apr_status_t rv = find(c, &n);

    rv = rv ? rv : wh_mod_call_begin(c);
    if (rv) {
        return rv;
    }
    rv = wh_db_notice_again(c->dbc, c->p, c->channel->id, n->id, c->now, &c->err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 409, "still_pending", "It is on its way already.");
    }
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply_notice(c, 202, n->id);
}

/* An event that no other channel is asked about. */
apr_status_t wh_h_channel_test(wh_call_t *c)
{
    wh_db_event_t event = {.id = wh_id_make(c->p, c->now, wh_sys_rand()),
                           .user_id = "",
                           .app_id = "",
                           .kind = wh_event_name(WH_EVENT_TEST),
                           .at = c->now};
    const char *id = wh_id_make(c->p, c->now, wh_sys_rand());
    apr_status_t rv = event.id && id ? wh_mod_call_begin(c) : wh_mod_call_no_random(c);

    event.payload = wh_json_own(
        c->p, json_pack("{s:{s:s, s:s}}", "channel", "id", c->channel->id, "name",
                        c->channel->name));
    rv = rv ? rv : wh_db_event_insert(c->dbc, c->p, &event, &c->err);
    rv = rv ? rv : wh_db_event_told(c->dbc, c->p, event.id, &c->err);
    rv = rv ? rv
            : wh_db_notice_insert(c->dbc, c->p, id, c->channel->id, event.id, c->now, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply_notice(c, 202, id);
}

apr_status_t wh_h_event_list(wh_call_t *c)
{
    json_t *items = json_array();

    for (int i = 0; i < WH_EVENT_KINDS; i++) {
        json_array_append_new(items, json_pack("{s:s, s:s}", "event", wh_event_name(i), "title",
                                               wh_event_title(c->p, &(wh_event_t){.kind = i})));
    }
    return wh_mod_call_reply(c, 200, wh_mod_call_list(items, NULL));
}
