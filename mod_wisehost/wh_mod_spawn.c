#include "mod_wisehost/wh_mod_spawn.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_limits.h"

#define CHILD_FD 10
#define PAUSE_FIRST_US 100
#define PAUSE_US 5000
#define TERM_US (3 * APR_USEC_PER_SEC) /* git takes what it began away when it is told to end */
#define SAID_MAX 1024

enum { END_IN, END_OUT, END_ERR, END_TALK, ENDS };

/* ---- the child's side -------------------------------------------------------------------------
 */

static int all_signals_plain(posix_spawnattr_t *attr)
{
    sigset_t all, none;

    sigfillset(&all);
    sigemptyset(&none);
    return posix_spawnattr_setsigdefault(attr, &all) || posix_spawnattr_setsigmask(attr, &none) ||
           posix_spawnattr_setpgroup(attr, 0) ||
           posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETPGROUP);
}

/* 0 … n - 1, everything above closed, and a place that nobody cares for. */
static int all_places(posix_spawn_file_actions_t *acts, const int theirs[ENDS], int n)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < n; i++) {
        rc = posix_spawn_file_actions_adddup2(acts, theirs[i], i);
    }
    rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(acts, n);
    return rc ? rc : posix_spawn_file_actions_addchdir_np(acts, "/");
}

/* No fork: the memory of an httpd child is large, and its threads go on. An errno, 0 = it runs. */
static int start(apr_pool_t *p, const wh_mod_spawn_opts_t *opts, const int theirs[ENDS], pid_t *pid)
{
    const wh_limits_t limits = {.file_bytes = opts->file_max, .data_bytes = opts->memory_max};
    const char *const *argv = wh_limits_argv(p, &limits, opts->argv);
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    int rc;

    if (access(opts->argv[0], X_OK) != 0) {
        return errno;
    }
    if (posix_spawn_file_actions_init(&acts) != 0) {
        return ENOMEM;
    }
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&acts);
        return ENOMEM;
    }
    rc = all_signals_plain(&attr);
    rc = rc ? rc : all_places(&acts, theirs, opts->talk ? ENDS : END_TALK);
    rc = rc ? rc
            : posix_spawn(pid, argv[0], &acts, &attr, (char *const *)(uintptr_t)argv,
                          (char *const *)(uintptr_t)opts->env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&acts);
    return rc;
}

/* ---- our side -------------------------------------------------------------------------------- */

void wh_mod_spawn_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void close_all(int ends[ENDS])
{
    for (int i = 0; i < ENDS; i++) {
        wh_mod_spawn_close(&ends[i]);
    }
}

/* Above what it ends up with, so that no copy hides another. */
static int lift(int *fd)
{
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_FD);

    if (high >= 0) {
        close(*fd);
        *fd = high;
    }
    return high < 0;
}

/* ours[] and theirs[] are pairs; -1 stays where there is none. */
static int make_ends(int talk, int ours[ENDS], int theirs[ENDS])
{
    int pair[2];

    for (int i = 0; i < ENDS; i++) {
        ours[i] = theirs[i] = -1;
    }
    for (int i = END_IN; i <= END_ERR; i++) {
        if (pipe2(pair, O_CLOEXEC) != 0) {
            return -1;
        }
        ours[i] = pair[i == END_IN ? 1 : 0];
        theirs[i] = pair[i == END_IN ? 0 : 1];
    }
    if (talk) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
            return -1;
        }
        ours[END_TALK] = pair[0];
        theirs[END_TALK] = pair[1];
    }
    for (int i = 0; i < ENDS; i++) {
        if (ours[i] >= 0 && (fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0 || lift(&theirs[i]) != 0)) {
            return -1;
        }
    }
    return 0;
}

static apr_status_t end_at_cleanup(void *data)
{
    wh_mod_spawn_end(data, 0);
    return APR_SUCCESS;
}

apr_status_t wh_mod_spawn(apr_pool_t *p, const wh_mod_spawn_opts_t *opts, wh_mod_spawn_t *out,
                          wh_err_t *err)
{
    int ours[ENDS], theirs[ENDS];
    pid_t pid = 0;
    int rc = 0;

    *out = (wh_mod_spawn_t){.pid = 0, .in = -1, .out = -1, .err = -1, .talk = -1};
    rc = make_ends(opts->talk, ours, theirs) == 0 ? start(p, opts, theirs, &pid) : errno;
    close_all(theirs);
    if (rc != 0) {
        close_all(ours);
        return wh_err_wrap(err, APR_FROM_OS_ERROR(rc), 500, "git_failed",
                           "git could not be started");
    }
    out->pid = pid;
    out->in = ours[END_IN];
    out->out = ours[END_OUT];
    out->err = ours[END_ERR];
    out->talk = ours[END_TALK];
    apr_pool_cleanup_register(p, out, end_at_cleanup, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

/* True when it is over. */
static int over_within(wh_mod_spawn_t *proc, apr_interval_time_t within)
{
    apr_time_t until = apr_time_now() + within;
    apr_interval_time_t pause = PAUSE_FIRST_US; /* mostly it ends in this very moment */

    for (;;) {
        pid_t got = waitpid(proc->pid, &proc->status, WNOHANG);

        if (got == proc->pid || (got < 0 && errno != EINTR)) {
            return 1;
        }
        if (apr_time_now() >= until) {
            return 0;
        }
        apr_sleep(pause);
        pause = pause * 2 < PAUSE_US ? pause * 2 : PAUSE_US;
    }
}

void wh_mod_spawn_end(wh_mod_spawn_t *proc, apr_interval_time_t within)
{
    if (proc->pid <= 0) {
        return;
    }
    wh_mod_spawn_close(&proc->in);
    wh_mod_spawn_close(&proc->out);
    wh_mod_spawn_close(&proc->err);
    wh_mod_spawn_close(&proc->talk);
    if (!over_within(proc, within)) {
        (void)kill(-proc->pid, SIGTERM);
        if (!over_within(proc, TERM_US)) {
            (void)kill(-proc->pid, SIGKILL);
            (void)over_within(proc, TERM_US);
        }
    }
    proc->pid = 0;
}

/* What it says until it closes its end or the time is over. */
static const char *hear(apr_pool_t *p, wh_mod_spawn_t *proc, apr_time_t until)
{
    char *said = apr_palloc(p, SAID_MAX + 1);
    apr_size_t n = 0;

    for (;;) {
        struct pollfd look = {.fd = proc->err, .events = POLLIN};
        char lost[512];
        apr_interval_time_t left = until - apr_time_now();
        ssize_t got;

        if (left <= 0 || poll(&look, 1, (int)(left / 1000) + 1) <= 0) {
            break;
        }
        got = n < SAID_MAX ? read(proc->err, said + n, SAID_MAX - n)
                           : read(proc->err, lost, sizeof(lost));
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
            break;
        }
        n += got > 0 && n < SAID_MAX ? (apr_size_t)got : 0;
    }
    said[n] = '\0';
    return said;
}

apr_status_t wh_mod_spawn_run(apr_pool_t *p, const wh_mod_spawn_opts_t *opts,
                              apr_interval_time_t within, int *status, const char **said,
                              wh_err_t *err)
{
    wh_mod_spawn_t *proc = apr_palloc(p, sizeof(*proc));
    apr_time_t until = apr_time_now() + within;
    apr_status_t rv = wh_mod_spawn(p, opts, proc, err);

    if (rv) {
        return rv;
    }
    wh_mod_spawn_close(&proc->in);
    *said = hear(p, proc, until);
    wh_mod_spawn_end(proc, until > apr_time_now() ? until - apr_time_now() : 0);
    *status = WIFEXITED(proc->status) ? WEXITSTATUS(proc->status) : -1;
    return APR_SUCCESS;
}
