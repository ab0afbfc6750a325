#include "wh-scheduler/metrics.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "config.h"
#include "libwh/wh_file.h"
#include "libwh/wh_log.h"
#include "libwh/wh_openmetrics.h"
#include "wh-scheduler/core.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_fleet.h"
#include "whdb/wh_db_worker.h"

#define SLUGS_MAX (4 * WH_METRICS_APPS_MAX)

static const int steps_s[WH_METRICS_STEPS - 1] = {1, 5, 10, 30, 60, 120, 300, 600, 1800};
static const wh_conclusion_e conclusions[] = {WH_CONCLUSION_SUCCEEDED, WH_CONCLUSION_FAILED,
                                              WH_CONCLUSION_CANCELED, WH_CONCLUSION_SKIPPED};

void wh_metrics_ended(wh_metrics_t *m, wh_conclusion_e how, apr_time_t created_at, apr_time_t now)
{
    apr_int64_t us = now > created_at ? now - created_at : 0;
    int i = 0;

    if ((unsigned)how < WH_METRICS_ENDS)
        m->ended[how]++;
    if (how != WH_CONCLUSION_SUCCEEDED || created_at == 0)
        return;
    while (i < WH_METRICS_STEPS - 1 && us > apr_time_from_sec(steps_s[i]))
        i++;
    m->took[i]++;
    m->took_us += us;
}

/* ---- what is written ---- */

static void one(wh_om_t *om, wh_om_kind_e kind, const char *name, const char *help,
                apr_int64_t value)
{
    wh_om_family(om, kind, name, NULL, help);
    wh_om_int(om, kind == WH_OM_COUNTER ? "_total" : "", value, NULL);
}

static void deployments(wh_om_t *om, const wh_metrics_t *m)
{
    apr_int64_t n = 0;

    wh_om_family(om, WH_OM_COUNTER, "wisehost_deployments", NULL,
                 "Deployments that ended since the scheduler started.");
    for (size_t i = 0; i < WH_ARRAY_LEN(conclusions); i++)
        wh_om_int(om, "_total", m->ended[conclusions[i]], "result",
                  wh_model_conclusion_text(conclusions[i]), NULL);
    wh_om_family(om, WH_OM_HISTOGRAM, "wisehost_deployment_duration_seconds", "seconds",
                 "How long deployments took that succeeded, from when they were asked for.");
    for (int i = 0; i < WH_METRICS_STEPS - 1; i++) {
        n += m->took[i];
        wh_om_int(om, "_bucket", n, "le", apr_psprintf(om->p, "%d.0", steps_s[i]), NULL);
    }
    n += m->took[WH_METRICS_STEPS - 1];
    wh_om_int(om, "_bucket", n, "le", "+Inf", NULL);
    wh_om_int(om, "_count", n, NULL);
    wh_om_us(om, "_sum", m->took_us, NULL);
}

static void process(wh_om_t *om, const wh_core_t *core)
{
    const wh_metrics_t *m = &core->metrics;
    apr_int64_t ready = 0;

    wh_om_family(om, WH_OM_INFO, "wisehost_scheduler", NULL, "The active scheduler.");
    wh_om_int(om, "_info", 1, "version", PACKAGE_VERSION, NULL);
    wh_om_family(om, WH_OM_GAUGE, "wisehost_scheduler_start_time_seconds", "seconds",
                 "When it started.");
    wh_om_us(om, "", m->started_at, NULL);
    for (const wh_peer_t *peer = core->peers; peer != NULL; peer = peer->next)
        ready += peer->ready != 0;
    one(om, WH_OM_GAUGE, "wisehost_hub_connections", "Workers that are connected.", ready);
    one(om, WH_OM_COUNTER, "wisehost_hub_connects", "Connections of workers that were opened.",
        m->connects);
    one(om, WH_OM_COUNTER, "wisehost_hub_disconnects", "Connections of workers that ended.",
        m->disconnects);
    wh_om_family(om, WH_OM_COUNTER, "wisehost_hub_messages", NULL,
                 "Frames of workers that were handled.");
    for (int i = 0; i < WH_MSG_COUNT; i++) {
        if (m->messages[i] > 0)
            wh_om_int(om, "_total", m->messages[i], "type", wh_proto_type_name((wh_msg_e)i), NULL);
    }
    one(om, WH_OM_COUNTER, "wisehost_hub_messages_refused",
        "Frames that were answered by an error.", m->refused);
    one(om, WH_OM_COUNTER, "wisehost_database_put_off",
        "Messages that the database did not take at once.", m->put_off);
    one(om, WH_OM_COUNTER, "wisehost_database_lost", "Times that the database was lost.",
        m->db_lost);
    deployments(om, m);
}

/* What cannot be read now is left out. */
static int fleet(wh_om_t *om, wh_core_t *core, apr_time_t now)
{
    wh_db_stats_t s;

    if (core->dbc == NULL || wh_dbc_gone(core->dbc) ||
        wh_db_fleet_stats(core->dbc, om->p, &s, NULL) != APR_SUCCESS)
        return 0;
    wh_om_family(om, WH_OM_GAUGE, "wisehost_jobs", NULL, "Jobs that are not over.");
    wh_om_int(om, "", s.jobs_pending, "state", "pending", NULL);
    wh_om_int(om, "", s.jobs_assigned, "state", "assigned", NULL);
    wh_om_int(om, "", s.jobs_processing, "state", "processing", NULL);
    one(om, WH_OM_GAUGE, "wisehost_job_queue_depth", "Jobs that wait for a worker.",
        s.jobs_pending);
    wh_om_family(om, WH_OM_GAUGE, "wisehost_job_queue_oldest_seconds", "seconds",
                 "How long the first of them has waited.");
    wh_om_us(om, "", s.oldest_pending > 0 && now > s.oldest_pending ? now - s.oldest_pending : 0,
             NULL);
    one(om, WH_OM_GAUGE, "wisehost_apps_running", "Applications that run.", s.apps_running);
    wh_om_family(om, WH_OM_GAUGE, "wisehost_workers", NULL, "Workers.");
    wh_om_int(om, "", s.online, "state", "online", NULL);
    wh_om_int(om, "", s.workers - s.online, "state", "offline", NULL);
    one(om, WH_OM_GAUGE, "wisehost_workers_draining", "Workers that are being emptied.",
        s.draining);
    return 1;
}

/* Families of workers: one figure each. */
static void worker_family(wh_om_t *om, const apr_array_header_t *list, int which)
{
    static const struct {
        const char *name, *unit, *help;
    } of[] = {
        {"wisehost_worker_up", NULL, "1 while the worker is connected and takes work."},
        {"wisehost_worker_cpu_cores", NULL, "Cores that the worker has."},
        {"wisehost_worker_cpu_cores_promised", NULL, "Cores of it that are promised."},
        {"wisehost_worker_memory_bytes", "bytes", "Memory that the worker has."},
        {"wisehost_worker_memory_promised_bytes", "bytes", "Memory of it that is promised."},
    };

    wh_om_family(om, WH_OM_GAUGE, of[which].name, of[which].unit, of[which].help);
    for (int i = 0; i < list->nelts; i++) {
        const wh_worker_t *w = APR_ARRAY_IDX(list, i, wh_worker_t *);
        const apr_int64_t values[] = {w->status == WH_WORKER_ONLINE, w->cpu_millis, w->used_cpu,
                                      w->memory_bytes, w->used_memory};

        if (which == 1 || which == 2)
            wh_om_millis(om, "", values[which], "worker", w->name, NULL);
        else
            wh_om_int(om, "", values[which], "worker", w->name, NULL);
    }
}

static int workers(wh_om_t *om, wh_core_t *core)
{
    apr_array_header_t *list;

    if (wh_db_worker_list(core->dbc, om->p, 0, WH_METRICS_WORKERS_MAX, &list, NULL) != APR_SUCCESS)
        return 0;
    for (int which = 0; which < 5; which++)
        worker_family(om, list, which);
    return 1;
}

/* ---- live figures of applications ---- */

typedef struct use_t {
    const char *slug;
    wh_stats_live_t live;
} use_t;

typedef struct uses_t {
    wh_core_t *core;
    apr_pool_t *p;
    apr_array_header_t *list; /* use_t */
} uses_t;

static const char *slug_of(wh_core_t *core, apr_pool_t *p, const char *id)
{
    wh_metrics_t *m = &core->metrics;
    const char *slug;
    wh_app_t *app;

    if (m->slugs == NULL || apr_hash_count(m->slugs) >= SLUGS_MAX) {
        if (m->slug_p != NULL)
            apr_pool_destroy(m->slug_p);
        apr_pool_create(&m->slug_p, core->pool);
        m->slugs = apr_hash_make(m->slug_p);
    }
    slug = apr_hash_get(m->slugs, id, APR_HASH_KEY_STRING);
    if (slug == NULL && wh_db_app_by_id(core->dbc, p, id, &app, NULL) == APR_SUCCESS) {
        slug = apr_pstrdup(m->slug_p, app->slug);
        apr_hash_set(m->slugs, apr_pstrdup(m->slug_p, id), APR_HASH_KEY_STRING, slug);
    }
    return slug;
}

static void take_use(void *baton, const char *app, const wh_stats_live_t *live)
{
    uses_t *uses = baton;
    const char *slug = slug_of(uses->core, uses->p, app);

    if (slug != NULL)
        APR_ARRAY_PUSH(uses->list, use_t) = (use_t){.slug = slug, .live = *live};
}

/* Families of an application: one figure each. */
#define USE(member) offsetof(wh_stats_live_t, member)
static const struct {
    const char *name, *unit, *help;
    size_t at;
    wh_om_kind_e kind;
    void (*put)(wh_om_t *om, const char *suffix, apr_int64_t value, ...);
} use_families[] = {
    {"wisehost_app_cpu_cores", NULL, "Cores that the application used just now.", USE(cpu_millis),
     WH_OM_GAUGE, wh_om_millis},
    {"wisehost_app_memory_bytes", "bytes", "Memory that it uses, without the page cache.",
     USE(memory_bytes), WH_OM_GAUGE, wh_om_int},
    {"wisehost_app_memory_limit_bytes", "bytes", "Memory that it may use.",
     USE(memory_limit_bytes), WH_OM_GAUGE, wh_om_int},
    {"wisehost_app_network_receive_bytes_per_second", NULL, "Bytes a second to it.",
     USE(net_rx_per_s), WH_OM_GAUGE, wh_om_int},
    {"wisehost_app_network_transmit_bytes_per_second", NULL, "Bytes a second from it.",
     USE(net_tx_per_s), WH_OM_GAUGE, wh_om_int},
    {"wisehost_app_disk_read_bytes_per_second", NULL, "Bytes a second from disk.",
     USE(disk_read_per_s), WH_OM_GAUGE, wh_om_int},
    {"wisehost_app_disk_write_bytes_per_second", NULL, "Bytes a second to disk.",
     USE(disk_write_per_s), WH_OM_GAUGE, wh_om_int},
    {"wisehost_app_cpu_seconds", "seconds", "CPU time that it used.", USE(used_cpu_us),
     WH_OM_COUNTER, wh_om_us},
    {"wisehost_app_network_receive_bytes", "bytes", "Bytes to it.", USE(used_rx), WH_OM_COUNTER,
     wh_om_int},
    {"wisehost_app_network_transmit_bytes", "bytes", "Bytes from it.", USE(used_tx),
     WH_OM_COUNTER, wh_om_int},
    {"wisehost_app_disk_read_bytes", "bytes", "Bytes from disk.", USE(used_read), WH_OM_COUNTER,
     wh_om_int},
    {"wisehost_app_disk_written_bytes", "bytes", "Bytes to disk.", USE(used_write), WH_OM_COUNTER,
     wh_om_int},
};

static void uses(wh_om_t *om, wh_core_t *core, wh_mono_t mono)
{
    uses_t all = {.core = core, .p = om->p, .list = apr_array_make(om->p, 64, sizeof(use_t))};

    if (core->stats == NULL)
        return;
    (void)wh_stats_each(core->stats, mono, WH_METRICS_APPS_MAX, take_use, &all);
    for (size_t k = 0; k < WH_ARRAY_LEN(use_families); k++) {
        wh_om_family(om, use_families[k].kind, use_families[k].name, use_families[k].unit,
                     use_families[k].help);
        for (int i = 0; i < all.list->nelts; i++) {
            const use_t *use = &APR_ARRAY_IDX(all.list, i, use_t);
            apr_int64_t value =
                *(const apr_int64_t *)((const char *)&use->live + use_families[k].at);

            use_families[k].put(om, use_families[k].kind == WH_OM_COUNTER ? "_total" : "", value,
                                "app", use->slug, NULL);
        }
    }
}

/* "<app id> <updated_at> <parts> <figures …>", the figures in the order of wh_stats_live_t. */
static void live_line(void *baton, const char *app, const wh_stats_live_t *l)
{
    wh_om_t *om = baton;
    char line[400];
    const apr_int64_t of[] = {
        l->updated_at,         l->parts,        l->cpu_millis,   l->memory_bytes,
        l->memory_limit_bytes, l->net_rx_per_s, l->net_tx_per_s, l->disk_read_per_s,
        l->disk_write_per_s,   l->net_bytes,    l->disk_bytes};
    size_t n = (size_t)apr_snprintf(line, sizeof(line), "%s", app);

    for (size_t i = 0; i < WH_ARRAY_LEN(of); i++)
        n += (size_t)apr_snprintf(line + n, sizeof(line) - n, " %" APR_INT64_T_FMT, of[i]);
    line[n++] = '\n';
    wh_om_text(om, line, n);
}

/* ---- the files ---- */

static int replace(apr_pool_t *p, const char *path, const char *text, size_t n)
{
    const wh_file_new_t file = {
        .dir = AT_FDCWD, .path = path, .mode = 0640, .group = WH_FILE_NO_GROUP};

    return wh_file_replace(p, &file, text, n) == APR_SUCCESS;
}

static int write_live(wh_core_t *core, apr_pool_t *p, wh_mono_t mono)
{
    wh_om_t om;

    core->metrics.live_news = 0;
    core->metrics.live_at = wh_mono_add(mono, WH_METRICS_LIVE_US);
    wh_om_begin(&om, p);
    if (core->stats != NULL)
        (void)wh_stats_each(core->stats, mono, WH_METRICS_LIVE_MAX, live_line, &om);
    return replace(p, apr_pstrcat(p, core->settings->state_dir, WH_METRICS_LIVE, NULL), om.buf,
                   om.n);
}

void wh_metrics_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now)
{
    wh_metrics_t *m = &core->metrics;
    apr_pool_t *scratch;
    wh_om_t om;
    int up, good;

    if (!wh_mono_reached(mono, m->at)) {
        if (m->live_news && wh_mono_reached(mono, m->live_at)) {
            apr_pool_create(&scratch, p);
            (void)write_live(core, scratch, mono); /* what is wrong is said below */
            apr_pool_destroy(scratch);
        }
        return;
    }
    m->at = wh_mono_add(mono, WH_METRICS_EVERY_US);
    if (m->started_at == 0)
        m->started_at = now;
    apr_pool_create(&scratch, p);
    wh_om_begin(&om, scratch);
    process(&om, core);
    up = fleet(&om, core, now) && workers(&om, core);
    if (up)
        uses(&om, core, mono);
    one(&om, WH_OM_GAUGE, "wisehost_database_up", "1 while the scheduler can use the database.",
        up);
    good = replace(scratch, apr_pstrcat(scratch, core->settings->state_dir, WH_METRICS_FILE, NULL),
                   om.buf, om.n);
    good = write_live(core, scratch, mono) && good;
    if (!good && !m->failed)
        wh_log(WH_LOG_WARN, "WH0538", "the figures for /metrics cannot be written to %s%s",
               core->settings->state_dir, WH_METRICS_FILE);
    m->failed = !good;
    apr_pool_destroy(scratch);
}
