/* Documents for Traefik against golden ones; what must never get into a rule. */
#include "t/unit/unit.h"

#include "libwh/wh_traefik.h"

#define HTTP(routers, services)                                                                    \
    "{\"http\":{\"routers\":{" routers "},\"services\":{" services "}}}"
#define ROUTER(name, rule)                                                                         \
    "\"" name "\":{\"entryPoints\":[\"web\",\"websecure\"],\"rule\":\"" rule "\",\"service\":\"" name   \
    "\",\"tls\":{\"certResolver\":\"letsencrypt\"}}"
#define SERVICE(name, servers) "\"" name "\":{\"loadBalancer\":{\"servers\":[" servers "]}}"
#define URL(url) "{\"url\":\"" url "\"}"

typedef struct world_t {
    apr_pool_t *p;
    wh_traefik_in_t in;
    apr_array_header_t *servers, *hosts;
    wh_traefik_out_t out;
    wh_err_t err;
} world_t;

static world_t world(void **state, wh_traefik_form_e form)
{
    world_t w = {.p = *state};

    w.servers = apr_array_make(w.p, 4, sizeof(wh_traefik_server_t));
    w.hosts = apr_array_make(w.p, 4, sizeof(wh_traefik_host_t));
    w.in = (wh_traefik_in_t){.form = form, .base_domain = "apps.example.com"};
    return w;
}

static wh_traefik_server_t *server(world_t *w, const char *slug, const char *address, int port)
{
    wh_traefik_server_t s = {.label = slug,
                             .slug = slug,
                             .app_id = slug,
                             .environment = "production",
                             .production = 1,
                             .address = address,
                             .port = port};

    APR_ARRAY_PUSH(w->servers, wh_traefik_server_t) = s;
    return &APR_ARRAY_IDX(w->servers, w->servers->nelts - 1, wh_traefik_server_t);
}

static void host(world_t *w, const char *slug, const char *name)
{
    wh_traefik_host_t h = {.app_id = slug, .environment = "production", .host = name};

    APR_ARRAY_PUSH(w->hosts, wh_traefik_host_t) = h;
}

static const char *text(world_t *w)
{
    w->in.servers = w->servers;
    w->in.hosts = w->hosts;
    assert_ok(wh_traefik_document(w->p, &w->in, &w->out, &w->err), &w->err);
    assert_int_equal(w->out.len, strlen(w->out.text));
    return w->out.text;
}

static void test_empty(void **state)
{
    world_t w = world(state, WH_TRAEFIK_PROXY);

    assert_string_equal(text(&w), "{}");
    host(&w, "blog", "www.blog.example");
    assert_string_equal(text(&w), "{}"); /* a domain of what does not run */
    assert_int_equal(w.out.routers, 0);
}

static void test_proxy(void **state)
{
    world_t w = world(state, WH_TRAEFIK_PROXY);
    const char *golden =
        HTTP(ROUTER("blog", "Host(`blog.apps.example.com`) || Host(`blog.example`) || "
                            "Host(`www.blog.example`)") ","
             ROUTER("shop-2", "Host(`shop-2.apps.example.com`)"),
             SERVICE("blog", URL("http://10.8.0.2:32768") "," URL("http://10.8.0.3:32769")) ","
             SERVICE("shop-2", URL("http://[fd00::1]:1")));

    server(&w, "blog", "10.8.0.2", 32768);
    server(&w, "blog", "10.8.0.3", 32769);
    server(&w, "shop-2", "fd00::1", 1);
    host(&w, "blog", "blog.example");
    host(&w, "blog", "www.blog.example");
    assert_string_equal(text(&w), golden);
    assert_int_equal(w.out.routers, 2);
    assert_int_equal(w.out.refused, 0);
}

static void test_worker(void **state)
{
    world_t w = world(state, WH_TRAEFIK_WORKER);
    const char *golden =
        HTTP(ROUTER("blog", "Host(`www.blog.example`) || Host(`blog.apps.example.com`)"),
             SERVICE("blog", URL("http://127.0.0.1:32768")));

    server(&w, "blog", "127.0.0.1", 32768);
    server(&w, "shop", "127.0.0.1", 32769);
    host(&w, "blog", "www.blog.example");
    assert_string_equal(text(&w), golden);
}

static void test_environments(void **state)
{
    world_t w = world(state, WH_TRAEFIK_PROXY);
    wh_traefik_server_t *s;
    const char *golden =
        HTTP(ROUTER("blog", "Host(`blog.apps.example.com`) || Host(`www.blog.example`)") ","
             ROUTER("blog-env-staging", "Host(`blog-env-staging.apps.example.com`) || "
                                        "Host(`next.blog.example`)"),
             SERVICE("blog", URL("http://10.8.0.2:32768")) ","
             SERVICE("blog-env-staging", URL("http://10.8.0.2:32770")));

    server(&w, "blog", "10.8.0.2", 32768);
    s = server(&w, "blog", "10.8.0.2", 32770);
    s->label = "blog-env-staging";
    s->environment = "staging";
    s->production = 0;
    host(&w, "blog", "www.blog.example");
    APR_ARRAY_PUSH(w.hosts, wh_traefik_host_t) = (wh_traefik_host_t){
        .app_id = "blog", .environment = "staging", .host = "next.blog.example"};
    assert_string_equal(text(&w), golden);
}

static void test_sticky(void **state)
{
    world_t w = world(state, WH_TRAEFIK_PROXY);
    const char *golden =
        HTTP(ROUTER("blog", "Host(`blog.apps.example.com`)"),
             "\"blog\":{\"loadBalancer\":{\"servers\":[" URL("http://10.8.0.2:32768") "],"
             "\"sticky\":{\"cookie\":{\"httpOnly\":true,\"secure\":true}}}}");

    server(&w, "blog", "10.8.0.2", 32768)->sticky = 1;
    assert_string_equal(text(&w), golden);
}

static void test_no_base(void **state)
{
    world_t w = world(state, WH_TRAEFIK_PROXY);

    w.in.base_domain = NULL;
    server(&w, "blog", "10.8.0.2", 32768);
    assert_string_equal(text(&w), "{}");
    host(&w, "blog", "www.blog.example");
    assert_string_equal(text(&w),
                        HTTP(ROUTER("blog", "Host(`www.blog.example`)"),
                             SERVICE("blog", URL("http://10.8.0.2:32768"))));
}

static void test_hostile_hosts(void **state)
{
    const char *const bad[] = {
        "a`b.example", "a.example`)", "a.example`) || HostRegexp(`.*", "a.example || b.example",
        "a.example&&b", "a.\"b\"", "a b.example", "a.example\n", "*.example", "a.example.", "",
        "A.example", "10.8.0.2", "a_b.example", "..", "-a.example", "a..example", "{x}.example",
        "b\xc3\xbc.example", "shop.apps.example.com", "apps.example.com", "a.b.apps.example.com",
    };
    world_t w = world(state, WH_TRAEFIK_PROXY);
    char *long_one = apr_pcalloc(w.p, 255);

    for (int i = 0; i < 254; i++)
        long_one[i] = i % 32 == 31 ? '.' : 'a';
    server(&w, "blog", "10.8.0.2", 32768);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        host(&w, "blog", bad[i]);
    host(&w, "blog", long_one);
    assert_string_equal(text(&w),
                        HTTP(ROUTER("blog", "Host(`blog.apps.example.com`)"),
                             SERVICE("blog", URL("http://10.8.0.2:32768"))));
    assert_int_equal(w.out.refused, (int)(sizeof(bad) / sizeof(bad[0])) + 1);
    assert_string_equal(w.out.first_refused, "a`b.example");
}

static void test_hostile_addresses(void **state)
{
    const char *const bad[] = {"", "10.8.0.2:80", "0.0.0.0", "169.254.169.254", "a b", "evil.example",
                               "10.8.0.2/x", "[::1]", "fe80::1%eth0", "user@10.8.0.2"};
    world_t w = world(state, WH_TRAEFIK_PROXY);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        server(&w, "blog", bad[i], 32768);
    server(&w, "blog", "10.8.0.2", 0);
    server(&w, "blog", "10.8.0.2", 65536);
    assert_string_equal(text(&w), "{}");
    assert_int_equal(w.out.refused, (int)(sizeof(bad) / sizeof(bad[0])) + 2);
    server(&w, "blog", "10.8.0.2", 65535);
    assert_non_null(strstr(text(&w), "[{\"url\":\"http://10.8.0.2:65535\"}]"));
}

static void test_names(void **state)
{
    assert_string_equal(wh_traefik_name(*state, "my-shop2"), "my-shop2");
    assert_string_equal(wh_traefik_name(*state, "My Shop@file/\xc3\xbc`"), "My-Shop-file----");
    assert_string_equal(wh_traefik_rule(*state, apr_array_make(*state, 1, sizeof(char *))), "");
}

static void test_limits(void **state)
{
    world_t w = world(state, WH_TRAEFIK_PROXY);

    for (int i = 0; i <= WH_TRAEFIK_ROWS_MAX; i++)
        server(&w, apr_psprintf(w.p, "app-%d", i), "10.8.0.2", 32768);
    w.in.servers = w.servers;
    w.in.hosts = w.hosts;
    assert_code(wh_traefik_document(w.p, &w.in, &w.out, &w.err), &w.err, "document_too_large");
    assert_int_equal(w.err.http, 503);
    w.servers->nelts = 90000;
    assert_code(wh_traefik_document(w.p, &w.in, &w.out, &w.err), &w.err, "document_too_large");
    w.servers->nelts = 1000;
    (void)text(&w);
    assert_int_equal(w.out.routers, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("R23 what is empty is left out", test_empty),
        UNIT("F31 F33 F34 F113 F114 F115 F116 the document for all", test_proxy),
        UNIT("F110 R30 the document for a worker", test_worker),
        UNIT("each environment has a router of its own", test_environments),
        UNIT("a sticky app", test_sticky),
        UNIT("R5 without a base domain there are domains alone", test_no_base),
        UNIT("F120 XL1 XL4 a host that is none gets into no rule", test_hostile_hosts),
        UNIT("an address that is none gets into no service", test_hostile_addresses),
        UNIT("F32 F121 names are ASCII", test_names),
        UNIT("bounded", test_limits),
    };
    return UNIT_RUN(tests);
}
