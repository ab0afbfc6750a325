/* What the machine uses at this moment, for the heartbeat. */
#ifndef WH_AGENT_MACHINE_H
#define WH_AGENT_MACHINE_H

#include "libwh/wh_types.h"

typedef struct wh_machine_t {
    apr_int64_t busy, total; /* jiffies at the last look */
    apr_int64_t cpu_used_millis, memory_used_bytes, disk_free_bytes;
    apr_int64_t memory_free_bytes;
    char engine_root[256]; /* where the engine keeps its things, "" = not known */
} wh_machine_t;

/* A file of the kernel's, which have no size, up to size - 1 bytes of it. 0, or -1. */
int wh_machine_text(const char *path, char *buf, size_t size);

/* Look again: CPU since the last look. What cannot be read keeps its value. */
void wh_machine_look(wh_machine_t *machine, const char *state_dir);

/* Look again at disk and memory alone. The disk is the fuller one of the agent's and the engine's.
 */
void wh_machine_room(wh_machine_t *machine, const char *state_dir);

/* How many processes the kernel has killed for want of memory since it started; -1 = not known. */
apr_int64_t wh_machine_oom_kills(void);

#endif
