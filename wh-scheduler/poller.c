#include "wh-scheduler/poller.h"

#include <pthread.h>
#include <signal.h>

#include <apr_pools.h>

#define WAITING_MAX (4 * WH_POLLER_THREADS)

struct wh_poller_t {
    wh_poller_opt_t opt;
    pthread_t threads[WH_POLLER_THREADS];
    int n_threads;
    pthread_mutex_t lock;
    pthread_cond_t more;
    wh_poll_t *questions, **last, *answers;
    int waiting; /* questions and looks under way */
    int stop;    /* atomic: read without the lock too */
};

wh_poll_t *wh_poller_question(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *p;
    wh_poll_t *q;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    if (apr_pool_create_ex(&p, NULL, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, p); /* another thread destroys it */
    apr_pool_tag(p, "poll");
    q = apr_pcalloc(p, sizeof(*q));
    q->pool = p;
    return q;
}

static wh_poll_t *next_question(wh_poller_t *poller)
{
    wh_poll_t *q = poller->questions;

    if (q != NULL) {
        poller->questions = q->next;
        if (poller->questions == NULL) {
            poller->last = &poller->questions;
        }
    }
    return q;
}

static void look_up(const wh_poller_t *poller, wh_poll_t *q)
{
    const wh_lsremote_of_t of = {.url = q->url, .branch = q->branch, .auth = &q->auth};

    if (wh_lsremote(q->pool, &poller->opt.look, &of, q->sha, &q->err) != APR_SUCCESS) {
        q->sha[0] = '\0';
    }
}

static void *run(void *baton)
{
    wh_poller_t *poller = baton;

    pthread_mutex_lock(&poller->lock);
    while (!poller->stop) {
        wh_poll_t *q = next_question(poller);

        if (q == NULL) {
            pthread_cond_wait(&poller->more, &poller->lock);
            continue;
        }
        pthread_mutex_unlock(&poller->lock);
        look_up(poller, q);
        pthread_mutex_lock(&poller->lock);
        poller->waiting--;
        q->next = poller->answers;
        poller->answers = q;
        pthread_mutex_unlock(&poller->lock);
        poller->opt.wake(poller->opt.baton);
        pthread_mutex_lock(&poller->lock);
    }
    pthread_mutex_unlock(&poller->lock);
    return NULL;
}

apr_status_t wh_poller_start(apr_pool_t *p, const wh_poller_opt_t *opt, wh_poller_t **out,
                             wh_err_t *err)
{
    wh_poller_t *poller = apr_pcalloc(p, sizeof(*poller));
    sigset_t all, old;
    int rc = 0;

    poller->opt = *opt;
    poller->opt.look.stop = &poller->stop;
    poller->last = &poller->questions;
    pthread_mutex_init(&poller->lock, NULL);
    pthread_cond_init(&poller->more, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (rc == 0 && poller->n_threads < WH_POLLER_THREADS) {
        rc = pthread_create(&poller->threads[poller->n_threads], NULL, run, poller);
        poller->n_threads += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        wh_poller_stop(poller);
        return wh_err_wrap(err, rc, 500, "no_thread",
                           "the threads for repositories cannot be started");
    }
    *out = poller;
    return APR_SUCCESS;
}

void wh_poller_ask(wh_poller_t *poller, wh_poll_t *question)
{
    pthread_mutex_lock(&poller->lock);
    question->next = NULL;
    *poller->last = question;
    poller->last = &question->next;
    poller->waiting++;
    pthread_cond_signal(&poller->more);
    pthread_mutex_unlock(&poller->lock);
}

int wh_poller_room(wh_poller_t *poller)
{
    int n;

    pthread_mutex_lock(&poller->lock);
    n = WAITING_MAX - poller->waiting;
    pthread_mutex_unlock(&poller->lock);
    return n > 0 ? n : 0;
}

wh_poll_t *wh_poller_answer(wh_poller_t *poller)
{
    wh_poll_t *answer;

    pthread_mutex_lock(&poller->lock);
    answer = poller->answers;
    if (answer != NULL) {
        poller->answers = answer->next;
    }
    pthread_mutex_unlock(&poller->lock);
    return answer;
}

static void drop(wh_poll_t *list)
{
    while (list != NULL) {
        wh_poll_t *next = list->next;

        apr_pool_destroy(list->pool);
        list = next;
    }
}

void wh_poller_stop(wh_poller_t *poller)
{
    pthread_mutex_lock(&poller->lock);
    __atomic_store_n(&poller->stop, 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&poller->more);
    pthread_mutex_unlock(&poller->lock);
    for (int i = 0; i < poller->n_threads; i++) {
        pthread_join(poller->threads[i], NULL);
    }
    drop(poller->questions);
    drop(poller->answers);
    pthread_cond_destroy(&poller->more);
    pthread_mutex_destroy(&poller->lock);
}
