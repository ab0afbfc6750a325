#include "mod_wisehost/wh_mod_api.h"

#include "whdb/wh_db_fleet.h"

/* F49, F59, F152: the workers in sums. */
apr_status_t wh_h_stats_get(wh_call_t *c)
{
    wh_db_stats_t s;
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_fleet_stats(c->dbc, c->p, &s, &c->err);
    if (rv) {
        return rv;
    }
    return wh_mod_call_reply(
        c, 200,
        json_pack(
            "{s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I, s:I}, s:{s:I}}",
            "workers", "total", (json_int_t)s.workers, "online", (json_int_t)s.online, "offline",
            (json_int_t)(s.workers - s.online), "draining", (json_int_t)s.draining, "cpu_millis",
            "total", (json_int_t)s.cpu_millis, "used", (json_int_t)s.cpu_used, "memory_bytes",
            "total", (json_int_t)s.memory_bytes, "used", (json_int_t)s.memory_used, "jobs",
            "pending", (json_int_t)s.jobs_pending, "assigned", (json_int_t)s.jobs_assigned,
            "processing", (json_int_t)s.jobs_processing, "apps", "running",
            (json_int_t)s.apps_running));
}
