#include "wh-scheduler/forges.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_backoff.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "libwh/wh_mask.h"
#include "libwh/wh_secret.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-scheduler/forges_text.h"
#include "whdb/wh_db_deployment.h"

#define AT_ONCE 16
#define LEASE_US apr_time_from_sec(60) /* longer than a request may take */
#define FIRST_US apr_time_from_sec(10)
#define MOST_US apr_time_from_sec(3600)
#define ATTEMPTS_MAX 16 /* some ten hours */
#define SAID_MAX 200
#define SAID_READ 4096 /* bytes in which a secret is looked for, more than are shown */
#define NO_MORE WH_FORGE_ACTIONS /* nothing is to be sent after this */

/* One thing to be said, and to whom. */
typedef struct talk_t {
    wh_db_forge_say_t say;
    wh_forge_action_e action;
    wh_db_forge_t f; /* read anew for each answer */
    const wh_forge_t *forge;
    wh_db_forge_request_t request; /* of a comment */
    wh_deployment_t *d;            /* NULL = none */
} talk_t;

static wh_httpout_done_fn answered;

static int is(const talk_t *t, const char *kind)
{
    return strcmp(t->say.kind, kind) == 0;
}

/* ---- What it is about ---- */

static apr_status_t none_is_fine(apr_status_t rv, wh_err_t *err, int *there)
{
    *there = rv == APR_SUCCESS;
    if (rv == APR_NOTFOUND) {
        wh_err_clear(err);
        rv = APR_SUCCESS;
    }
    return rv;
}

/* *there = 0: there is nothing to be said any more. */
static apr_status_t read_subject(wh_core_t *core, apr_pool_t *p, talk_t *t, int *there,
                                 wh_err_t *err)
{
    int some = 0;
    apr_status_t rv = APR_SUCCESS;

    t->d = NULL;
    if (is(t, WH_FORGE_SAY_STATUS)) {
        rv = none_is_fine(wh_db_deployment_get(core->dbc, p, t->say.subject, &t->d, err), err,
                          there);
        *there = rv == APR_SUCCESS && *there && t->d->commit_sha[0] != '\0';
    } else if (is(t, WH_FORGE_SAY_COMMENT)) {
        rv = none_is_fine(
            wh_db_forge_request_get(core->dbc, p, t->say.hook_id, t->say.subject, &t->request, err),
            err, there);
        if (rv == APR_SUCCESS && *there) {
            rv = none_is_fine(
                wh_db_deployment_newest(core->dbc, p, t->f.app_id, t->say.subject, &t->d, err), err,
                &some);
            t->d = some ? t->d : NULL;
        }
    }
    return rv;
}

static apr_status_t read_talk(wh_core_t *core, apr_pool_t *p, talk_t *t, int *there, wh_err_t *err)
{
    apr_status_t rv =
        none_is_fine(wh_db_forge_get(core->dbc, p, t->say.hook_id, &t->f, err), err, there);

    if (rv != APR_SUCCESS || !*there) {
        return rv;
    }
    t->forge = wh_forge_of(t->f.provider);
    *there =
        t->forge != NULL && (is(t, WH_FORGE_SAY_UNHOOK) || (!t->f.stopped && t->f.deleted_at == 0));
    return *there ? read_subject(core, p, t, there, err) : APR_SUCCESS;
}

/* What is known there is changed; of what is not, it is asked first whether it is there all the
 * same: an answer may have been lost. */
static wh_forge_action_e first_action(const talk_t *t)
{
    if (is(t, WH_FORGE_SAY_STATUS)) {
        return WH_FORGE_STATUS;
    }
    if (is(t, WH_FORGE_SAY_COMMENT)) {
        return t->request.comment_id[0] != '\0' ? WH_FORGE_COMMENT_SET : WH_FORGE_COMMENT_FIND;
    }
    if (t->f.remote_id[0] == '\0') {
        return WH_FORGE_HOOK_FIND;
    }
    return is(t, WH_FORGE_SAY_UNHOOK) ? WH_FORGE_HOOK_REMOVE : WH_FORGE_HOOK_SET;
}

/* ---- Sending ---- */

static apr_status_t open_token(const wh_core_t *core, apr_pool_t *p, const wh_db_forge_t *f,
                               const char **token, wh_err_t *err)
{
    const wh_secret_ring_t ring = wh_core_ring(core);
    const wh_secret_for_t what = wh_db_forge_for(&f->hook_id);
    wh_secret_bytes_t text;
    apr_status_t rv = wh_secret_open(p, &ring, f->key_id, &what, f->sealed, &text, err);

    if (rv == APR_SUCCESS) {
        *token = text.at;
    }
    return rv;
}

static void fill(const wh_core_t *core, apr_pool_t *p, const talk_t *t, wh_forge_vars_t *vars)
{
    wh_keys_t keys;

    vars->api = t->f.api;
    vars->repository = t->f.repository;
    vars->url = t->f.url;
    vars->id = is(t, WH_FORGE_SAY_COMMENT) ? t->request.comment_id : t->f.remote_id;
    if (is(t, WH_FORGE_SAY_HOOK)) {
        wh_keys_derive(core->env_root, &keys);
        vars->secret = wh_keys_hook_secret(p, &keys, t->f.hook_id, t->f.secret_n);
        wh_sign_wipe(&keys, sizeof(keys));
    } else if (is(t, WH_FORGE_SAY_STATUS)) {
        wh_forges_status(p, &t->f, t->d, vars);
    } else if (is(t, WH_FORGE_SAY_COMMENT)) {
        vars->number = t->request.number;
        vars->text = wh_forges_comment(p, &t->f, &t->request, t->d);
    }
}

static wh_httpout_req_t *request_of(const talk_t *t, const wh_forge_call_t *call)
{
    wh_httpout_req_t *req = wh_httpout_request(t->f.slug, answered);
    talk_t *mine;
    int ok = 1;

    if (req == NULL) {
        return NULL;
    }
    mine = apr_pcalloc(req->pool, sizeof(*mine));
    mine->say = (wh_db_forge_say_t){.hook_id = apr_pstrdup(req->pool, t->say.hook_id),
                                    .kind = apr_pstrdup(req->pool, t->say.kind),
                                    .subject = apr_pstrdup(req->pool, t->say.subject),
                                    .version = t->say.version,
                                    .attempts = t->say.attempts};
    mine->action = t->action;
    req->baton = mine;
    req->method = call->method;
    req->url = apr_pstrdup(req->pool, call->url);
    req->body = call->body != NULL ? apr_pstrdup(req->pool, call->body) : NULL;
    req->body_len = req->body != NULL ? strlen(req->body) : 0;
    req->answer_max = 1024 * 1024; /* a list of comments */
    for (size_t i = 0; i < WH_ARRAY_LEN(call->headers) && call->headers[i][0] != NULL; i++) {
        ok = ok && wh_httpout_header(req, call->headers[i][0], call->headers[i][1]);
    }
    if (!ok) {
        apr_pool_destroy(req->pool);
    }
    return ok ? req : NULL;
}

static apr_status_t send_it(wh_core_t *core, apr_pool_t *p, talk_t *t, apr_time_t now,
                            wh_err_t *err)
{
    wh_forge_vars_t vars = {.api = NULL};
    wh_httpout_req_t *req;
    wh_forge_call_t call;
    apr_status_t rv = wh_db_forge_later(core->dbc, p, &t->say, now + LEASE_US, 0, err);

    rv = rv == APR_SUCCESS ? open_token(core, p, &t->f, &vars.token, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    fill(core, p, t, &vars);
    wh_forge_call(p, t->forge, t->action, &vars, &call);
    req = request_of(t, &call);
    if (req != NULL) {
        wh_httpout_send(core->http, req);
    }
    return APR_SUCCESS;
}

/* ---- Answers ---- */

/* What a forge says, without what we said to it: some put the token into their answer. "" when that
 * cannot be told apart. */
static const char *cleaned(const wh_core_t *core, apr_pool_t *p, const talk_t *t, const char *text)
{
    const char *line = wh_text_clean_line(p, text, strlen(text), SAID_READ), *values[2];
    wh_err_t err = WH_ERR_INIT;
    wh_keys_t keys;
    size_t n;

    if (open_token(core, p, &t->f, &values[0], &err) != APR_SUCCESS) {
        return "";
    }
    wh_keys_derive(core->env_root, &keys);
    values[1] = wh_keys_hook_secret(p, &keys, t->f.hook_id, t->f.secret_n);
    wh_sign_wipe(&keys, sizeof(keys));
    line = wh_mask_text(p, wh_mask_make(p, values, WH_ARRAY_LEN(values)), NULL, line, strlen(line),
                        &n);
    return wh_text_cap(p, line, SAID_MAX);
}

/* "it answers 401: Bad credentials", for people. */
static const char *said(const wh_core_t *core, apr_pool_t *p, const talk_t *t,
                        const wh_httpout_req_t *a)
{
    const char *name = wh_hook_provider(t->f.provider)->title, *text = NULL;
    json_t *doc;

    if (a->status == 0) {
        return a->err.text;
    }
    if (wh_json_load_object(p, a->answer, a->answer_len, NULL, &doc, NULL) == APR_SUCCESS) {
        text = json_string_value(json_object_get(doc, "message"));
        text = text != NULL
                   ? text
                   : json_string_value(json_object_get(json_object_get(doc, "error"), "message"));
    }
    text = text != NULL ? cleaned(core, p, t, text) : "";
    return apr_psprintf(p, "%s answers %d%s%s", name, a->status, *text ? ": " : ".", text);
}

/* What was found or made there is remembered. */
static apr_status_t remember(wh_core_t *core, apr_pool_t *p, const talk_t *t, const char *id,
                             wh_err_t *err)
{
    return is(t, WH_FORGE_SAY_COMMENT)
               ? wh_db_forge_request_comment(core->dbc, p, &t->request, id, err)
               : wh_db_forge_remote(core->dbc, p, t->f.hook_id, id, err);
}

static apr_status_t found(wh_core_t *core, apr_pool_t *p, talk_t *t, const wh_httpout_req_t *a,
                          wh_forge_action_e *next, wh_err_t *err)
{
    int comment = t->action == WH_FORGE_COMMENT_FIND;
    const char *what = comment ? wh_forges_marker(p, &t->f, t->say.subject) : t->f.url;
    const char *id = wh_forge_find(p, t->forge, t->action, what, a->answer, a->answer_len);

    if (comment) {
        *next = id != NULL ? WH_FORGE_COMMENT_SET : WH_FORGE_COMMENT_ADD;
    } else if (is(t, WH_FORGE_SAY_UNHOOK)) {
        *next = id != NULL ? WH_FORGE_HOOK_REMOVE : NO_MORE;
    } else {
        *next = id != NULL ? WH_FORGE_HOOK_SET : WH_FORGE_HOOK_ADD;
    }
    if (id != NULL) {
        return remember(core, p, t, id, err);
    }
    return *next == NO_MORE ? wh_db_forge_remove(core->dbc, p, t->f.hook_id, err) : APR_SUCCESS;
}

/* It was said. */
static apr_status_t over(wh_core_t *core, apr_pool_t *p, const talk_t *t, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (is(t, WH_FORGE_SAY_UNHOOK)) {
        return wh_db_forge_remove(core->dbc, p, t->f.hook_id, err);
    }
    if (is(t, WH_FORGE_SAY_COMMENT) && t->request.closed) {
        rv = wh_db_forge_request_over(core->dbc, p, &t->request, err);
    }
    return rv == APR_SUCCESS ? wh_db_forge_said(core->dbc, p, &t->say, err) : rv;
}

static apr_status_t done(wh_core_t *core, apr_pool_t *p, talk_t *t, const wh_httpout_req_t *a,
                         wh_forge_action_e *next, wh_err_t *err)
{
    const char *id = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (t->action == WH_FORGE_HOOK_FIND || t->action == WH_FORGE_COMMENT_FIND) {
        return found(core, p, t, a, next, err);
    }
    if (t->action == WH_FORGE_HOOK_ADD || t->action == WH_FORGE_COMMENT_ADD) {
        id = wh_forge_id(p, t->forge, a->answer, a->answer_len);
    } else if (t->action == WH_FORGE_HOOK_SET) {
        id = t->f.remote_id; /* what was wrong with it is not any more */
    }
    rv = id != NULL ? remember(core, p, t, id, err) : rv;
    return rv == APR_SUCCESS ? over(core, p, t, err) : rv;
}

static apr_status_t again(wh_core_t *core, apr_pool_t *p, const talk_t *t,
                          const wh_httpout_req_t *a, apr_time_t now, wh_err_t *err)
{
    const char *after = apr_table_get(a->heads, "Retry-After");
    apr_interval_time_t wait =
        wh_backoff_wait(FIRST_US, MOST_US, (unsigned)t->say.attempts, wh_rand_jitter(core->rand));
    apr_int64_t asked = 0;
    apr_status_t rv = wh_db_forge_error(core->dbc, p, t->f.hook_id, said(core, p, t, a), err);

    if (rv == APR_SUCCESS && t->say.attempts + 1 >= ATTEMPTS_MAX) {
        return over(core, p, t, err);
    }
    if (after != NULL && wh_text_number(after, 1, 3600, &asked) &&
        apr_time_from_sec(asked) > wait) {
        wait = apr_time_from_sec(asked);
    }
    return rv == APR_SUCCESS ? wh_db_forge_later(core->dbc, p, &t->say, now + wait, 1, err) : rv;
}

/* Nothing more is said until somebody gives another token. */
static apr_status_t stop(wh_core_t *core, apr_pool_t *p, const talk_t *t, const wh_httpout_req_t *a,
                         wh_err_t *err)
{
    const char *why = said(core, p, t, a);

    wh_log(WH_LOG_WARN, "WH0535", "app %s, hook %s: nothing is said to its forge any more: %s",
           t->f.slug, t->f.hook_id, why);
    if (is(t, WH_FORGE_SAY_UNHOOK)) {
        return wh_db_forge_remove(core->dbc, p, t->f.hook_id, err);
    }
    return wh_db_forge_stop(core->dbc, p, t->f.hook_id, why, err);
}

static wh_forge_verdict_e verdict_of(const talk_t *t, const wh_httpout_req_t *a)
{
    const char *left = apr_table_get(a->heads, "X-RateLimit-Remaining");

    if (wh_err_is(&a->err, "http_refused")) {
        return WH_FORGE_STOP;
    }
    return wh_forge_verdict(t->action, a->status,
                            apr_table_get(a->heads, "Retry-After") != NULL ||
                                (left != NULL && strcmp(left, "0") == 0));
}

static apr_status_t judge(wh_core_t *core, apr_pool_t *p, talk_t *t, const wh_httpout_req_t *a,
                          apr_time_t now, wh_forge_action_e *next, wh_err_t *err)
{
    apr_status_t rv;

    switch (verdict_of(t, a)) {
    case WH_FORGE_DONE:
        return done(core, p, t, a, next, err);
    case WH_FORGE_AGAIN:
        return again(core, p, t, a, now, err);
    case WH_FORGE_GONE: /* somebody took it away: it is made anew */
        *next = t->action == WH_FORGE_HOOK_SET ? WH_FORGE_HOOK_ADD : WH_FORGE_COMMENT_ADD;
        return remember(core, p, t, "", err);
    case WH_FORGE_STOP:
        return stop(core, p, t, a, err);
    case WH_FORGE_NO:
    default:
        rv = wh_db_forge_error(core->dbc, p, t->f.hook_id, said(core, p, t, a), err);
        return rv == APR_SUCCESS ? over(core, p, t, err) : rv;
    }
}

static apr_status_t answered(wh_core_t *core, apr_pool_t *p, const wh_httpout_req_t *a,
                             apr_time_t now, wh_err_t *err)
{
    talk_t t = *(const talk_t *)a->baton;
    wh_forge_action_e next = NO_MORE;
    int there = 0;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? read_talk(core, p, &t, &there, err) : rv;
    if (rv == APR_SUCCESS) {
        rv = there ? judge(core, p, &t, a, now, &next, err)
                   : wh_db_forge_said(core->dbc, p, &t.say, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    if (next != NO_MORE) {
        rv = read_talk(core, p, &t, &there, err); /* with what was remembered */
        t.action = next;
        rv = rv == APR_SUCCESS && there ? send_it(core, p, &t, now, err) : rv;
    }
    return rv;
}

/* ---- What is due ---- */

static apr_status_t say_one(wh_core_t *core, apr_pool_t *p, const wh_db_forge_say_t *say,
                            apr_time_t now, wh_err_t *err)
{
    talk_t t = {.say = *say};
    int there = 0;
    apr_status_t rv = read_talk(core, p, &t, &there, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!there) {
        return wh_db_forge_said(core->dbc, p, say, err);
    }
    t.action = first_action(&t);
    rv = send_it(core, p, &t, now, err);
    if (rv != APR_SUCCESS && !wh_core_may_retry(err)) { /* its token does not open */
        wh_err_t why = *err;

        wh_err_clear(err);
        rv = wh_db_forge_stop(core->dbc, p, t.f.hook_id, why.text, err);
    }
    return rv;
}

static apr_status_t seal_anew(wh_core_t *core, apr_pool_t *p, const wh_db_forge_t *f, wh_err_t *err)
{
    const wh_secret_ring_t ring = wh_core_ring(core);
    const wh_secret_for_t what = wh_db_forge_for(&f->hook_id);
    const char *token, *sealed;
    apr_status_t rv = open_token(core, p, f, &token, err);

    if (rv == APR_SUCCESS) {
        rv = wh_secret_seal(p, &ring, core->rand, &what,
                            (wh_secret_bytes_t){.at = token, .n = strlen(token)}, &sealed, err);
    }
    return rv == APR_SUCCESS ? wh_db_forge_reseal(core->dbc, p, f, core->env_key, sealed, err) : rv;
}

/* After a rotation, as env vars are. */
static apr_status_t stale(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_array_header_t *list;
    apr_status_t rv = wh_db_forge_stale(core->dbc, p, core->env_key, AT_ONCE, &list, err);

    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        const wh_db_forge_t *f = &APR_ARRAY_IDX(list, i, wh_db_forge_t);

        rv = wh_core_only(core, seal_anew(core, p, f, err), f->hook_id, err);
    }
    return rv;
}

apr_status_t wh_forges_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    int room = wh_httpout_room(core->http);
    apr_array_header_t *due;
    apr_status_t rv = core->env_key > 1 ? stale(core, p, err) : APR_SUCCESS;

    if (rv != APR_SUCCESS || room == 0 || core->env_key == 0) {
        return rv;
    }
    rv = wh_db_forge_due(core->dbc, p, now, room < AT_ONCE ? room : AT_ONCE, &due, err);
    for (int i = 0; rv == APR_SUCCESS && i < due->nelts; i++) {
        const wh_db_forge_say_t *say = &APR_ARRAY_IDX(due, i, wh_db_forge_say_t);

        rv = wh_core_only(core, say_one(core, p, say, now, err), say->hook_id, err);
    }
    return rv;
}
