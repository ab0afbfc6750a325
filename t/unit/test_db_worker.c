#include "t/unit/db.h"
#include "whdb/wh_db_fleet.h"
#include "whdb/wh_db_worker.h"

static apr_status_t enrol(db_t *t, const char *name, char key, wh_worker_t **out, int *created)
{
    wh_worker_t w = {
        .public_id = db_id(t, 'w', key),
        .name = name,
        .key_hash = db_hash(t, key),
        .address = "10.0.0.1",
        .zone = "",
        .labels = "{\"disk\":\"ssd\"}",
        .version = "0.1.0",
        .cpu_millis = 2000,
        .memory_bytes = 1 << 30,
    };
    apr_status_t rv;

    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    rv = wh_db_worker_register(t->dbc, t->p, &w, DB_T(key), out, created, &t->err);
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(t->dbc);
        return rv;
    }
    return wh_dbc_commit(t->dbc, &t->err);
}

/* Each write that the roster is to show makes another mark. */
static void test_mark(void **state)
{
    db_t *t = *state;
    wh_worker_t *w;
    apr_int64_t marks[6];
    int created = -1, n = 0;

    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[n++], &t->err), &t->err);
    assert_ok(enrol(t, "one", 'a', &w, &created), &t->err);
    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[n++], &t->err), &t->err);
    assert_ok(wh_db_fleet_ask_rotate(t->dbc, t->p, w->id, DB_T(200), &t->err), &t->err);
    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[n++], &t->err), &t->err);
    assert_ok(wh_db_fleet_rotate(t->dbc, t->p, w->id, db_hash(t, 'a'), db_hash(t, 'b'), DB_T(201),
                                 &t->err),
              &t->err);
    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[n++], &t->err), &t->err);
    assert_ok(wh_db_fleet_revoke(t->dbc, t->p, w->id, DB_T(202), &t->err), &t->err);
    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[n++], &t->err), &t->err);
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_fleet_remove(t->dbc, t->p, w, DB_T(203), &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[n++], &t->err), &t->err);
    for (int i = 1; i < n; i++) {
        assert_int_not_equal(marks[i], marks[i - 1]);
    }
    assert_ok(wh_db_worker_roster_mark(t->dbc, t->p, &marks[0], &t->err), &t->err);
    assert_int_equal(marks[0], marks[n - 1]);
}

static void test_register(void **state)
{
    db_t *t = *state;
    wh_worker_t *w;
    wh_worker_t *again;
    int created = -1;

    assert_ok(enrol(t, "one", 'a', &w, &created), &t->err);
    assert_int_equal(created, 1);
    assert_int_equal(w->id, 1);
    assert_string_equal(w->labels, "{\"disk\":\"ssd\"}");
    assert_int_equal(w->status, WH_WORKER_OFFLINE);
    assert_int_equal(w->max_jobs, 1);
    assert_ok(enrol(t, "two", 'b', &w, &created), &t->err);
    assert_int_equal(w->id, 2);
    assert_ok(enrol(t, "one", 'a', &again, &created), &t->err);
    assert_int_equal(created, 0);
    assert_int_equal(again->id, 1);

    assert_code(enrol(t, "one", 'c', &w, &created), &t->err, "conflict");
    assert_non_null(strstr(t->err.text, "another key"));
    assert_code(enrol(t, "three", 'a', &w, &created), &t->err, "conflict");
    assert_code(enrol(t, "two", 'a', &w, &created), &t->err, "conflict");
    assert_int_equal(t->err.http, 409);

    assert_ok(wh_db_worker_by_key_hash(t->dbc, t->p, db_hash(t, 'b'), &w, &t->err), &t->err);
    assert_int_equal(w->id, 2);
    assert_int_equal(wh_db_worker_by_key_hash(t->dbc, t->p, db_hash(t, 'c'), &w, &t->err),
                     APR_NOTFOUND);

    /* A removed one is gone for good: neither its key nor its number come back. */
    db_sql(t, "UPDATE workers SET admin_state = 'removed' WHERE id = 2");
    assert_int_equal(wh_db_worker_by_key_hash(t->dbc, t->p, db_hash(t, 'b'), &w, &t->err),
                     APR_NOTFOUND);
    assert_code(enrol(t, "two", 'b', &w, &created), &t->err, "worker_removed");
    assert_int_equal(t->err.http, 403);
    assert_ok(enrol(t, "four", 'd', &w, &created), &t->err);
    assert_int_equal(w->id, 3);
}

static void test_status(void **state)
{
    db_t *t = *state;
    wh_worker_t *w = db_worker(t, 1);
    apr_array_header_t *list;
    int n = -1;

    (void)db_worker(t, 2);
    assert_ok(wh_db_worker_get(t->dbc, t->p, w->id, &w, &t->err), &t->err);
    assert_int_equal(w->status, WH_WORKER_ONLINE);
    assert_int_equal(w->max_jobs, 2);
    assert_string_equal(w->engine, "podman 4");
    assert_ok(wh_db_worker_heartbeat(t->dbc, t->p, w->id, 12345678901, "full", DB_T(100), &t->err),
              &t->err);
    assert_int_equal(wh_db_worker_heartbeat(t->dbc, t->p, 77, 1, "", DB_T(100), &t->err),
                     APR_NOTFOUND);
    assert_ok(wh_db_worker_list_silent(t->dbc, t->p, DB_T(50), 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    assert_int_equal(APR_ARRAY_IDX(list, 0, wh_worker_t *)->id, 2);
    assert_ok(wh_db_worker_set_offline(t->dbc, t->p, 2, DB_T(101), &t->err), &t->err);
    assert_int_equal(wh_db_worker_set_offline(t->dbc, t->p, 2, DB_T(101), &t->err), APR_NOTFOUND);
    assert_ok(wh_db_worker_get(t->dbc, t->p, 1, &w, &t->err), &t->err);
    assert_true(w->last_heartbeat_at == DB_T(100));
    assert_true(w->disk_free_bytes == 12345678901);
    assert_ok(wh_db_worker_all_offline(t->dbc, t->p, DB_T(102), &n, &t->err), &t->err);
    assert_int_equal(n, 1);
    assert_ok(wh_db_worker_list(t->dbc, t->p, 0, 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 2);
    assert_ok(wh_db_worker_list(t->dbc, t->p, 1, 10, &list, &t->err), &t->err);
    assert_int_equal(list->nelts, 1);
    assert_int_equal(APR_ARRAY_IDX(list, 0, wh_worker_t *)->status, WH_WORKER_OFFLINE);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F54 R31 register: new, again, another's name or key, removed", test_register),
        DB_CASE("what the roster shows has a mark that changes with it", test_mark),
        DB_CASE("F8 F97 F150 online, heartbeat, silent, offline", test_status),
    };

    return DB_RUN(cases);
}
