#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "libwh/wh_address.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_traefik.h"

typedef struct doc_t {
    apr_pool_t *p;
    const wh_traefik_in_t *in;
    wh_traefik_out_t *out;
    apr_hash_t *domains; /* "app environment" -> array of const char * */
    json_t *routers, *services;
} doc_t;

const char *wh_traefik_name(apr_pool_t *p, const char *name)
{
    char *out = apr_pstrdup(p, name);

    for (char *s = out; *s; s++) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9')))
            *s = '-';
    }
    return out;
}

const char *wh_traefik_rule(apr_pool_t *p, const apr_array_header_t *hosts)
{
    apr_array_header_t *parts = apr_array_make(p, 2 * hosts->nelts, sizeof(const char *));

    for (int i = 0; i < hosts->nelts; i++) {
        APR_ARRAY_PUSH(parts, const char *) = i > 0 ? " || Host(`" : "Host(`";
        APR_ARRAY_PUSH(parts, const char *) = APR_ARRAY_IDX(hosts, i, const char *);
        APR_ARRAY_PUSH(parts, const char *) = "`)";
    }
    return apr_array_pstrcat(p, parts, 0);
}

static void refuse(doc_t *d, const char *what)
{
    if (d->out->refused++ == 0)
        d->out->first_refused = what;
}

static const char *key_of(doc_t *d, const char *app_id, const char *environment)
{
    return apr_pstrcat(d->p, app_id, " ", environment, NULL);
}

/* A name under the base domain is a label of somebody's, never a domain of one's own. */
static int domain_ok(doc_t *d, const char *host)
{
    const char *label;

    return wh_host_domain_ok(host) &&
           (!d->in->base_domain ||
            wh_host_label_of(d->p, host, d->in->base_domain, &label) == WH_HOST_OTHER);
}

static void collect_domains(doc_t *d)
{
    d->domains = apr_hash_make(d->p);
    for (int i = 0; i < d->in->hosts->nelts; i++) {
        const wh_traefik_host_t *h = &APR_ARRAY_IDX(d->in->hosts, i, wh_traefik_host_t);
        const char *key = key_of(d, h->app_id, h->environment);
        apr_array_header_t *list = apr_hash_get(d->domains, key, APR_HASH_KEY_STRING);

        if (!domain_ok(d, h->host)) {
            refuse(d, h->host);
            continue;
        }
        if (!list) {
            list = apr_array_make(d->p, 2, sizeof(const char *));
            apr_hash_set(d->domains, key, APR_HASH_KEY_STRING, list);
        }
        APR_ARRAY_PUSH(list, const char *) = h->host;
    }
}

/* The hosts of one environment in the order of the form; empty: it has no router. */
static apr_array_header_t *hosts_of(doc_t *d, const wh_traefik_server_t *s)
{
    const char *key = key_of(d, s->app_id, s->environment);
    const apr_array_header_t *domains = apr_hash_get(d->domains, key, APR_HASH_KEY_STRING);
    apr_array_header_t *all = apr_array_make(d->p, 2, sizeof(const char *));
    const char *apex =
        d->in->base_domain ? apr_pstrcat(d->p, s->label, ".", d->in->base_domain, NULL) : NULL;

    if (d->in->form == WH_TRAEFIK_WORKER && !domains)
        return all;
    if (apex && !wh_host_domain_ok(apex)) {
        refuse(d, apex);
        apex = NULL;
    }
    if (apex && d->in->form == WH_TRAEFIK_PROXY)
        APR_ARRAY_PUSH(all, const char *) = apex;
    if (domains)
        apr_array_cat(all, domains);
    if (apex && d->in->form == WH_TRAEFIK_WORKER)
        APR_ARRAY_PUSH(all, const char *) = apex;
    return all;
}

/* NULL for an address that nothing can be at. */
static const char *url_of(doc_t *d, const wh_traefik_server_t *s)
{
    switch (wh_address_of(s->address)) {
    case WH_ADDRESS_HOST:
    case WH_ADDRESS_LOOPBACK:
        break;
    case WH_ADDRESS_BAD:
    case WH_ADDRESS_REFUSED:
    default:
        return NULL;
    }
    return s->port < 1 || s->port > 65535
               ? NULL
               : apr_psprintf(d->p, strchr(s->address, ':') ? "http://[%s]:%d" : "http://%s:%d",
                              s->address, s->port);
}

static json_t *servers_of(doc_t *d, const wh_traefik_server_t *s, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++) {
        const char *url = url_of(d, &s[i]);

        if (url)
            json_array_append_new(list, json_pack("{s:s}", "url", url));
        else
            refuse(d, s[i].address);
    }
    return list;
}

/* F115, F116. A cookie of its own name each: Traefik makes it out of the service's. */
static void add(doc_t *d, const wh_traefik_server_t *s, int n)
{
    const apr_array_header_t *hosts = hosts_of(d, s);
    const char *name = wh_traefik_name(d->p, s->production ? s->slug : s->label);
    json_t *servers, *balancer;

    if (hosts->nelts == 0)
        return;
    servers = servers_of(d, s, n);
    if (json_array_size(servers) == 0) {
        json_decref(servers);
        return;
    }
    balancer = json_pack("{s:o}", "servers", servers);
    if (s->sticky)
        json_object_set_new(balancer, "sticky",
                            json_pack("{s:{s:b, s:b}}", "cookie", "httpOnly", 1, "secure", 1));
    json_object_set_new(d->services, name, json_pack("{s:o}", "loadBalancer", balancer));
    json_object_set_new(d->routers, name,
                        json_pack("{s:[s, s], s:s, s:s, s:{s:s}}", "entryPoints", "web",
                                  "websecure", "rule", wh_traefik_rule(d->p, hosts), "service",
                                  name, "tls", "certResolver", "letsencrypt"));
    d->out->routers++;
}

static int same_place(const wh_traefik_server_t *a, const wh_traefik_server_t *b)
{
    return !strcmp(a->label, b->label);
}

static apr_status_t finish(doc_t *d, wh_err_t *err)
{
    json_t *root = wh_json_own(d->p, json_object());

    if (d->out->routers > 0)
        json_object_set_new(
            root, "http", json_pack("{s:O, s:O}", "routers", d->routers, "services", d->services));
    d->out->text = wh_json_text_safe(d->p, root, &d->out->len);
    if (!d->out->text)
        return wh_err_set(err, 500, "no_memory", "The document could not be put into JSON.");
    return d->out->len > WH_TRAEFIK_BYTES_MAX
               ? wh_err_set(err, 503, "document_too_large",
                            "There are more routes than one document may hold.")
               : APR_SUCCESS;
}

apr_status_t wh_traefik_document(apr_pool_t *p, const wh_traefik_in_t *in, wh_traefik_out_t *out,
                                 wh_err_t *err)
{
    doc_t d = {.p = p, .in = in, .out = out};
    const wh_traefik_server_t *s = (const wh_traefik_server_t *)(const void *)in->servers->elts;

    *out = (wh_traefik_out_t){.text = NULL};
    if (in->servers->nelts > WH_TRAEFIK_ROWS_MAX || in->hosts->nelts > WH_TRAEFIK_ROWS_MAX)
        return wh_err_set(err, 503, "document_too_large",
                          "There are more routes than one document may hold.");
    d.routers = wh_json_own(p, json_object());
    d.services = wh_json_own(p, json_object());
    collect_domains(&d);
    for (int i = 0, n; i < in->servers->nelts; i += n) {
        for (n = 1; i + n < in->servers->nelts && same_place(&s[i], &s[i + n]);)
            n++;
        add(&d, &s[i], n);
    }
    return finish(&d, err);
}
