#include "mod_wisehost/wh_mod_api.h"
#include "mod_wisehost/wh_mod_stream.h"

#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

#define SEGMENTS_MAX 99
#define LINE_BYTES (WH_TEXT_LINE_MAX + 128)
#define ANSWER_BYTES (1024 * 1024)
#define LIMIT_DEFAULT 200

/*
 * The scheduler appends to segment files while we read: a last line without its end is not there
 * yet. No lock and no database: a log is readable with the scheduler down.
 */

typedef struct reader_t {
    apr_pool_t *p;
    const char *dir;
    apr_int64_t after;
    int full; /* fn wants no more */
    wh_h_log_fn fn;
    void *baton;
} reader_t;

typedef struct page_t {
    int limit;
    apr_size_t bytes;
    apr_int64_t last; /* sequence number of the last line taken */
    int full;
    json_t *items;
} page_t;

/* "<seq> <time_us> <stream> <text>": returns 0 for a line that has another form. */
static int parse(char *line, apr_int64_t *seq, apr_int64_t *at, char **stream, char **text)
{
    char *end;

    *seq = apr_strtoi64(line, &end, 10);
    if (end == line || *end != ' ') {
        return 0;
    }
    line = end + 1;
    *at = apr_strtoi64(line, &end, 10);
    if (end == line || *end != ' ') {
        return 0;
    }
    *stream = end + 1;
    *text = strchr(*stream, ' ');
    if (!*text) {
        return 0;
    }
    *(*text)++ = '\0';
    return 1;
}

static void take(reader_t *rd, char *line)
{
    apr_int64_t seq, at;
    char *stream, *text;

    if (parse(line, &seq, &at, &stream, &text) && seq > rd->after) {
        rd->full = rd->fn(rd->baton, seq, at, stream, text) != 0;
    }
}

static int add(void *baton, apr_int64_t seq, apr_int64_t at, const char *stream, const char *text)
{
    page_t *page = baton;
    apr_size_t n = strlen(text) + LINE_BYTES - WH_TEXT_LINE_MAX;
    char when[WH_TIME_RFC3339_SIZE];
    json_t *item;

    if ((int)json_array_size(page->items) == page->limit || page->bytes + n > ANSWER_BYTES) {
        page->full = 1;
        return 1;
    }
    wh_time_rfc3339_buf(when, at);
    /* json_pack gives NULL for bytes that are not UTF-8: such a line can only be damage on disk. */
    item = json_pack("{s:I, s:s, s:s, s:s}", "seq", (json_int_t)seq, "at", when, "stream", stream,
                     "text", text);
    if (item && json_array_append_new(page->items, item) == 0) {
        page->bytes += n;
        page->last = seq;
    }
    return 0;
}

static apr_status_t open_segment(reader_t *rd, apr_pool_t *p, int n, apr_file_t **file)
{
    const char *path = apr_psprintf(p, "%s/%06d.seg", rd->dir, n);

    return apr_file_open(file, path, APR_FOPEN_READ | APR_FOPEN_BUFFERED | APR_FOPEN_BINARY, 0, p);
}

static void read_segment(reader_t *rd, apr_file_t *file)
{
    char line[LINE_BYTES];

    while (!rd->full && apr_file_gets(line, sizeof(line), file) == APR_SUCCESS) {
        apr_size_t n = strlen(line);

        if (n == 0 || line[n - 1] != '\n') {
            return;
        }
        line[n - 1] = '\0';
        take(rd, line);
    }
}

/* The first line's number tells whether a segment starts behind what is wanted. */
static int starts_after(apr_file_t *file, apr_int64_t after)
{
    apr_off_t start = 0;
    char line[64];
    apr_int64_t seq = 0;

    if (apr_file_gets(line, sizeof(line), file) == APR_SUCCESS) {
        seq = apr_strtoi64(line, NULL, 10);
    }
    return apr_file_seek(file, APR_SET, &start) != APR_SUCCESS || seq > after + 1;
}

/* The last segment that can hold line after + 1; the ones before it need not be read. */
static int first_segment(reader_t *rd)
{
    apr_pool_t *sub;
    int n = 1;

    apr_pool_create(&sub, rd->p);
    for (int i = 2; rd->after > 0 && i <= SEGMENTS_MAX; i++) {
        apr_file_t *file;

        if (open_segment(rd, sub, i, &file) || starts_after(file, rd->after)) {
            break;
        }
        n = i;
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    return n;
}

static apr_status_t read_all(reader_t *rd)
{
    apr_pool_t *sub;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&sub, rd->p);
    for (int i = first_segment(rd); !rd->full && i <= SEGMENTS_MAX; i++) {
        apr_file_t *file;

        rv = open_segment(rd, sub, i, &file);
        if (rv) {
            break;
        }
        read_segment(rd, file);
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

apr_status_t wh_h_log_each(wh_call_t *c, apr_pool_t *p, const char *deployment, apr_int64_t after,
                           wh_h_log_fn fn, void *baton)
{
    reader_t rd = {.p = p, .after = after, .fn = fn, .baton = baton};
    apr_status_t rv;

    rd.dir = apr_pstrcat(p, wh_mod_conf_state_dir(c->r->server), "/logs/", deployment, NULL);
    rv = read_all(&rd);
    return rv ? wh_err_wrap(&c->err, rv, 503, "log_unreadable", "The log cannot be read") : rv;
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

/* As the event deploymentUpdate says it (libwh/wh_news.h). */
static json_t *end_of(wh_call_t *c, const wh_deployment_t *d)
{
    json_t *cause = d->cause_code[0] != '\0' ? json_pack("{s:s, s:s}", "code", d->cause_code,
                                                         "detail", d->cause_detail)
                                             : json_null();

    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:s, s:o, s:s?}", "app",
                     c->app->slug, "deployment", d->id, "environment", d->environment, "number",
                     (json_int_t)d->number, "status", wh_model_deployment_status_text(d->status),
                     "phase", wh_model_phase_text(d->phase), "conclusion",
                     wh_model_conclusion_text(d->conclusion), "cause", cause, "trigger",
                     wh_model_trigger_text(d->trigger), "commit", text_or_null(d->commit_sha),
                     "url", wh_h_deployment_url(c, c->app->slug, d->environment, d->commit_ref));
}

/* From the line on that the client has, to the end of the deployment. */
static apr_status_t stream(wh_call_t *c)
{
    const wh_deployment_t *d = c->deployment;
    const char *last = apr_table_get(c->r->headers_in, "Last-Event-ID");
    wh_stream_of_t of = {.build = 1,
                         .dir = apr_pstrcat(c->p, wh_mod_conf_state_dir(c->r->server), "/logs/",
                                            d->id, NULL),
                         .after = wh_mod_stream_last_id(c)};

    if (of.after < 0) {
        of.after = wh_mod_call_number(c, "after", 0);
    }
    if (d->status == WH_DEPLOYMENT_COMPLETED) {
        if (last != NULL && strcmp(last, WH_STREAM_END) == 0) {
            return wh_mod_call_empty(c, 204); /* by which an EventSource stops */
        }
        of.end = wh_mod_stream_build_end(c->p, wh_json_own(c->p, end_of(c, d)));
    }
    return wh_mod_stream_begin(c, &of);
}

apr_status_t wh_h_log_get(wh_call_t *c)
{
    int over = c->deployment->status == WH_DEPLOYMENT_COMPLETED; /* asked before the file is read */
    page_t page = {.limit = (int)wh_mod_call_number(c, "limit", LIMIT_DEFAULT),
                   .last = wh_mod_call_number(c, "after", 0),
                   .items = wh_json_own(c->p, json_array())};
    apr_int64_t before = page.last;
    int complete;
    apr_status_t rv;

    if (wh_mod_stream_wanted(c)) {
        return stream(c);
    }
    wh_mod_db_release(c->r);
    c->dbc = NULL;
    rv = wh_h_log_each(c, c->p, c->deployment->id, before, add, &page);
    if (rv) {
        return rv;
    }
    complete = over && !page.full;
    return wh_mod_call_reply(c, 200,
                             json_pack("{s:O, s:o, s:b}", "items", page.items, "next",
                                       complete ? json_null() : json_integer(page.last), "complete",
                                       complete));
}
