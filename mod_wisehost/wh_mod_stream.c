#include "mod_wisehost/wh_mod_stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "libwh/wh_hash.h"
#include "libwh/wh_pool.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_stream_int.h"

#define GATHER_US ((apr_interval_time_t)100000) /* lines come one by one, and go in batches */
#define TICK_US ((apr_interval_time_t)1000000)
#define EVENTS 256
#define NICE 19
#define CROWD 32 /* so many streams in a row, then a breath: others need the processor, too */
#define BREATH_US 300
#define TURNS 4 /* pieces of WH_STREAM_OUT that one stream gets before the others */
#define ROUND_US ((apr_interval_time_t)20000) /* reading files, before the others have a turn */
#define PAUSE_US ((apr_interval_time_t)5000)  /* between such rounds */

typedef struct stream_t stream_t;
struct stream_t {
    stream_t *next;
    apr_pool_t *p; /* its own */
    wh_wire_t wire;
    wh_stream_of_t of;
    apr_uint64_t token;
    wh_stream_log_t *log;
    apr_int64_t pos;
    wh_build_at_t build;
    int turn; /* of log's, up to which all was read */
    apr_time_t begun, said, stuck; /* stuck 0 = it takes what is sent */
    int gone, over; /* over: it ends in order */
    int ask;        /* it stands before a line that it cannot judge */
};

static struct {
    apr_pool_t *pool; /* of the child; NULL = there are no streams */
    apr_thread_mutex_t *lock;
    /* under the lock */
    stream_t *left; /* httpd has done with their connections */
    apr_thread_t *thread;
    int stop;
    int n, held;
    /* the thread's own */
    int epoll, bell, inotify;
    stream_t *shown;
    apr_pool_t *scratch;
    int more,
        held_up; /* somebody has not got all yet: there was no turn left, it does not take it */
    apr_time_t round;        /* when the round under way began */
    int late;                /* it has no time left for files */
    int paged;               /* files were read in it */
    char out[WH_STREAM_OUT]; /* what was made for the last stream, and for whom it is right */
    apr_size_t out_n;
    const wh_stream_log_t *out_log;
    apr_int64_t out_from, out_to;
} party = {.epoll = -1, .bell = -1, .inotify = -1};

static void lock(void)
{
    apr_thread_mutex_lock(party.lock);
}

static void unlock(void)
{
    apr_thread_mutex_unlock(party.lock);
}

static void ring(void)
{
    uint64_t one = 1;

    (void)!write(party.bell, &one, sizeof(one));
}

static int take_out(stream_t **list, const stream_t *st)
{
    for (; *list != NULL; list = &(*list)->next) {
        if (*list == st) {
            *list = st->next;
            return 1;
        }
    }
    return 0;
}

/* ---- one stream ---- */

/* One that was counted is no more. */
static void free_stream(stream_t *st, int in_order)
{
    wh_wire_close(&st->wire, in_order);
    lock();
    party.n--;
    wh_mod_stream_count_out(st->token);
    unlock();
    wh_mod_count_by(WH_COUNT_STREAMS, -1);
    apr_pool_destroy(st->p);
}

static void end_stream(stream_t *st, int in_order)
{
    (void)take_out(&party.shown, st);
    (void)epoll_ctl(party.epoll, EPOLL_CTL_DEL, st->wire.fd, NULL);
    if (st->log != NULL) {
        st->log->users--;
    }
    free_stream(st, in_order);
}

static int has_filter(const stream_t *st)
{
    return st->of.kinds != 0 || st->of.text != NULL || st->of.deployment != NULL ||
           st->of.wants != NULL || st->of.map != NULL;
}

static void begin_round(void)
{
    party.round = apr_time_now();
    party.late = party.paged = 0;
}

/* Whether there is time left to read files in this round: somebody looks for a word in a large log,
 * and the others wait for their next line. */
static int may_page(void)
{
    party.late |= apr_time_now() - party.round > ROUND_US;
    party.paged = 1;
    return !party.late;
}

static apr_size_t gather_build(stream_t *st)
{
    int turn = st->log->turn;
    wh_build_e how;
    apr_size_t n;

    if (st->turn == turn || st->over || !may_page()) {
        return 0;
    }
    party.out_log = NULL;
    n = wh_mod_stream_build(&st->of, party.scratch, &st->build, party.out, sizeof(party.out), &how);
    apr_pool_clear(party.scratch);
    st->turn = how == WH_BUILD_MORE ? st->turn : turn;
    st->over = how == WH_BUILD_OVER;
    return n;
}

/* Events for it, into party.out; none yet, too, when there was no time to find them. */
static apr_size_t gather_lines(stream_t *st)
{
    const wh_feed_t *feed = st->log->feed;
    const wh_feed_item_t *item;
    apr_int64_t first = wh_feed_first(feed), end = wh_feed_last(feed);
    int filter = has_filter(st), at = 0;

    if (st->pos >= end) {
        return 0;
    }
    if (party.out_log == st->log && party.out_from == st->pos && !filter) {
        st->pos = party.out_to;
        return party.out_n;
    }
    if ((first == 0 || st->pos + 1 < first) && !may_page()) {
        return 0;
    }
    party.out_log = filter ? NULL : st->log;
    party.out_from = st->pos;
    party.out_n = 0;
    if (first == 0 || st->pos + 1 < first) {
        party.out_n = wh_mod_stream_page(&st->of, party.scratch, &st->pos, end, party.out,
                                         sizeof(party.out), &st->ask);
        apr_pool_clear(party.scratch);
    } else {
        for (item = wh_feed_after(feed, st->pos, &at); item != NULL;
             item = wh_feed_next(feed, &at)) {
            int wanted =
                filter ? wh_mod_stream_wants(&st->of, party.scratch, item) : item->event != NULL;

            st->ask = wanted < 0;
            if (st->ask) {
                break;
            }
            if (wanted && party.out_n + item->len > sizeof(party.out) && party.out_n > 0) {
                break;
            }
            if (wanted && item->len <= sizeof(party.out)) {
                memcpy(party.out + party.out_n, item->event, item->len);
                party.out_n += item->len;
            }
            st->pos = item->n;
        }
        apr_pool_clear(party.scratch);
    }
    party.out_to = st->pos;
    return party.out_n;
}

static apr_size_t gather(stream_t *st)
{
    return st->of.build ? gather_build(st) : gather_lines(st);
}

static int has_all(const stream_t *st)
{
    if (st->of.build) {
        return st->over || st->turn == st->log->turn;
    }
    return st->pos >= wh_feed_last(st->log->feed);
}

/* Sends what there is, while it is taken. 0 = it has ended. */
static int serve(stream_t *st, apr_time_t now)
{
    int sent = 1;

    if (st->stuck != 0) {
        int free_now = wh_wire_flush(&st->wire);

        if (free_now <= 0) {
            party.held_up = 1;
            return free_now == 0 && now - st->stuck < WH_MOD_STREAM_STUCK;
        }
        st->stuck = 0;
    }
    for (int i = 0; sent && st->stuck == 0; i++) {
        apr_int64_t before = st->pos;
        apr_size_t n = i < TURNS ? gather(st) : 0;

        if (i == TURNS) {
            party.more = 1; /* after the others */
            break;
        }

        if (n == 0 && st->ask && !st->over) {
            party.out_log = NULL;
            n = wh_mod_stream_come_again(st->pos, party.out, sizeof(party.out));
            st->over = 1;
        }
        party.more |= n == 0 && !st->over && !has_all(st) &&
                      (party.late || st->pos > before || st->of.build);
        if (n == 0 && now - st->said > WH_MOD_STREAM_SILENCE) {
            party.out_log = NULL;
            memcpy(party.out, ":\n\n", 3);
            n = 3;
        }
        if (n == 0) {
            break;
        }
        sent = wh_wire_send(&st->wire, party.out, n);
        st->said = now;
        st->stuck = st->wire.rest != NULL ? now : 0;
        party.held_up |= st->stuck != 0;
    }
    party.more |= st->over;
    return sent;
}

static void show(stream_t *st, apr_time_t now)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data = {.ptr = st}};

    wh_wire_own(&st->wire);
    st->next = party.shown;
    party.shown = st;
    st->log = wh_stream_log_of(&st->of);
    st->begun = st->said = now;
    if (st->log == NULL || epoll_ctl(party.epoll, EPOLL_CTL_ADD, st->wire.fd, &e) != 0) {
        end_stream(st, 0);
        return;
    }
    st->log->users++;
    wh_stream_log_watch(st->log);
    if (!serve(st, now)) {
        end_stream(st, 0);
    }
}

/* ---- the thread ---- */

static void welcome(apr_time_t now)
{
    stream_t *st;

    lock();
    st = party.left;
    party.left = NULL;
    unlock();
    while (st != NULL) {
        stream_t *next = st->next;

        show(st, now);
        st = next;
    }
}

/* Who had no time comes first the next time. */
static void begin_with(stream_t *first)
{
    stream_t *last = party.shown, *before = NULL;

    for (stream_t *st = party.shown; st != first; st = st->next) {
        before = st;
    }
    for (; last->next != NULL; last = last->next) {
    }
    if (before != NULL) {
        last->next = party.shown;
        party.shown = first;
        before->next = NULL;
    }
}

static void look_at_all(apr_time_t now, int tick)
{
    int stopping = tick && wh_mod_stream_stopping();
    stream_t *next, *late = NULL;
    int served = 0;

    wh_stream_logs_look(tick);
    begin_round();
    for (stream_t *st = party.shown; st != NULL; st = next) {
        next = st->next;
        if (st->gone || !serve(st, now)) {
            end_stream(st, 0);
        } else if ((st->over && st->stuck == 0) || stopping ||
                   now - st->begun > WH_MOD_STREAM_LIFE) {
            end_stream(st, 1);
        } else if (party.late && late == NULL && !has_all(st)) {
            late = st;
        }
        if (++served % CROWD == 0) {
            apr_sleep(BREATH_US);
        }
    }
    if (late != NULL) {
        begin_with(late);
    }
    if (tick && wh_stream_logs_drop()) {
        party.out_log = NULL;
    }
}

static void heed(const struct epoll_event *e)
{
    uint64_t count;

    if (e->data.ptr == &party.bell) {
        (void)!read(party.bell, &count, sizeof(count));
    } else if (e->data.ptr == &party.inotify) {
        wh_stream_logs_heed();
    } else {
        /* Gone, or it says something, which nobody does who reads a stream. */
        ((stream_t *)e->data.ptr)->gone = 1;
    }
}

/* A batch for a thousand viewers is work of many milliseconds: who waits for an answer of httpd
 * goes first. Linux has it by thread. */
static void be_nice(void)
{
#ifdef __linux__
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
#endif
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    apr_time_t tick = apr_time_now() + TICK_US, due = 0;
    int gone = 0;

    (void)thread;
    (void)data;
    be_nice();
    while (!__atomic_load_n(&party.stop, __ATOMIC_SEQ_CST)) {
        struct epoll_event events[EVENTS];
        apr_time_t now = apr_time_now(), until = due != 0 && due < tick ? due : tick;
        int ms = until > now ? (int)((until - now) / 1000) + 1 : 0;
        int n;

        if (party.shown == NULL) {
            ms = -1; /* nobody looks on */
        }
        n = epoll_wait(party.epoll, events, EVENTS, ms);
        for (int i = 0; i < n; i++) {
            heed(&events[i]);
            gone |= events[i].data.ptr != &party.bell && events[i].data.ptr != &party.inotify;
        }
        now = apr_time_now();
        begin_round();
        welcome(now);
        if (due == 0 && (party.more || wh_stream_logs_dirty())) {
            due = party.more ? now : now + GATHER_US;
        }
        if (now >= tick || gone || (due != 0 && now >= due)) {
            int is_tick = now >= tick;

            look_at_all(now, is_tick);
            tick = is_tick ? now + TICK_US : tick;
            due = party.more      ? apr_time_now() + (party.paged ? PAUSE_US : 0)
                  : party.held_up ? now + GATHER_US
                                  : 0;
            party.more = party.held_up = gone = 0;
        }
    }
    while (party.shown != NULL) {
        end_stream(party.shown, 1);
    }
    return NULL;
}

static apr_status_t stop(void *data)
{
    apr_status_t rv;

    (void)data;
    if (party.thread != NULL) {
        __atomic_store_n(&party.stop, 1, __ATOMIC_SEQ_CST);
        ring();
        (void)apr_thread_join(&rv, party.thread);
        party.thread = NULL;
    }
    return APR_SUCCESS;
}

static int add_fd(int fd, void *what)
{
    struct epoll_event e = {.events = EPOLLIN, .data = {.ptr = what}};

    return fd >= 0 && epoll_ctl(party.epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* With the first stream; under the lock. */
static int start(void)
{
    if (party.thread != NULL) {
        return 1;
    }
    if (party.epoll < 0) {
        party.epoll = epoll_create1(EPOLL_CLOEXEC);
        party.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        party.scratch = wh_mod_stream_scratch();
        party.inotify = wh_stream_logs_open(party.scratch);
        if (party.scratch == NULL || !add_fd(party.bell, &party.bell) ||
            !add_fd(party.inotify, &party.inotify)) {
            return 0;
        }
        apr_pool_pre_cleanup_register(party.pool, NULL, stop);
    }
    return apr_thread_create(&party.thread, NULL, run, NULL, party.pool) == APR_SUCCESS;
}

/* ---- beginning one ---- */

/* httpd has done with the connection: its pool ends, the last that knew of the session goes. */
static apr_status_t left(void *data)
{
    stream_t *st = data;

    lock();
    st->next = party.left;
    party.left = st;
    ring();
    unlock();
    return APR_SUCCESS;
}

/* Whether one more may hold its thread. */
static int may_hold(void)
{
    int room;

    lock();
    room = party.held < WH_MOD_STREAMS_HELD;
    party.held += room;
    unlock();
    return room;
}

static void fill(stream_t *st, apr_pool_t *p, const wh_stream_of_t *of, apr_uint64_t token)
{
    st->p = p;
    st->token = token;
    st->pos = st->build.n = of->after;
    st->turn = -1;
    wh_mod_stream_copy(p, of, &st->of);
}

/* The head goes the usual way, with the connection's end as the end of the answer; then the
 * connection is the stream's. */
static void take_over(wh_call_t *c, const wh_stream_of_t *of, apr_uint64_t token)
{
    request_rec *r = c->r;
    apr_pool_t *p = wh_pool_make("stream");
    stream_t *st = p != NULL ? apr_pcalloc(p, sizeof(*st)) : NULL;
    int sent;

    r->connection->keepalive = AP_CONN_CLOSE;
    sent = st != NULL && wh_mod_stream_greet(r, of) && !r->connection->aborted;
    if (sent) {
        fill(st, p, of, token);
        sent = wh_wire_take(r->connection, &st->wire, left, st);
    }
    if (!sent) {
        lock();
        party.n--;
        wh_mod_stream_count_out(token);
        unlock();
        if (p != NULL) {
            apr_pool_destroy(p);
        }
        return;
    }
    wh_mod_count_by(WH_COUNT_STREAMS, 1);
}

apr_status_t wh_mod_stream_begin(wh_call_t *c, const wh_stream_of_t *of)
{
    request_rec *r = c->r;
    int most = wh_mod_conf_streams(r->server), counted = 0, full = 1, held = 0;
    apr_uint64_t token = wh_hash_plain(WH_HASH_PLAIN, c->actor.id, strlen(c->actor.id));

    wh_mod_db_release(r);
    c->dbc = NULL;
    c->rc = OK;
    if (party.pool != NULL && !r->header_only) {
        held = r->connection->master != NULL;
        full = held && !may_hold();
        lock();
        full = full || party.n >= WH_MOD_STREAMS || !start();
        counted = !full && wh_mod_stream_count_in(token, most);
        party.n += counted;
        unlock();
    }
    if (counted) {
        wh_mod_stream_head(r);
        if (!held) {
            take_over(c, of, token);
            return APR_SUCCESS;
        }
        wh_mod_count_by(WH_COUNT_STREAMS, 1);
        wh_mod_stream_hold(r, of);
        wh_mod_count_by(WH_COUNT_STREAMS, -1);
    }
    lock();
    party.held -= held && !full;
    party.n -= counted;
    if (counted) {
        wh_mod_stream_count_out(token);
    }
    unlock();
    if (counted) {
        return APR_SUCCESS;
    }
    if (r->header_only) {
        wh_mod_stream_head(r);
        return APR_SUCCESS;
    }
    apr_table_setn(r->err_headers_out, "Retry-After", full ? "5" : "30");
    return full ? wh_err_set(&c->err, 503, "no_stream",
                             "As many streams as this server has are open%s.",
                             held ? "; over HTTP/1.1 there are more" : "")
                : wh_err_set(&c->err, 429, "too_many_streams",
                             "This token has %d streams open, which is the most it may.", most);
}

/* ---- hooks ---- */

void wh_mod_stream_register(void)
{
    wh_wire_register();
}

void wh_mod_stream_post_config(server_rec *s)
{
    wh_mod_stream_count_post_config(s);
}

void wh_mod_stream_child_init(apr_pool_t *pchild)
{
    party.pool = NULL;
    if (apr_thread_mutex_create(&party.lock, APR_THREAD_MUTEX_DEFAULT, pchild) == APR_SUCCESS) {
        party.pool = pchild;
    }
}
