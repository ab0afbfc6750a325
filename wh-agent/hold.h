/* Where a build's RUN steps live. Podman 4 does not end a step when the client that asked for the
 * build goes away. So each build gets a container of ours that only waits, and its steps join that
 * container's process namespace: with the container the kernel ends every process in it, and the
 * engine then clears the build away by itself. Whoever removes the job's containers, a cancel or
 * the agent's next life, thereby ends the job's build.
 *
 * Where the engine keeps control groups as plain directories (cgroupfs, version 1), the steps also
 * live in a group below that container's, whose limits then hold for the whole build: Podman has no
 * parameter for the processes of a build. */
#ifndef WH_AGENT_HOLD_H
#define WH_AGENT_HOLD_H

#include "wh-agent/work.h"

typedef struct wh_hold_t {
    wh_work_t *work;
    const char *id;     /* "" = there is none: this engine ends its builds itself */
    const char *pid_ns; /* for the build; "" likewise */
    const char *cgroup; /* for the build, "" = it cannot be named */
} wh_hold_t;

/* Make and start it, with room for a build of so much memory; its image is made first where it is
 * not there. Codes: those of the engine. */
apr_status_t wh_hold_begin(wh_work_t *work, wh_engine_t *engine, apr_int64_t memory_bytes,
                           wh_hold_t *hold, wh_err_t *err) WH_MUST_CHECK;

/* The group for the steps, by what /proc/<pid>/cgroup says of the container `id`. In p; "" =
 * none. */
const char *wh_hold_cgroup(apr_pool_t *p, const char *text, const char *id);

/* End it, whatever the job's request to stop says: on a session of its own. A failure is logged;
 * the job's own clearing away then tries again. */
void wh_hold_end(wh_hold_t *hold);

/* The labels of a container that serves a build, and is nothing that anybody is to keep running. */
apr_array_header_t *wh_hold_labels(const wh_work_t *work);

/* Whether a container or image is a hold of an agent's. */
int wh_hold_is(const apr_array_header_t *labels);

#endif
