#include <string.h>
#include <apr_strings.h>
#include "t/unit/unit.h"
#include "wh-agent/base.h"

static int refused(apr_pool_t *p, const char *text)
{
    wh_err_t err = WH_ERR_INIT;
    wh_dockerfile_t seen;
    apr_status_t rv = wh_dockerfile_check(p, text, strlen(text), &seen, &err);

    if (rv != APR_SUCCESS)
        assert_string_equal(err.code, "build_failed");
    return rv != APR_SUCCESS;
}

static void test_names(void **state)
{
    (void)state;
    assert_true(wh_dockerfile_name_bad("Dockerfile.in"));
    assert_true(wh_dockerfile_name_bad("a/b.IN"));
    assert_true(wh_dockerfile_name_bad(".in"));
    assert_false(wh_dockerfile_name_bad("Dockerfile"));
    assert_false(wh_dockerfile_name_bad("in"));
    assert_false(wh_dockerfile_name_bad("Dockerfile.in.x"));
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "FROM a\nRUN --mount=type=bind,from=a,source=/e,target=/m ls /m\n",
        "FROM a\nRUN --MOUNT=type=cache,id=../../x,target=/m ls",
        "FROM a\nrun\t--mount=type=bind,target=/m ls\n",
        "FROM a\nRUN \\\n--mount=target=/m ls\n",
        "FROM a\nRUN --mo\\\nunt=target=/m ls\n",
        "FROM a\nRUN --mo\\ \t\r\n# comment\n\nunt=target=/m ls\n",
        "FROM a\nRUN --network=none --mount=target=/m ls\n",
        "FROM a\nONBUILD RUN --mount=target=/m ls\n",
        "FROM a\nRUN x=`true`\nRUN --mount=target=/m ls\n",
        "FROM a\nRUN --mount=target=/m \\",
        "FROM a\nRUN --mount=type=secret ls",
        "FROM a\nRUN --mount=id=A ls",
        "FROM a\nRUN --mount=type=secret,id= ls",
        "FROM a\nRUN --mount=type=secret,id=A,id=B ls",
        "FROM a\nRUN --mount=type=secret,id=A,source=/etc/shadow ls",
        "FROM a\nRUN --mount=type=secret,id=A,src=/etc/shadow ls",
        "FROM a\nRUN --mount=type=secret,id=A,from=b ls",
        "FROM a\nRUN --mount=type=secret,id=A,target=x ls",
        "FROM a\nRUN --mount=type=secret,id=A,target=/../x ls",
        "FROM a\nRUN --mount=type=secret,id=A,type=bind ls",
        "FROM a\nRUN --mount=type=bind,id=A,type=secret ls",
        "FROM a\nRUN --mount=type=secret,id=$A ls",
        "FROM a\nRUN --mount=\"type=secret,id=A\" ls",
        "FROM a\nRUN --mount=type=secret,id=A,uid=0 ls",
        "FROM a\nRUN --mount=type=secret,id=A --mount=type=bind,target=/m ls",
        "FROM a\nRUN --network=none --mount=type=secret,id=A ls",
        "FROM a\nRUN ls --mount=type=secret,id=A",
        "FROM a\nCOPY --mount=type=secret,id=A a b",
        "FROM a\nONBUILD RUN --mount=type=secret,id=A ls",
        "FROM a\nADD http://127.0.0.1:5432/ /x\n",
        "FROM a\nadd https://169.254.169.254/ /x\n",
        "FROM a\n  ADD --chown=1:1 http://a/ /x\n",
        "FROM a\nADD [\"http:\\/\\/127.0.0.1/\", \"/x\"]\n",
        "ARG U=http://127.0.0.1\nFROM a\nADD $U /x\n",
        "ARG U=ttp\nFROM a\nADD h${U}://a /x\n",
        "FROM a\nADD ht\\\ntp://a /x\n",
        "FROM a\nONBUILD ADD http://a /x\n",
        "FROM a\nONBUILD ONBUILD\tADD http://a /x\n",
        "\xef\xbb\xbf"
        "ADD http://a /x\n",
        "FROM a\n\xc2\xa0"
        "ADD http://a /x\n",
        "FROM a\nRUN echo `\nADD http://a /x\n",
        "FROM a\nRUN a \\\n  # some parsers end the instruction here\nADD http://a /x\n",
        "FROM a\nRUN a \\\n  # one\n# two\n\nADD http://a /x\n",
        "FROM a\nRUN true \\\v\nADD http://a /x\n",
        "FROM a\nRUN true \\\r\r\nADD http://a /x\n",
        "# escape=`\nFROM a\nADD ht`\ntp://a /x\n",
        "#  Escape = `\nFROM a\n",
    };
    apr_pool_t *p = *state;
    wh_dockerfile_t seen;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!refused(p, bad[i]))
            fail_msg("not refused: %s", bad[i]);
    assert_int_not_equal(wh_dockerfile_check(p, "RUN a\0\n", 7, &seen, NULL), APR_SUCCESS);
}

static void test_taken(void **state)
{
    static const char *const good[] = {
        "",
        "\n\n",
        "FROM a",
        "FROM scratch\r\nCOPY busybox /bin/busybox\r\n",
        "# RUN --mount=x is not used here\nFROM a\n",
        "ARG VERSION=22\nFROM node:${VERSION}\nRUN apk \\\n  add $PACKAGES\n",
        "FROM a\nRUN apt-get install \\\n    # why\n    curl \\\n\n    wget\n",
        "FROM a\nADD site.tar.gz /srv/\nADDRESS=1\n",
        "FROM a\nENV ADD=http://a\nRUN wget http://example.org/\n",
        "FROM a\nLABEL x=\"\xc3\xa4\"\nCOPY --from=b /x /y\n",
        "FROM a\nRUN echo `date`\nCOPY . .\n",
        "# escape=\\\nFROM a\n",
    };
    apr_pool_t *p = *state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (refused(p, good[i]))
            fail_msg("refused: %s", good[i]);
}

/* Which images a Dockerfile names, its own stages left out. */
static void test_images(void **state)
{
    static const char *const cases[][2] = {
        {"FROM a\n", "a "},
        {"FROM scratch\nFROM a:1@sha256:00 AS x\nFROM X\nCOPY --from=x /a /b\n", "a:1@sha256:00 "},
        {"FROM --platform=$BUILDPLATFORM a AS one\nCOPY --from=0 / /\nCOPY --chown=1 --from=b / "
         "/\n",
         "a b "},
        {"ARG T=22\nARG I=node:$T\nFROM ${I}-slim\n", "node:22-slim "},
        {"ARG T\nFROM node:${T:-20}\n", "node:20 "},
        {"ARG T=\"7\" U='8'\nFROM n:$T$U\n", "n:78 "},
        {"FROM a\nCOPY --from=7 / /\n", "a 7 "},
        {"FROM a \\\n  AS b\nFROM b\n", "a "},
        {"FROM a AS b\nADD --from=c / /\nONBUILD COPY --from=d / /\n", "a c d "},
    };
    static const char *const unknown[] = {"FROM $X\n",
                                          "FROM a\nARG X=b\nFROM $X\n",
                                          "ARG X\nFROM $X\n",
                                          "FROM ${X:+a}\n",
                                          "ARG X=a\nFROM ${X#a}\n",
                                          "FROM \"a\"\n",
                                          "FROM a\nCOPY --from=$X / /\n",
                                          "ARG X=`id`\nFROM $X\n",
                                          "FROM  \n"};
    apr_pool_t *p = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wh_dockerfile_t seen;
        const char *got = "";

        assert_int_equal(wh_dockerfile_check(p, cases[i][0], strlen(cases[i][0]), &seen, NULL),
                         APR_SUCCESS);
        for (int n = 0; n < seen.images->nelts; n++)
            got = apr_pstrcat(p, got, APR_ARRAY_IDX(seen.images, n, const char *), " ", NULL);
        assert_string_equal(got, cases[i][1]);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        if (!refused(p, unknown[i]))
            fail_msg("not refused: %s", unknown[i]);
}

static void test_secrets(void **state)
{
    static const char *const cases[][2] = {
        {"FROM a\nRUN ls\n", ""},
        {"FROM a\nRUN --mount=type=secret,id=A ls\n", "A "},
        {"FROM a\nrun --mount=id=A_1,type=secret,required=true,target=/root/.npmrc ls\n", "A_1 "},
        {"FROM a\nRUN --mount=type=secret,id=A \\\n  --mount=type=secret,id=B,required ls\n", "A B "},
        {"FROM a\nRUN --mount=type=secret,id=A a\nRUN --mount=type=secret,id=B b\n", "A B "},
    };
    apr_pool_t *p = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wh_dockerfile_t seen;
        wh_err_t err = WH_ERR_INIT;
        const char *got = "";

        assert_ok(wh_dockerfile_check(p, cases[i][0], strlen(cases[i][0]), &seen, &err), &err);
        for (int n = 0; n < seen.secrets->nelts; n++)
            got = apr_pstrcat(p, got, APR_ARRAY_IDX(seen.secrets, n, const char *), " ", NULL);
        assert_string_equal(got, cases[i][1]);
        assert_true(seen.runs);
    }
}

static void test_foreign(void **state)
{
    static const char *const foreign[] = {
        "localhost/wisehost/app2",   "localhost/wisehost/app2:1",  "wisehost/app2:x",
        "localhost/wisehost/hold:x", "localhost/wisehost/app1x:1", "LOCALHOST/Wisehost/app2"};
    static const char *const fine[] = {"node:22", "localhost/wisehost/app1:1", "wisehost/app1",
                                       "docker.io/library/alpine", "localhost/other"};

    static const char *const bad[] = {"a/../b", "a//b", "/a",       "-a", "a?b",
                                      "a%2f",   "a b",  "dir:/etc", ""};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(wh_base_name_bad(bad[i]));
    assert_false(wh_base_name_bad("registry.example:5000/team/app:1.2@sha256:00"));
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_true(wh_base_name_foreign(foreign[i], "app1"));
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        assert_false(wh_base_name_foreign(fine[i], "app1"));
}

/* A megabyte of continued lines takes no longer than one of plain ones. */
static void test_long(void **state)
{
    apr_pool_t *p = *state;
    size_t n = 1024 * 1024;
    char *text = apr_palloc(p, n + 1);

    for (size_t i = 0; i < n; i += 2)
        memcpy(text + i, "\\\n", 2);
    memcpy(text, "R", 1);
    text[n] = '\0';
    assert_false(refused(p, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F286 R17 a step may ask for a build secret, and for no other mount", test_secrets),
        UNIT("XJ1 names that engines preprocess on the host", test_names),
        UNIT("XJ1 XJ8 what reaches for the host is refused", test_refused),
        UNIT("XJ1 what people write is taken", test_taken),
        UNIT("XJ5 the images that a Dockerfile names", test_images),
        UNIT("XJ5 images of other apps by name", test_foreign),
        UNIT("XJ1 long files are checked in linear time", test_long),
    };
    return UNIT_RUN(tests);
}
