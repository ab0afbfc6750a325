#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_gc.h"
#include "libwh/wh_sign.h"
#include "wh-scheduler/gc_int.h"

#define BATCH 200 /* files in one hold of the lock */

typedef struct sweep_t {
    wh_gc_marks_t *marks;
    int removed; /* since the lock was taken; 0 = it is not held */
    int held;
} sweep_t;

static int is_object(const apr_finfo_t *info)
{
    return info->filetype == APR_REG && wh_sign_is_hex(info->name, WH_SHA256_HEX);
}

/* ---- what may go ---- */

static apr_status_t note(wh_gc_t *gc, apr_pool_t *p, const char *path, const apr_finfo_t *info,
                         void *baton, wh_err_t *err)
{
    wh_gc_marks_t *marks = baton;

    (void)p;
    (void)err;
    if (info->mtime >= gc->before) {
        return APR_SUCCESS;
    }
    if (is_object(info)) {
        wh_gc_marks_add(marks, info->name);
    } else if (strncmp(info->name, ".tmp-", 5) == 0 && unlink(path) == 0) {
        gc->done->leftovers++;
    }
    return APR_SUCCESS;
}

/* A directory objects/ab; in baton what to do with each of its files. */
typedef struct below_t {
    wh_gc_entry_fn *fn;
    void *baton;
    wh_gc_marks_t *full; /* ends when it has all that one pass takes; NULL = never */
} below_t;

static apr_status_t fan_out(wh_gc_t *gc, apr_pool_t *p, const char *path, const apr_finfo_t *info,
                            void *baton, wh_err_t *err)
{
    const below_t *below = baton;

    (void)p;
    if (info->filetype != APR_DIR || strlen(info->name) != 2) {
        return APR_SUCCESS;
    }
    if (wh_gc_over(gc)) {
        return APR_EOF;
    }
    if (below->full != NULL && wh_gc_marks_count(below->full) >= WH_GC_OBJECTS_MAX) {
        gc->done->cut = 1;
        return APR_EOF;
    }
    return wh_gc_each(gc, path, below->fn, below->baton, err);
}

/* ---- what is needed ---- */

/* Every word of 64 hex digits: manifests and lists of wanted objects alike, and a damaged one still
 * says what it can. A path that looks so keeps an object at worst. */
static void scan(wh_gc_marks_t *marks, const char *text, size_t n)
{
    char word[WH_SHA256_HEX + 1];
    size_t at = 0;

    word[WH_SHA256_HEX] = '\0';
    while (at < n) {
        size_t len = 0;

        while (at + len < n && text[at + len] != ' ' && text[at + len] != '\n') {
            len++;
        }
        if (len == WH_SHA256_HEX) {
            memcpy(word, text + at, len);
            if (wh_sign_is_hex(word, WH_SHA256_HEX)) {
                wh_gc_marks_need(marks, word);
            }
        }
        at += len + 1;
    }
}

/* What cannot be read may name anything: then nothing goes. One that has gone names nothing. */
static apr_status_t scan_file(wh_gc_marks_t *marks, const char *path, wh_err_t *err)
{
    struct stat st;
    void *map;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    apr_status_t rv = APR_SUCCESS;

    if (fd < 0) {
        return errno == ENOENT ? APR_SUCCESS : wh_gc_failed(path, err);
    }
    if (fstat(fd, &st) != 0) {
        rv = wh_gc_failed(path, err);
    } else if (st.st_size > 0) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            rv = wh_gc_failed(path, err);
        } else {
            scan(marks, map, (size_t)st.st_size);
            (void)munmap(map, (size_t)st.st_size);
        }
    }
    close(fd);
    return rv;
}

typedef struct names_t {
    wh_gc_marks_t *marks;
    const char *file; /* of each directory */
} names_t;

static apr_status_t need(wh_gc_t *gc, apr_pool_t *p, const char *path, const apr_finfo_t *info,
                         void *baton, wh_err_t *err)
{
    const names_t *names = baton;

    if (info->filetype != APR_DIR) {
        return APR_SUCCESS;
    }
    if (wh_gc_over(gc)) {
        return APR_EOF; /* without all of them nothing is known */
    }
    return scan_file(names->marks, apr_pstrcat(p, path, "/", names->file, NULL), err);
}

/* Uploads first: what is committed in between is a manifest by then. */
static apr_status_t mark(wh_gc_t *gc, wh_gc_marks_t *marks, wh_err_t *err)
{
    names_t wanted = {.marks = marks, .file = "wanted"};
    names_t manifest = {.marks = marks, .file = "manifest"};
    apr_status_t rv = wh_gc_each(gc, wh_gc_dir(gc, "uploads"), need, &wanted, err);

    return rv == APR_SUCCESS ? wh_gc_each(gc, wh_gc_dir(gc, "releases"), need, &manifest, err) : rv;
}

/* ---- what goes ---- */

static void let_go(wh_gc_t *gc, sweep_t *s)
{
    if (s->held) {
        wh_gc_unlock(gc);
    }
    s->held = s->removed = 0;
}

/* Under the lock it is looked at once more: an announcement may have made it young. */
static apr_status_t sweep(wh_gc_t *gc, apr_pool_t *p, const char *path, const apr_finfo_t *info,
                          void *baton, wh_err_t *err)
{
    sweep_t *s = baton;
    struct stat st;

    (void)p;
    if (!is_object(info) || !wh_gc_marks_needless(s->marks, info->name)) {
        return APR_SUCCESS;
    }
    if (s->removed >= BATCH) {
        let_go(gc, s);
    }
    if (!s->held && (wh_gc_over(gc) || !wh_gc_lock(gc))) {
        return APR_EOF;
    }
    s->held = 1;
    s->removed++;
    if (lstat(path, &st) != 0 || apr_time_from_sec(st.st_mtime) >= gc->before) {
        return APR_SUCCESS;
    }
    if (unlink(path) != 0) {
        return errno == ENOENT ? APR_SUCCESS : wh_gc_failed(path, err);
    }
    wh_fault("gc.object");
    gc->done->objects++;
    gc->done->bytes += st.st_size;
    return APR_SUCCESS;
}

apr_status_t wh_gc_objects(wh_gc_t *gc, wh_err_t *err)
{
    const char *objects = wh_gc_dir(gc, "objects");
    sweep_t s = {.marks = wh_gc_marks_make(gc->p)};
    below_t noting = {.fn = note, .baton = s.marks, .full = s.marks};
    below_t sweeping = {.fn = sweep, .baton = &s};
    int cut;
    apr_status_t rv = wh_gc_each(gc, objects, fan_out, &noting, err);

    rv = rv == APR_EOF ? APR_SUCCESS : rv;
    cut = gc->done->cut;
    gc->done->cut = 0;
    if (rv == APR_SUCCESS && wh_gc_marks_count(s.marks) > 0) {
        wh_gc_marks_close(s.marks);
        rv = mark(gc, s.marks, err);
        if (rv == APR_SUCCESS) {
            rv = wh_gc_each(gc, objects, fan_out, &sweeping, err);
            let_go(gc, &s);
        }
        rv = rv == APR_EOF ? APR_SUCCESS : rv;
    }
    gc->done->cut |= cut;
    return rv;
}
