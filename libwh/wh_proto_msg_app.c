/* wh_proto_msg_app: app_status, app_stats, violation: what runs, and how. */
#include <string.h>

#include "libwh/wh_proto_msg_int.h"
#include "libwh/wh_seq.h"

json_t *wh_proto_msg_app_status_encode(const wh_msg_app_status_t *m)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "app", m->app, "deployment", m->deployment,
                     "container", m->container, "state", wh_model_observed_text(m->state), "reason",
                     m->reason, "restarts", (json_int_t)m->restarts);
}

static apr_status_t app_status(const wh_json_at_t *at, wh_msg_app_status_t *m, wh_err_t *err)
{
    wh_proto_msg_int_where_t where = {0};
    const char *state = NULL;

    m->restarts = 0;
    TRY(wh_proto_msg_int_where(at, &where, err));
    m->app = where.app;
    m->deployment = where.deployment;
    m->container = where.container;
    TRY(wh_json_str(at, "state", WH_JSON_REQ(1, 32), &state, err));
    if (!wh_model_observed_of(state, &m->state))
        return wh_proto_msg_int_refuse(at, "state", err, "this is no state");
    TRY(wh_proto_msg_int_text(at, "reason", WH_MSG_TEXT_MAX, &m->reason, err));
    return wh_json_int(at, "restarts", WH_JSON_OPT(0, WH_SEQ_MAX), &m->restarts, err);
}

apr_status_t wh_proto_msg_app_status_decode(apr_pool_t *p, json_t *payload, wh_msg_app_status_t *m,
                                            wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(app_status(&at, m, err), err);
}

json_t *wh_proto_msg_app_stats_encode(const wh_msg_app_stats_t *m)
{
    json_t *apps = json_array();
    int i;

    for (i = 0; m->apps && apps && i < m->apps->nelts; i++) {
        const wh_msg_app_use_t *u = &APR_ARRAY_IDX(m->apps, i, wh_msg_app_use_t);
        (void)json_array_append_new(
            apps,
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "app", u->app, "deployment",
                      u->deployment, "cpu_millis", (json_int_t)u->cpu_millis, "memory_bytes",
                      (json_int_t)u->memory_bytes, "memory_limit_bytes",
                      (json_int_t)u->memory_limit_bytes, "net_rx_bytes",
                      (json_int_t)u->net_rx_bytes, "net_tx_bytes", (json_int_t)u->net_tx_bytes,
                      "disk_read_bytes", (json_int_t)u->disk_read_bytes, "disk_write_bytes",
                      (json_int_t)u->disk_write_bytes));
    }
    return json_pack("{s:o}", "apps", apps);
}

static apr_status_t use_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    wh_msg_app_use_t *u = element;
    const struct {
        const char *key;
        apr_int64_t *to, max;
    } numbers[] = {{"cpu_millis", &u->cpu_millis, WH_MSG_CPU_MAX},
                   {"memory_bytes", &u->memory_bytes, WH_MSG_MEMORY_MAX},
                   {"memory_limit_bytes", &u->memory_limit_bytes, WH_MSG_MEMORY_MAX},
                   {"net_rx_bytes", &u->net_rx_bytes, WH_SEQ_MAX},
                   {"net_tx_bytes", &u->net_tx_bytes, WH_SEQ_MAX},
                   {"disk_read_bytes", &u->disk_read_bytes, WH_SEQ_MAX},
                   {"disk_write_bytes", &u->disk_write_bytes, WH_SEQ_MAX}};
    size_t i;

    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "bad_payload", "an app is an object");
    TRY(wh_proto_msg_int_id(at, "app", &u->app, err));
    TRY(wh_proto_msg_int_id(at, "deployment", &u->deployment, err));
    for (i = 0; i < WH_ARRAY_LEN(numbers); i++)
        TRY(wh_json_int(at, numbers[i].key, WH_JSON_REQ(0, numbers[i].max), numbers[i].to, err));
    return APR_SUCCESS;
}

apr_status_t wh_proto_msg_app_stats_decode(apr_pool_t *p, json_t *payload, wh_msg_app_stats_t *m,
                                           wh_err_t *err)
{
    static const wh_proto_msg_int_array_t apps = {
        .key = "apps", .max = WH_MSG_APPS_MAX, .size = sizeof(wh_msg_app_use_t), .item = use_item};
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    if (!wh_json_has(&at, "apps"))
        return wh_proto_msg_int_refuse(&at, "apps", err, "a list of apps is wanted");
    return wh_proto_msg_int_bad(wh_proto_msg_int_array(p, &at, &apps, &m->apps, err), err);
}

json_t *wh_proto_msg_violation_encode(const wh_msg_violation_t *m)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "app", m->app, "deployment", m->deployment,
                     "container", m->container, "rule", wh_model_rule_text(m->rule), "detail",
                     m->detail);
}

static apr_status_t violation(const wh_json_at_t *at, wh_msg_violation_t *m, wh_err_t *err)
{
    wh_proto_msg_int_where_t where = {0};
    const char *rule = NULL;

    TRY(wh_proto_msg_int_where(at, &where, err));
    m->app = where.app;
    m->deployment = where.deployment;
    m->container = where.container;
    TRY(wh_json_str(at, "rule", WH_JSON_REQ(1, 32), &rule, err));
    if (!wh_model_rule_of(rule, &m->rule))
        return wh_proto_msg_int_refuse(at, "rule", err, "this is no rule");
    return wh_proto_msg_int_text(at, "detail", WH_MSG_TEXT_MAX, &m->detail, err);
}

apr_status_t wh_proto_msg_violation_decode(apr_pool_t *p, json_t *payload, wh_msg_violation_t *m,
                                           wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(violation(&at, m, err), err);
}
