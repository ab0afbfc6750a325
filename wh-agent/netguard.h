/* Which addresses a repository may lie at (D9, XK1): a name is looked up once, refused when any of
 * its addresses is not a public one, and what was found is what git is told to connect to. */
#ifndef WH_AGENT_NETGUARD_H
#define WH_AGENT_NETGUARD_H

#include <sys/socket.h>
#include "libwh/wh_err.h"

/* True for a globally routed IPv4 or IPv6 address: not loopback, private, link-local, shared
 * (100.64/10), test, multicast, reserved; nor an IPv6 form that carries or translates to such an
 * IPv4 address. */
int wh_netguard_is_public(const struct sockaddr *address);

/* Look up a host; *address, in p, is the one to connect to. The rest as below. */
apr_status_t wh_netguard_address(apr_pool_t *p, const char *host, int allow_private,
                                 const char **address, wh_err_t *err) WH_MUST_CHECK;

/* Look up the host of an https URL that wh_giturl_check accepted. *pin becomes
 * "host:port:addr[,addr…]" for http.curloptResolve, in p. Codes: repository_refused (an address
 * that is not public, unless allow_private), clone_failed (no such host). Blocks. */
apr_status_t wh_netguard_pin(apr_pool_t *p, const char *url, int allow_private, const char **pin,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
