#include "libwh/wh_logline.h"

#include <stdio.h>
#include <string.h>

/* A number and the character behind it, both of which must be there. */
static int number(const char **at, const char *end, char behind, apr_int64_t *out)
{
    const char *s = *at;
    apr_int64_t n = 0;

    while (s < end && *s >= '0' && *s <= '9' && s - *at < 18)
        n = n * 10 + (*s++ - '0');
    if (s == *at || s >= end || *s != behind)
        return 0;
    *out = n;
    *at = s + 1;
    return 1;
}

static int stream_of(const char **at, const char *end, wh_logline_t *out)
{
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    char name[4] = "";

    if (space == NULL || space - *at < 3)
        return 0;
    memcpy(name, *at, 3);
    if (!wh_model_stream_of(name, &out->stream))
        return 0;
    out->level =
        (*at)[3] == '.' ? wh_level_named(*at + 4, (size_t)(space - *at) - 4) : WH_LEVEL_NONE;
    if ((*at)[3] != '.' && space - *at != 3)
        return 0;
    *at = space + 1;
    return 1;
}

int wh_logline_parse(const char *line, size_t n, wh_logline_t *out)
{
    const char *end = line + n;
    apr_int64_t k;

    if (!number(&line, end, ' ', &out->n) || !number(&line, end, ' ', &out->at) ||
        !stream_of(&line, end, out) || !number(&line, end, ':', &k) ||
        !number(&line, end, ' ', &out->seq) || k < 1 || k > WH_LOGLINE_SOURCES || out->n < 1)
        return 0;
    out->k = (int)k;
    out->text = line;
    out->len = (size_t)(end - line);
    return 1;
}

int wh_logline_head(char out[WH_LOGLINE_HEAD], const wh_logline_t *line)
{
    const char *level = wh_level_text(line->level);

    return snprintf(out, WH_LOGLINE_HEAD,
                    "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %s%s%s %d:%" APR_INT64_T_FMT " ",
                    line->n, line->at, wh_model_stream_text(line->stream), *level ? "." : "", level,
                    line->k, line->seq);
}

int wh_logline_source(const char *line, size_t n, wh_logline_source_t *out)
{
    const char *end = line + n, *space;
    apr_int64_t k;

    if (n == 0 || *line++ != '@' || !number(&line, end, ' ', &k) ||
        !number(&line, end, ' ', &out->seq) || k < 1 || k > WH_LOGLINE_SOURCES)
        return 0;
    space = memchr(line, ' ', (size_t)(end - line));
    if (space == NULL)
        return 0;
    out->k = (int)k;
    out->deployment = line;
    out->deployment_n = (size_t)(space - line);
    out->container = space + 1;
    out->container_n = (size_t)(end - space - 1);
    return 1;
}
