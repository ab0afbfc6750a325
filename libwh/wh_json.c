#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"

static apr_status_t json_free(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

json_t *wh_json_own(apr_pool_t *p, json_t *json)
{
    if (json != NULL)
        apr_pool_cleanup_register(p, json, json_free, apr_pool_cleanup_null);
    return json;
}

/* Depth and number of values by the bytes alone. Only brackets and commas outside of strings count,
 * so a document that is no JSON is measured too, and refused by the parser afterwards. */
static apr_status_t measure(const char *text, size_t n, const wh_json_limits_t *limits,
                            wh_err_t *err)
{
    size_t depth = 0, values = 1;
    int in_string = 0;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
            continue;
        }
        in_string = c == '"';
        depth += c == '[' || c == '{';
        depth -= (c == ']' || c == '}') && depth > 0;
        values += c == '[' || c == '{' || c == ',';
        if (depth > limits->depth)
            return wh_err_set(err, 400, "too_deep", "JSON is nested deeper than %" APR_SIZE_T_FMT,
                              limits->depth);
        if (values > limits->values)
            return wh_err_set(err, 400, "too_many", "JSON has more than %" APR_SIZE_T_FMT " values",
                              limits->values);
    }
    return APR_SUCCESS;
}

static apr_status_t parse_error(const json_error_t *why, wh_err_t *err)
{
    switch (json_error_code(why)) {
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return wh_err_set(err, 400, "nul_character", "JSON text contains a NUL character, line %d",
                          why->line);
    case json_error_duplicate_key:
        return wh_err_set(err, 400, "duplicate_field", "JSON object has a field twice, line %d",
                          why->line);
    case json_error_numeric_overflow:
        return wh_err_set(err, 400, "out_of_range", "JSON number is too large, line %d", why->line);
    default:
        return wh_err_set(err, 400, "bad_json", "not JSON: %s, line %d column %d", why->text,
                          why->line, why->column);
    }
}

apr_status_t wh_json_load(apr_pool_t *p, const char *text, size_t n, const wh_json_limits_t *limits,
                          json_t **out, wh_err_t *err)
{
    static const wh_json_limits_t usual = {
        .bytes = WH_JSON_BYTES_MAX, .depth = WH_JSON_DEPTH_MAX, .values = WH_JSON_VALUES_MAX};
    json_error_t why;
    apr_status_t rv;

    *out = NULL;
    if (limits == NULL)
        limits = &usual;
    if (n > limits->bytes)
        return wh_err_set(err, 413, "body_too_large", "more than %" APR_SIZE_T_FMT " bytes",
                          limits->bytes);
    if (!wh_text_utf8_ok(text, n))
        return wh_err_set(err, 400, "bad_utf8", "JSON is not valid UTF-8");
    rv = measure(text, n, limits, err);
    if (rv != APR_SUCCESS)
        return rv;
    *out = wh_json_own(p, json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why));
    return *out != NULL ? APR_SUCCESS : parse_error(&why, err);
}

apr_status_t wh_json_load_object(apr_pool_t *p, const char *text, size_t n,
                                 const wh_json_limits_t *limits, json_t **out, wh_err_t *err)
{
    apr_status_t rv = wh_json_load(p, text, n, limits, out, err);

    if (rv == APR_SUCCESS && !json_is_object(*out)) {
        *out = NULL;
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    }
    return rv;
}

char *wh_json_text(apr_pool_t *p, const json_t *json, size_t *len)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | WH_JSON_REALS;
    size_t n = json != NULL ? json_dumpb(json, NULL, 0, flags) : 0;
    char *out;

    if (n == 0)
        return NULL;
    out = apr_palloc(p, n + 1);
    if (json_dumpb(json, out, n, flags) != n)
        return NULL;
    out[n] = '\0';
    if (len != NULL)
        *len = n;
    return out;
}

/* The escape of what stands at s in JSON text, or NULL, and how many bytes it replaces. These
 * characters occur in strings only, so no parsing is needed. */
static const char *safe_escape(const char *s, size_t *read)
{
    *read = 1;
    if (*s == '<')
        return "\\u003c";
    if (*s == '>')
        return "\\u003e";
    if (*s == '&')
        return "\\u0026";
    *read = 3;
    if (strncmp(s, "\xe2\x80\xa8", 3) == 0)
        return "\\u2028";
    if (strncmp(s, "\xe2\x80\xa9", 3) == 0)
        return "\\u2029";
    return NULL;
}

json_t *wh_json_thousandths(double value)
{
    double n = value * 1000 + 0.5;

    return n >= 0 && n < 9e15 ? json_real((double)(apr_int64_t)n / 1000) : json_real(value);
}

char *wh_json_text_safe(apr_pool_t *p, const json_t *json, size_t *len)
{
    size_t n, k = 0, extra = 0, read;
    char *in = wh_json_text(p, json, &n);
    char *out;

    if (in == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (safe_escape(in + i, &read) != NULL)
            extra += 5;
    if (len != NULL)
        *len = n;
    if (extra == 0)
        return in;
    out = apr_palloc(p, n + extra + 1);
    for (size_t i = 0; i < n;) {
        const char *escape = safe_escape(in + i, &read);

        if (escape != NULL) {
            memcpy(out + k, escape, 6);
            k += 6;
            i += read;
        } else {
            out[k++] = in[i++];
        }
    }
    out[k] = '\0';
    if (len != NULL)
        *len = k;
    return out;
}

wh_json_at_t wh_json_root(const json_t *obj)
{
    return (wh_json_at_t){.obj = obj};
}

/* RFC 6901: "~" is "~0" and "/" is "~1". A name too long for the buffer is cut. */
static void pointer_add(char *buf, size_t size, const char *base, const char *key)
{
    size_t len = strlen(base);

    if (len >= size)
        len = size - 1;
    memmove(buf, base, len);
    if (len + 1 < size)
        buf[len++] = '/';
    for (; *key != '\0' && len + 2 < size; key++) {
        if (*key == '~' || *key == '/') {
            buf[len++] = '~';
            buf[len++] = *key == '~' ? '0' : '1';
        } else {
            buf[len++] = *key;
        }
    }
    buf[wh_text_utf8_floor(buf, len)] = '\0';
}

const char *wh_json_pointer(const wh_json_at_t *at, const char *key, char buf[128])
{
    pointer_add(buf, 128, at->pointer, key);
    return buf;
}

wh_json_at_t wh_json_item(const wh_json_at_t *at, const char *key, size_t i, const json_t *obj)
{
    wh_json_at_t item = {.obj = obj};
    char array[sizeof(item.pointer)];
    char index[24];

    apr_snprintf(index, sizeof(index), "%" APR_SIZE_T_FMT, i);
    pointer_add(array, sizeof(array), at->pointer, key);
    pointer_add(item.pointer, sizeof(item.pointer), array, index);
    return item;
}

apr_status_t wh_json_only(const wh_json_at_t *at, const char *const *names, size_t n, wh_err_t *err)
{
    const char *key;
    json_t *value;
    char ptr[128];

    /* The macro wants a json_t it could change; nothing is changed here. */
    json_object_foreach((json_t *)(uintptr_t)at->obj, key, value)
    {
        size_t i = 0;

        while (i < n && strcmp(names[i], key) != 0)
            i++;
        if (i == n)
            return wh_err_field(err, wh_json_pointer(at, key, ptr), "unknown_field",
                                "unknown field");
    }
    return APR_SUCCESS;
}

int wh_json_has(const wh_json_at_t *at, const char *key)
{
    return json_object_get(at->obj, key) != NULL;
}

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "null";
    }
}

/* Find the member and check its type. *value stays NULL when it is absent or null and may be. */
static apr_status_t find(const wh_json_at_t *at, const char *key, unsigned flags, json_type want,
                         const json_t **value, wh_err_t *err)
{
    const json_t *v = json_object_get(at->obj, key);
    char ptr[128];
    int same;

    *value = NULL;
    if (v == NULL) {
        if ((flags & WH_JSON_F_REQUIRED) != 0)
            return wh_err_field(err, wh_json_pointer(at, key, ptr), "missing_field",
                                "must be given");
        return APR_SUCCESS;
    }
    if (json_is_null(v) && (flags & WH_JSON_F_NULL) != 0)
        return APR_SUCCESS;
    same = json_typeof(v) == want || (want == JSON_TRUE && json_is_boolean(v));
    if (!same)
        return wh_err_field(err, wh_json_pointer(at, key, ptr), "wrong_type", "must be %s",
                            type_name(want));
    *value = v;
    return APR_SUCCESS;
}

/* Line feeds and tabs out of the way, is there a control character left? */
static int has_control(const char *s, size_t n, unsigned flags)
{
    size_t run;

    if ((flags & WH_JSON_F_ANY) != 0)
        return 0;
    if ((flags & WH_JSON_F_LINES) == 0)
        return !wh_text_plain(s, n);
    for (size_t i = 0; i < n; i += run + 1) {
        run = strcspn(s + i, "\n\t");
        if (!wh_text_plain(s + i, run))
            return 1;
    }
    return 0;
}

apr_status_t wh_json_str(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                         const char **out, wh_err_t *err)
{
    const json_t *v;
    char ptr[128];
    size_t len;
    apr_status_t rv = find(at, key, rule->flags, JSON_STRING, &v, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (v == NULL) {
        if (wh_json_has(at, key))
            *out = NULL;
        return APR_SUCCESS;
    }
    len = json_string_length(v);
    if ((apr_int64_t)len < rule->min)
        return wh_err_field(err, wh_json_pointer(at, key, ptr), "too_short",
                            "must have at least %" APR_INT64_T_FMT " byte%s", rule->min,
                            rule->min == 1 ? "" : "s");
    if ((apr_int64_t)len > rule->max)
        return wh_err_field(err, wh_json_pointer(at, key, ptr), "too_long",
                            "must have at most %" APR_INT64_T_FMT " bytes", rule->max);
    if (has_control(json_string_value(v), len, rule->flags))
        return wh_err_field(err, wh_json_pointer(at, key, ptr), "bad_characters",
                            "must not contain control characters");
    *out = json_string_value(v);
    return APR_SUCCESS;
}

apr_status_t wh_json_int(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                         apr_int64_t *out, wh_err_t *err)
{
    const json_t *v;
    char ptr[128];
    apr_status_t rv = find(at, key, rule->flags, JSON_INTEGER, &v, err);

    if (rv != APR_SUCCESS || v == NULL)
        return rv;
    if (json_integer_value(v) < rule->min || json_integer_value(v) > rule->max)
        return wh_err_field(err, wh_json_pointer(at, key, ptr), "out_of_range",
                            "must be from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT, rule->min,
                            rule->max);
    *out = json_integer_value(v);
    return APR_SUCCESS;
}

apr_status_t wh_json_bool(const wh_json_at_t *at, const char *key, unsigned flags, int *out,
                          wh_err_t *err)
{
    const json_t *v;
    apr_status_t rv = find(at, key, flags, JSON_TRUE, &v, err);

    if (rv == APR_SUCCESS && v != NULL)
        *out = json_is_true(v);
    return rv;
}

apr_status_t wh_json_obj(const wh_json_at_t *at, const char *key, unsigned flags, wh_json_at_t *out,
                         wh_err_t *err)
{
    wh_json_at_t sub = {.obj = NULL};
    apr_status_t rv = find(at, key, flags, JSON_OBJECT, &sub.obj, err);

    if (rv != APR_SUCCESS)
        return rv;
    pointer_add(sub.pointer, sizeof(sub.pointer), at->pointer, key);
    *out = sub;
    return APR_SUCCESS;
}

apr_status_t wh_json_arr(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                         const json_t **out, wh_err_t *err)
{
    const json_t *v;
    char ptr[128];
    apr_status_t rv = find(at, key, rule->flags, JSON_ARRAY, &v, err);
    apr_int64_t n;

    if (rv != APR_SUCCESS)
        return rv;
    if (v == NULL) {
        if (wh_json_has(at, key))
            *out = NULL;
        return APR_SUCCESS;
    }
    n = (apr_int64_t)json_array_size(v);
    if (n < rule->min || n > rule->max)
        return wh_err_field(err, wh_json_pointer(at, key, ptr), "out_of_range",
                            "must have from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT " elements",
                            rule->min, rule->max);
    *out = v;
    return APR_SUCCESS;
}

static apr_status_t read_field(const wh_json_at_t *at, const wh_json_field_t *f, void *out,
                               wh_err_t *err)
{
    char *member = (char *)out + f->offset;

    switch (f->type) {
    case WH_JSON_T_STR:
        return wh_json_str(at, f->name, &f->rule, (const char **)(void *)member, err);
    case WH_JSON_T_INT:
        return wh_json_int(at, f->name, &f->rule, (apr_int64_t *)(void *)member, err);
    case WH_JSON_T_BOOL:
        return wh_json_bool(at, f->name, f->rule.flags, (int *)(void *)member, err);
    }
    return APR_EGENERAL;
}

static apr_status_t refuse_others(const wh_json_at_t *at, const wh_json_field_t *fields, size_t n,
                                  wh_err_t *err)
{
    const char *names[64];

    if (n > WH_ARRAY_LEN(names))
        return wh_err_set(err, 500, "internal", "field table too long");
    for (size_t i = 0; i < n; i++)
        names[i] = fields[i].name;
    return wh_json_only(at, names, n, err);
}

apr_status_t wh_json_fields(const wh_json_at_t *at, const wh_json_field_t *fields, size_t n,
                            int lenient, void *out, wh_err_t *err)
{
    apr_status_t rv = lenient ? APR_SUCCESS : refuse_others(at, fields, n, err);

    for (size_t i = 0; i < n && rv == APR_SUCCESS; i++)
        rv = read_field(at, &fields[i], out, err);
    return rv;
}
