/* wh_proto_msg_log: build_log, runtime_log, log_ack. */
#include <string.h>

#include "libwh/wh_proto_msg_int.h"
#include "libwh/wh_seq.h"

static json_t *lines_json(const apr_array_header_t *lines)
{
    json_t *array = json_array();
    int i;

    for (i = 0; lines && array && i < lines->nelts; i++) {
        const wh_msg_line_t *line = &APR_ARRAY_IDX(lines, i, wh_msg_line_t);
        (void)json_array_append_new(
            array, json_pack("[I, I, s, s]", (json_int_t)line->seq, (json_int_t)line->at,
                             wh_model_stream_text(line->stream), line->text));
    }
    return array;
}

json_t *wh_proto_msg_build_log_encode(const wh_msg_build_log_t *m)
{
    return json_pack("{s:s, s:I, s:o, s:I}", "job", m->job, "epoch", (json_int_t)m->epoch, "lines",
                     lines_json(m->lines), "dropped", (json_int_t)m->dropped);
}

/* [seq, time_us, stream, text] */
static apr_status_t line_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    const json_t *seq = json_array_get(at->obj, 0), *time = json_array_get(at->obj, 1);
    const json_t *stream = json_array_get(at->obj, 2), *text = json_array_get(at->obj, 3);
    wh_msg_line_t *line = element;

    if (json_array_size(at->obj) != 4 || !json_is_integer(seq) || !json_is_integer(time) ||
        !json_is_string(stream) || !json_is_string(text))
        return wh_err_field(err, at->pointer, "bad_payload", "a line is [seq, time, stream, text]");
    line->seq = json_integer_value(seq);
    line->at = json_integer_value(time);
    line->text = json_string_value(text);
    if (line->seq < 1 || line->seq > APR_INT64_C(WH_SEQ_MAX) || line->at < 0 ||
        line->at > APR_INT64_C(WH_SEQ_MAX))
        return wh_err_field(err, at->pointer, "bad_payload", "a number is out of range");
    if (!wh_model_stream_of(json_string_value(stream), &line->stream))
        return wh_err_field(err, at->pointer, "bad_payload", "a stream is out, err or sys");
    if (json_string_length(text) > WH_MSG_LINE_BYTES ||
        strlen(line->text) != json_string_length(text))
        return wh_err_field(err, at->pointer, "bad_payload", "a line has at most 8 KiB and no NUL");
    return APR_SUCCESS;
}

/* lines and dropped, as both logs have them. */
static apr_status_t lines_of(apr_pool_t *p, const wh_json_at_t *at, apr_array_header_t **lines,
                             apr_int64_t *dropped, wh_err_t *err)
{
    static const wh_proto_msg_int_array_t spec = {
        .key = "lines", .max = WH_MSG_LINES_MAX, .size = sizeof(wh_msg_line_t), .item = line_item};
    int i;

    TRY(wh_proto_msg_int_array(p, at, &spec, lines, err));
    for (i = 1; i < (*lines)->nelts; i++) {
        if (APR_ARRAY_IDX(*lines, i, wh_msg_line_t).seq <=
            APR_ARRAY_IDX(*lines, i - 1, wh_msg_line_t).seq)
            return wh_proto_msg_int_refuse(at, "lines", err, "line numbers must rise");
    }
    *dropped = 0;
    return wh_json_int(at, "dropped", WH_JSON_OPT(0, WH_SEQ_MAX), dropped, err);
}

static apr_status_t build_log(apr_pool_t *p, const wh_json_at_t *at, wh_msg_build_log_t *m,
                              wh_err_t *err)
{
    wh_msg_ref_t ref = {0};

    TRY(wh_proto_msg_int_ref(at, &ref, err));
    m->job = ref.job;
    m->epoch = ref.epoch;
    return lines_of(p, at, &m->lines, &m->dropped, err);
}

apr_status_t wh_proto_msg_build_log_decode(apr_pool_t *p, json_t *payload, wh_msg_build_log_t *m,
                                           wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(build_log(p, &at, m, err), err);
}

json_t *wh_proto_msg_runtime_log_encode(const wh_msg_runtime_log_t *m)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:I}", "app", m->app, "deployment", m->deployment,
                     "container", m->container, "lines", lines_json(m->lines), "dropped",
                     (json_int_t)m->dropped);
}

static apr_status_t runtime_log(apr_pool_t *p, const wh_json_at_t *at, wh_msg_runtime_log_t *m,
                                wh_err_t *err)
{
    wh_proto_msg_int_where_t where = {0};

    TRY(wh_proto_msg_int_where(at, &where, err));
    m->app = where.app;
    m->deployment = where.deployment;
    m->container = where.container;
    return lines_of(p, at, &m->lines, &m->dropped, err);
}

apr_status_t wh_proto_msg_runtime_log_decode(apr_pool_t *p, json_t *payload,
                                             wh_msg_runtime_log_t *m, wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(runtime_log(p, &at, m, err), err);
}

json_t *wh_proto_msg_log_ack_encode(const wh_msg_log_ack_t *m)
{
    return json_pack("{s:s, s:I}", "job", m->job, "seq", (json_int_t)m->seq);
}

static apr_status_t log_ack(const wh_json_at_t *at, wh_msg_log_ack_t *m, wh_err_t *err)
{
    TRY(wh_proto_msg_int_id(at, "job", &m->job, err));
    return wh_proto_msg_int_count(at, "seq", &m->seq, err);
}

apr_status_t wh_proto_msg_log_ack_decode(apr_pool_t *p, json_t *payload, wh_msg_log_ack_t *m,
                                         wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(log_ack(&at, m, err), err);
}
