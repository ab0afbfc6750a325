/* What a Dockerfile may not ask for, whatever engine reads it: engines have handed out the host's
 * files and its network for less (XJ1, XJ8). */
#ifndef WH_AGENT_DOCKERFILE_H
#define WH_AGENT_DOCKERFILE_H

#include <apr_tables.h>
#include "libwh/wh_err.h"

/* What it names and does, as far as it matters here. */
typedef struct wh_dockerfile_t {
    apr_array_header_t
        *images; /* const char *: of FROM and of COPY --from, but for its own stages */
    int runs;    /* there is a RUN */
    apr_array_header_t *secrets; /* const char *: ids of `RUN --mount=type=secret` */
    /* while reading */
    apr_array_header_t *stages; /* const char *: names */
    apr_array_header_t *args;   /* const char *: "NAME=value" before the first FROM */
    int stage;                  /* how many FROMs were seen */
} wh_dockerfile_t;

/* Engines run a file of such a name through a preprocessor first, on the host: `#include` would
 * read any file there. True when the name is one of those. Pure. */
int wh_dockerfile_name_bad(const char *name);

/* Refused are `RUN --mount` (CVE-2024-1753, -9407, -9675, -11218: the host's file system in the
 * build) but for `--mount=type=secret,id=NAME[,required[=true|false]][,target=/PATH]`, `ADD` of
 * anything but plain paths (the engine would fetch an address from the host's own network), and
 * names of images that cannot be known before the build. Code build_failed, with the line's number.
 * Pure; *seen and scratch memory in p. */
apr_status_t wh_dockerfile_check(apr_pool_t *p, const char *text, size_t n, wh_dockerfile_t *seen,
                                 wh_err_t *err) WH_MUST_CHECK;

#endif
