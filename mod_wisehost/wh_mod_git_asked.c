#include "mod_wisehost/wh_mod_git_asked.h"

#include <string.h>

#include <zlib.h>

#define WINDOW_GZIP (15 + 16)

struct wh_git_asked_t {
    wh_pktlist_t list;
    int folded;
    z_stream z;
};

static apr_status_t forget(void *data)
{
    wh_git_asked_t *asked = data;

    inflateEnd(&asked->z);
    return APR_SUCCESS;
}

wh_git_asked_t *wh_mod_git_asked_make(apr_pool_t *p, const char *encoding)
{
    wh_git_asked_t *asked = apr_pcalloc(p, sizeof(*asked));

    wh_pktlist_init(&asked->list);
    if (encoding == NULL) {
        return asked;
    }
    if ((strcmp(encoding, "gzip") != 0 && strcmp(encoding, "x-gzip") != 0) ||
        inflateInit2(&asked->z, WINDOW_GZIP) != Z_OK) {
        return NULL;
    }
    asked->folded = 1;
    apr_pool_cleanup_register(p, asked, forget, apr_pool_cleanup_null);
    return asked;
}

static int unfold(wh_git_asked_t *asked, const char *data, apr_size_t n)
{
    int rc = Z_OK;

    asked->z.next_in = (z_const Bytef *)(apr_uintptr_t)data;
    asked->z.avail_in = (uInt)n;
    do {
        char out[4096];

        asked->z.next_out = (Bytef *)out;
        asked->z.avail_out = sizeof(out);
        rc = inflate(&asked->z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            return -1;
        }
        if (wh_pktlist_feed(&asked->list, out, sizeof(out) - asked->z.avail_out) != 0) {
            return -1;
        }
    } while (rc == Z_OK && asked->z.avail_out == 0 && !asked->list.done);
    return rc == Z_STREAM_END && !asked->list.done ? -1 : 0;
}

int wh_mod_git_asked_feed(wh_git_asked_t *asked, const char *data, apr_size_t n)
{
    if (asked->list.done || n == 0) {
        return 0;
    }
    return asked->folded ? unfold(asked, data, n) : wh_pktlist_feed(&asked->list, data, n);
}

const wh_pktlist_t *wh_mod_git_asked_list(const wh_git_asked_t *asked)
{
    return &asked->list;
}
