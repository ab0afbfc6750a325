/* The route table's writer: transactions, exactness, damage, modes; records from names. */
#include "t/unit/unit.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wh-scheduler/publish.h"
#include "wh-scheduler/publish_dir.h"
#include "wh-scheduler/routes.h"

static const char *make_dir(apr_pool_t *p)
{
    char *dir = apr_pstrdup(p, "/tmp/wh-publish-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static void drop_dir(apr_pool_t *p, const char *dir)
{
    for (int i = 1; i < 9; i++) {
        unlink(apr_psprintf(p, "%s/routes.%d/data.mdb", dir, i));
        unlink(apr_psprintf(p, "%s/routes.%d/lock.mdb", dir, i));
        rmdir(apr_psprintf(p, "%s/routes.%d", dir, i));
    }
    unlink(apr_pstrcat(p, dir, "/routes", NULL));
    assert_int_equal(rmdir(dir), 0);
}

static wh_publish_item_t item(apr_pool_t *p, const char *host, const char *release)
{
    wh_route_t *route = apr_pcalloc(p, sizeof(*route));

    route->kind = WH_ROUTE_STATIC;
    route->app_id = "app";
    route->slug = "blog";
    route->environment = "production";
    route->deployment_id = "dep";
    route->release_id = release;
    return (wh_publish_item_t){.host = host, .route = release != NULL ? route : NULL};
}

static apr_array_header_t *items(apr_pool_t *p, const char *const *hosts, const char *release)
{
    apr_array_header_t *all = apr_array_make(p, 4, sizeof(wh_publish_item_t));

    for (; *hosts != NULL; hosts++) {
        APR_ARRAY_PUSH(all, wh_publish_item_t) = item(p, *hosts, release);
    }
    return all;
}

/* How many names a reader finds; checks every record. */
static apr_size_t names(apr_pool_t *p, const char *link)
{
    apr_size_t n = 0;
    apr_pool_t *life;
    wh_err_t err = WH_ERR_INIT;

    apr_pool_create(&life, p);
    assert_ok(wh_publish_verify(life, link, &n, &err), &err);
    apr_pool_destroy(life);
    return n;
}

static void test_transactions(void **state)
{
    static const char *const three[] = {"a.test", "b.test", "c.test", NULL};
    static const char *const two[] = {"b.test", "d.test", NULL};
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p), *link = apr_pstrcat(p, dir, "/routes", NULL);
    wh_publish_t *pub;
    wh_err_t err = WH_ERR_INIT;
    apr_array_header_t *bad;
    struct stat st;
    int fresh;

    umask(007);
    apr_pool_create(&life, p);
    assert_ok(wh_publish_open(life, link, NULL, &pub, &fresh, &err), &err);
    assert_ok(wh_publish_items(pub, p, items(p, three, "r1"), &err), &err);
    assert_ok(wh_publish_items(pub, p, items(p, two, NULL), &err),
              &err); /* d.test was never there */
    bad = items(p, three, "r2");
    APR_ARRAY_IDX(bad, 2, wh_publish_item_t) = item(p, "x.test", "");
    assert_code(wh_publish_items(pub, p, bad, &err), &err, "route_invalid");
    assert_int_equal(stat(apr_pstrcat(p, link, "/data.mdb", NULL), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(stat(apr_pstrcat(p, link, "/lock.mdb", NULL), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(stat(apr_pstrcat(p, link, "/.", NULL), &st), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    wh_publish_tend(pub);
    apr_pool_destroy(life);
    assert_int_equal(names(p, link), 2);
    apr_pool_create(&life, p);
    assert_ok(wh_publish_open(life, link, NULL, &pub, &fresh, &err), &err);
    assert_int_equal(fresh, 0);
    assert_ok(wh_publish_all(pub, p, items(p, two, "r3"), &err), &err);
    apr_pool_destroy(life);
    assert_int_equal(names(p, link), 2);
    drop_dir(p, dir);
}

/* A record under another name, and a table that lost one, do not pass. */
static void test_damage(void **state)
{
    static const char *const three[] = {"a.test", "b.test", "c.test", NULL};
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p), *link = apr_pstrcat(p, dir, "/routes", NULL);
    wh_publish_t *pub;
    wh_err_t err = WH_ERR_INIT;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {6, (char[]){"a.test"}}, val, moved = {6, (char[]){"z.test"}};
    int fresh;

    apr_pool_create(&life, p);
    assert_ok(wh_publish_open(life, link, NULL, &pub, &fresh, &err), &err);
    assert_ok(wh_publish_items(pub, p, items(p, three, "r1"), &err), &err);
    apr_pool_destroy(life);
    mdb_env_create(&env);
    assert_int_equal(mdb_env_open(env, link, 0, 0660), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_get(txn, dbi, &key, &val), 0);
    assert_int_equal(mdb_put(txn, dbi, &moved, &val, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    apr_pool_create(&life, p);
    assert_code(wh_publish_verify(life, link, NULL, &err), &err, "route_corrupt");
    apr_pool_destroy(life);
    mdb_env_create(&env);
    assert_int_equal(mdb_env_open(env, link, 0, 0660), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_del(txn, dbi, &moved, NULL), 0);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    apr_pool_create(&life, p);
    assert_code(wh_publish_verify(life, link, NULL, &err), &err, "routes_damaged");
    assert_non_null(strstr(err.text, "2 names where 3 should be"));
    apr_pool_destroy(life);
    drop_dir(p, dir);
}

/* With a verifier that says no, the old directory stays until the new one is filled. */
static void test_replace(void **state)
{
    static const char *const one[] = {"a.test", NULL};
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p), *link = apr_pstrcat(p, dir, "/routes", NULL);
    wh_publish_t *pub;
    wh_err_t err = WH_ERR_INIT;
    char to[64] = "";
    int fresh;

    apr_pool_create(&life, p);
    assert_ok(wh_publish_open(life, link, "/bin/true", &pub, &fresh, &err), &err);
    assert_int_equal(fresh, 0);
    apr_pool_destroy(life);
    apr_pool_create(&life, p);
    assert_ok(wh_publish_open(life, link, "/bin/false", &pub, &fresh, &err), &err);
    assert_int_equal(fresh, 1);
    assert_int_equal(readlink(link, to, sizeof(to)), 8);
    assert_memory_equal(to, "routes.1", 8);
    assert_ok(wh_publish_all(pub, p, items(p, one, "r1"), &err), &err);
    assert_int_equal(readlink(link, to, sizeof(to)), 8);
    assert_memory_equal(to, "routes.2", 8);
    assert_ok(wh_publish_check(pub, p, &fresh, &err), &err);
    assert_int_equal(fresh, 1);
    assert_ok(wh_publish_all(pub, p, items(p, one, "r1"), &err), &err);
    assert_int_equal(readlink(link, to, sizeof(to)), 8);
    assert_memory_equal(to, "routes.3", 8);
    apr_pool_destroy(life);
    wh_publish_dir_sweep(p, link);
    assert_int_equal(access(apr_pstrcat(p, dir, "/routes.1", NULL), F_OK), -1);
    assert_int_equal(access(apr_pstrcat(p, dir, "/routes.2", NULL), F_OK), 0);
    assert_int_equal(names(p, link), 1);
    drop_dir(p, dir);
}

/* ---- records ---- */

static const char snapshot_static[] =
    "{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"https://x.example/y.git\","
    "\"branch\":\"main\",\"root_directory\":\"\"},\"build\":{\"build_command\":null,\"dockerfile\":"
    "\"Dockerfile\",\"output_directory\":\"\"},\"run\":{\"port\":8080,\"health_path\":\"/"
    "\",\"replicas\":1,"
    "\"cpu_millis\":100,\"memory_bytes\":67108864,\"pids\":64},\"spa\":true}";

static wh_db_route_t row_of(apr_pool_t *p, const char *snapshot, const char *release)
{
    return (wh_db_route_t){.name = "blog",
                           .redirect_to = "",
                           .app_id = "a",
                           .slug = "blog",
                           .environment = "production",
                           .desired = WH_DESIRED_RUNNING,
                           .deployment_id = "d",
                           .release_id = release,
                           .previous_release = "",
                           .snapshot = snapshot,
                           .upstreams = apr_array_make(p, 1, sizeof(wh_db_upstream_t))};
}

static void test_records(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_publish_item_t out;
    wh_db_route_t row = row_of(p, snapshot_static, "r1");
    char *container = apr_pstrdup(p, snapshot_static);

    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_string_equal(out.host, "blog.apps.test");
    assert_int_equal(out.route->kind, WH_ROUTE_STATIC);
    assert_int_equal(out.route->flags, WH_ROUTE_SPA);
    row.desired = WH_DESIRED_STOPPED;
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_MAINTENANCE);
    container = apr_pstrcat(p, "{\"slug\":\"blog\",\"kind\":\"container\"",
                            strchr(container, ',') + 16, NULL);
    row = row_of(p, container, "");
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_MAINTENANCE);
    for (int i = 0; i < WH_ROUTE_UPSTREAMS_MAX + 3; i++) {
        APR_ARRAY_PUSH(row.upstreams, wh_db_upstream_t) =
            (wh_db_upstream_t){.instance_id = "i", .address = "127.0.0.1", .port = 4000 + i};
    }
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_PROXY);
    assert_int_equal(out.route->n_upstreams, WH_ROUTE_UPSTREAMS_MAX);
    row.snapshot = "{}";
    assert_int_not_equal(wh_routes_record(p, &row, "apps.test", &out, &err), APR_SUCCESS);
}

/* What an owner sets holds for the names as they are; what is of the content comes from the
 * deployment. */
static void test_record_settings(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_publish_item_t out;
    wh_db_route_t row = row_of(p, snapshot_static, "r2");

    row.kind = WH_NAME_PRODUCTION;
    row.serve = (wh_serve_t){.sticky = 1, .timeout_s = 5, .hold_s = 7, .previous_s = 60};
    row.previous_release = "r1";
    row.switched_at = apr_time_from_sec(1000);
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_string_equal(out.route->previous_release, "r1");
    assert_true(out.route->previous_until == apr_time_from_sec(1060));
    assert_int_equal(out.route->flags, WH_ROUTE_SPA);
    row.previous_release = "r2"; /* the same files again: nothing is missed */
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_null(out.route->previous_release);
    row.kind = WH_NAME_BRANCH;
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->flags, WH_ROUTE_SPA | WH_ROUTE_PREVIEW);
    row.domain = 1;
    row.name = "www.example.org";
    row.kind = WH_NAME_ENVIRONMENT;
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_string_equal(out.host, "www.example.org");
    row.serve.maintenance = 1;
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_MAINTENANCE);
    row.redirect_to = "https://example.org";
    row.redirect_code = 308;
    row.snapshot = "";
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_REDIRECT);
    assert_string_equal(out.route->redirect, "https://example.org");
    assert_int_equal(out.route->redirect_code, 308);
    /* One that the table cannot hold is refused here, alone: it would stop everybody's. */
    row.redirect_to = apr_psprintf(p, "https://%0248d.com", 1);
    assert_code(wh_routes_record(p, &row, "apps.test", &out, &err), &err, "route_invalid");
}

static void test_record_switching(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_publish_item_t out;
    const char *container = apr_pstrcat(p, "{\"slug\":\"blog\",\"kind\":\"container\"",
                                        strchr(snapshot_static, ',') + 16, NULL);
    wh_db_route_t row = row_of(p, container, "");

    row.serve = (wh_serve_t){.sticky = 1, .timeout_s = 5, .hold_s = 7};
    row.switching = 1;
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_PROXY);
    assert_int_equal(out.route->flags, WH_ROUTE_HOLD | WH_ROUTE_STICKY);
    assert_int_equal(out.route->hold_s, 7);
    APR_ARRAY_PUSH(row.upstreams, wh_db_upstream_t) =
        (wh_db_upstream_t){.instance_id = "i", .address = "127.0.0.1", .port = 4000};
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->flags, WH_ROUTE_STICKY);
    assert_int_equal(out.route->timeout_s, 5);
    row.upstreams->nelts = 0;
    row.serve.hold_s = 0;
    assert_ok(wh_routes_record(p, &row, "apps.test", &out, &err), &err);
    assert_int_equal(out.route->kind, WH_ROUTE_MAINTENANCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F222 names change in one transaction or not at all", test_transactions),
        UNIT("a moved record and a lost name are found", test_damage),
        UNIT("a damaged table is replaced beside, and only when the new one is full", test_replace),
        UNIT("from names to records", test_records),
        UNIT("F222 a record has what the owner set, domains and redirects too", test_record_settings),
        UNIT("a request waits while the next container starts", test_record_switching),
    };

    return UNIT_RUN(tests);
}
