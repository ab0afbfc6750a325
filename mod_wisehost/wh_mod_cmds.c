/*
 * The directives. Those of server scope expand from wh_mod_conf.def; what a value may be is decided
 * by pure parsers (pool, text, &out) -> NULL or the part of the message behind "WiseHostX: ".
 */
#include <sys/un.h>

#include <apr_fnmatch.h>
#include <apr_strings.h>

#include "libwh/wh_authz.h"
#include "libwh/wh_host.h"
#include "mod_wisehost/mod_wisehost.h"

typedef const char *wh_parse_text_fn(apr_pool_t *p, const char *arg, const char **out);
typedef const char *wh_parse_number_fn(apr_pool_t *p, const char *arg, int *out);

typedef enum wh_cmd_context_e { WH_CMD_VHOST, WH_CMD_SERVER } wh_cmd_context_e;

typedef struct wh_cmd_t {
    apr_size_t offset;
    wh_cmd_context_e context;
    wh_parse_text_fn *text;
    wh_parse_number_fn *number;
} wh_cmd_t;

static const char *parse_domain(apr_pool_t *p, const char *arg, const char **out)
{
    char *low = apr_pstrdup(p, arg);

    ap_str_tolower(low);
    if (!wh_host_domain_ok(low)) {
        return apr_psprintf(p, "\"%s\" is not a valid domain name", ap_escape_logitem(p, arg));
    }
    *out = low;
    return NULL;
}

static const char *parse_path(apr_pool_t *p, const char *arg, const char **out)
{
    char *full = *arg != '\0' ? ap_server_root_relative(p, arg) : NULL;
    apr_size_t n;

    if (full == NULL) {
        return apr_psprintf(p, "\"%s\" is not a valid path", ap_escape_logitem(p, arg));
    }
    for (n = strlen(full); n > 1 && full[n - 1] == '/'; n--) {
        full[n - 1] = '\0';
    }
    *out = full;
    return NULL;
}

/* A page is read as it is asked for; that it is there is looked at now. */
static const char *parse_file(apr_pool_t *p, const char *arg, const char **out)
{
    const char *msg = parse_path(p, arg, out);
    apr_finfo_t info;

    if (msg == NULL &&
        (apr_stat(&info, *out, APR_FINFO_TYPE, p) != APR_SUCCESS || info.filetype != APR_REG)) {
        msg = apr_psprintf(p, "\"%s\" is not a file", ap_escape_logitem(p, *out));
    }
    return msg;
}

/* "None" sends none. */
static const char *parse_cache_control(apr_pool_t *p, const char *arg, const char **out)
{
    const char *c;

    for (c = arg; *c >= ' ' && *c <= '~'; c++) {
    }
    if (c == arg || *c != '\0') {
        return apr_psprintf(p, "\"%s\" is not a value of Cache-Control", ap_escape_logitem(p, arg));
    }
    *out = ap_cstr_casecmp(arg, "none") == 0 ? "" : arg;
    return NULL;
}

static const char *parse_socket(apr_pool_t *p, const char *arg, const char **out)
{
    struct sockaddr_un sa;
    const char *msg = parse_path(p, arg, out);

    if (msg == NULL && strlen(*out) >= sizeof(sa.sun_path)) {
        msg = apr_psprintf(p, "the path of a unix socket has at most %d bytes",
                           (int)sizeof(sa.sun_path) - 1);
    }
    return msg;
}

static const char *parse_scheme(apr_pool_t *p, const char *arg, const char **out)
{
    if (ap_cstr_casecmp(arg, "http") == 0) {
        *out = "http";
    } else if (ap_cstr_casecmp(arg, "https") == 0) {
        *out = "https";
    } else {
        return apr_psprintf(p, "\"%s\" is neither http nor https", ap_escape_logitem(p, arg));
    }
    return NULL;
}

static const char *parse_range(apr_pool_t *p, const char *arg, int min, int max, const char *unit,
                               int *out)
{
    char *end;
    apr_int64_t v = apr_strtoi64(arg, &end, 10);

    if (*arg < '0' || *arg > '9' || *end != '\0' || v < min || v > max) {
        return apr_psprintf(p, "\"%s\" is not a %s between %d and %d", ap_escape_logitem(p, arg),
                            unit, min, max);
    }
    *out = (int)v;
    return NULL;
}

static const char *parse_port(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 1, 65535, "port", out);
}

static const char *parse_targets(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 1, 10000, "number of targets", out);
}

static const char *parse_hold(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 0, 10000, "number of requests", out);
}

static const char *parse_cache(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 0, 65536, "size in MiB", out);
}

static const char *parse_git_size(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 1, 65536, "size in MiB", out);
}

static const char *parse_git_timeout(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 1, 86400, "number of seconds", out);
}

static const char *parse_metrics_apps(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 1, 16384, "number of applications", out);
}

static const char *parse_git_max(apr_pool_t *p, const char *arg, int *out)
{
    return parse_range(p, arg, 1, 1000, "number of requests", out);
}

/* NULL, or the message when the directive stands where it may not. */
static const char *check_context(cmd_parms *cmd, const wh_cmd_t *desc)
{
    if (desc->context == WH_CMD_SERVER) {
        return ap_check_cmd_context(cmd, GLOBAL_ONLY);
    }
    return ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);
}

static const char *set_flag(cmd_parms *cmd, void *dir, int on)
{
    const wh_cmd_t *desc = cmd->info;
    char *conf = (char *)wh_mod_conf_srv(cmd->server);
    const char *msg = check_context(cmd, desc);

    (void)dir;
    if (msg == NULL) {
        *(int *)(void *)(conf + desc->offset) = on != 0;
    }
    return msg;
}

static const char *set_value(cmd_parms *cmd, void *dir, const char *arg)
{
    const wh_cmd_t *desc = cmd->info;
    char *conf = (char *)wh_mod_conf_srv(cmd->server);
    const char *msg = check_context(cmd, desc);

    (void)dir;
    if (msg != NULL) {
        return msg;
    }
    if (desc->text != NULL) {
        msg = desc->text(cmd->pool, arg, (const char **)(void *)(conf + desc->offset));
    } else {
        msg = desc->number(cmd->pool, arg, (int *)(void *)(conf + desc->offset));
    }
    return msg == NULL ? NULL : apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", msg, NULL);
}

/* <Files> never hold for an application: it has none that httpd walks. */
static int in_files(const cmd_parms *cmd)
{
    const ap_directive_t *d = cmd->directive != NULL ? cmd->directive->parent : NULL;

    while (d != NULL && ap_cstr_casecmpn(d->directive, "<Files", 6) != 0) {
        d = d->parent;
    }
    return d != NULL;
}

static const char *refuse_files(const cmd_parms *cmd)
{
    return in_files(cmd)
               ? apr_pstrcat(cmd->pool, cmd->cmd->name,
                             ": does nothing in <Files>, which knows no application", NULL)
               : NULL;
}

static const char *set_dir_flag(cmd_parms *cmd, void *dir, int on)
{
    const wh_cmd_t *desc = cmd->info;

    *(int *)(void *)((char *)dir + desc->offset) = on != 0;
    return refuse_files(cmd);
}

static const char *set_dir_value(cmd_parms *cmd, void *dir, const char *arg)
{
    const wh_cmd_t *desc = cmd->info;
    const char *msg = refuse_files(cmd);

    if (msg != NULL) {
        return msg;
    }
    msg = desc->text(cmd->pool, arg, (const char **)(void *)((char *)dir + desc->offset));
    return msg == NULL ? NULL : apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", msg, NULL);
}

static const char *check_slug(cmd_parms *cmd, const char *arg)
{
    wh_err_t err = WH_ERR_INIT;

    if (wh_host_slug_check(arg, &err) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not the slug of an application: %s",
                            cmd->cmd->name, ap_escape_logitem(cmd->pool, arg), err.text);
    }
    return NULL;
}

static const char *set_allow_apps(cmd_parms *cmd, void *dir, const char *arg)
{
    wh_mod_srv_t *conf = wh_mod_conf_srv(cmd->server);
    const char *msg = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);

    (void)dir;
    if (msg == NULL) {
        msg = check_slug(cmd, arg);
    }
    if (msg == NULL) {
        if (conf->allow_apps == NULL) {
            conf->allow_apps = apr_array_make(cmd->pool, 4, sizeof(const char *));
        }
        APR_ARRAY_PUSH(conf->allow_apps, const char *) = arg;
    }
    return msg;
}

/* WiseHostGitUser name scopes [slug] … */
static const char *set_git_user(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    wh_mod_srv_t *conf = wh_mod_conf_srv(cmd->server);
    const char *msg = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);
    wh_mod_git_user_t user = {.name = argc > 0 ? argv[0] : NULL};
    wh_err_t err = WH_ERR_INIT;

    (void)dir;
    if (msg == NULL && argc < 2) {
        msg = apr_pstrcat(cmd->pool, cmd->cmd->name, " takes a user, scopes and perhaps slugs", NULL);
    }
    if (msg == NULL && wh_authz_scopes_parse(argv[1], &user.scopes, &err) != APR_SUCCESS) {
        msg = apr_psprintf(cmd->pool, "%s: \"%s\": %s", cmd->cmd->name,
                           ap_escape_logitem(cmd->pool, argv[1]), err.text);
    }
    for (int i = 2; msg == NULL && i < argc; i++) {
        msg = check_slug(cmd, argv[i]);
        if (user.apps == NULL) {
            user.apps = apr_array_make(cmd->pool, 4, sizeof(const char *));
        }
        APR_ARRAY_PUSH(user.apps, const char *) = argv[i];
    }
    if (msg == NULL) {
        if (conf->git_users == NULL) {
            conf->git_users = apr_array_make(cmd->pool, 4, sizeof(wh_mod_git_user_t));
        }
        APR_ARRAY_PUSH(conf->git_users, wh_mod_git_user_t) = user;
    }
    return msg;
}

/* WiseHostMetricsAllow loopback|none|address|network … */
static const char *set_metrics_allow(cmd_parms *cmd, void *dir, const char *arg)
{
    wh_mod_srv_t *conf = wh_mod_conf_srv(cmd->server);
    const char *msg = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);
    char *network = apr_pstrdup(cmd->pool, arg);
    char *bits = strchr(network, '/');
    apr_ipsubnet_t *subnet = NULL;

    (void)dir;
    if (msg != NULL) {
        return msg;
    }
    if (conf->metrics_allow == NULL) {
        conf->metrics_allow = apr_array_make(cmd->pool, 4, sizeof(apr_ipsubnet_t *));
    }
    if (ap_cstr_casecmp(arg, "none") == 0) {
        return NULL;
    }
    if (bits != NULL) {
        *bits++ = '\0';
    }
    if (ap_cstr_casecmp(arg, "loopback") != 0 &&
        apr_ipsubnet_create(&subnet, network, bits, cmd->pool) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is no address and no network", cmd->cmd->name,
                            ap_escape_logitem(cmd->pool, arg));
    }
    APR_ARRAY_PUSH(conf->metrics_allow, apr_ipsubnet_t *) = subnet;
    return NULL;
}

static int app_allowed(const wh_mod_srv_t *conf, const char *slug)
{
    int i;

    for (i = 0; conf->allow_apps != NULL && i < conf->allow_apps->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(conf->allow_apps, i, const char *), slug) == 0) {
            return 1;
        }
    }
    return 0;
}

/* <LocationMatch>, <DirectoryMatch>, "~" and shell patterns have no path to cut off. */
static int is_pattern(const cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive != NULL ? cmd->directive->parent : NULL;

    return apr_fnmatch_test(cmd->path) != 0 ||
           (section != NULL && (ap_strcasestr(section->directive, "Match") != NULL ||
                                (section->args != NULL && section->args[0] == '~')));
}

static const char *set_app(cmd_parms *cmd, void *dir, const char *arg)
{
    wh_mod_dir_t *conf = dir;
    const char *msg;

    if (cmd->path == NULL && !cmd->server->is_virtual) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name,
                           ": goes into <VirtualHost>, <Location>, <Directory> or .htaccess", NULL);
    }
    if (ap_check_cmd_context(cmd, NOT_IN_FILES) != NULL || (cmd->path != NULL && is_pattern(cmd))) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name,
                           ": the section must name one plain path, not a pattern", NULL);
    }
    if (ap_cstr_casecmp(arg, "none") == 0) {
        conf->app = "";
        return NULL;
    }
    msg = check_slug(cmd, arg);
    if (msg != NULL) {
        return msg;
    }
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL &&
        !app_allowed(wh_mod_conf_srv(cmd->server), arg)) {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" is not among the WiseHostAllowApps of this server",
                            cmd->cmd->name, arg);
    }
    conf->app = arg;
    conf->mount = cmd->path != NULL ? cmd->path : "/";
    /* A <Location> is known before translate_name, a directory only after the walk. */
    conf->in_location = cmd->path == NULL || ap_check_cmd_context(cmd, NOT_IN_LOCATION) != NULL;
    return NULL;
}

#define WH_PARSE_flag(parser) .text = NULL
#define WH_PARSE_text(parser) .text = parser
#define WH_PARSE_number(parser) .number = parser

#define WH_SRV(type, member, unset, dflt, directive, takes, ctx, parser, doc)                      \
    static wh_cmd_t cmd_##member = {                                                               \
        .offset = APR_OFFSETOF(wh_mod_srv_t, member),                                              \
        .context = WH_CMD_##ctx,                                                                   \
        WH_PARSE_##type(parser),                                                                   \
    };
#define WH_DIR(type, member, unset, directive, takes, ctx, parser, doc)                            \
    static wh_cmd_t cmd_##member = {                                                               \
        .offset = APR_OFFSETOF(wh_mod_dir_t, member),                                              \
        WH_PARSE_##type(parser),                                                                   \
    };
#include "mod_wisehost/wh_mod_conf.def"

#define WH_INIT_FLAG(directive, member, doc)                                                       \
    AP_INIT_FLAG(directive, set_flag, &cmd_##member, RSRC_CONF, doc),
#define WH_INIT_TAKE1(directive, member, doc)                                                      \
    AP_INIT_TAKE1(directive, set_value, &cmd_##member, RSRC_CONF, doc),

#define WH_DIR_FLAG set_dir_flag
#define WH_DIR_TAKE1 set_dir_value
#define WH_WHERE_ANY OR_FILEINFO
#define WH_WHERE_SECTION (RSRC_CONF | ACCESS_CONF)

const command_rec wh_mod_cmds[] = {
#define WH_SRV(type, member, unset, dflt, directive, takes, ctx, parser, doc)                      \
    WH_INIT_##takes(directive, member, doc)
#define WH_DIR(type, member, unset, directive, takes, ctx, parser, doc)                            \
    AP_INIT_##takes(directive, WH_DIR_##takes, &cmd_##member, WH_WHERE_##ctx, doc),
#include "mod_wisehost/wh_mod_conf.def"
    AP_INIT_ITERATE("WiseHostAllowApps", set_allow_apps, NULL, RSRC_CONF,
                    "applications that a .htaccess file of this server may name"),
    AP_INIT_ITERATE("WiseHostMetricsAllow", set_metrics_allow, NULL, RSRC_CONF,
                    "who may read /metrics without a token"),
    AP_INIT_TAKE_ARGV("WiseHostGitUser", set_git_user, NULL, RSRC_CONF,
                      "what a user may push whom another module of httpd let in"),
    AP_INIT_TAKE1("WiseHostApp", set_app, NULL, OR_FILEINFO, "serve this application here"),
    {.name = NULL},
};
