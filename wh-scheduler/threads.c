#include "wh-scheduler/threads.h"

#include <signal.h>

int wh_threads_start(pthread_t *thread, void *(*run)(void *baton), void *baton)
{
    sigset_t all, old;
    int rc;

    /* Blocked before it begins: a signal that came in between would be its own. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    rc = pthread_create(thread, NULL, run, baton);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}
