/* wh_file: whole or not at all, nothing is followed, nothing is left behind. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include "t/unit/unit.h"
#include "libwh/wh_file.h"

typedef struct case_t {
    apr_pool_t *p;
    char dir[64];
    int fd;
} case_t;

static case_t begin(apr_pool_t *p)
{
    case_t c = {.p = p, .dir = "/tmp/wh-file-XXXXXX"};

    assert_non_null(mkdtemp(c.dir));
    c.fd = open(c.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(c.fd >= 0);
    return c;
}

static void end(const case_t *c)
{
    static const char *const names[] = {"f", "link", "pipe"};

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        (void)unlinkat(c->fd, names[i], 0);
    }
    assert_int_equal(unlinkat(c->fd, "dir", AT_REMOVEDIR) != 0 && errno != ENOENT, 0);
    close(c->fd);
    assert_int_equal(rmdir(c->dir), 0); /* so nothing else was left */
}

static const char *content(const case_t *c)
{
    wh_file_text_t t;

    assert_int_equal(wh_file_read(c->p, c->fd, "f", 64, &t), APR_SUCCESS);
    assert_int_equal(strlen(t.text), t.n);
    assert_true(t.written > 0);
    return t.text;
}

static void test_replace(void **state)
{
    case_t c = begin(*state);
    wh_file_new_t f = {.dir = c.fd, .path = "f", .mode = 0640, .group = WH_FILE_NO_GROUP};
    struct stat st;
    mode_t mask = umask(077);

    assert_int_equal(wh_file_replace(c.p, &f, "one", 3), APR_SUCCESS);
    assert_string_equal(content(&c), "one");
    assert_int_equal(fstatat(c.fd, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    /* Where the new one is to stand there is a link: it is not written through. */
    assert_int_equal(symlinkat("f", c.fd, "f.new"), 0);
    f.durable = 1;
    f.group = getgid();
    assert_int_equal(wh_file_replace(c.p, &f, "", 0), APR_SUCCESS);
    assert_string_equal(content(&c), "");
    assert_int_equal(fstatat(c.fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
    /* A directory stands there: it stays, and the new file goes. */
    assert_int_equal(mkdirat(c.fd, "dir", 0700), 0);
    f.path = "dir";
    assert_int_equal(wh_file_replace(c.p, &f, "x", 1), EISDIR);
    umask(mask);
    end(&c);
}

static void test_full(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    if (fd < 0) {
        skip();
    }
    assert_int_equal(wh_file_put(fd, "x", 1), ENOSPC);
    close(fd);
}

static void test_read(void **state)
{
    case_t c = begin(*state);
    wh_file_new_t f = {.dir = c.fd, .path = "f", .mode = 0600, .group = WH_FILE_NO_GROUP};
    wh_file_text_t t;

    assert_int_equal(wh_file_read(c.p, c.fd, "f", 3, &t), ENOENT);
    assert_int_equal(wh_file_replace(c.p, &f, "abc", 3), APR_SUCCESS);
    assert_int_equal(wh_file_read(c.p, c.fd, "f", 3, &t), APR_SUCCESS);
    assert_int_equal(wh_file_read(c.p, c.fd, "f", 2, &t), EFBIG);
    assert_int_equal(symlinkat("f", c.fd, "link"), 0);
    assert_int_equal(wh_file_read(c.p, c.fd, "link", 3, &t), ELOOP);
    assert_int_equal(mkfifoat(c.fd, "pipe", 0600), 0);
    assert_int_equal(wh_file_read(c.p, c.fd, "pipe", 3, &t), EINVAL);
    assert_int_equal(wh_file_read(c.p, AT_FDCWD, c.dir, 3, &t), EINVAL);
    end(&c);
}

static void on_alarm(int sig)
{
    (void)sig;
}

/* A pipe takes and gives little at a time, and signals come in between. */
static void test_pieces(void **state)
{
    const struct itimerval often = {{.tv_usec = 1000}, {.tv_usec = 1000}}, never = {{0}, {0}};
    struct sigaction sa = {.sa_handler = on_alarm}, old;
    size_t n = 4 << 20, got;
    char *out = apr_palloc(*state, n), *in = apr_palloc(*state, n + 1);
    int ends[2];
    pid_t pid;

    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(i * 31 >> 3);
    }
    assert_int_equal(pipe(ends), 0);
    sigaction(SIGALRM, &sa, &old); /* without SA_RESTART */
    pid = fork();
    assert_true(pid >= 0);
    setitimer(ITIMER_REAL, &often, NULL);
    if (pid == 0) {
        _exit(wh_file_put(ends[1], out, n) == APR_SUCCESS ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(wh_file_get(ends[0], in, n + 1, &got), APR_SUCCESS);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    close(ends[0]);
    assert_int_equal(got, n);
    assert_memory_equal(in, out, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a file is replaced whole, by a new one", test_replace),
        UNIT("a full disk is told", test_full),
        UNIT("what is read: a regular file of so many bytes", test_read),
        UNIT("in pieces, between signals", test_pieces),
    };

    return UNIT_RUN(tests);
}
