#include "wh-scheduler/gone.h"

#include <string.h>
#include <apr_file_info.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"

static int listed(const apr_array_header_t *apps, const char *id)
{
    for (int i = 0; i < apps->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(apps, i, wh_app_t *)->id, id) == 0) {
            return 1;
        }
    }
    return 0;
}

static void take_away(wh_core_t *core, apr_pool_t *p, const char *id)
{
    wh_log(WH_LOG_INFO, NULL, "app %s was deleted: what it printed is removed", id);
    wh_applog_remove(core->app_logs, p, id);
}

/* An app's log is a directory with its id as its name. */
static apr_status_t look_through(wh_core_t *core, apr_pool_t *p, const apr_array_header_t *deleted,
                                 wh_err_t *err)
{
    const char *path = apr_pstrcat(p, core->settings->logs_dir, "/apps", NULL);
    apr_pool_t *scratch;
    apr_finfo_t entry;
    apr_dir_t *dir;
    apr_status_t rv = APR_SUCCESS;

    if (apr_dir_open(&dir, path, p) != APR_SUCCESS) {
        return APR_SUCCESS; /* nobody has printed anything yet */
    }
    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        wh_app_t *app;

        if (!wh_id_ok(entry.name) || listed(deleted, entry.name)) {
            continue;
        }
        apr_pool_clear(scratch);
        rv = wh_db_app_by_id(core->dbc, scratch, entry.name, &app, err);
        if (rv == APR_SUCCESS && app->deleted_at > 0) {
            take_away(core, scratch, entry.name);
        }
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    apr_pool_destroy(scratch);
    apr_dir_close(dir);
    return rv;
}

apr_status_t wh_gone_look(wh_core_t *core, apr_pool_t *p, const apr_array_header_t *deleted,
                          wh_err_t *err)
{
    apr_pool_t *life;
    apr_status_t rv = core->deleting == NULL ? look_through(core, p, deleted, err) : APR_SUCCESS;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; core->deleting != NULL && i < core->deleting->nelts; i++) {
        const char *id = APR_ARRAY_IDX(core->deleting, i, const char *);

        if (!listed(deleted, id)) {
            take_away(core, p, id);
        }
    }
    if (core->deleting != NULL && core->deleting->nelts == 0 && deleted->nelts == 0) {
        return APR_SUCCESS;
    }
    wh_gone_forget(core);
    apr_pool_create(&life, core->pool);
    apr_pool_tag(life, "deleted apps");
    core->deleting = apr_array_make(life, deleted->nelts + 1, sizeof(const char *));
    for (int i = 0; i < deleted->nelts; i++) {
        APR_ARRAY_PUSH(core->deleting, const char *) =
            apr_pstrdup(life, APR_ARRAY_IDX(deleted, i, wh_app_t *)->id);
    }
    return APR_SUCCESS;
}

void wh_gone_forget(wh_core_t *core)
{
    if (core->deleting != NULL) {
        apr_pool_destroy(core->deleting->pool);
        core->deleting = NULL;
    }
}
