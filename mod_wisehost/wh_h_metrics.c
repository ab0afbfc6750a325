/*
 * GET /metrics: all figures as text. Those of httpd come out of shared memory, those of the
 * scheduler out of a file that it writes anew every few seconds: nothing here asks a database or
 * waits for another process, so that they can be had when something is wrong.
 */
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_openmetrics.h"
#include "mod_wisehost/wh_mod_api.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_meter.h"
#include "mod_wisehost/wh_mod_proxy.h"

#define SNAPSHOT "/run/scheduler.metrics"
#define SNAPSHOT_BYTES_MAX (16 << 20)
#define SNAPSHOT_FRESH apr_time_from_sec(60)

/* ---- httpd as a whole ------------------------ */

static const struct {
    wh_om_kind_e kind;
    const char *name, *doc;
} counters[WH_COUNTS] = {
#define KIND_TOTAL WH_OM_COUNTER
#define KIND_GAUGE WH_OM_GAUGE
#define WH_COUNTER(kind, name, auto_name, doc) {KIND_##kind, auto_name, doc},
#include "mod_wisehost/wh_mod_counters.def"
#undef WH_COUNTER
};

/* "APIRequests" -> "wisehost_httpd_api_requests" */
static const char *family_name(apr_pool_t *p, const char *name)
{
    char *out = apr_pcalloc(p, 2 * strlen(name) + 1);
    char *at = out;

    for (const char *s = name; *s != '\0'; s++) {
        if (s > name && apr_isupper(*s) && (apr_islower(s[-1]) || apr_islower(s[1]))) {
            *at++ = '_';
        }
        *at++ = (char)apr_tolower(*s);
    }
    return apr_pstrcat(p, "wisehost_httpd_", out, NULL);
}

static void gauge(wh_om_t *om, const char *name, const char *unit, const char *help,
                  apr_int64_t value)
{
    wh_om_family(om, WH_OM_GAUGE, name, unit, help);
    wh_om_int(om, "", value, NULL);
}

static void httpd_figures(wh_om_t *om)
{
    wh_mod_counters_t sums;

    wh_mod_counters_read(&sums);
    gauge(om, "wisehost_httpd_children", NULL, "Children of httpd that count.", sums.children);
    for (int i = 0; i < WH_COUNTS; i++) {
        const char *name = family_name(om->p, counters[i].name);
        size_t n = strlen(name);
        const char *unit = n > 6 && !strcmp(name + n - 6, "_bytes") ? "bytes" : NULL;
        const char *doc =
            apr_psprintf(om->p, "%c%s.", apr_toupper(counters[i].doc[0]), counters[i].doc + 1);

        wh_om_family(om, counters[i].kind, name, unit, doc);
        wh_om_int(om, counters[i].kind == WH_OM_COUNTER ? "_total" : "", sums.of[i], NULL);
    }
}

static void route_figures(wh_om_t *om, request_rec *r)
{
    wh_mod_table_t table;
    const apr_array_header_t *list = wh_mod_upstream_list(r->pool, r->request_time);
    apr_int64_t resting = 0;
    apr_int64_t busy = 0;

    wh_mod_route_info(r, &table);
    gauge(om, "wisehost_routes_open", NULL, "1 while the route table can be read.",
          table.path != NULL);
    gauge(om, "wisehost_routes_names", NULL, "Names in the route table.", (apr_int64_t)table.names);
    gauge(om, "wisehost_routes_generation", NULL, "Generation of the route table.",
          (apr_int64_t)table.generation);
    wh_om_family(om, WH_OM_GAUGE, "wisehost_routes_written_timestamp_seconds", "seconds",
                 "When the route table was written.");
    wh_om_us(om, "", table.written, NULL);
    for (int i = 0; i < list->nelts; i++) {
        const wh_mod_upstream_t *up = &APR_ARRAY_IDX(list, i, wh_mod_upstream_t);

        resting += up->resting;
        busy += up->in_flight;
    }
    gauge(om, "wisehost_upstreams", NULL, "Upstreams used within ten minutes.", list->nelts);
    gauge(om, "wisehost_upstreams_resting", NULL, "Upstreams at rest, for they did not answer.",
          resting);
    gauge(om, "wisehost_upstreams_requests_in_flight", NULL, "Requests at upstreams now.", busy);
}

/* ---- each application ------------------------ */

typedef struct app_t {
    const char *slug;
    wh_meter_sum_t sum;
} app_t;

typedef struct apps_t {
    wh_om_t *om;
    apr_array_header_t *list; /* app_t */
} apps_t;

static void take_app(void *baton, const char *slug, const wh_meter_sum_t *all)
{
    apps_t *apps = baton;
    app_t *app = apr_array_push(apps->list);

    app->slug = apr_pstrdup(apps->om->p, slug);
    app->sum = *all;
}

static void by_class(const apps_t *apps)
{
    static const struct {
        wh_meter_e which;
        const char *name;
    } classes[] = {{WH_METER_1XX, "1xx"},
                   {WH_METER_2XX, "2xx"},
                   {WH_METER_3XX, "3xx"},
                   {WH_METER_4XX, "4xx"},
                   {WH_METER_5XX, "5xx"}};

    wh_om_family(apps->om, WH_OM_COUNTER, "wisehost_http_requests", NULL,
                 "Requests of applications by the class of their status.");
    for (int i = 0; i < apps->list->nelts; i++) {
        const app_t *app = &APR_ARRAY_IDX(apps->list, i, app_t);

        for (size_t k = 0; k < WH_ARRAY_LEN(classes); k++) {
            wh_om_int(apps->om, "_total", (apr_int64_t)app->sum.of[classes[k].which], "app",
                      app->slug, "code_class", classes[k].name, NULL);
        }
    }
}

/* Every bound would be 32 series for each application; these are enough for a picture. */
static int is_shown(apr_int64_t us)
{
    static const apr_int64_t shown[] = {500,     1000,    2000,    5000,     10000,
                                        20000,   50000,   100000,  200000,   500000,
                                        1000000, 2000000, 5000000, 10000000, 30000000};

    for (size_t i = 0; i < WH_ARRAY_LEN(shown); i++) {
        if (shown[i] == us) {
            return 1;
        }
    }
    return 0;
}

/* "0.005", "30.0": as OpenMetrics wants a bound. */
static const char *bound_text(apr_pool_t *p, apr_int64_t us)
{
    char *text =
        apr_psprintf(p, "%" APR_INT64_T_FMT ".%06" APR_INT64_T_FMT, us / 1000000, us % 1000000);
    size_t n = strlen(text);

    while (text[n - 1] == '0' && text[n - 2] != '.') {
        text[--n] = '\0';
    }
    return text;
}

static void durations(const apps_t *apps)
{
    const char *bounds[WH_METER_BUCKETS - 1];

    for (int k = 0; k < WH_METER_BUCKETS - 1; k++) {
        bounds[k] =
            is_shown(wh_meter_bounds_us[k]) ? bound_text(apps->om->p, wh_meter_bounds_us[k]) : NULL;
    }
    wh_om_family(apps->om, WH_OM_HISTOGRAM, "wisehost_http_request_duration_seconds", "seconds",
                 "How long requests took, from their first line to the last byte of the answer.");
    for (int i = 0; i < apps->list->nelts; i++) {
        const app_t *app = &APR_ARRAY_IDX(apps->list, i, app_t);
        apr_int64_t n = 0;

        for (int k = 0; k < WH_METER_BUCKETS - 1; k++) {
            n += (apr_int64_t)app->sum.took[k];
            if (bounds[k] != NULL) {
                wh_om_int(apps->om, "_bucket", n, "app", app->slug, "le", bounds[k], NULL);
            }
        }
        n += (apr_int64_t)app->sum.took[WH_METER_BUCKETS - 1];
        wh_om_int(apps->om, "_bucket", n, "app", app->slug, "le", "+Inf", NULL);
        wh_om_int(apps->om, "_count", n, "app", app->slug, NULL);
        wh_om_us(apps->om, "_sum", (apr_int64_t)app->sum.of[WH_METER_TOOK_US], "app", app->slug,
                 NULL);
    }
}

/* Families of one figure each. */
static const struct {
    wh_meter_e which;
    const char *name, *unit, *help;
} singles[] = {
    {WH_METER_BYTES, "wisehost_http_response_bytes", "bytes", "Bytes of bodies that were sent."},
    {WH_METER_CACHE_HIT, "wisehost_http_cache_hits", NULL, "Small files found in memory."},
    {WH_METER_CACHE_MISS, "wisehost_http_cache_misses", NULL, "Small files read from disk."},
    {WH_METER_UPSTREAM_ERROR, "wisehost_http_upstream_errors", NULL,
     "Attempts at containers that came to nothing."},
    {WH_METER_RETRY, "wisehost_http_upstream_retries", NULL, "Attempts after the first."},
    {WH_METER_UNTIMED, "wisehost_http_untimed_requests", NULL,
     "Requests that are in no histogram: WebSockets, streams of events."},
    {WH_METER_GONE, "wisehost_http_clients_gone", NULL,
     "Requests whose client left before the answer was whole."},
};

static void app_figures(wh_om_t *om)
{
    apps_t apps = {.om = om, .list = apr_array_make(om->p, 64, sizeof(app_t))};
    wh_mod_meter_room_t room;

    wh_mod_meter_room(&room);
    gauge(om, "wisehost_http_apps", NULL, "Applications counted each on its own.", room.used);
    gauge(om, "wisehost_http_apps_limit", NULL, "How many there may be: WiseHostMetricsApps.",
          room.rows);
    wh_mod_meter_each(take_app, &apps);
    by_class(&apps);
    durations(&apps);
    for (size_t k = 0; k < WH_ARRAY_LEN(singles); k++) {
        wh_om_family(om, WH_OM_COUNTER, singles[k].name, singles[k].unit, singles[k].help);
        for (int i = 0; i < apps.list->nelts; i++) {
            const app_t *app = &APR_ARRAY_IDX(apps.list, i, app_t);

            wh_om_int(om, "_total", (apr_int64_t)app->sum.of[singles[k].which], "app", app->slug,
                      NULL);
        }
    }
}

/* ---- the scheduler ------------------------ */

/* What it wrote, or NULL: it writes no more, or never did. */
static const char *snapshot(request_rec *r, size_t *n, apr_time_t *written)
{
    const char *path = apr_pstrcat(r->pool, wh_mod_conf_state_dir(r->server), SNAPSHOT, NULL);
    wh_file_text_t file;

    if (wh_file_read(r->pool, AT_FDCWD, path, SNAPSHOT_BYTES_MAX, &file) || file.n == 0) {
        return NULL;
    }
    *written = file.written;
    if (r->request_time - file.written > SNAPSHOT_FRESH || !wh_om_text_ok(file.text, file.n)) {
        return NULL;
    }
    *n = file.n;
    return file.text;
}

static void scheduler_figures(wh_om_t *om, request_rec *r)
{
    apr_time_t written = 0;
    size_t n = 0;
    const char *text = snapshot(r, &n, &written);

    gauge(om, "wisehost_scheduler_up", NULL,
          "1 while wh-scheduler writes its figures; without it there are none of those below.",
          text != NULL);
    wh_om_family(om, WH_OM_GAUGE, "wisehost_scheduler_written_timestamp_seconds", "seconds",
                 "When wh-scheduler wrote them last, 0 = never.");
    wh_om_us(om, "", written, NULL);
    if (text != NULL) {
        wh_om_text(om, text, n);
    }
}

apr_status_t wh_h_metrics_get(wh_call_t *c)
{
    int open = wh_om_wanted(apr_table_get(c->r->headers_in, "Accept"));
    const char *text;
    wh_om_t om;
    size_t n;

    wh_mod_db_release(c->r);
    c->dbc = NULL;
    wh_om_begin(&om, c->p);
    wh_om_family(&om, WH_OM_INFO, "wisehost_build", NULL, "Which Wisehost this is.");
    wh_om_int(&om, "_info", 1, "version", WH_VERSION, NULL);
    httpd_figures(&om);
    route_figures(&om, c->r);
    app_figures(&om);
    scheduler_figures(&om, c->r);
    text = wh_om_end(&om, &n);
    if (!open) {
        text = wh_om_plain(c->p, text, &n);
    }
    apr_table_setn(c->r->headers_out, "Vary", "Accept");
    c->rc = wh_mod_req_typed(c->r, open ? WH_OM_TYPE : WH_OM_TYPE_PLAIN, text, n);
    return APR_SUCCESS;
}
