/* What the engine says of a container's use: the body of GET /containers/{id}/stats. */
#include <string.h>
#include <unistd.h>
#include <apr_cstr.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_seq.h"
#include "wh-agent/engine_json.h"
#include "wh-agent/machine.h"

#define CGROUP_MEMORY "/sys/fs/cgroup/memory" /* control groups of the first form */

static apr_int64_t number(const json_t *obj, const char *key)
{
    const json_t *value = json_object_get(obj, key);

    return json_is_integer(value) && json_integer_value(value) > 0 ? json_integer_value(value) : 0;
}

/* Sums of what an engine says stay in range, whatever it says. */
static void add(apr_int64_t *to, apr_int64_t n)
{
    *to = *to > WH_SEQ_MAX - n ? WH_SEQ_MAX : *to + n;
}

static void networks(const json_t *all, wh_engine_use_t *use)
{
    const char *name;
    const json_t *one;
    void *it;

    for (it = json_object_iter((json_t *)(uintptr_t)all); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)all, it)) {
        name = json_object_iter_key(it);
        one = json_object_iter_value(it);
        if (strcmp(name, "lo") == 0)
            continue;
        add(&use->net_rx_bytes, number(one, "rx_bytes"));
        add(&use->net_tx_bytes, number(one, "tx_bytes"));
    }
}

static void disks(const json_t *list, wh_engine_use_t *use)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *op = json_string_value(json_object_get(one, "op"));

        if (op != NULL && apr_cstr_casecmp(op, "read") == 0)
            add(&use->disk_read_bytes, number(one, "value"));
        else if (op != NULL && apr_cstr_casecmp(op, "write") == 0)
            add(&use->disk_write_bytes, number(one, "value"));
    }
}

/* An engine that knows no limit says a huge number, or that of the machine. */
static void memory(const json_t *mem, wh_engine_use_t *use)
{
    const json_t *stats = json_object_get(mem, "stats");
    apr_int64_t cache = number(stats, "inactive_file"); /* the second form of control groups */

    if (cache == 0)
        cache = number(stats, "total_inactive_file");
    use->cache_unknown = !json_is_object(stats);
    use->memory_bytes = number(mem, "usage");
    if (cache < use->memory_bytes)
        use->memory_bytes -= cache;
    use->memory_limit_bytes = number(mem, "limit");
    if (use->memory_limit_bytes > WH_MSG_MEMORY_MAX)
        use->memory_limit_bytes = 0;
    if (use->memory_bytes > WH_MSG_MEMORY_MAX)
        use->memory_bytes = WH_MSG_MEMORY_MAX;
}

int wh_engine_use_swapped(const char *engine)
{
    static const char podman[] = "podman ";
    apr_int64_t major, minor = 0;
    char *end;

    if (strncmp(engine, podman, sizeof(podman) - 1) != 0)
        return 0;
    major = apr_strtoi64(engine + sizeof(podman) - 1, &end, 10);
    if (*end == '.')
        minor = apr_strtoi64(end + 1, NULL, 10);
    return major > 0 && major * 1000 + minor < 4004;
}

apr_int64_t wh_engine_use_cache(apr_pool_t *p, const char *root, const char *groups)
{
    static const char of[] = ":memory:", key[] = "\ntotal_inactive_file ";
    const char *at = strstr(groups, of);
    char text[4096];

    if (at == NULL)
        return 0;
    at += sizeof(of) - 1;
    at = apr_pstrmemdup(p, at, strcspn(at, "\n"));
    if (strstr(at, "/..") != NULL ||
        wh_machine_text(apr_pstrcat(p, root, at, "/memory.stat", NULL), text, sizeof(text)) != 0)
        return 0;
    at = strstr(text, key);
    return at != NULL ? apr_strtoi64(at + sizeof(key) - 1, NULL, 10) : 0;
}

int wh_engine_use_form1(void)
{
    return access(CGROUP_MEMORY, F_OK) == 0;
}

void wh_engine_use_trim(apr_pool_t *p, apr_int64_t pid, wh_engine_use_t *use)
{
    char groups[4096];
    apr_int64_t cache;

    if (wh_machine_text(apr_psprintf(p, "/proc/%" APR_INT64_T_FMT "/cgroup", pid), groups,
                        sizeof(groups)) != 0)
        return;
    cache = wh_engine_use_cache(p, CGROUP_MEMORY, groups);
    if (cache < use->memory_bytes)
        use->memory_bytes -= cache;
}

apr_status_t wh_engine_json_use(apr_pool_t *p, const char *body, size_t n, wh_engine_use_t *use,
                                wh_err_t *err)
{
    static const wh_json_limits_t limits = {.bytes = 1 << 20, .depth = 16, .values = 20000};
    json_t *doc;
    apr_status_t rv = wh_json_load_object(p, body, n, &limits, &doc, err);

    if (rv != APR_SUCCESS)
        return rv;
    memset(use, 0, sizeof(*use));
    use->cpu_ns =
        number(json_object_get(json_object_get(doc, "cpu_stats"), "cpu_usage"), "total_usage");
    memory(json_object_get(doc, "memory_stats"), use);
    networks(json_object_get(doc, "networks"), use);
    disks(json_object_get(json_object_get(doc, "blkio_stats"), "io_service_bytes_recursive"), use);
    if (use->cpu_ns == 0 || use->memory_bytes == 0)
        return wh_err_set(err, 502, "engine_error", "the engine says nothing of its use");
    return APR_SUCCESS;
}
