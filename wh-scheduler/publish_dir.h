/* The directories of the route table and the link that names the one in force. All by path, no
 * LMDB. */
#ifndef WH_PUBLISH_DIR_H
#define WH_PUBLISH_DIR_H

#include "libwh/wh_err.h"

/* Makes the next routes.<n> beside link (n above all there are), 2750. */
apr_status_t wh_publish_dir_next(apr_pool_t *p, const char *link, const char **dir,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Points link at dir (by its last part, so that the state directory may be moved), by a rename. */
apr_status_t wh_publish_dir_swap(apr_pool_t *p, const char *link, const char *dir,
                                 wh_err_t *err) WH_MUST_CHECK;

/* data.mdb 0640, lock.mdb 0660: httpd reads the one and must be able to lock in the other. */
apr_status_t wh_publish_dir_modes(apr_pool_t *p, const char *dir, wh_err_t *err) WH_MUST_CHECK;

/* Removes every routes.<n> but the one in force and the one before it: nobody reads those. */
void wh_publish_dir_sweep(apr_pool_t *p, const char *link);

/* Runs "verifier --verify-routes link" and waits. 1 = it exited with 0. */
int wh_publish_dir_sound(apr_pool_t *p, const char *verifier, const char *link);

#endif
