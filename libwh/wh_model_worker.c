/* wh_model_worker: workers as JSON, their registration, their labels and addresses. */
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_address.h"
#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

#define MEMORY_MAX (APR_INT64_C(65536) << 30)
#define LABELS_MAX 32
#define LABEL_VALUE_MAX 255

json_t *wh_model_worker_json(apr_pool_t *p, const wh_worker_t *w)
{
    (void)p;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
        " s:o, s:b, s:b, s:o, s:o, s:o, s:o}",
        "id", w->public_id, "name", w->name, "status", wh_model_worker_status_text(w->status),
        "admin_state", wh_model_worker_admin_text(w->admin_state), "address", w->address, "zone",
        w->zone, "labels", wh_model_int_object(w->labels), "engine", wh_model_int_text(w->engine),
        "version", w->version, "cpu_millis", (json_int_t)w->cpu_millis, "memory_bytes",
        (json_int_t)w->memory_bytes, "used_cpu_millis", (json_int_t)w->used_cpu,
        "used_memory_bytes", (json_int_t)w->used_memory, "max_jobs", (json_int_t)w->max_jobs,
        "jobs", (json_int_t)w->jobs, "apps_running", (json_int_t)w->apps, "disk_free_bytes",
        (json_int_t)w->disk_free_bytes, "refuses", wh_model_int_text(w->refuses), "revoked",
        w->revoked_at > 0, "rotating", w->rotate_at > 0, "draining_since",
        wh_model_int_time(w->drain_at), "last_heartbeat_at",
        wh_model_int_time(w->last_heartbeat_at), "created_at", wh_model_int_time(w->created_at),
        "updated_at", wh_model_int_time(w->updated_at));
}

static int word_ok(const char *s, size_t max)
{
    size_t n = strlen(s);

    return n >= 1 && n <= max &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

int wh_model_address_ok(const char *address)
{
    return wh_address_of(address) != WH_ADDRESS_BAD;
}

int wh_model_worker_name_ok(const char *name)
{
    /* "ws" is a path of the API, and a name in the form of an id could be taken for one. */
    return word_ok(name, WH_WORKER_NAME_MAX) && apr_isalnum(name[0]) && !wh_id_ok(name) &&
           strcmp(name, "ws") != 0;
}

apr_status_t wh_model_labels_decode(apr_pool_t *p, json_t *labels, const char **text,
                                    wh_err_t *err)
{
    const char *key;
    json_t *value;

    if (!labels || json_is_null(labels)) {
        *text = "{}";
        return APR_SUCCESS;
    }
    if (!json_is_object(labels) || json_object_size(labels) > LABELS_MAX)
        return wh_err_field(err, "/labels", "invalid_value",
                            "labels are an object with at most %d members", LABELS_MAX);
    json_object_foreach(labels, key, value) {
        if (!word_ok(key, 63))
            return wh_err_field(err, "/labels", "invalid_value",
                                "a label's name has 1 to 63 letters, digits, '.', '_' or '-'");
        if (!json_is_string(value) || json_string_length(value) > LABEL_VALUE_MAX ||
            !wh_text_honest(json_string_value(value), json_string_length(value)))
            return wh_err_field(err, "/labels", "invalid_value",
                                "a label's value is a string of at most %d bytes that hides "
                                "nothing",
                                LABEL_VALUE_MAX);
    }
    *text = wh_json_text(p, labels, NULL);
    return *text ? APR_SUCCESS : wh_err_set(err, 500, "internal", "out of memory");
}

apr_status_t wh_model_worker_register_decode(apr_pool_t *p, json_t *body,
                                             wh_worker_register_t *out, wh_err_t *err)
{
    static const char *const names[] = {"name",    "api_key", "cpu_millis", "memory_bytes",
                                        "address", "labels",  "zone",       "version"};
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(body)));
    apr_status_t rv;

    *out = (wh_worker_register_t){
        .address = "127.0.0.1", .labels = "{}", .zone = "", .version = ""};
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    if ((rv = wh_json_only(&at, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
        (rv = wh_json_str(&at, "name", WH_JSON_REQ(1, 63), &out->name, err)) != APR_SUCCESS ||
        (rv = wh_json_str(&at, "api_key", WH_JSON_REQ(64, 64), &out->api_key, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_int(&at, "cpu_millis", WH_JSON_REQ(1, 1024000), &out->cpu_millis, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_int(&at, "memory_bytes", WH_JSON_REQ(1, MEMORY_MAX),
                          &out->memory_bytes, err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "address", 1, WH_HOST_NAME_MAX, "127.0.0.1", &out->address,
                               err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "zone", 0, 63, "", &out->zone, err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "version", 0, 63, "", &out->version, err)) != APR_SUCCESS ||
        (rv = wh_model_labels_decode(p, json_object_get(body, "labels"), &out->labels, err)) !=
            APR_SUCCESS)
        return rv;
    if (!wh_model_worker_name_ok(out->name))
        return wh_model_int_bad(&at, "name", err, WH_WORKER_NAME_RULE);
    if ((rv = wh_model_int_honest(&at, "zone", out->zone, err)) != APR_SUCCESS ||
        (rv = wh_model_int_honest(&at, "version", out->version, err)) != APR_SUCCESS)
        return rv;
    if (!wh_sign_is_hex(out->api_key, 64))
        return wh_model_int_bad(&at, "api_key", err,
                                "an API key is 64 lower-case hexadecimal digits");
    switch (wh_address_of(out->address)) {
    case WH_ADDRESS_BAD:
        return wh_model_int_bad(&at, "address", err,
                                "an address is an IP address; a name could stand for another later");
    case WH_ADDRESS_REFUSED:
        return wh_model_int_bad(&at, "address", err,
                                "no unspecified, multicast, link-local or reserved address");
    case WH_ADDRESS_HOST:
    case WH_ADDRESS_LOOPBACK:
        break;
    }
    return APR_SUCCESS;
}
