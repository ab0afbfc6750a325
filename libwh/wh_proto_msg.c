/* wh_proto_msg: what the payload files share. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_proto_msg_int.h"
#include "libwh/wh_seq.h"

apr_status_t wh_proto_msg_int_bad(apr_status_t rv, wh_err_t *err)
{
    if (rv != APR_SUCCESS && err) {
        err->http = 400;
        apr_cpystrn(err->code, "bad_payload", sizeof(err->code));
    }
    return rv;
}

apr_status_t wh_proto_msg_int_refuse(const wh_json_at_t *at, const char *key, wh_err_t *err,
                                     const char *what)
{
    char where[128];

    return wh_err_field(err, wh_json_pointer(at, key, where), "bad_payload", "%s", what);
}

apr_status_t wh_proto_msg_int_id(const wh_json_at_t *at, const char *key, const char **out,
                                 wh_err_t *err)
{
    TRY(wh_json_str(at, key, WH_JSON_REQ(WH_ID_LEN, WH_ID_LEN), out, err));
    if (!wh_id_ok(*out))
        return wh_proto_msg_int_refuse(at, key, err, "this is no id");
    return APR_SUCCESS;
}

apr_status_t wh_proto_msg_int_where(const wh_json_at_t *at, wh_proto_msg_int_where_t *out,
                                    wh_err_t *err)
{
    TRY(wh_proto_msg_int_id(at, "app", &out->app, err));
    TRY(wh_proto_msg_int_id(at, "deployment", &out->deployment, err));
    return wh_json_str(at, "container", WH_JSON_REQ(1, 128), &out->container, err);
}

apr_status_t wh_proto_msg_int_ref(const wh_json_at_t *at, wh_msg_ref_t *out, wh_err_t *err)
{
    TRY(wh_proto_msg_int_id(at, "job", &out->job, err));
    return wh_json_int(at, "epoch", WH_JSON_REQ(1, WH_SEQ_MAX), &out->epoch, err);
}

apr_status_t wh_proto_msg_int_text(const wh_json_at_t *at, const char *key, apr_int64_t max,
                                   const char **out, wh_err_t *err)
{
    *out = "";
    TRY(wh_json_str(at, key, WH_JSON_RULE(WH_JSON_F_NULL | WH_JSON_F_ANY, 0, max), out, err));
    if (!*out)
        *out = "";
    return APR_SUCCESS;
}

apr_status_t wh_proto_msg_int_count(const wh_json_at_t *at, const char *key, apr_int64_t *out,
                                    wh_err_t *err)
{
    return wh_json_int(at, key, WH_JSON_REQ(0, WH_SEQ_MAX), out, err);
}

apr_status_t wh_proto_msg_int_array(apr_pool_t *p, const wh_json_at_t *at,
                                    const wh_proto_msg_int_array_t *spec, apr_array_header_t **out,
                                    wh_err_t *err)
{
    const json_t *array = NULL;
    size_t i, n;

    TRY(wh_json_arr(at, spec->key, WH_JSON_OPT(0, spec->max), &array, err));
    n = array ? json_array_size(array) : 0;
    *out = apr_array_make(p, n ? (int)n : 1, spec->size);
    for (i = 0; i < n; i++) {
        const json_t *obj = json_array_get(array, i);
        wh_json_at_t item = wh_json_item(at, spec->key, i, obj);
        void *element = apr_array_push(*out);

        memset(element, 0, (size_t)spec->size);
        TRY(spec->item(&item, element, err));
    }
    return APR_SUCCESS;
}

static apr_status_t ref_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "bad_payload", "{job, epoch} is wanted here");
    return wh_proto_msg_int_ref(at, element, err);
}

apr_status_t wh_proto_msg_int_refs(apr_pool_t *p, const wh_json_at_t *at, const char *key,
                                   apr_array_header_t **out, wh_err_t *err)
{
    const wh_proto_msg_int_array_t spec = {
        .key = key, .max = WH_MSG_RUNNING_MAX, .size = sizeof(wh_msg_ref_t), .item = ref_item};

    return wh_proto_msg_int_array(p, at, &spec, out, err);
}

json_t *wh_proto_msg_int_refs_json(const apr_array_header_t *refs)
{
    json_t *array = json_array();
    int i;

    for (i = 0; refs && array && i < refs->nelts; i++)
        (void)json_array_append_new(array,
                                    wh_proto_msg_ref_encode(&APR_ARRAY_IDX(refs, i, wh_msg_ref_t)));
    return array;
}

apr_status_t wh_proto_msg_int_root(apr_pool_t *p, json_t *payload, wh_json_at_t *at, wh_err_t *err)
{
    if (!json_is_object(payload))
        return wh_err_set(err, 400, "bad_payload", "a payload is an object");
    *at = wh_json_root(wh_json_own(p, json_incref(payload)));
    return APR_SUCCESS;
}

json_t *wh_proto_msg_int_null(const char *s)
{
    return s && *s ? json_string(s) : json_null();
}

json_t *wh_proto_msg_ref_encode(const wh_msg_ref_t *m)
{
    return json_pack("{s:s, s:I}", "job", m->job, "epoch", (json_int_t)m->epoch);
}

apr_status_t wh_proto_msg_ref_decode(apr_pool_t *p, json_t *payload, wh_msg_ref_t *m, wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(wh_proto_msg_int_ref(&at, m, err), err);
}
