#include "wh-scheduler/requests.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_meter_file.h"

#define PERCENT_MILLIS 100000

static int is_ours(const char *name)
{
    size_t n = strlen(name);
    size_t tail = strlen(WH_METER_FILE_END);

    return strncmp(name, WH_METER_FILE_BEGIN, strlen(WH_METER_FILE_BEGIN)) == 0 && n > tail &&
           strcmp(name + n - tail, WH_METER_FILE_END) == 0;
}

/* With a NUL behind it; NULL for what is none, or too much. */
static const char *read_file(apr_pool_t *p, int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char *text = NULL;

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < WH_REQUESTS_BYTES_MAX) {
        text = apr_palloc(p, (apr_size_t)st.st_size + 1);
        text[st.st_size] = '\0';
        if (read(fd, text, (size_t)st.st_size) != st.st_size) {
            text = NULL;
        }
    }
    close(fd);
    return text;
}

apr_hash_t *wh_requests_read(apr_pool_t *p, const char *state_dir, apr_time_t now)
{
    apr_hash_t *out = apr_hash_make(p);
    int told = 0;
    DIR *dir = opendir(apr_pstrcat(p, state_dir, WH_METER_FILE_DIR, NULL));
    const struct dirent *one;
    apr_pool_t *scratch;

    if (dir == NULL) {
        return NULL;
    }
    apr_pool_create(&scratch, p);
    while (told < WH_REQUESTS_FILES_MAX && (one = readdir(dir)) != NULL) {
        const char *text;

        apr_pool_clear(scratch);
        text = is_ours(one->d_name) ? read_file(scratch, dirfd(dir), one->d_name) : NULL;
        told += text != NULL && wh_meter_file_read(out, text, now);
    }
    apr_pool_destroy(scratch);
    closedir(dir);
    return told > 0 ? out : NULL;
}

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
