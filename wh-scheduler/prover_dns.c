#include "wh-scheduler/prover_dns.h"

#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <arpa/inet.h>
#include <apr_strings.h>
#include <ares.h>

#include "libwh/wh_address.h"

#define TIMEOUT_MS 3000
#define TRIES 2
#define STEP_US 200000 /* a cancel is seen within this */
#define ADDRESSES_MAX 8
#define TXT_MAX 255

struct wh_prover_dns_t {
    ares_channel channel;
    int cancel; /* atomic */
};

apr_status_t wh_prover_dns_open(apr_pool_t *p, const char *resolver, wh_prover_dns_t **out,
                                wh_err_t *err)
{
    wh_prover_dns_t *dns = apr_pcalloc(p, sizeof(*dns));
    struct ares_options opt = {.timeout = TIMEOUT_MS, .tries = TRIES};
    int rc = ares_library_init(ARES_LIB_INIT_ALL);

    if (rc == ARES_SUCCESS) {
        rc = ares_init_options(&dns->channel, &opt, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    }
    if (rc == ARES_SUCCESS && resolver[0] != '\0') {
        rc = ares_set_servers_ports_csv(dns->channel, resolver);
    }
    if (rc != ARES_SUCCESS) {
        return wh_err_set(err, 500, "bad_config", "dns_resolver \"%s\": %s", resolver,
                          ares_strerror(rc));
    }
    *out = dns;
    return APR_SUCCESS;
}

void wh_prover_dns_cancel(wh_prover_dns_t *dns)
{
    __atomic_store_n(&dns->cancel, 1, __ATOMIC_RELAXED);
}

void wh_prover_dns_close(wh_prover_dns_t *dns)
{
    ares_destroy(dns->channel);
    ares_library_cleanup();
}

/* c-ares' sockets for poll: select could not take the descriptors of a hub with many workers. */
static int sockets(wh_prover_dns_t *dns, struct pollfd out[ARES_GETSOCK_MAXNUM])
{
    ares_socket_t fds[ARES_GETSOCK_MAXNUM];
    int bits = ares_getsock(dns->channel, fds, ARES_GETSOCK_MAXNUM), n = 0;

    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = (short)((ARES_GETSOCK_READABLE(bits, i) ? POLLIN : 0) |
                               (ARES_GETSOCK_WRITABLE(bits, i) ? POLLOUT : 0));

        if (events != 0) {
            out[n++] = (struct pollfd){.fd = fds[i], .events = events};
        }
    }
    return n;
}

/* Until what was asked has been answered, by c-ares' own timeouts at the latest. */
static void finish(wh_prover_dns_t *dns)
{
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    int n;

    while ((n = sockets(dns, fds)) > 0) {
        struct timeval step = {.tv_usec = STEP_US}, wait, *tv;

        if (__atomic_load_n(&dns->cancel, __ATOMIC_RELAXED)) {
            ares_cancel(dns->channel);
            return;
        }
        tv = ares_timeout(dns->channel, &step, &wait);
        (void)poll(fds, (nfds_t)n, (int)(tv->tv_sec * 1000 + tv->tv_usec / 1000) + 1);
        for (int i = 0; i < n; i++) {
            ares_process_fd(dns->channel,
                            fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd
                                                                          : ARES_SOCKET_BAD,
                            fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
        }
    }
}

/* ---- TXT ---- */

typedef struct txt_t {
    apr_pool_t *p;
    const char *challenge, *rival;
    wh_domain_finding_t *finding;
    const char *why;
} txt_t;

static void compare(txt_t *t, const char *text)
{
    if (strcmp(text, t->challenge) == 0) {
        t->finding->txt = 1;
    }
    if (t->rival != NULL && strcmp(text, t->rival) == 0) {
        t->finding->rival_txt = 1;
    }
}

/* A record comes as pieces of at most 255 bytes; ours fits in one, so a longer one is none. */
static void read_records(txt_t *t, struct ares_txt_ext *list)
{
    char text[TXT_MAX + 1];

    t->finding->txt = 0;
    t->why = "its TXT records hold something else";
    for (; list != NULL; list = list->next) {
        if (!list->record_start || list->length > TXT_MAX) {
            continue;
        }
        memcpy(text, list->txt, list->length);
        text[list->length] = '\0';
        compare(t, text);
    }
}

static void txt_answer(void *baton, int status, int timeouts, unsigned char *buf, int n)
{
    struct ares_txt_ext *list = NULL;
    txt_t *t = baton;

    (void)timeouts;
    if (status == ARES_SUCCESS) {
        status = ares_parse_txt_reply_ext(buf, n, &list);
    }
    if (status == ARES_SUCCESS) {
        read_records(t, list);
    } else if (status == ARES_ENODATA || status == ARES_ENOTFOUND) {
        t->finding->txt = 0;
        t->why = "there is no TXT record";
    } else {
        t->why = ares_strerror(status);
    }
    if (list != NULL) {
        ares_free_data(list);
    }
}

const char *wh_prover_dns_txt(wh_prover_dns_t *dns, apr_pool_t *p, const char *host,
                              const char *challenge, const char *rival,
                              wh_domain_finding_t *finding)
{
    txt_t t = {.p = p, .challenge = challenge, .rival = rival, .finding = finding, .why = ""};

    finding->txt = -1;
    ares_query(dns->channel, apr_pstrcat(p, WH_DOMAIN_TXT_LABEL, host, NULL), 1 /* IN */,
               16 /* TXT */, txt_answer, &t);
    finish(dns);
    return t.why;
}

/* ---- Addresses ---- */

typedef struct found_t {
    apr_pool_t *p;
    apr_array_header_t *addresses;
    const char *why;
} found_t;

static void address_answer(void *baton, int status, int timeouts, struct ares_addrinfo *info)
{
    found_t *f = baton;

    (void)timeouts;
    if (status != ARES_SUCCESS) {
        f->why = ares_strerror(status);
        return;
    }
    for (struct ares_addrinfo_node *n = info->nodes;
         n != NULL && f->addresses->nelts < ADDRESSES_MAX; n = n->ai_next) {
        char text[INET6_ADDRSTRLEN];
        const struct sockaddr_in *v4 = (const void *)n->ai_addr;
        const struct sockaddr_in6 *v6 = (const void *)n->ai_addr;
        const void *raw = n->ai_family == AF_INET ? (const void *)&v4->sin_addr
                                                  : (const void *)&v6->sin6_addr;

        if (inet_ntop(n->ai_family, raw, text, sizeof(text)) != NULL) {
            APR_ARRAY_PUSH(f->addresses, const char *) = apr_pstrdup(f->p, text);
        }
    }
    ares_freeaddrinfo(info);
}

const char *wh_prover_dns_addresses(wh_prover_dns_t *dns, apr_pool_t *p, const char *host,
                                    apr_array_header_t **out)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    found_t f = {.p = p, .why = ""};

    f.addresses = apr_array_make(p, ADDRESSES_MAX, sizeof(const char *));
    ares_getaddrinfo(dns->channel, host, NULL, &hints, address_answer, &f);
    finish(dns);
    *out = f.addresses;
    return f.why;
}

/* inet_ntop writes an IPv4 address inside an IPv6 one with dots, which is none to the strict
 * reader: refused then, as what cannot be judged. */
int wh_prover_dns_public(const char *address)
{
    return wh_address_public(address);
}
