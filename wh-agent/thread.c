#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "wh-agent/thread.h"

typedef struct start_t {
    wh_thread_fn *fn;
    void *data;
} start_t;

static int running;

static void *run(void *arg)
{
    start_t start = *(start_t *)arg;

    free(arg);
    start.fn(start.data);
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

apr_status_t wh_thread_start(wh_thread_fn *fn, void *data, wh_err_t *err)
{
    start_t *start = malloc(sizeof(*start));
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int rc;

    if (start == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    *start = (start_t){.fn = fn, .data = data};
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WH_THREAD_STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
    rc = pthread_create(&thread, &attr, run, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0)
        return APR_SUCCESS;
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    free(start);
    return wh_err_wrap(err, rc, 500, "internal", "cannot start a thread");
}

int wh_thread_running(void)
{
    return __atomic_load_n(&running, __ATOMIC_SEQ_CST);
}
