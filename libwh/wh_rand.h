/* Random bytes as a value that is handed in: the system's in wh_sys.h, a seeded one here for tests.
 */
#ifndef WH_RAND_H
#define WH_RAND_H

#include "libwh/wh_types.h"

typedef struct wh_rand_t {
    apr_status_t (*fill)(void *baton, void *buf, size_t n);
    void *baton;
} wh_rand_t;

/* Fill n bytes. On an error the buffer is not to be used; nothing sensible can be done but fail. */
apr_status_t wh_rand_fill(const wh_rand_t *rnd, void *buf, size_t n) WH_MUST_CHECK;

/* n random bytes as 2n lower-case hex digits, or NULL when there are none to be had. */
char *wh_rand_hex(apr_pool_t *p, const wh_rand_t *rnd, size_t n);

/* 32 random bits for jitter. Falls back to 0x80000000 (the middle) when none can be had: jitter is
 * never worth a failure, and never a secret. */
uint32_t wh_rand_jitter(const wh_rand_t *rnd);

/* The same bytes for the same seed, on every machine. */
typedef struct wh_rand_fake_t {
    wh_rand_t rnd; /* hand &fake.rnd to the code under test */
    uint64_t state;
    int fail_after; /* -1 = never; 0 = the next fill fails; n = after n more */
} wh_rand_fake_t;

/* The fake must not move in memory afterwards. Sets fail_after to -1. */
void wh_rand_fake_init(wh_rand_fake_t *fake, uint64_t seed);

#endif
