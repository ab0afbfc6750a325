/*
 * wh-sim-seed: what the benches of the hub need in the database, and deployments as the module
 * would make them.
 *
 *   wh-sim-seed workers DRIVER PARAMS N PREFIX FILE    registers N workers; "name key" a line to
 * FILE wh-sim-seed jobs DRIVER PARAMS N PREFIX [PINNED]   N container apps, each with a pending
 *       deployment; PINNED: n-th to the n-th worker
 *   wh-sim-seed push DRIVER PARAMS N PREFIX SOCKET MS  N apps; then every MS a deployment of the
 * next one and a poke of the hub. "PUSH job made_us poked_us" a line, by CLOCK_MONOTONIC
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
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
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

static apr_status_t add_worker(seed_t *s, int number, FILE *list, wh_err_t *err)
{
    apr_pool_t *p = s->scratch;
    const char *key = wh_rand_hex(p, wh_sys_rand(), 32);
    wh_worker_t w = {.public_id = wh_id_make(p, now(), wh_sys_rand()),
                     .name = apr_psprintf(p, "%s%05d", s->prefix, number),
                     .address = "127.0.0.1",
                     .zone = "",
                     .labels = "{}",
                     .engine = "simulated 1",
                     .version = "0",
                     .cpu_millis = 1024000,
                     .memory_bytes = 1024 * WH_GIB};
    wh_worker_t *row;

    if (key == NULL)
        return wh_err_set(err, 500, "internal", "there are no random numbers");
    w.key_hash = wh_sign_sha256_hex(p, key, strlen(key));
    fprintf(list, "%s %s\n", w.name, key);
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

static apr_status_t add_app(seed_t *s, int number, FILE *unused, wh_err_t *err)
{
    wh_app_t *app = apr_pcalloc(s->p, sizeof(*app));

    (void)unused;
    *app = (wh_app_t){.id = wh_id_make(s->p, now(), wh_sys_rand()),
                      .slug = apr_psprintf(s->p, "%s%05d", s->prefix, number),
                      .kind = WH_KIND_CONTAINER,
                      .repo_url = "https://git.example/x.git",
                      .repo_branch = "main",
                      .repo_root = "",
                      .build_command = "",
                      .build_dockerfile = "Dockerfile",
                      .build_output = "",
                      .run_port = 8080,
                      .run_health_path = "/",
                      .run_replicas = 1,
                      .run_cpu_millis = 100,
                      .run_memory_bytes = 64 * WH_MIB,
                      .run_pids = 64,
                      .place_worker = "",
                      .place_zone = "",
                      .place_labels = "{}",
                      .desired = WH_DESIRED_RUNNING,
                      .reason = "",
                      .version = 1,
                      .created_at = now(),
                      .updated_at = now()};
    app->name = app->slug;
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

static apr_status_t do_push(seed_t *s, int argc, char **argv, wh_err_t *err)
{
    long ms = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    apr_status_t rv = in_batches(s, add_app, NULL, err);
    apr_int64_t begun = mono();
    apr_pool_t *tx;

    if (ms < 1)
        return wh_err_set(err, 500, "bad_config", "push: SOCKET and MS are wanted");
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
} commands[] = {{"workers", do_workers}, {"jobs", do_jobs}, {"push", do_push}};

int main(int argc, char **argv)
{
    seed_t s = {0};
    wh_err_t err = WH_ERR_INIT;
    size_t i = 0;
    apr_status_t rv;

    while (argc > 5 && i < WH_ARRAY_LEN(commands) && strcmp(argv[1], commands[i].name) != 0)
        i++;
    if (argc <= 5 || i == WH_ARRAY_LEN(commands)) {
        fputs("usage: wh-sim-seed workers|jobs|push DRIVER PARAMS N PREFIX …\n", stderr);
        return 2;
    }
    apr_initialize();
    apr_pool_create(&s.p, NULL);
    apr_pool_create(&s.scratch, s.p);
    umask(007);
    s.n = (int)strtol(argv[4], NULL, 10);
    s.prefix = argv[5];
    s.apps = apr_array_make(s.p, s.n > 0 ? s.n : 1, sizeof(wh_app_t *));
    rv = wh_dbc_open(s.p, argv[2], argv[3], &s.dbc, &err);
    rv = rv == APR_SUCCESS ? commands[i].run(&s, argc - 6, argv + 6, &err) : rv;
    return rv == APR_SUCCESS ? 0 : die(&err);
}
