/* Who may come in by the scheduler's own listener, and how often one may be wrong. */
#include "t/unit/unit.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_jwt.h"
#include "libwh/wh_sign.h"
#include "wh-scheduler/hub_auth.h"
#include "wh-scheduler/hub_conn.h"
#include "wh-scheduler/hub_rate.h"

#define NOW apr_time_from_sec(1700000000)

static const char *const keys[] = {
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333333333333333333333333333",
};

typedef struct bench_t {
    wh_hub_auth_t auth;
    wh_rand_fake_t rand;
    wh_roster_row_t rows[3];
    wh_roster_t *roster;
} bench_t;

static void bench_make(bench_t *b)
{
    static const wh_roster_state_e states[] = {WH_ROSTER_GOOD, WH_ROSTER_REMOVED,
                                               WH_ROSTER_REVOKED};

    memset(b, 0, sizeof(*b));
    wh_rand_fake_init(&b->rand, 1);
    memset(b->auth.worker_jwt, 5, sizeof(b->auth.worker_jwt));
    b->auth.allow_raw_key = 1;
    for (int i = 0; i < 3; i++) {
        b->rows[i].id = i + 1;
        b->rows[i].state = states[i];
        wh_sign_sha256(keys[i], strlen(keys[i]), b->rows[i].key_hash);
    }
    b->roster = wh_roster_make(b->rows, 3);
    b->auth.roster = b->roster;
}

static const char *token(bench_t *b, apr_pool_t *p, apr_int64_t worker, const char *key)
{
    unsigned char hash[WH_KEY_LEN];
    wh_jwt_claims_t claims;

    wh_sign_sha256(key, strlen(key), hash);
    assert_int_equal(wh_jwt_claims_make(&claims, worker, hash, NOW, &b->rand.rnd), APR_SUCCESS);
    return apr_pstrcat(p, "Bearer ", wh_jwt_mint(p, b->auth.worker_jwt, &claims), NULL);
}

static apr_int64_t who(bench_t *b, apr_pool_t *p, const char *authorization, const char *code)
{
    wh_err_t err = WH_ERR_INIT;
    apr_int64_t worker = wh_hub_auth_bearer(p, &b->auth, authorization, NOW, &err);

    if (worker == 0) {
        assert_int_equal(err.http, 401);
        assert_string_equal(err.code, code);
    }
    return worker;
}

static void test_token(void **state)
{
    apr_pool_t *p = *state;
    bench_t b;

    bench_make(&b);
    assert_int_equal(who(&b, p, token(&b, p, 1, keys[0]), ""), 1);
    assert_int_equal(who(&b, p, token(&b, p, 1, keys[1]), "invalid_credentials"), 0);
    assert_int_equal(who(&b, p, token(&b, p, 2, keys[1]), "invalid_credentials"), 0);
    assert_int_equal(who(&b, p, token(&b, p, 3, keys[2]), "invalid_credentials"), 0);
    /* Registered a moment ago: the database judges. */
    assert_int_equal(who(&b, p, token(&b, p, 4, keys[0]), ""), 4);
    b.auth.roster = NULL;
    assert_int_equal(who(&b, p, token(&b, p, 3, keys[2]), ""), 3);
    b.auth.roster = b.roster;
    b.auth.worker_jwt[0] ^= 1;
    {
        const char *foreign = token(&b, p, 1, keys[0]);

        b.auth.worker_jwt[0] ^= 1;
        assert_int_equal(who(&b, p, foreign, "bad_token"), 0);
    }
    wh_roster_free(b.roster);
}

static void test_key(void **state)
{
    apr_pool_t *p = *state;
    bench_t b;

    bench_make(&b);
    assert_int_equal(who(&b, p, apr_pstrcat(p, "Bearer ", keys[0], NULL), ""), 1);
    assert_int_equal(who(&b, p, apr_pstrcat(p, "bearer   ", keys[0], NULL), ""), 1);
    assert_int_equal(who(&b, p, apr_pstrcat(p, "Bearer ", keys[1], NULL), "invalid_credentials"),
                     0);
    assert_int_equal(who(&b, p, apr_pstrcat(p, "Bearer ", keys[2], NULL), "invalid_credentials"),
                     0);
    assert_int_equal(who(&b, p, apr_pstrcat(p, "Basic ", keys[0], NULL), "invalid_credentials"), 0);
    assert_int_equal(who(&b, p, "Bearer ", "invalid_credentials"), 0);
    assert_int_equal(who(&b, p, "", "invalid_credentials"), 0);
    assert_int_equal(who(&b, p, NULL, "invalid_credentials"), 0);
    b.auth.allow_raw_key = 0;
    assert_int_equal(who(&b, p, apr_pstrcat(p, "Bearer ", keys[0], NULL), "invalid_credentials"),
                     0);
    assert_int_equal(who(&b, p, token(&b, p, 1, keys[0]), ""), 1);
    wh_roster_free(b.roster);
}

static void test_rate(void **state)
{
    apr_pool_t *p = *state;
    wh_mono_t now = {1000000};
    wh_rand_fake_t rand;
    wh_hub_rate_t *rate;
    unsigned char v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10}, v6[16] = {0x20, 1};

    wh_rand_fake_init(&rand, 1);
    rate = wh_hub_rate_make(p, &rand.rnd, WH_HUB_RATE_FAILED);
    assert_non_null(rate);
    for (int i = 0; i < WH_HUB_RATE_FAILED_BURST; i++) {
        assert_int_equal(wh_hub_rate_failed(rate, v4, now), 0);
        v6[15] = (unsigned char)i; /* one network */
        assert_int_equal(wh_hub_rate_failed(rate, v6, now), 0);
    }
    assert_int_not_equal(wh_hub_rate_failed(rate, v4, now), 0);
    assert_in_range(wh_hub_rate_failed(rate, v6, now), 1, 60);
    v6[3] = 1;
    assert_int_equal(wh_hub_rate_failed(rate, v6, now), 0);
    v4[15] = 1;
    assert_int_equal(wh_hub_rate_failed(rate, v4, now), 0);
    v4[15] = 0;
    now = wh_mono_add(now, apr_time_from_sec(3));
    assert_int_equal(wh_hub_rate_failed(rate, v4, now), 0);
    /* Any number of addresses: the table stays as large as it is. */
    for (int i = 0; i < 100000; i++) {
        memcpy(v6, &i, sizeof(i));
        assert_int_equal(wh_hub_rate_failed(rate, v6, now), 0);
    }
    rand.fail_after = 0;
    assert_null(wh_hub_rate_make(p, &rand.rnd, WH_HUB_RATE_FAILED));
}

/* One that comes every seven seconds for ever is never sent away; a storm is let in ten times, then
 * every five seconds; nobody else is touched by it. */
static void test_came(void **state)
{
    apr_pool_t *p = *state;
    wh_mono_t now = {1000000};
    wh_rand_fake_t rand;
    wh_hub_rate_t *rate;
    int came = 0;

    wh_rand_fake_init(&rand, 1);
    rate = wh_hub_rate_make(p, &rand.rnd, WH_HUB_RATE_CAME(1000));
    assert_non_null(rate);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(wh_hub_rate_came(rate, 7, now), 0);
        now = wh_mono_add(now, apr_time_from_sec(7));
    }
    for (int i = 0; i < WH_HUB_RATE_CAME_BURST; i++) {
        assert_int_equal(wh_hub_rate_came(rate, 7, now), 0);
    }
    assert_in_range(wh_hub_rate_came(rate, 7, now), 5, 6);
    assert_int_not_equal(wh_hub_rate_came(rate, 7, wh_mono_add(now, 4999999)), 0);
    assert_int_equal(wh_hub_rate_came(rate, 7, wh_mono_add(now, 5000000)), 0);
    assert_int_not_equal(wh_hub_rate_came(rate, 7, wh_mono_add(now, 5000000)), 0);
    now = wh_mono_add(now, 5000000);
    for (int i = 0; i < 60000; i++) { /* ten a second, for 100 minutes */
        now = wh_mono_add(now, 100000);
        came += wh_hub_rate_came(rate, 7, now) == 0;
    }
    assert_in_range(came, 1199, 1201);
    /* Everybody at once, as after the hub's own restart; who stormed is still known. */
    for (int i = 8; i < 1008; i++) {
        assert_int_equal(wh_hub_rate_came(rate, i, now), 0);
    }
    assert_int_not_equal(wh_hub_rate_came(rate, 7, now), 0);
    rand.fail_after = 0;
    assert_null(wh_hub_rate_make(p, &rand.rnd, WH_HUB_RATE_CAME(1)));
}

/* ---- measure ---- */

#define NONCE "00112233445566778899aabbccddeeff"

static void test_pace(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, NONCE, NONCE);
    wh_mono_t now = {1000000};

    (void)state;
    for (int i = 0; i < WH_HUB_CONN_BURST; i++) {
        assert_int_equal(wh_hub_conn_pace(conn, 100, 1, now), 1);
    }
    assert_int_equal(wh_hub_conn_pace(conn, 100, 1, now), 0);
    assert_int_equal(wh_hub_conn_pace(conn, 10, 0, now), 0);    /* a small piece counts */
    assert_int_equal(wh_hub_conn_pace(conn, 16384, 0, now), 1); /* a large one does not */
    assert_false(wh_hub_conn_rested(conn, now));
    assert_true(wh_hub_conn_rested(conn, wh_mono_add(now, 200000)));
    wh_hub_conn_free(conn);
}

static void test_flood(void **state)
{
    wh_hub_conn_t *conn = wh_hub_conn_make(1, 7, NONCE, NONCE);

    (void)state;
    for (int i = 0; i < 1000; i++) { /* an agent's ping every second and our own now and then */
        conn->odd = 2;
        assert_false(wh_hub_conn_flood(conn, 0));
    }
    for (int i = 1; i < WH_HUB_CONN_STRIKES; i++) {
        conn->odd = WH_HUB_CONN_ODD_MAX;
        assert_false(wh_hub_conn_flood(conn, 0));
    }
    assert_true(wh_hub_conn_flood(conn, 1));
    assert_false(wh_hub_conn_flood(conn, 0)); /* a quiet second wipes all out */
    for (int i = 0; i < 100; i++) {           /* much to read, but messages come out of it */
        conn->heard = 1;
        assert_false(wh_hub_conn_flood(conn, 1));
    }
    wh_hub_conn_free(conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F74 F75 XD8 a token of a worker whose key is still that one", test_token),
        UNIT("F77 XD8 the raw key, where it is allowed", test_key),
        UNIT("wrong credentials are counted by address, in a table of one size", test_rate),
        UNIT("a worker's connections are counted, and nobody else's with them", test_came),
        UNIT("XE16 500 messages a second, 2000 at once", test_pace),
        UNIT("XE7 what is a flood of control frames, and what is not", test_flood),
    };

    return UNIT_RUN(tests);
}
