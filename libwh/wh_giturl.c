/* wh_giturl: see wh_giturl.h. An allow-list: what is not one of these forms never reaches git. */
#include <string.h>
#include <apr_lib.h>
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

static apr_status_t check_path(const char *path, int escapes, wh_err_t *err)
{
    for (size_t i = 0; path[i]; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c <= ' ' || c >= 0x7f || strchr("\\?#\"'<>`{}|^;$*()!", c) ||
            (c == '%' && (!escapes || !escape_ok(path + i))))
            return refuse(err, "the path of a repository address has a character it may not have");
    }
    if (!segments_ok(path + (path[0] == '/'), 1))
        return refuse(err, "the path of a repository address has a part it may not have");
    return APR_SUCCESS;
}

/* host[:port] of n bytes. */
static int authority_ok(apr_pool_t *p, const char *s, size_t n)
{
    const char *colon = memchr(s, ':', n);
    size_t host = colon ? (size_t)(colon - s) : n;

    return host > 0 && v4_or_name_ok(p, s, host) &&
           (!colon || port_ok(colon + 1, n - host - 1));
}

static apr_status_t check_https(apr_pool_t *p, const char *rest, wh_err_t *err)
{
    size_t authority = strcspn(rest, "/");
    const char *path = rest + authority;

    if (memchr(rest, '@', authority))
        return refuse(err, "a repository address may not carry a user name or password");
    if (!authority_ok(p, rest, authority))
        return refuse(err, "the host of the repository address is not valid");
    if (path[0] != '/' || path[1] == '\0')
        return refuse(err, "a repository address needs a path");
    return check_path(path, 1, err);
}

/* What no shell and no program takes for anything but a name. */
static int user_ok(const char *s, size_t n)
{
    if (n == 0 || n > 32 || s[0] == '-')
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!apr_isalnum(s[i]) && s[i] != '_' && s[i] != '-' && s[i] != '.')
            return 0;
    }
    return 1;
}

/* rest is user@host[:port]/path, or with scp set user@host:path. ssh:// addresses are unescaped by
 * git, the others are not: neither may have an escape. */
static apr_status_t check_ssh(apr_pool_t *p, const char *rest, int scp, wh_err_t *err)
{
    size_t user = strcspn(rest, "@:/");
    const char *host = rest + user + 1, *path;
    size_t n;

    if (rest[user] != '@' || !user_ok(rest, user))
        return refuse(err, "an ssh address begins with a user name, as in git@host:path");
    n = strcspn(host, scp ? ":/" : "/");
    path = host + n + (scp && host[n] == ':');
    if ((scp && host[n] != ':') || !authority_ok(p, host, n))
        return refuse(err, "the host of the repository address is not valid");
    if (path[0] == '\0' || (path[0] == '/' && path[1] == '\0'))
        return refuse(err, "a repository address needs a path");
    if (path[path[0] == '/'] == '-' || path[0] == ':')
        return refuse(err, "the path of a repository address has a character it may not have");
    return check_path(path, 0, err);
}

/* user@host:path: an '@' before the first ':' and '/', and no "::" (which names a helper of git). */
static int looks_scp(const char *url)
{
    size_t n = strcspn(url, "@:/");

    return url[n] == '@' && url[n + 1 + strcspn(url + n + 1, ":/")] == ':';
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
    if (strncmp(url, "ssh://", 6) == 0)
        return check_ssh(p, url + 6, 0, err);
    if (url[0] == '/')
        return check_local(url, local_repo_root, err);
    if (looks_scp(url))
        return check_ssh(p, url, 1, err);
    return refuse(err, "a repository address is https://host/path, ssh://user@host/path or "
                       "user@host:path");
}

wh_giturl_kind_e wh_giturl_kind(const char *url)
{
    if (strcmp(url, WH_GITURL_PUSHED) == 0)
        return WH_GITURL_HUB;
    if (url[0] == '/')
        return WH_GITURL_LOCAL;
    return strncmp(url, "https://", 8) == 0 ? WH_GITURL_HTTPS : WH_GITURL_SSH;
}

/* ---- parts ---- */

static void split(const char *url, size_t *authority, size_t *path)
{
    int scp = wh_giturl_kind(url) == WH_GITURL_SSH && strncmp(url, "ssh://", 6) != 0;
    const char *start = scp ? url : strstr(url, "://") + 3;

    *authority = (size_t)(start - url);
    *path = *authority + strcspn(start, scp ? ":" : "/") + (size_t)scp;
}

static char *lower(apr_pool_t *p, const char *s, size_t n)
{
    char *out = apr_pstrmemdup(p, s, n);

    for (char *c = out; *c; c++)
        *c = (char)apr_tolower(*c);
    return out;
}

void wh_giturl_parts(apr_pool_t *p, const char *url, wh_giturl_parts_t *parts)
{
    int ssh = wh_giturl_kind(url) == WH_GITURL_SSH;
    size_t from, to, user = 0, host;

    split(url, &from, &to);
    if (ssh)
        user = strcspn(url + from, "@");
    parts->user = apr_pstrmemdup(p, url + from, user);
    from += user + (size_t)ssh;
    host = strcspn(url + from, ":/");
    parts->host = lower(p, url + from, host);
    parts->port = ssh ? "22" : "443";
    if (url[from + host] == ':' && from + host + 1 < to)
        parts->port = apr_pstrmemdup(p, url + from + host + 1, to - from - host - 1);
    parts->path = apr_pstrdup(p, url + to);
}

const char *wh_giturl_site(apr_pool_t *p, const char *url)
{
    wh_giturl_kind_e kind = wh_giturl_kind(url);
    wh_giturl_parts_t parts;

    if (kind != WH_GITURL_HTTPS && kind != WH_GITURL_SSH)
        return "";
    wh_giturl_parts(p, url, &parts);
    return strcmp(parts.port, kind == WH_GITURL_SSH ? "22" : "443") == 0
               ? parts.host
               : apr_pstrcat(p, parts.host, ":", parts.port, NULL);
}

const char *wh_giturl_name(apr_pool_t *p, const char *url)
{
    wh_giturl_parts_t parts;
    char *name;
    size_t n;

    if (!*wh_giturl_site(p, url))
        return "";
    wh_giturl_parts(p, url, &parts);
    name = apr_pstrdup(p, parts.path + (parts.path[0] == '/'));
    n = strlen(name);
    if (n > 0 && name[n - 1] == '/')
        name[--n] = '\0';
    if (n > 4 && strcmp(name + n - 4, ".git") == 0)
        name[n - 4] = '\0';
    return name;
}

/* ---- submodules ---- */

/* As git has it: "../" takes a segment of the repository's own path away, "./" none. NULL when
 * there is none left: the host stays. */
static const char *relative(apr_pool_t *p, const char *base, const char *said)
{
    size_t authority = 0, path = 0, n;
    char *rest;

    if (wh_giturl_kind(base) != WH_GITURL_LOCAL)
        split(base, &authority, &path);
    path += base[path] == '/';
    rest = apr_pstrdup(p, base + path);
    for (n = strlen(rest); n > 0 && rest[n - 1] == '/';)
        rest[--n] = '\0';
    for (;;) {
        if (strncmp(said, "./", 2) == 0) {
            said += 2;
        } else if (strncmp(said, "../", 3) == 0) {
            char *last = strrchr(rest, '/');

            if (rest[0] == '\0')
                return NULL;
            *(last != NULL ? last : rest) = '\0';
            said += 3;
        } else {
            break;
        }
    }
    return apr_pstrcat(p, apr_pstrmemdup(p, base, path), rest, rest[0] != '\0' ? "/" : "", said,
                       NULL);
}

apr_status_t wh_giturl_submodule(apr_pool_t *p, const char *base, const char *said,
                                 const char *local_repo_root, const char **url, wh_err_t *err)
{
    int is_relative = strncmp(said, "./", 2) == 0 || strncmp(said, "../", 3) == 0;
    int local = wh_giturl_kind(base) == WH_GITURL_LOCAL;

    *url = said;
    if (is_relative && wh_giturl_kind(base) == WH_GITURL_HUB)
        return refuse(err, "a repository that was pushed here has no neighbours: a submodule of it "
                           "needs a whole address");
    if (is_relative)
        *url = relative(p, base, said);
    if (*url == NULL)
        return refuse(err, "the address of a submodule leaves its host");
    if (strcmp(*url, WH_GITURL_PUSHED) == 0)
        return refuse(err, "a submodule cannot be what was pushed here");
    return wh_giturl_check(p, *url, local ? local_repo_root : NULL, err);
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
