/*
 * What "apachectl configtest" and every start check, and the secrets read before privileges drop.
 *
 * check_config must find everything that is wrong, because a configtest runs no post_config. What
 * is only absent for now (a daemon, the state directory's content) is a warning: sites go on
 * without.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_host.h"
#include "mod_wisehost/mod_wisehost.h"

#define WH_CHECK_FAILED HTTP_INTERNAL_SERVER_ERROR

typedef struct wh_secrets_t {
    wh_keys_t keys;
    const char *control;
    const char *proxy;
    const char *metrics;
} wh_secrets_t;

/* Set in post_config, before any child exists; read-only afterwards. */
static wh_secrets_t *secrets;

const wh_keys_t *wh_mod_keys(void)
{
    return secrets != NULL ? &secrets->keys : NULL;
}

const char *wh_mod_control_secret(void)
{
    return secrets != NULL ? secrets->control : NULL;
}

const char *wh_mod_metrics_token(void)
{
    return secrets != NULL ? secrets->metrics : NULL;
}

const char *wh_mod_proxy_token(void)
{
    return secrets != NULL ? secrets->proxy : NULL;
}

static int any_on(const server_rec *s, wh_mod_flag_t (*flag)(const server_rec *))
{
    for (; s != NULL; s = s->next) {
        if (flag(s)) {
            return 1;
        }
    }
    return 0;
}

/* "name:port" of the virtual host for a message. */
static const char *host_text(apr_pool_t *p, const server_rec *s)
{
    if (s->defn_name != NULL) {
        return apr_psprintf(p, "%s:%u", s->defn_name, s->defn_line_number);
    }
    return "the main server";
}

static int need_module(server_rec *s, const char *file, const char *what)
{
    if (ap_find_linked_module(file) != NULL) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                 "WH0101: %s needs %.*s: load it (on Debian: a2enmod %.*s)", what,
                 (int)strlen(file) - 2, file, (int)strlen(file) - 6, file + 4);
    return WH_CHECK_FAILED;
}

static int check_modules(server_rec *s)
{
    int rc = OK;

    if (any_on(s, wh_mod_conf_engine) || any_on(s, wh_mod_conf_api)) {
        const char *what = any_on(s, wh_mod_conf_engine) ? "WiseHostEngine" : "WiseHostAPI";
        rc |= need_module(s, "mod_proxy.c", what);
        rc |= need_module(s, "mod_proxy_http.c", what);
    }
    if (any_on(s, wh_mod_conf_api)) {
        rc |= need_module(s, "mod_dbd.c", "WiseHostAPI");
    }
    return rc != OK ? WH_CHECK_FAILED : OK;
}

/* True when name, or what a wild-card alias can stand for, is base or lies under it. */
static int name_under(apr_pool_t *p, const char *name, const char *base)
{
    char *low = apr_pstrdup(p, name);
    apr_size_t n = strlen(low);
    apr_size_t b = strlen(base);

    ap_str_tolower(low);
    if (n > 0 && low[n - 1] == '.') {
        low[--n] = '\0';
    }
    if (ap_is_matchexp(low)) {
        return ap_strcmp_match(base, low) == 0 ||
               ap_strcmp_match(apr_pstrcat(p, "x.", base, NULL), low) == 0 ||
               (n > b + 1 && low[n - b - 1] == '.' && strcmp(low + n - b, base) == 0);
    }
    return strcmp(low, base) == 0 ||
           (n > b && low[n - b - 1] == '.' && strcmp(low + n - b, base) == 0);
}

static int refuse_name(apr_pool_t *p, server_rec *s, const char *name, const char *base)
{
    ap_log_error(
        APLOG_MARK, APLOG_EMERG, 0, s,
        "WH0102: WiseHostAPI in %s: its name \"%s\" lies under WiseHostBaseDomain %s, where "
        "applications could set its cookies: give the API a name outside",
        host_text(p, s), name, base);
    return WH_CHECK_FAILED;
}

static int check_api_names(apr_pool_t *p, server_rec *s, const char *base)
{
    int i;

    if (s->server_hostname != NULL && name_under(p, s->server_hostname, base)) {
        return refuse_name(p, s, s->server_hostname, base);
    }
    for (i = 0; s->names != NULL && i < s->names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(s->names, i, const char *);
        if (name_under(p, name, base)) {
            return refuse_name(p, s, name, base);
        }
    }
    for (i = 0; s->wild_names != NULL && i < s->wild_names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(s->wild_names, i, const char *);
        if (name_under(p, name, base)) {
            return refuse_name(p, s, name, base);
        }
    }
    return OK;
}

/* The API's names against every base domain of the server, not only its own. */
static int check_api(apr_pool_t *p, server_rec *main_server, server_rec *s)
{
    server_rec *other;

    if (s->server_hostname == NULL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "WH0103: WiseHostAPI in %s needs a ServerName: the API answers on that alone",
                     host_text(p, s));
        return WH_CHECK_FAILED;
    }
    for (other = main_server; other != NULL; other = other->next) {
        const char *base = wh_mod_conf_base_domain(other);
        if (base != NULL && check_api_names(p, s, base) != OK) {
            return WH_CHECK_FAILED;
        }
    }
    return OK;
}

/* What a push needs besides: the API, git itself, and our hook, without which none is taken. */
static int check_git(apr_pool_t *p, server_rec *s)
{
    const char *const needed[] = {
        apr_pstrcat(p, wh_mod_conf_git_exec_path(s), "/git-http-backend", NULL),
        apr_pstrcat(p, wh_mod_conf_git_exec_path(s), "/git", NULL),
        WH_GIT_HOOKS_DIR "/pre-receive",
        WH_GIT_HOOKS_DIR "/post-receive",
    };

    if (!wh_mod_conf_api(s)) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "WH0114: WiseHostGit in %s needs WiseHostAPI On",
                     host_text(p, s));
        return WH_CHECK_FAILED;
    }
    for (apr_size_t i = 0; i < WH_ARRAY_LEN(needed); i++) {
        if (access(needed[i], X_OK) != 0) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, errno, s,
                         "WH0115: WiseHostGit in %s needs %s: %s", host_text(p, s), needed[i],
                         i < 2 ? "install git, or say WiseHostGitExecPath"
                               : "it was not installed with the module");
            return WH_CHECK_FAILED;
        }
    }
    return OK;
}

static int check_server(apr_pool_t *p, server_rec *main_server, server_rec *s)
{
    int engine = wh_mod_conf_engine(s);
    int api = wh_mod_conf_api(s);
    const wh_mod_dir_t *dir;

    if ((engine || api) && wh_mod_conf_base_domain(s) == NULL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "WH0104: %s in %s needs WiseHostBaseDomain",
                     engine ? "WiseHostEngine" : "WiseHostAPI", host_text(p, s));
        return WH_CHECK_FAILED;
    }
    dir = ap_get_module_config(s->lookup_defaults, &wisehost_module);
    if (dir != NULL && dir->app != NULL && *dir->app != '\0' &&
        wh_mod_conf_base_domain(s) == NULL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "WH0108: WiseHostApp in %s needs WiseHostBaseDomain", host_text(p, s));
        return WH_CHECK_FAILED;
    }
    if (wh_mod_conf_git(s) && (s->is_virtual || api) && check_git(p, s) != OK) {
        return WH_CHECK_FAILED;
    }
    return api ? check_api(p, main_server, s) : OK;
}

/* Paths that were not given follow the state directory. */
static void derive_paths(apr_pool_t *p, server_rec *s)
{
    const char *dir = wh_mod_conf_state_dir(s);
    wh_mod_srv_t *conf = wh_mod_conf_srv(s);

    if (conf->hub_socket == NULL) {
        conf->hub_socket = apr_pstrcat(p, dir, "/run/hub.sock", NULL);
    }
    if (conf->key_file == NULL) {
        conf->key_file = apr_pstrcat(p, dir, "/keys/module.key", NULL);
    }
    if (conf->control_secret_file == NULL) {
        conf->control_secret_file = apr_pstrcat(p, dir, "/keys/control.secret", NULL);
    }
}

static int report_secret(server_rec *s, const char *directive, const char *path,
                         const wh_err_t *err)
{
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "WH0105: %s %s: %s", directive, path, err->text);
    return WH_CHECK_FAILED;
}

/* Reads all secret files into out; a configtest reads them as well and forgets them. */
static int read_secrets(apr_pool_t *p, server_rec *s, wh_secrets_t *out)
{
    wh_err_t err = WH_ERR_INIT;
    const char *path = wh_mod_conf_key_file(s);

    if (wh_keys_read_module(p, path, &out->keys, &err) != APR_SUCCESS) {
        return report_secret(s, "WiseHostKeyFile", path, &err);
    }
    path = wh_mod_conf_control_secret_file(s);
    if (wh_keys_read_secret(p, path, &out->control, &err) != APR_SUCCESS) {
        return report_secret(s, "WiseHostControlSecretFile", path, &err);
    }
    path = wh_mod_conf_proxy_token_file(s);
    if (path != NULL && wh_keys_read_secret(p, path, &out->proxy, &err) != APR_SUCCESS) {
        return report_secret(s, "WiseHostProxyTokenFile", path, &err);
    }
    path = wh_mod_conf_metrics_token_file(s);
    if (path != NULL && wh_keys_read_secret(p, path, &out->metrics, &err) != APR_SUCCESS) {
        return report_secret(s, "WiseHostMetricsTokenFile", path, &err);
    }
    return OK;
}

int wh_mod_check_config(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server)
{
    server_rec *s;
    wh_secrets_t scratch = {.control = NULL};
    int rc;

    (void)plog;
    for (s = main_server; s != NULL; s = s->next) {
        derive_paths(p, s);
    }
    rc = check_modules(main_server);
    for (s = main_server; s != NULL; s = s->next) {
        rc |= check_server(ptemp, main_server, s);
    }
    if (any_on(main_server, wh_mod_conf_api)) {
        rc |= wh_mod_db_find_server(main_server);
        rc |= read_secrets(ptemp, main_server, &scratch);
    }
    return rc != OK ? WH_CHECK_FAILED : OK;
}

int wh_mod_check_secrets(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s)
{
    (void)ptemp;
    secrets = NULL;
    if (!any_on(s, wh_mod_conf_api)) {
        return OK;
    }
    secrets = apr_pcalloc(pconf, sizeof(*secrets));
    return read_secrets(pconf, s, secrets);
}

/* True when something accepts on this unix socket. Non-blocking: a full backlog counts as "there".
 */
static int socket_answers(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd;
    int ok;

    if (strlen(path) >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return 0;
    }
    apr_cpystrn(sa.sun_path, path, sizeof(sa.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return 0;
    }
    ok = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN;
    if (!ok) {
        int saved = errno;
        close(fd);
        errno = saved;
        return 0;
    }
    close(fd);
    return 1;
}

void wh_mod_check_daemons(apr_pool_t *p, server_rec *s)
{
    const char *path = wh_mod_conf_hub_socket(s);
    struct stat st;

    if (!any_on(s, wh_mod_conf_engine) && !any_on(s, wh_mod_conf_api)) {
        return;
    }
    if (stat(wh_mod_conf_state_dir(s), &st) != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     "WH0106: WiseHostStateDir %s: run wh-scheduler --init",
                     wh_mod_conf_state_dir(s));
    }
    if (any_on(s, wh_mod_conf_git) &&
        stat(apr_pstrcat(p, wh_mod_conf_state_dir(s), "/git", NULL), &st) != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     "WH0116: WiseHostGit: %s/git: run wh-scheduler --init again, which makes it",
                     wh_mod_conf_state_dir(s));
    }
    if (!socket_answers(path)) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, errno, s,
            "WH0107: wh-scheduler does not answer on %s: sites are served, deployments wait", path);
    }
}
