#include "wh-scheduler/issuers.h"

#include <apr_strings.h>

#include "libwh/wh_backoff.h"
#include "libwh/wh_log.h"
#include "libwh/wh_oidc.h"
#include "whdb/wh_db_issuer.h"

#define EVERY_US apr_time_from_sec(3600)
#define LEASE_US apr_time_from_sec(60) /* both requests, and a crash between them */
#define FIRST_US apr_time_from_sec(5)
#define AT_ONCE 8

typedef struct asked_t {
    const char *issuer;
    apr_int64_t failures;
} asked_t;

static wh_httpout_req_t *request(const asked_t *of, const char *url, wh_httpout_done_fn *done)
{
    wh_httpout_req_t *req = wh_httpout_request(of->issuer, done);
    asked_t *mine;

    if (req != NULL) {
        mine = apr_pcalloc(req->pool, sizeof(*mine));
        mine->issuer = apr_pstrdup(req->pool, of->issuer);
        mine->failures = of->failures;
        req->baton = mine;
        req->url = apr_pstrdup(req->pool, url);
        req->answer_max = WH_OIDC_SET_MAX;
        if (!wh_httpout_header(req, "Accept", "application/json")) {
            apr_pool_destroy(req->pool);
            req = NULL;
        }
    }
    return req;
}

static apr_status_t failed(wh_core_t *core, apr_pool_t *p, const asked_t *of, const char *why,
                           apr_time_t now, wh_err_t *err)
{
    apr_interval_time_t wait =
        wh_backoff_wait(FIRST_US, EVERY_US, (unsigned)of->failures, wh_rand_jitter(core->rand));

    if (of->failures == 0) {
        wh_log(WH_LOG_WARN, "WH0536", "issuer %s: its keys cannot be fetched: %s", of->issuer, why);
    }
    return wh_db_issuer_failed(core->dbc, p, of->issuer, why, now + wait, err);
}

/* NULL when the answer is one to be read, else what is wrong with it. */
static const char *wrong(apr_pool_t *p, const wh_httpout_req_t *answer)
{
    if (answer->status == 0) {
        return answer->err.text;
    }
    if (answer->status != 200) {
        return apr_psprintf(p, "It answers %d.", answer->status);
    }
    return answer->cut ? "Its answer is too long." : NULL;
}

static apr_status_t keys_came(wh_core_t *core, apr_pool_t *p, const wh_httpout_req_t *answer,
                              apr_time_t now, wh_err_t *err)
{
    const asked_t *of = answer->baton;
    const char *why = wrong(p, answer), *keys;
    wh_err_t bad = WH_ERR_INIT;

    if (why == NULL &&
        wh_oidc_keys_read(p, answer->answer, answer->answer_len, &keys, &bad) != APR_SUCCESS) {
        why = bad.text;
    }
    if (why != NULL) {
        return failed(core, p, of, why, now, err);
    }
    wh_log(WH_LOG_DEBUG, NULL, "issuer %s: keys fetched", of->issuer);
    return wh_db_issuer_fetched(core->dbc, p, of->issuer, keys, now, now + EVERY_US, err);
}

static apr_status_t discovery_came(wh_core_t *core, apr_pool_t *p, const wh_httpout_req_t *answer,
                                   apr_time_t now, wh_err_t *err)
{
    const asked_t *of = answer->baton;
    const char *why = wrong(p, answer), *uri;
    wh_httpout_req_t *next = NULL;
    wh_err_t bad = WH_ERR_INIT;

    if (why == NULL && wh_oidc_discovery_read(p, answer->answer, answer->answer_len, of->issuer,
                                              &uri, &bad) != APR_SUCCESS) {
        why = bad.text;
    }
    if (why == NULL && (next = request(of, uri, keys_came)) == NULL) {
        why = "Out of memory.";
    }
    if (why != NULL) {
        return failed(core, p, of, why, now, err);
    }
    wh_httpout_send(core->http, next);
    return APR_SUCCESS;
}

static apr_status_t ask(wh_core_t *core, apr_pool_t *p, const wh_db_issuer_t *due, apr_time_t now,
                        wh_err_t *err)
{
    const asked_t of = {.issuer = due->issuer, .failures = due->failures};
    apr_status_t rv = wh_db_issuer_later(core->dbc, p, due->issuer, now + LEASE_US, err);
    wh_httpout_req_t *req = NULL;

    if (rv == APR_SUCCESS) {
        req = request(&of, apr_pstrcat(p, due->issuer, "/.well-known/openid-configuration", NULL),
                      discovery_came);
    }
    if (req != NULL) {
        wh_httpout_send(core->http, req);
    }
    return rv;
}

apr_status_t wh_issuers_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    int room = wh_httpout_room(core->http);
    apr_array_header_t *due;
    apr_status_t rv =
        wh_db_issuer_list_due(core->dbc, p, now, room < AT_ONCE ? room : AT_ONCE, &due, err);

    for (int i = 0; rv == APR_SUCCESS && i < due->nelts; i++) {
        const wh_db_issuer_t *one = &APR_ARRAY_IDX(due, i, wh_db_issuer_t);

        rv = wh_core_only(core, ask(core, p, one, now, err), one->issuer, err);
    }
    return rv;
}
