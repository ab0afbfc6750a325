/* Opening, wrapping and closing connections. Transactions: wh_dbc_tx.c; statements: wh_dbc_run.c.
 */
#include "whdb/wh_dbc_priv.h"

#include <string.h>
#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <sqlite3.h>
#include <libpq-fe.h>

#include "libwh/wh_log.h"

/* Key in the hash of prepared statements that tells which session of the handle is set up. No
 * statement has a colon in its label. */
#define SESSION_KEY "wh:session"
/* The same for a handle whose file is no longer there; set once, so that it is logged once. */
#define MOVED_KEY "wh:moved"

typedef struct session_t {
    int backend; /* PostgreSQL: the server process; another one means a reconnect */
} session_t;

/* Notices ("there is no transaction in progress") would land on stderr. */
static void drop_notice(void *baton, const char *message)
{
    (void)baton;
    (void)message;
}

static apr_status_t setup_pgsql(wh_dbc_t *dbc, wh_err_t *err)
{
    /* A random page is near in memory or on a solid disk. The default is that of a spinning one, by
     * which a hundred rows by their keys look dearer than reading the whole queue. */
    apr_status_t rv = wh_dbc_exec(dbc, "SET lock_timeout = 3000; SET random_page_cost = 1.1", err);

    /* The server is to notice within 5 s that a scheduler's machine is gone, and to let go of its
     * lock (wh_db_lock.h). */
    if (rv == APR_SUCCESS && dbc->own) {
        rv = wh_dbc_exec(dbc,
                         "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1;"
                         " SET tcp_keepalives_count = 2",
                         err);
    }
    return rv;
}

apr_status_t wh_dbc_setup(wh_dbc_t *dbc, wh_err_t *err)
{
    session_t *session = apr_hash_get(dbc->prepared, SESSION_KEY, APR_HASH_KEY_STRING);
    int backend = 0;
    apr_status_t rv;

    if (dbc->kind == WH_DBC_PGSQL) {
        PQsetErrorVerbosity(dbc->native, PQERRORS_VERBOSE);
        PQsetNoticeProcessor(dbc->native, drop_notice, NULL);
        backend = PQbackendPID(dbc->native);
    }
    if (session != NULL && session->backend == backend) {
        return APR_SUCCESS;
    }
    if (dbc->kind == WH_DBC_SQLITE) {
        int on = 0;
        /* Unlike the PRAGMA, this spoils other people's statements only where it changes something.
         */
        if (sqlite3_db_config(dbc->native, SQLITE_DBCONFIG_ENABLE_FKEY, 1, &on) != SQLITE_OK ||
            !on) {
            return wh_err_set(err, 503, "db_error", "This SQLite does not keep foreign keys.");
        }
        rv = wh_dbc_exec(dbc, "PRAGMA synchronous=FULL", err);
        if (rv == APR_SUCCESS) {
            rv = wh_dbc_exec(dbc, "SELECT 1 FROM sqlite_master", err);
        }
    } else {
        rv = setup_pgsql(dbc, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (session == NULL) {
        session = apr_palloc(dbc->hpool, sizeof(*session));
        apr_hash_set(dbc->prepared, SESSION_KEY, APR_HASH_KEY_STRING, session);
    }
    session->backend = backend;
    return APR_SUCCESS;
}

apr_status_t wh_dbc_unmoved(wh_dbc_t *dbc, wh_err_t *err)
{
    int moved = 0;

    if (dbc->kind != WH_DBC_SQLITE ||
        sqlite3_file_control(dbc->native, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
        !moved) {
        return APR_SUCCESS;
    }
    dbc->gone = 1;
    if (apr_hash_get(dbc->prepared, MOVED_KEY, APR_HASH_KEY_STRING) == NULL) {
        apr_hash_set(dbc->prepared, MOVED_KEY, APR_HASH_KEY_STRING, MOVED_KEY);
        wh_log(WH_LOG_ERROR, "WH0055", "the database file %s was moved, deleted or replaced",
               sqlite3_db_filename(dbc->native, "main"));
    }
    return wh_err_set(err, 503, "db_gone", "The database cannot be reached at present.");
}

int wh_dbc_reconnect(wh_dbc_t *dbc)
{
    if (dbc->own || dbc->in_tx || dbc->kind != WH_DBC_PGSQL ||
        apr_dbd_check_conn(dbc->driver, dbc->pool, dbc->handle) != APR_SUCCESS) {
        return 0;
    }
    return wh_dbc_setup(dbc, NULL) == APR_SUCCESS;
}

/* Which database a driver speaks to; -1 for one that we do not know. */
static int kind_of(const char *name)
{
    if (strcmp(name, "sqlite3") == 0) {
        return WH_DBC_SQLITE;
    }
    return strcmp(name, "pgsql") == 0 ? WH_DBC_PGSQL : -1;
}

static wh_dbc_t *dbc_make(apr_pool_t *p, const apr_dbd_driver_t *driver, apr_dbd_t *handle,
                          int kind)
{
    wh_dbc_t *dbc = apr_pcalloc(p, sizeof(*dbc));

    dbc->kind = (wh_dbc_kind_e)kind;
    dbc->driver = driver;
    dbc->handle = handle;
    dbc->native = apr_dbd_native_handle(driver, handle);
    dbc->pool = p;
    return dbc;
}

/* A URI that opens the file but never makes it. */
static const char *sqlite_uri(apr_pool_t *p, const char *path)
{
    char *uri = apr_palloc(p, 3 * strlen(path) + sizeof("file:?mode=rw"));
    char *to = uri;

    memcpy(to, "file:", 5); /* NOLINT(bugprone-not-null-terminated-result): the end comes below */
    to += 5;
    for (; *path != '\0'; path++) {
        if (apr_isalnum(*path) || strchr("/._-", *path) != NULL) {
            *to++ = *path;
        } else {
            to += apr_snprintf(to, 4, "%%%02X", (unsigned char)*path);
        }
    }
    memcpy(to, "?mode=rw", sizeof("?mode=rw"));
    return uri;
}

/* The parameters as the driver wants them. A path that is no file is an error here: SQLite would
 * make an empty database of it, and the platform would seem to have lost everything. */
static apr_status_t open_params(apr_pool_t *p, int kind, const char *params, const char **out,
                                wh_err_t *err)
{
    apr_finfo_t info;
    apr_status_t rv;

    if (kind == WH_DBC_PGSQL) {
        *out = params;
        return APR_SUCCESS;
    }
    rv = apr_stat(&info, params, APR_FINFO_TYPE, p);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        return wh_err_wrap(err, APR_EGENERAL == rv ? APR_EGENERAL : rv, 503, "db_error",
                           "The database file %s cannot be opened", params);
    }
    if (info.filetype != APR_REG) {
        return wh_err_set(err, 503, "db_error", "The database file %s is not a regular file.",
                          params);
    }
    *out = sqlite3_compileoption_used("USE_URI") ? sqlite_uri(p, params) : params;
    return APR_SUCCESS;
}

static apr_status_t close_cleanup(void *data)
{
    wh_dbc_t *dbc = data;

    wh_dbc_rollback(dbc);
    return apr_dbd_close(dbc->driver, dbc->handle);
}

apr_status_t wh_dbc_open(apr_pool_t *p, const char *driver_name, const char *params, wh_dbc_t **out,
                         wh_err_t *err)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    const char *text = NULL;
    int kind = kind_of(driver_name);
    wh_dbc_t *dbc;
    apr_status_t rv;

    if (kind < 0) {
        return wh_err_set(err, 503, "db_error",
                          "Unknown database driver \"%s\": sqlite3 or pgsql is meant.",
                          driver_name);
    }
    rv = open_params(p, kind, params, &params, err);
    if (rv != APR_SUCCESS) {
        return APR_EGENERAL;
    }
    rv = apr_dbd_init(p);
    if (rv == APR_SUCCESS) {
        rv = apr_dbd_get_driver(p, driver_name, &driver);
    }
    if (rv != APR_SUCCESS) {
        (void)wh_err_set(err, 503, "db_error",
                         "The database driver cannot be loaded: is libaprutil1-dbd-%s installed?",
                         driver_name);
        return APR_EGENERAL;
    }
    if (apr_dbd_open_ex(driver, p, params, &handle, &text) != APR_SUCCESS) {
        return wh_err_set(err, 503, kind == WH_DBC_PGSQL ? "db_gone" : "db_error",
                          "The database cannot be opened: %s",
                          text == NULL ? "no further reason was given" : text);
    }
    dbc = dbc_make(p, driver, handle, kind);
    dbc->own = 1;
    dbc->hpool = p;
    dbc->prepared = apr_hash_make(p);
    apr_pool_cleanup_register(p, dbc, close_cleanup, apr_pool_cleanup_null);
    rv = wh_dbc_setup(dbc, err);
    if (rv != APR_SUCCESS) {
        wh_dbc_close(dbc);
        return rv;
    }
    *out = dbc;
    return APR_SUCCESS;
}

void wh_dbc_close(wh_dbc_t *dbc)
{
    if (dbc == NULL) {
        return;
    }
    if (dbc->own) {
        apr_pool_cleanup_run(dbc->pool, dbc, close_cleanup);
        dbc->own = 0;
        dbc->handle = NULL;
    } else {
        wh_dbc_rollback(dbc);
    }
    dbc->gone = 1;
}

/* The transaction may have been begun on a pool that outlives the loan of the handle. */
static apr_status_t loan_over(void *data)
{
    wh_dbc_rollback(data);
    return APR_SUCCESS;
}

apr_status_t wh_dbc_wrap(apr_pool_t *p, const apr_dbd_driver_t *driver, apr_dbd_t *handle,
                         apr_pool_t *handle_pool, apr_hash_t *prepared, wh_dbc_t **out,
                         wh_err_t *err)
{
    int kind = kind_of(apr_dbd_name(driver));
    wh_dbc_t *dbc;
    apr_status_t rv;

    if (kind < 0) {
        return wh_err_set(err, 503, "db_error",
                          "DBDriver %s is not supported: sqlite3 or pgsql is meant.",
                          apr_dbd_name(driver));
    }
    dbc = dbc_make(p, driver, handle, kind);
    dbc->hpool = handle_pool;
    dbc->prepared = prepared;
    apr_pool_cleanup_register(p, dbc, loan_over, apr_pool_cleanup_null);
    if (!wh_dbc_state_agrees(dbc)) {
        /* Somebody else's transaction was left open on the pooled handle. */
        dbc->in_tx = 1;
        wh_dbc_rollback(dbc);
    }
    if (wh_dbc_unmoved(dbc, err) != APR_SUCCESS) {
        /* mod_dbd keeps the handle for ever, so it is gone round: a connection for this request.
         * Where that cannot be had either, err says already what clients may know. */
        return wh_dbc_open(p, "sqlite3", sqlite3_db_filename(dbc->native, "main"), out, NULL);
    }
    rv = wh_dbc_setup(dbc, err);
    if (rv != APR_SUCCESS && dbc->gone && wh_dbc_reconnect(dbc)) {
        dbc->gone = 0;
        rv = wh_dbc_setup(dbc, err);
    }
    if (rv == APR_SUCCESS) {
        *out = dbc;
    }
    return rv;
}

int wh_dbc_in_transaction(const wh_dbc_t *dbc)
{
    return dbc->in_tx;
}

int wh_dbc_gone(const wh_dbc_t *dbc)
{
    return dbc->gone;
}

wh_dbc_kind_e wh_dbc_kind(const wh_dbc_t *dbc)
{
    return dbc->kind;
}

void wh_dbc_on_ended(wh_dbc_t *dbc, wh_dbc_ended_fn *fn, void *baton)
{
    dbc->ended = fn;
    dbc->ended_baton = baton;
}

void wh_dbc_ended(const wh_dbc_t *dbc, const char *job, apr_int64_t worker, const char *deployment)
{
    if (dbc->ended != NULL) {
        dbc->ended(dbc->ended_baton, job, worker, deployment);
    }
}
