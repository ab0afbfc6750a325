/* The system's clock and random numbers, and the word to its service manager: the only file of
 * libwh that deals with the machine. Only main functions and hooks include this; everything else
 * gets a wh_clock_t or wh_rand_t. */
#ifndef WH_SYS_H
#define WH_SYS_H

#include "libwh/wh_clock.h"
#include "libwh/wh_rand.h"

/* Static, never NULL, thread-safe. */
const wh_clock_t *wh_sys_clock(void);

/* Static, never NULL, thread-safe. Blocks only until the kernel's pool was seeded once after boot.
 */
const wh_rand_t *wh_sys_rand(void);

/* Readiness for systemd: its documented protocol is one datagram to $NOTIFY_SOCKET, so the library
 * that would send it (and its share of memory) is not needed. Without systemd nothing happens.
 * state: "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…", several parted by line feeds. Failures
 * are ignored. */
void wh_sys_notify(const char *state);

#endif
