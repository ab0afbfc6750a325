#include "libwh/wh_imageref.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"

#define TAG_MAX 128
#define HOST_MAX 253
#define SHA256 "sha256:"

static apr_status_t refuse(wh_err_t *err, const char *why)
{
    return wh_err_field(err, "/image", "image_invalid", "%s", why);
}

static int lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int wh_imageref_digest_ok(const char *digest)
{
    size_t n = strlen(SHA256);

    if (strlen(digest) != WH_IMAGEREF_DIGEST_LEN || strncmp(digest, SHA256, n) != 0)
        return 0;
    for (const char *s = digest + n; *s != '\0'; s++)
        if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f')))
            return 0;
    return 1;
}

/* ---- registry ---- */

static int port_ok(const char *s)
{
    size_t n = strspn(s, "0123456789");
    int port = 0;

    if (n == 0 || n > 5 || s[n] != '\0' || s[0] == '0')
        return 0;
    for (; *s != '\0'; s++)
        port = port * 10 + (*s - '0');
    return port <= 65535;
}

/* domain-component := alphanumerics, '-' within. */
static int label_ok(const char *s, size_t n)
{
    if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!lower_or_digit(s[i]) && s[i] != '-')
            return 0;
    return 1;
}

/* Four numbers up to 255, where it is made of digits and dots alone. */
static int v4_ok(const char *s)
{
    int dots = 0;

    for (;;) {
        size_t n = strspn(s, "0123456789");
        int part = 0;

        if (n == 0 || n > 3 || (n > 1 && s[0] == '0'))
            return 0;
        for (size_t i = 0; i < n; i++)
            part = part * 10 + (s[i] - '0');
        if (part > 255)
            return 0;
        s += n;
        if (*s == '\0')
            return dots == 3;
        s++;
        dots++;
    }
}

static int host_ok(const char *host)
{
    if (*host == '\0' || strlen(host) > HOST_MAX)
        return 0;
    if (strspn(host, "0123456789.") == strlen(host))
        return v4_ok(host);
    for (const char *s = host;; s++) {
        size_t n = strcspn(s, ".");

        if (!label_ok(s, n))
            return 0;
        s += n;
        if (*s == '\0')
            return 1;
    }
}

static apr_status_t registry(apr_pool_t *p, const char *text, wh_imageref_t *out, wh_err_t *err)
{
    char *host = apr_pstrdup(p, text), *port = strchr(host, ':');

    /* The grammar takes capitals in a domain; they mean nothing there. */
    for (char *c = host; *c != '\0'; c++)
        *c = (char)apr_tolower(*c);
    out->registry = apr_pstrdup(p, host);
    if (port != NULL)
        *port++ = '\0';
    if (port == NULL && strchr(host, '.') == NULL)
        return refuse(err, "an image begins with its registry, as in docker.io/library/nginx");
    if (!host_ok(host))
        return refuse(err, "the registry of the image is no host name and no IPv4 address");
    if (port != NULL && !port_ok(port))
        return refuse(err, "the port of the image's registry is not valid");
    return APR_SUCCESS;
}

/* ---- path, tag ---- */

/* How many bytes of s are one separator, 0 = it is none. */
static size_t separator(const char *s)
{
    if (*s == '.')
        return 1;
    if (*s == '_')
        return s[1] == '_' ? 2 : 1;
    return strspn(s, "-");
}

static int component_ok(const char *s, size_t n)
{
    const char *end = s + n;

    for (;;) {
        const char *begin = s;
        size_t sep;

        while (s < end && lower_or_digit(*s))
            s++;
        if (s == begin)
            return 0;
        if (s == end)
            return 1;
        sep = separator(s);
        if (sep == 0 || s + sep >= end)
            return 0;
        s += sep;
    }
}

static int path_ok(const char *path)
{
    for (const char *s = path;; s++) {
        size_t n = strcspn(s, "/");

        if (!component_ok(s, n))
            return 0;
        s += n;
        if (*s == '\0')
            return 1;
    }
}

static int tag_ok(const char *tag)
{
    size_t n = strlen(tag);

    if (n == 0 || n > TAG_MAX || tag[0] == '.' || tag[0] == '-')
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!apr_isalnum(tag[i]) && strchr("_.-", tag[i]) == NULL)
            return 0;
    return 1;
}

apr_status_t wh_imageref_parse(apr_pool_t *p, const char *text, wh_imageref_t *out, wh_err_t *err)
{
    const char *slash = strchr(text, '/');
    char *rest, *at, *colon;
    apr_status_t rv;

    *out = (wh_imageref_t){.registry = "", .path = "", .tag = "latest", .digest = ""};
    if (strlen(text) > WH_IMAGEREF_MAX)
        return refuse(err, "the name of an image has at most 512 bytes");
    if (slash == NULL || slash == text)
        return refuse(err, "an image begins with its registry, as in docker.io/library/nginx");
    rv = registry(p, apr_pstrmemdup(p, text, (apr_size_t)(slash - text)), out, err);
    if (rv != APR_SUCCESS)
        return rv;
    rest = apr_pstrdup(p, slash + 1);
    at = strchr(rest, '@');
    if (at != NULL)
        *at++ = '\0';
    colon = strchr(rest, ':');
    if (colon != NULL)
        *colon++ = '\0';
    out->path = rest;
    if (!path_ok(rest) || strlen(out->registry) + 1 + strlen(rest) > WH_IMAGEREF_NAME_MAX)
        return refuse(err, "the path of the image is not valid: letters in lower case, digits, and "
                           "'.', '_', '-' between them");
    if (at != NULL && colon != NULL)
        return refuse(err, "an image has a tag or a digest, not both");
    if (colon != NULL && !tag_ok(colon))
        return refuse(err, "the tag of the image is not valid");
    if (at != NULL && !wh_imageref_digest_ok(at))
        return refuse(err, "the digest of an image is sha256: and 64 hex digits in lower case");
    out->tag = at != NULL ? "" : colon != NULL ? colon : out->tag;
    out->digest = at != NULL ? at : "";
    return APR_SUCCESS;
}

const char *wh_imageref_text(apr_pool_t *p, const wh_imageref_t *ref)
{
    return ref->digest[0] != '\0'
               ? wh_imageref_pinned(p, ref, ref->digest)
               : apr_pstrcat(p, ref->registry, "/", ref->path, ":", ref->tag, NULL);
}

const char *wh_imageref_pinned(apr_pool_t *p, const wh_imageref_t *ref, const char *digest)
{
    return apr_pstrcat(p, ref->registry, "/", ref->path, "@", digest, NULL);
}

const char *wh_imageref_url(apr_pool_t *p, const wh_imageref_t *ref)
{
    return apr_pstrcat(p, "https://", ref->registry, "/", ref->path, NULL);
}

const char *wh_imageref_auth(apr_pool_t *p, const wh_imageref_t *ref, const char *user,
                             const char *token)
{
    json_t *json = wh_json_own(p, json_pack("{s:s, s:s, s:s}", "username", user, "password", token,
                                            "serveraddress", ref->registry));
    size_t n = 0;
    const char *text = wh_json_text(p, json, &n);

    if (text == NULL)
        return NULL;
    /* Engines want it padded, other than all else that is written so. */
    return apr_pstrcat(p, wh_sign_b64url(p, text, n), n % 3 == 0 ? "" : n % 3 == 1 ? "==" : "=",
                       NULL);
}
