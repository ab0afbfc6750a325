/* Which app a deployment is of, and in which environment: asked of the database once and kept, at
 * most WH_PLACES_MAX of them, the least recently used goes. A deployment that is not there is kept,
 * too, for a minute: its lines would ask for each. What the database cannot tell is not kept, and
 * nothing is asked for a second.
 *
 * Belongs to the database thread. */
#ifndef WH_PLACES_H
#define WH_PLACES_H

#include "libwh/wh_clock.h"
#include "whdb/wh_dbc.h"

#define WH_PLACES_MAX 4096
#define WH_PLACES_NONE_US ((apr_interval_time_t)60000000)
#define WH_PLACES_FAILED_US ((apr_interval_time_t)1000000)

typedef struct wh_places_t wh_places_t;

/* Ends with its pool. */
wh_places_t *wh_places_make(apr_pool_t *p);

/* 1, with both texts until the next call; 0 = there is none, or it is not known now. dbc may be
 * NULL: there is no database now. */
int wh_places_find(wh_places_t *places, wh_dbc_t *dbc, wh_mono_t mono, const char *deployment,
                   const char **slug, const char **environment);

#endif
