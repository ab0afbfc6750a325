/* The files of an archive, told to git fast-import. */
#include "mod_wisehost/wh_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REF                                                                                        \
    "refs/uploads/last" /* the newest is kept from git gc; earlier ones for git's two weeks */
#define LOCK_FILE "wisehost-upload.lock"

extern char **environ;

typedef struct import_t {
    FILE *out;
    pid_t pid;
    const char *repo;
} import_t;

static void __attribute__((noreturn)) git_failed(const import_t *im, const char *why)
{
    char report[4096];

    if (im->pid > 0) {
        (void)kill(im->pid, SIGTERM);
        while (waitpid(im->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        (void)snprintf(report, sizeof(report), "%s/fast_import_crash_%d", im->repo, (int)im->pid);
        (void)unlink(report);
    }
    wh_unpack_end(2, "git_failed", "git could not take the upload: %s", why);
}

/* A path as git quotes it; the first reading let no control character pass. */
static void put_path(FILE *out, const char *path)
{
    (void)fputc('"', out);
    for (; *path != '\0'; path++) {
        if (*path == '"') {
            (void)fputc('\\', out);
        }
        (void)fputc(*path, out);
    }
    (void)fputs("\"\n", out);
}

static void put_file(void *baton, const wh_unpack_file_t *file)
{
    import_t *im = baton;
    char buf[65536];
    uint64_t left = file->size;

    (void)fprintf(im->out, "M %s inline ",
                  file->target != NULL ? "120000"
                  : file->runs         ? "100755"
                                       : "100644");
    put_path(im->out, file->path);
    (void)fprintf(im->out, "data %" PRIu64 "\n", left);
    if (file->target != NULL) {
        (void)fputs(file->target, im->out);
    }
    while (file->target == NULL && left > 0) {
        size_t got = wh_unpack_data(file, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf));

        if (got == 0 || fwrite(buf, 1, got, im->out) != got) {
            git_failed(im, "it ended early");
        }
        left -= got;
    }
    if (fputc('\n', im->out) == EOF) {
        git_failed(im, "it ended early");
    }
}

/* Two uploads of one app one after the other: both move the same ref. */
static void lock(const wh_unpack_t *u)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/" LOCK_FILE, u->repo);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0660);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            fd = -1;
        }
    }
    if (fd < 0) {
        wh_unpack_end(2, "git_failed", "the repository cannot be locked");
    }
}

static int start(const wh_unpack_t *u, import_t *im)
{
    char dir[4096];
    const char *const argv[] = {u->git,    dir,      "fast-import", "--quiet",
                                "--force", "--done", "--depth=0",   NULL};
    posix_spawn_file_actions_t acts;
    int in[2], out[2], rc;

    (void)snprintf(dir, sizeof(dir), "--git-dir=%s", u->repo);
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
        posix_spawn_file_actions_init(&acts) != 0) {
        git_failed(im, "no descriptors are left");
    }
    (void)posix_spawn_file_actions_adddup2(&acts, in[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&acts, out[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&acts, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    rc = posix_spawn(&im->pid, u->git, &acts, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(in[0]);
    close(out[1]);
    im->out = rc == 0 ? fdopen(in[1], "w") : NULL;
    if (im->out == NULL) {
        im->pid = rc == 0 ? im->pid : 0;
        git_failed(im, "it could not be started");
    }
    return out[0];
}

static void read_oid(int fd, char *oid)
{
    size_t n = 0;
    ssize_t got;

    while (n < 64 && ((got = read(fd, oid + n, 64 - n)) > 0 || (got < 0 && errno == EINTR))) {
        n += got > 0 ? (size_t)got : 0;
        if (n > 0 && oid[n - 1] == '\n') {
            n--;
            break;
        }
    }
    oid[n] = '\0';
}

void wh_unpack_import(wh_unpack_t *u, char *oid)
{
    import_t im = {.repo = u->repo};
    char message[100];
    int status = -1, from;
    size_t n;

    lock(u);
    from = start(u, &im);
    n = (size_t)snprintf(message, sizeof(message), "Upload: %zu files, %" PRIu64 " bytes\n", u->n,
                         u->bytes);
    (void)fprintf(im.out,
                  "commit " REF "\nmark :1\ncommitter Upload <upload@localhost> %lld +0000\n"
                  "data %zu\n%s",
                  (long long)time(NULL), n, message);
    wh_unpack_each(u, 0, put_file, &im);
    (void)fputs("\nget-mark :1\ndone\n", im.out);
    if (fclose(im.out) != 0) {
        git_failed(&im, "it ended early");
    }
    read_oid(from, oid);
    close(from);
    while (waitpid(im.pid, &status, 0) < 0 && errno == EINTR) {
    }
    n = strlen(oid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || (n != 40 && n != 64) ||
        strspn(oid, "0123456789abcdef") != n) {
        im.pid = 0;
        git_failed(&im, "it refused");
    }
}
