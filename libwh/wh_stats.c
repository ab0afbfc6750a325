#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_clock.h"
#include "libwh/wh_id.h"
#include "libwh/wh_lru.h"
#include "libwh/wh_stats.h"

#define RATE_MIN_US APR_INT64_C(1000000) /* over less than that a rate is noise */

enum { RX, TX, READ, WRITE, TOTALS };

typedef struct part_t part_t;
struct part_t {
    part_t *next; /* of the same app */
    apr_int64_t worker;
    char deployment[WH_ID_LEN + 1];
    apr_int64_t cpu, memory, limit;
    apr_int64_t total[TOTALS], base[TOTALS], rate[TOTALS];
    int rated;         /* rate was measured, over base_at and the report behind it */
    wh_mono_t base_at; /* when base was read */
    wh_mono_t at;
    apr_time_t updated_at;
};

typedef struct app_t {
    wh_lru_item_t item; /* first */
    char id[WH_ID_LEN + 1];
    part_t *parts;
    apr_int64_t cpu_us, used[TOTALS]; /* counted since it was met */
} app_t;

struct wh_stats_t {
    wh_lru_t *apps;
    int parts, max;
    wh_mono_t swept;
};

static void drop_app(void *baton, wh_lru_item_t *item)
{
    wh_stats_t *stats = baton;
    app_t *app = (app_t *)item;

    while (app->parts) {
        part_t *next = app->parts->next;

        free(app->parts);
        app->parts = next;
        stats->parts--;
    }
    free(app);
}

wh_stats_t *wh_stats_make(apr_pool_t *p, int max)
{
    wh_stats_t *stats = apr_pcalloc(p, sizeof(*stats));

    stats->max = max;
    stats->apps = wh_lru_make(p, max, drop_app, stats);
    return stats;
}

static int stale(const part_t *part, wh_mono_t now)
{
    return wh_mono_diff(now, part->at) > WH_STATS_TTL_US;
}

static void sweep(wh_stats_t *stats, wh_mono_t now)
{
    wh_lru_item_t *item = wh_lru_next(stats->apps, NULL);

    stats->swept = now;
    while (item) {
        app_t *app = (app_t *)item;
        part_t **at = &app->parts;

        item = wh_lru_next(stats->apps, item);
        while (*at) {
            part_t *part = *at;

            if (!stale(part, now)) {
                at = &part->next;
                continue;
            }
            *at = part->next;
            free(part);
            stats->parts--;
        }
        if (!app->parts)
            wh_lru_remove(stats->apps, &app->item);
    }
}

static app_t *app_of(wh_stats_t *stats, const char *id)
{
    app_t *app = (app_t *)wh_lru_find(stats->apps, id);

    if (app || !(app = calloc(1, sizeof(*app))))
        return app;
    apr_cpystrn(app->id, id, sizeof(app->id));
    app->item.key = app->id;
    wh_lru_add(stats->apps, &app->item);
    return app;
}

static part_t *part_of(wh_stats_t *stats, app_t *app, apr_int64_t worker,
                       const wh_msg_app_use_t *use)
{
    part_t *part = app ? app->parts : NULL;

    while (part && (part->worker != worker || strcmp(part->deployment, use->deployment) != 0))
        part = part->next;
    if (part || !app || stats->parts >= stats->max)
        return part;
    part = calloc(1, sizeof(*part));
    if (!part)
        return NULL;
    part->worker = worker;
    apr_cpystrn(part->deployment, use->deployment, sizeof(part->deployment));
    part->next = app->parts;
    app->parts = part;
    stats->parts++;
    return part;
}

/* Doubles hold every total exactly, and the product does not overflow. */
static apr_int64_t rate_of(apr_int64_t now, apr_int64_t before, apr_interval_time_t over)
{
    apr_int64_t more = now >= before ? now - before : now;

    return (apr_int64_t)((double)more * 1e6 / (double)over);
}

static void measure(part_t *part, int known, wh_mono_t mono)
{
    apr_interval_time_t over = wh_mono_diff(mono, part->base_at);
    int i;

    if (known && over < RATE_MIN_US)
        return;
    for (i = 0; i < TOTALS; i++) {
        part->rate[i] = known ? rate_of(part->total[i], part->base[i], over) : 0;
        part->base[i] = part->total[i];
    }
    part->rated = known;
    part->base_at = mono;
}

/* Sums of what workers say stay in range, whatever they say. */
static void add(apr_int64_t *to, apr_int64_t n)
{
    *to = *to > APR_INT64_MAX - n ? APR_INT64_MAX : *to + n;
}

static void take_total(app_t *app, part_t *part, int which, int met, apr_int64_t total)
{
    if (met && total > part->total[which])
        add(&app->used[which], total - part->total[which]);
    part->total[which] = total;
}

int wh_stats_put(wh_stats_t *stats, apr_int64_t worker, const wh_msg_app_use_t *use, apr_time_t now,
                 wh_mono_t mono)
{
    app_t *app;
    part_t *part;
    int met, known;

    if (wh_mono_diff(mono, stats->swept) >= WH_STATS_TTL_US)
        sweep(stats, mono);
    app = stats->parts < stats->max ? app_of(stats, use->app)
                                    : (app_t *)wh_lru_find(stats->apps, use->app);
    part = part_of(stats, app, worker, use);
    if (!part)
        return 0;
    met = part->updated_at != 0;
    known = met && !stale(part, mono);
    if (known) /* the agent's figure is of the time since its last look */
        add(&app->cpu_us, use->cpu_millis * (wh_mono_diff(mono, part->at) / 1000));
    part->cpu = use->cpu_millis;
    part->memory = use->memory_bytes;
    part->limit = use->memory_limit_bytes;
    take_total(app, part, RX, met, use->net_rx_bytes);
    take_total(app, part, TX, met, use->net_tx_bytes);
    take_total(app, part, READ, met, use->disk_read_bytes);
    take_total(app, part, WRITE, met, use->disk_write_bytes);
    measure(part, known, mono);
    part->at = mono;
    part->updated_at = now;
    return 1;
}

static int live_of(const app_t *app, wh_mono_t mono, wh_stats_live_t *out)
{
    const part_t *part;

    memset(out, 0, sizeof(*out));
    for (part = app ? app->parts : NULL; part; part = part->next) {
        if (stale(part, mono))
            continue;
        add(&out->cpu_millis, part->cpu);
        add(&out->memory_bytes, part->memory);
        add(&out->memory_limit_bytes, part->limit);
        add(&out->net_rx_per_s, part->rate[RX]);
        add(&out->net_tx_per_s, part->rate[TX]);
        add(&out->disk_read_per_s, part->rate[READ]);
        add(&out->disk_write_per_s, part->rate[WRITE]);
        add(&out->net_bytes, part->total[RX]);
        add(&out->net_bytes, part->total[TX]);
        add(&out->disk_bytes, part->total[READ]);
        add(&out->disk_bytes, part->total[WRITE]);
        out->updated_at = part->updated_at > out->updated_at ? part->updated_at : out->updated_at;
        out->parts++;
        out->rated += part->rated;
    }
    if (out->parts > 0) {
        out->used_cpu_us = app->cpu_us;
        out->used_rx = app->used[RX];
        out->used_tx = app->used[TX];
        out->used_read = app->used[READ];
        out->used_write = app->used[WRITE];
    }
    return out->parts > 0;
}

int wh_stats_get(const wh_stats_t *stats, const char *app, wh_mono_t mono, wh_stats_live_t *out)
{
    return live_of((const app_t *)wh_lru_find(stats->apps, app), mono, out);
}

int wh_stats_each(const wh_stats_t *stats, wh_mono_t mono, int max, wh_stats_fn *fn, void *baton)
{
    const wh_lru_item_t *item = NULL;
    wh_stats_live_t live;
    int n = 0;

    while (n < max && (item = wh_lru_next(stats->apps, item)) != NULL) {
        const app_t *app = (const app_t *)item;

        if (live_of(app, mono, &live)) {
            fn(baton, app->id, &live);
            n++;
        }
    }
    return n;
}

int wh_stats_parts(const wh_stats_t *stats, const char *id, wh_mono_t mono, wh_stats_part_t *parts,
                   int max)
{
    const app_t *app = (const app_t *)wh_lru_find(stats->apps, id);
    int n = 0;

    for (const part_t *part = app ? app->parts : NULL; part && n < max; part = part->next) {
        if (stale(part, mono))
            continue;
        parts[n] = (wh_stats_part_t){.app = app->id,
                                     .deployment = part->deployment,
                                     .worker = part->worker,
                                     .net_bytes = part->total[RX]};
        add(&parts[n++].net_bytes, part->total[TX]);
    }
    return n;
}

void wh_stats_delete_app(wh_stats_t *stats, const char *app)
{
    wh_lru_item_t *item = wh_lru_find(stats->apps, app);

    if (item)
        wh_lru_remove(stats->apps, item);
}

int wh_stats_count(const wh_stats_t *stats)
{
    return stats->parts;
}
