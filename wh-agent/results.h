/* Results of jobs, kept until the hub has acknowledged them: a file each under state_dir/results,
 * so that no outcome is lost with the process; and the marks of jobs that were begun, under
 * state_dir/jobs, so that a new life of the agent knows what to clear away. */
#ifndef WH_AGENT_RESULTS_H
#define WH_AGENT_RESULTS_H

#include <apr_tables.h>
#include "libwh/wh_proto_msg.h"

typedef struct wh_results_t wh_results_t;

/* Read what a former life left. A file that cannot be read is set aside with a warning. Errors:
 * state_unwritable. */
apr_status_t wh_results_open(apr_pool_t *p, const char *state_dir, wh_results_t **results,
                             wh_err_t *err) WH_MUST_CHECK;

/* Write one durably. payload is the frame's, borrowed. Any thread. Errors: state_unwritable. */
apr_status_t wh_results_store(const char *state_dir, apr_pool_t *p, const wh_msg_ref_t *ref,
                              const json_t *payload, wh_err_t *err) WH_MUST_CHECK;

/* The rest: the link's thread only. */

/* Remember one that was stored (steals payload). */
void wh_results_add(wh_results_t *results, const wh_msg_ref_t *ref, json_t *payload);

/* Its payload, borrowed, or NULL; epoch 0 = any. */
json_t *wh_results_find(const wh_results_t *results, const char *job, apr_int64_t epoch);

/* Acknowledged: forget it, on disk too. Returns true when there was such a one. */
int wh_results_drop(wh_results_t *results, const wh_msg_ref_t *ref);

/* All that are kept: array of wh_msg_ref_t in p, oldest first. */
apr_array_header_t *wh_results_refs(const wh_results_t *results, apr_pool_t *p);

/* Which of them still have to be sent on this connection: their refs in p; and after a new
 * connection: all. */
apr_array_header_t *wh_results_unsent(const wh_results_t *results, apr_pool_t *p);
void wh_results_sent(wh_results_t *results, const char *job);
void wh_results_rewind(wh_results_t *results);

/* Marks of jobs begun. Any thread. */
apr_status_t wh_results_mark(const char *state_dir, apr_pool_t *p, const wh_msg_job_t *job,
                             wh_err_t *err) WH_MUST_CHECK;
void wh_results_unmark(const char *state_dir, apr_pool_t *p, const char *job);
/* The ids of jobs that are marked: array of const char * in p. */
apr_array_header_t *wh_results_marked(const char *state_dir, apr_pool_t *p);

#endif
