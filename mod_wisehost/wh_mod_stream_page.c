#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "libwh/wh_logpack.h"
#include "mod_wisehost/wh_mod_stream_int.h"

#define PAGE_LINES 500
#define PAGE_BUDGET (2 * (apr_int64_t)WH_MIB)
#define NEWEST_BUDGET (8 * (apr_int64_t)WH_MIB)

#define STREAMS 0xffU
#define LEVELS 0xff00U

void wh_mod_stream_copy(apr_pool_t *p, const wh_stream_of_t *from, wh_stream_of_t *to)
{
    *to = *from;
    to->dir = apr_pstrdup(p, from->dir);
    to->text = apr_pstrdup(p, from->text); /* NULL stays NULL */
    to->deployment = apr_pstrdup(p, from->deployment);
    to->app = apr_pstrdup(p, from->app);
    to->hello = NULL;
    to->end = apr_pstrdup(p, from->end);
    if (from->map != NULL) {
        to->map = apr_hash_make(p);
        for (apr_hash_index_t *at = apr_hash_first(NULL, from->map); at; at = apr_hash_next(at)) {
            apr_hash_set(to->map, apr_pstrdup(p, apr_hash_this_key(at)), APR_HASH_KEY_STRING,
                         *(const char *)apr_hash_this_val(at) ? "y" : "");
        }
    }
    if (from->apps != NULL) {
        apr_array_header_t *apps =
            apr_array_make(p, from->apps->nelts > 0 ? from->apps->nelts : 1, sizeof(const char *));

        for (int i = 0; i < from->apps->nelts; i++) {
            APR_ARRAY_PUSH(apps, const char *) =
                apr_pstrdup(p, APR_ARRAY_IDX(from->apps, i, const char *));
        }
        to->apps = apps;
    }
}

/* 1, 0, or -1 = nobody here knows. */
static int is_mapped(const wh_stream_of_t *of, const char *deployment, apr_int64_t n)
{
    const char *known =
        of->map != NULL ? apr_hash_get(of->map, deployment, APR_HASH_KEY_STRING) : "y";

    return known != NULL ? *known != '\0' : n > of->map_to ? -1 : 0;
}

apr_size_t wh_mod_stream_come_again(apr_int64_t pos, char *buf, apr_size_t size)
{
    return (apr_size_t)apr_snprintf(buf, size, "id: %" APR_INT64_T_FMT "\nretry: 100\n\n", pos);
}

int wh_mod_stream_wants(const wh_stream_of_t *of, apr_pool_t *p, const wh_feed_item_t *item)
{
    int mapped;
    apr_size_t n, text_n;
    char *lower, *text;

    if (item->event == NULL ||
        ((of->kinds & STREAMS) != 0 && (of->kinds & item->kinds & STREAMS) == 0) ||
        ((of->kinds & LEVELS) != 0 && (of->kinds & item->kinds & LEVELS) == 0) ||
        (of->deployment != NULL && strcmp(of->deployment, item->line.deployment) != 0)) {
        return 0;
    }
    mapped = is_mapped(of, item->line.deployment, item->n);
    if (mapped <= 0) {
        return mapped;
    }
    n = strlen(item->line.text);
    if (of->wants != NULL && !of->wants(of, item->line.text, n)) {
        return 0;
    }
    if (of->text == NULL) {
        return 1;
    }
    text_n = strlen(of->text);
    lower = apr_palloc(p, n + 1);
    text = apr_palloc(p, text_n + 1);
    wh_logpack_lower(lower, item->line.text, n);
    wh_logpack_lower(text, of->text, text_n);
    return memmem(lower, n, text, text_n) != NULL;
}

static int is_of(void *baton, const char *deployment, const char *container)
{
    const wh_stream_of_t *of = baton;

    (void)container;
    /* Whether one that is not in the map is shown depends on the line. */
    return (of->deployment == NULL || strcmp(of->deployment, deployment) == 0) &&
           (of->map == NULL || is_mapped(of, deployment, of->map_to + 1) != 0);
}

static int line_is_of(void *baton, const char *text, size_t n)
{
    const wh_stream_of_t *of = baton;

    return of->wants == NULL || of->wants(of, text, n);
}

apr_size_t wh_mod_stream_page(const wh_stream_of_t *of, apr_pool_t *p, apr_int64_t *pos,
                              apr_int64_t end, char *buf, apr_size_t size, int *ask)
{
    wh_logread_query_t q = {.dir = of->dir,
                            .forward = 1,
                            .after = *pos,
                            .limit = PAGE_LINES,
                            .bytes = size,
                            .kinds = of->kinds,
                            .text = of->text,
                            .wants = is_of,
                            .wants_line = line_is_of,
                            .baton = (void *)(uintptr_t)of,
                            .budget = PAGE_BUDGET};
    wh_logread_result_t result;
    wh_err_t err = WH_ERR_INIT;
    apr_size_t used = 0;

    if (wh_logread(p, &q, &result, &err) != APR_SUCCESS) {
        return 0;
    }
    for (int i = 0; i < result.lines->nelts; i++) {
        const wh_logread_line_t *line = &APR_ARRAY_IDX(result.lines, i, wh_logread_line_t);
        apr_size_t n = 0;
        int mapped = is_mapped(of, line->deployment, line->n);
        char *event = mapped > 0 ? of->format(p, line, &n) : NULL;
        int fits = event == NULL || used + n <= size;

        if (mapped < 0) {
            *ask = 1;
            return used;
        }
        if (event != NULL && fits) {
            memcpy(buf + used, event, n);
            used += n;
        }
        free(event);
        if (!fits && used > 0) {
            return used;
        }
        *pos = line->n; /* one that is longer than all the room is passed over */
    }
    if (result.reached > *pos) {
        *pos = result.reached;
    } else if (result.reached == 0 && end > *pos) {
        *pos = end;
    }
    return used;
}

/* ---- where one begins ---- */

apr_int64_t wh_mod_stream_newest(apr_pool_t *p, const char *dir)
{
    wh_logread_query_t q = {.dir = dir, .limit = 1, .bytes = 1, .budget = NEWEST_BUDGET};
    wh_logread_result_t result;
    wh_err_t err = WH_ERR_INIT;

    return wh_logread(p, &q, &result, &err) == APR_SUCCESS && result.lines->nelts > 0
               ? APR_ARRAY_IDX(result.lines, 0, wh_logread_line_t).n
               : 0;
}

void wh_mod_stream_resume(wh_call_t *c, wh_stream_of_t *of, apr_int64_t had)
{
    apr_array_header_t *files;
    wh_err_t err = WH_ERR_INIT;
    apr_int64_t oldest, newest;

    of->after = had;
    if (wh_logread_list(c->p, of->dir, &files, &err) != APR_SUCCESS || had == 0) {
        return; /* it asked for all that there is */
    }
    oldest = files->nelts > 0 ? APR_ARRAY_IDX(files, 0, wh_logread_file_t).first : 1;
    newest = had < oldest - 1 ? oldest : wh_mod_stream_newest(c->p, of->dir);
    /* An empty segment holds the place of lines that were too old. */
    newest = newest == 0 ? oldest - 1 : newest;
    if (had < oldest - 1 || had > newest) {
        int gone = had < oldest - 1;

        of->after = gone ? oldest - 1 : newest;
        of->hello = apr_psprintf(
            c->p,
            "id: %" APR_INT64_T_FMT "\nevent: missed\ndata: {\"after\": %" APR_INT64_T_FMT
            ", \"%s\": %" APR_INT64_T_FMT "}\n\n",
            of->after, had, gone ? "oldest" : "newest", gone ? oldest : newest);
    }
}

apr_status_t wh_mod_stream_begin_at(wh_call_t *c, wh_stream_of_t *of, const wh_logread_query_t *q)
{
    wh_logread_query_t first = *q;
    wh_logread_result_t result;
    apr_status_t rv = APR_SUCCESS;

    of->after = wh_mod_stream_newest(c->p, of->dir);
    if (q->from == 0 && q->limit == 0) {
        return rv;
    }
    first.forward = q->from != 0;
    first.limit = first.forward ? 1 : q->limit;
    first.after = 0;
    first.before = of->after + 1;
    rv = wh_logread(c->p, &first, &result, &c->err);
    if (rv == APR_SUCCESS && result.lines->nelts > 0) {
        of->after = APR_ARRAY_IDX(result.lines, 0, wh_logread_line_t).n - 1;
    } else if (rv == APR_SUCCESS && first.forward && result.reached != 0) {
        of->after = result.reached;
    }
    return rv;
}
