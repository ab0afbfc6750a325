#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "config.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sys.h"
#include "wh-agent/agent.h"
#include "wh-agent/hush.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/thread.h"

/* The one object that signal handlers can reach. */
static wh_agent_t *the_agent;

enum { DO_RUN, DO_CHECK, DO_DUMP };

static int usage(FILE *to)
{
    fputs("usage: wh-agent -c FILE [--check | --dump-config | --version | --help]\n"
          "  -c, --config FILE  the configuration (key = value)\n"
          "  --check            say whether the configuration and the state directory are usable\n"
          "  --dump-config      print the configuration in force\n"
          "  --version          print the version\n",
          to);
    return to == stdout ? EX_OK : EX_USAGE;
}

/* Returns the exit status, or -1 to go on. */
static int arguments(int argc, char **argv, const char **config, int *what)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
        {"dump-config", no_argument, NULL, 'd'},  {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            *config = optarg;
            break;
        case 'k':
            *what = DO_CHECK;
            break;
        case 'd':
            *what = DO_DUMP;
            break;
        case 'V':
            puts("wh-agent " PACKAGE_VERSION);
            return EX_OK;
        case 'h':
            return usage(stdout);
        default:
            return usage(stderr);
        }
    }
    return optind < argc || *config == NULL ? usage(stderr) : -1;
}

static void on_signal(int sig)
{
    int keep = errno;

    (void)sig;
    if (the_agent != NULL)
        wh_agent_quit(the_agent);
    errno = keep;
}

static void signals(void)
{
    struct sigaction end = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
}

/* How often the watchdog of systemd is fed: thrice as often as it asks for. 0 = it is not set. */
static apr_interval_time_t watchdog_us(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (us == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return (apr_interval_time_t)strtoll(us, NULL, 10) / 3;
}

/* The state directory is ours alone, and only one agent works in it. The descriptor stays open. */
static apr_status_t take_state_dir(apr_pool_t *p, const char *dir, int check_only, wh_err_t *err)
{
    const char *path = apr_pstrcat(p, dir, "/lock", NULL);
    struct stat st;
    int fd;
    /* A check by root must not make a directory that the agent cannot use. */
    apr_status_t rv = check_only ? APR_SUCCESS : wh_fsutil_mkdir(p, dir, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (stat(dir, &st) != 0)
        return wh_err_wrap(err, errno, 500, "state_unwritable", "cannot use %s", dir);
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return wh_err_set(err, 500, "state_unwritable",
                          "%s must belong to the agent's user and be writable to nobody else", dir);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return wh_err_wrap(err, errno, 500, "state_unwritable", "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return wh_err_set(err, 500, "state_in_use", "another wh-agent works in %s", dir);
    return APR_SUCCESS;
}

static int fail(const wh_err_t *err)
{
    wh_log(WH_LOG_ERROR, "WH0690", "%s", err->text);
    return wh_err_is(err, "bad_config") || wh_err_is(err, "config_unreadable") ? EX_CONFIG
                                                                               : EX_SOFTWARE;
}

static int serve(wh_agent_t *agent, int check_only)
{
    wh_err_t err = WH_ERR_INIT;

    if (take_state_dir(agent->p, agent->conf.state_dir, check_only, &err) != APR_SUCCESS)
        return fail(&err);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        (void)wh_err_set(&err, 500, "internal", "libcurl cannot be initialised");
        return fail(&err);
    }
    if (agent->conf.engine_socket[0] != '\0')
        agent->engine = wh_engine_docker_open;
    if (wh_agent_make(agent, &err) != APR_SUCCESS)
        return fail(&err);
    if (check_only) {
        puts("the configuration and the state directory are usable");
    } else {
        the_agent = agent;
        wh_log(WH_LOG_INFO, NULL, "wh-agent %s begins; agent %s", PACKAGE_VERSION,
               wh_identity_agent_id(agent->identity));
        wh_agent_run(agent);
        the_agent = NULL;
    }
    wh_agent_free(agent);
    if (wh_thread_running() == 0) { /* one that could not be ended in time looks at it still */
        apr_pool_destroy(agent->p);
        curl_global_cleanup();
    }
    return EX_OK;
}

int main(int argc, char **argv)
{
    static wh_agent_t agent;
    const char *config = NULL;
    int what = DO_RUN, rc = arguments(argc, argv, &config, &what);
    wh_err_t err = WH_ERR_INIT;

    if (rc >= 0)
        return rc;
    umask(077);
    /* Threads come and go: with one arena what they freed can be given back. */
    mallopt(M_ARENA_MAX, 1);
    wh_log_set_sink(wh_hush_log,
                    getenv("JOURNAL_STREAM") != NULL ? NULL : (void *)(uintptr_t)wh_sys_clock());
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&agent.p, NULL) != APR_SUCCESS)
        return EX_SOFTWARE;
    if (wh_agent_conf_load(agent.p, config, &agent.conf, &err) != APR_SUCCESS)
        return fail(&err);
    wh_log_set_level(wh_log_level_of(agent.conf.log_level));
    agent.clock = wh_sys_clock();
    agent.rnd = wh_sys_rand();
    agent.notify = wh_sys_notify;
    agent.watchdog_us = watchdog_us();
    if (what == DO_DUMP) {
        wh_conf_dump(stdout, wh_agent_conf_keys, wh_agent_conf_nkeys, &agent.conf);
        return EX_OK;
    }
    signals();
    return serve(&agent, what == DO_CHECK);
}
