/* wh_proto_msg_link: hello, welcome, heartbeat, settings, error. */
#include <string.h>

#include "libwh/wh_proto_msg_int.h"
#include "libwh/wh_seq.h"
#include "libwh/wh_sign.h"

static json_t *labels_json(const char *text)
{
    json_t *labels = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (json_is_object(labels))
        return labels;
    json_decref(labels);
    return json_object();
}

static json_t *containers_json(const apr_array_header_t *containers)
{
    json_t *array = json_array();
    int i;

    for (i = 0; containers && array && i < containers->nelts; i++) {
        const wh_msg_container_t *c = &APR_ARRAY_IDX(containers, i, wh_msg_container_t);
        (void)json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:I, s:s}", "deployment", c->deployment, "container",
                             c->container, "address", c->address, "port", (json_int_t)c->port,
                             "state", wh_model_observed_text(c->state)));
    }
    return array;
}

/* A text that is left out when it is empty: s:o* of json_pack; a new reference or NULL. */
static json_t *said(const char *s)
{
    return s && *s ? json_string(s) : NULL;
}

json_t *wh_proto_msg_hello_encode(const wh_msg_hello_t *m)
{
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:s, s:o*, s:o*, s:I, s:o, s:o, s:o}", "version", m->version,
        "name", m->name, "cpu_millis", (json_int_t)m->cpu_millis, "memory_bytes",
        (json_int_t)m->memory_bytes, "labels", labels_json(m->labels), "engine", m->engine, "zone",
        said(m->zone), "refuses", said(m->refuses), "max_jobs", (json_int_t)m->max_jobs, "running",
        wh_proto_msg_int_refs_json(m->running), "results", wh_proto_msg_int_refs_json(m->results),
        "instances", containers_json(m->instances));
}

static apr_status_t container_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    wh_msg_container_t *c = element;
    const char *state = NULL;

    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "bad_payload", "an instance is an object");
    TRY(wh_proto_msg_int_id(at, "deployment", &c->deployment, err));
    TRY(wh_json_str(at, "container", WH_JSON_REQ(1, 128), &c->container, err));
    TRY(wh_json_str(at, "address", WH_JSON_REQ(1, 253), &c->address, err));
    TRY(wh_json_int(at, "port", WH_JSON_REQ(1, 65535), &c->port, err));
    TRY(wh_json_str(at, "state", WH_JSON_REQ(1, 32), &state, err));
    if (!wh_model_address_ok(c->address))
        return wh_proto_msg_int_refuse(at, "address", err, "this is no address");
    if (!wh_model_observed_of(state, &c->state))
        return wh_proto_msg_int_refuse(at, "state", err, "this is no state");
    return APR_SUCCESS;
}

static apr_status_t hello(apr_pool_t *p, const wh_json_at_t *at, wh_msg_hello_t *m, wh_err_t *err)
{
    static const wh_proto_msg_int_array_t instances = {.key = "instances",
                                                       .max = WH_MSG_INSTANCES_MAX,
                                                       .size = sizeof(wh_msg_container_t),
                                                       .item = container_item};

    TRY(wh_json_str(at, "version", WH_JSON_REQ(0, 63), &m->version, err));
    TRY(wh_json_str(at, "name", WH_JSON_REQ(1, 63), &m->name, err));
    TRY(wh_json_int(at, "cpu_millis", WH_JSON_REQ(0, WH_MSG_CPU_MAX), &m->cpu_millis, err));
    TRY(wh_json_int(at, "memory_bytes", WH_JSON_REQ(0, WH_MSG_MEMORY_MAX), &m->memory_bytes, err));
    TRY(wh_model_labels_decode(p, json_object_get(at->obj, "labels"), &m->labels, err));
    TRY(wh_json_str(at, "engine", WH_JSON_REQ(0, 63), &m->engine, err));
    m->zone = m->refuses = "";
    TRY(wh_json_str(at, "zone", WH_JSON_OPT(0, 63), &m->zone, err));
    TRY(wh_proto_msg_int_text(at, "refuses", WH_MSG_TEXT_MAX, &m->refuses, err));
    TRY(wh_json_int(at, "max_jobs", WH_JSON_REQ(1, WH_MSG_JOBS_MAX), &m->max_jobs, err));
    TRY(wh_proto_msg_int_refs(p, at, "running", &m->running, err));
    TRY(wh_proto_msg_int_refs(p, at, "results", &m->results, err));
    return wh_proto_msg_int_array(p, at, &instances, &m->instances, err);
}

apr_status_t wh_proto_msg_hello_decode(apr_pool_t *p, json_t *payload, wh_msg_hello_t *m,
                                       wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(hello(p, &at, m, err), err);
}

static json_t *desired_json(const apr_array_header_t *list)
{
    json_t *array = json_array();
    int i;

    for (i = 0; list && array && i < list->nelts; i++) {
        const wh_msg_desired_t *d = &APR_ARRAY_IDX(list, i, wh_msg_desired_t);
        (void)json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "deployment", d->deployment,
                                                     "app", d->app, "desired",
                                                     wh_model_desired_text(d->desired)));
    }
    return array;
}

json_t *wh_proto_msg_welcome_encode(const wh_msg_welcome_t *m)
{
    return json_pack("{s:s, s:s, s:{s:I, s:I}, s:o}", "worker", m->worker, "server_version",
                     m->server_version, "settings", "heartbeat_s", (json_int_t)m->heartbeat_s,
                     "stats_s", (json_int_t)m->stats_s, "desired", desired_json(m->desired));
}

static apr_status_t desired_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    wh_msg_desired_t *d = element;
    const char *text = NULL;

    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "bad_payload", "a deployment is an object");
    TRY(wh_proto_msg_int_id(at, "deployment", &d->deployment, err));
    TRY(wh_proto_msg_int_id(at, "app", &d->app, err));
    TRY(wh_json_str(at, "desired", WH_JSON_REQ(1, 32), &text, err));
    if (!wh_model_desired_of(text, &d->desired))
        return wh_proto_msg_int_refuse(at, "desired", err, "running or stopped");
    return APR_SUCCESS;
}

static const wh_proto_msg_int_array_t desired_list = {.key = "desired",
                                                      .max = WH_MSG_DESIRED_MAX,
                                                      .size = sizeof(wh_msg_desired_t),
                                                      .item = desired_item};

static apr_status_t welcome(apr_pool_t *p, const wh_json_at_t *at, wh_msg_welcome_t *m,
                            wh_err_t *err)
{
    wh_json_at_t settings;

    TRY(wh_proto_msg_int_id(at, "worker", &m->worker, err));
    TRY(wh_json_str(at, "server_version", WH_JSON_REQ(0, 63), &m->server_version, err));
    TRY(wh_json_obj(at, "settings", WH_JSON_F_REQUIRED, &settings, err));
    TRY(wh_json_int(&settings, "heartbeat_s", WH_JSON_REQ(1, 300), &m->heartbeat_s, err));
    m->stats_s = WH_MSG_STATS_S;
    TRY(wh_json_int(&settings, "stats_s", WH_JSON_OPT(1, 300), &m->stats_s, err));
    return wh_proto_msg_int_array(p, at, &desired_list, &m->desired, err);
}

apr_status_t wh_proto_msg_welcome_decode(apr_pool_t *p, json_t *payload, wh_msg_welcome_t *m,
                                         wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(welcome(p, &at, m, err), err);
}

json_t *wh_proto_msg_heartbeat_encode(const wh_msg_heartbeat_t *m)
{
    return json_pack("{s:I, s:I, s:I, s:o*, s:o}", "cpu_used_millis",
                     (json_int_t)m->cpu_used_millis, "memory_used_bytes",
                     (json_int_t)m->memory_used_bytes, "disk_free_bytes",
                     (json_int_t)m->disk_free_bytes, "refuses", said(m->refuses), "running",
                     wh_proto_msg_int_refs_json(m->running));
}

static apr_status_t heartbeat(apr_pool_t *p, const wh_json_at_t *at, wh_msg_heartbeat_t *m,
                              wh_err_t *err)
{
    TRY(wh_proto_msg_int_count(at, "cpu_used_millis", &m->cpu_used_millis, err));
    TRY(wh_proto_msg_int_count(at, "memory_used_bytes", &m->memory_used_bytes, err));
    TRY(wh_proto_msg_int_count(at, "disk_free_bytes", &m->disk_free_bytes, err));
    TRY(wh_proto_msg_int_text(at, "refuses", WH_MSG_TEXT_MAX, &m->refuses, err));
    return wh_proto_msg_int_refs(p, at, "running", &m->running, err);
}

apr_status_t wh_proto_msg_heartbeat_decode(apr_pool_t *p, json_t *payload, wh_msg_heartbeat_t *m,
                                           wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(heartbeat(p, &at, m, err), err);
}

json_t *wh_proto_msg_settings_encode(const wh_msg_settings_t *m)
{
    return json_pack("{s:I, s:o*}", "heartbeat_s", (json_int_t)m->heartbeat_s, "desired",
                     m->desired ? desired_json(m->desired) : NULL);
}

static apr_status_t settings(apr_pool_t *p, const wh_json_at_t *at, wh_msg_settings_t *m,
                             wh_err_t *err)
{
    m->desired = NULL;
    TRY(wh_json_int(at, "heartbeat_s", WH_JSON_REQ(1, 300), &m->heartbeat_s, err));
    if (!wh_json_has(at, "desired"))
        return APR_SUCCESS;
    return wh_proto_msg_int_array(p, at, &desired_list, &m->desired, err);
}

apr_status_t wh_proto_msg_settings_decode(apr_pool_t *p, json_t *payload, wh_msg_settings_t *m,
                                          wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(settings(p, &at, m, err), err);
}

json_t *wh_proto_msg_error_encode(const wh_msg_error_t *m)
{
    return json_pack("{s:s, s:s, s:s}", "in_reply_to", m->in_reply_to, "code", m->code, "message",
                     m->message);
}

static apr_status_t error_of(const wh_json_at_t *at, wh_msg_error_t *m, wh_err_t *err)
{
    TRY(wh_json_str(at, "in_reply_to", WH_JSON_REQ(0, 32), &m->in_reply_to, err));
    TRY(wh_json_str(at, "code", WH_JSON_REQ(1, 48), &m->code, err));
    TRY(wh_proto_msg_int_text(at, "message", WH_MSG_TEXT_MAX, &m->message, err));
    if (*m->in_reply_to && !wh_sign_is_hex(m->in_reply_to, 32))
        return wh_proto_msg_int_refuse(at, "in_reply_to", err, "32 hexadecimal digits");
    return APR_SUCCESS;
}

apr_status_t wh_proto_msg_error_decode(apr_pool_t *p, json_t *payload, wh_msg_error_t *m,
                                       wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(error_of(&at, m, err), err);
}
