/* wh-scheduler(8). Order of the start, and of the end backwards (F35, F36, F42):
 *   1 options, configuration, log       5 route table verified, everything published
 *   2 who we are (never root for long)  6 hub socket
 *   3 keys                              7 database thread
 *   4 locks, database, schema           8 the event loop, until SIGTERM or SIGINT
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_log.h"
#include "libwh/wh_model.h"
#include "libwh/wh_sys.h"
#include "wh-scheduler/check.h"
#include "wh-scheduler/dbthread.h"
#include "wh-scheduler/gc.h"
#include "wh-scheduler/hub.h"
#include "wh-scheduler/init.h"
#include "wh-scheduler/lock.h"
#include "wh-scheduler/standby.h"
#include "wh-scheduler/user.h"

#define SELF "/proc/self/exe"

typedef enum action_e {
    ACTION_RUN,
    ACTION_INIT,
    ACTION_CHECK,
    ACTION_MIGRATE,
    ACTION_ADMIN_TOKEN,
    ACTION_ENROLMENT_TOKEN,
    ACTION_DUMP,
    ACTION_REFERENCE,
    ACTION_VERIFY_ROUTES,
    ACTION_GC,
    ACTION_ROTATE_ENV
} action_e;

typedef struct options_t {
    action_e action;
    const char *conf, *user, *httpd_user, *routes;
    const char *worker; /* of --enrolment-token */
    int replaces;
    int due; /* of --gc */
} options_t;

static volatile sig_atomic_t stop_wanted, reload_wanted;

static void on_signal(int number)
{
    if (number == SIGHUP) {
        reload_wanted = 1;
    } else {
        stop_wanted = 1;
    }
}

static void catch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};

    sigemptyset(&act.sa_mask);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    act.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &act, NULL);
}

static void usage(FILE *to)
{
    fputs(
        "Usage: wh-scheduler [-c FILE] [ACTION]\n"
        "Without an action it runs in the foreground.\n"
        "  -c, --config FILE      configuration (default /etc/wisehost/scheduler.conf)\n"
        "      --init             make the state directory, keys, database; prints "
        "ADMIN_TOKEN=...\n"
        "        --user NAME        who the scheduler runs as (as root; default wisehost)\n"
        "        --httpd-user NAME  who httpd runs as (default: httpd_user of the configuration)\n"
        "      --check            say what is wrong with the installation\n"
        "      --migrate          bring the schema of the database up to date\n"
        "      --admin-token      print a new one-time token for the first login\n"
        "      --enrolment-token  print a new one-time token for registering an agent\n"
        "        --worker NAME      it registers a worker of this name and no other\n"
        "        --replaces         that worker may be there: it gets a new key and keeps its "
        "apps\n"
        "      --gc               remove from the store what nothing needs\n"
        "      --rotate-env-key   seal env vars with another key; writes keys/module.key anew\n"
        "      --dump-config      print the configuration in force\n"
        "      --reference        print every key with its meaning and default\n"
        "      --verify-routes D  look a route table directory through\n"
        "      --version, --help\n",
        to);
}

/* --worker and --replaces say what an enrolment token is for. */
static int enrolment_ok(const options_t *o)
{
    if ((o->worker != NULL || o->replaces) && o->action != ACTION_ENROLMENT_TOKEN) {
        fputs("wh-scheduler: --worker and --replaces go with --enrolment-token\n", stderr);
        return 0;
    }
    if (o->replaces && o->worker == NULL) {
        fputs("wh-scheduler: --replaces needs --worker NAME\n", stderr);
        return 0;
    }
    if (o->worker != NULL && !wh_model_worker_name_ok(o->worker)) {
        fputs("wh-scheduler: --worker: " WH_WORKER_NAME_RULE "\n", stderr);
        return 0;
    }
    return 1;
}

/* Returns -1 to go on, else the exit code. */
static int parse(int argc, char **argv, options_t *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"init", no_argument, NULL, 'i'},
        {"user", required_argument, NULL, 'u'},
        {"httpd-user", required_argument, NULL, 'w'},
        {"check", no_argument, NULL, 'k'},
        {"migrate", no_argument, NULL, 'm'},
        {"admin-token", no_argument, NULL, 'a'},
        {"enrolment-token", no_argument, NULL, 'e'},
        {"worker", required_argument, NULL, 'n'},
        {"replaces", no_argument, NULL, 'p'},
        {"dump-config", no_argument, NULL, 'd'},
        {"reference", no_argument, NULL, 'r'},
        {"verify-routes", required_argument, NULL, 'y'},
        {"gc", optional_argument, NULL, 'g'},
        {"rotate-env-key", no_argument, NULL, 'o'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct {
        int c;
        action_e action;
    } actions[] = {
        {'i', ACTION_INIT},        {'k', ACTION_CHECK},           {'m', ACTION_MIGRATE},
        {'a', ACTION_ADMIN_TOKEN}, {'e', ACTION_ENROLMENT_TOKEN}, {'d', ACTION_DUMP},
        {'r', ACTION_REFERENCE},   {'y', ACTION_VERIFY_ROUTES},   {'g', ACTION_GC},
        {'o', ACTION_ROTATE_ENV},
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:hv", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->conf = optarg;
            break;
        case 'u':
            o->user = optarg;
            break;
        case 'w':
            o->httpd_user = optarg;
            break;
        case 'n':
            o->worker = optarg;
            break;
        case 'p':
            o->replaces = 1;
            break;
        case 'h':
            usage(stdout);
            return 0;
        case 'v':
            puts("wh-scheduler " PACKAGE_VERSION);
            return 0;
        case '?':
            usage(stderr);
            return EX_USAGE;
        default:
            break;
        }
        for (size_t i = 0; i < WH_ARRAY_LEN(actions); i++) {
            if (actions[i].c != c) {
                continue;
            }
            if (o->action != ACTION_RUN) {
                fputs("wh-scheduler: one action at a time, please\n", stderr);
                return EX_USAGE;
            }
            o->action = actions[i].action;
            o->routes = c == 'y' ? optarg : NULL;
            o->due = c == 'g' && optarg != NULL && strcmp(optarg, "due") == 0;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "wh-scheduler: \"%s\" is no option\n", argv[optind]);
        return EX_USAGE;
    }
    return enrolment_ok(o) ? -1 : EX_USAGE;
}

static int fail(const wh_err_t *err, int code)
{
    wh_log(WH_LOG_ERROR, "WH0490", "%s", err->text);
    return code;
}

/* ---- Actions that end at once ---- */

static int act(apr_pool_t *p, const options_t *o, const wh_settings_t *s)
{
    wh_err_t err = WH_ERR_INIT;
    wh_init_t init = {.settings = s,
                      .user = o->user,
                      .worker = o->worker,
                      .replaces = o->replaces,
                      .by = (long)getuid(),
                      .clock = wh_sys_clock(),
                      .rand = wh_sys_rand(),
                      .httpd_user = o->httpd_user != NULL ? o->httpd_user : s->httpd_user};
    wh_user_t httpd = {0};
    apr_int64_t env_key = 0;
    apr_status_t rv;

    if (o->action == ACTION_CHECK) {
        int wrong = wh_check_run(p, s, SELF, stdout);

        if (wrong == 0) {
            puts("Everything is as it should be.");
        }
        return wrong == 0 ? 0 : EX_CONFIG;
    }
    if (o->action == ACTION_INIT) {
        init.user = init.user != NULL ? init.user : "wisehost";
        return wh_init_run(p, &init, stdout, &err) == APR_SUCCESS ? 0 : fail(&err, EX_CONFIG);
    }
    rv = geteuid() == 0 ? wh_user_find(s->httpd_user, &httpd, &err) : APR_SUCCESS;
    rv = rv == APR_SUCCESS && o->action == ACTION_ROTATE_ENV
             ? wh_init_rotate_file(p, &init, &env_key, &err)
             : rv;
    rv = rv == APR_SUCCESS ? wh_user_become_owner(s->state_dir, httpd.gid, &err) : rv;
    if (rv == APR_SUCCESS && o->action == ACTION_ROTATE_ENV) {
        rv = wh_init_rotate(p, &init, env_key, stdout, &err);
    } else if (rv == APR_SUCCESS) {
        rv = o->action == ACTION_MIGRATE
                 ? wh_init_migrate(p, &init, stdout, &err)
                 : wh_init_token(p, &init, o->action == ACTION_ADMIN_TOKEN ? "admin" : "enrolment",
                                 stdout, &err);
    }
    return rv == APR_SUCCESS ? 0 : fail(&err, EX_UNAVAILABLE);
}

/* Others go first. The hourly one ends with who started it. */
static void be_humble(const options_t *o)
{
    (void)setpriority(PRIO_PROCESS, 0, 19);
    (void)syscall(SYS_ioprio_set, 1, 0, 3 << 13); /* this process: idle */
    if (o->due) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
}

static int collect(apr_pool_t *p, const options_t *o, const wh_settings_t *s)
{
    wh_gc_opts_t opts = {.settings = s, .clock = wh_sys_clock(), .due = o->due};
    wh_err_t err = WH_ERR_INIT;
    wh_gc_done_t done;
    wh_user_t httpd = {0};
    apr_status_t rv = APR_SUCCESS;

    be_humble(o);
    umask(002); /* what it makes is httpd's, too */
    rv = geteuid() == 0 ? wh_user_find(s->httpd_user, &httpd, &err) : rv;
    rv = rv == APR_SUCCESS && geteuid() == 0 ? wh_user_become_owner(s->state_dir, httpd.gid, &err)
                                             : rv;
    rv = rv == APR_SUCCESS ? wh_gc_run(p, &opts, &done, &err) : rv;
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0512", "the store was not cleared: %s", err.text);
        return EX_UNAVAILABLE;
    }
    if (done.busy) {
        wh_log(WH_LOG_INFO, NULL, "another collector is at work on this store");
        return o->due ? 0 : EX_TEMPFAIL;
    }
    wh_log(WH_LOG_INFO, NULL,
           "removed from the store: %d releases, %d objects (%" APR_INT64_T_FMT
           " bytes), %d leftovers%s",
           done.releases, done.objects, done.bytes, done.leftovers,
           done.cut ? "; there is more" : "");
    return 0;
}

static int verify_routes(apr_pool_t *p, const char *dir)
{
    wh_err_t err = WH_ERR_INIT;
    apr_size_t names = 0;

    if (wh_publish_verify(p, dir, &names, &err) != APR_SUCCESS) {
        return fail(&err, EX_DATAERR);
    }
    return 0;
}

/* ---- Running ---- */

static apr_status_t read_keys(apr_pool_t *p, const wh_settings_t *s, wh_hub_opt_t *opt,
                              unsigned char env_root[WH_KEY_LEN], wh_err_t *err)
{
    unsigned char root[WH_KEY_LEN];
    wh_keys_t keys;
    apr_status_t rv =
        wh_keys_read_root(p, apr_pstrcat(p, s->keys_dir, "/root.key", NULL), root, err);

    if (rv == APR_SUCCESS) {
        wh_keys_derive(root, &keys);
        memcpy(opt->assertion_key, keys.hub_assertion, sizeof(opt->assertion_key));
        memcpy(opt->worker_jwt, keys.worker_jwt, sizeof(opt->worker_jwt));
        memcpy(env_root, root, WH_KEY_LEN);
        explicit_bzero(&keys, sizeof(keys));
    }
    explicit_bzero(root, sizeof(root));
    return rv;
}

/* Enough descriptors for the workers, and no more: libwebsockets keeps a table as long as the
 * limit. */
static void limit_files(const wh_settings_t *s)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)s->max_workers + 384; /* those that knock, the database, logs */

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != need &&
        (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= need)) {
        limit.rlim_cur = need;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

typedef struct turn_t {
    const char *conf;
    apr_pool_t *p;
    wh_hub_t *hub;
    const wh_clock_t *clock;
    wh_watchdog_t dog;
} turn_t;

/* The watchdog is fed. SIGHUP: log level and certificate are read anew; a file with a mistake in it
 * changes nothing. */
static void turn(void *baton)
{
    turn_t *t = baton;
    wh_settings_t s;
    wh_err_t err = WH_ERR_INIT;

    if (wh_watchdog_due(&t->dog, wh_clock_mono(t->clock))) {
        wh_sys_notify("WATCHDOG=1");
    }
    if (!reload_wanted) {
        return;
    }
    reload_wanted = 0;
    if (wh_settings_load(t->p, t->conf, &s, &err) == APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "log level is %s from here on", s.log_level);
        wh_log_set_level(wh_log_level_of(s.log_level));
    } else {
        wh_log(WH_LOG_ERROR, "WH0491", "configuration not read again: %s", err.text);
    }
    wh_hub_reload(t->hub);
    apr_pool_clear(t->p);
}

static void answered(void *baton)
{
    wh_mailbox_poke(baton);
}

static apr_status_t start_prover(apr_pool_t *p, wh_core_t *core, wh_err_t *err)
{
    const wh_prover_opt_t opt = {.resolver = core->settings->dns_resolver,
                                 .http_port = (int)core->settings->domain_http_port,
                                 .private_ok = core->settings->domain_private,
                                 .wake = answered,
                                 .baton = core->box};

    return wh_prover_start(p, &opt, &core->prover, err);
}

static apr_status_t start_poller(apr_pool_t *p, wh_core_t *core, wh_err_t *err)
{
    const wh_settings_t *s = core->settings;
    const wh_poller_opt_t opt = {.look = {.git = s->git_program,
                                          .local_root = s->local_repo_root,
                                          .ca_file = s->ca_file,
                                          .private_ok = s->git_private,
                                          .auth_dir = apr_pstrcat(p, s->state_dir, "/source", NULL),
                                          .deadline_ms = 60000},
                                 .wake = answered,
                                 .baton = core->box};
    apr_status_t rv = wh_lsremote_tidy(p, opt.look.auth_dir, err);

    return rv == APR_SUCCESS ? wh_poller_start(p, &opt, &core->poller, err) : rv;
}

static apr_status_t start_http(apr_pool_t *p, wh_core_t *core, wh_err_t *err)
{
    const wh_httpout_opt_t opt = {.ca_file = core->settings->ca_file,
                                  .private_ok = core->settings->http_private,
                                  .wake = answered,
                                  .baton = core->box};

    return wh_httpout_start(p, &opt, &core->http, err);
}

/* Who asks other machines, each in threads of its own. */
static apr_status_t start_askers(apr_pool_t *p, wh_core_t *core, wh_err_t *err)
{
    apr_status_t rv = start_prover(p, core, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((rv = start_poller(p, core, err)) != APR_SUCCESS) {
        wh_prover_stop(core->prover);
        return rv;
    }
    if ((rv = start_http(p, core, err)) != APR_SUCCESS) {
        wh_poller_stop(core->poller);
        wh_prover_stop(core->prover);
    }
    return rv;
}

static void stop_askers(wh_core_t *core)
{
    wh_httpout_stop(core->http);
    wh_logdrains_end(core);
    wh_poller_stop(core->poller);
    wh_prover_stop(core->prover);
}

static int serve(apr_pool_t *p, const options_t *o, wh_core_t *core, const wh_hub_opt_t *opt)
{
    turn_t *t = apr_pcalloc(p, sizeof(*t));
    wh_dbthread_t *thread;
    wh_hub_t *hub;
    wh_err_t err = WH_ERR_INIT;
    int deposed;

    t->conf = o->conf;
    t->clock = core->clock;
    apr_pool_create(&t->p, p);
    wh_watchdog_init(&t->dog, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), (long)getpid(),
                     wh_clock_mono(core->clock));
    core->dog = &t->dog;
    if (wh_hub_start(p, opt, &hub, &err) != APR_SUCCESS) {
        return fail(&err, EX_CONFIG);
    }
    t->hub = hub;
    core->box = wh_hub_mailbox(hub);
    wh_core_intake(core);
    core->started = wh_clock_mono(core->clock);
    if (start_askers(p, core, &err) != APR_SUCCESS) {
        wh_hub_destroy(hub);
        return fail(&err, EX_CONFIG);
    }
    if (wh_dbthread_start(p, core, &thread, &err) != APR_SUCCESS) {
        stop_askers(core);
        wh_hub_destroy(hub);
        return fail(&err, EX_UNAVAILABLE);
    }
    malloc_trim(0);
    wh_log(WH_LOG_INFO, NULL, "wh-scheduler " PACKAGE_VERSION " is ready, hub on %s", opt->socket);
    wh_sys_notify("READY=1\nSTATUS=active");
    wh_hub_run(hub, &stop_wanted, turn, t);
    wh_sys_notify("STOPPING=1");
    wh_hub_drain(hub);
    wh_mailbox_stop(core->box);
    deposed = wh_dbthread_join(thread);
    stop_askers(core);
    wh_hub_destroy(hub);
    wh_log(WH_LOG_INFO, NULL, "stopped");
    return deposed ? EX_TEMPFAIL : 0;
}

static int run(apr_pool_t *p, const options_t *o, const wh_settings_t *s)
{
    wh_core_t core = {.settings = s, .clock = wh_sys_clock(), .rand = wh_sys_rand()};
    wh_hub_opt_t opt = {.socket = s->hub_socket,
                        .max_workers = (int)s->max_workers,
                        .allow_raw_key = s->allow_raw_key,
                        .listen_host = s->listen_host,
                        .listen_port = (int)s->listen_port,
                        .listen_cert = s->listen_cert,
                        .listen_key = s->listen_key,
                        .clock = core.clock,
                        .rand = core.rand};
    wh_err_t err = WH_ERR_INIT;
    wh_user_t httpd;
    int code;

    core.conf = o->conf;
    catch_signals();
    limit_files(s);
    if (wh_user_find(s->httpd_user, &httpd, &err) != APR_SUCCESS ||
        wh_user_become_owner(s->state_dir, httpd.gid, &err) != APR_SUCCESS ||
        read_keys(p, s, &opt, core.env_root, &err) != APR_SUCCESS) {
        return fail(&err, EX_CONFIG);
    }
    opt.httpd_uid = httpd.uid;
    opt.httpd_gid = httpd.gid;
    apr_pool_create(&core.pool, p);
    apr_pool_tag(core.pool, "core");
    code = wh_standby_run(&core, p, SELF, &stop_wanted, &err);
    if (code >= 0) {
        return code > 0 ? fail(&err, code) : 0;
    }
    return serve(p, o, &core, &opt);
}

int main(int argc, char **argv)
{
    options_t o = {.conf = "/etc/wisehost/scheduler.conf"};
    wh_clock_t stamp = *wh_sys_clock();
    wh_settings_t settings;
    wh_err_t err = WH_ERR_INIT;
    apr_pool_t *p;
    int code = parse(argc, argv, &o);

    if (code >= 0) {
        return code;
    }
    /* Two threads that allocate little: one arena, and large blocks go back when they are freed. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 65536);
    mallopt(M_TRIM_THRESHOLD, 65536);
    wh_log_set_sink(wh_log_stderr, getenv("JOURNAL_STREAM") != NULL ? NULL : &stamp);
    if (o.action == ACTION_REFERENCE) {
        wh_settings_reference(stdout);
        return 0;
    }
    wh_fault_arm(getenv("WISEHOST_FAULT_FILE"));
    apr_initialize();
    apr_pool_create(&p, NULL);
    if (o.action == ACTION_VERIFY_ROUTES) {
        code = verify_routes(p, o.routes);
    } else if (wh_settings_load(p, o.conf, &settings, &err) != APR_SUCCESS) {
        code = fail(&err, EX_CONFIG);
    } else {
        wh_log_set_level(wh_log_level_of(settings.log_level));
        if (o.action == ACTION_DUMP) {
            wh_settings_dump(stdout, &settings);
            code = 0;
        } else if (o.action == ACTION_GC) {
            code = collect(p, &o, &settings);
        } else {
            code = o.action == ACTION_RUN ? run(p, &o, &settings) : act(p, &o, &settings);
        }
    }
    apr_pool_destroy(p);
    apr_terminate();
    return code;
}
