#include <apr_thread_mutex.h>
#include "wh-agent/box.h"

typedef struct msg_t msg_t;
struct msg_t {
    msg_t *next;
    apr_pool_t *p;
    wh_box_fn *fn;
    void *data;
};

struct wh_box_t {
    void *owner;
    apr_thread_mutex_t *lock;
    msg_t *first, **last;
    wh_box_wake_fn *wake;
    void *wake_baton;
};

apr_status_t wh_box_make(apr_pool_t *p, void *owner, wh_box_t **out, wh_err_t *err)
{
    wh_box_t *box = apr_pcalloc(p, sizeof(*box));
    apr_status_t rv = apr_thread_mutex_create(&box->lock, APR_THREAD_MUTEX_DEFAULT, p);

    box->owner = owner;
    box->last = &box->first;
    *out = box;
    return rv == APR_SUCCESS ? rv : wh_err_wrap(err, rv, 500, "internal", "cannot make a lock");
}

void wh_box_set_wake(wh_box_t *box, wh_box_wake_fn *wake, void *baton)
{
    apr_thread_mutex_lock(box->lock);
    box->wake = wake;
    box->wake_baton = baton;
    apr_thread_mutex_unlock(box->lock);
}

void wh_box_post(wh_box_t *box, apr_pool_t *p, wh_box_fn *fn, void *data)
{
    msg_t *msg = apr_pcalloc(p, sizeof(*msg));

    *msg = (msg_t){.p = p, .fn = fn, .data = data};
    apr_thread_mutex_lock(box->lock);
    *box->last = msg;
    box->last = &msg->next;
    /* Under the lock, so that the waker cannot be taken away meanwhile. */
    if (box->wake != NULL)
        box->wake(box->wake_baton);
    apr_thread_mutex_unlock(box->lock);
}

void wh_box_empty(wh_box_t *box)
{
    msg_t *msg;

    apr_thread_mutex_lock(box->lock);
    msg = box->first;
    box->first = NULL;
    box->last = &box->first;
    apr_thread_mutex_unlock(box->lock);
    while (msg != NULL) {
        msg_t *next = msg->next;

        msg->fn(box->owner, msg->data);
        apr_pool_destroy(msg->p);
        msg = next;
    }
}
