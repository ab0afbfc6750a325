#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include "wh-agent/restart.h"

#define KILLED 137 /* by signal 9 */

/* ---- one container ---- */

static void count_oom(wh_restart_t *r, wh_mono_t now)
{
    if (r->ooms == WH_RESTART_OOM_MAX) {
        memmove(r->oom, r->oom + 1, sizeof(r->oom) - sizeof(r->oom[0]));
        r->ooms--;
    }
    r->oom[r->ooms++] = now;
    r->violated |=
        r->ooms == WH_RESTART_OOM_MAX && wh_mono_diff(now, r->oom[0]) <= WH_RESTART_OOM_US;
}

void wh_restart_down(wh_restart_t *r, wh_mono_t now, apr_interval_time_t ran_us, int oom)
{
    if (ran_us >= WH_RESTART_GOOD_US) {
        r->quick = 0;
        r->pause = 0;
    } else {
        r->quick += r->quick < WH_RESTART_QUICK_MAX;
    }
    r->pause = r->pause == 0                      ? WH_RESTART_FIRST_US
               : r->pause * 2 > WH_RESTART_MAX_US ? WH_RESTART_MAX_US
                                                  : r->pause * 2;
    r->until = wh_mono_add(now, r->pause);
    r->is_down = 1;
    if (oom)
        count_oom(r, now);
}

void wh_restart_up(wh_restart_t *r)
{
    r->is_down = 0;
}

int wh_restart_due(const wh_restart_t *r, wh_mono_t now)
{
    return r->is_down && !r->violated && wh_mono_reached(now, r->until);
}

wh_observed_e wh_restart_state(const wh_restart_t *r)
{
    if (r->violated)
        return WH_OBSERVED_VIOLATED;
    return r->quick >= WH_RESTART_QUICK_MAX ? WH_OBSERVED_CRASHLOOP : WH_OBSERVED_STARTING;
}

/* ---- all of them ---- */

typedef struct entry_t {
    struct entry_t *next;
    char id[80];
    wh_restart_t r;
    apr_time_t ended_at; /* of the end that was counted last */
    int was_up;          /* seen running in this life of the agent */
    int end_was_oom;
    int reached; /* since its start */
    apr_int64_t starts;
    int seen; /* in this pass */
} entry_t;

struct wh_restarts_t {
    apr_thread_mutex_t *lock;
    entry_t *first;
    apr_time_t since;
    apr_int64_t oom_kills;
    int rose;
};

static apr_status_t restarts_free(void *data)
{
    wh_restarts_t *all = data;

    while (all->first != NULL) {
        entry_t *e = all->first;

        all->first = e->next;
        free(e);
    }
    return APR_SUCCESS;
}

apr_status_t wh_restarts_make(apr_pool_t *p, apr_time_t since, wh_restarts_t **out, wh_err_t *err)
{
    wh_restarts_t *all = apr_pcalloc(p, sizeof(*all));
    apr_status_t rv = apr_thread_mutex_create(&all->lock, APR_THREAD_MUTEX_DEFAULT, p);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no lock");
    all->oom_kills = -1;
    all->since = since;
    apr_pool_cleanup_register(p, all, restarts_free, apr_pool_cleanup_null);
    *out = all;
    return APR_SUCCESS;
}

/* NULL only when there is no memory. */
static entry_t *entry_of(wh_restarts_t *all, const char *id)
{
    entry_t *e = all->first;

    while (e != NULL && strcmp(e->id, id) != 0)
        e = e->next;
    if (e == NULL && (e = calloc(1, sizeof(*e))) != NULL) {
        apr_cpystrn(e->id, id, sizeof(e->id));
        e->next = all->first;
        all->first = e;
    }
    if (e != NULL)
        e->seen = 1;
    return e;
}

void wh_restarts_begin(wh_restarts_t *all, apr_int64_t oom_kills)
{
    apr_thread_mutex_lock(all->lock);
    all->rose = all->oom_kills >= 0 && oom_kills > all->oom_kills;
    all->oom_kills = oom_kills;
    for (entry_t *e = all->first; e != NULL; e = e->next)
        e->seen = 0;
    apr_thread_mutex_unlock(all->lock);
}

apr_int64_t wh_restarts_up(wh_restarts_t *all, const char *id)
{
    entry_t *e;
    apr_int64_t n = 0;

    apr_thread_mutex_lock(all->lock);
    if ((e = entry_of(all, id)) != NULL) {
        wh_restart_up(&e->r);
        e->was_up = 1;
        n = e->starts;
    }
    apr_thread_mutex_unlock(all->lock);
    return n;
}

static void count_end(wh_restarts_t *all, entry_t *e, const wh_restarts_end_t *end, wh_mono_t now)
{
    apr_interval_time_t ran = end->started_at > 0 && end->ended_at > end->started_at
                                  ? end->ended_at - end->started_at
                                  : 0;

    e->end_was_oom = end->oom || (end->status == KILLED && all->rose);
    if (e->was_up || end->started_at >= all->since) {
        wh_restart_down(&e->r, now, ran, e->end_was_oom);
    } else {
        e->r.is_down = 1;
        e->r.until = now;
    }
    e->ended_at = end->ended_at;
    e->reached = 0;
}

void wh_restarts_down(wh_restarts_t *all, const char *id, const wh_restarts_end_t *end,
                      wh_mono_t now, wh_restart_t *r, int *oom, int *news)
{
    entry_t *e;

    memset(r, 0, sizeof(*r));
    *oom = *news = 0;
    apr_thread_mutex_lock(all->lock);
    if ((e = entry_of(all, id)) != NULL) {
        int before = e->r.violated;

        if (!e->r.is_down || e->ended_at != end->ended_at)
            count_end(all, e, end, now);
        *r = e->r;
        *oom = e->end_was_oom;
        *news = e->r.violated && !before;
    }
    apr_thread_mutex_unlock(all->lock);
}

void wh_restarts_started(wh_restarts_t *all, const char *id, int worked, wh_mono_t now)
{
    entry_t *e;

    apr_thread_mutex_lock(all->lock);
    if ((e = entry_of(all, id)) != NULL) {
        e->starts++;
        e->was_up = 1;
        e->reached = 0;
        if (worked)
            wh_restart_up(&e->r);
        else
            wh_restart_down(&e->r, now, 0, 0);
    }
    apr_thread_mutex_unlock(all->lock);
}

int wh_restarts_reached(wh_restarts_t *all, const char *id, int now)
{
    entry_t *e;
    int reached = 1;

    apr_thread_mutex_lock(all->lock);
    if ((e = entry_of(all, id)) != NULL)
        reached = e->reached |= now;
    apr_thread_mutex_unlock(all->lock);
    return reached;
}

void wh_restarts_violated(wh_restarts_t *all, const char *id)
{
    entry_t *e;

    apr_thread_mutex_lock(all->lock);
    if ((e = entry_of(all, id)) != NULL)
        e->r.is_down = e->r.violated = 1;
    apr_thread_mutex_unlock(all->lock);
}

apr_interval_time_t wh_restarts_wait(wh_restarts_t *all, wh_mono_t now, apr_interval_time_t us)
{
    apr_thread_mutex_lock(all->lock);
    for (const entry_t *e = all->first; e != NULL; e = e->next) {
        apr_interval_time_t left = wh_mono_diff(e->r.until, now);

        if (e->r.is_down && !e->r.violated && left < us)
            us = left;
    }
    apr_thread_mutex_unlock(all->lock);
    return us > 0 ? us : 0;
}

void wh_restarts_end(wh_restarts_t *all)
{
    apr_thread_mutex_lock(all->lock);
    for (entry_t **at = &all->first; *at != NULL;) {
        entry_t *e = *at;

        if (e->seen) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        free(e);
    }
    apr_thread_mutex_unlock(all->lock);
}
