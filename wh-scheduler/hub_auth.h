/* Who may connect, decided without a database: the bearer that a worker shows on the scheduler's
 * own listener, against the roster. Knows neither sockets nor SQL. */
#ifndef WH_HUB_AUTH_H
#define WH_HUB_AUTH_H

#include "libwh/wh_err.h"
#include "libwh/wh_keys.h"
#include "wh-scheduler/roster.h"

typedef struct wh_hub_auth_t {
    unsigned char worker_jwt[WH_KEY_LEN];
    int allow_raw_key;
    const wh_roster_t *roster; /* NULL until the first one came: only tokens are taken */
} wh_hub_auth_t;

/* The worker of an Authorization header's value; 0 and err (always 401) when it names none that is
 * good. A worker with a token of ours whom the roster does not know yet is let in: the database
 * thread judges him before anything of him is read (F74-F78). */
apr_int64_t wh_hub_auth_bearer(apr_pool_t *p, const wh_hub_auth_t *auth, const char *authorization,
                               apr_time_t now, wh_err_t *err);

#endif
