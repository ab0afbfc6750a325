#include "libwh/wh_env.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_text.h"

/* ---- names, values, scopes ---- */

static int is_start(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static int is_part(char c)
{
    return is_start(c) || (c >= '0' && c <= '9');
}

apr_status_t wh_env_name_check(const char *name, wh_err_t *err)
{
    size_t n = 0, reserved = strlen(WH_ENV_RESERVED);

    while (is_part(name[n]))
        n++;
    if (n == 0 || name[n] != '\0' || !is_start(name[0]) || n > WH_ENV_NAME_MAX)
        return wh_err_set(err, 400, "env_name_invalid",
                          "a name has 1 to %d letters, digits and '_', and begins with no digit",
                          WH_ENV_NAME_MAX);
    if (strncmp(name, WH_ENV_RESERVED, reserved) == 0 &&
        (name[reserved] == '_' || name[reserved] == '\0'))
        return wh_err_set(err, 400, "env_name_reserved",
                          "names that begin with " WH_ENV_RESERVED "_ are the system's");
    if (strcmp(name, "PORT") == 0)
        return wh_err_set(err, 400, "env_name_reserved",
                          "it is the app's setting run.port; change that instead: wh apps set APP --port N");
    return APR_SUCCESS;
}

apr_status_t wh_env_value_check(const char *value, size_t n, wh_err_t *err)
{
    if (n > WH_ENV_VALUE_MAX)
        return wh_err_set(err, 400, "env_value_invalid", "a value has at most %d bytes",
                          WH_ENV_VALUE_MAX);
    if (memchr(value, '\0', n) != NULL || !wh_text_utf8_ok(value, n))
        return wh_err_set(err, 400, "env_value_invalid", "a value is UTF-8 text without NUL");
    return APR_SUCCESS;
}

apr_status_t wh_env_scope_check(const char *scope, wh_err_t *err)
{
    return *scope == '\0' ? APR_SUCCESS : wh_host_env_check(scope, err);
}

/* ---- which one holds ---- */

/* How near a scope is to an environment, -1 = it does not concern it. */
static int nearness(const char *scope, const char *environment)
{
    if (strcmp(scope, environment) == 0)
        return 2;
    if (strcmp(scope, WH_ENV_SCOPE_PREVIEWS) == 0)
        return wh_branch_is_preview(environment) ? 1 : -1;
    return *scope == '\0' ? 0 : -1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const wh_env_var_t *)a)->name, ((const wh_env_var_t *)b)->name);
}

apr_array_header_t *wh_env_effective(apr_pool_t *p, const apr_array_header_t *vars,
                                     const char *environment)
{
    apr_array_header_t *all = apr_array_make(p, vars->nelts + 1, sizeof(wh_env_var_t));
    int kept = 0;

    for (int i = 0; i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);

        if (nearness(v->scope, environment) >= 0)
            APR_ARRAY_PUSH(all, wh_env_var_t) = *v;
    }
    if (all->nelts > 1)
        qsort(all->elts, (size_t)all->nelts, sizeof(wh_env_var_t), by_name);
    for (int i = 0; i < all->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(all, i, wh_env_var_t);
        wh_env_var_t *last = kept > 0 ? &APR_ARRAY_IDX(all, kept - 1, wh_env_var_t) : NULL;

        if (last == NULL || strcmp(last->name, v->name) != 0)
            APR_ARRAY_IDX(all, kept++, wh_env_var_t) = *v;
        else if (nearness(v->scope, environment) > nearness(last->scope, environment))
            *last = *v;
    }
    all->nelts = kept;
    return all;
}

static apr_int64_t sum(const apr_array_header_t *vars, const char *scope)
{
    apr_int64_t bytes = 0;

    for (int i = 0; i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);

        bytes += strcmp(v->scope, scope) == 0 ? v->bytes : 0;
    }
    return bytes;
}

apr_int64_t wh_env_largest(const apr_array_header_t *vars)
{
    apr_int64_t app = sum(vars, ""), previews = sum(vars, WH_ENV_SCOPE_PREVIEWS), most = previews;

    for (int i = 0; i < vars->nelts; i++) {
        const char *scope = APR_ARRAY_IDX(vars, i, wh_env_var_t).scope;
        apr_int64_t own;

        if (*scope == '\0' ||
            (i > 0 && strcmp(scope, APR_ARRAY_IDX(vars, i - 1, wh_env_var_t).scope) == 0))
            continue;
        own = sum(vars, scope) + (wh_branch_is_preview(scope) ? previews : 0);
        most = own > most ? own : most;
    }
    return app + most;
}

/* ---- sealing ---- */

#define BOUND(var)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        (var)->app_id, (var)->scope, (var)->name, (var)->secret ? "secret" : "plain",              \
            (var)->build ? "build" : "run"                                                         \
    }

apr_status_t wh_env_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                         wh_env_var_t *var, const char *value, wh_err_t *err)
{
    wh_secret_for_t what = {.purpose = "wisehost-env-v1", .names = BOUND(var), .n = 5};
    const char *sealed = NULL;
    apr_status_t rv = wh_secret_seal(p, ring, rnd, &what, (wh_secret_bytes_t){value, strlen(value)},
                                     &sealed, err);

    if (rv != APR_SUCCESS)
        return rv;
    var->sealed = sealed;
    var->key_id = ring->id;
    var->bytes = (apr_int64_t)(strlen(var->name) + strlen(value));
    return APR_SUCCESS;
}

apr_status_t wh_env_open(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_env_var_t *var,
                         const char **value, wh_err_t *err)
{
    wh_secret_for_t what = {.purpose = "wisehost-env-v1", .names = BOUND(var), .n = 5};
    wh_secret_bytes_t text = {NULL, 0};
    apr_status_t rv = wh_secret_open(p, ring, var->key_id, &what, var->sealed, &text, err);

    if (rv == APR_SUCCESS)
        *value = text.at;
    return rv;
}

/* ---- .env ---- */

typedef struct scan_t {
    apr_pool_t *p;
    const char *at, *end;
    int line;
} scan_t;

static apr_status_t syntax(const scan_t *s, wh_err_t *err, const char *what)
{
    return wh_err_set(err, 400, "env_file_syntax", "line %d: %s", s->line, what);
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

static void blanks(scan_t *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

static int at_line_end(const scan_t *s)
{
    return s->at == s->end || *s->at == '\n' || *s->at == '\r';
}

/* Past the line's end: LF, CR LF or CR. */
static void next_line(scan_t *s)
{
    while (!at_line_end(s))
        s->at++;
    if (s->at < s->end && *s->at == '\r')
        s->at++;
    if (s->at < s->end && *s->at == '\n')
        s->at++;
    s->line++;
}

/* Line ends become LF, and inside "…" the two escapes are meant. */
static const char *unfold(const scan_t *s, const char *from, const char *to, int escapes)
{
    char *out = apr_palloc(s->p, (size_t)(to - from) + 1);
    size_t n = 0;

    for (; from < to; from++) {
        if (*from == '\r') {
            if (from + 1 == to || from[1] != '\n')
                out[n++] = '\n';
        } else if (escapes && *from == '\\' && from + 1 < to &&
                   (from[1] == 'n' || from[1] == 'r')) {
            out[n++] = *++from == 'n' ? '\n' : '\r';
        } else {
            out[n++] = *from;
        }
    }
    out[n] = '\0';
    return out;
}

static apr_status_t quoted(scan_t *s, wh_env_pair_t *pair, wh_err_t *err)
{
    char quote = *s->at++;
    const char *from = s->at;
    int lines = 0;

    /* A quote behind a backslash does not end the value, and both stay, as dotenv has it. */
    for (; s->at < s->end && *s->at != quote; s->at++) {
        if (*s->at == '\\' && s->at + 1 < s->end && s->at[1] == quote)
            s->at++;
        lines += *s->at == '\n' || (*s->at == '\r' && (s->at + 1 == s->end || s->at[1] != '\n'));
    }
    if (s->at == s->end)
        return syntax(s, err, "the quote is not closed");
    pair->value = unfold(s, from, s->at++, quote == '"');
    s->line += lines;
    blanks(s);
    return at_line_end(s) || *s->at == '#' ? APR_SUCCESS
                                           : syntax(s, err, "there is text behind the quote");
}

static void unquoted(scan_t *s, wh_env_pair_t *pair)
{
    const char *from = s->at, *to;

    while (!at_line_end(s) && *s->at != '#')
        s->at++;
    pair->cut = s->at > from && s->at < s->end && *s->at == '#' && !is_blank(s->at[-1]);
    for (to = s->at; to > from && is_blank(to[-1]);)
        to--;
    pair->value = apr_pstrmemdup(s->p, from, (size_t)(to - from));
}

static apr_status_t at_line(const scan_t *s, apr_status_t rv, wh_err_t *err)
{
    wh_err_t why;

    if (rv == APR_SUCCESS || err == NULL)
        return rv;
    why = *err;
    return wh_err_set(err, 400, why.code, "line %d: %s", s->line, why.text);
}

static const char *name_of(scan_t *s)
{
    const char *from = s->at;

    while (s->at < s->end && !is_blank(*s->at) && *s->at != '=' && !at_line_end(s))
        s->at++;
    return apr_pstrmemdup(s->p, from, (size_t)(s->at - from));
}

static apr_status_t assignment(scan_t *s, wh_env_pair_t *pair, wh_err_t *err)
{
    apr_status_t rv;

    *pair = (wh_env_pair_t){.line = s->line, .value = ""};
    pair->name = name_of(s);
    blanks(s);
    if (strcmp(pair->name, "export") == 0 && s->at < s->end && *s->at != '=' && !at_line_end(s)) {
        pair->name = name_of(s);
        blanks(s);
    }
    if (s->at == s->end || *s->at != '=')
        return syntax(s, err, "there is no '=' behind a name");
    s->at++;
    rv = at_line(s, wh_env_name_check(pair->name, err), err);
    if (rv != APR_SUCCESS)
        return rv;
    blanks(s);
    if (s->at < s->end && (*s->at == '\'' || *s->at == '"' || *s->at == '`'))
        rv = quoted(s, pair, err);
    else
        unquoted(s, pair);
    return rv == APR_SUCCESS
               ? at_line(s, wh_env_value_check(pair->value, strlen(pair->value), err), err)
               : rv;
}

static void keep(apr_array_header_t *pairs, const wh_env_pair_t *pair)
{
    for (int i = 0; i < pairs->nelts; i++) {
        wh_env_pair_t *old = &APR_ARRAY_IDX(pairs, i, wh_env_pair_t);

        if (strcmp(old->name, pair->name) == 0) {
            *old = *pair;
            return;
        }
    }
    APR_ARRAY_PUSH(pairs, wh_env_pair_t) = *pair;
}

apr_status_t wh_env_parse(apr_pool_t *p, const char *text, size_t n, apr_array_header_t **pairs,
                          wh_err_t *err)
{
    scan_t s = {.p = p, .at = text, .end = text + n, .line = 1};
    apr_array_header_t *out = apr_array_make(p, 16, sizeof(wh_env_pair_t));

    if (n > WH_ENV_FILE_MAX)
        return wh_err_set(err, 400, "env_file_too_large", "the file has more than %d bytes",
                          WH_ENV_FILE_MAX);
    if (memchr(text, '\0', n) != NULL)
        return wh_err_set(err, 400, "env_file_syntax", "the file has a NUL byte: it is no text");
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        s.at += 3;
    for (; s.at < s.end; next_line(&s)) {
        wh_env_pair_t pair;
        apr_status_t rv;

        blanks(&s);
        if (at_line_end(&s) || *s.at == '#')
            continue;
        rv = assignment(&s, &pair, err);
        if (rv != APR_SUCCESS)
            return rv;
        keep(out, &pair);
        if (out->nelts > WH_ENV_VARS_MAX)
            return wh_err_set(err, 400, "env_file_too_large", "the file has more than %d variables",
                              WH_ENV_VARS_MAX);
    }
    *pairs = out;
    return APR_SUCCESS;
}
