#ifndef WH_DBC_PRIV_H
#define WH_DBC_PRIV_H
/* What the files of whdb share: the connection's members, running statements, reading rows. Nobody
 * outside whdb includes this. */

#include <jansson.h>

#include "whdb/wh_dbc.h"
#include "whdb/wh_sql.h"

struct wh_dbc_t {
    wh_dbc_kind_e kind;
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    void *native;           /* sqlite3* or PGconn* */
    apr_pool_t *pool;       /* of this wrapper */
    apr_pool_t *hpool;      /* of the handle: prepared statements live here */
    apr_hash_t *prepared;   /* label -> apr_dbd_prepared_t* */
    apr_pool_t *tx_pool;    /* carries the cleanup that rolls back */
    wh_dbc_ended_fn *ended; /* may be NULL */
    void *ended_baton;
    wh_dbc_commit_fn *with_commit; /* may be NULL */
    void *commit_baton;
    unsigned own : 1; /* opened by wh_dbc_open: ours to close, never silently reconnected */
    unsigned gone : 1;
    unsigned in_tx : 1;
    unsigned tx_failed : 1;
    unsigned turn : 1;        /* SQLite: it is this one's turn to write */
    unsigned names_moved : 1; /* the commit bumps the counter of the routes */
};

/* What a return code of the driver means. */
typedef enum wh_dbc_class_e {
    WH_DBC_OK,
    WH_DBC_BUSY,   /* lock held by others */
    WH_DBC_UNIQUE, /* unique constraint */
    WH_DBC_FK,     /* foreign key */
    WH_DBC_CHECK,  /* CHECK, NOT NULL and the like: the caller's fault */
    WH_DBC_STALE,  /* SQLite: the statement must be prepared again */
    WH_DBC_DEAD,   /* the connection */
    WH_DBC_OTHER
} wh_dbc_class_e;

/* Classifies the result of the last call on the handle; at once after it, for it asks the native
 * handle. ret = 0 is OK. */
wh_dbc_class_e wh_dbc_classify(const wh_dbc_t *dbc, int ret);

/* Fills err for a class, marks the transaction failed and the connection gone, and logs what an
 * operator must see; what names the statement. Returns APR_EGENERAL. */
apr_status_t wh_dbc_fail(wh_dbc_t *dbc, wh_dbc_class_e class, const char *what, wh_err_t *err);

/* Session settings of a fresh (or reconnected) handle. */
apr_status_t wh_dbc_setup(wh_dbc_t *dbc, wh_err_t *err) WH_DB_CHECKED;

/* SQLite: the file was moved, deleted or replaced since it was opened. What is written then would
 * be lost to everybody who opens it by its name, so the connection counts as gone: sets it so,
 * fills err and returns APR_EGENERAL. APR_SUCCESS otherwise. */
apr_status_t wh_dbc_unmoved(wh_dbc_t *dbc, wh_err_t *err) WH_DB_CHECKED;

/* After the server went away: connects again, if this connection may (wrapped, no transaction).
 * Non-zero: done, try again once. */
int wh_dbc_reconnect(wh_dbc_t *dbc);

/* Runs fixed text without arguments; for BEGIN, PRAGMA and migrations. Rows are dropped. */
apr_status_t wh_dbc_exec(wh_dbc_t *dbc, const char *text, wh_err_t *err) WH_DB_CHECKED;

/* Runs fixed text that one of the databases alone knows and returns the first value of the first
 * row in p, NULL for no row or SQL NULL. */
apr_status_t wh_dbc_exec_value(wh_dbc_t *dbc, apr_pool_t *p, const char *text, const char **value,
                               wh_err_t *err) WH_DB_CHECKED;

/* Waits for this connection's turn among the writers of this process, at most so long; without one
 * it goes on all the same, for whoever has it may hold it for long. Ended by wh_dbc_turn_end, which
 * does nothing when there is none. wh_dbc_turn.c */
void wh_dbc_turn_take(wh_dbc_t *dbc, apr_interval_time_t wait_us);
void wh_dbc_turn_end(wh_dbc_t *dbc);

/* Non-zero when the database says the same of the transaction as in_tx does. */
int wh_dbc_state_agrees(const wh_dbc_t *dbc);

/* One argument. Built by the macros below only. */
typedef struct wh_arg_t {
    char kind; /* 's', 'i' or 'j' */
    int null;
    const char *s;
    apr_int64_t i;
} wh_arg_t;

static inline wh_arg_t wh_arg_text(const char *s, int null_if_empty)
{
    int empty = s == NULL || *s == '\0';
    return (wh_arg_t){.kind = 's', .null = null_if_empty && empty, .s = s == NULL ? "" : s};
}
static inline wh_arg_t wh_arg_int(apr_int64_t i, int null_if_zero)
{
    return (wh_arg_t){.kind = 'i', .null = null_if_zero && i == 0, .i = i};
}
static inline wh_arg_t wh_arg_batch(const char *s)
{
    return (wh_arg_t){.kind = 'j', .s = s};
}
#define WH_S(s) wh_arg_text((s), 0)  /* text; NULL is stored as "" */
#define WH_SN(s) wh_arg_text((s), 1) /* text; NULL and "" are stored as SQL NULL */
#define WH_J(s) wh_arg_batch(s)      /* a batch, made by wh_dbc_batch_text */
#define WH_I(i) wh_arg_int((i), 0)   /* BIGINT */
#define WH_IN(i) wh_arg_int((i), 1)  /* BIGINT; 0 is stored as SQL NULL */

/* For what is several statements and must be all or nothing, whoever calls: joins the transaction
 * that is open, or begins one (*own = 1), which leave() ends by rv. Returns rv, or what the commit
 * says. */
apr_status_t wh_dbc_join(wh_dbc_t *dbc, apr_pool_t *p, int *own, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_dbc_leave(wh_dbc_t *dbc, int own, apr_status_t rv, wh_err_t *err) WH_DB_CHECKED;

/* The text of a batch (an array of arrays), in p; the reference goes with it. */
const char *wh_dbc_batch_text(apr_pool_t *p, json_t *batch);

/* The argument list of one call, with its length. */
#define WH_ARGS(...)                                                                               \
    (const wh_arg_t[]){__VA_ARGS__}, (int)(sizeof((wh_arg_t[]){__VA_ARGS__}) / sizeof(wh_arg_t))
#define WH_NOARGS NULL, 0

/* A statement that returns no rows; *rows (may be NULL) = how many it touched. */
apr_status_t wh_dbc_query(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                          int nargs, int *rows, wh_err_t *err) WH_DB_CHECKED;

/* The same for a compare-and-set: no row touched is APR_NOTFOUND. */
apr_status_t wh_dbc_cas(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args, int nargs,
                        wh_err_t *err) WH_DB_CHECKED;

/* After a write by which a name may answer otherwise: the counter of the routes goes up, by which
 * who publishes elsewhere sees it. As the last thing of the transaction: nobody waits for anything
 * while he holds that row, so it can be in no circle of locks. */
apr_status_t wh_dbc_names_moved(wh_dbc_t *dbc, wh_err_t *err) WH_DB_CHECKED;
/* The same once rv is APR_SUCCESS; returns rv, or what went wrong. */
apr_status_t wh_dbc_then_moved(wh_dbc_t *dbc, apr_status_t rv, wh_err_t *err) WH_DB_CHECKED;

/* The rows of a statement, copied into p. */
typedef struct wh_rows_t {
    int n;
    int cols;
    const char **cells; /* n * cols, row after row; NULL = SQL NULL */
} wh_rows_t;

apr_status_t wh_dbc_select(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                           int nargs, wh_rows_t *rows, wh_err_t *err) WH_DB_CHECKED;

/* Exactly the first row; none is APR_NOTFOUND. */
apr_status_t wh_dbc_select_one(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                               int nargs, wh_rows_t *rows, wh_err_t *err) WH_DB_CHECKED;

/* Calls what wh_dbc_on_ended was given. */
void wh_dbc_ended(const wh_dbc_t *dbc, const char *job, apr_int64_t worker, const char *deployment);

/* err = 404 not_found, returns APR_NOTFOUND. */
apr_status_t wh_dbc_not_found(wh_err_t *err);

/* Reads a row from left to right. Bad numbers cannot come out of BIGINT columns; a column too many
 * reads as "" and 0. */
typedef struct wh_row_t {
    const char **cell;
    int left;
} wh_row_t;

wh_row_t wh_dbc_row(const wh_rows_t *rows, int i);
const char *wh_dbc_text(wh_row_t *row); /* "" for NULL */
apr_int64_t wh_dbc_int(wh_row_t *row);  /* 0 for NULL */

#endif
