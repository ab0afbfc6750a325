#include "wh-scheduler/poller.h"

#define WAITING_MAX (4 * WH_POLLER_THREADS)

struct wh_poller_t {
    wh_poller_opt_t opt;
    wh_asked_t *asked;
};

wh_poll_t *wh_poller_question(void)
{
    return wh_asked_make(sizeof(wh_poll_t), "poll");
}

static void look_up(void *baton, wh_asked_item_t *item)
{
    const wh_poller_t *poller = baton;
    wh_poll_t *q = (wh_poll_t *)item;
    wh_lsremote_opt_t look = poller->opt.look;
    const wh_lsremote_of_t of = {.url = q->url, .branch = q->branch, .auth = &q->auth};

    look.stop = wh_asked_stop(poller->asked);
    if (wh_lsremote(q->head.pool, &look, &of, q->sha, &q->err) != APR_SUCCESS) {
        q->sha[0] = '\0';
    }
}

apr_status_t wh_poller_start(apr_pool_t *p, const wh_poller_opt_t *opt, wh_poller_t **out,
                             wh_err_t *err)
{
    wh_poller_t *poller = apr_pcalloc(p, sizeof(*poller));
    const wh_asked_opt_t asked = {.threads = WH_POLLER_THREADS,
                                  .look = look_up,
                                  .look_baton = poller,
                                  .wake = opt->wake,
                                  .wake_baton = opt->baton};

    apr_status_t rv;

    poller->opt = *opt;
    rv = wh_asked_start(p, &asked, &poller->asked, err);
    *out = rv == APR_SUCCESS ? poller : NULL;
    return rv;
}

void wh_poller_ask(wh_poller_t *poller, wh_poll_t *question)
{
    wh_asked_ask(poller->asked, &question->head);
}

int wh_poller_room(wh_poller_t *poller)
{
    int n = WAITING_MAX - wh_asked_waiting(poller->asked);

    return n > 0 ? n : 0;
}

wh_poll_t *wh_poller_answer(wh_poller_t *poller)
{
    return (wh_poll_t *)wh_asked_answer(poller->asked);
}

void wh_poller_stop(wh_poller_t *poller)
{
    wh_asked_end(poller->asked);
}
