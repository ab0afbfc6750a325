#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "wh-agent/thread.h"

#define LOW_NICE 10
#define LOW_STACK ((size_t)(1024 * 1024)) /* the encoders take more than others do */

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

typedef struct low_t {
    wh_thread_fn *fn;
    void *data;
} low_t;

static void *run_low(void *arg)
{
    const low_t *low = arg;

    /* Of this thread alone, as Linux has it. What it starts has it from here, too. */
    (void)setpriority(PRIO_PROCESS, 0, LOW_NICE);
    low->fn(low->data);
    return NULL;
}

apr_status_t wh_thread_low(wh_thread_fn *fn, void *data, wh_err_t *err)
{
    low_t low = {.fn = fn, .data = data};
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, LOW_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attr, run_low, &low);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return wh_err_wrap(err, rc, 500, "internal", "cannot start a thread");
    (void)pthread_join(thread, NULL);
    return APR_SUCCESS;
}

int wh_thread_running(void)
{
    return __atomic_load_n(&running, __ATOMIC_SEQ_CST);
}
