/* wh_model_worker: workers as JSON, their registration, their labels and addresses. */
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_host.h"
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
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o,"
        " s:o}",
        "id", w->public_id, "name", w->name, "status", wh_model_worker_status_text(w->status),
        "admin_state", wh_model_worker_admin_text(w->admin_state), "address", w->address, "zone",
        w->zone, "labels", wh_model_int_object(w->labels), "engine", wh_model_int_text(w->engine),
        "version", w->version, "cpu_millis", (json_int_t)w->cpu_millis, "memory_bytes",
        (json_int_t)w->memory_bytes, "used_cpu_millis", (json_int_t)w->used_cpu,
        "used_memory_bytes", (json_int_t)w->used_memory, "max_jobs", (json_int_t)w->max_jobs,
        "disk_free_bytes", (json_int_t)w->disk_free_bytes, "last_heartbeat_at",
        wh_model_int_time(w->last_heartbeat_at), "created_at", wh_model_int_time(w->created_at),
        "updated_at", wh_model_int_time(w->updated_at));
}

static int word_ok(const char *s, size_t max)
{
    size_t n = strlen(s);

    return n >= 1 && n <= max &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static int v4_ok(const char *s)
{
    int part, dots = 0;
    size_t n;

    for (;; s++) {
        n = strspn(s, "0123456789");
        if (n == 0 || n > 3 || (n > 1 && s[0] == '0'))
            return 0;
        for (part = 0; n > 0; n--)
            part = part * 10 + (*s++ - '0');
        if (part > 255)
            return 0;
        if (*s == '\0')
            return dots == 3;
        if (*s != '.' || ++dots > 3)
            return 0;
    }
}

/* Groups of at most four hex digits, eight of them, or fewer with one "::". */
static int v6_ok(const char *s)
{
    int groups = 0, gap = 0;

    if (s[0] == ':' && s[1] != ':')
        return 0;
    while (*s) {
        size_t n = strspn(s, "0123456789abcdefABCDEF");
        if (n > 4)
            return 0;
        if (n > 0 && ++groups > 8)
            return 0;
        s += n;
        if (*s == '\0')
            break;
        if (*s != ':')
            return 0;
        s++;
        if (*s == ':') {
            if (gap++)
                return 0;
            s++;
        } else if (*s == '\0') {
            return 0;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

int wh_model_address_ok(const char *address)
{
    size_t n = strlen(address);

    if (n == 0 || n > WH_HOST_NAME_MAX)
        return 0;
    if (strchr(address, ':'))
        return v6_ok(address);
    return v4_ok(address) || wh_host_domain_ok(address);
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
            !wh_text_plain(json_string_value(value), json_string_length(value)))
            return wh_err_field(err, "/labels", "invalid_value",
                                "a label's value is a string of at most %d bytes",
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
    if (!word_ok(out->name, 63) || !apr_isalnum(out->name[0]))
        return wh_model_int_bad(&at, "name", err,
                                "a worker's name has 1 to 63 letters, digits, '.', '_' or '-' "
                                "and begins with a letter or digit");
    if (!wh_sign_is_hex(out->api_key, 64))
        return wh_model_int_bad(&at, "api_key", err,
                                "an API key is 64 lower-case hexadecimal digits");
    if (!wh_model_address_ok(out->address))
        return wh_model_int_bad(&at, "address", err, "an address is an IP address or a DNS name");
    return APR_SUCCESS;
}
