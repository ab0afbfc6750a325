#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "t/unit/db.h"
#include "whdb/wh_db_schema.h"
#include "whdb/wh_schema_files.h"

static void test_up(void **state)
{
    db_t *t = *state;
    int from = -1;
    int to = -1;
    int need = wh_db_schema_needed();
    wh_dbc_t *dbc = db_open(t);

    assert_true(need >= 3);
    assert_code(wh_db_schema_check(dbc, t->p, &t->err), &t->err, "schema_older");
    assert_non_null(strstr(t->err.text, "schema is at 0, this program needs"));
    assert_non_null(strstr(t->err.text, "wh-scheduler --migrate"));
    assert_ok(wh_db_schema_migrate(dbc, t->p, DB_T(1), &from, &to, &t->err), &t->err);
    assert_int_equal(from, 0);
    assert_int_equal(to, need);
    assert_ok(wh_db_schema_check(dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_schema_migrate(dbc, t->p, DB_T(2), &from, &to, &t->err), &t->err);
    assert_int_equal(from, need);
    assert_int_equal(to, need);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM schema_migrations"
                                    " WHERE state = 'applied' AND applied_at = 1700000001000000"),
                        apr_itoa(t->p, need));
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM apps"), "0");
}

static void test_refused(void **state)
{
    db_t *t = *state;

    db_sql(t, "UPDATE schema_migrations SET checksum = 'f' || substr(checksum, 2, 62) || 'x'"
              " WHERE version = 2");
    assert_code(wh_db_schema_check(t->dbc, t->p, &t->err), &t->err, "schema_changed");
    assert_non_null(strstr(t->err.text, "0002-containers"));
    assert_code(wh_db_schema_migrate(t->dbc, t->p, DB_T(1), NULL, NULL, &t->err), &t->err,
                "schema_changed");
    assert_false(wh_dbc_in_transaction(t->dbc));

    db_sql(t, "UPDATE schema_migrations SET state = 'applying' WHERE version = 2");
    assert_code(wh_db_schema_check(t->dbc, t->p, &t->err), &t->err, "schema_half_applied");
    assert_non_null(strstr(t->err.text, "restore the backup"));
    assert_code(wh_db_schema_migrate(t->dbc, t->p, DB_T(1), NULL, NULL, &t->err), &t->err,
                "schema_half_applied");

    db_sql(t, "INSERT INTO schema_migrations (version, name, checksum, state, applied_at)"
              " SELECT 99, '0099-later', checksum, 'applied', 1 FROM schema_migrations"
              " WHERE version = 1");
    assert_code(wh_db_schema_check(t->dbc, t->p, &t->err), &t->err, "schema_newer");
    assert_non_null(strstr(t->err.text, "schema is at 99"));
    assert_code(wh_db_schema_migrate(t->dbc, t->p, DB_T(1), NULL, NULL, &t->err), &t->err,
                "schema_newer");
    assert_int_equal(t->err.http, 503);
}

/* A gap, which no program leaves behind. */
static void test_gap(void **state)
{
    db_t *t = *state;

    db_sql(t, "DELETE FROM schema_migrations WHERE version = 2");
    assert_code(wh_db_schema_check(t->dbc, t->p, &t->err), &t->err, "schema_changed");
}

/* Each statement ends with a semicolon at the end of a line. */
static void run_file(db_t *t, const char *text)
{
    const char *end;

    for (; (end = strstr(text, ";\n")) != NULL; text = end + 2) {
        db_sql(t, apr_pstrmemdup(t->p, text, (size_t)(end + 1 - text)));
    }
}

/* The database as the program that knew three schemas left it, with rows of what the fourth
 * rewrites. */
static void go_back_to_3(db_t *t)
{
    static const char *const tables[] = {
        "front_requests", "event_outbox", "forge_outbox", "forge_requests", "hook_forges",
        "token_issuers", "audit", "usage_buckets", "usage_parts", "alert_states", "alerts", "alert_rules",
        "notification_deliveries", "log_drains", "notification_channels", "notification_event",
        "sync_events", "syncs", "deployment_env", "env_vars", "hook_deliveries",
        "source_hosts", "source_secrets",
        "switches",  "domains", "environments", "deliveries",     "hooks",
        "instances", "names",   "jobs",         "deployments",    "releases",
        "apps",      "workers", "counters",     "onetime_tokens", "tokens"};

    for (size_t i = 0; i < WH_ARRAY_LEN(tables); i++) {
        db_sql(t, apr_pstrcat(t->p, "DROP TABLE ", tables[i], NULL));
    }
    db_sql(t, "DELETE FROM schema_migrations WHERE version > 3");
    for (int i = 0; i < 3; i++) {
        run_file(t, wh_schema_files[i].text);
    }
    db_sql(
        t,
        apr_psprintf(
            t->p,
            "INSERT INTO workers (id, public_id, name, key_hash, address, cpu_millis, memory_bytes,"
            " max_jobs, created_at, updated_at) VALUES (7, 'p', 'old', '%s', '127.0.0.1', 1, 1, 9, "
            "1, 1)",
            db_hash(t, 'a')));
    db_sql(t,
           "INSERT INTO apps (id, slug, name, kind, repo_url, repo_branch, created_at, updated_at)"
           " VALUES ('a', 'blog', 'Blog', 'static', 'u', 'main', 1, 1)");
    db_sql(t, "INSERT INTO deployments (id, app_id, number, status, conclusion, trigger_kind, "
              "snapshot, created_at)"
              " VALUES ('d', 'a', 1, 'completed', 'succeeded', 'push', '{}', 1)");
    db_sql(t, "INSERT INTO jobs (id, kind, app_id, deployment_id, worker_id, status, created_at)"
              " VALUES ('j', 'deploy', 'a', 'd', 7, 'succeeded', 1)");
    db_sql(t, "INSERT INTO hooks (id, app_id, provider, created_at) VALUES ('h', 'a', 'github', 1)");
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO deliveries (hook_id, delivery_id, body_sha256, deployment_id,"
                           " received_at) VALUES ('h', 'x', '%s', 'd', 3)",
                           db_hash(t, 'b')));
}

static void test_older(void **state)
{
    db_t *t = *state;

    go_back_to_3(t);
    assert_code(wh_db_schema_check(t->dbc, t->p, &t->err), &t->err, "schema_older");
    assert_non_null(strstr(t->err.text, "schema is at 3, this program needs"));
    assert_ok(wh_db_schema_migrate(t->dbc, t->p, DB_T(5), NULL, NULL, &t->err), &t->err);
    assert_ok(wh_db_schema_check(t->dbc, t->p, &t->err), &t->err);
    assert_string_equal(db_value(t, "SELECT max_jobs FROM workers WHERE id = 7"), "9");
    assert_string_equal(db_value(t, "SELECT trigger_kind FROM deployments WHERE id = 'd'"), "push");
    assert_string_equal(db_value(t, "SELECT place_labels FROM jobs WHERE worker_id = 7"), "{}");
    assert_string_equal(db_value(t, "SELECT provider FROM hooks WHERE id = 'h'"), "github");
    assert_string_equal(db_value(t, "SELECT deployment_id FROM hook_deliveries"
                                    " WHERE hook_id = 'h' AND delivery_id = 'x'"),
                        "d");
}

/* A migration that fails changes nothing at all: not even its mark is left. */
static void test_failing(void **state)
{
    db_t *t = *state;
    wh_dbc_t *dbc = db_open(t);

    db_sql(t, "CREATE TABLE instances (x BIGINT)");
    assert_code(wh_db_schema_migrate(dbc, t->p, DB_T(1), NULL, NULL, &t->err), &t->err, "db_error");
    assert_string_equal(db_value(t, "SELECT MAX(version) FROM schema_migrations"), "1");
    db_sql(t, "DROP TABLE instances");
    assert_ok(wh_db_schema_migrate(dbc, t->p, DB_T(1), NULL, NULL, &t->err), &t->err);
}

static void test_file(void **state)
{
    db_t *t = *state;
    struct stat st;
    mode_t old = umask(0777);
    const char *other = apr_pstrcat(t->p, t->params, ".moved", NULL);
    wh_dbc_t *dbc = NULL;

    assert_ok(wh_db_schema_create(t->p, "sqlite3", other, &t->err), &t->err);
    umask(old);
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_ok(wh_db_schema_create(t->p, "sqlite3", other, &t->err), &t->err);

    assert_int_equal(chmod(t->params, 0600), 0);
    assert_ok(wh_db_schema_migrate(t->dbc, t->p, DB_T(1), NULL, NULL, &t->err), &t->err);
    assert_int_equal(stat(t->params, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_string_equal(db_value(t, "PRAGMA journal_mode"), "wal");

    assert_code(wh_dbc_open(t->p, "sqlite3", "/nonexistent/x.db", &dbc, &t->err), &t->err,
                "db_error");
    assert_code(wh_dbc_open(t->p, "sqlite3", t->dir, &dbc, &t->err), &t->err, "db_error");
    assert_code(wh_dbc_open(t->p, "mysql", "x", &dbc, &t->err), &t->err, "db_error");
    assert_int_equal(unlink(other), 0);
    assert_code(wh_dbc_open(t->p, "sqlite3", other, &dbc, &t->err), &t->err, "db_error");
    assert_int_equal(access(other, F_OK), -1);
    assert_code(wh_db_schema_create(t->p, "sqlite3", "/nonexistent/x.db", &t->err), &t->err,
                "db_error");
    assert_null(dbc);
}

static void test_no_database(void **state)
{
    db_t *t = *state;
    wh_dbc_t *dbc = NULL;
    FILE *f = fopen(t->params, "w");

    assert_non_null(f);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", f);
    fclose(f);
    assert_int_not_equal(wh_dbc_open(t->p, "sqlite3", t->params, &dbc, &t->err), APR_SUCCESS);
    assert_int_equal(t->err.http, 503);
}

static void test_server_away(void **state)
{
    db_t *t = *state;
    wh_dbc_t *dbc = NULL;

    assert_code(
        wh_dbc_open(t->p, "pgsql", "host=127.0.0.1 port=1 connect_timeout=2", &dbc, &t->err),
        &t->err, "db_gone");
    assert_int_equal(t->err.http, 503);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("migrations go up once; again is a no-op", test_up, .bare = 1),
        DB_CASE("XN10 changed, half-applied and newer schemas are refused, saying what to do",
                test_refused),
        DB_CASE("a gap in the migrations is refused", test_gap),
        DB_CASE("an older schema is told and brought up", test_older),
        DB_CASE("a failing migration changes nothing", test_failing, .bare = 1),
        DB_CASE("XO2 the file: mode 0660 whatever the umask, WAL, a missing one is not made",
                test_file, .only = 's'),
        DB_CASE("XO2 a file that is no database is refused", test_no_database, .bare = 1,
                .only = 's'),
        DB_CASE("a server that is away is db_gone", test_server_away, .bare = 1, .only = 'p'),
    };

    return DB_RUN(cases);
}
