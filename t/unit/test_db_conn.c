#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_time.h>
#include <sqlite3.h>
#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_hook.h"
#include "whdb/wh_db_lock.h"
#include "whdb/wh_db_release.h"
#include "whdb/wh_db_token.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"

/* What mod_dbd hands out: a handle with its pool and its hash of statements. */
typedef struct pooled_t {
    apr_pool_t *pool;
    apr_hash_t *prepared;
    wh_dbc_t *owner;
} pooled_t;

static pooled_t pooled_make(db_t *t)
{
    pooled_t h = {.owner = db_open(t)};

    apr_pool_create(&h.pool, t->p);
    h.prepared = apr_hash_make(h.pool);
    return h;
}

static wh_dbc_t *pooled_wrap(db_t *t, pooled_t *h, apr_pool_t *p)
{
    wh_dbc_t *dbc = NULL;

    assert_ok(
        wh_dbc_wrap(p, h->owner->driver, h->owner->handle, h->pool, h->prepared, &dbc, &t->err),
        &t->err);
    return dbc;
}

static void test_values(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    const char *id = db_deployment(t, a, 1);
    wh_deployment_t *d;
    wh_release_t big = {.id = "r1", .files = 0, .bytes = INT64_MAX, .created_at = DB_T(1)};
    wh_release_t *r;

    assert_ok(wh_db_deployment_get(t->dbc, t->p, id, &d, &t->err), &t->err);
    assert_string_equal(d->cause_code, "");
    assert_string_equal(d->release_id, "");
    assert_int_equal(d->worker_id, 0);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments WHERE release_id IS NULL"
                                    " AND worker_id IS NULL AND cause_code = ''"),
                        "1");
    assert_ok(wh_db_release_put(t->dbc, t->p, &big, &t->err), &t->err);
    assert_ok(wh_db_release_put(t->dbc, t->p, &big, &t->err), &t->err);
    assert_ok(wh_db_release_get(t->dbc, t->p, "r1", &r, &t->err), &t->err);
    assert_true(r->bytes == INT64_MAX);

    a->name = "it's \"%s\" %lld \\ ; -- \xf0\x9f\x98\x80 \t\n";
    a->build_command = NULL;
    assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(2), &t->err), &t->err);
    assert_int_equal(a->version, 2);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &a, &t->err), &t->err);
    assert_string_equal(a->name, "it's \"%s\" %lld \\ ; -- \xf0\x9f\x98\x80 \t\n");
    assert_string_equal(a->build_command, "");
    assert_int_equal(a->version, 2);
}

static void test_constraints(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_hookrow_t h = {.id = "h1", .app_id = "nobody", .provider = "github", .created_at = DB_T(1)};
    wh_release_t bad = {.id = "r", .files = -1, .bytes = 0, .created_at = DB_T(1)};
    wh_app_t *got;

    a->id = db_id(t, 'a', 2);
    assert_code(wh_db_app_insert(t->dbc, t->p, a, &t->err), &t->err, "conflict");
    assert_int_equal(t->err.http, 409);
    assert_code(wh_db_hook_insert(t->dbc, t->p, &h, &t->err), &t->err, "foreign_key");
    assert_int_equal(t->err.http, 409);
    assert_code(wh_db_release_put(t->dbc, t->p, &bad, &t->err), &t->err, "db_check");
    assert_int_equal(t->err.http, 500);
    h.app_id = db_id(t, 'a', 1);
    h.provider = "";
    assert_code(wh_db_hook_insert(t->dbc, t->p, &h, &t->err), &t->err, "db_check");
    assert_int_equal(wh_db_app_by_id(t->dbc, t->p, "nobody", &got, &t->err), APR_NOTFOUND);
    assert_string_equal(t->err.code, "not_found");
    assert_int_equal(t->err.http, 404);
    /* err is optional. */
    assert_int_equal(wh_db_app_by_id(t->dbc, t->p, "nobody", &got, NULL), APR_NOTFOUND);
    assert_ok(wh_db_app_by_id(t->dbc, t->p, db_id(t, 'a', 1), &got, &t->err), &t->err);
}

static void test_transactions(void **state)
{
    db_t *t = *state;
    wh_release_t r = {.id = "r1", .files = 1, .bytes = 1, .created_at = DB_T(1)};
    wh_release_t bad = {.id = "r2", .files = -1, .bytes = 0, .created_at = DB_T(1)};
    wh_release_t *got;
    apr_pool_t *sub;

    /* Left open: the pool's cleanup rolls back. */
    apr_pool_create(&sub, t->p);
    assert_ok(wh_dbc_begin(t->dbc, sub, &t->err), &t->err);
    assert_true(wh_dbc_in_transaction(t->dbc));
    assert_ok(wh_db_release_put(t->dbc, sub, &r, &t->err), &t->err);
    assert_code(wh_dbc_begin(t->dbc, sub, &t->err), &t->err, "db_error");
    apr_pool_destroy(sub);
    assert_false(wh_dbc_in_transaction(t->dbc));
    assert_int_equal(wh_db_release_get(t->dbc, t->p, "r1", &got, &t->err), APR_NOTFOUND);

    /* An error inside: nothing more is done, and commit says so. */
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_release_put(t->dbc, t->p, &r, &t->err), &t->err);
    assert_code(wh_db_release_put(t->dbc, t->p, &bad, &t->err), &t->err, "db_check");
    assert_code(wh_db_release_get(t->dbc, t->p, "r1", &got, &t->err), &t->err, "db_error");
    assert_code(wh_dbc_commit(t->dbc, &t->err), &t->err, "db_error");
    assert_false(wh_dbc_in_transaction(t->dbc));
    assert_int_equal(wh_db_release_get(t->dbc, t->p, "r1", &got, &t->err), APR_NOTFOUND);

    /* Not found spoils nothing. */
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_int_equal(wh_db_release_get(t->dbc, t->p, "r9", &got, &t->err), APR_NOTFOUND);
    assert_ok(wh_db_release_put(t->dbc, t->p, &r, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    assert_ok(wh_db_release_get(t->dbc, t->p, "r1", &got, &t->err), &t->err);
    assert_code(wh_dbc_commit(t->dbc, &t->err), &t->err, "db_error");
    wh_dbc_rollback(t->dbc);
}

/* A handle of a pool given back with a transaction open does not carry it into the next request. */
static void test_wrap(void **state)
{
    db_t *t = *state;
    pooled_t h = pooled_make(t);
    wh_release_t r = {.id = "r1", .files = 1, .bytes = 1, .created_at = DB_T(1)};
    wh_hookrow_t hook = {.id = "h", .app_id = "nobody", .provider = "github", .created_at = 1};
    wh_release_t *got;
    apr_pool_t *request;
    wh_dbc_t *dbc;

    apr_pool_create(&request, t->p);
    dbc = pooled_wrap(t, &h, request);
    assert_ok(wh_dbc_begin(dbc, request, &t->err), &t->err);
    assert_ok(wh_db_release_put(dbc, request, &r, &t->err), &t->err);
    apr_pool_destroy(request);

    apr_pool_create(&request, t->p);
    dbc = pooled_wrap(t, &h, request);
    assert_int_equal(wh_db_release_get(dbc, request, "r1", &got, &t->err), APR_NOTFOUND);
    assert_code(wh_db_hook_insert(dbc, request, &hook, &t->err), &t->err, "foreign_key");
    apr_pool_destroy(request);

    /* Begun on a pool that outlives the wrap. */
    apr_pool_create(&request, t->p);
    dbc = pooled_wrap(t, &h, request);
    assert_ok(wh_dbc_begin(dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_release_put(dbc, request, &r, &t->err), &t->err);
    apr_pool_destroy(request);
    assert_int_equal(wh_db_release_get(h.owner, t->p, "r1", &got, &t->err), APR_NOTFOUND);

    apr_pool_create(&request, t->p);
    dbc = pooled_wrap(t, &h, request);
    /* Somebody else's open transaction on the handle is rolled back on the next wrap. */
    assert_ok(wh_dbc_exec(dbc, "BEGIN", &t->err), &t->err);
    assert_ok(wh_dbc_exec(dbc,
                          "INSERT INTO releases (id, files, bytes, created_at)"
                          " VALUES ('r1', 1, 1, 1)",
                          &t->err),
              &t->err);
    apr_pool_destroy(request);
    apr_pool_create(&request, t->p);
    dbc = pooled_wrap(t, &h, request);
    assert_int_equal(wh_db_release_get(dbc, request, "r1", &got, &t->err), APR_NOTFOUND);
    assert_ok(wh_db_release_put(dbc, request, &r, &t->err), &t->err);
    wh_dbc_close(dbc);
    apr_pool_destroy(request);
    assert_ok(wh_db_release_get(t->dbc, t->p, "r1", &got, &t->err), &t->err);
}

/* mod_dbd prepares with a call that does not prepare again by itself: where the settings are ours
 * already, taking the handle leaves the statements of other modules alone. */
static void test_wrap_gently(void **state)
{
    db_t *t = *state;
    pooled_t h = pooled_make(t);
    sqlite3_stmt *theirs;

    assert_int_equal(sqlite3_prepare(h.owner->native, "SELECT 1", -1, &theirs, NULL), SQLITE_OK);
    (void)pooled_wrap(t, &h, t->p);
    assert_int_equal(sqlite3_step(theirs), SQLITE_ROW);
    assert_int_equal(sqlite3_finalize(theirs), SQLITE_OK);
}

static void test_ddl(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_app_t *got;

    for (int i = 0; i < 5; i++) {
        assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
        assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(i), &t->err), &t->err);
        db_sql(t, apr_psprintf(t->p, "ALTER TABLE apps ADD COLUMN extra%d TEXT", i));
    }
    /* The second time SQLite says "not an error"; and within a transaction. */
    db_sql(t, "CREATE TABLE more (x BIGINT)");
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(9), &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    assert_int_equal(a->version, 7);
    /* A table that is really gone is an error, not "not found". */
    db_sql(t, "DROP TABLE hook_deliveries");
    {
        wh_delivery_t like = {.hook_id = "h", .delivery_id = "d", .body_sha256 = ""};
    wh_delivery_t *d;
        assert_code(wh_db_delivery_earlier(t->dbc, t->p, &like, &d, &t->err), &t->err, "db_error");
        assert_int_equal(t->err.http, 503);
    }
}

static void test_cas(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_dbc_t *other = db_open(t);
    wh_app_t *b;

    assert_ok(wh_db_app_by_slug(other, t->p, "app1", &b, &t->err), &t->err);
    assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(2), &t->err), &t->err);
    assert_int_equal(wh_db_app_update(other, t->p, b, DB_T(3), &t->err), APR_NOTFOUND);
    assert_int_equal(b->version, 1);
    assert_int_equal(wh_db_app_mark_deleted(other, t->p, a->id, 1, DB_T(3), &t->err), APR_NOTFOUND);

    assert_ok(wh_db_token_onetime_insert(t->dbc, t->p,
                                         &(wh_db_onetime_t){.hash = db_hash(t, 'a'),
                                                            .purpose = "admin",
                                                            .created_at = DB_T(1),
                                                            .expires_at = DB_T(9)},
                                         &t->err),
              &t->err);
    assert_ok(
        wh_db_token_onetime_redeem(other, t->p, db_hash(t, 'a'), "admin", DB_T(2), NULL, &t->err),
        &t->err);
    assert_int_equal(
        wh_db_token_onetime_redeem(t->dbc, t->p, db_hash(t, 'a'), "admin", DB_T(2), NULL, &t->err),
        APR_NOTFOUND);
}

/* The lock of another writer: readers go on, writers wait at most 3 s and then say busy. */
static void test_busy(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_dbc_t *other = db_open(t);
    wh_app_t copy = *a;
    wh_app_t *got;
    apr_time_t start;
    apr_time_t took;

    assert_ok(wh_dbc_begin(other, t->p, &t->err), &t->err);
    assert_ok(wh_db_app_update(other, t->p, &copy, DB_T(2), &t->err), &t->err);
    start = apr_time_now();
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_int_equal(got->version, 1);
    assert_true(apr_time_now() - start < 500000);
    start = apr_time_now();
    assert_code(wh_db_app_update(t->dbc, t->p, a, DB_T(3), &t->err), &t->err, "db_busy");
    took = apr_time_now() - start;
    assert_int_equal(t->err.http, 503);
    assert_in_range(took, 2500000, 3900000);
    assert_false(wh_dbc_in_transaction(t->dbc));
    assert_false(wh_dbc_gone(t->dbc));
    assert_ok(wh_dbc_commit(other, &t->err), &t->err);
    a->version = 2;
    assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(4), &t->err), &t->err);
}

/* In a transaction that only begins: the lock is waited for at BEGIN. */
static void test_busy_begin(void **state)
{
    db_t *t = *state;
    wh_dbc_t *other = db_open(t);

    assert_ok(wh_dbc_begin(other, t->p, &t->err), &t->err);
    assert_code(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err, "db_busy");
    assert_false(wh_dbc_in_transaction(t->dbc));
    wh_dbc_rollback(other);
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
}

static void kill_others(db_t *t)
{
    db_sql(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
              " WHERE application_name = current_setting('application_name')"
              " AND pid <> pg_backend_pid()");
}

static void test_killed(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_app_t *got;
    wh_token_t *token;

    kill_others(t);
    assert_code(wh_db_token_find_by_hash(t->dbc, t->p, db_hash(t, 'a'), DB_T(1), &token, &t->err),
                &t->err, "db_gone");
    assert_int_equal(t->err.http, 503);
    assert_true(wh_dbc_gone(t->dbc));
    assert_code(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err, "db_gone");
    assert_code(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err, "db_gone");
    wh_dbc_close(t->dbc);
    t->dbc = db_open(t);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);

    /* Inside a transaction, before a write and before commit. */
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    kill_others(t);
    assert_code(wh_db_app_update(t->dbc, t->p, a, DB_T(2), &t->err), &t->err, "db_gone");
    assert_code(wh_dbc_commit(t->dbc, &t->err), &t->err, "db_gone");
    wh_dbc_close(t->dbc);
    t->dbc = db_open(t);
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_app_update(t->dbc, t->p, a, DB_T(2), &t->err), &t->err);
    kill_others(t);
    assert_code(wh_dbc_commit(t->dbc, &t->err), &t->err, "db_gone");
    wh_dbc_close(t->dbc);
    t->dbc = db_open(t);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_int_equal(got->version, 1);
}

/* A pooled handle whose server was restarted: reads and begin connect again by themselves, a write
 * outside a transaction is never sent twice. */
static void test_killed_pooled(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    pooled_t h = pooled_make(t);
    wh_dbc_t *dbc = pooled_wrap(t, &h, t->p);
    wh_app_t *got;

    assert_ok(wh_db_app_by_slug(dbc, t->p, "app1", &got, &t->err), &t->err);
    kill_others(t);
    assert_ok(wh_db_app_by_slug(dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_false(wh_dbc_gone(dbc));
    kill_others(t);
    assert_ok(wh_dbc_begin(dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_app_update(dbc, t->p, a, DB_T(2), &t->err), &t->err);
    assert_ok(wh_dbc_commit(dbc, &t->err), &t->err);
    kill_others(t);
    assert_code(wh_db_app_update(dbc, t->p, a, DB_T(3), &t->err), &t->err, "db_gone");
    assert_true(wh_dbc_gone(dbc));
    wh_dbc_close(dbc);
    /* The next request gets the same handle, reconnected by mod_dbd or by the wrap. */
    dbc = pooled_wrap(t, &h, t->p);
    assert_ok(wh_db_app_by_slug(dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_int_equal(got->version, 2);
}

static void test_leader(void **state)
{
    db_t *t = *state;
    wh_dbc_t *other = db_open(t);
    int got = -1;

    /* A machine that vanished does not keep the lock: said when the connection is opened. */
    if (t->pg) {
        const char *said = NULL;

        assert_ok(wh_dbc_exec_value(other, t->p,
                                    "SELECT COUNT(*) FROM pg_settings WHERE source = 'session'"
                                    " AND name LIKE 'tcp_keepalives_%'",
                                    &said, &t->err),
                  &t->err);
        assert_string_equal(said, "3");
    }
    assert_ok(wh_db_lock_scheduler(t->dbc, t->p, &got, &t->err), &t->err);
    assert_int_equal(got, 1);
    assert_ok(wh_db_lock_scheduler(other, t->p, &got, &t->err), &t->err);
    assert_int_equal(got, !t->pg);
    wh_dbc_close(t->dbc);
    t->dbc = NULL;
    for (int i = 0; i < 100 && !got; i++) {
        apr_sleep(20000);
        assert_ok(wh_db_lock_scheduler(other, t->p, &got, &t->err), &t->err);
    }
    assert_int_equal(got, 1);
}

/* The file is moved away under an open connection: an error, never an empty database. */
static void test_moved(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    const char *moved = apr_pstrcat(t->p, t->params, ".moved", NULL);
    wh_dbc_t *dbc = NULL;
    wh_app_t *got;

    assert_int_equal(rename(t->params, moved), 0);
    assert_code(wh_db_app_update(t->dbc, t->p, a, DB_T(2), &t->err), &t->err, "db_gone");
    assert_int_equal(t->err.http, 503);
    assert_true(wh_dbc_gone(t->dbc));
    assert_code(wh_dbc_open(t->p, "sqlite3", t->params, &dbc, &t->err), &t->err, "db_error");
    assert_int_equal(access(t->params, F_OK), -1);
    assert_int_equal(rename(moved, t->params), 0);
    wh_dbc_close(t->dbc);
    t->dbc = db_open(t);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_int_equal(got->version, 1);
}

/* The same under a handle of mod_dbd, which keeps it for ever; and the file comes back as another.
 */
static void test_moved_pooled(void **state)
{
    db_t *t = *state;
    pooled_t h = pooled_make(t);
    const char *moved = apr_pstrcat(t->p, t->params, ".moved", NULL);
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_dbc_t *dbc = pooled_wrap(t, &h, t->p);
    apr_pool_t *request;
    wh_app_t *got;

    db_sql(t, apr_psprintf(t->p, "VACUUM INTO '%s'", moved));
    assert_int_equal(unlink(t->params), 0);
    assert_code(
        wh_dbc_wrap(t->p, h.owner->driver, h.owner->handle, h.pool, h.prepared, &dbc, &t->err),
        &t->err, "db_gone");
    assert_null(strstr(t->err.text, "/"));
    assert_int_equal(access(t->params, F_OK), -1);
    (void)unlink(apr_pstrcat(t->p, t->params, "-wal", NULL));
    (void)unlink(apr_pstrcat(t->p, t->params, "-shm", NULL));
    assert_int_equal(rename(moved, t->params), 0);
    for (int i = 0; i < 2; i++) {
        apr_pool_create(&request, t->p);
        dbc = pooled_wrap(t, &h, request);
        assert_ok(wh_dbc_begin(dbc, t->p, &t->err), &t->err);
        assert_ok(wh_db_app_update(dbc, request, a, DB_T(2), &t->err), &t->err);
        if (i == 0)
            assert_ok(wh_dbc_commit(dbc, &t->err), &t->err);
        apr_pool_destroy(request);
    }
    wh_dbc_close(t->dbc);
    t->dbc = db_open(t);
    assert_ok(wh_db_app_by_slug(t->dbc, t->p, "app1", &got, &t->err), &t->err);
    assert_int_equal(got->version, 2);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("values come back as they went in: NULL, empty, 64 bits, any text", test_values),
        DB_CASE("unique 409, foreign key 409, check 500, no row 404", test_constraints),
        DB_CASE("a transaction left open is rolled back; an error inside fails the commit",
                test_transactions),
        DB_CASE("a wrapped handle is clean, and foreign keys are on", test_wrap),
        DB_CASE("taking a handle spoils nobody's statements", test_wrap_gently, .only = 's'),
        DB_CASE("statements heal after schema changes by others", test_ddl),
        DB_CASE("of two connections one wins a compare-and-set", test_cas),
        DB_CASE("a writer waits at most 3 s, then 503 db_busy", test_busy),
        DB_CASE("so does begin", test_busy_begin, .only = 's'),
        DB_CASE("D11 a killed connection is db_gone 503, never not found", test_killed,
                .only = 'p'),
        DB_CASE("a pooled handle connects again", test_killed_pooled, .only = 'p'),
        DB_CASE("one scheduler is the active one", test_leader),
        DB_CASE("a database file moved away is 503, and no empty one is made", test_moved,
                .only = 's'),
        DB_CASE("a pooled handle of a replaced file is gone round", test_moved_pooled, .only = 's'),
    };

    return DB_RUN(cases);
}
