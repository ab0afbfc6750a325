#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <jansson.h>
#include "config.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_jwt.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "libwh/wh_sign.h"
#include "wh-agent/api.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/identity.h"

#define KEY_HEX 64
#define ENROLMENT_MAX 512

struct wh_identity_t {
    wh_identity_opts_t opts;
    apr_thread_mutex_t *lock;
    char key[KEY_HEX + 1];
    char next[KEY_HEX + 1]; /* of api.key.next; "" = none */
    char id[WH_ID_LEN + 1];
    char token[WH_JWT_MAX + 1]; /* "" = none yet */
    wh_mono_t refresh_at;
    wh_mono_t dead_at;
};

/* ---- files ---- */

/* A one-line file that only the agent may read. APR_NOTFOUND when it is not there. */
static apr_status_t read_line(apr_pool_t *p, const char *path, char **text, wh_err_t *err)
{
    struct stat st;
    size_t n = 0;
    apr_status_t rv = wh_fsutil_read(p, path, ENROLMENT_MAX, text, &n, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        return wh_err_set(err, 500, "key_mode", "%s can be read by others: chmod 600 it", path);
    while (n > 0 && (*text)[n - 1] == '\n')
        (*text)[--n] = '\0';
    return APR_SUCCESS;
}

static apr_status_t make_line(apr_pool_t *p, const char *path, const char *value, wh_err_t *err)
{
    const char *line = apr_pstrcat(p, value, "\n", NULL);

    if (value == NULL)
        return wh_err_set(err, 500, "internal", "there are no random numbers to be had");
    return wh_fsutil_write(p, path, line, strlen(line), WH_FSUTIL_DURABLE, err);
}

static const char *key_path(apr_pool_t *p, const wh_identity_t *id, const char *name)
{
    return apr_pstrcat(p, id->opts.conf->state_dir, "/", name, NULL);
}

/* The key in a file. APR_NOTFOUND when it is not there. */
static apr_status_t read_key(apr_pool_t *p, const char *path, char key[KEY_HEX + 1], wh_err_t *err)
{
    char *text;
    apr_status_t rv = read_line(p, path, &text, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (strlen(text) != KEY_HEX || !wh_sign_is_hex(text, KEY_HEX))
        return wh_err_set(err, 500, "key_content",
                          "%s does not hold 64 hex digits: remove it and enrol this worker anew",
                          path);
    memcpy(key, text, KEY_HEX + 1);
    return APR_SUCCESS;
}

/* A new key, written durably before anybody hears of it. */
static apr_status_t make_key(apr_pool_t *p, const wh_identity_t *id, const char *path,
                             char key[KEY_HEX + 1], wh_err_t *err)
{
    const char *fresh = wh_rand_hex(p, id->opts.rnd, KEY_HEX / 2);
    apr_status_t rv = fresh != NULL
                          ? make_line(p, path, fresh, err)
                          : wh_err_set(err, 500, "internal", "there are no random numbers");

    if (rv == APR_SUCCESS)
        memcpy(key, fresh, KEY_HEX + 1);
    return rv;
}

static apr_status_t open_keys(apr_pool_t *p, wh_identity_t *id, wh_err_t *err)
{
    const char *path = key_path(p, id, "api.key");
    apr_status_t rv = read_key(p, path, id->key, err);

    if (rv == APR_NOTFOUND)
        rv = make_key(p, id, path, id->key, err);
    if (rv == APR_SUCCESS) {
        rv = read_key(p, key_path(p, id, "api.key.next"), id->next, err);
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return rv;
}

static apr_status_t open_id(apr_pool_t *p, wh_identity_t *id, wh_err_t *err)
{
    const char *path = apr_pstrcat(p, id->opts.conf->state_dir, "/agent.id", NULL), *fresh;
    char *text;
    apr_status_t rv = read_line(p, path, &text, err);

    if (rv == APR_NOTFOUND) {
        fresh = wh_id_make(p, wh_clock_now(id->opts.clock), id->opts.rnd);
        rv = fresh != NULL ? make_line(p, path, fresh, err)
                           : wh_err_set(err, 500, "internal", "there are no random numbers");
        if (rv == APR_SUCCESS)
            apr_cpystrn(id->id, fresh, sizeof(id->id));
        return rv;
    }
    if (rv != APR_SUCCESS)
        return rv;
    if (!wh_id_ok(text))
        return wh_err_set(err, 500, "key_content", "%s does not hold an id: remove it", path);
    apr_cpystrn(id->id, text, sizeof(id->id));
    return APR_SUCCESS;
}

static apr_status_t wipe(void *data)
{
    wh_identity_t *id = data;

    wh_sign_wipe(id->key, sizeof(id->key));
    wh_sign_wipe(id->next, sizeof(id->next));
    wh_sign_wipe(id->token, sizeof(id->token));
    return APR_SUCCESS;
}

apr_status_t wh_identity_open(apr_pool_t *p, const wh_identity_opts_t *opts, wh_identity_t **out,
                              wh_err_t *err)
{
    wh_identity_t *id = apr_pcalloc(p, sizeof(*id));
    apr_status_t rv;

    id->opts = *opts;
    rv = apr_thread_mutex_create(&id->lock, APR_THREAD_MUTEX_DEFAULT, p);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "cannot make a lock");
    apr_pool_cleanup_register(p, id, wipe, apr_pool_cleanup_null);
    rv = open_keys(p, id, err);
    if (rv == APR_SUCCESS)
        rv = open_id(p, id, err);
    *out = id;
    return rv;
}

const char *wh_identity_agent_id(const wh_identity_t *id)
{
    return id->id;
}

void wh_identity_mac_key(wh_identity_t *id, unsigned char out[32])
{
    unsigned char hash[WH_KEY_LEN];

    apr_thread_mutex_lock(id->lock);
    wh_sign_sha256(id->key, KEY_HEX, hash);
    apr_thread_mutex_unlock(id->lock);
    wh_keys_worker_mac(hash, out);
    wh_sign_wipe(hash, sizeof(hash));
}

/* ---- the token ---- */

apr_int64_t wh_identity_lifetime(apr_pool_t *p, const char *token)
{
    const char *dot = strchr(token, '.'), *end = dot != NULL ? strchr(dot + 1, '.') : NULL;
    const json_t *iat, *exp;
    unsigned char *text;
    size_t n;
    json_t *claims;

    if (end == NULL || wh_sign_unb64url(p, dot + 1, (size_t)(end - dot - 1), &text, &n) != 0 ||
        wh_json_load_object(p, (const char *)text, n, NULL, &claims, NULL) != APR_SUCCESS)
        return -1;
    iat = json_object_get(claims, "iat");
    exp = json_object_get(claims, "exp");
    if (!json_is_integer(iat) || !json_is_integer(exp) ||
        json_integer_value(exp) <= json_integer_value(iat) ||
        json_integer_value(exp) - json_integer_value(iat) > 86400)
        return -1;
    return (apr_int64_t)(json_integer_value(exp) - json_integer_value(iat));
}

/* The lifetime counts from now on our monotonic clock: neither a jump of this machine's clock nor a
 * difference to the server's can make us use a dead token. */
static apr_status_t take_token(wh_identity_t *id, apr_pool_t *p, const json_t *reply, wh_err_t *err)
{
    const char *token = json_string_value(json_object_get(reply, "token"));
    apr_int64_t life =
        token != NULL && strlen(token) <= WH_JWT_MAX ? wh_identity_lifetime(p, token) : -1;
    wh_mono_t now = wh_clock_mono(id->opts.clock);

    if (life <= 0)
        return wh_err_set(err, 502, "bad_reply", "the server gave no usable worker token");
    apr_cpystrn(id->token, token, sizeof(id->token));
    id->refresh_at = wh_mono_add(
        now, apr_time_from_sec(life > 2 * WH_JWT_SKEW_S ? life - WH_JWT_SKEW_S : life / 2));
    id->dead_at = wh_mono_add(now, apr_time_from_sec(life));
    return APR_SUCCESS;
}

static apr_status_t refresh_by(wh_identity_t *id, apr_pool_t *p, wh_api_t *api, const char *key,
                               wh_err_t *err)
{
    wh_api_call_t call = {
        .method = "POST", .path = "/v1/workers/refresh-token", .bearer = key, .fd = -1};
    json_t *reply = NULL;
    apr_status_t rv = wh_api_call(api, p, &call, &reply, err);

    return rv == APR_SUCCESS ? take_token(id, p, reply, err) : rv;
}

/* The new key is the server's: from now on it is ours. */
static apr_status_t adopt(wh_identity_t *id, apr_pool_t *p, wh_err_t *err)
{
    apr_status_t rv =
        wh_fsutil_rename(p, key_path(p, id, "api.key.next"), key_path(p, id, "api.key"), err);

    if (rv != APR_SUCCESS)
        return rv;
    memcpy(id->key, id->next, sizeof(id->key));
    wh_sign_wipe(id->next, sizeof(id->next));
    wh_log(WH_LOG_INFO, NULL, "the key of this worker was changed");
    return APR_SUCCESS;
}

/* With a change of the key that was cut off, either key may be the server's. */
static apr_status_t refresh(wh_identity_t *id, apr_pool_t *p, wh_api_t *api, wh_err_t *err)
{
    apr_status_t rv = refresh_by(id, p, api, id->key, err);

    if (rv == APR_SUCCESS || err->http != 401 || id->next[0] == '\0')
        return rv;
    rv = refresh_by(id, p, api, id->next, err);
    return rv == APR_SUCCESS ? adopt(id, p, err) : rv;
}

static apr_status_t register_by(wh_identity_t *id, apr_pool_t *p, wh_api_t *api, const char *key,
                                wh_err_t *err)
{
    const wh_agent_conf_t *conf = id->opts.conf;
    json_t *labels = json_loads(conf->labels, 0, NULL), *body, *reply = NULL;
    wh_api_call_t call = {.method = "POST", .path = "/v1/workers/register", .fd = -1};
    char *enrolment;
    apr_status_t rv = read_line(p, conf->enrolment_token_file, &enrolment, err);

    if (rv != APR_SUCCESS) {
        json_decref(labels);
        return rv;
    }
    body =
        wh_json_own(p, json_pack("{s:s, s:s, s:I, s:I, s:s, s:o, s:s, s:s}", "name", conf->name,
                                 "api_key", key, "cpu_millis", (json_int_t)conf->cpu_millis,
                                 "memory_bytes", (json_int_t)conf->memory_bytes, "address",
                                 conf->address, "labels", labels != NULL ? labels : json_object(),
                                 "zone", conf->zone, "version", PACKAGE_VERSION));
    call.bearer = enrolment;
    call.json = body;
    rv = wh_api_call(api, p, &call, &reply, err);
    if (rv != APR_SUCCESS && err->http == 409)
        return wh_err_set(err, 409, "name_taken",
                          "%s; or, if this machine takes its place, enrol it with a token of "
                          "`wh workers enroll --name %s --replace`",
                          apr_pstrdup(p, err->text), conf->name);
    if (rv != APR_SUCCESS)
        return rv;
    wh_log(WH_LOG_INFO, NULL, "registered with %s as %s", conf->server_url, conf->name);
    return take_token(id, p, reply, err);
}

/* A revoked key is never taken again, whatever the token: then with another one. */
static apr_status_t register_worker(wh_identity_t *id, apr_pool_t *p, wh_api_t *api, wh_err_t *err)
{
    apr_status_t rv = register_by(id, p, api, id->key, err);

    if (rv == APR_SUCCESS || !wh_err_is(err, "worker_revoked"))
        return rv;
    wh_err_clear(err);
    rv = id->next[0] == '\0' ? make_key(p, id, key_path(p, id, "api.key.next"), id->next, err)
                             : APR_SUCCESS;
    if (rv == APR_SUCCESS)
        rv = register_by(id, p, api, id->next, err);
    return rv == APR_SUCCESS ? adopt(id, p, err) : rv;
}

/* Says what is wrong with the enrolment token; err comes with the reason. */
static apr_status_t not_enrolled(const wh_identity_t *id, apr_pool_t *p, wh_err_t *err)
{
    const char *file = id->opts.conf->enrolment_token_file;
    const char *why = file[0] == '\0'    ? "enrolment_token_file is not set"
                      : err->http == 401 ? apr_psprintf(p, "the token in %s is not valid", file)
                                         : apr_pstrdup(p, err->text);

    return wh_err_set(err, 401, "not_enrolled",
                      "the server does not know this worker, and %s; "
                      "`wh-scheduler --enrolment-token` or `wh workers enroll` makes a token",
                      why);
}

/* Under the lock. */
static apr_status_t renew(wh_identity_t *id, wh_err_t *err)
{
    apr_pool_t *p = wh_pool_make("token");
    wh_api_t *api;
    apr_status_t rv;

    if (p == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    rv = wh_api_open(p, id->opts.conf, NULL, &api, err);
    if (rv == APR_SUCCESS)
        rv = refresh(id, p, api, err);
    if (rv != APR_SUCCESS && err->http == 401) {
        id->token[0] = '\0';
        if (id->opts.conf->enrolment_token_file[0] != '\0')
            rv = register_worker(id, p, api, err);
        if (rv != APR_SUCCESS && (err->http == 401 || err->http == 500))
            rv = not_enrolled(id, p, err);
    }
    apr_pool_destroy(p);
    return rv;
}

apr_status_t wh_identity_token(wh_identity_t *id, apr_pool_t *p, int force, const char **token,
                               wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;
    wh_mono_t now;

    apr_thread_mutex_lock(id->lock);
    now = wh_clock_mono(id->opts.clock);
    if (force || id->token[0] == '\0' || wh_mono_reached(now, id->refresh_at))
        rv = renew(id, &why);
    /* A server that is away for a moment: the old token serves while it lives. */
    if (rv != APR_SUCCESS && !force && id->token[0] != '\0' && why.http >= 500 &&
        !wh_mono_reached(wh_clock_mono(id->opts.clock), id->dead_at))
        rv = APR_SUCCESS;
    if (rv == APR_SUCCESS)
        *token = apr_pstrdup(p, id->token);
    else if (err != NULL)
        *err = why;
    apr_thread_mutex_unlock(id->lock);
    return rv;
}

/* Under the lock. */
static apr_status_t rotate(wh_identity_t *id, apr_pool_t *p, wh_err_t *err)
{
    wh_api_call_t call = {
        .method = "POST", .path = "/v1/workers/rotate-key", .bearer = id->key, .fd = -1};
    json_t *reply = NULL;
    wh_api_t *api;
    apr_status_t rv = APR_SUCCESS;

    if (id->next[0] == '\0')
        rv = make_key(p, id, key_path(p, id, "api.key.next"), id->next, err);
    call.json = wh_json_own(p, json_pack("{s:s}", "api_key", id->next));
    if (rv == APR_SUCCESS)
        rv = wh_api_open(p, id->opts.conf, NULL, &api, err);
    if (rv == APR_SUCCESS)
        rv = wh_api_call(api, p, &call, &reply, err);
    if (rv == APR_SUCCESS)
        rv = adopt(id, p, err);
    return rv == APR_SUCCESS ? take_token(id, p, reply, err) : rv;
}

apr_status_t wh_identity_rotate(wh_identity_t *id, wh_err_t *err)
{
    apr_pool_t *p = wh_pool_make("rotate");
    apr_status_t rv;

    if (p == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    apr_thread_mutex_lock(id->lock);
    rv = rotate(id, p, err);
    apr_thread_mutex_unlock(id->lock);
    apr_pool_destroy(p);
    return rv;
}

apr_interval_time_t wh_identity_refresh_in(wh_identity_t *id)
{
    apr_interval_time_t left;

    apr_thread_mutex_lock(id->lock);
    left = id->token[0] != '\0' ? wh_mono_diff(id->refresh_at, wh_clock_mono(id->opts.clock)) : 0;
    apr_thread_mutex_unlock(id->lock);
    return left > 0 ? left : 0;
}
