#include "libwh/wh_clock.h"

static apr_time_t fake_now(void *baton)
{
    const wh_clock_fake_t *fake = baton;

    return fake->now;
}

static wh_mono_t fake_mono(void *baton)
{
    const wh_clock_fake_t *fake = baton;

    return fake->mono;
}

void wh_clock_fake_init(wh_clock_fake_t *fake, apr_time_t now)
{
    fake->clock = (wh_clock_t){.now = fake_now, .mono = fake_mono, .baton = fake};
    fake->now = now;
    /* Not 0: code that takes 0 for "never" should show itself in a test. */
    fake->mono = (wh_mono_t){.us = 1000000};
}

void wh_clock_fake_advance(wh_clock_fake_t *fake, apr_interval_time_t us)
{
    fake->now += us;
    fake->mono.us += us;
}

void wh_clock_fake_step(wh_clock_fake_t *fake, apr_interval_time_t us)
{
    fake->now += us;
}
