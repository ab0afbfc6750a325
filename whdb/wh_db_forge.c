#include "whdb/wh_db_forge.h"
#include "whdb/wh_dbc_priv.h"

wh_secret_for_t wh_db_forge_for(const char *const *hook_id)
{
    return (wh_secret_for_t){.purpose = "wisehost-forge-v1", .names = hook_id, .n = 1};
}

static wh_db_forge_t forge_at(const wh_rows_t *rows, int i)
{
    wh_row_t r = wh_dbc_row(rows, i);
    wh_db_forge_t f;

    f.hook_id = wh_dbc_text(&r);
    f.provider = wh_dbc_text(&r);
    f.secret_n = wh_dbc_int(&r);
    f.deleted_at = wh_dbc_int(&r);
    f.app_id = wh_dbc_text(&r);
    f.slug = wh_dbc_text(&r);
    f.api = wh_dbc_text(&r);
    f.repository = wh_dbc_text(&r);
    f.url = wh_dbc_text(&r);
    f.key_id = wh_dbc_int(&r);
    f.sealed = wh_dbc_text(&r);
    f.remote_id = wh_dbc_text(&r);
    f.stopped = (int)wh_dbc_int(&r);
    f.error = wh_dbc_text(&r);
    return f;
}

apr_status_t wh_db_forge_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_t *f, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_put,
                        WH_ARGS(WH_S(f->hook_id), WH_S(f->api), WH_S(f->repository), WH_S(f->url),
                                WH_I(f->key_id), WH_S(f->sealed)),
                        NULL, err);
}

apr_status_t wh_db_forge_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, wh_db_forge_t *out,
                             wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_forge_get, WH_ARGS(WH_S(hook_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = forge_at(&rows, 0);
    }
    return rv;
}

apr_status_t wh_db_forge_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t key_id, int limit,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_forge_stale, WH_ARGS(WH_I(key_id), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_forge_t));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_db_forge_t) = forge_at(&rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_forge_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_t *old,
                                apr_int64_t key_id, const char *sealed, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_forge_reseal,
                      WH_ARGS(WH_I(key_id), WH_S(sealed), WH_S(old->hook_id), WH_S(old->sealed)),
                      err);
}

apr_status_t wh_db_forge_remote(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                const char *remote_id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_remote, WH_ARGS(WH_S(remote_id), WH_S(hook_id)), NULL,
                        err);
}

static apr_status_t set_error(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *error,
                              int stopped, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_error,
                        WH_ARGS(WH_S(error), WH_I(stopped), WH_S(hook_id)), NULL, err);
}

static apr_status_t clear(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_outbox_clear, WH_ARGS(WH_S(hook_id)), NULL, err);
}

apr_status_t wh_db_forge_error(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *error,
                               wh_err_t *err)
{
    return set_error(dbc, p, hook_id, error, 0, err);
}

apr_status_t wh_db_forge_stop(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *error,
                              wh_err_t *err)
{
    apr_status_t rv = set_error(dbc, p, hook_id, error, 1, err);

    return rv == APR_SUCCESS ? clear(dbc, p, hook_id, err) : rv;
}

apr_status_t wh_db_forge_remove(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, wh_err_t *err)
{
    apr_status_t rv = clear(dbc, p, hook_id, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_query(dbc, p, WH_SQL_forge_requests_remove, WH_ARGS(WH_S(hook_id)), NULL, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_query(dbc, p, WH_SQL_forge_remove, WH_ARGS(WH_S(hook_id)), NULL, err);
    }
    return rv;
}

/* ---- requests ---- */

apr_status_t wh_db_forge_request(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_request_t *r,
                                 wh_err_t *err)
{
    int n = 0;
    apr_status_t rv = wh_dbc_query(
        dbc, p, WH_SQL_forge_request_put,
        WH_ARGS(WH_S(r->environment), WH_S(r->number), WH_I(r->closed), WH_S(r->hook_id)), &n, err);

    return rv == APR_SUCCESS && n > 0
               ? wh_db_forge_note(dbc, p, r->hook_id, WH_FORGE_SAY_COMMENT, r->environment, err)
               : rv;
}

apr_status_t wh_db_forge_request_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                     const char *environment, wh_db_forge_request_t *out,
                                     wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_forge_request_get,
                                        WH_ARGS(WH_S(hook_id), WH_S(environment)), &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        out->hook_id = hook_id;
        out->environment = environment;
        out->number = wh_dbc_text(&r);
        out->closed = (int)wh_dbc_int(&r);
        out->comment_id = wh_dbc_text(&r);
    }
    return rv;
}

apr_status_t wh_db_forge_request_comment(wh_dbc_t *dbc, apr_pool_t *p,
                                         const wh_db_forge_request_t *r, const char *comment_id,
                                         wh_err_t *err)
{
    return wh_dbc_query(
        dbc, p, WH_SQL_forge_request_comment,
        WH_ARGS(WH_S(comment_id), WH_S(r->hook_id), WH_S(r->environment), WH_S(r->number)), NULL,
        err);
}

apr_status_t wh_db_forge_request_over(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_request_t *r,
                                      wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_request_remove,
                        WH_ARGS(WH_S(r->hook_id), WH_S(r->environment)), NULL, err);
}

/* ---- the outbox ---- */

apr_status_t wh_db_forge_note_deployment(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                         wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_note_deployment,
                        WH_ARGS(WH_S(deployment_id), WH_S(deployment_id)), NULL, err);
}

apr_status_t wh_db_forge_note(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *kind,
                              const char *subject, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_note_hook,
                        WH_ARGS(WH_S(kind), WH_S(subject), WH_S(hook_id)), NULL, err);
}

apr_status_t wh_db_forge_note_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_note_app, WH_ARGS(WH_S(app_id)), NULL, err);
}

apr_status_t wh_db_forge_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                             apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_forge_outbox_due, WH_ARGS(WH_I(now), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_forge_say_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_forge_say_t *say = &APR_ARRAY_PUSH(*out, wh_db_forge_say_t);

        say->hook_id = wh_dbc_text(&r);
        say->kind = wh_dbc_text(&r);
        say->subject = wh_dbc_text(&r);
        say->version = wh_dbc_int(&r);
        say->attempts = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_forge_later(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_say_t *say,
                               apr_time_t next_at, int failed, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_forge_outbox_later,
                        WH_ARGS(WH_I(next_at), WH_I(failed), WH_S(say->hook_id), WH_S(say->kind),
                                WH_S(say->subject)),
                        NULL, err);
}

apr_status_t wh_db_forge_said(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_forge_say_t *say,
                              wh_err_t *err)
{
    int n = 0;
    apr_status_t rv = wh_dbc_query(
        dbc, p, WH_SQL_forge_outbox_done,
        WH_ARGS(WH_S(say->hook_id), WH_S(say->kind), WH_S(say->subject), WH_I(say->version)), &n,
        err);

    if (rv == APR_SUCCESS && n == 0) {
        rv = wh_dbc_query(dbc, p, WH_SQL_forge_outbox_again,
                          WH_ARGS(WH_S(say->hook_id), WH_S(say->kind), WH_S(say->subject)), NULL,
                          err);
    }
    return rv;
}
