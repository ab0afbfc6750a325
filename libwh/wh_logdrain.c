#include "libwh/wh_logdrain.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>

#include "libwh/wh_httpurl.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

static const struct {
    const char *scheme;
    wh_logdrain_e kind;
    wh_logdrain_way_e way;
    const char *http; /* what the address begins with */
    int port;         /* unless it is named; 0 = HTTP's own */
} ways[] = {
    {"loki+https", WH_LOGDRAIN_LOKI, WH_LOGDRAIN_BY_HTTP, "https", 0},
    {"loki+http", WH_LOGDRAIN_LOKI, WH_LOGDRAIN_BY_HTTP, "http", 0},
    {"syslog+tls", WH_LOGDRAIN_SYSLOG, WH_LOGDRAIN_BY_TLS, "https", 6514},
    {"syslog+tcp", WH_LOGDRAIN_SYSLOG, WH_LOGDRAIN_BY_TCP, "http", 601},
    {"syslog+udp", WH_LOGDRAIN_SYSLOG, WH_LOGDRAIN_BY_UDP, "http", 514},
    {"https", WH_LOGDRAIN_HTTP, WH_LOGDRAIN_BY_HTTP, "https", 0},
    {"http", WH_LOGDRAIN_HTTP, WH_LOGDRAIN_BY_HTTP, "http", 0},
};

static const char *const kind_names[] = {[WH_LOGDRAIN_LOKI] = "loki",
                                         [WH_LOGDRAIN_SYSLOG] = "syslog",
                                         [WH_LOGDRAIN_HTTP] = "http"};

const char *wh_logdrain_kind_name(wh_logdrain_e kind)
{
    return kind_names[kind];
}

static apr_status_t refuse(wh_err_t *err, const char *why)
{
    return wh_err_field(err, "/target", "target_invalid", "%s", why);
}

/* %XX decoded, for the name and password; NULL for what is no plain text. */
static const char *decoded(apr_pool_t *p, const char *s, size_t n)
{
    char *out = apr_palloc(p, n + 1);
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '%' && (n - i < 3 || wh_sign_unhex(s + i + 1, 2, &c) != 0)) {
            return NULL;
        }
        i += s[i] == '%' ? 2 : 0;
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return wh_text_utf8_ok(out, len) && wh_text_plain(out, len) ? out : NULL;
}

/* Takes "user:password@" off the front of *rest. */
static apr_status_t take_auth(apr_pool_t *p, const char **rest, wh_logdrain_to_t *to,
                              wh_err_t *err)
{
    size_t n = strcspn(*rest, "/?");
    const char *at = memchr(*rest, '@', n), *pair;

    if (at == NULL) {
        return APR_SUCCESS;
    }
    pair = decoded(p, *rest, (size_t)(at - *rest));
    if (pair == NULL || strchr(pair, ':') == NULL || to->way != WH_LOGDRAIN_BY_HTTP) {
        return refuse(err, "What stands before the '@' of the target is user:password, by HTTP "
                           "alone.");
    }
    to->auth = apr_pstrcat(p, "Basic ", wh_sign_b64(p, pair, strlen(pair)), NULL);
    *rest = at + 1;
    return APR_SUCCESS;
}

/* Takes "tenant=…", the only parameter, off the end of a Loki address. */
static apr_status_t take_tenant(apr_pool_t *p, const char **rest, wh_logdrain_to_t *to,
                                wh_err_t *err)
{
    const char *query = strchr(*rest, '?');

    if (query == NULL) {
        return APR_SUCCESS;
    }
    if (strncmp(query, "?tenant=", 8) != 0 || query[8] == '\0' ||
        strspn(query + 8, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") !=
            strlen(query + 8)) {
        return refuse(err, "A Loki target has one parameter, \"tenant\".");
    }
    to->tenant = query + 8;
    *rest = apr_pstrmemdup(p, *rest, (size_t)(query - *rest));
    return APR_SUCCESS;
}

/* Host and port; syslog's may lie below 1024, where nothing is sent to by HTTP. */
static apr_status_t read_host(apr_pool_t *p, const char *rest, int otherwise, wh_logdrain_to_t *to,
                              wh_err_t *err)
{
    const char *colon = strrchr(rest, ':');
    apr_int64_t port = otherwise;
    wh_httpurl_t url;

    if (colon != NULL && strchr(colon, ']') == NULL) {
        if (!wh_text_number(colon + 1, 1, 65535, &port)) {
            return refuse(err, "The port of the target is not one.");
        }
        rest = apr_pstrmemdup(p, rest, (size_t)(colon - rest));
    }
    if (strpbrk(rest, "/?@") != NULL ||
        wh_httpurl_parse(p, apr_pstrcat(p, "https://", rest, NULL), 0, &url, NULL) !=
            APR_SUCCESS) {
        return refuse(err, "A syslog target is syslog+tls://host[:port], +tcp or +udp.");
    }
    to->host = url.host;
    to->port = (int)port;
    return APR_SUCCESS;
}

static apr_status_t read_url(apr_pool_t *p, const char *rest, const char *http,
                             wh_logdrain_to_t *to, wh_err_t *err)
{
    wh_httpurl_t url;
    const char *path = strchr(rest, '/');

    if (to->kind == WH_LOGDRAIN_LOKI && (path == NULL || path[1] == '\0')) {
        rest = apr_pstrcat(p, apr_pstrmemdup(p, rest, strcspn(rest, "/")), "/loki/api/v1/push", NULL);
    }
    to->url = apr_pstrcat(p, http, "://", rest, NULL);
    if (wh_httpurl_parse(p, to->url, 1, &url, NULL) != APR_SUCCESS) {
        return refuse(err, "The address of the target has a host, port or character that nothing "
                           "is sent to; ports are 80, 443 and those above 1023.");
    }
    to->host = url.host;
    to->port = url.port;
    return APR_SUCCESS;
}

apr_status_t wh_logdrain_parse(apr_pool_t *p, const char *url, wh_logdrain_to_t *out, wh_err_t *err)
{
    const char *colon = strstr(url, "://"), *rest = colon != NULL ? colon + 3 : "";
    size_t n = colon != NULL ? (size_t)(colon - url) : 0, i = 0;
    wh_logdrain_to_t to = {.url = "", .auth = "", .tenant = ""};
    apr_status_t rv;

    while (i < WH_ARRAY_LEN(ways) &&
           (strlen(ways[i].scheme) != n || strncasecmp(ways[i].scheme, url, n) != 0)) {
        i++;
    }
    if (i == WH_ARRAY_LEN(ways) || strlen(url) > WH_LOGDRAIN_URL_MAX) {
        return refuse(err, "A target begins with loki+https://, syslog+tls://, syslog+tcp://, "
                           "syslog+udp:// or https://, and has at most 2048 bytes.");
    }
    to.kind = ways[i].kind;
    to.way = ways[i].way;
    to.scheme = ways[i].scheme;
    rv = take_auth(p, &rest, &to, err);
    if (rv == APR_SUCCESS && to.kind == WH_LOGDRAIN_LOKI) {
        rv = take_tenant(p, &rest, &to, err);
    }
    if (rv == APR_SUCCESS) {
        rv = to.way == WH_LOGDRAIN_BY_HTTP ? read_url(p, rest, ways[i].http, &to, err)
                                           : read_host(p, rest, ways[i].port, &to, err);
    }
    if (rv == APR_SUCCESS) {
        *out = to;
    }
    return rv;
}

const char *wh_logdrain_masked(apr_pool_t *p, const wh_logdrain_to_t *to)
{
    int v6 = strchr(to->host, ':') != NULL;

    return apr_psprintf(p, "%s://%s%s%s%s:%d%s", to->scheme, to->auth[0] ? "***@" : "",
                        v6 ? "[" : "", to->host, v6 ? "]" : "", to->port,
                        to->kind == WH_LOGDRAIN_HTTP ? "/***" : "");
}

/* ---- stored ---- */

static wh_secret_for_t bound_to(const char *const *id)
{
    return (wh_secret_for_t){.purpose = "wisehost-drain-v1", .names = id, .n = 1};
}

apr_status_t wh_logdrain_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                              wh_logdrain_t *d, const char *url, wh_err_t *err)
{
    wh_secret_for_t what = bound_to(&d->id);
    wh_secret_bytes_t text = {.at = url, .n = strlen(url)};
    wh_logdrain_to_t to;
    const char *sealed;
    apr_status_t rv = wh_logdrain_parse(p, url, &to, err);

    rv = rv == APR_SUCCESS ? wh_secret_seal(p, ring, rnd, &what, text, &sealed, err) : rv;
    if (rv == APR_SUCCESS) {
        d->kind = wh_logdrain_kind_name(to.kind);
        d->shown = wh_logdrain_masked(p, &to);
        d->key_id = ring->id;
        d->sealed = sealed;
    }
    return rv;
}

apr_status_t wh_logdrain_open(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_logdrain_t *d,
                              const char **url, wh_err_t *err)
{
    wh_secret_for_t what = bound_to(&d->id);
    wh_secret_bytes_t text;
    apr_status_t rv = wh_secret_open(p, ring, d->key_id, &what, d->sealed, &text, err);

    if (rv == APR_SUCCESS) {
        *url = text.at;
    }
    return rv;
}

json_t *wh_logdrain_json(apr_pool_t *p, const wh_logdrain_t *d)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:b, s:b, s:I, s:I, s:s?, s:s, s:s}", "id", d->id,
                     "name", d->name, "kind", d->kind, "target", d->shown, "app",
                     d->slug[0] ? d->slug : NULL, "enabled", d->enabled, "gzip", d->gzip,
                     "lines_sent", (json_int_t)d->sent, "lines_lost", (json_int_t)d->lost, "cause",
                     d->cause[0] ? d->cause : NULL, "created_at",
                     wh_time_rfc3339(p, d->created_at), "updated_at",
                     wh_time_rfc3339(p, d->updated_at));
}

/* ---- what is sent ---- */

/* As everybody else calls them. */
static const char *const stream_names[] = {
    [WH_STREAM_OUT] = "stdout", [WH_STREAM_ERR] = "stderr", [WH_STREAM_SYS] = "sys"};

/* F230: what a line is found by. */
static json_t *labels_of(const wh_logdrain_line_t *l)
{
    json_t *labels = json_pack("{s:s, s:s, s:s, s:s, s:s}", "app", l->app, "deployment",
                               l->deployment, "environment", l->environment, "service_name", l->app,
                               "stream", stream_names[l->stream]);

    if (l->level != WH_LEVEL_NONE) {
        json_object_set_new(labels, "level", json_string(wh_level_text(l->level)));
    }
    return labels;
}

static int same_labels(const wh_logdrain_line_t *a, const wh_logdrain_line_t *b)
{
    return a->stream == b->stream && a->level == b->level && strcmp(a->app, b->app) == 0 &&
           strcmp(a->deployment, b->deployment) == 0 && strcmp(a->environment, b->environment) == 0;
}

/* grafana.com/docs/loki, HTTP API, "Ingest logs": POST /loki/api/v1/push. */
const char *wh_logdrain_loki(apr_pool_t *p, const wh_logdrain_line_t *lines, int n, size_t *len)
{
    json_t *streams = json_array();
    const wh_logdrain_line_t **first = apr_pcalloc(p, (size_t)(n + 1) * sizeof(*first));

    for (int i = 0; i < n; i++) {
        size_t k = 0;

        while (first[k] != NULL && !same_labels(first[k], &lines[i])) {
            k++;
        }
        if (first[k] == NULL) {
            first[k] = &lines[i];
            json_array_append_new(
                streams, json_pack("{s:o, s:[]}", "stream", labels_of(&lines[i]), "values"));
        }
        json_array_append_new(
            json_object_get(json_array_get(streams, k), "values"),
            json_pack("[s,s]", apr_psprintf(p, "%" APR_INT64_T_FMT "000", lines[i].at),
                      lines[i].text));
    }
    return wh_json_text(p, wh_json_own(p, json_pack("{s:o}", "streams", streams)), len);
}

const char *wh_logdrain_jsonl(apr_pool_t *p, const wh_logdrain_line_t *lines, int n, size_t *len)
{
    apr_array_header_t *parts = apr_array_make(p, n + 1, sizeof(const char *));
    const char *all;

    for (int i = 0; i < n; i++) {
        const wh_logdrain_line_t *l = &lines[i];
        json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:s}", "timestamp",
                                wh_time_rfc3339(p, l->at), "app", l->app, "environment",
                                l->environment, "deployment", l->deployment, "container",
                                l->container, "stream", stream_names[l->stream], "level",
                                l->level != WH_LEVEL_NONE ? wh_level_text(l->level) : NULL,
                                "message", l->text);
        const char *text = wh_json_text(p, wh_json_own(p, doc), NULL);

        if (text == NULL) {
            return NULL;
        }
        APR_ARRAY_PUSH(parts, const char *) = text;
    }
    APR_ARRAY_PUSH(parts, const char *) = "";
    all = apr_array_pstrcat(p, parts, '\n');
    *len = strlen(all);
    return all;
}

/* A field of the header: printable ASCII without blanks, at most max bytes, "-" for none. */
static const char *field(apr_pool_t *p, const char *s, size_t max)
{
    char *out = apr_pstrndup(p, s, max);

    for (char *c = out; *c != '\0'; c++) {
        *c = *c > ' ' && *c < 0x7f ? *c : '_';
    }
    return out[0] != '\0' ? out : "-";
}

/* RFC 5424, 6: facility 1 (user); 32473 is the number that RFC 5612 keeps for examples. */
const char *wh_logdrain_syslog(apr_pool_t *p, const wh_logdrain_line_t *l, const char *host)
{
    static const int severity[WH_LEVEL_COUNT] = {[WH_LEVEL_NONE] = 6, [WH_LEVEL_DEBUG] = 7,
                                                 [WH_LEVEL_INFO] = 6, [WH_LEVEL_WARN] = 4,
                                                 [WH_LEVEL_ERROR] = 3, [WH_LEVEL_FATAL] = 2};

    return apr_psprintf(
        p, "<%d>1 %s %s %s %s %s [wisehost@32473 environment=\"%s\" deployment=\"%s\"] %s",
        8 + severity[l->level], wh_time_rfc3339(p, l->at), field(p, host, 255),
        field(p, l->app, 48), field(p, l->container, 12), stream_names[l->stream],
        field(p, l->environment, 64), field(p, l->deployment, 64), l->text);
}

const char *wh_logdrain_framed(apr_pool_t *p, const char *message)
{
    return apr_psprintf(p, "%lu %s", (unsigned long)strlen(message), message);
}
