/* The output of `git cat-file --batch`, read in pieces of any size: for each name that was asked,
 * in the order of asking, a header and the bytes of the object. */
#ifndef WH_AGENT_CATFILE_H
#define WH_AGENT_CATFILE_H

#include "libwh/wh_err.h"

typedef struct wh_catfile_object_t {
    size_t index; /* how many answers came before this one */
    char oid[65];
    char type[12];    /* "" = the object is missing */
    apr_int64_t size; /* of the whole object */
} wh_catfile_object_t;

/* n more bytes of the object; called once with n = 0 when it is complete (or missing). A result
 * other than 0 ends the reading and is handed back. */
typedef int wh_catfile_fn(void *baton, const wh_catfile_object_t *object, const char *buf,
                          size_t n);

typedef struct wh_catfile_t {
    wh_catfile_fn *fn;
    void *baton;
    wh_catfile_object_t object;
    apr_int64_t left; /* bytes of the present object still to come */
    enum { WH_CATFILE_HEADER, WH_CATFILE_BODY, WH_CATFILE_LF } state;
    size_t have;
    int broken;
    char header[512];
} wh_catfile_t;

void wh_catfile_init(wh_catfile_t *cat, wh_catfile_fn *fn, void *baton);

/* More bytes; returns 0, or what ended the reading (-1 = malformed). Fits wh_proc_out_fn. */
int wh_catfile_feed(void *cat, const char *buf, size_t n);

/* True when exactly `asked` answers were read to their end. */
int wh_catfile_complete(const wh_catfile_t *cat, size_t asked);

#endif
