#include "t/unit/unit.h"
#include "libwh/wh_route.h"
#include "libwh/wh_site.h"

static const wh_hash_key_t key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

static wh_site_t *site_of(apr_pool_t *p, const char *const *paths, const char *rules)
{
    wh_manifest_entry_t *entries = apr_pcalloc(p, 64 * sizeof(*entries));
    wh_manifest_t *m = NULL;
    wh_err_t err = WH_ERR_INIT;
    wh_site_t *site;
    int n = 0;

    for (; paths[n]; n++) {
        entries[n].path = paths[n];
        entries[n].size = 1;
        memset(entries[n].sha256, 'a', 64);
    }
    assert_ok(wh_manifest_make(p, entries, n, NULL, &m, &err), &err);
    site = wh_site_make(p, m, &key);
    site->redirects = rules ? wh_redirects_parse(p, rules, strlen(rules), NULL, NULL) : NULL;
    return site;
}

/* Paths that a site chose so that they meet in a table whose hash it knows (FNV-1a, as it was): the
 * longest run of taken places, which is what a look-up may have to walk, stays short. */
static void test_chosen(void **state)
{
    enum { PATHS = 2000, MASK = 4095 };
    apr_pool_t *p = *state;
    wh_manifest_entry_t *entries = apr_pcalloc(p, PATHS * sizeof(*entries));
    wh_manifest_t *m = NULL;
    wh_err_t err = WH_ERR_INIT;
    wh_site_t *site;
    int run = 0, longest = 0;

    for (int n = 0, i = 0; n < PATHS; i++) {
        char path[16];
        apr_uint32_t h = 2166136261u;

        apr_snprintf(path, sizeof(path), "%x", (unsigned)i);
        for (const char *c = path; *c; c++)
            h = (h ^ (unsigned char)*c) * 16777619u;
        if ((h & MASK) != 0)
            continue;
        entries[n].path = apr_pstrdup(p, path);
        memset(entries[n++].sha256, 'a', 64);
    }
    assert_ok(wh_manifest_make(p, entries, PATHS, NULL, &m, &err), &err);
    site = wh_site_make(p, m, &key);
    assert_int_equal(site->mask, MASK);
    for (int i = 0; i <= MASK; i++) {
        run = site->index[i] != 0 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    assert_in_range(longest, 1, 100);
    for (int n = 0; n < PATHS; n++)
        assert_non_null(wh_site_find(site, m->entries[n].path));
}

/* "200 about.html", "301 /about", "404". */
static const char *answer(apr_pool_t *p, const wh_site_t *site, const wh_site_ask_t *ask)
{
    wh_site_answer_t out;

    wh_site_answer(p, site, ask, &out);
    if (out.kind == WH_SITE_FILE)
        return apr_psprintf(p, "%d %s%s%s", out.status, out.entry->path, out.asset ? " asset" : "",
                            out.previous ? " previous" : "");
    if (out.kind == WH_SITE_REDIRECT)
        return apr_psprintf(p, "%d %s%s", out.status, out.location, out.outside ? " out" : "");
    return apr_psprintf(p, "%d", out.status);
}

typedef struct row_t {
    const char *path;
    unsigned flags;
    const char *want;
} row_t;

static void each(apr_pool_t *p, const wh_site_t *site, const wh_site_t *previous, const row_t *rows,
                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wh_site_ask_t ask = {.path = rows[i].path, .flags = rows[i].flags, .previous = previous};
        const char *got = answer(p, site, &ask);

        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s (%x): \"%s\", not \"%s\"", rows[i].path, rows[i].flags, got,
                     rows[i].want);
    }
}

static const char *const plain[] = {
    "index.html", "about.html", "docs/index.html", "docs/a.html", "docs/404.html", "both.html",
    "both/index.html", "file", "file.html", "404.html", ".env", "a/.git/x", ".well-known/x",
    ".well-known/.x", "_redirects", "_headers", "sub/_headers", "app.8f3a2b1c.js", "x.css", NULL};

static void test_paths(void **state)
{
    static const row_t rows[] = {
        {"/", 0, "200 index.html"},
        {"", 0, "301 /"},
        {"/about.html", 0, "200 about.html"},
        {"/about", 0, "404 404.html"},
        {"/docs", 0, "301 /docs/"},
        {"/docs/", 0, "200 docs/index.html"},
        {"/docs/index.html", 0, "200 docs/index.html"},
        {"/docs/x/y", 0, "404 docs/404.html"},
        {"/about.html/", 0, "404 404.html"},
        {"//about.html", 0, "404 404.html"},
        {"/app.8f3a2b1c.js", 0, "200 app.8f3a2b1c.js asset"},
        {"/.env", 0, "404 404.html"},
        {"/a/.git/x", 0, "404 404.html"},
        {"/.well-known/x", 0, "200 .well-known/x"},
        {"/.well-known/.x", 0, "404 404.html"},
        {"/_redirects", 0, "404 404.html"},
        {"/_headers", 0, "404 404.html"},
        {"/sub/_headers", 0, "200 sub/_headers"},
    };

    each(*state, site_of(*state, plain, NULL), NULL, rows, WH_ARRAY_LEN(rows));
}

static void test_clean(void **state)
{
    static const row_t rows[] = {
        {"/about", WH_ROUTE_CLEAN, "200 about.html"},
        {"/about.html", WH_ROUTE_CLEAN, "301 /about"},
        {"/about/", WH_ROUTE_CLEAN, "301 /about"},
        {"/about//", WH_ROUTE_CLEAN, "404 404.html"},
        {"/", WH_ROUTE_CLEAN, "200 index.html"},
        {"/index.html", WH_ROUTE_CLEAN, "301 /"},
        {"/index", WH_ROUTE_CLEAN, "200 index.html"},
        {"/docs/index.html", WH_ROUTE_CLEAN, "301 /docs/"},
        {"/docs", WH_ROUTE_CLEAN, "301 /docs/"},
        {"/docs/a.html", WH_ROUTE_CLEAN, "301 /docs/a"},
        {"/docs/a", WH_ROUTE_CLEAN, "200 docs/a.html"},
        {"/both", WH_ROUTE_CLEAN, "200 both.html"},
        {"/both/", WH_ROUTE_CLEAN, "200 both/index.html"},
        {"/file", WH_ROUTE_CLEAN, "200 file"},
        {"/file.html", WH_ROUTE_CLEAN, "200 file.html"},
        {"/x.css", WH_ROUTE_CLEAN, "200 x.css"},
        {"//about/", WH_ROUTE_CLEAN, "404 404.html"},
        {"//evil.example", WH_ROUTE_CLEAN, "404 404.html"},
    };

    each(*state, site_of(*state, plain, NULL), NULL, rows, WH_ARRAY_LEN(rows));
}

static void test_fallbacks(void **state)
{
    static const char *const none[] = {"index.html", NULL};
    static const char *const own[] = {"index.html", "200.html", NULL};
    static const row_t spa[] = {
        {"/users/7", WH_ROUTE_SPA, "200 index.html"}, {"/users/7/", WH_ROUTE_SPA, "200 index.html"},
        {"/users/7", 0, "404"},                       {"/x.js", WH_ROUTE_SPA, "404"},
        {"/api", WH_ROUTE_SPA, "404"},                {"/api/x", WH_ROUTE_SPA, "404"},
    };
    static const row_t two[] = {
        {"/users/7", 0, "200 200.html"}, {"/users/7", WH_ROUTE_SPA, "200 200.html"},
        {"/x.js", 0, "404"},             {"/api/x", 0, "404"},
        {"/", 0, "200 index.html"},
    };
    wh_site_ask_t ask = {.path = "/users/7", .flags = WH_ROUTE_SPA, .accept = "image/png"};

    each(*state, site_of(*state, none, NULL), NULL, spa, WH_ARRAY_LEN(spa));
    each(*state, site_of(*state, own, NULL), NULL, two, WH_ARRAY_LEN(two));
    assert_string_equal(answer(*state, site_of(*state, none, NULL), &ask), "404");
}

static void test_previous(void **state)
{
    static const char *const now[] = {"index.html", "new.js", NULL};
    static const char *const before[] = {"index.html", "old.js", "old.html", ".env", "_headers", NULL};
    static const row_t rows[] = {
        {"/old.js", 0, "200 old.js previous"},
        {"/new.js", 0, "200 new.js"},
        {"/old.html", 0, "404"},
        {"/.env", 0, "404"},
        {"/_headers", 0, "404"},
        {"/none.js", 0, "404"},
    };

    /* A rule for everything must not answer a script of an open tab with a page. */
    each(*state, site_of(*state, now, NULL), site_of(*state, before, NULL), rows,
         WH_ARRAY_LEN(rows));
    each(*state, site_of(*state, now, "/* /index.html 200\n"), site_of(*state, before, NULL), rows,
         1);
}

static void test_rules(void **state)
{
    static const char rules[] = "/about.html /elsewhere 302\n"
                                "/x.css /forced 302!\n"
                                "/gone /gone 410\n"
                                "/old/* /docs/:splat 200\n"
                                "/secret /.env 200\n"
                                "/secret2 /_redirects 200\n"
                                "/e https://example.com/ 301\n"
                                "/page /about 200\n"
                                "/lost /nothing 200\n"
                                "/bad/* /404.html 404\n";
    static const row_t rows[] = {
        {"/about.html", 0, "200 about.html"}, {"/x.css", 0, "302 /forced"},
        {"/gone", 0, "410"},                  {"/old/a.html", 0, "200 docs/a.html"},
        {"/old/", 0, "200 docs/index.html"},  {"/old/.git/x", 0, "404 404.html"},
        {"/secret", 0, "404 404.html"},       {"/secret2", 0, "404 404.html"},
        {"/e", 0, "301 https://example.com/ out"},
        {"/page", WH_ROUTE_CLEAN, "200 about.html"},
        {"/lost", 0, "404 404.html"},         {"/bad/x", 0, "404 404.html"},
        {"/old/a.html", WH_ROUTE_CLEAN, "200 docs/a.html"},
    };

    each(*state, site_of(*state, plain, rules), NULL, rows, WH_ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("no site chooses paths that are slow to find", test_chosen),
        UNIT("F300 files, directories, hidden names, the nearest 404.html", test_paths),
        UNIT("clean URLs have one form", test_clean),
        UNIT("F301 XG12 fallbacks for page routes, when asked", test_fallbacks),
        UNIT("assets of the release before, never its pages", test_previous),
        UNIT("rules of _redirects among files", test_rules),
    };
    return UNIT_RUN(tests);
}
