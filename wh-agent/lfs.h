/* Files that Git LFS keeps: what stands for them in a tree (a pointer of a few lines, under a name
 * to which .gitattributes gives filter=lfs) is found, and the files themselves are fetched by the
 * batch API (github.com/git-lfs/git-lfs, docs/api/batch.md, transfer "basic") into the cache as
 * objects, each held to its SHA-256 and size. No program of LFS runs, no filter, and nothing that
 * the repository configures is looked at (.lfsconfig): the server is the one at the repository's
 * own https address, and where it says that a file lies is held to the rules for repositories'
 * hosts. */
#ifndef WH_AGENT_LFS_H
#define WH_AGENT_LFS_H

#include <apr_tables.h>
#include "wh-agent/source.h"

#define WH_LFS_FILES_MAX 2000

typedef struct wh_lfs_file_t {
    const char *path;
    unsigned mode;
    char pointer[65]; /* the object that stands there */
    char sha256[65];
    apr_int64_t size;
    const char *blob; /* the object that is to; "" = not yet */
    int is_lfs;       /* as .gitattributes has it */
} wh_lfs_file_t;

typedef struct wh_lfs_t {
    apr_pool_t *p;
    apr_array_header_t *files; /* of wh_lfs_file_t */
    int attributes;            /* there is a .gitattributes */
    int too_many;
    apr_int64_t bytes; /* out: of the files */
} wh_lfs_t;

typedef struct wh_lfs_of_t {
    wh_source_t *source;
    const char *index; /* of its tree */
    const wh_gitauth_t *auth;
    int own; /* the app's own repository, not a submodule */
    apr_int64_t bytes_left;
    int files_left;
} wh_lfs_of_t;

void wh_lfs_init(wh_lfs_t *lfs, apr_pool_t *p);

/* An entry of the tree: remembered where it could be one. */
void wh_lfs_consider(wh_lfs_t *lfs, const wh_lstree_entry_t *entry);
/* Whether wh_lfs_bring is worth its while. */
int wh_lfs_any(const wh_lfs_t *lfs);

/* Leaves in lfs->files those that are, each with its blob in the cache. Codes: those of
 * wh_source_fetch. */
apr_status_t wh_lfs_bring(apr_pool_t *p, wh_lfs_t *lfs, const wh_lfs_of_t *of,
                          wh_err_t *err) WH_MUST_CHECK;

/* A pointer as the specification has it (docs/spec.md there): version, oid, size; other lines only
 * where it allows them. 0 = it is none. Pure. */
int wh_lfs_pointer(const char *text, size_t n, char sha256[65], apr_int64_t *size);

#endif
