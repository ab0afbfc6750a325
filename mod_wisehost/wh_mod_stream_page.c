#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "libwh/wh_logpack.h"
#include "mod_wisehost/wh_mod_stream_int.h"

#define PAGE_LINES 500
#define PAGE_BUDGET (2 * (apr_int64_t)WH_MIB)

#define STREAMS 0xffU
#define LEVELS 0xff00U

int wh_mod_stream_wants(const wh_stream_of_t *of, apr_pool_t *p, const wh_feed_item_t *item)
{
    apr_size_t n, text_n;
    char *lower, *text;

    if (item->event == NULL ||
        ((of->kinds & STREAMS) != 0 && (of->kinds & item->kinds & STREAMS) == 0) ||
        ((of->kinds & LEVELS) != 0 && (of->kinds & item->kinds & LEVELS) == 0) ||
        (of->deployment != NULL && strcmp(of->deployment, item->line.deployment) != 0)) {
        return 0;
    }
    if (of->text == NULL) {
        return 1;
    }
    n = strlen(item->line.text);
    text_n = strlen(of->text);
    lower = apr_palloc(p, n + 1);
    text = apr_palloc(p, text_n + 1);
    wh_logpack_lower(lower, item->line.text, n);
    wh_logpack_lower(text, of->text, text_n);
    return memmem(lower, n, text, text_n) != NULL;
}

static int is_of(void *baton, const char *deployment, const char *container)
{
    (void)container;
    return strcmp(baton, deployment) == 0;
}

apr_size_t wh_mod_stream_page(const wh_stream_of_t *of, apr_pool_t *p, apr_int64_t *pos,
                              apr_int64_t end, char *buf, apr_size_t size)
{
    wh_logread_query_t q = {.dir = of->dir,
                            .forward = 1,
                            .after = *pos,
                            .limit = PAGE_LINES,
                            .bytes = size,
                            .kinds = of->kinds,
                            .text = of->text,
                            .wants = of->deployment != NULL ? is_of : NULL,
                            .baton = (void *)(uintptr_t)of->deployment,
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
        char *event = of->format(p, line, &n);
        int fits = event == NULL || used + n <= size;

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
