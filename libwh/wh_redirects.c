/* wh_redirects: see wh_redirects.h. */
#include <string.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "libwh/wh_pattern.h"
#include "libwh/wh_redirects.h"
#include "libwh/wh_text.h"
#include "libwh/wh_types.h"

#define WORDS_MAX 8

typedef struct rule_t {
    wh_pattern_t *from;
    const char *to;
    int code;
    int force;
    int outside;
    int order;
    struct rule_t *next; /* fixed: the next one for the same path */
} rule_t;

struct wh_redirects_t {
    apr_hash_t *fixed; /* path -> first rule_t */
    int n_fixed;
    apr_array_header_t *dynamic; /* rule_t * */
};

typedef struct reader_t {
    apr_pool_t *p;
    wh_redirects_t *out;
    wh_redirects_warn_fn *warn;
    void *baton;
    int line;
    int rules; /* lines that are no comment */
} reader_t;

static void warn(const reader_t *r, const char *why)
{
    if (r->warn)
        r->warn(r->baton, r->line, why);
}

static int scheme_len(const char *to)
{
    if (strncmp(to, "https://", 8) == 0)
        return 8;
    return strncmp(to, "http://", 7) == 0 ? 7 : 0;
}

/* "301", "200!": the code and whether it is forced; 0 when it is no code at all. */
static int code_of(const char *word, int *force)
{
    static const int codes[] = {200, 301, 302, 303, 307, 308, 404, 410};
    size_t n = strlen(word);
    int code;

    *force = n == 4 && word[3] == '!';
    if ((n != 3 && !*force) || !apr_isdigit(word[0]) || !apr_isdigit(word[1]) ||
        !apr_isdigit(word[2]))
        return 0;
    code = (word[0] - '0') * 100 + (word[1] - '0') * 10 + word[2] - '0';
    for (size_t i = 0; i < WH_ARRAY_LEN(codes); i++)
        if (codes[i] == code)
            return code;
    return 0;
}

static int rewrites(int code)
{
    return code == 200 || code == 404 || code == 410;
}

/* What is wrong with a target, or NULL. Its host is never put together from a path. */
static const char *target_fault(apr_pool_t *p, rule_t *rule)
{
    int scheme = scheme_len(rule->to);
    const char *unknown = wh_pattern_unknown(p, rule->from, rule->to + scheme);

    if (!wh_text_plain(rule->to, strlen(rule->to)))
        return "the target has a control byte";
    if (rule->to[0] == '/') {
        if (rule->to[1] == '/' || rule->to[1] == '\\')
            return "the target is neither a path nor http:// or https://";
    } else if (scheme == 0) {
        return "the target is neither a path nor http:// or https://";
    } else {
        size_t host = strcspn(rule->to + scheme, "/?#");
        const char *name = apr_pstrmemdup(p, rule->to + scheme, host);

        if (host == 0 || strpbrk(name, "@\\*%"))
            return "the target has no host";
        for (const char *s = strchr(name, ':'); s; s = strchr(s + 1, ':'))
            if (!apr_isdigit(s[1]))
                return "a placeholder cannot be part of the target's host";
        if (rewrites(rule->code))
            return "200, 404 and 410 need a path of this site: requests are not passed on to "
                   "another server";
        rule->outside = 1;
    }
    if (unknown)
        return apr_psprintf(p, "the target has %s, which the path has not", unknown);
    if (!rewrites(rule->code) && wh_pattern_fixed(rule->from) && !rule->outside &&
        strcmp(rule->to, wh_pattern_text(rule->from)) == 0)
        return "it leads to itself";
    return NULL;
}

static void keep(reader_t *r, rule_t *rule)
{
    wh_redirects_t *out = r->out;
    const char *key = wh_pattern_text(rule->from);
    rule_t *first;

    if (!wh_pattern_fixed(rule->from)) {
        if (out->dynamic->nelts == WH_REDIRECTS_DYNAMIC_MAX) {
            warn(r, "there are more than 100 rules with placeholders");
            return;
        }
        APR_ARRAY_PUSH(out->dynamic, rule_t *) = rule;
        return;
    }
    if (out->n_fixed == WH_REDIRECTS_STATIC_MAX) {
        warn(r, "there are more than 2000 rules");
        return;
    }
    out->n_fixed++;
    first = apr_hash_get(out->fixed, key, APR_HASH_KEY_STRING);
    if (!first) {
        apr_hash_set(out->fixed, key, APR_HASH_KEY_STRING, rule);
        return;
    }
    /* Only the first, and the first with "!", can ever match. */
    while (first->next)
        first = first->next;
    if (rule->force && !first->force)
        first->next = rule;
}

/* Words behind the target: one code, and nothing else that we would have to pretend to do. */
static const char *options_of(reader_t *r, rule_t *rule, char **words, int n)
{
    rule->code = 301;
    for (int i = 0; i < n; i++) {
        int code = code_of(words[i], &rule->force);

        if (strchr(words[i], '='))
            return apr_psprintf(r->p, "conditions are not supported: %s", words[i]);
        if (code == 0 || i > 0)
            return apr_psprintf(r->p, "\"%s\" is none of 200, 301, 302, 303, 307, 308, 404, 410",
                                words[i]);
        rule->code = code;
    }
    return NULL;
}

static void rule_of(reader_t *r, char **words, int n)
{
    rule_t *rule = apr_pcalloc(r->p, sizeof(*rule));
    const char *why = NULL;

    if (n < 2) {
        warn(r, "a rule has a path and a target");
        return;
    }
    if (scheme_len(words[0])) {
        warn(r, "a rule begins with a path: hosts are given by the domains of the app");
        return;
    }
    rule->from = wh_pattern_make(r->p, words[0], strlen(words[0]), &why);
    if (!why && n > 2 && words[1][0] != '/' && strchr(words[1], '=') && !scheme_len(words[1]))
        why = "conditions on the query are not supported";
    if (!why)
        why = options_of(r, rule, words + 2, n - 2);
    if (!why) {
        rule->to = words[1];
        why = target_fault(r->p, rule);
    }
    if (why) {
        warn(r, why);
        return;
    }
    rule->order = r->line;
    keep(r, rule);
}

static void line_of(reader_t *r, const char *s, size_t n)
{
    char *words[WORDS_MAX], *copy, *state = NULL;
    int k = 0;

    if (n > WH_REDIRECTS_LINE_MAX) {
        warn(r, "the line is longer than 2000 bytes");
        return;
    }
    if (memchr(s, '\0', n)) {
        warn(r, "the line has a NUL byte");
        return;
    }
    copy = apr_pstrmemdup(r->p, s, n);
    for (char *word = apr_strtok(copy, " \t\r", &state); word;
         word = apr_strtok(NULL, " \t\r", &state)) {
        if (*word == '#')
            break;
        if (k == WORDS_MAX) {
            warn(r, "the line has too many words");
            return;
        }
        words[k++] = word;
    }
    if (k > 0) {
        r->rules++;
        rule_of(r, words, k);
    }
}

wh_redirects_t *wh_redirects_parse(apr_pool_t *p, const char *text, size_t n,
                                   wh_redirects_warn_fn *warn_fn, void *baton)
{
    wh_redirects_t *out = apr_pcalloc(p, sizeof(*out));
    reader_t r = {.p = p, .out = out, .warn = warn_fn, .baton = baton, .line = 1};

    out->fixed = apr_hash_make(p);
    out->dynamic = apr_array_make(p, 8, sizeof(rule_t *));
    if (n > WH_REDIRECTS_BYTES_MAX) {
        warn(&r, "the file is longer than 4 MiB");
        return out;
    }
    for (const char *s = text, *end = text + n; s < end; r.line++) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        size_t len = nl ? (size_t)(nl - s) : (size_t)(end - s);

        if (r.rules == WH_REDIRECTS_READ_MAX) {
            warn(&r, "the rest is not read: the file has too many rules");
            return out;
        }
        line_of(&r, s, len);
        s += len + 1;
    }
    return out;
}

int wh_redirects_count(const wh_redirects_t *rules)
{
    return rules->n_fixed + rules->dynamic->nelts;
}

static const rule_t *find_fixed(const wh_redirects_t *rules, const char *path, int forced)
{
    apr_size_t n = strlen(path);
    const rule_t *rule;

    while (n > 0 && path[n - 1] == '/')
        n--;
    rule = n ? apr_hash_get(rules->fixed, path, (apr_ssize_t)n)
             : apr_hash_get(rules->fixed, "", APR_HASH_KEY_STRING);
    while (rule && forced && !rule->force)
        rule = rule->next;
    return rule;
}

static const rule_t *find(const wh_redirects_t *rules, const char *path, int forced,
                          wh_pattern_hit_t *captured)
{
    const rule_t *fixed = find_fixed(rules, path, forced);

    for (int i = 0; i < rules->dynamic->nelts; i++) {
        const rule_t *rule = APR_ARRAY_IDX(rules->dynamic, i, const rule_t *);

        if (fixed && fixed->order < rule->order)
            break;
        if ((!forced || rule->force) && wh_pattern_match(rule->from, path, captured))
            return rule;
    }
    return fixed;
}

/* As much of a path as a URL may carry; '/' stays, what begins a query or a fragment does not. */
static const char *encode(apr_pool_t *p, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, 3 * strlen(value) + 1), *o = out;

    for (const unsigned char *s = (const unsigned char *)value; *s; s++) {
        if (apr_isalnum(*s) || strchr("-._~!$'()*+,;:@/", *s)) {
            *o++ = (char)*s;
        } else {
            *o++ = '%';
            *o++ = digits[*s >> 4];
            *o++ = digits[*s & 15];
        }
    }
    *o = '\0';
    return out;
}

/* "/" and what follows, without a second '/' that would make a host of it. */
static const char *one_slash(const char *to)
{
    while (to[0] == '/' && (to[1] == '/' || to[1] == '\\'))
        to++;
    return to;
}

static const char *with_query(apr_pool_t *p, const char *to, const char *query)
{
    size_t n = strcspn(to, "#");

    if (!query || !*query || memchr(to, '?', n))
        return to;
    return apr_pstrcat(p, apr_pstrmemdup(p, to, n), "?", query, to + n, NULL);
}

int wh_redirects_match(const wh_redirects_t *rules, apr_pool_t *p, const char *path,
                       const char *query, int forced, wh_redirects_hit_t *hit)
{
    wh_pattern_hit_t captured;
    const rule_t *rule = find(rules, path, forced, &captured);

    if (!rule)
        return 0;
    hit->code = rule->code;
    hit->outside = rule->outside;
    if (rewrites(rule->code)) {
        char *to = wh_pattern_fill(p, rule->from, &captured, rule->to, NULL);

        if (!to)
            return 0;
        to[strcspn(to, "?#")] = '\0';
        hit->to = one_slash(to);
        return 1;
    }
    hit->to = wh_pattern_fill(p, rule->from, &captured, rule->to, encode);
    if (!hit->to)
        return 0;
    if (!rule->outside)
        hit->to = one_slash(hit->to);
    hit->to = with_query(p, hit->to, query);
    return 1;
}
