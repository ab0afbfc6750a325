/* What is said of a deployment to a forge: the state of its commit, the comment on its request. No
 * SQL, no sockets. */
#ifndef WH_FORGES_TEXT_H
#define WH_FORGES_TEXT_H

#include "libwh/wh_forge.h"
#include "libwh/wh_model.h"
#include "whdb/wh_db_forge.h"

/* Fills state, sha, target, description and context. All texts in p. */
void wh_forges_status(apr_pool_t *p, const wh_db_forge_t *f, const wh_deployment_t *d,
                      wh_forge_vars_t *vars);

/* What all comments on this environment have, and no other. */
const char *wh_forges_marker(apr_pool_t *p, const wh_db_forge_t *f, const char *environment);

/* The comment; d NULL = there is no deployment yet. */
const char *wh_forges_comment(apr_pool_t *p, const wh_db_forge_t *f, const wh_db_forge_request_t *r,
                              const wh_deployment_t *d);

#endif
