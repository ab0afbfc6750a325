/*
 * The table of rows, see the header. An app is found by the hash of its id within a few steps of
 * it; whoever finds none takes a lock that is only tried, never waited for. The lock can be taken
 * away from a process that died with it.
 */
#include <sched.h>
#include <unistd.h>

#include <apr_shm.h>
#include <apr_strings.h>

#include "libwh/wh_hash.h"
#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_meter.h"

#include <ap_mpm.h>
#include <mpm_common.h>
#include <stdatomic.h>

#define LINE 64
#define STRIPES_MAX 64
#define STEPS 16       /* of the search for an app's entry */
#define GAVE_WAY 1     /* key of an entry that is free again */
#define IDLE_S 60      /* a row of an app that was asked since then stays its own */
#define FORGET_S 86400 /* silent for that long: given up */
#define LOCK_STALE_US (5 * APR_USEC_PER_SEC)
#define OTHER 0         /* the row of all others */
#define GONE_STATUS 499 /* as the log says it: the client left before there was an answer */

/* Another module after an upgrade, or another number of apps, makes another memory. */
#define KEEP_NAME "wisehost-meter-%d-%d"

typedef _Atomic apr_uint64_t cell_t;

/* One stripe of one app. */
typedef struct figures_t {
    _Alignas(LINE) cell_t of[(WH_METERS + 7) / 8 * 8];
    cell_t took[WH_METER_BUCKETS];
} figures_t;

typedef struct row_t {
    char app[WH_ID_LEN + 1]; /* "" = free */
    char slug[WH_HOST_LABEL_MAX + 1];
    _Atomic apr_uint32_t used_s; /* wall time, seconds */
    apr_uint32_t seen_s;         /* used_s when a tick last looked at it */
    wh_meter_sum_t before;       /* at the last tick */
} row_t;

typedef struct entry_t {
    _Atomic apr_uint64_t key; /* 0 = never used */
    _Atomic apr_uint32_t row;
} entry_t;

typedef struct head_t {
    apr_time_t since;
    apr_int64_t began_us;        /* the same on the monotonic clock */
    _Atomic apr_int64_t lock;    /* since when, 0 = free */
    _Atomic apr_uint32_t tick;   /* the one under way */
    _Atomic apr_uint32_t full_s; /* when no row was to be had: not looked for again that second */
    _Atomic apr_uint32_t used;   /* rows that were used once */
} head_t;

/* Where all that lies; the same in parent and children. */
static struct {
    int rows, stripes;
    apr_uint64_t mask; /* of entries */
    head_t *head;
    entry_t *entries;
    row_t *row;
    figures_t *figures;       /* [stripe][row] */
    wh_meter_slot_t *ticks;   /* [tick % WH_METER_TICKS][row]: rows in use lie together */
    wh_meter_slot_t *minutes; /* [minute % WH_METER_MINUTES][row] */
} at;
static int on;

static apr_int64_t mono_us(void)
{
    return wh_clock_mono(wh_sys_clock()).us;
}

/* ---- the memory ------------------------ */

static size_t lines(size_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

/* Lays everything out from base on; NULL: only counts. */
static size_t lay_out(char *base)
{
    size_t rows = (size_t)at.rows;
    size_t n = 0;

#define PUT(member, count)                                                                         \
    at.member = base != NULL ? (void *)(base + n) : NULL;                                          \
    n += lines((count) * sizeof(*at.member))
    PUT(head, 1);
    PUT(entries, at.mask + 1);
    PUT(row, rows);
    PUT(figures, rows * (size_t)at.stripes);
    PUT(ticks, rows * WH_METER_TICKS);
    PUT(minutes, rows * WH_METER_MINUTES);
#undef PUT
    return n;
}

static void *align(void *base)
{
    return (void *)(((uintptr_t)base + LINE - 1) & ~(uintptr_t)(LINE - 1));
}

/* Anonymous memory comes zeroed, and what no app uses is never touched. */
static void *make(server_rec *s, const char *name)
{
    apr_shm_t *shm = NULL;
    apr_status_t rv = apr_shm_create(&shm, lay_out(NULL) + 2 * LINE, NULL, s->process->pool);
    void **kept;

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "WH0181: no shared memory for the requests of apps: they are not counted");
        return NULL;
    }
    kept = ap_retained_data_create(name, sizeof(*kept));
    *kept = align(apr_shm_baseaddr_get(shm));
    (void)lay_out(*kept);
    at.head->since = apr_time_now();
    at.head->began_us = mono_us();
    at.head->tick = (apr_uint32_t)(at.head->began_us / APR_USEC_PER_SEC / WH_METER_TICK_S);
    apr_cpystrn(at.row[OTHER].slug, WH_MOD_METER_OTHER, sizeof(at.row[OTHER].slug));
    at.head->used = 1;
    return *kept;
}

void wh_mod_meter_post_config(server_rec *s)
{
    char name[sizeof(KEEP_NAME) + 24];
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    void **kept;

    on = 0;
    if (!wh_mod_conf_metrics(s)) {
        return;
    }
    at.rows = wh_mod_conf_metrics_apps(s) + 1;
    for (at.stripes = 1; at.stripes < cpus && at.stripes < STRIPES_MAX; at.stripes *= 2) {
    }
    for (at.mask = 64; at.mask < 2 * (apr_uint64_t)at.rows; at.mask *= 2) {
    }
    at.mask--;
    apr_snprintf(name, sizeof(name), KEEP_NAME, (int)sizeof(row_t), at.rows);
    kept = ap_retained_data_get(name);
    if (kept != NULL) {
        (void)lay_out(*kept);
        on = 1;
    } else {
        on = make(s, name) != NULL;
    }
}

int wh_mod_meter_on(void)
{
    return on;
}

/* ---- rows ------------------------ */

static int try_lock(void)
{
    apr_int64_t now = mono_us();
    apr_int64_t held = atomic_load(&at.head->lock);

    return (held == 0 || now - held > LOCK_STALE_US) &&
           atomic_compare_exchange_strong(&at.head->lock, &held, now);
}

static void unlock(void)
{
    atomic_store(&at.head->lock, 0);
}

static figures_t *figures_of(apr_uint32_t row, int stripe)
{
    return &at.figures[(size_t)stripe * (size_t)at.rows + row];
}

/* Plain: ids are ours. */
static apr_uint64_t key_of(const char *app)
{
    apr_uint64_t h = wh_hash_plain(WH_HASH_PLAIN, app, strlen(app));

    h ^= h >> 32;
    return h > GAVE_WAY ? h : GAVE_WAY + 1;
}

static entry_t *find(apr_uint64_t key)
{
    for (apr_uint64_t i = 0; i < STEPS; i++) {
        entry_t *e = &at.entries[(key + i) & at.mask];

        if (atomic_load_explicit(&e->key, memory_order_acquire) == key) {
            return e;
        }
    }
    return NULL;
}

/* Under the lock. */
static void give_up(apr_uint32_t row)
{
    row_t *of = &at.row[row];
    entry_t *e = find(key_of(of->app));

    if (e != NULL) {
        atomic_store(&e->key, GAVE_WAY);
    }
    of->app[0] = of->slug[0] = '\0';
    of->seen_s = 0;
    atomic_store(&of->used_s, 0);
    memset(&of->before, 0, sizeof(of->before));
    for (int i = 0; i < at.stripes; i++) {
        memset((void *)figures_of(row, i), 0, sizeof(figures_t));
    }
    for (int i = 0; i < WH_METER_TICKS; i++) {
        at.ticks[(size_t)i * (size_t)at.rows + row].stamp = 0;
    }
    for (int i = 0; i < WH_METER_MINUTES; i++) {
        at.minutes[(size_t)i * (size_t)at.rows + row].stamp = 0;
    }
}

/* A free row, or the one that was silent longest; OTHER when there is none. Under the lock. */
static apr_uint32_t free_row(const wh_route_t *route, apr_uint32_t now_s)
{
    apr_uint32_t used = atomic_load(&at.head->used);
    apr_uint32_t best = OTHER;
    apr_uint32_t oldest = now_s > IDLE_S ? now_s - IDLE_S : 0;

    for (apr_uint32_t i = 1; i < used; i++) {
        apr_uint32_t s = atomic_load(&at.row[i].used_s);

        if (strcmp(at.row[i].slug, route->slug) == 0) {
            give_up(i); /* an app of that name which is no more */
            return i;
        }
        if (s < oldest) {
            oldest = s;
            best = i;
        }
    }
    if (used < (apr_uint32_t)at.rows) {
        atomic_store(&at.head->used, used + 1);
        return used;
    }
    if (best != OTHER) {
        give_up(best);
    }
    return best;
}

static apr_uint32_t enter(const wh_route_t *route, apr_uint64_t key, apr_uint32_t now_s)
{
    apr_uint32_t row = OTHER;
    entry_t *e = NULL;

    if (atomic_load(&at.head->full_s) == now_s || strlen(route->app_id) > WH_ID_LEN ||
        strlen(route->slug) > WH_HOST_LABEL_MAX || !try_lock()) {
        return OTHER;
    }
    if ((e = find(key)) != NULL) {
        row = atomic_load(&e->row); /* another was faster */
        unlock();
        return row;
    }
    row = free_row(route, now_s);
    for (apr_uint64_t i = 0; row != OTHER && e == NULL && i < STEPS; i++) {
        entry_t *next = &at.entries[(key + i) & at.mask];

        if (atomic_load(&next->key) <= GAVE_WAY) {
            e = next;
        }
    }
    if (row == OTHER || e == NULL) {
        atomic_store(&at.head->full_s, now_s);
        row = OTHER; /* a row without an entry stays free: it is the oldest from now on */
    } else {
        apr_cpystrn(at.row[row].app, route->app_id, sizeof(at.row[row].app));
        apr_cpystrn(at.row[row].slug, route->slug, sizeof(at.row[row].slug));
        atomic_store(&at.row[row].used_s, now_s);
        atomic_store(&e->row, row);
        atomic_store_explicit(&e->key, key, memory_order_release);
    }
    unlock();
    return row;
}

/* ---- one request ------------------------ */

static int stripe(void)
{
    int cpu = sched_getcpu();

    return cpu > 0 ? cpu & (at.stripes - 1) : 0;
}

static void add(cell_t *cell, apr_uint64_t n)
{
    (void)atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

/* What lives on as long as its client likes says nothing of how fast the app is. */
static int is_timed(const request_rec *r)
{
    return r->status != HTTP_SWITCHING_PROTOCOLS &&
           (r->content_type == NULL || strncmp(r->content_type, "text/event-stream", 17) != 0);
}

static void count(const request_rec *r, const request_rec *last, const wh_mod_req_t *req)
{
    apr_int64_t took = apr_time_now() - r->request_time;
    apr_uint32_t now_s = (apr_uint32_t)apr_time_sec(r->request_time);
    apr_uint64_t key = key_of(req->route->app_id);
    const entry_t *e = find(key);
    apr_uint32_t row = e != NULL ? atomic_load_explicit(&e->row, memory_order_relaxed)
                                 : enter(req->route, key, now_s);
    figures_t *to = figures_of(row, stripe());

    if (atomic_load_explicit(&at.row[row].used_s, memory_order_relaxed) != now_s) {
        atomic_store_explicit(&at.row[row].used_s, now_s, memory_order_relaxed);
    }
    add(&to->of[wh_meter_class(last->status)], 1);
    if (last->bytes_sent > 0) {
        add(&to->of[WH_METER_BYTES], (apr_uint64_t)last->bytes_sent);
    }
    if (is_timed(last)) {
        add(&to->of[WH_METER_TOOK_US], took > 0 ? (apr_uint64_t)took : 0);
        add(&to->took[wh_meter_bucket(took)], 1);
    } else {
        add(&to->of[WH_METER_UNTIMED], 1);
    }
    if (req->cached != 0) {
        add(&to->of[req->cached > 0 ? WH_METER_CACHE_HIT : WH_METER_CACHE_MISS], 1);
    }
    if (req->upstream_errors > 0) {
        add(&to->of[WH_METER_UPSTREAM_ERROR], req->upstream_errors);
    }
    if (req->retries > 0) {
        add(&to->of[WH_METER_RETRY], req->retries);
    }
    if (r->connection->aborted || last->status == GONE_STATUS) {
        add(&to->of[WH_METER_GONE], 1);
    }
}

/* The request as it came says whose it is, the last internal redirect of it what was answered. */
static int on_log(request_rec *r)
{
    const request_rec *last = r;
    const wh_mod_req_t *req;

    if (!on) {
        return DECLINED;
    }
    while (last->next != NULL) {
        last = last->next;
    }
    req = wh_mod_data_get(last);
    if (req == NULL || req->place != WH_PLACE_APP) {
        req = wh_mod_data_get(r);
    }
    if (req != NULL && req->place == WH_PLACE_APP && req->route != NULL) {
        count(r, last, req);
    }
    return DECLINED;
}

/* ---- time ------------------------ */

static void sum_up(apr_uint32_t row, wh_meter_sum_t *out)
{
    memset(out, 0, sizeof(*out));
    for (int i = 0; i < at.stripes; i++) {
        figures_t *from = figures_of(row, i);

        for (int k = 0; k < WH_METERS; k++) {
            out->of[k] += atomic_load_explicit(&from->of[k], memory_order_relaxed);
        }
        for (int k = 0; k < WH_METER_BUCKETS; k++) {
            out->took[k] += atomic_load_explicit(&from->took[k], memory_order_relaxed);
        }
    }
}

static wh_meter_slot_t *tick_slot(apr_uint32_t tick, apr_uint32_t row)
{
    return &at.ticks[(size_t)(tick % WH_METER_TICKS) * (size_t)at.rows + row];
}

static wh_meter_slot_t *minute_slot(apr_uint32_t minute, apr_uint32_t row)
{
    return &at.minutes[(size_t)(minute % WH_METER_MINUTES) * (size_t)at.rows + row];
}

/* What came to a row since the last tick belongs to the one that just ended. Under the lock. */
static void tick_row(apr_uint32_t row, apr_uint32_t ended, apr_uint32_t now_s)
{
    row_t *of = &at.row[row];
    apr_uint32_t used = atomic_load(&of->used_s);
    apr_uint32_t minute = ended / (60 / WH_METER_TICK_S);
    wh_meter_sum_t sum;

    if (used == of->seen_s || used == 0) {
        if (row != OTHER && used != 0 && now_s > used && now_s - used > FORGET_S) {
            give_up(row);
        }
        return;
    }
    if (used + 1 < now_s) {
        of->seen_s = used; /* nothing of that second comes any more */
    }
    sum_up(row, &sum);
    wh_meter_note(tick_slot(ended, row), ended + 1, &sum, &of->before);
    wh_meter_note(minute_slot(minute, row), minute + 1, &sum, &of->before);
    of->before = sum;
}

static void tick(void)
{
    apr_uint32_t now = (apr_uint32_t)(mono_us() / APR_USEC_PER_SEC / WH_METER_TICK_S);
    apr_uint32_t now_s = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t used;

    if (atomic_load(&at.head->tick) >= now || !try_lock()) {
        return;
    }
    if (atomic_load(&at.head->tick) < now) {
        used = atomic_load(&at.head->used);
        for (apr_uint32_t i = 0; i < used; i++) {
            tick_row(i, now - 1, now_s);
        }
        atomic_store(&at.head->tick, now);
    }
    unlock();
}

static int on_monitor(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    if (on) {
        tick();
    }
    return DECLINED;
}

void wh_mod_meter_register(void)
{
    ap_hook_log_transaction(on_log, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_monitor(on_monitor, NULL, NULL, APR_HOOK_MIDDLE);
}

/* ---- reading ------------------------ */

static double seconds(apr_int64_t us)
{
    return (double)us / (double)APR_USEC_PER_SEC;
}

/* The six ticks before the one under way, and what came since. */
static void read_now(apr_uint32_t row, apr_int64_t mono, wh_mod_meter_t *out)
{
    apr_uint32_t current = atomic_load(&at.head->tick);
    apr_int64_t from = (apr_int64_t)(current - WH_METER_TICKS) * WH_METER_TICK_S * APR_USEC_PER_SEC;

    if (row != OTHER) {
        wh_meter_between(&out->now, &out->all, &at.row[row].before);
        for (apr_uint32_t t = current - WH_METER_TICKS; t != current; t++) {
            (void)wh_meter_add(&out->now, tick_slot(t, row), t + 1);
        }
    }
    out->now_s = seconds(mono - (from > at.head->began_us ? from : at.head->began_us));
}

static void read_minutes(apr_uint32_t row, apr_int64_t mono, wh_mod_meter_t *out)
{
    const apr_int64_t minute_us = 60 * APR_USEC_PER_SEC;
    apr_uint32_t ended = atomic_load(&at.head->tick) / (60 / WH_METER_TICK_S); /* not that one */
    apr_uint32_t began = (apr_uint32_t)(at.head->began_us / minute_us);
    apr_uint32_t m = ended > WH_METER_MINUTES ? ended - WH_METER_MINUTES : 0;

    for (m = m > began ? m : began; m < ended; m++) {
        wh_meter_sum_t *sum = &out->minutes[out->n_minutes];
        apr_int64_t from = (apr_int64_t)m * minute_us;

        if (row != OTHER && wh_meter_add(sum, minute_slot(m, row), m + 1)) {
            (void)wh_meter_add(&out->hour, minute_slot(m, row), m + 1);
        }
        out->minute[out->n_minutes++] = apr_time_now() - (mono - from);
        out->hour_s +=
            seconds(from > at.head->began_us ? minute_us : from + minute_us - at.head->began_us);
    }
}

int wh_mod_meter_read(apr_pool_t *p, const char *app_id, wh_mod_meter_t *out)
{
    const entry_t *e;
    apr_uint32_t row = OTHER;
    apr_int64_t mono = mono_us();

    memset(out, 0, sizeof(*out));
    if (!on) {
        return 0;
    }
    tick();
    out->since = at.head->since;
    out->minutes = apr_pcalloc(p, sizeof(*out->minutes) * WH_METER_MINUTES);
    e = find(key_of(app_id));
    if (e != NULL) {
        row = atomic_load(&e->row);
        sum_up(row, &out->all);
        out->slug = apr_pstrdup(p, at.row[row].slug);
    }
    read_now(row, mono, out);
    read_minutes(row, mono, out);
    return 1;
}

void wh_mod_meter_each(wh_mod_meter_fn *fn, void *baton)
{
    apr_uint32_t used = on ? atomic_load(&at.head->used) : 0;
    char slug[WH_HOST_LABEL_MAX + 1];
    wh_meter_sum_t sum;

    for (apr_uint32_t i = 0; i < used; i++) {
        apr_cpystrn(slug, at.row[i].slug, sizeof(slug));
        sum_up(i, &sum);
        if (*slug != '\0' && (i != OTHER || wh_meter_requests(&sum) > 0)) {
            fn(baton, slug, &sum);
        }
    }
}

int wh_mod_meter_minute(wh_mod_meter_minute_fn *fn, void *baton)
{
    const apr_uint32_t window_s = (WH_METER_TICKS + 1) * WH_METER_TICK_S;
    apr_uint32_t now_s = (apr_uint32_t)apr_time_sec(apr_time_now());
    wh_mod_meter_t m;

    if (!on || !try_lock()) {
        return 0;
    }
    for (apr_uint32_t i = 1; i < atomic_load(&at.head->used); i++) {
        if (at.row[i].app[0] == '\0' || atomic_load(&at.row[i].used_s) + window_s < now_s) {
            continue;
        }
        sum_up(i, &m.all);
        read_now(i, mono_us(), &m);
        if (wh_meter_requests(&m.now) > 0) {
            fn(baton, at.row[i].app, &m.now);
        }
    }
    unlock();
    return 1;
}

void wh_mod_meter_room(wh_mod_meter_room_t *out)
{
    wh_meter_sum_t sum;

    memset(out, 0, sizeof(*out));
    if (!on) {
        return;
    }
    out->rows = at.rows - 1;
    for (apr_uint32_t i = 1; i < atomic_load(&at.head->used); i++) {
        out->used += at.row[i].app[0] != '\0';
    }
    sum_up(OTHER, &sum);
    out->others = wh_meter_requests(&sum);
}
