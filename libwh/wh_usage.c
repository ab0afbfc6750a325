#include "libwh/wh_usage.h"

#include <stdlib.h>
#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_time.h"

#define DAY_US APR_INT64_C(86400000000)
#define STEP_MAX_S APR_INT64_C(2592000)
#define POINTS_WANTED 300
#define PARTS_MAX 64 /* containers of an app: replicas, environments, those that end */
#define APPS_MAX 1000000

typedef struct part_t {
    struct part_t *next;
    char deployment[WH_ID_LEN + 1];
    apr_int64_t worker, net_total;
} part_t;

typedef struct app_t {
    char id[WH_ID_LEN + 1];
    wh_usage_row_t row; /* app_id is id */
    part_t *parts;
} app_t;

struct wh_usage_book_t {
    apr_hash_t *apps; /* id -> app_t */
    int fresh;
};

apr_time_t wh_usage_bucket(apr_time_t at)
{
    apr_time_t into = at % WH_USAGE_BUCKET_US;

    return at - into - (into < 0 ? WH_USAGE_BUCKET_US : 0);
}

/* ---- the book ---- */

static apr_status_t book_free(void *data)
{
    wh_usage_book_t *book = data;

    for (apr_hash_index_t *at = apr_hash_first(NULL, book->apps); at; at = apr_hash_next(at)) {
        app_t *app = apr_hash_this_val(at);

        while (app->parts != NULL) {
            part_t *next = app->parts->next;

            free(app->parts);
            app->parts = next;
        }
        free(app);
    }
    return APR_SUCCESS;
}

wh_usage_book_t *wh_usage_book_make(apr_pool_t *p, int fresh)
{
    wh_usage_book_t *book = apr_pcalloc(p, sizeof(*book));

    book->apps = apr_hash_make(p);
    book->fresh = fresh;
    apr_pool_cleanup_register(p, book, book_free, apr_pool_cleanup_null);
    return book;
}

static app_t *app_of(wh_usage_book_t *book, const char *id)
{
    app_t *app = apr_hash_get(book->apps, id, APR_HASH_KEY_STRING);

    if (app == NULL && (app = calloc(1, sizeof(*app))) != NULL) {
        apr_cpystrn(app->id, id, sizeof(app->id));
        apr_hash_set(book->apps, app->id, APR_HASH_KEY_STRING, app);
    }
    return app;
}

static part_t *part_of(const app_t *app, const char *deployment, apr_int64_t worker)
{
    part_t *part = app != NULL ? app->parts : NULL;

    while (part != NULL && (part->worker != worker || strcmp(part->deployment, deployment) != 0)) {
        part = part->next;
    }
    return part;
}

int wh_usage_book_row(wh_usage_book_t *book, const wh_usage_row_t *row)
{
    app_t *app = app_of(book, row->app_id);

    if (app == NULL) {
        return 0;
    }
    app->row = *row;
    app->row.app_id = app->id;
    return 1;
}

int wh_usage_book_part(wh_usage_book_t *book, const wh_usage_part_t *p)
{
    app_t *app = app_of(book, p->app_id);
    part_t *part = part_of(app, p->deployment, p->worker);

    if (app == NULL) {
        return 0;
    }
    if (part == NULL) {
        part = calloc(1, sizeof(*part));
        if (part == NULL) {
            return 0;
        }
        apr_cpystrn(part->deployment, p->deployment, sizeof(part->deployment));
        part->worker = p->worker;
        part->next = app->parts;
        app->parts = part;
    }
    part->net_total = p->net_total;
    return 1;
}

/* ---- a sample ---- */

typedef struct taking_t {
    wh_usage_book_t *book;
    const wh_stats_t *stats;
    wh_mono_t mono;
    apr_time_t bucket;
    wh_usage_sample_t *out;
    wh_usage_row_t *row; /* of the app in hand */
    const app_t *app;
} taking_t;

/* Sums of what workers say stay in range, whatever they say. */
static void add(apr_int64_t *to, apr_int64_t n)
{
    *to = *to > APR_INT64_MAX - n ? APR_INT64_MAX : *to + n;
}

static void note(apr_int64_t *sum, apr_int64_t *max, apr_int64_t n)
{
    add(sum, n);
    *max = n > *max ? n : *max;
}

static void begin_app(taking_t *t, const char *id)
{
    apr_time_t start = t->bucket;

    t->app = apr_hash_get(t->book->apps, id, APR_HASH_KEY_STRING);
    t->row = apr_array_push(t->out->rows);
    if (t->app != NULL && t->app->row.samples > 0 && t->app->row.start == start) {
        *t->row = t->app->row;
    } else {
        *t->row = (wh_usage_row_t){.start = start};
    }
    t->row->app_id = id;
    t->row->samples++;
}

static void take_part(taking_t *t, const wh_stats_part_t *now)
{
    const part_t *before = part_of(t->app, now->deployment, now->worker);
    wh_usage_part_t *p;

    if (before != NULL) {
        add(&t->row->net_bytes, now->net_bytes >= before->net_total
                                    ? now->net_bytes - before->net_total
                                    : now->net_bytes);
    } else if (!t->book->fresh) {
        add(&t->row->net_bytes, now->net_bytes);
    }
    if (before == NULL || before->net_total != now->net_bytes) {
        p = apr_array_push(t->out->parts);
        *p = (wh_usage_part_t){.app_id = now->app,
                               .deployment = now->deployment,
                               .worker = now->worker,
                               .net_total = now->net_bytes};
    }
}

static void take(void *baton, const char *app, const wh_stats_live_t *live)
{
    taking_t *t = baton;

    begin_app(t, app);
    note(&t->row->cpu_sum, &t->row->cpu_max, live->cpu_millis);
    note(&t->row->memory_sum, &t->row->memory_max, live->memory_bytes);
    note(&t->row->net_sum, &t->row->net_max, live->net_rx_per_s + live->net_tx_per_s);
}

/* Behind the walk over the table: to look an app up changes its order. */
static void take_parts(taking_t *t, wh_usage_row_t *row)
{
    wh_stats_part_t parts[PARTS_MAX];
    int n = wh_stats_parts(t->stats, row->app_id, t->mono, parts, PARTS_MAX);

    t->row = row;
    t->app = apr_hash_get(t->book->apps, row->app_id, APR_HASH_KEY_STRING);
    for (int i = 0; i < n; i++) {
        take_part(t, &parts[i]);
    }
}

void wh_usage_sample(wh_usage_book_t *book, apr_pool_t *p, const wh_stats_t *stats, apr_time_t now,
                     wh_mono_t mono, wh_usage_sample_t *out)
{
    taking_t t = {
        .book = book, .stats = stats, .mono = mono, .bucket = wh_usage_bucket(now), .out = out};

    out->rows = apr_array_make(p, 64, sizeof(wh_usage_row_t));
    out->parts = apr_array_make(p, 64, sizeof(wh_usage_part_t));
    (void)wh_stats_each(stats, mono, APPS_MAX, take, &t);
    for (int i = 0; i < out->rows->nelts; i++) {
        take_parts(&t, &APR_ARRAY_IDX(out->rows, i, wh_usage_row_t));
    }
}

int wh_usage_done(wh_usage_book_t *book, const wh_usage_sample_t *sample)
{
    int good = 1;

    for (int i = 0; i < sample->rows->nelts; i++) {
        good &= wh_usage_book_row(book, &APR_ARRAY_IDX(sample->rows, i, wh_usage_row_t));
    }
    for (int i = 0; i < sample->parts->nelts; i++) {
        good &= wh_usage_book_part(book, &APR_ARRAY_IDX(sample->parts, i, wh_usage_part_t));
    }
    book->fresh = book->fresh && sample->rows->nelts == 0;
    return good;
}

/* ---- what is asked for ---- */

static apr_status_t moment(const char *text, const char *name, apr_time_t dflt, apr_time_t *at,
                           wh_err_t *err)
{
    *at = dflt;
    return text == NULL || wh_time_parse(text, at) == APR_SUCCESS
               ? APR_SUCCESS
               : wh_err_set(err, 400, "bad_parameter",
                            "The query parameter %s is a time: 2026-01-02T03:04:05Z.", name);
}

static apr_int64_t step_for(apr_interval_time_t span)
{
    static const apr_int64_t steps[] = {300, 900, 3600, 21600};

    for (size_t i = 0; i < WH_ARRAY_LEN(steps); i++) {
        if (span / (steps[i] * 1000000) <= POINTS_WANTED) {
            return steps[i];
        }
    }
    return 86400;
}

apr_status_t wh_usage_query(const char *from, const char *to, apr_int64_t step_s, apr_time_t now,
                            wh_usage_query_t *out, wh_err_t *err)
{
    apr_time_t oldest = wh_usage_bucket(now - WH_USAGE_KEPT_US) + WH_USAGE_BUCKET_US;
    apr_status_t rv = moment(to, "to", now, &out->to, err);

    rv = rv == APR_SUCCESS ? moment(from, "from", out->to - DAY_US, &out->from, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (out->from >= out->to) {
        return wh_err_set(err, 400, "bad_parameter", "from lies before to.");
    }
    out->to = out->to > now ? now : out->to;
    out->from = out->from < oldest ? oldest : wh_usage_bucket(out->from);
    out->to = out->to < out->from ? out->from : wh_usage_bucket(out->to + WH_USAGE_BUCKET_US - 1);
    step_s = step_s == 0 ? step_for(out->to - out->from) : step_s;
    out->step = step_s * 1000000;
    if (step_s < 300 || step_s > STEP_MAX_S || step_s % 300 != 0) {
        return wh_err_set(err, 400, "bad_parameter", "A step is a multiple of 300 seconds.");
    }
    if ((out->to - out->from) / out->step > WH_USAGE_POINTS_MAX) {
        return wh_err_set(err, 400, "bad_parameter",
                          "That are more than %d points: take a larger step.", WH_USAGE_POINTS_MAX);
    }
    return APR_SUCCESS;
}

/* Rounded to the nearest. */
static json_int_t mean(apr_int64_t sum, apr_int64_t n)
{
    return n == 0 ? 0 : (json_int_t)(sum / n + (sum % n >= n - sum % n));
}

static json_t *figures(const wh_usage_row_t *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "samples", (json_int_t)r->samples,
                     "cpu_millis_avg", mean(r->cpu_sum, r->samples), "cpu_millis_max",
                     (json_int_t)r->cpu_max, "memory_bytes_avg", mean(r->memory_sum, r->samples),
                     "memory_bytes_max", (json_int_t)r->memory_max, "net_bytes_per_s_avg",
                     mean(r->net_sum, r->samples), "net_bytes_per_s_max", (json_int_t)r->net_max,
                     "net_bytes", (json_int_t)r->net_bytes);
}

static void sum_up(wh_usage_row_t *all, const wh_usage_row_t *r)
{
    add(&all->samples, r->samples);
    add(&all->cpu_sum, r->cpu_sum);
    add(&all->memory_sum, r->memory_sum);
    add(&all->net_sum, r->net_sum);
    add(&all->net_bytes, r->net_bytes);
    all->cpu_max = r->cpu_max > all->cpu_max ? r->cpu_max : all->cpu_max;
    all->memory_max = r->memory_max > all->memory_max ? r->memory_max : all->memory_max;
    all->net_max = r->net_max > all->net_max ? r->net_max : all->net_max;
}

json_t *wh_usage_json(apr_pool_t *p, const char *slug, const wh_usage_query_t *q,
                      const apr_array_header_t *rows)
{
    wh_usage_row_t all = {.samples = 0};
    json_t *points = json_array();

    for (int i = 0; i < rows->nelts; i++) {
        const wh_usage_row_t *r = &APR_ARRAY_IDX(rows, i, wh_usage_row_t);
        json_t *point = figures(r);

        json_object_set_new(point, "start", json_string(wh_time_rfc3339(p, r->start)));
        json_array_append_new(points, point);
        sum_up(&all, r);
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "app", slug, "from",
                     wh_time_rfc3339(p, q->from), "to", wh_time_rfc3339(p, q->to), "step_seconds",
                     (json_int_t)(q->step / 1000000), "points", points, "total", figures(&all));
}
