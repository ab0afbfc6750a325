/* Small files of the state directory: whole or not at all. */
#ifndef WH_AGENT_FSUTIL_H
#define WH_AGENT_FSUTIL_H

#include "libwh/wh_err.h"

enum { WH_FSUTIL_QUICK = 0, WH_FSUTIL_DURABLE = 1 };

/* Write text to path by a temporary file and rename, mode 0600. DURABLE: it outlives a power cut
 * once this returns. Errors: state_unwritable. */
apr_status_t wh_fsutil_write(apr_pool_t *p, const char *path, const char *text, size_t n,
                             int durable, wh_err_t *err) WH_MUST_CHECK;

/* Rename within one directory, durably. Errors: state_unwritable. */
apr_status_t wh_fsutil_rename(apr_pool_t *p, const char *from, const char *to,
                              wh_err_t *err) WH_MUST_CHECK;

/* The whole of a regular file of at most max bytes, in p, with a NUL behind it. APR_NOTFOUND when
 * there is none. Errors: state_unreadable. */
apr_status_t wh_fsutil_read(apr_pool_t *p, const char *path, size_t max, char **text, size_t *n,
                            wh_err_t *err) WH_MUST_CHECK;

/* A directory of mode 0700, with those above it; fine when it is there. Errors: state_unwritable.
 */
apr_status_t wh_fsutil_mkdir(apr_pool_t *p, const char *path, wh_err_t *err) WH_MUST_CHECK;

/* Remove a directory with everything below it; links are removed, never followed. A missing one is
 * fine. Errors: state_unwritable. */
apr_status_t wh_fsutil_remove_tree(apr_pool_t *p, const char *path, wh_err_t *err) WH_MUST_CHECK;

/* Bytes in the regular files directly in a directory; *files (may be NULL) how many there are. 0
 * for one that is not there. */
apr_int64_t wh_fsutil_dir_bytes(const char *path, int *files);

#endif
