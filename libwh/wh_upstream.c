#include "libwh/wh_upstream.h"

#include <string.h>
#include <apr_siphash.h>

#include "libwh/wh_sign.h"

apr_interval_time_t wh_upstream_rest(apr_uint32_t failures)
{
    static const int seconds[] = {0, 1, 2, 4, 8, 16, WH_UPSTREAM_REST_MAX_S};
    const apr_uint32_t last = sizeof(seconds) / sizeof(seconds[0]) - 1;

    return apr_time_from_sec(seconds[failures < last ? failures : last]);
}

static int rests(const wh_upstream_state_t *state, apr_time_t now)
{
    /* A clock that was set back must not make anybody rest for long. */
    return state->failures > 0 && state->rests_until > now &&
           state->rests_until <= now + apr_time_from_sec(WH_UPSTREAM_REST_MAX_S);
}

/* Drawn by weight among those that do not rest; -1 when all do. */
static int draw(const wh_route_t *route, const unsigned char *resting, apr_uint32_t turn)
{
    apr_uint32_t total = 0;
    apr_uint32_t at;

    for (int i = 0; i < route->n_upstreams; i++) {
        total += resting[i] ? 0 : (apr_uint32_t)route->upstreams[i].weight;
    }
    if (total == 0) {
        return -1;
    }
    at = turn % total;
    for (int i = 0; i < route->n_upstreams; i++) {
        apr_uint32_t weight = resting[i] ? 0 : (apr_uint32_t)route->upstreams[i].weight;

        if (at < weight) {
            return i;
        }
        at -= weight;
    }
    return -1;
}

int wh_upstream_order(const wh_route_t *route, const wh_upstream_state_t *states, apr_time_t now,
                      apr_uint32_t turn, int stuck, int order[WH_ROUTE_UPSTREAMS_MAX])
{
    /* gcc under ASan does not see the loop fill it */
    unsigned char resting[WH_ROUTE_UPSTREAMS_MAX] = {0};
    int n = route->n_upstreams;
    int filled = 0;
    int first;

    for (int i = 0; i < n; i++) {
        resting[i] = rests(&states[i], now) != 0;
    }
    first = stuck >= 0 && stuck < n && !resting[stuck] ? stuck : draw(route, resting, turn);
    for (int k = 0; first >= 0 && k < n; k++) {
        int i = (first + k) % n;
        if (!resting[i]) {
            order[filled++] = i;
        }
    }
    for (int i = 0; i < n; i++) {
        if (resting[i]) {
            int at = filled++;
            /* By insertion behind those that wake up earlier; at most 16. */
            while (at > 0 && resting[order[at - 1]] &&
                   states[order[at - 1]].rests_until > states[i].rests_until) {
                order[at] = order[at - 1];
                at--;
            }
            order[at] = i;
        }
    }
    return filled;
}

void wh_upstream_tag(const unsigned char key[WH_UPSTREAM_KEY_LEN], const wh_route_t *route, int i,
                     char out[WH_UPSTREAM_TAG_LEN + 1])
{
    unsigned char text[512];
    unsigned char mac[APR_SIPHASH_DSIZE];
    const wh_route_upstream_t *up = &route->upstreams[i];
    size_t app = strlen(route->app_id) + 1; /* its NUL stands between the two */
    size_t address = strlen(up->address);
    size_t n = 0;

    app = app > sizeof(text) / 4 ? sizeof(text) / 4 : app;
    address = address > sizeof(text) / 2 ? sizeof(text) / 2 : address;
    memcpy(text, route->app_id, app);
    n = app;
    memcpy(text + n, up->address, address);
    n += address;
    text[n++] = (unsigned char)(up->port >> 8);
    text[n++] = (unsigned char)up->port;
    apr_siphash24_auth(mac, text, n, key);
    wh_sign_hex_buf(out, mac, sizeof(mac));
}

int wh_upstream_by_tag(const unsigned char key[WH_UPSTREAM_KEY_LEN], const wh_route_t *route,
                       const char *tag)
{
    char own[WH_UPSTREAM_TAG_LEN + 1];

    if (!wh_sign_is_hex(tag, WH_UPSTREAM_TAG_LEN)) {
        return -1;
    }
    for (int i = 0; i < route->n_upstreams; i++) {
        wh_upstream_tag(key, route, i, own);
        if (wh_sign_equal(own, tag, WH_UPSTREAM_TAG_LEN)) {
            return i;
        }
    }
    return -1;
}
