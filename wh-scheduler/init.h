/* Setting up and looking over: --init, --check, --migrate, --admin-token, --enrolment-token. None
 * of them runs beside threads. */
#ifndef WH_INIT_H
#define WH_INIT_H

#include <stdio.h>

#include "libwh/wh_clock.h"
#include "libwh/wh_rand.h"
#include "wh-scheduler/settings.h"

#define WH_INIT_TOKEN_LIFE_US (24 * APR_INT64_C(3600000000))

typedef struct wh_init_t {
    const wh_settings_t *settings;
    const char *user; /* the scheduler's; NULL = whoever runs this */
    const char *httpd_user;
    const char *worker; /* --enrolment-token: for this worker's name alone; NULL = any */
    int replaces;       /* … which may be there already, with another key */
    long by;            /* for the audit log: the user who runs this, as he began */
    const wh_clock_t *clock;
    const wh_rand_t *rand;
} wh_init_t;

/* Makes what is missing of the state directory (tree, keys, route table, database with its schema)
 * with owners and modes, and overwrites nothing. On the first run an administrator's one-time token
 * is printed to out as ADMIN_TOKEN=…. As root it ends as the scheduler's user, for good. */
apr_status_t wh_init_run(apr_pool_t *p, const wh_init_t *init, FILE *out,
                         wh_err_t *err) WH_MUST_CHECK;

/* A new one-time token ("admin" or "enrolment"), printed to out as NAME=…, good for 24 hours and
 * for one use. Only its hash is stored. */
apr_status_t wh_init_token(apr_pool_t *p, const wh_init_t *init, const char *purpose, FILE *out,
                           wh_err_t *err) WH_MUST_CHECK;

/* The next key for env vars: into module.key, durably and at once (wh_init_rotate_file, as whoever
 * owns that; *id is its number), then into the database (wh_init_rotate, as the scheduler's user),
 * from where the running scheduler takes it. Cut off between the two it is made good by another
 * rotation; nothing is lost. */
apr_status_t wh_init_rotate_file(apr_pool_t *p, const wh_init_t *init, apr_int64_t *id,
                                 wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_init_rotate(apr_pool_t *p, const wh_init_t *init, apr_int64_t id, FILE *out,
                            wh_err_t *err) WH_MUST_CHECK;

/* Brings the schema up to date and says so on out. */
apr_status_t wh_init_migrate(apr_pool_t *p, const wh_init_t *init, FILE *out,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
