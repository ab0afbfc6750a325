#include "wh-scheduler/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_allocator.h>

struct wh_mailbox_t {
    pthread_mutex_t lock;
    pthread_cond_t more;
    wh_work_t *work, **work_end;
    wh_post_t *posts, **posts_end;
    int poked, stopped, waiting;
    void (*wake)(void *baton);
    void *baton;
};

static apr_status_t cleanup(void *data)
{
    wh_mailbox_t *box = data;

    while (box->work != NULL) {
        wh_work_t *next = box->work->next;

        apr_pool_destroy(box->work->pool);
        box->work = next;
    }
    while (box->posts != NULL) {
        wh_post_t *next = box->posts->next;

        wh_mailbox_post_free(box->posts);
        box->posts = next;
    }
    pthread_cond_destroy(&box->more);
    pthread_mutex_destroy(&box->lock);
    return APR_SUCCESS;
}

wh_mailbox_t *wh_mailbox_make(apr_pool_t *p, void (*wake)(void *baton), void *baton)
{
    wh_mailbox_t *box = apr_pcalloc(p, sizeof(*box));
    pthread_condattr_t attr;

    box->work_end = &box->work;
    box->posts_end = &box->posts;
    box->wake = wake;
    box->baton = baton;
    pthread_mutex_init(&box->lock, NULL);
    /* Waiting must not be upset by somebody who sets the clock. */
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box->more, &attr);
    pthread_condattr_destroy(&attr);
    apr_pool_cleanup_register(p, box, cleanup, apr_pool_cleanup_null);
    return box;
}

wh_work_t *wh_mailbox_work(wh_work_kind_e kind, apr_uint64_t conn, apr_int64_t worker)
{
    apr_pool_t *pool;
    wh_work_t *work;

    /* Unmanaged: an allocator of its own, without locks, and nobody's child. */
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_tag(pool, "message");
    work = apr_pcalloc(pool, sizeof(*work));
    work->pool = pool;
    work->kind = kind;
    work->conn = conn;
    work->worker = worker;
    return work;
}

void wh_mailbox_put(wh_mailbox_t *box, wh_work_t *work)
{
    pthread_mutex_lock(&box->lock);
    work->next = work->kind == WH_WORK_ROOM ? box->work : NULL;
    if (work->kind == WH_WORK_ROOM) {
        box->work = work;
    } else {
        *box->work_end = work;
    }
    if (work->next == NULL) {
        box->work_end = &work->next;
    }
    box->waiting++;
    pthread_cond_signal(&box->more);
    pthread_mutex_unlock(&box->lock);
}

int wh_mailbox_waiting(wh_mailbox_t *box)
{
    int n;

    pthread_mutex_lock(&box->lock);
    n = box->waiting;
    pthread_mutex_unlock(&box->lock);
    return n;
}

void wh_mailbox_poke(wh_mailbox_t *box)
{
    pthread_mutex_lock(&box->lock);
    box->poked = 1;
    pthread_cond_signal(&box->more);
    pthread_mutex_unlock(&box->lock);
}

int wh_mailbox_poked(wh_mailbox_t *box)
{
    int poked;

    pthread_mutex_lock(&box->lock);
    poked = box->poked;
    pthread_mutex_unlock(&box->lock);
    return poked;
}

void wh_mailbox_stop(wh_mailbox_t *box)
{
    pthread_mutex_lock(&box->lock);
    box->stopped = 1;
    pthread_cond_signal(&box->more);
    pthread_mutex_unlock(&box->lock);
}

wh_post_t *wh_mailbox_posts(wh_mailbox_t *box)
{
    wh_post_t *all;

    pthread_mutex_lock(&box->lock);
    all = box->posts;
    box->posts = NULL;
    box->posts_end = &box->posts;
    pthread_mutex_unlock(&box->lock);
    return all;
}

void wh_mailbox_post_free(wh_post_t *post)
{
    if (post == NULL) {
        return;
    }
    json_decref(post->payload);
    wh_roster_free(post->roster);
    explicit_bzero(post->key, sizeof(post->key));
    free(post);
}

wh_post_t *wh_mailbox_post_make(wh_post_kind_e kind, apr_uint64_t conn)
{
    wh_post_t *post = calloc(1, sizeof(*post));

    if (post != NULL) {
        post->kind = kind;
        post->conn = conn;
    }
    return post;
}

void wh_mailbox_post(wh_mailbox_t *box, wh_post_t *post)
{
    int first;

    if (post == NULL) {
        return;
    }
    post->next = NULL;
    pthread_mutex_lock(&box->lock);
    first = box->posts == NULL;
    *box->posts_end = post;
    box->posts_end = &post->next;
    pthread_mutex_unlock(&box->lock);
    if (first) {
        box->wake(box->baton);
    }
}

static struct timespec until(apr_interval_time_t timeout)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += timeout / APR_USEC_PER_SEC;
    ts.tv_nsec += (timeout % APR_USEC_PER_SEC) * 1000;
    if (ts.tv_nsec >= 1000000000L) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000L;
    }
    return ts;
}

/* Takes the first one out; there is one, and the lock is held. */
static wh_work_t *take_out(wh_mailbox_t *box)
{
    wh_work_t *work = box->work;

    box->waiting--;
    box->work = work->next;
    if (box->work == NULL) {
        box->work_end = &box->work;
    }
    return work;
}

wh_work_t *wh_mailbox_take(wh_mailbox_t *box, apr_interval_time_t timeout, int *poked, int *stopped)
{
    struct timespec end = until(timeout > 0 ? timeout : 0);
    wh_work_t *work;

    pthread_mutex_lock(&box->lock);
    while (box->work == NULL && !box->poked && !box->stopped) {
        if (pthread_cond_timedwait(&box->more, &box->lock, &end) == ETIMEDOUT) {
            break;
        }
    }
    work = box->work != NULL ? take_out(box) : NULL;
    *poked = box->poked;
    box->poked = 0;
    *stopped = box->stopped && box->work == NULL;
    pthread_mutex_unlock(&box->lock);
    return work;
}

wh_work_t *wh_mailbox_take_frame(wh_mailbox_t *box, wh_msg_e type)
{
    wh_work_t *work = NULL;

    pthread_mutex_lock(&box->lock);
    /* Not the last one of all: only take can say that it is. */
    if (box->work != NULL && box->work->kind == WH_WORK_FRAME && box->work->msg.type == type &&
        (!box->stopped || box->work->next != NULL)) {
        work = take_out(box);
    }
    pthread_mutex_unlock(&box->lock);
    return work;
}

int wh_mailbox_pause(wh_mailbox_t *box, apr_interval_time_t timeout)
{
    struct timespec end = until(timeout > 0 ? timeout : 0);
    int stopped;

    pthread_mutex_lock(&box->lock);
    while (!box->stopped && pthread_cond_timedwait(&box->more, &box->lock, &end) != ETIMEDOUT) {
    }
    stopped = box->stopped;
    pthread_mutex_unlock(&box->lock);
    return stopped;
}
