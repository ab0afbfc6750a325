/* The tree of a commit, as far as presets and settings ask for it: one listing of the paths that
 * may matter, and the beginning of a few files. Nothing is checked out.
 *
 * Everything belongs to p and to the job's thread. */
#ifndef WH_AGENT_LOOKTREE_H
#define WH_AGENT_LOOKTREE_H

#include <apr_hash.h>
#include "libwh/wh_preset.h"
#include "wh-agent/source.h"

typedef struct wh_looktree_t {
    apr_pool_t *p;
    const wh_source_t *source;
    apr_hash_t *there; /* path below root -> wh_lstree_entry_t */
    apr_status_t rv;   /* the first failure of git while a file was read; err says which */
    wh_err_t err;
} wh_looktree_t;

/* Asks git once for the paths (const char *, below root). Codes: those of wh_source_stats. */
apr_status_t wh_looktree_open(apr_pool_t *p, const wh_source_t *source, const char *root,
                              const apr_array_header_t *paths, wh_looktree_t **look,
                              wh_err_t *err) WH_MUST_CHECK;

/* What was asked for by that path; NULL = it is not there. */
const wh_lstree_entry_t *wh_looktree_entry(const wh_looktree_t *look, const char *path);

/* Up to n bytes of a file; as wh_preset_tree_t's read. */
apr_ssize_t wh_looktree_read(wh_looktree_t *look, const char *path, char *buf, size_t n);

/* For wh_preset_detect; look->rv is to be seen to afterwards. */
wh_preset_tree_t wh_looktree_tree(wh_looktree_t *look);

#endif
