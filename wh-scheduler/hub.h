/* The hub: a unix socket on which httpd hands over the connections of agents and pokes, and, where
 * it is switched on, a TLS listener to which agents come themselves. One event loop in the main
 * thread; hub*.c alone knows libwebsockets. It never touches the database and never waits for it.
 */
#ifndef WH_HUB_H
#define WH_HUB_H

#include <signal.h>
#include <sys/types.h>

#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_rand.h"
#include "wh-scheduler/mailbox.h"

typedef struct wh_hub_t wh_hub_t;

typedef struct wh_hub_opt_t {
    const char *socket;
    uid_t httpd_uid; /* besides root and ourselves the only one who may connect */
    gid_t httpd_gid; /* group of the socket */
    unsigned char assertion_key[32];
    unsigned char worker_jwt[32];
    int allow_raw_key;
    const char *listen_host; /* an IP address; NULL = no listener of our own */
    int listen_port;
    const char *listen_cert, *listen_key; /* files */
    int max_workers;
    const wh_clock_t *clock;
    const wh_rand_t *rand;
} wh_hub_opt_t;

/* Binds the socket; *opt is copied. The mailbox is made here, since the hub is what posts wake.
 * Errors: hub_socket, hub_listen, hub_failed, bad_certificate. */
apr_status_t wh_hub_start(apr_pool_t *p, const wh_hub_opt_t *opt, wh_hub_t **out,
                          wh_err_t *err) WH_MUST_CHECK;

wh_mailbox_t *wh_hub_mailbox(wh_hub_t *hub);

/* Runs until *stop is set by a signal handler. turn(baton) is called about once a second. */
void wh_hub_run(wh_hub_t *hub, const volatile sig_atomic_t *stop, void (*turn)(void *baton),
                void *baton);

/* Reads the certificate of the TLS listener again; a bad one changes nothing. From turn(). */
void wh_hub_reload(wh_hub_t *hub);

/* Closes every connection with 1012, waits up to 2 s for them to go. Nothing more is accepted. */
void wh_hub_drain(wh_hub_t *hub);

/* Ends it and removes the socket. The database thread must have ended: it wakes the hub. */
void wh_hub_destroy(wh_hub_t *hub);

#endif
