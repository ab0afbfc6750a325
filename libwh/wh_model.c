/* wh_model: the texts of the enumerations, and what the other wh_model_*.c share. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

static const char *text_at(const char *const *texts, size_t n, size_t i)
{
    return i < n ? texts[i] : "?";
}

static int index_of(const char *const *texts, size_t n, const char *text)
{
    size_t i;

    for (i = 0; text && i < n; i++) {
        if (strcmp(texts[i], text) == 0)
            return (int)i;
    }
    return -1;
}

#define WH_ENUM(type) static const char *const type##_texts[] = {
#define WH_VAL(type, sym, text) [WH_##sym] = (text),
#define WH_END(type) };
#include "libwh/wh_model.def"
#undef WH_ENUM
#undef WH_VAL
#undef WH_END

#define WH_ENUM(type)                                                                             \
    const char *wh_model_##type##_text(wh_##type##_e value)                                       \
    {                                                                                             \
        return text_at(type##_texts, WH_ARRAY_LEN(type##_texts), (size_t)value);                  \
    }                                                                                             \
    int wh_model_##type##_of(const char *text, wh_##type##_e *out)                                \
    {                                                                                             \
        int i = index_of(type##_texts, WH_ARRAY_LEN(type##_texts), text);                         \
                                                                                                  \
        if (i < 0)                                                                                \
            return 0;                                                                             \
        *out = (wh_##type##_e)i;                                                                  \
        return 1;                                                                                 \
    }
#define WH_VAL(type, sym, text)
#define WH_END(type)
#include "libwh/wh_model.def"
#undef WH_ENUM
#undef WH_VAL
#undef WH_END

int wh_model_job_terminal(wh_job_status_e status)
{
    return status == WH_JOB_SUCCEEDED || status == WH_JOB_FAILED || status == WH_JOB_CANCELED;
}

json_t *wh_model_int_text(const char *s)
{
    return s && *s ? json_string(s) : json_null();
}

json_t *wh_model_int_time(apr_time_t us)
{
    char buf[WH_TIME_RFC3339_SIZE];

    if (us == 0)
        return json_null();
    wh_time_rfc3339_buf(buf, us);
    return json_string(buf);
}

json_t *wh_model_int_object(const char *text)
{
    json_t *obj = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (obj && json_is_object(obj))
        return obj;
    json_decref(obj);
    return json_object();
}

json_t *wh_model_int_strings(const apr_array_header_t *array)
{
    json_t *out = json_array();
    int i;

    for (i = 0; array && out && i < array->nelts; i++)
        (void)json_array_append_new(out, json_string(APR_ARRAY_IDX(array, i, const char *)));
    return out;
}

apr_status_t wh_model_int_at(const wh_json_at_t *at, const char *key, apr_status_t rv,
                             wh_err_t *err)
{
    char where[128];

    if (rv != APR_SUCCESS && err)
        apr_cpystrn(err->pointer, wh_json_pointer(at, key, where), sizeof(err->pointer));
    return rv;
}

apr_status_t wh_model_int_str(const wh_json_at_t *at, const char *key, apr_int64_t min,
                              apr_int64_t max, const char *def, const char **out, wh_err_t *err)
{
    return wh_model_int_strf(at, key, WH_JSON_OPT(min, max), def, out, err);
}

apr_status_t wh_model_int_strf(const wh_json_at_t *at, const char *key,
                               const wh_json_rule_t *rule, const char *def, const char **out,
                               wh_err_t *err)
{
    if (json_is_null(json_object_get(at->obj, key)) && !(rule->flags & WH_JSON_F_REQUIRED)) {
        *out = def;
        return APR_SUCCESS;
    }
    return wh_json_str(at, key, rule, out, err);
}

apr_status_t wh_model_int_num(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                              apr_int64_t def, apr_int64_t *out, wh_err_t *err)
{
    if (json_is_null(json_object_get(at->obj, key)) && !(rule->flags & WH_JSON_F_REQUIRED)) {
        *out = def;
        return APR_SUCCESS;
    }
    return wh_json_int(at, key, rule, out, err);
}

apr_status_t wh_model_int_flag(const wh_json_at_t *at, const char *key, int *out, wh_err_t *err)
{
    if (json_is_null(json_object_get(at->obj, key))) {
        *out = 0;
        return APR_SUCCESS;
    }
    return wh_json_bool(at, key, 0, out, err);
}

apr_status_t wh_model_int_bad(const wh_json_at_t *at, const char *key, wh_err_t *err,
                              const char *what)
{
    char where[128];

    return wh_err_field(err, wh_json_pointer(at, key, where), "invalid_value", "%s", what);
}

apr_status_t wh_model_int_honest(const wh_json_at_t *at, const char *key, const char *text,
                                 wh_err_t *err)
{
    char where[128];

    if (wh_text_honest(text, WH_TEXT_NUL))
        return APR_SUCCESS;
    return wh_err_field(err, wh_json_pointer(at, key, where), "bad_characters",
                        "no control character, and none that is invisible or turns text around");
}
