#include "libwh/wh_sse.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_text.h"

void wh_sse_init(wh_sse_t *sse, wh_sse_fn *fn, void *baton)
{
    *sse = (wh_sse_t){.fn = fn, .baton = baton, .retry_ms = -1};
}

void wh_sse_cut(wh_sse_t *sse)
{
    sse->line_n = sse->data_n = 0;
    sse->has_data = sse->after_cr = 0;
    sse->type[0] = '\0';
    memcpy(sse->next_id, sse->id, sizeof(sse->next_id));
}

void wh_sse_free(wh_sse_t *sse)
{
    free(sse->line);
    free(sse->data);
    sse->line = sse->data = NULL;
    sse->line_room = sse->data_room = 0;
    wh_sse_cut(sse);
}

/* With room for a NUL behind it. */
static int add(char **to, size_t *n, size_t *room, const char *bytes, size_t len)
{
    if (len > WH_SSE_EVENT_MAX - *n) {
        return 0;
    }
    if (*n + len + 1 > *room) {
        size_t want = (*n + len + 1) * 2;
        char *more = realloc(*to, want);

        if (more == NULL) {
            return 0;
        }
        *to = more;
        *room = want;
    }
    if (len > 0) {
        memcpy(*to + *n, bytes, len);
    }
    *n += len;
    (*to)[*n] = '\0';
    return 1;
}

static int tell(wh_sse_t *sse)
{
    int has = sse->has_data, rc = 0;

    memcpy(sse->id, sse->next_id, sizeof(sse->id));
    if (has) {
        rc = sse->fn(sse->baton, sse->type[0] != '\0' ? sse->type : "message", sse->data);
    }
    sse->data_n = 0;
    sse->has_data = 0;
    sse->type[0] = '\0';
    return rc;
}

static int is_name(const char *line, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(line, name, n) == 0;
}

/* One line without its end, which is a NUL now. */
static int take_line(wh_sse_t *sse)
{
    const char *line = sse->line, *colon = strchr(line, ':');
    size_t n = colon != NULL ? (size_t)(colon - line) : sse->line_n;
    const char *value = colon == NULL ? "" : colon[1] == ' ' ? colon + 2 : colon + 1;
    apr_int64_t ms;

    if (sse->line_n == 0) {
        return tell(sse);
    }
    if (is_name(line, n, "data")) {
        if ((sse->has_data && !add(&sse->data, &sse->data_n, &sse->data_room, "\n", 1)) ||
            !add(&sse->data, &sse->data_n, &sse->data_room, value, strlen(value))) {
            return -1;
        }
        sse->has_data = 1;
    } else if (is_name(line, n, "event")) {
        apr_cpystrn(sse->type, value, sizeof(sse->type));
    } else if (is_name(line, n, "id") && strlen(value) < WH_SSE_ID_MAX) {
        apr_cpystrn(sse->next_id, value, sizeof(sse->next_id));
    } else if (is_name(line, n, "retry") && wh_text_number(value, 0, WH_SSE_RETRY_MAX, &ms)) {
        sse->retry_ms = (int)ms;
    }
    return 0;
}

int wh_sse_feed(wh_sse_t *sse, const char *bytes, size_t n)
{
    const char *end = bytes + n;

    while (bytes < end) {
        size_t len = 0;
        int rc;

        if (sse->after_cr && *bytes == '\n') { /* of CR LF */
            sse->after_cr = 0;
            bytes++;
            continue;
        }
        sse->after_cr = 0;
        while (bytes + len < end && bytes[len] != '\n' && bytes[len] != '\r') {
            len++;
        }
        if (!add(&sse->line, &sse->line_n, &sse->line_room, bytes, len)) {
            return -1;
        }
        bytes += len;
        if (bytes == end) {
            return 0;
        }
        sse->after_cr = *bytes++ == '\r';
        rc = take_line(sse);
        sse->line_n = 0;
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
