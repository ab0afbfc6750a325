/* What the machine uses at this moment, for the heartbeat. */
#ifndef WH_AGENT_MACHINE_H
#define WH_AGENT_MACHINE_H

#include "libwh/wh_types.h"

typedef struct wh_machine_t {
    apr_int64_t busy, total; /* jiffies at the last look */
    apr_int64_t cpu_used_millis, memory_used_bytes, disk_free_bytes;
} wh_machine_t;

/* Look again: CPU since the last look. What cannot be read keeps its value. */
void wh_machine_look(wh_machine_t *machine, const char *state_dir);

#endif
