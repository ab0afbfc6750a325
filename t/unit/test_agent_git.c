#include <sys/stat.h>
#include <unistd.h>
#include "t/unit/unit.h"
#include "wh-agent/blobs.h"
#include "wh-agent/catfile.h"
#include "wh-agent/gitenv.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/lfs.h"
#include "wh-agent/lstree.h"
#include "wh-agent/release.h"

#define OID "0123456789abcdef0123456789abcdef01234567"
#define SUM "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

typedef struct got_t {
    int n;
    char text[4096];
    int stop_at; /* end the reading at this entry */
} got_t;

static int take_entry(void *baton, const wh_lstree_entry_t *e)
{
    static const char kinds[] = "flso";
    got_t *got = baton;

    got->n++;
    (void)apr_snprintf(got->text + strlen(got->text), sizeof(got->text) - strlen(got->text),
                       "%c %o %" APR_INT64_T_FMT " %s;", kinds[e->kind], e->mode, e->size, e->path);
    return got->n == got->stop_at ? 7 : 0;
}

static const char tree[] = "100644 blob " OID "      12\ta/b.txt\0"
                           "100755 blob " OID "       0\trun me\0"
                           "120000 blob " OID "       9\tlink\0"
                           "160000 commit " OID "       -\tsub\0"
                           "100600 blob " OID "       1\todd\0";
static const char tree_want[] = "f 100644 12 a/b.txt;f 100755 0 run me;l 120000 9 link;"
                                "s 160000 -1 sub;o 100600 1 odd;";

static void test_lstree(void **state)
{
    wh_lstree_t ls;

    (void)state;
    /* In pieces of every size: nothing depends on where a read ends. */
    for (size_t step = 1; step < sizeof(tree); step++) {
        got_t got = {.n = 0};

        wh_lstree_init(&ls, take_entry, &got);
        for (size_t at = 0; at < sizeof(tree) - 1; at += step) {
            size_t n = sizeof(tree) - 1 - at;

            assert_int_equal(wh_lstree_feed(&ls, tree + at, n < step ? n : step), 0);
        }
        assert_true(wh_lstree_complete(&ls));
        assert_string_equal(got.text, tree_want);
    }
}

static void test_lstree_broken(void **state)
{
    static const char *const bad[] = {
        "",
        "100644 blob " OID "      12\t",
        "100644 blob " OID "      12 x",
        "100644 blob " OID "       -\tfile-without-size",
        "100644 blob 0123 12\tshort-name",
        "100644 blob " OID "  12x\tp",
        "10064x blob " OID "      12\tp",
        "100644 blob " OID " 1234567890123456789\tp",
        "100644 blob\tp",
        "100644 blob 0123456789abcdef0123456789abcdef0123456Z      12\tp",
    };
    wh_lstree_t ls;
    got_t got = {.n = 0};
    char big[9000];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wh_lstree_init(&ls, take_entry, &got);
        assert_int_equal(wh_lstree_feed(&ls, bad[i], strlen(bad[i]) + 1), -1);
        assert_false(wh_lstree_complete(&ls));
        assert_int_equal(wh_lstree_feed(&ls, tree, sizeof(tree) - 1), -1);
    }
    /* A path without end. */
    memset(big, 'a', sizeof(big));
    wh_lstree_init(&ls, take_entry, &got);
    assert_int_equal(wh_lstree_feed(&ls, big, sizeof(big)), -1);
    assert_int_equal(got.n, 0);
    /* Half an entry is not a whole list. */
    wh_lstree_init(&ls, take_entry, &got);
    assert_int_equal(wh_lstree_feed(&ls, tree, 20), 0);
    assert_false(wh_lstree_complete(&ls));
    /* The reader's own end is handed back. */
    got = (got_t){.stop_at = 2};
    wh_lstree_init(&ls, take_entry, &got);
    assert_int_equal(wh_lstree_feed(&ls, tree, sizeof(tree) - 1), 7);
    assert_int_equal(got.n, 2);
}

static int take_object(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    got_t *got = baton;

    if (n == 0) {
        got->n++;
        (void)apr_snprintf(got->text + strlen(got->text), 200, "<%d %s %d>", (int)o->index, o->type,
                           (int)o->size);
    } else {
        (void)apr_snprintf(got->text + strlen(got->text), 200, "%.*s", (int)n, buf);
    }
    return got->n == got->stop_at ? 7 : 0;
}

static void test_catfile(void **state)
{
    static const char text[] =
        OID " blob 5\nhello\n" OID " blob 0\n\nrefs/x missing\n" OID " commit 3\nab\n\n";
    wh_catfile_t cat;

    (void)state;
    for (size_t step = 1; step < sizeof(text); step++) {
        got_t got = {.n = 0, .stop_at = -1};

        wh_catfile_init(&cat, take_object, &got);
        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            size_t n = sizeof(text) - 1 - at;

            assert_int_equal(wh_catfile_feed(&cat, text + at, n < step ? n : step), 0);
        }
        assert_true(wh_catfile_complete(&cat, 4));
        assert_false(wh_catfile_complete(&cat, 3));
        assert_string_equal(got.text, "hello<0 blob 5><1 blob 0><2  0>ab\n<3 commit 3>");
    }
}

static void test_catfile_broken(void **state)
{
    static const char *const bad[] = {"\n",
                                      "nothing\n",
                                      OID " blob\n",
                                      OID " blob -1\n",
                                      OID " blob 1x\n",
                                      OID " blob 1\nabc",
                                      "xyz blob 1\n",
                                      OID " averylongtype 1\n",
                                      OID " blob 9999999999999999999\n"};
    wh_catfile_t cat;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        got_t got = {.stop_at = -1};

        wh_catfile_init(&cat, take_object, &got);
        assert_int_equal(wh_catfile_feed(&cat, bad[i], strlen(bad[i])), -1);
        assert_false(wh_catfile_complete(&cat, 1));
    }
}

static void test_git_says(void **state)
{
    apr_pool_t *p = *state;

    assert_string_equal(wh_gitsays_line(p, ""), "");
    assert_string_equal(wh_gitsays_line(p, "remote: fatal: a lie\n"), "");
    assert_string_equal(wh_gitsays_line(p, "warning: x\nfatal: could not read\nmore"),
                        "could not read");
    assert_string_equal(wh_gitsays_line(p, "error: \033]52;c;aGk=\a\033[31mred\033[0m x\n"),
                        "red x");
}

static const char *value_of(const char *const *env, const char *name)
{
    size_t n = strlen(name);

    for (; *env != NULL; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static const char *config_of(apr_pool_t *p, const char *const *env, const char *key)
{
    int n = (int)apr_atoi64(value_of(env, "GIT_CONFIG_COUNT"));

    for (int i = 0; i < n; i++)
        if (strcmp(value_of(env, apr_psprintf(p, "GIT_CONFIG_KEY_%d", i)), key) == 0)
            return value_of(env, apr_psprintf(p, "GIT_CONFIG_VALUE_%d", i));
    return NULL;
}

static void test_not_pushed(void **state)
{
    static const char said[] =
        "fatal: unable to access 'http://h/v1/agent/git/j/1/': The requested URL returned error: 409\n";
    wh_source_opts_t opts = {.url = "hub:", .branch = "main", .sha = ""};
    wh_err_t err = WH_ERR_INIT;

    assert_code(wh_gitsays_fetch_failed(*state, &opts, said, &err), &err, "clone_failed");
    assert_non_null(strstr(err.text, "nothing was pushed"));
    opts.url = "https://git.example/x";
    wh_err_clear(&err);
    assert_code(wh_gitsays_fetch_failed(*state, &opts, said, &err), &err, "clone_failed");
    assert_null(strstr(err.text, "pushed"));
}

static void test_gitenv(void **state)
{
    apr_pool_t *p = *state;
    wh_source_opts_t opts = {
        .mark = "WISEHOST_AGENT=x", .ca_file = "/ca.pem", .url = "https://host/x", .bearer = "no"};
    const char *const *env = wh_gitenv_make(p, &opts, "host:443:192.0.2.1");

    assert_string_equal(value_of(env, "GIT_ALLOW_PROTOCOL"), "https");
    assert_string_equal(value_of(env, "GIT_CONFIG_NOSYSTEM"), "1");
    assert_string_equal(value_of(env, "GIT_CONFIG_GLOBAL"), "/dev/null");
    assert_string_equal(value_of(env, "GIT_TERMINAL_PROMPT"), "0");
    assert_string_equal(value_of(env, "WISEHOST_AGENT"), "x");
    assert_string_equal(config_of(p, env, "protocol.allow"), "never");
    assert_string_equal(config_of(p, env, "core.hooksPath"), "/dev/null");
    assert_string_equal(config_of(p, env, "core.fsmonitor"), "false");
    assert_string_equal(config_of(p, env, "transfer.fsckObjects"), "true");
    assert_string_equal(config_of(p, env, "http.followRedirects"), "false");
    assert_string_equal(config_of(p, env, "submodule.recurse"), "false");
    assert_string_equal(config_of(p, env, "http.curloptResolve"), "host:443:192.0.2.1");
    assert_string_equal(config_of(p, env, "http.sslCAInfo"), "/ca.pem");
    assert_null(value_of(env, "http_proxy"));
    assert_null(config_of(p, env, "http.extraHeader")); /* a stranger never gets the token */
    opts.url = "/srv/x";
    env = wh_gitenv_make(p, &opts, "");
    assert_string_equal(value_of(env, "GIT_ALLOW_PROTOCOL"), "file");
    assert_null(config_of(p, env, "http.curloptResolve"));
    assert_null(config_of(p, env, "http.extraHeader"));
    opts = (wh_source_opts_t){.url = "hub:", .hub_url = "http://127.0.0.1:1/v1", .bearer = "a.b.c"};
    env = wh_gitenv_make(p, &opts, "");
    assert_string_equal(value_of(env, "GIT_ALLOW_PROTOCOL"), "http");
    assert_string_equal(config_of(p, env, "http.extraHeader"), "Authorization: Bearer a.b.c");
    opts.hub_url = "https://h/v1";
    opts.bearer = NULL;
    env = wh_gitenv_make(p, &opts, "");
    assert_string_equal(value_of(env, "GIT_ALLOW_PROTOCOL"), "https");
    assert_null(config_of(p, env, "http.extraHeader"));
}

static void test_join(void **state)
{
    apr_pool_t *p = *state;

    assert_string_equal(wh_release_join(p, "", ""), "");
    assert_string_equal(wh_release_join(p, "site", ""), "site");
    assert_string_equal(wh_release_join(p, "", "dist/"), "dist");
    assert_string_equal(wh_release_join(p, "a/b/", "dist"), "a/b/dist");
}

static void test_blobs(void **state)
{
    apr_pool_t *p = *state;
    const char *path = apr_psprintf(p, "/tmp/wh-blobs-%d", (int)getpid());
    wh_blobs_t *blobs = wh_blobs_open(p, path);
    FILE *f;

    assert_null(wh_blobs_find(blobs, OID));
    wh_blobs_add(blobs, OID, SUM);
    assert_string_equal(wh_blobs_find(blobs, OID), SUM);
    wh_blobs_save(blobs);
    blobs = wh_blobs_open(p, path);
    assert_string_equal(wh_blobs_find(blobs, OID), SUM);
    /* A torn line at the end is passed over, and does not swallow the next one. */
    f = fopen(path, "a");
    fputs("fedcba9876543210fedcba9876543210fedcba98 0011", f);
    fclose(f);
    blobs = wh_blobs_open(p, path);
    assert_string_equal(wh_blobs_find(blobs, OID), SUM);
    assert_null(wh_blobs_find(blobs, "fedcba9876543210fedcba9876543210fedcba98"));
    wh_blobs_add(blobs, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", SUM);
    wh_blobs_save(blobs);
    blobs = wh_blobs_open(p, path);
    assert_string_equal(wh_blobs_find(blobs, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), SUM);
    unlink(path);
}

#define LFS_OID "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define LFS_V1 "version https://git-lfs.github.com/spec/v1\n"

static void test_lfs_pointer(void **state)
{
    static const char *const good[] = {
        LFS_V1 "oid sha256:" LFS_OID "\nsize 12345\n",
        "version https://hawser.github.com/spec/v1\noid sha256:" LFS_OID "\nsize 12345\n",
        LFS_V1 "ext-0-foo sha256:" LFS_OID "\next-1-bar x\noid sha256:" LFS_OID "\nsize 12345\n"};
    static const char *const bad[] = {
        "", LFS_V1, LFS_V1 "oid sha256:" LFS_OID "\n", LFS_V1 "size 1\noid sha256:" LFS_OID "\n",
        LFS_V1 "oid sha256:" LFS_OID "\nsize \n", LFS_V1 "oid sha256:" LFS_OID "\nsize -1\n",
        LFS_V1 "oid sha256:" LFS_OID "\nsize 1x\n", LFS_V1 "oid sha256:" LFS_OID "\nsize 1",
        LFS_V1 "oid sha256:" LFS_OID "\nsize 1\nmore\n", LFS_V1 "oid sha1:" LFS_OID "\nsize 1\n",
        LFS_V1 "oid sha256:" LFS_OID "0\nsize 1\n",
        LFS_V1 "oid sha256:4D7A214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 1\n",
        LFS_V1 "oid sha256:" LFS_OID "\nsize 1234567890123456\n",
        "version https://git-lfs.github.com/spec/v2\noid sha256:" LFS_OID "\nsize 1\n",
        LFS_V1 "ext-0-foo x"};
    apr_int64_t size = 0;
    char oid[65];

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_true(wh_lfs_pointer(good[i], strlen(good[i]), oid, &size));
        assert_string_equal(oid, LFS_OID);
        assert_int_equal(size, 12345);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        if (wh_lfs_pointer(bad[i], strlen(bad[i]), oid, &size))
            fail_msg("\"%s\" passed", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("which texts are pointers of Git LFS", test_lfs_pointer),
        UNIT("a tree listing is read in pieces of any size", test_lstree),
        UNIT("a malformed listing is refused at once and for good", test_lstree_broken),
        UNIT("objects are read in pieces of any size", test_catfile),
        UNIT("malformed objects are refused", test_catfile_broken),
        UNIT("XI9 what git says is one clean line, and never the remote's words", test_git_says),
        UNIT("a repository that nobody pushed to yet", test_not_pushed),
        UNIT("D2 the environment of git is the jail", test_gitenv),
        UNIT("root and output directories are joined", test_join),
        UNIT("hashes of blobs outlive the process, a torn line does not", test_blobs),
    };
    return UNIT_RUN(tests);
}
