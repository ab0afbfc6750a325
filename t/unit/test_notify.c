/* Notifications: every service against the bytes of t/data/notify, written by hand from its
 * documentation; targets, what is shown of them, what is refused; filters; retries. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_notify.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_stdhook.h"
#include "libwh/wh_types.h"

#define ID "01hf7yatg00000000000000000"
#define SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define FORMER "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define AT apr_time_from_sec(1700000000)

static const char data[] =
    "{\"app\":{\"id\":\"01hf7y00000000000000000000\",\"slug\":\"shop\"},\"commit\":{\"message\":"
    "\"Faster checkout\",\"ref\":\"main\",\"sha\":\"9fceb02d0ae598e95dc970b74767f19372d61af8\","
    "\"short\":\"9fceb02\"},\"environment\":\"production\",\"url\":"
    "\"https://shop.apps.example.com\"}";

static wh_event_t event_of(apr_pool_t *p, const char *name, int ended, const char *json)
{
    wh_err_t err = WH_ERR_INIT;
    wh_event_t event;

    assert_ok(wh_event_read(p, ID, name, ended, AT, json, &event, &err), &err);
    return event;
}

static const char *directory(apr_pool_t *p)
{
    const char *top = getenv("top_srcdir");

    return apr_pstrcat(p, top != NULL ? top : ".", "/t/data/notify", NULL);
}

static char *slurp(apr_pool_t *p, const char *name)
{
    const char *path = apr_pstrcat(p, directory(p), "/", name, NULL);
    char *buf = apr_palloc(p, 20001);
    FILE *f = fopen(path, "r");

    if (f == NULL) {
        fail_msg("%s", path);
    }
    buf[fread(buf, 1, 20000, f)] = '\0';
    fclose(f);
    return buf;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const apr_table_entry_t *)a)->key, ((const apr_table_entry_t *)b)->key);
}

static const char *headers(apr_pool_t *p, const apr_table_t *table)
{
    apr_array_header_t *list = apr_array_copy(p, apr_table_elts(table));
    const char *text = "";

    qsort(list->elts, (size_t)list->nelts, sizeof(apr_table_entry_t), by_name);
    for (int i = 0; i < list->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(list, i, apr_table_entry_t);

        text = apr_pstrcat(p, text, e->key, ": ", e->val, "\n", NULL);
    }
    return text;
}

static const char *envelope(apr_pool_t *p, const wh_notify_out_t *out)
{
    static const char *const tls[] = {"none", "try", "must", "first"};
    const char *text = apr_pstrcat(p, "from ", out->from, NULL);

    for (int i = 0; i < out->to->nelts; i++) {
        text = apr_pstrcat(p, text, " to ", APR_ARRAY_IDX(out->to, i, const char *), NULL);
    }
    if (out->user[0] != '\0') {
        text = apr_pstrcat(p, text, " as ", out->user, " ", out->password, NULL);
    }
    return apr_pstrcat(p, text, " tls ", tls[out->tls], "\n", NULL);
}

/* A case as its file has it, from the URL in its first line. */
static const char *rendered(apr_pool_t *p, const char *url)
{
    const wh_notify_sending_t sending = {.id = ID, .secret = SECRET, .former = FORMER, .now = AT};
    wh_event_t event = event_of(p, "deployment.succeeded", 0, data);
    wh_err_t err = WH_ERR_INIT;
    wh_notify_out_t out;
    wh_shout_t *t;
    int mail;

    assert_ok(wh_shout_parse(p, url, &t, &err), &err);
    assert_ok(wh_notify_format(p, t, &event, &sending, &out, &err), &err);
    assert_int_equal(out.n, strlen(out.body));
    mail = strcmp(out.method, "MAIL") == 0;
    return apr_pstrcat(p, "url ", url, "\nshown ", wh_shout_masked(p, t), "\n", out.method, " ",
                       out.url, "\n", mail ? envelope(p, &out) : headers(p, out.headers), "\n",
                       out.body, mail ? "" : "\n", NULL);
}

static void test_formats(void **state)
{
    apr_pool_t *p = *state;
    DIR *dir = opendir(directory(p));
    struct dirent *entry;
    int n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        const char *text;

        if (dot == NULL || strcmp(dot, ".txt") != 0) {
            continue;
        }
        text = slurp(p, entry->d_name);
        print_message("# %s\n", entry->d_name);
        assert_memory_equal(text, "url ", 4);
        assert_string_equal(
            rendered(p, apr_pstrmemdup(p, text + 4, strcspn(text + 4, "\n"))), text);
        n++;
    }
    closedir(dir);
    assert_true(n >= 22);
}

static void test_compact(void **state)
{
    apr_pool_t *p = *state;
    const char *gone = "{\"app\":{\"slug\":\"shop\"},\"url\":\"\"}";
    wh_event_t e = event_of(p, "deployment.succeeded", 0, data);

    assert_string_equal(wh_event_compact(p, &e),
                        "✅ Deployment succeeded — shop\nhttps://shop.apps.example.com");
    e = event_of(p, "app.cpu", 0, gone);
    assert_string_equal(wh_event_compact(p, &e), "🔥 CPU above its limit — shop");
    e = event_of(p, "app.cpu", 1, gone);
    assert_string_equal(wh_event_compact(p, &e), "✅ CPU back to normal — shop");
    assert_non_null(strstr(wh_event_json(p, &e, NULL), ",\"ended\":true}"));
    e = event_of(p, "test", 0, "{\"channel\":{\"name\":\"ops\"}}");
    assert_string_equal(wh_event_compact(p, &e), "🔔 Test notification — ops");
    for (int i = 0; i < WH_EVENT_KINDS; i++) {
        wh_event_e kind;

        assert_true(wh_event_find(wh_event_name((wh_event_e)i), &kind));
        assert_int_equal(kind, i);
    }
}

static void test_details(void **state)
{
    apr_pool_t *p = *state;
    wh_event_t e = event_of(p, "deployment.failed", 0,
                            "{\"commit\":{\"sha\":\"9fceb02d0ae5\",\"message\":\"One\\r\\nTwo\"},"
                            "\"cause\":{\"detail\":\"it \\u001b[31mbroke\"}}");
    wh_err_t err = WH_ERR_INIT;

    assert_string_equal(wh_event_details(p, &e), "Commit: 9fceb02 One\nCause: it broke\n");
    assert_code(wh_event_read(p, ID, "no.such", 0, AT, "{}", &e, &err), &err, "event_unknown");
    assert_code(wh_event_read(p, ID, "test", 0, AT, "[]", &e, &err), &err, "body_not_object");
}

static void test_targets_refused(void **state)
{
    static const char *const bad[] = {
        "", "x", "://", "ftp://h/x", "discord://", "discord://token@abc", "discord://123",
        "discord://t@123/x", "discord://t@123?colour=red", "discord://t:p@123",
        "discord://t@123?thread_id=x", "discord://t@123?via=ftp%3A%2F%2Fx",
        "discord://t@123?via=http%3A%2F%2Fu%3Ap%40x",
        "slack://T0", "slack://T0/B0", "slack://hook@webhook", "slack://T0/B0/X0/Y0",
        "slack://hook:T-B-X@webhook/a/b",
        "teams://g@t/a/b", "teams://t/a/b?host=x", "teams://g@t/a?host=x",
        "teams://g@t/a/b?host=x%2Fy",
        "telegram://123:tok@telegram", "telegram://123@telegram?chats=@a",
        "telegram://123:tok@telegram?chats=@a,@b",
        "ntfy://ntfy.sh", "ntfy:///topic", "ntfy://h/a/b", "ntfy://h/t?scheme=ftp",
        "gotify://h", "gotify://u@h/token", "gotify://h/t?priority=high",
        "gotify://h/t?disabletls=perhaps",
        "matrix://:tok@h", "matrix://u:p@h?rooms=!r:h", "matrix://:tok@h?rooms=%23r:h",
        "matrix://:tok@h?rooms=!a:h,!b:h", "matrix://h?rooms=!r:h",
        "mattermost://h", "mattermost://h/t/c/x",
        "smtp://h?from=a@b", "smtp://h?to=a@b", "smtp://h?from=a&to=b@c",
        "smtp://h?from=a@b,c@d&to=b@c", "smtp://h?from=a@b&to=b@c,",
        "smtp://h?from=a@b&to=%3Cb@c%3E", "smtp://h?from=a@b&to=b@c%0d%0aRCPT",
        "smtp://h?from=a@b&to=b@c&skiptlsverify=yes", "smtp://h/x?from=a@b&to=b@c",
        "https://", "https://u:p@h/x", "https://h:0/", "https://h:99999/", "https://h:x/",
        "https://-h/", "https://h..i/", "https://[::1/x", "https://[zz]/", "https://h/a b",
        "https://h/a\nb", "https://h/%0a", "https://h/%00", "https://h/%zz", "https://h/x#y",
        "https://h/../x", "https://h/%2e%2e/x", "https://h/\xc3\xa4", "https://h\\i/",
        "generic://h/?@Host=x", "generic://h/?@X%0dY=x", "generic://h/?@Content-Length=1",
        "generic://h/?@X=", "generic://h/?disabletls=x", "generic+ftp://h/",
        "https://127.1/", "https://h:25/", "ntfy://h:22/t",
    };
    wh_err_t err = WH_ERR_INIT;
    wh_shout_t *t;
    char *s;

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_shout_parse(*state, bad[i], &t, &err) == APR_SUCCESS) {
            fail_msg("\"%s\" passed", bad[i]);
        }
        assert_string_equal(err.code, "target_invalid");
        assert_string_equal(err.pointer, "/target");
    }
    s = apr_pcalloc(*state, 4000);
    memset(s, 'a', 3000);
    memcpy(s, "https://h/", 10);
    assert_code(wh_shout_parse(*state, s, &t, &err), &err, "target_invalid");
    s[WH_SHOUT_URL_MAX] = '\0';
    assert_ok(wh_shout_parse(*state, s, &t, &err), &err);
}

static void test_nothing_shown(void **state)
{
    static const char *const urls[] = {
        "discord://SECRET@123", "slack://T0/B0/SECRET", "slack://hook:T-B-SECRET@webhook",
        "teams://SECRET@t/a/SECRET?host=h", "teams+https://h/SECRET?sig=SECRET",
        "telegram://1:SECRET@telegram?chats=@a", "ntfy://u:SECRET@h/SECRET?token=SECRET",
        "gotify://h/SECRET?token=SECRET", "matrix://:SECRET@h?rooms=!r:h",
        "mattermost://h/SECRET", "smtp://u:SECRET@h?from=a@b&to=b@c",
        "generic://h/SECRET?k=SECRET&@A=SECRET", "https://h/SECRET?SECRET=SECRET",
    };
    wh_err_t err = WH_ERR_INIT;
    wh_shout_t *t;

    for (size_t i = 0; i < WH_ARRAY_LEN(urls); i++) {
        assert_ok(wh_shout_parse(*state, urls[i], &t, &err), &err);
        assert_null(strstr(wh_shout_masked(*state, t), "SECRET"));
    }
    assert_code(wh_shout_parse(*state, "discord://SECRET@123?x=SECRET", &t, &err), &err,
                "target_invalid");
    assert_null(strstr(err.text, "SECRET"));
}

static apr_array_header_t *list_of(apr_pool_t *p, const char *words)
{
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(const char *));
    char *state = NULL, *copy = apr_pstrdup(p, words);

    for (char *w = apr_strtok(copy, " ", &state); w; w = apr_strtok(NULL, " ", &state)) {
        APR_ARRAY_PUSH(list, const char *) = w;
    }
    return list;
}

static void test_filters(void **state)
{
    static const char *const bad[] = {"dep*", "deployment", "deployment.*x", "*.failed", "app.",
                                      "x.*", "App.cpu", "deployment.*.*"};
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_event_filter_check(
                  list_of(p, "* deployment.* deployment.failed app.cpu deploymentUpdate alerts"),
                  &err),
              &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_code(wh_event_filter_check(list_of(p, apr_pstrcat(p, "app.cpu ", bad[i], NULL)),
                                          &err),
                    &err, "event_unknown");
        assert_string_equal(err.pointer, "/events/1");
    }
    assert_true(wh_event_filter_takes(list_of(p, ""), "app.cpu"));
    assert_true(wh_event_filter_takes(list_of(p, "deployment.failed"), "test"));
    assert_true(wh_event_filter_takes(list_of(p, "deploymentUpdate"), "deployment.canceled"));
    assert_true(wh_event_filter_takes(list_of(p, "deployment.failed app.*"), "app.disk"));
    assert_false(wh_event_filter_takes(list_of(p, "deployment.failed"), "deployment.succeeded"));
    assert_false(wh_event_filter_takes(list_of(p, "app.cpu"), "app.memory"));
}

/* The published example of the specification (its reference libraries test it, too). */
static void test_signature(void **state)
{
    const char *body = "{\"test\": 2432232314}";
    wh_stdhook_t m = {.id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                      .timestamp_s = 1614265330,
                      .body = body,
                      .n = strlen(body)};
    static const char *const bad[] = {"", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"};
    wh_err_t err = WH_ERR_INIT;
    wh_rand_fake_t fake;

    assert_string_equal(wh_stdhook_sign(*state, &m, FORMER, NULL),
                        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_code(wh_stdhook_secret_check(*state, bad[i], &err), &err, "secret_invalid");
        assert_null(wh_stdhook_sign(*state, &m, bad[i], NULL));
    }
    wh_rand_fake_init(&fake, 7);
    assert_ok(wh_stdhook_secret_check(*state, wh_stdhook_secret_make(*state, &fake.rnd), &err),
              &err);
}

static void test_judge(void **state)
{
    apr_interval_time_t least = 0, most = 0, wait;

    (void)state;
    assert_int_equal(wh_notify_judge(204, 1, 0, &wait), WH_NOTIFY_DELIVERED);
    assert_int_equal(wh_notify_judge(410, 1, 0, &wait), WH_NOTIFY_GONE);
    for (unsigned i = 1; i < WH_NOTIFY_ATTEMPTS; i++) {
        static const int again[] = {0, 302, 400, 404, 429, 500, 503};

        for (size_t k = 0; k < WH_ARRAY_LEN(again); k++) {
            assert_int_equal(wh_notify_judge(again[k], i, 0, &wait), WH_NOTIFY_AGAIN);
        }
        least += wait;
        assert_int_equal(wh_notify_judge(0, i, UINT32_MAX, &wait), WH_NOTIFY_AGAIN);
        most += wait;
        if (i == 1) {
            assert_in_range(wait, apr_time_from_sec(5), apr_time_from_msec(5500));
        }
    }
    assert_int_equal(wh_notify_judge(503, WH_NOTIFY_ATTEMPTS, 0, &wait), WH_NOTIFY_DEAD);
    assert_in_range(least, apr_time_from_sec(21 * 3600), apr_time_from_sec(24 * 3600));
    assert_in_range(most, apr_time_from_sec(24 * 3600), apr_time_from_sec(27 * 3600));
}

static void test_webhook_without_secret(void **state)
{
    const wh_notify_sending_t sending = {.id = ID, .now = AT};
    wh_event_t event = event_of(*state, "test", 0, "{}");
    wh_err_t err = WH_ERR_INIT;
    wh_notify_out_t out;
    wh_shout_t *t;

    assert_ok(wh_shout_parse(*state, "https://h/", &t, &err), &err);
    assert_code(wh_notify_format(*state, t, &event, &sending, &out, &err), &err, "secret_invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F175 every service gets the bytes that its documentation has", test_formats),
        UNIT("F174 F176 the compact text, from closed tables", test_compact),
        UNIT("F177 F178 short commit, first line of its message", test_details),
        UNIT("targets that are none, or have what nobody uses, are refused", test_targets_refused),
        UNIT("nothing of a target's secrets is shown", test_nothing_shown),
        UNIT("R20 filters of events", test_filters),
        UNIT("Standard Webhooks: the signature of the specification's example", test_signature),
        UNIT("answers: retried for a day, gone at 410", test_judge),
        UNIT("no webhook goes out unsigned", test_webhook_without_secret),
    };

    return UNIT_RUN(tests);
}
