/* What a child process may touch of the file system (D2), by Landlock: directories that it may read
 * and run programs from, directories that it may also write, nothing else. Where the kernel has no
 * Landlock, or it is switched off, the child runs without; everything else about it is the same. */
#ifndef WH_AGENT_JAIL_H
#define WH_AGENT_JAIL_H

#include "libwh/wh_err.h"

typedef struct wh_jail_t {
    const char *const
        *read; /* paths that may be read; ends with NULL; missing ones are passed over */
    const char *const *write; /* paths that may be written, too */
} wh_jail_t;

/* Shut the calling thread, and every process that it starts from now on, in. There is no way back:
 * for a thread that ends after it has started its child. Returns 1, or 0 when the kernel cannot. */
int wh_jail_enter(const wh_jail_t *jail);

#endif
