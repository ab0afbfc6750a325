#include <stddef.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_address.h"
#include "libwh/wh_dockerfile_gen.h"
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "libwh/wh_model.h"
#include "wh-agent/conf.h"
#include "wh-agent/huburl.h"

#define AT(member) offsetof(wh_agent_conf_t, member)

#define CPU_MILLIS_MAX 1024000 /* what the API takes for a worker */
#define CPU_SHARE 8            /* apps that a core is offered to */

const wh_conf_key_t wh_agent_conf_keys[] = {
    {.name = "state_dir",
     .type = WH_CONF_PATH,
     .offset = AT(state_dir),
     .def = "/var/lib/wisehost-agent",
     .doc = "The agent's own directory: its key, git caches, results not yet acknowledged."},
    {.name = "server_url",
     .type = WH_CONF_STRING,
     .offset = AT(server_url),
     .def = "http://127.0.0.1:8080",
     .doc = "Where the API answers; https anywhere but on this machine."},
    {.name = "hub_url",
     .type = WH_CONF_STRING,
     .offset = AT(hub_url),
     .def = "",
     .max = 2048,
     .doc = "Where the hub listens: wss://host:port, several with spaces between them are tried in "
            "turn; ws:// on this machine only; empty = through server_url."},
    {.name = "name",
     .type = WH_CONF_STRING,
     .offset = AT(name),
     .def = "",
     .max = 63,
     .doc = "The worker's name; empty = the host name."},
    {.name = "enrolment_token_file",
     .type = WH_CONF_PATH,
     .offset = AT(enrolment_token_file),
     .def = "",
     .doc = "File with the one-time token (mode 0600), needed for the first start only."},
    {.name = "local_repo_root",
     .type = WH_CONF_PATH,
     .offset = AT(local_repo_root),
     .def = "",
     .doc = "Repositories on this machine are taken below this directory only; empty = none are. "
            "They must belong to the agent's user."},
    {.name = "engine_socket",
     .type = WH_CONF_PATH,
     .offset = AT(engine_socket),
     .def = "",
     .doc = "Socket of a Docker-compatible engine, which the agent's user may read and write; "
            "empty = static sites only."},
    {.name = "address",
     .type = WH_CONF_STRING,
     .offset = AT(address),
     .def = "127.0.0.1",
     .min = 1,
     .max = 45,
     .doc = "IP address of this machine at which containers are published; never 0.0.0.0."},
    {.name = "git_program",
     .type = WH_CONF_PATH,
     .offset = AT(git_program),
     .def = "/usr/bin/git",
     .doc = "The git program."},
    {.name = "labels",
     .type = WH_CONF_STRING,
     .offset = AT(labels),
     .def = "{}",
     .max = 4096,
     .doc = "JSON object of strings, for placement."},
    {.name = "zone",
     .type = WH_CONF_STRING,
     .offset = AT(zone),
     .def = "",
     .max = 63,
     .doc = "The worker's zone."},
    {.name = "ca_file",
     .type = WH_CONF_PATH,
     .offset = AT(ca_file),
     .def = "",
     .doc = "Certificates that may sign the server's and the forges'; empty = the system's."},
    {.name = "log_level",
     .type = WH_CONF_CHOICE,
     .offset = AT(log_level),
     .def = "info",
     .choices = "error|warn|info|debug",
     .doc = "What is written to standard error."},
    {.name = "max_jobs",
     .type = WH_CONF_INT,
     .offset = AT(max_jobs),
     .def = "2",
     .min = 1,
     .max = 64,
     .doc = "Deployments that may run at the same time."},
    {.name = "cpu_millis",
     .type = WH_CONF_INT,
     .offset = AT(cpu_millis),
     .def = "0",
     .min = 0,
     .max = CPU_MILLIS_MAX,
     .doc = "CPU offered, in thousandths of a core; 0 = eight times the machine's cores, for an "
            "app's limit is a ceiling that it seldom reaches."},
    {.name = "memory_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(memory_bytes),
     .def = "0",
     .min = 0,
     .max = APR_INT64_MAX,
     .doc = "Memory offered; 0 = what the machine has."},
    {.name = "clone_max_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(clone_max_bytes),
     .def = "512M",
     .min = WH_MIB,
     .max = 64 * WH_GIB,
     .doc = "The most that one repository may bring; no file in it may be larger."},
    {.name = "build_memory_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(build_memory_bytes),
     .def = "2G",
     .min = 64 * WH_MIB,
     .max = 1024 * WH_GIB,
     .doc = "Memory limit of an image build."},
    {.name = "build_pids",
     .type = WH_CONF_INT,
     .offset = AT(build_pids),
     .def = "2048",
     .min = 16,
     .max = 1000000,
     .doc = "Processes and threads that an image build may have, where the engine lets them be "
            "limited."},
    {.name = "build_disk_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(build_disk_bytes),
     .def = "4G",
     .min = 0,
     .max = APR_INT64_MAX / 1024,
     .doc = "How much of the engine's disk may go while an image is built; more ends the build. 0 "
            "= no limit."},
    {.name = "build_files",
     .type = WH_CONF_INT,
     .offset = AT(build_files),
     .def = "1000000",
     .min = 0,
     .max = APR_INT64_C(1000000000),
     .doc = "Files (inodes) that may be made there meanwhile; 0 = no limit."},
    {.name = "build_output_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(build_output_bytes),
     .def = "256M",
     .min = 0,
     .max = APR_INT64_MAX / 1024,
     .doc = "How much an image build may print; more ends it. 0 = no limit."},
    {.name = "runner_images",
     .type = WH_CONF_STRING,
     .offset = AT(runner_images),
     .def = "{}",
     .max = 4096,
     .doc = "JSON object of images in place of the catalogue's: a family of docs/build.md, or one of "
            "its stages (node, node.build, node.run, ...)."},
    {.name = "registries",
     .type = WH_CONF_STRING,
     .offset = AT(registries),
     .def = "*",
     .max = 4096,
     .doc = "Registries that apps' images may be pulled from, with spaces between them: host or "
            "host:port, wherever it lies; * = any at public addresses; empty = none."},
    {.name = "image_max_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(image_max_bytes),
     .def = "4G",
     .min = 0,
     .max = APR_INT64_MAX,
     .doc = "The most that an image from a registry may have; 0 = no limit."},
    {.name = "container_log_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(container_log_bytes),
     .def = "256M",
     .min = 0,
     .max = WH_GIB * 1024,
     .doc = "How large the engine's own file of what a container prints grows before it is begun "
            "anew (with Docker there are two of them), at least 1M; 0 = as the engine is "
            "configured."},
    {.name = "publish_port_min",
     .type = WH_CONF_INT,
     .offset = AT(publish_port_min),
     .def = "20000",
     .min = 1024,
     .max = 65535,
     .doc = "First port at which containers are published; a second agent on the machine has "
            "ports of its own."},
    {.name = "publish_port_max",
     .type = WH_CONF_INT,
     .offset = AT(publish_port_max),
     .def = "29999",
     .min = 1024,
     .max = 65535,
     .doc = "Last port at which containers are published."},
    {.name = "images_kept",
     .type = WH_CONF_INT,
     .offset = AT(images_kept),
     .def = "5",
     .min = 1,
     .max = 1000,
     .doc = "Images kept of each app, newest first; those of its previews are counted by "
            "themselves."},
    {.name = "storage_quota_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(storage_quota_bytes),
     .def = "0",
     .min = 0,
     .max = APR_INT64_MAX,
     .doc = "Disk for images built here and git caches, on an agent with an engine; over it the "
            "oldest go that nothing runs from, but for each app's newest (of previews that, too), "
            "and then the caches used longest ago. 0 = no limit."},
    {.name = "disk_floor_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(disk_floor_bytes),
     .def = "1G",
     .min = 0,
     .max = APR_INT64_MAX,
     .doc = "With less free disk no new deployments are taken, until a tenth more is free; 0 = "
            "always taken."},
    {.name = "memory_floor_bytes",
     .type = WH_CONF_BYTES,
     .offset = AT(memory_floor_bytes),
     .def = "128M",
     .min = 0,
     .max = APR_INT64_MAX,
     .doc = "The same for memory."},
    {.name = "build_cpu_weight",
     .type = WH_CONF_INT,
     .offset = AT(build_cpu_weight),
     .def = "128",
     .min = 2,
     .max = 1024,
     .doc = "CPU weight of a build when there is not enough for all; a running app has 1024."},
    {.name = "insecure_http",
     .type = WH_CONF_BOOL,
     .offset = AT(insecure_http),
     .def = "off",
     .doc =
         "Whether server_url may be http:// elsewhere than on this machine: keys and tokens can be "
         "read on the way."},
    {.name = "git_private_addresses",
     .type = WH_CONF_BOOL,
     .offset = AT(git_private_addresses),
     .def = "off",
     .doc = "Whether repositories may lie at private or local network addresses."},
};
const size_t wh_agent_conf_nkeys = WH_ARRAY_LEN(wh_agent_conf_keys);

static apr_status_t check_server_url(apr_pool_t *p, wh_agent_conf_t *conf, wh_err_t *err)
{
    const char *url = conf->server_url, *rest = NULL;
    size_t n = strlen(url);

    if (strncmp(url, "https://", 8) == 0)
        rest = url + 8;
    else if (strncmp(url, "http://", 7) == 0)
        rest = url + 7;
    if (rest == NULL || rest[0] == '\0' || rest[0] == '/' || strpbrk(rest, "@?#\\ \t") != NULL)
        return wh_err_set(err, 500, "bad_config",
                          "server_url: \"%s\" is not http(s)://host[:port][/path]", url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    conf->server_url = apr_pstrmemdup(p, url, n);
    return APR_SUCCESS;
}

static apr_status_t check_hub_url(apr_pool_t *p, wh_agent_conf_t *conf, wh_err_t *err)
{
    apr_array_header_t *server = wh_huburl_of_server(p, conf->server_url);
    apr_status_t rv = wh_huburl_list(p, conf->hub_url, &conf->hub_urls, err);

    if (rv == APR_SUCCESS && !conf->insecure_http &&
        !wh_huburl_safe(&APR_ARRAY_IDX(server, 0, wh_huburl_t)))
        return wh_err_set(err, 500, "bad_config",
                          "server_url: \"%s\": http:// is for this machine only, use https://; "
                          "insecure_http = on allows it all the same",
                          conf->server_url);
    if (rv == APR_SUCCESS && conf->hub_urls->nelts == 0)
        conf->hub_urls = server;
    return rv;
}

static apr_status_t check_images(apr_pool_t *p, const wh_agent_conf_t *conf, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;

    if (wh_dockerfile_gen_overrides_check(p, conf->runner_images, &why) != APR_SUCCESS)
        return wh_err_set(err, 500, "bad_config", "runner_images: %s", why.text);
    return APR_SUCCESS;
}

static apr_status_t check_labels(apr_pool_t *p, wh_agent_conf_t *conf, wh_err_t *err)
{
    json_t *labels;
    wh_err_t why = WH_ERR_INIT;

    if (wh_json_load_object(p, conf->labels, strlen(conf->labels), NULL, &labels, &why) !=
            APR_SUCCESS ||
        wh_model_labels_decode(p, labels, &conf->labels, &why) != APR_SUCCESS)
        return wh_err_set(err, 500, "bad_config", "labels: %s", why.text);
    return APR_SUCCESS;
}

/* What the machine itself says, where the file leaves it open. CPU gives way where memory cannot:
 * of the one more is offered than there is, of the other not. */
static apr_status_t from_machine(apr_pool_t *p, wh_agent_conf_t *conf, wh_err_t *err)
{
    struct sysinfo info;

    if (conf->name[0] == '\0') {
        char host[256];

        if (gethostname(host, sizeof(host) - 1) != 0)
            return wh_err_set(err, 500, "bad_config", "name: the host name cannot be read");
        host[sizeof(host) - 1] = '\0';
        conf->name = apr_pstrndup(p, host, 63);
    }
    if (conf->cpu_millis == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        conf->cpu_millis = (n > 0 ? (apr_int64_t)n : 1) * CPU_SHARE * 1000;
        if (conf->cpu_millis > CPU_MILLIS_MAX)
            conf->cpu_millis = CPU_MILLIS_MAX;
    }
    if (conf->memory_bytes == 0) {
        if (sysinfo(&info) != 0)
            return wh_err_set(err, 500, "bad_config",
                              "memory_bytes: the size of the machine's "
                              "memory cannot be read");
        conf->memory_bytes = (apr_int64_t)info.totalram * info.mem_unit;
    }
    return APR_SUCCESS;
}

apr_status_t wh_agent_conf_load(apr_pool_t *p, const char *path, wh_agent_conf_t *conf,
                                wh_err_t *err)
{
    apr_status_t rv = wh_conf_load(p, path, wh_agent_conf_keys, wh_agent_conf_nkeys, conf, err);

    if (rv == APR_SUCCESS)
        rv = from_machine(p, conf, err);
    if (rv == APR_SUCCESS)
        rv = check_server_url(p, conf, err);
    if (rv == APR_SUCCESS)
        rv = check_hub_url(p, conf, err);
    if (rv == APR_SUCCESS)
        rv = check_labels(p, conf, err);
    if (rv == APR_SUCCESS)
        rv = check_images(p, conf, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (wh_address_of(conf->address) == WH_ADDRESS_BAD ||
        wh_address_of(conf->address) == WH_ADDRESS_REFUSED)
        return wh_err_set(
            err, 500, "bad_config",
            "address: \"%s\" is not an IP address that containers may be published on",
            conf->address);
    if (conf->container_log_bytes > 0 && conf->container_log_bytes < WH_MIB)
        return wh_err_set(err, 500, "bad_config",
                          "container_log_bytes: %" APR_INT64_T_FMT " is neither 0 nor 1M or more",
                          conf->container_log_bytes);
    if (conf->publish_port_min > conf->publish_port_max)
        return wh_err_set(err, 500, "bad_config",
                          "publish_port_min: %" APR_INT64_T_FMT " is above publish_port_max",
                          conf->publish_port_min);
    return APR_SUCCESS;
}
