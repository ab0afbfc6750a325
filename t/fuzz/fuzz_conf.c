/* A daemon's configuration file. What is accepted is within its ranges, and dumped it loads to the
 * same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libwh/wh_conf.h"
#include "libwh/wh_text.h"
#include "t/fuzz/fuzz.h"

typedef struct conf_t {
    const char *state_dir, *name, *driver;
    apr_int64_t tick_ms, max_bytes;
    int verbose;
} conf_t;

static const wh_conf_key_t keys[] = {
    {.name = "state_dir",
     .type = WH_CONF_PATH,
     .offset = offsetof(conf_t, state_dir),
     .def = "/var/lib/wisehost"},
    {.name = "name", .type = WH_CONF_STRING, .offset = offsetof(conf_t, name), .max = 20},
    {.name = "driver",
     .type = WH_CONF_CHOICE,
     .offset = offsetof(conf_t, driver),
     .def = "sqlite3",
     .choices = "sqlite3|pgsql"},
    {.name = "tick_ms",
     .type = WH_CONF_INT,
     .offset = offsetof(conf_t, tick_ms),
     .min = 10,
     .max = 60000,
     .def = "1000"},
    {.name = "max_bytes",
     .type = WH_CONF_BYTES,
     .offset = offsetof(conf_t, max_bytes),
     .def = "512M"},
    {.name = "verbose", .type = WH_CONF_BOOL, .offset = offsetof(conf_t, verbose)},
};

static void check_same(apr_pool_t *p, const conf_t *conf)
{
    wh_conf_text_t text = {.name = "dump"};
    wh_err_t err = WH_ERR_INIT;
    char *dump = NULL;
    conf_t again;
    FILE *to = open_memstream(&dump, &text.len);

    fuzz_must(to != NULL);
    wh_conf_dump(to, keys, WH_ARRAY_LEN(keys), conf);
    fclose(to);
    text.text = dump;
    fuzz_must(wh_conf_parse(p, &text, keys, WH_ARRAY_LEN(keys), &again, &err) == APR_SUCCESS);
    fuzz_must(strcmp(again.state_dir, conf->state_dir) == 0);
    fuzz_must(strcmp(again.name, conf->name) == 0 && strcmp(again.driver, conf->driver) == 0);
    fuzz_must(again.tick_ms == conf->tick_ms && again.max_bytes == conf->max_bytes);
    fuzz_must(again.verbose == conf->verbose);
    free(dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    wh_conf_text_t text = {.name = "test.conf", .text = (const char *)data, .len = n};
    apr_pool_t *p = fuzz_pool();
    wh_err_t err = WH_ERR_INIT;
    conf_t conf;

    if (wh_conf_parse(p, &text, keys, WH_ARRAY_LEN(keys), &conf, &err) != APR_SUCCESS) {
        fuzz_must(strncmp(err.text, "test.conf:", 10) == 0);
        fuzz_must(wh_text_plain(err.text, WH_TEXT_NUL));
        return 0;
    }
    fuzz_must(conf.tick_ms >= 10 && conf.tick_ms <= 60000);
    fuzz_must(conf.state_dir[0] == '/' && strlen(conf.name) <= 20);
    check_same(p, &conf);
    return 0;
}
