/* What should run here by the hub's last word, and which containers stay down because they broke a
 * rule. Both are kept in one small file of the state directory (`wanted`), written durably when
 * something changed: a machine that comes up while the hub is away brings its apps back by it. The
 * link's thread only. */
#ifndef WH_AGENT_WANTED_H
#define WH_AGENT_WANTED_H

#include "libwh/wh_proto_msg.h"

typedef struct wh_wanted_t wh_wanted_t;

/* Read what a former life knew. A file that cannot be read is set aside with a warning. Errors:
 * internal. */
apr_status_t wh_wanted_open(apr_pool_t *p, const char *state_dir, wh_wanted_t **wanted,
                            wh_err_t *err) WH_MUST_CHECK;

/* Whether anything was ever said, in this life or a former one. */
int wh_wanted_known(const wh_wanted_t *wanted);

/* wh_msg_desired_t, and containers (const char *); borrowed until the next change. */
const apr_array_header_t *wh_wanted_list(const wh_wanted_t *wanted);
const apr_array_header_t *wh_wanted_violated(const wh_wanted_t *wanted);

/* The whole list anew. */
void wh_wanted_take(wh_wanted_t *wanted, const apr_array_header_t *desired);

/* One more, which the hub knows of by now. */
void wh_wanted_add(wh_wanted_t *wanted, const wh_msg_desired_t *one);

/* What is about to be stopped is no longer wanted: when its containers end, nothing brings them
 * back, whatever the last list said. */
void wh_wanted_stop(wh_wanted_t *wanted, const char *deployment);

/* All containers that stay down now: const char *. */
void wh_wanted_violate(wh_wanted_t *wanted, const apr_array_header_t *containers);

#endif
