/* wh_manifest: what a static release holds: path -> size, hash, type; sorted by path, immutable.
 *
 * Its text is the release: "wisehost-manifest 1\n" (2 where a file has a variant), then one line a
 * file, "<sha256> <size> <type> <path>\n", each followed by a line a variant in the order of
 * wh_coding_e, " <coding> <sha256> <size>\n". The release id is the first 40 hex digits of the
 * SHA-256 of that text, so equal content has one id. A variant is the same content compressed, an
 * object of its own, smaller than the file (RFC 9110, 8.4.1 for the codings' names). A type never
 * holds a space ("text/html;charset=utf-8").
 * Paths are relative, so that no byte of a request or of a repository names a file outside.
 * A manifest is read-only once made and may then be read by any thread. */
#ifndef WH_MANIFEST_H
#define WH_MANIFEST_H

#include <apr_pools.h>
#include <jansson.h>

#include "libwh/wh_err.h"
#include "libwh/wh_json.h"

#define WH_MANIFEST_ID_LEN 40
#define WH_MANIFEST_PATH_MAX 1024
#define WH_MANIFEST_DEPTH_MAX 32
#define WH_MANIFEST_FILES_MAX 20000
#define WH_MANIFEST_BYTES_MAX (APR_INT64_C(1) << 30)
/* For wh_json_load of a body that carries a manifest. */
#define WH_MANIFEST_BODY_MAX ((size_t)32 * 1024 * 1024)
#define WH_MANIFEST_JSON_LIMITS                                                                   \
    (&(const wh_json_limits_t){                                                                   \
        .bytes = WH_MANIFEST_BODY_MAX, .depth = 6, .values = WH_MANIFEST_FILES_MAX * 16 + 16})

/* Content codings, the one that is sent first where a client takes several alike. */
typedef enum wh_coding_e { WH_CODING_BR, WH_CODING_ZSTD, WH_CODING_GZIP, WH_CODINGS } wh_coding_e;

typedef struct wh_manifest_variant_t {
    apr_off_t size; /* 0 = there is none */
    char sha256[65];
} wh_manifest_variant_t;

typedef struct wh_manifest_entry_t {
    const char *path;
    apr_off_t size;
    char sha256[65]; /* lower case */
    const char *type;
    const wh_manifest_variant_t *variants; /* WH_CODINGS of them, or NULL */
} wh_manifest_entry_t;

typedef struct wh_manifest_t {
    int n;
    wh_manifest_entry_t *entries; /* sorted by path, byte order */
    apr_off_t bytes;              /* sum of sizes, variants not among them */
    int variants;                 /* how many there are in all */
    char id[WH_MANIFEST_ID_LEN + 1];
} wh_manifest_t;

typedef struct wh_manifest_limits_t {
    int files;
    apr_off_t bytes;
} wh_manifest_limits_t;

/* A relative path without empty, "." or ".." segment, leading or trailing '/', control byte or
 * backslash; valid UTF-8; ≤ 1024 bytes, ≤ 32 segments. 1 or 0. */
int wh_manifest_path_ok(const char *path);

/* 40 lower-case hex digits: the only form of a release id that may become part of a file name. */
int wh_manifest_id_ok(const char *id);

/* "br", "zstd", "gzip". */
const char *wh_manifest_coding_text(wh_coding_e coding);

/* From the array [{path, size, sha256, mode, variants}...] of an agent; mode is optional and only
 * checked (0-0777 as an integer): files are always stored 0644. variants is optional:
 * {"br": {sha256, size}, ...}. limits NULL = the maxima above. All in p.
 * Codes: manifest_invalid (400, with pointer), too_many_files, too_large (413), output_missing
 * (422: no file). */
apr_status_t wh_manifest_from_json(apr_pool_t *p, const json_t *array,
                                   const wh_manifest_limits_t *limits, wh_manifest_t **m,
                                   wh_err_t *err) WH_MUST_CHECK;

/* The other way, for agents: a new reference, or NULL when memory ran out. */
json_t *wh_manifest_json(const wh_manifest_t *m);

/* Sorts entries, fills in types where NULL, checks paths and doubles, counts, makes the id. For an
 * agent that walked a directory itself. The entries are used in place. Codes as from_json. */
apr_status_t wh_manifest_make(apr_pool_t *p, wh_manifest_entry_t *entries, int n,
                              const wh_manifest_limits_t *limits, wh_manifest_t **m,
                              wh_err_t *err) WH_MUST_CHECK;

/* The text of a manifest, in p, its length in *len. */
char *wh_manifest_text(apr_pool_t *p, const wh_manifest_t *m, size_t *len);

/* Reads such a text (buf is copied). Everything is checked as in from_json, the order too, so a
 * damaged file is refused. Code: manifest_corrupt (500). */
apr_status_t wh_manifest_parse(apr_pool_t *p, const char *buf, size_t len, wh_manifest_t **m,
                               wh_err_t *err) WH_MUST_CHECK;

/* m->id */
const char *wh_manifest_id(const wh_manifest_t *m);

/* Each object that m needs, files and variants, as often as it is named. fn may end it by a result
 * other than 0, which is handed back. */
typedef int wh_manifest_object_fn(void *baton, const char *sha256, apr_off_t size);
int wh_manifest_each_object(const wh_manifest_t *m, wh_manifest_object_fn *fn, void *baton);

/* The entry of exactly this path (no leading '/'), or NULL. Binary search. */
const wh_manifest_entry_t *wh_manifest_find(const wh_manifest_t *m, const char *path);

#endif
