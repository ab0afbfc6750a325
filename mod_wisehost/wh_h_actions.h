/* wh_h_actions: deliveries whose proof is a token of GitHub Actions (wh_oidc.h, wh_actions.h). For
 * wh_h_webhook.c alone. */
#ifndef WH_H_ACTIONS_H
#define WH_H_ACTIONS_H

#include "mod_wisehost/wh_mod_api.h"

/* Checks the token against the keys that the scheduler fetched; c->hook NULL = there is none, and
 * it takes the same way. What the token says then is c->raw. Errors: 401; 503 keys_unknown while
 * its issuer's keys are fetched. */
apr_status_t wh_h_actions_verify(wh_call_t *c, const char *authorization) WH_MUST_CHECK;

/* Whether this run may deploy: 403 token_refused. *own is 0 for one of another repository, of which
 * nothing is written down. */
apr_status_t wh_h_actions_allows(wh_call_t *c, int *own) WH_MUST_CHECK;

#endif
