/* Looks branches of repositories up (lsremote.h), in a few threads of its own, for each look takes
 * its time and one that hangs must not keep the others waiting. The database thread gives questions
 * and takes answers. */
#ifndef WH_POLLER_H
#define WH_POLLER_H

#include "wh-scheduler/asked.h"
#include "wh-scheduler/lsremote.h"

#define WH_POLLER_THREADS 4

typedef struct wh_poller_t wh_poller_t;

/* A question, and then its answer. The texts are in the question's own pool. */
typedef struct wh_poll_t {
    wh_asked_item_t head;
    const char *app_id, *url, *branch;
    wh_gitauth_t auth;         /* what url asks for */
    apr_int64_t version;       /* of the sync when it was asked */
    char sha[WH_LSREMOTE_SHA]; /* "" = err says why not */
    wh_err_t err;
} wh_poll_t;

typedef struct wh_poller_opt_t {
    wh_lsremote_opt_t look;    /* but stop */
    void (*wake)(void *baton); /* called by a thread when an answer is there */
    void *baton;
} wh_poller_opt_t;

/* Starts the threads; the pool must outlive wh_poller_stop. Errors: no_thread. */
apr_status_t wh_poller_start(apr_pool_t *p, const wh_poller_opt_t *opt, wh_poller_t **out,
                             wh_err_t *err) WH_MUST_CHECK;

/* A question in a pool of its own, filled by the caller with texts of that pool; NULL = no memory.
 */
wh_poll_t *wh_poller_question(void);
/* Takes ownership. */
void wh_poller_ask(wh_poller_t *poller, wh_poll_t *question);
/* How many more questions may be asked now: nobody waits long behind others. */
int wh_poller_room(wh_poller_t *poller);
/* The next answer, NULL = none; destroy its pool. */
wh_poll_t *wh_poller_answer(wh_poller_t *poller);

/* Ends the threads and what they run; what waits is dropped. */
void wh_poller_stop(wh_poller_t *poller);

#endif
