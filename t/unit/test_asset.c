#include "t/unit/unit.h"
#include "libwh/wh_asset.h"

static void each(const char *const *paths, size_t n, int want)
{
    for (size_t i = 0; i < n; i++)
        if (wh_asset_hashed(paths[i]) != want)
            fail_msg("%s: %d", paths[i], !want);
}

static void test_hashed(void **state)
{
    static const char *const yes[] = {
        /* Vite and Rollup */
        "assets/index-DiwrgTda.css", "assets/index-BfibREyH.js", "assets/index-C0eLAPYQ.js",
        "assets/vendor-B7PI925R.js", "assets/react-CHdo91hT.svg", "/assets/index-4sK3jmVn.js",
        "assets/logo.03d6d6da.png", "assets/index.3f9a1c2b.js", "assets/Page-x_9KdL2-.js",
        "_astro/index.DzK3mQ8x.css", "_nuxt/entry-4f1a2b3c.js", "_nuxt/BqZ3kLm9.js-8a1f3e2d.js",
        /* webpack, CRA, parcel, esbuild, Angular */
        "static/js/main.8e7b5f1e.js", "static/js/787.1c2d9a3b.chunk.js",
        "static/css/main.e6c13ad2.css.map", "js/app.5d41402abc4b2a76b971.js",
        "bundle.5f4dcc3b5aa765d61d8327deb882cf99.js", "5f4dcc3b5aa765d61d8327deb882cf99.js",
        "index.3e8f1c4a.css", "chunk-3LKXTVMG.js", "main-ES2Q7FKW.js", "polyfills_1f2e3d4c.js",
        "img/photo-5f4dcc3b5aa765d6.webp", "fonts/inter.9c1f0ab3.woff2",
        "vendor.8f3a2b1c.min.js", "application-0f1e2d3c4b5a69788796a5b4c3d2e1f0.js",
        /* Next, SvelteKit */
        "_next/static/chunks/main-app.js", "_next/static/media/logo.svg",
        "docs/_next/static/css/app.css", "_app/immutable/entry/start.js",
    };

    (void)state;
    each(yes, WH_ARRAY_LEN(yes), 1);
}

static void test_names(void **state)
{
    static const char *const no[] = {
        "index.html", "app.js", "style.css", "", "/", "js/jquery-3.7.1.min.js", "bootstrap.min.css",
        /* words */
        "assets/main-Settings.js", "assets/page-DarkMode.js", "assets/page-HTMLView.js",
        "assets/user-userList.js", "assets/chunk-MyAppBar.js", "assets/my-NavItems.js",
        "lib-ThreeDee.js", "foo-deadbeef.js", "foo.facefeed.css", "img/summer-holidays.jpg",
        "img/cover-portrait.png", "js/chart-controls.js", "assets/index-homepage.js",
        "assets/intro-Chapter2.js", "assets/part-section1.js", "RELEASE2.js", "app-RELEASE2.js",
        "app-VERSION3.js",
        /* dates, versions, numbers */
        "img/photo-20240131.jpg", "img/photo_20240131a.jpg", "img/2024-01-31.png",
        "report-20240131123456.pdf", "img/IMG_20240131_123456.jpg", "cafe2024-menu.pdf",
        "menu-cafe2024.pdf", "menu-2024cafe.pdf", "img-00000001.png", "v1.2.34567890.js",
        "1234567890123456.js", "foo.12345678.js", "a-1a2b3c4.js",
        /* what is no asset */
        "page-8f3a2b1c.html", "data.8f3a2b1c.json", "feed.8f3a2b1c.xml", "8f3a2b1c", "sw.js",
        "a.8f3a2b1c", "manifest.8f3a2b1c.webmanifest", "_next/static/x.html", "_next/data/x.js",
        "_next/static/development/_buildManifest.js", "my_next/static/chunk.js",
        "x_app/immutable/a.js", "foo.8f3a2b1c.txt", ".8f3a2b1c.js", "assets/.js",
        "8f3a2b1c/app.js", "assets/index-DiwrgTda/app.js",
    };

    (void)state;
    each(no, WH_ARRAY_LEN(no), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("names that bundlers give by content", test_hashed),
        UNIT("words, dates, versions and pages are none", test_names),
    };
    return UNIT_RUN(tests);
}
