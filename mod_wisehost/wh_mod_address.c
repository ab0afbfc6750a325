#include "mod_wisehost/wh_mod_api.h"

#include <netinet/in.h>

#include <apr_network_io.h>

#include "libwh/wh_address.h"

int wh_mod_is_loopback(const apr_sockaddr_t *a)
{
#if APR_HAVE_IPV6
    if (a->family == APR_INET6) {
        const struct in6_addr *six = &a->sa.sin6.sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
#endif
    return a->family == APR_INET && (ntohl(a->sa.sin.sin_addr.s_addr) >> 24) == 127;
}

/* What somebody in between says that the request is another's. */
static int forwarded(const request_rec *r)
{
    static const char *const names[] = {"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"};

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        if (apr_table_get(r->headers_in, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* With a proxy on this very machine everybody comes from loopback: who was led here is let in by no
 * address, unless mod_remoteip has found out who it is. */
int wh_mod_address_metrics(const request_rec *r)
{
    const apr_array_header_t *list = wh_mod_conf_srv((server_rec *)r->server)->metrics_allow;
    int here =
        wh_mod_is_loopback(r->connection->client_addr) && wh_mod_is_loopback(r->useragent_addr);

    if (forwarded(r)) {
        return 0;
    }
    if (!list) {
        return here;
    }
    for (int i = 0; i < list->nelts; i++) {
        apr_ipsubnet_t *subnet = APR_ARRAY_IDX(list, i, apr_ipsubnet_t *);

        if (subnet ? apr_ipsubnet_test(subnet, r->useragent_addr) : here) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t refuse(wh_call_t *c, const char *what)
{
    return wh_err_field(&c->err, "/address", "invalid_value", "%s", what);
}

/* Visitors of the worker's apps are led to its address from this very machine: loopback would be
 * the server's own, so it is for those who are here themselves. */
static apr_status_t judge(wh_call_t *c, wh_address_e kind)
{
    if (kind == WH_ADDRESS_REFUSED) {
        return refuse(c, "no unspecified, multicast, link-local or reserved address");
    }
    if (kind == WH_ADDRESS_LOOPBACK && !(wh_mod_is_loopback(c->r->useragent_addr) &&
                                         wh_mod_is_loopback(c->r->connection->client_addr))) {
        return refuse(c, "a loopback address is for a worker on the server's own machine: set the "
                         "agent's address to where this server reaches it");
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_address_check(wh_call_t *c, const char *address)
{
    return judge(c, wh_address_of(address));
}
