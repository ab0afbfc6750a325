/* A directory as a tar.gz in a file without a name, for an upload; or the archive that is there. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "wh/wh_cli.h"

typedef struct pack_t {
    const char *dir;
    struct archive *disk, *out;
    struct archive_entry *entry;
    int rc;
} pack_t;

static int fault(pack_t *pack, const char *what, const char *why)
{
    wh_cli_error("%s: %s", what, why != NULL ? why : "cannot be read");
    return pack->rc = WH_EXIT_FAIL;
}

static int is_git(const char *path)
{
    const char *name = strrchr(path, '/');
    return strcasecmp(name != NULL ? name + 1 : path, ".git") == 0;
}

static int add_data(pack_t *pack, const char *path)
{
    static char buf[65536];
    la_ssize_t got;
    while ((got = archive_read_data(pack->disk, buf, sizeof(buf))) > 0)
        if (archive_write_data(pack->out, buf, (size_t)got) != got)
            return fault(pack, path, archive_error_string(pack->out));
    return got == 0 ? 0 : fault(pack, path, archive_error_string(pack->disk));
}

/* The names are those below the directory; who owns a file is nobody's business. */
static int add(pack_t *pack)
{
    const char *path = archive_entry_pathname(pack->entry);
    size_t n = strlen(pack->dir);
    if (path == NULL || strncmp(path, pack->dir, n) != 0 || path[n] == '\0')
        return 0;
    const char *below = path + n + strspn(path + n, "/");
    mode_t type = archive_entry_filetype(pack->entry);
    if (type != AE_IFREG && type != AE_IFLNK)
        return 0;
    struct archive_entry *one = archive_entry_new();
    if (one == NULL)
        return fault(pack, path, "out of memory");
    archive_entry_copy_pathname(one, below);
    archive_entry_set_filetype(one, type);
    archive_entry_set_perm(one, archive_entry_perm(pack->entry) & 0111 ? 0755 : 0644);
    if (type == AE_IFLNK)
        archive_entry_copy_symlink(one, archive_entry_symlink(pack->entry));
    else
        archive_entry_set_size(one, archive_entry_size(pack->entry));
    if (archive_write_header(pack->out, one) != ARCHIVE_OK)
        fault(pack, path, archive_error_string(pack->out));
    archive_entry_free(one);
    return pack->rc == 0 && type == AE_IFREG ? add_data(pack, path) : pack->rc;
}

static int walk(pack_t *pack)
{
    int rc;
    if (archive_read_disk_open(pack->disk, pack->dir) != ARCHIVE_OK)
        return fault(pack, pack->dir, archive_error_string(pack->disk));
    while (pack->rc == 0 &&
           (rc = archive_read_next_header2(pack->disk, pack->entry)) != ARCHIVE_EOF) {
        const char *path = archive_entry_pathname(pack->entry);
        if (rc != ARCHIVE_OK)
            return fault(pack, path != NULL ? path : pack->dir, archive_error_string(pack->disk));
        if (path != NULL && strcmp(path, pack->dir) != 0 && is_git(path))
            continue;
        archive_read_disk_descend(pack->disk);
        add(pack);
    }
    return pack->rc;
}

static int pack_dir(const char *dir, FILE *file)
{
    pack_t pack = {.dir = dir,
                   .disk = archive_read_disk_new(),
                   .out = archive_write_new(),
                   .entry = archive_entry_new()};
    if (pack.disk == NULL || pack.out == NULL || pack.entry == NULL ||
        archive_read_disk_set_symlink_physical(pack.disk) != ARCHIVE_OK ||
        archive_write_set_format_pax_restricted(pack.out) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(pack.out) != ARCHIVE_OK ||
        archive_write_set_options(pack.out, "gzip:compression-level=1") != ARCHIVE_OK ||
        archive_write_open_FILE(pack.out, file) != ARCHIVE_OK)
        (void)fault(&pack, dir, "no archive can be made");
    else
        (void)walk(&pack);
    if (pack.out != NULL && archive_write_close(pack.out) != ARCHIVE_OK && pack.rc == 0)
        (void)fault(&pack, dir, archive_error_string(pack.out));
    archive_write_free(pack.out);
    archive_read_free(pack.disk);
    archive_entry_free(pack.entry);
    return pack.rc;
}

int wh_cli_pack(const char *path, FILE **out)
{
    struct stat st;
    if (stat(path, &st) != 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))) {
        wh_cli_error("%s is neither a directory nor a file", path);
        return WH_EXIT_USAGE;
    }
    *out = S_ISDIR(st.st_mode) ? tmpfile() : fopen(path, "re");
    if (*out == NULL) {
        wh_cli_error("%s: %s", path, strerror(errno));
        return WH_EXIT_FAIL;
    }
    int rc = S_ISDIR(st.st_mode) ? pack_dir(path, *out) : 0;
    if (rc == 0 && (fflush(*out) != 0 || fseek(*out, 0, SEEK_END) != 0)) {
        wh_cli_error("%s: %s", path, strerror(errno));
        rc = WH_EXIT_FAIL;
    }
    if (rc != 0)
        fclose(*out);
    return rc;
}
