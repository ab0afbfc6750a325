/* What the body of a push asks git for, read on its way to git: see libwh/wh_pktlist.h. Clients may
 * compress a body; of such a one no more is unfolded than the list. */
#ifndef WH_MOD_GIT_ASKED_H
#define WH_MOD_GIT_ASKED_H

#include <apr_pools.h>

#include "libwh/wh_pktlist.h"

typedef struct wh_git_asked_t wh_git_asked_t;

/* encoding: the header Content-Encoding, NULL = none. NULL when git knows no such encoding. */
wh_git_asked_t *wh_mod_git_asked_make(apr_pool_t *p, const char *encoding);

/* The next bytes of the body, before git gets them. 0, or -1 when git must not. */
int wh_mod_git_asked_feed(wh_git_asked_t *asked, const char *data, apr_size_t n);

/* The list as far as it was read; it lives as long as asked. */
const wh_pktlist_t *wh_mod_git_asked_list(const wh_git_asked_t *asked);

#endif
