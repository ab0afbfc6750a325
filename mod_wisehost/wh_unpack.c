/* wh-unpack GIT REPOSITORY ARCHIVE MAX-BYTES (wh_unpack.h). The archive's name goes at once. */
#include "mod_wisehost/wh_unpack.h"

#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#define BLOCK_BYTES ((size_t)64 * 1024)
#define MEMORY_MAX ((rlim_t)2 << 30)
/* What is below this is harmless however well it packs. */
#define RATIO_FROM ((uint64_t)64 << 20)
#define RATIO_MAX 200

void wh_unpack_end(int status, const char *code, const char *fmt, ...)
{
    va_list ap;

    (void)fprintf(stderr, "%s ", code);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    exit(status);
}

/* ---- the archive ----------------------------------------------------------------------------- */

static struct archive *open_archive(const wh_unpack_t *u)
{
    struct archive *a = archive_read_new();

    if (a == NULL || lseek(u->fd, 0, SEEK_SET) != 0 ||
        archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
        archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_format_zip_seekable(a) != ARCHIVE_OK) {
        wh_unpack_end(2, "internal", "libarchive cannot be set up");
    }
    if (archive_read_open_fd(a, u->fd, BLOCK_BYTES) != ARCHIVE_OK) {
        wh_unpack_end(1, "archive_unknown",
                      "This is no archive that is taken: tar, tar.gz, tar.zst or zip.");
    }
    return a;
}

static void __attribute__((noreturn)) broken(void)
{
    wh_unpack_end(1, "archive_broken", "The archive is broken or cut off.");
}

size_t wh_unpack_data(const wh_unpack_file_t *file, char *buf, size_t max)
{
    la_ssize_t got = archive_read_data(file->archive, buf, max);

    if (got < 0) {
        broken();
    }
    return (size_t)got;
}

static void __attribute__((noreturn)) refuse(const char *name, const char *why)
{
    char shown[200];
    size_t n = 0;

    for (; *name != '\0' && n < sizeof(shown) - 1; name++) {
        shown[n++] = *name >= ' ' && *name <= '~' ? *name : '?';
    }
    shown[n] = '\0';
    wh_unpack_end(1, "archive_entry", "%s cannot be taken: %s.", shown, why);
}

/* 0 = it is passed over. What is neither file, directory nor symbolic link is refused. */
static int judge(struct archive_entry *entry, char path[WH_ENTRY_PATH_MAX + 1],
                 wh_unpack_file_t *file)
{
    const char *name = archive_entry_pathname(entry), *why = NULL;
    const mode_t type = archive_entry_filetype(entry);
    wh_entry_e verdict;

    if (name == NULL) {
        refuse("a file", "its name is not UTF-8");
    }
    verdict = wh_entry_path(name, path, &why);
    if (verdict == WH_ENTRY_REFUSED) {
        refuse(name, why);
    }
    if (verdict == WH_ENTRY_LEFT_OUT) {
        return 0;
    }
    if (archive_entry_hardlink(entry) != NULL) {
        refuse(name, "it is a hard link");
    }
    if (archive_entry_is_encrypted(entry)) {
        refuse(name, "it is encrypted");
    }
    if (type == AE_IFDIR) {
        return 0;
    }
    if (type != AE_IFREG && type != AE_IFLNK) {
        refuse(name, "it is neither a file nor a directory nor a symbolic link");
    }
    if (archive_entry_sparse_count(entry) > 0) {
        refuse(name, "it has holes");
    }
    file->said = type == AE_IFREG && archive_entry_size_is_set(entry) ? archive_entry_size(entry)
                                                                      : -1;
    file->path = path;
    file->target = type == AE_IFLNK ? archive_entry_symlink(entry) : NULL;
    file->runs = (archive_entry_perm(entry) & 0111) != 0;
    if (type == AE_IFLNK && file->target == NULL) {
        refuse(name, "it is a link without a target");
    }
    if (file->target != NULL && wh_entry_link(path, file->target, &why) == WH_ENTRY_REFUSED) {
        refuse(name, why);
    }
    return 1;
}

/* How much there really is: what an entry says of its size may be a lie. */
static uint64_t measure(const wh_unpack_t *u, const wh_unpack_file_t *file)
{
    static char buf[BLOCK_BYTES];
    uint64_t size = file->target != NULL ? strlen(file->target) : 0;
    size_t got;

    while (file->target == NULL && (got = wh_unpack_data(file, buf, sizeof(buf))) > 0) {
        uint64_t all = u->bytes + (size += got);

        if (all > u->max) {
            wh_unpack_end(1, "archive_too_large",
                          "The archive holds more than %" PRIu64 " MiB of files.", u->max >> 20);
        }
        if (all > RATIO_FROM && all / RATIO_MAX > u->packed) {
            wh_unpack_end(1, "archive_too_large",
                          "The archive unpacks to more than %d times its size.", RATIO_MAX);
        }
    }
    return size;
}

static void count(wh_unpack_t *u, const wh_unpack_file_t *file)
{
    if (u->n == WH_UNPACK_FILES_MAX) {
        wh_unpack_end(1, "archive_too_large", "The archive holds more than %d files.",
                      WH_UNPACK_FILES_MAX);
    }
    if (u->n == u->room) {
        u->room = u->room ? u->room * 2 : 1024;
        u->sizes = realloc(u->sizes, u->room * sizeof(*u->sizes));
        u->paths = realloc(u->paths, u->room * sizeof(*u->paths));
    }
    if (u->sizes == NULL || u->paths == NULL || (u->paths[u->n] = strdup(file->path)) == NULL) {
        wh_unpack_end(2, "internal", "out of memory");
    }
    u->sizes[u->n] = measure(u, file);
    if (file->said >= 0 && (uint64_t)file->said != u->sizes[u->n]) {
        broken();
    }
    u->bytes += u->sizes[u->n++];
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Which of two entries of one name counts, and whether a file below another one or behind a link is
 * meant, is what programs differ in: none of it is taken. */
static void look_for_twins(wh_unpack_t *u)
{
    if (u->n == 0) {
        return;
    }
    qsort(u->paths, u->n, sizeof(*u->paths), by_name);
    for (size_t i = 0; i < u->n; i++) {
        char above[WH_ENTRY_PATH_MAX + 1];
        const char *key = above;

        if (i > 0 && strcmp(u->paths[i - 1], u->paths[i]) == 0) {
            refuse(u->paths[i], "it is there twice");
        }
        (void)snprintf(above, sizeof(above), "%s", u->paths[i]);
        for (char *slash = above; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
            *slash = '\0';
            if (bsearch(&key, u->paths, u->n, sizeof(*u->paths), by_name) != NULL) {
                refuse(u->paths[i], "what is above it is no directory");
            }
        }
    }
}

void wh_unpack_each(wh_unpack_t *u, int check, void (*fn)(void *baton, const wh_unpack_file_t *f),
                    void *baton)
{
    struct archive *a = open_archive(u);
    struct archive_entry *entry;
    size_t at = 0, seen = 0;
    int rc;

    while ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        char path[WH_ENTRY_PATH_MAX + 1];
        wh_unpack_file_t file = {.archive = a};

        if (++seen > (size_t)2 * WH_UNPACK_FILES_MAX) {
            wh_unpack_end(1, "archive_too_large", "The archive holds too many entries.");
        }
        if (!judge(entry, path, &file)) {
            continue;
        }
        if (check) {
            count(u, &file);
        } else {
            file.size = at < u->n ? u->sizes[at] : 0;
            fn(baton, &file);
        }
        at++;
    }
    if (rc != ARCHIVE_EOF && seen == 0) {
        wh_unpack_end(1, "archive_unknown",
                      "This is no archive that is taken: tar, tar.gz, tar.zst or zip.");
    }
    if (rc != ARCHIVE_EOF || at != u->n) {
        broken();
    }
    archive_read_free(a);
}

/* ---- main ------------------------------------------------------------------------------------ */

static void limit(void)
{
    struct rlimit now;

    if (getrlimit(RLIMIT_AS, &now) == 0 &&
        (now.rlim_max == RLIM_INFINITY || now.rlim_max > MEMORY_MAX)) {
        now.rlim_cur = now.rlim_max = MEMORY_MAX;
        (void)setrlimit(RLIMIT_AS, &now);
    }
}

int main(int argc, char **argv)
{
    wh_unpack_t u = {.fd = -1};
    struct stat st;
    char oid[65];

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc != 5 || setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
        wh_unpack_end(2, "internal", "wh-unpack is started by httpd alone");
    }
    limit();
    u.git = argv[1];
    u.repo = argv[2];
    u.max = strtoull(argv[4], NULL, 10);
    u.fd = open(argv[3], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (u.fd < 0 || fstat(u.fd, &st) != 0 || unlink(argv[3]) != 0) {
        wh_unpack_end(2, "internal", "the upload is not there");
    }
    u.packed = (uint64_t)st.st_size;
    wh_unpack_each(&u, 1, NULL, NULL);
    look_for_twins(&u);
    if (u.n == 0) {
        wh_unpack_end(1, "archive_empty", "The archive holds no file.");
    }
    wh_unpack_import(&u, oid);
    (void)fprintf(stderr, "commit %s %zu %" PRIu64, oid, u.n, u.bytes);
    return 0;
}
