/* What stands between the bytes of a connection and the database thread: frames are verified (size,
 * MAC, clock, sequence, in that order: F85) and handed over with their type; posts become sealed
 * frames in the connection's queue. Runs in the event loop's thread; knows neither sockets nor SQL.
 */
#ifndef WH_HUB_DISPATCH_H
#define WH_HUB_DISPATCH_H

#include "libwh/wh_clock.h"
#include "libwh/wh_rand.h"
#include "wh-scheduler/hub_conn.h"
#include "wh-scheduler/mailbox.h"

#define WH_HUB_DISPATCH_HEAVY 25 /* so many others' weight: 20 a second, 80 at once */

typedef struct wh_hub_env_t {
    wh_mailbox_t *box;
    const wh_clock_t *clock;
    const wh_rand_t *rand;
    apr_pool_t *scratch; /* cleared by whoever used it */
} wh_hub_env_t;

/* The whole message in conn->in. 0, or the code to close the connection with. A frame that is right
 * but of no known type, or of a wrong time, is answered with an error frame (F89, F95). When the
 * connection's share of the mailbox is full, conn->paused is set: stop reading until
 * WH_POST_RESUME. conn->weight says what it weighs: for wh_hub_conn_weigh. */
int wh_hub_dispatch_in(const wh_hub_env_t *env, wh_hub_conn_t *conn);

/* Seals a frame and queues it. 0, or the code to close with. payload is borrowed. */
int wh_hub_dispatch_out(const wh_hub_env_t *env, wh_hub_conn_t *conn, const char *type,
                        json_t *payload);

/* Tells the database thread that a connection stands or has gone. Returns 0 when memory ran out. */
int wh_hub_dispatch_event(const wh_hub_env_t *env, const wh_hub_conn_t *conn, wh_work_kind_e kind);

/* The worker of an upgrade's assertion ("worker:<id>", worker.connect, hub); 0 and err when it does
 * not allow one. */
apr_int64_t wh_hub_dispatch_worker(const wh_hub_env_t *env, const unsigned char key[32],
                                   const char *assertion, wh_err_t *err);

#endif
