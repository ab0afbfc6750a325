/* wh_alert_plan: one tick over all rules and apps. The book holds what is known between two ticks:
 * the rules, and what lies between their edges. A plan reads the book and the world and says what
 * is to be written; only when that is written the book takes it over. So a plan that could not be
 * written is made again, from the same book.
 *
 * An app's own rules of a kind stand in the place of those for all apps. Not thread-safe: a book
 * belongs to one thread. */
#ifndef WH_ALERT_PLAN_H
#define WH_ALERT_PLAN_H

#include <apr_tables.h>

#include "libwh/wh_alert.h"

typedef struct wh_alert_book_t wh_alert_book_t;

/* Empty; freed with p. */
wh_alert_book_t *wh_alert_book_make(apr_pool_t *p);

/* Takes in rules (wh_alert_rule_t, copied) that were written since: new ones, changed ones, and
 * those with deleted_at, which go. Returns 0 when memory is out; nothing is changed then. */
int wh_alert_book_rules(wh_alert_book_t *book, const apr_array_header_t *changed);

/* The highest revision that was taken in; 0 = none. */
apr_int64_t wh_alert_book_revision(const wh_alert_book_t *book);
int wh_alert_book_count(const wh_alert_book_t *book);

/* What lies between the edges of a rule and app; all zero forgets it. Returns 0 without memory. */
int wh_alert_book_put(wh_alert_book_t *book, const char *rule_id, const char *app_id,
                      const wh_alert_state_t *state);
wh_alert_state_t wh_alert_book_get(const wh_alert_book_t *book, const char *rule_id,
                                   const char *app_id);
int wh_alert_book_states(const wh_alert_book_t *book);

typedef struct wh_alert_app_t {
    const char *id, *slug;
    int runs;      /* its owner wants it to run, and there is something to run */
    int container; /* else static: no figures of containers, no worker */
    int away;      /* its worker is not heard of */
} wh_alert_app_t;

/* An alert that is not resolved. */
typedef struct wh_alert_open_t {
    const char *id, *rule_id, *app_id;
    wh_alert_kind_e kind;
    int seen; /* the plan's own */
} wh_alert_open_t;

/* Who knows the values of some kinds. Asked at most once an app and tick. */
typedef struct wh_alert_meter_t {
    unsigned kinds; /* 1 << wh_alert_kind_e */
    /* Fills readings[kind] of its kinds. */
    void (*read)(void *baton, const wh_alert_app_t *app, wh_alert_reading_t *readings);
    void *baton;
} wh_alert_meter_t;

typedef struct wh_alert_world_t {
    const apr_array_header_t *apps; /* wh_alert_app_t, by id */
    apr_array_header_t *open;       /* wh_alert_open_t */
    const wh_alert_meter_t *meters;
    int n_meters;
    int blind; /* just begun: that nothing is known, or somebody is away, means nothing yet */
    apr_time_t now;
} wh_alert_world_t;

typedef struct wh_alert_edge_t {
    wh_alert_act_e act;
    const wh_alert_rule_t *rule; /* the book's; NULL when it is gone */
    const wh_alert_app_t *app;   /* the world's; NULL when it is gone */
    const wh_alert_open_t *open; /* of WH_ALERT_RESOLVE */
    apr_int64_t value;
    const char *reason; /* of WH_ALERT_RESOLVE: recovered, app_stopped, app_deleted, rule_removed */
} wh_alert_edge_t;

typedef struct wh_alert_change_t {
    const char *rule_id, *app_id;
    wh_alert_state_t state; /* all zero: it is at rest again */
    apr_int64_t value;
} wh_alert_change_t;

typedef struct wh_alert_plan_t {
    apr_array_header_t *edges;   /* wh_alert_edge_t */
    apr_array_header_t *changes; /* wh_alert_change_t */
    int looks;                   /* how many rules were looked at */
} wh_alert_plan_t;

/* In p; points into book and world. */
void wh_alert_plan(wh_alert_book_t *book, apr_pool_t *p, const wh_alert_world_t *world,
                   wh_alert_plan_t *out);

/* Everything of the plan was written: the book knows it. Returns 0 when memory is out: the book is
 * to be made anew from what is stored. */
int wh_alert_plan_done(wh_alert_book_t *book, const wh_alert_plan_t *plan);

#endif
