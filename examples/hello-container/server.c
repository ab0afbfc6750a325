/* A small web server for an image FROM scratch: serves the files below the directory that it is
 * given, on the port that $PORT names. GET and HEAD, keep-alive, one thread a connection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define REQUEST_MAX 16384
#define CONNECTIONS_MAX 100
#define IDLE_S 15

static int root_fd;
static volatile int connections;

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                           {".css", "text/css"},
                                           {".js", "text/javascript"},
                                           {".svg", "image/svg+xml"},
                                           {".txt", "text/plain; charset=utf-8"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int answer(int fd, const char *status, const char *type, int64_t length, int alive)
{
    char head[512];
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\nConnection: %s\r\n\r\n", status,
        type, (long long)length, alive ? "keep-alive" : "close");
    return n > 0 && (size_t)n < sizeof(head) ? send_all(fd, head, (size_t)n) : -1;
}

static int refuse(int fd, const char *status, int body, int alive)
{
    if (answer(fd, status, "text/plain", (int64_t)strlen(status) + 1, alive) != 0)
        return -1;
    return body ? send_all(fd, status, strlen(status)) | send_all(fd, "\n", 1) : 0;
}

/* A path with a part that begins with a dot is never served: it could lead out of the directory. */
static int serve_file(int fd, const char *path, int body, int alive)
{
    struct stat st;
    if (path[0] != '/' || strstr(path, "/.") != NULL)
        return refuse(fd, "404 Not Found", body, alive);
    path = path[1] == '\0' ? "index.html" : path + 1;
    int file = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 || fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (file >= 0)
            close(file);
        return refuse(fd, "404 Not Found", body, alive);
    }
    int rc = answer(fd, "200 OK", type_of(path), st.st_size, alive);
    for (off_t at = 0; rc == 0 && body && at < st.st_size;)
        if (sendfile(fd, file, &at, (size_t)(st.st_size - at)) <= 0)
            rc = -1;
    close(file);
    return rc;
}

/* One request, whose head ends at `end`. Returns 1 to go on with the connection. */
static int serve_request(int fd, char *head)
{
    char *path = strchr(head, ' ');
    char *version = path != NULL ? strchr(path + 1, ' ') : NULL;
    if (version == NULL)
        return 0;
    *path++ = '\0';
    *version++ = '\0';
    path[strcspn(path, "?#")] = '\0';
    int body = strcmp(head, "GET") == 0;
    int alive =
        strncmp(version, "HTTP/1.1", 8) == 0 && strcasestr(version, "\nConnection: close") == NULL;
    if (!body && strcmp(head, "HEAD") != 0)
        return (void)refuse(fd, "405 Method Not Allowed", 1, 0), 0;
    return serve_file(fd, path, body, alive) == 0 && alive;
}

static void *serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[REQUEST_MAX + 1];
    size_t have = 0;
    for (;;) {
        buf[have] = '\0';
        char *end = strstr(buf, "\r\n\r\n");
        if (end != NULL) {
            size_t used = (size_t)(end - buf) + 4;
            *end = '\0';
            if (!serve_request(fd, buf))
                break;
            memmove(buf, buf + used, have - used);
            have -= used;
            continue;
        }
        ssize_t n = have < REQUEST_MAX ? recv(fd, buf + have, REQUEST_MAX - have, 0) : 0;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    close(fd);
    __atomic_sub_fetch(&connections, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static int listen_on(long port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 128) != 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void accept_loop(int listener)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    for (;;) {
        pthread_t thread;
        struct timeval idle = {.tv_sec = IDLE_S};
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            usleep(errno == EINTR ? 0 : 10000);
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof(idle));
        int n = __atomic_add_fetch(&connections, 1, __ATOMIC_SEQ_CST);
        if (n > CONNECTIONS_MAX ||
            pthread_create(&thread, &attr, serve_connection, (void *)(intptr_t)fd) != 0) {
            __atomic_sub_fetch(&connections, 1, __ATOMIC_SEQ_CST);
            close(fd);
        }
    }
}

/* The first process of a container has no default handlers: without this SIGTERM would do nothing.
 */
static void on_term(int sig)
{
    (void)sig;
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *text = getenv("PORT");
    long port = text != NULL ? strtol(text, NULL, 10) : 8080;
    root_fd = open(argc > 1 ? argv[1] : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0 || port < 1 || port > 65535) {
        fprintf(stderr, "usage: PORT=8080 server DIRECTORY\n");
        return 2;
    }
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    signal(SIGPIPE, SIG_IGN);
    printf("serving on port %ld\n", port);
    fflush(stdout);
    accept_loop(listen_on(port));
    return 0;
}
