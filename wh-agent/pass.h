/* One pass over the engine, on a thread of its own: what a former life left is cleared away, a
 * token is had, the containers are looked at and brought to what is wanted. What came of it is
 * taken up on the link's thread. */
#ifndef WH_AGENT_PASS_H
#define WH_AGENT_PASS_H

#include "wh-agent/agent.h"

typedef struct wh_pass_t {
    wh_agent_t *agent;
    apr_pool_t *p;
    wh_reconcile_in_t in;
    int acting; /* in is to be followed, else only look */
    int clear;  /* first remove what a former life left */
    int want_token, force_token;
    const char *token;
    apr_array_header_t *seen;
    const char *engine_name, *engine_root; /* root: only asked before a connection */
    wh_err_t err, engine_err;
    int ok;
} wh_pass_t;

/* With a pool of its own, which the box destroys; NULL when there is no memory. Link's thread. */
wh_pass_t *wh_pass_make(wh_agent_t *agent);

/* Do it. On the pass' thread. The results table is only read here while no other thread of ours
 * runs (clear). Blocks. */
void wh_pass_run(wh_pass_t *pass);

#endif
