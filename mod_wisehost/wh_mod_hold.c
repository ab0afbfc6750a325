/*
 * Requests that wait for a switch. The route table says that one is under way (WH_ROUTE_HOLD), or
 * every upstream refused and the route has changed since it was read. A waiting request holds its
 * thread and its unread body, nothing else; so their number is bounded, and half of a child's
 * threads always serve; half of the children, where a child has one thread (prefork).
 */
#include <apr_atomic.h>
#include <apr_strings.h>

#include <ap_mpm.h>

#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_proxy.h"

#define WH_HOLD_LOOK_US (25 * 1000)

static apr_uint32_t waiting; /* in this child */
static apr_uint32_t most;
static int together; /* all children are counted, not this one's threads */

void wh_mod_hold_child_init(server_rec *s)
{
    int n = 0;

    waiting = 0;
    most = (apr_uint32_t)wh_mod_conf_hold_max(s);
    together = ap_mpm_query(AP_MPMQ_MAX_THREADS, &n) == APR_SUCCESS && n <= 1;
    if (together) {
        (void)ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &n);
    }
    if (n > 1 && most > (apr_uint32_t)n / 2) {
        most = (apr_uint32_t)n / 2;
    }
}

/* Asks for a place among those that wait, given back by leave(). The sum over children may let in
 * one too many of two that come at once. */
static int enter(void)
{
    wh_mod_counters_t all;

    if (!together) {
        return apr_atomic_inc32(&waiting) < most;
    }
    wh_mod_counters_read(&all);
    return all.of[WH_COUNT_HELD] < (apr_int64_t)most;
}

static void leave(void)
{
    if (!together) {
        (void)apr_atomic_dec32(&waiting);
    }
}

/* Looks once. WH_HOLD_GO: another route that does not wait; WH_HOLD_OVER: one that does. */
static wh_hold_e look(request_rec *r, apr_pool_t *p, const wh_mod_req_t *req,
                      const wh_route_t **out)
{
    if (wh_mod_route_find_in(r, p, apr_time_now(), req->name, out) != WH_MOD_ROUTE_FOUND) {
        return WH_HOLD_NO;
    }
    if ((*out)->kind == WH_ROUTE_PROXY && ((*out)->flags & WH_ROUTE_HOLD)) {
        return WH_HOLD_OVER;
    }
    return (*out)->generation != req->route->generation ? WH_HOLD_GO : WH_HOLD_NO;
}

static wh_hold_e wait_for_change(request_rec *r, wh_mod_req_t *req, apr_time_t until)
{
    const wh_route_t *route = NULL;
    wh_hold_e what = WH_HOLD_OVER;
    apr_pool_t *p = NULL;

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "waits for a switch of %s", req->route->slug);
    apr_pool_create(&p, r->pool);
    apr_pool_tag(p, "wisehost_hold");
    while (what == WH_HOLD_OVER) {
        apr_time_t left = until - apr_time_now();

        if (left <= 0) {
            apr_pool_destroy(p);
            return WH_HOLD_OVER;
        }
        if (wh_mod_answer_client_gone(r, left < WH_HOLD_LOOK_US ? left : WH_HOLD_LOOK_US)) {
            apr_pool_destroy(p);
            return WH_HOLD_GONE;
        }
        apr_pool_clear(p);
        what = look(r, p, req, &route);
    }
    if (what == WH_HOLD_GO) {
        req->route = route; /* p lives on with r */
    }
    return what;
}

wh_hold_e wh_mod_hold(request_rec *r, wh_mod_req_t *req, apr_time_t until)
{
    const wh_route_t *route = NULL;
    wh_hold_e what;

    if (!(req->route->flags & WH_ROUTE_HOLD)) {
        what = look(r, r->pool, req, &route);
        if (what == WH_HOLD_GO) {
            req->route = route;
        }
        if (what != WH_HOLD_OVER) {
            return what;
        }
    }
    if (!enter()) {
        what = WH_HOLD_FULL;
        wh_mod_count(WH_COUNT_HOLDS_REFUSED);
    } else {
        wh_mod_count(WH_COUNT_HOLDS);
        wh_mod_count(WH_COUNT_HELD);
        what = wait_for_change(r, req, until);
        wh_mod_count_by(WH_COUNT_HELD, -1);
    }
    leave();
    return what;
}
