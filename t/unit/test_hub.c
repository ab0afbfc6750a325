/* The hub's own pieces: a connection's buffers and queue, what is done with a frame, the mailbox.
 */
#include "t/unit/unit.h"

#include <stdlib.h>
#include <apr_strings.h>

#include "libwh/wh_assertion.h"
#include "libwh/wh_log.h"
#include "libwh/wh_proto_msg.h"
#include "wh-scheduler/hub_conn.h"
#include "wh-scheduler/hub_dispatch.h"
#include "wh-scheduler/mailbox.h"
#include "wh-scheduler/offers.h"
#include "wh-scheduler/watchdog.h"

#define HUB_NONCE "00112233445566778899aabbccddeeff"
#define AGENT_NONCE "ffeeddccbbaa99887766554433221100"
#define ID "0123456789abcdef0123456789abcdef"

static void test_join(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, HUB_NONCE, AGENT_NONCE);
    char *big = calloc(1, WH_PROTO_MAX_BYTES);

    (void)state;
    assert_int_equal(wh_hub_conn_rx(conn, "ab", 2, 0), WH_HUB_RX_MORE);
    assert_int_equal(wh_hub_conn_rx(conn, "", 0, 0), WH_HUB_RX_MORE);
    assert_int_equal(wh_hub_conn_rx(conn, "c", 1, 1), WH_HUB_RX_WHOLE);
    assert_int_equal(conn->in_len, 3);
    assert_memory_equal(conn->in, "abc", 3);
    wh_hub_conn_rx_done(conn);
    assert_null(conn->in);
    assert_int_equal(wh_hub_conn_rx(conn, big, WH_PROTO_MAX_BYTES, 0), WH_HUB_RX_MORE);
    assert_int_equal(wh_hub_conn_rx(conn, "x", 1, 1), WH_HUB_RX_TOO_BIG);
    wh_hub_conn_free(conn);
    free(big);
}

static void test_queue(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, HUB_NONCE, AGENT_NONCE);
    wh_mono_t now = {1000};

    (void)state;
    for (int i = 0; i < WH_HUB_CONN_OUT_FRAMES; i++) {
        assert_int_equal(wh_hub_conn_queue(conn, "frame", 5, now), 0);
    }
    assert_int_equal(wh_hub_conn_queue(conn, "frame", 5, now), WH_CLOSE_SLOW);
    assert_int_equal(wh_hub_conn_next(conn)->len, 5);
    wh_hub_conn_sent(conn);
    for (int i = 0; i < 2048; i++) { /* a go and a cancel for each of 1024 jobs */
        assert_int_equal(wh_hub_conn_queue(conn, "go", 2, now), 0);
        wh_hub_conn_handed(conn);
    }
    assert_int_equal(wh_hub_conn_queue(conn, "frame", 5, now), 0);
    assert_int_equal(wh_hub_conn_queue(conn, "frame", 5, now), WH_CLOSE_SLOW);
    for (int i = 0; i < 2048; i++) {
        wh_hub_conn_sent(conn);
    }
    for (int i = 0; i < WH_HUB_CONN_OUT_FRAMES; i++) {
        wh_hub_conn_sent(conn);
    }
    assert_null(wh_hub_conn_next(conn));
    assert_int_equal(conn->out_bytes, 0);
    wh_hub_conn_sent(conn); /* nothing there: nothing happens */
    wh_hub_conn_free(conn);
}

/* What the database thread asked to hear of is told once, and at once when nothing waits. */
static void test_report(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, HUB_NONCE, AGENT_NONCE);
    wh_mono_t now = {1000};

    (void)state;
    assert_int_equal(wh_hub_conn_report(conn), 1);
    assert_int_equal(wh_hub_conn_queue(conn, "one", 3, now), 0);
    assert_int_equal(wh_hub_conn_queue(conn, "two", 3, now), 0);
    assert_int_equal(wh_hub_conn_report(conn), 0);
    assert_int_equal(wh_hub_conn_queue(conn, "three", 5, now), 0);
    assert_int_equal(wh_hub_conn_sent(conn), 0);
    assert_int_equal(wh_hub_conn_sent(conn), 1);
    assert_int_equal(wh_hub_conn_sent(conn), 0);
    assert_int_equal(wh_hub_conn_report(conn), 1);
    wh_hub_conn_free(conn);
}

/* A worker's jobs go out in windows; each waits once, in order. */
static void test_offers(void **state)
{
    wh_offers_t offers = {0};

    (void)state;
    for (int i = 0; i < WH_OFFERS_FRAMES; i++) {
        assert_int_equal(wh_offers_open(&offers), 1);
        wh_offers_sent(&offers, 10);
    }
    assert_int_equal(wh_offers_open(&offers), 0);
    wh_offers_renew(&offers);
    wh_offers_sent(&offers, WH_OFFERS_BYTES);
    assert_int_equal(wh_offers_open(&offers), 0);
    wh_offers_renew(&offers);
    assert_null(wh_offers_next(&offers));
    for (int i = 0; i < 2048; i++) {
        char id[WH_ID_LEN + 1];

        apr_snprintf(id, sizeof(id), "%026d", i / 2); /* every one is said twice */
        assert_int_equal(wh_offers_later(&offers, id, i), 0);
    }
    for (int i = 0; i < 1024; i++) {
        assert_int_equal(atoi(wh_offers_next(&offers)->job), i);
        assert_int_equal(wh_offers_next(&offers)->epoch, 2 * i + 1);
        wh_offers_drop(&offers);
    }
    assert_null(wh_offers_next(&offers));
    wh_offers_drop(&offers); /* nothing there: nothing happens */
    assert_int_equal(wh_offers_later(&offers, "again", 1), 0);
    wh_offers_free(&offers);
    assert_null(wh_offers_next(&offers));
}

static void test_queue_bytes(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, HUB_NONCE, AGENT_NONCE);
    wh_mono_t now = {1000};
    char *half = calloc(1, WH_HUB_CONN_OUT_BYTES / 2);

    (void)state;
    assert_int_equal(wh_hub_conn_queue(conn, half, WH_HUB_CONN_OUT_BYTES / 2, now), 0);
    assert_int_equal(wh_hub_conn_queue(conn, half, WH_HUB_CONN_OUT_BYTES / 2, now), 0);
    assert_int_equal(wh_hub_conn_queue(conn, "x", 1, now), WH_CLOSE_SLOW);
    assert_int_equal(wh_hub_conn_stuck(conn, wh_mono_add(now, 5000000)), 0);
    assert_int_equal(wh_hub_conn_stuck(conn, wh_mono_add(now, 5000001)), 1);
    wh_hub_conn_free(conn);
    free(half);
}

static void test_close_once(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, HUB_NONCE, AGENT_NONCE);

    (void)state;
    assert_int_equal(wh_hub_conn_close(conn, 4009), 1);
    assert_int_equal(wh_hub_conn_close(conn, 4001), 0);
    assert_int_equal(conn->close_code, 4009);
    wh_hub_conn_free(conn);
}

/* Both threads have to come round: the loop by asking, the other by its mark. */
static void test_watchdog(void **state)
{
    wh_watchdog_t dog;
    wh_mono_t t = {1000};

    (void)state;
    wh_watchdog_init(&dog, NULL, NULL, 7, t);
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 90)), 0);
    wh_watchdog_init(&dog, "400", "8", 7, t);
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 90)), 0);
    wh_watchdog_init(&dog, "400", "7", 7, t);
    assert_int_equal(wh_watchdog_due(&dog, t), 1);
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 99)), 0);
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 100)), 1);
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 200)), 1);
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 300)), 0); /* no mark for 300 */
    wh_watchdog_mark(&dog, wh_mono_add(t, 350));
    assert_int_equal(wh_watchdog_due(&dog, wh_mono_add(t, 400)), 1);
    wh_watchdog_mark(NULL, t);
}

/* ---- frames ---- */

typedef struct bench_t {
    wh_hub_env_t env;
    wh_hub_conn_t *conn;
    wh_proto_link_t agent; /* the other end */
    wh_clock_fake_t clock;
    wh_rand_fake_t rand;
} bench_t;

static void no_wake(void *baton)
{
    (void)baton;
}

static void bench_make(bench_t *b, apr_pool_t *p)
{
    memset(b, 0, sizeof(*b));
    wh_clock_fake_init(&b->clock, apr_time_from_sec(1700000000));
    wh_rand_fake_init(&b->rand, 1);
    b->env = (wh_hub_env_t){.box = wh_mailbox_make(p, no_wake, NULL),
                            .clock = &b->clock.clock,
                            .rand = &b->rand.rnd,
                            .scratch = p};
    b->conn = wh_hub_conn_make(3, 7, HUB_NONCE, AGENT_NONCE);
    b->conn->state = WH_HUB_CONN_OPEN;
    memset(b->conn->link.key, 9, 32);
    b->agent = b->conn->link;
    b->agent.out = WH_PROTO_A2H;
}

static int say(bench_t *b, apr_pool_t *p, const char *type, apr_time_t at)
{
    json_t *payload = json_object();
    size_t n;
    char *text = wh_proto_seal(p, &b->agent, type, ID, at, payload, &n);
    int code;

    json_decref(payload);
    assert_int_equal(wh_hub_conn_rx(b->conn, text, n, 1), WH_HUB_RX_WHOLE);
    code = wh_hub_dispatch_in(&b->env, b->conn);
    wh_hub_conn_rx_done(b->conn);
    return code;
}

static void count_line(void *baton, int level, const char *tag, const char *line)
{
    (void)tag;
    (void)line;
    *(int *)baton += level <= WH_LOG_INFO;
}

/* The error code in the frame that the hub has queued. */
static const char *error_of(bench_t *b, apr_pool_t *p)
{
    wh_hub_out_t *out = wh_hub_conn_next(b->conn);
    wh_proto_msg_t msg;
    wh_msg_error_t m;
    wh_err_t err = WH_ERR_INIT;

    assert_non_null(out);
    assert_ok(wh_proto_open(p, &b->agent, (char *)out->data, out->len, b->clock.now, &msg, &err),
              &err);
    assert_int_equal(msg.type, WH_MSG_ERROR);
    assert_ok(wh_proto_msg_error_decode(p, msg.p, &m, &err), &err);
    wh_hub_conn_sent(b->conn);
    return m.code;
}

static void test_frame_in(void **state)
{
    apr_pool_t *p = *state;
    bench_t b;
    wh_work_t *work;
    int poked, stopped;

    bench_make(&b, p);
    assert_int_equal(say(&b, p, "heartbeat", b.clock.now), 0);
    work = wh_mailbox_take(b.env.box, 0, &poked, &stopped);
    assert_non_null(work);
    assert_int_equal(work->kind, WH_WORK_FRAME);
    assert_int_equal(work->msg.type, WH_MSG_HEARTBEAT);
    assert_int_equal(work->worker, 7);
    assert_int_equal(work->conn, 3);
    apr_pool_destroy(work->pool);
    wh_hub_conn_free(b.conn);
}

static void test_frame_refused(void **state)
{
    apr_pool_t *p = *state;
    bench_t b;
    int poked, stopped;

    bench_make(&b, p);
    assert_int_equal(say(&b, p, "nonsense", b.clock.now), 0);
    assert_string_equal(error_of(&b, p), "unknown_type");
    assert_int_equal(say(&b, p, "heartbeat", b.clock.now - apr_time_from_sec(301)), 0);
    assert_string_equal(error_of(&b, p), "clock_skew");
    b.agent.out_seq = 1;
    assert_int_equal(say(&b, p, "heartbeat", b.clock.now), 0);
    b.agent.out_seq = 1;
    assert_int_equal(say(&b, p, "heartbeat", b.clock.now), WH_CLOSE_FRAME);
    b.agent.key[0] ^= 1;
    assert_int_equal(say(&b, p, "heartbeat", b.clock.now), WH_CLOSE_MAC);
    apr_pool_destroy(wh_mailbox_take(b.env.box, 0, &poked, &stopped)->pool);
    assert_null(wh_mailbox_take(b.env.box, 0, &poked, &stopped));
    wh_hub_conn_free(b.conn);
}

/* How many of a type a connection may say at once. */
static int at_once(apr_pool_t *p, const char *type, apr_interval_time_t ago, int *lines)
{
    wh_mono_t now = {1000};
    bench_t b;
    int n = 0, poked, stopped;
    wh_work_t *work;

    bench_make(&b, p);
    wh_log_set_sink(count_line, lines);
    while (n < 3000 && wh_hub_conn_pace(b.conn, 300, 1, now)) {
        assert_int_equal(say(&b, p, type, b.clock.now - ago), 0);
        b.conn->out_frames = 0;
        b.conn->out_bytes = 0;
        n++;
        if (!wh_hub_conn_weigh(b.conn, b.conn->weight, now)) {
            break;
        }
    }
    wh_log_set_sink(NULL, NULL);
    while ((work = wh_mailbox_take(b.env.box, 0, &poked, &stopped)) != NULL) {
        apr_pool_destroy(work->pool);
    }
    wh_hub_conn_free(b.conn);
    return n;
}

static void test_heavy(void **state)
{
    apr_pool_t *p = *state;
    int lines = 0;

    assert_int_equal(at_once(p, "heartbeat", 0, &lines), WH_HUB_CONN_BURST);
    assert_in_range(at_once(p, "violation", 0, &lines), 70, 90);
    assert_in_range(at_once(p, "error", 0, &lines), 70, 90);
    assert_in_range(at_once(p, "app_status", 0, &lines), 190, 210);
    assert_in_range(at_once(p, "hello", 0, &lines), 15, 25);
    assert_int_equal(lines, 0);
    assert_in_range(at_once(p, "heartbeat", apr_time_from_sec(301), &lines), 70, 90);
    assert_in_range(lines, 1, 25);
}

static void test_share(void **state)
{
    apr_pool_t *p = *state;
    bench_t b;

    bench_make(&b, p);
    for (int i = 1; i < WH_HUB_CONN_PENDING; i++) {
        assert_int_equal(say(&b, p, "heartbeat", b.clock.now), 0);
        assert_int_equal(b.conn->paused, 0);
    }
    assert_int_equal(say(&b, p, "heartbeat", b.clock.now), 0);
    assert_int_equal(b.conn->paused, WH_HUB_PAUSE_DB);
    for (int i = 1; i <= WH_HUB_CONN_PENDING; i++) {
        int poked, stopped;
        wh_work_t *work = wh_mailbox_take(b.env.box, 0, &poked, &stopped);

        assert_int_equal(work->resume, i == WH_HUB_CONN_PENDING);
        apr_pool_destroy(work->pool);
    }
    wh_hub_conn_free(b.conn);
}

static void test_assertion(void **state)
{
    apr_pool_t *p = *state;
    bench_t b;
    unsigned char key[32] = {1};
    wh_err_t err = WH_ERR_INIT;
    apr_time_t exp;
    static const struct {
        const char *actor, *action, *object;
        apr_int64_t worker;
    } cases[] = {
        {"worker:12", "worker.connect", "hub", 12}, {"worker:0", "worker.connect", "hub", 0},
        {"worker:12x", "worker.connect", "hub", 0}, {"worker:-1", "worker.connect", "hub", 0},
        {"token:12", "worker.connect", "hub", 0},   {"worker:12", "logs.read", "hub", 0},
        {"worker:12", "worker.connect", "app", 0},  {"worker:", "worker.connect", "hub", 0},
    };

    bench_make(&b, p);
    exp = b.clock.now + apr_time_from_sec(10);
    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        const char *text =
            wh_assertion_make(p, key, cases[i].actor, cases[i].action, cases[i].object, exp);

        assert_int_equal(wh_hub_dispatch_worker(&b.env, key, text, &err), cases[i].worker);
    }
    assert_int_equal(wh_hub_dispatch_worker(&b.env, key, NULL, &err), 0);
    key[0] = 2;
    assert_int_equal(
        wh_hub_dispatch_worker(&b.env, key,
                               wh_assertion_make(p, (const unsigned char[32]){1}, "worker:12",
                                                 "worker.connect", "hub", exp),
                               &err),
        0);
    wh_hub_conn_free(b.conn);
}

static void put_frame(wh_mailbox_t *box, wh_msg_e type, apr_uint64_t conn)
{
    wh_work_t *work = wh_mailbox_work(WH_WORK_FRAME, conn, 1);

    work->msg.type = type;
    wh_mailbox_put(box, work);
}

static apr_uint64_t drop(wh_work_t *work)
{
    apr_uint64_t conn = work != NULL ? work->conn : 0;

    if (work != NULL)
        apr_pool_destroy(work->pool);
    return conn;
}

/* Room first; frames of one type in a row, and none over the head of another. */
static void test_mailbox_order(void **state)
{
    wh_mailbox_t *box = wh_mailbox_make(*state, no_wake, NULL);
    int poked, stopped;

    wh_mailbox_put(box, wh_mailbox_work(WH_WORK_ROOM, 1, 1));
    put_frame(box, WH_MSG_JOB_ACK, 2);
    put_frame(box, WH_MSG_JOB_ACK, 3);
    wh_mailbox_put(box, wh_mailbox_work(WH_WORK_ROOM, 4, 1));
    put_frame(box, WH_MSG_HEARTBEAT, 5);
    put_frame(box, WH_MSG_JOB_ACK, 6);
    assert_int_equal(wh_mailbox_waiting(box), 6);
    assert_null(wh_mailbox_take_frame(box, WH_MSG_JOB_ACK));
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 4);
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 1);
    assert_int_equal(drop(wh_mailbox_take_frame(box, WH_MSG_JOB_ACK)), 2);
    assert_int_equal(drop(wh_mailbox_take_frame(box, WH_MSG_JOB_ACK)), 3);
    assert_null(wh_mailbox_take_frame(box, WH_MSG_JOB_ACK));
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 5);
    wh_mailbox_stop(box);
    assert_null(wh_mailbox_take_frame(box, WH_MSG_JOB_ACK)); /* the last one: take says so */
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 6);
    assert_int_equal(stopped, 1);
    assert_null(wh_mailbox_take_frame(box, WH_MSG_JOB_ACK));
    assert_int_equal(wh_mailbox_waiting(box), 0);
    put_frame(box, WH_MSG_JOB_ACK, 7); /* the list is whole after it was empty */
    wh_mailbox_put(box, wh_mailbox_work(WH_WORK_ROOM, 8, 1));
    put_frame(box, WH_MSG_JOB_ACK, 9);
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 8);
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 7);
    assert_int_equal(drop(wh_mailbox_take(box, 0, &poked, &stopped)), 9);
}

static void test_mailbox(void **state)
{
    apr_pool_t *p = *state;
    wh_mailbox_t *box = wh_mailbox_make(p, no_wake, NULL);
    int poked, stopped;
    wh_post_t *post;

    assert_null(wh_mailbox_take(box, 1000, &poked, &stopped));
    assert_int_equal(poked, 0);
    wh_mailbox_poke(box);
    wh_mailbox_poke(box);
    assert_null(wh_mailbox_take(box, 0, &poked, &stopped));
    assert_int_equal(poked, 1);
    assert_null(wh_mailbox_take(box, 0, &poked, &stopped));
    assert_int_equal(poked, 0);
    wh_mailbox_put(box, wh_mailbox_work(WH_WORK_CONNECT, 1, 1));
    wh_mailbox_put(box, wh_mailbox_work(WH_WORK_DISCONNECT, 1, 1));
    wh_mailbox_stop(box);
    apr_pool_destroy(wh_mailbox_take(box, 0, &poked, &stopped)->pool);
    assert_int_equal(stopped, 0); /* work that is there is done first */
    apr_pool_destroy(wh_mailbox_take(box, 0, &poked, &stopped)->pool);
    assert_int_equal(stopped, 1);
    assert_int_equal(wh_mailbox_pause(box, 1000000), 1);
    wh_mailbox_post(box, wh_mailbox_post_make(WH_POST_CLOSE, 5));
    wh_mailbox_post(box, wh_mailbox_post_make(WH_POST_RESUME, 6));
    post = wh_mailbox_posts(box);
    assert_int_equal(post->conn, 5);
    assert_int_equal(post->next->conn, 6);
    wh_mailbox_post_free(post->next);
    wh_mailbox_post_free(post);
    assert_null(wh_mailbox_posts(box));
    /* What is left goes with the pool. */
    wh_mailbox_put(box, wh_mailbox_work(WH_WORK_CONNECT, 1, 1));
    wh_mailbox_post(box, wh_mailbox_post_make(WH_POST_CLOSE, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the watchdog is fed while both threads come round", test_watchdog),
        UNIT("messages are joined, and 2 MiB is the end", test_join),
        UNIT("R14 XE9 a queue has a bound in frames too", test_queue),
        UNIT("R11 the database thread hears when its frames have gone", test_report),
        UNIT("R11 jobs wait for their window, each once and in order", test_offers),
        UNIT("R14 a queue holds 4 MiB, and a frame waits 5 s at most", test_queue_bytes),
        UNIT("the first reason to close is the one that counts", test_close_once),
        UNIT("F85 a good frame goes to the database thread", test_frame_in),
        UNIT("F85 F95 XE10 XE11 XE12 every other is answered or ends the link", test_frame_refused),
        UNIT("XE16 what is written down at a worker's word weighs more than the rest", test_heavy),
        UNIT("a connection has a bounded share of the mailbox", test_share),
        UNIT("an upgrade needs the assertion of exactly that", test_assertion),
        UNIT("the mailbox: pokes are one, work is done before the end", test_mailbox),
        UNIT("room first, and frames of a type in a row", test_mailbox_order),
    };

    return UNIT_RUN(tests);
}
