/* wh_pattern: see wh_pattern.h. */
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_pattern.h"

#define TOKENS_MAX (2 * WH_PATTERN_NAMES_MAX + 2)

typedef enum token_kind_e { LITERAL, NAME, SPLAT } token_kind_e;

typedef struct token_t {
    token_kind_e kind;
    const char *s; /* the literal, or the name */
    size_t n;
} token_t;

struct wh_pattern_t {
    const char *text;
    int n;
    int names; /* of them, the splat among them */
    token_t tokens[];
};

/* While it is read: most patterns have one token, and a site may have thousands of patterns. */
typedef struct draft_t {
    int n, names;
    token_t tokens[TOKENS_MAX];
} draft_t;

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In p, its length in *n; NULL for "%", "%zz" and "%00". */
static char *decode(apr_pool_t *p, const char *s, size_t *n)
{
    char *out = apr_palloc(p, *n + 1);
    size_t k = 0;

    for (size_t i = 0; i < *n; i++, k++) {
        out[k] = s[i];
        if (s[i] != '%')
            continue;
        if (i + 2 >= *n || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
            return NULL;
        out[k] = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
        i += 2;
        if (out[k] == '\0')
            return NULL;
    }
    out[k] = '\0';
    *n = k;
    return out;
}

static size_t name_len(const char *s)
{
    size_t n = 0;

    if (!apr_isalpha(*s) && *s != '_')
        return 0;
    while (apr_isalnum(s[n]) || s[n] == '_')
        n++;
    return n;
}

static const char *add(draft_t *pattern, token_kind_e kind, const char *s, size_t n)
{
    if (kind == LITERAL && n == 0)
        return NULL;
    if (pattern->n == TOKENS_MAX || (kind != LITERAL && pattern->names == WH_PATTERN_NAMES_MAX))
        return "it has too many placeholders";
    pattern->tokens[pattern->n++] = (token_t){kind, s, n};
    pattern->names += kind != LITERAL;
    return NULL;
}

/* Cuts text into literals and placeholders. */
static const char *tokens_of(draft_t *pattern, const char *text)
{
    const char *why = NULL, *from = text, *s = text;
    int splat = 0;

    while (*s && !why) {
        size_t n = *s == ':' && s[-1] == '/' ? name_len(s + 1) : 0;

        if (n > 0 && s[1 + n] != '/' && s[1 + n] != '\0')
            return "a placeholder stands for a whole segment";
        if (n > 0 && splat)
            return "a placeholder stands before the \"*\"";
        if (n == 0 && *s != '*') {
            s++;
            continue;
        }
        if (*s == '*' && splat++)
            return "it has more than one \"*\"";
        why = add(pattern, LITERAL, from, (size_t)(s - from));
        if (!why)
            why = add(pattern, n > 0 ? NAME : SPLAT, n > 0 ? s + 1 : "splat", n > 0 ? n : 5);
        s += 1 + n;
        from = s;
    }
    return why ? why : add(pattern, LITERAL, from, (size_t)(s - from));
}

wh_pattern_t *wh_pattern_make(apr_pool_t *p, const char *text, size_t n, const char **why)
{
    draft_t draft = {.n = 0};
    wh_pattern_t *pattern;
    char *decoded;

    *why = NULL;
    if (n == 0 || *text != '/') {
        *why = "a path begins with \"/\"";
        return NULL;
    }
    decoded = decode(p, text, &n);
    if (!decoded) {
        *why = "its percent-encoding is broken";
        return NULL;
    }
    while (n > 0 && decoded[n - 1] == '/')
        decoded[--n] = '\0';
    *why = n > 0 ? tokens_of(&draft, decoded) : NULL;
    if (*why)
        return NULL;
    pattern = apr_palloc(p, sizeof(*pattern) + (size_t)draft.n * sizeof(token_t));
    pattern->text = decoded;
    pattern->n = draft.n;
    pattern->names = draft.names;
    memcpy(pattern->tokens, draft.tokens, (size_t)draft.n * sizeof(token_t));
    return pattern;
}

int wh_pattern_fixed(const wh_pattern_t *pattern)
{
    return pattern->names == 0;
}

const char *wh_pattern_text(const wh_pattern_t *pattern)
{
    return pattern->text;
}

/* What stands behind the splat, from the end. */
static int match_rest(const wh_pattern_t *pattern, int i, const char *at, size_t left,
                      wh_pattern_part_t *part)
{
    size_t tail = i + 1 < pattern->n ? pattern->tokens[i + 1].n : 0;

    if (left < tail || (tail && memcmp(at + left - tail, pattern->tokens[i + 1].s, tail) != 0))
        return 0;
    *part = (wh_pattern_part_t){at, left - tail};
    return 1;
}

int wh_pattern_match(const wh_pattern_t *pattern, const char *path, wh_pattern_hit_t *hit)
{
    size_t left = strlen(path);
    int k = 0;

    /* "/blog/" is "/blog", but what a "*" stands for keeps its '/'. */
    if (pattern->n == 0 || pattern->tokens[pattern->n - 1].kind != SPLAT)
        while (left > 0 && path[left - 1] == '/')
            left--;
    for (int i = 0; i < pattern->n; i++) {
        const token_t *t = &pattern->tokens[i];
        size_t n;

        switch (t->kind) {
        case LITERAL:
            n = t->n;
            if (left + 1 == n && t->s[n - 1] == '/' && i + 2 == pattern->n &&
                pattern->tokens[i + 1].kind == SPLAT && memcmp(path, t->s, left) == 0) {
                hit->parts[k] = (wh_pattern_part_t){"", 0};
                return 1;
            }
            if (left < n || memcmp(path, t->s, n) != 0)
                return 0;
            break;
        case NAME:
            for (n = 0; n < left && path[n] != '/'; n++) {
            }
            if (n == 0)
                return 0;
            hit->parts[k++] = (wh_pattern_part_t){path, n};
            break;
        case SPLAT:
        default:
            return match_rest(pattern, i, path, left, &hit->parts[k]);
        }
        path += n;
        left -= n;
    }
    return left == 0;
}

/* Which capture the placeholder at s (behind the ':') is, its length in *n; -1 = none. */
static int capture_of(const wh_pattern_t *pattern, const char *s, size_t *n)
{
    int k = 0;

    *n = name_len(s);
    for (int i = 0; i < pattern->n; i++) {
        const token_t *t = &pattern->tokens[i];

        if (t->kind == LITERAL)
            continue;
        if (t->n == *n && memcmp(t->s, s, *n) == 0)
            return k;
        k++;
    }
    return -1;
}

const char *wh_pattern_unknown(apr_pool_t *p, const wh_pattern_t *pattern, const char *text)
{
    for (const char *s = strchr(text, ':'); s; s = strchr(s + 1, ':')) {
        size_t n = name_len(s + 1);

        if (n > 0 && capture_of(pattern, s + 1, &n) < 0)
            return apr_pstrmemdup(p, s, n + 1);
    }
    return NULL;
}

static const char *value_of(apr_pool_t *p, wh_pattern_part_t part, wh_pattern_encode_fn *encode)
{
    char *s = apr_palloc(p, part.n + 1);
    size_t k = 0;

    for (size_t i = 0; i < part.n; i++)
        if ((unsigned char)part.s[i] >= ' ' && part.s[i] != 0x7f)
            s[k++] = part.s[i];
    s[k] = '\0';
    return encode ? encode(p, s) : s;
}

typedef struct fill_t {
    apr_pool_t *p;
    const wh_pattern_t *pattern;
    const wh_pattern_hit_t *hit;
    wh_pattern_encode_fn *encode;
    wh_pattern_part_t values[WH_PATTERN_NAMES_MAX]; /* s NULL = not asked for so far */
    char *out;                                      /* NULL = only measured */
    size_t n;
} fill_t;

static void put(fill_t *f, const char *s, size_t n)
{
    if (f->out)
        memcpy(f->out + f->n, s, n);
    f->n += n;
}

static void put_value(fill_t *f, int k)
{
    wh_pattern_part_t *value = &f->values[k];

    if (!value->s) {
        value->s = value_of(f->p, f->hit->parts[k], f->encode);
        value->n = strlen(value->s);
    }
    put(f, value->s, value->n);
}

static void put_text(fill_t *f, const char *text)
{
    const char *from = text;

    f->n = 0;
    for (const char *s = strchr(text, ':'); s; s = strchr(s, ':')) {
        size_t n;
        int k = capture_of(f->pattern, s + 1, &n);

        if (k < 0) {
            s++;
            continue;
        }
        put(f, from, (size_t)(s - from));
        put_value(f, k);
        s += 1 + n;
        from = s;
    }
    put(f, from, strlen(from));
}

char *wh_pattern_fill(apr_pool_t *p, const wh_pattern_t *pattern, const wh_pattern_hit_t *hit,
                      const char *text, wh_pattern_encode_fn *encode)
{
    fill_t f = {.p = p, .pattern = pattern, .hit = hit, .encode = encode};

    put_text(&f, text);
    if (f.n > WH_PATTERN_FILL_MAX)
        return NULL;
    f.out = apr_palloc(p, f.n + 1);
    put_text(&f, text);
    f.out[f.n] = '\0';
    return f.out;
}
