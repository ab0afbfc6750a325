#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "libwh/wh_file.h"
#include "libwh/wh_sign.h"
#include "wh-agent/blobs.h"
#include "wh-agent/fsutil.h"

#define FILE_MAX ((size_t)(16 * 1024 * 1024))

struct wh_blobs_t {
    apr_pool_t *p;
    const char *path;
    apr_hash_t *known;         /* oid -> sha256 */
    apr_array_header_t *fresh; /* lines to append */
    int afresh;                /* the file is to be written anew */
};

/* "<40 or 64 hex> <64 hex>" */
static void take_line(wh_blobs_t *blobs, char *line, size_t n)
{
    char *sp = memchr(line, ' ', n);
    size_t noid = sp != NULL ? (size_t)(sp - line) : 0;

    if ((noid != 40 && noid != 64) || n != noid + 65)
        return;
    *sp = '\0';
    line[n] = '\0'; /* over the line's end */
    if (!wh_sign_is_hex(line, noid) || !wh_sign_is_hex(sp + 1, 64))
        return;
    apr_hash_set(blobs->known, line, (apr_ssize_t)noid, sp + 1);
}

wh_blobs_t *wh_blobs_open(apr_pool_t *p, const char *path)
{
    wh_blobs_t *blobs = apr_pcalloc(p, sizeof(*blobs));
    char *text;
    size_t n = 0;

    blobs->p = p;
    blobs->path = path;
    blobs->known = apr_hash_make(p);
    blobs->fresh = apr_array_make(p, 16, sizeof(const char *));
    if (wh_fsutil_read(p, path, FILE_MAX, &text, &n, NULL) != APR_SUCCESS) {
        blobs->afresh = 1;
        return blobs;
    }
    for (size_t at = 0; at < n;) {
        char *lf = memchr(text + at, '\n', n - at);
        size_t len = lf != NULL ? (size_t)(lf - (text + at)) : n - at;

        if (lf == NULL)
            break;
        take_line(blobs, text + at, len);
        at += len + 1;
    }
    /* Half a line at the end would swallow the next one. */
    blobs->afresh = n > 0 && text[n - 1] != '\n';
    return blobs;
}

const char *wh_blobs_find(const wh_blobs_t *blobs, const char *oid)
{
    return apr_hash_get(blobs->known, oid, (apr_ssize_t)strlen(oid));
}

void wh_blobs_add(wh_blobs_t *blobs, const char *oid, const char *sha256)
{
    apr_hash_set(blobs->known, apr_pstrdup(blobs->p, oid), (apr_ssize_t)strlen(oid),
                 apr_pstrdup(blobs->p, sha256));
    APR_ARRAY_PUSH(blobs->fresh, const char *) =
        apr_pstrcat(blobs->p, oid, " ", sha256, "\n", NULL);
}

void wh_blobs_save(wh_blobs_t *blobs)
{
    int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (blobs->afresh ? O_TRUNC : O_APPEND);
    const char *text;
    int fd;

    if (blobs->fresh->nelts == 0)
        return;
    text = apr_array_pstrcat(blobs->p, blobs->fresh, '\0');
    fd = open(blobs->path, flags, 0600);
    if (fd < 0)
        return;
    if (wh_file_put(fd, text, strlen(text)) != APR_SUCCESS)
        (void)unlink(blobs->path);
    close(fd);
    apr_array_clear(blobs->fresh);
    blobs->afresh = 0;
}
