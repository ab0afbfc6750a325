#include "wh-scheduler/applog.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "libwh/wh_lru.h"
#include "libwh/wh_seq.h"
#include "libwh/wh_text.h"
#include "wh-scheduler/applog_file.h"
#include "wh-scheduler/packer.h"

#define HEAD_MAX WH_LOGLINE_HEAD
#define SWEEP_APPS 32 /* a second */

/* A container that prints into this log. */
typedef struct source_t {
    char deployment[WH_ID_LEN + 1];
    char *container;
    apr_int64_t last;   /* highest number taken in hand */
    apr_time_t last_at; /* the latest time of a line taken in hand */
    apr_int64_t again;  /* highest number of those that came again */
    apr_int64_t stored; /* highest number in the files, as a line or in a note */
    apr_int64_t more;   /* left out by the agent, beyond what the numbers show */
    apr_uint64_t used;
} source_t;

typedef struct log_t {
    wh_lru_item_t item; /* first */
    char app[WH_ID_LEN + 1];
    apr_int64_t n;         /* the last line's number */
    apr_int64_t first;     /* of the segment in hand, its name; 0 = none yet */
    apr_int64_t bytes;     /* where its whole lines end, -1 = nothing is torn */
    apr_uint32_t declared; /* sources with an @ line in the segment in hand, by index */
    apr_uint64_t uses;
    apr_time_t at; /* of the newest frame */
    wh_lograte_t rate;
    int sources_n;
    source_t *sources;
    apr_int64_t ended; /* a segment that is to be packed, by its name; 0 = none */
} log_t;

struct wh_applog_t {
    const char *dir;
    wh_segment_t *writer;
    wh_applog_limits_t limits;
    wh_packer_t *packer;
    wh_lru_t *known;
    DIR *sweep; /* under way */
    apr_time_t sweep_at;
    int due;
    apr_int64_t stored, left_out;
    void (*on_line)(void *baton, const char *app, const wh_logdrain_line_t *line);
    void *on_line_baton;
};

static void drop_log(void *baton, wh_lru_item_t *item);

static apr_status_t end_sweep(void *data)
{
    wh_applog_t *logs = data;

    if (logs->sweep != NULL) {
        closedir(logs->sweep);
    }
    logs->sweep = NULL;
    return APR_SUCCESS;
}

wh_applog_t *wh_applog_make(apr_pool_t *p, const char *dir, wh_segment_t *writer,
                            const wh_applog_limits_t *limits)
{
    wh_applog_t *logs = apr_pcalloc(p, sizeof(*logs));

    logs->dir = apr_pstrcat(p, dir, "/apps", NULL);
    logs->writer = writer;
    logs->limits = *limits;
    logs->packer = wh_packer_make(p, limits);
    apr_pool_cleanup_register(p, logs, end_sweep, apr_pool_cleanup_null);
    logs->known = wh_lru_make(p, WH_APPLOG_KNOWN, drop_log, logs);
    return logs;
}

/* ---- sources ---- */

/* A source in slot i, new. 0 = out of memory. */
static int source_set(log_t *log, int i, const char *deployment, const char *container)
{
    char *name = strdup(container);
    source_t *all = log->sources;

    if (name != NULL && i >= log->sources_n) {
        all = realloc(all, (size_t)(i + 1) * sizeof(*all));
        if (all != NULL) {
            memset(all + log->sources_n, 0, (size_t)(i + 1 - log->sources_n) * sizeof(*all));
            log->sources = all;
            log->sources_n = i + 1;
        }
    }
    if (name == NULL || all == NULL) {
        free(name);
        return 0;
    }
    free(all[i].container);
    memset(&all[i], 0, sizeof(all[i]));
    apr_cpystrn(all[i].deployment, deployment, sizeof(all[i].deployment));
    all[i].container = name;
    all[i].used = ++log->uses;
    log->declared &= ~(1U << i);
    return 1;
}

/* The index of the frame's source; a new one takes the place of the one that was silent longest,
 * when there are too many. -1 = out of memory. */
static int source_of(log_t *log, const wh_msg_runtime_log_t *m)
{
    int oldest = 0;

    for (int i = 0; i < log->sources_n; i++) {
        source_t *s = &log->sources[i];

        if (s->container != NULL && strcmp(s->deployment, m->deployment) == 0 &&
            strcmp(s->container, m->container) == 0) {
            s->used = ++log->uses;
            return i;
        }
        oldest = s->used < log->sources[oldest].used ? i : oldest;
    }
    if (log->sources_n < WH_APPLOG_SOURCES) {
        oldest = log->sources_n;
    }
    return source_set(log, oldest, m->deployment, m->container) ? oldest : -1;
}

/* ---- opening ---- */

static void free_log(log_t *log)
{
    for (int i = 0; i < log->sources_n; i++) {
        free(log->sources[i].container);
    }
    free(log->sources);
    free(log);
}

/* What a segment says, read back: see wh_applog_file_read. */
static int on_source(void *baton, int k, apr_int64_t seq, const char *deployment,
                     const char *container)
{
    log_t *log = baton;

    if (k < 1 || k > WH_APPLOG_SOURCES || !wh_id_ok(deployment) ||
        !source_set(log, k - 1, deployment, container)) {
        return 0;
    }
    log->declared |= 1U << (k - 1);
    log->sources[k - 1].last = log->sources[k - 1].stored = seq;
    return 1;
}

static int on_line(void *baton, const wh_logline_t *line)
{
    log_t *log = baton;
    source_t *s;

    if (line->k > log->sources_n || line->n <= log->n) {
        return 0;
    }
    s = &log->sources[line->k - 1];
    log->n = line->n;
    s->last = s->stored = line->seq;
    s->last_at = line->at > s->last_at ? line->at : s->last_at;
    return 1;
}

static apr_status_t read_back(log_t *log, const wh_applog_t *logs, apr_pool_t *p, wh_err_t *err)
{
    static const wh_applog_file_reader_t reader = {.source = on_source, .line = on_line};
    const char *dir = apr_pstrcat(p, logs->dir, "/", log->app, NULL);
    apr_array_header_t *files;
    apr_int64_t bytes = -1;
    int knows = 0;
    apr_status_t rv = wh_logread_list(p, dir, &files, err);

    /* An empty last segment (killed between making and writing it): the one before knows. */
    for (int i = rv == APR_SUCCESS ? files->nelts : 0; rv == APR_SUCCESS && i > 0 && bytes <= 0;
         i--) {
        const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i - 1, wh_logread_file_t);

        if (file->packed) {
            break; /* the one after it is empty because its lines were too old */
        }
        knows = i - 1;
        log->n = file->first - 1;
        rv = wh_applog_file_read(p, wh_logread_path(p, dir, file), &reader, log, &bytes, err);
        if (i == files->nelts) {
            log->first = file->first;
            log->bytes = bytes;
        } else {
            log->declared = 0;
            log->n = bytes > 0 ? log->n : file->first - 1;
        }
    }
    /* Killed before they were packed. */
    for (int i = 0; rv == APR_SUCCESS && i < knows; i++) {
        const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i, wh_logread_file_t);

        if (!file->packed) {
            wh_packer_add(logs->packer, dir, file->first);
        }
    }
    if (rv == APR_SUCCESS && knows + 1 < files->nelts) {
        log->ended = APR_ARRAY_IDX(files, knows, wh_logread_file_t).first;
    }
    return rv;
}

static apr_status_t open_log(wh_applog_t *logs, apr_pool_t *p, const char *app, wh_mono_t now,
                             log_t **out, wh_err_t *err)
{
    log_t *log = (log_t *)wh_lru_find(logs->known, app);
    apr_status_t rv;

    if (log != NULL) {
        *out = log;
        return APR_SUCCESS;
    }
    if (!wh_id_ok(app)) {
        return wh_err_set(err, 500, "log_unwritable", "that is no app id");
    }
    log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return wh_err_wrap(err, ENOMEM, 500, "log_unwritable", "app %s", app);
    }
    apr_cpystrn(log->app, app, sizeof(log->app));
    log->bytes = -1;
    rv = wh_applog_file_dirs(p, logs->dir, app, err);
    rv = rv == APR_SUCCESS ? read_back(log, logs, p, err) : rv;
    if (rv != APR_SUCCESS) {
        free_log(log);
        return rv;
    }
    log->item.key = log->app;
    wh_lograte_init(&log->rate, now);
    wh_lru_add(logs->known, &log->item);
    *out = log;
    return APR_SUCCESS;
}

/* ---- writing ---- */

/* Workers say what they like: sums of it stay in range. */
static apr_int64_t sum_of(apr_int64_t a, apr_int64_t b)
{
    return a > WH_SEQ_MAX - b ? WH_SEQ_MAX : a + b;
}

/* What is on its way into the files: it becomes the log's own state when a segment is ended. */
typedef struct draft_t {
    wh_applog_t *logs;
    log_t *log;
    apr_pool_t *p;
    int k; /* index of the source in hand */
    int begun;
    apr_int64_t n, first, stored, lines, left_out;
    apr_uint32_t declared;
} draft_t;

static draft_t draft_of(wh_applog_t *logs, log_t *log, apr_pool_t *p, int k)
{
    return (draft_t){.logs = logs,
                     .log = log,
                     .p = p,
                     .k = k,
                     .n = log->n,
                     .first = log->first,
                     .stored = log->sources[k].stored,
                     .declared = log->declared};
}

/* Once the next segment has something to go on from. */
static void pack_ended(draft_t *d)
{
    const char *dir = apr_pstrcat(d->p, d->logs->dir, "/", d->log->app, NULL);

    if (d->log->ended == 0 || d->log->ended == d->log->first) {
        return;
    }
    wh_packer_add(d->logs->packer, dir, d->log->ended);
    d->log->ended = 0;
}

static apr_status_t settle(draft_t *d, wh_err_t *err)
{
    apr_int64_t bytes;
    apr_status_t rv;

    if (!d->begun) {
        return APR_SUCCESS;
    }
    d->begun = 0;
    rv = wh_segment_end(d->logs->writer, &bytes, err);
    if (rv == APR_SUCCESS) {
        d->log->n = d->n;
        d->log->first = d->first;
        d->log->bytes = -1;
        d->log->declared = d->declared;
        d->log->sources[d->k].stored = d->stored;
        d->logs->stored += d->lines;
        d->logs->left_out = sum_of(d->logs->left_out, d->left_out);
        d->lines = d->left_out = 0;
        pack_ended(d);
    }
    return rv;
}

static apr_status_t declare(draft_t *d, int k, wh_err_t *err)
{
    const source_t *s = &d->log->sources[k];
    char head[HEAD_MAX];
    int n = snprintf(head, sizeof(head), "@%d %" APR_INT64_T_FMT " %s ", k + 1,
                     k == d->k ? d->stored : s->stored, s->deployment);

    d->declared |= 1U << k;
    return wh_segment_put(d->logs->writer, head, (apr_size_t)n, s->container, strlen(s->container),
                          err);
}

static apr_status_t begin(draft_t *d, wh_err_t *err)
{
    const char *dir = apr_pstrcat(d->p, d->logs->dir, "/", d->log->app, NULL);
    int fresh = d->first == 0;
    apr_status_t rv;

    d->first = fresh ? d->n + 1 : d->first;
    rv = wh_segment_begin(d->logs->writer, wh_applog_file_path(d->p, dir, d->first),
                          fresh ? -1 : d->log->bytes, err);
    d->begun = rv == APR_SUCCESS;
    if (rv != APR_SUCCESS || (!fresh && d->log->bytes != 0)) {
        return rv;
    }
    d->declared = 0;
    for (int k = 0; rv == APR_SUCCESS && k < d->log->sources_n; k++) {
        rv = d->log->sources[k].container != NULL ? declare(d, k, err) : APR_SUCCESS;
    }
    return rv;
}

static void tell_line(const draft_t *d, const wh_msg_line_t *line, wh_level_e level)
{
    const source_t *s = &d->log->sources[d->k];
    const wh_logdrain_line_t l = {.at = line->at,
                                  .app = "",
                                  .environment = "",
                                  .deployment = s->deployment,
                                  .container = s->container,
                                  .stream = line->stream,
                                  .level = level,
                                  .text = line->text};

    if (d->logs->on_line != NULL) {
        d->logs->on_line(d->logs->on_line_baton, d->log->app, &l);
    }
}

/* One line of the source in hand, under the next number. */
static apr_status_t put(draft_t *d, const wh_msg_line_t *line, wh_err_t *err)
{
    apr_size_t len = strlen(line->text);
    wh_logline_t stored = {.n = d->n + 1,
                           .at = line->at,
                           .seq = line->seq,
                           .stream = line->stream,
                           .level = wh_level_of(line->text, len),
                           .k = d->k + 1};
    char head[HEAD_MAX];
    int n = wh_logline_head(head, &stored);
    apr_status_t rv = d->begun ? APR_SUCCESS : begin(d, err);

    if (rv == APR_SUCCESS &&
        wh_segment_bytes(d->logs->writer) + n + (apr_int64_t)len + 1 > WH_APPLOG_SEGMENT_BYTES) {
        rv = settle(d, err);
        d->log->ended = rv == APR_SUCCESS ? d->first : 0;
        d->first = 0;
        rv = rv == APR_SUCCESS ? begin(d, err) : rv;
    }
    if (rv == APR_SUCCESS && (d->declared & (1U << d->k)) == 0) {
        rv = declare(d, d->k, err);
    }
    rv = rv == APR_SUCCESS
             ? wh_segment_put(d->logs->writer, head, (apr_size_t)n, line->text, len, err)
             : rv;
    if (rv == APR_SUCCESS) {
        d->n++;
        d->stored = line->seq;
        tell_line(d, line, stored.level);
    }
    return rv;
}

/* Says what is missing before the number `next`, and `more`, which the numbers do not show. */
static apr_status_t put_note(draft_t *d, apr_time_t at, apr_int64_t next, apr_int64_t more,
                             wh_err_t *err)
{
    apr_int64_t missing = sum_of(next - 1 - d->stored, more);
    wh_msg_line_t line = {.seq = next - 1, .at = at, .stream = WH_STREAM_SYS};
    char text[96];
    apr_status_t rv;

    if (missing <= 0) {
        return APR_SUCCESS;
    }
    snprintf(text, sizeof(text), "%" APR_INT64_T_FMT " lines were left out: too many at once",
             missing);
    line.text = text;
    rv = put(d, &line, err);
    if (rv == APR_SUCCESS) {
        d->left_out = sum_of(d->left_out, missing);
    }
    return rv;
}

/* How many the agent left out beyond the gap that its numbers show. */
static apr_int64_t unseen(const source_t *s, const wh_msg_runtime_log_t *m)
{
    apr_int64_t first =
        m->lines->nelts > 0 ? APR_ARRAY_IDX(m->lines, 0, wh_msg_line_t).seq : s->last + 1;
    apr_int64_t gap = first > s->last ? first - 1 - s->last : first - 1;

    for (int i = 1; i < m->lines->nelts; i++) {
        gap += APR_ARRAY_IDX(m->lines, i, wh_msg_line_t).seq -
               APR_ARRAY_IDX(m->lines, i - 1, wh_msg_line_t).seq - 1;
    }
    return m->dropped > gap ? m->dropped - gap : 0;
}

/* The count begins anew: what is still to be told of the old one is told first. */
static apr_status_t begin_anew(draft_t *d, source_t *s, apr_time_t at, wh_err_t *err)
{
    apr_status_t rv = put_note(d, at, s->last + 1, s->more, err);

    if (rv == APR_SUCCESS) {
        s->last = d->stored = s->again;
        s->more = 0;
    }
    return rv;
}

/* Takes a line's number in hand. 0 = the line came before. */
static int is_new(draft_t *d, source_t *s, const wh_msg_line_t *line, apr_status_t *rv,
                  wh_err_t *err)
{
    *rv = APR_SUCCESS;
    if (line->seq <= s->last && line->at <= s->last_at) {
        s->again = line->seq;
        return 0;
    }
    if (line->seq <= s->last) {
        *rv = begin_anew(d, s, line->at, err);
    }
    s->again = 0;
    s->last = line->seq;
    s->last_at = line->at > s->last_at ? line->at : s->last_at;
    return 1;
}

static apr_status_t put_lines(draft_t *d, source_t *s, const wh_msg_runtime_log_t *m,
                              const wh_lograte_now_t *rate, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, d->p);
    for (int i = 0; rv == APR_SUCCESS && i < m->lines->nelts; i++) {
        wh_msg_line_t line = APR_ARRAY_IDX(m->lines, i, wh_msg_line_t);

        if (!is_new(d, s, &line, &rv, err) || rv != APR_SUCCESS) {
            continue;
        }
        if (!wh_lograte_take(&d->log->rate, rate, (apr_int64_t)strlen(line.text) + 1)) {
            continue;
        }
        apr_pool_clear(scratch);
        line.text = wh_text_clean_line(scratch, line.text, WH_TEXT_NUL, WH_TEXT_LINE_MAX);
        rv = put_note(d, line.at, line.seq, s->more, err);
        if (rv == APR_SUCCESS) {
            s->more = 0;
            rv = put(d, &line, err);
        }
        d->lines += rv == APR_SUCCESS;
    }
    apr_pool_destroy(scratch);
    return rv;
}

void wh_applog_on_line(wh_applog_t *logs,
                       void (*fn)(void *baton, const char *app, const wh_logdrain_line_t *line),
                       void *baton)
{
    logs->on_line = fn;
    logs->on_line_baton = baton;
}

apr_status_t wh_applog_append(wh_applog_t *logs, apr_pool_t *ptemp, const wh_msg_runtime_log_t *m,
                              const wh_lograte_now_t *rate, wh_mono_t now, wh_err_t *err)
{
    const wh_msg_line_t *lines = (const wh_msg_line_t *)m->lines->elts;
    int n = m->lines->nelts;
    log_t *log = NULL;
    source_t *s;
    draft_t d;
    int k;
    apr_status_t rv = open_log(logs, ptemp, m->app, now, &log, err);

    if (rv != APR_SUCCESS || log == NULL) {
        return rv;
    }
    k = source_of(log, m);
    if (k < 0) {
        return wh_err_wrap(err, ENOMEM, 500, "log_unwritable", "app %s", m->app);
    }
    s = &log->sources[k];
    d = draft_of(logs, log, ptemp, k);
    s->more = sum_of(s->more, unseen(s, m));
    log->at = n > 0 ? lines[0].at : log->at;
    rv = put_lines(&d, s, m, rate, err);
    rv = rv == APR_SUCCESS ? settle(&d, err) : rv;
    if (rv != APR_SUCCESS && n > 0 && lines[n - 1].seq > s->last) {
        s->last = lines[n - 1].seq;
    }
    logs->due |= s->last > s->stored || s->more > 0;
    wh_segment_cancel(logs->writer);
    return rv;
}

/* ---- telling ---- */

static void tell_log(wh_applog_t *logs, log_t *log, apr_pool_t *p, apr_time_t at)
{
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;

    for (int k = 0; rv == APR_SUCCESS && k < log->sources_n; k++) {
        source_t *s = &log->sources[k];
        draft_t d = draft_of(logs, log, p, k);

        if (s->last <= s->stored && s->more == 0) {
            continue;
        }
        rv = put_note(&d, at, s->last + 1, s->more, &err);
        rv = rv == APR_SUCCESS ? settle(&d, &err) : rv;
        wh_segment_cancel(logs->writer);
        s->more = rv == APR_SUCCESS ? 0 : s->more;
    }
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0424", "log of app %s: %s", log->app, err.text);
        logs->due = 1;
    }
}

/* Some apps at a time: the lines of many apps are not all looked at in one turn. */
static void sweep(wh_applog_t *logs, apr_pool_t *p, apr_time_t at)
{
    const struct dirent *entry = NULL;

    if (logs->sweep == NULL && at >= logs->sweep_at) {
        logs->sweep = opendir(logs->dir);
        logs->sweep_at = at + WH_APPLOG_SWEEP_US;
    }
    for (int i = 0; logs->sweep != NULL && i < SWEEP_APPS; i++) {
        wh_lru_item_t *item;

        entry = readdir(logs->sweep);
        if (entry == NULL) {
            (void)end_sweep(logs);
        } else if (wh_id_ok(entry->d_name) &&
                   wh_applog_file_prune(p, apr_pstrcat(p, logs->dir, "/", entry->d_name, NULL),
                                        &logs->limits, at) &&
                   (item = wh_lru_find(logs->known, entry->d_name)) != NULL) {
            wh_lru_remove(logs->known, item); /* it is read back when something comes */
        }
    }
}

void wh_applog_tell(wh_applog_t *logs, apr_pool_t *ptemp, apr_time_t at)
{
    wh_lru_item_t *item = logs->due ? wh_lru_next(logs->known, NULL) : NULL;
    apr_pool_t *scratch;

    sweep(logs, ptemp, at);
    if (item == NULL) {
        return;
    }
    logs->due = 0;
    apr_pool_create(&scratch, ptemp);
    for (; item != NULL; item = wh_lru_next(logs->known, item)) {
        apr_pool_clear(scratch);
        tell_log(logs, (log_t *)item, scratch, at);
    }
    apr_pool_destroy(scratch);
}

/* It makes room for another, or everything ends. */
static void drop_log(void *baton, wh_lru_item_t *item)
{
    wh_applog_t *logs = baton;
    log_t *log = (log_t *)item;
    apr_pool_t *scratch;

    if (apr_pool_create(&scratch, NULL) == APR_SUCCESS) {
        tell_log(logs, log, scratch, log->at);
        apr_pool_destroy(scratch);
    }
    free_log(log);
}

void wh_applog_remove(wh_applog_t *logs, apr_pool_t *ptemp, const char *app)
{
    wh_lru_item_t *item = wh_lru_find(logs->known, app);
    const char *dir = apr_pstrcat(ptemp, logs->dir, "/", app, NULL);

    if (!wh_id_ok(app)) {
        return;
    }
    if (item != NULL) {
        wh_lru_remove(logs->known, item);
    }
    wh_applog_wait(logs);
    wh_applog_file_remove(ptemp, dir);
    if (rmdir(dir) != 0 && errno != ENOENT) {
        wh_log(WH_LOG_WARN, "WH0425", "%s cannot be removed: error %d", dir, errno);
    }
}

void wh_applog_sums(const wh_applog_t *logs, apr_int64_t *stored, apr_int64_t *left_out)
{
    *stored = logs->stored;
    *left_out = logs->left_out;
}

void wh_applog_wait(wh_applog_t *logs)
{
    wh_packer_wait(logs->packer);
}
