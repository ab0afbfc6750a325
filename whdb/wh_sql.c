#include "whdb/wh_sql.h"

static const wh_sql_t statements[WH_SQL_COUNT] = {
#define WH_SQL(name, m, k, t) [WH_SQL_##name] = {.label = #name, .mode = m, .kinds = k, .text = t},
#include "whdb/wh_sql.def"
#undef WH_SQL
};

const wh_sql_t *wh_sql_get(wh_sql_e id)
{
    return &statements[id];
}
