/* What httpd's module counted in the last minute, from the files that it writes into run/ of the
 * state directory (libwh/wh_meter_file.h): one of each httpd, added up.
 *
 * Where several machines have an httpd, each has a scheduler, and one of those judges. The others
 * copy their files into the database as they are, so that one rule says how long they hold,
 * however they came. A file of our own machine goes before a copy of it: who just stood by finds
 * both. Files that nobody wrote for a day are of an httpd that is gone; who reads takes them away.
 *
 * The thread of the connection. */
#ifndef WH_REQUESTS_H
#define WH_REQUESTS_H

#include <apr_hash.h>

#include "libwh/wh_alert.h"
#include "whdb/wh_dbc.h"

#define WH_REQUESTS_FILES_MAX 16                   /* httpd that are listened to */
#define WH_REQUESTS_BYTES_MAX (16 << 20)           /* of one file */
#define WH_REQUESTS_FRONTS_MAX 32                  /* httpd of other machines */
#define WH_REQUESTS_SHARED_MAX (4 << 20)           /* of one file that is copied */
#define WH_REQUESTS_SHARE_US APR_INT64_C(15000000) /* so often */
#define WH_REQUESTS_KEPT_US APR_INT64_C(86400000000) /* what nobody writes */

/* *out: wh_meter_sum_t by app id, in p; NULL when no httpd said anything in the last 45 s. */
apr_status_t wh_requests_read(wh_dbc_t *dbc, apr_pool_t *p, const char *state_dir, apr_time_t now,
                              apr_hash_t **out, wh_err_t *err) WH_MUST_CHECK;

/* For who stands by: this machine's files into the database, at most WH_REQUESTS_FILES_MAX rows. */
apr_status_t wh_requests_share(wh_dbc_t *dbc, apr_pool_t *p, const char *state_dir, apr_time_t now,
                               wh_err_t *err) WH_MUST_CHECK;

/* Fills error_rate (5xx of all, R26) and latency (p95). Neither is known of an app that nobody
 * asked: no visitors are no sign of health. requests may be NULL. */
void wh_requests_readings(apr_hash_t *requests, const char *app, wh_alert_reading_t *readings);

#endif
