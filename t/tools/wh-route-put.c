/* Writes names into a route table for the tests, with the scheduler's own publisher.
 *
 *   wh-route-put LINK [--all] <items.json
 *
 * items.json: [{"host", "kind": "static"|"proxy"|"maintenance"|"redirect", "slug", "release",
 * "deployment", "environment", "spa": bool, "flags": ["spa"|"clean"|"sticky"|"hold"|"preview", ...],
 * "previous_release", "previous_until", "redirect", "redirect_code", "timeout_s", "hold_s",
 * "upstreams": [{"address", "port", "weight"}]}, {"host", "delete": true}].
 * --all: the table is exactly these. The caller sets umask and group as the scheduler does. */
#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <jansson.h>

#include "wh-scheduler/publish.h"

static const char *text_of(const json_t *obj, const char *key, const char *dflt)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s != NULL ? s : dflt;
}

static void read_upstreams(const json_t *list, wh_route_t *route)
{
    size_t i;
    const json_t *up;

    json_array_foreach(list, i, up)
    {
        const json_t *weight = json_object_get(up, "weight");

        if (i >= WH_ROUTE_UPSTREAMS_MAX) {
            break;
        }
        route->upstreams[i].address = text_of(up, "address", "127.0.0.1");
        route->upstreams[i].port = (int)json_integer_value(json_object_get(up, "port"));
        route->upstreams[i].weight = weight != NULL ? (int)json_integer_value(weight) : 1;
        route->n_upstreams = (int)i + 1;
    }
}

static int number_of(const json_t *obj, const char *key)
{
    return (int)json_integer_value(json_object_get(obj, key));
}

/* {"flags": ["spa", ...]}, and "spa": true for short. */
static unsigned read_flags(const json_t *obj)
{
    static const char *const names[] = {"spa", "clean", "sticky", "hold", "preview"};
    unsigned flags = json_is_true(json_object_get(obj, "spa")) ? WH_ROUTE_SPA : 0;
    const json_t *flag;
    size_t i, k;

    json_array_foreach(json_object_get(obj, "flags"), i, flag)
    {
        for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            if (strcmp(json_string_value(flag), names[k]) == 0) {
                flags |= 1u << k;
            }
        }
    }
    return flags;
}

static wh_publish_item_t read_item(apr_pool_t *p, const json_t *obj)
{
    wh_publish_item_t item = {.host = text_of(obj, "host", ""), .route = NULL};
    const char *kind = text_of(obj, "kind", "static");
    wh_route_t *route;

    if (json_is_true(json_object_get(obj, "delete"))) {
        return item;
    }
    route = apr_pcalloc(p, sizeof(*route));
    route->kind = strcmp(kind, "proxy") == 0         ? WH_ROUTE_PROXY
                  : strcmp(kind, "maintenance") == 0 ? WH_ROUTE_MAINTENANCE
                  : strcmp(kind, "redirect") == 0    ? WH_ROUTE_REDIRECT
                                                     : WH_ROUTE_STATIC;
    route->flags = read_flags(obj);
    route->app_id = text_of(obj, "app_id", "01aaaaaaaaaaaaaaaaaaaaaaaa");
    route->slug = text_of(obj, "slug", "test");
    route->environment = text_of(obj, "environment", "production");
    route->deployment_id = text_of(obj, "deployment", "01bbbbbbbbbbbbbbbbbbbbbbbb");
    route->release_id = text_of(obj, "release", "");
    route->previous_release = text_of(obj, "previous_release", "");
    route->previous_until = json_integer_value(json_object_get(obj, "previous_until"));
    route->redirect = text_of(obj, "redirect", "");
    route->redirect_code = number_of(obj, "redirect_code");
    route->timeout_s = number_of(obj, "timeout_s");
    route->hold_s = number_of(obj, "hold_s");
    read_upstreams(json_object_get(obj, "upstreams"), route);
    item.route = route;
    return item;
}

static int put(apr_pool_t *p, const char *link, int all, const json_t *list)
{
    apr_array_header_t *items = apr_array_make(p, 16, sizeof(wh_publish_item_t));
    wh_publish_t *pub = NULL;
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;
    const json_t *obj;
    size_t i;
    int fresh = 0;

    json_array_foreach(list, i, obj)
    {
        APR_ARRAY_PUSH(items, wh_publish_item_t) = read_item(p, obj);
    }
    rv = wh_publish_open(p, link, NULL, &pub, &fresh, &err);
    if (rv == APR_SUCCESS) {
        rv = all ? wh_publish_all(pub, p, items, &err) : wh_publish_items(pub, p, items, &err);
    }
    if (rv != APR_SUCCESS) {
        (void)fprintf(stderr, "wh-route-put: %s: %s\n", err.code, err.text);
        return 1;
    }
    return 0;
}

int main(int argc, const char *const *argv)
{
    apr_pool_t *p = NULL;
    json_error_t error;
    json_t *list;
    int rc;

    if (argc < 2 || apr_initialize() != APR_SUCCESS) {
        (void)fprintf(stderr, "usage: wh-route-put LINK [--all] <items.json\n");
        return 2;
    }
    apr_pool_create(&p, NULL);
    list = json_loadf(stdin, 0, &error);
    if (!json_is_array(list)) {
        (void)fprintf(stderr, "wh-route-put: %s\n", list == NULL ? error.text : "not an array");
        return 2;
    }
    rc = put(p, argv[1], argc > 2 && strcmp(argv[2], "--all") == 0, list);
    json_decref(list);
    apr_pool_destroy(p);
    apr_terminate();
    return rc;
}
