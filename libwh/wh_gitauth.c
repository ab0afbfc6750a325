/* wh_gitauth: see wh_gitauth.h. */
#include "libwh/wh_gitauth.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sshkey.h"

/* If anything else comes to lie there, rmdir says so by failing, and the next put with it. */
static const char *const files[] = {"ssh_config",  "known_hosts", "key0", "key1",
                                    "credentials", "credentials.lock"};

static const char forges[] =
#define WH_GITAUTH_HOST(host, key) host " " key "\n"
#include "libwh/wh_gitauth.def"
#include "libwh/wh_try.h"
#undef WH_GITAUTH_HOST
    ;

static const char ssh_options[] = "BatchMode yes\n"
                                  "IdentitiesOnly yes\n"
                                  "IdentityAgent none\n"
                                  "AddKeysToAgent no\n"
                                  "PreferredAuthentications publickey\n"
                                  "StrictHostKeyChecking yes\n"
                                  "UserKnownHostsFile " WH_GITAUTH_DIR "/known_hosts\n"
                                  "GlobalKnownHostsFile /dev/null\n"
                                  "UpdateHostKeys no\n"
                                  "VerifyHostKeyDNS no\n"
                                  "CheckHostIP no\n"
                                  "CanonicalizeHostname no\n"
                                  "ProxyCommand none\n"
                                  "ProxyJump none\n"
                                  "PermitLocalCommand no\n"
                                  "ForwardAgent no\n"
                                  "ForwardX11 no\n"
                                  "ClearAllForwardings yes\n"
                                  "Tunnel no\n"
                                  "ControlMaster no\n"
                                  "ControlPath none\n"
                                  "RequestTTY no\n"
                                  "EscapeChar none\n"
                                  "ConnectTimeout 20\n"
                                  "ServerAliveInterval 15\n"
                                  "ServerAliveCountMax 3\n"
                                  "LogLevel ERROR\n";

/* ---- files ---- */

static const char *path_of(apr_pool_t *p, const char *parent, const char *file)
{
    return apr_pstrcat(p, parent, "/" WH_GITAUTH_DIR, file[0] != '\0' ? "/" : "", file, NULL);
}

void wh_gitauth_drop(apr_pool_t *p, const char *parent)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(files); i++)
        (void)unlink(path_of(p, parent, files[i]));
    (void)rmdir(path_of(p, parent, ""));
}

static apr_status_t write_file(apr_pool_t *p, const char *parent, const char *name,
                               const char *text, wh_err_t *err)
{
    const char *path = path_of(p, parent, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 ? errno : wh_file_put(fd, text, strlen(text));

    if (fd >= 0 && close(fd) != 0 && rc == 0)
        rc = errno;
    return rc == 0 ? APR_SUCCESS : wh_err_wrap(err, rc, 500, "internal", "cannot write %s", path);
}

/* ---- ssh ---- */

/* The host's key is looked for by the name that the address has, wherever the connection goes. */
static const char *ssh_config(apr_pool_t *p, const char *url, const char *address,
                              const wh_gitauth_t *auth)
{
    wh_giturl_parts_t parts;
    const char *alias, *text = "Host *\n";

    wh_giturl_parts(p, url, &parts);
    alias = strcmp(parts.port, "22") == 0
                ? parts.host
                : apr_pstrcat(p, "[", parts.host, "]:", parts.port, NULL);
    for (int i = 0; i < auth->n_keys; i++)
        text = apr_psprintf(p, "%sIdentityFile " WH_GITAUTH_DIR "/key%d\n", text, i);
    return apr_pstrcat(p, text, "HostName ", address, "\nHostKeyAlias ", alias, "\n", ssh_options,
                       NULL);
}

static apr_status_t put_ssh(apr_pool_t *p, const char *parent, const char *url,
                            const char *address, const wh_gitauth_t *auth, wh_err_t *err)
{
    static const char *const names[WH_GITAUTH_KEYS] = {"key0", "key1"};

    for (int i = 0; i < auth->n_keys; i++)
        TRY(write_file(p, parent, names[i], auth->keys[i], err));
    TRY(write_file(p, parent, "known_hosts", apr_pstrcat(p, auth->known_hosts, forges, NULL), err));
    return write_file(p, parent, "ssh_config", ssh_config(p, url, address, auth), err);
}

/* ---- https ---- */

static const char *percent(apr_pool_t *p, const char *s)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, 3 * strlen(s) + 1), *to = out;

    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (apr_isalnum(c) || strchr("-._~", c) != NULL) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    *to = '\0';
    return out;
}

/* The host exactly as git has it from the address: letters and port. */
static const char *credentials(apr_pool_t *p, const char *url, const wh_gitauth_t *auth)
{
    const char *host = url + strlen("https://");

    return apr_pstrcat(p, "https://", percent(p, auth->user), ":", percent(p, auth->token), "@",
                       apr_pstrmemdup(p, host, strcspn(host, "/")), "\n", NULL);
}

int wh_gitauth_fits(apr_pool_t *p, const wh_gitauth_t *auth, const char *url)
{
    return auth->token[0] != '\0' && wh_giturl_kind(url) == WH_GITURL_HTTPS &&
           strcmp(auth->site, wh_giturl_site(p, url)) == 0;
}

apr_status_t wh_gitauth_put(apr_pool_t *p, const char *parent, const char *url,
                            const char *address, const wh_gitauth_t *auth, wh_err_t *err)
{
    int ssh = wh_giturl_kind(url) == WH_GITURL_SSH;
    const char *dir = path_of(p, parent, "");
    apr_status_t rv;

    wh_gitauth_drop(p, parent);
    if (ssh && auth->n_keys == 0)
        return wh_err_set(err, 422, "repository_auth",
                          "a repository over ssh needs a deploy key, and there is none for this "
                          "app: wh apps deploy-key makes one");
    if (!ssh && !wh_gitauth_fits(p, auth, url))
        return APR_SUCCESS;
    if (mkdir(dir, 0700) != 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot make %s", dir);
    rv = ssh ? put_ssh(p, parent, url, address, auth, err)
             : write_file(p, parent, "credentials", credentials(p, url, auth), err);
    if (rv != APR_SUCCESS)
        wh_gitauth_drop(p, parent);
    return rv;
}

/* ---- on the wire ---- */

json_t *wh_gitauth_json(const wh_gitauth_t *auth)
{
    json_t *keys;

    if (auth->n_keys == 0 && auth->token[0] == '\0')
        return NULL;
    keys = json_array();
    for (int i = 0; i < auth->n_keys; i++)
        (void)json_array_append_new(keys, json_string(auth->keys[i]));
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:b}", "keys", keys, "known_hosts",
                     auth->known_hosts, "site", auth->site, "user", auth->user, "token",
                     auth->token, "own_only", auth->own_only);
}

static apr_status_t decode_keys(json_t *json, wh_gitauth_t *auth, wh_err_t *err)
{
    json_t *keys = json_object_get(json, "keys"), *one;
    size_t i;

    if (json_array_size(keys) > WH_GITAUTH_KEYS)
        return wh_err_field(err, "/source/keys", "bad_payload", "there are too many keys");
    json_array_foreach(keys, i, one)
    {
        if (!json_is_string(one) || json_string_length(one) > WH_SSHKEY_MAX ||
            strlen(json_string_value(one)) != json_string_length(one))
            return wh_err_field(err, "/source/keys", "bad_payload", "this is no key");
        auth->keys[auth->n_keys++] = json_string_value(one);
    }
    return APR_SUCCESS;
}

apr_status_t wh_gitauth_decode(apr_pool_t *p, json_t *json, wh_gitauth_t *auth, wh_err_t *err)
{
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(json)));
    const wh_json_rule_t *lines = WH_JSON_RULE(WH_JSON_F_LINES, 0, WH_SSHKEY_MAX);

    *auth = WH_GITAUTH_NONE;
    TRY(decode_keys(json, auth, err));
    TRY(wh_json_str(&at, "known_hosts", lines, &auth->known_hosts, err));
    TRY(wh_json_str(&at, "site", WH_JSON_OPT(0, WH_GITURL_MAX), &auth->site, err));
    TRY(wh_json_str(&at, "user", WH_JSON_OPT(0, WH_GITAUTH_USER_MAX), &auth->user, err));
    TRY(wh_json_str(&at, "token", WH_JSON_OPT(0, WH_GITAUTH_TOKEN_MAX), &auth->token, err));
    return wh_json_bool(&at, "own_only", 0, &auth->own_only, err);
}

/* ---- sealed ---- */

#define BOUND_TO(row)                                                                              \
    {                                                                                              \
        (row)->app_id, (row)->site, (row)->shown                                                   \
    }

apr_status_t wh_gitauth_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                             wh_gitauth_row_t *row, const char *value, wh_err_t *err)
{
    const char *const names[] = BOUND_TO(row);
    const wh_secret_for_t what = {"wisehost-source-v1", names, WH_ARRAY_LEN(names)};

    row->key_id = ring->id;
    return wh_secret_seal(p, ring, rnd, &what,
                          (wh_secret_bytes_t){.at = value, .n = strlen(value)}, &row->sealed, err);
}

apr_status_t wh_gitauth_open(apr_pool_t *p, const wh_secret_ring_t *ring,
                             const wh_gitauth_row_t *row, const char **value, wh_err_t *err)
{
    const char *const names[] = BOUND_TO(row);
    const wh_secret_for_t what = {"wisehost-source-v1", names, WH_ARRAY_LEN(names)};
    wh_secret_bytes_t text;

    TRY(wh_secret_open(p, ring, row->key_id, &what, row->sealed, &text, err));
    *value = text.at;
    return APR_SUCCESS;
}
