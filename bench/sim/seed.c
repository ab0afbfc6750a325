/*
 * wh-sim-seed: what the benches of the hub need in the database, and deployments as the module
 * would make them. COMMAND DRIVER PARAMS N PREFIX ...
 *
 * - workers ... FILE: registers N workers; "name key" a line to FILE
 * - jobs ... [pinned]: N container apps, each with a pending deployment; pinned: n-th to the n-th
 *   worker
 * - burst ... SOCKET: N apps; then a deployment of each, all in one transaction, and a poke.
 *   "BURST us": when its commit began, by CLOCK_MONOTONIC
 * - push ... SOCKET MS: N apps; then every MS a deployment of the next one and a poke of the hub.
 *   "PUSH job made_us poked_us" a line, by CLOCK_MONOTONIC
 *
 * Not installed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_text.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_worker.h"

#define BATCH 500

typedef struct seed_t {
    apr_pool_t *p, *scratch;
    wh_dbc_t *dbc;
    int n;
    const char *prefix;
    apr_array_header_t *apps; /* wh_app_t * */
} seed_t;

static int die(const wh_err_t *err)
{
    fprintf(stderr, "wh-sim-seed: %s: %s\n", err->code, err->text);
    return 1;
}

static apr_time_t now(void)
{
    return wh_clock_now(wh_sys_clock());
}

static apr_int64_t mono(void)
{
    return wh_clock_mono(wh_sys_clock()).us;
}

/* ---- workers ---- */

/* By way of the document that an agent registers with, as the module reads it. */
static apr_status_t add_worker(seed_t *s, int number, FILE *list, wh_err_t *err)
{
    apr_pool_t *p = s->scratch;
    const char *name = apr_psprintf(p, "%s%05d", s->prefix, number);
    const char *key = wh_rand_hex(p, wh_sys_rand(), 32);
    wh_worker_register_t asked;
    wh_worker_t w = {.engine = "simulated 1"}, *row;
    json_t *body;
    apr_status_t rv;

    if (key == NULL)
        return wh_err_set(err, 500, "internal", "there are no random numbers");
    body = wh_json_own(p, json_pack("{s:s,s:s,s:i,s:I}", "name", name, "api_key", key, "cpu_millis",
                                    WH_MSG_CPU_MAX, "memory_bytes", (json_int_t)(1024 * WH_GIB)));
    rv = wh_model_worker_register_decode(p, body, &asked, err);
    if (rv != APR_SUCCESS)
        return rv;
    w.public_id = wh_id_make(p, now(), wh_sys_rand());
    w.name = asked.name;
    w.key_hash = wh_sign_sha256_hex(p, key, strlen(key));
    w.address = asked.address;
    w.zone = asked.zone;
    w.labels = asked.labels;
    w.version = asked.version;
    w.cpu_millis = asked.cpu_millis;
    w.memory_bytes = asked.memory_bytes;
    fprintf(list, "%s %s\n", name, key);
    return wh_db_worker_register(s->dbc, p, &w, now(), &row, NULL, err);
}

/* Calls one(s, i, …) for 1 to n, many in a transaction. */
static apr_status_t in_batches(seed_t *s, apr_status_t (*one)(seed_t *, int, FILE *, wh_err_t *),
                               FILE *baton, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *tx;

    apr_pool_create(&tx, s->p);
    for (int i = 1; rv == APR_SUCCESS && i <= s->n;) {
        rv = wh_dbc_begin(s->dbc, tx, err);
        for (int k = 0; rv == APR_SUCCESS && k < BATCH && i <= s->n; k++, i++) {
            rv = one(s, i, baton, err);
            apr_pool_clear(s->scratch);
        }
        rv = rv == APR_SUCCESS ? wh_dbc_commit(s->dbc, err) : rv;
    }
    apr_pool_destroy(tx);
    return rv;
}

static apr_status_t do_workers(seed_t *s, int argc, char **argv, wh_err_t *err)
{
    FILE *list = argc == 1 ? fopen(argv[0], "w") : NULL;
    apr_status_t rv;

    if (list == NULL)
        return wh_err_set(err, 500, "bad_config", "the list of workers cannot be written");
    rv = in_batches(s, add_worker, list, err);
    return fclose(list) == 0 ? rv : wh_err_set(err, 500, "internal", "the list is not whole");
}

/* ---- deployments ---- */

/* By way of the document that somebody posts, so that all else is what an app has by default. */
static apr_status_t add_app(seed_t *s, int number, FILE *unused, wh_err_t *err)
{
    static const wh_model_app_opt_t opt = {0};
    wh_app_t *app = apr_pcalloc(s->p, sizeof(*app));
    const char *slug = apr_psprintf(s->p, "%s%05d", s->prefix, number);
    json_t *body =
        wh_json_own(s->p, json_pack("{s:s,s:s,s:{s:s},s:{s:i,s:I,s:i}}", "slug", slug, "kind",
                                    wh_model_kind_text(WH_KIND_CONTAINER), "repository", "url",
                                    "https://git.example/x.git", "run", "cpu_millis", 100,
                                    "memory_bytes", (json_int_t)(64 * WH_MIB), "pids", 64));
    apr_status_t rv = wh_model_app_decode(s->p, body, &opt, app, err);

    (void)unused;
    if (rv != APR_SUCCESS)
        return rv;
    app->id = wh_id_make(s->p, now(), wh_sys_rand());
    app->created_at = app->updated_at = now();
    APR_ARRAY_PUSH(s->apps, wh_app_t *) = app;
    return wh_db_app_insert(s->dbc, s->scratch, app, err);
}

static apr_status_t deploy(seed_t *s, const wh_app_t *app, apr_int64_t worker, const char **job,
                           wh_err_t *err)
{
    apr_int64_t number;
    wh_db_deployment_new_t d = {.id = wh_id_make(s->scratch, now(), wh_sys_rand()),
                                .job_id = wh_id_make(s->p, now(), wh_sys_rand()),
                                .app_id = app->id,
                                .environment = "production",
                                .trigger = WH_TRIGGER_API,
                                .commit_sha = "",
                                .commit_ref = "main",
                                .commit_message = "",
                                .commit_author = "",
                                .snapshot = wh_model_snapshot_text(s->scratch, app),
                                .worker_id = worker,
                                .now = now()};

    *job = d.job_id;
    return wh_db_deployment_create(s->dbc, s->scratch, &d, &number, err);
}

static apr_int64_t *the_workers; /* ids, by their order; 0 ends it */

static apr_status_t add_job(seed_t *s, int number, FILE *unused, wh_err_t *err)
{
    const char *job;

    (void)unused;
    return deploy(s, APR_ARRAY_IDX(s->apps, number - 1, wh_app_t *),
                  the_workers != NULL ? the_workers[number - 1] : 0, &job, err);
}

static apr_status_t read_workers(seed_t *s, wh_err_t *err)
{
    apr_int64_t after = 0;
    int n = 0;
    apr_status_t rv = APR_SUCCESS;

    the_workers = apr_pcalloc(s->p, sizeof(*the_workers) * (size_t)(s->n + 1));
    while (rv == APR_SUCCESS && n < s->n) {
        apr_array_header_t *some;

        rv = wh_db_worker_list(s->dbc, s->scratch, after, BATCH, &some, err);
        for (int i = 0; rv == APR_SUCCESS && i < some->nelts && n < s->n; i++)
            the_workers[n++] = after = APR_ARRAY_IDX(some, i, wh_worker_t *)->id;
        if (rv == APR_SUCCESS && some->nelts == 0)
            break;
    }
    for (int i = n; n > 0 && i < s->n; i++)
        the_workers[i] = the_workers[i % n];
    return rv;
}

static apr_status_t do_jobs(seed_t *s, int argc, char **argv, wh_err_t *err)
{
    apr_status_t rv = in_batches(s, add_app, NULL, err);

    if (rv == APR_SUCCESS && argc > 0 && strcmp(argv[0], "pinned") == 0)
        rv = read_workers(s, err);
    return rv == APR_SUCCESS ? in_batches(s, add_job, NULL, err) : rv;
}

/* As httpd does it after new work. */
static int poke(const char *path)
{
    static const char request[] =
        "POST /poke HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char answer[256];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ok;

    apr_cpystrn(to.sun_path, path, sizeof(to.sun_path));
    ok = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
         write(fd, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1 &&
         read(fd, answer, sizeof(answer)) > 0;
    if (fd >= 0)
        close(fd);
    return ok ? 0 : -1;
}

static void wait_until(apr_int64_t at)
{
    apr_int64_t left = at - mono();
    struct timespec pause = {.tv_sec = (time_t)(left / 1000000), .tv_nsec = left % 1000000 * 1000};

    if (left > 0)
        nanosleep(&pause, NULL);
}

static apr_status_t do_burst(seed_t *s, int argc, char **argv, wh_err_t *err)
{
    apr_status_t rv = in_batches(s, add_app, NULL, err);
    apr_int64_t at = 0;
    apr_pool_t *tx;

    if (argc != 1)
        return wh_err_set(err, 500, "bad_config", "burst: SOCKET is wanted");
    apr_pool_create(&tx, s->p);
    rv = rv == APR_SUCCESS ? wh_dbc_begin(s->dbc, tx, err) : rv;
    for (int i = 1; rv == APR_SUCCESS && i <= s->n; i++) {
        rv = add_job(s, i, NULL, err);
        apr_pool_clear(s->scratch);
    }
    at = mono();
    rv = rv == APR_SUCCESS ? wh_dbc_commit(s->dbc, err) : rv;
    if (rv == APR_SUCCESS && poke(argv[0]) != 0)
        rv = wh_err_set(err, 500, "internal", "the hub cannot be poked at %s", argv[0]);
    if (rv == APR_SUCCESS)
        printf("BURST %" APR_INT64_T_FMT "\n", at);
    return rv;
}

static apr_status_t do_push(seed_t *s, int argc, char **argv, wh_err_t *err)
{
    apr_int64_t ms = 0, begun;
    apr_status_t rv;
    apr_pool_t *tx;

    if (argc != 2 || !wh_text_number(argv[1], 1, INT32_MAX, &ms))
        return wh_err_set(err, 500, "bad_config", "push: SOCKET and MS are wanted");
    rv = in_batches(s, add_app, NULL, err);
    begun = mono();
    apr_pool_create(&tx, s->p);
    for (int i = 0; rv == APR_SUCCESS && i < s->n; i++) {
        const char *job;
        apr_int64_t made;

        wait_until(begun + (apr_int64_t)i * ms * 1000);
        apr_pool_clear(tx);
        rv = wh_dbc_begin(s->dbc, tx, err);
        rv =
            rv == APR_SUCCESS ? deploy(s, APR_ARRAY_IDX(s->apps, i, wh_app_t *), 0, &job, err) : rv;
        made = mono();
        rv = rv == APR_SUCCESS ? wh_dbc_commit(s->dbc, err) : rv;
        if (rv == APR_SUCCESS) {
            apr_int64_t poked = mono();

            if (poke(argv[0]) != 0)
                rv = wh_err_set(err, 500, "internal", "the hub cannot be poked at %s", argv[0]);
            printf("PUSH %s %" APR_INT64_T_FMT " %" APR_INT64_T_FMT "\n", job, made, poked);
            fflush(stdout);
        }
        apr_pool_clear(s->scratch);
    }
    return rv;
}

static const struct {
    const char *name;
    apr_status_t (*run)(seed_t *s, int argc, char **argv, wh_err_t *err);
} commands[] = {{"workers", do_workers}, {"jobs", do_jobs}, {"burst", do_burst}, {"push", do_push}};

int main(int argc, char **argv)
{
    seed_t s = {0};
    wh_err_t err = WH_ERR_INIT;
    size_t i = 0;
    apr_int64_t n = 0;
    apr_status_t rv;

    while (argc > 5 && i < WH_ARRAY_LEN(commands) && strcmp(argv[1], commands[i].name) != 0)
        i++;
    if (argc <= 5 || i == WH_ARRAY_LEN(commands) || !wh_text_number(argv[4], 1, 1000000, &n)) {
        fputs("usage: wh-sim-seed workers|jobs|burst|push DRIVER PARAMS N PREFIX …\n", stderr);
        return 2;
    }
    apr_initialize();
    apr_pool_create(&s.p, NULL);
    apr_pool_create(&s.scratch, s.p);
    umask(007);
    s.n = (int)n;
    s.prefix = argv[5];
    s.apps = apr_array_make(s.p, s.n, sizeof(wh_app_t *));
    rv = wh_dbc_open(s.p, argv[2], argv[3], &s.dbc, &err);
    rv = rv == APR_SUCCESS ? commands[i].run(&s, argc - 6, argv + 6, &err) : rv;
    return rv == APR_SUCCESS ? 0 : die(&err);
}
