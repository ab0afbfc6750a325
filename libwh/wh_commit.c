/* wh_commit: see wh_commit.h. */
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_commit.h"
#include "libwh/wh_text.h"

/* "author Name <mail> 1795231683 +0000" */
static void parse_author(apr_pool_t *p, const char *line, wh_commit_t *out)
{
    size_t n = strcspn(line, "\n"), name = 0;
    const char *mail = memchr(line, '<', n), *end = NULL;

    for (size_t i = 0; i < n; i++)
        if (line[i] == '>')
            end = line + i;
    if (mail != NULL)
        name = (size_t)(mail - line);
    while (name > 0 && line[name - 1] == ' ')
        name--;
    out->author = wh_text_clean_line(p, line, name, WH_COMMIT_AUTHOR_MAX);
    if (end != NULL && end[1] == ' ' && apr_isdigit(end[2])) {
        apr_int64_t s = apr_strtoi64(end + 2, NULL, 10);

        out->at = s > 0 && s < APR_INT64_C(253402300800) ? apr_time_from_sec(s) : 0;
    }
}

/* The message, without what a log or a page could trip over: each line cleaned. */
static const char *clean_message(apr_pool_t *p, const char *body)
{
    const char *out = "";
    apr_size_t have = 0;

    while (*body != '\0' && have < WH_COMMIT_MESSAGE_MAX) {
        size_t n = strcspn(body, "\n");
        const char *line = wh_text_clean_line(p, body, n, WH_COMMIT_MESSAGE_MAX);

        out = apr_pstrcat(p, out, have > 0 ? "\n" : "", line, NULL);
        have = strlen(out);
        body += n;
        if (*body == '\n')
            body++;
    }
    while (have > 0 && out[have - 1] == '\n')
        have--;
    return wh_text_cap(p, apr_pstrmemdup(p, out, have), WH_COMMIT_MESSAGE_MAX);
}

void wh_commit_parse(apr_pool_t *p, const char *text, wh_commit_t *out)
{
    const char *line = text;

    *out = (wh_commit_t){.message = "", .author = ""};
    while (*line != '\0' && *line != '\n') {
        if (strncmp(line, "author ", 7) == 0)
            parse_author(p, line + 7, out);
        line += strcspn(line, "\n");
        if (*line == '\n')
            line++;
    }
    if (*line == '\n')
        out->message = clean_message(p, line + 1);
}

int wh_commit_skips(const char *message)
{
    static const char *const marks[] = {"[skip ci]",     "[ci skip]",     "[no ci]",
                                        "[skip deploy]", "[deploy skip]", "[skip actions]"};

    for (const char *s = strchr(message, '['); s != NULL; s = strchr(s + 1, '[')) {
        for (size_t i = 0; i < WH_ARRAY_LEN(marks); i++) {
            if (strncasecmp(s, marks[i], strlen(marks[i])) == 0)
                return 1;
        }
    }
    return 0;
}
