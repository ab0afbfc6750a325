/* An application for tests of switches: its version, read from /version, is in a header and in the
 * body of every answer; what is upgraded is echoed. One thread, poll. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX 1000
#define HEAD 16384

static struct pollfd fds[MAX];
static struct {
    char head[HEAD];
    size_t n;
    int echo;
} conns[MAX];
static char version[64];

static void end(int signo)
{
    (void)signo;
    _exit(0);
}

/* Answers are short: what the socket does not take at once means that nobody reads. */
static int say(int fd, const char *text, size_t n)
{
    return write(fd, text, n) == (ssize_t)n;
}

static int answer(int i)
{
    char body[256], text[1024];
    int asset = strncmp(conns[i].head, "GET /asset", 10) == 0, n, len;

    if (strcasestr(conns[i].head, "\r\nUpgrade: websocket") != NULL) {
        static const char up[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

        conns[i].echo = 1;
        return say(fds[i].fd, up, sizeof(up) - 1);
    }
    len = snprintf(body, sizeof(body), asset ? "asset %s\n" : "version %s\n/asset.js\n", version);
    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Version: %s\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 version, len, body);
    return say(fds[i].fd, text, (size_t)n);
}

static int take(int i)
{
    char *head = conns[i].head, *end_of;
    ssize_t got = read(fds[i].fd, head + conns[i].n, HEAD - 1 - conns[i].n);

    if (got <= 0)
        return 0;
    if (conns[i].echo)
        return say(fds[i].fd, head, (size_t)got);
    conns[i].n += (size_t)got;
    head[conns[i].n] = '\0';
    while ((end_of = strstr(head, "\r\n\r\n")) != NULL) {
        size_t used = (size_t)(end_of + 4 - head);

        if (!answer(i))
            return 0;
        memmove(head, head + used, conns[i].n - used + 1);
        conns[i].n = conns[i].echo ? 0 : conns[i].n - used;
        if (conns[i].echo)
            return 1;
    }
    return conns[i].n < HEAD - 1;
}

static void add(int listener, int *n)
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0 || *n == MAX) {
        close(fd);
        return;
    }
    fds[*n] = (struct pollfd){.fd = fd, .events = POLLIN};
    conns[*n].n = 0;
    conns[*n].echo = 0;
    (*n)++;
}

int main(void)
{
    const char *port = getenv("PORT");
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port != NULL ? port : "8080"))};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, n = 1;
    int fd = open("/version", O_RDONLY);

    if (read(fd, version, sizeof(version) - 1) <= 0)
        return 1;
    version[strcspn(version, "\n")] = '\0';
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(listener, 512) != 0)
        return 1;
    fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    while (poll(fds, (nfds_t)n, -1) >= 0) {
        for (int i = n - 1; i > 0; i--) {
            if (fds[i].revents != 0 && !take(i)) {
                close(fds[i].fd);
                fds[i] = fds[--n];
                conns[i] = conns[n];
            }
        }
        if (fds[0].revents != 0)
            add(listener, &n);
    }
    return 1;
}
