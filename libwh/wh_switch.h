/* wh_switch: what becomes of a wish to go to another deployment: a rollback within an environment,
 * or a promotion, by which an environment takes another one's deployment. Asked by the module when
 * the wish comes in, and once more by the scheduler when it carries it out. Pure, thread-safe. */
#ifndef WH_SWITCH_H
#define WH_SWITCH_H

#include <apr_pools.h>

#include "libwh/wh_model.h"

/* The worker that has a deployment's image. */
typedef enum wh_switch_worker_e {
    WH_SWITCH_WORKER_GONE,     /* removed, or there never was one */
    WH_SWITCH_WORKER_DRAINING, /* being emptied: it takes nothing new */
    WH_SWITCH_WORKER_OFFLINE,
    WH_SWITCH_WORKER_READY
} wh_switch_worker_e;

/* The target, as the database has it. */
typedef struct wh_switch_facts_t {
    int app_stopped; /* by its owner */
    int succeeded;
    int serving; /* the environment shows it now */
    wh_kind_e kind;
    int release;  /* of a site: its files are there */
    int live;     /* its containers that were not stopped */
    int fit;      /* of these, the ones that run */
    int stopping; /* a worker is ending them at this moment */
    int pulled;   /* its image is a registry's, and any worker may pull it again */
    wh_switch_worker_e worker;
    wh_switch_settings_e settings;
} wh_switch_facts_t;

typedef enum wh_switch_how_e {
    WH_SWITCH_REFUSED,
    WH_SWITCH_AT_ONCE,   /* the names go to the deployment as it is (F290) */
    WH_SWITCH_TAKE_OVER, /* a new deployment has its files and today's settings, at once */
    WH_SWITCH_START      /* a new deployment starts containers from its image */
} wh_switch_how_e;

typedef struct wh_switch_verdict_t {
    wh_switch_how_e how;
    const char *code;   /* of a refusal, static */
    const char *detail; /* one sentence, static */
    int redeploy;       /* its commit can be deployed again instead */
    int anywhere;       /* of START: not on the worker that had the image */
} wh_switch_verdict_t;

/* Codes of a refusal: not_succeeded, app_stopped, already_serving, release_gone, image_gone,
 * worker_draining, worker_offline. */
void wh_switch_judge(const wh_switch_facts_t *facts, wh_switch_verdict_t *out);

/* The sentence of a refusal, with the offer to deploy that commit again where it helps; in p. */
const char *wh_switch_detail(apr_pool_t *p, const wh_switch_verdict_t *verdict,
                             const char *commit_sha);

/* The settings that a deployment runs with when it takes up source's content with the app's present
 * settings: ports, limits, replicas, how it is served and where it may run; kind, repository and
 * build stay those of the content. Text in p, NULL when memory ran out. Error: those of the
 * snapshot. */
apr_status_t wh_switch_snapshot(apr_pool_t *p, const char *source, const wh_app_t *app,
                                const char **out, wh_err_t *err) WH_MUST_CHECK;

#endif
