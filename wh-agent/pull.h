/* An image that was built elsewhere, in the place of one that is built here: pulled from its
 * registry, checked, and given the app's own name and label. From there on it is as any other image
 * of the app: kept, counted, taken up by a rollback, removed. Its name of the registry goes again,
 * unless it was here before: a build of another app, which has not the login to that registry,
 * finds nothing under it. On the job's thread. */
#ifndef WH_AGENT_PULL_H
#define WH_AGENT_PULL_H

#include "libwh/wh_imageref.h"
#include "wh-agent/work.h"

typedef struct wh_pull_t {
    const char *image;  /* "sha256:…", as the engine knows it */
    const char *digest; /* as the registry knows it */
} wh_pull_t;

/* Codes: image_refused (its registry may not be used here, or what it does is not allowed),
 * pull_failed, digest_mismatch, too_large, pull_timeout, those of the engine. */
apr_status_t wh_pull_image(wh_work_t *work, wh_engine_t *e, wh_pull_t *out,
                           wh_err_t *err) WH_MUST_CHECK;

/* Whether the agent's `registries` has this one: by its own name, wherever it is, or by "*", at
 * public addresses only. Blocks. Codes: image_refused, pull_failed (no such host). */
apr_status_t wh_pull_registry_check(apr_pool_t *p, const char *registries,
                                    const wh_imageref_t *ref, wh_err_t *err) WH_MUST_CHECK;

/* Which of an image's digests ("name@sha256:…") is this reference's: "" = none. Docker leaves
 * docker.io/ and library/ out of names. Pure. */
const char *wh_pull_digest(const apr_array_header_t *digests, const wh_imageref_t *ref,
                           const char *wanted);

#endif
