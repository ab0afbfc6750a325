/*
 * wh_mod_push: one push, from what its hook tells (wh_mod_talk.h) to what came of it.
 *
 * pre-receive: refs and options are judged, the app is made if this is its first push, and the push
 * waits its turn among those to the same app. A strict push is deployed here, while git still keeps
 * its objects apart, so that a refusal leaves nothing behind. post-receive: what git took is
 * deployed and followed. Everything happens on the request's thread, between two polls.
 */
#ifndef WH_MOD_PUSH_H
#define WH_MOD_PUSH_H

#include "libwh/wh_commit.h"
#include "libwh/wh_push.h"
#include "mod_wisehost/wh_mod_git.h"

typedef struct wh_push_ref_t {
    const char *old, *new, *name, *branch;
    int gone;        /* the branch is deleted */
    int taken;       /* post-receive names it */
    int dockerfile;  /* its tree has one */
    const char *tip; /* what the branch names, as the hook looked again */
    wh_commit_t commit;
    const char *environment; /* NULL: it is not deployed */
    const char *why_not;     /* for people */
    const char *deployment;  /* id, NULL: not made */
    /* what was told of it so far */
    apr_int64_t log_seq;
    wh_phase_e phase;
    int told_cause, over;
    wh_conclusion_e conclusion;
} wh_push_ref_t;

typedef enum wh_push_state_e {
    WH_PUSH_HEARS, /* the hook's turn */
    WH_PUSH_LOCKS, /* another push to this app is being judged or deployed */
    WH_PUSH_LOOKS, /* the hook tells what the branches name now */
    WH_PUSH_WAITS, /* for deployments */
    WH_PUSH_IDLE   /* the hook was told to end */
} wh_push_state_e;

typedef struct wh_push_t {
    wh_call_t *c;
    apr_pool_t *p, *turn; /* of the request; of one turn */
    wh_git_repo_t repo;
    const char *new_id; /* of the app that this push makes; NULL when there is one */
    int made;           /* it was made */
    wh_push_state_e state;
    int post; /* post-receive speaks */
    int lock_fd;
    const char *quarantine;
    int asked; /* names that the request asks for: the hook can hear of no more */
    int n_options;
    wh_push_opts_t opts;
    apr_array_header_t *refs; /* wh_push_ref_t */
    apr_time_t since;         /* of the state */
    apr_time_t db_lost;       /* since when, 0 = it answers */
    int told_wait;
    /* the conversation */
    char *in, *out;
    apr_size_t n_in, n_out, room_out;
    apr_size_t commit_left; /* bytes of a commit's text that are still to come */
    char *commit;
    apr_size_t n_commit;
    const char *commit_oid;
    int broken;
} wh_push_t;

/* new_id is NULL unless the push makes its app. */
wh_push_t *wh_mod_push_make(wh_call_t *c, const wh_git_repo_t *repo, const char *new_id);

/* Bytes of the hook. 0, or -1 when they are none that it says. */
int wh_mod_push_feed(wh_push_t *push, const char *data, apr_size_t n);
/* Bytes for the hook; the caller takes n of them away when they were written. */
const char *wh_mod_push_out(const wh_push_t *push, apr_size_t *n);
void wh_mod_push_sent(wh_push_t *push, apr_size_t n);

/* Milliseconds until wh_mod_push_turn should be called; -1: only when the hook spoke. */
int wh_mod_push_wait(const wh_push_t *push);
void wh_mod_push_turn(wh_push_t *push);

/* No more time: a strict push is refused, another goes on without its audience. */
void wh_mod_push_late(wh_push_t *push);

/* The end, whatever came before: locks and loans go; a strict push that nobody waits for any more
 * is canceled. */
void wh_mod_push_over(wh_push_t *push);

/* One line for the person who pushes. */
void wh_mod_push_say(wh_push_t *push, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- what is written: wh_h_push.c ------------------------------------------------------------ */

/* Makes the app of a first push; c->app is it afterwards. */
apr_status_t wh_h_push_app(wh_push_t *push, const char *branch, int dockerfile) WH_MUST_CHECK;
/* Where each ref goes, or why nowhere. */
apr_status_t wh_h_push_plan(wh_push_t *push) WH_MUST_CHECK;
/* Makes the deployments of refs that go somewhere (post: and were taken) and closes the previews of
 * deleted branches. */
apr_status_t wh_h_push_deploy(wh_push_t *push) WH_MUST_CHECK;
/* Looks at a deployment once and tells what is new. */
void wh_h_push_look(wh_push_t *push, wh_push_ref_t *ref);
/* Asks for the deployments that are under way to be canceled. */
void wh_h_push_cancel(wh_push_t *push);

#endif
