#include "mod_wisehost/wh_mod_feed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <jansson.h>

#include "libwh/wh_json.h"
#include "libwh/wh_logpack.h"
#include "mod_wisehost/wh_h_applog.h"

#define CHUNK (64 * 1024) /* longer than any line */

typedef struct source_t {
    char deployment[32], container[160];
} source_t;

struct wh_feed_t {
    char *dir;
    wh_feed_format_fn *format;
    int begun; /* it has found the end */
    int fd;
    apr_int64_t first;  /* the segment's name */
    apr_int64_t offset; /* in it, of what was read */
    apr_int64_t last;
    source_t sources[WH_LOGLINE_SOURCES];
    wh_feed_item_t *ring[WH_FEED_RING];
    int head, n; /* the oldest, how many */
    apr_size_t bytes;
    char buf[CHUNK];
};

wh_feed_t *wh_feed_make(const char *dir, wh_feed_format_fn *format)
{
    wh_feed_t *feed = calloc(1, sizeof(*feed));

    if (feed == NULL || (feed->dir = strdup(dir)) == NULL) {
        free(feed);
        return NULL;
    }
    feed->format = format;
    feed->fd = -1;
    return feed;
}

static void drop_oldest(wh_feed_t *feed)
{
    wh_feed_item_t *item = feed->ring[feed->head];

    feed->bytes -= item->len;
    free(item->event);
    free(item);
    feed->head = (feed->head + 1) % WH_FEED_RING;
    feed->n--;
}

void wh_feed_free(wh_feed_t *feed)
{
    while (feed->n > 0) {
        drop_oldest(feed);
    }
    if (feed->fd >= 0) {
        close(feed->fd);
    }
    free(feed->dir);
    free(feed);
}

const char *wh_feed_dir(const wh_feed_t *feed)
{
    return feed->dir;
}

/* ---- events ---- */

char *wh_feed_log_event(apr_pool_t *p, const wh_logread_line_t *line, apr_size_t *len)
{
    json_t *item = wh_h_applog_line(line);
    const char *json = item != NULL ? wh_json_text_safe(p, item, NULL) : NULL;
    char *event = NULL;

    json_decref(item);
    if (json != NULL) {
        json = apr_psprintf(p, "id: %" APR_INT64_T_FMT "\nevent: %s\ndata: %s\n\n", line->n,
                            line->stream == WH_STREAM_ERR ? "run_error" : "run_logs", json);
        *len = strlen(json);
        event = strdup(json);
    }
    return event;
}

/* ---- lines ---- */

static void set_source(wh_feed_t *feed, const wh_logline_source_t *s)
{
    source_t *to = &feed->sources[s->k - 1];

    memset(to, 0, sizeof(*to));
    memcpy(to->deployment, s->deployment,
           s->deployment_n < sizeof(to->deployment) ? s->deployment_n : sizeof(to->deployment) - 1);
    memcpy(to->container, s->container,
           s->container_n < sizeof(to->container) ? s->container_n : sizeof(to->container) - 1);
}

static void keep(wh_feed_t *feed, apr_pool_t *p, const wh_logline_t *line)
{
    const source_t *s = &feed->sources[line->k - 1];
    wh_feed_item_t *item = malloc(sizeof(*item) + sizeof(*s) + line->len + 1);
    source_t *own = item != NULL ? (source_t *)(void *)(item + 1) : NULL;
    char *text = own != NULL ? (char *)(own + 1) : NULL;

    if (item == NULL) {
        return; /* who looks on finds the gap in the file */
    }
    *own = *s;
    memcpy(text, line->text, line->len);
    text[line->len] = '\0';
    *item = (wh_feed_item_t){.n = line->n,
                             .kinds = WH_LOGPACK_KIND(line->stream) | WH_LOGPACK_LEVEL(line->level),
                             .line = {.n = line->n,
                                      .at = line->at,
                                      .stream = line->stream,
                                      .level = line->level,
                                      .text = text,
                                      .deployment = own->deployment,
                                      .container = own->container}};
    item->event = feed->format(p, &item->line, &item->len);
    while (feed->n > 0 &&
           (feed->n == WH_FEED_RING || feed->bytes + item->len > (apr_size_t)WH_FEED_BYTES)) {
        drop_oldest(feed);
    }
    feed->ring[(feed->head + feed->n++) % WH_FEED_RING] = item;
    feed->bytes += item->len;
}

static void take_line(wh_feed_t *feed, apr_pool_t *p, const char *text, apr_size_t n)
{
    wh_logline_source_t source;
    wh_logline_t line;

    if (n > 0 && text[0] == '@') {
        if (wh_logline_source(text, n, &source)) {
            set_source(feed, &source);
        }
    } else if (wh_logline_parse(text, n, &line) && line.n > feed->last) {
        feed->last = line.n;
        if (feed->begun) {
            keep(feed, p, &line);
        }
    }
}

/* What is new in the segment in hand; a line without its end is read again. */
static int read_on(wh_feed_t *feed, apr_pool_t *p)
{
    apr_int64_t before = feed->last;
    apr_pool_t *scratch;
    ssize_t got;

    apr_pool_create(&scratch, p);
    while ((got = pread(feed->fd, feed->buf, sizeof(feed->buf), (off_t)feed->offset)) > 0) {
        const char *at = feed->buf, *end = feed->buf + got, *nl;

        while ((nl = memchr(at, '\n', (size_t)(end - at))) != NULL) {
            take_line(feed, scratch, at, (apr_size_t)(nl - at));
            apr_pool_clear(scratch);
            at = nl + 1;
        }
        if (at == feed->buf) {
            break;
        }
        feed->offset += at - feed->buf;
    }
    apr_pool_destroy(scratch);
    return feed->last > before;
}

static int open_segment(wh_feed_t *feed, apr_pool_t *p, apr_int64_t first)
{
    wh_logread_file_t file = {.first = first};
    int fd = open(wh_logread_path(p, feed->dir, &file), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return 0;
    }
    if (feed->fd >= 0) {
        close(feed->fd);
    }
    feed->fd = fd;
    feed->first = first;
    feed->offset = 0;
    return 1;
}

/* The newest segment; that there is none is no error. */
static int find_segment(wh_feed_t *feed, apr_pool_t *p)
{
    const wh_logread_file_t *file;
    apr_array_header_t *files;
    wh_err_t err = WH_ERR_INIT;

    if (wh_logread_list(p, feed->dir, &files, &err) != APR_SUCCESS || files->nelts == 0) {
        feed->begun = 1; /* what comes is all new */
        return 0;
    }
    file = &APR_ARRAY_IDX(files, files->nelts - 1, wh_logread_file_t);
    if (file->packed) {
        return 0; /* the next is being made */
    }
    if (!feed->begun) {
        feed->last = file->first - 1;
    }
    return open_segment(feed, p, file->first);
}

int wh_feed_poll(wh_feed_t *feed, apr_pool_t *p)
{
    int news = 0;

    if (feed->fd < 0 && !find_segment(feed, p)) {
        return 0;
    }
    do {
        news |= read_on(feed, p);
    } while (feed->last + 1 != feed->first && open_segment(feed, p, feed->last + 1));
    if (!feed->begun) {
        feed->begun = 1;
        return 0;
    }
    return news;
}

apr_int64_t wh_feed_last(const wh_feed_t *feed)
{
    return feed->last;
}

apr_int64_t wh_feed_first(const wh_feed_t *feed)
{
    return feed->n > 0 ? feed->ring[feed->head]->n : 0;
}

const wh_feed_item_t *wh_feed_next(const wh_feed_t *feed, int *at)
{
    return *at < feed->n ? feed->ring[(feed->head + (*at)++) % WH_FEED_RING] : NULL;
}

/* Numbers rise without a gap, but where memory ran out. */
const wh_feed_item_t *wh_feed_after(const wh_feed_t *feed, apr_int64_t n, int *at)
{
    int low = 0, high = feed->n;

    while (low < high) {
        int middle = (low + high) / 2;

        if (feed->ring[(feed->head + middle) % WH_FEED_RING]->n > n) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *at = low;
    return wh_feed_next(feed, at);
}
