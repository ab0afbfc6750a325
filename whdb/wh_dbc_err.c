/* What the drivers' return codes mean. apr_dbd flattens them (SQLite 1, PostgreSQL 7 for nearly
 * everything), so the native handle is asked. */
#include "whdb/wh_dbc_priv.h"

#include <string.h>
#include <sqlite3.h>
#include <libpq-fe.h>

#include "libwh/wh_log.h"

static wh_dbc_class_e classify_sqlite(const wh_dbc_t *dbc, int ret)
{
    sqlite3 *db = dbc->native;
    int extended = sqlite3_extended_errcode(db);

    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return WH_DBC_UNIQUE;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return WH_DBC_FK;
    case SQLITE_READONLY_DBMOVED:
        return WH_DBC_DEAD;
    default:
        break;
    }
    switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return WH_DBC_BUSY;
    case SQLITE_CONSTRAINT:
        return WH_DBC_CHECK;
    case SQLITE_SCHEMA:
        return WH_DBC_STALE;
    case SQLITE_OK:
        /* A statement whose schema is gone fails with "not an error" from the second time on. */
        return ret == SQLITE_ERROR ? WH_DBC_STALE : WH_DBC_OTHER;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return WH_DBC_DEAD;
    default:
        return ret == SQLITE_BUSY ? WH_DBC_BUSY : WH_DBC_OTHER;
    }
}

/* "ERROR:  23505: text": five characters behind the first ":  " (PQERRORS_VERBOSE). */
static int sqlstate(const wh_dbc_t *dbc, char out[6])
{
    const char *msg = PQerrorMessage(dbc->native);
    const char *at = msg == NULL ? NULL : strstr(msg, ":  ");

    out[0] = '\0';
    if (at == NULL || strlen(at) < 8) {
        return 0;
    }
    memcpy(out, at + 3, 5);
    out[5] = '\0';
    return strspn(out, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

static wh_dbc_class_e classify_pgsql(const wh_dbc_t *dbc)
{
    static const struct {
        const char *prefix;
        wh_dbc_class_e class;
    } map[] = {
        {"23505", WH_DBC_UNIQUE}, {"23503", WH_DBC_FK},   {"23", WH_DBC_CHECK},
        {"22", WH_DBC_CHECK},     {"40001", WH_DBC_BUSY}, {"40P01", WH_DBC_BUSY},
        {"55P03", WH_DBC_BUSY},   {"57014", WH_DBC_BUSY}, {"53", WH_DBC_BUSY},
        {"57P", WH_DBC_DEAD},     {"08", WH_DBC_DEAD},
    };
    char state[6];

    if (PQstatus(dbc->native) != CONNECTION_OK) {
        return WH_DBC_DEAD;
    }
    if (!sqlstate(dbc, state)) {
        return WH_DBC_OTHER;
    }
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (strncmp(state, map[i].prefix, strlen(map[i].prefix)) == 0) {
            return map[i].class;
        }
    }
    return WH_DBC_OTHER;
}

wh_dbc_class_e wh_dbc_classify(const wh_dbc_t *dbc, int ret)
{
    if (ret == 0) {
        return WH_DBC_OK;
    }
    return dbc->kind == WH_DBC_SQLITE ? classify_sqlite(dbc, ret) : classify_pgsql(dbc);
}

apr_status_t wh_dbc_fail(wh_dbc_t *dbc, wh_dbc_class_e class, const char *what, wh_err_t *err)
{
    const char *msg = apr_dbd_error(dbc->driver, dbc->handle, 1);
    int line = msg == NULL ? 0 : (int)strcspn(msg, "\n");

    if (msg == NULL) {
        msg = "";
    }
    if (dbc->in_tx) {
        dbc->tx_failed = 1;
    }
    switch (class) {
    case WH_DBC_BUSY:
        wh_log(WH_LOG_WARN, "WH0050", "database busy at %s: %.*s", what, line, msg);
        return wh_err_set(err, 503, "db_busy", "The database is busy; please try again.");
    case WH_DBC_UNIQUE:
        return wh_err_set(err, 409, "conflict", "The same entry exists already.");
    case WH_DBC_FK:
        return wh_err_set(err, 409, "foreign_key",
                          "An entry that this one refers to is missing, or others refer to it.");
    case WH_DBC_CHECK:
        wh_log(WH_LOG_ERROR, "WH0051", "database refused a value at %s: %.*s", what, line, msg);
        return wh_err_set(err, 500, "db_check", "The database refused a value as out of range.");
    case WH_DBC_DEAD:
        dbc->gone = 1;
        wh_log(WH_LOG_ERROR, "WH0052", "database connection lost at %s: %.*s", what, line, msg);
        return wh_err_set(err, 503, "db_gone", "The database cannot be reached at present.");
    default:
        wh_log(WH_LOG_ERROR, "WH0053", "database error at %s: %.*s", what, line, msg);
        return wh_err_set(err, 503, "db_error", "The database reported an error.");
    }
}

apr_status_t wh_dbc_not_found(wh_err_t *err)
{
    (void)wh_err_set(err, 404, "not_found", "There is no such thing here.");
    if (err != NULL) {
        err->rv = APR_NOTFOUND;
    }
    return APR_NOTFOUND;
}
