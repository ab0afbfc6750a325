/* What a build made, out of its image (F288): the engine's tar stream of one directory of a
 * container that never runs. Nothing of it gets a name on this machine: the contents go into one
 * file without a name, and what is known of each is kept in memory.
 *
 * The stream is the tenant's. Only regular files count, and hard links to such; links, devices,
 * FIFOs and sockets are listed as what they are, for whoever takes the list to leave out. A name
 * that leads outside, is there twice or lies below something that is no directory refuses it all,
 * as do sizes over a release's limits, whatever the heads say (XH1, XH4, XH6). */
#ifndef WH_AGENT_OUTPUT_H
#define WH_AGENT_OUTPUT_H

#include "wh-agent/source.h"
#include "wh-agent/work.h"

typedef struct wh_output_t wh_output_t;

/* path is absolute, in the image; temporary files lie in spool_dir. The output lives as long as
 * work->p. Codes: output_missing, output_refused, too_large, too_many_files, those of the engine.
 */
typedef struct wh_output_opts_t {
    const char *image, *path, *spool_dir;
    wh_mono_t deadline;
} wh_output_opts_t;
apr_status_t wh_output_copy(wh_work_t *work, wh_engine_t *engine, const wh_output_opts_t *opts,
                            wh_output_t **out, wh_err_t *err) WH_MUST_CHECK;

/* The second half of it: a tar file of which every name begins with `base`. */
apr_status_t wh_output_parse(apr_pool_t *p, int tar_fd, const char *base, const char *spool_dir,
                             wh_output_t **out, wh_err_t *err) WH_MUST_CHECK;

/* As git lists a tree; the oid of a file is its SHA-256. fn may end it. */
void wh_output_list(const wh_output_t *out, wh_lstree_fn *fn, void *baton);

/* As wh_source_read. Codes: internal. */
apr_status_t wh_output_read(const wh_output_t *out, const wh_source_read_t *what, int *ended,
                            wh_err_t *err) WH_MUST_CHECK;

#endif
