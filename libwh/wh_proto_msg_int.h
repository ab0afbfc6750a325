/* What the wh_proto_msg_*.c share; nobody else includes it. */
#ifndef WH_PROTO_MSG_INT_H
#define WH_PROTO_MSG_INT_H

#include "libwh/wh_json.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_try.h"

/* Every refusal of a payload has one code on the wire: this puts it, and returns rv. */
apr_status_t wh_proto_msg_int_bad(apr_status_t rv, wh_err_t *err);
/* bad_payload at at/key. */
apr_status_t wh_proto_msg_int_refuse(const wh_json_at_t *at, const char *key, wh_err_t *err,
                                     const char *what);

/* A 26 character id, required. */
apr_status_t wh_proto_msg_int_id(const wh_json_at_t *at, const char *key, const char **out,
                                 wh_err_t *err) WH_MUST_CHECK;
/* app, deployment, container: whose message it is. */
typedef struct wh_proto_msg_int_where_t {
    const char *app, *deployment, *container;
} wh_proto_msg_int_where_t;
apr_status_t wh_proto_msg_int_where(const wh_json_at_t *at, wh_proto_msg_int_where_t *out,
                                    wh_err_t *err) WH_MUST_CHECK;
/* job and epoch. */
apr_status_t wh_proto_msg_int_ref(const wh_json_at_t *at, wh_msg_ref_t *out,
                                  wh_err_t *err) WH_MUST_CHECK;
/* An optional text of at most max bytes; absent and null are "". */
apr_status_t wh_proto_msg_int_text(const wh_json_at_t *at, const char *key, apr_int64_t max,
                                   const char **out, wh_err_t *err) WH_MUST_CHECK;
/* A required integer from 0 (up to 2^53 - 1). */
apr_status_t wh_proto_msg_int_count(const wh_json_at_t *at, const char *key, apr_int64_t *out,
                                    wh_err_t *err) WH_MUST_CHECK;

/* The elements of array `key` (absent = none, at most max), each read by `item` into an element of
 * `size` bytes of the new array *out. */
typedef apr_status_t (*wh_proto_msg_int_item_fn)(const wh_json_at_t *at, void *element,
                                                 wh_err_t *err);
typedef struct wh_proto_msg_int_array_t {
    const char *key;
    apr_int64_t max;
    int size;
    wh_proto_msg_int_item_fn item;
} wh_proto_msg_int_array_t;
apr_status_t wh_proto_msg_int_array(apr_pool_t *p, const wh_json_at_t *at,
                                    const wh_proto_msg_int_array_t *spec, apr_array_header_t **out,
                                    wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_proto_msg_int_refs(apr_pool_t *p, const wh_json_at_t *at, const char *key,
                                   apr_array_header_t **out, wh_err_t *err) WH_MUST_CHECK;

/* Array of {job, epoch}; a new reference. */
json_t *wh_proto_msg_int_refs_json(const apr_array_header_t *refs);

/* The payload as a place, kept alive by p; refuses what is no object. */
apr_status_t wh_proto_msg_int_root(apr_pool_t *p, json_t *payload, wh_json_at_t *at,
                                   wh_err_t *err) WH_MUST_CHECK;

/* A text, or null when it is empty; a new reference. */
json_t *wh_proto_msg_int_null(const char *s);

#endif
