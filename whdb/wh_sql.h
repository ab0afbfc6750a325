#ifndef WH_SQL_H
#define WH_SQL_H
/* The list of all statements, made from wh_sql.def. */

typedef enum wh_sql_e {
#define WH_SQL(label, mode, kinds, text) WH_SQL_##label,
#define WH_SQL_2(label, mode, kinds, sqlite, pgsql) WH_SQL_##label,
#include "whdb/wh_sql.def"
#undef WH_SQL
#undef WH_SQL_2
    WH_SQL_COUNT
} wh_sql_e;

typedef struct wh_sql_t {
    const char *label; /* lower case: PostgreSQL folds it */
    char mode;         /* 'R' reads; 'W' writes, no rows; 'X' writes and returns rows */
    const char *kinds; /* of the arguments in order: 's' text (%s), 'i' BIGINT (%lld), 'j' a
                          batch as JSON text (%s) */
    const char *text;  /* apr_dbd format, for both databases or SQLite alone */
    const char *pgsql; /* for PostgreSQL; the same pointer where one text is for both */
} wh_sql_t;

/* Of an id below WH_SQL_COUNT. Static. */
const wh_sql_t *wh_sql_get(wh_sql_e id);

#endif
