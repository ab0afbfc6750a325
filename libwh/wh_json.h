/* JSON from outside, strictly. A document is measured before it is parsed (bytes, depth, number of
 * values, UTF-8), so that a hostile one costs no memory, and then read field by field with the type
 * and the range that are wanted. Every refusal names the field by JSON pointer.
 *
 * How a body is read:
 *     json_t *body;                    // belongs to p
 *     wh_json_at_t at;
 *     rv = wh_json_load_object(p, text, n, NULL, &body, err);
 *     at = wh_json_root(body);
 *     rv = wh_json_only(&at, fields, WH_ARRAY_LEN(fields), err);         // unknown_field
 *     rv = wh_json_str(&at, "name", WH_JSON_REQ(1, 80), &name, err);
 *     rv = wh_json_int(&at, "port", WH_JSON_OPT(1, 65535), &port, err);  // absent: port keeps its
 * value
 *
 * Strings that come out are borrowed from the json_t: they live as long as it does (that is, as p).
 * Codes: body_too_large (413); bad_json, body_not_object, too_deep, too_many, bad_utf8,
 * nul_character, duplicate_field, missing_field, unknown_field, wrong_type, out_of_range,
 * too_short, too_long, bad_characters (all 400).
 */
#ifndef WH_JSON_H
#define WH_JSON_H

#include <jansson.h>
#include "libwh/wh_err.h"

#define WH_JSON_BYTES_MAX ((size_t)(1024 * 1024))
#define WH_JSON_DEPTH_MAX 32
#define WH_JSON_VALUES_MAX 20000

typedef struct wh_json_limits_t {
    size_t bytes;  /* of the whole document */
    size_t depth;  /* of nested arrays and objects; a flat object has depth 1 */
    size_t values; /* members and elements in all */
} wh_json_limits_t;

/* Load a document of any kind; limits NULL = the three maxima above. *out is borrowed: it is
 * released with p. On an error *out is NULL. */
apr_status_t wh_json_load(apr_pool_t *p, const char *text, size_t n, const wh_json_limits_t *limits,
                          json_t **out, wh_err_t *err) WH_MUST_CHECK;

/* The same, and the document must be an object (else body_not_object). */
apr_status_t wh_json_load_object(apr_pool_t *p, const char *text, size_t n,
                                 const wh_json_limits_t *limits, json_t **out,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Give a reference to the pool: json is released when p is cleared (steals). Returns json. */
json_t *wh_json_own(apr_pool_t *p, json_t *json);

/* For jansson's dumps: 31.6 is written so, not as 31.600000000000001. */
#define WH_JSON_REALS JSON_REAL_PRECISION(15)

/* Compact text of json in p, *len (may be NULL) its length. NULL when out of memory, or when json
 * is NULL. */
char *wh_json_text(apr_pool_t *p, const json_t *json, size_t *len);

/* The same for an HTTP answer: '<', '>', '&', U+2028 and U+2029 are escaped, so that the text is
 * harmless even where it is taken for a page or a script. */
char *wh_json_text_safe(apr_pool_t *p, const json_t *json, size_t *len);

/* A figure that is not negative, to three decimals; new. */
json_t *wh_json_thousandths(double value);

/* An object together with the place where it stands in the document. */
typedef struct wh_json_at_t {
    const json_t *obj; /* borrowed */
    char pointer[96];  /* "" = the document itself */
} wh_json_at_t;

/* What is wanted of a field. */
enum {
    WH_JSON_F_REQUIRED = 1, /* absent: missing_field. Else an absent field leaves *out alone */
    WH_JSON_F_NULL =
        2, /* null is allowed: strings and objects become NULL, others are left alone */
    WH_JSON_F_LINES = 4, /* strings: line feeds and tabs are allowed */
    WH_JSON_F_ANY = 8    /* strings: every character but NUL is allowed */
};
typedef struct wh_json_rule_t {
    unsigned flags;
    apr_int64_t min,
        max; /* integers: the value; strings: bytes; arrays: elements; objects: members */
} wh_json_rule_t;

#define WH_JSON_RULE(f, lo, hi) (&(const wh_json_rule_t){.flags = (f), .min = (lo), .max = (hi)})
#define WH_JSON_REQ(lo, hi) WH_JSON_RULE(WH_JSON_F_REQUIRED, lo, hi)
#define WH_JSON_OPT(lo, hi) WH_JSON_RULE(0, lo, hi)

/* The document itself as a place. obj is borrowed. */
wh_json_at_t wh_json_root(const json_t *obj);

/* The i-th element of an array that stands at `at`/key, as a place (for arrays of objects). */
wh_json_at_t wh_json_item(const wh_json_at_t *at, const char *key, size_t i, const json_t *obj);

/* "<pointer of at>/<key>" into buf, for the caller's own errors; ~ and / are escaped. Returns buf.
 */
const char *wh_json_pointer(const wh_json_at_t *at, const char *key, char buf[128]);

/* Refuse a member that is not among the n names: unknown_field. */
apr_status_t wh_json_only(const wh_json_at_t *at, const char *const *names, size_t n,
                          wh_err_t *err) WH_MUST_CHECK;

/* True when the member is there (null counts as there). */
int wh_json_has(const wh_json_at_t *at, const char *key);

/* Typed getters. An absent, not required field leaves *out alone and succeeds; so set it to its
 * default before. A failed getter leaves *out alone too. */
apr_status_t wh_json_str(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                         const char **out, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_json_int(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                         apr_int64_t *out, wh_err_t *err) WH_MUST_CHECK;
/* flags only; *out becomes 0 or 1 */
apr_status_t wh_json_bool(const wh_json_at_t *at, const char *key, unsigned flags, int *out,
                          wh_err_t *err) WH_MUST_CHECK;
/* out->obj is NULL when the object is absent or null */
apr_status_t wh_json_obj(const wh_json_at_t *at, const char *key, unsigned flags, wh_json_at_t *out,
                         wh_err_t *err) WH_MUST_CHECK;
/* *out is borrowed; absent leaves it alone, null makes it NULL */
apr_status_t wh_json_arr(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                         const json_t **out, wh_err_t *err) WH_MUST_CHECK;

/* A whole object by a table: the fields below are read into a struct, and any other is refused
 * unless WH_JSON_LENIENT is given. */
typedef enum wh_json_type_e { WH_JSON_T_STR, WH_JSON_T_INT, WH_JSON_T_BOOL } wh_json_type_e;
typedef struct wh_json_field_t {
    const char *name;
    wh_json_type_e type; /* the member at offset is const char *, apr_int64_t, int */
    wh_json_rule_t rule;
    size_t offset;
} wh_json_field_t;
enum { WH_JSON_STRICT = 0, WH_JSON_LENIENT = 1 };

apr_status_t wh_json_fields(const wh_json_at_t *at, const wh_json_field_t *fields, size_t n,
                            int lenient, void *out, wh_err_t *err) WH_MUST_CHECK;

#endif
