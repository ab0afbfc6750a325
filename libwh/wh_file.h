/* Small files, whole: every byte or an error, whatever a signal or a full disk makes of one call.
 * Errors are those of the system; what they mean is the caller's to say. Thread-safe; one path has
 * one writer at a time. */
#ifndef WH_FILE_H
#define WH_FILE_H

#include "libwh/wh_types.h"

#include <sys/types.h>

#define WH_FILE_NO_GROUP ((gid_t)-1)

/* All n bytes at where fd stands. */
apr_status_t wh_file_put(int fd, const void *data, size_t n) WH_MUST_CHECK;

/* Up to n bytes from where fd stands; *got is less at the end of the file alone, and says also
 * after an error how many came. */
apr_status_t wh_file_get(int fd, void *buf, size_t n, size_t *got) WH_MUST_CHECK;

/* A file that was read: a NUL stands behind its n bytes. */
typedef struct wh_file_text_t {
    char *text; /* in the pool of the call */
    size_t n;
    apr_time_t written; /* when it was changed last, in seconds */
} wh_file_text_t;

/* The whole of a file of at most max bytes; path is of dir (AT_FDCWD). Its last part is no link.
 * ENOENT; EINVAL: no regular file; EFBIG: more than max. */
apr_status_t wh_file_read(apr_pool_t *p, int dir, const char *path, size_t max,
                          wh_file_text_t *out) WH_MUST_CHECK;

typedef struct wh_file_new_t {
    int dir; /* what path is of; AT_FDCWD */
    const char *path;
    mode_t mode; /* whatever the umask */
    gid_t group; /* WH_FILE_NO_GROUP = as new files there get it */
    int durable; /* outlives a power cut once this returns */
} wh_file_new_t;

/* A file of that content takes the place of what is there, by a new one beside it ("….new", which
 * is removed when it fails) and a rename: nobody ever sees half of it, and nothing that stood under
 * either name is opened. */
apr_status_t wh_file_replace(apr_pool_t *p, const wh_file_new_t *file, const void *data,
                             size_t n) WH_MUST_CHECK;

/* The name that a file has got or lost outlives a power cut once this returns: flushes the
 * directory that path, of dir, is in. */
apr_status_t wh_file_sync_name(apr_pool_t *p, int dir, const char *path) WH_MUST_CHECK;

#endif
