/* wh_model_snapshot: what a deployment keeps of its app (F227); hub and agent read it. */
#include <string.h>

#include "libwh/wh_host.h"
#include "libwh/wh_imageref.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

json_t *wh_model_snapshot_json(const wh_snapshot_t *s)
{
    json_t *json = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:o,"
                     " s:{s:I, s:s, s:I, s:I, s:I, s:I}, s:b, s:b}",
                     "slug", s->slug, "kind", wh_model_kind_text(s->kind), "repository", "url",
                     s->repo_url, "branch", s->repo_branch, "root_directory", s->repo_root,
                     "build",
                     wh_model_int_build_json(s->build_command, s->build_dockerfile,
                                             s->build_output, &s->recipe, 0),
                     "run", "port",
                     (json_int_t)s->port, "health_path", s->health_path, "replicas",
                     (json_int_t)s->replicas, "cpu_millis", (json_int_t)s->cpu_millis,
                     "memory_bytes", (json_int_t)s->memory_bytes, "pids", (json_int_t)s->pids,
                     "spa", s->spa, "clean_urls", s->clean_urls);

    if (json && *s->image) {
        json_object_del(json, "repository");
        json_object_set_new(json, "image", json_string(s->image));
    }
    if (json && wh_model_placed(s->place_worker, s->place_zone, s->place_labels))
        json_object_set_new(
            json, "placement",
            wh_model_int_placement_json(s->place_worker, s->place_zone, s->place_labels));
    return json;
}

json_t *wh_model_snapshot_make(const wh_app_t *app)
{
    wh_snapshot_t s = {
        .slug = app->slug,
        .kind = app->kind,
        .repo_url = app->repo_url,
        .repo_branch = app->repo_branch,
        .repo_root = app->repo_root,
        .image = app->image,
        .build_command = app->build_command,
        .build_dockerfile = app->build_dockerfile,
        .build_output = app->build_output,
        .recipe = app->recipe,
        .port = app->run_port,
        .health_path = app->run_health_path,
        .replicas = app->run_replicas,
        .cpu_millis = app->run_cpu_millis,
        .memory_bytes = app->run_memory_bytes,
        .pids = app->run_pids,
        .spa = app->spa,
        .clean_urls = app->serve.clean_urls,
        .place_worker = app->place_worker,
        .place_zone = app->place_zone,
        .place_labels = app->place_labels,
    };

    return wh_model_snapshot_json(&s);
}

char *wh_model_snapshot_text(apr_pool_t *p, const wh_app_t *app)
{
    json_t *json = wh_model_snapshot_make(app);
    char *text = wh_json_text(p, json, NULL);

    json_decref(json);
    return text;
}

/* One of the two, and an image in its one form: the agent has no other rule for it. */
static apr_status_t source_ok(apr_pool_t *p, const wh_snapshot_t *s, wh_err_t *err)
{
    wh_imageref_t ref;

    if (!*s->image)
        return *s->repo_url ? APR_SUCCESS
                            : wh_err_set(err, 400, "snapshot_invalid",
                                         "a snapshot names a repository or an image");
    if (s->kind != WH_KIND_CONTAINER || *s->repo_url)
        return wh_err_set(err, 400, "snapshot_invalid",
                          "a snapshot with an image is of a container and has no repository");
    return wh_imageref_parse(p, s->image, &ref, err);
}

apr_status_t wh_model_snapshot_decode(apr_pool_t *p, json_t *json, wh_snapshot_t *out,
                                      wh_err_t *err)
{
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(json)));
    const char *kind = NULL;
    wh_model_int_parts_t parts = {
        .url = &out->repo_url,
        .branch = &out->repo_branch,
        .root = &out->repo_root,
        .command = &out->build_command,
        .dockerfile = &out->build_dockerfile,
        .output = &out->build_output,
        .recipe = &out->recipe,
        .port = &out->port,
        .replicas = &out->replicas,
        .cpu_millis = &out->cpu_millis,
        .memory_bytes = &out->memory_bytes,
        .pids = &out->pids,
        .health_path = &out->health_path,
    };
    const wh_model_int_place_t place = {
        .worker = &out->place_worker, .zone = &out->place_zone, .labels = &out->place_labels};
    apr_status_t rv;

    *out = (wh_snapshot_t){
        .slug = "",
        .repo_url = "",
        .repo_branch = "main",
        .repo_root = "",
        .image = "",
        .build_command = "",
        .build_dockerfile = "Dockerfile",
        .build_output = "",
        .recipe = WH_MODEL_INT_RECIPE,
        .port = WH_APP_PORT_DEFAULT,
        .health_path = "/",
        .replicas = 1,
        .cpu_millis = WH_APP_CPU_DEFAULT,
        .memory_bytes = WH_APP_MEMORY_DEFAULT,
        .pids = WH_APP_PIDS_DEFAULT,
        .place_worker = "",
        .place_zone = "",
        .place_labels = "{}",
    };
    if (!json_is_object(json))
        return wh_err_set(err, 400, "snapshot_invalid", "a snapshot is an object");
    if ((rv = wh_json_str(&at, "slug", WH_JSON_REQ(1, WH_HOST_SLUG_MAX), &out->slug, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_str(&at, "kind", WH_JSON_REQ(1, 32), &kind, err)) != APR_SUCCESS ||
        (rv = wh_json_str(&at, "image", WH_JSON_OPT(1, WH_IMAGEREF_MAX), &out->image, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_bool(&at, "spa", 0, &out->spa, err)) != APR_SUCCESS ||
        (rv = wh_json_bool(&at, "clean_urls", 0, &out->clean_urls, err)) != APR_SUCCESS ||
        (rv = wh_model_int_parts(&at, 0, &parts, err)) != APR_SUCCESS ||
        (rv = wh_model_int_placement(p, &at, 0, &place, err)) != APR_SUCCESS ||
        (rv = wh_model_int_at(&at, "slug", wh_host_slug_check(out->slug, err), err)) !=
            APR_SUCCESS)
        return rv;
    if (!wh_model_kind_of(kind, &out->kind))
        return wh_err_set(err, 400, "snapshot_invalid", "a snapshot names a known kind");
    return source_ok(p, out, err);
}

apr_status_t wh_model_snapshot_parse(apr_pool_t *p, const char *text, wh_snapshot_t *out,
                                     wh_err_t *err)
{
    json_t *json;
    apr_status_t rv = wh_json_load_object(p, text, strlen(text), NULL, &json, err);

    if (rv != APR_SUCCESS)
        return rv;
    return wh_model_snapshot_decode(p, json, out, err);
}
