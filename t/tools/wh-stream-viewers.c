/* wh-stream-viewers PORT PATH N: N viewers of a stream of events. Tokens come on standard input,
 * one a line, 64 viewers each; then "ready" is said, and at the end of the input what they saw: how
 * many have the last event, how many missed one, and how late events came whose text is "now
 * <seconds>". */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MOST 4096
#define LATE_MOST 4000000

typedef struct viewer_t {
    int fd, ready, gap;
    long last;
    size_t n;
    char *buf;
    size_t room;
} viewer_t;

static viewer_t all[MOST];
static float *late;
static size_t late_n;

static double now(void)
{
    struct timeval tv;

    gettimeofday(&tv, NULL);
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void event(viewer_t *v, char *text)
{
    const char *id = strstr(text, "id: "), *said = strstr(text, "\"text\":\"now ");

    if (strstr(text, "retry: ") != NULL)
        v->ready = 1;
    if (id == NULL)
        return;
    if (v->last != 0 && atol(id + 4) != v->last + 1)
        v->gap = 1;
    v->last = atol(id + 4);
    if (said != NULL && late_n < LATE_MOST)
        late[late_n++] = (float)(now() - atof(said + 12));
}

static int take(viewer_t *v)
{
    char *at, *end;
    ssize_t got;

    if (v->room - v->n < 65536) {
        v->room = v->n + 131072;
        v->buf = realloc(v->buf, v->room + 1);
        if (v->buf == NULL)
            fail("realloc");
    }
    got = recv(v->fd, v->buf + v->n, v->room - v->n, MSG_DONTWAIT);
    if (got <= 0)
        return 0;
    v->n += (size_t)got;
    v->buf[v->n] = '\0';
    for (at = v->buf; (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
        *end = '\0';
        event(v, at);
    }
    v->n -= (size_t)(at - v->buf);
    memmove(v->buf, at, v->n);
    if (v->n == 0) {
        free(v->buf);
        v->buf = NULL;
        v->room = 0;
    }
    return 1;
}

static void begin(viewer_t *v, int port, const char *path, const char *token)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char head[1024];
    int n = snprintf(head, sizeof(head),
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
                     "Authorization: Bearer %s\r\n\r\n",
                     path, token);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (v->fd < 0 || connect(v->fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        write(v->fd, head, (size_t)n) != n)
        fail("connect");
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static void sum_up(int n)
{
    long last = 0;
    int with_last = 0, gaps = 0;

    for (int i = 0; i < n; i++)
        last = all[i].last > last ? all[i].last : last;
    for (int i = 0; i < n; i++) {
        with_last += all[i].last == last;
        gaps += all[i].gap;
    }
    qsort(late, late_n, sizeof(*late), by_size);
    printf("last %ld with_last %d gaps %d events %zu p50_ms %.1f p99_ms %.1f\n", last, with_last,
           gaps, late_n, late_n > 0 ? (double)late[late_n / 2] * 1000 : 0.0,
           late_n > 0 ? (double)late[late_n * 99 / 100] * 1000 : 0.0);
}

int main(int argc, char **argv)
{
    int n = argc == 4 ? atoi(argv[3]) : 0, epoll = epoll_create1(0), said = 0, over = 0;
    struct epoll_event e = {.events = EPOLLIN, .data = {.u32 = MOST}}, events[256];
    char token[256] = "";

    late = malloc(LATE_MOST * sizeof(*late));
    if (n < 1 || n > MOST || late == NULL || epoll < 0)
        fail("usage: wh-stream-viewers PORT PATH N");
    for (int i = 0; i < n; i++) {
        if (i % 64 == 0) {
            if (fgets(token, sizeof(token), stdin) == NULL)
                fail("token");
            token[strcspn(token, "\n")] = '\0';
        }
        begin(&all[i], atoi(argv[1]), argv[2], token);
        e.data.u32 = (unsigned)i;
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e);
    }
    e.data.u32 = MOST;
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &e);
    while (!over) {
        int got = epoll_wait(epoll, events, 256, 1000), ready = 0;

        for (int i = 0; i < got; i++) {
            if (events[i].data.u32 == MOST)
                over = 1;
            else if (!take(&all[events[i].data.u32])) {
                if (!said) {
                    fputs("a viewer was sent away\n", stderr);
                    return 1;
                }
                (void)epoll_ctl(epoll, EPOLL_CTL_DEL, all[events[i].data.u32].fd, NULL);
            }
        }
        for (int i = 0; !said && i < n; i++)
            ready += all[i].ready;
        if (!said && ready == n) {
            said = 1;
            puts("ready");
            fflush(stdout);
        }
    }
    sum_up(n);
    return 0;
}
