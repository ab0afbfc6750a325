/*
 * wh_mod_rate: how many refused calls an address may make.
 *
 * Only failures are counted: a wrong credential, a failed login, a delivery with a bad signature.
 * So nobody who has a right credential is ever slowed down, and somebody else's failures behind the
 * same proxy or NAT lock nobody out. One table a child with a fixed number of places; a full row
 * forgets its longest unused entry, and one bucket over all of them bounds what many addresses can
 * do. IPv6 addresses count by their /64.
 */
#ifndef WH_MOD_RATE_H
#define WH_MOD_RATE_H

#include <httpd.h>

#include "libwh/wh_err.h"

typedef enum wh_mod_rate_e {
    WH_RATE_CREDENTIAL, /* wrong bearer: 240 at once, then 120 a minute */
    WH_RATE_LOGIN,      /* failed login: 20 at once, then 5 a minute */
    WH_RATE_DELIVERY,   /* refused delivery, for hook and address: 60 at once, then 60 a minute */
    WH_RATE_REFUSED,    /* a known caller that may not: 600 at once, then 120 a minute */
    WH_RATE_KINDS
} wh_mod_rate_e;

/* Makes the table of this child; single thread, child_init. */
void wh_mod_rate_child_init(apr_pool_t *pchild);

/* Counts one failure of r's address; subject ("" or a hook id) tells buckets apart. Returns
 * APR_SUCCESS, or 429 rate_limited with Retry-After set on r. Any request thread. */
apr_status_t wh_mod_rate_failed(request_rec *r, wh_mod_rate_e kind, const char *subject,
                                wh_err_t *err) __attribute__((warn_unused_result));

/* The same question without counting: is there room for one more failure? Any request thread. */
apr_status_t wh_mod_rate_room(request_rec *r, wh_mod_rate_e kind, const char *subject,
                              wh_err_t *err) __attribute__((warn_unused_result));

#endif
