#ifndef WH_DB_ALERT_ROW_H
#define WH_DB_ALERT_ROW_H
/* What the files about alerts share. Nobody outside whdb includes this. */

#include "libwh/wh_alert.h"
#include "libwh/wh_json.h"
#include "whdb/wh_dbc_priv.h"

/* The columns of WH_COLS_ALERT_RULE; a kind that is not known (a newer program's) is a disabled
 * rule. */
void wh_db_alert_rule_row(wh_row_t *r, wh_alert_rule_t *out);

#endif
