#include <string.h>
#include <apr_strings.h>
#include "wh-agent/huburl.h"

#define WS_PATH "/v1/workers/ws"

/* rest: what follows the "://". Returns -1 when the port is none. */
static int split(apr_pool_t *p, const char *rest, wh_huburl_t *url)
{
    const char *end = rest + strcspn(rest, "/"), *colon, *last;
    size_t n = strlen(end);
    char *stop;

    while (n > 0 && end[n - 1] == '/')
        n--;
    url->host_header = apr_pstrmemdup(p, rest, (size_t)(end - rest));
    url->path = apr_pstrcat(p, apr_pstrmemdup(p, end, n), WS_PATH, NULL);
    url->port = url->tls ? 443 : 80;
    last = *rest == '[' ? memchr(rest, ']', (size_t)(end - rest)) : NULL;
    if (last != NULL) {
        url->host = apr_pstrmemdup(p, rest + 1, (size_t)(last - rest) - 1);
        colon = last[1] == ':' ? last + 1 : NULL;
        if (colon == NULL && last + 1 != end)
            return -1;
    } else {
        colon = memchr(rest, ':', (size_t)(end - rest));
        url->host = apr_pstrmemdup(p, rest, (size_t)((colon != NULL ? colon : end) - rest));
    }
    if (colon != NULL) {
        apr_int64_t port = apr_strtoi64(colon + 1, &stop, 10);

        if (stop != end || colon[1] < '1' || colon[1] > '9' || port > 65535)
            return -1;
        url->port = (int)port;
    }
    return url->host[0] != '\0' ? 0 : -1;
}

static int loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

int wh_huburl_safe(const wh_huburl_t *url)
{
    return url->tls || loopback(url->host);
}

static apr_status_t take(apr_pool_t *p, const char *text, wh_huburl_t *url, wh_err_t *err)
{
    const char *rest = NULL;

    *url = (wh_huburl_t){.text = text, .tls = strncmp(text, "wss://", 6) == 0};
    if (url->tls)
        rest = text + 6;
    else if (strncmp(text, "ws://", 5) == 0)
        rest = text + 5;
    if (rest == NULL || strpbrk(rest, "@?#\\") != NULL || split(p, rest, url) != 0)
        return wh_err_set(err, 500, "bad_config",
                          "hub_url: \"%s\" is not ws(s)://host[:port][/path]", text);
    if (!wh_huburl_safe(url))
        return wh_err_set(err, 500, "bad_config",
                          "hub_url: \"%s\": ws:// is for this machine only, use wss://", text);
    return APR_SUCCESS;
}

apr_status_t wh_huburl_list(apr_pool_t *p, const char *text, apr_array_header_t **out,
                            wh_err_t *err)
{
    apr_array_header_t *urls = apr_array_make(p, 2, sizeof(wh_huburl_t));
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && *(text += strspn(text, " \t")) != '\0') {
        size_t n = strcspn(text, " \t");

        if (urls->nelts == WH_HUBURL_MAX)
            return wh_err_set(err, 500, "bad_config", "hub_url: more than %d addresses",
                              WH_HUBURL_MAX);
        rv = take(p, apr_pstrmemdup(p, text, n), &APR_ARRAY_PUSH(urls, wh_huburl_t), err);
        text += n;
    }
    *out = urls;
    return rv;
}

apr_array_header_t *wh_huburl_of_server(apr_pool_t *p, const char *server_url)
{
    apr_array_header_t *urls = apr_array_make(p, 1, sizeof(wh_huburl_t));
    wh_huburl_t *url = &APR_ARRAY_PUSH(urls, wh_huburl_t);

    *url = (wh_huburl_t){.text = server_url, .tls = strncmp(server_url, "https://", 8) == 0};
    if (split(p, server_url + (url->tls ? 8 : 7), url) != 0)
        url->port = 0; /* connecting fails, and says where */
    return urls;
}
