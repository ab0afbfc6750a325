/* What the files of a release on its way share. All of it belongs to the job's thread, or to the
 * one that it waits for. */
#ifndef WH_AGENT_RELEASE_INT_H
#define WH_AGENT_RELEASE_INT_H

#include <apr_hash.h>
#include <apr_tables.h>
#include "wh-agent/api.h"
#include "wh-agent/blobs.h"
#include "wh-agent/release.h"
#include "wh-agent/variants.h"

#define WH_RELEASE_KEEP_MAX                                                                        \
    (2 * WH_MIB) /* of contents held between hashing and sending, all together */
#define WH_RELEASE_SPOOL_MIN (1 * WH_MIB) /* a larger object goes through a file */

typedef struct wh_release_file_t {
    const char *path;
    char oid[65];
    apr_int64_t size;
    unsigned mode;
    int variants; /* it is of a kind that is compressed */
} wh_release_file_t;

/* A content that is held: it was made or read to be hashed, and is likely to be sent. */
typedef struct wh_release_kept_t {
    const char *data; /* NULL = in the spool, from `at` on */
    apr_off_t at;
    apr_int64_t n;
} wh_release_kept_t;

typedef struct wh_release_run_t {
    wh_work_t *work;
    apr_pool_t *p;
    const wh_source_t *source;
    const wh_output_t *output; /* NULL = the files are the source's */
    apr_array_header_t *files; /* wh_release_file_t */
    apr_int64_t bytes;
    int left_out;
    int has_index;
    const char *large; /* what is said of a file that is larger than any may be; NULL = none is */
    enum { WH_RELEASE_FITS, WH_RELEASE_TOO_MANY, WH_RELEASE_TOO_LARGE } fit;
    wh_blobs_t *blobs;
    wh_variants_t *variants;
    apr_hash_t *kept; /* sha256 -> wh_release_kept_t */
    apr_int64_t kept_bytes;
    int spool; /* of variants, a file without a name; -1 = not made yet */
    apr_off_t spooled;
    wh_api_t *api;
    char *batch; /* small objects on their way (libwh/wh_batch.h), malloc()ed; NULL = none yet */
    size_t batch_n;
    int batch_objects;
} wh_release_run_t;

/* wh_source_read, of whichever of the two it is. */
apr_status_t wh_release_read(const wh_release_run_t *r, const wh_source_read_t *what, int *ended,
                             wh_err_t *err) WH_MUST_CHECK;

/* What is known of the variants of a file, NULL = nothing, or there are none. */
const wh_variants_entry_t *wh_release_variants(const wh_release_run_t *r,
                                               const wh_release_file_t *file);

/* Each content that was never seen before is read, hashed and, where it is worth it, compressed:
 * once. Codes: those of wh_source_read. */
apr_status_t wh_release_hash(wh_release_run_t *r, wh_err_t *err) WH_MUST_CHECK;

/* The lines of _redirects and _headers that will not be taken, into the log. Never fails. */
void wh_release_rules(wh_release_run_t *r);

/* One call to the server, said again for a while where it may pass. Codes: those of wh_api_call. */
apr_status_t wh_release_call(wh_release_run_t *r, apr_pool_t *p, wh_api_call_t *c, json_t **reply,
                             wh_err_t *err) WH_MUST_CHECK;

/* Stores the object that c's data or file holds: a small one waits for others, until
 * wh_release_flush at the latest; its bytes are copied. */
apr_status_t wh_release_put(wh_release_run_t *r, apr_pool_t *p, const char *sha256,
                            wh_api_call_t *c, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_release_flush(wh_release_run_t *r, wh_err_t *err) WH_MUST_CHECK;

/* Announce, send what is missing, commit. */
apr_status_t wh_release_upload(wh_release_run_t *r, const wh_manifest_t *m, wh_release_done_t *done,
                               wh_err_t *err) WH_MUST_CHECK;

#endif
