#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "wh-agent/dockerfile.h"

int wh_dockerfile_name_bad(const char *name)
{
    size_t n = strlen(name);

    return n >= 3 && strcasecmp(name + n - 3, ".in") == 0;
}

/* One instruction with its continuations joined. */
typedef struct line_t {
    char *text;
    size_t n;
    int number; /* where it begins */
} line_t;

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The length without the backslash that makes the next line part of this one. */
static size_t without_escape(const char *s, size_t n, int *escaped)
{
    size_t end = n;

    while (end > 0 && is_blank(s[end - 1]))
        end--;
    *escaped = end > 0 && s[end - 1] == '\\';
    return *escaped ? end - 1 : n;
}

/* "WORD" and a blank, in any case. Returns where its arguments begin, or NULL. */
static const char *after_word(const char *s, const char *word)
{
    size_t n = strlen(word);

    return strncasecmp(s, word, n) == 0 && s[n] != '\0' && is_blank(s[n]) ? s + n : NULL;
}

/* Past blanks, and past what may be a blank beyond ASCII. */
static const char *skip_blanks(const char *s)
{
    while (*s != '\0' && (is_blank(*s) || (unsigned char)*s >= 0x7f))
        s++;
    return s;
}

static int has_mount(const char *s)
{
    for (; *s != '\0'; s++)
        if (strncasecmp(s, "--mount", 7) == 0)
            return 1;
    return 0;
}

static apr_status_t check_line(const line_t *line, wh_err_t *err)
{
    const char *s = skip_blanks(line->text), *rest;

    while ((rest = after_word(s, "ONBUILD")) != NULL)
        s = skip_blanks(rest);
    if (has_mount(s))
        return wh_err_set(err, 422, "build_failed",
                          "line %d of the Dockerfile: --mount is not allowed here", line->number);
    rest = after_word(s, "ADD");
    if (rest == NULL)
        return APR_SUCCESS;
    if (strpbrk(rest, "$\\`") != NULL || strstr(rest, "://") != NULL)
        return wh_err_set(err, 422, "build_failed",
                          "line %d of the Dockerfile: ADD takes plain paths only, no addresses, no "
                          "variables and no escapes; use COPY, or fetch it in a RUN",
                          line->number);
    return APR_SUCCESS;
}

/* What parsers read in different ways: then what is checked here would not be what runs. */
static apr_status_t check_bytes(const char *s, size_t n, int number, wh_err_t *err)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        if (((unsigned char)s[i] < ' ' && s[i] != '\t') && !(s[i] == '\r' && i + 1 == n))
            return wh_err_set(err, 422, "build_failed",
                              "line %d of the Dockerfile has a control character", number);
    while (at < n && (is_blank(s[at]) || s[at] == '#'))
        at++;
    if (at == 0 || n - at < 6 || strncasecmp(s + at, "escape", 6) != 0)
        return APR_SUCCESS;
    for (at += 6; at < n && (is_blank(s[at]) || s[at] == '='); at++)
        ;
    return at < n && s[at] == '`'
               ? wh_err_set(err, 422, "build_failed",
                            "line %d of the Dockerfile: another escape character is not allowed",
                            number)
               : APR_SUCCESS;
}

/* State between lines: an instruction goes on; a comment that some parsers do not take for one
 * stood in it, so that the next line may be one of its own. */
typedef struct scan_t {
    line_t line;
    int more, doubt;
} scan_t;

static apr_status_t take_line(apr_pool_t *p, scan_t *scan, const char *s, size_t n, int number,
                              wh_err_t *err)
{
    line_t *line = &scan->line;
    size_t first = 0, take;
    apr_status_t rv = APR_SUCCESS;

    while (first < n && is_blank(s[first]))
        first++;
    if (first == n)
        return APR_SUCCESS;
    if (s[first] == '#') {
        scan->doubt |= scan->more && first > 0;
        return APR_SUCCESS;
    }
    if (!scan->more)
        line->number = number;
    if (scan->doubt) {
        line_t alone = {.text = apr_pstrmemdup(p, s, n), .n = n, .number = number};

        rv = check_line(&alone, err);
    }
    scan->doubt = 0;
    take = without_escape(s, n, &scan->more);
    memcpy(line->text + line->n, s, take);
    line->n += take;
    line->text[line->n] = '\0';
    if (rv == APR_SUCCESS && !scan->more) {
        rv = check_line(line, err);
        line->n = 0;
    }
    return rv;
}

apr_status_t wh_dockerfile_check(apr_pool_t *p, const char *text, size_t n, wh_err_t *err)
{
    scan_t scan = {.line = {.text = apr_pcalloc(p, n + 1), .number = 1}};
    const char *end = text + n;
    apr_status_t rv = APR_SUCCESS;

    for (int number = 1; rv == APR_SUCCESS && text < end; number++) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        size_t len = lf != NULL ? (size_t)(lf - text) : (size_t)(end - text);

        rv = check_bytes(text, len, number, err);
        if (rv == APR_SUCCESS)
            rv = take_line(p, &scan, text, len, number, err);
        text += len + (lf != NULL);
    }
    return rv == APR_SUCCESS && scan.more ? check_line(&scan.line, err) : rv;
}
