#include "wh-scheduler/requests.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "libwh/wh_meter_file.h"
#include "whdb/wh_db_front.h"

#define PERCENT_MILLIS 100000

static int begins(const char *name)
{
    return strncmp(name, WH_METER_FILE_BEGIN, strlen(WH_METER_FILE_BEGIN)) == 0;
}

static int ends(const char *name, const char *tail)
{
    size_t n = strlen(name);
    size_t m = strlen(tail);

    return n > m && strcmp(name + n - m, tail) == 0;
}

/* With a NUL behind it; NULL for what is none, or too much. */
static const char *text_of(apr_pool_t *p, int fd, const struct stat *st)
{
    size_t n;
    char *text;

    if (st->st_size >= WH_REQUESTS_BYTES_MAX) {
        return NULL;
    }
    text = apr_palloc(p, (apr_size_t)st->st_size + 1);
    if (wh_file_get(fd, text, (size_t)st->st_size, &n) != APR_SUCCESS) {
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static const char *read_file(apr_pool_t *p, int dir, const char *name, apr_time_t now)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    const char *text = NULL;

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (apr_time_from_sec(st.st_mtime) < now - WH_REQUESTS_KEPT_US) {
            (void)unlinkat(dir, name, 0);
        } else if (ends(name, WH_METER_FILE_END)) {
            text = text_of(p, fd, &st);
        }
    }
    close(fd);
    return text;
}

/* Calls take with each file that says something now; p is for as long as that. */
typedef apr_status_t take_t(void *baton, apr_pool_t *p, const wh_db_front_t *file, wh_err_t *err);

static apr_status_t each_file(apr_pool_t *p, const char *state_dir, apr_time_t now, take_t *take,
                              void *baton, wh_err_t *err)
{
    DIR *dir = opendir(apr_pstrcat(p, state_dir, WH_METER_FILE_DIR, NULL));
    const struct dirent *one;
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;
    int told = 0;

    if (dir == NULL) {
        return APR_SUCCESS;
    }
    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && told < WH_REQUESTS_FILES_MAX && (one = readdir(dir)) != NULL) {
        wh_db_front_t file = {.name = one->d_name};

        apr_pool_clear(scratch);
        if (begins(one->d_name) &&
            (ends(one->d_name, WH_METER_FILE_END) || ends(one->d_name, WH_METER_FILE_END ".new"))) {
            file.figures = read_file(scratch, dirfd(dir), one->d_name, now);
        }
        if (file.figures != NULL && wh_meter_file_read(NULL, file.figures, now)) {
            told++;
            rv = take(baton, scratch, &file, err);
        }
    }
    apr_pool_destroy(scratch);
    closedir(dir);
    return rv;
}

/* ---- who judges ---- */

typedef struct reading_t {
    apr_hash_t *sums, *names; /* names: whose file was there */
    apr_time_t now;
    int told;
} reading_t;

static apr_status_t add_file(void *baton, apr_pool_t *p, const wh_db_front_t *file, wh_err_t *err)
{
    reading_t *r = baton;

    (void)p;
    (void)err;
    r->told += wh_meter_file_read(r->sums, file->figures, r->now);
    apr_hash_set(r->names, apr_pstrdup(apr_hash_pool_get(r->names), file->name),
                 APR_HASH_KEY_STRING, r);
    return APR_SUCCESS;
}

apr_status_t wh_requests_read(wh_dbc_t *dbc, apr_pool_t *p, const char *state_dir, apr_time_t now,
                              apr_hash_t **out, wh_err_t *err)
{
    reading_t r = {.sums = apr_hash_make(p), .names = apr_hash_make(p), .now = now};
    apr_array_header_t *fronts;
    apr_pool_t *scratch;
    apr_status_t rv = each_file(p, state_dir, now, add_file, &r, err);

    apr_pool_create(&scratch, p);
    if (rv == APR_SUCCESS) {
        rv = wh_db_front_since(dbc, scratch, now - WH_METER_FILE_TTL_US, WH_REQUESTS_FRONTS_MAX,
                               &fronts, err);
    }
    for (int i = 0; rv == APR_SUCCESS && i < fronts->nelts; i++) {
        const wh_db_front_t *front = &APR_ARRAY_IDX(fronts, i, wh_db_front_t);

        if (apr_hash_get(r.names, front->name, APR_HASH_KEY_STRING) == NULL) {
            r.told += wh_meter_file_read(r.sums, front->figures, now);
        }
    }
    apr_pool_destroy(scratch);
    *out = r.told > 0 ? r.sums : NULL;
    return rv;
}

/* ---- who stands by ---- */

typedef struct sharing_t {
    wh_dbc_t *dbc;
    apr_time_t now;
} sharing_t;

static apr_status_t share_file(void *baton, apr_pool_t *p, const wh_db_front_t *file, wh_err_t *err)
{
    static int said;
    const sharing_t *s = baton;

    if (strlen(file->figures) > WH_REQUESTS_SHARED_MAX) {
        if (!said++) {
            wh_log(WH_LOG_WARN, "WH0564",
                   "%s is too long for the other machines: alert rules do not see these requests",
                   file->name);
        }
        return APR_SUCCESS;
    }
    return wh_db_front_put(s->dbc, p, file, s->now, err);
}

apr_status_t wh_requests_share(wh_dbc_t *dbc, apr_pool_t *p, const char *state_dir, apr_time_t now,
                               wh_err_t *err)
{
    sharing_t s = {.dbc = dbc, .now = now};
    apr_status_t rv = each_file(p, state_dir, now, share_file, &s, err);

    return rv == APR_SUCCESS ? wh_db_front_prune(dbc, p, now - WH_REQUESTS_KEPT_US, err) : rv;
}

/* ---- what follows ---- */

void wh_requests_readings(apr_hash_t *requests, const char *app, wh_alert_reading_t *readings)
{
    const wh_meter_sum_t *sum = requests != NULL ? apr_hash_get(requests, app, WH_ID_LEN) : NULL;
    apr_uint64_t all = sum != NULL ? wh_meter_requests(sum) : 0;

    readings[WH_ALERT_ERROR_RATE].known = all > 0;
    readings[WH_ALERT_LATENCY].known = sum != NULL && wh_meter_timed(sum) > 0;
    if (all > 0) {
        readings[WH_ALERT_ERROR_RATE].value =
            (apr_int64_t)((double)sum->of[WH_METER_5XX] * PERCENT_MILLIS / (double)all);
    }
    if (readings[WH_ALERT_LATENCY].known) {
        /* Thousandths of a millisecond. */
        readings[WH_ALERT_LATENCY].value = wh_meter_quantile_us(sum, 0.95);
    }
}
