/* wh_manifest: see wh_manifest.h. */
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_mime.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

static const char head[] = "wisehost-manifest 1\n";
#define VERSION_AT (sizeof(head) - 3) /* of the digit */

static const char *const codings[WH_CODINGS] = {
    [WH_CODING_BR] = "br", [WH_CODING_ZSTD] = "zstd", [WH_CODING_GZIP] = "gzip"};

const char *wh_manifest_coding_text(wh_coding_e coding)
{
    return codings[coding];
}

int wh_manifest_path_ok(const char *path)
{
    size_t n = strlen(path), depth = 0;
    const char *s = path;

    if (n == 0 || n > WH_MANIFEST_PATH_MAX || !wh_text_utf8_ok(path, n) ||
        !wh_text_plain(path, n) || strchr(path, '\\'))
        return 0;
    for (;;) {
        size_t len = strcspn(s, "/");

        if (len == 0 || ++depth > WH_MANIFEST_DEPTH_MAX || (len == 1 && s[0] == '.') ||
            (len == 2 && s[0] == '.' && s[1] == '.'))
            return 0;
        if (s[len] == '\0')
            return 1;
        s += len + 1;
    }
}

int wh_manifest_id_ok(const char *id)
{
    return wh_sign_is_hex(id, WH_MANIFEST_ID_LEN);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const wh_manifest_entry_t *)a)->path, ((const wh_manifest_entry_t *)b)->path);
}

/* Entries are right one by one; here is what concerns all of them. */
static apr_status_t whole(const wh_manifest_t *m, const wh_manifest_limits_t *limits,
                          wh_err_t *err)
{
    apr_off_t max = limits ? limits->bytes : WH_MANIFEST_BYTES_MAX, sum = 0;
    int i;

    for (i = 0; i < m->n; i++) {
        size_t n = strlen(m->entries[i].path);

        /* A sum of sizes below 1 GiB each cannot overflow before it is noticed. */
        sum += m->entries[i].size;
        if (sum > max)
            return wh_err_set(err, 413, "too_large",
                              "a release has at most %" APR_OFF_T_FMT " bytes", max);
        if (i + 1 < m->n && strcmp(m->entries[i].path, m->entries[i + 1].path) == 0)
            return wh_err_set(err, 400, "manifest_invalid", "the path \"%s\" is there twice",
                              m->entries[i].path);
        /* "a" and "a/b": a file that is a directory too. Between them in byte order stand only
         * names that begin with "a" and a byte below '/', so a look-up finds what a glance at the
         * neighbour would miss. */
        if (i + 1 < m->n) {
            int lo = i + 1, hi = m->n;
            while (lo < hi) {
                int mid = lo + (hi - lo) / 2;
                const char *q = m->entries[mid].path;
                int c = strncmp(q, m->entries[i].path, n);
                if (c < 0 || (c == 0 && (unsigned char)q[n] < '/'))
                    lo = mid + 1;
                else
                    hi = mid;
            }
            if (lo < m->n && strncmp(m->entries[lo].path, m->entries[i].path, n) == 0 &&
                m->entries[lo].path[n] == '/')
                return wh_err_set(err, 400, "manifest_invalid",
                                  "\"%s\" is a file and a directory", m->entries[i].path);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t count_ok(size_t n, const wh_manifest_limits_t *limits, wh_err_t *err)
{
    size_t max = limits ? (size_t)limits->files : WH_MANIFEST_FILES_MAX;

    if (n == 0)
        return wh_err_set(err, 422, "output_missing", "a release needs at least one file");
    if (n > max)
        return wh_err_set(err, 413, "too_many_files", "a release has at most %d files", (int)max);
    return APR_SUCCESS;
}

static void finish(apr_pool_t *p, wh_manifest_t *m)
{
    unsigned char sum[WH_SHA256_LEN];
    char hex[WH_SHA256_HEX + 1];
    apr_pool_t *tmp;
    size_t len;
    char *text;
    int i;

    m->bytes = 0;
    m->variants = 0;
    for (i = 0; i < m->n; i++) {
        const wh_manifest_entry_t *e = &m->entries[i];

        m->bytes += e->size;
        for (int v = 0; e->variants && v < WH_CODINGS; v++)
            m->variants += e->variants[v].size > 0;
    }
    apr_pool_create(&tmp, p);
    text = wh_manifest_text(tmp, m, &len);
    wh_sign_sha256(text, len, sum);
    apr_pool_destroy(tmp);
    wh_sign_hex_buf(hex, sum, sizeof(sum));
    apr_cpystrn(m->id, hex, sizeof(m->id));
}

static int variants_ok(const wh_manifest_entry_t *e)
{
    for (int v = 0; e->variants && v < WH_CODINGS; v++) {
        const wh_manifest_variant_t *variant = &e->variants[v];

        if (variant->size != 0 && (variant->size < 0 || variant->size >= e->size ||
                                   !wh_sign_is_hex(variant->sha256, 64)))
            return 0;
    }
    return 1;
}

apr_status_t wh_manifest_make(apr_pool_t *p, wh_manifest_entry_t *entries, int n,
                              const wh_manifest_limits_t *limits, wh_manifest_t **m,
                              wh_err_t *err)
{
    wh_manifest_t *out;
    apr_status_t rv;
    int i;

    rv = count_ok((size_t)n, limits, err);
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < n; i++) {
        wh_manifest_entry_t *e = &entries[i];

        if (!e->path || !wh_manifest_path_ok(e->path))
            return wh_err_set(err, 400, "manifest_invalid", "\"%s\" is no path of a release",
                              e->path ? e->path : "");
        if (e->size < 0 || e->size > WH_MANIFEST_BYTES_MAX)
            return wh_err_set(err, 413, "too_large", "\"%s\" is too large", e->path);
        if (!wh_sign_is_hex(e->sha256, 64))
            return wh_err_set(err, 400, "manifest_invalid", "\"%s\" has no SHA-256", e->path);
        if (!variants_ok(e))
            return wh_err_set(err, 400, "manifest_invalid",
                              "a variant of \"%s\" has no SHA-256 or is not smaller", e->path);
        if (!e->type)
            e->type = wh_mime_type(e->path);
    }
    qsort(entries, (size_t)n, sizeof(*entries), by_path);
    out = apr_pcalloc(p, sizeof(*out));
    out->n = n;
    out->entries = entries;
    rv = whole(out, limits, err);
    if (rv != APR_SUCCESS)
        return rv;
    finish(p, out);
    *m = out;
    return APR_SUCCESS;
}

/* {"br": {sha256, size}, ...} */
static apr_status_t variants_from_json(apr_pool_t *p, const wh_json_at_t *at,
                                       wh_manifest_entry_t *e, wh_err_t *err)
{
    static const char *const names[] = {"sha256", "size"};
    wh_manifest_variant_t *variants;
    wh_json_at_t all;
    int there = 0;
    apr_status_t rv = wh_json_obj(at, "variants", 0, &all, err);

    if (rv != APR_SUCCESS || !all.obj)
        return rv;
    variants = apr_pcalloc(p, sizeof(*variants) * WH_CODINGS);
    rv = wh_json_only(&all, codings, WH_CODINGS, err);
    for (int v = 0; rv == APR_SUCCESS && v < WH_CODINGS; v++) {
        wh_json_at_t one;
        const char *sha = NULL;
        apr_int64_t size = 0;

        if ((rv = wh_json_obj(&all, codings[v], 0, &one, err)) != APR_SUCCESS || !one.obj)
            continue;
        if ((rv = wh_json_only(&one, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
            (rv = wh_json_str(&one, "sha256", WH_JSON_REQ(64, 64), &sha, err)) != APR_SUCCESS ||
            (rv = wh_json_int(&one, "size", WH_JSON_REQ(1, WH_MANIFEST_BYTES_MAX), &size, err)) !=
                APR_SUCCESS)
            continue;
        apr_cpystrn(variants[v].sha256, sha, sizeof(variants[v].sha256));
        variants[v].size = (apr_off_t)size;
        there = 1;
    }
    e->variants = there ? variants : NULL;
    return rv;
}

/* One {path, size, sha256, mode, variants}. */
static apr_status_t entry_from_json(apr_pool_t *p, const wh_json_at_t *at, wh_manifest_entry_t *e,
                                    wh_err_t *err)
{
    static const char *const names[] = {"path", "size", "sha256", "mode", "variants"};
    const char *path = NULL, *sha = NULL;
    apr_int64_t size = 0, mode = 0;
    apr_status_t rv;
    char where[128];

    if ((rv = wh_json_only(at, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
        (rv = wh_json_str(at, "path", WH_JSON_REQ(1, WH_MANIFEST_PATH_MAX), &path, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_int(at, "size", WH_JSON_REQ(0, WH_MANIFEST_BYTES_MAX), &size, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_str(at, "sha256", WH_JSON_REQ(64, 64), &sha, err)) != APR_SUCCESS ||
        (rv = wh_json_int(at, "mode", WH_JSON_OPT(0, 0777), &mode, err)) != APR_SUCCESS)
        return rv;
    if (!wh_manifest_path_ok(path))
        return wh_err_field(err, wh_json_pointer(at, "path", where), "manifest_invalid",
                            "\"%s\" is no path of a release", path);
    if (!wh_sign_is_hex(sha, 64))
        return wh_err_field(err, wh_json_pointer(at, "sha256", where), "manifest_invalid",
                            "a SHA-256 is 64 lower-case hexadecimal digits");
    e->path = apr_pstrdup(p, path);
    e->size = (apr_off_t)size;
    apr_cpystrn(e->sha256, sha, sizeof(e->sha256));
    return variants_from_json(p, at, e, err);
}

apr_status_t wh_manifest_from_json(apr_pool_t *p, const json_t *array,
                                   const wh_manifest_limits_t *limits, wh_manifest_t **m,
                                   wh_err_t *err)
{
    wh_json_at_t root = wh_json_root(NULL);
    wh_manifest_entry_t *entries;
    apr_status_t rv;
    size_t i, n;

    if (!json_is_array(array))
        return wh_err_field(err, "/manifest", "manifest_invalid", "a manifest is an array");
    n = json_array_size(array);
    rv = count_ok(n, limits, err);
    if (rv != APR_SUCCESS)
        return rv;
    entries = apr_pcalloc(p, n * sizeof(*entries));
    for (i = 0; i < n; i++) {
        const json_t *obj = json_array_get(array, i);
        wh_json_at_t at = wh_json_item(&root, "manifest", i, obj);

        if (!json_is_object(obj))
            return wh_err_field(err, at.pointer, "manifest_invalid", "a file is an object");
        rv = entry_from_json(p, &at, &entries[i], err);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return wh_manifest_make(p, entries, (int)n, limits, m, err);
}

/* Adds them to obj; 0, or -1 when memory ran out. */
static int variants_json(json_t *obj, const wh_manifest_entry_t *e)
{
    json_t *all = json_object();
    int bad = json_object_set_new(obj, "variants", all);

    for (int v = 0; v < WH_CODINGS; v++) {
        const wh_manifest_variant_t *variant = &e->variants[v];

        if (variant->size > 0)
            bad |= json_object_set_new(all, codings[v],
                                       json_pack("{s:s, s:I}", "sha256", variant->sha256, "size",
                                                 (json_int_t)variant->size));
    }
    return bad;
}

json_t *wh_manifest_json(const wh_manifest_t *m)
{
    json_t *array = json_array();
    int i;

    for (i = 0; array && i < m->n; i++) {
        const wh_manifest_entry_t *e = &m->entries[i];
        json_t *obj = json_pack("{s:s, s:I, s:s, s:i}", "path", e->path, "size",
                                (json_int_t)e->size, "sha256", e->sha256, "mode", 0644);
        if (!obj || (e->variants && variants_json(obj, e) != 0)) {
            json_decref(obj);
            json_decref(array);
            return NULL;
        }
        if (json_array_append_new(array, obj) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

char *wh_manifest_text(apr_pool_t *p, const wh_manifest_t *m, size_t *len)
{
    size_t total = sizeof(head) - 1;
    char *text, *at;
    int i;

    total += (size_t)m->variants * (1 + 4 + 1 + 64 + 1 + 20 + 1);
    for (i = 0; i < m->n; i++)
        total += 64 + 1 + 20 + 1 + strlen(m->entries[i].type) + 1 + strlen(m->entries[i].path) + 1;
    text = at = apr_palloc(p, total + 1);
    memcpy(at, head, sizeof(head) - 1);
    at[VERSION_AT] = m->variants > 0 ? '2' : '1';
    at += sizeof(head) - 1;
    for (i = 0; i < m->n; i++) {
        const wh_manifest_entry_t *e = &m->entries[i];
        at += apr_snprintf(at, (apr_size_t)(text + total + 1 - at),
                           "%s %" APR_OFF_T_FMT " %s %s\n", e->sha256, e->size, e->type, e->path);
        for (int v = 0; e->variants && v < WH_CODINGS; v++) {
            const wh_manifest_variant_t *variant = &e->variants[v];

            if (variant->size > 0)
                at += apr_snprintf(at, (apr_size_t)(text + total + 1 - at),
                                   " %s %s %" APR_OFF_T_FMT "\n", codings[v], variant->sha256,
                                   variant->size);
        }
    }
    *len = (size_t)(at - text);
    return text;
}

static apr_status_t corrupt(wh_err_t *err, const char *why)
{
    return wh_err_set(err, 500, "manifest_corrupt", "the manifest is damaged: %s", why);
}

/* A type as we write it: one word of printable ASCII with a slash in it. */
static int type_ok(const char *type)
{
    const char *s;

    for (s = type; *s; s++) {
        if (*s <= ' ' || *s >= 0x7f)
            return 0;
    }
    return s - type >= 3 && s - type <= 127 && strchr(type, '/');
}

/* Decimal digits and nothing else, without a leading zero. -1 when it is not one. */
static apr_off_t size_of(const char *size)
{
    size_t digits = strspn(size, "0123456789");
    apr_int64_t n;

    if (digits == 0 || digits > 10 || size[digits] != '\0' || (size[0] == '0' && digits > 1))
        return -1;
    n = apr_strtoi64(size, NULL, 10);
    return n <= WH_MANIFEST_BYTES_MAX ? (apr_off_t)n : -1;
}

/* "<sha256> <size> <type> <path>", cut at its blanks in place. NULL = fine. */
static const char *parse_line(char *line, wh_manifest_entry_t *e)
{
    char *size, *type, *path;

    size = strchr(line, ' ');
    type = size ? strchr(size + 1, ' ') : NULL;
    path = type ? strchr(type + 1, ' ') : NULL;
    if (!path)
        return "a line is too short";
    *size++ = *type++ = *path++ = '\0';
    e->size = size_of(size);
    if (e->size < 0)
        return "a size is no number in range";
    if (!wh_sign_is_hex(line, 64) || !type_ok(type) || !wh_manifest_path_ok(path))
        return "a line is malformed";
    apr_cpystrn(e->sha256, line, sizeof(e->sha256));
    e->type = type;
    e->path = path;
    return NULL;
}

/* "<coding> <sha256> <size>" after its blank. *last is the coding of the line before, -1 for the
 * first of a file. NULL = fine. */
static const char *parse_variant(char *line, wh_manifest_variant_t *variants, int *last)
{
    char *sha = strchr(line, ' '), *size = sha ? strchr(sha + 1, ' ') : NULL;
    int v = *last + 1;

    if (!size)
        return "a line of a variant is too short";
    *sha++ = *size++ = '\0';
    while (v < WH_CODINGS && strcmp(codings[v], line) != 0)
        v++;
    if (v >= WH_CODINGS)
        return "a coding is unknown or out of order";
    variants[v].size = size_of(size);
    if (variants[v].size < 1 || !wh_sign_is_hex(sha, 64))
        return "a line of a variant is malformed";
    apr_cpystrn(variants[v].sha256, sha, sizeof(variants[v].sha256));
    *last = v;
    return NULL;
}

/* All lines of text, which ends with a line end; cut in place. NULL = fine. */
static const char *parse_lines(apr_pool_t *p, char *text, wh_manifest_t *out)
{
    wh_manifest_variant_t *variants = NULL;
    const char *fault = NULL;
    int last = -1;

    for (char *line = text; !fault && *line;) {
        char *next = line + strcspn(line, "\n") + 1;
        wh_manifest_entry_t *e = out->n > 0 ? &out->entries[out->n - 1] : NULL;

        next[-1] = '\0';
        if (*line == ' ' && e) {
            if (!e->variants)
                e->variants = variants = apr_pcalloc(p, sizeof(*variants) * WH_CODINGS);
            fault = parse_variant(line + 1, variants, &last);
            if (!fault && !variants_ok(e))
                fault = "a variant is not smaller than its file";
            out->variants++;
        } else {
            fault = parse_line(line, &out->entries[out->n++]);
            if (!fault && e && strcmp(e->path, e[1].path) >= 0)
                fault = "its order";
            last = -1;
        }
        line = next;
    }
    return fault;
}

apr_status_t wh_manifest_parse(apr_pool_t *p, const char *buf, size_t len, wh_manifest_t **m,
                               wh_err_t *err)
{
    size_t h = sizeof(head) - 1, i, files = 0;
    wh_manifest_t *out;
    const char *fault;

    if (len <= h || memcmp(buf, head, VERSION_AT) != 0 || buf[h - 1] != '\n' ||
        (buf[VERSION_AT] != '1' && buf[VERSION_AT] != '2') || memchr(buf, 0, len) ||
        buf[len - 1] != '\n')
        return corrupt(err, "it does not begin or end as one");
    for (i = h; i < len; i++)
        files += buf[i - 1] == '\n' && buf[i] != ' ';
    if (files == 0 || files > WH_MANIFEST_FILES_MAX || buf[h] == ' ')
        return corrupt(err, "the number of files");
    out = apr_pcalloc(p, sizeof(*out));
    out->entries = apr_pcalloc(p, files * sizeof(*out->entries));
    fault = parse_lines(p, apr_pstrmemdup(p, buf + h, len - h), out);
    if (fault)
        return corrupt(err, fault);
    if ((buf[VERSION_AT] == '2') != (out->variants > 0))
        return corrupt(err, "its version");
    if (whole(out, NULL, NULL) != APR_SUCCESS)
        return corrupt(err, "its files do not fit together");
    finish(p, out);
    *m = out;
    return APR_SUCCESS;
}

const char *wh_manifest_id(const wh_manifest_t *m)
{
    return m->id;
}

const wh_manifest_entry_t *wh_manifest_find(const wh_manifest_t *m, const char *path)
{
    int lo = 0, hi = m->n;

    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        int c = strcmp(path, m->entries[mid].path);

        if (c == 0)
            return &m->entries[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

int wh_manifest_each_object(const wh_manifest_t *m, wh_manifest_object_fn *fn, void *baton)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < m->n; i++) {
        const wh_manifest_entry_t *e = &m->entries[i];

        rc = fn(baton, e->sha256, e->size);
        for (int v = 0; rc == 0 && e->variants && v < WH_CODINGS; v++) {
            if (e->variants[v].size > 0)
                rc = fn(baton, e->variants[v].sha256, e->variants[v].size);
        }
    }
    return rc;
}
