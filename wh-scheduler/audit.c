#include "wh-scheduler/audit.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "whdb/wh_db_audit.h"

static apr_status_t prune(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_time_t before = now - apr_time_from_sec(core->settings->audit_days * 86400);
    wh_db_audit_t row = {.id = wh_id_make(p, now, core->rand),
                         .at = now,
                         .actor_kind = "scheduler",
                         .actor_id = "",
                         .action = "audit.prune",
                         .app_id = "",
                         .address = "",
                         .request_id = "",
                         .outcome = "done",
                         .code = ""};
    int n = 0;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? wh_db_audit_prune(core->dbc, p, before, &n, err) : rv;
    row.object = apr_psprintf(p, "%d rows older than %d days", n, (int)core->settings->audit_days);
    if (rv == APR_SUCCESS && n > 0) {
        rv = wh_db_audit_insert(core->dbc, p, &row, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

apr_status_t wh_audit_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                           wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (core->audit_at.us == 0) {
        core->audit_at = wh_mono_add(mono, WH_AUDIT_FIRST_US);
    } else if (wh_mono_reached(mono, core->audit_at)) {
        rv = core->settings->audit_days > 0 ? prune(core, p, now, err) : APR_SUCCESS;
        core->audit_at = rv == APR_SUCCESS ? wh_mono_add(mono, WH_AUDIT_EVERY_US) : core->audit_at;
    }
    return rv;
}
