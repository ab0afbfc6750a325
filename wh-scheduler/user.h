/* Who we are: users by name, and becoming one of them for good. */
#ifndef WH_USER_H
#define WH_USER_H

#include <sys/types.h>

#include "libwh/wh_err.h"

typedef struct wh_user_t {
    uid_t uid;
    gid_t gid;
} wh_user_t;

/* Errors: no_user, with the command that makes one. */
apr_status_t wh_user_find(const char *name, wh_user_t *out, wh_err_t *err) WH_MUST_CHECK;

/* From root to this user for good, with `extra` as its one supplementary group, umask 007. Nothing
 * but the umask when we are not root. Errors: no_user. */
apr_status_t wh_user_become(const wh_user_t *user, gid_t extra, wh_err_t *err) WH_MUST_CHECK;

/* The same to whoever owns path. A path that is not there is an error: state_missing. */
apr_status_t wh_user_become_owner(const char *path, gid_t extra, wh_err_t *err) WH_MUST_CHECK;

#endif
