/* wh_host: see wh_host.h. */
#include <ctype.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_host.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

/* Names that people would take for the platform itself, or that browsers and mail treat apart. */
static const char *const reserved[] = {
    "abuse", "admin", "administrator", "api", "assets", "auth", "autoconfig", "autodiscover",
    "billing", "broadcasthost", "cdn", "console", "dashboard", "dns", "ftp", "git", "health",
    "help", "hostmaster", "hub", "imap", "internal", "isatap", "localhost", "login", "logout",
    "mail", "metrics", "mta-sts", "mx", "no-reply", "noc", "noreply", "ns", "ns1", "ns2", "oauth",
    "pop", "pop3", "postmaster", "proxy", "registry", "root", "security", "server-status", "smtp",
    "ssh", "ssl", "sso", "status", "support", "sysadmin", "system", "traefik", "usenet", "uucp",
    "webhook", "webhooks", "webmail", "webmaster", "wildcard", "wisehost", "worker", "workers",
    "wpad", "www",
};

#define V6_MAX 47 /* the longest text of an IPv6 address, with its brackets */

static int is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ */
static int grammar_ok(const char *s, size_t min, size_t max)
{
    size_t i, n = strlen(s);

    if (n < min || n > max || !is_lower(s[0]) || s[n - 1] == '-')
        return 0;
    for (i = 1; i < n; i++) {
        if (!is_lower(s[i]) && !is_digit(s[i]) && s[i] != '-')
            return 0;
        if (s[i] == '-' && s[i - 1] == '-')
            return 0;
    }
    return 1;
}

apr_status_t wh_host_slug_check(const char *slug, wh_err_t *err)
{
    size_t i;

    if (!grammar_ok(slug, WH_HOST_SLUG_MIN, WH_HOST_SLUG_MAX))
        return wh_err_field(err, "/slug", "slug_invalid",
                            "a slug has %d to %d lower-case letters, digits and single hyphens, "
                            "and begins with a letter",
                            WH_HOST_SLUG_MIN, WH_HOST_SLUG_MAX);
    if (strstr(slug, "-env-") || strstr(slug, "-branch-") || strstr(slug, "-id-"))
        return wh_err_field(err, "/slug", "slug_invalid",
                            "a slug may not have -env-, -branch- or -id- in it");
    for (i = 0; i < WH_ARRAY_LEN(reserved); i++) {
        if (strcmp(slug, reserved[i]) == 0)
            return wh_err_field(err, "/slug", "slug_reserved", "the slug \"%s\" is reserved", slug);
    }
    return APR_SUCCESS;
}

apr_status_t wh_host_env_check(const char *env, wh_err_t *err)
{
    if (!grammar_ok(env, 1, WH_HOST_ENV_MAX))
        return wh_err_field(err, "/environment", "environment_invalid",
                            "an environment has 1 to %d lower-case letters, digits and single "
                            "hyphens, and begins with a letter",
                            WH_HOST_ENV_MAX);
    return APR_SUCCESS;
}

/* git check-ref-format for one branch, and what no command line may see. NULL = fine. */
static const char *branch_fault(const char *b)
{
    size_t i, n = strlen(b);

    if (n == 0 || n > WH_HOST_BRANCH_MAX)
        return "a branch has 1 to 255 bytes";
    if (!wh_text_utf8_ok(b, n) || !wh_text_plain(b, n))
        return "a branch is UTF-8 without control characters";
    if (b[0] == '-' || b[0] == '/' || b[n - 1] == '/' || b[n - 1] == '.')
        return "a branch may not begin with '-' or '/', nor end with '/' or '.'";
    if (strstr(b, "..") || strstr(b, "@{") || strstr(b, "//") || strcmp(b, "@") == 0 ||
        strpbrk(b, " ~^:?*[\\"))
        return "git does not allow such a branch name";
    if (strcmp(b, "HEAD") == 0)
        return "HEAD is no branch";
    for (i = 0; i < n; i++) {
        size_t len = strcspn(b + i, "/");
        if (b[i] == '.' || (len >= 5 && strncmp(b + i + len - 5, ".lock", 5) == 0))
            return "no part of a branch may begin with '.' or end with .lock";
        i += len;
    }
    return NULL;
}

apr_status_t wh_host_branch_check(const char *branch, wh_err_t *err)
{
    const char *fault = branch_fault(branch);

    if (fault)
        return wh_err_set(err, 400, "ref_invalid", "%s", fault);
    return APR_SUCCESS;
}

apr_status_t wh_host_commit_check(const char *commit, wh_err_t *err)
{
    if ((!wh_sign_is_hex(commit, 40) && !wh_sign_is_hex(commit, 64)) ||
        strspn(commit, "0") == strlen(commit))
        return wh_err_set(err, 400, "commit_invalid",
                          "a commit is 40 or 64 lower-case hexadecimal digits");
    return APR_SUCCESS;
}

/* Once a request, as the one below: letters come first. */
int wh_host_domain_ok(const char *name)
{
    size_t n = strlen(name), label = 0, i;
    int letters = 0;

    if (n == 0 || n > WH_HOST_NAME_MAX)
        return 0;
    for (i = 0; i <= n; i++) {
        char c = name[i];

        if (is_lower(c)) {
            letters = 1;
            label++;
        } else if (c == '.' || c == '\0') {
            if (label == 0 || label > WH_HOST_LABEL_MAX || name[i - 1] == '-')
                return 0;
            label = 0;
        } else if (is_digit(c)) {
            label++;
        } else if (c == '-' && label > 0) {
            letters = 1;
            label++;
        } else {
            return 0;
        }
    }
    /* Digits and dots alone would be an address to every resolver. */
    return letters;
}

/* The port after a host, "" allowed (RFC 9110 lets a client send "host:"). */
static int port_ok(const char *s)
{
    size_t i, n = strlen(s);
    int port = 0;

    if (n == 0)
        return 1;
    if (n > 5)
        return 0;
    for (i = 0; i < n; i++) {
        if (!is_digit(s[i]))
            return 0;
        port = port * 10 + (s[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

static apr_status_t bad_host(wh_err_t *err)
{
    return wh_err_set(err, 400, "host_invalid", "the Host header is not a valid name");
}

static apr_status_t normalise_v6(apr_pool_t *p, const char *h, const char **name, wh_err_t *err)
{
    const char *end = strchr(h, ']');
    size_t n;
    char *s;

    if (!end || end == h + 1 || (end[1] != '\0' && end[1] != ':') ||
        (end[1] == ':' && !port_ok(end + 2)))
        return bad_host(err);
    n = (size_t)(end - h) + 1;
    if (n > V6_MAX || strspn(h + 1, "0123456789abcdefABCDEF:.") != n - 2)
        return bad_host(err);
    s = apr_pstrmemdup(p, h, n);
    for (n = 0; s[n]; n++)
        s[n] = (char)tolower((unsigned char)s[n]);
    *name = s;
    return APR_SUCCESS;
}

/* '\0' for what is in no name. '_' is in no name of ours, but names of others carry it and are none
 * of our business. */
static char folded(char c)
{
    if (is_lower(c) || c == '.' || is_digit(c) || c == '-' || c == '_')
        return c;
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : '\0';
}

apr_status_t wh_host_normalise(apr_pool_t *p, const char *host_header, const char **name,
                               wh_err_t *err)
{
    const char *colon;
    size_t n, i, label = 0;
    char *s;

    if (!host_header || !*host_header)
        return bad_host(err);
    if (host_header[0] == '[')
        return normalise_v6(p, host_header, name, err);
    colon = strchr(host_header, ':');
    if (colon && !port_ok(colon + 1))
        return bad_host(err);
    n = colon ? (size_t)(colon - host_header) : strlen(host_header);
    if (n > 0 && host_header[n - 1] == '.')
        n--;
    if (n == 0 || n > WH_HOST_NAME_MAX)
        return bad_host(err);
    s = apr_palloc(p, n + 1);
    for (i = 0; i < n; i++) {
        char c = folded(host_header[i]);

        s[i] = c;
        if (c == '.' ? label == 0 : c == '\0' || ++label > WH_HOST_LABEL_MAX)
            return bad_host(err);
        if (c == '.')
            label = 0;
    }
    if (label == 0)
        return bad_host(err);
    s[n] = '\0';
    *name = s;
    return APR_SUCCESS;
}

wh_host_place_e wh_host_label_of(apr_pool_t *p, const char *name, const char *base,
                                 const char **label)
{
    size_t n = strlen(name), b = strlen(base);

    if (b == 0 || n < b || strcmp(name + n - b, base) != 0)
        return WH_HOST_OTHER;
    if (n == b)
        return WH_HOST_UNDER;
    if (name[n - b - 1] != '.')
        return WH_HOST_OTHER;
    n -= b + 1;
    if (n == 0 || memchr(name, '.', n))
        return WH_HOST_UNDER;
    *label = apr_pstrmemdup(p, name, n);
    return WH_HOST_LABEL;
}

/* `text` cut so that "-" and 7 hex digits of the hash of `whole` fit behind it. */
static const char *hashed(apr_pool_t *p, const char *text, const char *whole)
{
    size_t n = strlen(text);
    const char *hex = wh_sign_sha256_hex(p, whole, strlen(whole));

    if (n > WH_HOST_LABEL_MAX - 8)
        n = WH_HOST_LABEL_MAX - 8;
    while (n > 0 && text[n - 1] == '-')
        n--;
    return apr_psprintf(p, "%.*s-%.7s", (int)n, text, hex);
}

const char *wh_host_label_app(apr_pool_t *p, const char *slug)
{
    return strlen(slug) <= WH_HOST_LABEL_MAX ? apr_pstrdup(p, slug) : hashed(p, slug, slug);
}

const char *wh_host_label_env(apr_pool_t *p, const char *slug, const char *env)
{
    const char *label = apr_pstrcat(p, slug, "-env-", env, NULL);

    return strlen(label) <= WH_HOST_LABEL_MAX ? label : hashed(p, label, label);
}

const char *wh_host_label_branch(apr_pool_t *p, const char *slug, const char *branch)
{
    char *s = apr_pstrdup(p, branch);
    const char *label;
    size_t i, n = 0;

    for (i = 0; branch[i]; i++) {
        char c = (char)tolower((unsigned char)branch[i]);
        if (!is_lower(c) && !is_digit(c))
            c = '-';
        if (c == '-' && (n == 0 || s[n - 1] == '-'))
            continue;
        s[n++] = c;
    }
    while (n > 0 && s[n - 1] == '-')
        n--;
    s[n] = '\0';
    label = apr_pstrcat(p, slug, "-branch-", s, NULL);
    /* Only a branch that is a label already can be told from every other by its text alone. */
    if (strcmp(s, branch) == 0 && strlen(label) <= WH_HOST_LABEL_MAX)
        return label;
    return hashed(p, label, apr_pstrcat(p, slug, "-branch-", branch, NULL));
}

const char *wh_host_label_deployment(apr_pool_t *p, const char *slug, const char *deployment_id,
                                     int digits)
{
    const char *hex = wh_sign_sha256_hex(p, deployment_id, strlen(deployment_id));
    size_t n = strlen(slug), room;

    if (digits < WH_HOST_ID_DIGITS)
        digits = WH_HOST_ID_DIGITS;
    if (digits > 40)
        digits = 40;
    room = (size_t)(WH_HOST_LABEL_MAX - 4 - digits);
    if (n > room)
        n = room;
    while (n > 0 && slug[n - 1] == '-')
        n--;
    return apr_psprintf(p, "%.*s-id-%.*s", (int)n, slug, digits, hex);
}

const char *wh_host_url(apr_pool_t *p, const char *scheme, const char *label, const char *base,
                        int port)
{
    return wh_host_url_of(p, scheme, apr_pstrcat(p, label, ".", base, NULL), port);
}

const char *wh_host_url_of(apr_pool_t *p, const char *scheme, const char *host, int port)
{
    int own = strcmp(scheme, "https") == 0 ? 443 : 80;

    if (port == 0 || port == own)
        return apr_pstrcat(p, scheme, "://", host, "/", NULL);
    return apr_psprintf(p, "%s://%s:%d/", scheme, host, port);
}

const char *wh_host_site(apr_pool_t *p, const char *scheme, const char *base, int port)
{
    const char *url = wh_host_url_of(p, scheme, base, port);

    return apr_pstrmemdup(p, url, strlen(url) - 1);
}

const char *wh_host_site_url(apr_pool_t *p, const char *site, const char *label)
{
    const char *rest = strstr(site, "://");

    return rest == NULL ? "" : apr_pstrcat(p, apr_pstrmemdup(p, site, (size_t)(rest + 3 - site)),
                                           label, ".", rest + 3, NULL);
}

const char *wh_host_site_host(apr_pool_t *p, const char *site, const char *label)
{
    const char *rest = strstr(site, "://");

    return rest == NULL ? "" : apr_pstrcat(p, label, ".",
                                           apr_pstrmemdup(p, rest + 3, strcspn(rest + 3, ":")),
                                           NULL);
}
