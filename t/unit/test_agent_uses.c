/* What an engine says of a container's use. */
#include "t/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wh-agent/engine_json.h"
#include "wh-agent/uses.h"

static apr_status_t use_of(apr_pool_t *p, const char *body, wh_engine_use_t *use)
{
    wh_err_t err = WH_ERR_INIT;

    return wh_engine_json_use(p, body, strlen(body), use, &err);
}

static void test_docker(void **state)
{
    wh_engine_use_t u;

    assert_int_equal(
        use_of(*state,
               "{\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":5000000}},"
               "\"memory_stats\":{\"usage\":1000000,\"limit\":4000000,"
               "\"stats\":{\"inactive_file\":300000,\"active_file\":1}},"
               "\"networks\":{\"eth0\":{\"rx_bytes\":10,\"tx_bytes\":20},"
               "\"eth1\":{\"rx_bytes\":1,\"tx_bytes\":2},\"lo\":{\"rx_bytes\":99,\"tx_bytes\":99}},"
               "\"blkio_stats\":{\"io_service_bytes_recursive\":["
               "{\"op\":\"Read\",\"value\":7},{\"op\":\"write\",\"value\":8},"
               "{\"op\":\"read\",\"value\":1},{\"op\":\"Total\",\"value\":100}]}}",
               &u),
        APR_SUCCESS);
    assert_int_equal(u.cpu_ns, 5000000);
    assert_int_equal(u.memory_bytes, 700000); /* without the cache that may be taken back */
    assert_int_equal(u.memory_limit_bytes, 4000000);
    assert_int_equal(u.net_rx_bytes, 11);
    assert_int_equal(u.net_tx_bytes, 22);
    assert_int_equal(u.disk_read_bytes, 8);
    assert_int_equal(u.disk_write_bytes, 8);
}

static void test_odd(void **state)
{
    wh_engine_use_t u;

    assert_int_equal(
        use_of(*state,
               "{\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":1}},\"memory_stats\":"
               "{\"usage\":5,\"limit\":9223372036854771712,"
               "\"stats\":{\"total_inactive_file\":9}},"
               "\"networks\":null,\"blkio_stats\":{\"io_service_bytes_recursive\":null}}",
               &u),
        APR_SUCCESS);
    assert_int_equal(u.memory_bytes, 5);       /* more cache than memory: not believed */
    assert_int_equal(u.memory_limit_bytes, 0); /* no limit */
    assert_int_not_equal(use_of(*state, "{}", &u), APR_SUCCESS);
    assert_int_not_equal(use_of(*state, "{\"cpu_stats\":[],\"memory_stats\":7}", &u), APR_SUCCESS);
    assert_int_not_equal(use_of(*state, "[]", &u), APR_SUCCESS);
    assert_int_not_equal(use_of(*state, "", &u), APR_SUCCESS);
}

/* Podman 4.3 says nothing of the cache; with control groups of the first form it is in `usage`. */
static void test_cache(void **state)
{
    wh_engine_use_t u;
    char dir[] = "/tmp/wh-uses-XXXXXX", path[64];
    FILE *file;

    assert_int_equal(use_of(*state,
                            "{\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":1}},\"memory_stats\":"
                            "{\"usage\":65212416,\"limit\":134217728}}",
                            &u),
                     APR_SUCCESS);
    assert_true(u.cache_unknown);
    assert_int_equal(u.memory_bytes, 65212416);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/memory.stat", dir);
    assert_int_equal(wh_engine_use_cache(*state, dir, "8:pids:/x\n4:memory:/\n"), 0);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("cache 5\ninactive_file 6\ntotal_cache 7\ntotal_inactive_file 62930944\n"
                      "total_active_file 8\n",
                      file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(wh_engine_use_cache(*state, dir, "8:pids:/x\n4:memory:/\n2:cpu:/y\n"),
                     62930944);
    assert_int_equal(wh_engine_use_cache(*state, dir, "4:memory:/gone\n"), 0);
    assert_int_equal(wh_engine_use_cache(*state, dir, "4:memory:/../x\n"), 0);
    assert_int_equal(wh_engine_use_cache(*state, dir, "0::/\n"), 0);
    assert_int_equal(remove(path) | rmdir(dir), 0);
}

static void test_swapped(void **state)
{
    static const struct {
        const char *engine;
        int swapped;
    } all[] = {{"podman 4.3.1", 1}, {"podman 3.0.1", 1}, {"podman 4.4.0", 0}, {"podman 5.0.0-dev", 0},
               {"podman 4", 1},     {"podman ", 0},      {"docker 4.3.1", 0}, {"", 0}};

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(all); i++)
        assert_int_equal(wh_engine_use_swapped(all[i].engine), all[i].swapped);
}

static void test_cpu(void **state)
{
    (void)state;
    assert_int_equal(wh_uses_cpu_millis(0, APR_INT64_C(1000000000), 1000000), 1000);
    assert_int_equal(wh_uses_cpu_millis(5, 5, 1000000), 0);
    assert_int_equal(wh_uses_cpu_millis(9, 5, 1000000), 0); /* it began anew */
    assert_int_equal(wh_uses_cpu_millis(0, 5, 0), 0);
    assert_int_equal(wh_uses_cpu_millis(0, APR_INT64_MAX, 1), WH_MSG_CPU_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F71 F72 memory without cache, both ways of network and disk", test_docker),
        UNIT("what is missing, and what cannot be", test_odd),
        UNIT("F71 an engine that counts the cache: the kernel tells", test_cache),
        UNIT("F72 an engine that takes in and out for each other", test_swapped),
        UNIT("CPU between two looks", test_cpu),
    };

    return UNIT_RUN(tests);
}
