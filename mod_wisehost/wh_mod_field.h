/*
 * wh_mod_field: the fields that a request may carry, as tables.
 *
 * One table says name, type and limits. The dispatcher checks every body and query against it
 * before a handler runs, and openapi.json is printed from the same table, so the two cannot differ.
 * What a table cannot say (a slug's grammar, a repository address) is decided by the decoder in
 * libwh. A table ends with an entry without a name. Tables are constant; any thread.
 */
#ifndef WH_MOD_FIELD_H
#define WH_MOD_FIELD_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>

#include "libwh/wh_err.h"

typedef enum wh_mod_type_e {
    WH_FIELD_STRING,  /* min, max: bytes */
    WH_FIELD_INTEGER, /* min, max: value */
    WH_FIELD_NUMBER, /* with a fraction; min, max: value */
    WH_FIELD_BOOLEAN,
    WH_FIELD_OBJECT, /* fields: its members */
    WH_FIELD_LIST,   /* of objects; min, max: items; fields: members of each */
    WH_FIELD_TEXTS,  /* a list of strings, each of at most 255 bytes; min, max: items */
    WH_FIELD_MAP     /* of strings; max: entries */
} wh_mod_type_e;

typedef struct wh_mod_field_t {
    const char *name;
    wh_mod_type_e type;
    int required;
    int nullable;
    json_int_t min, max;
    const struct wh_mod_field_t *fields;
    const char *doc;
} wh_mod_field_t;

/*
 * Checks object against fields: unknown names, types, limits, what is required (unless partial).
 * Errors, http 400 with the JSON pointer: unknown_field, missing_field, wrong_type, too_short,
 * too_long, out_of_range, too_many.
 */
apr_status_t wh_mod_field_check(apr_pool_t *p, const wh_mod_field_t *fields, const json_t *object,
                                wh_err_t *err) __attribute__((warn_unused_result));

/*
 * Decodes the query string args (NULL = none) into *out: known names with checked values.
 * Errors, http 400: unknown_parameter, bad_parameter (twice, bad escape, type, limits).
 */
apr_status_t wh_mod_field_query(apr_pool_t *p, const wh_mod_field_t *fields, const char *args,
                                apr_table_t **out, wh_err_t *err)
    __attribute__((warn_unused_result));

/* The JSON Schema of an object with these fields: new reference. */
json_t *wh_mod_field_schema(const wh_mod_field_t *fields);

/* The "parameters" entries of OpenAPI for a query with these fields: new reference, an array. */
json_t *wh_mod_field_parameters(const wh_mod_field_t *fields);

#endif
