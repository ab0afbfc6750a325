/* A child process by argument vector and explicit environment: nothing of ours is inherited but
 * three descriptors. It leads its own process group, so that ending it ends what it started, and it
 * is watched: a deadline, a request to stop, and a check of the caller's own choice end it early.
 *
 * There is no shell anywhere: a user's value is one element of the vector, whatever it holds.
 */
#ifndef WH_AGENT_PROC_H
#define WH_AGENT_PROC_H

#include <sys/types.h>
#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "wh-agent/cancel.h"
#include "wh-agent/jail.h"

/* Bytes of standard output as they come. A result other than 0 ends the process. */
typedef int wh_proc_out_fn(void *baton, const char *buf, size_t n);

/* Called about every 200 ms while it runs. A result other than 0 ends the process. */
typedef int wh_proc_watch_fn(void *baton);

typedef struct wh_proc_opts_t {
    const char *const *argv; /* argv[0] is the path of the program; ends with NULL */
    const char *const *env;  /* "NAME=value"; ends with NULL */
    const char *dir;         /* working directory; NULL = "/" */
    int in_fd;               /* its standard input, borrowed; -1 = empty */
    wh_proc_out_fn *out;     /* NULL = standard output goes nowhere */
    void *out_baton;
    wh_proc_watch_fn *watch; /* may be NULL */
    void *watch_baton;
    wh_mono_t deadline;
    apr_int64_t file_max_bytes; /* no file it writes may grow larger (RLIMIT_FSIZE); 0 = no limit */
    apr_int64_t space_max_bytes; /* of its address space; 0 = no limit */
    const wh_jail_t *jail;       /* what it may touch; NULL = whatever its user may */
    const wh_cancel_t *cancel;   /* may be NULL */
    const wh_clock_t *clock;
} wh_proc_opts_t;

typedef enum wh_proc_end_e {
    WH_PROC_EXITED,   /* status holds its exit status */
    WH_PROC_SIGNALED, /* status holds the signal */
    WH_PROC_DEADLINE,
    WH_PROC_CANCELED,
    WH_PROC_WATCHED, /* the watch said so */
    WH_PROC_REFUSED  /* the reader of its output said so */
} wh_proc_end_e;

typedef struct wh_proc_result_t {
    wh_proc_end_e end;
    int status;
    const char *errors; /* the first 8 KiB of its standard error, in p, as they came */
} wh_proc_result_t;

/* Run it to its end. Returns APR_SUCCESS when it was started, whatever became of it; else err holds
 * internal. When it returns nothing of its process group runs any more. Blocks: worker threads
 * only. */
apr_status_t wh_proc_run(apr_pool_t *p, const wh_proc_opts_t *opts, wh_proc_result_t *result,
                         wh_err_t *err) WH_MUST_CHECK;

/* The same in pieces, for a caller that reads the output itself. out_fd is the read end (blocking).
 * wh_proc_end must follow. */
typedef struct wh_proc_t {
    pid_t pid;
    int out_fd;
    int err_fd;
} wh_proc_t;
apr_status_t wh_proc_start(apr_pool_t *p, const wh_proc_opts_t *opts, wh_proc_t *proc,
                           wh_err_t *err) WH_MUST_CHECK;

/* Close the descriptors and wait; `kill_it` ends its group first. Fills result (end is EXITED or
 * SIGNALED; errors is what standard error held). */
void wh_proc_end(apr_pool_t *p, wh_proc_t *proc, int kill_it, wh_proc_result_t *result);

/* End every process, other than this one, whose environment holds `mark` ("NAME=value") as an
 * entry: what a former life of the agent left behind. Returns how many were ended. */
int wh_proc_kill_marked(apr_pool_t *p, const char *mark);

#endif
