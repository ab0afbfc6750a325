#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <sys/stat.h>
#include <apr_strings.h>
#include "libwh/wh_file.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"

#define FILE_MAX 4096
#define KEY_HEX ((size_t)2 * WH_KEY_LEN)
#define SECRET_MIN 64
#define SECRET_MAX 256

static void derive(const unsigned char root[WH_KEY_LEN], const char *label, unsigned char *out)
{
    /* Fails for a silly length only, and this one is fixed. */
    if (wh_sign_hkdf(root, WH_KEY_LEN, label, out, WH_KEY_LEN) != APR_SUCCESS)
        abort();
}

void wh_keys_derive(const unsigned char root[WH_KEY_LEN], wh_keys_t *keys)
{
    derive(root, "wisehosting-worker-jwt-v1", keys->worker_jwt);
    derive(root, "wisehost-webhook-v1", keys->webhook);
    derive(root, "wisehost-hub-assertion-v1", keys->hub_assertion);
    wh_keys_env_derive(root, 1, keys);
}

void wh_keys_env(const unsigned char root[WH_KEY_LEN], apr_int64_t id,
                 unsigned char out[WH_KEY_LEN])
{
    char label[64] = "wisehost-env-seal-v1";

    if (id > 1)
        (void)apr_snprintf(label, sizeof(label), "wisehost-env-seal-v1/%" APR_INT64_T_FMT, id);
    derive(root, label, out);
}

void wh_keys_env_derive(const unsigned char root[WH_KEY_LEN], apr_int64_t id, wh_keys_t *keys)
{
    wh_keys_env(root, id, keys->env_seal);
    keys->env_seal_id = id;
    keys->env_former_id = id - 1;
    memset(keys->env_former, 0, sizeof(keys->env_former));
    if (id > 1)
        wh_keys_env(root, id - 1, keys->env_former);
}

void wh_keys_worker_mac(const unsigned char key_sha256[WH_KEY_LEN], unsigned char out[WH_KEY_LEN])
{
    derive(key_sha256, "wisehost-envelope-v1", out);
}

char *wh_keys_hook_secret(apr_pool_t *p, const wh_keys_t *keys, const char *hook_id,
                          apr_int64_t n)
{
    const char *more = n > 0 ? apr_psprintf(p, ":%" APR_INT64_T_FMT, n) : "";
    unsigned char mac[WH_SHA256_LEN];
    wh_sign_ctx_t *ctx = wh_sign_hmac_begin(p, keys->webhook, sizeof(keys->webhook));

    wh_sign_add(ctx, "hook:", 5);
    wh_sign_add(ctx, hook_id, strlen(hook_id));
    wh_sign_add(ctx, more, strlen(more));
    wh_sign_end(ctx, mac);
    return wh_sign_hex(p, mac, sizeof(mac));
}

char *wh_keys_domain_proof(apr_pool_t *p, const wh_keys_t *keys, const char *host,
                           const char *app_id)
{
    unsigned char key[WH_KEY_LEN], mac[WH_SHA256_LEN];
    wh_sign_ctx_t *ctx;

    derive(keys->webhook, "wisehost-domain-proof-v1", key);
    ctx = wh_sign_hmac_begin(p, key, sizeof(key));
    wh_sign_add(ctx, host, strlen(host) + 1);
    wh_sign_add(ctx, app_id, strlen(app_id));
    wh_sign_end(ctx, mac);
    wh_sign_wipe(key, sizeof(key));
    return wh_sign_hex(p, mac, 20);
}

/* 32 random bytes with fewer than 8 different values do not happen; a repeated character does. */
static int looks_weak(const unsigned char *key, size_t n)
{
    unsigned char seen[256] = {0};
    int different = 0;

    for (size_t i = 0; i < n; i++) {
        different += !seen[key[i]];
        seen[key[i]] = 1;
    }
    return different < 8;
}

static apr_status_t check_file(int fd, const char *path, wh_err_t *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return wh_err_wrap(err, errno, 500, "key_unreadable", "%s", path);
    if (!S_ISREG(st.st_mode))
        return wh_err_set(err, 500, "key_not_file", "%s is not a regular file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return wh_err_set(
            err, 500, "key_owner",
            "%s belongs to user %lu, which is neither root nor the user of this process"
            " (%lu): chown it",
            path, (unsigned long)st.st_uid, (unsigned long)geteuid());
    if ((st.st_mode & 077) != 0)
        return wh_err_set(err, 500, "key_mode",
                          "%s can be read or written by others (mode %04o): chmod 600 %s", path,
                          (unsigned)(st.st_mode & 07777), path);
    if (st.st_size > FILE_MAX)
        return wh_err_set(err, 500, "key_content", "%s is too long for a key file", path);
    return APR_SUCCESS;
}

/* All of the file into buf of FILE_MAX + 1 bytes; one byte more than a key file may have is asked
 * for, so that a file which grows meanwhile is seen. */
static apr_status_t read_all(int fd, const char *path, char *buf, size_t *len, wh_err_t *err)
{
    apr_status_t rv = wh_file_get(fd, buf, FILE_MAX + 1, len);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "key_unreadable", "%s", path);
    if (*len <= FILE_MAX)
        return APR_SUCCESS;
    return wh_err_set(err, 500, "key_content", "%s is too long for a key file", path);
}

/* Not blocking, because the path may be a pipe; what was opened is checked, not the name. */
static apr_status_t slurp(const char *path, char *buf, size_t *len, wh_err_t *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    apr_status_t rv;

    if (fd < 0)
        return wh_err_wrap(err, errno, 500, "key_unreadable", "%s", path);
    rv = check_file(fd, path, err);
    if (rv == APR_SUCCESS)
        rv = read_all(fd, path, buf, len, err);
    close(fd);
    if (rv != APR_SUCCESS)
        wh_sign_wipe(buf, FILE_MAX + 1);
    return rv;
}

/* Hex digits, then at most one line feed, and not a byte more. *digits = how many. */
static apr_status_t hex_line(const char *path, const char *buf, size_t len, size_t *digits,
                             wh_err_t *err)
{
    size_t n = 0;

    while (n < len && strchr("0123456789abcdefABCDEF", buf[n]) != NULL && buf[n] != '\0')
        n++;
    if (n < len && buf[n] == '\r')
        return wh_err_set(
            err, 500, "key_content",
            "%s has a carriage return behind the key: write it with a plain line feed", path);
    if (n != len && !(n + 1 == len && buf[n] == '\n'))
        return wh_err_set(err, 500, "key_content",
                          "%s must hold one line of hex digits and no more", path);
    *digits = n;
    return APR_SUCCESS;
}

apr_status_t wh_keys_read_root(apr_pool_t *p, const char *path, unsigned char root[WH_KEY_LEN],
                               wh_err_t *err)
{
    char buf[FILE_MAX + 1];
    unsigned char key[WH_KEY_LEN];
    size_t len = 0, digits = 0;
    apr_status_t rv = slurp(path, buf, &len, err);

    (void)p;
    if (rv != APR_SUCCESS)
        return rv;
    rv = hex_line(path, buf, len, &digits, err);
    if (rv == APR_SUCCESS && (digits != KEY_HEX || wh_sign_unhex(buf, digits, key) != 0))
        rv =
            wh_err_set(err, 500, "key_content", "%s must hold %d hex digits", path, 2 * WH_KEY_LEN);
    if (rv == APR_SUCCESS && looks_weak(key, sizeof(key)))
        rv = wh_err_set(err, 500, "key_weak", "%s is not random: make a new one", path);
    if (rv == APR_SUCCESS)
        memcpy(root, key, sizeof(key));
    wh_sign_wipe(key, sizeof(key));
    wh_sign_wipe(buf, sizeof(buf));
    return rv;
}

apr_status_t wh_keys_read_secret(apr_pool_t *p, const char *path, const char **secret,
                                 wh_err_t *err)
{
    char buf[FILE_MAX + 1];
    unsigned char raw[SECRET_MAX / 2];
    size_t len = 0, digits = 0;
    apr_status_t rv = slurp(path, buf, &len, err);

    if (rv != APR_SUCCESS)
        return rv;
    rv = hex_line(path, buf, len, &digits, err);
    if (rv == APR_SUCCESS &&
        (digits < SECRET_MIN || digits > SECRET_MAX || wh_sign_unhex(buf, digits, raw) != 0))
        rv = wh_err_set(err, 500, "key_content",
                        "%s must hold %d to %d hex digits, an even number of them", path,
                        SECRET_MIN, SECRET_MAX);
    if (rv == APR_SUCCESS && looks_weak(raw, digits / 2))
        rv = wh_err_set(err, 500, "key_weak", "%s is not random: make a new one", path);
    if (rv == APR_SUCCESS)
        *secret = apr_pstrmemdup(p, buf, digits);
    wh_sign_wipe(raw, sizeof(raw));
    wh_sign_wipe(buf, sizeof(buf));
    return rv;
}

/* Where each derived key stands in the file and in the struct. */
static const struct {
    const char *name;
    size_t offset;
} module_keys[] = {
    {"worker_jwt", offsetof(wh_keys_t, worker_jwt)},
    {"webhook", offsetof(wh_keys_t, webhook)},
    {"env_seal", offsetof(wh_keys_t, env_seal)},
    {"hub_assertion", offsetof(wh_keys_t, hub_assertion)},
};

char *wh_keys_module_text(apr_pool_t *p, const wh_keys_t *keys)
{
    char *text = apr_pstrdup(p, "{\"version\":1");

    for (size_t i = 0; i < WH_ARRAY_LEN(module_keys); i++) {
        const unsigned char *key = (const unsigned char *)keys + module_keys[i].offset;

        text = apr_pstrcat(p, text, ",\"", module_keys[i].name, "\":\"",
                           wh_sign_hex(p, key, WH_KEY_LEN), "\"", NULL);
    }
    /* As it always was until the first rotation: an older module reads it. */
    if (keys->env_seal_id > 1)
        text = apr_psprintf(p, "%s,\"env_seal_id\":%" APR_INT64_T_FMT ",\"env_former\":\"%s\"", text,
                            keys->env_seal_id, wh_sign_hex(p, keys->env_former, WH_KEY_LEN));
    return apr_pstrcat(p, text, "}\n", NULL);
}

static apr_status_t module_key(const wh_json_at_t *at, const char *name, unsigned char *out,
                               wh_err_t *err)
{
    const char *hex = NULL;
    apr_status_t rv = wh_json_str(at, name, WH_JSON_REQ(KEY_HEX, KEY_HEX), &hex, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (wh_sign_unhex(hex, KEY_HEX, out) != 0)
        return wh_err_set(err, 500, "key_content", "%s is not hex", name);
    if (looks_weak(out, WH_KEY_LEN))
        return wh_err_set(err, 500, "key_weak", "%s is not random", name);
    return APR_SUCCESS;
}

static apr_status_t module_decode(apr_pool_t *p, const char *buf, size_t len, wh_keys_t *keys,
                                  wh_err_t *err)
{
    static const char *const names[] = {"version", "worker_jwt", "webhook", "env_seal",
                                        "hub_assertion", "env_seal_id", "env_former"};
    apr_int64_t version = 0;
    wh_json_at_t at;
    json_t *doc;
    apr_status_t rv = wh_json_load_object(p, buf, len, NULL, &doc, err);

    if (rv != APR_SUCCESS)
        return rv;
    at = wh_json_root(doc);
    rv = wh_json_only(&at, names, WH_ARRAY_LEN(names), err);
    if (rv == APR_SUCCESS)
        rv = wh_json_int(&at, "version", WH_JSON_REQ(1, 1), &version, err);
    for (size_t i = 0; i < WH_ARRAY_LEN(module_keys) && rv == APR_SUCCESS; i++)
        rv = module_key(&at, module_keys[i].name, (unsigned char *)keys + module_keys[i].offset,
                        err);
    keys->env_seal_id = 1;
    if (rv == APR_SUCCESS)
        rv = wh_json_int(&at, "env_seal_id", WH_JSON_OPT(2, APR_INT32_MAX), &keys->env_seal_id, err);
    keys->env_former_id = keys->env_seal_id - 1;
    if (rv == APR_SUCCESS && keys->env_former_id > 0)
        rv = module_key(&at, "env_former", keys->env_former, err);
    return rv;
}

/* The document is decoded in a pool of its own, which is gone before the caller goes on. */
apr_status_t wh_keys_read_module(apr_pool_t *p, const char *path, wh_keys_t *keys, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;
    wh_keys_t read = {.worker_jwt = {0}};
    char buf[FILE_MAX + 1];
    apr_pool_t *ptemp;
    size_t len = 0;
    apr_status_t rv = slurp(path, buf, &len, err);

    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_pool_create(&ptemp, p);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    apr_pool_tag(ptemp, "wh_keys_read_module");
    rv = module_decode(ptemp, buf, len, &read, &why);
    if (rv != APR_SUCCESS)
        rv = wh_err_set(err, 500, wh_err_is(&why, "key_weak") ? "key_weak" : "key_content",
                        "%s is not a module key file of wh-scheduler --init: %s%s%s", path,
                        why.pointer, why.pointer[0] != '\0' ? ": " : "", why.text);
    else
        *keys = read;
    apr_pool_destroy(ptemp);
    wh_sign_wipe(&read, sizeof(read));
    wh_sign_wipe(buf, sizeof(buf));
    return rv;
}
