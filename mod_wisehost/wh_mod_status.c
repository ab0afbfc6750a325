/* The section of mod_status: for people as a table, with ?auto as lines for programs. */
#include "mod_wisehost/wh_mod_counters.h"
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

static int status(request_rec *r, int flags)
{
    wh_mod_counters_t sums;

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
    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("</table>\n", r);
        upstream_table(r);
    }
    return OK;
}

void wh_mod_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, status, NULL, NULL, APR_HOOK_MIDDLE);
}
