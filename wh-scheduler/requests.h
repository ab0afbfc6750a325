/* What httpd's module counted in the last minute, from the files that it writes into run/ of the
 * state directory (libwh/wh_meter_file.h): one of each httpd, added up. Any thread. */
#ifndef WH_REQUESTS_H
#define WH_REQUESTS_H

#include <apr_hash.h>

#include "libwh/wh_alert.h"

#define WH_REQUESTS_FILES_MAX 16         /* httpd that are listened to */
#define WH_REQUESTS_BYTES_MAX (16 << 20) /* of one file */

/* wh_meter_sum_t by app id, in p; NULL when no httpd said anything in the last 45 s. */
apr_hash_t *wh_requests_read(apr_pool_t *p, const char *state_dir, apr_time_t now);

/* Fills error_rate (5xx of all, R26) and latency (p95). Neither is known of an app that nobody
 * asked: no visitors are no sign of health. requests may be NULL. */
void wh_requests_readings(apr_hash_t *requests, const char *app, wh_alert_reading_t *readings);

#endif
