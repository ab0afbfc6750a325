/* Notifications by injected time: what is told when a deployment ends, who hears of it, when it is
 * tried again, when nobody tries any more. The requests go to a list instead of a network. */
#include "t/unit/sched.h"

#include "libwh/wh_channel.h"
#include "libwh/wh_notify.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_event.h"
#include "whdb/wh_db_notify.h"

#define SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

typedef struct net_t {
    sched_t *s;
    wh_httpout_req_t *out[64];
    int n, room;
} net_t;

static int net_room(void *baton)
{
    return ((net_t *)baton)->room;
}

static void net_send(void *baton, wh_httpout_req_t *req)
{
    net_t *net = baton;

    net->out[net->n++] = req;
}

static net_t *net_of(sched_t *s)
{
    net_t *net = apr_pcalloc(s->t->p, sizeof(*net));
    wh_notices_way_t *way = apr_pcalloc(s->t->p, sizeof(*way));

    *net = (net_t){.s = s, .room = 64};
    *way = (wh_notices_way_t){.room = net_room, .send = net_send, .baton = net};
    s->core.notices.way = way;
    s->core.env_key = 1;
    s->settings.notify_keep_days = 30;
    s->settings.notify_disable_after = 3;
    return net;
}

/* The oldest request comes back with this; status 0 = code. */
static void answer(net_t *net, int status, const char *code)
{
    wh_httpout_req_t *req = net->out[0];
    wh_err_t *err = &net->s->t->err;

    assert_true(net->n > 0);
    net->n--;
    memmove(net->out, net->out + 1, (size_t)net->n * sizeof(net->out[0]));
    req->status = status;
    if (status == 0) {
        wh_err_set(&req->err, 502, code, "hooks.test: it did not work");
    }
    assert_ok(req->done(&net->s->core, net->s->t->p, req, net->s->clock.now, err), err);
    apr_pool_destroy(req->pool);
}

static wh_channel_t *channel(sched_t *s, int n, const char *url, const char *events,
                             const char *app)
{
    wh_secret_ring_t ring = {.id = 1, .root = s->core.env_root};
    wh_channel_key_t key = {.url = url, .secret = SECRET, .former = ""};
    wh_channel_t *c = apr_pcalloc(s->t->p, sizeof(*c));

    *c = (wh_channel_t){.id = db_id(s->t, 'c', n),
                        .name = apr_psprintf(s->t->p, "c-%d", n),
                        .app_id = app,
                        .events = events,
                        .enabled = 1,
                        .reason = "",
                        .created_at = DB_T(1),
                        .updated_at = DB_T(1)};
    assert_ok(wh_channel_seal(s->t->p, &ring, wh_sys_rand(), c, &key, &s->t->err), &s->t->err);
    assert_ok(wh_db_channel_insert(s->t->dbc, s->t->p, c, &s->t->err), &s->t->err);
    return c;
}

static void event(sched_t *s, int n, const char *kind, int ended)
{
    db_t *t = s->t;
    wh_db_event_t e = {.id = db_id(t, 'e', n), .user_id = "", .app_id = "", .kind = kind,
                       .ended = ended, .at = s->clock.now};

    e.payload = json_pack("{s:{s:s}, s:s}", "app", "slug", "shop", "url", "");
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_event_insert(t->dbc, t->p, &e, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    json_decref(e.payload);
}

#define ALL "SELECT COUNT(*) FROM notification_deliveries"

static void is(sched_t *s, const char *sql, const char *want)
{
    const char *got = db_value(s->t, sql);

    if (strcmp(got != NULL ? got : "NULL", want) != 0) {
        fail_msg("%s: %s, not %s", sql, got != NULL ? got : "NULL", want);
    }
}

/* The deployment of the case ends so; what is in the outbox then. */
static void ends(sched_t *s, const char *outcome)
{
    sched_at_work(s, s->w, s->a);
    assert_ok(sched_result(s, s->w->id, db_id(s->t, 'j', 1), 1, outcome), &s->t->err);
}

static void test_deployment(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);

    channel(s, 1, "https://hooks.test/x", "deployment.*", "");
    channel(s, 2, "ntfy://ntfy.test/topic", "app.offline", "");
    ends(s, "failed");
    is(s, "SELECT kind FROM notification_event WHERE kind LIKE 'deployment%'", "deployment.failed");
    sched_tick(s);
    is(s, ALL, "1");
    assert_int_equal(net->n, 1);
    assert_string_equal(net->out[0]->url, "https://hooks.test/x");
    assert_non_null(strstr(net->out[0]->body, "{\"type\":\"deployment.failed\",\"timestamp\":"));
    assert_non_null(strstr(net->out[0]->body, "\"conclusion\":\"failed\""));
    is(s, "SELECT attempts || status FROM notification_deliveries", "1pending");
    answer(net, 204, NULL);
    is(s, "SELECT attempts || status || http_status FROM notification_deliveries",
       "1delivered204");
    sched_pass(s, 90000);
    sched_tick(s);
    assert_int_equal(net->n, 0);
    sched_end(s);
}

/* F100; a success is told of when its names answer. */
static void test_success(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);

    (void)net_of(s);
    ends(s, "succeeded");
    is(s, "SELECT COUNT(*) FROM notification_event", "1");
    is(s, "SELECT kind || ended FROM notification_event", "deployment.succeeded0");
    is(s, "SELECT COUNT(*) FROM notification_event WHERE app_id <> ''", "1");
    sched_pass(s, 3600);
    sched_tick(s);
    is(s, "SELECT COUNT(*) FROM notification_event", "1");
    sched_end(s);
}

static void test_moves(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);

    (void)net_of(s);
    sched_at_work(s, s->w, s->a);
    db_sql(t, "UPDATE deployments SET trigger_kind = 'drain'");
    assert_ok(sched_result(s, s->w->id, db_id(t, 'j', 1), 1, "succeeded"), &t->err);
    is(s, "SELECT conclusion FROM deployments", "succeeded");
    is(s, "SELECT COUNT(*) FROM notification_event", "0");
    sched_end(s);
}

/* Each edge once, in the transaction of the status: what came of it is in the outbox, and a channel
 * of one app does not hear of machines. */
static void test_workers(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    const char *seen = t->pg ? "SELECT string_agg(kind, ' ' ORDER BY created_at, id) FROM"
                               " notification_event WHERE kind LIKE 'worker.%'"
                             : "SELECT group_concat(kind, ' ') FROM (SELECT kind FROM"
                               " notification_event WHERE kind LIKE 'worker.%'"
                               " ORDER BY created_at, id)";

    (void)net_of(s);
    channel(s, 1, "https://hooks.test/all", "worker.*", "");
    channel(s, 2, "https://hooks.test/app", "", s->a->id);
    sched_tick(s);
    sched_up(s, s->w, NULL); /* its row said online: a scheduler that was started again */
    sched_up(s, s->w, NULL);
    is(s, seen, "NULL");
    sched_pass(s, 1);
    sched_down(s, s->w->id);
    is(s, seen, "worker.offline");
    sched_pass(s, 1);
    sched_up(s, s->w, NULL);
    is(s, seen, "worker.offline worker.online");
    sched_pass(s, 1);
    for (int i = 0; i < 8; i++) { /* half-open: no heartbeat for two minutes (R9) */
        sched_pass(s, 30);
        sched_tick(s);
    }
    is(s, seen, "worker.offline worker.online worker.offline");
    is(s, "SELECT MIN(payload) FROM notification_event WHERE kind = 'worker.online'",
       apr_psprintf(t->p, "{\"worker\":{\"id\":\"%s\",\"name\":\"%s\"}}", s->w->public_id,
                    s->w->name));
    sched_tick(s);
    is(s, ALL, "3");
    sched_up(s, s->w, NULL);
    db_sql(t, "UPDATE workers SET admin_state = 'removed', status = 'offline'");
    sched_down(s, s->w->id); /* removed by hand: that is in the audit log */
    is(s, seen, "worker.offline worker.online worker.offline worker.online");
    sched_end(s);
}

static void test_retries(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);
    const char *id = NULL;

    channel(s, 1, "https://hooks.test/x", "", "");
    event(s, 1, "app.cpu", 0);
    for (int i = 1; i <= WH_NOTIFY_ATTEMPTS; i++) {
        sched_tick(s);
        assert_int_equal(net->n, 1);
        assert_int_equal(((wh_notice_t *)net->out[0]->baton)->attempts, i);
        id = id != NULL ? id : apr_pstrdup(t->p, ((wh_notice_t *)net->out[0]->baton)->id);
        assert_string_equal(id, ((wh_notice_t *)net->out[0]->baton)->id);
        answer(net, i % 2 ? 503 : 0, "http_timeout");
        sched_tick(s);
        assert_int_equal(net->n, 0); /* not at once */
        sched_pass(s, 32000);
    }
    is(s, "SELECT status || attempts || cause_code FROM notification_deliveries",
       "dead12http_timeout");
    is(s, "SELECT '' || enabled || failures || reason FROM notification_channels", "11");
    sched_tick(s);
    assert_int_equal(net->n, 0);
    /* Resent, it begins anew and the channel is well again. */
    assert_ok(wh_db_notice_again(t->dbc, t->p, db_id(t, 'c', 1), id, s->clock.now, &t->err),
              &t->err);
    sched_tick(s);
    answer(net, 200, NULL);
    is(s, "SELECT status || attempts FROM notification_deliveries", "delivered1");
    is(s, "SELECT failures FROM notification_channels", "0");
    sched_end(s);
}

static void test_times(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);

    channel(s, 1, "https://hooks.test/x", "", "");
    event(s, 1, "app.cpu", 0);
    sched_tick(s);
    answer(net, 500, NULL);
    sched_pass(s, 4);
    sched_tick(s);
    assert_int_equal(net->n, 0);
    sched_pass(s, 2); /* 5 s, a tenth more or less */
    sched_tick(s);
    assert_int_equal(net->n, 1);
    answer(net, 500, NULL);
    sched_pass(s, 26);
    sched_tick(s);
    assert_int_equal(net->n, 0);
    sched_pass(s, 7); /* 30 s */
    sched_tick(s);
    assert_int_equal(net->n, 1);
    answer(net, 200, NULL);
    sched_end(s);
}

static void test_gone(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);

    channel(s, 1, "https://hooks.test/x", "", "");
    event(s, 1, "app.cpu", 0);
    event(s, 2, "app.cpu", 1);
    sched_tick(s);
    assert_int_equal(net->n, 2);
    answer(net, 410, NULL);
    is(s, "SELECT enabled || reason FROM notification_channels", "0gone");
    is(s, ALL " WHERE status = 'dead'", "2");
    answer(net, 200, NULL); /* the other one was under way: too late */
    is(s, ALL " WHERE status = 'dead'", "2");
    event(s, 3, "app.cpu", 0);
    sched_tick(s);
    is(s, ALL, "2");
    sched_end(s);
}

static void test_disabled_after(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);

    channel(s, 1, "https://hooks.test/x", "", "");
    for (int i = 1; i <= 3; i++) {
        event(s, i, "app.cpu", 0);
        sched_tick(s);
        is(s, "SELECT enabled FROM notification_channels", "1");
        answer(net, 0, "http_refused"); /* stays refused: its end at once */
    }
    is(s, "SELECT enabled || reason || failures FROM notification_channels", "0failing3");
    is(s, ALL " WHERE status = 'dead' AND attempts = 1 AND cause_code = 'http_refused'", "3");
    sched_end(s);
}

/* kill -9 between the write and the answer. */
static void test_killed(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);
    const char *id;

    channel(s, 1, "https://hooks.test/x", "", "");
    event(s, 1, "app.cpu", 0);
    sched_tick(s);
    id = apr_pstrdup(t->p, ((wh_notice_t *)net->out[0]->baton)->id);
    apr_pool_destroy(net->out[0]->pool);
    net->n = 0;
    memset(s->core.notices.flying, 0, sizeof(s->core.notices.flying));
    sched_pass(s, 110);
    sched_tick(s);
    assert_int_equal(net->n, 0);
    sched_pass(s, 11);
    sched_tick(s);
    assert_int_equal(net->n, 1);
    assert_string_equal(((wh_notice_t *)net->out[0]->baton)->id, id);
    answer(net, 200, NULL);
    is(s, ALL " WHERE status = 'delivered' AND attempts = 2", "1");
    sched_end(s);
}

static void test_shares(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);

    channel(s, 1, "https://slow.test/x", "app.cpu", "");
    channel(s, 2, "https://hooks.test/x", "app.offline", "");
    channel(s, 3, "https://other.test/x", "", "some-other-app");
    for (int i = 1; i <= 40; i++) {
        event(s, i, "app.cpu", 0);
    }
    sched_tick(s);
    sched_tick(s);
    is(s, ALL, "40");
    assert_int_equal(net->n, WH_NOTICES_CHANNEL);
    event(s, 41, "app.offline", 0);
    sched_tick(s);
    assert_int_equal(net->n, WH_NOTICES_CHANNEL + 1);
    assert_string_equal(net->out[WH_NOTICES_CHANNEL]->url, "https://hooks.test/x");
    while (net->n > 0) {
        answer(net, 200, NULL);
        if (net->n == 0) {
            sched_tick(s);
        }
    }
    is(s, ALL " WHERE status = 'delivered'", "41");
    sched_end(s);
}

static void test_kept(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);
    wh_channel_t *c = channel(s, 1, "discord://tok@123", "", "");

    event(s, 1, "app.cpu", 0);
    event(s, 2, "app.cpu", 1);
    sched_tick(s);
    answer(net, 200, NULL);
    assert_string_equal(net->out[0]->url, "https://discord.com/api/webhooks/123/tok");
    sched_pass(s, 31 * 86400);
    sched_tick(s); /* the other one is still on its way: kept, and sent again */
    is(s, ALL, "1");
    is(s, "SELECT COUNT(*) FROM notification_event", "1");
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_channel_delete(t->dbc, t->p, c->id, s->clock.now, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    is(s, "SELECT status || cause_code FROM notification_deliveries", "deadchannel_deleted");
    is(s, "SELECT sealed || shown FROM notification_channels", "");
    sched_pass(s, 3601);
    sched_tick(s);
    is(s, "SELECT COUNT(*) FROM notification_event", "0");
    for (int i = 0; i < net->n; i++) {
        apr_pool_destroy(net->out[i]->pool);
    }
    sched_end(s);
}

static void test_resealed(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    net_t *net = net_of(s);

    channel(s, 1, "https://hooks.test/x", "", "");
    db_sql(t, "UPDATE counters SET value = 2 WHERE name = 'env_key'");
    sched_pass(s, 10);
    sched_tick(s);
    is(s, "SELECT key_id FROM notification_channels", "2");
    event(s, 1, "app.cpu", 0);
    sched_tick(s);
    assert_string_equal(net->out[0]->url, "https://hooks.test/x");
    db_sql(t, "UPDATE notification_channels SET id = id, sealed = 'AAAA'");
    answer(net, 500, NULL);
    sched_pass(s, 60);
    sched_tick(s);
    is(s, "SELECT status || cause_code FROM notification_deliveries", "deadsecret_broken");
    sched_end(s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F100 a deployment's end is told of with the end itself", test_deployment),
        DB_CASE("F100 a success is told of once, when its names answer", test_success),
        DB_CASE("a move between workers that went well is nobody's news", test_moves),
        DB_CASE("F8 a worker that goes or comes is told of once", test_workers),
        DB_CASE("what does not arrive is tried for a day, then dead; resent it begins anew",
                test_retries),
        DB_CASE("the first waits: 5 s, 30 s", test_times),
        DB_CASE("410: the channel is disabled at once", test_gone),
        DB_CASE("three dead in a row: disabled; refused addresses are not tried again",
                test_disabled_after),
        DB_CASE("killed under way: sent again, with the same id", test_killed),
        DB_CASE("a slow channel holds up no other one", test_shares),
        DB_CASE("kept for 30 days; a deleted channel keeps nothing", test_kept),
        DB_CASE("channels are sealed anew after a rotation", test_resealed),
    };

    return DB_RUN(cases);
}
