#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_preset_text.h"

typedef enum comment_e { COMMENT_NONE, COMMENT_HASH, COMMENT_SLASHES } comment_e;

static comment_e comments_of(const char *path)
{
    static const char *const slashes[] = {".js", ".mjs", ".cjs", ".ts", ".mts", ".mod"};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < sizeof(slashes) / sizeof(slashes[0]); i++)
        if (strcmp(dot, slashes[i]) == 0)
            return COMMENT_SLASHES;
    return dot != NULL && strcmp(dot, ".json") == 0 ? COMMENT_NONE : COMMENT_HASH;
}

/* How many bytes of comment begin here, 0 = none does. "https://" begins none. */
static size_t comment_at(comment_e kind, const char *text, const char *s)
{
    const char *end;

    if (kind == COMMENT_HASH && *s == '#')
        return strcspn(s, "\n");
    if (kind != COMMENT_SLASHES || *s != '/')
        return 0;
    if (s[1] == '/' && (s == text || s[-1] != ':'))
        return strcspn(s, "\n");
    if (s[1] != '*')
        return 0;
    end = strstr(s + 2, "*/");
    return end != NULL ? (size_t)(end - s) + 2 : strlen(s);
}

const char *wh_preset_text_plain(apr_pool_t *p, const char *path, const char *text)
{
    comment_e kind = comments_of(path);
    char *out = apr_palloc(p, strlen(text) + 1), *to = out;
    const char *s = text;

    while (*s != '\0') {
        size_t skip = comment_at(kind, text, s);

        if (skip > 0) {
            s += skip;
            continue;
        }
        if (*s == '"' || *s == '`')
            *to++ = '\'';
        else if (*s == '\n' || !apr_isspace(*s))
            *to++ = *s;
        s++;
    }
    *to = '\0';
    return out;
}

/* Where the text goes on behind the words; NULL = it has none. */
static const char *behind(const char *plain, const char *words)
{
    int first = *words == '^';
    size_t n = strlen(words += first);

    for (const char *s = plain; *s != '\0'; s++)
        if (strncasecmp(s, words, n) == 0 && (!first || s == plain || s[-1] == '\n'))
            return s + n;
    return NULL;
}

int wh_preset_text_has(const char *plain, const char *words)
{
    return behind(plain, words) != NULL;
}

const char *wh_preset_text_after(apr_pool_t *p, const char *plain, const char *words)
{
    const char *s = behind(plain, words);
    size_t n = 0;

    while (s != NULL && n < 100 && (apr_isalnum(s[n]) || strchr("_-.", s[n]) != NULL) &&
           s[n] != '\0')
        n++;
    /* What begins so is a path or a flag to somebody. */
    return n == 0 || !apr_isalnum(*s) ? "" : apr_pstrmemdup(p, s, n);
}

/* ---- Python ---- */

/* Names are compared as their index does: no case, '-' and '_' the same. */
static int same_name(const char *s, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char a = s[i] == '_' ? '-' : (char)apr_tolower(s[i]);

        if (s[i] == '\0' || a != (name[i] == '_' ? '-' : (char)apr_tolower(name[i])))
            return 0;
    }
    return 1;
}

/* A requirement stands at the beginning of a line or of a quoted word, and what follows its name is
 * the end of either, a version, extras or an address. */
static int line_names(const char *line, size_t len, const char *package)
{
    size_t n = strlen(package), first = 0;

    while (first < len && apr_isspace(line[first]))
        first++;
    if (len - first >= 4 && strncasecmp(line + first, "name", 4) == 0)
        return 0; /* what it is called itself */
    for (size_t i = first; i + n <= len && line[i] != '#'; i++) {
        size_t next = i + n;

        if (i > first && line[i - 1] != '"' && line[i - 1] != '\'')
            continue;
        if (!same_name(line + i, package, n))
            continue;
        while (next < len && (line[next] == ' ' || line[next] == '\t'))
            next++;
        if (next >= len || strchr("\"'<>=!~;[,(#@\r", line[next]) != NULL)
            return 1;
    }
    return 0;
}

int wh_preset_text_python(const char *text, const char *package)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        if (line_names(text, len, package))
            return 1;
        text += len + (text[len] == '\n');
    }
    return 0;
}
