#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include "libwh/wh_limits.h"
#include "wh-agent/proc.h"

#define ERRORS_MAX 8192
#define WATCH_MS 200
#define KILL_GRACE_MS 2000

/* What was heard of one process so far. */
typedef struct heard_t {
    char errors[ERRORS_MAX + 1];
    size_t nerrors;
} heard_t;

static void close_pair(int fd[2])
{
    for (int i = 0; i < 2; i++) {
        if (fd[i] >= 0)
            close(fd[i]);
        fd[i] = -1;
    }
}

/* opts->argv is what is started; `argv` is how. */
static apr_status_t spawn(const wh_proc_opts_t *opts, const char *const *argv, int in, int out,
                          int errfd, pid_t *pid)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int rv;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&fa, in, 0);
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    posix_spawn_file_actions_adddup2(&fa, errfd, 2);
    posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    posix_spawn_file_actions_addchdir_np(&fa, opts->dir != NULL ? opts->dir : "/");
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    /* posix_spawn wants char *const *; it does not write to the strings. */
    rv = posix_spawn(pid, argv[0], &fa, &attr, (char *const *)(uintptr_t)argv,
                     (char *const *)(uintptr_t)opts->env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return rv == 0 ? APR_SUCCESS : (apr_status_t)rv;
}

/* A start from within the jail: on a thread of its own, because a jail cannot be left again. */
typedef struct jailed_t {
    const wh_proc_opts_t *opts;
    const char *const *argv;
    int in, out, errfd;
    pid_t pid;
    apr_status_t rv;
} jailed_t;

static void *spawn_jailed(void *arg)
{
    jailed_t *j = arg;

    (void)wh_jail_enter(j->opts->jail);
    j->rv = spawn(j->opts, j->argv, j->in, j->out, j->errfd, &j->pid);
    return NULL;
}

static apr_status_t spawn_where(apr_pool_t *p, const wh_proc_opts_t *opts, int in, int out,
                                int errfd, pid_t *pid)
{
    const wh_limits_t limits = {.file_bytes = opts->file_max_bytes,
                                .space_bytes = opts->space_max_bytes};
    jailed_t j = {.opts = opts,
                  .argv = wh_limits_argv(p, &limits, opts->argv),
                  .in = in,
                  .out = out,
                  .errfd = errfd,
                  .pid = -1};
    pthread_attr_t attr;
    pthread_t thread;
    int rc;

    if (access(opts->argv[0], X_OK) != 0)
        return errno;
    if (opts->jail == NULL)
        return spawn(opts, j.argv, in, out, errfd, pid);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)128 * 1024);
    rc = pthread_create(&thread, &attr, spawn_jailed, &j);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return rc;
    pthread_join(thread, NULL);
    *pid = j.pid;
    return j.rv;
}

apr_status_t wh_proc_start(apr_pool_t *p, const wh_proc_opts_t *opts, wh_proc_t *proc,
                           wh_err_t *err)
{
    int out[2] = {-1, -1}, errs[2] = {-1, -1}, null = -1;
    apr_status_t rv;

    proc->pid = -1;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(errs, O_CLOEXEC) != 0)
        rv = errno;
    else
        rv = spawn_where(p, opts, opts->in_fd >= 0 ? opts->in_fd : null,
                         opts->out != NULL || opts->out_baton != NULL ? out[1] : null, errs[1],
                         &proc->pid);
    if (null >= 0)
        close(null);
    if (rv != APR_SUCCESS) {
        close_pair(out);
        close_pair(errs);
        return wh_err_wrap(err, rv, 500, "internal", "cannot start %s", opts->argv[0]);
    }
    close(out[1]);
    close(errs[1]);
    proc->out_fd = out[0];
    proc->err_fd = errs[0];
    /* Standard error is only ever drained, never waited for. */
    (void)fcntl(proc->err_fd, F_SETFL, O_NONBLOCK);
    return APR_SUCCESS;
}

/* Reads what is there. Returns false once the other end is closed. */
static int hear(int fd, heard_t *heard)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        size_t room = ERRORS_MAX - heard->nerrors, take = (size_t)n < room ? (size_t)n : room;

        memcpy(heard->errors + heard->nerrors, buf, take);
        heard->nerrors += take;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Wait for the leader; its group gets a signal to go and, if that is not heeded, SIGKILL. The group
 * is killed in any case, so that no helper survives its parent. */
static int reap(pid_t pid, int kill_it)
{
    int status = 0, waited = 0;

    if (kill_it)
        (void)kill(-pid, SIGTERM);
    while (kill_it && waited < KILL_GRACE_MS) {
        pid_t got = waitpid(pid, &status, WNOHANG);

        if (got == pid || (got < 0 && errno != EINTR)) {
            (void)kill(-pid, SIGKILL);
            return status;
        }
        (void)poll(NULL, 0, 10);
        waited += 10;
    }
    if (kill_it)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)kill(-pid, SIGKILL);
    return status;
}

static void conclude(apr_pool_t *p, wh_proc_t *proc, int kill_it, heard_t *heard,
                     wh_proc_result_t *result)
{
    int status;

    if (proc->out_fd >= 0)
        close(proc->out_fd);
    status = reap(proc->pid, kill_it);
    if (proc->err_fd >= 0) {
        (void)hear(proc->err_fd, heard);
        close(proc->err_fd);
    }
    proc->out_fd = proc->err_fd = -1;
    result->end = WIFSIGNALED(status) ? WH_PROC_SIGNALED : WH_PROC_EXITED;
    result->status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    result->errors = apr_pstrmemdup(p, heard->errors, heard->nerrors);
}

void wh_proc_end(apr_pool_t *p, wh_proc_t *proc, int kill_it, wh_proc_result_t *result)
{
    heard_t *heard = apr_pcalloc(p, sizeof(*heard));

    conclude(p, proc, kill_it, heard, result);
}

/* One turn of reading. Returns false when there is nothing more to wait for; *end is set when the
 * process has to be ended. */
static int turn(const wh_proc_opts_t *opts, wh_proc_t *proc, heard_t *heard, wh_proc_end_e *end)
{
    struct pollfd pfd[3] = {{.fd = proc->out_fd, .events = POLLIN},
                            {.fd = proc->err_fd, .events = POLLIN},
                            {.fd = opts->cancel != NULL ? opts->cancel->fd : -1, .events = POLLIN}};
    char buf[32768];

    (void)poll(pfd, 3, WATCH_MS);
    if (wh_cancel_is_set(opts->cancel)) {
        *end = WH_PROC_CANCELED;
        return 0;
    }
    if (wh_mono_reached(wh_clock_mono(opts->clock), opts->deadline)) {
        *end = WH_PROC_DEADLINE;
        return 0;
    }
    if (opts->watch != NULL && opts->watch(opts->watch_baton) != 0) {
        *end = WH_PROC_WATCHED;
        return 0;
    }
    if (pfd[1].revents != 0 && !hear(proc->err_fd, heard)) {
        close(proc->err_fd);
        proc->err_fd = -1; /* poll passes over it */
    }
    if (pfd[0].revents == 0)
        return 1;
    ssize_t n = read(proc->out_fd, buf, sizeof(buf));
    if (n > 0 && opts->out != NULL && opts->out(opts->out_baton, buf, (size_t)n) != 0) {
        *end = WH_PROC_REFUSED;
        return 0;
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Its output has ended; now it has to end itself, under the same watch. */
static void await_exit(const wh_proc_opts_t *opts, const wh_proc_t *proc, wh_proc_end_e *end)
{
    int fd = pidfd_open(proc->pid, 0);

    for (;;) {
        struct pollfd pfd[2] = {
            {.fd = fd, .events = POLLIN},
            {.fd = opts->cancel != NULL ? opts->cancel->fd : -1, .events = POLLIN}};
        siginfo_t info = {.si_pid = 0};

        (void)poll(pfd, 2, fd >= 0 ? WATCH_MS : 5);
        if (waitid(P_PID, (id_t)proc->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == proc->pid)
            break;
        if (wh_cancel_is_set(opts->cancel))
            *end = WH_PROC_CANCELED;
        else if (wh_mono_reached(wh_clock_mono(opts->clock), opts->deadline))
            *end = WH_PROC_DEADLINE;
        else
            continue;
        break;
    }
    if (fd >= 0)
        close(fd);
}

apr_status_t wh_proc_run(apr_pool_t *p, const wh_proc_opts_t *opts, wh_proc_result_t *result,
                         wh_err_t *err)
{
    wh_proc_end_e end = WH_PROC_EXITED;
    heard_t *heard = apr_pcalloc(p, sizeof(*heard));
    wh_proc_opts_t with = *opts;
    wh_proc_t proc;
    apr_status_t rv;

    /* Standard output is the sign of life: a pipe even for a caller that does not read it. */
    if (with.out_baton == NULL)
        with.out_baton = &with;
    rv = wh_proc_start(p, &with, &proc, err);
    if (rv != APR_SUCCESS)
        return rv;
    while (turn(opts, &proc, heard, &end))
        ;
    if (end == WH_PROC_EXITED)
        await_exit(opts, &proc, &end);
    conclude(p, &proc, end != WH_PROC_EXITED, heard, result);
    if (end != WH_PROC_EXITED)
        result->end = end;
    return APR_SUCCESS;
}

/* True when the environment block of that process holds the mark as a whole entry. */
static int is_marked(apr_pool_t *p, const char *pid, const char *mark)
{
    const char *path = apr_pstrcat(p, "/proc/", pid, "/environ", NULL);
    size_t want = strlen(mark), have = 0;
    char *buf = apr_palloc(p, 65536);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return 0;
    while (have < 65535 && (n = read(fd, buf + have, 65535 - have)) > 0)
        have += (size_t)n;
    close(fd);
    buf[have] = '\0';
    for (size_t i = 0; i < have; i += strlen(buf + i) + 1)
        if (strlen(buf + i) == want && memcmp(buf + i, mark, want) == 0)
            return 1;
    return 0;
}

int wh_proc_kill_marked(apr_pool_t *p, const char *mark)
{
    apr_finfo_t info;
    apr_dir_t *dir;
    apr_pool_t *scratch;
    int killed = 0;

    if (apr_dir_open(&dir, "/proc", p) != APR_SUCCESS)
        return 0;
    apr_pool_create(&scratch, p);
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        apr_int64_t pid = apr_atoi64(info.name);

        apr_pool_clear(scratch);
        if (pid <= 1 || pid == getpid() || !is_marked(scratch, info.name, mark))
            continue;
        if (kill((pid_t)pid, SIGKILL) == 0)
            killed++;
    }
    apr_dir_close(dir);
    apr_pool_destroy(scratch);
    return killed;
}
