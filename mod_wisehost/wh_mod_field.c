#include "mod_wisehost/wh_mod_field.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_escape.h>

static const char *const type_names[] = {
    [WH_FIELD_STRING] = "string", [WH_FIELD_INTEGER] = "integer", [WH_FIELD_BOOLEAN] = "boolean",
    [WH_FIELD_OBJECT] = "object", [WH_FIELD_LIST] = "array",      [WH_FIELD_MAP] = "object",
    [WH_FIELD_NUMBER] = "number",
    [WH_FIELD_TEXTS] = "array",
};

static const wh_mod_field_t *find(const wh_mod_field_t *fields, const char *name)
{
    for (; fields && fields->name; fields++) {
        if (!strcmp(fields->name, name)) {
            return fields;
        }
    }
    return NULL;
}

/* The pointer of a member; an absurd name is cut so that the answer stays small. */
static const char *pointer_of(apr_pool_t *p, const char *base, const char *name)
{
    return apr_psprintf(p, "%.80s/%.40s", base, name);
}

static apr_status_t check_object(apr_pool_t *p, const wh_mod_field_t *fields, const json_t *object,
                                 const char *base, wh_err_t *err);

static int type_fits(const wh_mod_field_t *f, const json_t *value)
{
    switch (f->type) {
    case WH_FIELD_STRING:
        return json_is_string(value);
    case WH_FIELD_INTEGER:
        return json_is_integer(value);
    case WH_FIELD_NUMBER:
        return json_is_number(value);
    case WH_FIELD_BOOLEAN:
        return json_is_boolean(value);
    case WH_FIELD_LIST:
    case WH_FIELD_TEXTS:
        return json_is_array(value);
    case WH_FIELD_OBJECT:
    case WH_FIELD_MAP:
        break;
    }
    return json_is_object(value);
}

static apr_status_t check_string(const wh_mod_field_t *f, const json_t *value, const char *at,
                                 wh_err_t *err)
{
    json_int_t n = (json_int_t)json_string_length(value);

    if (n < f->min) {
        return wh_err_field(err, at, "too_short",
                            "It needs at least %" JSON_INTEGER_FORMAT " bytes.", f->min);
    }
    if (n > f->max) {
        return wh_err_field(err, at, "too_long",
                            "It may have at most %" JSON_INTEGER_FORMAT " bytes.", f->max);
    }
    return APR_SUCCESS;
}

static apr_status_t check_integer(const wh_mod_field_t *f, json_int_t n, const char *at,
                                  wh_err_t *err)
{
    if (n < f->min || n > f->max) {
        return wh_err_field(err, at, "out_of_range",
                            "It must lie between %" JSON_INTEGER_FORMAT " and %" JSON_INTEGER_FORMAT
                            ".",
                            f->min, f->max);
    }
    return APR_SUCCESS;
}

static apr_status_t check_number(const wh_mod_field_t *f, double n, const char *at, wh_err_t *err)
{
    return n >= (double)f->min && n <= (double)f->max
               ? APR_SUCCESS
               : check_integer(f, n < (double)f->min ? f->min - 1 : f->max + 1, at, err);
}

static apr_status_t check_count(const wh_mod_field_t *f, size_t n, const char *at, wh_err_t *err)
{
    if ((json_int_t)n < f->min || (json_int_t)n > f->max) {
        return wh_err_field(err, at, (json_int_t)n > f->max ? "too_many" : "too_short",
                            "It must hold %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
                            " entries.",
                            f->min, f->max);
    }
    return APR_SUCCESS;
}

static apr_status_t check_texts(apr_pool_t *p, const wh_mod_field_t *f, const json_t *value,
                                const char *at, wh_err_t *err)
{
    static const wh_mod_field_t text = {.type = WH_FIELD_STRING, .min = 1, .max = 255};
    apr_status_t rv = check_count(f, json_array_size(value), at, err);

    for (size_t i = 0; !rv && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *where = pointer_of(p, at, apr_psprintf(p, "%lu", (unsigned long)i));

        rv = json_is_string(item)
                 ? check_string(&text, item, where, err)
                 : wh_err_field(err, where, "wrong_type", "It must be of type string.");
    }
    return rv;
}

static apr_status_t check_list(apr_pool_t *p, const wh_mod_field_t *f, const json_t *value,
                               const char *at, wh_err_t *err)
{
    size_t n = json_array_size(value);

    if (check_count(f, n, at, err)) {
        return APR_EGENERAL;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);
        /* One scratch pointer an entry would cost memory by the entry: only a bad one gets its
         * index. */
        apr_status_t rv =
            json_is_object(item) ? check_object(p, f->fields, item, at, err) : APR_EGENERAL;

        if (!json_is_object(item)) {
            return wh_err_field(err, pointer_of(p, at, apr_psprintf(p, "%lu", (unsigned long)i)),
                                "wrong_type", "It must be an object.");
        }
        if (rv) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t check_map(const wh_mod_field_t *f, const json_t *value, const char *at,
                              wh_err_t *err)
{
    void *it;

    if ((json_int_t)json_object_size(value) > f->max) {
        return wh_err_field(err, at, "too_many",
                            "It may hold at most %" JSON_INTEGER_FORMAT " entries.", f->max);
    }
    for (it = json_object_iter((json_t *)(apr_uintptr_t)value); it;
         it = json_object_iter_next((json_t *)(apr_uintptr_t)value, it)) {
        const json_t *entry = json_object_iter_value(it);

        if (!json_is_string(entry) || json_string_length(entry) > 256 ||
            strlen(json_object_iter_key(it)) > 63) {
            return wh_err_field(
                err, at, "wrong_type",
                "Every entry must be a text of at most 256 bytes under a name of at most 63.");
        }
    }
    return APR_SUCCESS;
}

static apr_status_t check_value(apr_pool_t *p, const wh_mod_field_t *f, const json_t *value,
                                const char *at, wh_err_t *err)
{
    if (json_is_null(value) && f->nullable) {
        return APR_SUCCESS;
    }
    if (!type_fits(f, value)) {
        return wh_err_field(err, at, "wrong_type", "It must be of type %s.", type_names[f->type]);
    }
    switch (f->type) {
    case WH_FIELD_STRING:
        return check_string(f, value, at, err);
    case WH_FIELD_INTEGER:
        return check_integer(f, json_integer_value(value), at, err);
    case WH_FIELD_NUMBER:
        return check_number(f, json_number_value(value), at, err);
    case WH_FIELD_LIST:
        return check_list(p, f, value, at, err);
    case WH_FIELD_TEXTS:
        return check_texts(p, f, value, at, err);
    case WH_FIELD_MAP:
        return check_map(f, value, at, err);
    case WH_FIELD_OBJECT:
        return check_object(p, f->fields, value, at, err);
    case WH_FIELD_BOOLEAN:
        break;
    }
    return APR_SUCCESS;
}

static apr_status_t check_object(apr_pool_t *p, const wh_mod_field_t *fields, const json_t *object,
                                 const char *base, wh_err_t *err)
{
    json_t *whole = (json_t *)(apr_uintptr_t)object; /* jansson's iterators take no const */

    for (void *it = json_object_iter(whole); it; it = json_object_iter_next(whole, it)) {
        const char *name = json_object_iter_key(it);
        const wh_mod_field_t *f = find(fields, name);
        apr_status_t rv;

        if (!f) {
            return wh_err_field(err, pointer_of(p, base, name), "unknown_field",
                                "There is no such field.");
        }
        if (f->type == WH_FIELD_STRING || f->type == WH_FIELD_INTEGER) {
            /* The pointer text is made for a fault alone: a manifest has 80 000 values. */
            rv = check_value(p, f, json_object_iter_value(it), "", NULL);
            rv = rv ? check_value(p, f, json_object_iter_value(it), pointer_of(p, base, name), err)
                    : rv;
        } else {
            rv = check_value(p, f, json_object_iter_value(it), pointer_of(p, base, name), err);
        }
        if (rv) {
            return rv;
        }
    }
    for (; fields && fields->name; fields++) {
        if (fields->required && !json_object_get(object, fields->name)) {
            return wh_err_field(err, pointer_of(p, base, fields->name), "missing_field",
                                "This field is required.");
        }
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_field_check(apr_pool_t *p, const wh_mod_field_t *fields, const json_t *object,
                                wh_err_t *err)
{
    return check_object(p, fields, object, "", err);
}

static apr_status_t bad_parameter(wh_err_t *err, const char *name, const char *why)
{
    return wh_err_set(err, 400, "bad_parameter", "The query parameter %.40s %s.", name, why);
}

/* Decimal digits alone, so that +1, 0x10, 1e3 and a blank are refused. */
static int query_integer(const char *text, json_int_t *n)
{
    apr_size_t len = strlen(text);

    if (!len || len > 18 || strspn(text, "0123456789") != len || (len > 1 && *text == '0')) {
        return -1;
    }
    *n = (json_int_t)apr_atoi64(text);
    return 0;
}

static apr_status_t check_parameter(const wh_mod_field_t *f, const char *value, wh_err_t *err)
{
    json_int_t n = (json_int_t)strlen(value);

    if (f->type == WH_FIELD_BOOLEAN) {
        return strcmp(value, "true") && strcmp(value, "false")
                   ? bad_parameter(err, f->name, "must be true or false")
                   : APR_SUCCESS;
    }
    if ((f->type == WH_FIELD_INTEGER || f->type == WH_FIELD_NUMBER) && query_integer(value, &n)) {
        return bad_parameter(err, f->name, "must be a whole number");
    }
    if (n < f->min || n > f->max) {
        return bad_parameter(err, f->name, "is out of range");
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_field_query(apr_pool_t *p, const wh_mod_field_t *fields, const char *args,
                                apr_table_t **out, wh_err_t *err)
{
    char *rest = NULL, *pair;

    *out = apr_table_make(p, 4);
    for (pair = apr_strtok(apr_pstrdup(p, args ? args : ""), "&", &rest); pair;
         pair = apr_strtok(NULL, "&", &rest)) {
        char *equals = strchr(pair, '=');
        const char *raw = equals ? equals + 1 : "";
        const char *value = apr_punescape_url(p, raw, NULL, NULL, 1);
        const wh_mod_field_t *f;
        apr_status_t rv;

        if (equals) {
            *equals = '\0';
        }
        f = find(fields, pair);
        if (!f) {
            return wh_err_set(err, 400, "unknown_parameter",
                              "There is no such query parameter here.");
        }
        if (!value || apr_table_get(*out, f->name)) {
            return bad_parameter(err, f->name, value ? "is given twice" : "is not well-formed");
        }
        rv = check_parameter(f, value, err);
        if (rv) {
            return rv;
        }
        apr_table_setn(*out, f->name, value);
    }
    for (; fields && fields->name; fields++) {
        if (fields->required && !apr_table_get(*out, fields->name)) {
            return bad_parameter(err, fields->name, "is required");
        }
    }
    return APR_SUCCESS;
}

/* ---- the same tables as OpenAPI ------------------------------------------------------------ */

static json_t *value_schema(const wh_mod_field_t *f)
{
    json_t *schema;

    switch (f->type) {
    case WH_FIELD_STRING:
        schema = json_pack("{s:I, s:I}", "minLength", f->min, "maxLength", f->max);
        break;
    case WH_FIELD_INTEGER:
    case WH_FIELD_NUMBER:
        schema = json_pack("{s:I, s:I}", "minimum", f->min, "maximum", f->max);
        break;
    case WH_FIELD_OBJECT:
        schema = wh_mod_field_schema(f->fields);
        break;
    case WH_FIELD_LIST:
        schema = json_pack("{s:I, s:I, s:o}", "minItems", f->min, "maxItems", f->max, "items",
                           wh_mod_field_schema(f->fields));
        break;
    case WH_FIELD_TEXTS:
        schema = json_pack("{s:I, s:I, s:{s:s, s:i, s:i}}", "minItems", f->min, "maxItems", f->max,
                           "items", "type", "string", "minLength", 1, "maxLength", 255);
        break;
    case WH_FIELD_MAP:
        schema = json_pack("{s:I, s:{s:s}}", "maxProperties", f->max, "additionalProperties",
                           "type", "string");
        break;
    case WH_FIELD_BOOLEAN:
    default:
        schema = json_object();
        break;
    }
    if (f->nullable) {
        json_object_set_new(schema, "type", json_pack("[s, s]", type_names[f->type], "null"));
    } else {
        json_object_set_new(schema, "type", json_string(type_names[f->type]));
    }
    if (f->doc) {
        json_object_set_new(schema, "description", json_string(f->doc));
    }
    return schema;
}

json_t *wh_mod_field_schema(const wh_mod_field_t *fields)
{
    json_t *properties = json_object();
    json_t *required = json_array();
    json_t *schema = json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
                               "properties", properties);

    for (; fields && fields->name; fields++) {
        json_object_set_new(properties, fields->name, value_schema(fields));
        if (fields->required) {
            json_array_append_new(required, json_string(fields->name));
        }
    }
    if (json_array_size(required)) {
        json_object_set(schema, "required", required);
    }
    json_decref(required);
    return schema;
}

json_t *wh_mod_field_parameters(const wh_mod_field_t *fields)
{
    json_t *list = json_array();

    for (; fields && fields->name; fields++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:o}", "name", fields->name, "in",
                                              "query", "required", fields->required, "schema",
                                              value_schema(fields)));
    }
    return list;
}
