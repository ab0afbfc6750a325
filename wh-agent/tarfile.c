#include <string.h>
#include <archive.h>
#include <archive_entry.h>
#include "wh-agent/tarfile.h"

#define BLOCK 512

static int write_one(struct archive *a, const char *name, const char *text, size_t n)
{
    struct archive_entry *entry = archive_entry_new();
    int good;

    if (entry == NULL)
        return 0;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)n);
    archive_entry_set_mtime(entry, 0, 0); /* the same each time: the engine knows the layer again */
    good = archive_write_header(a, entry) == ARCHIVE_OK &&
           archive_write_data(a, text, n) == (la_ssize_t)n;
    archive_entry_free(entry);
    return good;
}

apr_status_t wh_tarfile_make(apr_pool_t *p, const char *name, const char *text, const char **out,
                             size_t *n, wh_err_t *err)
{
    size_t len = strlen(text), size = BLOCK + (len + BLOCK - 1) / BLOCK * BLOCK, used = 0;
    size_t room = size + 64 * BLOCK; /* libarchive ends the stream; that is cut off */
    char *buf = apr_palloc(p, room);
    struct archive *a = archive_write_new();
    int good = a != NULL && archive_write_set_format_ustar(a) == ARCHIVE_OK &&
               archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
               archive_write_open_memory(a, buf, room, &used) == ARCHIVE_OK &&
               write_one(a, name, text, len) && archive_write_close(a) == ARCHIVE_OK &&
               used >= size;

    if (a != NULL)
        archive_write_free(a);
    *out = buf;
    *n = size;
    return good ? APR_SUCCESS
                : wh_err_set(err, 500, "internal", "the made Dockerfile cannot be packed");
}
