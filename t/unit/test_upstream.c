#include "t/unit/unit.h"

#include "libwh/wh_upstream.h"

#define NOW apr_time_from_sec(1000)

static wh_route_t three(int a, int b, int c)
{
    wh_route_t route = {.kind = WH_ROUTE_PROXY, .app_id = "01app", .n_upstreams = 3};
    const int weights[] = {a, b, c};

    for (int i = 0; i < 3; i++) {
        route.upstreams[i] = (wh_route_upstream_t){"10.0.0.1", 8000 + i, weights[i]};
    }
    return route;
}

static void test_rest_grows(void **state)
{
    static const int seconds[] = {0, 1, 2, 4, 8, 16, 30, 30};

    (void)state;
    for (apr_uint32_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        assert_int_equal(wh_upstream_rest(i), apr_time_from_sec(seconds[i]));
    }
    assert_int_equal(wh_upstream_rest(4000000000u), apr_time_from_sec(30));
}

static void test_weights(void **state)
{
    wh_route_t route = three(5, 1, 2);
    wh_upstream_state_t states[3] = {{0, 0}};
    int order[WH_ROUTE_UPSTREAMS_MAX];
    int first[3] = {0, 0, 0};

    (void)state;
    for (apr_uint32_t turn = 0; turn < 800; turn++) {
        assert_int_equal(wh_upstream_order(&route, states, NOW, turn, -1, order), 3);
        first[order[0]]++;
        assert_int_equal(order[1], (order[0] + 1) % 3);
        assert_int_equal(order[2], (order[0] + 2) % 3);
    }
    assert_int_equal(first[0], 500);
    assert_int_equal(first[1], 100);
    assert_int_equal(first[2], 200);
    route.n_upstreams = 0;
    assert_int_equal(wh_upstream_order(&route, states, NOW, 7, -1, order), 0);
}

static void test_resting_comes_last(void **state)
{
    wh_route_t route = three(1, 1, 1);
    wh_upstream_state_t states[3] = {{2, NOW + 20}, {0, 0}, {1, NOW + 10}};
    int order[WH_ROUTE_UPSTREAMS_MAX];

    (void)state;
    for (apr_uint32_t turn = 0; turn < 10; turn++) {
        assert_int_equal(wh_upstream_order(&route, states, NOW, turn, 0, order), 3);
        assert_int_equal(order[0], 1);
        assert_int_equal(order[1], 2); /* wakes up before 0 */
        assert_int_equal(order[2], 0);
    }
    /* All rest: all are tried, the one that wakes up first at first. */
    states[1] = (wh_upstream_state_t){9, NOW + 15};
    assert_int_equal(wh_upstream_order(&route, states, NOW, 0, 1, order), 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    assert_int_equal(order[2], 0);
    /* The time is over: as any other. */
    assert_int_equal(wh_upstream_order(&route, states, NOW + 20, 0, 1, order), 3);
    assert_int_equal(order[0], 1);
    /* A clock that went back a year. */
    assert_int_equal(wh_upstream_order(&route, states, NOW / 2, 0, 0, order), 3);
    assert_int_equal(order[0], 0);
}

static void test_stuck(void **state)
{
    wh_route_t route = three(1000, 1, 1);
    wh_upstream_state_t states[3] = {{0, 0}};
    int order[WH_ROUTE_UPSTREAMS_MAX];

    (void)state;
    for (apr_uint32_t turn = 0; turn < 50; turn++) {
        (void)wh_upstream_order(&route, states, NOW, turn, 2, order);
        assert_int_equal(order[0], 2);
        assert_int_equal(order[1], 0);
    }
    states[2] = (wh_upstream_state_t){1, NOW + 1};
    (void)wh_upstream_order(&route, states, NOW, 0, 2, order);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[2], 2);
    (void)wh_upstream_order(&route, states, NOW, 0, 99, order);
    assert_int_equal(order[0], 0);
}

static void test_tags(void **state)
{
    static const unsigned char key[WH_UPSTREAM_KEY_LEN] = "0123456789abcdef";
    static const unsigned char other[WH_UPSTREAM_KEY_LEN] = "0123456789abcdeF";
    wh_route_t route = three(1, 1, 1);
    wh_route_t others = three(1, 1, 1);
    char tag[WH_UPSTREAM_TAG_LEN + 1];
    char same[WH_UPSTREAM_TAG_LEN + 1];

    (void)state;
    for (int i = 0; i < 3; i++) {
        wh_upstream_tag(key, &route, i, tag);
        assert_int_equal(strlen(tag), WH_UPSTREAM_TAG_LEN);
        assert_int_equal(wh_upstream_by_tag(key, &route, tag), i);
        assert_int_equal(wh_upstream_by_tag(other, &route, tag), -1);
    }
    others.app_id = "01other";
    assert_int_equal(wh_upstream_by_tag(key, &others, tag), -1);
    route.n_upstreams = 2; /* the replica went away */
    assert_int_equal(wh_upstream_by_tag(key, &route, tag), -1);
    assert_int_equal(wh_upstream_by_tag(key, &route, ""), -1);
    assert_int_equal(wh_upstream_by_tag(key, &route, "10.0.0.1:8000xxx"), -1);
    tag[3] = (char)(tag[3] == '0' ? '1' : '0');
    assert_int_equal(wh_upstream_by_tag(key, &route, tag), -1);
    /* App and address do not run into each other, and an odd length is no overflow. */
    route.app_id = "01app1";
    route.upstreams[0].address = "0.0.0.1";
    others.app_id = "01app";
    others.upstreams[0].address = "10.0.0.1";
    wh_upstream_tag(key, &route, 0, tag);
    wh_upstream_tag(key, &others, 0, same);
    assert_string_not_equal(tag, same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("rests grow from 1 to 30 s", test_rest_grows),
        UNIT("each as often as its weight says", test_weights),
        UNIT("who rests comes last, and is not left out", test_resting_comes_last),
        UNIT("a visitor stays where he was", test_stuck),
        UNIT("tags tell nothing and cannot be made up", test_tags),
    };

    return UNIT_RUN(tests);
}
