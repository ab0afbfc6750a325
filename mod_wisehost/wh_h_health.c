#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_time.h"

/* F43. No word on the database: a probe that fails with it would take the sites down too. */
apr_status_t wh_h_health_get(wh_call_t *c)
{
    return wh_mod_call_reply(
        c, 200, json_pack("{s:s, s:s}", "status", "ok", "time", wh_time_rfc3339(c->p, c->now)));
}
