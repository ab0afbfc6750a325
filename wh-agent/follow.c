#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/engine_http.h"
#include "wh-agent/follow_int.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/reconcile.h"
#include "wh-agent/thread.h"
#include "wh-agent/vars.h"

#define PAUSE_FIRST_US ((apr_interval_time_t)1 * APR_USEC_PER_SEC)
#define PAUSE_MAX_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC)
#define LONG_US ((apr_interval_time_t)10 * APR_USEC_PER_SEC)
#define SOON_MS 500
#define LONG_MS 10000
#define TRICKLE 4096
#define GATHER_US ((apr_interval_time_t)5000)
#define LAST_TRIES 60
#define LAST_US ((apr_interval_time_t)25000)
#define READ_MAX (8 * WH_MIB) /* bytes a second of one log: it waits in the engine then */
#define FILE_MAX ((size_t)WH_MIB)
#define LATE_US ((apr_interval_time_t)600 * APR_USEC_PER_SEC) /* how far back a log is begun */
/* Below the hub's, or what it measures a little otherwise would be left out twice. */
#define RATE (WH_BUCKET_LOG_RATE / 16 * 15)
#define BURST (WH_BUCKET_LOG_BURST / 16 * 15)

/* ---- one stream ---- */

static size_t on_body(char *buf, size_t size, size_t n, void *baton)
{
    wh_follow_source_t *s = baton;
    long status = 0;

    n *= size;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return n; /* words of the engine's; the end tells */
    if (s->in_second > READ_MAX) {
        s->paused = 1;
        return CURL_WRITEFUNC_PAUSE;
    }
    s->in_second += (apr_int64_t)n;
    s->follow->read += (apr_int64_t)n;
    return wh_tail_feed(&s->tail, buf, n) == 0 ? n : 0;
}

static void set_open(wh_follow_source_t *s, int is_open)
{
    apr_thread_mutex_lock(s->follow->lock);
    s->open = is_open;
    apr_thread_mutex_unlock(s->follow->lock);
}

static void close_stream(wh_follow_source_t *s)
{
    if (s->easy == NULL)
        return;
    curl_multi_remove_handle(s->follow->multi, s->easy);
    curl_easy_cleanup(s->easy);
    s->easy = NULL;
    set_open(s, 0);
    s->follow->streams--;
    s->paused = 0;
    wh_tail_drop(&s->tail);
}

/* Its secrets are values that only the engine still knows. Nothing is shown without them. */
static int know_mask(wh_follow_source_t *s, const char *names)
{
    const wh_follow_opts_t *o = &s->follow->opts;
    wh_engine_open_t open = {.socket = o->conf->engine_socket, .clock = o->clock};
    apr_pool_t *p = s->p != NULL || names[0] == '\0' ? NULL : wh_pool_make("mask"), *sub;
    wh_engine_seen_t seen = {0};
    wh_err_t err = WH_ERR_INIT;
    wh_engine_t *e;
    apr_status_t rv;

    if (p == NULL)
        return s->p != NULL || names[0] == '\0';
    rv = apr_pool_create(&sub, p);
    if (rv == APR_SUCCESS)
        rv = o->engine(sub, &open, &e, &err);
    if (rv == APR_SUCCESS)
        rv = e->vt->inspect(e, sub, s->container, &seen, &err);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(p);
        return 0;
    }
    s->mask = wh_vars_mask_named(p, names, seen.env);
    s->p = p;
    apr_pool_destroy(sub);
    return 1;
}

static void open_stream(wh_follow_source_t *s, int running, wh_mono_t now)
{
    wh_follow_t *f = s->follow;
    apr_int64_t late = apr_time_sec(wh_clock_now(f->opts.clock) - LATE_US);
    char url[512];

    if (s->pos.seq == 0 && s->pos.sec == 0)
        s->pos = s->mark[0] = s->mark[1] = (wh_tail_pos_t){.sec = late > 0 ? late : 1};
    (void)apr_snprintf(url, sizeof(url),
                       "http://engine/containers/%s/logs?stdout=1&stderr=1&timestamps=1&follow=%d"
                       "&since=%" APR_INT64_T_FMT,
                       wh_engine_http_escape(f->scratch, s->container), running, s->pos.sec);
    s->easy = curl_easy_init();
    if (s->easy == NULL)
        return;
    curl_easy_setopt(s->easy, CURLOPT_UNIX_SOCKET_PATH, f->opts.conf->engine_socket);
    curl_easy_setopt(s->easy, CURLOPT_URL, url);
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(s->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(s->easy, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(s->easy, CURLOPT_BUFFERSIZE, 16384L);
    curl_easy_setopt(s->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    if (curl_multi_add_handle(f->multi, s->easy) != CURLM_OK) {
        curl_easy_cleanup(s->easy);
        s->easy = NULL;
        return;
    }
    f->streams++;
    set_open(s, 1);
    s->opened = now;
    s->last_at = 0;
    wh_tail_begin(&s->tail, &s->pos, wh_follow_line, s);
}

/* It came to its end: the container fell, or the engine did. */
static void stream_ended(wh_follow_source_t *s, CURLcode result, wh_mono_t now)
{
    long status = 0;
    int whole;

    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    whole = result == CURLE_OK && status == 200;
    if (whole) {
        wh_tail_end(&s->tail);
        s->pos = s->tail.pos;
    } else {
        wh_log(WH_LOG_DEBUG, NULL, "the log of the container %.12s: status %ld, %s", s->container,
               status, curl_easy_strerror(result));
    }
    close_stream(s);
    if (wh_mono_diff(now, s->opened) > LONG_US || s->pause == 0)
        s->pause = PAUSE_FIRST_US;
    s->due = wh_mono_add(now, s->pause);
    s->pause = s->pause * 2 < PAUSE_MAX_US ? s->pause * 2 : PAUSE_MAX_US;
    apr_thread_mutex_lock(s->follow->lock);
    s->over = whole && !s->running && !s->news;
    apr_thread_mutex_unlock(s->follow->lock);
}

/* ---- where each log was ---- */

static void read_marks(wh_follow_t *f, wh_follow_source_t *s)
{
    apr_pool_t *p = wh_pool_make("followed");
    wh_err_t err = WH_ERR_INIT;
    char *text, *at, *last;
    size_t n;

    if (p == NULL)
        return;
    if (wh_fsutil_read(p, f->path, FILE_MAX, &text, &n, &err) == APR_SUCCESS) {
        for (at = apr_strtok(text, "\n", &last); at != NULL; at = apr_strtok(NULL, "\n", &last)) {
            wh_tail_pos_t pos;
            size_t len = strcspn(at, " ");

            if (strlen(s->container) == len && memcmp(at, s->container, len) == 0 &&
                sscanf(at + len, " %" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %" APR_INT64_T_FMT,
                       &pos.sec, &pos.same, &pos.seq) == 3 &&
                pos.sec >= 0 && pos.same >= 0 && pos.seq >= 0)
                s->pos = s->mark[0] = s->mark[1] = pos;
        }
    }
    apr_pool_destroy(p);
}

static wh_follow_source_t *first_of(wh_follow_t *f)
{
    wh_follow_source_t *s;

    apr_thread_mutex_lock(f->lock);
    s = f->sources; /* more come in front of it only; away they are taken by this thread */
    apr_thread_mutex_unlock(f->lock);
    return s;
}

static void write_marks(wh_follow_t *f)
{
    apr_pool_t *p = wh_pool_make("followed");
    wh_err_t err = WH_ERR_INIT;
    apr_array_header_t *lines;
    const char *text;

    if (p == NULL)
        return;
    lines = apr_array_make(p, 16, sizeof(const char *));
    for (const wh_follow_source_t *s = first_of(f); s != NULL; s = s->next)
        APR_ARRAY_PUSH(lines, const char *) =
            apr_psprintf(p, "%s %" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %" APR_INT64_T_FMT "\n",
                         s->container, s->mark[1].sec, s->mark[1].same, s->mark[1].seq);
    text = apr_array_pstrcat(p, lines, 0);
    if (wh_fsutil_write(p, f->path, text, strlen(text), WH_FSUTIL_QUICK, &err) != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0730", "how far the apps' logs were read is not kept: %s", err.text);
    apr_pool_destroy(p);
}

static int same_pos(const wh_tail_pos_t *a, const wh_tail_pos_t *b)
{
    return a->sec == b->sec && a->same == b->same && a->seq == b->seq;
}

/* A mark is worth something once what was read before it has surely come to the hub. */
static void move_marks(wh_follow_t *f, wh_mono_t now)
{
    int changed = 0;

    if (!wh_mono_reached(now, f->mark_at))
        return;
    f->mark_at = wh_mono_add(now, WH_FOLLOW_MARK_US);
    for (wh_follow_source_t *s = first_of(f); s != NULL; s = s->next) {
        changed |= !same_pos(&s->mark[1], &s->mark[0]);
        s->mark[1] = s->mark[0];
        s->mark[0] = s->pos;
    }
    if (changed)
        write_marks(f);
}

/* ---- the thread ---- */

/* What the link's thread said of it. Returns whether a stream is to be open. */
static int heed(wh_follow_source_t *s, int online, char **names)
{
    int running;

    apr_thread_mutex_lock(s->follow->lock);
    if (s->news) {
        s->news = 0;
        if (s->over || s->due.us == 0)
            s->due = (wh_mono_t){1};
        s->over = 0;
    }
    running = s->running;
    *names = s->secrets;
    apr_thread_mutex_unlock(s->follow->lock);
    return online && !s->over ? 1 + running : 0;
}

static void rewind_source(wh_follow_source_t *s)
{
    close_stream(s);
    s->pos = s->mark[0] = s->mark[1];
    s->over = 0;
    s->due = (wh_mono_t){0};
    s->pause = 0;
    free(s->spare);
    s->spare = NULL;
    apr_thread_mutex_lock(s->follow->lock);
    wh_follow_empty(s);
    apr_thread_mutex_unlock(s->follow->lock);
}

static void tend(wh_follow_source_t *s, int online, wh_mono_t now)
{
    wh_follow_t *f = s->follow;
    apr_int64_t second = apr_time_sec(now.us);
    char *names;
    int want = heed(s, online, &names);

    if (second != s->second) {
        s->second = second;
        s->in_second = 0;
        if (s->paused && s->easy != NULL) {
            s->paused = 0;
            (void)curl_easy_pause(s->easy, CURLPAUSE_CONT);
        }
    }
    wh_follow_spare(s, now);
    if (want == 0 || s->easy != NULL || !wh_mono_reached(now, s->due))
        return;
    if (f->streams >= WH_FOLLOW_STREAMS) {
        if (!f->full_said)
            wh_log(WH_LOG_WARN, "WH0731", "%d logs are followed; those of more containers are not",
                   f->streams);
        f->full_said = 1;
        return;
    }
    if (know_mask(s, names))
        open_stream(s, want - 1, now);
    if (s->easy == NULL)
        s->due = wh_mono_add(now, PAUSE_FIRST_US);
}

static void free_source(wh_follow_source_t *s)
{
    close_stream(s);
    if (s->p != NULL)
        apr_pool_destroy(s->p);
    free(s->spare);
    free(s->container);
    free(s->secrets);
    free(s);
}

/* Containers that are gone, once what they printed was taken. */
static void prune(wh_follow_t *f)
{
    wh_follow_source_t **at = &f->sources;

    apr_thread_mutex_lock(f->lock);
    while (*at != NULL) {
        wh_follow_source_t *s = *at;

        if (s->listed || s->easy != NULL || s->first != NULL) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        f->turn = NULL;
        free_source(s);
    }
    apr_thread_mutex_unlock(f->lock);
}

static void take_ends(wh_follow_t *f, wh_mono_t now)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(f->multi, &left)) != NULL) {
        wh_follow_source_t *s = NULL;

        if (msg->msg == CURLMSG_DONE &&
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &s) == CURLE_OK && s != NULL)
            stream_ended(s, msg->data.result, now);
    }
}

static void turn(wh_follow_t *f)
{
    wh_mono_t now = wh_clock_mono(f->opts.clock);
    int online, pushed, running;

    apr_thread_mutex_lock(f->lock);
    online = f->online;
    apr_thread_mutex_unlock(f->lock);
    f->soon = 0;
    if (online && !f->was_online)
        wh_bucket_init(&f->bucket, RATE, BURST, now);
    for (wh_follow_source_t *s = first_of(f); s != NULL; s = s->next) {
        if (!online && f->was_online)
            rewind_source(s);
        apr_pool_clear(f->scratch);
        tend(s, online, now);
        f->soon |= s->spare != NULL || s->paused || (online && !s->over && s->easy == NULL);
    }
    f->was_online = online;
    f->read = 0;
    curl_multi_perform(f->multi, &running);
    take_ends(f, wh_clock_mono(f->opts.clock));
    prune(f);
    if (online)
        move_marks(f, now);
    apr_thread_mutex_lock(f->lock);
    pushed = f->pushed;
    f->pushed = 0;
    apr_thread_mutex_unlock(f->lock);
    if (pushed)
        f->opts.wake(f->opts.wake_baton);
}

static void run(void *data)
{
    wh_follow_t *f = data;

    while (!__atomic_load_n(&f->stop, __ATOMIC_SEQ_CST)) {
        turn(f);
        if (f->read > 0 && f->read < TRICKLE)
            (void)wh_cancel_wait(NULL, GATHER_US); /* lines come one by one, and go in batches */
        (void)curl_multi_poll(f->multi, NULL, 0, f->soon ? SOON_MS : LONG_MS, NULL);
    }
    while (f->sources != NULL) {
        wh_follow_source_t *s = f->sources;

        f->sources = s->next;
        wh_follow_empty(s);
        free_source(s);
    }
    curl_multi_cleanup(f->multi);
}

apr_status_t wh_follow_start(apr_pool_t *p, const wh_follow_opts_t *opts, wh_follow_t **out,
                             wh_err_t *err)
{
    wh_follow_t *f = apr_pcalloc(p, sizeof(*f));
    apr_status_t rv = apr_thread_mutex_create(&f->lock, APR_THREAD_MUTEX_DEFAULT, p);

    f->opts = *opts;
    f->multi = curl_multi_init();
    f->scratch = wh_pool_make("follow");
    f->path = apr_pstrcat(p, opts->conf->state_dir, "/followed", NULL);
    if (rv != APR_SUCCESS || f->multi == NULL || f->scratch == NULL)
        return wh_err_set(err, 500, "internal", "the apps' logs cannot be followed");
    rv = wh_thread_start(run, f, err);
    if (rv == APR_SUCCESS)
        *out = f;
    return rv;
}

void wh_follow_stop(wh_follow_t *f)
{
    if (f == NULL || __atomic_exchange_n(&f->stop, 1, __ATOMIC_SEQ_CST))
        return;
    (void)curl_multi_wakeup(f->multi);
}

/* ---- the link's thread ---- */

static wh_follow_source_t *find(wh_follow_t *f, const char *container)
{
    wh_follow_source_t *s = f->sources;

    while (s != NULL && strcmp(s->container, container) != 0)
        s = s->next;
    return s;
}

static wh_follow_source_t *add(wh_follow_t *f, const wh_reconcile_seen_t *seen)
{
    wh_follow_source_t *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->follow = f;
    s->container = strdup(seen->container);
    s->secrets = strdup(seen->secrets);
    if (s->container == NULL || s->secrets == NULL) {
        free_source(s);
        return NULL;
    }
    apr_cpystrn(s->app, seen->app, sizeof(s->app));
    apr_cpystrn(s->deployment, seen->deployment, sizeof(s->deployment));
    wh_lograte_init(&s->rate, wh_clock_mono(f->opts.clock));
    s->running = -1;
    read_marks(f, s);
    return s;
}

void wh_follow_set(wh_follow_t *f, const apr_array_header_t *seen)
{
    if (f == NULL || seen == NULL)
        return;
    apr_thread_mutex_lock(f->lock);
    for (wh_follow_source_t *s = f->sources; s != NULL; s = s->next)
        s->listed = 0;
    for (int i = 0; i < seen->nelts; i++) {
        const wh_reconcile_seen_t *at = &APR_ARRAY_IDX(seen, i, wh_reconcile_seen_t);
        wh_follow_source_t *s = find(f, at->container);

        if (!wh_id_ok(at->app) || !wh_id_ok(at->deployment))
            continue;
        if (s == NULL && (s = add(f, at)) != NULL) {
            s->next = f->sources;
            f->sources = s;
        }
        if (s != NULL) {
            s->listed = 1;
            s->news |= s->running != at->up;
            s->running = at->up;
        }
    }
    apr_thread_mutex_unlock(f->lock);
    (void)curl_multi_wakeup(f->multi);
}

void wh_follow_online(wh_follow_t *f, int online)
{
    if (f == NULL)
        return;
    apr_thread_mutex_lock(f->lock);
    f->online = online;
    apr_thread_mutex_unlock(f->lock);
    (void)curl_multi_wakeup(f->multi);
}

void wh_follow_last(wh_follow_t *f, const char *container)
{
    const wh_follow_source_t *s;
    int is_open = f != NULL;

    for (int i = 0; is_open && i < LAST_TRIES; i++) {
        apr_thread_mutex_lock(f->lock);
        s = find(f, container);
        is_open = s != NULL && s->open;
        apr_thread_mutex_unlock(f->lock);
        if (is_open)
            (void)wh_cancel_wait(NULL, LAST_US);
    }
}
