#include "wh-scheduler/logdrains.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_backoff.h"
#include "libwh/wh_log.h"
#include "libwh/wh_text.h"
#include "wh-scheduler/core.h"
#include "wh-scheduler/gzip.h"
#include "wh-scheduler/places.h"
#include "wh-scheduler/syslogout.h"
#include "whdb/wh_db_logdrain.h"

#define RELOAD_US ((apr_interval_time_t)5000000)
#define COUNT_US ((apr_interval_time_t)10000000)
#define AGAIN_FIRST_US ((apr_interval_time_t)1000000)
#define AGAIN_MOST_US ((apr_interval_time_t)60000000)

typedef struct line_t {
    struct line_t *next;
    size_t size;
    wh_logdrain_line_t l; /* its texts lie behind the struct */
} line_t;

typedef struct drain_t {
    struct drain_t *next;
    apr_pool_t *pool;
    wh_logdrain_to_t to;
    char id[32], app[32], name[72];
    apr_time_t updated_at;
    int seen; /* in the last look at the table */
    line_t *first, **last;
    size_t bytes;
    int n, flying;          /* lines; those of them that are under way */
    wh_syslogout_t *sys;    /* NULL = HTTP */
    int gzip;               /* its owner says so, and no answer said otherwise */
    apr_int64_t sent, lost; /* since they were written */
    apr_int64_t untold;     /* lost, and the drain does not know yet */
    unsigned failures;
    wh_mono_t again;
    char cause[256];
    int changed; /* of these something is to be written */
} drain_t;

struct wh_logdrains_t {
    drain_t *drains;
    wh_places_t *places;
    wh_mono_t reload_at, count_at;
};

/* ---- queues ---- */

static const char *add_text(char **at, const char *s, size_t n)
{
    char *to = *at;

    memcpy(to, s, n + 1);
    *at += n + 1;
    return to;
}

static void enqueue(drain_t *d, const wh_logdrain_line_t *l)
{
    const char *texts[] = {l->app, l->environment, l->deployment, l->container, l->text};
    size_t lens[WH_ARRAY_LEN(texts)], size = sizeof(line_t);
    line_t *line;
    char *at;

    for (size_t i = 0; i < WH_ARRAY_LEN(texts); i++) {
        lens[i] = strlen(texts[i]);
        size += lens[i] + 1;
    }
    line = d->bytes + size <= WH_LOGDRAINS_BYTES ? malloc(size) : NULL;
    if (line == NULL) {
        d->lost++;
        d->untold++;
        d->changed = 1;
        return;
    }
    at = (char *)(line + 1);
    *line = (line_t){.size = size, .l = *l};
    line->l.app = add_text(&at, texts[0], lens[0]);
    line->l.environment = add_text(&at, texts[1], lens[1]);
    line->l.deployment = add_text(&at, texts[2], lens[2]);
    line->l.container = add_text(&at, texts[3], lens[3]);
    line->l.text = add_text(&at, texts[4], lens[4]);
    *d->last = line;
    d->last = &line->next;
    d->bytes += size;
    d->n++;
}

static void dequeue(drain_t *d, int n)
{
    for (; n > 0 && d->first != NULL; n--) {
        line_t *line = d->first;

        d->first = line->next;
        d->bytes -= line->size;
        d->n--;
        free(line);
    }
    d->last = d->first != NULL ? d->last : &d->first;
}

/* What was lost is said once there is room again, of the app that prints then. */
static void tell_lost(drain_t *d, const wh_logdrain_line_t *near)
{
    wh_logdrain_line_t note = *near;
    char text[80];

    if (d->untold == 0 || d->bytes > WH_LOGDRAINS_BYTES / 2) {
        return;
    }
    apr_snprintf(text, sizeof(text), "… %" APR_INT64_T_FMT " lines were left out of this drain",
                 d->untold);
    note.stream = WH_STREAM_SYS;
    note.level = WH_LEVEL_WARN;
    note.text = text;
    d->untold = 0;
    enqueue(d, &note);
}

/* ---- what came of a batch ---- */

typedef enum came_e { ARRIVED, AGAIN, NEVER } came_e;

static void ended(wh_core_t *core, drain_t *d, came_e came, const char *why)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    int n = d->flying;

    d->flying = 0;
    d->changed = 1;
    apr_cpystrn(d->cause, came == ARRIVED ? "" : why, sizeof(d->cause));
    if (came == ARRIVED) {
        d->failures = 0;
        d->sent += n;
        dequeue(d, n);
        return;
    }
    if (d->failures++ == 0) {
        wh_log(WH_LOG_WARN, "WH0542", "log drain %s: %s", d->name, why);
    }
    d->again = wh_mono_add(mono, wh_backoff_wait(AGAIN_FIRST_US, AGAIN_MOST_US, d->failures,
                                                 wh_rand_jitter(core->rand)));
    if (came == NEVER) {
        d->lost += n;
        d->untold += n;
        dequeue(d, n);
    }
}

static drain_t *drain_of(const wh_core_t *core, const char *id, apr_time_t updated_at)
{
    drain_t *d = core->logdrains != NULL ? core->logdrains->drains : NULL;

    while (d != NULL && (strcmp(d->id, id) != 0 || d->updated_at != updated_at)) {
        d = d->next;
    }
    return d;
}

typedef struct flight_t {
    char id[32];
    apr_time_t updated_at;
} flight_t;

/* What a server refuses for good would be refused again. */
static int for_good(int status)
{
    return status >= 400 && status < 500 && status != 401 && status != 403 && status != 404 &&
           status != 408 && status != 429;
}

static apr_status_t answered(wh_core_t *core, apr_pool_t *p, const wh_httpout_req_t *answer,
                             apr_time_t now, wh_err_t *err)
{
    const flight_t *flight = answer->baton;
    drain_t *d = drain_of(core, flight->id, flight->updated_at);

    (void)now;
    (void)err;
    if (d == NULL || d->flying == 0) {
        return APR_SUCCESS; /* changed or deleted meanwhile */
    }
    if (answer->status == 415 && d->gzip) {
        d->gzip = 0; /* RFC 7694, 3: so it says that it does not take it; until it is changed */
        ended(core, d, AGAIN, "It does not take gzip (415): lines go out plain.");
    } else if (answer->status >= 200 && answer->status < 300) {
        ended(core, d, ARRIVED, "");
    } else if (answer->status > 0) {
        ended(core, d, for_good(answer->status) ? NEVER : AGAIN,
              apr_psprintf(p, "It was answered with %d.", answer->status));
    } else {
        ended(core, d, AGAIN, answer->err.text);
    }
    return APR_SUCCESS;
}

/* ---- sending ---- */

static const wh_logdrain_line_t *batch_of(apr_pool_t *p, const drain_t *d, int *n)
{
    wh_logdrain_line_t *lines;
    const line_t *line = d->first;

    *n = d->n < WH_LOGDRAINS_LINES ? d->n : WH_LOGDRAINS_LINES;
    lines = apr_palloc(p, (size_t)*n * sizeof(*lines));
    for (int i = 0; i < *n; i++, line = line->next) {
        lines[i] = line->l;
    }
    return lines;
}

static void send_http(wh_core_t *core, apr_pool_t *p, drain_t *d)
{
    int n, loki = d->to.kind == WH_LOGDRAIN_LOKI, ok;
    const wh_logdrain_line_t *lines = batch_of(p, d, &n);
    wh_httpout_req_t *req =
        wh_httpout_room(core->http) > 0 ? wh_httpout_request("log drain", answered) : NULL;
    flight_t *flight;

    if (req == NULL) {
        return;
    }
    flight = apr_pcalloc(req->pool, sizeof(*flight));
    apr_cpystrn(flight->id, d->id, sizeof(flight->id));
    flight->updated_at = d->updated_at;
    req->baton = flight;
    req->method = "POST";
    req->url = apr_pstrdup(req->pool, d->to.url);
    req->answer_max = 1024;
    req->body = loki ? wh_logdrain_loki(req->pool, lines, n, &req->body_len)
                     : wh_logdrain_jsonl(req->pool, lines, n, &req->body_len);
    if (d->gzip && req->body != NULL) {
        req->body = wh_gzip(req->pool, req->body, req->body_len, &req->body_len);
    }
    ok = req->body != NULL && (!d->gzip || wh_httpout_header(req, "Content-Encoding", "gzip")) &&
         wh_httpout_header(req, "Content-Type", loki ? "application/json" : "application/x-ndjson");
    ok = ok && (d->to.auth[0] == '\0' || wh_httpout_header(req, "Authorization", d->to.auth));
    ok = ok && (d->to.tenant[0] == '\0' || wh_httpout_header(req, "X-Scope-OrgID", d->to.tenant));
    if (!ok) {
        apr_pool_destroy(req->pool);
        return;
    }
    d->flying = n;
    wh_httpout_send(core->http, req);
}

static void send_syslog(wh_core_t *core, apr_pool_t *p, drain_t *d)
{
    int n, udp = d->to.way == WH_LOGDRAIN_BY_UDP;
    const wh_logdrain_line_t *lines = batch_of(p, d, &n);
    const char **messages = apr_palloc(p, (size_t)n * sizeof(*messages));
    size_t size = 0;
    char *buf, *at;

    for (int i = 0; i < n; i++) {
        const char *m = wh_logdrain_syslog(p, &lines[i], core->settings->base_domain);

        messages[i] = udp ? wh_text_cap(p, m, WH_LOGDRAIN_DATAGRAM) : wh_logdrain_framed(p, m);
        size += strlen(messages[i]) + 1;
    }
    at = buf = malloc(size + 1);
    if (buf == NULL) {
        return;
    }
    for (int i = 0; i < n; i++) {
        (void)add_text(&at, messages[i], strlen(messages[i]));
    }
    d->flying = n;
    wh_syslogout_send(d->sys, buf, n);
}

static void step(wh_core_t *core, apr_pool_t *p, drain_t *d, wh_mono_t mono)
{
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;

    if (d->sys != NULL && d->flying > 0 && wh_syslogout_done(d->sys, &rv, &err)) {
        ended(core, d, rv == APR_SUCCESS ? ARRIVED : AGAIN, err.text);
    }
    if (d->flying > 0 || d->n == 0 || !wh_mono_reached(mono, d->again)) {
        return;
    }
    if (d->sys != NULL) {
        send_syslog(core, p, d);
    } else if (core->http != NULL) {
        send_http(core, p, d);
    }
}

/* Lines come faster than ticks: what fills the queue goes out as soon as the batch before has
 * arrived. */
static void hurry(wh_core_t *core, drain_t *d)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    apr_pool_t *scratch;

    if ((d->flying > 0 && d->sys == NULL) || !wh_mono_reached(mono, d->again)) {
        return;
    }
    apr_pool_create(&scratch, d->pool);
    step(core, scratch, d, mono);
    apr_pool_destroy(scratch);
}

/* ---- lines ---- */

void wh_logdrains_take(void *baton, const char *app, const wh_logdrain_line_t *line)
{
    wh_core_t *core = baton;
    wh_logdrain_line_t l = *line;
    int looked = 0;

    if (core->logdrains == NULL) {
        return;
    }
    l.app = app;
    l.environment = "";
    for (drain_t *d = core->logdrains->drains; d != NULL; d = d->next) {
        if (d->app[0] != '\0' && strcmp(d->app, app) != 0) {
            continue;
        }
        if (!looked) {
            looked = 1;
            (void)wh_places_find(core->logdrains->places, core->dbc, wh_clock_mono(core->clock),
                                 line->deployment, &l.app, &l.environment);
        }
        tell_lost(d, &l);
        enqueue(d, &l);
        if (d->bytes > WH_LOGDRAINS_BYTES / 2) {
            hurry(core, d);
        }
    }
}

/* ---- which ones there are ---- */

static void no_wake(void *baton)
{
    (void)baton; /* the next tick is soon enough */
}

static void end_drain(drain_t *d)
{
    if (d->sys != NULL) {
        wh_syslogout_stop(d->sys);
    }
    dequeue(d, d->n);
    apr_pool_destroy(d->pool);
}

static apr_status_t begin_drain(wh_core_t *core, const wh_logdrain_t *row, wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    wh_syslogout_opt_t opt = {.ca_file = core->settings->ca_file,
                              .private_ok = core->settings->http_private,
                              .wake = no_wake};
    apr_pool_t *p;
    drain_t *d;
    const char *url;
    apr_status_t rv;

    apr_pool_create(&p, core->pool);
    d = apr_pcalloc(p, sizeof(*d));
    d->pool = p;
    d->last = &d->first;
    d->seen = 1;
    d->updated_at = row->updated_at;
    d->gzip = row->gzip;
    apr_cpystrn(d->id, row->id, sizeof(d->id));
    apr_cpystrn(d->app, row->app_id, sizeof(d->app));
    apr_cpystrn(d->name, row->name, sizeof(d->name));
    apr_cpystrn(d->cause, row->cause, sizeof(d->cause));
    rv = wh_logdrain_open(p, &ring, row, &url, err);
    rv = rv == APR_SUCCESS ? wh_logdrain_parse(p, url, &d->to, err) : rv;
    if (rv == APR_SUCCESS && d->to.way != WH_LOGDRAIN_BY_HTTP) {
        opt.way = d->to.way;
        opt.host = d->to.host;
        opt.port = d->to.port;
        rv = wh_syslogout_start(&opt, &d->sys, err);
    }
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(p);
        return rv;
    }
    d->next = core->logdrains->drains;
    core->logdrains->drains = d;
    return APR_SUCCESS;
}

/* Another key seals now. */
static apr_status_t seal_anew(wh_core_t *core, apr_pool_t *p, const wh_logdrain_t *row,
                              wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    wh_logdrain_t fresh = *row;
    const char *url;
    apr_status_t rv;

    if (row->key_id >= core->env_key) {
        return APR_SUCCESS;
    }
    rv = wh_logdrain_open(p, &ring, row, &url, err);
    rv = rv == APR_SUCCESS ? wh_logdrain_seal(p, &ring, core->rand, &fresh, url, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_logdrain_reseal(core->dbc, p, row, &fresh, err) : rv;
    return wh_core_only(core, rv, row->name, err);
}

/* A drain that was changed goes on with what waits; one that is gone has lost it. */
static void hand_over(const wh_logdrains_t *all, drain_t *from)
{
    for (drain_t *d = all->drains; d != NULL; d = d->next) {
        if (strcmp(d->id, from->id) == 0 && d->n == 0 && from->n > 0) {
            d->first = from->first;
            d->last = from->last;
            d->bytes = from->bytes;
            d->n = from->n;
            d->untold = from->untold;
            from->first = NULL;
            from->last = &from->first;
            from->n = 0;
        }
    }
}

static void end_unseen(wh_logdrains_t *all)
{
    for (drain_t **at = &all->drains; *at != NULL;) {
        drain_t *d = *at;

        if (d->seen) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        hand_over(all, d);
        end_drain(d);
    }
}

static apr_status_t reload(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_array_header_t *rows;
    int n = 0;
    apr_status_t rv = wh_db_logdrain_list(core->dbc, p, "", 1000, &rows, err);

    for (drain_t *d = core->logdrains->drains; rv == APR_SUCCESS && d != NULL; d = d->next) {
        d->seen = 0;
    }
    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts; i++) {
        const wh_logdrain_t *row = APR_ARRAY_IDX(rows, i, const wh_logdrain_t *);
        drain_t *d = drain_of(core, row->id, row->updated_at);

        rv = seal_anew(core, p, row, err);
        if (rv != APR_SUCCESS || !row->enabled || n++ >= WH_LOGDRAINS_MAX) {
            continue;
        }
        if (d != NULL) {
            d->seen = 1;
        } else {
            rv = wh_core_only(core, begin_drain(core, row, err), row->name, err);
        }
    }
    if (rv == APR_SUCCESS) {
        end_unseen(core->logdrains);
    }
    return rv;
}

static apr_status_t write_counts(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (drain_t *d = core->logdrains->drains; rv == APR_SUCCESS && d != NULL; d = d->next) {
        const wh_logdrain_t more = {
            .id = d->id, .sent = d->sent, .lost = d->lost, .cause = d->cause};

        if (!d->changed) {
            continue;
        }
        rv = wh_db_logdrain_count(core->dbc, p, &more, err);
        if (rv == APR_SUCCESS) {
            d->sent = d->lost = 0;
            d->changed = 0;
        }
    }
    return rv;
}

static wh_logdrains_t *made(wh_core_t *core)
{
    wh_logdrains_t *all = apr_pcalloc(core->pool, sizeof(*all));

    all->places = wh_places_make(core->pool);
    return all;
}

apr_status_t wh_logdrains_look(wh_core_t *core, apr_pool_t *p, int poked, wh_mono_t mono,
                               wh_err_t *err)
{
    wh_logdrains_t *all = core->logdrains;
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;

    if (all == NULL) {
        all = core->logdrains = made(core);
    }
    apr_pool_create(&scratch, p);
    if (poked || wh_mono_reached(mono, all->reload_at)) {
        all->reload_at = wh_mono_add(mono, RELOAD_US);
        rv = write_counts(core, scratch, err); /* of those that go, too */
        rv = rv == APR_SUCCESS ? reload(core, scratch, err) : rv;
    }
    for (drain_t *d = all->drains; rv == APR_SUCCESS && d != NULL; d = d->next) {
        apr_pool_clear(scratch);
        step(core, scratch, d, mono);
    }
    if (rv == APR_SUCCESS && wh_mono_reached(mono, all->count_at)) {
        all->count_at = wh_mono_add(mono, COUNT_US);
        rv = write_counts(core, scratch, err);
    }
    apr_pool_destroy(scratch);
    return rv;
}

int wh_logdrains_busy(const wh_core_t *core, wh_mono_t mono)
{
    const drain_t *d = core->logdrains != NULL ? core->logdrains->drains : NULL;

    while (d != NULL && d->flying == 0 && (d->n == 0 || !wh_mono_reached(mono, d->again))) {
        d = d->next;
    }
    return d != NULL;
}

apr_status_t wh_logdrains_leave(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    drain_t *d = core->logdrains != NULL ? core->logdrains->drains : NULL;

    if (core->logdrains == NULL) {
        return APR_SUCCESS;
    }
    for (; d != NULL; d = d->next) {
        d->changed |= d->n > 0;
        d->lost += d->n;
        dequeue(d, d->n);
        d->flying = 0;
    }
    return write_counts(core, p, err);
}

void wh_logdrains_end(wh_core_t *core)
{
    while (core->logdrains != NULL && core->logdrains->drains != NULL) {
        drain_t *d = core->logdrains->drains;

        core->logdrains->drains = d->next;
        end_drain(d);
    }
}
