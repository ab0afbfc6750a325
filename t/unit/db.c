#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_schema.h"
#include "whdb/wh_db_worker.h"

static apr_pool_t *root_pool;

static void drop_notice(void *baton, const char *message)
{
    (void)baton;
    (void)message;
}

typedef struct plan_t {
    const db_case_t *what;
    int pg;
} plan_t;

/* Runs text on a connection of its own and returns the first value. */
static char *pg_run(db_t *t, const char *params, const char *text)
{
    PGconn *conn = PQconnectdb(params);
    PGresult *res;
    char *value = NULL;

    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("cannot connect: %s", PQerrorMessage(conn));
    PQsetNoticeProcessor(conn, drop_notice, NULL);
    res = PQexec(conn, text);
    if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", text, PQerrorMessage(conn));
    if (PQntuples(res) > 0 && !PQgetisnull(res, 0, 0))
        value = apr_pstrdup(t->p, PQgetvalue(res, 0, 0));
    PQclear(res);
    PQfinish(conn);
    return value;
}

static int first_value(void *baton, int n, char **values, char **names)
{
    char **to = baton;

    (void)names;
    if (*to == NULL && n > 0 && values[0] != NULL)
        *to = strdup(values[0]);
    return 0;
}

static char *sqlite_run(db_t *t, const char *text)
{
    sqlite3 *db;
    char *value = NULL;
    char *copy;

    assert_int_equal(sqlite3_open(t->params, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, text, first_value, &value, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
    copy = value == NULL ? NULL : apr_pstrdup(t->p, value);
    free(value);
    return copy;
}

const char *db_value(db_t *t, const char *text)
{
    return t->pg ? pg_run(t, t->params, text) : sqlite_run(t, text);
}

void db_sql(db_t *t, const char *text)
{
    (void)db_value(t, text);
}

wh_dbc_t *db_open(db_t *t)
{
    wh_dbc_t *dbc = NULL;

    assert_ok(wh_dbc_open(t->p, t->driver, t->params, &dbc, &t->err), &t->err);
    return dbc;
}

static void make_pg(db_t *t)
{
    static int serial;
    const char *base = getenv("WH_TEST_PG");
    const char *name = apr_psprintf(t->p, "wh_t_%d_%d", (int)getpid(), ++serial);

    t->driver = "pgsql";
    t->dir = name;
    (void)pg_run(t, base, apr_pstrcat(t->p, "CREATE SCHEMA ", name, NULL));
    t->params =
        apr_psprintf(t->p, "%s application_name=%s options='-c search_path=%s'", base, name, name);
}

static void make_sqlite(db_t *t)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = apr_pstrcat(t->p, tmp == NULL ? "/tmp" : tmp, "/wh-unit-XXXXXX", NULL);

    t->driver = "sqlite3";
    assert_non_null(mkdtemp(dir));
    t->dir = dir;
    /* A name with everything that a URI would trip over. */
    t->params = apr_pstrcat(t->p, dir, "/wise host?100%#1.db", NULL);
}

static int setup(void **state)
{
    const plan_t *plan = *state;
    apr_pool_t *p;
    db_t *t;

    apr_pool_create(&p, root_pool);
    t = apr_pcalloc(p, sizeof(*t));
    t->p = p;
    t->pg = plan->pg;
    *state = t;
    if (plan->pg)
        make_pg(t);
    else
        make_sqlite(t);
    assert_ok(wh_db_schema_create(p, t->driver, t->params, &t->err), &t->err);
    if (!plan->what->bare) {
        t->dbc = db_open(t);
        assert_ok(wh_db_schema_migrate(t->dbc, p, DB_T(0), NULL, NULL, &t->err), &t->err);
    }
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal", ".moved"};
    db_t *t = *state;
    db_t after = {.pg = t->pg};
    char path[512];
    char dir[256];

    apr_cpystrn(path, t->params, sizeof(path));
    apr_cpystrn(dir, t->dir, sizeof(dir));
    apr_pool_destroy(t->p); /* closes all connections, whose locks would hold up the DROP */
    apr_pool_create(&after.p, root_pool);
    if (after.pg) {
        (void)pg_run(&after, getenv("WH_TEST_PG"),
                     apr_pstrcat(after.p, "DROP SCHEMA ", dir, " CASCADE", NULL));
    } else {
        for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++)
            (void)unlink(apr_pstrcat(after.p, path, suffix[i], NULL));
        (void)rmdir(dir);
    }
    apr_pool_destroy(after.p);
    return 0;
}

/* How many databases this run has: both, or SQLite alone for a person without PostgreSQL. 0 under
 * CI, where leaving tests out is a failure. */
static int databases(void)
{
    if (getenv("WH_TEST_PG") != NULL)
        return 2;
    if (getenv("CI") != NULL) {
        printf("1..1\nnot ok 1 - WH_TEST_PG is not set: the cases cannot run on PostgreSQL\n");
        return 0;
    }
    printf("# WH_TEST_PG (libpq parameters) is not set: the cases run on SQLite alone\n");
    return 1;
}

int db_run(const db_case_t *cases, size_t n)
{
    struct CMUnitTest *tests;
    plan_t *plans;
    size_t count = 0;
    int kinds = databases();
    int failed;

    if (kinds == 0 || n == 0)
        return EXIT_FAILURE;
    tests = calloc(2 * n, sizeof(*tests));
    plans = calloc(2 * n, sizeof(*plans));
    if (tests == NULL || plans == NULL || apr_initialize() != APR_SUCCESS)
        return 1;
    apr_pool_create(&root_pool, NULL);
    for (int pg = 0; pg < kinds; pg++) {
        for (size_t i = 0; i < n; i++) {
            if (cases[i].only == (pg ? 's' : 'p'))
                continue;
            plans[count] = (plan_t){.what = &cases[i], .pg = pg};
            tests[count] = (struct CMUnitTest){
                .name =
                    apr_pstrcat(root_pool, pg ? "PostgreSQL: " : "SQLite: ", cases[i].name, NULL),
                .test_func = cases[i].fn,
                .setup_func = setup,
                .teardown_func = teardown,
                .initial_state = &plans[count],
            };
            count++;
        }
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = _cmocka_run_group_tests("whdb", tests, count, NULL, NULL);
    apr_pool_destroy(root_pool);
    apr_terminate();
    free(tests);
    free(plans);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const char *db_id(db_t *t, char kind, int n)
{
    return apr_psprintf(t->p, "0%c%024d", kind, n);
}

const char *db_hash(db_t *t, char digit)
{
    char *hash = apr_palloc(t->p, 65);

    memset(hash, digit, 64);
    hash[64] = '\0';
    return hash;
}

wh_app_t *db_app(db_t *t, int n, wh_kind_e kind)
{
    wh_app_t *a = apr_pcalloc(t->p, sizeof(*a));

    a->id = db_id(t, 'a', n);
    a->slug = apr_psprintf(t->p, "app%d", n);
    a->name = apr_psprintf(t->p, "App %d", n);
    a->kind = kind;
    a->repo_url = "https://example.org/app.git";
    a->repo_branch = "main";
    a->repo_root = "";
    a->image = "";
    a->build_command = "";
    a->build_dockerfile = "Dockerfile";
    a->build_output = "";
    a->run_port = 8080;
    a->run_health_path = "/";
    a->run_replicas = 1;
    a->run_cpu_millis = 1000;
    a->run_memory_bytes = APR_INT64_C(536870912);
    a->run_pids = 256;
    a->serve = (wh_serve_t){.hold_s = 10, .grace_s = 30, .previous_s = 86400};
    a->preview_ttl_s = 604800;
    a->sync_every_s = 60;
    a->desired = WH_DESIRED_RUNNING;
    a->observed = WH_OBSERVED_UNKNOWN;
    a->reason = "";
    a->version = 1;
    a->created_at = a->updated_at = DB_T(n);
    assert_ok(wh_db_app_insert(t->dbc, t->p, a, &t->err), &t->err);
    return a;
}

wh_worker_t *db_worker(db_t *t, int n)
{
    wh_worker_t *w = apr_pcalloc(t->p, sizeof(*w));

    w->public_id = db_id(t, 'w', n);
    w->name = apr_psprintf(t->p, "worker-%d", n);
    w->key_hash = apr_psprintf(t->p, "%064d", n);
    w->address = "127.0.0.1";
    w->zone = "";
    w->labels = "{}";
    w->engine = "podman 4";
    w->version = "0.1.0";
    w->cpu_millis = 4000;
    w->memory_bytes = APR_INT64_C(8) << 30;
    w->max_jobs = 2;
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_worker_register(t->dbc, t->p, w, DB_T(0), &w, NULL, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    w->max_jobs = 2;
    w->engine = "podman 4";
    assert_ok(wh_db_worker_set_online(t->dbc, t->p, w->id, w, DB_T(0), &t->err), &t->err);
    return w;
}

const char *db_deployment(db_t *t, const wh_app_t *app, int n)
{
    wh_db_deployment_new_t d = {
        .id = db_id(t, 'd', n),
        .job_id = db_id(t, 'j', n),
        .app_id = app->id,
        .environment = "production",
        .trigger = WH_TRIGGER_API,
        .commit_ref = "main",
        .snapshot = wh_model_snapshot_text(t->p, app),
        .now = DB_T(n),
    };
    apr_int64_t number = 0;

    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    assert_true(number > 0);
    return d.id;
}
