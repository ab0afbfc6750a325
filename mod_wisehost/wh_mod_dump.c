/*
 * httpd -t -D DUMP_WISEHOST: what every name of the route table leads to, and what the virtual
 * hosts say. The same words as in the configuration, so that a line can be found there.
 */
#include <stdio.h>

#include <apr_strings.h>

#include "mod_wisehost/wh_mod_data.h"

static const char *const kinds[] = {[WH_ROUTE_STATIC] = "static",
                                    [WH_ROUTE_PROXY] = "proxy",
                                    [WH_ROUTE_MAINTENANCE] = "maintenance",
                                    [WH_ROUTE_REDIRECT] = "redirect"};

static void print_route(void *baton, const char *name, const wh_route_t *route)
{
    (void)baton;
    if (route == NULL) {
        (void)printf("         %s damaged\n", name);
        return;
    }
    (void)printf("         %s %s %s %s %s", name, kinds[route->kind], route->slug,
                 route->environment, route->deployment_id);
    for (int i = 0; i < route->n_upstreams; i++) {
        (void)printf(" %s:%d", route->upstreams[i].address, route->upstreams[i].port);
    }
    (void)printf("%s%s\n", *route->redirect != '\0' ? " " : "", route->redirect);
}

static void print_routes(apr_pool_t *p, const server_rec *s)
{
    wh_mod_table_t table;
    const char *wrong;

    (void)printf("WiseHost routes (name, kind, application, environment, deployment):\n");
    wrong = wh_mod_route_walk(p, s, print_route, NULL, &table);
    if (wrong != NULL) {
        (void)printf("         no route table: %s\n", wrong);
    } else {
        (void)printf("         %" APR_UINT64_T_FMT " names, generation %" APR_UINT64_T_FMT ", %s\n",
                     table.names, table.generation, table.path != NULL ? table.path : "");
    }
}

static void print_flag(const char *directive, int value)
{
    if (value != WH_MOD_UNSET) {
        (void)printf("         %s %s\n", directive, value ? "On" : "Off");
    }
}

static void print_number(const char *directive, int value)
{
    if (value != WH_MOD_UNSET) {
        (void)printf("         %s %d\n", directive, value);
    }
}

static void print_text(const char *directive, const char *value)
{
    if (value != NULL) {
        (void)printf("         %s %s\n", directive, *value != '\0' ? value : "None");
    }
}

static void print_dir(const wh_mod_dir_t *dir)
{
    if (dir == NULL) {
        return;
    }
    if (dir->app != NULL) {
        (void)printf("         WiseHostApp %s at %s\n", *dir->app != '\0' ? dir->app : "None",
                     dir->mount != NULL ? dir->mount : "(nowhere)");
    }
#define WH_DIR(type, member, unset, directive, takes, context, parser, doc)                        \
    print_##type(directive, dir->member);
#include "mod_wisehost/wh_mod_conf.def"
}

static void print_sections(const apr_array_header_t *sections)
{
    for (int i = 0; sections != NULL && i < sections->nelts; i++) {
        const ap_conf_vector_t *conf = APR_ARRAY_IDX(sections, i, const ap_conf_vector_t *);

        print_dir(ap_get_module_config(conf, &wisehost_module));
    }
}

static void print_server(const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const wh_mod_srv_t *conf = wh_mod_conf_srv(s);

    if (s->defn_name != NULL) {
        (void)printf("%s (%s:%u):\n", s->server_hostname != NULL ? s->server_hostname : "",
                     s->defn_name, s->defn_line_number);
    } else {
        (void)printf("main server:\n");
    }
#define WH_SRV(type, member, unset, dflt, directive, takes, context, parser, doc)                  \
    print_##type(directive, conf->member);
#include "mod_wisehost/wh_mod_conf.def"
    for (int i = 0; conf->allow_apps != NULL && i < conf->allow_apps->nelts; i++) {
        print_text("WiseHostAllowApps", APR_ARRAY_IDX(conf->allow_apps, i, const char *));
    }
    print_dir(ap_get_module_config(s->lookup_defaults, &wisehost_module));
    print_sections(core->sec_url);
    print_sections(core->sec_dir);
}

void wh_mod_dump(apr_pool_t *p, const server_rec *main_server)
{
    print_routes(p, main_server);
    (void)printf("WiseHost directives in force:\n");
    for (const server_rec *s = main_server; s != NULL; s = s->next) {
        print_server(s);
    }
    (void)fflush(stdout);
}
