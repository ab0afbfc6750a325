/* wh_drain: see wh_drain.h. */
#include <string.h>

#include "libwh/wh_drain.h"

wh_drain_do_e wh_drain_judge(const wh_drain_app_t *app, const wh_drain_app_t *prev)
{
    if (prev && strcmp(prev->app_id, app->app_id) == 0 &&
        strcmp(prev->environment, app->environment) == 0)
        return WH_DRAIN_SAME;
    if (app->desired == WH_DESIRED_STOPPED)
        return WH_DRAIN_STOPPED;
    if (app->open)
        return WH_DRAIN_WAIT;
    if (app->failed_at && app->failed_at >= app->since)
        return WH_DRAIN_FAILED;
    return WH_DRAIN_MOVE;
}
