#include "whdb/wh_sql.h"

static const wh_sql_t statements[WH_SQL_COUNT] = {
#define WH_SQL_2(name, m, k, t, pg)                                                                \
    [WH_SQL_##name] = {.label = #name, .mode = m, .kinds = k, .text = t, .pgsql = pg},
#define WH_SQL(name, m, k, t) WH_SQL_2(name, m, k, t, t)
#include "whdb/wh_sql.def"
#undef WH_SQL
#undef WH_SQL_2
};

const wh_sql_t *wh_sql_get(wh_sql_e id)
{
    return &statements[id];
}
