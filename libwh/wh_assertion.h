/* X-Wisehost-Assertion: what the module tells the hub about a request it has authorised. Text:
 * base64url(JSON {actor, action, object, exp}) "." base64url(HMAC of the first part). The hub
 * refuses a request without it; the module removes a client's own copy.
 *
 * An upgrade of a worker: actor "worker:<id>", action "worker.connect", object "hub".
 */
#ifndef WH_ASSERTION_H
#define WH_ASSERTION_H

#include "libwh/wh_err.h"
#include "libwh/wh_keys.h"

#define WH_ASSERTION_HEADER "X-Wisehost-Assertion"
#define WH_ASSERTION_TTL_S 10
#define WH_ASSERTION_MAX 2048 /* bytes */

/* The header's value in p; exp_us is wall time, normally now + WH_ASSERTION_TTL_S. NULL when a part
 * is empty, over 512 bytes, or not plain UTF-8. */
char *wh_assertion_make(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const char *actor,
                        const char *action, const char *object, apr_time_t exp_us);

/* Check and take apart; the three texts are in p. text may be NULL (no header). Refused with 401
 * bad_assertion or assertion_expired; one that would live longer than twice the TTL is bad too. */
apr_status_t wh_assertion_verify(apr_pool_t *p, const unsigned char key[WH_KEY_LEN],
                                 const char *text, apr_time_t now, const char **actor,
                                 const char **action, const char **object,
                                 wh_err_t *err) WH_MUST_CHECK;

#endif
