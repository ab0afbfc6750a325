/* The agent's own log without the secrets of the job that a thread works for. */
#ifndef WH_AGENT_HUSH_H
#define WH_AGENT_HUSH_H

#include "libwh/wh_mask.h"

/* For what this thread logs from now on; NULL = it works for no job any more. */
void wh_hush_begin(const wh_mask_t *mask);

/* A sink of wh_log: wh_log_stderr behind the mask. */
void wh_hush_log(void *baton, int level, const char *tag, const char *line);

#endif
