#include "wh-scheduler/hub_dispatch.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_assertion.h"
#include "libwh/wh_log.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_text.h"

#define REFUSED_SAID 20

int wh_hub_dispatch_out(const wh_hub_env_t *env, wh_hub_conn_t *conn, const char *type,
                        json_t *payload)
{
    const char *id = wh_rand_hex(env->scratch, env->rand, WH_PROTO_ID_HEX / 2);
    size_t len = 0;
    char *text = NULL;
    int code;

    if (id != NULL) {
        text = wh_proto_seal(env->scratch, &conn->link, type, id, wh_clock_now(env->clock), payload,
                             &len);
    }
    if (text == NULL) {
        wh_log(WH_LOG_ERROR, "WH0400", "worker %" APR_INT64_T_FMT ": a %s frame cannot be made",
               conn->worker, type);
        return 1011;
    }
    code = wh_hub_conn_queue(conn, text, len, wh_clock_mono(env->clock));
    if (code == 0 && strncmp(type, "job", 3) == 0) { /* job, job_go, job_cancel */
        wh_hub_conn_handed(conn);
    }
    return code;
}

static int answer_error(const wh_hub_env_t *env, wh_hub_conn_t *conn, const char *in_reply_to,
                        const char *code, const char *message)
{
    wh_msg_error_t m = {.in_reply_to = in_reply_to, .code = code, .message = message};
    json_t *payload = wh_proto_msg_error_encode(&m);
    int close_code = wh_hub_dispatch_out(env, conn, "error", payload);

    json_decref(payload);
    return close_code;
}

/* What makes us write to the database or the log at a worker's word, and is rare in honest lives,
 * weighs more than the rest. */
static int weight_of(wh_msg_e type)
{
    static const unsigned char heavy[WH_MSG_COUNT] = {[WH_MSG_HELLO] = 100,
                                                      [WH_MSG_ERROR] = WH_HUB_DISPATCH_HEAVY,
                                                      [WH_MSG_VIOLATION] = WH_HUB_DISPATCH_HEAVY,
                                                      [WH_MSG_APP_STATUS] = 10,
                                                      [WH_MSG_JOB_STATUS] = 5};

    return type < WH_MSG_COUNT && heavy[type] > 0 ? heavy[type] : 1;
}

/* The first few, then one in a hundred. */
static void say_refused(wh_hub_conn_t *conn, const wh_err_t *err)
{
    conn->weight = WH_HUB_DISPATCH_HEAVY;
    if (conn->refused++ < REFUSED_SAID || conn->refused % 100 == 0) {
        wh_log(WH_LOG_WARN, "WH0401",
               "worker %" APR_INT64_T_FMT ": frame refused: %s (%s), number %" APR_INT64_T_FMT
               " of this connection",
               conn->worker, err->text, err->code, conn->refused);
    }
}

/* The share of the mailbox that one connection may hold. */
static void account(wh_hub_conn_t *conn, wh_work_t *work)
{
    conn->pending++;
    conn->pending_bytes += conn->in_len;
    if (conn->pending >= WH_HUB_CONN_PENDING || conn->pending_bytes >= WH_HUB_CONN_PENDING_BYTES) {
        work->resume = 1;
        conn->paused |= WH_HUB_PAUSE_DB;
    }
}

int wh_hub_dispatch_in(const wh_hub_env_t *env, wh_hub_conn_t *conn)
{
    wh_err_t err = WH_ERR_INIT;
    wh_work_t *work = wh_mailbox_work(WH_WORK_FRAME, conn->id, conn->worker);
    int code;

    conn->weight = 1;
    if (work == NULL) {
        return 1011;
    }
    if (wh_proto_open(work->pool, &conn->link, conn->in, conn->in_len, wh_clock_now(env->clock),
                      &work->msg, &err) != APR_SUCCESS) {
        code = wh_proto_close_code(err.code);
        say_refused(conn, &err);
        apr_pool_destroy(work->pool);
        return code != 0 ? code : answer_error(env, conn, "", err.code, err.text);
    }
    if (work->msg.type == WH_MSG_UNKNOWN) {
        wh_log(
            WH_LOG_DEBUG, NULL, "worker %" APR_INT64_T_FMT ": unknown frame type \"%s\"",
            conn->worker,
            wh_text_log_escape(work->pool, work->msg.type_name, strlen(work->msg.type_name), 64));
        code = answer_error(env, conn, work->msg.id, "unknown_type",
                            "This hub does not know that type of frame.");
        apr_pool_destroy(work->pool);
        return code;
    }
    conn->weight = weight_of(work->msg.type);
    account(conn, work);
    wh_mailbox_put(env->box, work);
    return 0;
}

int wh_hub_dispatch_event(const wh_hub_env_t *env, const wh_hub_conn_t *conn, wh_work_kind_e kind)
{
    wh_work_t *work = wh_mailbox_work(kind, conn->id, conn->worker);

    if (work == NULL) {
        return 0;
    }
    wh_mailbox_put(env->box, work);
    return 1;
}

apr_int64_t wh_hub_dispatch_worker(const wh_hub_env_t *env, const unsigned char key[32],
                                   const char *assertion, wh_err_t *err)
{
    const char *actor, *action, *object;
    apr_int64_t worker;
    char *end;

    if (wh_assertion_verify(env->scratch, key, assertion, wh_clock_now(env->clock), &actor, &action,
                            &object, err) != APR_SUCCESS) {
        return 0;
    }
    if (strcmp(action, "worker.connect") != 0 || strcmp(object, "hub") != 0 ||
        strncmp(actor, "worker:", 7) != 0 || actor[7] < '1' || actor[7] > '9') {
        wh_err_set(err, 403, "bad_assertion", "the assertion is for something else");
        return 0;
    }
    worker = apr_strtoi64(actor + 7, &end, 10);
    if (*end != '\0' || worker <= 0) {
        wh_err_set(err, 403, "bad_assertion", "the assertion names no worker");
        return 0;
    }
    return worker;
}
