/* Images of registries: their names, the credentials, how far a pull is, and which digest came. */
#include "t/unit/unit.h"

#include <apr_strings.h>

#include "libwh/wh_gitauth.h"
#include "libwh/wh_imageref.h"
#include "libwh/wh_json.h"
#include "wh-agent/pull.h"
#include "wh-agent/pullout.h"
#include "wh-agent/tarfile.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static void test_good(void **state)
{
    static const struct {
        const char *text, *registry, *path, *one;
    } good[] = {
        {"docker.io/library/nginx", "docker.io", "library/nginx", "docker.io/library/nginx:latest"},
        {"R.Example:5000/a/b-c_d.e__f---g:V1.2_x-y", "r.example:5000", "a/b-c_d.e__f---g",
         "r.example:5000/a/b-c_d.e__f---g:V1.2_x-y"},
        {"localhost:1/a", "localhost:1", "a", "localhost:1/a:latest"},
        {"127.0.0.1:5000/a@sha256:" HEX, "127.0.0.1:5000", "a", "127.0.0.1:5000/a@sha256:" HEX},
        {"a.b/0/1:_", "a.b", "0/1", "a.b/0/1:_"},
    };
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_imageref_t ref;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_ok(wh_imageref_parse(p, good[i].text, &ref, &err), &err);
        assert_string_equal(ref.registry, good[i].registry);
        assert_string_equal(ref.path, good[i].path);
        assert_string_equal(wh_imageref_text(p, &ref), good[i].one);
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "", "/", "nginx", "library/nginx", "nginx:1", "localhost/a", "/a", "a.b", "a.b/", "a.b//c",
        "a.b/A", "a.b/a/", "a.b/-a", "a.b/a-", "a.b/a..b", "a.b/a___b", "a.b/a_.b", "a.b/a b",
        "a.b/a\n", "a.b/a:", "a.b/a:.x", "a.b/a:-x", "a.b/a:x/y", "a.b/a:x:y", "a.b/a@", "a.b/a@x",
        "a.b/a@sha256:" HEX "0", "a.b/a@sha512:" HEX HEX, "a.b/a@SHA256:" HEX,
        "a.b/a@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "a.b/a:x@sha256:" HEX, "a.b:/a", "a.b:0/a", "a.b:65536/a", "a.b:x/a", "a.b:01/a", "-a.b/c",
        "a-.b/c", "a..b/c", ".a/b", "a_b.c/d", "1.2.3/a", "256.1.1.1/a", "01.1.1.1/a", "u@a.b/c",
        "u:p@a.b/c", "https://a.b/c", "docker://a.b/c", "[::1]:5000/a", "a.b/\xc3\xa4", "$(id).b/c",
        "--help", "a.b/../c", "a.b/./c", "a.b/c?x", "a.b/c#x"};
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_imageref_t ref;
    char *s = apr_palloc(p, 1024);

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_imageref_parse(p, bad[i], &ref, &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_string_equal(err.code, "image_invalid");
    }
    memset(s, 'a', 1023);
    memcpy(s, "a.b/", 4);
    s[1023] = '\0';
    assert_code(wh_imageref_parse(p, s, &ref, &err), &err, "image_invalid");
    s[256] = '\0';
    assert_code(wh_imageref_parse(p, s, &ref, &err), &err, "image_invalid");
    s[255] = '\0';
    assert_ok(wh_imageref_parse(p, s, &ref, &err), &err);
}

/* RFC 4648, 5, with the padding that engines insist on. */
static void test_auth(void **state)
{
    apr_pool_t *p = *state;
    wh_imageref_t ref = {.registry = "r.example", .path = "a"};
    wh_gitauth_t auth = WH_GITAUTH_NONE;

    assert_string_equal(wh_imageref_auth(p, &ref, "u", "s"),
                        "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InMiLCJzZXJ2ZXJhZGRyZXNzIjoici5l"
                        "eGFtcGxlIn0=");
    auth.site = "r.example";
    auth.token = "t";
    assert_true(wh_gitauth_fits(p, &auth, wh_imageref_url(p, &ref)));
    ref.registry = "r.example:5000";
    assert_false(wh_gitauth_fits(p, &auth, wh_imageref_url(p, &ref)));
    ref.registry = "evil.example";
    assert_false(wh_gitauth_fits(p, &auth, wh_imageref_url(p, &ref)));
}

static apr_array_header_t *list(apr_pool_t *p, const char *a, const char *b)
{
    apr_array_header_t *all = apr_array_make(p, 2, sizeof(const char *));

    APR_ARRAY_PUSH(all, const char *) = a;
    APR_ARRAY_PUSH(all, const char *) = b;
    return all;
}

static void test_digest(void **state)
{
    apr_pool_t *p = *state;
    wh_imageref_t ref = {.registry = "r.example:5000", .path = "a/b"};
    wh_imageref_t hub = {.registry = "docker.io", .path = "library/nginx"};
    apr_array_header_t *two = list(p, "r.example:5000/a/b@sha256:" HEX, "r.example:5000/a/b@sha256:" OTHER);

    assert_string_equal(wh_pull_digest(two, &ref, ""), "sha256:" HEX);
    assert_string_equal(wh_pull_digest(two, &ref, "sha256:" OTHER), "sha256:" OTHER);
    assert_string_equal(wh_pull_digest(two, &ref, "sha256:" HEX "0"), "");
    assert_string_equal(wh_pull_digest(list(p, "r.example:5000/a@sha256:" HEX, "none"), &ref, ""), "");
    assert_string_equal(wh_pull_digest(list(p, "x/r.example:5000/a/b@sha256:" HEX, "a/b@x"), &ref, ""), "");
    assert_string_equal(wh_pull_digest(list(p, "nginx@sha256:" HEX, "x"), &hub, ""), "sha256:" HEX);
    assert_string_equal(wh_pull_digest(list(p, "a/b@sha256:" HEX, "x"), &ref, ""), "");
}

static void test_registries(void **state)
{
    apr_pool_t *p = *state;
    wh_imageref_t ref = {.registry = "127.0.0.1:5000", .path = "a"};
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_pull_registry_check(p, "x.example 127.0.0.1:5000", &ref, &err), &err);
    assert_ok(wh_pull_registry_check(p, "127.0.0.1:5000,*", &ref, &err), &err);
    assert_code(wh_pull_registry_check(p, "", &ref, &err), &err, "image_refused");
    assert_code(wh_pull_registry_check(p, "127.0.0.1 127.0.0.1:50000", &ref, &err), &err,
                "image_refused");
    assert_code(wh_pull_registry_check(p, "*", &ref, &err), &err, "image_refused");
    assert_non_null(strstr(err.text, "not public"));
}

static char said[256];

static void take(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    (void)baton;
    (void)stream;
    if (strlen(said) + n < sizeof(said))
        strncat(said, buf, n);
}

static int feed(wh_pullout_t *out, const char *text)
{
    return wh_pullout_feed(out, text, strlen(text)) | wh_pullout_feed(out, "\n", 1);
}

static void test_progress(void **state)
{
    apr_pool_t *p = *state;
    wh_pullout_t *out = apr_pcalloc(p, sizeof(*out));
    wh_engine_pull_t what = {.name = "n", .text = take, .max_bytes = APR_INT64_C(200) << 20};
    wh_clock_fake_t clock;
    wh_err_t err = WH_ERR_INIT;

    wh_clock_fake_init(&clock, 0);
    assert_ok(wh_pullout_init(p, out, &what, &clock.clock, &err), &err);
    assert_int_equal(feed(out, "{\"status\":\"Pulling fs layer\",\"id\":\"a\"}"), 0);
#define AT(id, now, total)                                                                         \
    "{\"status\":\"Downloading\",\"progress\":\"x\",\"id\":\"" id "\",\"progressDetail\":{\"current\":" now ",\"total\":" total \
    "}}"
    assert_int_equal(feed(out, AT("a", "1048576", "104857600")), 0);
    assert_int_equal(feed(out, AT("b", "1048576", "52428800")), 0);
    assert_int_equal(feed(out, AT("c", "1", "-5")), 0);
    assert_int_equal(feed(out, "{\"status\":\"Extracting\",\"progress\":\"x\",\"id\":\"a\",\"progressDetail\":{\"current\":1,\"total\":104857600}}"), 0);
    assert_string_equal(said, "a: Pulling fs layer\n");
    wh_clock_fake_advance(&clock, WH_PULLOUT_SAY_US);
    assert_int_equal(feed(out, AT("a", "104857600", "104857600")), 0);
    assert_string_equal(said, "a: Pulling fs layer\n101 of 150 MiB\n");
    for (int i = 0; i < 2 * WH_PULLOUT_LAYERS_MAX; i++)
        assert_int_equal(feed(out, apr_psprintf(p, AT("x%d", "1", "9223372036854775807"), i)), 0);
    assert_int_equal(out->total, 150 << 20);
    assert_ok(wh_pullout_end(out, APR_SUCCESS, &err), &err);
    assert_int_equal(feed(out, AT("d", "1", "73400320")), 1);
    assert_code(wh_pullout_end(out, APR_EGENERAL, &err), &err, "too_large");
    assert_ok(wh_pullout_init(p, out, &what, &clock.clock, &err), &err);
    assert_int_equal(feed(out, "{\"error\":\"manifest unknown\"}"), 0);
    assert_code(wh_pullout_end(out, APR_SUCCESS, &err), &err, "build_failed");
    assert_non_null(strstr(err.text, "manifest unknown"));
}

static void test_tarfile(void **state)
{
    static const wh_tarfile_entry_t files[] = {{.name = "a", .bytes = "x", .n = 1, .mode = 0644},
                                               {.name = "b", .bytes = "", .n = 0, .mode = 0755}};
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_tarfile_t part, whole;
    char buf[700];

    assert_ok(wh_tarfile_make(p, files, 2, 0, &part, &err), &err);
    assert_ok(wh_tarfile_make(p, files, 2, 1, &whole, &err), &err);
    assert_int_equal(part.n, 1536);
    assert_true(whole.n >= part.n + 1024);
    assert_memory_equal(part.buf, whole.buf, part.n);
    assert_int_equal(wh_tarfile_read(&part, buf, sizeof(buf)), 700);
    assert_int_equal(wh_tarfile_read(&part, buf, sizeof(buf)), 700);
    assert_int_equal(wh_tarfile_read(&part, buf, sizeof(buf)), 136);
    assert_int_equal(wh_tarfile_read(&part, buf, sizeof(buf)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("references that the distribution grammar takes, in their one form", test_good),
        UNIT("and all others are refused", test_bad),
        UNIT("credentials reach the registry that they are for, as engines want them", test_auth),
        UNIT("which digest came, and whether it is the one that was asked for", test_digest),
        UNIT("D9 from which registries a worker takes images", test_registries),
        UNIT("how far a pull is", test_progress),
        UNIT("a few files as a tar stream, whole or in front of another", test_tarfile),
    };

    return UNIT_RUN(tests);
}
