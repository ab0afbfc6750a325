/* Writers of SQLite, one after the other in the order in which they came. Each polls for the lock,
 * and among many who poll nothing sees to it that everybody has his turn: so of a process only one
 * does, and the others wait here. Other processes are polled against as ever. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "whdb/wh_dbc_priv.h"

typedef struct waiter_t {
    pthread_cond_t cond;
    struct waiter_t *next;
    int called;
} waiter_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static waiter_t *first, **last = &first;
static int taken;

static void leave(waiter_t *self)
{
    waiter_t **at = &first;

    while (*at != self) {
        at = &(*at)->next;
    }
    *at = self->next;
    if (last == &self->next) {
        last = at;
    }
}

/* Until it is called, or the time is over. Lock held. */
static int wait_called(waiter_t *self, int64_t wait_us)
{
    struct timespec until;
    int rv = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_us / 1000000);
    until.tv_nsec += (long)(wait_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!self->called && rv != ETIMEDOUT) {
        rv = pthread_cond_timedwait(&self->cond, &lock, &until);
    }
    return self->called;
}

static int queue(int64_t wait_us)
{
    waiter_t self = {.next = NULL};
    pthread_condattr_t attr;
    int mine;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self.cond, &attr);
    pthread_condattr_destroy(&attr);
    *last = &self;
    last = &self.next;
    mine = wait_called(&self, wait_us);
    if (!mine) {
        leave(&self);
    }
    pthread_cond_destroy(&self.cond);
    return mine;
}

void wh_dbc_turn_take(wh_dbc_t *dbc, apr_interval_time_t wait_us)
{
    pthread_mutex_lock(&lock);
    if (!taken) {
        taken = 1;
        dbc->turn = 1;
    } else {
        dbc->turn = queue(wait_us);
    }
    pthread_mutex_unlock(&lock);
}

/* The turn goes from hand to hand: nobody who comes now gets between. */
void wh_dbc_turn_end(wh_dbc_t *dbc)
{
    if (!dbc->turn) {
        return;
    }
    dbc->turn = 0;
    pthread_mutex_lock(&lock);
    if (first == NULL) {
        taken = 0;
    } else {
        waiter_t *next = first;

        leave(next);
        next->called = 1;
        pthread_cond_signal(&next->cond);
    }
    pthread_mutex_unlock(&lock);
}
