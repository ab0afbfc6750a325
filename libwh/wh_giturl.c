/* wh_giturl: see wh_giturl.h. An allow-list: what is not one of the two forms never reaches git. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_giturl.h"
#include "libwh/wh_host.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

static apr_status_t refuse(wh_err_t *err, const char *why)
{
    return wh_err_field(err, "/repository/url", "repository_refused", "%s", why);
}

/* No empty (but the last, when `slash`), "." or ".." segment in s, a path without leading '/'. */
static int segments_ok(const char *s, int slash)
{
    for (;;) {
        size_t n = strcspn(s, "/");

        if (n == 0)
            return slash && s[0] == '\0';
        if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
            return 0;
        s += n;
        if (*s == '\0')
            return 1;
        s++;
    }
}

static int port_ok(const char *s, size_t n)
{
    int port = 0;
    size_t i;

    if (n == 0 || n > 5)
        return 0;
    for (i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return 0;
        port = port * 10 + (s[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

static int v4_or_name_ok(apr_pool_t *p, const char *s, size_t n)
{
    char *host = apr_pstrmemdup(p, s, n);
    size_t i;

    for (i = 0; i < n; i++) {
        if (host[i] >= 'A' && host[i] <= 'Z')
            host[i] = (char)(host[i] + 32);
    }
    if (strspn(host, "0123456789.") == n) {
        unsigned part = 0, dots = 0, digits = 0;
        for (i = 0; i <= n; i++) {
            if (host[i] == '.' || host[i] == '\0') {
                if (digits == 0 || part > 255)
                    return 0;
                dots += host[i] == '.';
                part = digits = 0;
            } else {
                part = part * 10 + (unsigned)(host[i] - '0');
                if (++digits > 3)
                    return 0;
            }
        }
        return dots == 3;
    }
    return wh_host_domain_ok(host);
}

/* %XX of a printable character that means nothing to a path. */
static int escape_ok(const char *s)
{
    unsigned char c;

    if (s[1] == '\0' || wh_sign_unhex(s + 1, 2, &c) != 0)
        return 0;
    return c >= ' ' && c < 0x7f && !strchr("./\\%", c);
}

static apr_status_t check_https(apr_pool_t *p, const char *rest, wh_err_t *err)
{
    size_t authority = strcspn(rest, "/");
    const char *colon = memchr(rest, ':', authority);
    size_t host = colon ? (size_t)(colon - rest) : authority;
    const char *path = rest + authority;
    size_t i;

    if (memchr(rest, '@', authority))
        return refuse(err, "a repository address may not carry a user name or password");
    if (!v4_or_name_ok(p, rest, host) ||
        (colon && !port_ok(colon + 1, authority - host - 1)))
        return refuse(err, "the host of the repository address is not valid");
    if (path[0] != '/' || path[1] == '\0')
        return refuse(err, "a repository address needs a path");
    for (i = 0; path[i]; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c <= ' ' || c >= 0x7f || strchr("\\?#\"'<>`{}|^;$*()!", c) ||
            (c == '%' && !escape_ok(path + i)))
            return refuse(err, "the path of a repository address has a character it may not have");
    }
    if (!segments_ok(path + 1, 1))
        return refuse(err, "the path of a repository address has a part it may not have");
    return APR_SUCCESS;
}

static apr_status_t check_local(const char *url, const char *root, wh_err_t *err)
{
    size_t n;

    if (!root || root[0] != '/')
        return refuse(err, "local repositories are not allowed here; give an https:// address");
    n = strlen(root);
    while (n > 0 && root[n - 1] == '/')
        n--;
    if (strncmp(url, root, n) != 0 || url[n] != '/')
        return refuse(err, "a local repository must lie below the local repository root");
    if (!segments_ok(url + 1, 1) || !segments_ok(url + n + 1, 1) || url[n + 1] == '\0')
        return refuse(err, "the path of a local repository has a part it may not have");
    if (strchr(url, '\\'))
        return refuse(err, "the path of a local repository has a character it may not have");
    return APR_SUCCESS;
}

apr_status_t wh_giturl_check(apr_pool_t *p, const char *url, const char *local_repo_root,
                             wh_err_t *err)
{
    size_t n = strlen(url);

    if (n == 0 || n > WH_GITURL_MAX)
        return refuse(err, "a repository address has 1 to 2048 bytes");
    if (!wh_text_utf8_ok(url, n) || !wh_text_plain(url, n))
        return refuse(err, "a repository address has no control characters");
    if (strcmp(url, WH_GITURL_PUSHED) == 0)
        return APR_SUCCESS;
    if (strncmp(url, "https://", 8) == 0)
        return check_https(p, url + 8, err);
    if (url[0] == '/')
        return check_local(url, local_repo_root, err);
    return refuse(err, "a repository address begins with https://");
}

wh_giturl_kind_e wh_giturl_kind(const char *url)
{
    if (strcmp(url, WH_GITURL_PUSHED) == 0)
        return WH_GITURL_HUB;
    return url[0] == '/' ? WH_GITURL_LOCAL : WH_GITURL_HTTPS;
}

/* ".git" in any case, and what file systems take for it. */
static int is_dot_git(const char *s, size_t n)
{
    return (n == 4 && strncasecmp(s, ".git", 4) == 0) ||
           (n == 5 && strncasecmp(s, "git~1", 5) == 0);
}

apr_status_t wh_giturl_subdir_check(const char *path, wh_err_t *err)
{
    size_t n = strlen(path), parts = 0;
    const char *s;

    if (n == 0)
        return APR_SUCCESS;
    if (n > 512 || !wh_text_utf8_ok(path, n) || !wh_text_plain(path, n) || strchr(path, '\\'))
        return wh_err_set(err, 400, "path_invalid",
                          "a path has at most 512 bytes of UTF-8, no control character and no "
                          "backslash");
    if (!segments_ok(path, 0))
        return wh_err_set(err, 400, "path_invalid",
                          "a path is relative and has no empty, \".\" or \"..\" part");
    for (s = path; *s; s += s[0] == '/') {
        size_t len = strcspn(s, "/");
        if (is_dot_git(s, len) || ++parts > 32)
            return wh_err_set(err, 400, "path_invalid",
                              "a path has at most 32 parts, none of them .git");
        s += len;
    }
    return APR_SUCCESS;
}
