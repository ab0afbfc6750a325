#include "wh-scheduler/notices.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "libwh/wh_notify.h"
#include "wh-scheduler/core.h"
#include "wh-scheduler/envs.h"
#include "whdb/wh_db_notify.h"

#define CHANNELS_MAX 1000

/* An attempt under way; in the pool of its request. */
typedef struct flight_t {
    wh_notice_t notice; /* attempts counts this one */
    int slot;           /* in core->notices.flying */
} flight_t;

static apr_status_t end_tx(wh_core_t *core, apr_status_t rv, wh_err_t *err)
{
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

/* ---- who hears of it ---- */

static apr_status_t deal_one(wh_core_t *core, apr_pool_t *p, const wh_db_untold_t *event,
                             const apr_array_header_t *channels, apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = wh_db_event_told(core->dbc, p, event->id, err);

    for (int i = 0; rv == APR_SUCCESS && i < channels->nelts; i++) {
        const wh_channel_t *c = APR_ARRAY_IDX(channels, i, const wh_channel_t *);
        const char *id = wh_id_make(p, now, core->rand);

        if (c->enabled && id != NULL && wh_channel_takes(p, c, event->kind, event->app_id)) {
            rv = wh_db_notice_insert(core->dbc, p, id, c->id, event->id, now, err);
        }
    }
    return rv;
}

static apr_status_t deal(wh_core_t *core, apr_pool_t *p, apr_time_t now, int *more, wh_err_t *err)
{
    apr_array_header_t *events, *channels;
    apr_status_t rv = wh_db_event_untold(core->dbc, p, WH_NOTICES_BATCH, &events, err);

    *more = rv == APR_SUCCESS && events->nelts == WH_NOTICES_BATCH;
    if (rv != APR_SUCCESS || events->nelts == 0) {
        return rv;
    }
    rv = wh_dbc_begin(core->dbc, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_channel_list(core->dbc, p, "", CHANNELS_MAX, &channels, err);
    for (int i = 0; rv == APR_SUCCESS && i < events->nelts; i++) {
        rv = deal_one(core, p, &APR_ARRAY_IDX(events, i, wh_db_untold_t), channels, now, err);
    }
    return end_tx(core, rv, err);
}

/* ---- what came of it ---- */

static apr_status_t channel_ended(wh_core_t *core, apr_pool_t *p, const wh_notice_t *n,
                                  wh_notify_verdict_e verdict, apr_time_t now, wh_err_t *err)
{
    apr_int64_t most = core->settings->notify_disable_after;
    int done = 0;
    apr_status_t rv = APR_SUCCESS;

    if (verdict == WH_NOTIFY_DELIVERED) {
        return wh_db_channel_arrived(core->dbc, p, n->channel_id, err);
    }
    if (verdict == WH_NOTIFY_GONE) {
        rv = wh_db_channel_disable(core->dbc, p, n->channel_id, "gone", 0, now, &done, err);
    } else if (verdict == WH_NOTIFY_DEAD) {
        rv = wh_db_channel_failed(core->dbc, p, n->channel_id, err);
        if (rv == APR_SUCCESS && most > 0) {
            rv = wh_db_channel_disable(core->dbc, p, n->channel_id, "failing", most, now, &done,
                                       err);
        }
    }
    if (rv == APR_SUCCESS && done) {
        wh_log(WH_LOG_WARN, "WH0540", "notification channel %s is disabled: %s", n->channel_id,
               verdict == WH_NOTIFY_GONE ? "its target answers 410" : "nothing arrives there");
    }
    return rv;
}

/* Fills what n becomes; an address that is refused stays refused, so nothing is tried again. */
static wh_notify_verdict_e judge(wh_core_t *core, wh_notice_t *n, int status, const wh_err_t *why,
                                 apr_time_t now)
{
    apr_interval_time_t wait = 0;
    wh_notify_verdict_e verdict = wh_notify_judge(status, (unsigned)n->attempts,
                                                  wh_rand_jitter(core->rand), &wait);

    if (wh_err_is(why, "http_refused")) {
        verdict = WH_NOTIFY_DEAD;
    }
    n->http_status = status;
    n->next_at = verdict == WH_NOTIFY_AGAIN ? now + wait : now;
    n->status = verdict == WH_NOTIFY_DELIVERED ? "delivered"
                : verdict == WH_NOTIFY_AGAIN   ? "pending"
                                               : "dead";
    return verdict;
}

static apr_status_t write_end(wh_core_t *core, apr_pool_t *p, wh_notice_t *n,
                              wh_notify_verdict_e verdict, apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_notice_end(core->dbc, p, n, err);
    if (rv == APR_NOTFOUND) { /* its channel was deleted or disabled meanwhile, or it was resent */
        wh_dbc_rollback(core->dbc);
        wh_err_clear(err);
        return APR_SUCCESS;
    }
    rv = rv == APR_SUCCESS ? channel_ended(core, p, n, verdict, now, err) : rv;
    return end_tx(core, rv, err);
}

static apr_status_t arrived(wh_core_t *core, apr_pool_t *p, const wh_httpout_req_t *answer,
                            apr_time_t now, wh_err_t *err)
{
    flight_t *flight = answer->baton;
    wh_notice_t n = flight->notice;
    wh_notify_verdict_e verdict = judge(core, &n, answer->status, &answer->err, now);
    apr_status_t rv;

    n.cause_code = n.cause_detail = "";
    if (verdict != WH_NOTIFY_DELIVERED) {
        n.cause_code = answer->status > 0 ? "http_status" : answer->err.code;
        n.cause_detail = answer->err.text[0] != '\0'
                             ? answer->err.text
                             : apr_psprintf(p, "It was answered with %d.", answer->status);
    }
    rv = write_end(core, p, &n, verdict, now, err);
    if (rv == APR_SUCCESS) {
        core->notices.flying[flight->slot][0] = '\0';
    }
    return rv;
}

/* ---- sending ---- */

static int free_slot(const wh_core_t *core, const char *channel)
{
    int n = 0, slot = -1;

    for (int i = 0; i < WH_NOTICES_FLYING; i++) {
        n += strcmp(core->notices.flying[i], channel) == 0;
        slot = core->notices.flying[i][0] == '\0' ? i : slot;
    }
    return n < WH_NOTICES_CHANNEL ? slot : -1;
}

static int add_header(void *baton, const char *name, const char *value)
{
    return wh_httpout_header(baton, name, value);
}

/* out is in the request's pool. */
static apr_status_t fill(wh_httpout_req_t *req, const wh_notify_out_t *out, wh_err_t *err)
{
    static const wh_httpout_tls_e tls[] = {[WH_NOTIFY_TLS_NONE] = WH_HTTPOUT_TLS_NONE,
                                           [WH_NOTIFY_TLS_TRY] = WH_HTTPOUT_TLS_TRY,
                                           [WH_NOTIFY_TLS_MUST] = WH_HTTPOUT_TLS_MUST,
                                           [WH_NOTIFY_TLS_FIRST] = WH_HTTPOUT_TLS_NONE};
    wh_httpout_mail_t *mail;

    req->method = out->method;
    req->url = out->url;
    req->body = out->body;
    req->body_len = out->n;
    req->answer_max = 1024; /* nobody reads it */
    if (out->from == NULL) {
        return apr_table_do(add_header, req, out->headers, NULL)
                   ? APR_SUCCESS
                   : wh_err_set(err, 422, "header_invalid",
                                "A header of the target has a character that it may not have.");
    }
    mail = apr_pcalloc(req->pool, sizeof(*mail));
    *mail = (wh_httpout_mail_t){.from = out->from,
                                .to = out->to,
                                .user = out->user,
                                .password = out->password,
                                .tls = tls[out->tls]};
    req->mail = mail;
    return APR_SUCCESS;
}

static apr_status_t prepare(wh_core_t *core, const wh_notice_t *n, const wh_channel_t *c,
                            wh_httpout_req_t *req, apr_time_t now, wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    wh_notify_sending_t sending = {.id = apr_pstrdup(req->pool, n->id), .now = now};
    wh_channel_key_t key;
    wh_notify_out_t out;
    wh_event_t event;
    wh_shout_t *t;
    apr_status_t rv = wh_channel_open(req->pool, &ring, c, &key, err);

    rv = rv == APR_SUCCESS ? wh_shout_parse(req->pool, key.url, &t, err) : rv;
    if (rv == APR_SUCCESS) {
        rv = wh_event_read(req->pool, n->event_id, n->kind, n->ended, n->at, n->payload, &event,
                           err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    sending.secret = key.secret;
    sending.former = key.former_until > now ? key.former : "";
    rv = wh_notify_format(req->pool, t, &event, &sending, &out, err);
    return rv == APR_SUCCESS ? fill(req, &out, err) : rv;
}

/* It cannot even be said: that is its end, or waits for the key. */
static apr_status_t unsayable(wh_core_t *core, apr_pool_t *p, const wh_notice_t *of,
                              const wh_err_t *why, apr_time_t now, wh_err_t *err)
{
    wh_notice_t n = *of;
    wh_notify_verdict_e verdict = judge(core, &n, 0, why, now);

    if (why->http != 503) {
        verdict = WH_NOTIFY_DEAD;
        n.status = "dead";
    }
    n.cause_code = why->code;
    n.cause_detail = why->text;
    return write_end(core, p, &n, verdict, now, err);
}

static wh_httpout_req_t *request_of(const wh_notice_t *n, int slot)
{
    wh_httpout_req_t *req = wh_httpout_request("notification", arrived);
    flight_t *flight = req != NULL ? apr_pcalloc(req->pool, sizeof(*flight)) : NULL;

    if (req != NULL) {
        flight->notice = (wh_notice_t){.id = apr_pstrdup(req->pool, n->id),
                                       .channel_id = apr_pstrdup(req->pool, n->channel_id),
                                       .attempts = n->attempts};
        flight->slot = slot;
        req->baton = flight;
    }
    return req;
}

static int room(wh_core_t *core)
{
    const wh_notices_way_t *way = core->notices.way;
    int n = way != NULL          ? way->room(way->baton)
            : core->http != NULL ? wh_httpout_room(core->http)
                                 : 0;
    return n < WH_NOTICES_FLYING ? n : WH_NOTICES_FLYING;
}

static apr_status_t send_one(wh_core_t *core, apr_pool_t *p, wh_notice_t *n, apr_time_t now,
                             wh_err_t *err)
{
    int slot = free_slot(core, n->channel_id);
    const wh_notices_way_t *way = core->notices.way;
    wh_err_t why = WH_ERR_INIT;
    wh_httpout_req_t *req;
    wh_channel_t *c;
    apr_status_t rv;

    if (slot < 0) {
        return APR_SUCCESS; /* it is due again when one of those before it has come to its end */
    }
    rv = wh_db_channel_get(core->dbc, p, n->channel_id, &c, err);
    if (rv == APR_NOTFOUND) { /* deleted while this was dealt out */
        wh_err_t gone = WH_ERR_INIT;

        wh_err_clear(err);
        wh_err_set(&gone, 404, "channel_deleted", "The channel was deleted.");
        return unsayable(core, p, n, &gone, now, err);
    }
    rv = rv == APR_SUCCESS
             ? wh_db_notice_begin(core->dbc, p, n, now, now + WH_NOTICES_LOST_US, err)
             : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    n->attempts++;
    req = request_of(n, slot);
    if (req == NULL) {
        return APR_SUCCESS; /* counts as lost */
    }
    if (prepare(core, n, c, req, now, &why) != APR_SUCCESS) {
        apr_pool_destroy(req->pool);
        return unsayable(core, p, n, &why, now, err);
    }
    apr_cpystrn(core->notices.flying[slot], n->channel_id, sizeof(core->notices.flying[slot]));
    if (way != NULL) {
        way->send(way->baton, req);
    } else {
        wh_httpout_send(core->http, req);
    }
    return APR_SUCCESS;
}

static apr_status_t send_due(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *due;
    apr_status_t rv;

    if (room(core) == 0) {
        return APR_SUCCESS;
    }
    rv = wh_db_notice_due(core->dbc, p, now, WH_NOTICES_CHANNEL, WH_NOTICES_FLYING * 4, &due, err);
    for (int i = 0; rv == APR_SUCCESS && i < due->nelts && room(core) > 0; i++) {
        wh_notice_t *n = APR_ARRAY_IDX(due, i, wh_notice_t *);

        rv = wh_core_only(core, send_one(core, p, n, now, err), n->id, err);
    }
    return rv;
}

static apr_status_t prune(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_time_t before = now - apr_time_from_sec(core->settings->notify_keep_days * 86400);
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    return end_tx(core, wh_db_notice_prune(core->dbc, p, before, err), err);
}

apr_status_t wh_notices_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                             wh_err_t *err)
{
    wh_notices_t *own = &core->notices;
    apr_pool_t *scratch;
    apr_status_t rv;
    int more;

    apr_pool_create(&scratch, p);
    rv = deal(core, scratch, now, &more, err);
    rv = rv == APR_SUCCESS ? send_due(core, scratch, now, err) : rv;
    own->at = more ? mono : wh_mono_add(mono, WH_NOTICES_EVERY_US);
    if (rv == APR_SUCCESS && wh_mono_reached(mono, own->prune_at)) {
        rv = prune(core, scratch, now, err);
        own->prune_at = wh_mono_add(mono, WH_NOTICES_PRUNE_US);
    }
    apr_pool_destroy(scratch);
    return rv;
}

/* ---- another key ---- */

static apr_status_t seal_one(wh_core_t *core, apr_pool_t *p, const wh_channel_t *old,
                             wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    wh_channel_t fresh = *old;
    wh_channel_key_t key;
    apr_status_t rv = wh_channel_open(p, &ring, old, &key, err);

    if (rv == APR_SUCCESS) {
        rv = wh_channel_seal(p, &ring, core->rand, &fresh, &key, err);
    } else if (wh_err_is(err, "secret_broken")) {
        wh_log(WH_LOG_ERROR, "WH0541", "notification channel %s does not open: give it its target "
                                       "anew", old->name);
        wh_err_clear(err);
        fresh.key_id = core->env_key; /* it opens with no key, so it need not be tried again */
        rv = APR_SUCCESS;
    }
    rv = rv == APR_SUCCESS ? wh_db_channel_reseal(core->dbc, p, old, &fresh, err) : rv;
    return wh_core_only(core, rv, old->id, err);
}

apr_status_t wh_notices_seal_anew(wh_core_t *core, apr_pool_t *p, int *n, wh_err_t *err)
{
    apr_array_header_t *list;
    apr_status_t rv =
        wh_db_channel_stale(core->dbc, p, core->env_key, WH_ENVS_BATCH, &list, err);

    *n = rv == APR_SUCCESS ? list->nelts : 0;
    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        rv = seal_one(core, p, APR_ARRAY_IDX(list, i, const wh_channel_t *), err);
    }
    return rv;
}
