/*
 * wh-sim: see sim.h. wh-sim --help says the options.
 *
 * stdout: once a second "SIM t=… up=… running=… apps=… jobs=… lines=…". SIGUSR1 begins to write
 * lines, or stops; SIGTERM ends: no more lines, what was sent is waited for (5 s at most), and the
 * counters and the ledger are written. Exit status 1 when not all agents were connected at the end.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "libwh/wh_log.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_text.h"
#include "bench/sim/sim.h"

#define END_PATIENCE_US ((apr_interval_time_t)5 * APR_USEC_PER_SEC)

static wh_sim_t sim;

/* ---- options ---- */

typedef struct option_t {
    const char *name;
    const char **text;
    int *number;
    const char *doc;
} option_t;

static const char *cuts, *logs;

static const option_t options[] = {
    {"hub", &sim.opts.hub, NULL, "ws(s)://host:port, one or several with spaces between"},
    {"ca", &sim.opts.ca_file, NULL, "file of certificates to trust"},
    {"agents", NULL, &sim.opts.agents, "how many (1)"},
    {"workers", &sim.opts.workers_file, NULL, "list \"name key\"; made when it is not there"},
    {"api", &sim.opts.api_url, NULL, "the server's API, to register and for tokens"},
    {"secret-file", &sim.opts.secret_file, NULL, "the control secret, to register"},
    {"prefix", &sim.opts.prefix, NULL, "of the names, when they are registered (sim-)"},
    {"by-token", NULL, &sim.opts.by_token, "1: connect with a worker token, not with the key (0)"},
    {"connect-rate", NULL, &sim.opts.connect_rate, "new connections a second (200)"},
    {"seconds", NULL, &sim.opts.seconds, "how long; 0 = until SIGTERM (0)"},
    {"heartbeat", NULL, &sim.opts.heartbeat_s, "seconds; 0 = as the hub says, -1 = none (0)"},
    {"stats", NULL, &sim.opts.stats_s, "seconds; 0 = as the hub says, -1 = none (0)"},
    {"lines", NULL, &sim.opts.lines_s, "log lines a second, of all together (0)"},
    {"line-bytes", NULL, &sim.opts.line_bytes, "length of a line (100)"},
    {"log-every", NULL, &sim.opts.log_every_ms, "ms between two log frames of an agent (1000)"},
    {"logs", &logs, NULL, "build|runtime|both: of running jobs, of apps (build)"},
    {"quiet", NULL, &sim.opts.quiet, "1: no lines until SIGUSR1 (0)"},
    {"max-jobs", NULL, &sim.opts.max_jobs, "what an agent says it takes (64)"},
    {"ack-ms", NULL, &sim.opts.ack_ms, "delay of a job_ack (0)"},
    {"finish-ms", NULL, &sim.opts.finish_ms, "how long a job runs (0)"},
    {"hold", &sim.opts.hold, NULL, "jobs of apps whose slug begins so never end"},
    {"refuse-percent", NULL, &sim.opts.refuse_percent, "jobs that are not taken (0)"},
    {"fail-percent", NULL, &sim.opts.fail_percent, "jobs that fail (0)"},
    {"release", &sim.opts.release, NULL, "release id that static jobs answer with"},
    {"repeat", NULL, &sim.opts.repeat, "how often each result is sent again unasked (0)"},
    {"cuts", &cuts, NULL, "lines cut off at random, a second, of all together (0)"},
    {"deaf", NULL, &sim.opts.deaf, "so many agents never read (0)"},
    {"out", &sim.opts.out_file, NULL, "counters and ledger go there, as JSON"},
};

static int usage(FILE *to)
{
    fputs("usage: wh-sim --hub URL --workers FILE [options]\n", to);
    for (size_t i = 0; i < WH_ARRAY_LEN(options); i++)
        fprintf(to, "  --%-16s %s\n", options[i].name, options[i].doc);
    return to == stdout ? 0 : 2;
}

static int take_option(const char *name, const char *value)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(options); i++) {
        apr_int64_t n;

        if (strcmp(options[i].name, name) != 0)
            continue;
        if (options[i].text != NULL) {
            *options[i].text = value;
            return 0;
        }
        if (!wh_text_number(value, -1, INT32_MAX, &n))
            return -1;
        *options[i].number = (int)n;
        return 0;
    }
    return -1;
}

/* Returns the exit status, or -1 to go on. */
static int arguments(int argc, char **argv)
{
    static const char *const kinds[] = {"build", "runtime", "both"};
    wh_sim_opts_t *o = &sim.opts;

    *o = (wh_sim_opts_t){.agents = 1,
                         .connect_rate = 200,
                         .line_bytes = 100,
                         .log_every_ms = 1000,
                         .max_jobs = 64,
                         .prefix = "sim-",
                         .ca_file = "",
                         .release = ""};
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout);
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 >= argc ||
            take_option(argv[i] + 2, argv[i + 1]) != 0)
            return usage(stderr);
    }
    o->cuts_s = cuts != NULL ? strtod(cuts, NULL) : 0;
    for (int i = 0; logs != NULL && i < 3; i++)
        if (strcmp(logs, kinds[i]) == 0)
            o->logs = (wh_sim_logs_e)i;
    if (o->hub == NULL || o->agents < 1 || o->line_bytes < 1 || o->line_bytes > WH_MSG_LINE_BYTES ||
        o->log_every_ms < 1 || o->max_jobs < 1 || o->max_jobs > WH_MSG_JOBS_MAX ||
        o->connect_rate < 1)
        return usage(stderr);
    return -1;
}

/* ---- the loop ---- */

static void say(void)
{
    int apps = 0, running = 0;

    for (int i = 0; i < sim.n; i++) {
        for (const wh_sim_app_t *a = sim.agents[i].apps; a != NULL; a = a->next)
            apps++;
        for (const wh_sim_job_t *j = sim.agents[i].jobs; j != NULL; j = j->next)
            running += j->state == WH_SIM_RUNNING;
    }
    printf("SIM t=%d up=%d running=%d apps=%d jobs=%d settled=%d lines=%" APR_INT64_T_FMT "\n",
           (int)(wh_mono_diff(sim.now, sim.begun) / APR_USEC_PER_SEC), sim.ready, running, apps,
           sim.ledger->nelts, (int)sim.count.result_acks, sim.count.lines_made);
    fflush(stdout);
}

static void cut_some(void)
{
    sim.cuts_left += sim.opts.cuts_s * (double)WH_SIM_TICK_US / 1e6;
    while (sim.cuts_left >= 1) {
        wh_sim_agent_t *agent = &sim.agents[wh_rand_jitter(sim.rnd) % (uint32_t)sim.n];

        sim.cuts_left -= 1;
        if (agent->ready) {
            sim.count.cut++;
            wh_link_cut(agent->link);
        }
    }
}

static void look_at_end(void)
{
    int settled = 1;

    if (!sim.ending) {
        if (sim.opts.seconds > 0 &&
            wh_mono_diff(sim.now, sim.begun) >= apr_time_from_sec(sim.opts.seconds))
            sim.stop = 1;
        if (!sim.stop)
            return;
        sim.ending = 1;
        sim.talking = 0;
        sim.end_at = wh_mono_add(sim.now, END_PATIENCE_US);
    }
    for (int i = 0; settled && i < sim.n; i++)
        settled = wh_sim_talk_settled(&sim.agents[i]);
    if (settled || wh_mono_reached(sim.now, sim.end_at))
        wh_link_loop_stop(sim.loop);
}

static void each_second(void)
{
    sim.said = wh_mono_add(sim.now, APR_USEC_PER_SEC);
    sim.talkers = 0;
    for (int i = 0; i < sim.n; i++)
        sim.talkers += wh_sim_agent_talks(&sim.agents[i]);
    say();
}

static void tick(void *owner)
{
    (void)owner;
    sim.now = wh_clock_mono(sim.clock);
    if (sim.toggle) {
        sim.toggle = 0;
        sim.talking = !sim.talking;
        for (int i = 0; i < sim.n; i++)
            wh_sim_talk_begin(&sim.agents[i]);
    }
    if (wh_mono_reached(sim.now, sim.said))
        each_second();
    sim.connects_left += sim.opts.connect_rate * (double)WH_SIM_TICK_US / 1e6;
    if (sim.connects_left > sim.opts.connect_rate)
        sim.connects_left = sim.opts.connect_rate;
    for (int i = 0; i < sim.n; i++)
        wh_sim_agent_tick(&sim.agents[i]);
    if (sim.opts.cuts_s > 0 && !sim.ending)
        cut_some();
    look_at_end();
}

static void woken(void *owner)
{
    (void)owner;
}

static void on_signal(int sig)
{
    int keep = errno;

    if (sig == SIGUSR1)
        sim.toggle = 1;
    else
        sim.stop = 1;
    errno = keep;
}

/* ---- all ---- */

static apr_status_t make(wh_err_t *err)
{
    wh_link_loop_opts_t loop = {.ca_file = sim.opts.ca_file,
                                .links = sim.opts.agents,
                                .woken = woken,
                                .tick = tick,
                                .tick_us = WH_SIM_TICK_US,
                                .owner = &sim};
    struct rlimit files = {(rlim_t)sim.opts.agents + 300, (rlim_t)sim.opts.agents + 300};
    apr_status_t rv = wh_huburl_list(sim.p, sim.opts.hub, &sim.conf.hub_urls, err);
    wh_link_opts_t link = {.clock = sim.clock, .rnd = sim.rnd, .events = &wh_sim_agent_events};

    if (rv != APR_SUCCESS)
        return rv;
    if (files.rlim_cur > 1024 && setrlimit(RLIMIT_NOFILE, &files) != 0)
        return wh_err_set(err, 500, "internal", "%d descriptors cannot be had",
                          (int)files.rlim_cur);
    for (int i = 0; i < sim.conf.hub_urls->nelts; i++)
        loop.tls |= APR_ARRAY_IDX(sim.conf.hub_urls, i, wh_huburl_t).tls;
    rv = wh_sim_enrol(&sim, err);
    rv = rv == APR_SUCCESS ? wh_link_loop_make(sim.p, &loop, &sim.loop, err) : rv;
    if (rv != APR_SUCCESS)
        return rv;
    link.loop = sim.loop;
    link.urls = sim.conf.hub_urls;
    for (int i = 0; i < sim.n; i++) {
        link.owner = &sim.agents[i];
        sim.agents[i].link = wh_link_make(sim.p, &link);
    }
    return APR_SUCCESS;
}

static void prepare(void)
{
    sim.clock = wh_sys_clock();
    sim.rnd = wh_sys_rand();
    sim.begun = sim.now = sim.said = wh_clock_mono(sim.clock);
    sim.talking = !sim.opts.quiet && sim.opts.lines_s > 0;
    apr_pool_create(&sim.p, NULL);
    apr_pool_create(&sim.scratch, sim.p);
    sim.conf.server_url = sim.opts.api_url != NULL ? sim.opts.api_url : "";
    sim.conf.ca_file = sim.opts.ca_file;
    sim.ledger = apr_array_make(sim.p, 1024, sizeof(wh_sim_ledger_row_t));
    sim.n = sim.opts.agents;
    sim.agents = apr_pcalloc(sim.p, sizeof(*sim.agents) * (size_t)sim.n);
    for (int i = 0; i < sim.n; i++) {
        sim.agents[i].sim = &sim;
        sim.agents[i].number = i;
    }
}

int main(int argc, char **argv)
{
    struct sigaction act = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    wh_err_t err = WH_ERR_INIT;
    int rc = arguments(argc, argv), all;

    if (rc >= 0)
        return rc;
    apr_initialize();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    wh_log_set_sink(wh_log_stderr, NULL);
    prepare();
    if (make(&err) != APR_SUCCESS) {
        fprintf(stderr, "wh-sim: %s\n", err.text);
        return 1;
    }
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    wh_link_loop_run(sim.loop);
    say();
    all = sim.ready == sim.n;
    if (sim.opts.out_file != NULL && wh_sim_ledger_write(&sim, sim.opts.out_file) != 0) {
        fprintf(stderr, "wh-sim: %s cannot be written\n", sim.opts.out_file);
        return 1;
    }
    for (int i = 0; i < sim.n; i++)
        wh_link_destroy(sim.agents[i].link);
    wh_link_loop_destroy(sim.loop);
    return all ? 0 : 1;
}
