/* wh_gc: what of the deployments and of the store may go. Pure: a snapshot and the time come in, a
 * verdict goes out; wh-scheduler/retire.c and gc.c carry it out.
 *
 * A deployment that retires loses its own name and its release; it stays in the list. Never does
 * one whose files or containers a name shows, that a switch or a job is about, that a name showed
 * before as long as that one's assets are found, or that is among those which a rollback may
 * choose: of a preview while it is open, of every other environment always.
 */
#ifndef WH_GC_H
#define WH_GC_H

#include <apr_pools.h>
#include <apr_tables.h>

/* ---- which deployments retire ---- */

typedef struct wh_gc_policy_t {
    int kept;                    /* succeeded ones of an app and environment, the newest */
    apr_interval_time_t kept_us; /* and whatever ended within so long */
} wh_gc_policy_t;

typedef struct wh_gc_deployment_t {
    const char *id;
    const char *environment;
    int succeeded;
    int needed;             /* by a name other than its own, a switch, a job, a container */
    apr_time_t finished_at; /* 0 = it is not over */
    int retire;             /* out */
} wh_gc_deployment_t;

/* Of one app, by environment and, within it, newest first. deleted_at: of the app, 0 = it is not;
 * nothing of an app that was deleted longer than kept_us ago stays. Sets `retire`; returns how
 * many.
 */
int wh_gc_retire(wh_gc_deployment_t *deployments, int n, apr_time_t deleted_at,
                 const wh_gc_policy_t *policy, apr_time_t now);

/* ---- which objects are needed ---- */

/* Objects by the first 16 digits of their names: 8 bytes each, and two that begin alike stay
 * together, which costs an object's room and nothing else. */
typedef struct wh_gc_marks_t wh_gc_marks_t;

wh_gc_marks_t *wh_gc_marks_make(apr_pool_t *p);

/* An object that may go; sha256 is 64 hex digits. All of them before wh_gc_marks_close. */
void wh_gc_marks_add(wh_gc_marks_t *marks, const char *sha256);
int wh_gc_marks_count(const wh_gc_marks_t *marks);
void wh_gc_marks_close(wh_gc_marks_t *marks);

/* Something needs it; others than those added are fine. */
void wh_gc_marks_need(wh_gc_marks_t *marks, const char *sha256);

/* 1 when it was added and nothing needs it. */
int wh_gc_marks_needless(const wh_gc_marks_t *marks, const char *sha256);

#endif
