#include <string.h>
#include <archive.h>
#include <archive_entry.h>
#include "wh-agent/tarfile.h"

#define BLOCK 512

static int write_one(struct archive *a, const wh_tarfile_entry_t *e)
{
    struct archive_entry *entry = archive_entry_new();
    int good;

    if (entry == NULL)
        return 0;
    archive_entry_set_pathname(entry, e->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, (mode_t)e->mode);
    archive_entry_set_size(entry, (la_int64_t)e->n);
    archive_entry_set_mtime(entry, 0, 0);
    good = archive_write_header(a, entry) == ARCHIVE_OK &&
           archive_write_data(a, e->bytes, e->n) == (la_ssize_t)e->n;
    archive_entry_free(entry);
    return good;
}

/* A head each, and the bytes up to the end of their last block. */
static size_t blocks(const wh_tarfile_entry_t *entries, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++)
        size += BLOCK + (entries[i].n + BLOCK - 1) / BLOCK * BLOCK;
    return size;
}

apr_status_t wh_tarfile_make(apr_pool_t *p, const wh_tarfile_entry_t *entries, int count, int whole,
                             wh_tarfile_t *out, wh_err_t *err)
{
    size_t size = blocks(entries, count), room = size + 64 * BLOCK, used = 0;
    char *buf = apr_palloc(p, room);
    struct archive *a = archive_write_new();
    int good = a != NULL && archive_write_set_format_ustar(a) == ARCHIVE_OK &&
               archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
               archive_write_open_memory(a, buf, room, &used) == ARCHIVE_OK;

    for (int i = 0; good && i < count; i++)
        good = write_one(a, &entries[i]);
    good = good && archive_write_close(a) == ARCHIVE_OK && used >= size;
    if (a != NULL)
        archive_write_free(a);
    *out = (wh_tarfile_t){.buf = buf, .n = whole ? used : size};
    return good ? APR_SUCCESS
                : wh_err_set(err, 500, "internal", "files for a build cannot be packed");
}

apr_ssize_t wh_tarfile_read(void *baton, char *buf, size_t n)
{
    wh_tarfile_t *t = baton;
    size_t take = t->n - t->at < n ? t->n - t->at : n;

    memcpy(buf, t->buf + t->at, take);
    t->at += take;
    return (apr_ssize_t)take;
}
