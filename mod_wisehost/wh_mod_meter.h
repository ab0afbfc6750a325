/*
 * wh_mod_meter.h - requests of each app, counted in shared memory.
 *
 * Every request that belonged to an app is counted when it is logged, whoever answered it: the file
 * cache, one pass, a parked connection, an upstream, a page. There are as many copies of an app's
 * figures as the machine has processors (64 at most), each on cache lines of its own, and a request
 * is counted where it runs: so no two threads wait for each other, however many there are. The
 * memory is made once and found again by every configuration after it: figures go on through
 * graceful restarts and through the end of any child.
 *
 * WiseHostMetricsApps apps have a row; when all are taken, the one that was silent longest, a
 * minute at least, gives way; where none was, requests are counted in one row for all others
 * (WH_MOD_METER_OTHER). A row that nobody asked for a day is given up. An app that changes hands
 * (deleted, made anew under its slug) begins anew.
 *
 * Every ten seconds what came since is put into a ring of six, and added to its minute in a ring of
 * sixty: by httpd's parent process, or by who reads first after that. Whoever reads gets sums that
 * may be off by requests that were being counted just then.
 *
 * Any thread; nothing here allocates but with the pool that is given, and nothing waits.
 */
#ifndef WH_MOD_METER_H
#define WH_MOD_METER_H

#include "libwh/wh_meter.h"
#include "mod_wisehost/mod_wisehost.h"

#define WH_MOD_METER_OTHER "_other" /* no slug: those begin with a letter */

/* Makes the memory, or finds that of the configuration before. Without it (logged), or with
 * WiseHostMetrics Off, nothing is counted. post_config. */
void wh_mod_meter_post_config(server_rec *s);
/* Hooks log_transaction and monitor. register_hooks only. */
void wh_mod_meter_register(void);

/* True when requests are counted. */
int wh_mod_meter_on(void);

/* One app's figures. */
typedef struct wh_mod_meter_t {
    const char *slug;
    apr_time_t since;    /* when counting began, for all apps */
    wh_meter_sum_t all;  /* since then, or since the row was this app's */
    wh_meter_sum_t now;  /* of the last seconds */
    double now_s;        /* how many: about a minute, less just after the beginning */
    wh_meter_sum_t hour; /* of the minutes below */
    double hour_s;
    int n_minutes;                       /* whole ones that were counted, newest last */
    apr_time_t minute[WH_METER_MINUTES]; /* when each began */
    wh_meter_sum_t *minutes;
} wh_mod_meter_t;

/* An app's figures, zeros for one without a row; *out and its slug live in p. 0 when nothing is
 * counted at all. */
int wh_mod_meter_read(apr_pool_t *p, const char *app_id, wh_mod_meter_t *out);

typedef void wh_mod_meter_fn(void *baton, const char *slug, const wh_meter_sum_t *all);
/* Calls fn for every row in use, WH_MOD_METER_OTHER first. */
void wh_mod_meter_each(wh_mod_meter_fn *fn, void *baton);

typedef void wh_mod_meter_minute_fn(void *baton, const char *app_id, const wh_meter_sum_t *minute);
/* Calls fn for every app that was asked in the last minute. 0: not now, somebody else is at it. */
int wh_mod_meter_minute(wh_mod_meter_minute_fn *fn, void *baton);

/* Hook monitor: tells the scheduler. register_hooks only (wh_mod_meter_file.c). */
void wh_mod_meter_file_register(void);

/* Rows in use, how many there are, and requests that found none. */
typedef struct wh_mod_meter_room_t {
    int rows, used;
    apr_uint64_t others;
} wh_mod_meter_room_t;
void wh_mod_meter_room(wh_mod_meter_room_t *out);

#endif
