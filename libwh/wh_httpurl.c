/* wh_httpurl: see wh_httpurl.h. */
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_address.h"
#include "libwh/wh_host.h"
#include "libwh/wh_httpurl.h"

static apr_status_t refuse(wh_err_t *err, const char *why)
{
    return wh_err_set(err, 422, "url_invalid", "The address %s.", why);
}

/* -1 when it is none that may be sent to. */
static int port_of(const char *s, size_t n)
{
    int port = 0;

    if (n == 0 || n > 5) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return -1;
        }
        port = port * 10 + (s[i] - '0');
    }
    return port == 80 || port == 443 || (port >= 1024 && port <= 65535) ? port : -1;
}

/* A name, or an address in its one strict form: what looks like a number otherwise ("127.1") would
 * be read as an address by whoever resolves it. */
static int host_ok(const char *host)
{
    if (wh_address_of(host) != WH_ADDRESS_BAD) {
        return 1;
    }
    if (strchr(host, ':') != NULL || !wh_host_domain_ok(host)) {
        return 0;
    }
    host = strrchr(host, '.') != NULL ? strrchr(host, '.') + 1 : host;
    return !apr_isdigit(host[0]);
}

static apr_status_t authority(apr_pool_t *p, const char *s, size_t n, wh_httpurl_t *out,
                              wh_err_t *err)
{
    const char *end = s[0] == '[' ? memchr(s, ']', n) : NULL;
    size_t name = end != NULL ? (size_t)(end - s) + 1 : 0;
    char *host;

    if (end == NULL) {
        end = memchr(s, ':', n);
        name = end != NULL ? (size_t)(end - s) : n;
    }
    host =
        s[0] == '[' && name > 2 ? apr_pstrmemdup(p, s + 1, name - 2) : apr_pstrmemdup(p, s, name);
    for (char *c = host; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    if (memchr(s, '@', n) != NULL) {
        return refuse(err, "may not carry a user name or password");
    }
    if (!host_ok(host) || (s[0] == '[') != (strchr(host, ':') != NULL)) {
        return refuse(err, "has no valid host");
    }
    if (name < n && (s[name] != ':' || (out->port = port_of(s + name + 1, n - name - 1)) < 0)) {
        return refuse(err, "has a port that nothing is sent to: 80, 443, 1024 and above are");
    }
    out->host = host;
    return APR_SUCCESS;
}

apr_status_t wh_httpurl_parse(apr_pool_t *p, const char *url, int plain, wh_httpurl_t *out,
                              wh_err_t *err)
{
    const char *rest = url;
    apr_status_t rv;
    size_t n;

    if (strlen(url) > WH_HTTPURL_MAX) {
        return refuse(err, "is longer than 2048 bytes");
    }
    for (const char *c = url; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f || strchr("#\\\"<>^`{|}", *c) != NULL) {
            return refuse(err, "has a character that it may not have");
        }
    }
    if (strncmp(url, "https://", 8) == 0) {
        *out = (wh_httpurl_t){.tls = 1, .port = 443};
        rest += 8;
    } else if (plain && strncmp(url, "http://", 7) == 0) {
        *out = (wh_httpurl_t){.port = 80};
        rest += 7;
    } else {
        return refuse(err, plain ? "begins with neither https:// nor http://"
                                 : "does not begin with https:// (http_private_addresses is off)");
    }
    n = strcspn(rest, "/?");
    rv = authority(p, rest, n, out, err);
    out->target = rest[n] == '/' ? apr_pstrdup(p, rest + n) : apr_pstrcat(p, "/", rest + n, NULL);
    return rv;
}
