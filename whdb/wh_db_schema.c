/* Migrations. The few statements here that only one of the databases knows are text in this file;
 * everything that both know is in wh_sql.def. */
#include "whdb/wh_db_schema.h"
#include "whdb/wh_dbc_priv.h"
#include "whdb/wh_schema_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <sqlite3.h>

#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"

#define SQLITE_MODE 0660

/* SQLite's writers wait 3 s each time; a migration of a large table may take longer. */
#define LOCK_TRIES 10
#define WAL_STEP_US 5000 /* and twice as long each time: 5 s in all */

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                " version BIGINT NOT NULL PRIMARY KEY CHECK (version > 0),"
                                " name TEXT NOT NULL,"
                                " checksum TEXT NOT NULL CHECK (length(checksum) = 64),"
                                " state TEXT NOT NULL CHECK (state IN ('applying', 'applied')),"
                                " applied_at BIGINT NOT NULL)";

/* The key is ours alone: "wh" and 1. */
static const char pg_lock[] = "SELECT pg_advisory_lock(30568, 1)";
static const char pg_unlock[] = "SELECT pg_advisory_unlock(30568, 1)";

int wh_db_schema_needed(void)
{
    int last = 0;

    for (const wh_schema_file_t *f = wh_schema_files; f->version != 0; f++) {
        last = f->version;
    }
    return last;
}

apr_status_t wh_db_schema_create(apr_pool_t *p, const char *driver, const char *params,
                                 wh_err_t *err)
{
    int fd;
    int ok;

    (void)p;
    if (strcmp(driver, "sqlite3") != 0) {
        return APR_SUCCESS;
    }
    fd = open(params, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, SQLITE_MODE);
    if (fd < 0 && errno == EEXIST) {
        return APR_SUCCESS;
    }
    if (fd < 0) {
        return wh_err_wrap(err, APR_FROM_OS_ERROR(errno), 503, "db_error",
                           "The database file %s cannot be made", params);
    }
    ok = fchmod(fd, SQLITE_MODE) == 0; /* whatever the umask is */
    if (close(fd) != 0 || !ok) {
        return wh_err_set(err, 503, "db_error", "The mode of %s cannot be set.", params);
    }
    return APR_SUCCESS;
}

static apr_status_t table_there(wh_dbc_t *dbc, apr_pool_t *p, int *there, wh_err_t *err)
{
    const char *value;
    apr_status_t rv = wh_dbc_exec_value(
        dbc, p,
        wh_dbc_kind(dbc) == WH_DBC_SQLITE
            ? "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
            : "SELECT to_regclass('schema_migrations')",
        &value, err);

    *there = rv == APR_SUCCESS && value != NULL;
    return rv;
}

/* One row of schema_migrations against the file of this program. */
static apr_status_t row_check(apr_pool_t *p, wh_row_t *r, const wh_schema_file_t *f, wh_err_t *err)
{
    apr_int64_t version = wh_dbc_int(r);
    const char *name = wh_dbc_text(r);
    const char *checksum = wh_dbc_text(r);
    const char *state = wh_dbc_text(r);

    if (strcmp(state, "applied") != 0) {
        return wh_err_set(err, 503, "schema_half_applied",
                          "Migration %s stopped in its middle: restore the backup of the database "
                          "made before it, then start again.",
                          name);
    }
    if (version != f->version ||
        strcmp(checksum, wh_sign_sha256_hex(p, f->text, strlen(f->text))) != 0) {
        return wh_err_set(err, 503, "schema_changed",
                          "The database has another migration %s than this program (%s): install "
                          "the Wisehost that made the database, or restore a backup.",
                          name, f->name);
    }
    return APR_SUCCESS;
}

/* *at = how many migrations are applied; all of them are looked at. */
static apr_status_t state_read(wh_dbc_t *dbc, apr_pool_t *p, int *at, wh_err_t *err)
{
    wh_rows_t rows;
    int needed = wh_db_schema_needed();
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_schema_list, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS && rows.n > 0) {
        wh_row_t last = wh_dbc_row(&rows, rows.n - 1);
        apr_int64_t version = wh_dbc_int(&last);
        if (version > needed) {
            return wh_err_set(
                err, 503, "schema_newer",
                "The database schema is at %" APR_INT64_T_FMT
                ", made by a newer Wisehost; this program knows %d: install the newer "
                "version, or restore the backup made before the upgrade.",
                version, needed);
        }
    }
    for (int i = 0; rv == APR_SUCCESS && i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        rv = row_check(p, &r, &wh_schema_files[i], err);
    }
    if (rv == APR_SUCCESS) {
        *at = rows.n;
    }
    return rv;
}

apr_status_t wh_db_schema_check(wh_dbc_t *dbc, apr_pool_t *p, wh_err_t *err)
{
    int there;
    int at = 0;
    apr_status_t rv = table_there(dbc, p, &there, err);

    if (rv == APR_SUCCESS && there) {
        rv = state_read(dbc, p, &at, err);
    }
    if (rv == APR_SUCCESS && at < wh_db_schema_needed()) {
        return wh_err_set(err, 503, "schema_older",
                          "The database schema is at %d, this program needs %d: run wh-scheduler "
                          "--migrate.",
                          at, wh_db_schema_needed());
    }
    return rv;
}

/* Non-zero when nothing but blank lines and comments is left. */
static int only_comments(const char *text)
{
    while (*text != '\0') {
        size_t line = strcspn(text, "\n");
        size_t blank = strspn(text, " \t\r");
        if (blank < line && strncmp(text + blank, "--", 2) != 0) {
            return 0;
        }
        text += line + (text[line] == '\n');
    }
    return 1;
}

/* "-- only: sqlite" or "-- only: pgsql" in a line before a statement: the other has no such thing. */
static int for_us(const wh_dbc_t *dbc, const char *statement)
{
    const char *other =
        wh_dbc_kind(dbc) == WH_DBC_PGSQL ? "-- only: sqlite\n" : "-- only: pgsql\n";

    return strstr(statement, other) == NULL;
}

/* Runs a file statement by statement: one ends with a semicolon at the end of a line. */
static apr_status_t file_run(wh_dbc_t *dbc, apr_pool_t *p, const wh_schema_file_t *f, wh_err_t *err)
{
    const char *at = f->text;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !only_comments(at)) {
        const char *end = strstr(at, ";\n");
        size_t n = end == NULL ? strlen(at) : (size_t)(end - at) + 1;
        const char *statement = apr_pstrmemdup(p, at, n);
        rv = for_us(dbc, statement) ? wh_dbc_exec(dbc, statement, err) : APR_SUCCESS;
        at += n;
    }
    return rv;
}

static apr_status_t file_apply(wh_dbc_t *dbc, apr_pool_t *p, const wh_schema_file_t *f,
                               apr_time_t now, wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_query(dbc, p, WH_SQL_schema_begin_one,
                     WH_ARGS(WH_I(f->version), WH_S(f->name),
                             WH_S(wh_sign_sha256_hex(p, f->text, strlen(f->text))), WH_I(now)),
                     NULL, err);

    if (rv == APR_SUCCESS) {
        rv = file_run(dbc, p, f, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_cas(dbc, p, WH_SQL_schema_end_one, WH_ARGS(WH_I(f->version)), err);
    }
    if (rv == APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "schema: applied %s", f->name);
    }
    return rv;
}

static apr_status_t begin_patiently(wh_dbc_t *dbc, apr_pool_t *p, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < LOCK_TRIES; i++) {
        rv = wh_dbc_begin(dbc, p, &why);
        if (rv == APR_SUCCESS || !wh_err_is(&why, "db_busy")) {
            break;
        }
    }
    if (rv != APR_SUCCESS && err != NULL) {
        *err = why;
    }
    return rv;
}

/* One transaction: reads where the schema stands, and applies the next migration if there is one.
 * *from is set when negative. */
static apr_status_t step(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int *from, int *at,
                         wh_err_t *err)
{
    apr_status_t rv = begin_patiently(dbc, p, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_exec(dbc, table_sql, err);
    }
    if (rv == APR_SUCCESS) {
        rv = state_read(dbc, p, at, err);
    }
    if (rv == APR_SUCCESS && *from < 0) {
        *from = *at;
    }
    if (rv == APR_SUCCESS && wh_schema_files[*at].version != 0) {
        rv = file_apply(dbc, p, &wh_schema_files[*at], now, err);
        (*at)++;
    }
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(dbc);
        return rv;
    }
    return wh_dbc_commit(dbc, err);
}

/* Two that change the mode of a new file at once stand in each other's way, and SQLite tells both
 * at once, without waiting: one step aside, and the other is through. */
static apr_status_t wal_patiently(wh_dbc_t *dbc, apr_pool_t *p, const char **mode, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;
    apr_interval_time_t aside = WAL_STEP_US;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < LOCK_TRIES; i++) {
        rv = wh_dbc_exec_value(dbc, p, "PRAGMA journal_mode=WAL", mode, &why);
        if (rv == APR_SUCCESS || !wh_err_is(&why, "db_busy")) {
            break;
        }
        apr_sleep(aside);
        aside *= 2;
    }
    if (rv != APR_SUCCESS && err != NULL) {
        *err = why;
    }
    return rv;
}

/* WAL is a property of the file; a file system without shared memory cannot have it. */
static apr_status_t sqlite_prepare(wh_dbc_t *dbc, apr_pool_t *p, wh_err_t *err)
{
    const char *path = sqlite3_db_filename(dbc->native, "main");
    const char *mode;
    apr_status_t rv = wal_patiently(dbc, p, &mode, err);

    if (rv == APR_SUCCESS && (mode == NULL || strcmp(mode, "wal") != 0)) {
        return wh_err_set(err, 503, "db_error",
                          "SQLite cannot use its write-ahead log at %s: the file must be on a "
                          "local, writable file system.",
                          path);
    }
    if (rv == APR_SUCCESS && chmod(path, SQLITE_MODE) != 0) {
        wh_log(WH_LOG_WARN, "WH0054", "the mode of %s cannot be set to 0660: %s", path,
               strerror(errno));
    }
    return rv;
}

apr_status_t wh_db_schema_migrate(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int *from, int *to,
                                  wh_err_t *err)
{
    int pg = wh_dbc_kind(dbc) == WH_DBC_PGSQL;
    int start = -1;
    int at = 0;
    apr_pool_t *tp;
    apr_status_t rv = APR_SUCCESS;

    if (wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "Migrations do not run inside a transaction.");
    }
    apr_pool_create(&tp, p);
    if (pg) {
        rv = wh_dbc_exec(dbc, "SET lock_timeout = 60000", err);
    } else {
        rv = sqlite_prepare(dbc, tp, err);
    }
    if (rv == APR_SUCCESS && pg) {
        rv = wh_dbc_exec(dbc, pg_lock, err);
    }
    while (rv == APR_SUCCESS && (start < 0 || at < wh_db_schema_needed())) {
        rv = step(dbc, tp, now, &start, &at, err);
    }
    if (pg && !wh_dbc_gone(dbc)) {
        apr_status_t rv2 = wh_dbc_exec(dbc, pg_unlock, NULL);
        if (rv2 == APR_SUCCESS) {
            rv2 = wh_dbc_exec(dbc, "SET lock_timeout = 3000", NULL);
        }
        rv = rv == APR_SUCCESS && rv2 != APR_SUCCESS ? rv2 : rv;
    }
    apr_pool_destroy(tp);
    if (rv == APR_SUCCESS && from != NULL) {
        *from = start;
    }
    if (rv == APR_SUCCESS && to != NULL) {
        *to = at;
    }
    return rv;
}
