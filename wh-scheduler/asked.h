/* Questions that take their time, and their answers: a few threads look, one after the other takes
 * the next question, and whoever asked is woken when there is an answer. The prover and the poller
 * are made of it. All functions but wh_asked_end may be called by any thread. */
#ifndef WH_ASKED_H
#define WH_ASKED_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_ASKED_THREADS_MAX 8

/* What every question begins with. */
typedef struct wh_asked_item_t {
    struct wh_asked_item_t *next;
    apr_pool_t *pool; /* its own: with its texts, and it is freed with it */
} wh_asked_item_t;

typedef struct wh_asked_opt_t {
    int threads; /* at most WH_ASKED_THREADS_MAX */
    /* On one of the threads: the question becomes the answer. */
    void (*look)(void *baton, wh_asked_item_t *item);
    void *look_baton;
    void (*wake)(void *baton); /* by that thread, when an answer is there */
    void *wake_baton;
} wh_asked_opt_t;

typedef struct wh_asked_t wh_asked_t;

/* A question of that size, zeroed, in a pool of its own, which another thread may destroy; NULL =
 * no memory. */
void *wh_asked_make(size_t size, const char *tag);

/* Starts the threads, without any signal; the pool must outlive wh_asked_end. Errors: no_thread. */
apr_status_t wh_asked_start(apr_pool_t *p, const wh_asked_opt_t *opt, wh_asked_t **out,
                            wh_err_t *err) WH_MUST_CHECK;

/* Takes ownership. */
void wh_asked_ask(wh_asked_t *asked, wh_asked_item_t *question);
/* How many questions wait or are being looked at. */
int wh_asked_waiting(wh_asked_t *asked);
/* The next answer, NULL = none; destroy its pool. */
wh_asked_item_t *wh_asked_answer(wh_asked_t *asked);

/* Not 0 once it is to end: read it atomically while looking. */
const int *wh_asked_stop(const wh_asked_t *asked);
/* No question is begun any more. */
void wh_asked_halt(wh_asked_t *asked);
/* Halts, waits for the threads, drops what is left. */
void wh_asked_end(wh_asked_t *asked);

#endif
