/* Log drains: what is sent, against t/data/drains; targets and what is shown of them. */
#include <stdio.h>
#include <stdlib.h>
#include "t/unit/unit.h"
#include "libwh/wh_logdrain.h"

#define AT APR_INT64_C(1700000000000000)

static const wh_logdrain_line_t *lines_of(apr_pool_t *p)
{
    static const char *const texts[] = {"ready", "level=warn slow \"query\"", "ready",
                                        "… 3 lines were left out"};
    static const wh_stream_e streams[] = {WH_STREAM_OUT, WH_STREAM_ERR, WH_STREAM_OUT,
                                          WH_STREAM_SYS};
    wh_logdrain_line_t *lines = apr_pcalloc(p, 4 * sizeof(*lines));

    for (int i = 0; i < 4; i++) {
        lines[i] = (wh_logdrain_line_t){.at = AT + i + 1,
                                        .app = "shop",
                                        .environment = i == 2 ? "preview-1" : "production",
                                        .deployment = "01hf7y00000000000000000000",
                                        .container = "4f5c9d2a1b3e7788",
                                        .stream = streams[i],
                                        .level = wh_level_of(texts[i], strlen(texts[i])),
                                        .text = texts[i]};
    }
    return lines;
}

static const char *slurp(apr_pool_t *p, const char *name)
{
    const char *top = getenv("top_srcdir");
    const char *path = apr_pstrcat(p, top != NULL ? top : ".", "/t/data/drains/", name, NULL);
    char *buf = apr_palloc(p, 20001);
    FILE *f = fopen(path, "r");

    if (f == NULL) {
        fail_msg("%s", path);
    }
    buf[fread(buf, 1, 20000, f)] = '\0';
    fclose(f);
    return buf;
}

static void test_formats(void **state)
{
    apr_pool_t *p = *state;
    const wh_logdrain_line_t *lines = lines_of(p);
    const char *all = "";
    size_t n;

    assert_string_equal(apr_pstrcat(p, wh_logdrain_loki(p, lines, 4, &n), "\n", NULL),
                        slurp(p, "loki.json"));
    assert_int_equal(n + 1, strlen(slurp(p, "loki.json")));
    assert_string_equal(wh_logdrain_jsonl(p, lines, 4, &n), slurp(p, "lines.jsonl"));
    assert_int_equal(n, strlen(slurp(p, "lines.jsonl")));
    for (int i = 0; i < 4; i++) {
        all = apr_pstrcat(
            p, all, wh_logdrain_framed(p, wh_logdrain_syslog(p, &lines[i], "apps.example.com")),
            "\n", NULL);
    }
    assert_string_equal(all, slurp(p, "syslog.txt"));
}

static void test_header(void **state)
{
    wh_logdrain_line_t l = *lines_of(*state);

    l.container = "a b\tc]\"é";
    assert_non_null(strstr(wh_logdrain_syslog(*state, &l, ""), "Z - shop a_b_c]\"__ stdout ["));
    l.container = "";
    assert_non_null(strstr(wh_logdrain_syslog(*state, &l, "h"), "Z h shop - stdout ["));
}

static void test_targets(void **state)
{
    static const struct {
        const char *url, *shown, *to;
        const char *auth, *tenant;
    } good[] = {
        {"loki+https://logs.example.com", "loki+https://logs.example.com:443",
         "https://logs.example.com/loki/api/v1/push", "", ""},
        {"loki+http://u:SE%3ACRET@10.0.0.1:3100/?tenant=t-1", "loki+http://***@10.0.0.1:3100",
         "http://10.0.0.1:3100/loki/api/v1/push", "Basic dTpTRTpDUkVU", "t-1"},
        {"loki+https://h/x/push", "loki+https://h:443", "https://h/x/push", "", ""},
        {"https://in.example.com/SECRET?key=SECRET", "https://in.example.com:443/***",
         "https://in.example.com/SECRET?key=SECRET", "", ""},
        {"SYSLOG+TLS://h", "syslog+tls://h:6514", "", "", ""},
        {"syslog+tcp://[2001:db8::7]:514", "syslog+tcp://[2001:db8::7]:514", "", "", ""},
        {"syslog+udp://10.0.0.1", "syslog+udp://10.0.0.1:514", "", "", ""},
    };
    static const char *const bad[] = {
        "", "h", "loki://h", "syslog://h", "syslog+tls://", "syslog+tls://h/x", "syslog+tls://u:p@h",
        "syslog+tcp://h:0", "syslog+tcp://h:x", "syslog+udp://h?x=y", "loki+https://h?x=y",
        "loki+https://h?tenant=", "loki+https://h?tenant=a%0ab", "loki+https://u@h", "ftp://h",
        "https://u:%0a@h/", "https://u:%@h/", "https://h:22/", "https://127.1/", "https://h/a b",
    };
    wh_err_t err = WH_ERR_INIT;
    wh_logdrain_to_t to;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_ok(wh_logdrain_parse(*state, good[i].url, &to, &err), &err);
        assert_string_equal(wh_logdrain_masked(*state, &to), good[i].shown);
        assert_string_equal(to.url, good[i].to);
        assert_string_equal(to.auth, good[i].auth);
        assert_string_equal(to.tenant, good[i].tenant);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_logdrain_parse(*state, bad[i], &to, &err) == APR_SUCCESS) {
            fail_msg("\"%s\" passed", bad[i]);
        }
        assert_string_equal(err.code, "target_invalid");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F230 Loki, JSON lines, RFC 5424: to the byte", test_formats),
        UNIT("RFC 5424: nothing breaks its header", test_header),
        UNIT("drains: targets, and what is shown of them", test_targets),
    };

    return UNIT_RUN(tests);
}
