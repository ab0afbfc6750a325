/* wh_drain: what is to be done about an app that still lives on a worker that is being emptied. It
 * moves by a deployment of its own commit (trigger `drain`), which the planner places elsewhere.
 * Pure; thread-safe. */
#ifndef WH_DRAIN_H
#define WH_DRAIN_H

#include "libwh/wh_model.h"

/* The deployment that an app+environment's name shows, and where its containers are. */
typedef struct wh_drain_app_t {
    const char *app_id, *environment, *deployment_id;
    wh_desired_e desired;
    int removed;          /* its worker is gone for good; else it is draining */
    int open;             /* some deployment of the app+environment is not over */
    apr_time_t since;     /* when draining began; 0 for a removed worker */
    apr_time_t failed_at; /* when the last move that came to nothing was made; 0 = none */
} wh_drain_app_t;

typedef enum wh_drain_do_e {
    WH_DRAIN_MOVE,    /* make its deployment */
    WH_DRAIN_WAIT,    /* something is under way: look again afterwards */
    WH_DRAIN_FAILED,  /* its move failed or was canceled: not again in this drain */
    WH_DRAIN_STOPPED, /* its owner stopped it: nothing of it runs */
    WH_DRAIN_SAME     /* the same app+environment as the row before */
} wh_drain_do_e;

/* One row, prev = the one before in order of app and environment (NULL = none). */
wh_drain_do_e wh_drain_judge(const wh_drain_app_t *app, const wh_drain_app_t *prev);

#endif
