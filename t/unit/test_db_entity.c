#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_domain.h"
#include "whdb/wh_db_hook.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_gc.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_switch.h"

/* DB_T(3), DB_T(4) in SQL */
#define D_3 "1700000003000000"
#define D_4 "1700000004000000"
#include "whdb/wh_db_token.h"

static void test_tokens(void **state)
{
    db_t *t = *state;
    wh_token_t token = {
        .id = db_id(t, 't', 1),
        .name = "ci",
        .hash = db_hash(t, 'a'),
        .scopes = "read deploy",
        .apps = "*",
        .created_at = DB_T(1),
        .expires_at = DB_T(10),
    };
    wh_token_t *got;

    assert_ok(wh_db_token_insert(t->dbc, t->p, &token, &t->err), &t->err);
    assert_code(wh_db_token_insert(t->dbc, t->p, &token, &t->err), &t->err, "conflict");
    assert_ok(wh_db_token_find_by_hash(t->dbc, t->p, token.hash, DB_T(9), &got, &t->err), &t->err);
    assert_string_equal(got->scopes, "read deploy");
    assert_string_equal(got->hash, token.hash);
    assert_true(got->expires_at == DB_T(10));
    assert_int_equal(wh_db_token_find_by_hash(t->dbc, t->p, token.hash, DB_T(10), &got, &t->err),
                     APR_NOTFOUND);

    assert_ok(wh_db_token_touch(t->dbc, t->p, got, DB_T(5), &t->err), &t->err);
    assert_ok(wh_db_token_touch(t->dbc, t->p, got, DB_T(6), &t->err), &t->err);
    assert_ok(wh_db_token_find_by_hash(t->dbc, t->p, token.hash, DB_T(9), &got, &t->err), &t->err);
    assert_true(got->last_used_at == DB_T(5));

    assert_ok(wh_db_token_revoke(t->dbc, t->p, token.id, DB_T(7), &t->err), &t->err);
    assert_int_equal(wh_db_token_revoke(t->dbc, t->p, token.id, DB_T(7), &t->err), APR_NOTFOUND);
    assert_int_equal(wh_db_token_find_by_hash(t->dbc, t->p, token.hash, DB_T(2), &got, &t->err),
                     APR_NOTFOUND);
}

static void test_onetime(void **state)
{
    db_t *t = *state;
    const char *hash = db_hash(t, 'b');
    const wh_db_onetime_t token = {.hash = hash,
                                   .purpose = "enrolment",
                                   .worker_name = "w1",
                                   .replaces = 1,
                                   .created_at = DB_T(1),
                                   .expires_at = DB_T(5)};
    wh_db_onetime_t got;

    assert_ok(wh_db_token_onetime_insert(t->dbc, t->p, &token, &t->err), &t->err);
    /* A look takes no write transaction and uses nothing up. */
    assert_ok(wh_db_token_onetime_get(t->dbc, t->p, hash, "enrolment", DB_T(2), &t->err), &t->err);
    assert_int_equal(wh_db_token_onetime_get(t->dbc, t->p, hash, "admin", DB_T(2), &t->err),
                     APR_NOTFOUND);
    assert_int_equal(wh_db_token_onetime_get(t->dbc, t->p, hash, "enrolment", DB_T(5), &t->err),
                     APR_NOTFOUND);
    assert_int_equal(
        wh_db_token_onetime_redeem(t->dbc, t->p, hash, "admin", DB_T(2), NULL, &t->err),
        APR_NOTFOUND);
    assert_int_equal(
        wh_db_token_onetime_redeem(t->dbc, t->p, hash, "enrolment", DB_T(5), NULL, &t->err),
        APR_NOTFOUND);
    assert_int_equal(wh_db_token_onetime_redeem(t->dbc, t->p, db_hash(t, 'c'), "enrolment", DB_T(2),
                                                NULL, &t->err),
                     APR_NOTFOUND);
    /* Used in a transaction that fails: not used. */
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_token_onetime_redeem(t->dbc, t->p, hash, "enrolment", DB_T(2), NULL, &t->err),
              &t->err);
    wh_dbc_rollback(t->dbc);
    assert_ok(wh_db_token_onetime_redeem(t->dbc, t->p, hash, "enrolment", DB_T(2), &got, &t->err),
              &t->err);
    assert_string_equal(got.worker_name, "w1");
    assert_int_equal(got.replaces, 1);
    assert_int_equal(wh_db_token_onetime_get(t->dbc, t->p, hash, "enrolment", DB_T(2), &t->err),
                     APR_NOTFOUND);
    assert_int_equal(
        wh_db_token_onetime_redeem(t->dbc, t->p, hash, "enrolment", DB_T(2), NULL, &t->err),
        APR_NOTFOUND);
}

static void test_apps(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_app_t *got;
    apr_array_header_t *list;

    (void)db_app(t, 2, WH_KIND_CONTAINER);
    (void)db_app(t, 3, WH_KIND_STATIC);
    assert_ok(wh_db_app_list(t->dbc, t->p, "", 2, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(list, 1, wh_app_t *)->slug, "app2");
    assert_int_equal(APR_ARRAY_IDX(list, 1, wh_app_t *)->kind, WH_KIND_CONTAINER);
    assert_ok(wh_db_app_list(t->dbc, t->p, "app2", 2, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);

    a->desired = WH_DESIRED_STOPPED;
    a->spa = 1;
    a->serve = (wh_serve_t){1, 1, 1, 5, 6, 7, 8};
    a->preview_max = 9;
    a->preview_ttl_s = 3600;
    a->sync_kind = WH_SYNC_POLLING;
    a->sync_every_s = 90;
    assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(5), &t->err), &t->err);
    assert_ok(wh_db_app_set_observed(t->dbc, t->p, a->id, WH_OBSERVED_STOPPED, "worker_offline",
                                     DB_T(6), &t->err),
              &t->err);
    assert_ok(wh_db_app_set_observed(t->dbc, t->p, a->id, WH_OBSERVED_STOPPED, "worker_offline",
                                     DB_T(9), &t->err),
              &t->err);
    assert_ok(wh_db_app_by_id(t->dbc, t->p, a->id, &got, &t->err), &t->err);
    assert_int_equal(got->version, 2);
    assert_int_equal(got->spa, 1);
    assert_true(got->serve.clean_urls && got->serve.sticky && got->serve.maintenance);
    assert_int_equal(got->serve.timeout_s, 5);
    assert_int_equal(got->serve.hold_s, 6);
    assert_int_equal(got->serve.grace_s, 7);
    assert_int_equal(got->serve.previous_s, 8);
    assert_int_equal(got->preview_max, 9);
    assert_int_equal(got->preview_ttl_s, 3600);
    assert_int_equal(got->sync_kind, WH_SYNC_POLLING);
    assert_int_equal(got->sync_every_s, 90);
    assert_int_equal(got->desired, WH_DESIRED_STOPPED);
    assert_int_equal(got->observed, WH_OBSERVED_STOPPED);
    assert_string_equal(got->reason, "worker_offline");
    assert_true(got->updated_at == DB_T(6));

    /* Deleted: its slug is free, its row stays, and it is cleaned up while anything is left. */
    (void)db_deployment(t, got, 1);
    assert_ok(wh_db_app_mark_deleted(t->dbc, t->p, a->id, 2, DB_T(10), &t->err), &t->err);
    assert_int_equal(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), APR_NOTFOUND);
    assert_int_equal(wh_db_app_update(t->dbc, t->p, a, DB_T(11), &t->err), APR_NOTFOUND);
    assert_ok(wh_db_app_by_id(t->dbc, t->p, a->id, &got, &t->err), &t->err);
    assert_true(got->deleted_at == DB_T(10));
    assert_ok(wh_db_app_list_deleted(t->dbc, t->p, 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    db_sql(t, "UPDATE jobs SET status = 'canceled'");
    assert_ok(wh_db_app_list_deleted(t->dbc, t->p, 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    db_sql(t, "UPDATE deployments SET status = 'completed', conclusion = 'canceled'");
    assert_ok(wh_db_app_list_deleted(t->dbc, t->p, 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 0);
    got->id = db_id(t, 'a', 9);
    assert_ok(wh_db_app_insert(t->dbc, t->p, got, &t->err), &t->err);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_string_equal(got->id, db_id(t, 'a', 9));
}

static apr_status_t earlier(db_t *t, const char *hook, const char *id, const char *body,
                            apr_time_t since, wh_delivery_t **out)
{
    wh_delivery_t like = {
        .hook_id = hook, .delivery_id = id, .body_sha256 = body, .received_at = since};

    return wh_db_delivery_earlier(t->dbc, t->p, &like, out, &t->err);
}

/* d is accepted already. What was not taken may come again under the same id. */
static void check_log(db_t *t, wh_delivery_t *d)
{
    apr_array_header_t *list;
    wh_delivery_t *got;
    wh_db_hook_t *h;

    d->verdict = "ignored";
    d->reason = "tag";
    d->deployment_id = "";
    d->before = "c1";
    d->sha = "c2";
    for (int i = 3; i < 5; i++) {
        d->id = db_id(t, 'l', i);
        d->delivery_id = "third";
        assert_ok(wh_db_delivery_insert(t->dbc, t->p, d, &t->err), &t->err);
    }
    assert_int_equal(earlier(t, "h1", "third", "", DB_T(0), &got), APR_NOTFOUND);
    d->sha = "c1";
    assert_ok(wh_db_delivery_after(t->dbc, t->p, d, DB_T(1), &got, &t->err), &t->err);
    assert_string_equal(got->id, db_id(t, 'l', 4));
    assert_string_equal(got->sha, "c2");
    assert_int_equal(wh_db_delivery_after(t->dbc, t->p, d, DB_T(31), &got, &t->err), APR_NOTFOUND);
    assert_ok(wh_db_delivery_list(t->dbc, t->p, "h1", "~", 3, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 3);
    got = APR_ARRAY_IDX(list, 2, wh_delivery_t *);
    assert_string_equal(got->id, db_id(t, 'l', 2));
    assert_ok(wh_db_delivery_list(t->dbc, t->p, "h1", got->id, 3, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    assert_ok(wh_db_delivery_get(t->dbc, t->p, "h1", got->id, &got, &t->err), &t->err);
    assert_int_equal(wh_db_delivery_get(t->dbc, t->p, "h2", got->id, &got, &t->err), APR_NOTFOUND);
    assert_ok(wh_db_delivery_prune(t->dbc, t->p, "h1", DB_T(21), &t->err), &t->err);
    assert_ok(wh_db_delivery_list(t->dbc, t->p, "h1", "~", 9, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 3);

    assert_ok(wh_db_hook_get(t->dbc, t->p, "h1", &h, &t->err), &t->err);
    assert_ok(wh_db_hook_rotate(t->dbc, t->p, &h->row, DB_T(99), &t->err), &t->err);
    assert_int_equal(wh_db_hook_rotate(t->dbc, t->p, &h->row, DB_T(99), &t->err), APR_NOTFOUND);
    assert_ok(wh_db_hook_watch(t->dbc, t->p, "h1", "web/**", &t->err), &t->err);
    assert_ok(wh_db_hook_touch(t->dbc, t->p, "h1", DB_T(35), &t->err), &t->err);
    assert_int_equal(wh_db_hook_touch(t->dbc, t->p, "h9", DB_T(35), &t->err), APR_NOTFOUND);
    assert_ok(wh_db_hook_get(t->dbc, t->p, "h1", &h, &t->err), &t->err);
    assert_int_equal(h->row.secret_n, 1);
    assert_true(h->row.previous_until == DB_T(99) && h->row.last_delivery_at == DB_T(35));
    assert_string_equal(h->row.watch, "web/**");
}

static void test_held(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_db_deployment_new_t new = {.id = "dx",
                                  .job_id = "jx",
                                  .app_id = a->id,
                                  .environment = "preview-x",
                                  .trigger = WH_TRIGGER_PUSH,
                                  .commit_sha = "",
                                  .commit_ref = "pull/7",
                                  .commit_message = "",
                                  .commit_author = "",
                                  .snapshot = wh_model_snapshot_text(t->p, a),
                                  .untrusted = 1,
                                  .now = DB_T(5)};
    wh_deployment_t *d;
    wh_job_t *job;
    apr_int64_t number;

    for (int i = 0; i < 3; i++) {
        new.id = db_id(t, 'd', i);
        new.job_id = db_id(t, 'j', i);
        assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
        assert_ok(wh_db_deployment_create(t->dbc, t->p, &new, &number, &t->err), &t->err);
        assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    }
    assert_ok(wh_db_deployment_newest(t->dbc, t->p, a->id, "preview-x", &d, &t->err), &t->err);
    assert_string_equal(d->id, new.id);
    assert_int_equal(wh_db_deployment_newest(t->dbc, t->p, a->id, "production", &d, &t->err),
                     APR_NOTFOUND);
    assert_string_equal(d->cause_code, "awaiting_approval");
    assert_true(d->untrusted && d->approved_at == 0);
    assert_ok(wh_db_job_get(t->dbc, t->p, new.job_id, &job, &t->err), &t->err);
    assert_true(job->not_before > DB_T(1000000));
    assert_ok(wh_db_deployment_approve(t->dbc, t->p, d->id, DB_T(7), &t->err), &t->err);
    assert_int_equal(wh_db_deployment_approve(t->dbc, t->p, d->id, DB_T(7), &t->err), APR_NOTFOUND);
    assert_ok(wh_db_job_get(t->dbc, t->p, new.job_id, &job, &t->err), &t->err);
    assert_true(job->not_before == 0);
    assert_ok(wh_db_deployment_drop_held(t->dbc, t->p, a->id, "preview-x", DB_T(8), &t->err),
              &t->err);
    assert_ok(wh_db_job_get(t->dbc, t->p, new.job_id, &job, &t->err), &t->err);
    assert_true(job->cancel_at == 0); /* approved: it is not held any more */
    assert_ok(wh_db_job_get(t->dbc, t->p, db_id(t, 'j', 0), &job, &t->err), &t->err);
    assert_true(job->cancel_at == DB_T(8) && job->not_before == 0);
}

static void test_hooks(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_app_t *b = db_app(t, 2, WH_KIND_STATIC);
    const char *dep = db_deployment(t, a, 1);
    wh_hookrow_t h = {.id = "h1", .app_id = a->id, .provider = "github", .created_at = DB_T(1)};
    wh_delivery_t d = {.id = db_id(t, 'l', 1),
                       .hook_id = "h1",
                       .delivery_id = "72d3162e-cc78-11e3-81ab-4c9367dc0958",
                       .event = "push",
                       .ref = "refs/heads/main",
                       .before = "b0",
                       .sha = "c1",
                       .verdict = "accepted",
                       .body_sha256 = db_hash(t, 'a'),
                       .headers = "{}",
                       .payload = "{}",
                       .deployment_id = dep,
                       .received_at = DB_T(20)};
    wh_delivery_t *found;
    wh_db_hook_t *got;
    apr_array_header_t *list;

    assert_ok(wh_db_hook_insert(t->dbc, t->p, &h, &t->err), &t->err);
    h.id = "h2";
    h.app_id = b->id;
    assert_ok(wh_db_hook_insert(t->dbc, t->p, &h, &t->err), &t->err);
    assert_ok(wh_db_hook_get(t->dbc, t->p, "h1", &got, &t->err), &t->err);
    assert_string_equal(got->slug, "app1");
    assert_string_equal(got->row.provider, "github");
    assert_ok(wh_db_hook_list(t->dbc, t->p, NULL, "", 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 2);
    assert_ok(wh_db_hook_list(t->dbc, t->p, NULL, "h1", 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    assert_ok(wh_db_hook_list(t->dbc, t->p, b->id, "", 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);

    assert_int_equal(earlier(t, "h1", d.delivery_id, d.body_sha256, DB_T(0), &found),
                     APR_NOTFOUND);
    assert_ok(wh_db_delivery_insert(t->dbc, t->p, &d, &t->err), &t->err);
    d.id = db_id(t, 'l', 9);
    assert_code(wh_db_delivery_insert(t->dbc, t->p, &d, &t->err), &t->err, "conflict");
    assert_ok(earlier(t, "h1", d.delivery_id, "", DB_T(99), &found), &t->err);
    assert_string_equal(found->deployment_id, dep);
    assert_int_equal(earlier(t, "h2", d.delivery_id, d.body_sha256, DB_T(0), &found),
                     APR_NOTFOUND);
    d.id = db_id(t, 'l', 2);
    d.delivery_id = "second";
    d.received_at = DB_T(30);
    assert_ok(wh_db_delivery_insert(t->dbc, t->p, &d, &t->err), &t->err);
    assert_ok(earlier(t, "h1", "another", d.body_sha256, DB_T(20), &found), &t->err);
    assert_string_equal(found->delivery_id, "second");
    assert_int_equal(earlier(t, "h1", "another", d.body_sha256, DB_T(31), &found), APR_NOTFOUND);

    check_log(t, &d);
    assert_ok(wh_db_hook_delete(t->dbc, t->p, "h1", DB_T(40), &t->err), &t->err);
    assert_int_equal(wh_db_hook_delete(t->dbc, t->p, "h1", DB_T(40), &t->err), APR_NOTFOUND);
    assert_int_equal(wh_db_hook_get(t->dbc, t->p, "h1", &got, &t->err), APR_NOTFOUND);
    assert_ok(wh_db_app_mark_deleted(t->dbc, t->p, b->id, 1, DB_T(50), &t->err), &t->err);
    assert_int_equal(wh_db_hook_get(t->dbc, t->p, "h2", &got, &t->err), APR_NOTFOUND);
}

static void test_numbers(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_db_deployment_new_t d = {
        .id = "dx",
        .job_id = "jx",
        .app_id = a->id,
        .environment = "production",
        .trigger = WH_TRIGGER_PUSH,
        .snapshot = wh_model_snapshot_text(t->p, a),
        .now = DB_T(1),
    };
    apr_array_header_t *list;
    apr_int64_t number = 0;

    assert_code(wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err), &t->err, "db_error");
    for (int i = 1; i <= 3; i++)
        (void)db_deployment(t, a, i);
    /* A number that was not committed is used again: no gaps. */
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err), &t->err);
    assert_int_equal(number, 4);
    wh_dbc_rollback(t->dbc);
    (void)db_deployment(t, a, 4);
    assert_ok(wh_db_deployment_list_by_app(t->dbc, t->p, a->id, 0, 3, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 3);
    assert_int_equal(APR_ARRAY_IDX(list, 0, wh_deployment_t *)->number, 4);
    assert_int_equal(APR_ARRAY_IDX(list, 2, wh_deployment_t *)->number, 2);
    assert_ok(wh_db_deployment_list_by_app(t->dbc, t->p, a->id, 2, 3, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    assert_ok(wh_db_deployment_list_open(t->dbc, t->p, 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 4);
    assert_int_equal(APR_ARRAY_IDX(list, 0, wh_deployment_t *)->number, 1);

    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    d.app_id = "nobody";
    assert_int_equal(wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err), APR_NOTFOUND);
    wh_dbc_rollback(t->dbc);
    assert_ok(wh_db_app_mark_deleted(t->dbc, t->p, a->id, 1, DB_T(9), &t->err), &t->err);
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    d.app_id = a->id;
    assert_int_equal(wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err), APR_NOTFOUND);
    wh_dbc_rollback(t->dbc);
}

static void ask_domain(db_t *t, const wh_app_t *a, int n, int due)
{
    const wh_domain_t d = {.id = db_id(t, 'm', n),
                           .app_id = a->id,
                           .environment = "production",
                           .host = apr_psprintf(t->p, "d%d.example", n),
                           .redirect_to = "",
                           .challenge = "c",
                           .next_at = DB_T(due),
                           .asked_at = DB_T(1),
                           .created_at = DB_T(1),
                           .updated_at = DB_T(1)};

    assert_ok(wh_db_domain_insert(t->dbc, t->p, &d, &t->err), &t->err);
}

static void test_domains_due(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC), *b = db_app(t, 2, WH_KIND_STATIC);
    static const char *const order[] = {"d1.example", "d5.example", "d2.example"};
    apr_array_header_t *due;

    for (int n = 1; n <= 4; n++) {
        ask_domain(t, a, n, n);
    }
    ask_domain(t, b, 5, 6);
    ask_domain(t, b, 6, 20);
    assert_ok(wh_db_domain_list_due(t->dbc, t->p, DB_T(9), 3, &due, &t->err), &t->err);
    assert_int_equal(due->nelts, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(APR_ARRAY_IDX(due, i, wh_domain_t *)->host, order[i]);
    }
    assert_ok(wh_db_domain_list_due(t->dbc, t->p, DB_T(9), 50, &due, &t->err), &t->err);
    assert_int_equal(due->nelts, 5);
}

static void ask_switch(db_t *t, const wh_app_t *a, const char *deployment, int n, const char *made)
{
    wh_switch_t s = {.id = db_id(t, 's', n),
                     .app_id = a->id,
                     .environment = "production",
                     .deployment_id = deployment,
                     .from_id = "",
                     .created_at = DB_T(n)};

    assert_ok(wh_db_switch_insert(t->dbc, t->p, &s, &t->err), &t->err);
    if (made) {
        s.outcome = WH_SWITCH_STARTING;
        s.result_id = made;
        s.cause_code = s.cause_detail = "";
        assert_ok(wh_db_switch_settle(t->dbc, t->p, &s, DB_T(n), &t->err), &t->err);
    }
}

static void test_switches_open(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC), *b = db_app(t, 2, WH_KIND_STATIC);
    const char *slow = db_deployment(t, a, 1), *other = db_deployment(t, b, 2);
    apr_array_header_t *open;

    for (int n = 1; n <= 3; n++) {
        ask_switch(t, a, slow, n, slow);
    }
    ask_switch(t, b, other, 4, NULL);
    assert_ok(wh_db_switch_list_open(t->dbc, t->p, 2, &open, &t->err), &t->err);
    assert_int_equal(open->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(open, 0, wh_switch_t *)->id, db_id(t, 's', 4));
    db_sql(t, "UPDATE deployments SET status = 'completed', conclusion = 'failed'");
    assert_ok(wh_db_switch_list_open(t->dbc, t->p, 9, &open, &t->err), &t->err);
    assert_int_equal(open->nelts, 4);
}

static void test_switches_many(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC), *b = db_app(t, 2, WH_KIND_STATIC);
    const char *mine = db_deployment(t, a, 1), *other = db_deployment(t, b, 2);
    wh_switch_t s = {.id = db_id(t, 's', 99), .app_id = a->id, .environment = "production",
                     .deployment_id = mine, .from_id = "", .created_at = DB_T(99)};

    for (int n = 1; n <= WH_DB_SWITCHES_OPEN_MAX; n++) {
        ask_switch(t, a, mine, n, n % 2 ? mine : NULL);
    }
    assert_code(wh_db_switch_insert(t->dbc, t->p, &s, &t->err), &t->err, "too_many");
    ask_switch(t, b, other, 98, NULL);
    db_sql(t, "UPDATE switches SET done_at = 1");
    assert_ok(wh_db_switch_insert(t->dbc, t->p, &s, &t->err), &t->err);
}

static apr_status_t deploy_to(db_t *t, const wh_app_t *a, const char *environment, int n)
{
    wh_db_deployment_new_t d = {.id = db_id(t, 'd', n),
                                .job_id = db_id(t, 'j', n),
                                .app_id = a->id,
                                .environment = environment,
                                .trigger = WH_TRIGGER_PUSH,
                                .snapshot = wh_model_snapshot_text(t->p, a),
                                .now = DB_T(n)};
    apr_int64_t number;
    apr_status_t rv = wh_dbc_begin(t->dbc, t->p, &t->err);

    rv = rv == APR_SUCCESS ? wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(t->dbc);
        return rv;
    }
    return wh_dbc_commit(t->dbc, &t->err);
}

static void test_environments_many(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC), *b = db_app(t, 2, WH_KIND_STATIC);
    wh_switch_t s = {.id = db_id(t, 's', 1),
                     .app_id = a->id,
                     .environment = "more",
                     .deployment_id = db_id(t, 'd', 1),
                     .from_id = "",
                     .created_at = DB_T(1)};
    int n = 1;

    for (; n <= WH_DB_ENVIRONMENTS_MAX; n++) {
        assert_ok(deploy_to(t, a, apr_psprintf(t->p, "e%d", n), n), &t->err);
    }
    assert_code(deploy_to(t, a, "more", n), &t->err, "too_many_environments");
    assert_int_equal(t->err.http, 409);
    assert_code(wh_db_switch_insert(t->dbc, t->p, &s, &t->err), &t->err, "too_many_environments");
    wh_err_clear(&t->err);
    assert_ok(deploy_to(t, a, "e7", n++), &t->err);
    assert_ok(deploy_to(t, a, "production", n++), &t->err);
    assert_ok(deploy_to(t, a, "preview-x-0123456", n++), &t->err);
    assert_ok(deploy_to(t, b, "more", n++), &t->err);
    /* One that came to nothing is none. */
    db_sql(t, "UPDATE deployments SET status = 'completed', conclusion = 'failed'"
              " WHERE environment = 'e9'");
    assert_ok(wh_db_switch_insert(t->dbc, t->p, &s, &t->err), &t->err);
    assert_code(deploy_to(t, a, "e9", n++), &t->err, "too_many_environments");
    wh_err_clear(&t->err);
    assert_ok(deploy_to(t, a, "more", n++), &t->err);
}

static int switches_gone(db_t *t, int before, int limit)
{
    int gone = -1;

    assert_ok(wh_db_gc_switches(t->dbc, t->p, DB_T(before), limit, &gone, &t->err), &t->err);
    return gone;
}

static void test_switches_kept(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC), *b = db_app(t, 2, WH_KIND_STATIC);
    const char *d = db_deployment(t, a, 1), *waits = db_deployment(t, b, 2);

    for (int n = 1; n <= 6; n++) {
        ask_switch(t, a, d, n, NULL);
    }
    ask_switch(t, b, waits, 7, NULL);
    db_sql(t, "UPDATE deployments SET status = 'completed', conclusion = 'succeeded'"
              " WHERE app_id <> (SELECT app_id FROM switches ORDER BY created_at DESC LIMIT 1)");
    db_sql(t, "UPDATE switches SET outcome = 'switched', done_at = created_at");
    assert_int_equal(switches_gone(t, 3, 50), 2); /* those before then */
    db_sql(t, "UPDATE switches SET done_at = 0, outcome = '' WHERE created_at = " D_3);
    db_sql(t, "UPDATE switches SET kind = 'promote' WHERE created_at = " D_4);
    db_sql(t, "INSERT INTO releases (id, files, bytes, created_at) VALUES ('r', 1, 1, 1)");
    db_sql(t, "UPDATE deployments SET release_id = 'r' WHERE id = (SELECT deployment_id FROM"
              " switches WHERE created_at = " D_4 ")");
    assert_int_equal(switches_gone(t, 100, 1), 1);  /* so many at a time */
    assert_int_equal(switches_gone(t, 100, 50), 1); /* not open, overtaking or a way back */
    db_sql(t, "UPDATE deployments SET release_id = NULL, status = 'completed',"
              " conclusion = 'canceled'");
    assert_int_equal(switches_gone(t, 100, 50), 2);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM switches"), "1");
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("tokens: valid, expired, revoked; use is noted rarely", test_tokens),
        DB_CASE("a one-time token is used once, for its purpose, in its time", test_onetime),
        DB_CASE("apps: list, change, observe, delete", test_apps),
        DB_CASE("hooks and deliveries", test_hooks),
        DB_CASE("what waits for approval", test_held),
        DB_CASE("switches: those that wait for a start hold up no others", test_switches_open),
        DB_CASE("switches: an app has so many at a time", test_switches_many),
        DB_CASE("switches: what was done long ago goes", test_switches_kept),
        DB_CASE("environments: an app has so many at a time", test_environments_many),
        DB_CASE("domains: who asked for many keeps nobody else waiting", test_domains_due),
        DB_CASE("deployments are numbered 1, 2, 3 for an app", test_numbers),
    };

    return DB_RUN(cases);
}
