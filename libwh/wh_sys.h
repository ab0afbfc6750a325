/* The system's clock and random numbers: the only file of libwh that asks the machine for either.
 * Only main functions and hooks include this; everything else gets a wh_clock_t or wh_rand_t. */
#ifndef WH_SYS_H
#define WH_SYS_H

#include "libwh/wh_clock.h"
#include "libwh/wh_rand.h"

/* Static, never NULL, thread-safe. */
const wh_clock_t *wh_sys_clock(void);

/* Static, never NULL, thread-safe. Blocks only until the kernel's pool was seeded once after boot.
 */
const wh_rand_t *wh_sys_rand(void);

#endif
