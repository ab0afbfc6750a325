/* Threads beside the main one: without any signal, which are the main thread's. */
#ifndef WH_THREADS_H
#define WH_THREADS_H

#include <pthread.h>

/* 0, or the error of pthread_create: then nothing runs. The caller joins it. */
int wh_threads_start(pthread_t *thread, void *(*run)(void *baton), void *baton);

#endif
