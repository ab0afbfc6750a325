/* One connection to a syslog server, with a thread of its own: whoever hangs there holds up nobody
 * else. TCP and TLS by libcurl (the connection alone), UDP by a socket. Which addresses: as
 * httpout.h says; without TLS, those of private networks alone. */
#ifndef WH_SYSLOGOUT_H
#define WH_SYSLOGOUT_H

#include "libwh/wh_logdrain.h"

#define WH_SYSLOGOUT_TIMEOUT_MS 5000 /* of connecting, and of a write without any progress */

typedef struct wh_syslogout_t wh_syslogout_t;

typedef struct wh_syslogout_opt_t {
    wh_logdrain_way_e way;
    const char *host; /* both copied */
    int port;
    const char *ca_file; /* "" = the system's */
    int private_ok;
    void (*wake)(void *baton); /* called by the thread when a batch is over */
    void *baton;
} wh_syslogout_opt_t;

/* Errors: no_thread. The struct is its own; ended by wh_syslogout_stop alone. */
apr_status_t wh_syslogout_start(const wh_syslogout_opt_t *opt, wh_syslogout_t **out,
                                wh_err_t *err) WH_MUST_CHECK;

/* Gives it the whole batch: n messages, each ends with NUL, for TCP and TLS framed. buf is of
 * malloc, and its from now on. Only when the one before is over. */
void wh_syslogout_send(wh_syslogout_t *out, char *buf, int n);

/* 1 = the batch is over: APR_SUCCESS in *rv, or err says why it was not sent, or not all of it. */
int wh_syslogout_done(wh_syslogout_t *out, apr_status_t *rv, wh_err_t *err);

/* Within half a second; a name that is being looked up is left to its thread. */
void wh_syslogout_stop(wh_syslogout_t *out);

#endif
