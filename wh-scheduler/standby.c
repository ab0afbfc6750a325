#include "wh-scheduler/standby.h"

#include <sysexits.h>
#include <unistd.h>

#include "libwh/wh_log.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_schema.h"
#include "wh-scheduler/dbthread.h"
#include "wh-scheduler/lock.h"
#include "wh-scheduler/requests.h"
#include "wh-scheduler/retire.h"
#include "wh-scheduler/routes.h"

#define LOCK_US 500000               /* so often the lock is asked for */
#define LOOK_US APR_INT64_C(1000000) /* and the counter of the routes looked at */
#define TEND_US APR_INT64_C(60000000)
#define AGAIN_US APR_INT64_C(2000000) /* after a failure */

typedef struct standby_t {
    wh_core_t *core;
    apr_pool_t *p;      /* of one turn */
    apr_int64_t routes; /* the counter's value that the table shows, -1 = none yet */
    wh_mono_t look_at, tend_at, share_at;
    int said;
} standby_t;

/* A database that another version has at work (it migrates, or we are older) is left alone. */
static apr_status_t publish(standby_t *s, wh_err_t *err)
{
    wh_core_t *core = s->core;
    apr_int64_t now = 0;
    apr_status_t rv = wh_db_schema_check(core->dbc, s->p, err);

    rv = rv == APR_SUCCESS ? wh_db_name_changes(core->dbc, s->p, &now, err) : rv;
    if (rv != APR_SUCCESS || now == s->routes) {
        return rv;
    }
    rv = wh_routes_publish_all(core, s->p, err);
    s->routes = rv == APR_SUCCESS ? now : s->routes;
    return rv;
}

/* What httpd counts here, for the one that judges. */
static apr_status_t share(standby_t *s, wh_err_t *err)
{
    wh_core_t *core = s->core;
    apr_status_t rv = wh_db_schema_check(core->dbc, s->p, err);

    return rv == APR_SUCCESS ? wh_requests_share(core->dbc, s->p, core->settings->state_dir,
                                                 wh_clock_now(core->clock), err)
                             : rv;
}

/* One turn while another is active. */
static void stand_by(standby_t *s)
{
    wh_core_t *core = s->core;
    wh_mono_t now = wh_clock_mono(core->clock);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;

    if (s->said++ == 0) {
        wh_log(WH_LOG_INFO, NULL, "standing by: another scheduler is active on this database");
        wh_sys_notify("READY=1\nSTATUS=standing by");
    }
    if (wh_mono_reached(now, s->look_at)) {
        s->look_at = wh_mono_add(now, LOOK_US);
        rv = publish(s, &err);
    }
    if (wh_mono_reached(now, s->tend_at)) {
        s->tend_at = wh_mono_add(now, TEND_US);
        wh_publish_tend(core->publish);
    }
    wh_retire_collect(core, now);
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0495", "standing by: route table: %s", err.text);
        s->look_at = wh_mono_add(now, AGAIN_US);
        return;
    }
    if (wh_mono_reached(now, s->share_at)) {
        s->share_at = wh_mono_add(now, WH_REQUESTS_SHARE_US);
        if (share(s, &err) != APR_SUCCESS) {
            wh_log(WH_LOG_WARN, "WH0565", "standing by: figures of requests: %s", err.text);
        }
    }
}

/* The file lock, and with it the right to write this machine's route table. */
static apr_status_t take_file(wh_core_t *core, apr_pool_t *p, const char *verifier, wh_err_t *err)
{
    long pid = 0;
    int fresh = 0;
    apr_status_t rv = wh_lock_file(p, core->settings->lock_file, &pid, err);

    return rv == APR_SUCCESS ? wh_publish_open(core->pool, core->settings->routes, verifier,
                                               &core->publish, &fresh, err)
                             : rv;
}

/* 1 = there is no use in trying again. */
static int hopeless(const wh_core_t *core, const wh_err_t *err)
{
    return core->settings->sqlite_file != NULL ||
           !(wh_err_is(err, "lock_held") || wh_core_may_retry(err));
}

/* Nothing to do but to wait for whoever has the file, or for the database. */
static void wait_for(standby_t *s, const wh_err_t *err)
{
    if (s->said++ % 30 == 0) {
        wh_log(WH_LOG_INFO, NULL, "standing by: %s", err->text);
        wh_sys_notify("READY=1\nSTATUS=standing by");
    }
    usleep((useconds_t)AGAIN_US);
}

int wh_standby_run(wh_core_t *core, apr_pool_t *p, const char *verifier,
                   const volatile sig_atomic_t *stop, wh_err_t *err)
{
    standby_t s = {.core = core, .routes = -1};

    apr_pool_create(&s.p, p);
    apr_pool_tag(s.p, "standby");
    while (!*stop) {
        int active = 0;
        apr_status_t rv = APR_SUCCESS;

        wh_err_clear(err);
        apr_pool_clear(s.p);
        if (core->publish == NULL) {
            rv = take_file(core, p, verifier, err);
        }
        rv = rv == APR_SUCCESS ? wh_dbthread_open(core, core->pool, &active, err) : rv;
        if (rv == APR_SUCCESS && active) {
            apr_pool_destroy(s.p);
            return -1;
        }
        if (rv == APR_SUCCESS) {
            stand_by(&s);
            usleep(LOCK_US);
        } else if (hopeless(core, err)) {
            return wh_err_is(err, "lock_held") ? EX_UNAVAILABLE : EX_CONFIG;
        } else {
            wait_for(&s, err);
        }
    }
    return 0;
}
