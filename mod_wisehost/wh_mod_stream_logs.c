/* The logs that streams look at: read when inotify says that something was written. All of it
 * belongs to the streams' thread. */
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "mod_wisehost/wh_mod_stream_int.h"

static struct {
    int inotify;
    wh_stream_log_t *logs;
    apr_pool_t *scratch;
} all = {.inotify = -1};

int wh_stream_logs_open(apr_pool_t *scratch)
{
    all.scratch = scratch;
    all.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return all.inotify;
}

static void free_log(wh_stream_log_t *log)
{
    if (log->feed != NULL) {
        wh_feed_free(log->feed);
    }
    free(log->dir);
    free(log);
}

wh_stream_log_t *wh_stream_log_of(const wh_stream_of_t *of)
{
    wh_stream_log_t *log = all.logs;

    while (log != NULL && strcmp(log->dir, of->dir) != 0) {
        log = log->next;
    }
    if (log != NULL || (log = calloc(1, sizeof(*log))) == NULL) {
        return log;
    }
    log->dir = strdup(of->dir);
    log->feed = of->build ? NULL : wh_feed_make(of->dir, of->format);
    if (log->dir == NULL || (log->feed == NULL && !of->build)) {
        free_log(log);
        return NULL;
    }
    log->watch = -1;
    log->next = all.logs;
    all.logs = log;
    if (log->feed != NULL) {
        (void)wh_feed_poll(log->feed, all.scratch);
    }
    return log;
}

static void look_at(wh_stream_log_t *log)
{
    log->turn++;
    if (log->feed != NULL) {
        (void)wh_feed_poll(log->feed, all.scratch);
        apr_pool_clear(all.scratch);
    }
}

/* The directory of a log that nobody has written yet is not there: tried again each second. */
void wh_stream_log_watch(wh_stream_log_t *log)
{
    if (log->watch < 0) {
        log->watch = inotify_add_watch(all.inotify, log->dir,
                                       IN_MODIFY | IN_CREATE | IN_MOVED_TO);
        log->dirty = 1;
    }
}

int wh_stream_logs_drop(void)
{
    int dropped = 0;
    wh_stream_log_t **at = &all.logs;

    while (*at != NULL) {
        wh_stream_log_t *log = *at;

        if (log->users > 0) {
            at = &log->next;
            continue;
        }
        *at = log->next;
        if (log->watch >= 0) {
            (void)inotify_rm_watch(all.inotify, log->watch);
        }
        dropped = 1;
        free_log(log);
    }
    return dropped;
}

void wh_stream_logs_heed(void)
{
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while ((n = read(all.inotify, buf, sizeof(buf))) > 0) {
        for (char *at = buf; at < buf + n;) {
            const struct inotify_event *e = (const void *)at;

            for (wh_stream_log_t *log = all.logs; log != NULL; log = log->next) {
                log->dirty |= log->watch == e->wd || (e->mask & IN_Q_OVERFLOW) != 0;
                if (log->watch == e->wd && (e->mask & IN_IGNORED) != 0) {
                    log->watch = -1;
                }
            }
            at += sizeof(*e) + e->len;
        }
    }
}


void wh_stream_logs_look(int tick)
{
    for (wh_stream_log_t *log = all.logs; log != NULL; log = log->next) {
        if (tick) {
            wh_stream_log_watch(log);
        }
        if (log->dirty || log->watch < 0) {
            look_at(log);
        }
        log->dirty = 0;
    }
}

int wh_stream_logs_dirty(void)
{
    for (const wh_stream_log_t *log = all.logs; log != NULL; log = log->next) {
        if (log->dirty) {
            return 1;
        }
    }
    return 0;
}
