/* What is said on the link, message by message (docs/protocol.md). The link's thread. */
#ifndef WH_AGENT_LINK_CONN_H
#define WH_AGENT_LINK_CONN_H

#include "wh-agent/agent.h"

/* The line is open: hello. */
void wh_link_conn_opened(wh_agent_t *agent);

/* A verified frame came. */
void wh_link_conn_message(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg);

/* The line is gone. */
void wh_link_conn_closed(wh_agent_t *agent);

/* Send what waits to be sent: phases, log lines within their rate, results. */
void wh_link_conn_flush(wh_agent_t *agent);

void wh_link_conn_heartbeat(wh_agent_t *agent);

/* Tell the state of one container. */
void wh_link_conn_app_status(wh_agent_t *agent, const wh_reconcile_seen_t *seen);

/* Say that it broke a rule of its plan. */
void wh_link_conn_violation(wh_agent_t *agent, const wh_reconcile_seen_t *seen);

#endif
