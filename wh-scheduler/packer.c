#include "wh-scheduler/packer.h"

#include <stdlib.h>
#include <string.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>

#include "libwh/wh_log.h"

typedef struct item_t item_t;
struct item_t {
    item_t *next;
    apr_int64_t first;
    char dir[];
};

struct wh_packer_t {
    apr_pool_t *p;
    wh_applog_limits_t limits;
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *cond;
    apr_thread_t *thread;
    /* under the lock */
    item_t *queue, **end;
    int busy, stop;
};

static void pack(const wh_packer_t *packer, const item_t *item)
{
    apr_pool_t *p;

    if (apr_pool_create_unmanaged(&p) != APR_SUCCESS) {
        return;
    }
    wh_applog_file_pack(p, item->dir, item->first);
    (void)wh_applog_file_prune(p, item->dir, &packer->limits, 0);
    apr_pool_destroy(p);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    wh_packer_t *packer = data;

    (void)thread;
    apr_thread_mutex_lock(packer->lock);
    while (!packer->stop) {
        item_t *item = packer->queue;

        if (item == NULL) {
            (void)apr_thread_cond_wait(packer->cond, packer->lock);
            continue;
        }
        packer->queue = item->next;
        packer->end = packer->queue != NULL ? packer->end : &packer->queue;
        packer->busy = 1;
        apr_thread_mutex_unlock(packer->lock);
        pack(packer, item);
        free(item);
        apr_thread_mutex_lock(packer->lock);
        packer->busy = 0;
        (void)apr_thread_cond_broadcast(packer->cond);
    }
    apr_thread_mutex_unlock(packer->lock);
    return NULL;
}

static apr_status_t stop(void *data)
{
    wh_packer_t *packer = data;
    apr_status_t rv;

    apr_thread_mutex_lock(packer->lock);
    packer->stop = 1;
    (void)apr_thread_cond_broadcast(packer->cond);
    apr_thread_mutex_unlock(packer->lock);
    if (packer->thread != NULL) {
        (void)apr_thread_join(&rv, packer->thread);
    }
    while (packer->queue != NULL) {
        item_t *item = packer->queue;

        packer->queue = item->next;
        free(item);
    }
    return APR_SUCCESS;
}

wh_packer_t *wh_packer_make(apr_pool_t *p, const wh_applog_limits_t *limits)
{
    wh_packer_t *packer = apr_pcalloc(p, sizeof(*packer));

    packer->p = p;
    packer->limits = *limits;
    packer->end = &packer->queue;
    if (apr_thread_mutex_create(&packer->lock, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&packer->cond, p) != APR_SUCCESS) {
        packer->lock = NULL;
        return packer;
    }
    apr_pool_pre_cleanup_register(p, packer, stop);
    return packer;
}

void wh_packer_add(wh_packer_t *packer, const char *dir, apr_int64_t first)
{
    size_t n = strlen(dir) + 1;
    item_t *item = packer->lock != NULL ? malloc(sizeof(*item) + n) : NULL;

    if (item == NULL) {
        return;
    }
    item->next = NULL;
    item->first = first;
    memcpy(item->dir, dir, n);
    apr_thread_mutex_lock(packer->lock);
    *packer->end = item;
    packer->end = &item->next;
    if (packer->thread == NULL &&
        apr_thread_create(&packer->thread, NULL, run, packer, packer->p) != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0416", "logs are not packed: no thread can be made");
    }
    (void)apr_thread_cond_broadcast(packer->cond);
    apr_thread_mutex_unlock(packer->lock);
}

void wh_packer_wait(wh_packer_t *packer)
{
    if (packer->lock == NULL) {
        return;
    }
    apr_thread_mutex_lock(packer->lock);
    while (packer->thread != NULL && (packer->queue != NULL || packer->busy) && !packer->stop) {
        (void)apr_thread_cond_wait(packer->cond, packer->lock);
    }
    apr_thread_mutex_unlock(packer->lock);
}
