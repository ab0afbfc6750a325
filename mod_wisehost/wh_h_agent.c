#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_batch.h"
#include "libwh/wh_fault.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "mod_wisehost/wh_mod_store.h"
#include "whdb/wh_db_release.h"

/*
 * A static release on its way from an agent. Each call was let in only because the job that it
 * names is processing on the calling worker at that epoch (wh_mod_object), so a worker reaches its
 * own upload alone; and an object is taken only when that job announced it.
 */

static wh_mod_store_t store_of(wh_call_t *c)
{
    return (wh_mod_store_t){.p = c->p, .state_dir = wh_mod_conf_state_dir(c->r->server)};
}

static wh_mod_upload_t upload_of(wh_call_t *c)
{
    return (wh_mod_upload_t){.job = c->claim.job_id, .epoch = c->claim.epoch};
}

/* Going on would be work for nothing. */
static apr_status_t check_wanted(wh_call_t *c)
{
    return c->job->cancel_at ? wh_err_set(&c->err, 409, "canceled", "The job is to be canceled.")
                             : APR_SUCCESS;
}

typedef struct missing_t {
    const wh_mod_store_t *store;
    apr_hash_t *seen;
    json_t *list;
} missing_t;

static int look(void *baton, const char *sha256, apr_off_t size)
{
    missing_t *missing = baton;

    if (apr_hash_get(missing->seen, sha256, WH_SHA256_HEX)) {
        return 0;
    }
    apr_hash_set(missing->seen, sha256, WH_SHA256_HEX, sha256);
    if (!wh_mod_store_keep(missing->store, sha256, size)) {
        json_array_append_new(missing->list, json_string(sha256));
    }
    return 0;
}

/* Each hash once, though many files may have one content. */
static json_t *missing_objects(wh_call_t *c, const wh_mod_store_t *store, const wh_manifest_t *m)
{
    missing_t missing = {.store = store, .seen = apr_hash_make(c->p), .list = json_array()};

    (void)wh_manifest_each_object(m, look, &missing);
    return missing.list;
}

apr_status_t wh_h_agent_release(wh_call_t *c)
{
    wh_mod_store_t store = store_of(c);
    wh_mod_upload_t up = upload_of(c);
    wh_mod_hold_t hold;
    wh_manifest_t *m;
    json_t *missing;
    apr_status_t rv = check_wanted(c);

    rv = rv ? rv
            : wh_manifest_from_json(c->p, json_object_get(c->body, "manifest"), NULL, &m, &c->err);
    wh_mod_db_release(c->r); /* what follows is work on files */
    c->dbc = NULL;
    rv = rv ? rv : wh_mod_store_hold(&store, &hold, &c->err);
    if (rv) {
        return rv;
    }
    rv = wh_mod_store_stage(&store, &up, m, &c->err);
    missing = rv ? NULL : missing_objects(c, &store, m);
    wh_mod_store_let_go(&store, &hold);
    if (rv) {
        return rv;
    }
    return wh_mod_call_reply(
        c, 200, json_pack("{s:s, s:o}", "release", wh_manifest_id(m), "missing", missing));
}

static apr_status_t add(void *baton, const char *data, apr_size_t n, wh_err_t *err)
{
    return wh_mod_store_add(baton, data, n, err);
}

apr_status_t wh_h_agent_object(wh_call_t *c)
{
    const char *sha256 = c->param[0];
    wh_mod_store_t store = store_of(c);
    wh_mod_upload_t up = upload_of(c);
    wh_mod_object_t *object;
    apr_off_t size = 0, got;
    apr_status_t rv = check_wanted(c);

    wh_mod_db_release(c->r); /* the body may come slowly */
    c->dbc = NULL;
    if (!rv && !(strlen(sha256) == WH_SHA256_HEX && wh_sign_is_hex(sha256, WH_SHA256_HEX))) {
        rv = wh_err_set(&c->err, 404, "not_found",
                        "An object is named by 64 lower-case hex digits.");
    }
    rv = rv ? rv : wh_mod_store_wanted(&store, &up, sha256, &size, &c->err);
    if (!rv && wh_mod_req_length(c->r) >= 0 && wh_mod_req_length(c->r) != size) {
        rv = wh_err_set(&c->err, 422, "length_mismatch",
                        "The object was announced with another length.");
    }
    if (rv) {
        return rv;
    }
    if (wh_mod_store_has(&store, sha256, size)) {
        ap_discard_request_body(c->r);
        return wh_mod_call_empty(c, 204);
    }
    rv = wh_mod_store_begin(&store, sha256, size, &object, &c->err);
    rv = rv ? rv : wh_mod_req_stream(c->r, size, add, object, &got, &c->err);
    rv = rv ? rv : wh_mod_store_end(object, &c->err);
    return rv ? rv : wh_mod_call_empty(c, 201);
}

/* ---- many in one body ---- */

typedef struct taking_t {
    const wh_mod_store_t *store;
    const wh_mod_upload_t *up;
    wh_mod_object_t *object; /* NULL = it is there already, what comes of it is passed over */
    apr_array_header_t *waiting;
} taking_t;

static apr_status_t take_begin(void *baton, const char *sha256, apr_off_t size, wh_err_t *err)
{
    taking_t *t = baton;
    apr_off_t announced = 0;
    apr_status_t rv = wh_mod_store_wanted(t->store, t->up, sha256, &announced, err);

    t->object = NULL;
    if (rv) {
        return rv;
    }
    if (announced != size) {
        return wh_err_set(err, 422, "length_mismatch",
                          "The object was announced with another length.");
    }
    return wh_mod_store_has(t->store, sha256, size)
               ? APR_SUCCESS
               : wh_mod_store_begin(t->store, apr_pstrdup(t->store->p, sha256), size, &t->object,
                                    err);
}

static apr_status_t take_data(void *baton, const char *data, apr_size_t n, wh_err_t *err)
{
    taking_t *t = baton;

    return t->object ? wh_mod_store_add(t->object, data, n, err) : APR_SUCCESS;
}

static apr_status_t take_end(void *baton, wh_err_t *err)
{
    taking_t *t = baton;

    if (!t->object) {
        return APR_SUCCESS;
    }
    APR_ARRAY_PUSH(t->waiting, wh_mod_object_t *) = t->object;
    return wh_mod_store_wait(t->object, err);
}

static apr_status_t feed(void *baton, const char *data, apr_size_t n, wh_err_t *err)
{
    return wh_batch_feed(baton, data, n, err);
}

/* All or nothing: until the whole body was found good, no object of it has its name. */
apr_status_t wh_h_agent_objects(wh_call_t *c)
{
    static const wh_batch_sink_t sink = {take_begin, take_data, take_end};
    wh_mod_store_t store = store_of(c);
    wh_mod_upload_t up = upload_of(c);
    taking_t taking = {
        .store = &store, .up = &up, .waiting = apr_array_make(c->p, 64, sizeof(wh_mod_object_t *))};
    wh_batch_t batch = {.sink = &sink, .baton = &taking};
    apr_off_t got;
    apr_status_t rv = check_wanted(c);

    wh_mod_db_release(c->r);
    c->dbc = NULL;
    rv = rv ? rv : wh_mod_req_stream(c->r, WH_BATCH_BODY_MAX, feed, &batch, &got, &c->err);
    rv = rv ? rv : wh_batch_end(&batch, &c->err);
    rv = rv ? rv : wh_mod_store_end_all(&store, taking.waiting, &c->err);
    return rv ? rv : wh_mod_call_reply(c, 200, json_pack("{s:i}", "stored", taking.waiting->nelts));
}

typedef struct complete_t {
    const wh_mod_store_t *store;
    const char *lacking;
} complete_t;

static int look_again(void *baton, const char *sha256, apr_off_t size)
{
    complete_t *complete = baton;

    complete->lacking = wh_mod_store_has(complete->store, sha256, size) ? NULL : sha256;
    return complete->lacking != NULL;
}

static apr_status_t check_complete(wh_call_t *c, const wh_mod_store_t *store,
                                   const wh_manifest_t *m)
{
    complete_t complete = {.store = store};

    return wh_manifest_each_object(m, look_again, &complete)
               ? wh_err_set(&c->err, 409, "objects_missing", "The object %s has not arrived.",
                            complete.lacking)
               : APR_SUCCESS;
}

/* The files first, the row after them: a row always has its files. */
static apr_status_t record(wh_call_t *c, const wh_manifest_t *m)
{
    wh_release_t row = {
        .id = wh_manifest_id(m), .files = m->n, .bytes = m->bytes, .created_at = c->now};
    wh_db_job_scope_t *still;
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_job_check_processing(c->dbc, c->p, &c->claim, &still, &c->err);
    rv = rv ? rv : wh_db_release_put(c->dbc, c->p, &row, &c->err);
    wh_fault("release.row");
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    wh_fault("release.recorded");
    return rv;
}

/* As long as the store is held, what is there stays; what is there and recorded is needed. */
static apr_status_t publish(wh_call_t *c, const wh_mod_store_t *store, const wh_manifest_t *m)
{
    wh_mod_hold_t hold;
    apr_status_t rv = wh_mod_store_hold(store, &hold, &c->err);

    if (rv) {
        return rv;
    }
    rv = check_complete(c, store, m);
    rv = rv ? rv : wh_mod_store_publish(store, m, &c->err);
    rv = rv ? rv : record(c, m);
    wh_mod_store_let_go(store, &hold);
    return rv;
}

/* The same answer as the one that was lost. */
static apr_status_t commit_again(wh_call_t *c)
{
    wh_release_t *row;
    apr_status_t rv;

    wh_err_clear(&c->err);
    rv = wh_mod_call_db(c);
    rv = rv ? rv : wh_db_release_get(c->dbc, c->p, c->param[0], &row, &c->err);
    return rv ? rv
              : wh_mod_call_reply(c, 200,
                                  json_pack("{s:s, s:I, s:I}", "release", row->id, "files",
                                            (json_int_t)row->files, "bytes",
                                            (json_int_t)row->bytes));
}

apr_status_t wh_h_agent_commit(wh_call_t *c)
{
    wh_mod_store_t store = store_of(c);
    wh_mod_upload_t up = upload_of(c);
    wh_manifest_t *m;
    apr_status_t rv = check_wanted(c);

    wh_mod_db_release(c->r);
    c->dbc = NULL;
    rv = rv ? rv : wh_mod_store_staged(&store, &up, &m, &c->err);
    if (rv && wh_err_is(&c->err, "not_announced") &&
        wh_mod_store_committed(&store, &up, c->param[0])) {
        return commit_again(c);
    }
    if (!rv && strcmp(wh_manifest_id(m), c->param[0])) {
        rv = wh_err_set(&c->err, 422, "not_announced",
                        "This release was not announced for the job.");
    }
    rv = rv ? rv : publish(c, &store, m);
    if (rv) {
        return rv;
    }
    wh_mod_store_unstage(&store, &up, wh_manifest_id(m));
    wh_fault("unstaged");
    return wh_mod_call_reply(c, 200,
                             json_pack("{s:s, s:i, s:I}", "release", wh_manifest_id(m), "files",
                                       m->n, "bytes", (json_int_t)m->bytes));
}
