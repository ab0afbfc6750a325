#include "wh-scheduler/claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_lru.h"

/* key: a job or a deployment, and the worker that names it. other: the job's deployment ("" = it
 * may not), the deployment's app. */
typedef struct known_t {
    wh_lru_item_t item; /* first */
    char key[2 * WH_ID_LEN + 2];
    char other[WH_ID_LEN + 1];
    apr_int64_t epoch;
    wh_db_held_e held;
    wh_mono_t until;
} known_t;

struct wh_claims_t {
    wh_lru_t *known;
    apr_int64_t asked;
};

static void drop(void *baton, wh_lru_item_t *item)
{
    (void)baton;
    free(item);
}

wh_claims_t *wh_claims_make(apr_pool_t *p)
{
    wh_claims_t *claims = apr_pcalloc(p, sizeof(*claims));

    claims->known = wh_lru_make(p, WH_CLAIMS_MAX, drop, NULL);
    return claims;
}

static void make_key(char *key, apr_size_t size, apr_int64_t worker, const char *id)
{
    snprintf(key, size, "%s.%" APR_INT64_T_FMT, id, worker);
}

static void forget(wh_claims_t *claims, const char *key)
{
    wh_lru_item_t *item = wh_lru_find(claims->known, key);

    if (item != NULL) {
        wh_lru_remove(claims->known, item);
    }
}

static void ended(void *baton, const char *job, apr_int64_t worker, const char *deployment)
{
    wh_claims_t *claims = baton;
    char key[2 * WH_ID_LEN + 2];

    if (*deployment == '\0' || worker == 0) {
        wh_lru_clear(claims->known);
        return;
    }
    make_key(key, sizeof(key), worker, job);
    forget(claims, key);
    make_key(key, sizeof(key), worker, deployment);
    forget(claims, key);
}

void wh_claims_watch(wh_claims_t *claims, wh_dbc_t *dbc)
{
    wh_lru_clear(claims->known);
    wh_dbc_on_ended(dbc, ended, claims);
}

/* Remembers; without memory it will be asked again. The item or NULL. */
static known_t *remember(wh_claims_t *claims, const char *key, wh_mono_t until)
{
    known_t *known;

    forget(claims, key);
    known = calloc(1, sizeof(*known));
    if (known != NULL) {
        apr_cpystrn(known->key, key, sizeof(known->key));
        known->item.key = known->key;
        known->until = until;
        wh_lru_add(claims->known, &known->item);
    }
    return known;
}

static known_t *find(wh_claims_t *claims, const char *key, wh_mono_t now)
{
    known_t *known = (known_t *)wh_lru_find(claims->known, key);

    return known != NULL && !wh_mono_reached(now, known->until) ? known : NULL;
}

apr_status_t wh_claims_job(wh_claims_t *claims, wh_dbc_t *dbc, apr_pool_t *p,
                           const wh_db_claim_t *claim, wh_mono_t now, const char **deployment,
                           wh_err_t *err)
{
    wh_db_job_scope_t *scope = NULL;
    char key[2 * WH_ID_LEN + 2];
    known_t *known;
    apr_status_t rv;

    make_key(key, sizeof(key), claim->worker_id, claim->job_id);
    known = find(claims, key, now);
    if (known == NULL || known->epoch != claim->epoch) {
        claims->asked++;
        rv = wh_db_job_check_processing(dbc, p, claim, &scope, err);
        if (rv != APR_SUCCESS && rv != APR_NOTFOUND) {
            return rv;
        }
        known = remember(claims, key,
                         wh_mono_add(now, scope ? WH_CLAIMS_TRUST_US : WH_CLAIMS_REFUSAL_US));
        if (known == NULL) {
            return wh_err_set(err, 500, "internal", "out of memory");
        }
        known->epoch = claim->epoch;
        apr_cpystrn(known->other, scope != NULL ? scope->deployment_id : "", sizeof(known->other));
    }
    *deployment = known->other;
    return known->other[0] != '\0' ? APR_SUCCESS : APR_NOTFOUND;
}

apr_status_t wh_claims_app(wh_claims_t *claims, wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker,
                           const char *app, const char *deployment, wh_mono_t now,
                           wh_db_held_e *held, wh_err_t *err)
{
    char key[2 * WH_ID_LEN + 2];
    known_t *known;
    apr_status_t rv;

    make_key(key, sizeof(key), worker, deployment);
    known = find(claims, key, now);
    if (known != NULL && strcmp(known->other, app) == 0) {
        *held = known->held;
        return APR_SUCCESS;
    }
    claims->asked++;
    rv = wh_db_instance_held(dbc, p, worker, app, deployment, held, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    known = remember(
        claims, key,
        wh_mono_add(now, *held == WH_DB_HELD_LIVE ? WH_CLAIMS_TRUST_US : WH_CLAIMS_REFUSAL_US));
    if (known != NULL) {
        known->held = *held;
        apr_cpystrn(known->other, app, sizeof(known->other));
    }
    return APR_SUCCESS;
}

apr_int64_t wh_claims_asked(const wh_claims_t *claims)
{
    return claims->asked;
}
