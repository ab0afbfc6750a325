#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "t/unit/unit.h"
#include "libwh/wh_gitauth.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sshkey.h"
#include "libwh/wh_types.h"

/* Made by ssh-keygen for this test, and used nowhere. */
static const char ed25519[] =
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "QyNTUxOQAAACBhkqW9HurIwV2ShJMiFvfqE8jrLU/G+aOdhenm4P/vkwAAAJD4kyjO+JMo\n"
    "zgAAAAtzc2gtZWQyNTUxOQAAACBhkqW9HurIwV2ShJMiFvfqE8jrLU/G+aOdhenm4P/vkw\n"
    "AAAECvOBxxprKrkZuCBX1poRZOGUk1ZaJ1cUL0ooQeQNpUCGGSpb0e6sjBXZKEkyIW9+oT\n"
    "yOstT8b5o52F6ebg/++TAAAAB21lQGhlcmUBAgMEBQY=\n"
    "-----END OPENSSH PRIVATE KEY-----\n";
static const char ecdsa[] =
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n"
    "1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQTbsyRdm45J09530yXuwqRmUvTgEZcN\n"
    "IF5beX720uXQIWS2ATRPdFryHF7tLWYcezqsCuc1sngsakPme7XKeexjAAAAoGgGxCloBs\n"
    "QpAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNuzJF2bjknT3nfT\n"
    "Je7CpGZS9OARlw0gXlt5fvbS5dAhZLYBNE90WvIcXu0tZhx7OqwK5zWyeCxqQ+Z7tcp57G\n"
    "MAAAAhAMT2/ihPVNG05SEy5vZCAzZd8BKVkw+uszBFwTCnHR61AAAAAXgBAgMEBQY=\n"
    "-----END OPENSSH PRIVATE KEY-----\n";
static const char with_passphrase[] =
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAXNmhWeJ\n"
    "o7NciJQ8Z3Q8X1AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIKj8yRNNqsTgDQr9\n"
    "6Jf5a9DIndN01x57MtOSUJRoyZ7hAAAAkBJDgSkodirGpEpvlAUDJOCrMlbQaEzwDcJTa5\n"
    "OonwcZxbfcxZL5D+Oail4Nh3truFGiTLY0qRJEuXryzrMwSVwLpGz3dFCM9h8ZY/8C7cqc\n"
    "pObJT+jE4F/cAHGqNeFi0iXp3Z9c8rQLadwzCg3yFqAWDrwsjQPaP+ZHEKP76HQx2rpwcw\n"
    "/F78yvg71vXffclA==\n"
    "-----END OPENSSH PRIVATE KEY-----\n";

#define ED_BLOB "AAAAC3NzaC1lZDI1NTE5AAAAIGGSpb0e6sjBXZKEkyIW9+oTyOstT8b5o52F6ebg/++T"
#define EC_BLOB \
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNuzJF2bjknT3nfTJe7CpGZS9OARlw0gXlt5fvbS5dAhZLYBNE90WvIcXu0tZhx7OqwK5zWyeCxqQ+Z7tcp57GM="

static void test_given(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    wh_sshkey_t key;

    assert_ok(wh_sshkey_read(*state, ed25519, "wisehost-blog", &key, &err), &err);
    assert_string_equal(key.public_text, "ssh-ed25519 " ED_BLOB " wisehost-blog");
    assert_string_equal(key.private_text, ed25519);
    assert_string_equal(wh_sshkey_fingerprint(*state, key.public_text),
                        "SHA256:ppTUxoez6ZoCpDOfWk4LR/PgXTci9QaQGX+g8zEOMQw");
    assert_ok(wh_sshkey_read(*state, ecdsa, "x", &key, &err), &err);
    assert_string_equal(key.public_text, "ecdsa-sha2-nistp256 " EC_BLOB " x");
    assert_string_equal(wh_sshkey_fingerprint(*state, key.public_text),
                        "SHA256:2LsbaJi4H7YfC0DE96PgGjHdictZ2xrcL+zGG+d4Z+M");
    assert_string_equal(wh_sshkey_fingerprint(*state, "x"), "");
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "", "x", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n????\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", with_passphrase};
    wh_err_t err = WH_ERR_INIT;
    wh_sshkey_t key;
    char *cut = apr_pstrdup(*state, ed25519);

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_sshkey_read(*state, bad[i], "x", &key, &err), &err, "key_invalid");
    assert_non_null(strstr(err.text, "passphrase"));
    /* whatever of it is cut off or changed: an error, never a crash */
    for (size_t i = 40; i < strlen(cut); i++) {
        char was = cut[i];

        cut[i] = was == 'A' ? 'B' : 'A';
        if (wh_sshkey_read(*state, cut, "x", &key, &err) != APR_SUCCESS)
            assert_string_equal(err.code, "key_invalid");
        cut[i] = was;
    }
}

/* What is made is read back as it is. */
static void test_made(void **state)
{
    wh_rand_fake_t fake;
    wh_sshkey_t key, again;
    wh_err_t err = WH_ERR_INIT;

    wh_rand_fake_init(&fake, 7);
    for (int i = 0; i < 20; i++) {
        const char *comment = apr_pstrmemdup(*state, "wisehost-abcdefghijkl", 9 + (size_t)i % 12);

        assert_ok(wh_sshkey_make(*state, &fake.rnd, comment, &key, &err), &err);
        assert_ok(wh_sshkey_read(*state, key.private_text, comment, &again, &err), &err);
        assert_string_equal(key.public_text, again.public_text);
        assert_string_equal(key.private_text, again.private_text);
    }
    fake.fail_after = 0;
    assert_code(wh_sshkey_make(*state, &fake.rnd, "x", &key, &err), &err, "no_random");
}

static void test_hosts(void **state)
{
    static const char *const bad[] = {
        "h ssh-ed25519", "h ssh-ed25519 AAAA", "h ssh-dss " ED_BLOB, "h ecdsa-sha2-nistp256 " ED_BLOB,
        "@cert-authority h ssh-ed25519 " ED_BLOB, "h;x ssh-ed25519 " ED_BLOB, "ssh-ed25519 " ED_BLOB,
        "h ssh-ed25519 " ED_BLOB "\nh", "h ssh-ed25519 " ED_BLOB "=", "|1|a\"b|c ssh-ed25519 " ED_BLOB};
    wh_err_t err = WH_ERR_INIT;
    const char *clean, *many = "";

    assert_ok(wh_sshkey_hosts(*state,
                              "# h:22 SSH-2.0\n\n  [h.example]:2222,10.0.0.1\tssh-ed25519  " ED_BLOB
                              " root@h\r\n|1|aa+/=|bb= ecdsa-sha2-nistp256 " EC_BLOB,
                              &clean, &err),
              &err);
    assert_string_equal(clean, "[h.example]:2222,10.0.0.1 ssh-ed25519 " ED_BLOB
                               "\n|1|aa+/=|bb= ecdsa-sha2-nistp256 " EC_BLOB "\n");
    assert_ok(wh_sshkey_hosts(*state, "# nothing\n", &clean, &err), &err);
    assert_string_equal(clean, "");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_sshkey_hosts(*state, bad[i], &clean, &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_string_equal(err.code, "known_hosts_invalid");
    }
    for (int i = 0; i < 65; i++)
        many = apr_pstrcat(*state, many, "h ssh-ed25519 " ED_BLOB "\n", NULL);
    assert_code(wh_sshkey_hosts(*state, many, &clean, &err), &err, "known_hosts_invalid");
}

static char *slurp(apr_pool_t *p, const char *dir, const char *name)
{
    char *buf = apr_pcalloc(p, 8192);
    const char *path = apr_pstrcat(p, dir, "/auth/", name, NULL);
    FILE *f = fopen(path, "r");
    struct stat st;

    if (f == NULL)
        return NULL;
    assert_int_equal(fstat(fileno(f), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)!fread(buf, 1, 8191, f);
    fclose(f);
    return buf;
}

static void test_files(void **state)
{
    apr_pool_t *p = *state;
    wh_gitauth_t auth = {.keys = {"one\n", "two\n"}, .n_keys = 2, .known_hosts = "h k\n",
                         .site = "h:8443", .user = "me@x", .token = "t/\xc3\xa4:@ "};
    char *dir = apr_pstrdup(p, "/tmp/wh-gitauth-XXXXXX"), *text;
    wh_err_t err = WH_ERR_INIT;
    struct stat st;

    assert_non_null(mkdtemp(dir));
    assert_ok(wh_gitauth_put(p, dir, "ssh://git@H:2222/x", "10.0.0.9", &auth, &err), &err);
    assert_int_equal(stat(apr_pstrcat(p, dir, "/auth", NULL), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_string_equal(slurp(p, dir, "key0"), "one\n");
    assert_string_equal(slurp(p, dir, "key1"), "two\n");
    assert_int_equal(strncmp(slurp(p, dir, "known_hosts"), "h k\ngithub.com ssh-ed25519 ", 26), 0);
    text = slurp(p, dir, "ssh_config");
    assert_int_equal(strncmp(text, "Host *\nIdentityFile auth/key0\nIdentityFile auth/key1\n"
                                   "HostName 10.0.0.9\nHostKeyAlias [h]:2222\n", 92), 0);
    assert_non_null(strstr(text, "\nStrictHostKeyChecking yes\n"));
    assert_non_null(strstr(text, "\nForwardAgent no\n"));
    assert_null(slurp(p, dir, "credentials"));
    assert_ok(wh_gitauth_put(p, dir, "https://H:8443/x", "", &auth, &err), &err);
    assert_null(slurp(p, dir, "key0"));
    assert_string_equal(slurp(p, dir, "credentials"),
                        "https://me%40x:t%2F%C3%A4%3A%40%20@H:8443\n");
    assert_ok(wh_gitauth_put(p, dir, "https://h/x", "", &auth, &err), &err);
    assert_int_equal(access(apr_pstrcat(p, dir, "/auth", NULL), F_OK), -1);
    auth.n_keys = 0;
    assert_code(wh_gitauth_put(p, dir, "git@h:x", "10.0.0.9", &auth, &err), &err, "repository_auth");
    assert_int_equal(rmdir(dir), 0);
}

static void test_wire(void **state)
{
    wh_gitauth_t auth = WH_GITAUTH_NONE, back;
    wh_err_t err = WH_ERR_INIT;
    json_t *json;

    assert_null(wh_gitauth_json(&auth));
    auth.keys[auth.n_keys++] = ed25519;
    auth.known_hosts = "a\nb\n";
    auth.own_only = 1;
    json = wh_gitauth_json(&auth);
    assert_ok(wh_gitauth_decode(*state, json, &back, &err), &err);
    assert_int_equal(back.n_keys, 1);
    assert_string_equal(back.keys[0], ed25519);
    assert_string_equal(back.known_hosts, "a\nb\n");
    assert_string_equal(back.token, "");
    assert_int_equal(back.own_only, 1);
    json_array_append_new(json_object_get(json, "keys"), json_integer(1));
    assert_code(wh_gitauth_decode(*state, json, &back, &err), &err, "bad_payload");
    json_decref(json);
}

static void test_sealed(void **state)
{
    static const unsigned char root[WH_KEY_LEN] = "0123456789abcdefghijklmnopqrstu";
    wh_secret_ring_t ring = {.id = 2, .root = root};
    wh_gitauth_row_t row = {.app_id = "a", .kind = "deploy_key", .site = "", .shown = "ssh-x"};
    wh_rand_fake_t fake;
    wh_err_t err = WH_ERR_INIT;
    const char *value;

    wh_rand_fake_init(&fake, 7);
    assert_ok(wh_gitauth_seal(*state, &ring, &fake.rnd, &row, ed25519, &err), &err);
    assert_int_equal(row.key_id, 2);
    row.kind = "former_key"; /* as it becomes with the next one */
    assert_ok(wh_gitauth_open(*state, &ring, &row, &value, &err), &err);
    assert_string_equal(value, ed25519);
    row.site = "evil.example";
    assert_code(wh_gitauth_open(*state, &ring, &row, &value, &err), &err, "secret_broken");
    row.site = "";
    row.app_id = "b";
    assert_code(wh_gitauth_open(*state, &ring, &row, &value, &err), &err, "secret_broken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F216 a private key that was given", test_given),
        UNIT("what is no private key, or one that nobody can use", test_refused),
        UNIT("F216 a private key that was made", test_made),
        UNIT("known hosts are plain lines of known kinds", test_hosts),
        UNIT("D6 what git is given lies in files for it alone", test_files),
        UNIT("between hub and agent", test_wire),
        UNIT("sealed, and bound to app and host", test_sealed),
    };

    return UNIT_RUN(tests);
}
