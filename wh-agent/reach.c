#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "wh-agent/reach.h"

#define PATIENCE_MS 3500 /* a lost first packet is sent again after 1 s and 3 s */

typedef union address_t {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} address_t;

static socklen_t parse(const char *text, apr_int64_t port, address_t *out)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons((uint16_t)port);
        return sizeof(out->in);
    }
    if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) != 1)
        return 0;
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons((uint16_t)port);
    return sizeof(out->in6);
}

/* Whether the address is this machine's own at this moment. Containers are published on no other,
 * so when it is not, it is the machine's network that went away, and no container's. */
static int is_here(const address_t *to, socklen_t size)
{
    address_t any_port = *to;
    int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), here;

    if (fd < 0)
        return 0;
    if (to->any.sa_family == AF_INET)
        any_port.in.sin_port = 0;
    else
        any_port.in6.sin6_port = 0;
    here = bind(fd, &any_port.any, size) == 0;
    close(fd);
    return here;
}

/* What became of the connection that was begun: an errno, 0 = it is there. */
static int outcome(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int error = 0, n;
    socklen_t size = sizeof(error);

    do {
        n = poll(&pfd, 1, PATIENCE_MS);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int wh_reach_look(const char *address, apr_int64_t port)
{
    address_t to;
    socklen_t size = parse(address, port, &to);
    int error, fd;

    if (size == 0 || !is_here(&to, size))
        return 1; /* nothing is known */
    fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 1;
    error = connect(fd, &to.any, size) == 0 ? 0 : errno;
    if (error == EINPROGRESS)
        error = outcome(fd);
    close(fd);
    return error != ETIMEDOUT && error != EHOSTUNREACH && error != ENETUNREACH;
}
