/*
 * wh_mod_spawn: a child process by argument vector and explicit environment, for git. Nothing of
 * httpd is inherited but the descriptors 0, 1, 2 and, where asked for, 3. It leads a process group,
 * so that ending it ends what it started.
 *
 * There is no shell anywhere. Any request thread; a spawned process belongs to its thread.
 */
#ifndef WH_MOD_SPAWN_H
#define WH_MOD_SPAWN_H

#include <sys/types.h>

#include <apr_pools.h>
#include <apr_time.h>

#include "libwh/wh_err.h"

typedef struct wh_mod_spawn_opts_t {
    const char *const *argv; /* argv[0] is the path of the program; ends with NULL */
    const char *const *env;  /* "NAME=value"; ends with NULL */
    apr_int64_t file_max;    /* bytes: no file it writes may grow larger; 0 = as httpd */
    apr_int64_t memory_max;  /* bytes that each of its processes may have; 0 = as httpd */
    int talk;                /* descriptor 3 is one end of a socket pair */
} wh_mod_spawn_opts_t;

typedef struct wh_mod_spawn_t {
    pid_t pid;
    int in, out, err, talk; /* our ends, non-blocking; -1 = closed or none */
    int status;             /* as of waitpid, once it was ended */
} wh_mod_spawn_t;

/* Starts it. A cleanup of p ends it for good if nobody did before. Code: git_failed (500). */
apr_status_t wh_mod_spawn(apr_pool_t *p, const wh_mod_spawn_opts_t *opts, wh_mod_spawn_t *out,
                          wh_err_t *err) WH_MUST_CHECK;

/* Closes one of our ends; safe to call twice. */
void wh_mod_spawn_close(int *fd);

/* Closes all ends and waits for it, at most within; then, or at once when within is 0, its group is
 * told to end, and killed when it does not. */
void wh_mod_spawn_end(wh_mod_spawn_t *proc, apr_interval_time_t within);

/* Runs a program that reads nothing to its end: its exit status, or -1. *said is the first KiB of
 * its standard error, in p. Code: git_failed (500) when it cannot be started. */
apr_status_t wh_mod_spawn_run(apr_pool_t *p, const wh_mod_spawn_opts_t *opts,
                              apr_interval_time_t within, int *status, const char **said,
                              wh_err_t *err) WH_MUST_CHECK;

#endif
