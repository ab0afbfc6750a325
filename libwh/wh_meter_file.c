#include "libwh/wh_meter_file.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"

#define MAGIC "wisehost-requests 1 "
#define WHEN_DIGITS 18
#define COUNT_DIGITS 12 /* no minute has as many; sums of many files stay in range */
#define CLASSES 5

static const wh_meter_e classes[CLASSES] = {WH_METER_1XX, WH_METER_2XX, WH_METER_3XX, WH_METER_4XX,
                                            WH_METER_5XX};

/* ---- writing ---- */

size_t wh_meter_file_head(char *buf, apr_time_t now)
{
    return (size_t)apr_snprintf(buf, WH_METER_FILE_LINE, MAGIC "%" APR_TIME_T_FMT "\n", now);
}

size_t wh_meter_file_app(char *buf, const char *app, const wh_meter_sum_t *minute)
{
    size_t n = (size_t)apr_snprintf(buf, WH_METER_FILE_LINE, "%s", app);

    for (int i = 0; i < CLASSES; i++) {
        n += (size_t)apr_snprintf(buf + n, WH_METER_FILE_LINE - n, " %" APR_UINT64_T_FMT,
                                  minute->of[classes[i]]);
    }
    for (int i = 0; i < WH_METER_BUCKETS; i++) {
        if (minute->took[i] > 0) {
            n += (size_t)apr_snprintf(buf + n, WH_METER_FILE_LINE - n, " %d:%" APR_UINT64_T_FMT, i,
                                      minute->took[i]);
        }
    }
    buf[n++] = '\n';
    return n;
}

size_t wh_meter_file_end(char *buf, int apps)
{
    return (size_t)apr_snprintf(buf, WH_METER_FILE_LINE, "end %d\n", apps);
}

/* ---- reading: each takes its part from *at, or returns 0 ---- */

static int take(const char **at, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*at, text, n) != 0) {
        return 0;
    }
    *at += n;
    return 1;
}

static int number(const char **at, int digits, apr_uint64_t *out)
{
    const char *from = *at;

    for (*out = 0; **at >= '0' && **at <= '9' && *at - from < digits; (*at)++) {
        *out = *out * 10 + (apr_uint64_t)(**at - '0');
    }
    return *at > from;
}

static int app_line(const char **at, char app[WH_ID_LEN + 1], wh_meter_sum_t *sum)
{
    apr_uint64_t bucket, n;

    memset(sum, 0, sizeof(*sum));
    apr_cpystrn(app, *at, WH_ID_LEN + 1);
    if (!wh_id_ok(app)) {
        return 0;
    }
    *at += WH_ID_LEN;
    for (int i = 0; i < CLASSES; i++) {
        if (!take(at, " ") || !number(at, COUNT_DIGITS, &sum->of[classes[i]])) {
            return 0;
        }
    }
    while (take(at, " ")) {
        if (!number(at, COUNT_DIGITS, &bucket) || bucket >= WH_METER_BUCKETS || !take(at, ":") ||
            !number(at, COUNT_DIGITS, &n)) {
            return 0;
        }
        sum->took[bucket] += n;
    }
    return take(at, "\n");
}

static void add(apr_hash_t *into, const char *app, const wh_meter_sum_t *more)
{
    apr_pool_t *p = apr_hash_pool_get(into);
    wh_meter_sum_t *sum = apr_hash_get(into, app, WH_ID_LEN);

    if (sum == NULL) {
        sum = apr_pcalloc(p, sizeof(*sum));
        apr_hash_set(into, apr_pstrmemdup(p, app, WH_ID_LEN), WH_ID_LEN, sum);
    }
    for (int i = 0; i < WH_METERS; i++) {
        sum->of[i] += more->of[i];
    }
    for (int i = 0; i < WH_METER_BUCKETS; i++) {
        sum->took[i] += more->took[i];
    }
}

/* into NULL: only looks whether all of it is in order. */
static int read_all(apr_hash_t *into, const char *at, apr_time_t now)
{
    char app[WH_ID_LEN + 1];
    wh_meter_sum_t sum;
    apr_uint64_t when, apps = 0, told;

    if (!take(&at, MAGIC) || !number(&at, WHEN_DIGITS, &when) || !take(&at, "\n") ||
        (apr_time_t)when < now - WH_METER_FILE_TTL_US ||
        (apr_time_t)when > now + WH_METER_FILE_TTL_US) {
        return 0;
    }
    while (!take(&at, "end ")) {
        if (!app_line(&at, app, &sum)) {
            return 0;
        }
        apps++;
        if (into != NULL) {
            add(into, app, &sum);
        }
    }
    return number(&at, COUNT_DIGITS, &told) && told == apps && strcmp(at, "\n") == 0;
}

int wh_meter_file_read(apr_hash_t *into, const char *text, apr_time_t now)
{
    return read_all(NULL, text, now) && (into == NULL || read_all(into, text, now));
}
