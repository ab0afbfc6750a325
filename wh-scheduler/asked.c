#include "wh-scheduler/asked.h"

#include <pthread.h>

#include "libwh/wh_pool.h"
#include "wh-scheduler/threads.h"

struct wh_asked_t {
    wh_asked_opt_t opt;
    pthread_t threads[WH_ASKED_THREADS_MAX];
    int n_threads;
    pthread_mutex_t lock;
    pthread_cond_t more;
    wh_asked_item_t *questions, **last, *answers;
    int waiting; /* questions and looks under way */
    int stop;    /* atomic: read without the lock too */
};

void *wh_asked_make(size_t size, const char *tag)
{
    apr_pool_t *p = wh_pool_make(tag);
    wh_asked_item_t *item;

    if (p == NULL) {
        return NULL;
    }
    item = apr_pcalloc(p, size);
    item->pool = p;
    return item;
}

static wh_asked_item_t *next_question(wh_asked_t *asked)
{
    wh_asked_item_t *item = asked->questions;

    if (item != NULL) {
        asked->questions = item->next;
        if (asked->questions == NULL) {
            asked->last = &asked->questions;
        }
    }
    return item;
}

static void *run(void *baton)
{
    wh_asked_t *asked = baton;

    pthread_mutex_lock(&asked->lock);
    while (!asked->stop) {
        wh_asked_item_t *item = next_question(asked);

        if (item == NULL) {
            pthread_cond_wait(&asked->more, &asked->lock);
            continue;
        }
        pthread_mutex_unlock(&asked->lock);
        asked->opt.look(asked->opt.look_baton, item);
        pthread_mutex_lock(&asked->lock);
        asked->waiting--;
        item->next = asked->answers;
        asked->answers = item;
        pthread_mutex_unlock(&asked->lock);
        asked->opt.wake(asked->opt.wake_baton);
        pthread_mutex_lock(&asked->lock);
    }
    pthread_mutex_unlock(&asked->lock);
    return NULL;
}

apr_status_t wh_asked_start(apr_pool_t *p, const wh_asked_opt_t *opt, wh_asked_t **out,
                            wh_err_t *err)
{
    wh_asked_t *asked = apr_pcalloc(p, sizeof(*asked));
    int rc = 0;

    asked->opt = *opt;
    asked->last = &asked->questions;
    pthread_mutex_init(&asked->lock, NULL);
    pthread_cond_init(&asked->more, NULL);
    /* A look may begin at once, and look at what the caller keeps this by. */
    *out = asked;
    while (rc == 0 && asked->n_threads < opt->threads) {
        rc = wh_threads_start(&asked->threads[asked->n_threads], run, asked);
        asked->n_threads += rc == 0;
    }
    if (rc == 0) {
        return APR_SUCCESS;
    }
    wh_asked_end(asked);
    *out = NULL;
    return wh_err_wrap(err, rc, 500, "no_thread", "threads to ask others cannot be started");
}

void wh_asked_ask(wh_asked_t *asked, wh_asked_item_t *question)
{
    pthread_mutex_lock(&asked->lock);
    question->next = NULL;
    *asked->last = question;
    asked->last = &question->next;
    asked->waiting++;
    pthread_cond_signal(&asked->more);
    pthread_mutex_unlock(&asked->lock);
}

int wh_asked_waiting(wh_asked_t *asked)
{
    int n;

    pthread_mutex_lock(&asked->lock);
    n = asked->waiting;
    pthread_mutex_unlock(&asked->lock);
    return n;
}

wh_asked_item_t *wh_asked_answer(wh_asked_t *asked)
{
    wh_asked_item_t *answer;

    pthread_mutex_lock(&asked->lock);
    answer = asked->answers;
    if (answer != NULL) {
        asked->answers = answer->next;
    }
    pthread_mutex_unlock(&asked->lock);
    return answer;
}

const int *wh_asked_stop(const wh_asked_t *asked)
{
    return &asked->stop;
}

static void drop(wh_asked_item_t *list)
{
    while (list != NULL) {
        wh_asked_item_t *next = list->next;

        apr_pool_destroy(list->pool);
        list = next;
    }
}

void wh_asked_halt(wh_asked_t *asked)
{
    pthread_mutex_lock(&asked->lock);
    __atomic_store_n(&asked->stop, 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&asked->more);
    pthread_mutex_unlock(&asked->lock);
}

void wh_asked_end(wh_asked_t *asked)
{
    wh_asked_halt(asked);
    for (int i = 0; i < asked->n_threads; i++) {
        pthread_join(asked->threads[i], NULL);
    }
    drop(asked->questions);
    drop(asked->answers);
    pthread_cond_destroy(&asked->more);
    pthread_mutex_destroy(&asked->lock);
}
