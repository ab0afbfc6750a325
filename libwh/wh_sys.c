#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "libwh/wh_sys.h"

static apr_time_t sys_now(void *baton)
{
    struct timespec ts;

    (void)baton;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (apr_time_t)ts.tv_sec * APR_USEC_PER_SEC + ts.tv_nsec / 1000;
}

static wh_mono_t sys_mono(void *baton)
{
    struct timespec ts;

    (void)baton;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (wh_mono_t){.us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000};
}

static apr_status_t sys_fill(void *baton, void *buf, size_t n)
{
    unsigned char *out = buf;

    (void)baton;
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : APR_EGENERAL;
        out += got;
        n -= (size_t)got;
    }
    return APR_SUCCESS;
}

const wh_clock_t *wh_sys_clock(void)
{
    static const wh_clock_t clock = {.now = sys_now, .mono = sys_mono};

    return &clock;
}

const wh_rand_t *wh_sys_rand(void)
{
    static const wh_rand_t rnd = {.fill = sys_fill};

    return &rnd;
}

void wh_sys_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n;
    int fd;

    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    n = strlen(path);
    if (n >= sizeof(addr.sun_path))
        return;
    memcpy(addr.sun_path, path, n);
    if (path[0] == '@')
        addr.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}
