/* wh_headers: see wh_headers.h. */
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "libwh/wh_headers.h"
#include "libwh/wh_pattern.h"
#include "libwh/wh_types.h"

typedef struct field_t {
    const char *name;
    const char *value; /* NULL: detach */
    int filled;        /* value has placeholders */
} field_t;

typedef struct rule_t {
    wh_pattern_t *path;
    apr_array_header_t *fields; /* field_t */
} rule_t;

struct wh_headers_t {
    apr_array_header_t *rules; /* rule_t * */
    int fields;
};

typedef struct reader_t {
    apr_pool_t *p;
    wh_headers_t *out;
    rule_t *rule; /* of the lines that follow; NULL = they are left out */
    wh_headers_warn_fn *warn;
    void *baton;
    int line;
} reader_t;

static const char *const refused[] = {
    "Accept-Ranges", "Age", "Allow", "Alt-Svc", "Basic-Auth", "Connection", "Content-Encoding",
    "Content-Length", "Content-Range", "Date", "ETag", "Host", "Keep-Alive", "Last-Modified",
    "Location", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Server",
    "Set-Cookie", "Set-Cookie2", "Status", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Vary",
    "Via", "Warning", "X-Content-Type-Options", "X-LIGHTTPD-send-file", "X-Request-Id",
    "X-Reproxy-URL", "X-Sendfile", "X-Sendfile2", "X-Sendfile-Temporary",
};

static void warn(const reader_t *r, const char *why)
{
    if (r->warn)
        r->warn(r->baton, r->line, why);
}

static int is_token(const char *s)
{
    for (const char *c = s; *c; c++)
        if (!apr_isalnum(*c) && !strchr("!#$%&'*+-.^_`|~", *c))
            return 0;
    return *s != '\0';
}

static int is_value(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return 0;
    return 1;
}

static const char *name_fault(apr_pool_t *p, const char *name)
{
    if (!is_token(name))
        return "that is no header: a line is \"Name: value\"";
    if (strncasecmp(name, "X-Wisehost-", 11) == 0 || strncasecmp(name, "X-Accel-", 8) == 0)
        return apr_psprintf(p, "%s is not for a site to set", name);
    for (size_t i = 0; i < WH_ARRAY_LEN(refused); i++)
        if (strcasecmp(name, refused[i]) == 0)
            return apr_psprintf(p, "%s is not for a site to set", name);
    return NULL;
}

static char *trim(char *s)
{
    size_t n;

    while (*s == ' ' || *s == '\t')
        s++;
    for (n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

static void field_of(reader_t *r, char *line)
{
    field_t field = {NULL, NULL, 0};
    const char *why;
    char *colon;

    if (*line == '!') {
        field.name = trim(line + 1);
    } else {
        colon = strchr(line, ':');
        if (!colon) {
            warn(r, "that is no header: a line is \"Name: value\"");
            return;
        }
        *colon = '\0';
        field.name = trim(line);
        field.value = trim(colon + 1);
    }
    why = name_fault(r->p, field.name);
    if (!why && field.value && (!*field.value || !is_value(field.value)))
        why = "the value is empty or has a control byte";
    if (!why && r->out->fields == WH_HEADERS_FIELDS_MAX)
        why = "there are more than 1000 headers";
    if (why) {
        warn(r, why);
        return;
    }
    field.filled = field.value && strchr(field.value, ':') && !wh_pattern_fixed(r->rule->path);
    r->out->fields++;
    APR_ARRAY_PUSH(r->rule->fields, field_t) = field;
}

static void rule_of(reader_t *r, const char *text)
{
    const char *why = NULL;
    wh_pattern_t *path;

    r->rule = NULL;
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) {
        warn(r, "a rule begins with a path: it holds on every name of the app");
        return;
    }
    if (r->out->rules->nelts == WH_HEADERS_RULES_MAX) {
        warn(r, "there are more than 100 rules");
        return;
    }
    path = wh_pattern_make(r->p, text, strlen(text), &why);
    if (!path) {
        warn(r, why);
        return;
    }
    r->rule = apr_pcalloc(r->p, sizeof(*r->rule));
    r->rule->path = path;
    r->rule->fields = apr_array_make(r->p, 4, sizeof(field_t));
    APR_ARRAY_PUSH(r->out->rules, rule_t *) = r->rule;
}

static void line_of(reader_t *r, const char *s, size_t n)
{
    int indented = n > 0 && (*s == ' ' || *s == '\t');
    char *line;

    if (n > WH_HEADERS_LINE_MAX || memchr(s, '\0', n)) {
        warn(r, "the line is longer than 2000 bytes or has a NUL byte");
        if (!indented)
            r->rule = NULL;
        return;
    }
    line = trim(apr_pstrmemdup(r->p, s, n));
    if (*line == '\0' || *line == '#')
        return;
    if (!indented)
        rule_of(r, line);
    else if (r->rule)
        field_of(r, line);
    else if (r->out->rules->nelts == 0)
        warn(r, "a header stands below a path");
}

wh_headers_t *wh_headers_parse(apr_pool_t *p, const char *text, size_t n,
                               wh_headers_warn_fn *warn_fn, void *baton)
{
    wh_headers_t *out = apr_pcalloc(p, sizeof(*out));
    reader_t r = {.p = p, .out = out, .warn = warn_fn, .baton = baton, .line = 1};

    out->rules = apr_array_make(p, 8, sizeof(rule_t *));
    if (n > WH_HEADERS_BYTES_MAX) {
        warn(&r, "the file is longer than 1 MiB");
        return out;
    }
    for (const char *s = text, *end = text + n; s < end; r.line++) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        size_t len = nl ? (size_t)(nl - s) : (size_t)(end - s);

        line_of(&r, s, len);
        s += len + 1;
    }
    return out;
}

int wh_headers_count(const wh_headers_t *rules)
{
    return rules->rules->nelts;
}

/* What a visitor's path fills in has room of its own: he cannot push the other headers out. */
static void tell(const rule_t *rule, const field_t *f, apr_pool_t *p, const wh_pattern_hit_t *hit,
                 size_t room[2], wh_headers_field_fn *field, void *baton)
{
    const char *value = f->value;
    size_t n = strlen(f->name), *left = &room[f->filled];

    if (*left > 0 && f->filled)
        value = wh_pattern_fill(p, rule->path, hit, f->value, NULL);
    n += value ? strlen(value) : 0;
    if (n > *left || (f->filled && !value)) {
        *left = 0; /* nor does anything behind it get in */
        return;
    }
    *left -= n;
    field(baton, f->name, value);
}

void wh_headers_match(const wh_headers_t *rules, apr_pool_t *p, const char *path,
                      wh_headers_field_fn *field, void *baton)
{
    size_t room[2] = {WH_HEADERS_ANSWER_MAX, WH_HEADERS_FILLED_MAX};
    wh_pattern_hit_t hit;

    for (int i = 0; i < rules->rules->nelts; i++) {
        const rule_t *rule = APR_ARRAY_IDX(rules->rules, i, const rule_t *);

        if (!wh_pattern_match(rule->path, path, &hit))
            continue;
        for (int k = 0; k < rule->fields->nelts; k++)
            tell(rule, &APR_ARRAY_IDX(rule->fields, k, field_t), p, &hit, room, field, baton);
    }
}
