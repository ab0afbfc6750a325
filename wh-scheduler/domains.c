#include "wh-scheduler/domains.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_domain.h"
#include "wh-scheduler/routes.h"

#define BATCH 8 /* short, so that an app's first one waits for few of the others' */
#define LEASE_US apr_time_from_sec(600) /* a look that a crash ended is done again; above a batch */

/* ---- Answers ---- */

/* The app that had it loses it, in the same transaction in which the other one gets it. */
static apr_status_t take_from(wh_core_t *core, apr_pool_t *p, const char *host, const char *rival,
                              apr_time_t now, const char **app_id, wh_err_t *err)
{
    wh_domain_t *holder;
    apr_status_t rv = wh_db_domain_holder(core->dbc, p, host, &holder, err);

    if (rv != APR_SUCCESS) {
        return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    if (strcmp(holder->id, rival) != 0) {
        return wh_err_set(err, 409, "conflict", "The name has come to a third app meanwhile.");
    }
    *app_id = holder->app_id;
    holder->status = WH_DOMAIN_STATUS_DISABLED;
    holder->reason = "Another app has proved that it is its own.";
    holder->next_at = 0;
    holder->updated_at = now;
    return wh_db_domain_found(core->dbc, p, holder, WH_DOMAIN_STATUS_ACTIVE, err);
}

static apr_status_t write_found(wh_core_t *core, apr_pool_t *p, const wh_domain_t *d,
                                wh_domain_status_e from, const char *rival, const char **loser,
                                wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv == APR_SUCCESS && rival != NULL) {
        rv = take_from(core, p, d->host, rival, d->updated_at, loser, err);
    }
    rv = rv == APR_SUCCESS ? wh_db_domain_found(core->dbc, p, d, from, err) : rv;
    if (rv == APR_SUCCESS && d->status != from) {
        /* It is published below; should that fail, the next look makes it good. */
        rv = wh_db_app_republish(core->dbc, p, d->app_id, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

static void say(const wh_domain_t *d, wh_domain_verdict_e verdict, const char *loser)
{
    if (verdict == WH_DOMAIN_PROVED) {
        wh_log(WH_LOG_INFO, NULL, "domain %s of app %s is proved", d->host, d->app_id);
    } else if (verdict == WH_DOMAIN_TAKES) {
        wh_log(WH_LOG_WARN, "WH0497", "domain %s of app %s is proved; app %s loses it", d->host,
               d->app_id, loser);
    } else if (verdict == WH_DOMAIN_FAILED) {
        wh_log(WH_LOG_INFO, NULL, "domain %s of app %s was not proved in time: %s", d->host,
               d->app_id, d->reason);
    }
}

/* The one transaction of the table that gives a name to another app is the winner's; the loser's
 * names stay as they are. */
static apr_status_t judge(wh_core_t *core, apr_pool_t *p, const wh_proof_t *answer, apr_time_t now,
                          wh_err_t *err)
{
    wh_domain_verdict_e verdict;
    wh_domain_status_e from;
    const char *loser = "";
    wh_domain_t *d;
    apr_status_t rv = wh_db_domain_get(core->dbc, p, answer->id, &d, err);

    if (rv != APR_SUCCESS) {
        return rv == APR_NOTFOUND ? APR_SUCCESS : rv; /* removed meanwhile */
    }
    from = d->status;
    if (from != WH_DOMAIN_STATUS_PENDING && from != WH_DOMAIN_STATUS_ACTIVE) {
        return APR_SUCCESS;
    }
    verdict = wh_domain_judge(p, d, &answer->finding, now);
    rv = write_found(core, p, d, from, verdict == WH_DOMAIN_TAKES ? answer->rival : NULL, &loser,
                     err);
    if (rv == APR_NOTFOUND || wh_err_is(err, "conflict")) {
        wh_err_clear(err); /* somebody was faster: the lease ends, and it is looked at again */
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    say(d, verdict, loser);
    return d->status == WH_DOMAIN_STATUS_ACTIVE && from != d->status
               ? wh_routes_publish_app(core, p, d->app_id, err)
               : APR_SUCCESS;
}

static apr_status_t answers(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;
    wh_proof_t *answer;

    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && (answer = wh_prover_answer(core->prover)) != NULL) {
        apr_pool_clear(scratch);
        rv = wh_core_only(core, judge(core, scratch, answer, now, err), answer->id, err);
        apr_pool_destroy(answer->head.pool);
    }
    apr_pool_destroy(scratch);
    return rv;
}

/* ---- Questions ---- */

static apr_status_t ask(wh_core_t *core, apr_pool_t *p, const wh_domain_t *d, apr_time_t now,
                        wh_err_t *err)
{
    wh_domain_t *holder = NULL;
    wh_proof_t *q;
    apr_status_t rv = wh_db_domain_claim(core->dbc, p, d, now + LEASE_US, err);

    rv = rv == APR_SUCCESS ? wh_db_domain_holder(core->dbc, p, d->host, &holder, err) : rv;
    if (rv == APR_NOTFOUND) {
        rv = APR_SUCCESS;
        holder = NULL;
    }
    if (rv != APR_SUCCESS || (q = wh_prover_question()) == NULL) {
        return rv;
    }
    q->id = apr_pstrdup(q->head.pool, d->id);
    q->app_id = apr_pstrdup(q->head.pool, d->app_id);
    q->host = apr_pstrdup(q->head.pool, d->host);
    q->challenge = apr_pstrdup(q->head.pool, d->challenge);
    if (holder != NULL && strcmp(holder->id, d->id) != 0) {
        q->rival = apr_pstrdup(q->head.pool, holder->id);
        q->rival_challenge = apr_pstrdup(q->head.pool, holder->challenge);
    }
    wh_prover_ask(core->prover, q);
    return APR_SUCCESS;
}

apr_status_t wh_domains_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *due;
    apr_status_t rv = answers(core, p, now, err);

    /* One batch after the other: what is due is shared out among the apps within one. */
    if (rv != APR_SUCCESS || wh_prover_waiting(core->prover) > 0) {
        return rv;
    }
    rv = wh_db_domain_list_due(core->dbc, p, now, BATCH, &due, err);
    for (int i = 0; rv == APR_SUCCESS && i < due->nelts; i++) {
        const wh_domain_t *d = APR_ARRAY_IDX(due, i, wh_domain_t *);

        rv = wh_core_only(core, ask(core, p, d, now, err), d->host, err);
    }
    return rv;
}
