/* The section of mod_status: for people as a table, with ?auto as lines for programs. */
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_meter.h"
#include "mod_wisehost/wh_mod_proxy.h"

#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <mod_status.h>

static const struct {
    const char *name;
    const char *doc;
} rows[WH_COUNTS] = {
#define WH_COUNTER(kind, name, auto_name, doc) {auto_name, doc},
#include "mod_wisehost/wh_mod_counters.def"
#undef WH_COUNTER
};

/* One figure in either form. */
static void line(request_rec *r, int flags, const char *name, const char *doc, apr_int64_t value)
{
    if (flags & AP_STATUS_SHORT) {
        ap_rprintf(r, "WiseHost%s: %" APR_INT64_T_FMT "\n", name, value);
    } else {
        ap_rprintf(r, "<tr><td>%s</td><td>%" APR_INT64_T_FMT "</td></tr>\n", doc, value);
    }
}

static void routes(request_rec *r, int flags)
{
    wh_mod_table_t table;

    wh_mod_route_info(r, &table);
    line(r, flags, "RouteTable", "route table: 1 = open", table.path != NULL);
    line(r, flags, "RouteNames", "names in the route table", (apr_int64_t)table.names);
    line(r, flags, "RouteGeneration", "generation of the route table",
         (apr_int64_t)table.generation);
    line(r, flags, "RouteAge", "seconds since the route table was written",
         table.written != 0 ? apr_time_sec(r->request_time - table.written) : -1);
}

static void upstreams(request_rec *r, int flags)
{
    const apr_array_header_t *list = wh_mod_upstream_list(r->pool, r->request_time);
    apr_int64_t resting = 0;
    apr_int64_t busy = 0;

    for (int i = 0; i < list->nelts; i++) {
        const wh_mod_upstream_t *up = &APR_ARRAY_IDX(list, i, wh_mod_upstream_t);

        resting += up->resting;
        busy += up->in_flight;
    }
    line(r, flags, "Upstreams", "upstreams used within ten minutes", list->nelts);
    line(r, flags, "UpstreamsResting", "of them at rest, because they did not answer", resting);
    line(r, flags, "UpstreamRequests", "requests at upstreams now", busy);
}

static void upstream_table(request_rec *r)
{
    const apr_array_header_t *list = wh_mod_upstream_list(r->pool, r->request_time);

    if (list->nelts == 0) {
        return;
    }
    ap_rputs("<table border=\"0\"><tr><th>Upstream</th><th>Now</th><th>Requests</th>"
             "<th>Errors</th><th>Rests</th></tr>\n",
             r);
    for (int i = 0; i < list->nelts; i++) {
        const wh_mod_upstream_t *up = &APR_ARRAY_IDX(list, i, wh_mod_upstream_t);

        ap_rprintf(r, "<tr><td>%s</td><td>%u</td><td>%u</td><td>%u</td><td>%s</td></tr>\n",
                   ap_escape_html(r->pool, up->name), up->in_flight, up->requests, up->errors,
                   up->resting ? "yes" : "no");
    }
    ap_rputs("</table>\n", r);
}

/* ---- apps ------------------------ */

#define APPS_SHOWN 50

typedef struct app_t {
    const char *slug;
    apr_uint64_t requests;
    wh_meter_sum_t sum;
} app_t;

typedef struct apps_t {
    apr_pool_t *p;
    apr_array_header_t *list; /* app_t */
    apr_uint64_t requests;
} apps_t;

static void take_app(void *baton, const char *slug, const wh_meter_sum_t *all)
{
    apps_t *apps = baton;
    app_t *app = apr_array_push(apps->list);

    app->slug = apr_pstrdup(apps->p, slug);
    app->sum = *all;
    app->requests = wh_meter_requests(all);
    apps->requests += app->requests;
}

static int busier(const void *a, const void *b)
{
    const app_t *x = a;
    const app_t *y = b;

    return x->requests != y->requests ? (x->requests < y->requests ? 1 : -1)
                                      : strcmp(x->slug, y->slug);
}

static void app_lines(request_rec *r, int flags, const apps_t *apps)
{
    wh_mod_meter_room_t room;

    wh_mod_meter_room(&room);
    line(r, flags, "Metrics", "requests of applications are counted: 1 = yes", wh_mod_meter_on());
    line(r, flags, "AppRequests", "requests of applications that were counted",
         (apr_int64_t)apps->requests);
    line(r, flags, "MetricsApps", "applications counted each on its own", room.used);
    line(r, flags, "MetricsAppsMax", "of at most so many", room.rows);
    line(r, flags, "MetricsOtherRequests", "requests of those for which there was no room",
         (apr_int64_t)room.others);
}

static void app_table(request_rec *r, const apps_t *apps)
{
    int n = apps->list->nelts < APPS_SHOWN ? apps->list->nelts : APPS_SHOWN;

    if (n == 0) {
        return;
    }
    qsort(apps->list->elts, (size_t)apps->list->nelts, sizeof(app_t), busier);
    ap_rputs("<table border=\"0\"><tr><th>Application</th><th>Requests</th><th>4xx</th>"
             "<th>5xx</th><th>kB</th><th>p50 ms</th><th>p95 ms</th><th>p99 ms</th></tr>\n",
             r);
    for (int i = 0; i < n; i++) {
        const app_t *app = &APR_ARRAY_IDX(apps->list, i, app_t);

        ap_rprintf(r, "<tr><td>%s</td>", ap_escape_html(r->pool, app->slug));
        for (int k = 0; k < 4; k++) {
            const apr_uint64_t of[] = {app->requests, app->sum.of[WH_METER_4XX],
                                       app->sum.of[WH_METER_5XX],
                                       app->sum.of[WH_METER_BYTES] / 1000};

            ap_rprintf(r, "<td>%" APR_UINT64_T_FMT "</td>", of[k]);
        }
        for (int k = 0; k < 3; k++) {
            static const double parts[] = {0.5, 0.95, 0.99};
            apr_int64_t us = wh_meter_quantile_us(&app->sum, parts[k]);

            if (us < 0) {
                ap_rputs("<td>-</td>", r);
            } else {
                ap_rprintf(r, "<td>%.1f</td>", (double)us / 1000);
            }
        }
        ap_rputs("</tr>\n", r);
    }
    ap_rputs("</table>\n", r);
}

static int status(request_rec *r, int flags)
{
    wh_mod_counters_t sums;
    apps_t apps = {.p = r->pool, .list = apr_array_make(r->pool, 64, sizeof(app_t))};

    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("<hr />\n<h2>WiseHost</h2>\n<table border=\"0\">\n", r);
    }
    wh_mod_counters_read(&sums);
    line(r, flags, "Children", "children that count", sums.children);
    routes(r, flags);
    for (int i = 0; i < WH_COUNTS; i++) {
        line(r, flags, rows[i].name, rows[i].doc, sums.of[i]);
    }
    upstreams(r, flags);
    wh_mod_meter_each(take_app, &apps);
    app_lines(r, flags, &apps);
    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("</table>\n", r);
        upstream_table(r);
        app_table(r, &apps);
    }
    return OK;
}

void wh_mod_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, status, NULL, NULL, APR_HOOK_MIDDLE);
}
