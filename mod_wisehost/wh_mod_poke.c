#include "mod_wisehost/wh_mod_api.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The tick finds the work anyway, so whatever goes wrong here is not worth more than a line. */
void wh_mod_poke(request_rec *r)
{
    static const char text[] = "POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";
    const char *path = wh_mod_conf_hub_socket(r->server);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    apr_size_t n = path ? strlen(path) : 0;
    int fd, sent = 0;

    if (n == 0 || n >= sizeof(to.sun_path)) {
        return;
    }
    memcpy(to.sun_path, path, n);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    /* On a unix socket connect is done at once or not at all (EAGAIN: the hub's queue is full). */
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
        sent = send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) ==
               (ssize_t)(sizeof(text) - 1);
    }
    close(fd);
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "WH0220: the scheduler was%s told of new work",
                  sent ? "" : " not");
}
