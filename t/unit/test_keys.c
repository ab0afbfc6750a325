#include "t/unit/unit.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libwh/wh_keys.h"
#include "libwh/wh_sign.h"

#define HEX64 "0123456789abcdef0123456789ABCDEF00112233445566778899aabbccddeeff"

static const unsigned char root[WH_KEY_LEN] = "an example key, of 32 bytes.....";

static apr_status_t remove_file(void *path)
{
    unlink(path);
    return APR_SUCCESS;
}

static apr_status_t remove_folder(void *path)
{
    rmdir(path);
    return APR_SUCCESS;
}

/* A file with this content and mode, gone with the pool. */
static const char *file_of(apr_pool_t *p, const void *content, size_t n, mode_t mode)
{
    char *path = apr_pstrdup(p, "/tmp/wh-keys-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, n), n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    apr_pool_cleanup_register(p, path, remove_file, apr_pool_cleanup_null);
    return path;
}

static const char *text_file(apr_pool_t *p, const char *text)
{
    return file_of(p, text, strlen(text), 0600);
}

static void assert_root_refused(apr_pool_t *p, const char *path, const char *code)
{
    unsigned char out[WH_KEY_LEN] = "kept";
    wh_err_t err = WH_ERR_INIT;

    assert_code(wh_keys_read_root(p, path, out, &err), &err, code);
    assert_non_null(strstr(err.text, path));
    assert_string_equal((char *)out, "kept");
}

static void test_labels(void **state)
{
    unsigned char want[WH_KEY_LEN], mac[WH_KEY_LEN];
    wh_keys_t keys;

    (void)state;
    wh_keys_derive(root, &keys);
    assert_int_equal(wh_sign_hkdf(root, 32, "wisehosting-worker-jwt-v1", want, 32), APR_SUCCESS);
    assert_memory_equal(keys.worker_jwt, want, 32);
    assert_int_equal(wh_sign_hkdf(root, 32, "wisehost-webhook-v1", want, 32), APR_SUCCESS);
    assert_memory_equal(keys.webhook, want, 32);
    assert_int_equal(wh_sign_hkdf(root, 32, "wisehost-env-seal-v1", want, 32), APR_SUCCESS);
    assert_memory_equal(keys.env_seal, want, 32);
    assert_int_equal(wh_sign_hkdf(root, 32, "wisehost-hub-assertion-v1", want, 32), APR_SUCCESS);
    assert_memory_equal(keys.hub_assertion, want, 32);
    assert_int_equal(wh_sign_hkdf(root, 32, "wisehost-envelope-v1", want, 32), APR_SUCCESS);
    wh_keys_worker_mac(root, mac);
    assert_memory_equal(mac, want, 32);
}

static void test_hook_secret(void **state)
{
    unsigned char mac[WH_SHA256_LEN];
    wh_keys_t keys;

    wh_keys_derive(root, &keys);
    wh_sign_hmac(keys.webhook, 32, "hook:01abc", 10, mac);
    assert_string_equal(wh_keys_hook_secret(*state, &keys, "01abc", 0),
                        wh_sign_hex(*state, mac, sizeof(mac)));
    assert_string_not_equal(wh_keys_hook_secret(*state, &keys, "01abc", 0),
                            wh_keys_hook_secret(*state, &keys, "01abd", 0));
    assert_string_not_equal(wh_keys_hook_secret(*state, &keys, "01abc", 0),
                            wh_keys_hook_secret(*state, &keys, "01abc", 1));
    assert_string_not_equal(wh_keys_hook_secret(*state, &keys, "01abc", 2),
                            wh_keys_hook_secret(*state, &keys, "01abc", 1));
}

static void test_root(void **state)
{
    unsigned char out[WH_KEY_LEN], want[WH_KEY_LEN];
    wh_err_t err = WH_ERR_INIT;

    assert_int_equal(wh_sign_unhex(HEX64, 64, want), 0);
    assert_ok(wh_keys_read_root(*state, text_file(*state, HEX64 "\n"), out, &err), &err);
    assert_memory_equal(out, want, 32);
    assert_ok(wh_keys_read_root(*state, text_file(*state, HEX64), out, &err), &err);
    assert_ok(wh_keys_read_root(*state, file_of(*state, HEX64, 64, 0400), out, &err), &err);
}

static void test_content(void **state)
{
    apr_pool_t *p = *state;
    char big[8192];

    assert_root_refused(p, text_file(p, ""), "key_content");
    assert_root_refused(p, text_file(p, "\n"), "key_content");
    assert_root_refused(p, text_file(p, HEX64 "\r\n"), "key_content");
    assert_root_refused(p, text_file(p, HEX64 "\n\n"), "key_content");
    assert_root_refused(p, text_file(p, HEX64 " "), "key_content");
    assert_root_refused(p, text_file(p, " " HEX64), "key_content");
    assert_root_refused(p, text_file(p, HEX64 "00"), "key_content");
    assert_root_refused(p, text_file(p, "0123456789abcdef"), "key_content");
    assert_root_refused(p, file_of(p, HEX64 "\0", 65, 0600), "key_content");
    assert_root_refused(p, text_file(p, "changeme"), "key_content");
    memset(big, '0', sizeof(big));
    assert_root_refused(p, file_of(p, big, 64, 0600), "key_weak");
    assert_root_refused(p, file_of(p, big, sizeof(big), 0600), "key_content");
}

static void test_file(void **state)
{
    static const mode_t open_modes[] = {0640, 0604, 0644, 0660, 0666, 0610, 0601, 0602, 0620};
    apr_pool_t *p = *state;
    char *folder = apr_pstrdup(p, "/tmp/wh-keys-XXXXXX");
    const char *fifo = apr_psprintf(p, "/tmp/wh-keys-fifo-%d", (int)getpid());

    for (size_t i = 0; i < WH_ARRAY_LEN(open_modes); i++)
        assert_root_refused(p, file_of(p, HEX64 "\n", 65, open_modes[i]), "key_mode");
    assert_root_refused(p, "/nonexistent/root.key", "key_unreadable");
    assert_non_null(mkdtemp(folder));
    apr_pool_cleanup_register(p, folder, remove_folder, apr_pool_cleanup_null);
    assert_root_refused(p, folder, "key_not_file");
    assert_root_refused(p, "/dev/null", "key_not_file");
    /* A pipe without a writer must not hang the start. */
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    apr_pool_cleanup_register(p, fifo, remove_file, apr_pool_cleanup_null);
    assert_root_refused(p, fifo, "key_not_file");
}

static void test_owner(void **state)
{
    const char *path = file_of(*state, HEX64 "\n", 65, 0600);

    /* Only root can give a file away; the check is the same for all. No skip(): it says "not ok". */
    if (geteuid() != 0) {
        print_message("# not root: no file of another user to try with\n");
        return;
    }
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_root_refused(*state, path, "key_owner");
}

static void test_secret(void **state)
{
    apr_pool_t *p = *state;
    const char *secret = "kept";
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_keys_read_secret(p, text_file(p, HEX64 "\n"), &secret, &err), &err);
    assert_string_equal(secret, HEX64);
    assert_ok(wh_keys_read_secret(p, text_file(p, HEX64 HEX64 HEX64 HEX64), &secret, &err), &err);
    secret = "kept";
    assert_code(wh_keys_read_secret(p, text_file(p, "0123456789abcdef\n"), &secret, &err), &err,
                "key_content");
    assert_code(wh_keys_read_secret(p, text_file(p, HEX64 "0\n"), &secret, &err), &err,
                "key_content");
    assert_code(wh_keys_read_secret(p, text_file(p, HEX64 HEX64 HEX64 HEX64 "00"), &secret, &err),
                &err, "key_content");
    assert_code(wh_keys_read_secret(p, text_file(p, HEX64 "\r\n"), &secret, &err), &err,
                "key_content");
    assert_non_null(strstr(err.text, "carriage return"));
    assert_string_equal(secret, "kept");
}

static void assert_module_refused(apr_pool_t *p, const char *text, const char *code)
{
    wh_keys_t keys = {.webhook = "kept"};
    wh_err_t err = WH_ERR_INIT;

    assert_code(wh_keys_read_module(p, text_file(p, text), &keys, &err), &err, code);
    assert_int_equal(err.http, 500);
    assert_string_equal((char *)keys.webhook, "kept");
}

#define THREE "\"worker_jwt\":\"" HEX64 "\",\"webhook\":\"" HEX64 "\",\"env_seal\":\"" HEX64 "\""
static void test_module(void **state)
{
    apr_pool_t *p = *state;
    wh_keys_t keys, read;
    wh_err_t err = WH_ERR_INIT;

    wh_keys_derive(root, &keys);
    assert_ok(wh_keys_read_module(p, text_file(p, wh_keys_module_text(p, &keys)), &read, &err),
              &err);
    assert_memory_equal(&read, &keys, sizeof(keys));
    wh_keys_env_derive(root, 7, &keys);
    assert_ok(wh_keys_read_module(p, text_file(p, wh_keys_module_text(p, &keys)), &read, &err),
              &err);
    assert_memory_equal(&read, &keys, sizeof(keys));
    assert_int_equal(read.env_former_id, 6);
    assert_module_refused(p, "{\"version\":1," THREE ",\"hub_assertion\":\"" HEX64
                             "\",\"env_seal_id\":2}", "key_content");
    assert_module_refused(p, "{\"version\":1," THREE ",\"hub_assertion\":\"" HEX64
                             "\",\"env_seal_id\":1,\"env_former\":\"" HEX64 "\"}", "key_content");
    assert_module_refused(p, "", "key_content");
    assert_module_refused(p, HEX64 "\n", "key_content");
    assert_module_refused(p, "{\"version\":1," THREE "}", "key_content");
    assert_module_refused(p, "{\"version\":2," THREE ",\"hub_assertion\":\"" HEX64 "\"}",
                          "key_content");
    assert_module_refused(p, "{" THREE ",\"hub_assertion\":\"" HEX64 "\"}", "key_content");
    assert_module_refused(
        p, "{\"version\":1," THREE ",\"hub_assertion\":\"" HEX64 "\",\"root\":\"x\"}",
        "key_content");
    assert_module_refused(p, "{\"version\":1," THREE ",\"hub_assertion\":\"" HEX64 "00\"}",
                          "key_content");
    assert_module_refused(p,
                          "{\"version\":1," THREE ",\"hub_assertion\":"
                          "\"gg23456789abcdef0123456789ABCDEF00112233445566778899aabbccddeeff\"}",
                          "key_content");
    assert_module_refused(p,
                          "{\"version\":1," THREE ",\"hub_assertion\":"
                          "\"0000000000000000000000000000000000000000000000000000000000000000\"}",
                          "key_weak");
}

static void test_domain_proof(void **state)
{
    apr_pool_t *p = *state;
    wh_keys_t keys, other;
    const char *proof;

    wh_keys_derive(root, &keys);
    other = keys;
    other.webhook[0] ^= 1;
    proof = wh_keys_domain_proof(p, &keys, "a.example", "app1");
    assert_int_equal(strlen(proof), 40);
    assert_string_equal(wh_keys_domain_proof(p, &keys, "a.example", "app1"), proof);
    assert_string_not_equal(wh_keys_domain_proof(p, &keys, "b.example", "app1"), proof);
    assert_string_not_equal(wh_keys_domain_proof(p, &keys, "a.example", "app2"), proof);
    assert_string_not_equal(wh_keys_domain_proof(p, &keys, "a.exampleapp", "1"), proof);
    assert_string_not_equal(wh_keys_domain_proof(p, &other, "a.example", "app1"), proof);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F125 F126 F128 R8 each key has a label of its own", test_labels),
        UNIT("a hook's secret is derived from its id", test_hook_secret),
        UNIT("a domain's proof is of name and app", test_domain_proof),
        UNIT("F124 the root key is read", test_root),
        UNIT("XO1 short, weak and odd keys are refused, with CRLF too", test_content),
        UNIT("XO1 open permissions, folders, devices and pipes are refused", test_file),
        UNIT("XO1 a key of another user is refused", test_owner),
        UNIT("XO1 secrets have at least 64 hex digits", test_secret),
        UNIT("the module's key file holds exactly four derived keys", test_module),
    };

    return UNIT_RUN(tests);
}
