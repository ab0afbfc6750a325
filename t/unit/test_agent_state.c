#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sys.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/identity.h"
#include "wh-agent/results.h"
#include "wh-agent/wanted.h"

#define JOB1 "01hzzzzzzzzzzzzzzzzzzzzz01"
#define JOB2 "01hzzzzzzzzzzzzzzzzzzzzz02"

static const char *scratch(apr_pool_t *p)
{
    static int n;
    const char *dir = apr_psprintf(p, "/tmp/wh-agent-state-%d-%d", (int)getpid(), n++);

    assert_int_equal(wh_fsutil_mkdir(p, dir, NULL), APR_SUCCESS);
    return dir;
}

static json_t *result_of(const char *job, apr_int64_t epoch)
{
    wh_msg_job_result_t result = {.job = job,
                                  .epoch = epoch,
                                  .outcome = WH_OUTCOME_FAILED,
                                  .cause_code = "clone_failed",
                                  .cause_detail = "why",
                                  .release = "",
                                  .commit = {.sha = "", .message = "", .author = ""}};

    return wh_proto_msg_job_result_encode(&result);
}

static void test_results(void **state)
{
    apr_pool_t *p = *state;
    const char *dir = scratch(p);
    wh_results_t *results;
    wh_msg_ref_t ref = {.job = JOB1, .epoch = 3}, old = {.job = JOB1, .epoch = 2};
    json_t *payload = result_of(JOB1, 3);
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_results_open(p, dir, &results, &err), &err);
    assert_null(wh_results_find(results, JOB1, 0));
    assert_ok(wh_results_store(dir, p, &ref, payload, &err), &err);
    wh_results_add(results, &ref, payload);
    assert_non_null(wh_results_find(results, JOB1, 3));
    assert_null(wh_results_find(results, JOB1, 2));
    /* A new life finds it. */
    assert_ok(wh_results_open(p, dir, &results, &err), &err);
    assert_non_null(wh_results_find(results, JOB1, 3));
    assert_int_equal(wh_results_refs(results, p)->nelts, 1);
    /* Sent once a connection, until it is acknowledged with its own epoch. */
    assert_int_equal(wh_results_unsent(results, p)->nelts, 1);
    wh_results_sent(results, JOB1);
    assert_int_equal(wh_results_unsent(results, p)->nelts, 0);
    wh_results_rewind(results);
    assert_int_equal(wh_results_unsent(results, p)->nelts, 1);
    assert_false(wh_results_drop(results, &old));
    assert_true(wh_results_drop(results, &ref));
    assert_false(wh_results_drop(results, &ref));
    assert_ok(wh_results_open(p, dir, &results, &err), &err);
    assert_null(wh_results_find(results, JOB1, 0));
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
}

static void test_spoiled(void **state)
{
    apr_pool_t *p = *state;
    const char *dir = scratch(p), *path;
    wh_results_t *results;
    struct stat st;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_results_open(p, dir, &results, &err), &err);
    path = apr_pstrcat(p, dir, "/results/" JOB1, NULL);
    assert_ok(wh_fsutil_write(p, path, "{\"job\":", 7, WH_FSUTIL_QUICK, &err), &err);
    path = apr_pstrcat(p, dir, "/results/not-an-id", NULL);
    assert_ok(wh_fsutil_write(p, path, "x", 1, WH_FSUTIL_QUICK, &err), &err);
    assert_ok(wh_results_open(p, dir, &results, &err), &err);
    assert_int_equal(wh_results_refs(results, p)->nelts, 0);
    assert_int_equal(stat(apr_pstrcat(p, dir, "/results/" JOB1 ".bad", NULL), &st), 0);
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
}

static void test_marks(void **state)
{
    apr_pool_t *p = *state;
    const char *dir = scratch(p);
    wh_results_t *results;
    wh_msg_job_t job = {.job = JOB2, .epoch = 1, .deployment = JOB1};
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_results_open(p, dir, &results, &err), &err);
    assert_int_equal(wh_results_marked(dir, p)->nelts, 0);
    assert_ok(wh_results_mark(dir, p, &job, &err), &err);
    assert_int_equal(wh_results_marked(dir, p)->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(wh_results_marked(dir, p), 0, const char *), JOB2);
    wh_results_unmark(dir, p, "../../etc/passwd");
    wh_results_unmark(dir, p, JOB2);
    assert_int_equal(wh_results_marked(dir, p)->nelts, 0);
    job.job = "../x";
    assert_code(wh_results_mark(dir, p, &job, &err), &err, "internal");
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
}

static void test_files(void **state)
{
    apr_pool_t *p = *state;
    const char *dir = scratch(p), *path = apr_pstrcat(p, dir, "/f", NULL);
    wh_err_t err = WH_ERR_INIT;
    struct stat st;
    char *text;
    size_t n;

    assert_int_equal(wh_fsutil_read(p, path, 10, &text, &n, &err), APR_NOTFOUND);
    assert_ok(wh_fsutil_write(p, path, "hello", 5, WH_FSUTIL_DURABLE, &err), &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(wh_fsutil_read(p, path, 5, &text, &n, &err), &err);
    assert_string_equal(text, "hello");
    assert_code(wh_fsutil_read(p, path, 4, &text, &n, &err), &err, "state_unreadable");
    assert_code(wh_fsutil_read(p, dir, 4, &text, &n, &err), &err, "state_unreadable");
    /* A link is never followed: not when reading, not when removing. */
    assert_int_equal(symlink(path, apr_pstrcat(p, dir, "/l", NULL)), 0);
    assert_code(wh_fsutil_read(p, apr_pstrcat(p, dir, "/l", NULL), 10, &text, &n, &err), &err,
                "state_unreadable");
    assert_ok(wh_fsutil_mkdir(p, apr_pstrcat(p, dir, "/a/b", NULL), &err), &err);
    assert_int_equal(symlink("/etc", apr_pstrcat(p, dir, "/a/b/etc", NULL)), 0);
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
    assert_int_equal(stat("/etc/passwd", &st), 0);
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
    assert_code(wh_fsutil_write(p, "/nonexistent/x", "x", 1, WH_FSUTIL_QUICK, &err), &err,
                "state_unwritable");
}

static void test_identity(void **state)
{
    apr_pool_t *p = *state;
    wh_agent_conf_t conf = {
        .state_dir = scratch(p), .server_url = "http://127.0.0.1:1", .ca_file = ""};
    wh_identity_opts_t opts = {.conf = &conf, .clock = wh_sys_clock(), .rnd = wh_sys_rand()};
    const char *key = apr_pstrcat(p, conf.state_dir, "/api.key", NULL), *id, *token = NULL;
    unsigned char mac[32], again[32];
    wh_identity_t *identity;
    wh_err_t err = WH_ERR_INIT;
    struct stat st;

    conf.enrolment_token_file = "";
    assert_ok(wh_identity_open(p, &opts, &identity, &err), &err);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 65);
    id = wh_identity_agent_id(identity);
    wh_identity_mac_key(identity, mac);
    assert_ok(wh_identity_open(p, &opts, &identity, &err), &err);
    assert_string_equal(wh_identity_agent_id(identity), id);
    wh_identity_mac_key(identity, again);
    assert_memory_equal(mac, again, 32);
    assert_int_equal(wh_identity_refresh_in(identity), 0);
    assert_code(wh_identity_token(identity, p, 0, &token, &err), &err, "server_unreachable");
    chmod(key, 0640);
    assert_code(wh_identity_open(p, &opts, &identity, &err), &err, "key_mode");
    chmod(key, 0600);
    assert_ok(wh_fsutil_write(p, key, "abc\n", 4, WH_FSUTIL_QUICK, &err), &err);
    assert_code(wh_identity_open(p, &opts, &identity, &err), &err, "key_content");
    assert_ok(wh_fsutil_remove_tree(p, conf.state_dir, &err), &err);
}

static void test_lifetime(void **state)
{
    apr_pool_t *p = *state;

    /* {"sub":1,"iat":1000,"exp":1900} */
    assert_int_equal(
        wh_identity_lifetime(p, "eyJhIjoxfQ.eyJzdWIiOjEsImlhdCI6MTAwMCwiZXhwIjoxOTAwfQ.c2ln"), 900);
    assert_int_equal(wh_identity_lifetime(p, ""), -1);
    assert_int_equal(wh_identity_lifetime(p, "a.b"), -1);
    assert_int_equal(wh_identity_lifetime(p, "a.!!.c"), -1);
    /* {"iat":1900,"exp":1000}, {"iat":"x"} */
    assert_int_equal(wh_identity_lifetime(p, "a.eyJpYXQiOjE5MDAsImV4cCI6MTAwMH0.c"), -1);
    assert_int_equal(wh_identity_lifetime(p, "a.eyJpYXQiOiJ4In0.c"), -1);
}

static apr_array_header_t *wanted_of(apr_pool_t *p, const char *const *ids)
{
    apr_array_header_t *list = apr_array_make(p, 2, sizeof(wh_msg_desired_t));

    for (; *ids != NULL; ids++)
        APR_ARRAY_PUSH(list, wh_msg_desired_t) =
            (wh_msg_desired_t){.deployment = *ids, .app = JOB1, .desired = WH_DESIRED_RUNNING};
    return list;
}

static ino_t inode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void test_wanted(void **state)
{
    apr_pool_t *p = *state;
    const char *dir = scratch(p), *path = apr_pstrcat(p, dir, "/wanted", NULL);
    apr_array_header_t *down = apr_array_make(p, 1, sizeof(const char *));
    wh_msg_desired_t more = {.deployment = JOB2, .app = JOB2, .desired = WH_DESIRED_RUNNING};
    wh_wanted_t *w;
    wh_err_t err = WH_ERR_INIT;
    ino_t before;

    assert_ok(wh_wanted_open(p, dir, &w, &err), &err);
    assert_false(wh_wanted_known(w));
    assert_int_equal(access(path, F_OK), -1);
    wh_wanted_take(w, wanted_of(p, (const char *const[]){JOB1, NULL}));
    wh_wanted_add(w, &more);
    wh_wanted_stop(w, JOB1);
    APR_ARRAY_PUSH(down, const char *) = "c1";
    wh_wanted_violate(w, down);
    /* What says nothing new writes nothing. */
    before = inode_of(path);
    wh_wanted_violate(w, down);
    wh_wanted_stop(w, JOB1);
    wh_wanted_stop(w, NULL);
    wh_wanted_take(w, wh_wanted_list(w));
    assert_int_equal(inode_of(path), before);
    /* A new life knows it. */
    assert_ok(wh_wanted_open(p, dir, &w, &err), &err);
    assert_true(wh_wanted_known(w));
    assert_int_equal(wh_wanted_list(w)->nelts, 2);
    assert_int_equal(APR_ARRAY_IDX(wh_wanted_list(w), 0, wh_msg_desired_t).desired,
                     WH_DESIRED_STOPPED);
    assert_string_equal(APR_ARRAY_IDX(wh_wanted_list(w), 1, wh_msg_desired_t).deployment, JOB2);
    assert_int_equal(APR_ARRAY_IDX(wh_wanted_list(w), 1, wh_msg_desired_t).desired,
                     WH_DESIRED_RUNNING);
    assert_string_equal(APR_ARRAY_IDX(wh_wanted_violated(w), 0, const char *), "c1");
    assert_int_equal(inode_of(path), before);
    /* The empty list is an answer, too. */
    wh_wanted_take(w, wanted_of(p, (const char *const[]){NULL}));
    assert_ok(wh_wanted_open(p, dir, &w, &err), &err);
    assert_true(wh_wanted_known(w));
    assert_int_equal(wh_wanted_list(w)->nelts, 0);
    /* A spoiled one is set aside. */
    assert_ok(wh_fsutil_write(p, path, "{\"des", 5, WH_FSUTIL_QUICK, &err), &err);
    assert_ok(wh_wanted_open(p, dir, &w, &err), &err);
    assert_false(wh_wanted_known(w));
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a result is kept, through a restart, until its own epoch is acknowledged",
             test_results),
        UNIT("a spoiled result is set aside", test_spoiled),
        UNIT("a job begun leaves a mark", test_marks),
        UNIT("state files are whole, private and never links", test_files),
        UNIT("F54 the API key is made first, 0600, and kept", test_identity),
        UNIT("F58 the lifetime is read from the token itself", test_lifetime),
        UNIT("what should run outlives the agent, and is written when it changes", test_wanted),
    };
    return UNIT_RUN(tests);
}
