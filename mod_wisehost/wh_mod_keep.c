/*
 * Leader and followers: see the header.
 *
 * A place ("keep") is a connection together with the worker thread that the MPM gave it. The thread
 * sleeps here, leads, or answers for another place from which it was deposed; the connection is
 * waited for, being answered, or done with. Neither needs the other: that is what makes handing
 * over possible. There are as many sleeping threads as there are connections waited for and not
 * led. Where the thread of a connection is away at another's request, which may take an hour, the
 * one that answers stands in for it with all but the return to the MPM.
 */
#include <apr_poll.h>
#include <apr_ring.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <ap_mpm.h>
#include <util_filter.h>
#include <scoreboard.h>

#include "libwh/wh_types.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_keep.h"

/* APR_RING_* and APR_BRIGADE_* cast volatile and const away; clang takes it for ours. */
#pragma GCC diagnostic ignored "-Wcast-qual"

/* As much as httpd reads at once; a longer header is read by the connection's own thread. */
#define PEEK 8000
/* Requests of one connection that are answered before others have their turn. */
#define IN_TURN 16

typedef enum wh_keep_state_e {
    WH_KEEP_AWAY = 0, /* the MPM's */
    WH_KEEP_WAITING,  /* in the pollset */
    WH_KEEP_BUSY,     /* being answered by a thread that leads no more */
    WH_KEEP_DONE      /* its own thread is to take it away */
} wh_keep_state_e;

/* One connection. The first five are of the thread that answers, plain and thread are fixed while
 * it is parked, and the rest is guarded by the mutex. */
typedef struct wh_keep_t {
    conn_rec *c;
    apr_bucket_brigade *bb;
    int quick;            /* the last request was answered from memory */
    int alone;            /* nothing but the header of this request was read, by any filter */
    int plain;            /* no filter below ours may hold more than it shows (TLS does) */
    apr_time_t asked;     /* when it came */
    apr_thread_t *thread; /* the MPM's for it, whoever answers */
    apr_time_t last;      /* since when it is waited for */
    wh_keep_state_e state;
    int unread; /* when done: its own thread is to read, the MPM has nothing to do yet */
    int asleep; /* its thread */
    int away;   /* its thread answers for another one */
    apr_thread_cond_t *cond;
    apr_pollfd_t pfd;
    APR_RING_ENTRY(wh_keep_t) link;
} wh_keep_t;

APR_RING_HEAD(wh_keep_ring_t, wh_keep_t);

typedef struct wh_party_t {
    int limit;
    int n;
    apr_thread_mutex_t *lock;
    apr_pollset_t *set;
    struct wh_keep_ring_t ring; /* parked ones; those waited for stand in order of last */
    wh_keep_t *leader;
    wh_keep_t *deputy;  /* looks after the leader every WH_MOD_KEEP_STALL */
    wh_keep_t *current; /* what the leader answers, NULL while it waits */
    apr_time_t since;   /* when it began */
} wh_party_t;

/* Of this child; NULL: nothing is parked. */
static wh_party_t *party;

/* In this thread: the place as whose thread it answers, while it does; and whether our own hook is
 * being run from within. */
static __thread wh_keep_t *answering;
static __thread int within;

/* ---- what one thread does with a connection that it has ------------------------ */

static ap_filter_rec_t *peek_filter;

/* httpd looks for a next request by one byte of it, and the core filter then keeps that byte apart:
 * nobody could see any more whether the header is whole. The look is made wider, and cut here. */
static apr_status_t peek(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                         apr_read_type_e block, apr_off_t n)
{
    apr_bucket *b;
    apr_status_t rv;

    if (mode != AP_MODE_SPECULATIVE || block != APR_NONBLOCK_READ || n >= PEEK) {
        return ap_get_brigade(f->next, bb, mode, block, n);
    }
    if (((const wh_keep_t *)f->ctx)->alone) {
        return APR_SUCCESS; /* an empty one: the pollset will tell, a read would cost more */
    }
    rv = ap_get_brigade(f->next, bb, mode, block, PEEK);
    if (rv == APR_SUCCESS && apr_brigade_partition(bb, n, &b) == APR_SUCCESS) {
        while (b != APR_BRIGADE_SENTINEL(bb)) {
            apr_bucket *next = APR_BUCKET_NEXT(b);

            apr_bucket_delete(b);
            b = next;
        }
    }
    return rv;
}

static wh_keep_t *make_keep(conn_rec *c)
{
    wh_keep_t *k = apr_pcalloc(c->pool, sizeof(*k));

    k->c = c;
    (void)ap_add_input_filter_handle(peek_filter, k, NULL, c);
    ap_set_module_config(c->conn_config, &wisehost_module, k);
    return k;
}

/* Only filters that are known to pass on all that they read: the core's own, those of
 * mod_reqtimeout and mod_logio. */
static int is_plain(const conn_rec *c)
{
    static const char *const passing[] = {"wisehost_peek", "reqtimeout", "log_input_output",
                                          "core_in"};
    const ap_filter_t *f;
    size_t i = 0;

    for (f = c->input_filters; f != NULL && i < WH_ARRAY_LEN(passing); f = f->next) {
        for (i = 0; i < WH_ARRAY_LEN(passing) && strcmp(f->frec->name, passing[i]) != 0; i++) {
        }
    }
    return i < WH_ARRAY_LEN(passing);
}

/* What a connection needs that is parked for the first time. */
static apr_status_t furnish(wh_keep_t *k)
{
    if (k->cond != NULL) {
        return APR_SUCCESS;
    }
    k->bb = apr_brigade_create(k->c->pool, k->c->bucket_alloc);
    k->plain = is_plain(k->c);
    k->pfd.p = k->c->pool;
    k->pfd.desc_type = APR_POLL_SOCKET;
    k->pfd.desc.s = ap_get_conn_socket(k->c);
    k->pfd.reqevents = APR_POLLIN;
    k->pfd.client_data = k;
    return apr_thread_cond_create(&k->cond, k->c->pool);
}

/* All hooks of process_connection, as the MPM runs them. */
static int answer(wh_keep_t *k, apr_thread_t *thread)
{
    conn_rec *c = k->c;
    int rc;

    k->quick = 0;
    c->current_thread = thread;
    c->cs->state = CONN_STATE_READ_REQUEST_LINE;
    within = 1;
    rc = ap_run_process_connection(c);
    within = 0;
    k->alone = 0;
    c->current_thread = k->thread;
    if (rc != OK) {
        c->cs->state = CONN_STATE_LINGER; /* what the MPM makes of it */
    }
    return rc;
}

/* What is left to do with it. */
typedef enum wh_keep_next_e {
    WH_KEEP_LEAVE, /* the MPM decides */
    WH_KEEP_STAY,  /* to wait for the next request */
    WH_KEEP_MORE   /* the next request is there already, in a filter: no socket will tell of it */
} wh_keep_next_e;

/* Flushes as the MPM does. */
static wh_keep_next_e next_of(const wh_keep_t *k)
{
    conn_rec *c = k->c;
    ap_filter_t *last = c->output_filters;

    if (!k->quick || c->cs->state != CONN_STATE_WRITE_COMPLETION || c->aborted) {
        return WH_KEEP_LEAVE;
    }
    while (last->next != NULL) {
        last = last->next;
    }
    if (last->frec->filter_func.out_func(last, NULL) != APR_SUCCESS) {
        c->cs->state = CONN_STATE_LINGER;
        return WH_KEEP_LEAVE;
    }
    if (c->data_in_output_filters || c->clogging_input_filters ||
        c->cs->sense != CONN_SENSE_DEFAULT || c->keepalive != AP_CONN_KEEPALIVE) {
        return WH_KEEP_LEAVE;
    }
    ap_update_child_status(c->sbh, SERVER_BUSY_KEEPALIVE, NULL);
    return c->data_in_input_filters ? WH_KEEP_MORE : WH_KEEP_STAY;
}

/* True when a whole header of a request without a body is there, so that reading it cannot wait. */
static int header_there(wh_keep_t *k)
{
    const char *text = NULL;
    const char *end = NULL;
    apr_size_t n = 0;
    apr_status_t rv;

    rv = ap_get_brigade(k->c->input_filters, k->bb, AP_MODE_SPECULATIVE, APR_NONBLOCK_READ, PEEK);
    if (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(k->bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(k->bb);

        if (!APR_BUCKET_IS_METADATA(b) &&
            apr_bucket_read(b, &text, &n, APR_NONBLOCK_READ) == APR_SUCCESS && n > 5 &&
            (memcmp(text, "GET ", 4) == 0 || memcmp(text, "HEAD ", 5) == 0)) {
            end = memmem(text, n, "\r\n\r\n", 4);
        }
        k->alone = k->plain && end != NULL && end + 4 == text + n &&
                   APR_BUCKET_NEXT(b) == APR_BRIGADE_SENTINEL(k->bb);
    }
    apr_brigade_cleanup(k->bb);
    return end != NULL;
}

/* Of k, whose own thread is away, for as long as it takes: true when next says more, false when
 * nothing is left to do but what its own thread does. */
static int stand_in(wh_keep_t *k, apr_thread_t *thread, wh_keep_next_e *next)
{
    conn_rec *c = k->c;

    if (*next == WH_KEEP_MORE) {
        (void)answer(k, thread);
        *next = next_of(k);
        return 1;
    }
    if (c->cs->state == CONN_STATE_SUSPENDED || c->aborted || c->clogging_input_filters ||
        c->cs->sense != CONN_SENSE_DEFAULT) {
        return 0;
    }
    ap_flush_conn(c);
    if (c->cs->state == CONN_STATE_WRITE_COMPLETION && c->keepalive == AP_CONN_KEEPALIVE &&
        !c->aborted) {
        ap_update_child_status(c->sbh, SERVER_BUSY_KEEPALIVE, NULL);
        *next = c->data_in_input_filters ? WH_KEEP_MORE : WH_KEEP_STAY;
        return 1;
    }
    ap_shutdown_conn(c, 1); /* the client waits for the end */
    (void)apr_socket_shutdown(k->pfd.desc.s, APR_SHUTDOWN_WRITE);
    return 0;
}

/* ---- the party; all of it under its mutex ------------------------ */

static void lock(void)
{
    apr_thread_mutex_lock(party->lock);
}

static void unlock(void)
{
    apr_thread_mutex_unlock(party->lock);
}

/* Somebody who sleeps looks around: a leader or a deputy is missing. The latest first, it will be
 * here longest. */
static void wake_one(void)
{
    wh_keep_t *k;

    for (k = APR_RING_LAST(&party->ring); k != APR_RING_SENTINEL(&party->ring, wh_keep_t, link);
         k = APR_RING_PREV(k, link)) {
        if (k->asleep && k->state != WH_KEEP_DONE) {
            apr_thread_cond_signal(k->cond);
            return;
        }
    }
}

static void done(wh_keep_t *k, int unread)
{
    if (k->state == WH_KEEP_WAITING) {
        (void)apr_pollset_remove(party->set, &k->pfd);
    }
    k->state = WH_KEEP_DONE;
    k->unread = unread;
    APR_RING_REMOVE(k, link);
    party->n--;
    apr_thread_cond_signal(k->cond);
    if (party->leader == k) {
        (void)apr_pollset_wakeup(party->set);
    }
}

/* k is waited for from now on; false when it cannot be. */
static int wait_for(wh_keep_t *k)
{
    k->state = WH_KEEP_WAITING;
    k->last = apr_time_now();
    APR_RING_INSERT_TAIL(&party->ring, k, wh_keep_t, link);
    party->n++;
    if (apr_pollset_add(party->set, &k->pfd) == APR_SUCCESS) {
        return 1;
    }
    k->state = WH_KEEP_BUSY;
    done(k, 0);
    return 0;
}

/* There is no leader any more, and what it was at is no business of the next one. */
static void depose(void)
{
    if (party->current != NULL) {
        (void)apr_pollset_remove(party->set, &party->current->pfd);
        party->current->state = WH_KEEP_BUSY;
        party->current = NULL;
    }
    party->leader = NULL;
    wh_mod_count(WH_COUNT_KEPT_DEPOSED);
}

static int stopping(void)
{
    int state = AP_MPMQ_RUNNING;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

/* Those that were silent for too long, or all of them, go back to the MPM; one whose thread is away
 * when that has come back. */
static void dismiss(apr_time_t before)
{
    wh_keep_t *k = APR_RING_FIRST(&party->ring);

    while (k != APR_RING_SENTINEL(&party->ring, wh_keep_t, link) && k->last < before) {
        wh_keep_t *next = APR_RING_NEXT(k, link);

        if (k->state == WH_KEEP_WAITING && !k->away) {
            done(k, 0);
        }
        k = next;
    }
}

static void step_down(wh_keep_t *me)
{
    if (party->leader == me) {
        depose();
        wake_one();
    }
}

/* Answers k, of which the pollset said something, as the thread of me. */
static void turn(wh_keep_t *me, wh_keep_t *k)
{
    wh_keep_next_e next = WH_KEEP_MORE;
    int more = 1;
    int left;

    party->current = k;
    party->since = apr_time_now();
    me->away = me != k;
    answering = me;
    unlock();
    for (left = IN_TURN; next == WH_KEEP_MORE && left > 0 && header_there(k); left--) {
        (void)answer(k, me->thread);
        next = next_of(k);
        wh_mod_count(WH_COUNT_KEPT);
    }
    lock();
    while (more && next != WH_KEEP_STAY && k->away) {
        step_down(me);
        unlock();
        more = stand_in(k, me->thread, &next);
        lock();
    }
    answering = NULL;
    me->away = 0;
    if (party->leader == me) {
        party->current = NULL;
    }
    if (next != WH_KEEP_STAY) {
        done(k, next == WH_KEEP_MORE);
        return;
    }
    if (k->state == WH_KEEP_WAITING) {
        k->last = apr_time_now();
        APR_RING_REMOVE(k, link);
        APR_RING_INSERT_TAIL(&party->ring, k, wh_keep_t, link);
        return;
    }
    APR_RING_REMOVE(k, link); /* deposed meanwhile: as one that comes anew */
    party->n--;
    (void)wait_for(k);
}

static void lead(wh_keep_t *me)
{
    party->leader = me;
    if (party->deputy == me) {
        party->deputy = NULL;
    }
    if (party->deputy == NULL) {
        wake_one();
    }
    while (party->leader == me && me->state != WH_KEEP_DONE) {
        const apr_pollfd_t *ready = NULL;
        apr_int32_t n = 0;
        apr_int32_t i;

        unlock();
        if (apr_pollset_poll(party->set, WH_MOD_KEEP_IDLE, &n, &ready) != APR_SUCCESS) {
            n = 0;
        }
        lock();
        for (i = 0; i < n && party->leader == me; i++) {
            wh_keep_t *k = ready[i].client_data;

            if (k->state == WH_KEEP_WAITING) {
                turn(me, k);
            }
        }
        if (party->leader == me) {
            dismiss(stopping() ? APR_INT64_MAX : apr_time_now() - WH_MOD_KEEP_IDLE);
        }
    }
    if (party->leader == me) {
        party->leader = NULL;
        wake_one();
    }
}

/* The deputy has slept: is the leader stuck? */
static void look_after(void)
{
    if (party->current != NULL && apr_time_now() - party->since > WH_MOD_KEEP_STALL) {
        depose();
    }
}

static void sleep_a_while(wh_keep_t *k)
{
    k->asleep = 1;
    if (party->deputy == NULL || party->deputy == k) {
        party->deputy = k;
        (void)apr_thread_cond_timedwait(k->cond, party->lock, WH_MOD_KEEP_STALL);
        look_after();
    } else {
        (void)apr_thread_cond_wait(k->cond, party->lock);
    }
    k->asleep = 0;
}

/* Until the connection is this thread's again. True when the thread is to read from it. */
static int park(wh_keep_t *k)
{
    int unread = 0;

    if (furnish(k) != APR_SUCCESS) {
        return 0;
    }
    lock();
    if (party->n < party->limit && !stopping() && wait_for(k)) {
        while (k->state != WH_KEEP_DONE) {
            if (party->leader == NULL) {
                lead(k);
            } else {
                sleep_a_while(k);
            }
        }
        if (party->deputy == k) {
            party->deputy = NULL;
        }
        if (party->leader == NULL || party->deputy == NULL) {
            wake_one(); /* it may have been woken to be that, too */
        }
        k->state = WH_KEEP_AWAY;
        unread = k->unread;
    }
    unlock();
    return unread;
}

/* ---- hooks and what the rest of the module says ------------------------ */

void wh_mod_keep_register(void)
{
    peek_filter = ap_register_input_filter("WISEHOST_PEEK", peek, NULL, AP_FTYPE_CONNECTION);
}

void wh_mod_keep_child_init(apr_pool_t *pchild, server_rec *s)
{
    int async = 0;
    int threads = 0;
    wh_party_t *made;
    apr_status_t rv;
    int limit = wh_mod_conf_parked(s);

    party = NULL;
    if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &async) != APR_SUCCESS || !async ||
        ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS) {
        return;
    }
    if (limit > threads / 2) {
        limit = threads / 2;
    }
    if (limit == 0) {
        return;
    }
    made = apr_pcalloc(pchild, sizeof(*made));
    made->limit = limit;
    APR_RING_INIT(&made->ring, wh_keep_t, link);
    rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pchild);
    if (rv == APR_SUCCESS) {
        rv = apr_pollset_create(&made->set, (apr_uint32_t)limit + 1, pchild,
                                APR_POLLSET_THREADSAFE | APR_POLLSET_NOCOPY | APR_POLLSET_WAKEABLE);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "WH0156: connections are left to the MPM, no pollset can be made");
        return;
    }
    party = made;
}

int wh_mod_keep_process(conn_rec *c)
{
    wh_keep_t *k;
    int rc;

    if (party == NULL || within || c->master != NULL || c->cs == NULL ||
        c->clogging_input_filters) {
        return DECLINED;
    }
    k = ap_get_module_config(c->conn_config, &wisehost_module);
    if (k == NULL) {
        k = make_keep(c);
    }
    if (!k->quick || apr_time_now() - k->asked > WH_MOD_KEEP_IDLE) {
        k->quick = 0; /* it asks seldom: parking it would cost more than it saves */
        return DECLINED;
    }
    k->thread = c->current_thread;
    for (;;) {
        wh_keep_next_e next;

        rc = answer(k, k->thread);
        next = rc == OK ? next_of(k) : WH_KEEP_LEAVE;
        if (next == WH_KEEP_LEAVE || (next == WH_KEEP_STAY && !park(k))) {
            return rc;
        }
    }
}

void wh_mod_keep_quick(request_rec *r, apr_off_t size)
{
    wh_keep_t *k;

    if (party == NULL || r->connection->master != NULL) {
        return;
    }
    if (size > WH_MOD_KEEP_ANSWER) {
        wh_mod_keep_slow();
        return;
    }
    k = ap_get_module_config(r->connection->conn_config, &wisehost_module);
    if (k != NULL) {
        k->quick = 1;
        k->asked = r->request_time;
    }
}

void wh_mod_keep_slow(void)
{
    wh_keep_t *me = answering;

    if (me == NULL) {
        return;
    }
    lock();
    step_down(me);
    unlock();
}

int wh_mod_keep_access(request_rec *r)
{
    if (answering != NULL && ap_auth_type(r) != NULL) {
        wh_mod_keep_slow(); /* passwords are hashed, directories and databases asked */
    }
    return DECLINED;
}

void wh_mod_keep_judge(const request_rec *r)
{
    if (answering != NULL && (apr_table_get(r->headers_in, "Content-Length") != NULL ||
                              apr_table_get(r->headers_in, "Transfer-Encoding") != NULL ||
                              apr_table_get(r->headers_in, "Upgrade") != NULL)) {
        wh_keep_t *k = ap_get_module_config(r->connection->conn_config, &wisehost_module);

        if (k != NULL) {
            k->alone = 0; /* what is read of a body may bring the next request along */
        }
        wh_mod_keep_slow();
    }
}
