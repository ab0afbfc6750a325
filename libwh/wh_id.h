/* Public ids: ULIDs in lower case. 48 bits of milliseconds and 80 random bits in 26 characters of
 * Crockford's base 32, so that they sort by time of making. Clients treat them as opaque. */
#ifndef WH_ID_H
#define WH_ID_H

#include "libwh/wh_rand.h"

#define WH_ID_LEN 26

/* A new id in p, or NULL when there are no random numbers. A time before 1970 counts as 0. */
const char *wh_id_make(apr_pool_t *p, apr_time_t now, const wh_rand_t *rnd);

/* The id that follows from this time and text: the same for the same, so that what is written again
 * after a crash bears the same one. In p. */
const char *wh_id_of(apr_pool_t *p, apr_time_t at, const char *text);

/* True for 26 characters of the lower-case alphabet that fit into 128 bits. NULL is false. */
int wh_id_ok(const char *s);

/* The time in an id, to the millisecond; -1 when it is none. */
apr_time_t wh_id_time(const char *s);

#endif
