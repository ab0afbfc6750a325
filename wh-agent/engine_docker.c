#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-agent/buildout.h"
#include "wh-agent/engine_http.h"
#include "wh-agent/engine_json.h"
#include "wh-agent/frames.h"
#include "wh-agent/pullout.h"

#define START_LIMIT_S 120
/* Podman reckons the size of each image for the list, and with many images on a busy machine that,
 * and the taking away of one, takes longer than the 30 s of an ordinary call. */
#define IMAGES_LIMIT_US ((apr_interval_time_t)120 * APR_USEC_PER_SEC)
#define LINGER_US ((apr_interval_time_t)60 * APR_USEC_PER_SEC)

/* Any engine with the Docker API: Docker itself, Podman's service. */
typedef struct docker_t {
    wh_engine_t engine;
    wh_engine_http_t *http;
    apr_pool_t *p;
    const wh_clock_t *clock;
    const char *name;
    const char *api; /* "v1.41"; NULL = not asked yet */
} docker_t;

static docker_t *docker_of(wh_engine_t *e)
{
    return e->impl;
}

static int is_podman(const docker_t *d)
{
    return d->name != NULL && strncmp(d->name, "podman", 6) == 0;
}

/* The short question: Podman runs programs to answer /version, which takes a quarter of a second,
 * but says both versions in the headers of its ping. */
static apr_status_t ping(docker_t *d, wh_err_t *err)
{
    wh_engine_call_t call = {.method = "GET", .path = "/_ping"};
    wh_engine_reply_t reply;
    apr_status_t rv = wh_engine_http_call(d->http, d->p, &call, &reply, err);

    if (rv == APR_SUCCESS && reply.status == 200 && reply.podman != NULL && reply.api != NULL &&
        strcmp(reply.api, "1.41") == 0) {
        d->api = "v1.41";
        d->name =
            apr_pstrcat(d->p, "podman ",
                        wh_text_log_escape(d->p, reply.podman, strlen(reply.podman), 32), NULL);
    }
    return rv;
}

/* Which API version to speak is asked once a session: engines drop old ones. */
static apr_status_t know_api(docker_t *d, wh_err_t *err)
{
    wh_engine_call_t call = {.method = "GET", .path = "/version"};
    wh_engine_reply_t reply;
    apr_status_t rv = d->api != NULL ? APR_SUCCESS : ping(d, err);

    if (rv != APR_SUCCESS || d->api != NULL)
        return rv;
    rv = wh_engine_http_call(d->http, d->p, &call, &reply, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (reply.status != 200)
        return wh_err_set(err, 503, "no_engine",
                          "what answers at the engine's socket is no engine");
    return wh_engine_json_version(d->p, reply.body, reply.n, &d->name, &d->api, err);
}

static apr_status_t refused(apr_pool_t *p, const char *what, const wh_engine_reply_t *reply,
                            wh_err_t *err)
{
    return wh_err_set(err, 502, "engine_error", "the engine could not %s (%d): %s", what,
                      reply->status, wh_engine_json_message(p, reply->body, reply->n));
}

/* A call below the API version; path is printed. */
static apr_status_t call_api(docker_t *d, apr_pool_t *p, wh_engine_call_t *call,
                             wh_engine_reply_t *reply, wh_err_t *err)
{
    apr_status_t rv = know_api(d, err);

    if (rv != APR_SUCCESS)
        return rv;
    call->path = apr_pstrcat(p, "/", d->api, call->path, NULL);
    return wh_engine_http_call(d->http, p, call, reply, err);
}

static apr_status_t docker_version(wh_engine_t *e, apr_pool_t *p, const char **name, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    apr_status_t rv = know_api(d, err);

    if (rv == APR_SUCCESS)
        *name = apr_pstrdup(p, d->name);
    return rv;
}

/* Podman builds in the network of the host when nothing is said, and asks in words of its own:
 * Docker, which does better by itself, passes over them. */
static const char *namespaces(apr_pool_t *p, const wh_engine_build_t *build)
{
    json_t *list = json_pack("[{s:s, s:b, s:s}]", "Name", "network", "Host", 0, "Path", "");

    if (build->pid_ns[0] != '\0')
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:s}", "Name", "pid", "Host", 0, "Path", build->pid_ns));
    return wh_engine_http_escape(p, wh_json_text(p, wh_json_own(p, list), NULL));
}

/* A step that is not ended by anybody must at least not burn a processor for ever, and a file with
 * holes takes no room until the engine packs it. (Docker ends the step with the connection, and
 * writes these parameters in another way.) */
static const char *podman_limits(apr_pool_t *p, const docker_t *d, const wh_engine_build_t *build,
                                 apr_interval_time_t left_us)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int s = (int)((apr_time_sec(left_us) + 1) * (cores > 0 ? cores : 1));
    apr_int64_t file = build->file_max_bytes;
    const char *files;

    if (!is_podman(d))
        return "";
    files = file > 0 ? apr_psprintf(p, ",\"fsize=%" APR_INT64_T_FMT ":%" APR_INT64_T_FMT "\"", file,
                                    file)
                     : "";
    return apr_pstrcat(
        p, "&ulimits=",
        wh_engine_http_escape(p, apr_psprintf(p, "[\"cpu=%d:%d\"%s]", s, s, files)),
        build->cgroup[0] != '\0' ? "&cgroupparent=" : "", wh_engine_http_escape(p, build->cgroup),
        NULL);
}

static const char *build_path(apr_pool_t *p, const docker_t *d, const wh_engine_build_t *build,
                              apr_interval_time_t left_us)
{
    json_t *labels = wh_json_own(p, wh_engine_json_labels(build->labels));

    return apr_psprintf(
        p,
        "/build?dockerfile=%s&t=%s&labels=%s&rm=1&forcerm=1&memory=%" APR_INT64_T_FMT
        "&memswap=%" APR_INT64_T_FMT "&cpushares=%" APR_INT64_T_FMT "&nsoptions=%s%s%s%s",
        wh_engine_http_escape(p, build->dockerfile), wh_engine_http_escape(p, build->tag),
        wh_engine_http_escape(p, wh_json_text(p, labels, NULL)), build->memory_bytes,
        build->memory_bytes, build->cpu_weight, namespaces(p, build),
        podman_limits(p, d, build, left_us), build->secrets[0] != '\0' ? "&secrets=" : "",
        wh_engine_http_escape(p, build->secrets));
}

static apr_status_t docker_build(wh_engine_t *e, apr_pool_t *p, const wh_engine_build_t *build,
                                 const char **image, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    wh_buildout_t *out = apr_palloc(p, sizeof(*out));
    wh_engine_call_t call = {.method = "POST",
                             .read = build->read,
                             .read_baton = build->read_baton,
                             .sink = wh_buildout_feed,
                             .sink_baton = out,
                             .watch = build->watch,
                             .watch_baton = build->watch_baton,
                             .over = build->over,
                             .over_baton = build->over_baton,
                             .linger_us = LINGER_US};
    wh_engine_reply_t reply = {.answered = 1};
    apr_status_t rv = wh_buildout_init(p, out, build->text, build->text_baton);

    out->layers = build->layers;
    *build->settled = 1;
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "cannot read a build's output");
    rv = know_api(d, err);
    if (rv != APR_SUCCESS)
        return rv;
    call.timeout_us = wh_mono_diff(build->deadline, wh_clock_mono(d->clock));
    if (call.timeout_us <= 0)
        return wh_err_set(err, 504, "deadline", "there was no time left for the build");
    call.path = build_path(p, d, build, call.timeout_us);
    rv = call_api(d, p, &call, &reply, err);
    wh_buildout_end(out);
    *build->settled = reply.answered;
    if (rv != APR_SUCCESS)
        return rv;
    if (reply.status != 200)
        return wh_err_set(err, 422, "build_failed", "the build was refused: %s",
                          wh_engine_json_message(p, reply.body, reply.n));
    if (out->error[0] != '\0')
        return wh_err_set(err, 422, "build_failed", "%s", out->error);
    if (out->image[0] == '\0')
        return wh_err_set(err, 422, "build_failed", "the build ended without an image");
    *image = apr_pstrdup(p, out->image);
    return APR_SUCCESS;
}

/* The bridge gets a name of its own. Left to itself an engine takes one that is free at this moment
 * (podman1, podman2, …), which is free again for other engines of the machine while none of its
 * containers runs; on another's bridge, with another's address, a container is not reached. */
static const char *bridge_name(apr_pool_t *p, const char *name, const apr_array_header_t *labels)
{
    const char *who =
        apr_pstrcat(p, name, "@", wh_engine_label(labels, WH_ENGINE_LABEL_AGENT), NULL);
    unsigned char hash[WH_SHA256_LEN];
    char *out = apr_palloc(p, 16);

    wh_sign_sha256(who, strlen(who), hash);
    (void)apr_snprintf(out, 16, "wh-%02x%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3],
                       hash[4]);
    return out;
}

/* Docker says 409. Podman says 500 and words, and may have denied the network a moment before: it
 * looks through the containers on it, of which one may be on its way out. */
static int is_there(apr_pool_t *p, const wh_engine_reply_t *reply)
{
    return reply->status == 409 ||
           (reply->status == 500 &&
            strstr(wh_engine_json_message(p, reply->body, reply->n), "network already exists"));
}

static apr_status_t docker_network(wh_engine_t *e, apr_pool_t *p, const char *name,
                                   const apr_array_header_t *labels, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    wh_engine_call_t look = {
        .method = "GET",
        .path = apr_pstrcat(p, "/networks/", wh_engine_http_escape(p, name), NULL)};
    wh_engine_call_t make = {.method = "POST", .path = "/networks/create"};
    wh_engine_reply_t reply;
    json_t *body;
    apr_status_t rv = call_api(d, p, &look, &reply, err);

    if (rv != APR_SUCCESS || reply.status == 200)
        return rv;
    body = wh_json_own(p, json_pack("{s:s, s:s, s:b, s:{s:s}, s:o}", "Name", name, "Driver",
                                    "bridge", "CheckDuplicate", 1, "Options",
                                    "com.docker.network.bridge.name", bridge_name(p, name, labels),
                                    "Labels", wh_engine_json_labels(labels)));
    make.body = wh_json_text(p, body, NULL);
    rv = call_api(d, p, &make, &reply, err);
    if (rv == APR_SUCCESS && reply.status != 201 && reply.status != 200 && !is_there(p, &reply))
        rv = refused(p, "make the app's network", &reply, err);
    return rv;
}

/* A call whose answer is only good or bad; `fine` is a further status that counts as good. */
static apr_status_t simple(docker_t *d, apr_pool_t *p, wh_engine_call_t call, const char *what,
                           int fine, wh_err_t *err)
{
    wh_engine_reply_t reply;
    apr_status_t rv = call_api(d, p, &call, &reply, err);

    if (rv == APR_SUCCESS && (reply.status < 200 || reply.status > 299) && reply.status != fine &&
        reply.status != 304)
        rv = refused(p, what, &reply, err);
    return rv;
}

static apr_status_t docker_network_remove(wh_engine_t *e, apr_pool_t *p, const char *name,
                                          wh_err_t *err)
{
    wh_engine_call_t call = {
        .method = "DELETE",
        .path = apr_pstrcat(p, "/networks/", wh_engine_http_escape(p, name), NULL)};

    return simple(docker_of(e), p, call, "remove the app's network", 404, err);
}

static const char *container_path(apr_pool_t *p, const char *id, const char *rest)
{
    return apr_pstrcat(p, "/containers/", wh_engine_http_escape(p, id), rest, NULL);
}

static apr_status_t docker_create(wh_engine_t *e, apr_pool_t *p, const wh_engine_spec_t *spec,
                                  const char **id, wh_err_t *err)
{
    json_t *body = wh_json_own(p, wh_engine_json_spec(spec));
    wh_engine_call_t call = {.method = "POST",
                             .path = apr_pstrcat(p, "/containers/create?name=",
                                                 wh_engine_http_escape(p, spec->name), NULL),
                             .body = wh_json_text(p, body, NULL)};
    wh_engine_reply_t reply;
    apr_status_t rv;

    if (call.body == NULL)
        return wh_err_set(err, 500, "internal", "the container's description cannot be made");
    rv = call_api(docker_of(e), p, &call, &reply, err);
    if (rv != APR_SUCCESS)
        return rv;
    *id = wh_engine_json_str(p, reply.body, reply.n, "Id");
    if (reply.status != 201 || (*id)[0] == '\0')
        return refused(p, "create the container", &reply, err);
    return APR_SUCCESS;
}

/* A GET about one container. Code engine_error; APR_NOTFOUND: it is gone. */
static apr_status_t ask_about(wh_engine_t *e, apr_pool_t *p, const char *path, const char *what,
                              wh_engine_reply_t *reply, wh_err_t *err)
{
    wh_engine_call_t call = {.method = "GET", .path = path};
    apr_status_t rv = call_api(docker_of(e), p, &call, reply, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (reply->status == 404) {
        (void)wh_err_set(err, 404, "engine_error", "the container is gone");
        return APR_NOTFOUND;
    }
    return reply->status == 200 ? APR_SUCCESS : refused(p, what, reply, err);
}

static apr_status_t docker_inspect(wh_engine_t *e, apr_pool_t *p, const char *id,
                                   wh_engine_seen_t *seen, wh_err_t *err)
{
    wh_engine_reply_t reply;
    apr_status_t rv =
        ask_about(e, p, container_path(p, id, "/json"), "describe the container", &reply, err);

    if (rv != APR_SUCCESS)
        return rv;
    return wh_engine_json_seen(p, reply.body, reply.n, seen, err);
}

/* Control groups of the first form: there Podman counts the page cache, and does not say how much
 * it is. With the second form it leaves the cache out. */
static void without_cache(wh_engine_t *e, apr_pool_t *p, const char *id, wh_engine_use_t *use)
{
    wh_engine_seen_t seen;

    if (wh_engine_use_form1() && docker_inspect(e, p, id, &seen, NULL) == APR_SUCCESS &&
        seen.pid != 0)
        wh_engine_use_trim(p, seen.pid, use);
}

static void as_podman_means(wh_engine_t *e, apr_pool_t *p, const char *id, wh_engine_use_t *use)
{
    if (use->cache_unknown)
        without_cache(e, p, id, use);
    if (wh_engine_use_swapped(docker_of(e)->name)) {
        apr_int64_t in = use->net_tx_bytes;

        use->net_tx_bytes = use->net_rx_bytes;
        use->net_rx_bytes = in;
    }
}

static apr_status_t docker_use(wh_engine_t *e, apr_pool_t *p, const char *id, wh_engine_use_t *use,
                               wh_err_t *err)
{
    wh_engine_reply_t reply;
    apr_status_t rv = ask_about(e, p, container_path(p, id, "/stats?stream=false&one-shot=true"),
                                "say what the container uses", &reply, err);

    if (rv != APR_SUCCESS)
        return rv;
    rv = wh_engine_json_use(p, reply.body, reply.n, use, err);
    if (rv == APR_SUCCESS && is_podman(docker_of(e)))
        as_podman_means(e, p, id, use);
    return rv;
}

static apr_status_t docker_start(wh_engine_t *e, apr_pool_t *p, const char *id, apr_int64_t limit_s,
                                 wh_err_t *err)
{
    wh_engine_call_t call = {.method = "POST",
                             .path = container_path(p, id, "/start"),
                             .timeout_us =
                                 apr_time_from_sec(limit_s > 0 ? limit_s : START_LIMIT_S)};

    return simple(docker_of(e), p, call, "start the container", 0, err);
}

static apr_status_t docker_wait_begin(wh_engine_t *e, const char *id, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    wh_engine_call_t call = {.method = "POST"};
    apr_status_t rv = know_api(d, err);

    if (rv != APR_SUCCESS)
        return rv;
    call.path =
        apr_pstrcat(d->p, "/", d->api, container_path(d->p, id, "/wait?condition=next-exit"), NULL);
    return wh_engine_http_begin(d->http, &call, err);
}

static apr_status_t docker_wait_check(wh_engine_t *e, apr_interval_time_t us, int *ended,
                                      apr_int64_t *exit_status, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    wh_engine_reply_t reply = {.status = 0};
    apr_pool_t *p;
    apr_status_t rv = apr_pool_create(&p, d->p);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    rv = wh_engine_http_check(d->http, p, us, ended, &reply, err);
    *exit_status = -1;
    if (rv == APR_SUCCESS && *ended && reply.status == 200)
        *exit_status = wh_engine_json_int(p, reply.body, reply.n, "StatusCode");
    apr_pool_destroy(p);
    return rv;
}

static apr_status_t docker_logs(wh_engine_t *e, apr_pool_t *p, const wh_engine_logs_t *what,
                                wh_err_t *err)
{
    wh_frames_t frames;
    const char *query = apr_psprintf(p, "/logs?stdout=1&stderr=1&tail=%d", what->tail);
    wh_engine_call_t call = {.method = "GET",
                             .path = container_path(p, what->id, query),
                             .sink = wh_frames_feed,
                             .sink_baton = &frames};

    wh_frames_init(&frames, what->text, what->text_baton);
    return simple(docker_of(e), p, call, "give the container's log", 404, err);
}

static apr_status_t docker_archive(wh_engine_t *e, apr_pool_t *p, const wh_engine_archive_t *what,
                                   wh_err_t *err)
{
    docker_t *d = docker_of(e);
    const char *query =
        apr_pstrcat(p, "/archive?path=", wh_engine_http_escape(p, what->path), NULL);
    wh_engine_call_t call = {.method = "GET",
                             .path = container_path(p, what->id, query),
                             .sink = what->fn,
                             .sink_baton = what->baton,
                             .timeout_us = wh_mono_diff(what->deadline, wh_clock_mono(d->clock))};
    wh_engine_reply_t reply;
    apr_status_t rv;

    if (call.timeout_us <= 0)
        return wh_err_set(err, 504, "deadline", "there was no time left to copy the output");
    rv = call_api(d, p, &call, &reply, err);
    if (rv == APR_SUCCESS && reply.status == 404) {
        (void)wh_err_set(err, 404, "engine_error", "there is no %s", what->path);
        return APR_NOTFOUND;
    }
    if (rv == APR_SUCCESS && reply.status != 200)
        rv = refused(p, "hand out files", &reply, err);
    return rv;
}

static apr_status_t docker_stop(wh_engine_t *e, apr_pool_t *p, const char *id, int grace_s,
                                wh_err_t *err)
{
    const char *query = apr_psprintf(p, "/stop?t=%d", grace_s);
    wh_engine_call_t call = {.method = "POST",
                             .path = container_path(p, id, query),
                             .timeout_us = (apr_interval_time_t)(grace_s + 30) * APR_USEC_PER_SEC};

    return simple(docker_of(e), p, call, "stop the container", 404, err);
}

static apr_status_t docker_remove(wh_engine_t *e, apr_pool_t *p, const char *id, wh_err_t *err)
{
    wh_engine_call_t call = {.method = "DELETE",
                             .path = container_path(p, id, "?force=1&v=1"),
                             .timeout_us = (apr_interval_time_t)60 * APR_USEC_PER_SEC};

    return simple(docker_of(e), p, call, "remove the container", 404, err);
}

/* All that carry the label; call has the path without its query. */
static apr_status_t list_of(wh_engine_t *e, apr_pool_t *p, wh_engine_call_t call,
                            const wh_engine_label_t *with, apr_array_header_t **items,
                            wh_err_t *err)
{
    const char *label =
        with->value != NULL ? apr_pstrcat(p, with->key, "=", with->value, NULL) : with->key;
    json_t *filters = wh_json_own(p, json_pack("{s:[s]}", "label", label));
    wh_engine_reply_t reply;
    apr_status_t rv;

    call.path = apr_pstrcat(p, call.path, "?all=1&filters=",
                            wh_engine_http_escape(p, wh_json_text(p, filters, NULL)), NULL);
    rv = call_api(docker_of(e), p, &call, &reply, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (reply.status != 200)
        return refused(p, "list what it has", &reply, err);
    return wh_engine_json_list(p, reply.body, reply.n, items, err);
}

static apr_status_t docker_root(wh_engine_t *e, apr_pool_t *p, const char **dir, wh_err_t *err)
{
    wh_engine_call_t call = {.method = "GET", .path = "/info"};
    wh_engine_reply_t reply;
    apr_status_t rv = call_api(docker_of(e), p, &call, &reply, err);

    if (rv == APR_SUCCESS && reply.status != 200)
        rv = refused(p, "describe itself", &reply, err);
    if (rv == APR_SUCCESS)
        *dir = wh_engine_json_str(p, reply.body, reply.n, "DockerRootDir");
    return rv;
}

static apr_status_t docker_list(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                apr_array_header_t **items, wh_err_t *err)
{
    wh_engine_call_t call = {.method = "GET", .path = "/containers/json"};

    return list_of(e, p, call, with, items, err);
}

static apr_status_t docker_images(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                  apr_array_header_t **items, wh_err_t *err)
{
    wh_engine_call_t call = {
        .method = "GET", .path = "/images/json", .timeout_us = IMAGES_LIMIT_US};

    return list_of(e, p, call, with, items, err);
}

static apr_status_t image_remove(wh_engine_t *e, apr_pool_t *p, const char *name, const char *how,
                                 wh_err_t *err)
{
    wh_engine_call_t call = {
        .method = "DELETE",
        .path = apr_pstrcat(p, "/images/", wh_engine_http_escape(p, name), how, NULL),
        .timeout_us = IMAGES_LIMIT_US};
    wh_engine_reply_t reply;
    apr_status_t rv = call_api(docker_of(e), p, &call, &reply, err);

    if (rv == APR_SUCCESS && reply.status >= 500)
        rv = refused(p, "remove the image", &reply, err);
    return rv;
}

static apr_status_t docker_image_remove(wh_engine_t *e, apr_pool_t *p, const char *tag,
                                        wh_err_t *err)
{
    return image_remove(e, p, tag, "", err);
}

static apr_status_t docker_layer_remove(wh_engine_t *e, apr_pool_t *p, const char *id,
                                        wh_err_t *err)
{
    return image_remove(e, p, wh_engine_hex(id), "?noprune=1", err);
}

/* Lines of JSON; of one that is longer than any event of ours the rest is left out. */
typedef struct events_t {
    apr_pool_t *p;
    wh_engine_event_fn *fn;
    void *baton;
    size_t n;
    char line[8192];
} events_t;

static int feed_event(void *baton, const char *buf, size_t n)
{
    events_t *ev = baton;

    for (size_t i = 0; i < n; i++) {
        if (buf[i] != '\n') {
            if (ev->n < sizeof(ev->line))
                ev->line[ev->n++] = buf[i];
            continue;
        }
        if (wh_engine_json_is_end(ev->p, ev->line, ev->n))
            ev->fn(ev->baton);
        apr_pool_clear(ev->p);
        ev->n = 0;
    }
    return 0;
}

static apr_status_t docker_events(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                  wh_engine_event_fn *fn, void *baton, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    events_t *ev = apr_pcalloc(p, sizeof(*ev));
    const char *label = apr_pstrcat(p, with->key, "=", with->value, NULL);
    json_t *filters =
        wh_json_own(p, json_pack("{s:[s], s:[s]}", "type", "container", "label", label));
    wh_engine_call_t call = {.method = "GET",
                             .sink = feed_event,
                             .sink_baton = ev,
                             .timeout_us = (apr_interval_time_t)86400 * APR_USEC_PER_SEC};
    wh_engine_reply_t reply;
    apr_status_t rv = apr_pool_create(&ev->p, p);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    ev->fn = fn;
    ev->baton = baton;
    call.path = apr_pstrcat(
        p, "/events?filters=", wh_engine_http_escape(p, wh_json_text(p, filters, NULL)), NULL);
    rv = call_api(d, p, &call, &reply, err);
    if (rv == APR_SUCCESS && reply.status != 200)
        rv = refused(p, "tell what happens", &reply, err);
    return rv;
}

static apr_status_t docker_image(wh_engine_t *e, apr_pool_t *p, const char *name,
                                 wh_engine_image_t *image, wh_err_t *err)
{
    docker_t *d = docker_of(e);
    const char *path = apr_pstrcat(p, "/images/", wh_engine_http_escape(p, name), NULL);
    wh_engine_call_t call = {.method = "GET", .path = apr_pstrcat(p, path, "/json", NULL)};
    wh_engine_call_t history = {.method = "GET", .path = apr_pstrcat(p, path, "/history", NULL)};
    wh_engine_reply_t reply;
    apr_status_t rv = call_api(d, p, &call, &reply, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (reply.status == 404) {
        (void)wh_err_set(err, 404, "engine_error", "there is no such image");
        return APR_NOTFOUND;
    }
    if (reply.status != 200)
        return refused(p, "describe the image", &reply, err);
    rv = wh_engine_json_image(p, reply.body, reply.n, image, err);
    if (rv != APR_SUCCESS || !is_podman(d))
        return rv;
    /* Podman's answer leaves OnBuild empty, whatever the image has: its history tells. */
    rv = call_api(d, p, &history, &reply, err);
    if (rv == APR_SUCCESS && reply.status != 200)
        rv = refused(p, "tell the image's history", &reply, err);
    return rv == APR_SUCCESS ? wh_engine_json_history(p, reply.body, reply.n, image->onbuild, err)
                             : rv;
}

static apr_status_t docker_pull(wh_engine_t *e, apr_pool_t *p, const wh_engine_pull_t *what,
                                wh_err_t *err)
{
    docker_t *d = docker_of(e);
    wh_pullout_t *out = apr_pcalloc(p, sizeof(*out));
    wh_engine_call_t call = {.method = "POST",
                             .path = apr_pstrcat(p, "/images/create?fromImage=",
                                                 wh_engine_http_escape(p, what->name), NULL),
                             .sink = wh_pullout_feed,
                             .sink_baton = out};
    wh_engine_reply_t reply = {.status = 0};
    apr_status_t rv = wh_pullout_init(p, out, what, d->clock, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (what->auth[0] != '\0')
        call.header = apr_pstrcat(p, "X-Registry-Auth: ", what->auth, NULL);
    call.timeout_us = wh_mono_diff(what->deadline, wh_clock_mono(d->clock));
    if (call.timeout_us <= 0)
        return wh_err_set(err, 504, "deadline", "there was no time left to fetch the image");
    rv = call_api(d, p, &call, &reply, err);
    if (rv == APR_SUCCESS && reply.status != 200)
        rv = wh_err_set(err, 422, "build_failed", "the image %s cannot be had: %s", what->name,
                        wh_engine_json_message(p, reply.body, reply.n));
    return wh_pullout_end(out, rv, err);
}

static const wh_engine_vt_t docker_vt = {
    .version = docker_version,
    .build = docker_build,
    .network = docker_network,
    .network_remove = docker_network_remove,
    .create = docker_create,
    .inspect = docker_inspect,
    .use = docker_use,
    .start = docker_start,
    .wait_begin = docker_wait_begin,
    .wait_check = docker_wait_check,
    .logs = docker_logs,
    .archive = docker_archive,
    .stop = docker_stop,
    .remove = docker_remove,
    .root = docker_root,
    .list = docker_list,
    .images = docker_images,
    .events = docker_events,
    .image = docker_image,
    .pull = docker_pull,
    .image_remove = docker_image_remove,
    .layer_remove = docker_layer_remove,
};

apr_status_t wh_engine_docker_open(apr_pool_t *p, const wh_engine_open_t *open, wh_engine_t **out,
                                   wh_err_t *err)
{
    docker_t *d = apr_pcalloc(p, sizeof(*d));
    apr_status_t rv = wh_engine_http_open(p, open, &d->http, err);

    if (rv != APR_SUCCESS)
        return rv;
    d->p = p;
    d->clock = open->clock;
    d->engine = (wh_engine_t){.vt = &docker_vt, .impl = d};
    *out = &d->engine;
    return APR_SUCCESS;
}
