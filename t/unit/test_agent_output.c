/* What a build made, as a tar stream that somebody hostile wrote. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <archive.h>
#include <archive_entry.h>

#include "t/unit/unit.h"
#include "libwh/wh_manifest.h"
#include "wh-agent/output.h"

#define SPOOL "/tmp"

typedef struct entry_t {
    const char *name;
    unsigned type; /* 0 = a hard link */
    const char *text, *to;
    la_int64_t size; /* 0 = of the text */
} entry_t;

static void put(struct archive *a, const entry_t *e)
{
    struct archive_entry *head = archive_entry_new();
    size_t n = e->text != NULL ? strlen(e->text) : 0;

    archive_entry_set_pathname(head, e->name);
    archive_entry_set_perm(head, 04755);
    archive_entry_set_size(head, e->size != 0 ? e->size : (la_int64_t)n);
    archive_entry_set_filetype(head, e->type != 0 ? e->type : AE_IFREG);
    if (e->type == AE_IFLNK)
        archive_entry_set_symlink(head, e->to);
    if (e->type == 0)
        archive_entry_set_hardlink(head, e->to);
    if (e->type == AE_IFCHR || e->type == AE_IFBLK)
        archive_entry_set_rdev(head, 0x0801);
    assert_true(archive_write_header(a, head) >= ARCHIVE_WARN);
    if (n > 0)
        (void)!archive_write_data(a, e->text, n);
    archive_entry_free(head);
}

static int tar_of(const entry_t *entries, size_t n)
{
    int fd = memfd_create("tar", 0);
    struct archive *a = archive_write_new();

    archive_write_set_format_pax_restricted(a);
    archive_write_set_options(a, "hdrcharset=BINARY");
    archive_write_set_bytes_per_block(a, 0);
    assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++)
        put(a, &entries[i]);
    if (entries[n - 1].size != 0)
        archive_write_fail(a); /* or it would write what the head promises */
    else
        (void)archive_write_close(a);
    archive_write_free(a);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static apr_status_t parse(apr_pool_t *p, const entry_t *entries, size_t n, wh_output_t **out,
                          wh_err_t *err)
{
    int fd = tar_of(entries, n);
    apr_status_t rv = wh_output_parse(p, fd, "dist", SPOOL, out, err);

    close(fd);
    return rv;
}

typedef struct seen_t {
    apr_pool_t *p;
    const char *text;
    const char *oids[32];
    int n;
} seen_t;

static int see(void *baton, const wh_lstree_entry_t *e)
{
    static const char *const kinds[] = {"file", "link", "module", "odd"};
    seen_t *s = baton;

    s->text = apr_psprintf(s->p, "%s%s %s %" APR_INT64_T_FMT "\n", s->text, kinds[e->kind], e->path,
                           e->size);
    if (e->kind == WH_LSTREE_FILE)
        s->oids[s->n++] = e->oid;
    return 0;
}

static int join(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    seen_t *s = baton;

    assert_string_equal(o->type, "blob");
    s->text = n > 0 ? apr_pstrcat(s->p, s->text, apr_pstrmemdup(s->p, buf, n), NULL)
                    : apr_psprintf(s->p, "%s[%d]", s->text, (int)o->index);
    return 0;
}

static void test_good(void **state)
{
    static const entry_t entries[] = {
        {"dist/", AE_IFDIR, NULL, NULL, 0},
        {"dist/sub/", AE_IFDIR, NULL, NULL, 0},
        {"dist/index.html", AE_IFREG, "<p>", NULL, 0},
        {"./dist/sub/caf\xc3\xa9", AE_IFREG, "coffee", NULL, 0},
        {"dist/empty", AE_IFREG, NULL, NULL, 0},
        {"dist/hard", 0, NULL, "dist/index.html", 0},
        {"dist/hard-out", 0, NULL, "etc/shadow", 0},
        {"dist/hard-later", 0, NULL, "dist/zzz", 0},
        {"dist/passwd", AE_IFLNK, NULL, "/etc/passwd", 0},
        {"dist/hard-link", 0, NULL, "dist/passwd", 0},
        {"dist/fifo", AE_IFIFO, NULL, NULL, 0},
        {"dist/sda", AE_IFBLK, NULL, NULL, 0},
        {"dist/tty", AE_IFCHR, NULL, NULL, 0},
    };
    apr_pool_t *p = *state;
    seen_t seen = {.p = p, .text = ""}, read = {.p = p, .text = ""};
    wh_err_t err = WH_ERR_INIT;
    wh_source_read_t what = {.fn = join, .baton = &read};
    wh_output_t *out;
    int ended = 1;

    assert_ok(parse(p, entries, WH_ARRAY_LEN(entries), &out, &err), &err);
    wh_output_list(out, see, &seen);
    assert_string_equal(seen.text, "file index.html 3\nfile sub/caf\xc3\xa9 6\nfile empty 0\n"
                                   "file hard 3\nodd hard-out -1\nodd hard-later -1\n"
                                   "link passwd -1\nodd hard-link -1\nodd fifo -1\nodd sda -1\n"
                                   "odd tty -1\n");
    assert_string_equal(seen.oids[0], seen.oids[3]);
    what.oids = seen.oids;
    what.n = (size_t)seen.n;
    assert_ok(wh_output_read(out, &what, &ended, &err), &err);
    assert_false(ended);
    assert_string_equal(read.text, "<p>[0]coffee[1][2]<p>[3]");
}

static void test_refused(void **state)
{
    static const struct {
        entry_t entries[3];
        size_t n;
        const char *code;
    } rows[] = {
        {{{"dist/../../x", AE_IFREG, "x", NULL, 0}}, 1, "output_refused"},
        {{{"/etc/x", AE_IFREG, "x", NULL, 0}}, 1, "output_refused"},
        {{{"distant/x", AE_IFREG, "x", NULL, 0}}, 1, "output_refused"},
        {{{"x", AE_IFREG, "x", NULL, 0}}, 1, "output_refused"},
        {{{"dist/..", AE_IFDIR, NULL, NULL, 0}}, 1, "output_refused"},
        {{{"dist/a//b", AE_IFREG, "x", NULL, 0}}, 1, "output_refused"},
        {{{"dist//etc/x", AE_IFREG, "x", NULL, 0}}, 1, "output_refused"},
        {{{"dist", AE_IFLNK, NULL, "/etc", 0}}, 1, "output_refused"},
        {{{"dist", AE_IFREG, "x", NULL, 0}}, 1, "output_missing"},
        {{{"dist", AE_IFIFO, NULL, NULL, 0}}, 1, "output_refused"},
        {{{"dist/a", AE_IFREG, "x", NULL, 0}, {"dist/a", AE_IFREG, "y", NULL, 0}},
         2,
         "output_refused"},
        {{{"dist/a", AE_IFLNK, NULL, "/etc", 0}, {"dist/a/passwd", AE_IFREG, "y", NULL, 0}},
         2,
         "output_refused"},
        {{{"dist/a", AE_IFREG, "x", NULL, 0}, {"dist/a/b/c", AE_IFREG, "y", NULL, 0}},
         2,
         "output_refused"},
        {{{"dist/a", AE_IFREG, "x", NULL, 0}, {"dist/a", AE_IFDIR, NULL, NULL, 0}},
         2,
         "output_refused"},
        {{{"dist/big", AE_IFREG, "x", NULL, APR_INT64_C(1) << 40}}, 1, "too_large"},
    };
    apr_pool_t *p = *state;

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_output_t *out;

        if (parse(p, rows[i].entries, rows[i].n, &out, &err) == APR_SUCCESS ||
            strcmp(err.code, rows[i].code) != 0)
            fail_msg("row %d: %s %s", (int)i, err.code, err.text);
    }
}

/* A head that says less or more than there is, a stream that ends in the middle, no tar at all. */
static void test_broken(void **state)
{
    static const entry_t entries[] = {{"dist/a", AE_IFREG, "0123456789", NULL, 0}};
    static const char *const texts[] = {"", "no tar", "\x1f\x8b\x08"};
    apr_pool_t *p = *state;
    char block[1024];
    int fd = tar_of(entries, 1);
    wh_output_t *out;

    assert_int_equal(ftruncate(fd, 512 + 4), 0);
    for (size_t i = 0; i <= WH_ARRAY_LEN(texts); i++) {
        wh_err_t err = WH_ERR_INIT;
        int from = i == 0 ? fd : memfd_create("x", 0);

        if (i > 0) {
            memset(block, 0, sizeof(block));
            memcpy(block, texts[i - 1], strlen(texts[i - 1]));
            assert_int_equal(write(from, block, strlen(texts[i - 1])), strlen(texts[i - 1]));
            assert_int_equal(lseek(from, 0, SEEK_SET), 0);
        }
        assert_code(wh_output_parse(p, from, "dist", SPOOL, &out, &err), &err, "output_refused");
        close(from);
    }
}

static void test_many(void **state)
{
    apr_pool_t *p = *state;
    int fd = memfd_create("tar", 0);
    struct archive *a = archive_write_new();
    wh_err_t err = WH_ERR_INIT;
    wh_output_t *out;

    archive_write_set_format_ustar(a);
    assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
    for (int i = 0; i <= 10 * WH_MANIFEST_FILES_MAX; i++) {
        char name[32];

        snprintf(name, sizeof(name), "dist/%d/", i);
        put(a, &(entry_t){name, AE_IFDIR, NULL, NULL, 0});
    }
    archive_write_close(a);
    archive_write_free(a);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_code(wh_output_parse(p, fd, "dist", SPOOL, &out, &err), &err, "too_many_files");
    close(fd);
}

/* Sparse by its head: nothing behind it, but a gigabyte and more when it is read. */
static void test_sparse(void **state)
{
    apr_pool_t *p = *state;
    int fd = memfd_create("tar", 0);
    struct archive *a = archive_write_new();
    struct archive_entry *head = archive_entry_new();
    wh_err_t err = WH_ERR_INIT;
    wh_output_t *out;

    archive_write_set_format_pax(a);
    assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
    archive_entry_set_pathname(head, "dist/sparse");
    archive_entry_set_filetype(head, AE_IFREG);
    archive_entry_set_perm(head, 0644);
    archive_entry_set_size(head, APR_INT64_C(2) << 30);
    archive_entry_sparse_add_entry(head, 0, 1);
    assert_int_equal(archive_write_header(a, head), ARCHIVE_OK);
    (void)!archive_write_data(a, "x", 1);
    archive_entry_free(head);
    archive_write_close(a);
    archive_write_free(a);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_code(wh_output_parse(p, fd, "dist", SPOOL, &out, &err), &err, "too_large");
    close(fd);
}

/* A libarchive that writes out what a head promises is ended, and does not fill the memory. */
static void bound(void)
{
    const struct rlimit most = {.rlim_cur = 512 << 20, .rlim_max = 512 << 20};

    (void)setrlimit(RLIMIT_FSIZE, &most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F288 XH1 XH4 the output of a build: regular files, and what else there is",
             test_good),
        UNIT("XH6 what leads outside or is there twice refuses it all", test_refused),
        UNIT("XH6 a stream that is broken", test_broken),
        UNIT("XH5 200,001 entries", test_many),
        UNIT("XH4 XH6 a sparse file of two gigabytes", test_sparse),
    };
    bound();
    return UNIT_RUN(tests);
}
