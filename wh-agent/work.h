/* What a job's thread works with: everything it may read, nothing that it shares unlocked. */
#ifndef WH_AGENT_WORK_H
#define WH_AGENT_WORK_H

#include "libwh/wh_mask.h"
#include "libwh/wh_proto_msg.h"
#include "wh-agent/cancel.h"
#include "wh-agent/conf.h"
#include "wh-agent/engine.h"
#include "wh-agent/identity.h"
#include "wh-agent/logs.h"
#include "wh-agent/source.h"

typedef struct wh_work_t wh_work_t;

/* The job has come to this phase; commit may be NULL while it is not known. On the job's thread. */
typedef void wh_work_phase_fn(void *baton, wh_phase_e phase, const wh_msg_commit_t *commit);

struct wh_work_t {
    apr_pool_t *p; /* the job's own */
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
    wh_identity_t *identity;
    wh_engine_open_fn *engine; /* NULL = none */
    const char *engine_root;   /* where it keeps its things; NULL or "" = not known */
    const char *mark;          /* environment entry of all child processes */
    const wh_cancel_t *cancel;
    wh_logs_t *logs;
    const wh_msg_job_t *job;
    wh_work_phase_fn *phase;
    void *phase_baton;
    /* A container has stopped, and goes when this returns. NULL = nobody asks. */
    void (*stopped)(void *baton, const char *container);
    void *stopped_baton;
    const wh_msg_commit_t *commit; /* once it is known; NULL before */
    const wh_mask_t *mask; /* of this job's secrets; NULL = there are none */
    int in_engine;        /* something of this job may be in the engine */
    const char *repo_run; /* JSON, see recipe.h; "" or NULL = as the app has it */
    int settled; /* whether the engine said of each build of this job that it is over */
};

/* The labels of everything in the engine that this job makes: an array of wh_engine_label_t. */
apr_array_header_t *wh_work_labels(const wh_work_t *work);

/* Those of its image. */
apr_array_header_t *wh_work_image_labels(const wh_work_t *work);

/* The name of the app's own network. */
const char *wh_work_network(apr_pool_t *p, const char *app_id);

#endif
