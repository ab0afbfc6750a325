#include "wh-scheduler/unshown.h"

#include "libwh/wh_id.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "wh-scheduler/desired.h"

static apr_status_t retire(wh_core_t *core, apr_pool_t *p, const wh_instance_t *old,
                           apr_time_t until, apr_time_t now, wh_err_t *err)
{
    const char *id = wh_id_make(p, now, core->rand);
    apr_status_t rv = wh_db_instance_set_state(core->dbc, p, old->id, WH_INSTANCE_RUNNING,
                                               WH_INSTANCE_DRAINING, now, err);

    if (rv == APR_SUCCESS || rv == APR_NOTFOUND) {
        rv = wh_db_job_insert_stop(core->dbc, p, id != NULL ? id : "", old->deployment_id,
                                   old->worker_id, until, now, err);
        wh_desired_changed(core, old->worker_id);
    }
    return rv;
}

apr_status_t wh_unshown_drain(wh_core_t *core, apr_pool_t *p, const char *app_id, apr_time_t now,
                                wh_err_t *err)
{
    apr_array_header_t *list;
    wh_app_t *app;
    apr_status_t rv = wh_db_app_by_id(core->dbc, p, app_id, &app, err);

    rv = rv == APR_SUCCESS ? wh_db_instance_list_unwanted(core->dbc, p, app_id, &list, err) : rv;
    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        rv = retire(core, p, APR_ARRAY_IDX(list, i, wh_instance_t *),
                    now + apr_time_from_sec(app->serve.grace_s), now, err);
    }
    return rv;
}
