/* What lfs.c and lfs_batch.c share. */
#ifndef WH_AGENT_LFS_INT_H
#define WH_AGENT_LFS_INT_H

#include "wh-agent/lfs.h"

/* Fetch what files (wh_lfs_file_t) without a blob stand for, each once, into the stream of git
 * fast-import that lies at fd: in their order, the i-th as mark i + 1. Codes: clone_failed,
 * repository_auth, repository_refused, canceled, internal. */
apr_status_t wh_lfs_batch(apr_pool_t *p, const wh_lfs_of_t *of, const apr_array_header_t *files,
                          int fd, wh_err_t *err) WH_MUST_CHECK;

#endif
