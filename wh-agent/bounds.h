/* What a build may use up beside memory, processes and time: what it prints, and what it makes of
 * the disk. Engines bound neither, so it is looked at from outside while the build runs, and the
 * build is ended when it has gone too far.
 *
 * The disk is the engine's file system as a whole, for nothing tells what of it is one build's:
 * with several builds at once, each may see as many times the limit go as there are of them. */
#ifndef WH_AGENT_BOUNDS_H
#define WH_AGENT_BOUNDS_H

#include "wh-agent/work.h"

typedef struct wh_bounds_t {
    const wh_clock_t *clock;
    const char *dir; /* on the file system to be watched; "" = none can be */
    apr_int64_t output_max, disk_max, files_max, floor;
    apr_int64_t output;     /* bytes printed so far: whoever hears them adds them */
    apr_int64_t free, nodes; /* when it began, bytes and files that there was room for */
    wh_mono_t next;          /* look at the disk */
    int builds;              /* at once, at most, so far */
    int over;                /* what was answered last */
    char why[160];           /* what it went beyond; "" = nothing */
} wh_bounds_t;

/* Before a build; wh_bounds_end must follow. dir: the engine's own, "" where it is not known. */
void wh_bounds_begin(wh_bounds_t *bounds, const wh_work_t *work, const char *dir);
void wh_bounds_end(wh_bounds_t *bounds);

/* Whether the build must end now (why says it): 1, or 2 when not even the engine may go on with
 * what it does of it. Cheap: the disk is asked four times a second. */
int wh_bounds_over(void *bounds);

/* The judgement of the disk alone: what is free now. */
int wh_bounds_judge(wh_bounds_t *bounds, apr_int64_t free, apr_int64_t nodes);

#endif
