/* wh_proto_msg_log: build_log, log_ack, app_status. */
#include <string.h>

#include "libwh/wh_proto_msg_int.h"
#include "libwh/wh_seq.h"

json_t *wh_proto_msg_build_log_encode(const wh_msg_build_log_t *m)
{
    json_t *lines = json_array();
    int i;

    for (i = 0; m->lines && lines && i < m->lines->nelts; i++) {
        const wh_msg_line_t *line = &APR_ARRAY_IDX(m->lines, i, wh_msg_line_t);
        (void)json_array_append_new(lines,
                                    json_pack("[I, I, s, s]", (json_int_t)line->seq,
                                              (json_int_t)line->at,
                                              wh_model_stream_text(line->stream), line->text));
    }
    return json_pack("{s:s, s:I, s:o, s:I}", "job", m->job, "epoch", (json_int_t)m->epoch,
                     "lines", lines, "dropped", (json_int_t)m->dropped);
}

/* [seq, time_us, stream, text] */
static apr_status_t line_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    const json_t *seq = json_array_get(at->obj, 0), *time = json_array_get(at->obj, 1);
    const json_t *stream = json_array_get(at->obj, 2), *text = json_array_get(at->obj, 3);
    wh_msg_line_t *line = element;

    if (json_array_size(at->obj) != 4 || !json_is_integer(seq) || !json_is_integer(time) ||
        !json_is_string(stream) || !json_is_string(text))
        return wh_err_field(err, at->pointer, "bad_payload",
                            "a line is [seq, time, stream, text]");
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
        return wh_err_field(err, at->pointer, "bad_payload",
                            "a line has at most 8 KiB and no NUL");
    return APR_SUCCESS;
}

static apr_status_t build_log(apr_pool_t *p, const wh_json_at_t *at, wh_msg_build_log_t *m,
                              wh_err_t *err)
{
    static const wh_proto_msg_int_array_t lines = {.key = "lines",
                                                   .max = WH_MSG_LINES_MAX,
                                                   .size = sizeof(wh_msg_line_t),
                                                   .item = line_item};
    wh_msg_ref_t ref = {0};
    int i;

    m->dropped = 0;
    TRY(wh_proto_msg_int_ref(at, &ref, err));
    m->job = ref.job;
    m->epoch = ref.epoch;
    TRY(wh_proto_msg_int_array(p, at, &lines, &m->lines, err));
    for (i = 1; i < m->lines->nelts; i++) {
        if (APR_ARRAY_IDX(m->lines, i, wh_msg_line_t).seq <=
            APR_ARRAY_IDX(m->lines, i - 1, wh_msg_line_t).seq)
            return wh_proto_msg_int_refuse(at, "lines", err, "line numbers must rise");
    }
    return wh_json_int(at, "dropped", WH_JSON_OPT(0, WH_SEQ_MAX), &m->dropped, err);
}

apr_status_t wh_proto_msg_build_log_decode(apr_pool_t *p, json_t *payload, wh_msg_build_log_t *m,
                                           wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(build_log(p, &at, m, err), err);
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

json_t *wh_proto_msg_app_status_encode(const wh_msg_app_status_t *m)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "app", m->app, "deployment",
                     m->deployment, "container", m->container, "state",
                     wh_model_observed_text(m->state), "reason", m->reason, "restarts",
                     (json_int_t)m->restarts);
}

static apr_status_t app_status(const wh_json_at_t *at, wh_msg_app_status_t *m, wh_err_t *err)
{
    const char *state = NULL;

    m->restarts = 0;
    TRY(wh_proto_msg_int_id(at, "app", &m->app, err));
    TRY(wh_proto_msg_int_id(at, "deployment", &m->deployment, err));
    TRY(wh_json_str(at, "container", WH_JSON_REQ(1, 128), &m->container, err));
    TRY(wh_json_str(at, "state", WH_JSON_REQ(1, 32), &state, err));
    if (!wh_model_observed_of(state, &m->state))
        return wh_proto_msg_int_refuse(at, "state", err, "this is no state");
    TRY(wh_proto_msg_int_text(at, "reason", WH_MSG_TEXT_MAX, &m->reason, err));
    return wh_json_int(at, "restarts", WH_JSON_OPT(0, WH_SEQ_MAX), &m->restarts, err);
}

apr_status_t wh_proto_msg_app_status_decode(apr_pool_t *p, json_t *payload,
                                            wh_msg_app_status_t *m, wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(app_status(&at, m, err), err);
}
