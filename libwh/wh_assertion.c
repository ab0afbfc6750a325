#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_assertion.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

#define PART_MAX 512
#define MAC_CHARS 43

static int part_ok(const char *s)
{
    size_t n = s != NULL ? strlen(s) : 0;

    return n > 0 && n <= PART_MAX && wh_text_utf8_ok(s, n) && wh_text_plain(s, n);
}

char *wh_assertion_make(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const char *actor,
                        const char *action, const char *object, apr_time_t exp_us)
{
    unsigned char mac[WH_SHA256_LEN];
    json_t *doc;
    char *json, *body;

    if (!part_ok(actor) || !part_ok(action) || !part_ok(object))
        return NULL;
    doc = json_pack("{s:s, s:s, s:s, s:I}", "actor", actor, "action", action, "object", object,
                    "exp", (json_int_t)exp_us);
    json = wh_json_text(p, doc, NULL);
    json_decref(doc);
    if (json == NULL)
        return NULL;
    body = wh_sign_b64url(p, json, strlen(json));
    wh_sign_hmac(key, WH_KEY_LEN, body, strlen(body), mac);
    body = apr_pstrcat(p, body, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL);
    return strlen(body) <= WH_ASSERTION_MAX ? body : NULL;
}

static apr_status_t bad(wh_err_t *err)
{
    return wh_err_set(err, 401, "bad_assertion", "the request carries no valid assertion");
}

/* The signed part of text, decoded; NULL when anything is wrong with form or signature. */
static char *open_signed(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const char *text,
                         size_t *len)
{
    unsigned char want[WH_SHA256_LEN];
    unsigned char *got, *body;
    size_t all = strnlen(text, WH_ASSERTION_MAX + 1), n;
    const char *dot = memchr(text, '.', all);

    if (all > WH_ASSERTION_MAX || dot == NULL || all - (size_t)(dot - text) - 1 != MAC_CHARS)
        return NULL;
    if (wh_sign_unb64url(p, dot + 1, MAC_CHARS, &got, &n) != 0 || n != sizeof(want))
        return NULL;
    wh_sign_hmac(key, WH_KEY_LEN, text, (size_t)(dot - text), want);
    if (!wh_sign_equal(want, got, sizeof(want)))
        return NULL;
    if (wh_sign_unb64url(p, text, (size_t)(dot - text), &body, len) != 0)
        return NULL;
    return (char *)body;
}

typedef struct fields_t {
    const char *actor, *action, *object;
    apr_int64_t exp;
} fields_t;

static const wh_json_field_t fields[] = {
    {.name = "actor",
     .type = WH_JSON_T_STR,
     .offset = offsetof(fields_t, actor),
     .rule = {.flags = WH_JSON_F_REQUIRED, .min = 1, .max = PART_MAX}},
    {.name = "action",
     .type = WH_JSON_T_STR,
     .offset = offsetof(fields_t, action),
     .rule = {.flags = WH_JSON_F_REQUIRED, .min = 1, .max = PART_MAX}},
    {.name = "object",
     .type = WH_JSON_T_STR,
     .offset = offsetof(fields_t, object),
     .rule = {.flags = WH_JSON_F_REQUIRED, .min = 1, .max = PART_MAX}},
    {.name = "exp",
     .type = WH_JSON_T_INT,
     .offset = offsetof(fields_t, exp),
     .rule = {.flags = WH_JSON_F_REQUIRED, .min = 0, .max = APR_INT64_MAX}},
};

apr_status_t wh_assertion_verify(apr_pool_t *p, const unsigned char key[WH_KEY_LEN],
                                 const char *text, apr_time_t now, const char **actor,
                                 const char **action, const char **object, wh_err_t *err)
{
    static const wh_json_limits_t limits = {.bytes = WH_ASSERTION_MAX, .depth = 1, .values = 16};
    fields_t f = {.exp = 0};
    wh_json_at_t at;
    json_t *doc;
    char *json;
    size_t n;

    json = text != NULL ? open_signed(p, key, text, &n) : NULL;
    if (json == NULL || wh_json_load_object(p, json, n, &limits, &doc, NULL) != APR_SUCCESS)
        return bad(err);
    at = wh_json_root(doc);
    if (wh_json_fields(&at, fields, WH_ARRAY_LEN(fields), WH_JSON_STRICT, &f, NULL) != APR_SUCCESS)
        return bad(err);
    if (f.exp <= now)
        return wh_err_set(err, 401, "assertion_expired", "the assertion has expired");
    if (f.exp - now > 2 * apr_time_from_sec(WH_ASSERTION_TTL_S))
        return bad(err);
    *actor = f.actor;
    *action = f.action;
    *object = f.object;
    return APR_SUCCESS;
}
