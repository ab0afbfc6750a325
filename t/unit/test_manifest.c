#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_mime.h"
#include "libwh/wh_sign.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *hostile[] = {
    "",
    "/",
    "/etc/passwd",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "./a",
    "a/./b",
    "a/.",
    "a//b",
    "a/",
    "//a",
    "a\\b",
    "..\\..",
    "a\nb",
    "a\tb",
    "a\x7f",
    "a\x01",
    "\xff",
    "a/\xc3",
    "\xc0\xae\xc0\xae/a",
    "\xed\xa0\x80",
    "a\xc2\x85",
};

static const char *fine[] = {
    "index.html", "a/b/c.css", "..a",
    "a..",        "...",       ".well-known/x",
    "a b.txt",    "x%2e%2e/y", "\xc3\xa4/\xe2\x82\xac.html",
    "~",          "-x",
};

static void test_paths(void **state)
{
    apr_pool_t *p = *state;
    char *s;

    for (size_t i = 0; i < WH_ARRAY_LEN(hostile); i++) {
        if (wh_manifest_path_ok(hostile[i]))
            fail_msg("\"%s\" passed", hostile[i]);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(fine); i++) {
        if (!wh_manifest_path_ok(fine[i]))
            fail_msg("\"%s\" was refused", fine[i]);
    }
    s = apr_pcalloc(p, 1026);
    memset(s, 'a', 1025);
    assert_false(wh_manifest_path_ok(s));
    s[1024] = '\0';
    assert_true(wh_manifest_path_ok(s));
    s = apr_pstrdup(p, "a");
    for (int i = 1; i < WH_MANIFEST_DEPTH_MAX; i++)
        s = apr_pstrcat(p, s, "/a", NULL);
    assert_true(wh_manifest_path_ok(s));
    assert_false(wh_manifest_path_ok(apr_pstrcat(p, s, "/a", NULL)));
}

static json_t *load(apr_pool_t *p, const char *text)
{
    wh_err_t err = WH_ERR_INIT;
    json_t *json;

    assert_ok(wh_json_load(p, text, strlen(text), WH_MANIFEST_JSON_LIMITS, &json, &err), &err);
    return json;
}

#define FILE_OF(path, size) "{\"path\":\"" path "\",\"size\":" size ",\"sha256\":\"" SHA "\"}"

static void test_from_json(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_manifest_t *m, *again;
    const char *text;
    size_t len;

    assert_ok(wh_manifest_from_json(p,
                                    load(p, "[" FILE_OF("b.js", "5") "," FILE_OF(
                                                "a b", "7") "," FILE_OF("index.html", "0") "]"),
                                    NULL, &m, &err),
              &err);
    assert_int_equal(m->n, 3);
    assert_int_equal(m->bytes, 12);
    text = wh_manifest_text(p, m, &len);
    assert_string_equal(text, "wisehost-manifest 1\n" SHA " 7 application/octet-stream a b\n" SHA
                              " 5 text/javascript;charset=utf-8 b.js\n" SHA
                              " 0 text/html;charset=utf-8 index.html\n");
    assert_int_equal(len, strlen(text));
    assert_memory_equal(wh_manifest_id(m), wh_sign_sha256_hex(p, text, len), 40);
    assert_true(wh_manifest_id_ok(m->id));
    assert_ok(wh_manifest_parse(p, text, len, &again, &err), &err);
    assert_string_equal(again->id, m->id);
    assert_int_equal(again->bytes, 12);
    /* The agent's form of it makes the same release. */
    assert_ok(wh_manifest_from_json(p, wh_json_own(p, wh_manifest_json(m)), NULL, &again, &err),
              &err);
    assert_string_equal(again->id, m->id);
}

#define BR "{\"br\":{\"sha256\":\"" SHA "\",\"size\":3}}"
#define WITH(variants)                                                                             \
    "[{\"path\":\"a.js\",\"size\":5,\"sha256\":\"" SHA "\",\"variants\":" variants "}]"

static int add_up(void *baton, const char *sha256, apr_off_t size)
{
    apr_off_t *sum = baton;

    assert_string_equal(sha256, SHA);
    *sum += size;
    return *sum > 100;
}

static void test_variants(void **state)
{
    static const char *const bad[] = {
        "wisehost-manifest 1\n" SHA " 5 a/b a.js\n br " SHA " 3\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n",
        "wisehost-manifest 3\n" SHA " 5 a/b a.js\n",
        "wisehost-manifest 2\n br " SHA " 3\n" SHA " 5 a/b a.js\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n br " SHA " 5\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n br " SHA " 0\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n br " SHA "\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n br  3\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n xz " SHA " 3\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n gzip " SHA " 4\n br " SHA " 3\n",
        "wisehost-manifest 2\n" SHA " 5 a/b a.js\n br " SHA " 3\n br " SHA " 3\n",
    };
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_manifest_t *m, *again;
    const char *text;
    size_t len;
    apr_off_t sum = 0;

    assert_ok(wh_manifest_from_json(p, load(p, WITH(BR)), NULL, &m, &err), &err);
    assert_int_equal(m->variants, 1);
    assert_int_equal(m->bytes, 5);
    assert_int_equal(m->entries[0].variants[WH_CODING_BR].size, 3);
    assert_int_equal(m->entries[0].variants[WH_CODING_GZIP].size, 0);
    assert_int_equal(wh_manifest_each_object(m, add_up, &sum), 0);
    assert_int_equal(sum, 5 + 3);
    sum = 96;
    assert_int_equal(wh_manifest_each_object(m, add_up, &sum), 1); /* ended by the first */
    assert_int_equal(sum, 101);
    text = wh_manifest_text(p, m, &len);
    assert_string_equal(text, "wisehost-manifest 2\n" SHA " 5 text/javascript;charset=utf-8 a.js\n"
                              " br " SHA " 3\n");
    assert_int_equal(len, strlen(text));
    assert_ok(wh_manifest_parse(p, text, len, &again, &err), &err);
    assert_string_equal(again->id, m->id);
    assert_string_equal(again->entries[0].variants[WH_CODING_BR].sha256, SHA);
    assert_ok(wh_manifest_from_json(p, wh_json_own(p, wh_manifest_json(m)), NULL, &again, &err),
              &err);
    assert_string_equal(again->id, m->id);
    assert_ok(wh_manifest_from_json(p, load(p, WITH("{}")), NULL, &m, &err), &err);
    assert_null(m->entries[0].variants);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_manifest_parse(p, bad[i], strlen(bad[i]), &m, &err), &err,
                    "manifest_corrupt");
    assert_code(wh_manifest_from_json(p,
                                      load(p, WITH("{\"br\":{\"sha256\":\"" SHA "\",\"size\":5}}")),
                                      NULL, &m, &err),
                &err, "manifest_invalid");
    assert_code(wh_manifest_from_json(p, load(p, WITH("{\"xz\":{}}")), NULL, &m, &err), &err,
                "unknown_field");
}

static void test_refused(void **state)
{
    apr_pool_t *p = *state;
    const struct {
        const char *text;
        const char *code;
    } cases[] = {
        {"{}", "manifest_invalid"},
        {"[]", "output_missing"},
        {"[1]", "manifest_invalid"},
        {"[{}]", "missing_field"},
        {"[" FILE_OF("../x", "1") "]", "manifest_invalid"},
        {"[" FILE_OF("/x", "1") "]", "manifest_invalid"},
        {"[" FILE_OF("a/../../x", "1") "]", "manifest_invalid"},
        {"[" FILE_OF("x", "1") "," FILE_OF("x", "2") "]", "manifest_invalid"},
        {"[" FILE_OF("x", "1") "," FILE_OF("x-y", "1") "," FILE_OF("x/y", "2") "]",
         "manifest_invalid"},
        {"[" FILE_OF("x", "-1") "]", "out_of_range"},
        {"[" FILE_OF("x", "1.5") "]", "wrong_type"},
        {"[" FILE_OF("x", "1073741825") "]", "out_of_range"},
        {"[" FILE_OF("x", "1073741824") "," FILE_OF("y", "1") "]", "too_large"},
        {"[{\"path\":\"x\",\"size\":1,\"sha256\":\"zz\"}]", "too_short"},
        {"[{\"path\":\"x\",\"size\":1,\"sha256\":\"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B9"
         "34CA495991B7852B855\"}]",
         "manifest_invalid"},
        {"[{\"path\":\"x\",\"size\":1,\"sha256\":\"" SHA "\",\"mode\":2048}]", "out_of_range"},
        {"[{\"path\":\"x\",\"size\":1,\"sha256\":\"" SHA "\",\"link\":\"/etc\"}]", "unknown_field"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_manifest_t *m;

        if (wh_manifest_from_json(p, load(p, cases[i].text), NULL, &m, &err) == APR_SUCCESS ||
            strcmp(err.code, cases[i].code) != 0)
            fail_msg("%s: %s, not %s", cases[i].text, err.code, cases[i].code);
    }
}

static wh_manifest_entry_t *entries(apr_pool_t *p, int n)
{
    wh_manifest_entry_t *e = apr_pcalloc(p, (size_t)n * sizeof(*e));

    for (int i = 0; i < n; i++) {
        e[i].path = apr_psprintf(p, "d%d/f%d.html", i % 7, n - i);
        e[i].size = i;
        memcpy(e[i].sha256, SHA, 65);
    }
    return e;
}

static void test_counts(void **state)
{
    apr_pool_t *p = *state;
    wh_manifest_limits_t few = {.files = 2, .bytes = 10};
    wh_err_t err = WH_ERR_INIT;
    wh_manifest_t *m;

    assert_code(wh_manifest_make(p, entries(p, 3), 3, &few, &m, &err), &err, "too_many_files");
    assert_int_equal(err.http, 413);
    assert_ok(wh_manifest_make(p, entries(p, 2), 2, &few, &m, &err), &err);
    few.bytes = 0;
    assert_code(wh_manifest_make(p, entries(p, 2), 2, &few, &m, &err), &err, "too_large");
    assert_code(wh_manifest_make(p, entries(p, 20001), 20001, NULL, &m, &err), &err,
                "too_many_files");
    assert_ok(wh_manifest_make(p, entries(p, 20000), 20000, NULL, &m, &err), &err);
    for (int i = 0; i < m->n; i++) {
        assert_ptr_equal(wh_manifest_find(m, m->entries[i].path), &m->entries[i]);
        assert_string_equal(m->entries[i].type, "text/html;charset=utf-8");
        if (i > 0)
            assert_true(strcmp(m->entries[i - 1].path, m->entries[i].path) < 0);
    }
    assert_null(wh_manifest_find(m, ""));
    assert_null(wh_manifest_find(m, "d0"));
    assert_null(wh_manifest_find(m, "d0/f7.htm"));
    assert_null(wh_manifest_find(m, "/d0/f7.html"));
    assert_null(wh_manifest_find(m, "zzz"));
}

static void test_corrupt(void **state)
{
    apr_pool_t *p = *state;
    const char *good = "wisehost-manifest 1\n" SHA " 1 text/css a\n" SHA " 2 text/css b\n";
    const char *bad[] = {
        "",
        "wisehost-manifest 1\n",
        "wisehost-manifest 2\n" SHA " 1 text/css a\n",
        "wisehost-manifest 1\n" SHA " 1 text/css a",
        "wisehost-manifest 1\n\n",
        "wisehost-manifest 1\n" SHA " 1 text/css\n",
        "wisehost-manifest 1\n" SHA " 01 text/css a\n",
        "wisehost-manifest 1\n" SHA " -1 text/css a\n",
        "wisehost-manifest 1\n" SHA " 99999999999 text/css a\n",
        "wisehost-manifest 1\n" SHA " 1 textcss a\n",
        "wisehost-manifest 1\n" SHA " 1 text/css ../a\n",
        "wisehost-manifest 1\n" SHA " 1 text/css /a\n",
        "wisehost-manifest 1\n" SHA "0 1 text/css a\n",
        "wisehost-manifest 1\n" SHA " 1 text/css b\n" SHA " 2 text/css a\n",
        "wisehost-manifest 1\n" SHA " 1 text/css a\n" SHA " 2 text/css a\n",
    };
    wh_err_t err = WH_ERR_INIT;
    wh_manifest_t *m;

    assert_ok(wh_manifest_parse(p, good, strlen(good), &m, &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_manifest_parse(p, bad[i], strlen(bad[i]), &m, &err) == APR_SUCCESS)
            fail_msg("passed: %s", bad[i]);
        assert_string_equal(err.code, "manifest_corrupt");
        assert_int_equal(err.http, 500);
    }
    assert_code(wh_manifest_parse(p, "wisehost-manifest 1\n\0\n", 22, &m, &err), &err,
                "manifest_corrupt");
    assert_false(wh_manifest_id_ok("../../../../../../../../../../../../../x"));
    assert_false(wh_manifest_id_ok(""));
}

static void test_mime(void **state)
{
    (void)state;
    assert_string_equal(wh_mime_type("index.html"), "text/html;charset=utf-8");
    assert_string_equal(wh_mime_type("a.b/INDEX.HTML"), "text/html;charset=utf-8");
    assert_string_equal(wh_mime_type("a.min.js"), "text/javascript;charset=utf-8");
    assert_string_equal(wh_mime_type("a.css/b"), "application/octet-stream");
    assert_string_equal(wh_mime_type(".html"), "application/octet-stream");
    assert_string_equal(wh_mime_type("x."), "application/octet-stream");
    assert_string_equal(wh_mime_type("index.php"), "application/octet-stream");
    assert_string_equal(wh_mime_type("x.cgi"), "application/octet-stream");
    assert_string_equal(wh_mime_type("x.shtml"), "application/octet-stream");
    assert_string_equal(wh_mime_type("x.php.jpg"), "image/jpeg");
    assert_true(wh_mime_compressible(wh_mime_type("a.svg")));
    assert_true(wh_mime_compressible("application/json"));
    assert_false(wh_mime_compressible("image/png"));
    assert_false(wh_mime_compressible("application/octet-stream"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("variants of a file come back; what is out of order is refused", test_variants),
        UNIT("F288 R18 hostile paths never enter a release", test_paths),
        UNIT("F288 a release is named by what is in it", test_from_json),
        UNIT("F288 what is no manifest is refused with its reason", test_refused),
        UNIT("F300 limits hold, and every path is found and no other", test_counts),
        UNIT("F300 a damaged manifest file is refused", test_corrupt),
        UNIT("F300 XG14 types come from the last suffix, scripts have none", test_mime),
    };

    return UNIT_RUN(tests);
}
