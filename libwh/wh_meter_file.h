/* wh_meter_file: the requests of the last minute of each app, as httpd's module tells the
 * scheduler:
 *
 *   wisehost-requests 1 <when, microseconds since 1970>
 *   <app id> <1xx> <2xx> <3xx> <4xx> <5xx> <bucket>:<count> …
 *   end <number of apps>
 *
 * The second line comes for each app, with the buckets of wh_meter.h that have any requests.
 * An app that nobody asked is not in it. Who reads takes a file as a whole or not at all: another
 * version, one that is cut off, one older than WH_METER_FILE_TTL_US (or as far ahead: a clock was
 * set) says nothing. Pure: the time is an argument. Thread-safe. */
#ifndef WH_METER_FILE_H
#define WH_METER_FILE_H

#include <apr_hash.h>

#include "libwh/wh_meter.h"

#define WH_METER_FILE_DIR "/run"     /* below the state directory */
#define WH_METER_FILE_BEGIN "httpd-" /* of its name: one file for each httpd */
#define WH_METER_FILE_END ".requests"
#define WH_METER_FILE_TTL_US APR_INT64_C(45000000) /* as other figures: F3 */
#define WH_METER_FILE_LINE 1024                    /* no line is longer */

/* Each writes a line into buf, of WH_METER_FILE_LINE bytes, and returns its length. */
size_t wh_meter_file_head(char *buf, apr_time_t now);
size_t wh_meter_file_app(char *buf, const char *app, const wh_meter_sum_t *minute);
size_t wh_meter_file_end(char *buf, int apps);

/* Adds the apps of a file to the sums in `into` (app id -> wh_meter_sum_t, in its pool). Returns 1,
 * or 0 when it says nothing: into is as it was. into NULL: says just that. */
int wh_meter_file_read(apr_hash_t *into, const char *text, apr_time_t now);

#endif
