/* The engine's JSON, both ways, without any connection: what a container is made from, and what the
 * engine says about it. An engine is trusted with the machine, but its answers are still read
 * strictly: every value is looked at by type, and what is missing counts as not granted. Pure. */
#ifndef WH_AGENT_ENGINE_JSON_H
#define WH_AGENT_ENGINE_JSON_H

#include "wh-agent/engine.h"

/* The body of POST /containers/create. A new reference. */
json_t *wh_engine_json_spec(const wh_engine_spec_t *spec);

/* {"key":"value",…}; a new reference. */
json_t *wh_engine_json_labels(const apr_array_header_t *labels);

/* The body of GET /containers/{id}/json. Codes: engine_error. */
apr_status_t wh_engine_json_seen(apr_pool_t *p, const char *body, size_t n, wh_engine_seen_t *seen,
                                 wh_err_t *err) WH_MUST_CHECK;

/* The body of GET /containers/{id}/stats. Memory is without the page cache that can be given back
 * (inactive_file); what the engine leaves out is 0. Codes: engine_error when there is no CPU time
 * or memory in it, as for a container that has just ended. Pure. */
apr_status_t wh_engine_json_use(apr_pool_t *p, const char *body, size_t n, wh_engine_use_t *use,
                                wh_err_t *err) WH_MUST_CHECK;

/* Whether an engine of that name ("podman 4.3.1") takes in and out for each other: Podman before
 * 4.4 (containers/podman#16618). */
int wh_engine_use_swapped(const char *engine);

/* Control groups of the first form: what of a container's memory is page cache that can be given
 * back, by memory.stat of its group below `root`; `groups` is the text of /proc/<pid>/cgroup. 0 =
 * not known. */
apr_int64_t wh_engine_use_cache(apr_pool_t *p, const char *root, const char *groups);

/* Whether this machine has control groups of the first form. */
int wh_engine_use_form1(void);
/* There: takes the page cache of that process's group out of use->memory_bytes. */
void wh_engine_use_trim(apr_pool_t *p, apr_int64_t pid, wh_engine_use_t *use);

/* The body of GET /containers/json or /images/json: *items of wh_engine_item_t. Codes:
 * engine_error. */
apr_status_t wh_engine_json_list(apr_pool_t *p, const char *body, size_t n,
                                 apr_array_header_t **items, wh_err_t *err) WH_MUST_CHECK;

/* The body of GET /images/{name}/json. Codes: engine_error. */
apr_status_t wh_engine_json_image(apr_pool_t *p, const char *body, size_t n,
                                  wh_engine_image_t *image, wh_err_t *err) WH_MUST_CHECK;

/* The body of GET /images/{name}/history: add what its ONBUILD steps say to `onbuild`. Codes:
 * engine_error. */
apr_status_t wh_engine_json_history(apr_pool_t *p, const char *body, size_t n,
                                    apr_array_header_t *onbuild, wh_err_t *err) WH_MUST_CHECK;

/* Whether a line of the events says that a container ended, or was killed for want of memory. */
int wh_engine_json_is_end(apr_pool_t *p, const char *line, size_t n);

/* {"message":"…"} of a refusal, as one clean line; "" when there is none. In p. */
const char *wh_engine_json_message(apr_pool_t *p, const char *body, size_t n);

/* One string or number member of an object body: "" or -1 when it is not there. */
const char *wh_engine_json_str(apr_pool_t *p, const char *body, size_t n, const char *key);
apr_int64_t wh_engine_json_int(apr_pool_t *p, const char *body, size_t n, const char *key);

/* {"name":"podman 4.3.1","api":"1.41"} of GET /version: *name in p, the API version to speak as
 * "v1.41" (1.41, or the lowest that the engine still speaks). Codes: engine_error. */
apr_status_t wh_engine_json_version(apr_pool_t *p, const char *body, size_t n, const char **name,
                                    const char **api, wh_err_t *err) WH_MUST_CHECK;

/* Compare what was asked with what there is (D3). "" when nothing differs, else what does, in p. */
const char *wh_engine_json_differs(apr_pool_t *p, const wh_engine_spec_t *spec,
                                   const wh_engine_seen_t *seen);

#endif
