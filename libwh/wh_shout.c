/* wh_shout: see wh_shout.h. What was percent-encoded is decoded once, and looked at then. */
#include "libwh/wh_shout.h"

#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_address.h"
#include "libwh/wh_httpurl.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

/* How much a part before '@' is wanted; MUST is a parameter's mark, too. */
enum { NONE, MAY, MUST };
enum { SHOWN = 1, YESNO = 4, NUMBER = 8, URL = 16 };
#define PARTS_MAX 16

typedef struct service_t {
    const char *scheme;
    wh_shout_e kind;
    int user, password; /* NONE, MAY, MUST */
    int parts[2];
    int own_host;
    const char *raw; /* the scheme of the address that the rest of the URL is */
} service_t;

static const service_t services[] = {
#define WH_SHOUT(text, what, ...) {.scheme = #text, .kind = WH_SHOUT_##what, __VA_ARGS__},
#include "libwh/wh_shout.def"
#undef WH_SHOUT
};

typedef struct param_t {
    wh_shout_e kind;
    const char *name, *other;
    int flags;
} param_t;

static const param_t params[] = {
#define WH_SHOUT_PARAM(what, text, also, marks) {WH_SHOUT_##what, #text, also, marks},
#include "libwh/wh_shout.def"
#undef WH_SHOUT_PARAM
};

static const char *const kind_names[WH_SHOUT_KINDS] = {
    [WH_SHOUT_DISCORD] = "discord",       [WH_SHOUT_SLACK] = "slack",
    [WH_SHOUT_TEAMS] = "teams",           [WH_SHOUT_TELEGRAM] = "telegram",
    [WH_SHOUT_NTFY] = "ntfy",             [WH_SHOUT_GOTIFY] = "gotify",
    [WH_SHOUT_MATRIX] = "matrix",         [WH_SHOUT_MATTERMOST] = "mattermost",
    [WH_SHOUT_SMTP] = "smtp",             [WH_SHOUT_GENERIC] = "generic",
    [WH_SHOUT_WEBHOOK] = "webhook",
};

const char *wh_shout_kind_name(wh_shout_e kind)
{
    return (unsigned)kind < WH_SHOUT_KINDS ? kind_names[kind] : "";
}

const char *wh_shout_param(const wh_shout_t *t, const char *name, const char *otherwise)
{
    const char *value = apr_table_get(t->params, name);

    return value != NULL ? value : otherwise;
}

static int yes(const char *value)
{
    return strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0 ||
           strcmp(value, "1") == 0;
}

int wh_shout_yes(const wh_shout_t *t, const char *name, int otherwise)
{
    const char *value = apr_table_get(t->params, name);

    return value != NULL ? yes(value) : otherwise;
}

const char *wh_shout_escape(apr_pool_t *p, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, strlen(s) * 3 + 1), *at = out;

    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x80 && (apr_isalnum(c) || strchr("-._~", c) != NULL)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        }
    }
    *at = '\0';
    return out;
}

/* ---- reading ---- */

static apr_status_t refuse(wh_err_t *err, const char *why)
{
    return wh_err_field(err, "/target", "target_invalid", "%s", why);
}

/* n bytes at s, %XX decoded (and '+' in a query); NULL when what comes out is no plain text. */
static const char *decoded(apr_pool_t *p, const char *s, size_t n, int query)
{
    char *out = apr_palloc(p, n + 1);
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '%') {
            if (n - i < 3 || wh_sign_unhex(s + i + 1, 2, &c) != 0) {
                return NULL;
            }
            i += 2;
        } else if (c == '+' && query) {
            c = ' ';
        }
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return wh_text_utf8_ok(out, len) && wh_text_plain(out, len) ? out : NULL;
}

static int host_ok(apr_pool_t *p, const char *host)
{
    size_t n = strlen(host);

    if (host[0] == '[') {
        return n > 2 && host[n - 1] == ']' &&
               wh_address_of(apr_pstrmemdup(p, host + 1, n - 2)) != WH_ADDRESS_BAD;
    }
    if (n == 0 || n > 253 || host[0] == '-' || host[0] == '.') {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!apr_isalnum(host[i]) && strchr("-._", host[i]) == NULL) {
            return 0;
        }
    }
    return strstr(host, "..") == NULL;
}

/* "[user[:password]@]host[:port]". */
static apr_status_t read_authority(apr_pool_t *p, const service_t *service, const char *s, size_t n,
                                   wh_shout_t *t, wh_err_t *err)
{
    const char *at = NULL, *colon, *host;
    apr_int64_t port = 0;

    for (size_t i = 0; i < n; i++) {
        at = s[i] == '@' ? s + i : at;
    }
    t->user = t->password = "";
    if (at != NULL) {
        colon = memchr(s, ':', (size_t)(at - s));
        t->user = decoded(p, s, (size_t)((colon != NULL ? colon : at) - s), 0);
        t->password = colon != NULL ? decoded(p, colon + 1, (size_t)(at - colon - 1), 0) : "";
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    host = apr_pstrmemdup(p, s, n);
    colon = strrchr(host, ':');
    if (colon != NULL && strchr(colon, ']') == NULL && !service->own_host) {
        if (!wh_text_number(colon + 1, 1, 65535, &port)) {
            return refuse(err, "The port of the target is not one.");
        }
        host = apr_pstrmemdup(p, host, (size_t)(colon - host));
    }
    t->host = host;
    t->port = (int)port;
    if (t->user == NULL || t->password == NULL) {
        return refuse(err, "The part before '@' of the target has bytes that it may not have.");
    }
    /* Slack's short form may end behind its '@' with nothing: the table says what must be there. */
    return host_ok(p, host) ? APR_SUCCESS : refuse(err, "The host of the target is not one.");
}

static apr_status_t read_parts(apr_pool_t *p, const char *s, size_t n, wh_shout_t *t,
                               wh_err_t *err)
{
    t->parts = apr_array_make(p, 4, sizeof(const char *));
    while (n > 0) {
        size_t len = 0;
        const char *part;

        while (len < n && s[len] != '/') {
            len++;
        }
        part = decoded(p, s, len, 0);
        if (part == NULL || strcmp(part, "..") == 0 || strcmp(part, ".") == 0) {
            return refuse(err, "The path of the target has bytes that it may not have.");
        }
        if (part[0] != '\0') {
            APR_ARRAY_PUSH(t->parts, const char *) = part;
        }
        s += len + (len < n);
        n -= len + (len < n);
    }
    return t->parts->nelts <= PARTS_MAX ? APR_SUCCESS
                                        : refuse(err, "The path of the target is too long.");
}

static const param_t *param_of(wh_shout_e kind, const char *name)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(params); i++) {
        if (params[i].kind == kind &&
            (strcasecmp(params[i].name, name) == 0 ||
             (params[i].other != NULL && strcasecmp(params[i].other, name) == 0))) {
            return &params[i];
        }
    }
    return NULL;
}

static int value_ok(const char *value, int flags)
{
    static const char *const words[] = {"yes", "true", "1", "no", "false", "0"};
    apr_int64_t number;

    if (flags & NUMBER) {
        return wh_text_number(value, -10, APR_INT64_MAX, &number);
    }
    if (flags & URL) {
        return strpbrk(value, "@?#") == NULL &&
               (strncmp(value, "https://", 8) == 0 || strncmp(value, "http://", 7) == 0);
    }
    for (size_t i = 0; (flags & YESNO) && i < WH_ARRAY_LEN(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            return 1;
        }
    }
    return !(flags & YESNO);
}

/* A header of a generic target. What frames the request, or says who asks, is not his to set. */
static int header_ok(const char *name, const char *value)
{
    static const char *const ours[] = {"host", "content-length", "transfer-encoding", "connection",
                                       "expect", "te", "upgrade", "trailer"};

    for (size_t i = 0; i < WH_ARRAY_LEN(ours); i++) {
        if (strcasecmp(name, ours[i]) == 0) {
            return 0;
        }
    }
    return name[0] != '\0' && strlen(name) <= 64 && value[0] != '\0' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               strlen(name);
}

/* One "name=value". *kept becomes 1 when it goes out with the address. */
static apr_status_t read_param(apr_pool_t *p, const char *s, size_t n, wh_shout_t *t, int *kept,
                               wh_err_t *err)
{
    const char *eq = memchr(s, '=', n);
    size_t len = eq != NULL ? (size_t)(eq - s) : n;
    const char *name = decoded(p, s, len, 1);
    const char *value = eq != NULL ? decoded(p, eq + 1, n - len - 1, 1) : "";
    const param_t *param;

    if (name == NULL || value == NULL) {
        return refuse(err, "A parameter of the target has bytes that it may not have.");
    }
    param = param_of(t->kind, name);
    if (param == NULL && t->kind == WH_SHOUT_GENERIC && name[0] == '@') {
        if (!header_ok(name + 1, value) || apr_table_elts(t->headers)->nelts >= 16) {
            return refuse(err, "A header of the target is not one that can be set.");
        }
        apr_table_set(t->headers, name + 1, value);
        return APR_SUCCESS;
    }
    *kept = param == NULL && t->address != NULL;
    if (param == NULL && !*kept) {
        return wh_err_field(err, "/target", "target_invalid",
                            "A %s target has no parameter \"%.40s\".",
                            wh_shout_kind_name(t->kind), name);
    }
    if (param != NULL && !value_ok(value, param->flags)) {
        return wh_err_field(err, "/target", "target_invalid",
                            "The parameter \"%s\" of the target has a value it cannot have.",
                            param->name);
    }
    if (param != NULL) {
        apr_table_set(t->params, param->name, value);
    }
    return APR_SUCCESS;
}

static apr_status_t read_query(apr_pool_t *p, const char *s, wh_shout_t *t, const char **rest,
                               wh_err_t *err)
{
    const char *forwarded = "";

    for (; *s != '\0'; s += *s == '&') {
        size_t n = strcspn(s, "&");
        int kept = 0;
        apr_status_t rv = n > 0 ? read_param(p, s, n, t, &kept, err) : APR_SUCCESS;

        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (kept) {
            forwarded = apr_pstrcat(p, forwarded, forwarded[0] ? "&" : "?",
                                    apr_pstrmemdup(p, s, n), NULL);
        }
        s += n;
    }
    *rest = forwarded;
    return APR_SUCCESS;
}

/* ---- what must be there ---- */

static const char *wanting(apr_pool_t *p, const service_t *service, const wh_shout_t *t)
{
    int n = t->parts->nelts;

    if (service->raw != NULL) {
        return NULL;
    }
    if ((service->user == MUST && t->user[0] == '\0') ||
        (service->password == MUST && t->password[0] == '\0')) {
        return "The target lacks its token before the '@'.";
    }
    if ((service->user == NONE && t->user[0] != '\0') ||
        (service->password == NONE && t->password[0] != '\0')) {
        return "The target has a name or password before the '@' that this service has no use for.";
    }
    if (n < service->parts[0] || n > service->parts[1]) {
        return "The path of the target does not have the parts that this service needs.";
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(params); i++) {
        if (params[i].kind == t->kind && (params[i].flags & MUST) &&
            wh_shout_param(t, params[i].name, "")[0] == '\0') {
            return apr_psprintf(p, "The target lacks the parameter \"%s\".",
                                params[i].name);
        }
    }
    return NULL;
}

/* One address or several with commas, each with one '@' and nothing that ends a line or a path. */
static int mail_ok(const char *list)
{
    for (;;) {
        size_t n = strcspn(list, ",");
        const char *at = memchr(list, '@', n);

        if (at == NULL || at == list || at + 1 == list + n || n > 254 ||
            strcspn(list, " <>\"\\()[];:") < n || memchr(at + 1, '@', n - (size_t)(at + 1 - list))) {
            return 0;
        }
        if (list[n] == '\0') {
            return 1;
        }
        list += n + 1;
    }
}

/* What the table cannot say. NULL = it is good. */
static const char *odd(apr_pool_t *p, const wh_shout_t *t)
{
    const char *chats = wh_shout_param(t, "chats", ""), *rooms = wh_shout_param(t, "rooms", "");
    const char *scheme = wh_shout_param(t, "scheme", "https");

    switch (t->kind) {
    case WH_SHOUT_DISCORD:
        return strspn(t->host, "0123456789") == strlen(t->host) ? NULL
                                                                : "A Discord webhook has a number.";
    case WH_SHOUT_SLACK:
        return (t->parts->nelts == 2) != (strcmp(t->user, "hook") == 0 && t->password[0] != '\0')
                   ? NULL
                   : "A Slack target is slack://T…/B…/X… or slack://hook:T…-B…-X…@webhook.";
    case WH_SHOUT_TEAMS:
        return t->address != NULL || host_ok(p, wh_shout_param(t, "host", ""))
                   ? NULL
                   : "The parameter \"host\" is not a host.";
    case WH_SHOUT_TELEGRAM:
        return strchr(chats, ',') == NULL ? NULL : "A channel has one chat; make one for each.";
    case WH_SHOUT_MATRIX:
        return rooms[0] == '!' && strchr(rooms, ',') == NULL
                   ? NULL
                   : "A channel has one room, by its id (it begins with '!').";
    case WH_SHOUT_NTFY:
        return strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0
                   ? NULL
                   : "The parameter \"scheme\" is http or https.";
    case WH_SHOUT_SMTP:
        return mail_ok(wh_shout_param(t, "from", "")) &&
                       strchr(wh_shout_param(t, "from", ","), ',') == NULL &&
                       mail_ok(wh_shout_param(t, "to", ""))
                   ? NULL
                   : "A mail address of the target is not one.";
    default:
        return NULL;
    }
}

/* '+' in an address is meant as it stands, though a query has it for a space. */
static void mend_mail(apr_pool_t *p, wh_shout_t *t)
{
    static const char *const names[] = {"from", "to"};

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        char *value = apr_pstrdup(p, wh_shout_param(t, names[i], ""));

        for (char *c = value; *c != '\0'; c++) {
            *c = *c == ' ' ? '+' : *c;
        }
        if (value[0] != '\0') {
            apr_table_set(t->params, names[i], value);
        }
    }
}

static const service_t *service_of(const char *url, size_t n)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(services); i++) {
        if (strlen(services[i].scheme) == n && strncasecmp(services[i].scheme, url, n) == 0) {
            return &services[i];
        }
    }
    return NULL;
}

/* Printable ASCII, and none of what no URL has as it is. */
static int url_ok(const char *url)
{
    for (const char *s = url; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}#", c) != NULL) {
            return 0;
        }
    }
    return 1;
}

/* The address of a raw one: what was written, without what is ours. */
static const char *address_of(apr_pool_t *p, const wh_shout_t *t, const char *scheme,
                              const char *path, const char *query)
{
    char port[8] = "";

    if (t->port > 0) {
        apr_snprintf(port, sizeof(port), ":%d", t->port);
    }
    scheme = wh_shout_yes(t, "disabletls", 0) ? "http" : scheme;
    return apr_pstrcat(p, scheme, "://", t->host, port, path[0] ? path : "/", query, NULL);
}

/* Nothing is taken that could not be sent to afterwards, whoever may be there. */
static apr_status_t sendable(apr_pool_t *p, const service_t *service, const wh_shout_t *t,
                             wh_err_t *err)
{
    const char *url = t->address;
    wh_httpurl_t parsed;

    if (service->own_host || t->kind == WH_SHOUT_SMTP) {
        return APR_SUCCESS;
    }
    if (url == NULL) {
        url = t->port > 0 ? apr_psprintf(p, "https://%s:%d/", t->host, t->port)
                          : apr_pstrcat(p, "https://", t->host, "/", NULL);
    }
    return wh_httpurl_parse(p, url, 1, &parsed, NULL) == APR_SUCCESS
               ? APR_SUCCESS
               : refuse(err, "The address of the target has a host or port that nothing is sent "
                             "to; ports are 80, 443 and those above 1023.");
}

apr_status_t wh_shout_parse(apr_pool_t *p, const char *url, wh_shout_t **out, wh_err_t *err)
{
    const char *colon = strstr(url, "://"), *rest, *why, *query = "";
    const service_t *service = colon != NULL ? service_of(url, (size_t)(colon - url)) : NULL;
    wh_shout_t *t = apr_pcalloc(p, sizeof(*t));
    size_t authority, path;
    apr_status_t rv;

    if (strlen(url) > WH_SHOUT_URL_MAX || !url_ok(url)) {
        return refuse(err, "A target has at most 2048 printable ASCII characters; anything else "
                           "in it is written as %XX, and it has no '#'.");
    }
    if (service == NULL) {
        return refuse(err, "A target begins with discord, slack, teams, telegram, ntfy, gotify, "
                           "matrix, mattermost, smtp, generic, https or http, and \"://\".");
    }
    rest = colon + 3;
    authority = strcspn(rest, "/?");
    path = strcspn(rest + authority, "?");
    *t = (wh_shout_t){.kind = service->kind, .scheme = service->scheme};
    t->params = apr_table_make(p, 4);
    t->headers = apr_table_make(p, 2);
    t->address = service->raw;
    rv = read_authority(p, service, rest, authority, t, err);
    if (rv == APR_SUCCESS) {
        rv = read_parts(p, rest + authority, path, t, err);
    }
    if (rv == APR_SUCCESS && rest[authority + path] == '?') {
        rv = read_query(p, rest + authority + path + 1, t, &query, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (t->kind == WH_SHOUT_SMTP) {
        mend_mail(p, t);
    }
    if (service->raw != NULL && (t->user[0] != '\0' || t->password[0] != '\0')) {
        return refuse(err, "The address of the target may not carry a name or password.");
    }
    why = wanting(p, service, t);
    why = why != NULL ? why : odd(p, t);
    if (why != NULL) {
        return refuse(err, why);
    }
    if (service->raw != NULL) {
        t->address = address_of(p, t, service->raw, apr_pstrmemdup(p, rest + authority, path),
                                query);
    }
    rv = sendable(p, service, t, err);
    if (rv == APR_SUCCESS) {
        *out = t;
    }
    return rv;
}

/* ---- showing ---- */

const char *wh_shout_masked(apr_pool_t *p, const wh_shout_t *t)
{
    const char *shown = apr_pstrcat(
        p, t->scheme, "://", t->user[0] != '\0' || t->password[0] != '\0' ? "***@" : "", t->host,
        NULL);
    char sep = '?';

    if (t->port > 0) {
        shown = apr_psprintf(p, "%s:%d", shown, t->port);
    }
    if (t->parts->nelts > 0) {
        shown = apr_pstrcat(p, shown, "/***", NULL);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(params); i++) {
        const char *value = apr_table_get(t->params, params[i].name);

        if (params[i].kind == t->kind && value != NULL) {
            shown = apr_psprintf(p, "%s%c%s=%s", shown, sep, params[i].name,
                                 params[i].flags & SHOWN ? wh_shout_escape(p, value) : "***");
            sep = '&';
        }
    }
    return shown;
}
