/* What an engine sends while it builds: JSON objects, one after another, in pieces of any size. */
#ifndef WH_AGENT_BUILDOUT_H
#define WH_AGENT_BUILDOUT_H

#include "libwh/wh_err.h"
#include "libwh/wh_model.h"
#include "wh-agent/layers.h"

#define WH_BUILDOUT_LINE_MAX ((size_t)(256 * 1024))

/* Text of the build: whole or half lines. */
typedef void wh_buildout_fn(void *baton, wh_stream_e stream, const char *buf, size_t n);

typedef struct wh_buildout_t {
    wh_buildout_fn *fn;
    void *baton;
    apr_pool_t *scratch;
    char *line;
    size_t have;
    int skipping;        /* a line longer than the limit is passed over */
    char image[80];      /* "sha256:…" once it was said */
    char error[1024];    /* the engine's reason, "" = none so far */
    wh_layers_t *layers; /* set after init; NULL = nobody asks */
    void (*seen)(void *baton, const json_t *obj); /* each object; likewise */
    void *seen_baton;
} wh_buildout_t;

/* The line buffer is in p. Errors: internal. */
apr_status_t wh_buildout_init(apr_pool_t *p, wh_buildout_t *out, wh_buildout_fn *fn,
                              void *baton) WH_MUST_CHECK;

/* More bytes. Always returns 0: what is no JSON object is handed on as text. */
int wh_buildout_feed(void *out, const char *buf, size_t n);

/* What is left without a line end. */
void wh_buildout_end(wh_buildout_t *out);

#endif
