/* _redirects and _headers of a release, and Accept-Encoding: the first byte says which. Whatever a
 * file holds, a Location stays on this site or has the scheme and host of the file, and no header
 * carries a line end. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_asset.h"
#include "libwh/wh_headers.h"
#include "libwh/wh_negotiate.h"
#include "libwh/wh_redirects.h"
#include "t/fuzz/fuzz.h"

static const char *const paths[] = {"/", "/a", "/a/b/c", "/a//evil.example", "/a/\\evil.example",
                                    "/a/\r\nX: y", "//x", "/a/%2f"};

static void plain(const char *s)
{
    for (; *s; s++)
        fuzz_must((unsigned char)*s >= ' ' || *s == '\t');
}

static void field(void *baton, const char *name, const char *value)
{
    (void)baton;
    fuzz_must(*name != '\0');
    plain(name);
    if (value)
        plain(value);
}

static void redirects(apr_pool_t *p, const char *text, size_t n)
{
    wh_redirects_t *rules = wh_redirects_parse(p, text, n, NULL, NULL);

    fuzz_must(wh_redirects_count(rules) <= WH_REDIRECTS_STATIC_MAX + WH_REDIRECTS_DYNAMIC_MAX);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        wh_redirects_hit_t hit;

        if (!wh_redirects_match(rules, p, paths[i], "q=1", (int)(i & 1), &hit))
            continue;
        plain(hit.to);
        fuzz_must(!hit.outside == (hit.to[0] == '/'));
        fuzz_must(hit.to[0] != '/' || (hit.to[1] != '/' && hit.to[1] != '\\'));
        fuzz_must(!hit.outside || strncmp(hit.to, "http", 4) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    char *text;

    if (n == 0)
        return 0;
    text = apr_pstrmemdup(p, (const char *)data + 1, n - 1);
    if (data[0] == 'r') {
        redirects(p, text, n - 1);
    } else if (data[0] == 'h') {
        wh_headers_t *rules = wh_headers_parse(p, text, n - 1, NULL, NULL);

        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
            wh_headers_match(rules, p, paths[i], field, NULL);
    } else {
        int coding = wh_negotiate_coding(text, 7);

        fuzz_must(coding >= 0 && coding <= WH_CODING_IDENTITY);
        (void)wh_asset_hashed(text);
    }
    return 0;
}
