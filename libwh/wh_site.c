/* wh_site: see wh_site.h. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_asset.h"
#include "libwh/wh_route.h"
#include "libwh/wh_site.h"

#define INDEX "index.html"
#define HTML ".html"

/* The path in two parts, so that "docs/" and "index.html" need no copy. */
static const wh_manifest_entry_t *find(const wh_site_t *site, const char *a, size_t na,
                                       const char *b, size_t nb)
{
    apr_uint32_t h = (apr_uint32_t)wh_hash_keyed(&site->key, a, na, b, nb);

    for (apr_uint32_t i = h & site->mask; site->index[i] != 0; i = (i + 1) & site->mask) {
        const wh_manifest_entry_t *e = &site->manifest->entries[site->index[i] - 1];

        if (strncmp(e->path, a, na) == 0 && strncmp(e->path + na, b, nb) == 0 &&
            e->path[na + nb] == '\0')
            return e;
    }
    return NULL;
}

static const wh_manifest_entry_t *find_one(const wh_site_t *site, const char *path, size_t n)
{
    return find(site, path, n, "", 0);
}

const wh_manifest_entry_t *wh_site_find(const wh_site_t *site, const char *path)
{
    return find_one(site, path, strlen(path));
}

wh_site_t *wh_site_make(apr_pool_t *p, const wh_manifest_t *m, const wh_hash_key_t *key)
{
    wh_site_t *site = apr_pcalloc(p, sizeof(*site));
    apr_uint32_t size = 4;

    while (size < 2 * (apr_uint32_t)m->n)
        size *= 2;
    site->manifest = m;
    site->key = *key;
    site->mask = size - 1;
    site->index = apr_pcalloc(p, size * sizeof(*site->index));
    site->assets = apr_pcalloc(p, (apr_size_t)m->n + 1);
    site->bytes = sizeof(*site) + size * sizeof(*site->index);
    for (int k = 0; k < m->n; k++) {
        const wh_manifest_entry_t *e = &m->entries[k];
        size_t n = strlen(e->path);
        apr_uint32_t i = (apr_uint32_t)wh_hash_keyed(key, e->path, n, "", 0) & site->mask;

        while (site->index[i] != 0)
            i = (i + 1) & site->mask;
        site->index[i] = (apr_uint32_t)k + 1;
        site->assets[k] = (unsigned char)wh_asset_hashed(e->path);
        site->bytes += sizeof(*e) + n + 2 +
                       (e->variants ? WH_CODINGS * sizeof(*e->variants) : 0);
    }
    return site;
}

static int is_page(const wh_manifest_entry_t *e)
{
    return strncmp(e->type, "text/html", 9) == 0 || strncmp(e->type, "application/xhtml", 17) == 0;
}

/* Any segment that begins with a dot, but for /.well-known/ at the top; the files of rules. */
static int hidden(const char *path)
{
    if (path[0] == '/' && path[1] == '_' &&
        (strcmp(path, "/" WH_REDIRECTS_FILE) == 0 || strcmp(path, "/" WH_HEADERS_FILE) == 0))
        return 1;
    if (strncmp(path, "/.well-known/", 13) == 0)
        path += 12;
    return strstr(path, "/.") != NULL;
}

/* A path that a browser opens as a page: no suffix in the last segment, nothing under /api/. */
static int is_page_route(const char *path, const char *accept)
{
    size_t n = strlen(path);
    const char *last;

    while (n > 1 && path[n - 1] == '/')
        n--;
    last = path + n;
    while (last > path && last[-1] != '/')
        if (*--last == '.')
            return 0;
    if (strcmp(path, "/api") == 0 || strncmp(path, "/api/", 5) == 0)
        return 0;
    return !accept || strstr(accept, "text/html") || strstr(accept, "*/*");
}

static void file(const wh_site_t *site, const wh_manifest_entry_t *e, int status,
                 wh_site_answer_t *out)
{
    out->kind = WH_SITE_FILE;
    out->status = status;
    out->entry = e;
    out->asset = status == 200 && site->assets[e - site->manifest->entries];
}

/* To a path of the site: the parts are joined behind one '/'. */
static void redirect(apr_pool_t *p, const char *path, size_t n, const char *tail,
                     wh_site_answer_t *out)
{
    out->kind = WH_SITE_REDIRECT;
    out->status = 301;
    out->location = apr_pstrcat(p, "/", apr_pstrmemdup(p, path, n), tail, NULL);
}

static int ends(const char *s, size_t n, const char *tail, size_t t)
{
    return n >= t && memcmp(s + n - t, tail, t) == 0;
}

/* A file was asked for by its whole name: with WH_ROUTE_CLEAN a page has another one. 1 = moved. */
static int canonical(apr_pool_t *p, const wh_site_t *site, const char *rel, size_t n,
                     wh_site_answer_t *out)
{
    static const size_t i = sizeof(INDEX) - 1, h = sizeof(HTML) - 1;

    if (ends(rel, n, INDEX, i) && (n == i || rel[n - i - 1] == '/')) {
        redirect(p, rel, n - i, "", out);
        return 1;
    }
    /* "about" may be a file of its own; then its neighbour keeps its suffix. */
    if (n > h && rel[n - h - 1] != '/' && ends(rel, n, HTML, h) && !find_one(site, rel, n - h)) {
        redirect(p, rel, n - h, "", out);
        return 1;
    }
    return 0;
}

/* The file of a path, or where it has moved. 0 = neither. */
static int direct(apr_pool_t *p, const wh_site_t *site, const wh_site_ask_t *ask,
                  wh_site_answer_t *out)
{
    const char *rel = ask->path + 1;
    size_t n = strlen(rel);
    int clean = (ask->flags & WH_ROUTE_CLEAN) != 0;
    const wh_manifest_entry_t *e;

    if (n > WH_MANIFEST_PATH_MAX)
        return 0;
    if (n == 0 || rel[n - 1] == '/') {
        e = find(site, rel, n, INDEX, sizeof(INDEX) - 1);
        if (!e && clean && n > 1 && rel[n - 2] != '/' &&
            find(site, rel, n - 1, HTML, sizeof(HTML) - 1)) {
            redirect(p, rel, n - 1, "", out);
            return 1;
        }
    } else {
        e = find_one(site, rel, n);
        if (e && clean && canonical(p, site, rel, n, out))
            return 1;
        if (!e && clean)
            e = find(site, rel, n, HTML, sizeof(HTML) - 1);
        if (!e && find(site, rel, n, "/" INDEX, sizeof(INDEX))) {
            redirect(p, rel, n, "/", out);
            return 1;
        }
    }
    if (!e)
        return 0;
    file(site, e, 200, out);
    return 1;
}

/* The 404.html nearest to the path, upwards. */
static void not_found(const wh_site_t *site, const char *path, wh_site_answer_t *out)
{
    static const char page[] = "404.html";
    const char *rel = *path == '/' ? path + 1 : path;
    size_t n = strlen(rel);

    out->kind = WH_SITE_NOTHING;
    out->status = 404;
    for (;;) {
        const wh_manifest_entry_t *e;

        while (n > 0 && rel[n - 1] != '/')
            n--;
        e = n <= WH_MANIFEST_PATH_MAX ? find(site, rel, n, page, sizeof(page) - 1) : NULL;
        if (e) {
            file(site, e, 404, out);
            return;
        }
        if (n == 0)
            return;
        n--;
    }
}

/* A rule's answer. 200 to something that is not there is 404: rules are not asked twice. */
static int ruled(apr_pool_t *p, const wh_site_t *site, const wh_site_ask_t *ask, int forced,
                 wh_site_answer_t *out)
{
    wh_site_ask_t again = *ask;
    wh_redirects_hit_t hit;

    if (!site->redirects ||
        !wh_redirects_match(site->redirects, p, ask->path, ask->query, forced, &hit))
        return 0;
    if (hit.code >= 300 && hit.code < 400) {
        out->kind = WH_SITE_REDIRECT;
        out->status = hit.code;
        out->location = hit.to;
        out->encoded = 1;
        out->outside = hit.outside;
        return 1;
    }
    again.path = hit.to;
    /* A rule may name the page in either form. */
    if (hidden(hit.to) || !direct(p, site, &again, out) || out->kind != WH_SITE_FILE) {
        const wh_manifest_entry_t *e =
            hidden(hit.to) ? NULL : find_one(site, hit.to + 1, strlen(hit.to + 1));

        memset(out, 0, sizeof(*out));
        if (!e && hit.code == 200)
            not_found(site, ask->path, out);
        else if (!e)
            out->status = hit.code;
        else
            file(site, e, hit.code, out);
        return 1;
    }
    out->status = hit.code;
    out->asset = 0; /* the name that was asked for has no hash */
    return 1;
}

/* Open tabs of the release before still load its scripts; a page of it would be another site. */
static int from_previous(const wh_site_ask_t *ask, wh_site_answer_t *out)
{
    const wh_manifest_entry_t *e =
        ask->previous ? find_one(ask->previous, ask->path + 1, strlen(ask->path + 1)) : NULL;

    if (!e || is_page(e))
        return 0;
    file(ask->previous, e, 200, out);
    out->asset = 0;
    out->previous = 1;
    return 1;
}

void wh_site_answer(apr_pool_t *p, const wh_site_t *site, const wh_site_ask_t *ask,
                    wh_site_answer_t *out)
{
    const wh_manifest_entry_t *e = NULL;

    memset(out, 0, sizeof(*out));
    if (*ask->path == '\0') {
        redirect(p, "", 0, "", out);
        return;
    }
    if (hidden(ask->path)) {
        not_found(site, "", out);
        return;
    }
    if (ruled(p, site, ask, 1, out) || direct(p, site, ask, out) || from_previous(ask, out) ||
        ruled(p, site, ask, 0, out))
        return;
    if (is_page_route(ask->path, ask->accept)) {
        e = find_one(site, "200.html", 8);
        if (!e && (ask->flags & WH_ROUTE_SPA) != 0)
            e = find_one(site, INDEX, sizeof(INDEX) - 1);
    }
    if (e)
        file(site, e, 200, out);
    else
        not_found(site, ask->path, out);
}
