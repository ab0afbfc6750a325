/* Time as a value that is handed in. Loops read the clock once a turn and pass `now` down; pure
 * code never asks. Wall time (apr_time_t) is for what is stored or shown, monotonic time
 * (wh_mono_t) for deadlines: it does not jump when somebody sets the clock.
 *
 * The system clock is in wh_sys.h; the fake one here is for tests.
 */
#ifndef WH_CLOCK_H
#define WH_CLOCK_H

#include "libwh/wh_types.h"

typedef struct wh_clock_t {
    apr_time_t (*now)(void *baton);
    wh_mono_t (*mono)(void *baton);
    void *baton;
} wh_clock_t;

static inline apr_time_t wh_clock_now(const wh_clock_t *clock)
{
    return clock->now(clock->baton);
}

static inline wh_mono_t wh_clock_mono(const wh_clock_t *clock)
{
    return clock->mono(clock->baton);
}

static inline wh_mono_t wh_mono_add(wh_mono_t from, apr_interval_time_t us)
{
    return (wh_mono_t){.us = from.us + us};
}

/* Microseconds from `from` to `to`; negative when `to` is earlier. */
static inline apr_interval_time_t wh_mono_diff(wh_mono_t to, wh_mono_t from)
{
    return to.us - from.us;
}

/* True once the deadline is reached. */
static inline int wh_mono_reached(wh_mono_t now, wh_mono_t deadline)
{
    return now.us >= deadline.us;
}

/* A clock that stands still until it is told otherwise. */
typedef struct wh_clock_fake_t {
    wh_clock_t clock; /* hand &fake.clock to the code under test */
    apr_time_t now;
    wh_mono_t mono;
} wh_clock_fake_t;

/* The fake must not move in memory afterwards: its clock points into it. */
void wh_clock_fake_init(wh_clock_fake_t *fake, apr_time_t now);

/* Time passes: both clocks go on by us (not negative). */
void wh_clock_fake_advance(wh_clock_fake_t *fake, apr_interval_time_t us);

/* Somebody sets the wall clock: only `now` jumps, by a positive or negative step. */
void wh_clock_fake_step(wh_clock_fake_t *fake, apr_interval_time_t us);

#endif
