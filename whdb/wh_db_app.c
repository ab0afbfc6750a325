#include "whdb/wh_db_app.h"

#include <string.h>

#include "whdb/wh_db_alert.h"
#include "whdb/wh_dbc_priv.h"

static wh_app_t *app_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_app_t *a = apr_pcalloc(p, sizeof(*a));
    wh_row_t r = wh_dbc_row(rows, i);

    a->id = wh_dbc_text(&r);
    a->slug = wh_dbc_text(&r);
    a->name = wh_dbc_text(&r);
    (void)wh_model_kind_of(wh_dbc_text(&r), &a->kind);
    a->repo_url = wh_dbc_text(&r);
    a->repo_branch = wh_dbc_text(&r);
    a->repo_root = wh_dbc_text(&r);
    a->image = wh_dbc_text(&r);
    a->build_command = wh_dbc_text(&r);
    a->build_dockerfile = wh_dbc_text(&r);
    a->build_output = wh_dbc_text(&r);
    a->recipe.preset = wh_dbc_text(&r);
    a->recipe.install = wh_dbc_text(&r);
    a->recipe.start = wh_dbc_text(&r);
    a->recipe.pre_deploy = wh_dbc_text(&r);
    a->recipe.image = wh_dbc_text(&r);
    a->recipe.timeout_s = wh_dbc_int(&r);
    a->recipe.memory_bytes = wh_dbc_int(&r);
    a->recipe.submodules = (int)wh_dbc_int(&r);
    a->recipe.lfs = (int)wh_dbc_int(&r);
    a->run_port = wh_dbc_int(&r);
    a->run_health_path = wh_dbc_text(&r);
    a->run_replicas = wh_dbc_int(&r);
    a->run_cpu_millis = wh_dbc_int(&r);
    a->run_memory_bytes = wh_dbc_int(&r);
    a->run_pids = wh_dbc_int(&r);
    a->place_worker = wh_dbc_text(&r);
    a->place_zone = wh_dbc_text(&r);
    a->place_labels = wh_dbc_text(&r);
    a->spa = (int)wh_dbc_int(&r);
    a->serve.clean_urls = (int)wh_dbc_int(&r);
    a->serve.sticky = (int)wh_dbc_int(&r);
    a->serve.maintenance = (int)wh_dbc_int(&r);
    a->serve.timeout_s = wh_dbc_int(&r);
    a->serve.hold_s = wh_dbc_int(&r);
    a->serve.grace_s = wh_dbc_int(&r);
    a->serve.previous_s = wh_dbc_int(&r);
    a->preview_max = wh_dbc_int(&r);
    a->preview_ttl_s = wh_dbc_int(&r);
    (void)wh_model_sync_kind_of(wh_dbc_text(&r), &a->sync_kind);
    a->sync_every_s = wh_dbc_int(&r);
    (void)wh_model_desired_of(wh_dbc_text(&r), &a->desired);
    (void)wh_model_observed_of(wh_dbc_text(&r), &a->observed);
    a->reason = wh_dbc_text(&r);
    a->version = wh_dbc_int(&r);
    a->created_at = wh_dbc_int(&r);
    a->updated_at = wh_dbc_int(&r);
    a->deleted_at = wh_dbc_int(&r);
    return a;
}

static apr_array_header_t *app_array(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n, sizeof(wh_app_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_app_t *) = app_at(p, rows, i);
    }
    return list;
}

static const char *labels_of(const wh_app_t *a)
{
    return a->place_labels == NULL || *a->place_labels == '\0' ? "{}" : a->place_labels;
}

#define RECIPE_ARGS(a)                                                                             \
    WH_S(a->recipe.preset), WH_S(a->recipe.install), WH_S(a->recipe.start),                        \
        WH_S(a->recipe.pre_deploy), WH_S(a->recipe.image), WH_I(a->recipe.timeout_s),              \
        WH_I(a->recipe.memory_bytes), WH_I(a->recipe.submodules != 0),                             \
        WH_I(a->recipe.lfs != 0)

#define SERVE_ARGS(a)                                                                              \
    WH_I(a->serve.clean_urls != 0), WH_I(a->serve.sticky != 0), WH_I(a->serve.maintenance != 0),   \
        WH_I(a->serve.timeout_s), WH_I(a->serve.hold_s), WH_I(a->serve.grace_s),                   \
        WH_I(a->serve.previous_s), WH_I(a->preview_max), WH_I(a->preview_ttl_s),              \
        WH_S(wh_model_sync_kind_text(a->sync_kind)), WH_I(a->sync_every_s)

apr_status_t wh_db_app_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_app_t *a, wh_err_t *err)
{
    return wh_dbc_query(
        dbc, p, WH_SQL_app_insert,
        WH_ARGS(WH_S(a->id), WH_S(a->slug), WH_S(a->name), WH_S(wh_model_kind_text(a->kind)),
                WH_S(a->repo_url), WH_S(a->repo_branch), WH_S(a->repo_root), WH_S(a->image),
                WH_S(a->build_command), WH_S(a->build_dockerfile), WH_S(a->build_output),
                RECIPE_ARGS(a), WH_I(a->run_port), WH_S(a->run_health_path),
                WH_I(a->run_replicas), WH_I(a->run_cpu_millis),
                WH_I(a->run_memory_bytes), WH_I(a->run_pids), WH_S(a->place_worker),
                WH_S(a->place_zone), WH_S(labels_of(a)), WH_I(a->spa != 0), SERVE_ARGS(a),
                WH_S(wh_model_desired_text(a->desired)), WH_S(wh_model_observed_text(a->observed)),
                WH_I(a->version), WH_I(a->created_at), WH_I(a->updated_at)),
        NULL, err);
}

apr_status_t wh_db_app_by_slug(wh_dbc_t *dbc, apr_pool_t *p, const char *slug, wh_app_t **out,
                               wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_app_by_slug, WH_ARGS(WH_S(slug)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = app_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_app_by_id(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_app_t **out,
                             wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_app_by_id, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = app_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_app_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                            apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_app_list, WH_ARGS(WH_S(after), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = app_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_app_update(wh_dbc_t *dbc, apr_pool_t *p, wh_app_t *a, apr_time_t now,
                              wh_err_t *err)
{
    apr_status_t rv = wh_dbc_cas(
        dbc, p, WH_SQL_app_update,
        WH_ARGS(WH_S(a->name), WH_S(a->repo_url), WH_S(a->repo_branch), WH_S(a->repo_root),
                WH_S(a->image), WH_S(a->build_command), WH_S(a->build_dockerfile),
                WH_S(a->build_output), RECIPE_ARGS(a), WH_I(a->run_port), WH_S(a->run_health_path),
                WH_I(a->run_replicas),
                WH_I(a->run_cpu_millis), WH_I(a->run_memory_bytes), WH_I(a->run_pids),
                WH_S(a->place_worker), WH_S(a->place_zone), WH_S(labels_of(a)), WH_I(a->spa != 0),
                SERVE_ARGS(a), WH_S(wh_model_desired_text(a->desired)), WH_I(now), WH_S(a->id),
                WH_I(a->version)),
        err);

    if (rv == APR_SUCCESS) {
        a->version++;
        a->updated_at = now;
    }
    return wh_dbc_then_moved(dbc, rv, err);
}

apr_status_t wh_db_app_mark_deleted(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                    apr_int64_t version, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_then_moved(dbc,
                             wh_dbc_cas(dbc, p, WH_SQL_app_mark_deleted,
                                        WH_ARGS(WH_I(now), WH_I(now), WH_S(id), WH_I(version)),
                                        err),
                             err);
}

apr_status_t wh_db_app_list_deleted(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                    apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_app_list_deleted, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = app_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_app_list_stopped(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                    wh_err_t *err)
{
    wh_rows_t rows;
    apr_array_header_t *ids;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_app_list_stopped, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    ids = apr_array_make(p, rows.n, sizeof(const char *));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);

        APR_ARRAY_PUSH(ids, const char *) = wh_dbc_text(&r);
    }
    *out = ids;
    return APR_SUCCESS;
}

/* F165: a crash loop is told with the change itself; it is over when the app runs, or was stopped
 * by somebody (not when its worker is gone: then nobody knows). */
static apr_status_t crashes(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_observed_e observed,
                            const char *reason, apr_time_t now, wh_err_t *err)
{
    wh_db_alert_event_t event = {.kind = WH_ALERT_CRASHLOOP,
                                 .app_id = id,
                                 .what = "",
                                 .title = wh_alert_title(WH_ALERT_CRASHLOOP),
                                 .message = reason,
                                 .now = now};

    if (observed == WH_OBSERVED_CRASHLOOP) {
        return wh_db_alert_happened(dbc, p, &event, err);
    }
    if (observed == WH_OBSERVED_RUNNING ||
        (observed == WH_OBSERVED_STOPPED && strncmp(reason, "worker_", 7) != 0)) {
        return wh_db_alert_over(dbc, p, &event, err);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_app_set_observed(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                    wh_observed_e observed, const char *reason, apr_time_t now,
                                    wh_err_t *err)
{
    const char *text = wh_model_observed_text(observed);
    int own, changed = 0;
    apr_status_t rv = wh_dbc_join(dbc, p, &own, err);

    rv = rv == APR_SUCCESS
             ? wh_dbc_query(dbc, p, WH_SQL_app_observed,
                            WH_ARGS(WH_S(text), WH_S(reason), WH_I(now), WH_S(id), WH_S(text),
                                    WH_S(reason)),
                            &changed, err)
             : rv;
    rv = rv == APR_SUCCESS && changed > 0 ? crashes(dbc, p, id, observed, reason, now, err) : rv;
    return wh_dbc_leave(dbc, own, rv, err);
}

apr_status_t wh_db_app_list_republish(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                      apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_app_list_republish, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_republish_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_republish_t *one = apr_array_push(*out);

        one->app_id = wh_dbc_text(&r);
        one->seen = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_app_republished(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_republish_t *one,
                                   wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_app_republished, WH_ARGS(WH_S(one->app_id), WH_I(one->seen)),
                        NULL, err);
}

apr_status_t wh_db_app_republish(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_err_t *err)
{
    return wh_dbc_then_moved(
        dbc, wh_dbc_query(dbc, p, WH_SQL_app_republish, WH_ARGS(WH_S(id)), NULL, err), err);
}
