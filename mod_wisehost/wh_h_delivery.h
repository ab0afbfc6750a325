/* wh_h_delivery: from what a delivery says to deployments, and its rows in the log of deliveries:
 * both in one transaction, and the answer after its commit. For the webhook handlers alone; a
 * request's thread, texts in its pool. */
#ifndef WH_H_DELIVERY_H
#define WH_H_DELIVERY_H

#include "libwh/wh_hook.h"
#include "mod_wisehost/wh_mod_api.h"

typedef struct wh_h_delivery_t {
    const char *delivery_id; /* "" = none that can be used */
    const char *event;
    const char *headers; /* JSON */
    const char *body_sha256;
    const apr_array_header_t *events; /* wh_hook_event_t */
    int same_body_counts;             /* the same body within ten minutes is the same delivery */
    const char *replay_of;            /* NULL = it came from the forge */
} wh_h_delivery_t;

/* Answers 202 with the first deployment that came of it, 200 with {"ignored": reason}, or 200 with
 * the deployment of the delivery that this one repeats. Needs c->hook and c->app. */
apr_status_t wh_h_delivery_take(wh_call_t *c, const wh_h_delivery_t *in) WH_MUST_CHECK;

/* Writes down that a signed delivery could not be used, with what c->err says, and returns that
 * error. */
apr_status_t wh_h_delivery_reject(wh_call_t *c, const wh_h_delivery_t *in) WH_MUST_CHECK;

#endif
