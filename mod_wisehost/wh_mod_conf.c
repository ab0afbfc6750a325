/* Members, create, merge and read access of the server configuration, all from wh_mod_conf.def. */
#include "mod_wisehost/mod_wisehost.h"

wh_mod_srv_t *wh_mod_conf_srv(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &wisehost_module);
}

void *wh_mod_conf_create_srv(apr_pool_t *p, server_rec *s)
{
    wh_mod_srv_t *conf = apr_pcalloc(p, sizeof(*conf));

    (void)s;
#define WH_SRV(type, member, unset, dflt, directive, takes, context, parser, doc)                  \
    conf->member = unset;
#include "mod_wisehost/wh_mod_conf.def"
    conf->allow_apps = NULL;
    conf->git_users = NULL;
    conf->metrics_allow = NULL;
    return conf;
}

void *wh_mod_conf_merge_srv(apr_pool_t *p, void *base_in, void *over_in)
{
    const wh_mod_srv_t *base = base_in;
    const wh_mod_srv_t *over = over_in;
    wh_mod_srv_t *conf = apr_pcalloc(p, sizeof(*conf));

#define WH_SRV(type, member, unset, dflt, directive, takes, context, parser, doc)                  \
    conf->member = (over->member != (unset)) ? over->member : base->member;
#include "mod_wisehost/wh_mod_conf.def"
    conf->allow_apps = over->allow_apps != NULL ? over->allow_apps : base->allow_apps;
    conf->git_users = over->git_users != NULL ? over->git_users : base->git_users;
    conf->metrics_allow = over->metrics_allow != NULL ? over->metrics_allow : base->metrics_allow;
    return conf;
}

#define WH_SRV(type, member, unset, dflt, directive, takes, context, parser, doc)                  \
    wh_mod_##type##_t wh_mod_conf_##member(const server_rec *s)                                    \
    {                                                                                              \
        const wh_mod_srv_t *conf = wh_mod_conf_srv(s);                                             \
        return conf->member != (unset) ? conf->member : (dflt);                                    \
    }
#include "mod_wisehost/wh_mod_conf.def"

apr_port_t wh_mod_conf_url_port(const server_rec *s)
{
    int port = wh_mod_conf_app_port(s);

    if (port > 0) {
        return (apr_port_t)port;
    }
    return ap_cstr_casecmp(wh_mod_conf_app_scheme(s), "http") == 0 ? 80 : 443;
}

void *wh_mod_conf_create_dir(apr_pool_t *p, char *path)
{
    wh_mod_dir_t *conf = apr_pcalloc(p, sizeof(*conf));

    (void)path;
#define WH_DIR(type, member, unset, directive, takes, context, parser, doc) conf->member = unset;
#include "mod_wisehost/wh_mod_conf.def"
    return conf;
}

void *wh_mod_conf_merge_dir(apr_pool_t *p, void *base_in, void *over_in)
{
    const wh_mod_dir_t *base = base_in;
    const wh_mod_dir_t *over = over_in;
    wh_mod_dir_t *conf = apr_pcalloc(p, sizeof(*conf));

    /* Application and mount belong together: the path that is cut off is the one of the section
     * that named the application. */
    *conf = over->app != NULL ? *over : *base;
#define WH_DIR(type, member, unset, directive, takes, context, parser, doc)                        \
    conf->member = (over->member != (unset)) ? over->member : base->member;
#include "mod_wisehost/wh_mod_conf.def"
    return conf;
}

const wh_mod_dir_t *wh_mod_conf_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &wisehost_module);
}
