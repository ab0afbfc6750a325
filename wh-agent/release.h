/* A static release: the files of one directory of a commit, announced as a manifest, sent as
 * objects that the server lacks, and committed. Nothing is checked out: git hands over each blob,
 * and what is known about a blob (its SHA-256) is kept, so that an unchanged file costs neither a
 * read nor a byte. */
#ifndef WH_AGENT_RELEASE_H
#define WH_AGENT_RELEASE_H

#include "wh-agent/output.h"
#include "wh-agent/work.h"

typedef struct wh_release_done_t {
    const char *id; /* 40 hex digits */
    int files;
    apr_int64_t bytes;
    int sent; /* objects */
} wh_release_done_t;

/* output NULL: the files are those of the repository's tree, else those that a build made.
 * Codes: output_missing, too_many_files, too_large, upload_failed, and those of wh_source_read.
 * Links, submodules, odd modes and names that no path can have are left out, with a line in the
 * build log. */
apr_status_t wh_release_publish(wh_work_t *work, const wh_source_t *source,
                                const wh_output_t *output, wh_release_done_t *done,
                                wh_err_t *err) WH_MUST_CHECK;

/* What is said of a file that is larger than one may be. In p. */
const char *wh_release_too_large(apr_pool_t *p, const wh_lstree_entry_t *entry, apr_int64_t most);

/* root "site/", output "dist" to "site/dist"; either may be "". In p. Pure. */
const char *wh_release_join(apr_pool_t *p, const char *root, const char *output);

#endif
