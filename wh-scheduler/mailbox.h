/* The two ways between the event loop and the database thread, each a list under one lock.
 *
 * loop -> db: work (a connection came, a frame came, it went). Never refused: what bounds it is
 * that the loop stops reading a connection that has WH_HUB_CONN_PENDING frames in it until the
 * database thread has caught up. Pokes and "stop" are flags, not entries, so that any number of
 * them costs nothing. db -> loop: posts (send this frame, this worker's key is, close). The
 * database thread makes a bounded number of them for each piece of work; the hub bounds what a slow
 * connection may pile up.
 *
 * A work item owns its pool; whoever takes the item out of the mailbox destroys it.
 */
#ifndef WH_MAILBOX_H
#define WH_MAILBOX_H

#include "libwh/wh_proto.h"
#include "wh-scheduler/roster.h"

typedef enum wh_work_kind_e {
    WH_WORK_CONNECT, /* a worker's connection stands; its key is wanted */
    WH_WORK_FRAME,
    WH_WORK_ROOM, /* the answer to WH_POST_ROOM */
    WH_WORK_DISCONNECT
} wh_work_kind_e;

typedef struct wh_work_t {
    struct wh_work_t *next;
    apr_pool_t *pool; /* this struct and all of the frame is in it */
    wh_work_kind_e kind;
    apr_uint64_t conn;  /* never used again by another connection */
    apr_int64_t worker; /* from the assertion */
    int resume;         /* the connection waits until this one is done: answer WH_POST_RESUME */
    wh_proto_msg_t msg; /* WH_WORK_FRAME */
} wh_work_t;

typedef enum wh_post_kind_e {
    WH_POST_ACCEPT, /* key: the worker is known, its frames may come */
    WH_POST_FRAME,
    WH_POST_CLOSE,
    WH_POST_ROOM,   /* say WH_WORK_ROOM when all before this has been written */
    WH_POST_RESUME, /* this connection's share of the mailbox is empty again */
    WH_POST_ROSTER  /* of no connection: who is a worker, from here on */
} wh_post_kind_e;

typedef struct wh_post_t {
    struct wh_post_t *next;
    wh_post_kind_e kind;
    apr_uint64_t conn;
    const char *type;      /* WH_POST_FRAME: static name of the type */
    json_t *payload;       /* owned */
    int code;              /* WH_POST_CLOSE */
    unsigned char key[32]; /* WH_POST_ACCEPT: MAC key of the link, and the key hash behind it */
    unsigned char key_hash[32];
    wh_roster_t *roster; /* WH_POST_ROSTER: owned */
} wh_post_t;

typedef struct wh_mailbox_t wh_mailbox_t;

/* wake(baton) is called (by the database thread, without the lock) when posts wait. */
wh_mailbox_t *wh_mailbox_make(apr_pool_t *p, void (*wake)(void *baton), void *baton);

/* A work item in its own pool (an allocator of its own, so that another thread may destroy it), or
 * NULL when out of memory. Not in the mailbox yet. */
wh_work_t *wh_mailbox_work(wh_work_kind_e kind, apr_uint64_t conn, apr_int64_t worker);

/* Loop side. put takes ownership. WH_WORK_ROOM is taken before what waits: that link stands idle,
 * and what stands in front of it may be the acks of a thousand jobs. */
void wh_mailbox_put(wh_mailbox_t *box, wh_work_t *work);
void wh_mailbox_poke(wh_mailbox_t *box);
/* How many wait: while the database is away nobody new is let in beyond a bound. */
int wh_mailbox_waiting(wh_mailbox_t *box);
void wh_mailbox_stop(wh_mailbox_t *box);
/* The whole list of posts in order, NULL = none; free each with wh_mailbox_post_free. */
wh_post_t *wh_mailbox_posts(wh_mailbox_t *box);
void wh_mailbox_post_free(wh_post_t *post);

/* Database side. take waits until there is work, a poke or a stop, at most timeout; NULL = none.
 * *poked is set when somebody poked since the last call; *stopped when the work that is returned
 * (or NULL) is the last. */
wh_work_t *wh_mailbox_take(wh_mailbox_t *box, apr_interval_time_t timeout, int *poked,
                           int *stopped);
/* 1: the next take will say poked. */
int wh_mailbox_poked(wh_mailbox_t *box);
/* The next one, if it is a frame of this type and there; NULL = none. Does not wait. */
wh_work_t *wh_mailbox_take_frame(wh_mailbox_t *box, wh_msg_e type);
/* Waits without work, for a database to come back. 1 = a stop came, or it is there already. */
int wh_mailbox_pause(wh_mailbox_t *box, apr_interval_time_t timeout);
void wh_mailbox_post(wh_mailbox_t *box, wh_post_t *post);
/* Shorthand: a zeroed post on the heap, NULL when out of memory. */
wh_post_t *wh_mailbox_post_make(wh_post_kind_e kind, apr_uint64_t conn);

#endif
