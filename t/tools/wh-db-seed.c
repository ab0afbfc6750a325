/*
 * wh-db-seed: what the API tests need of the database and the keys, without a scheduler.
 *
 *   wh-db-seed migrate DRIVER PARAMS               makes and migrates a database
 *   wh-db-seed keys STATE_DIR                      root.key, module.key, control.secret
 *   wh-db-seed token DRIVER PARAMS SCOPES APPS     ID=… TOKEN=wh_…
 *   wh-db-seed onetime DRIVER PARAMS PURPOSE SECONDS   TOKEN=… that ends in SECONDS (may be
 * negative)
 *
 * Secrets that are no part of a run's result are never printed. Not installed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_schema.h"
#include "whdb/wh_db_token.h"

static int die(const wh_err_t *err)
{
    fprintf(stderr, "wh-db-seed: %s: %s\n", err->code, err->text);
    return 1;
}

static apr_time_t now(void)
{
    return wh_clock_now(wh_sys_clock());
}

static int do_migrate(apr_pool_t *p, char **argv)
{
    wh_err_t err = WH_ERR_INIT;
    wh_dbc_t *dbc;

    if (wh_db_schema_create(p, argv[0], argv[1], &err) ||
        wh_dbc_open(p, argv[0], argv[1], &dbc, &err) ||
        wh_db_schema_migrate(dbc, p, now(), NULL, NULL, &err)) {
        return die(&err);
    }
    wh_dbc_close(dbc);
    return 0;
}

static int put(apr_pool_t *p, const char *dir, const char *name, const char *text)
{
    const char *path = apr_pstrcat(p, dir, "/keys/", name, NULL);
    apr_file_t *file;

    if (apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                      APR_FPROT_UREAD | APR_FPROT_UWRITE, p) ||
        apr_file_write_full(file, text, strlen(text), NULL) || apr_file_close(file)) {
        fprintf(stderr, "wh-db-seed: cannot write %s\n", path);
        return 1;
    }
    return 0;
}

static int do_keys(apr_pool_t *p, char **argv)
{
    unsigned char root[WH_KEY_LEN];
    wh_keys_t keys;
    const char *control = wh_rand_hex(p, wh_sys_rand(), 32);

    if (!control || wh_rand_fill(wh_sys_rand(), root, sizeof(root))) {
        return 1;
    }
    wh_keys_derive(root, &keys);
    return put(p, argv[0], "root.key",
               apr_pstrcat(p, wh_sign_hex(p, root, sizeof(root)), "\n", NULL)) ||
           put(p, argv[0], "module.key", wh_keys_module_text(p, &keys)) ||
           put(p, argv[0], "control.secret", apr_pstrcat(p, control, "\n", NULL));
}

static int do_token(apr_pool_t *p, char **argv)
{
    wh_err_t err = WH_ERR_INIT;
    const char *secret = apr_pstrcat(p, "wh_", wh_rand_hex(p, wh_sys_rand(), 32), NULL);
    wh_token_t token = {.id = wh_id_make(p, now(), wh_sys_rand()),
                        .name = "test",
                        .scopes = argv[2],
                        .apps = argv[3],
                        .created_at = now()};
    wh_dbc_t *dbc;

    token.hash = wh_sign_sha256_hex(p, secret, strlen(secret));
    if (wh_dbc_open(p, argv[0], argv[1], &dbc, &err) || wh_db_token_insert(dbc, p, &token, &err)) {
        return die(&err);
    }
    wh_dbc_close(dbc);
    printf("ID=%s\nTOKEN=%s\n", token.id, secret);
    return 0;
}

static int do_onetime(apr_pool_t *p, char **argv)
{
    wh_err_t err = WH_ERR_INIT;
    const char *secret = wh_rand_hex(p, wh_sys_rand(), 32);
    const char *hash = wh_sign_sha256_hex(p, secret, strlen(secret));
    wh_db_onetime_t token = {.hash = hash, .purpose = argv[2], .created_at = now()};
    wh_dbc_t *dbc;

    token.expires_at = token.created_at + apr_time_from_sec(strtol(argv[3], NULL, 10));

    if (wh_dbc_open(p, argv[0], argv[1], &dbc, &err) ||
        wh_db_token_onetime_insert(dbc, p, &token, &err)) {
        return die(&err);
    }
    wh_dbc_close(dbc);
    printf("TOKEN=%s\n", secret);
    return 0;
}

static const struct {
    const char *name;
    int args;
    int (*run)(apr_pool_t *p, char **argv);
} commands[] = {
    {"migrate", 2, do_migrate},
    {"keys", 1, do_keys},
    {"token", 4, do_token},
    {"onetime", 4, do_onetime},
};

int main(int argc, char **argv)
{
    apr_pool_t *p;
    int rc = 2;

    apr_initialize();
    apr_pool_create(&p, NULL);
    umask(007);
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!strcmp(argv[1], commands[i].name) && argc - 2 == commands[i].args) {
            rc = commands[i].run(p, argv + 2);
        }
    }
    if (rc == 2) {
        fprintf(stderr, "usage: wh-db-seed migrate|keys|token|onetime ARGUMENTS\n");
    }
    apr_pool_destroy(p);
    apr_terminate();
    return rc;
}
