#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"
#include "wh-agent/engine_json.h"

static const wh_json_limits_t limits = {
    .bytes = (size_t)8 * 1024 * 1024, .depth = 24, .values = 400000};

/* ---- what is asked ---- */

/* What programs that start as root and step down need; nothing else. */
static const char *const capabilities[] = {"CHOWN",  "DAC_OVERRIDE", "FOWNER",          "SETUID",
                                           "SETGID", "KILL",         "NET_BIND_SERVICE"};

#define NOFILE 1024
#define NPROC 4096
#define LABEL_BYTES_MAX 16384

json_t *wh_engine_json_labels(const apr_array_header_t *labels)
{
    json_t *obj = json_object();

    for (int i = 0; labels != NULL && i < labels->nelts; i++) {
        const wh_engine_label_t *l = &APR_ARRAY_IDX(labels, i, wh_engine_label_t);

        json_object_set_new(obj, l->key, json_string(l->value));
    }
    return obj;
}

static json_t *json_capabilities(void)
{
    json_t *array = json_array();

    for (size_t i = 0; i < WH_ARRAY_LEN(capabilities); i++)
        json_array_append_new(array, json_string(capabilities[i]));
    return array;
}

/* Podman takes Docker's name for its k8s-file, and passes over the number of files: it has one. */
static json_t *json_log_config(apr_int64_t bytes)
{
    char max[24];

    (void)apr_snprintf(max, sizeof(max), "%" APR_INT64_T_FMT, bytes);
    return json_pack("{s:s, s:{s:s, s:s}}", "Type", "json-file", "Config", "max-size", max,
                     "max-file", "2");
}

static json_t *json_host_config(const wh_engine_spec_t *spec, const char *port_key)
{
    char port[24];
    json_t *host;

    (void)apr_snprintf(port, sizeof(port), "%" APR_INT64_T_FMT, spec->publish_port);
    host = json_pack(
        "{s:I, s:I, s:I, s:I, s:[s], s:o, s:[s], s:s, s:{s:[{s:s, s:s}]}, s:{s:s, s:i}, s:{s:s},"
        " s:[{s:s, s:i, s:i}, {s:s, s:i, s:i}]}",
        "Memory", (json_int_t)spec->memory_bytes, "MemorySwap", (json_int_t)spec->memory_bytes,
        "NanoCpus", (json_int_t)spec->cpu_millis * 1000000, "PidsLimit", (json_int_t)spec->pids,
        "CapDrop", "ALL", "CapAdd", json_capabilities(), "SecurityOpt", "no-new-privileges",
        "NetworkMode", spec->network[0] != '\0' ? spec->network : "bridge", "PortBindings",
        port_key, "HostIp", spec->publish_address, "HostPort", port, "RestartPolicy", "Name", "no",
        "MaximumRetryCount", 0, "Tmpfs", "/tmp", "rw,nosuid,nodev,size=67108864", "Ulimits", "Name",
        "nofile", "Soft", NOFILE, "Hard", NOFILE, "Name", "nproc", "Soft", NPROC, "Hard", NPROC);
    if (spec->log_bytes > 0)
        json_object_set_new(host, "LogConfig", json_log_config(spec->log_bytes));
    return host;
}

/* A place for a build's steps: one process, nothing else. */
static json_t *json_hold(const wh_engine_spec_t *spec)
{
    return json_pack(
        "{s:s, s:[s], s:o, s:{s:I, s:I, s:I, s:I, s:[s], s:[s], s:s, s:b, s:{s:s}}}", "Image",
        spec->image, "Cmd", "/hold", "Labels", wh_engine_json_labels(spec->labels), "HostConfig",
        "Memory", (json_int_t)spec->memory_bytes, "MemorySwap", (json_int_t)spec->memory_bytes,
        "CpuShares", (json_int_t)spec->cpu_weight, "PidsLimit", (json_int_t)spec->pids, "CapDrop", "ALL", "SecurityOpt", "no-new-privileges",
        "NetworkMode", "none", "ReadonlyRootfs", 1, "RestartPolicy", "Name", "no");
}

/* PORT is what was checked and published, whatever else there is. */
static json_t *json_env(const wh_engine_spec_t *spec)
{
    json_t *list = json_pack("[o]", json_sprintf("PORT=%" APR_INT64_T_FMT, spec->port));

    for (int i = 0; spec->env != NULL && i < spec->env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(spec->env, i, wh_env_pair_t);

        json_array_append_new(list, json_sprintf("%s=%s", e->name, e->value));
    }
    return list;
}

json_t *wh_engine_json_spec(const wh_engine_spec_t *spec)
{
    char port_key[32];

    if (spec->port == 0)
        return json_hold(spec);
    (void)apr_snprintf(port_key, sizeof(port_key), "%" APR_INT64_T_FMT "/tcp", spec->port);
    return json_pack("{s:s, s:o, s:o, s:{s:{}}, s:o}", "Image", spec->image, "Env", json_env(spec),
                     "Labels", wh_engine_json_labels(spec->labels), "ExposedPorts", port_key, "HostConfig",
                     json_host_config(spec, port_key));
}

/* ---- reading ---- */

static const char *str_of(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s != NULL ? s : "";
}

static apr_int64_t int_of(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_integer(v) ? (apr_int64_t)json_integer_value(v) : -1;
}

/* 0 for what is no time, and for the year 1 that engines say for never. */
static apr_time_t time_of(const json_t *obj, const char *key)
{
    apr_time_t at;

    return wh_time_parse(str_of(obj, key), &at) == APR_SUCCESS && at > 0 ? at : 0;
}

static apr_status_t load(apr_pool_t *p, const char *body, size_t n, json_t **out, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;

    if (wh_json_load(p, body, n, &limits, out, &why) == APR_SUCCESS)
        return APR_SUCCESS;
    return wh_err_set(err, 502, "engine_error", "the engine's answer cannot be read: %s", why.text);
}

const char *wh_engine_json_message(apr_pool_t *p, const char *body, size_t n)
{
    json_t *obj;
    const char *message;

    if (wh_json_load(p, body, n, &limits, &obj, NULL) != APR_SUCCESS)
        return wh_text_clean_line(p, body, n < 200 ? n : 200, 200);
    message = str_of(obj, "message");
    return wh_text_clean_line(p, message, strlen(message), 300);
}

const char *wh_engine_json_str(apr_pool_t *p, const char *body, size_t n, const char *key)
{
    json_t *obj;

    return wh_json_load(p, body, n, &limits, &obj, NULL) == APR_SUCCESS ? str_of(obj, key) : "";
}

apr_int64_t wh_engine_json_int(apr_pool_t *p, const char *body, size_t n, const char *key)
{
    json_t *obj;

    return wh_json_load(p, body, n, &limits, &obj, NULL) == APR_SUCCESS ? int_of(obj, key) : -1;
}

static apr_array_header_t *labels_of(apr_pool_t *p, const json_t *obj)
{
    apr_array_header_t *labels = apr_array_make(p, 8, sizeof(wh_engine_label_t));
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)obj, key, value) if (json_is_string(value))
        APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){
            .key = apr_pstrdup(p, key), .value = apr_pstrdup(p, json_string_value(value))};
    return labels;
}

const char *wh_engine_hex(const char *id)
{
    return strncmp(id, "sha256:", 7) == 0 ? id + 7 : id;
}

void wh_engine_no_text(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    (void)baton;
    (void)stream;
    (void)buf;
    (void)n;
}

const char *wh_engine_label(const apr_array_header_t *labels, const char *key)
{
    for (int i = 0; labels != NULL && i < labels->nelts; i++) {
        const wh_engine_label_t *l = &APR_ARRAY_IDX(labels, i, wh_engine_label_t);

        if (strcmp(l->key, key) == 0)
            return l->value;
    }
    return "";
}

static size_t bytes_of(const apr_array_header_t *labels)
{
    size_t n = 0;

    for (int i = 0; i < labels->nelts; i++) {
        const wh_engine_label_t *l = &APR_ARRAY_IDX(labels, i, wh_engine_label_t);

        n += strlen(l->key) + strlen(l->value) + 8;
    }
    return n;
}

static apr_array_header_t *tags_of(apr_pool_t *p, const json_t *array)
{
    apr_array_header_t *tags = apr_array_make(p, 2, sizeof(const char *));
    const json_t *tag;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)array, i, tag) if (json_is_string(tag))
        APR_ARRAY_PUSH(tags, const char *) = apr_pstrdup(p, json_string_value(tag));
    return tags;
}

apr_status_t wh_engine_json_list(apr_pool_t *p, const char *body, size_t n,
                                 apr_array_header_t **items, wh_err_t *err)
{
    json_t *array, *item;
    size_t i;
    apr_status_t rv = load(p, body, n, &array, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (!json_is_array(array))
        return wh_err_set(err, 502, "engine_error", "the engine's list is none");
    *items = apr_array_make(p, 8, sizeof(wh_engine_item_t));
    json_array_foreach(array, i, item)
    {
        const char *id = str_of(item, "Id");
        apr_int64_t created = int_of(item, "Created");

        if (id[0] == '\0')
            return wh_err_set(err, 502, "engine_error", "the engine lists something without an id");
        APR_ARRAY_PUSH(*items, wh_engine_item_t) =
            (wh_engine_item_t){.id = apr_pstrdup(p, id),
                               .running = strcmp(str_of(item, "State"), "running") == 0,
                               .created_at = created > 0 ? apr_time_from_sec(created) : 0,
                               .labels = labels_of(p, json_object_get(item, "Labels")),
                               .image = apr_pstrdup(p, str_of(item, "ImageID")),
                               .bytes = int_of(item, "Size") > 0 ? int_of(item, "Size") : 0,
                               .tags = tags_of(p, json_object_get(item, "RepoTags"))};
    }
    return APR_SUCCESS;
}

apr_status_t wh_engine_json_image(apr_pool_t *p, const char *body, size_t n,
                                  wh_engine_image_t *image, wh_err_t *err)
{
    json_t *top;
    const json_t *config;
    apr_status_t rv = load(p, body, n, &top, err);

    if (rv != APR_SUCCESS)
        return rv;
    config = json_object_get(top, "Config");
    image->id = apr_pstrdup(p, str_of(top, "Id"));
    image->labels = labels_of(p, json_object_get(config, "Labels"));
    image->onbuild = tags_of(p, json_object_get(config, "OnBuild"));
    image->tags = tags_of(p, json_object_get(top, "RepoTags"));
    image->digests = tags_of(p, json_object_get(top, "RepoDigests"));
    image->created_at = time_of(top, "Created");
    image->bytes = json_integer_value(json_object_get(top, "Size"));
    if (image->id[0] == '\0')
        return wh_err_set(err, 502, "engine_error", "the engine's description is incomplete");
    return APR_SUCCESS;
}

apr_status_t wh_engine_json_history(apr_pool_t *p, const char *body, size_t n,
                                    apr_array_header_t *onbuild, wh_err_t *err)
{
    json_t *array, *step;
    size_t i;
    apr_status_t rv = load(p, body, n, &array, err);

    if (rv != APR_SUCCESS)
        return rv;
    json_array_foreach(array, i, step)
    {
        const char *by = str_of(step, "CreatedBy"), *nop = strstr(by, "#(nop)");

        if (nop != NULL)
            by = nop + 6;
        by += strspn(by, " ");
        if (strncmp(by, "ONBUILD ", 8) == 0)
            APR_ARRAY_PUSH(onbuild, const char *) = apr_pstrdup(p, by + 8);
    }
    return APR_SUCCESS;
}

int wh_engine_json_is_end(apr_pool_t *p, const char *line, size_t n)
{
    json_t *obj;
    const char *what;

    if (wh_json_load(p, line, n, &limits, &obj, NULL) != APR_SUCCESS)
        return 0;
    what = str_of(obj, "status");
    if (what[0] == '\0')
        what = str_of(obj, "Action");
    return strcmp(what, "die") == 0 || strcmp(what, "died") == 0 || strcmp(what, "oom") == 0;
}

/* "1.41" as 1041; -1 for anything else. */
static int api_number(const char *s)
{
    apr_int64_t major, minor;
    char *end;

    major = apr_strtoi64(s, &end, 10);
    if (end == s || *end != '.' || major < 1 || major > 9)
        return -1;
    s = end + 1;
    minor = apr_strtoi64(s, &end, 10);
    if (end == s || *end != '\0' || minor < 0 || minor > 999)
        return -1;
    return (int)(major * 1000 + minor);
}

apr_status_t wh_engine_json_version(apr_pool_t *p, const char *body, size_t n, const char **name,
                                    const char **api, wh_err_t *err)
{
    json_t *obj, *first;
    const char *kind, *version, *lowest, *highest;
    apr_status_t rv = load(p, body, n, &obj, err);

    if (rv != APR_SUCCESS)
        return rv;
    first = json_array_get(json_object_get(obj, "Components"), 0);
    kind = strstr(str_of(first, "Name"), "Podman") != NULL ? "podman" : "docker";
    version = str_of(obj, "Version");
    lowest = str_of(obj, "MinAPIVersion");
    highest = str_of(obj, "ApiVersion");
    if (api_number(highest) < 0)
        return wh_err_set(err, 502, "engine_error", "the engine does not say which API it speaks");
    *api = "v1.41";
    if (api_number(lowest) > api_number("1.41"))
        *api = apr_pstrcat(p, "v", lowest, NULL);
    else if (api_number(highest) < api_number("1.41"))
        *api = apr_pstrcat(p, "v", highest, NULL);
    *name = apr_pstrcat(p, kind, " ", wh_text_clean_line(p, version, strlen(version), 40), NULL);
    return APR_SUCCESS;
}

/* ---- what must not be there (D3) ---- */

static int empty(const json_t *v)
{
    return v == NULL || json_is_null(v) || json_is_false(v) ||
           (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

static int one_of(const char *value, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(value, *list) == 0)
            return 1;
    return 0;
}

static int known_capability(const char *name)
{
    if (strncmp(name, "CAP_", 4) == 0)
        name += 4;
    for (size_t i = 0; i < WH_ARRAY_LEN(capabilities); i++)
        if (strcmp(name, capabilities[i]) == 0)
            return 1;
    return 0;
}

static const char *forbidden_security(const json_t *host)
{
    const json_t *opts = json_object_get(host, "SecurityOpt"), *caps, *v;
    int no_new = 0;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)opts, i, v)
    {
        const char *s = json_string_value(v);

        if (s == NULL || strstr(s, "unconfined") != NULL || strstr(s, "disable") != NULL)
            return "SecurityOpt";
        no_new |= strncmp(s, "no-new-privileges", 17) == 0 && strstr(s, "false") == NULL;
    }
    if (!no_new)
        return "SecurityOpt (no-new-privileges is missing)";
    caps = json_object_get(host, "CapAdd");
    json_array_foreach((json_t *)(uintptr_t)caps, i,
                       v) if (json_string_value(v) == NULL ||
                              !known_capability(json_string_value(v))) return "CapAdd";
    return empty(json_object_get(host, "CapDrop")) ? "CapDrop" : "";
}

static const char *forbidden_modes(const json_t *host)
{
    static const char *const own[] = {"", "private", "shareable", "none", "default", NULL};
    static const char *const modes[] = {"PidMode", "IpcMode", "UTSMode", "CgroupnsMode"};
    const char *net = str_of(host, "NetworkMode");

    for (size_t i = 0; i < WH_ARRAY_LEN(modes); i++)
        if (!one_of(str_of(host, modes[i]), own))
            return modes[i];
    if (strcmp(net, "host") == 0 || strncmp(net, "container:", 10) == 0 ||
        strncmp(net, "ns:", 3) == 0)
        return "NetworkMode";
    return strcmp(str_of(host, "UsernsMode"), "host") == 0 ? "UsernsMode" : "";
}

/* Podman lists the volumes that an image asks for as binds of names: 64 hex digits, a colon. */
static int forbidden_binds(const json_t *host)
{
    const json_t *binds = json_object_get(host, "Binds"), *v;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)binds, i, v)
    {
        const char *s = json_string_value(v);

        if (s == NULL || strspn(s, "0123456789abcdef") != 64 || s[64] != ':')
            return 1;
    }
    return !json_is_array(binds) && !empty(binds);
}

/* The first setting that gives more than a container of ours may have. */
static const char *forbidden(const json_t *top, const json_t *host)
{
    static const char *const absent[] = {
        "Privileged",  "Mounts",       "Devices",   "DeviceRequests", "DeviceCgroupRules",
        "VolumesFrom", "CgroupParent", "Sysctls",   "OomKillDisable", "PublishAllPorts",
        "Links",       "GroupAdd",     "ExtraHosts"};
    const json_t *mounts = json_object_get(top, "Mounts"), *v;
    const char *why;
    size_t i;

    if (!json_is_object(host))
        return "HostConfig";
    for (i = 0; i < WH_ARRAY_LEN(absent); i++)
        if (!empty(json_object_get(host, absent[i])))
            return absent[i];
    if (forbidden_binds(host))
        return "Binds";
    /* An image may ask for a volume of its own: that is storage of the engine, nothing of the host.
     */
    json_array_foreach((json_t *)(uintptr_t)mounts, i,
                       v) if (strcmp(str_of(v, "Type"), "volume") != 0 &&
                              strcmp(str_of(v, "Type"), "tmpfs") != 0) return "Mounts";
    why = forbidden_modes(host);
    return why[0] != '\0' ? why : forbidden_security(host);
}

static void seen_port(apr_pool_t *p, const json_t *host, wh_engine_seen_t *seen)
{
    const json_t *bindings = json_object_get(host, "PortBindings"), *list, *first;
    const char *key;
    apr_int64_t port;

    seen->publish_address = "";
    seen->publish_port = 0;
    if (json_object_size(bindings) != 1)
        return;
    key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)bindings));
    list = json_object_get(bindings, key);
    first = json_array_get(list, 0);
    port = apr_atoi64(str_of(first, "HostPort"));
    if (json_array_size(list) != 1 || port < 1 || port > 65535)
        return;
    seen->publish_address = apr_pstrdup(p, str_of(first, "HostIp"));
    seen->publish_port = port;
}

static int cut_off(const json_t *top)
{
    json_t *networks = json_object_get(json_object_get(top, "NetworkSettings"), "Networks"), *v;
    const char *name;

    json_object_foreach(networks, name, v)
    {
        if (str_of(v, "IPAddress")[0] != '\0' || str_of(v, "GlobalIPv6Address")[0] != '\0')
            return 0;
    }
    return json_object_size(networks) > 0;
}

static apr_array_header_t *texts_of(apr_pool_t *p, json_t *list)
{
    apr_array_header_t *out = apr_array_make(p, 8, sizeof(const char *));
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (json_is_string(v))
            APR_ARRAY_PUSH(out, const char *) = apr_pstrdup(p, json_string_value(v));
    }
    return out;
}

apr_status_t wh_engine_json_seen(apr_pool_t *p, const char *body, size_t n, wh_engine_seen_t *seen,
                                 wh_err_t *err)
{
    json_t *top, *state, *host;
    const char *image;
    apr_status_t rv = load(p, body, n, &top, err);

    if (rv != APR_SUCCESS)
        return rv;
    state = json_object_get(top, "State");
    host = json_object_get(top, "HostConfig");
    image = str_of(top, "Image");
    if (str_of(top, "Id")[0] == '\0' || !json_is_object(state))
        return wh_err_set(err, 502, "engine_error", "the engine's description is incomplete");
    memset(seen, 0, sizeof(*seen));
    seen->id = apr_pstrdup(p, str_of(top, "Id"));
    seen->image = apr_pstrcat(p, "sha256:", wh_engine_hex(image), NULL);
    seen->running = json_is_true(json_object_get(state, "Running"));
    seen->status = apr_pstrdup(p, str_of(state, "Status"));
    seen->exit_status = int_of(state, "ExitCode");
    seen->oom_killed = json_is_true(json_object_get(state, "OOMKilled"));
    seen->pid = int_of(state, "Pid") > 0 ? int_of(state, "Pid") : 0;
    seen->started_at = time_of(state, "StartedAt");
    seen->finished_at = time_of(state, "FinishedAt");
    seen->restarts = int_of(top, "RestartCount") > 0 ? int_of(top, "RestartCount") : 0;
    seen->created_at = time_of(top, "Created");
    seen->labels = labels_of(p, json_object_get(json_object_get(top, "Config"), "Labels"));
    seen->label_bytes = bytes_of(seen->labels);
    seen->env = texts_of(p, json_object_get(json_object_get(top, "Config"), "Env"));
    seen->forbidden = forbidden(top, host);
    seen->memory_bytes = int_of(host, "Memory");
    seen->nano_cpus = int_of(host, "NanoCpus");
    seen->pids = int_of(host, "PidsLimit");
    seen_port(p, host, seen);
    seen->cut_off = cut_off(top);
    return APR_SUCCESS;
}

const char *wh_engine_json_differs(apr_pool_t *p, const wh_engine_spec_t *spec,
                                   const wh_engine_seen_t *seen)
{
    if (seen->forbidden[0] != '\0')
        return seen->forbidden;
    /* An image brings labels of its own: so many that the list of all containers could no longer be
     * read would blind the agent for every app. */
    if (seen->label_bytes > LABEL_BYTES_MAX)
        return "Labels (the image has more than 16 KiB of them)";
    if (strcmp(seen->image, spec->image) != 0)
        return "Image";
    if (seen->memory_bytes != spec->memory_bytes)
        return "Memory";
    if (seen->nano_cpus != spec->cpu_millis * 1000000)
        return "NanoCpus";
    if (seen->pids != spec->pids)
        return "PidsLimit";
    if (strcmp(seen->publish_address, spec->publish_address) != 0 ||
        seen->publish_port != spec->publish_port)
        return "PortBindings";
    for (int i = 0; i < spec->labels->nelts; i++) {
        const wh_engine_label_t *l = &APR_ARRAY_IDX(spec->labels, i, wh_engine_label_t);

        if (strcmp(wh_engine_label(seen->labels, l->key), l->value) != 0)
            return apr_pstrcat(p, "Labels (", l->key, ")", NULL);
    }
    return "";
}
