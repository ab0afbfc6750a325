#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_giturl.h"
#include "wh-agent/netguard.h"

#define PINNED_MAX 8

typedef struct range4_t {
    uint32_t net;
    int bits;
} range4_t;

/* IPv4 space that is not globally reachable (RFC 6890 and its successors). */
static const range4_t not_public4[] = {
    {.net = 0x00000000, .bits = 8},  {.net = 0x0a000000, .bits = 8},
    {.net = 0x64400000, .bits = 10}, {.net = 0x7f000000, .bits = 8},
    {.net = 0xa9fe0000, .bits = 16}, {.net = 0xac100000, .bits = 12},
    {.net = 0xc0000000, .bits = 24}, {.net = 0xc0000200, .bits = 24},
    {.net = 0xc0586300, .bits = 24}, {.net = 0xc0a80000, .bits = 16},
    {.net = 0xc6120000, .bits = 15}, {.net = 0xc6336400, .bits = 24},
    {.net = 0xcb007100, .bits = 24}, {.net = 0xe0000000, .bits = 3},
};

static int public4(uint32_t host_order)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(not_public4); i++)
        if (((host_order ^ not_public4[i].net) >> (32 - not_public4[i].bits)) == 0)
            return 0;
    return 1;
}

/* Only 2000::/3 is handed out; of that, what embeds IPv4 (6to4, Teredo) and documentation is not
 * taken. */
static int public6(const unsigned char a[16])
{
    if ((a[0] & 0xe0) != 0x20)
        return 0;
    if (a[0] == 0x20 && a[1] == 0x02)
        return 0; /* 2002::/16 */
    if (a[0] == 0x20 && a[1] == 0x01 && a[2] < 0x02)
        return 0; /* 2001::/23 */
    return !(a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8);
}

int wh_netguard_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        return public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof(in6));
        return public6(in6.sin6_addr.s6_addr);
    }
    return 0;
}

/* All addresses of a host, joined by commas, each of them one that may be asked. */
static apr_status_t look_up(apr_pool_t *p, const char *host, int allow_private, const char **list,
                            wh_err_t *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int n = 0, rc = getaddrinfo(host, NULL, &hints, &found);

    if (rc != 0)
        return wh_err_set(err, 422, "clone_failed", "the repository's host %s cannot be found: %s",
                          host, gai_strerror(rc));
    *list = "";
    for (struct addrinfo *a = found; a != NULL && n < PINNED_MAX; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN];

        if (!allow_private && !wh_netguard_is_public(a->ai_addr)) {
            freeaddrinfo(found);
            return wh_err_set(err, 422, "repository_refused",
                              "the repository's host %s has an address that is not public, and this "
                              "worker's git_private_addresses is off",
                              host);
        }
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
            continue;
        *list = apr_pstrcat(p, *list, n > 0 ? "," : "",
                            a->ai_family == AF_INET6 ? apr_pstrcat(p, "[", text, "]", NULL) : text,
                            NULL);
        n++;
    }
    freeaddrinfo(found);
    return APR_SUCCESS;
}

apr_status_t wh_netguard_address(apr_pool_t *p, const char *host, int allow_private,
                                 const char **address, wh_err_t *err)
{
    const char *list = "";
    apr_status_t rv = look_up(p, host, allow_private, &list, err);

    list += list[0] == '[';
    *address = apr_pstrmemdup(p, list, strcspn(list, ",]"));
    return rv;
}

apr_status_t wh_netguard_pin(apr_pool_t *p, const char *url, int allow_private, const char **pin,
                             wh_err_t *err)
{
    wh_giturl_parts_t parts;
    const char *list = "";
    apr_status_t rv;

    wh_giturl_parts(p, url, &parts);
    rv = look_up(p, parts.host, allow_private, &list, err);
    *pin = apr_pstrcat(p, parts.host, ":", parts.port, ":", list, NULL);
    return rv;
}
