/* wh_model_app: apps from and to JSON, and the parts that a snapshot shares with them. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_giturl.h"
#include "libwh/wh_host.h"
#include "libwh/wh_imageref.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_try.h"

static apr_status_t only(const wh_json_at_t *at, int strict, const char *const *names, size_t n,
                         wh_err_t *err)
{
    return strict ? wh_json_only(at, names, n, err) : APR_SUCCESS;
}

static apr_status_t repository(const wh_json_at_t *at, int strict,
                               const wh_model_int_parts_t *parts, wh_err_t *err)
{
    static const char *const names[] = {"url", "branch", "root_directory"};

    TRY(only(at, strict, names, WH_ARRAY_LEN(names), err));
    TRY(wh_json_str(at, "url", WH_JSON_OPT(1, WH_GITURL_MAX), parts->url, err));
    TRY(wh_model_int_str(at, "branch", 1, WH_HOST_BRANCH_MAX, "main", parts->branch, err));
    TRY(wh_model_int_at(at, "branch", wh_host_branch_check(*parts->branch, err), err));
    TRY(wh_model_int_str(at, "root_directory", 0, WH_APP_PATH_MAX, "", parts->root, err));
    return wh_model_int_at(at, "root_directory", wh_giturl_subdir_check(*parts->root, err), err);
}

/* A path as it stands in a request line: no blank, nothing above ASCII, no fragment. */
static int health_path_ok(const char *s)
{
    if (*s != '/')
        return 0;
    for (; *s; s++) {
        if (*s <= ' ' || *s >= 0x7f || *s == '#' || *s == '"' || *s == '<' || *s == '>' ||
            *s == '\\')
            return 0;
    }
    return 1;
}

static apr_status_t run(const wh_json_at_t *at, int strict, const wh_model_int_parts_t *parts,
                        wh_err_t *err)
{
    static const char *const names[] = {"port",       "health_path",  "replicas",
                                        "cpu_millis", "memory_bytes", "pids"};

    TRY(only(at, strict, names, WH_ARRAY_LEN(names), err));
    TRY(wh_model_int_num(at, "port", WH_JSON_OPT(1, 65535), WH_APP_PORT_DEFAULT, parts->port,
                         err));
    TRY(wh_model_int_str(at, "health_path", 1, WH_APP_HEALTH_MAX, "/", parts->health_path, err));
    if (!health_path_ok(*parts->health_path))
        return wh_model_int_bad(at, "health_path", err,
                                "a health path begins with '/' and is printable ASCII");
    TRY(wh_model_int_num(at, "replicas", WH_JSON_OPT(1, WH_APP_REPLICAS_MAX), 1, parts->replicas,
                         err));
    TRY(wh_model_int_num(at, "cpu_millis", WH_JSON_OPT(WH_APP_CPU_MIN, WH_APP_CPU_MAX),
                         WH_APP_CPU_DEFAULT, parts->cpu_millis, err));
    TRY(wh_model_int_num(at, "memory_bytes", WH_JSON_OPT(WH_APP_MEMORY_MIN, WH_APP_MEMORY_MAX),
                         WH_APP_MEMORY_DEFAULT, parts->memory_bytes, err));
    return wh_model_int_num(at, "pids", WH_JSON_OPT(WH_APP_PIDS_MIN, WH_APP_PIDS_MAX),
                            WH_APP_PIDS_DEFAULT, parts->pids, err);
}

apr_status_t wh_model_int_run(const wh_json_at_t *at, int strict, const wh_model_int_parts_t *parts,
                              wh_err_t *err)
{
    wh_json_at_t part;

    TRY(wh_json_obj(at, "run", 0, &part, err));
    return part.obj ? run(&part, strict, parts, err) : APR_SUCCESS;
}

apr_status_t wh_model_int_parts(const wh_json_at_t *at, int strict,
                                const wh_model_int_parts_t *parts, wh_err_t *err)
{
    wh_json_at_t part;

    TRY(wh_json_obj(at, "repository", 0, &part, err));
    if (part.obj)
        TRY(repository(&part, strict, parts, err));
    TRY(wh_model_int_build(at, strict, parts, err));
    return wh_model_int_run(at, strict, parts, err);
}

static const wh_serve_t serve_defaults = {.hold_s = WH_APP_HOLD_DEFAULT,
                                          .grace_s = WH_APP_GRACE_DEFAULT,
                                          .previous_s = WH_APP_PREVIOUS_DEFAULT};

static void defaults(wh_app_t *app)
{
    *app = (wh_app_t){
        .id = "",
        .slug = "",
        .name = "",
        .repo_url = "",
        .repo_branch = "main",
        .repo_root = "",
        .image = "",
        .build_command = "",
        .build_dockerfile = "Dockerfile",
        .build_output = "",
        .recipe = WH_MODEL_INT_RECIPE,
        .run_port = WH_APP_PORT_DEFAULT,
        .run_health_path = "/",
        .run_replicas = 1,
        .run_cpu_millis = WH_APP_CPU_DEFAULT,
        .run_memory_bytes = WH_APP_MEMORY_DEFAULT,
        .run_pids = WH_APP_PIDS_DEFAULT,
        .place_worker = "",
        .place_zone = "",
        .place_labels = "{}",
        .serve = serve_defaults,
        .preview_ttl_s = WH_APP_PREVIEW_TTL_DEFAULT,
        .sync_every_s = WH_APP_SYNC_EVERY_DEFAULT,
        .desired = WH_DESIRED_RUNNING,
        .observed = WH_OBSERVED_UNKNOWN,
        .reason = "",
        .version = 1,
    };
}

/* slug and kind: given once, when the app is made. */
static apr_status_t identity(const wh_json_at_t *at, int patch, wh_app_t *app, wh_err_t *err)
{
    unsigned need = patch ? 0 : WH_JSON_F_REQUIRED;
    const char *slug = app->slug;
    const char *kind_text = wh_model_kind_text(app->kind);
    wh_kind_e kind;

    TRY(wh_json_str(at, "slug", WH_JSON_RULE(need, 1, 255), &slug, err));
    if (patch && strcmp(slug, app->slug) != 0)
        return wh_err_field(err, "/slug", "immutable", "the slug of an app cannot be changed");
    if (!patch)
        TRY(wh_host_slug_check(slug, err));
    TRY(wh_json_str(at, "kind", WH_JSON_RULE(need, 1, 32), &kind_text, err));
    if (!wh_model_kind_of(kind_text, &kind))
        return wh_model_int_bad(at, "kind", err, "a kind is \"static\" or \"container\"");
    if (patch && kind != app->kind)
        return wh_err_field(err, "/kind", "immutable", "the kind of an app cannot be changed");
    app->slug = slug;
    app->kind = kind;
    return APR_SUCCESS;
}

static apr_status_t settings(const wh_json_at_t *at, wh_app_t *app, wh_err_t *err)
{
    const char *desired = NULL;

    TRY(wh_model_int_str(at, "name", 1, WH_APP_NAME_MAX, app->slug, &app->name, err));
    if (wh_json_has(at, "name")) /* a patch of something else is not judged by it */
        TRY(wh_model_int_honest(at, "name", app->name, err));
    TRY(wh_model_int_str(at, "desired", 1, 32, "running", &desired, err));
    if (desired && !wh_model_desired_of(desired, &app->desired))
        return wh_model_int_bad(at, "desired", err, "desired is \"running\" or \"stopped\"");
    return wh_model_int_flag(at, "spa", &app->spa, err);
}

static apr_status_t serve(const wh_json_at_t *at, wh_serve_t *s, wh_err_t *err)
{
    static const char *const names[] = {
        "clean_urls",   "sticky",        "maintenance",            "timeout_seconds",
        "hold_seconds", "grace_seconds", "previous_assets_seconds"};
    wh_json_at_t part;

    if (json_is_null(json_object_get(at->obj, "serve"))) {
        *s = serve_defaults;
        return APR_SUCCESS;
    }
    TRY(wh_json_obj(at, "serve", 0, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    TRY(wh_json_only(&part, names, WH_ARRAY_LEN(names), err));
    TRY(wh_model_int_flag(&part, "clean_urls", &s->clean_urls, err));
    TRY(wh_model_int_flag(&part, "sticky", &s->sticky, err));
    TRY(wh_model_int_flag(&part, "maintenance", &s->maintenance, err));
    TRY(wh_model_int_num(&part, "timeout_seconds", WH_JSON_OPT(0, WH_APP_TIMEOUT_MAX),
                         serve_defaults.timeout_s, &s->timeout_s, err));
    TRY(wh_model_int_num(&part, "hold_seconds", WH_JSON_OPT(0, WH_APP_HOLD_MAX),
                         serve_defaults.hold_s, &s->hold_s, err));
    TRY(wh_model_int_num(&part, "grace_seconds", WH_JSON_OPT(0, WH_APP_GRACE_MAX),
                         serve_defaults.grace_s, &s->grace_s, err));
    return wh_model_int_num(&part, "previous_assets_seconds", WH_JSON_OPT(0, WH_APP_PREVIOUS_MAX),
                            serve_defaults.previous_s, &s->previous_s, err);
}

static apr_status_t previews(const wh_json_at_t *at, wh_app_t *app, wh_err_t *err)
{
    static const char *const names[] = {"max", "ttl_seconds"};
    wh_json_at_t part;

    if (json_is_null(json_object_get(at->obj, "previews"))) {
        app->preview_max = 0;
        app->preview_ttl_s = WH_APP_PREVIEW_TTL_DEFAULT;
        return APR_SUCCESS;
    }
    TRY(wh_json_obj(at, "previews", 0, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    TRY(wh_json_only(&part, names, WH_ARRAY_LEN(names), err));
    TRY(wh_model_int_num(&part, "max", WH_JSON_OPT(0, WH_APP_PREVIEWS_MAX), 0, &app->preview_max,
                         err));
    return wh_model_int_num(&part, "ttl_seconds",
                            WH_JSON_OPT(WH_APP_PREVIEW_TTL_MIN, WH_APP_PREVIEW_TTL_MAX),
                            WH_APP_PREVIEW_TTL_DEFAULT, &app->preview_ttl_s, err);
}

static apr_status_t sync_part(const wh_json_at_t *at, wh_app_t *app, wh_err_t *err)
{
    static const char *const names[] = {"type", "every_seconds"};
    const char *kind = wh_model_sync_kind_text(app->sync_kind);
    wh_json_at_t part;

    if (json_is_null(json_object_get(at->obj, "sync"))) {
        app->sync_kind = WH_SYNC_WEBHOOK;
        app->sync_every_s = WH_APP_SYNC_EVERY_DEFAULT;
        return APR_SUCCESS;
    }
    TRY(wh_json_obj(at, "sync", 0, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    TRY(wh_json_only(&part, names, WH_ARRAY_LEN(names), err));
    TRY(wh_model_int_str(&part, "type", 1, 16, "webhook", &kind, err));
    if (!wh_model_sync_kind_of(kind, &app->sync_kind))
        return wh_model_int_bad(&part, "type", err,
                                "a sync type is \"webhook\", \"polling\", \"github-actions\" or "
                                "\"manual\"");
    return wh_model_int_num(&part, "every_seconds",
                            WH_JSON_OPT(WH_APP_SYNC_EVERY_MIN, WH_APP_SYNC_EVERY_MAX),
                            WH_APP_SYNC_EVERY_DEFAULT, &app->sync_every_s, err);
}

/* Nobody else can be asked about what was pushed to this server itself. */
static apr_status_t sync_ok(const wh_app_t *app, wh_err_t *err)
{
    if (app->sync_kind == WH_SYNC_POLLING && *app->image)
        return wh_err_field(err, "/sync/type", "invalid_value",
                            "an app of an image has no repository that could be polled");
    if (app->sync_kind == WH_SYNC_POLLING && wh_giturl_kind(app->repo_url) == WH_GITURL_HUB)
        return wh_err_field(err, "/sync/type", "invalid_value",
                            "what is pushed to this server itself is not polled");
    return APR_SUCCESS;
}

/* Where it comes from: a repository, or an image that was built elsewhere. The one that a body
 * names takes the place of the other. */
static apr_status_t source(apr_pool_t *p, const wh_json_at_t *at, const wh_model_app_opt_t *opt,
                           wh_app_t *app, wh_err_t *err)
{
    int repository = json_is_object(json_object_get(at->obj, "repository")) &&
                     json_object_get(json_object_get(at->obj, "repository"), "url");
    wh_imageref_t ref;

    TRY(wh_model_int_str(at, "image", 1, WH_IMAGEREF_MAX, "", &app->image, err));
    if (json_is_string(json_object_get(at->obj, "image"))) {
        if (repository)
            return wh_model_int_bad(at, "image", err,
                                    "an app comes from a repository or an image, not from both");
        TRY(wh_imageref_parse(p, app->image, &ref, err));
        app->image = wh_imageref_text(p, &ref);
        app->repo_url = "";
    } else if (repository) {
        app->image = "";
    }
    if (*app->image && app->kind != WH_KIND_CONTAINER)
        return wh_model_int_bad(at, "image", err, "an image runs in an app of kind container");
    if (!*app->repo_url && !*app->image)
        return wh_err_field(err, "/repository/url", "missing_field",
                            "the address of a repository is required, or an image");
    /* A patch that leaves the address alone is not judged by today's rule for addresses. */
    if (!*app->image && (!opt->patch || repository))
        TRY(wh_giturl_check(p, app->repo_url, opt->local_repo_root, err));
    return APR_SUCCESS;
}

/* What is fetched with a repository means nothing for an image: who asks for it is told; an app
 * that is given an image instead of its repository leaves it behind. */
static apr_status_t fetch_ok(apr_pool_t *p, const wh_json_at_t *at, wh_app_t *app, wh_err_t *err)
{
    static const char *const names[] = {"lfs", "submodules"};
    const json_t *build = json_object_get(at->obj, "build");

    if (!*app->image)
        return APR_SUCCESS;
    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        if (json_is_true(json_object_get(build, names[i])))
            return wh_err_field(err, apr_pstrcat(p, "/build/", names[i], NULL),
                                "no_repository",
                                "an app of an image has no repository to fetch that from");
    }
    app->recipe.lfs = app->recipe.submodules = 0;
    return APR_SUCCESS;
}

apr_status_t wh_model_app_decode(apr_pool_t *p, json_t *body, const wh_model_app_opt_t *opt,
                                 wh_app_t *app, wh_err_t *err)
{
    static const char *const names[] = {"slug",  "name",      "kind", "repository", "image",
                                        "build", "run",       "placement", "spa",
                                        "serve", "previews",  "desired",   "sync"};
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(body)));
    wh_model_int_parts_t parts = {
        .url = &app->repo_url,
        .branch = &app->repo_branch,
        .root = &app->repo_root,
        .command = &app->build_command,
        .dockerfile = &app->build_dockerfile,
        .output = &app->build_output,
        .recipe = &app->recipe,
        .port = &app->run_port,
        .replicas = &app->run_replicas,
        .cpu_millis = &app->run_cpu_millis,
        .memory_bytes = &app->run_memory_bytes,
        .pids = &app->run_pids,
        .health_path = &app->run_health_path,
    };

    const wh_model_int_place_t place = {
        .worker = &app->place_worker, .zone = &app->place_zone, .labels = &app->place_labels};

    if (!opt->patch)
        defaults(app);
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    TRY(wh_json_only(&at, names, WH_ARRAY_LEN(names), err));
    TRY(identity(&at, opt->patch, app, err));
    if (!opt->patch)
        app->name = app->slug;
    TRY(settings(&at, app, err));
    TRY(serve(&at, &app->serve, err));
    TRY(previews(&at, app, err));
    TRY(sync_part(&at, app, err));
    TRY(wh_model_int_parts(&at, 1, &parts, err));
    TRY(wh_model_int_placement(p, &at, 1, &place, err));
    TRY(source(p, &at, opt, app, err));
    TRY(fetch_ok(p, &at, app, err));
    return sync_ok(app, err);
}

static json_t *serve_json(const wh_serve_t *s)
{
    return json_pack("{s:b, s:b, s:b, s:I, s:I, s:I, s:I}", "clean_urls", s->clean_urls, "sticky",
                     s->sticky, "maintenance", s->maintenance, "timeout_seconds",
                     (json_int_t)s->timeout_s, "hold_seconds", (json_int_t)s->hold_s,
                     "grace_seconds", (json_int_t)s->grace_s, "previous_assets_seconds",
                     (json_int_t)s->previous_s);
}

static json_t *repository_json(const wh_app_t *app)
{
    if (*app->image)
        return json_null();
    return json_pack("{s:s, s:s, s:s}", "url", app->repo_url, "branch", app->repo_branch,
                     "root_directory", app->repo_root);
}

json_t *wh_model_app_json(apr_pool_t *p, const wh_app_t *app, const apr_array_header_t *urls)
{
    (void)p;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o,"
        " s:{s:I, s:s, s:I, s:I, s:I, s:I}, s:o, s:b, s:o, s:{s:I, s:I}, s:{s:s, s:I}, s:s, s:s, s:o, s:o, s:o,"
        " s:o}",
        "id", app->id, "slug", app->slug, "name", app->name, "kind",
        wh_model_kind_text(app->kind), "repository", repository_json(app), "image",
        wh_model_int_text(app->image), "build",
        wh_model_int_build_json(app->build_command, app->build_dockerfile, app->build_output,
                                &app->recipe, 1),
        "run", "port", (json_int_t)app->run_port,
        "health_path", app->run_health_path, "replicas", (json_int_t)app->run_replicas,
        "cpu_millis", (json_int_t)app->run_cpu_millis, "memory_bytes",
        (json_int_t)app->run_memory_bytes, "pids", (json_int_t)app->run_pids, "placement",
        wh_model_int_placement_json(app->place_worker, app->place_zone, app->place_labels), "spa",
        app->spa, "serve", serve_json(&app->serve), "previews", "max",
        (json_int_t)app->preview_max, "ttl_seconds", (json_int_t)app->preview_ttl_s, "sync", "type",
        wh_model_sync_kind_text(app->sync_kind), "every_seconds", (json_int_t)app->sync_every_s,
        "desired", wh_model_desired_text(app->desired), "observed",
        wh_model_observed_text(app->observed), "reason", wh_model_int_text(app->reason), "urls",
        wh_model_int_strings(urls), "created_at", wh_model_int_time(app->created_at),
        "updated_at", wh_model_int_time(app->updated_at));
}
