/* wh_branch: see wh_branch.h. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_sign.h"

apr_status_t wh_branch_pattern_check(const char *pattern, wh_err_t *err)
{
    char plain[WH_HOST_BRANCH_MAX + 1];
    size_t n = strlen(pattern);
    wh_err_t why = WH_ERR_INIT;

    if (n == 0 || n > WH_HOST_BRANCH_MAX)
        return wh_err_field(err, "/pattern", "pattern_invalid", "a pattern has 1 to %d bytes",
                            WH_HOST_BRANCH_MAX);
    for (size_t i = 0; i <= n; i++)
        plain[i] = pattern[i] == '*' ? 'x' : pattern[i];
    if (wh_host_branch_check(plain, &why) != APR_SUCCESS)
        return wh_err_field(err, "/pattern", "pattern_invalid", "%s", why.text);
    return APR_SUCCESS;
}

static size_t segment(const char *s)
{
    return strcspn(s, "/");
}

/* One segment by one: after a mismatch only the last star has to be tried again. */
static int segment_match(const char *pattern, size_t n, const char *text, size_t len)
{
    size_t p = 0, t = 0, star = n, from = 0;

    while (t < len) {
        if (p < n && pattern[p] == '*') {
            star = p++;
            from = t;
        } else if (p < n && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (star < n) {
            p = star + 1;
            t = ++from;
        } else {
            return 0;
        }
    }
    while (p < n && pattern[p] == '*')
        p++;
    return p == n;
}

static int is_deep(const char *pattern)
{
    return segment(pattern) == 2 && pattern[0] == '*' && pattern[1] == '*';
}

/* The next segment, or the end. */
static const char *behind(const char *s)
{
    s += segment(s);
    return *s == '/' ? s + 1 : NULL;
}

/* The same once more, where segments are the letters and "**" is the star. */
int wh_branch_match(const char *pattern, const char *branch)
{
    const char *p = pattern, *b = branch, *deep = NULL, *from = NULL;

    while (b != NULL) {
        if (p != NULL && is_deep(p)) {
            deep = p;
            from = b = behind(b); /* at least one */
            p = behind(p);
        } else if (p != NULL && segment_match(p, segment(p), b, segment(b))) {
            p = behind(p);
            b = behind(b);
        } else if (deep != NULL && from != NULL) {
            p = behind(deep);
            b = from = behind(from);
        } else {
            return 0;
        }
    }
    return p == NULL;
}

int wh_branch_is_preview(const char *environment)
{
    return strncmp(environment, WH_BRANCH_PREVIEW, sizeof(WH_BRANCH_PREVIEW) - 1) == 0;
}

const char *wh_branch_preview(apr_pool_t *p, const char *branch)
{
    char text[WH_HOST_ENV_MAX - (sizeof(WH_BRANCH_PREVIEW) - 1) - 8 + 1];
    size_t n = 0;

    for (const char *c = branch; *c && n < sizeof(text) - 1; c++) {
        char l = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        int plain = (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9');

        if (plain || (n > 0 && text[n - 1] != '-'))
            text[n++] = plain ? l : '-';
    }
    while (n > 0 && text[n - 1] == '-')
        n--;
    text[n] = '\0';
    return apr_psprintf(p, WH_BRANCH_PREVIEW "%s%s%.7s", text, n > 0 ? "-" : "",
                        wh_sign_sha256_hex(p, branch, strlen(branch)));
}

const char *wh_branch_url(apr_pool_t *p, const char *site, const char *slug,
                          const char *environment, const char *ref)
{
    const char *label;

    if (strcmp(environment, WH_BRANCH_PRODUCTION) == 0)
        label = wh_host_label_app(p, slug);
    else if (wh_branch_is_preview(environment))
        label = wh_host_label_branch(p, slug, ref);
    else
        label = wh_host_label_env(p, slug, environment);

    return wh_host_site_url(p, site, label);
}

const char *wh_branch_environment(apr_pool_t *p, const char *branch, const char *own,
                                  const apr_array_header_t *rules, int previews)
{
    if (strcmp(branch, own) == 0)
        return WH_BRANCH_PRODUCTION;
    for (int i = 0; rules && i < rules->nelts; i++) {
        const wh_branch_rule_t *rule = &APR_ARRAY_IDX(rules, i, wh_branch_rule_t);

        if (wh_branch_match(rule->pattern, branch))
            return rule->environment;
    }
    return previews ? wh_branch_preview(p, branch) : NULL;
}
