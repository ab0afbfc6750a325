/* Which images this agent has made: a mark each, "<state_dir>/images/<app>/<deployment>", of a
 * preview "<state_dir>/images/<app>.preview/<deployment>", written before the image gets its name
 * "localhost/wisehost/<app>:<deployment>". Previews are counted by themselves: however many branches
 * are pushed, what production may go back to stays.
 *
 * An engine that keeps many images takes long to list them, and one that was killed in the middle
 * of a build may not be able to list them at all (Podman 4: one damaged image fails the list). So
 * what is superseded goes by these marks, an image a call; the list is for what has no name.
 * Deployments' ids are ULIDs: their order is that of time. */
#ifndef WH_AGENT_MADE_H
#define WH_AGENT_MADE_H

#include "wh-agent/engine.h"

typedef struct wh_made_t {
    const char *app, *deployment;
    int preview; /* it was built for a branch's preview */
} wh_made_t;

/* The image's name, in p. */
const char *wh_made_tag(apr_pool_t *p, const char *app, const char *deployment);

/* Makes the mark; it may be there. Codes: those of wh_fsutil_write. Any thread. */
apr_status_t wh_made_note(apr_pool_t *p, const char *state_dir, const wh_made_t *made,
                          wh_err_t *err) WH_MUST_CHECK;

/* Removes the mark, and its app's directory with the last one. A failure does not matter: the mark
 * is looked at again. */
void wh_made_forget(apr_pool_t *p, const char *state_dir, const wh_made_t *made);

/* All marks: wh_made_t in p, an app's one after the other, newest first, those of its previews
 * after the others. state_dir NULL = none. */
apr_array_header_t *wh_made_list(apr_pool_t *p, const char *state_dir);

typedef struct wh_made_in_t {
    const apr_array_header_t *made;       /* as wh_made_list has it */
    const apr_array_header_t *containers; /* wh_engine_item_t: of all of ours; theirs are in use */
    const apr_array_header_t *building;   /* const char *: deployments of jobs that run */
    apr_int64_t kept; /* images of each app, and of its previews, newest first */
} wh_made_in_t;

/* 1 when both count among the same. Pure. */
int wh_made_together(const wh_made_t *a, const wh_made_t *b);

/* 1 when something runs, or may yet run, from this deployment's image. Pure. */
int wh_made_in_use(const wh_made_in_t *in, const char *deployment);

/* Those that go, oldest first: wh_made_t in p. In use and building ones stay, and count. Pure. */
apr_array_header_t *wh_made_superseded(apr_pool_t *p, const wh_made_in_t *in);

#endif
