/* What the units of whdb share: each case runs on a fresh SQLite file and, where WH_TEST_PG holds
 * libpq parameters, in a fresh schema of that PostgreSQL database. Without it the run says so and
 * goes on with SQLite alone; under CI it fails.
 *
 *     static void test_x(void **state)
 *     {
 *         db_t *t = *state;
 *         assert_ok(wh_db_…(t->dbc, t->p, …, &t->err), &t->err);
 *     }
 *     int main(void)
 *     {
 *         const db_case_t cases[] = {DB_CASE("D11 what is proved", test_x)};
 *         return DB_RUN(cases);
 *     }
 */
#ifndef T_UNIT_DB_H
#define T_UNIT_DB_H

#include "t/unit/unit.h"
#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

typedef struct db_t {
    apr_pool_t *p;
    int pg;
    const char *driver;
    const char *params;
    const char *dir; /* SQLite: where the file lies */
    wh_dbc_t *dbc;   /* migrated, unless the case has bare = 1: then NULL */
    wh_err_t err;
} db_t;

typedef struct db_case_t {
    const char *name;
    void (*fn)(void **state);
    int bare; /* no connection and no schema yet (but an SQLite file) */
    int only; /* 0 both, 's' SQLite, 'p' PostgreSQL */
} db_case_t;

/* DB_CASE("what", fn) or DB_CASE("what", fn, .bare = 1, .only = 's'). */
#define DB_CASE(what, function, ...)                                                               \
    {                                                                                              \
        .name = (what), .fn = (function), __VA_ARGS__                                              \
    }

int db_run(const db_case_t *cases, size_t n);
#define DB_RUN(cases) db_run((cases), sizeof(cases) / sizeof((cases)[0]))

/* One more connection to the same database. */
wh_dbc_t *db_open(db_t *t);

/* Text that only tests run, by a connection of its own outside whdb. */
void db_sql(db_t *t, const char *text);
/* The same, first value of the first row in t->p, NULL for none. */
const char *db_value(db_t *t, const char *text);

/* Times and ids that are easy to tell apart: DB_T(n) is n seconds after a fixed moment. */
#define DB_T(n) (APR_INT64_C(1700000000000000) + (apr_time_t)1000000 * (n))
/* "0a" + 24 digits of n: an id as libwh makes them, but for i, l, o and u. */
const char *db_id(db_t *t, char kind, int n);
/* 64 times the same hex digit. */
const char *db_hash(db_t *t, char digit);

/* An app that is stored; kind container when engine is set. */
wh_app_t *db_app(db_t *t, int n, wh_kind_e kind);
/* A worker that is stored and online, 4000 millis, 8 GiB. */
wh_worker_t *db_worker(db_t *t, int n);
/* A deployment in prepare with its pending job (ids 'd' n and 'j' n). */
const char *db_deployment(db_t *t, const wh_app_t *app, int n);

#endif
