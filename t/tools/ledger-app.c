/* The program of the kill rounds' containers. Before it serves anything it writes its start into
 * the test's ledger and waits until that is on disk: what ever answered a request is in the ledger.
 *
 * /collector  "address port" of the ledger     /word  what this deployment is told by
 * Every request is answered with "word id", the id being drawn anew at each start. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 60

static char word[128], id[33];

static int read_file(const char *path, char *to, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, to, room - 1) : -1;

    if (fd >= 0)
        close(fd);
    to[n > 0 ? n : 0] = '\0';
    to[strcspn(to, "\n")] = '\0';
    return n > 0;
}

static void draw_id(void)
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        exit(3);
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static void set_patience(int fd)
{
    struct timeval time = {.tv_sec = 3};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

/* One line, whole, in one send: a start is in the ledger once or not at all by this call. The same
 * id twice is the same start told twice, because the answer was lost. */
static int tell(const struct sockaddr_in *to)
{
    char line[256], answer[4] = "";
    int n = snprintf(line, sizeof(line), "app %s %s\n", word, id);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ok;

    if (fd < 0)
        return 0;
    set_patience(fd);
    ok = connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 &&
         send(fd, line, (size_t)n, MSG_NOSIGNAL) == n && recv(fd, answer, 3, MSG_WAITALL) == 3;
    close(fd);
    return ok && memcmp(answer, "ok\n", 3) == 0;
}

static void enter_ledger(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    char text[64], address[32];
    unsigned port;

    if (!read_file("/collector", text, sizeof(text)) || !read_file("/word", word, sizeof(word)) ||
        sscanf(text, "%31s %u", address, &port) != 2 ||
        inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        fputs("no ledger is named\n", stderr);
        exit(2);
    }
    to.sin_port = htons((unsigned short)port);
    for (int i = 0; !tell(&to); i++) {
        if (i >= PATIENCE_S * 10) {
            fputs("the ledger does not answer\n", stderr);
            exit(4);
        }
        usleep(100000);
    }
}

static void answer(int fd)
{
    char request[4096], reply[512];
    size_t have = 0;
    ssize_t n = 1;
    int len;

    while (n > 0 && have < sizeof(request) - 1) {
        n = recv(fd, request + have, sizeof(request) - 1 - have, 0);
        have += n > 0 ? (size_t)n : 0;
        request[have] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL)
            break;
    }
    if (n <= 0)
        return;
    len = snprintf(reply, sizeof(reply),
                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n%s %s\n",
                   strlen(word) + strlen(id) + 2, word, id);
    send(fd, reply, (size_t)len, MSG_NOSIGNAL);
}

/* The first process of a container has no default handlers. */
static void on_term(int sig)
{
    (void)sig;
    _exit(0);
}

int main(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(8080)};
    const char *port = getenv("PORT");
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    draw_id();
    enter_ledger();
    if (port != NULL)
        addr.sin_port = htons((unsigned short)strtoul(port, NULL, 10));
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(listener, 128) != 0) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0) {
            usleep(errno == EINTR ? 0 : 10000);
            continue;
        }
        set_patience(fd);
        answer(fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}
