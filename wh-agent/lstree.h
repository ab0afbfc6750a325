/* The output of `git ls-tree -r -z -l`, read in pieces of any size. It comes from a repository that
 * somebody else wrote: each entry is checked and counted, and the first thing out of order is an
 * error. */
#ifndef WH_AGENT_LSTREE_H
#define WH_AGENT_LSTREE_H

#include "libwh/wh_err.h"

typedef enum wh_lstree_kind_e {
    WH_LSTREE_FILE,      /* 100644 or 100755 */
    WH_LSTREE_SYMLINK,   /* 120000 */
    WH_LSTREE_SUBMODULE, /* 160000 */
    WH_LSTREE_ODD        /* any other mode */
} wh_lstree_kind_e;

typedef struct wh_lstree_entry_t {
    wh_lstree_kind_e kind;
    unsigned mode;
    char oid[65];     /* 40 or 64 hex digits */
    apr_int64_t size; /* -1 where git gives none */
    const char *path; /* any bytes but NUL; not checked here; lives during the call only */
} wh_lstree_entry_t;

/* Called for each entry; a result other than 0 ends the reading and is handed back. */
typedef int wh_lstree_fn(void *baton, const wh_lstree_entry_t *entry);

typedef struct wh_lstree_t {
    wh_lstree_fn *fn;
    void *baton;
    size_t have;
    int broken;     /* an entry was malformed or too long */
    char buf[8192]; /* the entry that is not complete yet */
} wh_lstree_t;

void wh_lstree_init(wh_lstree_t *ls, wh_lstree_fn *fn, void *baton);

/* More bytes; returns 0, or what ended the reading (-1 = malformed). Fits wh_proc_out_fn. */
int wh_lstree_feed(void *ls, const char *buf, size_t n);

/* True when everything was read: no broken entry, no half of one left. */
int wh_lstree_complete(const wh_lstree_t *ls);

#endif
