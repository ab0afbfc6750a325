#include "wh-scheduler/events.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_outbox.h"

#define TURNS 8 /* of WH_EVENTLOG_ROWS in one look */
#define SAY_US APR_INT64_C(60000000)

static int is_due(wh_mono_t *at, wh_mono_t now, apr_interval_time_t every)
{
    if (!wh_mono_reached(now, *at)) {
        return 0;
    }
    *at = wh_mono_add(now, every);
    return 1;
}

/* Who looks on at a build learns of its end from a file beside its log: httpd's streams ask no
 * database. Written anew when the row comes again. */
static void mark_end(const wh_core_t *core, apr_pool_t *p, const wh_news_row_t *row)
{
    const char *dir = apr_pstrcat(p, core->settings->logs_dir, "/", row->object_id, NULL);
    wh_file_new_t file = {.dir = AT_FDCWD,
                          .path = apr_pstrcat(p, dir, "/end", NULL),
                          .mode = 0640,
                          .group = WH_FILE_NO_GROUP};
    wh_news_t news[WH_NEWS_MAX];
    const char *text = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (!wh_id_ok(row->object_id) || wh_news_of(p, row, news) == 0 ||
        (text = wh_json_text(p, news[0].data, NULL)) == NULL) {
        return;
    }
    if (mkdir(dir, 02750) != 0 && errno != EEXIST) {
        rv = errno;
    }
    rv = rv == APR_SUCCESS ? wh_file_replace(p, &file, text, strlen(text)) : rv;
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0418", "%s: error %d", file.path, (int)rv);
    }
}

static void mark_ends(const wh_core_t *core, apr_pool_t *p, const apr_array_header_t *rows)
{
    for (int i = 0; i < rows->nelts; i++) {
        const wh_news_row_t *row = &APR_ARRAY_IDX(rows, i, wh_news_row_t);

        if (strcmp(row->topic, "deployment") == 0 && strcmp(row->status, "completed") == 0) {
            mark_end(core, p, row);
        }
    }
}

static apr_status_t move(wh_core_t *core, apr_pool_t *p, int *n, wh_err_t *err)
{
    apr_array_header_t *rows;
    apr_status_t rv = wh_db_outbox_list(core->dbc, p, WH_EVENTLOG_ROWS, &rows, err);

    *n = rv == APR_SUCCESS ? rows->nelts : 0;
    if (*n == 0) {
        return rv;
    }
    rv = wh_eventlog_append(core->events, p, rows, NULL, err);
    if (rv == APR_SUCCESS) {
        mark_ends(core, p, rows);
    }
    return rv == APR_SUCCESS ? wh_db_outbox_delete(core->dbc, p, rows, err) : rv;
}

apr_status_t wh_events_look(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    int n = WH_EVENTLOG_ROWS;
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;

    core->events_due = 0;
    core->events_at = wh_mono_add(mono, WH_EVENTS_EVERY_US);
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && n == WH_EVENTLOG_ROWS && i < TURNS; i++) {
        apr_pool_clear(scratch);
        rv = move(core, scratch, &n, err);
    }
    core->events_due = rv == APR_SUCCESS && n == WH_EVENTLOG_ROWS;
    if (is_due(&core->events_prune_at, mono, WH_EVENTS_PRUNE_US)) {
        apr_pool_clear(scratch);
        wh_eventlog_prune(core->events, scratch, wh_clock_now(core->clock));
    }
    apr_pool_destroy(scratch);
    if (rv == APR_SUCCESS || wh_core_may_retry(err)) {
        return rv;
    }
    if (is_due(&core->events_said_at, mono, SAY_US)) {
        wh_log(WH_LOG_ERROR, "WH0417", "events wait in the database: %s", err->text);
    }
    wh_err_clear(err);
    return APR_SUCCESS;
}
