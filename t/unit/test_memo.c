#include "t/unit/unit.h"

#include <apr_thread_proc.h>

#include "libwh/wh_memo.h"

#define PLACES 2048

static wh_memo_version_t now = {{1, 1}};
static int gone; /* there is no version */

static int version(void *baton, wh_memo_version_t *out)
{
    assert_ptr_equal(baton, &now);
    *out = now;
    return !gone;
}

static const char *find(wh_memo_t *memo, apr_pool_t *p, const char *key)
{
    const void *from = NULL;

    return wh_memo_find(memo, p, key, strlen(key), version, &now, &from);
}

static void keep(wh_memo_t *memo, const char *key, const char *value)
{
    if (wh_memo_wants(memo, key, strlen(key)))
        wh_memo_keep(memo, key, strlen(key), &now, value, strlen(value) + 1);
}

static void test_version(void **state)
{
    wh_memo_t *memo = wh_memo_make(*state);
    static const char value[] = "value";
    const void *from = NULL;

    assert_null(find(memo, *state, "a"));
    keep(memo, "a", value);
    assert_string_equal(find(memo, *state, "a"), "value");
    assert_ptr_not_equal(find(memo, *state, "a"), value);
    assert_non_null(wh_memo_find(memo, *state, "a", 1, version, &now, &from));
    assert_ptr_equal(from, value);
    for (int i = 0; i < 2; i++) {
        now.of[i]++;
        assert_null(find(memo, *state, "a"));
        now.of[i]--;
        assert_string_equal(find(memo, *state, "a"), "value");
    }
    gone = 1;
    assert_null(find(memo, *state, "a"));
    gone = 0;
    now.of[1]++;
    keep(memo, "a", "newer");
    assert_string_equal(find(memo, *state, "a"), "newer");
    now.of[1]--;
    assert_null(find(memo, *state, "a"));
}

/* A key is all of its bytes. */
static void test_keys(void **state)
{
    static const char *const keys[] = {"", "a", "b", "aa", "abcdefg", "abcdefgh", "abcdefghi",
                                       "abcdefgi", "bbcdefgh", "abcdefghabcdefgh"};
    wh_memo_t *memo = wh_memo_make(*state);

    for (size_t i = 0; i < WH_ARRAY_LEN(keys); i++) {
        assert_null(find(memo, *state, keys[i]));
        keep(memo, keys[i], keys[i]);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(keys); i++)
        assert_string_equal(find(memo, *state, keys[i]), keys[i]);
    wh_memo_keep(memo, keys[0], 256, &now, "too long", 9); /* not even looked at */
    assert_int_equal(wh_memo_wants(memo, keys[0], 256), 0);
}

static int count(wh_memo_t *memo, apr_pool_t *p, int from, int to)
{
    char key[32];
    int n = 0;

    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "s%05d.apps.example", i);
        n += find(memo, p, key) != NULL;
    }
    return n;
}

static void ask(wh_memo_t *memo, apr_pool_t *p, int from, int to)
{
    char key[32];

    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "s%05d.apps.example", i);
        if (!find(memo, p, key))
            keep(memo, key, key);
    }
}

static void test_bounded(void **state)
{
    wh_memo_t *memo = wh_memo_make(*state);
    int kept;

    for (int i = 0; i < 4; i++)
        ask(memo, *state, 0, 500);
    kept = count(memo, *state, 0, 500);
    assert_in_range(kept, 480, 500); /* some sets have five of them */
    ask(memo, *state, 1000, 50000);  /* a walk takes what is free and drives nothing out */
    assert_int_equal(count(memo, *state, 0, 500), kept);
    assert_in_range(count(memo, *state, 0, 50000), kept, PLACES);
    for (int i = 0; i < 4; i++) /* others that are asked for again get in */
        for (int k = 50000; k < 50100; k++)
            for (int again = 0; again < 3; again++)
                ask(memo, *state, k, k + 1);
    assert_in_range(count(memo, *state, 50000, 50100), 90, 100);
}

#define THREADS 4

static void *APR_THREAD_FUNC reader(apr_thread_t *thread, void *data)
{
    wh_memo_t *memo = data;
    apr_pool_t *p;
    char key[32];

    (void)thread;
    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    for (int i = 0; i < 20000; i++) {
        const char *got;

        snprintf(key, sizeof(key), "k%d", i % 3000);
        got = find(memo, p, key);
        if (!got)
            keep(memo, key, key);
        else if (strcmp(got, key) != 0)
            abort();
        if (i % 1000 == 0)
            apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void test_threads(void **state)
{
    wh_memo_t *memo = wh_memo_make(*state);
    apr_thread_t *threads[THREADS];
    apr_status_t rv;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(apr_thread_create(&threads[i], NULL, reader, memo, *state), 0);
    for (int i = 0; i < 100; i++)
        wh_memo_sync(memo);
    for (int i = 0; i < THREADS; i++)
        apr_thread_join(&rv, threads[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("good for one version", test_version),
        UNIT("by all of a key", test_keys),
        UNIT("bounded, a walk drives nothing out", test_bounded),
        UNIT("many threads", test_threads),
    };

    return UNIT_RUN(tests);
}
